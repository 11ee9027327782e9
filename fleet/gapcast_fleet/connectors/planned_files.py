"""Files of the input that Spark's checkpoint has planned for the next micro-batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gapcast_fleet.buckets.checkpoints import SPARK_FOLDER
from gapcast_fleet.failures import path_of


def missing_file_lines(checkpoint: Path) -> Iterator[str]:
    """Yield a line for each file that is planned for the next micro-batch, but does not exist.

    Spark skips such a file without a message, and counts its name as read.
    """
    with suppress(OSError, ValueError, LookupError, TypeError):  # another format of Spark: there are no lines
        for path in planned_files(checkpoint):
            if not Path(path).exists():
                yield (
                    f"{path}: was planned for the next micro-batch, but does not exist: its readings are skipped, and "
                    "a file with this name is not read any more (give a copy another name)"
                )


def planned_files(checkpoint: Path) -> Iterator[str]:
    """Yield the paths of the files after the last micro-batch that Spark committed."""
    folder = checkpoint / SPARK_FOLDER
    committed = max(map(_number, (folder / "commits").glob("[0-9]*")), default=None)
    last = -1
    if committed is not None:
        last = json.loads((folder / "offsets" / str(committed)).read_text(encoding="utf-8").splitlines()[-1])[
            "logOffset"
        ]
    for part in sorted((folder / "sources" / "0").glob("[0-9]*"), key=_number):
        if _number(part) > last:
            for line in part.read_text(encoding="utf-8").splitlines()[1:]:  # the first line is the format's version
                entry = json.loads(line)
                if entry["batchId"] > last:
                    yield path_of(entry["path"])


def _number(path: Path) -> int:
    """Return the number of a file of Spark's logs, such as ``12`` or ``19.compact``."""
    return int(path.name.partition(".")[0])
