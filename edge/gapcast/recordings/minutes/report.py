"""The report on a file: its rows, its minutes and its gaps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from gapcast.core.documents.message_format import counted


@dataclass(frozen=True, slots=True)
class Report:
    """The contents and gaps of a file. Times are RFC 3339 in UTC, power in kW, lengths in minutes.

    ``n_duplicates`` rows, with the time of another row, were ignored, and the rows that ``outside_problem`` describes,
    with a power outside the limits.
    """

    source: str
    sha256: str
    n_minutes: int
    n_readings: int
    n_missing: int
    n_missing_rows: int
    n_gaps: int
    n_gaps_filled: int
    longest_gap_min: int
    longest_gap_from: str | None
    first: str
    last: str
    min_kw: float
    mean_kw: float
    max_kw: float
    n_rows: int
    sampling: str
    usual_s: float
    features: tuple[str, ...] = ()
    n_duplicates: int = 0
    outside_problem: str = ""

    @property
    def is_mostly_missing(self) -> bool:
        """Whether most minutes are missing."""
        return self.n_missing > self.n_minutes / 2

    def lines(self, zone: tzinfo = UTC) -> list[str]:
        """Return the report as sentences for a terminal; first and last minute in ``zone`` as well."""
        longest = f"; the longest is {self.longest_gap_min:,} min from {self.longest_gap_from}" if self.n_gaps else ""
        measured = f"; with {', '.join(self.features)}" if self.features else ""
        return [
            f"{self.n_rows:,} rows, {self.sampling}{measured}",
            f"{self.n_minutes:,} minutes from {self.first} to {self.last}{self._local_span(zone)}",
            f"{self.n_readings:,} readings, {self.min_kw:g} to {self.max_kw:g} kW, mean {self.mean_kw:.10f} kW",
            f"{self.n_missing:,} minutes missing ({self.n_missing_rows:,} of them have no row at all) "
            f"in {counted(self.n_gaps, 'gap')}{longest}",
            *self.ignored_lines(),
        ]

    def _local_span(self, zone: tzinfo) -> str:
        """Return first and last minute by the clock of ``zone``, to append; nothing for UTC."""
        if str(zone) == str(UTC):
            return ""
        first, last = (datetime.fromisoformat(when).astimezone(zone) for when in (self.first, self.last))
        return f" ({first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} in {zone})"

    def ignored_lines(self) -> list[str]:
        """Return sentences on ignored rows, if there are any."""
        found = [self.outside_problem] if self.outside_problem else []
        if self.n_duplicates:
            have = "has" if self.n_duplicates == 1 else "have"
            question = ""
            if self.n_duplicates > self.n_rows / 4:
                meters = "has the file several meters, or times without seconds?"
                question = f"; {meters} (docs/data.md#several-columns-or-files)"
            found.append(f"{counted(self.n_duplicates, 'row')} {have} the time of the row before: ignored{question}")
        return found
