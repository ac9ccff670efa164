"""Reading files that others replace, fill or put something else in place of."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file to be read.

    It is opened without waiting and looked at once it is open: a FIFO would block for ever, and a device
    never end.

    Raises:
        OSError: it can't be read, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # It raises for a folder, and leaves the descriptor open then.
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(path))
            yield file
    finally:
        os.close(descriptor)


def read_file(path: Path, limit: int) -> bytes:
    """Return what is in a regular file, one byte more than ``limit`` at most.

    Raises:
        OSError: it can't be read, or is no regular file.
    """
    with open_file(path) as file:
        return file.read(limit + 1)
