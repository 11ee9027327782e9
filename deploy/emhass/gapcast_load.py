#!/usr/bin/env python3
"""Prints the load forecast of a house as EMHASS's runtime parameters: the first hour from gapcast's outlook.

    gapcast_load.py --device home --step 30 --hours 24

``load_power_forecast`` maps the start of each optimisation step to its mean power, W. Each step is the mean of its
minutes: those that are over as measured, the next hour from ``GET /outlook``, and later ones as measured at the same
time of the last day that is known, from ``GET /devices/{device}/history``. A step without any known minute gets the
mean of the history, or of the outlook if there is none. Steps begin at full steps of this machine's local time: set TZ
if EMHASS's time zone is another. There are more steps than the horizon has, because EMHASS may begin with a later one:
it rounds the present, and repeats the last value for steps that are missing.

If gapcast does not answer, or a newest reading is older than ``--max-age`` minutes, nothing is printed and the exit
code is 1: call EMHASS without ``load_power_forecast`` then, so that it uses the method of its own configuration.
Needs nothing but Python 3.9 or later. See docs/demand-energy-managers.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

DAY_MIN = 1_440
UTC = timezone.utc  # noqa: UP017 - Python 3.9 and 3.10 have no datetime.UTC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMEOUT_S = 10.0
_SHOWN_BYTES = 1_000


class NoForecastError(Exception):
    """There is no forecast to use; the message is for a person."""


def minute_of(label: str) -> int:
    """Return the minute since the epoch of a time in RFC 3339."""
    return (datetime.fromisoformat(label.replace("Z", "+00:00")) - _EPOCH) // timedelta(minutes=1)


def outlook_minutes(outlook: Mapping[str, Any]) -> dict[int, float]:
    """Return the mean power of each minute that ``outlook`` covers, kW, by minute since the epoch.

    ``mean_to_kw`` is the mean of all minutes up to a lead time; the energy between two lead times is spread evenly.
    """
    observed, minutes = minute_of(outlook["observed_at"]), {}
    lead, energy = 0, 0.0
    for next_lead, mean_to_kw in zip(outlook["lead_min"], outlook["mean_to_kw"]):  # noqa: B905 - Python 3.9
        next_energy = next_lead * mean_to_kw
        for ahead in range(lead + 1, next_lead + 1):
            minutes[observed + ahead] = (next_energy - energy) / (next_lead - lead)
        lead, energy = next_lead, next_energy
    return minutes


def load_forecast(
    outlook: Mapping[str, Any],
    readings: Sequence[Mapping[str, Any]],
    step_min: int,
    n_steps: int,
    utc_offset_min: int = 0,
) -> dict[str, float]:
    """Return the mean power of ``n_steps`` steps, W, by their start, from the step of the minute after the newest.

    ``readings`` are those of the history. Steps begin at multiples of ``step_min`` of the local time, as EMHASS's do:
    where that is half an hour off UTC, steps of an hour begin at half past by UTC.
    """
    observed, ahead_kw = minute_of(outlook["observed_at"]), outlook_minutes(outlook)
    measured_kw = {minute_of(one["ts"]): float(one["gap_kw"]) for one in readings}
    usual_kw = mean(list(measured_kw.values())) if measured_kw else mean(list(ahead_kw.values()))

    def power_kw(minute: int) -> float | None:
        if minute in ahead_kw:
            return ahead_kw[minute]
        days = max(0, -((observed - minute) // DAY_MIN))  # back to the last day that can be known
        return measured_kw.get(minute - days * DAY_MIN)

    first = (observed + 1 + utc_offset_min) // step_min * step_min - utc_offset_min
    forecast_w = {}
    for start in range(first, first + n_steps * step_min, step_min):
        known_kw = [kw for kw in map(power_kw, range(start, start + step_min)) if kw is not None]
        label = (_EPOCH + timedelta(minutes=start)).isoformat()
        forecast_w[label] = round(1_000 * (mean(known_kw) if known_kw else usual_kw), 1)
    return forecast_w


def mean(values: Sequence[float]) -> float:
    """Return the mean of ``values``, at least one."""
    return sum(values) / len(values)


class Gateway:
    """gapcast's REST interface at ``url``, with the bearer token ``token`` if it needs one."""

    def __init__(self, url: str, token: str | None) -> None:
        if not url.startswith(("http://", "https://")):
            msg = f"--gapcast: {url!r} is no http or https address"
            raise NoForecastError(msg)
        self._url, self._headers = url.rstrip("/"), {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """Return the JSON document at ``path``."""
        request = Request(self._url + path, headers=self._headers)  # noqa: S310 - http or https, checked above
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http or https, checked above
                return json.load(answer)
        except HTTPError as problem:  # its body says why, such as that the device is unknown
            msg = f"{self._url}{path}: {problem}: {problem.read(_SHOWN_BYTES).decode('utf-8', 'replace')}"
            raise NoForecastError(msg) from problem
        except (URLError, OSError, ValueError) as problem:
            msg = f"{self._url}{path}: {problem}"
            raise NoForecastError(msg) from problem


def parameters(gateway: Gateway, options: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Return EMHASS's runtime parameters; raises NoForecastError."""
    device, n_steps = quote(options.device, safe=""), options.hours * 60 // options.step
    outlook = gateway.get(f"/outlook?device={device}")
    require_new(outlook, options.device, options.max_age, now)
    readings = gateway.get(f"/devices/{device}/history?minutes={DAY_MIN}")["readings"]
    n_forecast = n_steps + 2 + options.max_age // options.step  # up to a first step that is rounded up, after --max-age
    offset_min = (now.astimezone().utcoffset() or timedelta()) // timedelta(minutes=1)  # of this machine
    found: dict[str, Any] = {
        "prediction_horizon": n_steps,
        "load_power_forecast": load_forecast(outlook, readings, options.step, n_forecast, offset_min),
    }
    if options.peak is not None:
        metered = quote(options.peak, safe="") or device
        demand = gateway.get(f"/demand?device={metered}")
        require_new(demand, f"demand of {options.peak or options.device}", options.max_age, now)
        peak_kw = billed_peak_kw(demand)
        if peak_kw is not None:
            found["current_period_peak"] = round(1_000 * peak_kw, 1)
    return {**found, **options.merge}


def require_new(document: Mapping[str, Any], name: str, max_age_min: int, now: datetime) -> None:
    """Raise NoForecastError if the newest reading of ``document``, of ``name``, is older than ``max_age_min``."""
    age_min = (now - _EPOCH) // timedelta(minutes=1) - minute_of(document["observed_at"])
    if age_min > max_age_min:
        msg = f"{name}: the newest reading is {age_min} minutes old, more than --max-age {max_age_min}"
        raise NoForecastError(msg)


def billed_peak_kw(demand: Mapping[str, Any]) -> float | None:
    """Return the power that the month costs anyway, kW: its peak, at least ``demand.floor_kw``; None if unknown.

    A limit by the month's peak is the higher one of the two. The floor is unknown outside the times of the limit, and
    while another limit is set.
    """
    of_limit = demand["limit_kw"] if demand["limit_source"] == "month_peak" else None
    known_kw = [kw for kw in (demand["month_peak_kw"], of_limit) if kw is not None]
    return max(0.0, *known_kw) if known_kw else None


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gapcast", default="http://localhost:8080", help="address of the gateway (%(default)s)")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token, if the gateway needs one")
    parser.add_argument("--device", default="home", help="the house without EMHASS's own loads (%(default)s)")
    parser.add_argument(
        "--step", type=int, default=30, choices=(5, 10, 15, 20, 30, 60),
        help="EMHASS's optimization_time_step, minutes (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--hours", type=_hours, default=24, help="horizon, 1 or more (%(default)s)")
    parser.add_argument("--max-age", type=int, default=5, help="oldest newest reading, minutes (%(default)s)")
    parser.add_argument(
        "--peak", nargs="?", const="", metavar="DEVICE",
        help="add current_period_peak: the month's peak of GET /demand, at least demand.floor_kw, of the device that "
        "the tariff's meter is (without a name: --device)",
    )  # fmt: skip
    parser.add_argument("--merge", type=_json_object, default={}, help="JSON object of further runtime parameters")
    return parser.parse_args(arguments)


def _hours(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not a whole number of hours, 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        msg = f'{text!r} is not a JSON object, such as {{"soc_init": 0.5}}'
        raise argparse.ArgumentTypeError(msg)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the runtime parameters as one line of JSON; return the exit code."""
    options = options_of(arguments)
    try:
        token = options.token_file.read_text(encoding="utf-8").strip() if options.token_file else None
        found = parameters(Gateway(options.gapcast, token), options, datetime.now(UTC))
    except (NoForecastError, OSError) as problem:
        print(f"gapcast_load: {problem}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
