"""Builds the compiled steps: the C files beside this one, as one shared library per machine.

``python edge/native/build.py FOLDER`` compiles for this machine with the C compiler of ``CC`` (default ``cc``).
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
#: No contraction into fused multiply-adds and no reassociation: the same digits on every machine.
FLAGS = (
    "-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno",
    "-Wall", "-Wextra", "-Wconversion", "-Werror",
)  # fmt: skip


def library_name(machine: str) -> str:
    """Return the file name of the library for ``machine``, as :func:`platform.machine` names it.

    >>> library_name("aarch64")
    'libgapcast-aarch64.so'
    """
    return f"libgapcast-{machine}.so"


def build(folder: Path, machine: str, compiler: list[str]) -> Path:
    """Compile for ``machine`` into ``folder`` with the command ``compiler``; return the library."""
    target = folder / library_name(machine)
    partial = target.with_suffix(f".{os.getpid()}")
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    subprocess.run([*compiler, *FLAGS, "-o", str(partial), *sources, "-lm"], check=True)  # noqa: S603 - ours
    partial.replace(target)
    return target


def main() -> None:
    """Build for this machine."""
    folder = Path(sys.argv[1])
    print(build(folder, platform.machine(), shlex.split(os.environ.get("CC", "cc"))))


if __name__ == "__main__":
    main()
