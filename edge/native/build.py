"""Builds the compiled steps: the C files beside this one, as one shared library per machine.

python edge/native/build.py                   into the checkout, for this machine, if the sources have changed
python edge/native/build.py FOLDER [FLAG ...] the same, into FOLDER, with further flags for the compiler
python edge/native/build.py --all FOLDER ...  for each machine that the wheel has a library for

The compiler is ``CC`` (default ``cc``); ``--all`` uses the C compiler of the package ziglang, which compiles for other
machines. Exit code 3: there is no compiler; numpy computes the same results, more slowly.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
sys.path.insert(0, str(SOURCES.parent))

from gapcast.compiled.library import hash_of_sources, library_path, machine_name  # noqa: E402 - of the same checkout

COMPILED = SOURCES.parent / "gapcast" / "compiled"
#: Machines that the wheel has libraries for -> their names in ziglang, with the oldest C library to run on.
TARGETS = {
    "x86_64": "x86_64-linux-gnu.2.17",
    "aarch64": "aarch64-linux-gnu.2.17",
    "armv7l": "arm-linux-gnueabihf.2.17",
}
WARNINGS = ("-Wall", "-Wextra", "-Wconversion")
#: No contraction into fused multiply-adds and no reassociation: the same digits on every machine.
ARITHMETIC = ("-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno")
#: Unwind tables would link a second copy of exp and memset from ziglang's runtime on 32-bit ARM.
LIBRARY = ("-fPIC", "-shared", "-fvisibility=hidden", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-s")
HARDENING = ("-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now")
NO_COMPILER = 3


def is_current(library: Path) -> bool:
    """Return whether ``library`` was built from the present sources."""
    return library.is_file() and hash_of_sources(SOURCES).encode() in library.read_bytes()


def build(folder: Path, machine: str, compiler: Sequence[str], further: Sequence[str] = ()) -> Path:
    """Compile for ``machine`` into ``folder`` with the command ``compiler`` and ``further`` flags; return the library.

    The new library replaces an older one at once. Raises CalledProcessError if the compiler fails.
    """
    target = library_path(folder, machine)
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    flags = (*ARITHMETIC, *LIBRARY, *HARDENING, *WARNINGS, *further)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as scratch:
        partial = Path(scratch) / target.name
        own = f'-DGAPCAST_SOURCES="{hash_of_sources(SOURCES)}"'
        command = [*compiler, *flags, own, "-o", str(partial), *sources, "-lm"]
        subprocess.run(command, check=True)  # noqa: S603 - the compiler that the user names
        partial.chmod(0o644)
        partial.replace(target)
    return target


@contextmanager
def zig_compiler() -> Iterator[list[str]]:
    """Yield the command of ziglang's C compiler; its cache is kept if ``ZIG_GLOBAL_CACHE_DIR`` is set."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="gapcast-zig-") as cache:
        os.environ["ZIG_LOCAL_CACHE_DIR"] = cache
        os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", cache)
        try:
            yield [sys.executable, "-m", "ziglang", "cc"]
        finally:
            os.environ.clear()
            os.environ.update(before)


def build_all(folder: Path, further: Sequence[str] = ()) -> list[Path]:
    """Compile for every machine of :data:`TARGETS` into ``folder``; return the libraries."""
    with zig_compiler() as compiler:
        return [build(folder, machine, [*compiler, "-target", target], further) for machine, target in TARGETS.items()]


def own_compiler() -> list[str] | None:
    """Return the command of this machine's C compiler; None without a compiler, or if the system is not Linux."""
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    return compiler if sys.platform == "linux" and shutil.which(compiler[0]) else None


def has_zig() -> bool:
    """Return whether the package ziglang is installed, as by requirements/build.txt."""
    return find_spec("ziglang") is not None


def build_own(folder: Path, further: Sequence[str] = ()) -> int:
    """Build for this machine into ``folder`` unless the library there is current; return the exit code.

    Several processes may build at once. If no new library is built, an older one is removed: it must not be used.
    """
    target = library_path(folder, machine_name())
    if is_current(target):
        return 0
    compiler, code = own_compiler(), NO_COMPILER
    if compiler is not None:
        try:
            build(folder, machine_name(), compiler, further)
        except subprocess.CalledProcessError as error:
            code = error.returncode
        else:
            return 0
    target.unlink(missing_ok=True)
    return code


def main(arguments: Sequence[str]) -> int:
    """Build what the arguments ask for; return the exit code."""
    match arguments:
        case []:
            return build_own(COMPILED)
        case ["--all", folder, *further]:
            build_all(Path(folder), further)
            return 0
        case [folder, *further] if not folder.startswith("-"):
            return build_own(Path(folder), further)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
