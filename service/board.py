"""A notice board that processes share: memory mapped before they are forked, without a name or a file.

Each process has a place, in which it alone writes: a note that all can read, a few numbers that it shows, and
the last words, of 64 bits each, that it had to say. A bell at each place asks for a fresh note. Nobody waits
for anybody: a note that is read while it is written fails its checksum and is read again, and a number or a
word is written in one piece.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib

# Pages that no note has reached take no memory.
PLACE_BYTES = 1 << 20
# Of a place: the words, the newest first; the numbers; the length and the CRC-32 of the note; then the note.
WORDS = 4
NUMBERS = 3
WORD_BYTES = 8
PLACE_WORDS = PLACE_BYTES // WORD_BYTES
HEAD_AT = (WORDS + NUMBERS) * WORD_BYTES
HEAD = struct.Struct("<II")
NOTE_AT = HEAD_AT + HEAD.size
TRIES = 100


class Board:
    """Places 0 to ``places`` - 1, all empty."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, places * PLACE_BYTES)
        self._words = memoryview(self._memory).cast("Q")
        self._places = range(places)
        # Somebody who is alone needs no bell, nor an operating system that has one.
        self.bells = (
            [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in self._places] if places > 1 else []
        )

    def pin(self, place: int, note: bytes) -> None:
        """Put a note in a place, instead of the one that was there.

        Raises:
            ValueError: the note is too long.
        """
        if NOTE_AT + len(note) > PLACE_BYTES:
            raise ValueError(f"a note of {len(note)} bytes is too long for a place of {PLACE_BYTES}")
        start = place * PLACE_BYTES + HEAD_AT
        content = HEAD.pack(len(note), zlib.crc32(note)) + note
        self._memory[start : start + len(content)] = content

    def read(self, place: int) -> bytes:
        """Return the note in a place; empty if there is none."""
        start = place * PLACE_BYTES
        for _ in range(TRIES):
            length, checksum = HEAD.unpack_from(self._memory, start + HEAD_AT)
            note = self._memory[start + NOTE_AT : start + min(NOTE_AT + length, PLACE_BYTES)]
            if zlib.crc32(note) == checksum:
                return note
        return b""  # its writer died in the middle of it

    def notes(self) -> list[bytes]:
        """Return the notes in all places."""
        return [self.read(place) for place in self._places]

    def say(self, place: int, *words: int) -> None:
        """Add numbers below 2**64 to what was said in a place; the oldest are forgotten."""
        start = place * PLACE_WORDS
        said = (*reversed(words), *self._words[start : start + WORDS])[:WORDS]
        for offset in reversed(range(WORDS)):  # the newest last: whoever reads meanwhile misses none
            self._words[start + offset] = said[offset]

    def said(self) -> list[list[int]]:
        """Return what was said in each place last, the newest first; 0 where there is no more."""
        starts = [place * PLACE_WORDS for place in self._places]
        return [self._words[start : start + WORDS].tolist() for start in starts]

    def show(self, place: int, which: int, number: int) -> None:
        """Show a number below 2**64 in a place, as one of its few, instead of the one that was there."""
        self._words[place * PLACE_WORDS + WORDS + which] = number

    def shown(self, which: int) -> list[int]:
        """Return that number of each place; 0 where none was shown."""
        return self._words[WORDS + which :: PLACE_WORDS].tolist()

    def ring(self, place: int) -> None:
        """Ask the process in a place for a fresh note."""
        os.eventfd_write(self.bells[place], 1)
