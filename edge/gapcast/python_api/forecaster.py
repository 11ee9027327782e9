"""gapcast as a library: one house, forecast reading by reading, without MQTT or HTTP."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gapcast.app.engines.engine import engine_of
from gapcast.config.sections.forecast import OutlookSettings
from gapcast.config.settings import Settings, SiteSettings
from gapcast.core.errors import StateError
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.learning.scores.summary import Summary
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.predictors.models_folder.library import Library
from gapcast.python_api.arguments import checked_minute, checked_power_kw, checked_time_zone, folder_of_models
from gapcast.python_api.model_cache import cached_models

_HOUSE = "house"
_REJECTED = {
    ReadingStatus.DUPLICATE: "there is a reading of this minute already; add the mean of each minute once",
    ReadingStatus.LATE: "it is older than the last reading; add readings in order of time",
    ReadingStatus.INCOMPLETE: "the model takes measured features beside power",
}


class Forecaster:
    """Forecasts one house and learns from its outcomes, with the rules and the ensemble of the service.

    ``time_zone`` (IANA) is the zone of the house's daily habits, ``models`` a folder of models instead of the bundled
    ones. Not thread-safe. Raises :class:`ValueError` for a time zone or a folder that does not exist, and
    :class:`~gapcast.core.errors.ModelError` if the models cannot be loaded.

    >>> from datetime import UTC, datetime, timedelta
    >>> house, start = Forecaster(), datetime(2026, 1, 1, tzinfo=UTC)
    >>> house.add(0.4, start) is None  # one reading is too few
    True
    >>> forecast = house.add(0.4, start + timedelta(minutes=1))
    >>> forecast.horizon_min, forecast.lower_kw <= forecast.median_kw <= forecast.upper_kw
    (5, True)
    """

    def __init__(self, *, time_zone: str = "UTC", models: Path | str | None = None) -> None:
        library = Library((folder_of_models(models),))
        site = SiteSettings(timezone=checked_time_zone(time_zone))
        settings = Settings(site=site, outlook=OutlookSettings(enabled=False))
        loaded = cached_models(library, library.stamp(), has_ensemble=True)
        self._limits = settings.limits
        self._engine = engine_of(settings, loaded)

    def add(self, power_kw: float, at: datetime) -> Forecast | None:
        """Add the mean power of a minute; return the forecast from it, and learn from its outcome.

        ``at`` is any instant within the minute, with a time zone. Returns None after the first reading, and after a
        reading more than a day ahead, which the next reading confirms. Raises :class:`ValueError` for a reading that is
        not newer than the last one, is not a number or out of range, or whose time has no zone or is outside 2000 to
        2099.
        """
        minute = checked_minute(at)
        try:
            number_kw = checked_power_kw(power_kw, self._limits.min_kw, self._limits.max_kw)
        except ValueError as error:
            msg = f"{at.isoformat()}: {error}"
            raise ValueError(msg) from error
        accepted = self._engine.accept([Reading(_HOUSE, minute, number_kw)])
        accepted.raise_failure()
        if (problem := _REJECTED.get(accepted.statuses[0])) is not None:
            msg = f"{at.isoformat()}: {problem}"
            raise ValueError(msg)
        forecasts = self._engine.forecast(accepted, time.time_ns() // 1_000_000)
        self._engine.learn()
        return forecasts[0] if len(forecasts) else None

    def save(self, path: Path | str) -> None:
        """Write readings, learned state and scores to the file ``path``: completely, or not at all.

        Only its owner may read the file. Raises :class:`OSError` if writing fails; the file is then the earlier one,
        or, if only the folder could not be synced to the disk, the new one.
        """
        from gapcast.storage.checkpoints.checkpoint import replace_file  # noqa: PLC0415 - many programs save nothing

        path = Path(path).absolute()
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path.parent))
        replace_file(path, path.with_name(f"{path.name}.part"), capture_snapshot(self._engine, copies=False))

    @classmethod
    def load(cls, path: Path | str, *, models: Path | str | None = None) -> Forecaster:
        """Return the forecaster that was saved at ``path``, with its time zone; its next forecasts are the same.

        With other ``models`` than before, the weights of new models start again. Raises
        :class:`~gapcast.core.errors.StateError` if the file is damaged, of a newer version or of a gateway, or if the
        models have another horizon; :class:`OSError` if it cannot be read.
        """
        from gapcast.storage.checkpoints.checkpoint import read  # noqa: PLC0415 - see save

        try:
            snapshot = read(Path(path))
            if not {*snapshot.devices} <= {_HOUSE} or not snapshot.time_zone:
                msg = "it is not a file of Forecaster.save"
                raise StateError(msg)
            house = cls(time_zone=snapshot.time_zone, models=models)
            left_out = restore_snapshot(house._engine, snapshot)
        except StateError as error:
            msg = f"{path}: {error}"
            raise StateError(msg) from error
        if problem := left_out.learning or ("its values are out of range" if left_out.devices else ""):
            msg = f"{path}: {problem}"
            raise StateError(msg)
        return house

    @property
    def scores(self) -> Mapping[str, Summary]:
        """Scores of the forecasts so far by period (``last_day``, ``last_week``, ``all_time``), against persistence."""
        scores = self._engine.scores_of(_HOUSE) if _HOUSE in self._engine.buffers else {}
        return {str(period): summary for period, summary in scores.items()}
