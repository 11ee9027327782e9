"""Lines about devices: the running billing window against its limit, with the headroom, and the outlook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gapcast.core.billing.options import LimitSource
from gapcast.core.windows.window import MAX_FILL_MIN
from gapcast.status.rest_client import instant_of
from gapcast.text.terminal_text import printable

#: Lead times whose means are shown, minutes, if the model has them.
_MEANS_MIN = (15, 30, 60)
#: After a longer step between readings the window begins again, and the second reading has the next forecast.
_LONGEST_STEP = timedelta(minutes=MAX_FILL_MIN + 1)


def current_forecast(device: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the forecast in a device's document; None if there is none, or only one from before a gap."""
    forecast: Mapping[str, Any] | None = device["forecast"]
    if forecast is None:
        return None
    step = instant_of(device["last_reading"]["ts"]) - instant_of(forecast["observed_at"])
    return None if step > _LONGEST_STEP else forecast


@dataclass(frozen=True, slots=True)
class DemandLine:
    """The running window of ``device``: powers in kW, the headroom in W; None without a limit or a fuse."""

    device: str
    start: datetime
    end: datetime
    expected_kw: float
    limit_kw: float | None
    p_exceed: float
    #: The limit of each minute, kW, and the probability that a minute exceeds it; None without a fuse.
    fuse: tuple[float, float] | None
    headroom_w: int | None
    valid_until: datetime
    #: Why the limit can never be kept; empty if it can.
    warning: str = ""
    #: Whether the limit was set while running, in place of the configured one.
    is_set: bool = False
    #: How many minutes of the window are unmeasured, and how many have elapsed; None if all were measured.
    unmeasured_min: tuple[int, int] | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any], warning: str = "") -> DemandLine:
        """Return the line of a demand document; raise KeyError, TypeError or ValueError if it is invalid."""
        limit_kw, fuse_kw = document["limit_kw"], document["fuse_kw"]
        is_bounded = limit_kw is not None or fuse_kw is not None
        unmeasured_min = int(document["unmeasured_min"])
        return cls(
            device=printable(str(document["device"])),
            start=instant_of(document["window_start"]),
            end=instant_of(document["window_end"]),
            expected_kw=float(document["expected_kw"]),
            limit_kw=None if limit_kw is None else float(limit_kw),
            p_exceed=float(document["p_exceed"]),
            fuse=None if fuse_kw is None else (float(fuse_kw), float(document["p_fuse"])),
            headroom_w=int(document["headroom_w"]) if is_bounded else None,
            valid_until=instant_of(document["valid_until"]),
            warning=printable(warning),
            is_set=document.get("limit_source") == LimitSource.SET,
            unmeasured_min=(unmeasured_min, int(document["elapsed_min"])) if unmeasured_min else None,
        )

    @property
    def text(self) -> str:
        """The line, without its label and its time of expiry."""
        window = f"{self.start:%H:%M}-{self.end:%H:%M} UTC"
        rest = "" if self.fuse is None else f", fuse {self.fuse[0]:.2f} kW ({_percent(self.fuse[1])})"
        if self.headroom_w is not None:
            rest += f", headroom {self.headroom_w:,} W"
        if self.unmeasured_min is not None:
            rest += ", {} of {} min not measured".format(*self.unmeasured_min)
        if self.limit_kw is None:
            return f"{self.device}: {self.expected_kw:.2f} kW expected {window}, no limit{rest}"
        limit = f"{self.limit_kw:.2f} kW (set)" if self.is_set else f"{self.limit_kw:.2f} kW"
        risk = f"({_percent(self.p_exceed)})"
        return f"{self.device}: {self.expected_kw:.2f} of {limit} expected {window} {risk}{rest}"


def _percent(p: float) -> str:
    """Return a probability in percent, but never 0 or 100.

    >>> _percent(0.0), _percent(0.124), _percent(0.996)
    ('<1%', '12%', '>99%')
    """
    low, high = 0.01, 0.99
    if p < low:
        return f"<{low:.0%}"
    return f">{high:.0%}" if p > high else f"{p:.0%}"


@dataclass(frozen=True, slots=True)
class OutlookLine:
    """The means of the next minutes of ``device`` at ``issued_at``: pairs of minutes and kW."""

    device: str
    issued_at: datetime
    means_kw: tuple[tuple[int, float], ...]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> OutlookLine:
        """Return the line of an outlook document; raise KeyError, TypeError or ValueError if it is invalid."""
        means_kw = dict(zip(document["lead_min"], document["mean_to_kw"], strict=True))
        shown = tuple((minutes, float(means_kw[minutes])) for minutes in _MEANS_MIN if minutes in means_kw)
        return cls(printable(str(document["device"])), instant_of(document["issued_at"]), shown)

    @property
    def text(self) -> str:
        """The line, without its label and its time.

        >>> OutlookLine("home", datetime(2026, 1, 1), ((15, 1.2), (60, 0.9))).text
        'home: mean of the next 15 min 1.20 kW, 60 min 0.90 kW'
        """
        means = ", ".join(f"{minutes} min {kw:.2f} kW" for minutes, kw in self.means_kw)
        return f"{self.device}: mean of the next {means}"
