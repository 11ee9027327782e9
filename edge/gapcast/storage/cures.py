"""What can be done about a disk that does not take what it is given."""

from __future__ import annotations

import errno

_CURES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "mount it for writing, or set state.path",
    errno.EACCES: "let this account write there, or set state.path",
    errno.EPERM: "let this account write there, or set state.path",
}


def cure_of(error: BaseException) -> str:
    """Return what to do about ``error``.

    >>> cure_of(OSError(errno.ENOSPC, "No space left on device"))
    'free some space'
    """
    return _CURES.get(getattr(error, "errno", None) or 0, "check the disk, or set state.path")
