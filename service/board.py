"""A notice board that processes share: memory mapped before they are forked, without a name or a file.

Each process has a place, in which it alone writes: a note that all can read, and one word of 64 bits. A bell
at each place asks for a fresh note. Nobody waits for anybody: a note that is read while it is written fails
its checksum and is read again, and a word is written in one piece.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib

# Pages that no note has reached take no memory.
PLACE_BYTES = 1 << 20
# Of a place: the word, then the length and the CRC-32 of the note, then the note.
WORD = struct.Struct("<Q")
HEAD = struct.Struct("<II")
NOTE = WORD.size + HEAD.size
TRIES = 100


class Board:
    """Places 0 to ``places`` - 1, all empty."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, places * PLACE_BYTES)
        self._words = memoryview(self._memory).cast("Q")[:: PLACE_BYTES // WORD.size]
        # Somebody who is alone needs no bell, nor an operating system that has one.
        self.bells = (
            [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(places)] if places > 1 else []
        )

    def pin(self, place: int, note: bytes) -> None:
        """Put a note in a place, instead of the one that was there.

        Raises:
            ValueError: the note is too long.
        """
        if NOTE + len(note) > PLACE_BYTES:
            raise ValueError(f"a note of {len(note)} bytes is too long for a place of {PLACE_BYTES}")
        start = place * PLACE_BYTES + WORD.size
        content = HEAD.pack(len(note), zlib.crc32(note)) + note
        self._memory[start : start + len(content)] = content

    def read(self, place: int) -> bytes:
        """Return the note in a place; empty if there is none."""
        start = place * PLACE_BYTES
        for _ in range(TRIES):
            length, checksum = HEAD.unpack_from(self._memory, start + WORD.size)
            note = self._memory[start + NOTE : start + min(NOTE + length, PLACE_BYTES)]
            if zlib.crc32(note) == checksum:
                return note
        return b""  # its writer died in the middle of it

    def notes(self) -> list[bytes]:
        """Return the notes in all places."""
        return [self.read(place) for place in range(len(self._words))]

    def write_word(self, place: int, word: int) -> None:
        """Put a number below 2**64 in a place."""
        self._words[place] = word

    def words(self) -> list[int]:
        """Return the numbers in all places; 0 where none has been put."""
        return self._words.tolist()

    def ring(self, place: int) -> None:
        """Ask the process in a place for a fresh note."""
        os.eventfd_write(self.bells[place], 1)
