"""Fuzz targets: a decoder under test, its seeds and the words of its inputs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Separators of the messages of an input, and of the fields of a message.
PART, FIELD = b"\x1e", b"\x1f"

Mutator = Callable[[bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder that takes bytes from outside.

    ``check`` decodes its argument and returns, whatever the bytes: it raises only exceptions that the decoder
    documents, and asserts what must hold for a decoded value. ``seeds`` builds valid inputs. ``words`` are tokens that
    the fuzzer may insert. ``max_bytes`` is the maximum length of inputs. ``repack`` is a mutator that keeps checksums
    and compression valid, for formats that hide their content behind them: it takes an input and a random seed.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[str] = ()
    max_bytes: int = 4_096
    repack: Mutator | None = None


@cache
def scratch_folder() -> Path:
    """Return a folder of this process, in memory if the system has such a place."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else None
    return Path(_scratch(parent).name)


@cache
def _scratch(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gapcast-fuzz-", dir=parent)


@contextmanager
def written(content: bytes, name: str) -> Iterator[Path]:
    """Write ``content`` to a file called ``name``, which exists during the context."""
    path = scratch_folder() / name
    path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
