"""The outlook of one device as a line: the mean power of the next 15, 30 and 60 minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gapcast.text.terminal_text import printable

#: Lead times whose means are shown, minutes, if the model has them.
_MEANS_MIN = (15, 30, 60)


@dataclass(frozen=True, slots=True)
class OutlookLine:
    """The means of the next minutes of ``device``: pairs of minutes and kW."""

    device: str
    means_kw: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> OutlookLine:
        """Return the line of an outlook document; raise KeyError, TypeError or ValueError if it is not one."""
        means_kw = dict(zip(document["lead_min"], document["mean_to_kw"], strict=True))
        shown = tuple((minutes, float(means_kw[minutes])) for minutes in _MEANS_MIN if minutes in means_kw)
        return cls(printable(str(document["device"])), shown)

    @property
    def text(self) -> str:
        """The line, without its label.

        >>> OutlookLine("home", ((15, 1.2), (60, 0.9))).text
        'home: mean of the next 15 min 1.20 kW, 60 min 0.90 kW'
        """
        means = ", ".join(f"{minutes} min {kw:.2f} kW" for minutes, kw in self.means_kw)
        return f"{self.device}: mean of the next {means}"
