"""Renders a status as lines for a terminal, with colours where it supports them."""

from __future__ import annotations

from datetime import UTC, datetime

from gapcast.status.status_snapshot import DeviceLine, ScoreLine, StatusSnapshot

_PERIODS = {"last_day": "last day", "last_week": "last week", "ever": "all time"}
_COLOURS = {"good": "32", "bad": "31", "warn": "33", "quiet": "2", "strong": "1"}
_STATES = {"pass": ("ready", "good"), "warn": ("ready, with warnings", "warn"), "fail": ("not ready", "bad")}
_HEAD = ("DEVICE", "READING", "AT", "AGE", "FORECAST", "90 % INTERVAL", "FOR", "SKILL", "COVERAGE")
_NOTHING = "–"
_STALE_S = 600
_UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Pen:
    """Writes words in a colour that says how things stand, where ``colours`` are wanted."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, text: str, how: str) -> str:
        """Return ``text``, marked as ``how``."""
        return f"\033[{_COLOURS[how]}m{text}\033[0m" if self._colours else text


def draw(
    picture: StatusSnapshot, before: StatusSnapshot | None, now: datetime, pen: Pen, room: int | None = None
) -> list[str]:
    """Return the lines that show ``picture`` at ``now``, with rates since ``before``; at most ``room`` of them.

    Devices beyond the room are counted.
    """
    lines = [
        _header(picture, now, pen),
        *(pen(f"  {problem}", "bad" if picture.status == "fail" else "warn") for problem in picture.problems),
        "",
        *_stream(picture, before),
        *(_score(score, pen) for score in picture.scores),
        "",
    ]
    return [*lines, *_table(picture, now, pen, None if room is None else max(1, room - len(lines) - 2))]


def _header(picture: StatusSnapshot, now: datetime, pen: Pen) -> str:
    state, how = _STATES.get(picture.status, (picture.status, "bad"))
    up = _length(now.timestamp() - picture.started_s) if picture.started_s else _NOTHING
    name = pen(f"gapcast {picture.version}", "strong")
    return f"{name}  {pen(state, how)}  {now:%Y-%m-%d %H:%M:%S} UTC  up {up}, {picture.resident_bytes / 1e6:.0f} MB"


def _stream(picture: StatusSnapshot, before: StatusSnapshot | None) -> list[str]:
    counts = "  ".join(f"{n:,.0f} {result}" for result, n in picture.readings.items())
    n_forecasts = sum(picture.forecasts.values())
    latency = _NOTHING
    if picture.latency_p50_s is not None and picture.latency_p99_s is not None:
        latency = f"p50 {picture.latency_p50_s * 1e3:.1f} ms, p99 {picture.latency_p99_s * 1e3:.1f} ms"
    batch = _NOTHING if picture.mean_batch is None else f"{picture.mean_batch:.1f}"
    off = f", {picture.n_clocks_off} with a clock offset" if picture.n_clocks_off else ""
    return [
        f"models     {', '.join(picture.models)} on {picture.runtime}; published: {picture.speaks}",
        f"readings   {counts}{_rate(picture, before)}",
        f"forecasts  {n_forecasts:,.0f}  latency {latency}  batch {batch}  queue {picture.n_queued}",
        f"devices    {picture.n_devices:,}{off}",
    ]


def _rate(picture: StatusSnapshot, before: StatusSnapshot | None) -> str:
    if before is None or before.started_s != picture.started_s:
        return ""
    n = picture.readings.get("accepted", 0) - before.readings.get("accepted", 0)
    return f"  (+{n:,.0f})"


def _score(score: ScoreLine, pen: Pen) -> str:
    period = f"{_PERIODS.get(score.period, score.period):<9}"
    if score.skill is None:
        return f"{period}  {pen(f'{score.n:,} outcomes: not enough data', 'quiet')}"
    side = "better" if score.skill >= 0 else "worse"
    skill = pen(f"{abs(score.skill):.0%} {side} than persistence", "good" if score.skill > 0 else "bad")
    errors = ""
    if score.mae_kw is not None and score.persistence_mae_kw is not None:
        errors = f", MAE {score.mae_kw:.3f} kW (persistence {score.persistence_mae_kw:.3f})"
    covered = "" if score.coverage is None else f", {score.coverage:.1%} interval coverage"
    return f"{period}  {skill}{errors}{covered}  {pen(f'{score.n:,} outcomes', 'quiet')}"


def _table(picture: StatusSnapshot, now: datetime, pen: Pen, room: int | None) -> list[str]:
    if not picture.devices:
        return [pen("no forecasts yet: they start with the second reading of a device", "quiet")]
    devices = sorted(picture.devices, key=lambda line: line.device)
    shown = devices if room is None or len(devices) <= room else devices[: room - 1]
    rows = [_HEAD, *(_row(line, now) for line in shown)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    text = ["  ".join(_aligned(cell, widths[i], i) for i, cell in enumerate(row)).rstrip() for row in rows]
    lines = [pen(text[0], "strong")]
    for line, one in zip(text[1:], shown, strict=True):
        lines.append(pen(line, "quiet") if (now - one.issued_at).total_seconds() > _STALE_S else line)
    n_more = len(devices) - len(shown) + picture.n_unlisted
    if n_more:
        lines.append(pen(f"and {n_more:,} more", "quiet"))
    return lines


def _row(line: DeviceLine, now: datetime) -> tuple[str, ...]:
    within = _NOTHING
    if line.lower_kw is not None and line.upper_kw is not None:
        within = f"{line.lower_kw:.3f} to {line.upper_kw:.3f}"
    return (
        line.device,
        f"{line.reading_kw:.3f} kW",
        _moment(line.observed_at, now),
        _length((now - line.issued_at).total_seconds()),
        f"{line.gap_kw:.3f} kW",
        within,
        f"{line.target_at:%H:%M}",
        _NOTHING if line.skill is None else f"{line.skill:+.0%}",
        _NOTHING if line.coverage is None else f"{line.coverage:.0%}",
    )


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _moment(at: datetime, now: datetime) -> str:
    """Return a minute, with its day where that is another than now's, as in a replay."""
    return f"{at:%H:%M}" if at.date() == now.astimezone(UTC).date() else f"{at:%Y-%m-%d %H:%M}"


def _length(seconds: float) -> str:
    """Return a length of time in words that fit a column.

    >>> _length(4.2), _length(75), _length(7_300), _length(200_000), _length(-1)
    ('4 s', '1 min', '2 h', '2 d', '0 s')
    """
    for unit_s, name in _UNITS_S:
        if seconds >= unit_s:
            return f"{seconds // unit_s:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
