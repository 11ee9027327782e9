"""The files of the control groups that this process belongs to."""

from __future__ import annotations

from pathlib import Path


def group_files(root: Path, name: str, v1: tuple[str, str] | None = None) -> list[Path]:
    """Return the paths of the files ``name`` of this process's control group (version 2) and of all its parents.

    ``v1`` is a controller of version 1, and the name of its files, to add. The files may not exist. They are under
    ``root``, usually ``/``.
    """
    found = []
    for line in read_lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, file = root / "sys/fs/cgroup", name
        elif v1 is not None and v1[0] in controllers.split(","):
            base, file = root / "sys/fs/cgroup" / v1[0], v1[1]
        else:
            continue
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        # In a container the path may be the host's, of which only the root is visible.
        found += [base.joinpath(*parts[:depth], file) for depth in range(len(parts), -1, -1)]
    return found


def read_lines(file: Path) -> list[str]:
    """Return the lines of a small system file; none if it does not exist."""
    try:
        return [line.strip() for line in file.read_text(encoding="ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return []
