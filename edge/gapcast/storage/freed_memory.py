"""Returns freed memory to the system.

glibc retains freed blocks for the next allocation, and serves larger and larger blocks from its heap once a block of
their size was freed. Restoring a state, writing a checkpoint or replacing models frees tens of megabytes at once that
the stream does not need again.
"""

from __future__ import annotations

import ctypes


def release_freed_memory() -> bool:
    """Return all free pages of the heap to the system; return whether there were any and the C library supports it.

    This takes some milliseconds, in which allocations of other threads may wait.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl returns large blocks by itself
    return malloc_trim is not None and bool(malloc_trim(0))
