"""Stores messages on disk between the broker and their micro-batch: one segment per request of Spark.

A segment known to Spark can be read again, with the same messages in the same order, until its micro-batch is in the
checkpoint; only then are its messages acknowledged to the broker. After a crash the broker redelivers all
unacknowledged messages; messages that are already in a segment become duplicates.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from gapcast.core.errors import StateError
from gapcast.private_files import create_private, make_private_folder, sync_folder

SCHEMA = pa.schema(
    [
        ("device", pa.string()),
        ("payload", pa.binary()),
        ("received_ms", pa.int64()),
        ("redelivered", pa.bool_()),
        ("at", pa.int64()),
        ("file", pa.string()),
        ("block", pa.int64()),
        ("place", pa.int64()),
    ]
)


class Message(NamedTuple):
    """A received message; ``received_ms`` is None if the time of arrival does not indicate its age."""

    device: str
    payload: bytes
    received_ms: int | None
    redelivered: bool


def read_segment(path: str) -> Iterator[pa.RecordBatch]:
    """Yield the messages of a segment; raise :class:`StateError` if it is missing or damaged."""
    try:
        with pa.ipc.open_file(path) as segment:
            batches = [segment.get_batch(i) for i in range(segment.num_record_batches)]
    except (OSError, pa.ArrowInvalid) as error:
        fix = "restore it, or use a new checkpoint: readings at QoS 1 that are not acknowledged are delivered again"
        msg = f"{path}: stored readings cannot be read ({error}): {fix}"
        raise StateError(msg) from error
    yield from batches


class Spool:
    """Numbered segments in a folder."""

    def __init__(self, folder: Path) -> None:
        """Continue the numbering of the segments in ``folder``."""
        self._folder = folder
        make_private_folder(folder)
        numbers = [int(path.stem.removeprefix("segment-")) for path in folder.glob("segment-*.arrow")]
        self.first = min(numbers, default=0)
        #: The number of the next segment.
        self.next = max(numbers, default=-1) + 1

    def start_at(self, number: int) -> None:
        """Number segments from ``number`` on, if earlier ones are already removed."""
        self.next = max(self.next, number)

    def write(self, messages: list[Message]) -> None:
        """Write a segment and sync it to disk, so that it survives a power loss; raise :class:`StateError` if not."""
        columns = list(zip(*messages, strict=True))
        n = len(messages)
        places = [[self.next] * n, [""] * n, [0] * n, list(range(n))]
        batch = pa.record_batch(
            [pa.array(one, kind) for one, kind in zip([*columns, *places], SCHEMA.types, strict=True)], SCHEMA
        )
        part = self._folder / "segment.part"
        try:
            with create_private(part) as file:
                with pa.ipc.new_file(file, SCHEMA) as writer:
                    writer.write_batch(batch)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path(self.next))
            sync_folder(self._folder)  # or the name could be lost, and Spark's checkpoint names the segment
        except OSError as error:
            fix = "free space or repair the disk, and restart: readings at QoS 1 are delivered again"
            msg = f"{self._folder}: readings cannot be stored ({error.strerror or error}): {fix}"
            raise StateError(msg) from error
        self.next += 1

    def path(self, number: int) -> Path:
        """Return the path of a segment."""
        return self._folder / f"segment-{number:09d}.arrow"

    def remove_before(self, number: int) -> None:
        """Remove the segments before ``number``."""
        while self.first < number:
            self.path(self.first).unlink(missing_ok=True)
            self.first += 1
