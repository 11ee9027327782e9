"""Attacks by a hostile model, in the folder that a running gateway watches, or passed to ``models install``."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
import time
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.attacks.attack import Attack, AttackReport, Victim
from bench.attacks.target import Installation
from bench.faults.stage import FaultError, wait_until
from bench.subject import MODELS

_SEED = 13
_MODEL = MODELS / "lstm-5-3"
_RELOAD_TIMEOUT_S = 40.0
_INSTALL_TIMEOUT_S = 60.0
#: Memory that ``models install`` may use beyond the command ``models``, which lists models, MB.
INSTALL_MB = 80.0
#: The first bytes of the FlatBuffer hold offsets and lengths; flipping them causes reads far beyond it.
_HEAD_BYTES = 4_096


def flipped(content: bytes, offset: int, bit: int) -> bytes:
    """Return ``content`` with one bit changed.

    >>> flipped(b"ab", 1, 0)
    b'ac'
    """
    changed = bytearray(content)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def write_model(folder: Path, model: bytes, **fields: object) -> None:
    """Write a model and then its card, with a matching hash; ``fields`` override the card's."""
    card: dict[str, Any] = json.loads((_MODEL / "card.json").read_text(encoding="utf-8"))
    card |= {"name": folder.name, "sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)} | fields
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.tflite").write_bytes(model)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


def flip_bits(victim: Victim) -> AttackReport:
    """Put models with one flipped bit and a matching hash into the live folder, one after the other."""
    draw, model = random.Random(_SEED), (_MODEL / "model.tflite").read_bytes()
    n_flips = victim.choose(8, 1)
    head, rest = n_flips // 2, n_flips - n_flips // 2
    offsets = [draw.randrange(_HEAD_BYTES) for _ in range(head)] + [draw.randrange(len(model)) for _ in range(rest)]
    report = AttackReport(f"{n_flips} models with one flipped bit and a matching hash, at bytes {offsets}")
    for offset in offsets:
        changed = flipped(model, offset, draw.randrange(8))
        _offer(victim, report, f"a flip at byte {offset}", changed)
    return report


def widen_tolerance(victim: Victim) -> AttackReport:
    """Put a model with wrong outputs into the live folder, with a card that tolerates them."""
    report = AttackReport("cards with a tolerance of 1e300, of NaN, and with outputs of 1e30")
    golden = json.loads((_MODEL / "card.json").read_text(encoding="utf-8"))["golden"]
    model = (_MODEL / "model.tflite").read_bytes()
    wrong = golden | {"mean": [[1e30] for _ in golden["mean"]]}
    for name, changed in {
        "a tolerance of 1e300": golden | {"tolerance_kw": 1e300},
        "a tolerance of NaN": golden | {"tolerance_kw": float("nan")},
        "outputs of 1e30": wrong | {"tolerance_kw": 1e31},
    }.items():
        if _offer(victim, report, name, model, golden=changed) == "swapped":
            report.problems.append(f"{name} was accepted")
    return report


def _offer(victim: Victim, report: AttackReport, name: str, model: bytes, **fields: object) -> str:
    """Put a model into the live folder, wait for the result, remove the model; return the result."""
    if not victim.target.is_alive:
        return "ended"
    # Written elsewhere on the same disk, then renamed, so that the gateway never sees a partial model.
    staging = victim.target.folder / "hostile"
    target = victim.target.state / "models" / "hostile"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_model(staging, model, **fields)
    before = _reloads(victim)
    staging.rename(target)
    result = _wait_for_result(victim, report, name, before)
    before = _reloads(victim)
    shutil.rmtree(target)
    if result == "swapped":
        _wait_for_result(victim, report, f"the removal after {name}", before)
    return result


def _wait_for_result(victim: Victim, report: AttackReport, name: str, before: dict[str, float]) -> str:
    with suppress(FaultError):
        wait_until(
            lambda: not victim.target.is_alive or any(_reloads(victim)[key] > before[key] for key in before),
            f"a result for {name}",
            _RELOAD_TIMEOUT_S,
        )
    if not victim.target.is_alive:
        report.problems.append(f"{name} ended the gateway")
        return "ended"
    now = _reloads(victim)
    result = next((key for key in before if now[key] > before[key]), "")
    if not result:
        report.problems.append(f"no result for {name} within {_RELOAD_TIMEOUT_S:g} s")
    return result


def _reloads(victim: Victim) -> dict[str, float]:
    metrics = victim.target.metrics()
    return {key: metrics.get(f'gapcast_model_reloads_total{{result="{key}"}}', 0.0) for key in ("swapped", "refused")}


ATTACKS = [
    Attack("model flipped bits", "models", flip_bits),
    Attack("model card tolerance", "models", widen_tolerance),
]


def install_archives(installation: Installation, folder: Path) -> tuple[AttackReport, float]:
    """Pass hostile archives to ``gapcast models install``; return the report and the memory beyond a listing, MB."""
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "models"
    library.mkdir()
    _, listing_mb = _run(installation, ["models", "--path", str(library)], folder)
    report, most_mb = AttackReport("tar and zip bombs, endless headers, 100,000 members, links, truncation"), 0.0
    for name, archive in _archives(folder).items():
        exit_code, peak_mb = _run(installation, ["models", "install", str(archive), "--models", str(library)], folder)
        most_mb = max(most_mb, peak_mb - listing_mb)
        if exit_code not in {2, 3}:
            report.problems.append(f"{name}: exit code {exit_code}")
        if peak_mb - listing_mb > INSTALL_MB:
            report.problems.append(f"{name}: {peak_mb - listing_mb:.0f} MB")
        archive.unlink()
    if "Traceback" in (folder / "log").read_text(encoding="utf-8", errors="replace"):
        report.problems.append("an archive ended in a traceback")
    return report, most_mb


def _run(installation: Installation, arguments: list[str], folder: Path) -> tuple[int, float]:
    """Run a command; return its exit code and the largest resident memory of it and its children, MB."""
    process = installation.start(arguments, folder, {})
    until_s = time.monotonic() + _INSTALL_TIMEOUT_S
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, used.ru_maxrss * 1_024 / 1e6
        if time.monotonic() > until_s:
            process.kill()
        time.sleep(0.01)


def _archives(folder: Path) -> dict[str, Path]:
    model = (_MODEL / "model.tflite").read_bytes()
    card = (_MODEL / "card.json").read_bytes()
    zeros = b"\0" * (1 << 20)
    paths = {
        "a tar of zeros": _packed(folder / "zeros.tar.gz", [_header("model.tflite", 1 << 30), *[zeros] * 1_024]),
        "a pax header of 1 GB": _packed(
            folder / "pax.tar.gz", [_header("x", 1 << 30, tarfile.XHDTYPE), *[zeros] * 1_024]
        ),
        "a long name of 1 GB": _packed(
            folder / "name.tar.gz", [_header("x", 1 << 30, tarfile.GNUTYPE_LONGNAME), *[zeros] * 1_024]
        ),
        "100,000 members": _packed(folder / "members.tar.gz", [_header("m", 0) * 100_000]),
        "a truncated tar": folder / "truncated.tar.gz",
        "links": folder / "links.tar",
        "a zip of zeros": folder / "zeros.zip",
        "zip members that climb": folder / "climb.zip",
    }
    paths["a truncated tar"].write_bytes(paths["100,000 members"].read_bytes()[:200])
    with tarfile.open(paths["links"], "w") as archive:
        for name, target in {"model.tflite": "/etc/passwd", "card.json": "../../card.json"}.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("fifo"), io.BytesIO())
    with zipfile.ZipFile(paths["a zip of zeros"], "w", zipfile.ZIP_DEFLATED) as packed:
        with packed.open("model.tflite", "w", force_zip64=True) as member:
            for _ in range(1_024):
                member.write(zeros)
        packed.writestr("card.json", card)
    with zipfile.ZipFile(paths["zip members that climb"], "w") as packed:
        packed.writestr("../../../../tmp/model.tflite", model)
        packed.writestr("/card.json", b"{}")
    return paths


def _header(name: str, n_bytes: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = n_bytes, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def _packed(path: Path, chunks: Iterable[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for chunk in chunks:
            file.write(chunk)
    return path
