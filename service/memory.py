"""How the C library keeps memory that requests have freed."""

from __future__ import annotations

import contextlib
import ctypes
import gc

M_ARENA_MAX = -8  # of malloc.h


def _find_glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc: neither musl nor macOS has these functions."""
    with contextlib.suppress(OSError, TypeError):
        library = ctypes.CDLL(None)
        return library if hasattr(library, "malloc_trim") else None
    return None


_glibc = _find_glibc()


def share_memory() -> None:
    """Have all threads but the first allocate from one pool, instead of one for each.

    What one of them has freed, the others can use at once. The event loop's pool is its own: with the same
    pool for all it would wait for the model's thread (1 to 3 % of the requests per second).

    Call it before any thread is started.
    """
    if _glibc is not None:
        _glibc.mallopt(M_ARENA_MAX, 2)


def release_memory() -> None:
    """Return what is free to the system, in a few milliseconds.

    Otherwise it is kept for the next request, and a pod that was busy once would look busy to an autoscaler
    that goes by memory. First goes what is garbage but in a cycle: a traceback that refers to itself may hold
    a body, and without requests nothing makes Python look for it.
    """
    gc.collect()
    if _glibc is not None:
        _glibc.malloc_trim(0)
