"""Gives memory back that requests have freed.

The C library keeps what is freed for the next request, and a pod that was busy once would look busy to an
autoscaler that goes by memory.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable


def _find_trim() -> Callable[[int], int]:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # a C library without it: musl, macOS
        return lambda _: 0
    return trim


_malloc_trim = _find_trim()


def release_memory() -> None:
    """Return what is free to the system, in a few milliseconds.

    First what is garbage but in a cycle: a traceback that refers to itself may hold a body, and without
    requests nothing makes Python look for it.
    """
    gc.collect()
    _malloc_trim(0)
