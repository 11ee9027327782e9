"""A disk that can lose its power: an ext4 in a file, and what of it had reached the file at one moment."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.faults.stage import FaultError

_SIZE_BYTES = 64 << 20
_TRIES = 20


class Disk:
    """An image with an ext4, mounted over a loop device as any disk is. Needs root."""

    def __init__(self, image: Path, mounted_at: Path) -> None:
        """Know where the image and its mount are."""
        self.image, self.mounted_at = image, mounted_at

    @staticmethod
    def can_be() -> bool:
        """Tell whether there can be one here."""
        return os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None

    def make(self) -> None:
        """Make the image, with an empty file system."""
        with self.image.open("wb") as file:
            file.truncate(_SIZE_BYTES)
        _run("mkfs.ext4", "-q", self.image)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it, which repairs what a loss of power left, and unmount it afterwards."""
        self.mounted_at.mkdir(parents=True, exist_ok=True)
        _run("mount", "-o", "loop", self.image, self.mounted_at)
        try:
            yield
        finally:
            _run("umount", self.mounted_at)

    def lose_power(self, copy: Path) -> None:
        """Copy to ``copy`` what has reached the device by now, and not a byte of what the system still holds back.

        Nothing is unmounted, frozen or synced. It is copied twice, and again until both are the same, so that it is
        what the device held at one moment.
        """
        again = copy.with_suffix(".again")
        for _ in range(_TRIES):
            shutil.copyfile(self.image, copy)
            shutil.copyfile(self.image, again)
            if filecmp.cmp(copy, again, shallow=False):
                again.unlink()
                return
        msg = f"the device was written to all the time, in {_TRIES} tries"
        raise FaultError(msg)


def _run(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"{' '.join(map(str, words))}: {done.stderr.strip()}"
        raise FaultError(msg)
