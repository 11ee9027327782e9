"""Takes the pages of libraries that only the start used out of this process.

Loading Python, numpy, OpenSSL and the TFLite runtime maps some 25 MB of their code, most of which runs once. The kernel
maps a page again when it is needed, from its cache or from the file. Until then the page no longer counts as memory of
this process, and the kernel may use its place for other files.
"""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
#: The first line of a mapping of a file that cannot be written: addresses, rights, offset, device, inode, path.
_FILE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9]\d* +/.*")
#: Pages that differ from those of the file, as those that the loader relocated: they must stay.
_UNCHANGED = re.compile(r"Anonymous: +0 kB")


def unused_mappings(smaps: str) -> Iterator[tuple[int, int]]:
    r"""Yield begin and length, bytes, of the mappings whose pages are all those of a file, and are not written.

    >>> text = "7f00-8f00 r-xp 0000 08:01 17 /lib/libc.so.6\nRss: 4 kB\nAnonymous: 0 kB\n"
    >>> list(unused_mappings(text)) == [(0x7F00, 0x1000)]
    True
    """
    found: re.Match[str] | None = None
    for line in smaps.splitlines():
        if line.endswith("B"):
            if found is not None and _UNCHANGED.fullmatch(line):
                begin, end = (int(address, 16) for address in found.groups())
                yield begin, end - begin
        elif "-" in line.partition(" ")[0]:
            found = _FILE.fullmatch(line)


def release_library_pages(smaps: Path = _SMAPS) -> int:
    """Release the pages of all mapped files that this process did not change; return of how many mappings.

    It takes about two milliseconds. None where the system has no such list.
    """
    try:
        text = smaps.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None:
        return 0
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(madvise(begin, length, mmap.MADV_DONTNEED) == 0 for begin, length in unused_mappings(text))
