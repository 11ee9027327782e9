"""Attacks on a gateway's files: damage between two starts, and a configuration that reads its own forecasts."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.attacks.attack import AttackReport
from bench.attacks.models import flipped
from bench.attacks.target import AttackTarget, Installation
from bench.attacks.traffic import Traffic
from bench.faults.stage import FaultError, http_get, wait_until
from bench.ports import LOOPBACK, free_port
from bench.process import terminated

_SEED = 97
_EVERY_BYTES = 97
_MIN_BYTES = 100
_MAX_DIFFERENCE_KW = 1e-4
#: Range of the readings of the normal traffic, kW.
_SPAN_KW = 10.0
_EXIT_BAD_CONFIGURATION = 2
Damage = Callable[[Path], None]


def damage_state(target: AttackTarget, traffic: Traffic, n_flips: int) -> AttackReport:
    """Start a gateway on damaged copies of the state of ``target``, which was killed; check what it serves."""
    draw = random.Random(_SEED)
    files = sorted(path for path in (target.state / "stream").rglob("*") if path.is_file() and _size(path) > _MIN_BYTES)
    journals = [path for path in files if path.suffix == ".jsonl"]
    damages: dict[str, Damage] = {}
    for index in range(n_flips):
        path = files[index % len(files)]
        offset, bit = _offset(draw, path, index), draw.randrange(8)
        damages[f"bit {bit} of byte {offset} of {path.name}"] = _one_file(target, path, offset, bit)
    report = AttackReport(
        f"a start after each of: {n_flips} flipped bits, one in every {_EVERY_BYTES}th byte, no final newline"
    )
    for name, damage in damages.items():
        report.problems += [f"{name}: {problem}" for problem in _start_damaged(target, traffic, damage)[0]]
    # Readings damaged beyond repair become missing minutes, which may change forecasts; no reading may be invented.
    problems, _ = _start_damaged(target, traffic, lambda state: _flip_all(state / "stream"), tolerance_kw=_SPAN_KW)
    report.problems += [f"one bit in every {_EVERY_BYTES}th byte: {problem}" for problem in problems]
    # Undamaged, then without the journal's final newline: every device's last reading must be restored.
    problems, whole = _start_damaged(target, traffic, lambda _: None)
    cut_problems, cut = _start_damaged(target, traffic, lambda state: _cut_newlines(state, journals, target.state))
    report.problems += problems + cut_problems
    if n_lost := sum(whole[device] != cut.get(device) for device in whole):
        report.problems.append(f"no final newline: the last reading of {n_lost} devices is lost")
    return report


def _size(path: Path) -> int:
    return path.stat().st_size


def _offset(draw: random.Random, path: Path, index: int) -> int:
    """Return the offset to damage in a file: every other time in the header of an array, if it has one."""
    content = path.read_bytes()
    header = content.find(b"\x93NUMPY", draw.randrange(len(content)))
    if index % 2 == 0 and header >= 0:
        return header + draw.randrange(min(80, len(content) - header))
    return draw.randrange(len(content))


def _one_file(target: AttackTarget, path: Path, offset: int, bit: int) -> Damage:
    relative = path.relative_to(target.state)

    def damage(state: Path) -> None:
        (state / relative).write_bytes(flipped((state / relative).read_bytes(), offset, bit))

    return damage


def _flip_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            content = bytearray(path.read_bytes())
            for offset in range(0, len(content), _EVERY_BYTES):
                content[offset] ^= 1 << offset % 8
            path.write_bytes(content)


def _cut_newlines(state: Path, journals: list[Path], original: Path) -> None:
    for path in journals:
        copy = state / path.relative_to(original)
        copy.write_bytes(copy.read_bytes().removesuffix(b"\n"))


def _start_damaged(
    target: AttackTarget, traffic: Traffic, damage: Damage, tolerance_kw: float = _MAX_DIFFERENCE_KW
) -> tuple[list[str], dict[str, str]]:
    """Start on a damaged copy; return the problems in what it serves, and each device's last minute."""
    folder = target.folder / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(target.state, folder / "state")
    damage(folder / "state")
    damaged = AttackTarget(target.installation, folder, "damaged", target.mqtt_port)
    try:
        damaged.start()
        forecasts = (damaged.json("/predict") or {}).get("forecasts")
        devices = (damaged.json("/devices?limit=1000") or {}).get("devices")
    except FaultError as error:
        return [str(error)], {}
    finally:
        damaged.kill()
    if forecasts is None or devices is None:
        return ["GET /predict or GET /devices does not answer"], {}
    problems, last = [], {}
    for forecast in forecasts:
        published_kw = traffic.forecasts_kw.get((forecast["device"], forecast["observed_at"]))
        if published_kw is not None and not math.isclose(forecast["gap_kw"], published_kw, abs_tol=tolerance_kw):
            problems.append(f"forecast of {forecast['gap_kw']:g} kW where {published_kw:g} kW was published")
    for device in devices:
        reading = device["last_reading"]
        if device["device"] in traffic.devices and reading:
            last[device["device"]] = reading["ts"]
            if traffic.readings_kw.get((device["device"], reading["ts"])) != reading["gap_kw"]:
                problems.append(f"reading of {reading['gap_kw']} kW at {reading['ts']}, which was never published")
    return problems, last


def _is_live_or_gone(process: subprocess.Popen[bytes], port: int) -> bool:
    return process.poll() is not None or bool(http_get(port, "/livez")[0])


def read_own_forecasts(installation: Installation, folder: Path, mqtt_port: int) -> AttackReport:
    """Start with sources that read the gateway's own forecasts, directly and by wildcards; each must be refused."""
    report = AttackReport("[[sources]] on gap/{device}/forecast, and on gap/{device}/{channel}, which includes it")
    for topic in ("gap/{device}/forecast", "gap/{device}/{channel}"):
        echo = folder / "echo"
        shutil.rmtree(echo, ignore_errors=True)
        echo.mkdir(parents=True)
        source = f'[[sources]]\ntopic = "{topic}"\nformat = "json"\nvalue = "gap_kw"\nunit = "kW"\n'
        (echo / "gapcast.toml").write_text(source, encoding="utf-8")
        port = free_port()
        settings = {"mqtt__host": LOOPBACK, "mqtt__port": mqtt_port, "http__host": LOOPBACK, "http__port": port}
        process = installation.start(["run"], echo, settings | {"state__path": echo / "state"})
        with terminated(process):
            wait_until(partial(_is_live_or_gone, process, port), "the gateway to start or to refuse")
            exit_code = process.poll()
        output = (echo / "log").read_text(encoding="utf-8").strip()
        if exit_code is None:
            report.problems.append(f"{topic}: it started")
        elif exit_code != _EXIT_BAD_CONFIGURATION or "Traceback" in output or "forecast" not in output:
            report.problems.append(f"{topic}: exit code {exit_code}, {output[-200:]!r}")
    return report
