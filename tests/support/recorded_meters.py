"""Files such as a meter's owner may have: samples of watts with local times."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from tests.support.uci_files import household

BERLIN = ZoneInfo("Europe/Berlin")


def write_local_samples(
    path: Path, first_s: int, n_minutes: int, every_s: int = 10, gap_at_min: int = 100, gap_min: int = 7
) -> Path:
    """Write a household's watts every ``every_s`` seconds in Berlin's local time, with a gap and a repeated row."""
    watts = np.repeat(household(n_minutes) * 1_000, 60 // every_s).round(1)
    lines = [
        f"{datetime.fromtimestamp(first_s + i * every_s, BERLIN):%Y-%m-%d %H:%M:%S},{power}"
        for i, power in enumerate(watts.tolist())
        if not gap_at_min * 60 <= i * every_s < (gap_at_min + gap_min) * 60
    ]
    lines.insert(5, lines[4])
    path.write_text("\n".join(["time,power_w", *lines, ""]), encoding="utf-8")
    return path
