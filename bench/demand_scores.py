"""Makes the tables of docs/demand-accuracy.md from files of back-tests.

``python -m bench.demand_scores --scores uci.json refit2.json --demands uci.csv refit2.csv --control uci-control.json``

``--scores`` are files of ``gapcast backtest --json`` with a limit, ``--demands`` of ``--demand-out``, ``--control`` of
``gapcast backtest --control --json``. Lines are named after the files. ``--out`` writes the picture of the reliability.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gapcast.backtest.control.report import price_text
from gapcast.backtest.results.report import score_text
from gapcast.core.demand.scores.scores import elapsed_times_of

#: Number of cases that a bin needs for the comparison with its binomial band, probability beyond the band on each side,
#: and smallest probability.
LEAST_N, TAIL, LEAST_P = 50, 0.025, 1e-9
#: The band's half-width in standard deviations, in the picture.
BAND = 1.96


def brier_table(scores: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the Brier scores of each file, at the three times of a window."""
    yield "| | windows, above the limit | persistence | mean so far | gapcast | log score |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, found in scores.items():
        columns = [
            " / ".join(score_text(one[figure]) for one in found["elapsed"])
            for figure in ("persistence_brier", "so_far_brier", "brier", "log_score")
        ]
        yield f"| {name} | {found['n_windows']:,}, {found['n_events']:,} | {' | '.join(columns)} |"


def reliability_table(scores: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield how many bins with enough cases have an observed share within their 95 % binomial band, and the others.

    Each file has a line for each of the three times, and one line for the cases of all times together.
    """
    yield (
        "| | minutes elapsed | calibrated bins | expected outside "
        "| bins outside: mean probability, observed share, cases |"
    )
    yield "| --- | --- | --- | --- | --- |"
    for name, found in scores.items():
        times = [(str(one["elapsed_min"]), one["reliability"]) for one in found["elapsed"]]
        for elapsed, all_bins in (*times, ("all", pooled([of_time for _, of_time in times]))):
            bins = [each for each in all_bins if each["n"] >= LEAST_N]
            outside = [each for each in bins if not is_within(each)]
            bad = "; ".join(f"{each['mean_p']:.3f}, {each['share']:.3f}, {each['n']:,}" for each in outside)
            n_within, expected = len(bins) - len(outside), sum(map(chance_outside, bins))
            yield f"| {name} | {elapsed} | {n_within} of {len(bins)} | {expected:.1f} | {bad or '-'} |"


def pooled(by_time: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the bins with the cases of several times combined; empty bins are left out."""
    found = []
    for bins in zip(*by_time, strict=False):
        filled = [one for one in bins if one["n"]]
        n = sum(one["n"] for one in filled)
        if n:
            means = {key: sum(one["n"] * one[key] for one in filled) / n for key in ("mean_p", "share")}
            found.append({"n": n, **means})
    return found


def chance_outside(one: dict[str, Any]) -> float:
    """Return the probability that a bin is outside its band if its mean probability is exactly right.

    It is below 5 %, because counts are whole numbers.
    """
    n, p = int(one["n"]), _bounded(one["mean_p"])
    outside = up_to = 0.0
    for n_above in range(n + 1):
        below, up_to = up_to, up_to + math.exp(_log_probability(n, p, n_above))
        outside += 0.0 if _is_in_band(below, up_to) else up_to - below
    return outside


def is_within(one: dict[str, Any]) -> bool:
    """Return whether the share of a bin is within the 95 % band of a binomial with its mean probability."""
    n, p = int(one["n"]), _bounded(one["mean_p"])
    n_above = round(one["share"] * n)
    below = sum(math.exp(_log_probability(n, p, k)) for k in range(n_above))
    return _is_in_band(below, below + math.exp(_log_probability(n, p, n_above)))


def _bounded(p: float) -> float:
    return min(max(float(p), LEAST_P), 1 - LEAST_P)


def _is_in_band(below: float, up_to: float) -> bool:
    return up_to >= TAIL and below < 1 - TAIL


def _log_probability(n: int, p: float, k: int) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(p) + (n - k) * math.log1p(-p)


def alarm_table(scores: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the alarms of gapcast and of the two rules."""
    yield "| | | alarms in 30 days | false | announced 3 min before the end | 5 min before |"
    yield "| --- | --- | --- | --- | --- | --- |"
    names = {"gapcast": "gapcast", "persistence": "persistence", "so_far": "mean so far"}
    for name, found in scores.items():
        for source, of_source in found["alarms"].items():
            false = of_source["n_false"] / of_source["n"] if of_source["n"] else 0.0
            shares = (of_source[f"announced_{least}_min"] for least in (3, 5))
            announced = " | ".join("-" if share is None else f"{share:.0%}" for share in shares)
            per_month = 0.0 if of_source["per_month"] is None else of_source["per_month"]
            yield f"| {name} | {names[source]} | {per_month:.1f} | {false:.0%} | {announced} |"


def headroom_table(files: Sequence[Path]) -> Iterator[str]:
    """Yield the share of windows above their limit if exactly the headroom had been added for the rest of them."""
    yield "| | minutes elapsed | windows | above the limit with the headroom added |"
    yield "| --- | --- | --- | --- |"
    for path in files:
        for elapsed_min, (n, n_above) in headroom_shares(path).items():
            yield f"| {path.stem} | {elapsed_min} | {n:,} | {n_above / n:.1%} |"


def headroom_shares(path: Path, window_min: int = 15) -> dict[int, tuple[int, int]]:
    """Return, by elapsed minutes, the number of windows with a limit and of those above it with the headroom added."""
    found = dict.fromkeys(elapsed_times_of(window_min), (0, 0))
    for row in _rows(path):
        elapsed_min = int(row["elapsed_min"])
        if elapsed_min in found and row["limit_kw"]:
            added_kw = float(row["headroom_kw"]) * (window_min - elapsed_min) / window_min
            n, n_above = found[elapsed_min]
            is_above = float(row["actual_kw"]) + added_kw > float(row["limit_kw"])
            found[elapsed_min] = n + 1, n_above + is_above
    return {elapsed_min: counts for elapsed_min, counts in found.items() if counts[0]}


def next_table(files: Sequence[Path]) -> Iterator[str]:
    """Yield how well the next window is forecast, at the elapsed minutes of the running one."""
    yield (
        "| | minutes elapsed | windows, above the limit | mean probability | Brier score "
        "| above the limit with the headroom added | in the interval |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for path in files:
        for elapsed_min, found in next_windows(path).items():
            n, (above, p, brier, with_headroom, inside) = len(found), (sum(each) for each in zip(*found, strict=True))
            yield (
                f"| {path.stem} | {elapsed_min} | {n:,}, {above:,} | {p / n:.4f} | {brier / n:.4f} "
                f"| {with_headroom / n:.1%} | {inside / n:.3f} |"
            )


def next_windows(path: Path, window_min: int = 15) -> dict[int, list[tuple[bool, float, float, bool, bool]]]:
    """Return, by elapsed minutes, what is scored of each next window with a limit.

    These are whether it was above the limit, its probability and squared error, whether it would have been above with
    the headroom added, and whether it was in the interval.
    """
    found: dict[int, list[tuple[bool, float, float, bool, bool]]] = {one: [] for one in elapsed_times_of(window_min)}
    actual_kw = {row["window_start"]: row["actual_kw"] for row in _rows(path)}
    for row in _rows(path):
        start = datetime.fromisoformat(row["window_start"]) + timedelta(minutes=window_min)
        following = actual_kw.get(start.strftime("%Y-%m-%dT%H:%M:%SZ"))
        elapsed_min = int(row["elapsed_min"])
        if elapsed_min not in found or not row.get("next_limit_kw") or following is None:
            continue
        limit_kw, kw, p = float(row["next_limit_kw"]), float(following), float(row["next_p_exceed"])
        is_above, is_inside = kw > limit_kw, float(row["next_lower_kw"]) <= kw <= float(row["next_upper_kw"])
        with_headroom = kw + float(row["next_headroom_kw"]) > limit_kw
        found[elapsed_min].append((is_above, p, (p - is_above) ** 2, with_headroom, is_inside))
    return {elapsed_min: cases for elapsed_min, cases in found.items() if cases}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def control_table(documents: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the controlled loads of each house by strategy."""
    tariffs = documents[0]["tariffs"]
    heads = " | ".join(f"{one['name']}, {one['currency']} a year" for one in tariffs)
    yield f"| | | mean month peak | {heads} | kWh missing a night | short nights | dishwasher later |"
    yield f"| --- | --- | --- | {'--- | ' * len(tariffs)}--- | --- | --- |"
    for document in documents:
        for house, found in document["houses"].items():
            for strategy, one in found["strategies"].items():
                prices = " | ".join(price_text(one["year_prices"][tariff["name"]]) for tariff in tariffs)
                yield f"| {house} | {strategy} | {one['peak_kw']:.2f} kW | {prices} | {_loads(one['loads'])} |"


def _loads(loads: dict[str, Any] | None) -> str:
    if loads is None or not loads["n_evenings"]:
        return "- | - | -"
    n = loads["n_evenings"]
    return f"{loads['missing_kwh'] / n:.2f} | {loads['n_short']} of {n} | {loads['delay_min'] / n:.0f} min"


def main() -> None:
    """Print the tables of the files of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scores", nargs="*", type=Path, default=[], metavar="JSON")
    parser.add_argument("--demands", nargs="*", type=Path, default=[], metavar="CSV")
    parser.add_argument("--control", nargs="*", type=Path, default=[], metavar="JSON")
    parser.add_argument(
        "--out", type=Path, metavar="PICTURE", help="Picture of the reliability to write, .svg or .png."
    )
    given = parser.parse_args()
    scores = {path.stem: json.loads(path.read_text(encoding="utf-8"))["demand"] for path in given.scores}
    tables = [(scores, make(scores)) for make in (brier_table, reliability_table, alarm_table)]
    control = [json.loads(path.read_text(encoding="utf-8")) for path in given.control]
    of_demands = [(given.demands, make(given.demands)) for make in (headroom_table, next_table)]
    for of, lines in (*tables, *of_demands):
        if of:
            print("\n".join(lines), end="\n\n")
    if control:
        print("\n".join(control_table(control)))
    if given.out is not None and scores:
        from bench.demand_picture import draw  # noqa: PLC0415 - needs matplotlib

        draw(scores, given.out)


if __name__ == "__main__":
    main()
