"""Fixes for disk errors."""

from __future__ import annotations

import errno

_FIXES = {
    errno.ENOSPC: "free disk space",
    errno.EDQUOT: "free disk space",
    errno.EROFS: "mount the file system read-write, or set state.path",
    errno.EACCES: "grant this account write permission, or set state.path",
    errno.EPERM: "grant this account write permission, or set state.path",
}


def disk_error_fix(error: BaseException) -> str:
    """Return how to fix ``error``.

    >>> disk_error_fix(OSError(errno.ENOSPC, "No space left on device"))
    'free disk space'
    """
    return _FIXES.get(getattr(error, "errno", None) or 0, "check the disk, or set state.path")
