"""State files: the checkpoint and the journal, unchanged, and with correct checksums over changed content."""

from __future__ import annotations

import hashlib
import io
import math
import random
import shutil
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, StateError
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.state_changes import ForgottenDevice
from gapcast.service.ports.broker_link import NoMeters
from gapcast.storage.checkpoints import checkpoint
from gapcast.storage.generations import checkpoint_path, journal_path
from gapcast.storage.journals import journal
from gapcast.storage.recovery import recover
from gapcast.storage.store import Store
from tests.fuzz.mutations import mutate_bytes, mutate_document
from tests.fuzz.target import PART, Target, scratch_folder
from tests.support.houses import FIRST, EngineRun, ensemble_engine, house_kw, stream

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)
_N_MINUTES = 12
#: Text before the digest at the end of a checkpoint that has one.
_DIGEST_LABEL = b"\ngapcast-sha256 "
#: The first line of a journal whose lines have a CRC-32; every version reads them.
_HEADER = b'{"gapcast":"readings","version":1}'


def _engine() -> Engine:
    return ensemble_engine()


def _check_recovered(write: Callable[[Path], None]) -> None:
    """Recover an engine from the files that ``write`` creates in a folder: it then forecasts, with finite values."""
    folder = scratch_folder() / "state"
    folder.mkdir()
    try:
        write(folder)
        engine = _engine()
        try:
            recover(folder, engine, NoMeters())
        except StateError:  # of a newer version
            return
        devices = list(engine.buffers)[:3]
        for device in (*devices, "new"):
            for minute in (FIRST + _N_MINUTES, FIRST + _N_MINUTES + 1):
                accepted = engine.accept([Reading(device, minute, 0.5)])
                try:
                    forecasts = engine.forecast(accepted, 7)
                except ModelError:  # a model without a finite number is refused, never published
                    continue
                finally:
                    engine.learn()
                assert all(math.isfinite(forecast.gap_kw) for forecast in forecasts)
    finally:
        shutil.rmtree(folder)


@cache
def _lived() -> tuple[Engine, bytes]:
    """Return an engine that has processed two devices, and the journal that a store wrote of their readings."""
    run, folder = EngineRun(_engine()), scratch_folder() / "lived"
    store = Store(folder)
    store.restore(_engine())
    for device, seed in (("home", 1), ("shed", 2)):
        readings = stream(house_kw(_N_MINUTES, seed), device=device)
        run.process(readings)
        store.append_batch(readings[:2], 1_288_571_341_000)
    samples = [Sample("a/b", 1_288_571_342_000, {"power": 12.5, "x": None}, {"voltage_v": 230.0})]
    store.append_batch([Reading("home", FIRST + 9, 1.0, measured={"voltage_v": 239.1})], 1_288_571_342_000, samples)
    store.append_change(ForgottenDevice("shed"))
    store.close(None)
    (path,) = folder.glob("*.jsonl")
    content = path.read_bytes()
    shutil.rmtree(folder)
    return run.engine, content


# --- the checkpoint -----------------------------------------------------------------------------


def check_checkpoint(data: bytes) -> None:
    """Start with ``data`` as the checkpoint: it is used if it is intact, else quarantined."""
    _check_recovered(lambda folder: _written_generation(folder, data))


def _written_generation(folder: Path, content: bytes) -> None:
    checkpoint_path(folder, 1).write_bytes(content)
    journal_path(folder, 1).write_bytes(journal.encode_header())


def checkpoint_seeds() -> list[bytes]:
    """Return checkpoints of a learning engine and of an empty one."""
    return [checkpoint.encode(capture_snapshot(_lived()[0])), checkpoint.encode(capture_snapshot(_engine()))]


def repack_checkpoint(data: bytes, seed: int) -> bytes:
    """Return a checkpoint with one member changed, and with correct checksums."""
    draw = random.Random(seed)
    body, label, _ = data.rpartition(_DIGEST_LABEL) if _DIGEST_LABEL in data else (data, b"", b"")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except _DAMAGE:
        return mutate_bytes(data, draw)
    if not members:
        return data
    place = 0 if draw.random() < 0.3 else draw.randrange(len(members))
    name, content = members[place]
    if name == "about.npy" and draw.random() < 0.8:
        document = mutate_document(content[128:], draw, ("learnt/x", "scores/x", "home"))
        members[place] = (name, _as_npy(document))
    elif draw.random() < 0.5:
        members[place] = (name, mutate_bytes(content[:128], draw, ("'shape': (9,)", "<f8", "|O", "L")) + content[128:])
    elif draw.random() < 0.8:
        members[place] = (name, content[:128] + mutate_bytes(content[128:], draw))
    else:
        del members[place]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in members:
            archive.writestr(zipfile.ZipInfo(member), content)
    changed = out.getvalue()
    return changed + label + hashlib.sha256(changed).hexdigest().encode() + b"\n" if label else changed


def _as_npy(content: bytes) -> bytes:
    """Return bytes in the .npy format of numpy."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(content)},), }}"
    return b"\x93NUMPY\x01\x00\x76\x00" + head.ljust(117).encode() + b"\n" + content


# --- the journal --------------------------------------------------------------------------------


def check_journal(data: bytes) -> None:
    """Start with ``data`` as the journal, byte for byte: intact lines count, and the others are reported."""
    _check_recovered(lambda folder: _written_journal(folder, data))


def check_journal_lines(data: bytes) -> None:
    """Start with a journal whose lines hold the parts of ``data``, each with its correct checksum."""
    lines = b"".join(sealed(part.replace(b"\n", b" ")) for part in data.split(PART)[:32])
    _check_recovered(lambda folder: _written_journal(folder, sealed(_HEADER) + lines))


def _written_journal(folder: Path, content: bytes) -> None:
    journal_path(folder, 1).write_bytes(content)


def sealed(text: bytes) -> bytes:
    """Return the line of a journal that holds ``text``, with its checksum."""
    return b"%08x %b\n" % (zlib.crc32(text), text)


def journal_seeds() -> list[bytes]:
    """Return a journal with readings, samples and a forgotten device, and an empty one."""
    return [_lived()[1], journal.encode_header()]


def journal_lines_seeds() -> list[bytes]:
    """Return the documents of the lines of a journal."""
    documents = [line[line.find(b"[1") :] for line in _lived()[1].splitlines()[1:] if b"[1" in line]
    documents.append(b'{"forget":"shed"}')
    return [PART.join(documents), *documents]


_WORDS = ("forget", "home", "shed", "gapcast", "readings", "version", "voltage_v", "power")
TARGETS = (
    Target("checkpoint", check_checkpoint, checkpoint_seeds, _WORDS, 65_536, repack_checkpoint),
    Target("journal", check_journal, journal_seeds, _WORDS),
    Target("journal-lines", check_journal_lines, journal_lines_seeds, _WORDS),
)
