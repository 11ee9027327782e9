"""The journals of a state folder, read as a start would read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gapcast.storage.journals import journal, journal_reader
from gapcast.storage.journals.record_lines import salt_of


def journal_entries(stream: Path) -> Iterator[journal.PersistedBatch]:
    """The batches in the journals below ``stream``, oldest first."""
    for path in sorted(stream.glob("readings-*.jsonl")):
        salt = salt_of(int(path.stem.removeprefix("readings-")))
        for entry in journal_reader.read(path, journal_reader.Damage(), salt):
            if isinstance(entry, journal.PersistedBatch):
                yield entry
