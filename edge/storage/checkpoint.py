"""The checkpoint: the engine's state at one moment, a file of numpy's ``.npz`` form, each part with its CRC.

``about`` is JSON in words; the rest are the columns of :class:`edge.core.snapshot.Snapshot`.
"""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic_core import from_json

from edge.core.errors import StateError
from edge.core.reading import Reading
from edge.core.samples import MeterState
from edge.core.snapshot import Snapshot, check_shapes
from edge.core.window import Padding, WindowSpec
from edge.storage.journal import VERSION, check_version

_COLUMNS: dict[str, type[np.generic]] = {
    "values": np.float32,
    "observed": np.uint8,
    "last_minute": np.int64,
    "n_seen": np.int32,
    "latest_kw": np.float32,
    "latest_when": np.int64,
    "latest_n_observed": np.int32,
}
#: What earlier versions did not have, and ``more`` names: weights, and what was learnt in columns named after these.
_SHARES = "latest_shares"
_LEARNT = ("learnt", "scores", "drift")

#: What a damaged archive may raise.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError, NotImplementedError)


class About(BaseModel):
    """What a checkpoint says in words."""

    version: int
    context: int
    padding: Padding
    channels: tuple[str, ...]
    model: str
    devices: list[str]
    held: list[Reading]
    late_runs: list[list[Reading]]
    meters: list[MeterState] = []
    more: list[str] = []


def encode(snapshot: Snapshot) -> bytes:
    """Return the file's bytes."""
    more: dict[str, Any] = {_SHARES: snapshot.latest_shares}
    for part in _LEARNT:
        more |= {f"{part}/{name}": column for name, column in getattr(snapshot, part).items()}
    about = About(
        version=VERSION,
        context=snapshot.spec.context,
        padding=snapshot.spec.padding,
        channels=snapshot.channels,
        model=snapshot.model,
        devices=snapshot.devices,
        held=snapshot.held,
        late_runs=snapshot.late_runs,
        meters=snapshot.meters,
        more=list(more),
    )
    words = np.frombuffer(about.model_dump_json().encode(), dtype=np.uint8)
    out = BytesIO()
    np.savez(out, about=words, **{name: getattr(snapshot, name) for name in _COLUMNS}, **more)
    return out.getvalue()


def read(path: Path) -> Snapshot | None:
    """Return the snapshot at ``path``, or None where it is damaged.

    Raises :class:`StateError` where it is of a newer version, and OSError where it cannot be read at all.
    """
    content = path.read_bytes()
    try:
        return decode(path, content)
    except DAMAGE:
        return None


def decode(path: Path, content: bytes) -> Snapshot | None:
    """Return the snapshot that is ``content``, which came from ``path``; None where its columns do not fit each other.

    Raises :class:`StateError` where it is of a newer version, and one of :data:`DAMAGE` where it is damaged.
    """
    with np.load(BytesIO(content), allow_pickle=False) as archive:
        words = archive["about"].tobytes()
        check_version(path, from_json(words)["version"])
        about = About.model_validate_json(words)
        columns: dict[str, Any] = {name: archive[name].astype(kind, casting="equiv") for name, kind in _COLUMNS.items()}
        more = {name: archive[name] for name in about.more}
    for part in _LEARNT:
        columns[part] = {n.removeprefix(f"{part}/"): column for n, column in more.items() if n.startswith(f"{part}/")}
    snapshot = Snapshot(
        spec=WindowSpec(about.context, about.padding),
        channels=about.channels,
        model=about.model,
        devices=about.devices,
        held=about.held,
        late_runs=about.late_runs,
        latest_shares=more.get(_SHARES, np.zeros((len(about.devices), 0), dtype=np.float32)),
        meters=about.meters,
        **columns,
    )
    try:
        check_shapes(snapshot)
    except StateError:
        return None
    return snapshot
