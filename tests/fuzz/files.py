"""Files: a model's card and archive, a CSV of readings."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import math
import random
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gapcast.core.errors import ModelError, SourceError
from gapcast.core.models.card import ModelCard
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import LATEST_MS, minute_of
from gapcast.predictors.installation.archive import read_archive
from gapcast.predictors.models_folder.files import CARD_FILE, MODEL_FILE
from gapcast.predictors.models_folder.store import default_model, read_card
from gapcast.recordings.formats import uci as uci_file
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from tests.fuzz.mutations import mutate_bytes, mutate_document
from tests.fuzz.target import FIELD, Target, scratch_folder, written
from tests.support.models import every_feature_model, shipped_models, shipped_names

#: Maximum number of files of a model.
_MOST_BYTES = 64 << 20
_SMALL_MODEL = b"TFL3 not a model, but its size is right"
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError,
           ValueError, KeyError, IndexError, OverflowError, lzma.LZMAError, MemoryError)  # fmt: skip


def check_card(data: bytes) -> None:
    """Read ``data`` as a model's card and as the registry: the card is consistent, or a ModelError is raised."""
    with written(data, "registry.json"), suppress(ModelError):
        assert isinstance(default_model(scratch_folder()), str)
    with written(data, CARD_FILE) as path:
        try:
            card = read_card(path)
        except ModelError:
            return
    assert math.isfinite(card.golden.tolerance_kw)
    assert card.spec.context == len(card.golden.window[0])
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def card_seeds() -> list[bytes]:
    """Return the shipped cards, with their golden examples cut to one, and the registry."""
    folders = [*(shipped_models() / name for name in shipped_names()), every_feature_model()]
    seeds = []
    for folder in folders:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        golden = card["golden"]
        for name in ("window", "mean", "quantiles"):
            if golden.get(name):
                golden[name] = golden[name][:1]
        golden["window"] = [window[-2:] for window in golden["window"]]
        seeds.append(json.dumps(card | {"context": 2, "experiment": None, "hyper_parameters": {}}).encode())
    return [*seeds, (shipped_models() / "registry.json").read_bytes()]


# --- archives -----------------------------------------------------------------------------------


def check_archive(data: bytes) -> None:
    """Unpack ``data``, a .zip or a .tar by its content: two files within their limits, or a ModelError."""
    with written(data, "model.zip") as path, suppress(ModelError, OSError):
        for content in _unpack(path):
            assert len(content) <= _MOST_BYTES


def _unpack(path: Path) -> Sequence[bytes]:
    """Unpack an archive in this process: the service uses a child process, into which a fuzzer could not follow."""
    with path.open("rb") as file:
        return read_archive(file, path.name) or ()


def archive_seeds() -> list[bytes]:
    """Return a model in each kind of archive."""
    members = [(f"lstm/{MODEL_FILE}", _SMALL_MODEL), (f"lstm/{CARD_FILE}", b'{"name": "lstm"}')]
    zips = [_zipped(members, kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    return [*zips, *(_tarred(members, mode) for mode in ("w", "w:gz", "w:bz2", "w:xz"))]


def repack_archive(data: bytes, seed: int) -> bytes:
    """Return an archive with a member changed, and with correct checksums."""
    draw = random.Random(seed)
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [(info.filename, archive.open(info).read(65_536)) for info in archive.infolist()[:8]]
        else:
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                infos = [info for info, _ in zip(tar, range(8), strict=False) if info.isreg()]
                members = [(info.name, _content(tar, info)) for info in infos]
    except _DAMAGE:
        return mutate_bytes(data, draw)
    if not members:
        return mutate_bytes(data, draw)
    place = draw.randrange(len(members))
    name, content = members[place]
    action = draw.randrange(5)
    if action == 0:
        name = draw.choice(
            (MODEL_FILE, CARD_FILE, f"../{CARD_FILE}", f"/{MODEL_FILE}", f"a/b/{CARD_FILE}", ".", "é" * 90)
        )
    elif action == 1:
        members.append((name, content))
    elif action == 2:
        content = b"\0" * draw.choice((0, 1_000, 60_000))
    else:
        content = mutate_document(content, draw)
    members[place] = (name or "x", content)
    made = _zipped(
        members, draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    )
    if draw.random() < 0.5:
        try:
            made = _tarred(members, draw.choice(("w", "w:gz", "w:bz2", "w:xz")), draw.choice((0, 1, 2)))
        except _DAMAGE:
            return data
    return made


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return b"" if file is None else file.read(65_536)


def _zipped(members: list[tuple[str, bytes]], kind: int) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", kind) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice, as is meant
        for name, content in members:
            # tarfile returns bytes that are no UTF-8 as surrogates, which no name in a zip can hold.
            encodable = name.replace("\0", "_").encode("utf-8", "replace").decode("utf-8")
            archive.writestr(zipfile.ZipInfo(encodable), content, kind)
    return out.getvalue()


def _tarred(members: list[tuple[str, bytes]], mode: Any, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


# --- readings -----------------------------------------------------------------------------------


def check_readings_file(data: bytes) -> None:
    """Read ``data`` as a file of readings, its suffix and columns in the first field: minutes, or a SourceError."""
    head, _, content = data.partition(FIELD)
    suffix = {b"z": ".zip", b"g": ".gz"}.get(head[:1], ".csv")
    zone = ZoneInfo("Europe/Berlin") if head[2:3] == b"l" else UTC
    form = FileFormat(Layout("time", "power", unit="W", zone=zone)) if head[1:2] == b"c" else FileFormat(zone=zone)
    if head[1:2] == b"e":
        form = FileFormat(unit="W", zone=zone)
    limits = Limits()
    with written(content, f"readings{suffix}") as path, suppress(SourceError):
        for minute, gap_kw, _ in read_recording(path, form, limits).minutes():
            assert limits.min_kw <= gap_kw <= limits.max_kw
            assert minute < minute_of(LATEST_MS)


def readings_file_seeds() -> list[bytes]:
    """Return files in UCI's own format, with named columns, and exports of databases, plain and packed."""
    uci_rows = b"16/12/2006;17:24:00;4.216;0;240;1;0;1;17\n16/12/2006;17:25:00;?;?;?;?;?;?;\n"
    uci = ";".join(uci_file.COLUMNS).encode() + b"\n" + uci_rows
    named = b"time,power\n2010-11-01T00:00:00,250\n2010-11-01T00:01:00,-10.5\n2010-11-01T00:02:00,\n"
    epochs = b"time;power\n1288569720;\n1288569780000;1e3\n1288569781000;1e3\n"
    quoted = b'\xef\xbb\xbf"time"\t"power"\n"2010-11-01 00:00"\t"250"\n'
    packed = _zipped([("a.csv", named)], zipfile.ZIP_DEFLATED)
    seeds = [(b"-u", uci), (b"-c", named), (b"-cl", named), (b"-c", epochs), (b"-c", quoted)]
    seeds += [(b"-e", content) for content in _exports()]
    seeds += [(b"gu", gzip.compress(uci, mtime=0)), (b"zc", packed)]
    return [head + FIELD + content for head, content in seeds]


def _exports() -> list[bytes]:
    """Return an export of each kind."""
    return [
        b"entity_id,state,last_changed\nsensor.p,250,2026-04-01T12:00:00.123Z\nsensor.p,unknown,2026-04-01T12:01:00.5Z\n",
        b"statistic_id\tunit\tstart\tmean\nsensor.p\tW\t01.04.2026 12:00\t250\nsensor.p\tW\t01.04.2026 12:05\t260\n",
        b"#datatype,string,long,dateTime:RFC3339,double,string\n,result,table,_time,_value,_measurement\n"
        b",,0,2026-04-01T12:00:00Z,250,W\n\n,result,table,_time,_value,_measurement\n,,0,2026-04-01T12:01:00Z,260,W\n",
        b'name,tags,time,value\nW,"host=a,entity_id=p",1775044800000000000,250\nW,"host=a",1775044860000000000,260\n',
    ]


def repack_readings_file(data: bytes, seed: int) -> bytes:
    """Return a packed file of readings with its content changed, and with correct checksums."""
    draw = random.Random(seed)
    head, _, content = data.partition(FIELD)
    try:
        if head[:1] == b"g":
            return head + FIELD + gzip.compress(mutate_bytes(zlib.decompress(content, 31), draw), mtime=0)
        if head[:1] == b"z":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = [(info.filename, mutate_bytes(archive.read(info), draw)) for info in archive.infolist()[:2]]
            return head + FIELD + _zipped(members, zipfile.ZIP_DEFLATED)
    except _DAMAGE:
        pass
    return mutate_bytes(data, draw)


TARGETS = (
    Target("card", check_card, card_seeds, (*ModelCard.model_fields, "gap_kw", "tolerance_kw", "quantiles"), 8_192),
    Target("archive", check_archive, archive_seeds, (MODEL_FILE, CARD_FILE, "ustar", "PK"), 16_384, repack_archive),
    Target(
        "readings-file", check_readings_file, readings_file_seeds,
        ("time", "power", "Date;Time;Global_active_power", "_time", "entity_id", "#datatype", "nan", "1e999",
         "2010-11-01T00:00", '"', "\n"),
        repack=repack_readings_file,
    ),
)  # fmt: skip
