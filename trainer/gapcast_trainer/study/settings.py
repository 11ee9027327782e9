"""Settings of a run of the study, and the identification of its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast_trainer.data.split import MinuteSplit
from gapcast_trainer.data.windows import WindowTask

#: Horizon of the study's forecasts.
HORIZON_MIN = 5
#: Share of all rows in the study's sample.
SHARE = 0.01
#: Seed of the study's random draws.
SEED = 42


def study_task(context: int = WHOLE_MIN) -> WindowTask:
    """Return the study's task for a model that sees ``context`` minutes of power."""
    return WindowTask(WindowSpec(context), (HORIZON_MIN,))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """The output folder, and the amount of work.

    ``share`` of the rows is sampled (shuffled) or consecutive (contiguous). With ``quick`` every training runs only a
    few epochs on a part of its windows, and every score uses a part of the minutes: a smoke test, whose figures mean
    nothing.
    """

    out: Path
    models: Path
    split: MinuteSplit = field(default_factory=MinuteSplit)
    share: float = SHARE
    quick: bool = False
    progress: bool = False

    def mark(self, sha256: str) -> dict[str, Any]:
        """Return the identification of results with these settings."""
        return {
            "data_sha256": sha256,
            "share": self.share,
            "quick": self.quick,
            "split": self.split.for_card().model_dump(mode="json"),
        }

    def epochs(self, wanted: int) -> int:
        """Return the maximum number of epochs."""
        return min(wanted, 2) if self.quick else wanted

    def every(self, full: int, quick: int) -> int:
        """Return the stride of windows or minutes."""
        return quick if self.quick else full
