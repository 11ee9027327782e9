"""Pages of libraries that only the start used leave this process, and come back when they are needed."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gapcast.app.library_pages import release_library_pages, unused_mappings

SMAPS = """\
55d0a000-55d0b000 r--p 00000000 08:01 41 /usr/bin/python3
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d0c000-55d0e000 r-xp 00002000 08:01 41 /usr/bin/a library-1.so (deleted)
Rss:                   8 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
55d0e000-55d0f000 r--p 00004000 08:01 41 /usr/bin/relocated
Anonymous:             4 kB
55d0f000-55d10000 rw-p 00005000 08:01 41 /usr/bin/data
Anonymous:             0 kB
55d10000-55d11000 r--s 00005000 08:01 41 /dev/shm/shared
Anonymous:             0 kB
55d11000-55d12000 rw-p 00000000 00:00 0 [heap]
Anonymous:             0 kB
55d12000-55d13000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
"""


def test_unused_mappings_are_unchanged_pages_of_files() -> None:
    assert list(unused_mappings(SMAPS)) == [(0x55D0A000, 0x1000), (0x55D0C000, 0x2000)]


def test_release_library_pages_advises_the_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[int, int, int]] = []

    def madvise(begin: int, length: int, advice: int) -> int:
        asked.append((begin, length, advice))
        return 0 if begin == 0x55D0A000 else -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(madvise=madvise))
    (tmp_path / "smaps").write_text(SMAPS)
    assert release_library_pages(tmp_path / "smaps") == 1, "the kernel refused the other"
    assert asked == [(0x55D0A000, 0x1000, mmap.MADV_DONTNEED), (0x55D0C000, 0x2000, mmap.MADV_DONTNEED)]


def test_release_library_pages_without_the_call_does_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    (tmp_path / "smaps").write_text(SMAPS)
    assert release_library_pages(tmp_path / "smaps") == 0
    assert release_library_pages(tmp_path / "missing") == 0


def test_process_continues_after_its_library_pages_are_released() -> None:
    matrix = np.eye(50)
    assert (release_library_pages() > 0) == Path("/proc/self/smaps").exists()
    assert np.array_equal(np.linalg.inv(matrix), matrix)
