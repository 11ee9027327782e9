"""Reports of the outlooks of a back-test: a table for a terminal, by kind and lead time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gapcast.backtest.outlooks.lead_scores import LeadComparison
from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES

_TITLES = dict(zip(KINDS, ("the minute at the lead time", "the mean of all minutes until then"), strict=True))
#: References against which the skill is shown.
_SKILLS = REFERENCES[:2]
_WIDTH = 15


def outlook_table(name: str, scores: Sequence[LeadComparison]) -> Iterator[str]:
    """Yield the table of one house, or of all houses: the outlooks, and the reference forecasts."""
    yield f"{name}: outlook, MSE kW2 / MAE kW; skill: MSE against {' and '.join(map(_words, _SKILLS))}"
    for kind in KINDS:
        of_kind = [score for score in scores if score.kind == kind]
        heads = "".join(f"{_words(head):>{_WIDTH}}" for head in ("gapcast", *REFERENCES))
        yield f"  {_TITLES[kind]}"
        yield f"  {'min':>3} {'n':>9}{heads}{'skill':>9}{'skill':>8}{'coverage':>10}"
        yield from map(_line, of_kind)


def _line(score: LeadComparison) -> str:
    pairs = [(score.mse_kw2, score.mae_kw), *((one.mse_kw2, one.mae_kw) for one in score.references.values())]
    skills = [score.references[name].skill for name in _SKILLS]
    figures = "".join(f"{_pair(*pair):>{_WIDTH}}" for pair in pairs)
    first, second = (("-" if skill is None else f"{skill:+.1%}") for skill in skills)
    coverage = "-" if score.coverage is None else f"{score.coverage:.1%}"
    return f"  {score.lead_min:>3} {score.n:>9,}{figures}{first:>9}{second:>8}{coverage:>10}"


def _pair(mse_kw2: float | None, mae_kw: float | None) -> str:
    return "-" if mse_kw2 is None or mae_kw is None else f"{mse_kw2:.4f}/{mae_kw:.4f}"


def _words(name: str) -> str:
    return name.replace("_", " ")
