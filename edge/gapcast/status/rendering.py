"""Renders a status as lines for a terminal, with colours if it supports them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gapcast.core.documents.message_format import counted
from gapcast.status.status_snapshot import DeviceLine, ScoreLine, StatusSnapshot

_PERIODS = {"last_day": "last day", "last_week": "last week", "all_time": "all time"}
_COLOURS = {"good": "32", "bad": "31", "warn": "33", "quiet": "2", "strong": "1"}
_STATES = {"pass": ("ready", "good"), "warn": ("ready, with warnings", "warn"), "fail": ("not ready", "bad")}
_HEAD = ("DEVICE", "READING", "AT", "RECEIVED", "FORECAST", "90 % INTERVAL", "FOR", "SKILL", "COVERAGE")
_EMPTY = "–"
_STALE_S = 600
#: An older outlook is shown with its time.
_OUTLOOK_AGE = timedelta(minutes=5)
#: A forecast follows the second reading of a device.
_N_READINGS = 2
#: Minimum number of lines left for the table of devices.
_TABLE_ROOM = 8
_UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"))


class TerminalStyle:
    """Colours text by its meaning, if ``colours`` are enabled."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, text: str, style: str) -> str:
        """Return ``text`` in the colour of ``style``."""
        return f"\033[{_COLOURS[style]}m{text}\033[0m" if self._colours else text


def draw(
    snapshot: StatusSnapshot,
    before: StatusSnapshot | None,
    now: datetime,
    styled: TerminalStyle,
    room: int | None = None,
) -> list[str]:
    """Return at most ``room`` lines that show ``snapshot`` at ``now``, with rates since ``before``.

    Devices that do not fit are only counted.
    """
    lines = [
        _header(snapshot, now, styled),
        *(styled(f"  {problem}", "bad" if snapshot.status == "fail" else "warn") for problem in snapshot.problems),
        "",
        *_stream(snapshot, before),
        *(_score(score, styled) for score in snapshot.scores),
        *_refit(snapshot, now),
    ]
    windows = [*_outlooks(snapshot, now, styled), *_demands(snapshot, now, styled)]
    lines += [*(windows if room is None else windows[: max(0, room - len(lines) - _TABLE_ROOM)]), ""]
    return [*lines, *_table(snapshot, now, styled, None if room is None else max(1, room - len(lines) - 2))]


def _header(snapshot: StatusSnapshot, now: datetime, styled: TerminalStyle) -> str:
    state, style = _STATES.get(snapshot.status, (snapshot.status, "bad"))
    up = _duration(now.timestamp() - snapshot.started_s) if snapshot.started_s else _EMPTY
    name = styled(f"gapcast {snapshot.version}", "strong")
    return (
        f"{name}  {styled(state, style)}  {now:%Y-%m-%d %H:%M:%S} UTC  up {up}, {snapshot.resident_bytes / 1e6:.0f} MB"
    )


def _stream(snapshot: StatusSnapshot, before: StatusSnapshot | None) -> list[str]:
    counts = "  ".join(f"{n:,.0f} {result}" for result, n in snapshot.readings.items())
    n_forecasts = sum(snapshot.forecasts.values())
    latency = _EMPTY
    if snapshot.latency_p50_s is not None and snapshot.latency_p99_s is not None:
        latency = f"p50 {snapshot.latency_p50_s * 1e3:.1f} ms, p99 {snapshot.latency_p99_s * 1e3:.1f} ms"
    batch = _EMPTY if snapshot.mean_batch is None else f"{snapshot.mean_batch:.1f}"
    off = f", {snapshot.n_offline:,} offline" if snapshot.n_offline else ""
    off += f", {snapshot.n_clock_offsets} with a clock offset" if snapshot.n_clock_offsets else ""
    return [
        f"models     {', '.join(snapshot.models)} on {snapshot.runtime}; published: {snapshot.published_models}",
        f"readings   {counts}{_rate(snapshot, before)}",
        f"forecasts  {n_forecasts:,.0f}  latency {latency}  mean batch size {batch}, "
        f"messages waiting {snapshot.n_queued:,}",
        f"devices    {snapshot.n_devices:,}{off}",
    ]


def _rate(snapshot: StatusSnapshot, before: StatusSnapshot | None) -> str:
    if before is None or before.started_s != snapshot.started_s:
        return ""
    n = snapshot.readings.get("accepted", 0) - before.readings.get("accepted", 0)
    return f"  (+{n:,.0f})"


def _score(score: ScoreLine, styled: TerminalStyle) -> str:
    period = f"{_PERIODS.get(score.period, score.period):<9}"
    if score.skill is None:
        return f"{period}  {styled(f'{score.n:,} outcomes: not enough data', 'quiet')}"
    side = "better" if score.skill >= 0 else "worse"
    skill = styled(f"{abs(score.skill):.0%} {side} than persistence (MSE)", "good" if score.skill > 0 else "bad")
    errors = ""
    if score.mae_kw is not None and score.persistence_mae_kw is not None:
        errors = f", MAE {score.mae_kw:.3f} kW (persistence {score.persistence_mae_kw:.3f})"
    covered = "" if score.coverage is None else f", {score.coverage:.1%} interval coverage"
    return f"{period}  {skill}{errors}{covered}  {styled(f'{score.n:,} outcomes', 'quiet')}"


def _refit(snapshot: StatusSnapshot, now: datetime) -> list[str]:
    refit = snapshot.refit
    if refit is None:
        return []
    if refit.last_ran_s is None:
        ran = "not run since the start"
    else:
        ran = f"last ran {_duration(now.timestamp() - refit.last_ran_s)} ago, in {refit.took_s:.0f} s"
    skill_text = ""
    if refit.mse_skill is not None and refit.mae_skill is not None:
        skill_text = (
            f"; on the newest days {refit.mse_skill:+.0%} by MSE, {refit.mae_skill:+.0%} by MAE against persistence"
        )
    return [f"refit      {counted(refit.n_devices, 'device')}, {ran}{skill_text}"]


def _outlooks(snapshot: StatusSnapshot, now: datetime, styled: TerminalStyle) -> list[str]:
    lines = []
    for line in snapshot.outlooks:
        is_old = now - line.issued_at >= _OUTLOOK_AGE
        made = styled(f", from {_moment(line.issued_at, now)}", "warn") if is_old else ""
        lines.append(f"outlook    {line.text}{made}")
    return lines + _more(len(lines), snapshot.n_outlooks_unlisted, styled)


def _demands(snapshot: StatusSnapshot, now: datetime, styled: TerminalStyle) -> list[str]:
    lines = []
    for line in snapshot.demands:
        is_valid = now < line.valid_until
        validity = f"{'valid until' if is_valid else 'expired'} {_moment(line.valid_until, now)}"
        lines.append(f"demand     {line.text}, {validity if is_valid else styled(validity, 'warn')}")
        if line.warning:
            lines.append(styled(f"           {line.warning}", "warn"))
    return lines + _more(len(snapshot.demands), snapshot.n_demands_unlisted, styled)


def _more(n_shown: int, n_more: int, styled: TerminalStyle) -> list[str]:
    return [styled(f"           and {n_more:,} more", "quiet")] if n_shown and n_more > 0 else []


def _table(snapshot: StatusSnapshot, now: datetime, styled: TerminalStyle, room: int | None) -> list[str]:
    if snapshot.has_forecasts:
        return _device_table(snapshot, now, styled, room)
    reason = "no forecasts yet: they start with the second reading of a device"
    if any(line.n_observed >= _N_READINGS for line in snapshot.devices):
        reason = "no current forecasts: after a start or a change of the models they begin with a device's next reading"
    lines = [*_intake(snapshot, now), styled(reason, "quiet")]
    if not snapshot.devices:
        return lines
    return [*lines, *_device_table(snapshot, now, styled, None if room is None else max(1, room - len(lines)))]


def _device_table(snapshot: StatusSnapshot, now: datetime, styled: TerminalStyle, room: int | None) -> list[str]:
    devices = sorted(snapshot.devices, key=lambda line: line.device)
    shown = devices if room is None or len(devices) <= room else devices[: room - 1]
    rows = [_HEAD, *(_row(line, now) for line in shown)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    text = ["  ".join(_aligned(cell, widths[i], i) for i, cell in enumerate(row)).rstrip() for row in rows]
    lines = [styled(text[0], "strong")]
    for line, one in zip(text[1:], shown, strict=True):
        is_current = one.forecast is not None and (now - one.forecast.issued_at).total_seconds() <= _STALE_S
        lines.append(line if is_current else styled(line, "quiet"))
    n_more = len(devices) - len(shown) + snapshot.n_unlisted
    if n_more:
        lines.append(styled(f"and {n_more:,} more", "quiet"))
    return lines


def _intake(snapshot: StatusSnapshot, now: datetime) -> list[str]:
    """Return lines with the subscriptions and the received messages, if they are known."""
    at = snapshot.first_forecast_at
    expected = "" if at is None else f"; first forecast at about {_moment(at, now)} UTC"
    return [f"{snapshot.intake}{expected}"] if snapshot.intake else []


def _row(line: DeviceLine, now: datetime) -> tuple[str, ...]:
    forecast = line.forecast
    received = gap = interval = target = _EMPTY
    if forecast is not None:
        received = f"{_duration((now - forecast.issued_at).total_seconds())} ago"
        gap, target = f"{forecast.gap_kw:.3f} kW", f"{forecast.target_at:%H:%M}"
        if forecast.lower_kw is not None and forecast.upper_kw is not None:
            interval = f"{forecast.lower_kw:.3f} to {forecast.upper_kw:.3f}"
    return (
        f"{line.device}{' (offline)' if line.is_offline else ''}",
        f"{line.reading_kw:.3f} kW{' (filled)' if line.is_filled else ''}",
        _moment(line.observed_at, now),
        received,
        gap,
        interval,
        target,
        _EMPTY if line.skill is None else f"{line.skill:+.0%}",
        _EMPTY if line.coverage is None else f"{line.coverage:.0%}",
    )


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _moment(at: datetime, now: datetime) -> str:
    """Return a minute, with its date if it is not today, as in a replay."""
    return f"{at:%H:%M}" if at.date() == now.astimezone(UTC).date() else f"{at:%Y-%m-%d %H:%M}"


def _duration(seconds: float) -> str:
    """Return a duration that fits a column.

    >>> _duration(4.2), _duration(75), _duration(7_300), _duration(200_000), _duration(-1)
    ('4 s', '1 min', '2 h', '2 d', '0 s')
    """
    for unit_s, name in _UNITS_S:
        if seconds >= unit_s:
            return f"{seconds // unit_s:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
