"""Metrics of the live scores over all devices: of forecasts, outlooks and demands."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gapcast.core.forecasts.outcomes import PERSISTENCE
from gapcast.core.learning.scores.summary import MIN_OUTCOMES, MemberSummary, Summary, named_periods
from gapcast.service.queries.queries import ServiceQueries

#: Metrics of published forecasts only: name -> help text, and field of
#: :class:`~gapcast.core.learning.scores.summary.Summary`.
_OF_PUBLISHED = {
    "gapcast_bias_kw": ("Mean error of published forecasts (forecast - actual), kW.", "bias_kw"),
    "gapcast_interval_coverage_ratio": ("Share of actual values within the published prediction interval.", "coverage"),
    "gapcast_interval_width_kw": ("Mean width of the published prediction interval, kW.", "width_kw"),
    "gapcast_pinball_loss_kw": ("Mean pinball loss of published bounds and medians, kW.", "pinball_kw"),
}
#: Metrics of every ensemble member: likewise.
_OF_EVERY_MODEL = {
    "gapcast_squared_error_kw2": ("Mean squared error of the mean in the model's minutes, kW^2.", "mse_kw2"),
    "gapcast_absolute_error_kw": ("Mean absolute error of the median in the model's minutes, kW.", "mae_kw"),
    "gapcast_skill_ratio": ("Skill score: 1 - MSE / MSE of persistence in the model's minutes.", "skill"),
}

#: Number of windows over which the demand's score is averaged; half a day of quarter-hours.
_MIN_WINDOWS = 48
#: Names of the elapsed times of a window at which its probability is scored.
_PARTS_ELAPSED = ("0", "1/3", "2/3")


def score_families(queries: ServiceQueries) -> Iterator[Metric]:
    """Yield the metrics of all live scores."""
    yield from _forecast_scores(queries)
    yield from _outlook_scores(queries)
    yield from _demand_scores(queries)


def _forecast_scores(queries: ServiceQueries) -> Iterator[Metric]:
    """Yield the live scores over all devices, for periods with the minimum number of outcomes."""
    summaries, n_changes = queries.live_scores()
    scored = GaugeMetricFamily(
        "gapcast_scored_forecasts", "Forecasts scored against their actual value.", labels=["period"]
    )
    for period, summary in named_periods(summaries):
        scored.add_metric([period], summary.n)
    yield scored
    published = queries.published_model.name
    for name, (text, figure) in _OF_EVERY_MODEL.items():
        family = GaugeMetricFamily(name, text, labels=["model", "period"])
        for period, summary in named_periods(summaries):
            persistence = MemberSummary(summary.n, summary.persistence_mse_kw2, summary.persistence_mae_kw, 0.0)
            scored_models: dict[str, Summary | MemberSummary]
            scored_models = {published: summary, PERSISTENCE: persistence, **summary.members}
            for model, scores in scored_models.items():
                if scores.n >= MIN_OUTCOMES and (value := getattr(scores, figure)) is not None:
                    family.add_metric([model, period], value)
        yield family
    for name, (text, figure) in _OF_PUBLISHED.items():
        family = GaugeMetricFamily(name, text, labels=["model", "period"])
        for period, summary in named_periods(summaries):
            if summary.is_sufficient and (value := getattr(summary, figure)) is not None:
                family.add_metric([published, period], value)
        yield family
    yield CounterMetricFamily(
        "gapcast_drifts", "Lasting changes detected in the forecast errors of a device (concept drift).", n_changes
    )


def _outlook_scores(queries: ServiceQueries) -> Iterator[Metric]:
    """Yield the live scores of outlooks over all devices, for lead times with the minimum number of outcomes."""
    labels = ["kind", "lead_min", "period"]
    skill = GaugeMetricFamily(
        "gapcast_outlook_skill_ratio", "Skill score of outlooks: 1 - MSE / MSE of persistence.", labels=labels
    )
    coverage = GaugeMetricFamily(
        "gapcast_outlook_coverage_ratio", "Share of actual values within the interval of outlooks.", labels=labels
    )
    for period, scores in queries.outlooks.live_scores().items():
        for kind, of_kind in (("point", scores.point), ("mean", scores.mean)):
            for one in of_kind:
                for family, value in ((skill, one.skill), (coverage, one.coverage)):
                    if one.n >= MIN_OUTCOMES and value is not None:
                        family.add_metric([kind, str(one.lead_min), period], value)
    yield skill
    yield coverage


def _demand_scores(queries: ServiceQueries) -> Iterator[Metric]:
    """Yield the live scores of demands over all devices, once they cover half a day of quarter-hours."""
    text = "Brier score of the probability that a billing window exceeds its limit, by elapsed part of the window."
    family = GaugeMetricFamily("gapcast_demand_brier_score", text, labels=["elapsed"])
    for name, one in zip(_PARTS_ELAPSED, queries.demands.live_scores().by_elapsed, strict=True):
        if one.n >= _MIN_WINDOWS and one.brier is not None:
            family.add_metric([name], one.brier)
    yield family
