"""Messages on the disk between the broker and the micro-batch that takes them: a segment each time Spark asks.

A segment that Spark knows of can be read again, with the same messages in the same order, until its micro-batch is in
the checkpoint; only then are they acknowledged to the broker. What was in no segment yet when the process died comes
again from the broker, and what was in one comes a second time, as a duplicate.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from gapcast.private_files import create_private, make_private_folder

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
    """A message as it came; ``received_ms`` is None where its arrival says nothing of its age."""

    device: str
    payload: bytes
    received_ms: int | None
    redelivered: bool


class Spool:
    """Segments in a folder, numbered on from those that are there."""

    def __init__(self, folder: Path) -> None:
        """Go on in ``folder``."""
        self._folder = folder
        make_private_folder(folder)
        numbers = [int(path.stem.removeprefix("segment-")) for path in folder.glob("segment-*.arrow")]
        self.first = min(numbers, default=0)
        #: The number of the next segment.
        self.next = max(numbers, default=-1) + 1

    def go_on_from(self, number: int) -> None:
        """Number segments from ``number`` on, where those before it are done with and gone."""
        self.next = max(self.next, number)

    def write(self, messages: list[Message]) -> None:
        """Write a segment; after this, a machine that loses its power has it still."""
        columns = list(zip(*messages, strict=True))
        n = len(messages)
        places = [[self.next] * n, [""] * n, [0] * n, list(range(n))]
        batch = pa.record_batch(
            [pa.array(one, kind) for one, kind in zip([*columns, *places], SCHEMA.types, strict=True)], SCHEMA
        )
        part = self._folder / "segment.part"
        with create_private(part) as file:
            with pa.ipc.new_file(file, SCHEMA) as writer:
                writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path(self.next))
        self.next += 1

    def path(self, number: int) -> Path:
        """Return where a segment is."""
        return self._folder / f"segment-{number:09d}.arrow"

    def remove_before(self, number: int) -> None:
        """Remove the segments that are done with."""
        while self.first < number:
            self.path(self.first).unlink(missing_ok=True)
            self.first += 1
