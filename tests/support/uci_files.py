"""Files of a synthetic household in UCI's own format."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.recordings.formats import uci

HEADER = ";".join(uci.COLUMNS)
START = datetime(2020, 1, 1, tzinfo=UTC)
N_MINUTES = 9_000


def household(n: int = N_MINUTES, seed: int = 7) -> F64:
    """Power of ``n`` minutes, kW to three decimals: a base load, and appliances that come and go."""
    random = np.random.default_rng(seed)
    kw = 0.3 + 0.02 * random.standard_normal(n)
    for _ in range(n // 45):
        start, length = random.integers(n), random.integers(2, 40)
        kw[start : start + length] += random.choice([0.4, 1.2, 2.5])
    return np.maximum(kw, 0.05).round(3)


def row(time: datetime, kw: float | str) -> str:
    """One row as UCI writes it; NaN is a missing one."""
    stamp = f"{time.day}/{time.month}/{time.year};{time:%H:%M:%S}"
    if isinstance(kw, float) and np.isnan(kw):
        return f"{stamp};?;?;?;?;?;?;"
    shown = kw if isinstance(kw, str) else f"{kw:.3f}"
    return f"{stamp};{shown};0.100;240.000;4.600;0.000;1.000;17.000"


def rows(kw: Iterable[float | str], start: datetime = START) -> list[str]:
    """Rows of one minute after the other."""
    return [row(start + timedelta(minutes=k), value) for k, value in enumerate(kw)]


def write_text(path: Path, lines: Iterable[str], *, header: str = HEADER, end: str = "\r\n") -> Path:
    """Write a text as it is in the archive."""
    path.write_bytes("".join(line + end for line in [header, *lines]).encode())
    return path


def write_zip(path: Path, lines: Iterable[str], member: str = uci.MEMBER) -> Path:
    """Write the archive's zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, "".join(line + "\r\n" for line in [HEADER, *lines]))
    return path
