"""A disk with simulated power loss: an ext4 image, and copies of its content at one moment."""

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
    """An ext4 image, mounted through a loop device. Needs root."""

    def __init__(self, image: Path, mounted_at: Path) -> None:
        """Use ``image``, mounted at ``mounted_at``."""
        self.image, self.mounted_at = image, mounted_at

    @staticmethod
    def is_supported() -> bool:
        """Return whether this machine supports the image."""
        return os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None

    def make(self) -> None:
        """Create the image, with an empty file system."""
        with self.image.open("wb") as file:
            file.truncate(_SIZE_BYTES)
        _run("mkfs.ext4", "-q", self.image)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount the image, which replays the file system's journal, and unmount it afterwards."""
        self.mounted_at.mkdir(parents=True, exist_ok=True)
        _run("mount", "-o", "loop", self.image, self.mounted_at)
        try:
            yield
        finally:
            _run("umount", self.mounted_at)

    def lose_power(self, copy: Path) -> None:
        """Copy the data that has reached the device to ``copy``, without unwritten data of the page cache.

        Nothing is unmounted, frozen or synced. The image is copied until two successive copies are equal, so that they
        are its content at one moment.
        """
        again = copy.with_suffix(".again")
        for _ in range(_TRIES):
            shutil.copyfile(self.image, copy)
            shutil.copyfile(self.image, again)
            if filecmp.cmp(copy, again, shallow=False):
                again.unlink()
                return
        msg = f"the device was written to during each of {_TRIES} attempts"
        raise FaultError(msg)


def _run(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"{' '.join(map(str, words))}: {done.stderr.strip()}"
        raise FaultError(msg)
