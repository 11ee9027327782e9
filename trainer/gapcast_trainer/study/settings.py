"""What a run of the study is asked to do, and what its results are marked with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapcast.core.examples import WHOLE_MIN
from gapcast.core.window import WindowSpec
from gapcast_trainer.split import MinuteSplit
from gapcast_trainer.windows import WindowTask

#: Horizon of the study's forecasts.
HORIZON_MIN = 5
#: The share of all rows that the study drew.
SHARE = 0.01
#: The seed of its two draws.
SEED = 42


def study_task(context: int = WHOLE_MIN) -> WindowTask:
    """Return the study's task for a model that sees ``context`` minutes of power."""
    return WindowTask(WindowSpec(context), (HORIZON_MIN,))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """Where results go and how much is done for them.

    ``share`` of the rows is drawn (shuffled) or taken (contiguous). With ``quick`` every training sees
    a few passes over a part of its windows and every score a part of the minutes: it shows that all
    works, and its figures mean nothing.
    """

    out: Path
    models: Path
    split: MinuteSplit = field(default_factory=MinuteSplit)
    share: float = SHARE
    quick: bool = False
    progress: bool = False

    def mark(self, sha256: str) -> dict[str, Any]:
        """Return what a result must have been made from to stand for these settings."""
        return {
            "data_sha256": sha256,
            "share": self.share,
            "quick": self.quick,
            "split": self.split.for_card().model_dump(mode="json"),
        }

    def epochs(self, wanted: int) -> int:
        """Return how many passes a training makes at most."""
        return min(wanted, 2) if self.quick else wanted

    def every(self, full: int, quick: int) -> int:
        """Return the stride at which windows or minutes are taken."""
        return quick if self.quick else full
