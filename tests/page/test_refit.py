"""The nightly refit on the page: when it last ran, how long it took, and what its trees are worth."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gapcast.service.ports.minute_recorder import RefitStatus
from gapcast.service.queries.queries import ServiceQueries
from tests.page.conftest import House, Look
from tests.support.browser import BrowserWindow

RAN = RefitStatus(
    datetime(2010, 11, 30, 3, 12, tzinfo=UTC).timestamp(), 31.44, 2, n_forests=2, mse_skill=0.404, mae_skill=-0.046
)
LABELS = {"Nightly refit", "Trees in use", "Trees vs. persistence"}


def refit_rows(window: BrowserWindow) -> dict[str, str]:
    """Return the rows of the refit in the panel of the gateway, by label."""
    rows: list[list[str]] = window.page.locator("#gateway dt").evaluate_all(
        "all => all.map((one) => [one.innerText, one.nextElementSibling.innerText])"
    )
    return {label: text for label, text in rows if label in LABELS}


def test_page_shows_when_the_refit_last_ran_and_what_it_is_worth(
    house: House, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = look(house.url, timezone_id="UTC")
    window.see("#gateway", "Devices")
    assert refit_rows(window) == {}, "this gateway does not refit"
    monkeypatch.setattr(ServiceQueries, "refit_status", RAN)
    window.see("#gateway", "Nightly refit")
    assert refit_rows(window) == {
        "Nightly refit": "Last ran 03:12, 30 November 2010, took 31\xa0s",
        "Trees in use": "2 devices",
        "Trees vs. persistence": "40\xa0% better (MSE), 5\xa0% worse (MAE)",
    }


@pytest.mark.parametrize(
    ("took_s", "text"), [(0.3, "1\xa0s"), (119.4, "119\xa0s"), (4_000, "67 min"), (9_000, "2.5 h")]
)
def test_duration_of_the_refit_has_a_fitting_unit(
    house: House, look: Look, monkeypatch: pytest.MonkeyPatch, took_s: float, text: str
) -> None:
    monkeypatch.setattr(ServiceQueries, "refit_status", RefitStatus(RAN.last_ran_s, took_s, n_refused=1))
    window = look(house.url)
    window.see("#gateway", f"took {text}")
    assert set(refit_rows(window)) == {"Nightly refit"}, "there are no trees"


@pytest.mark.parametrize("n_forests", [0, 1])
def test_refit_that_has_not_run_since_the_start(
    house: House, look: Look, monkeypatch: pytest.MonkeyPatch, n_forests: int
) -> None:
    skill = 0.404 if n_forests else None  # of trees that the gateway has restored
    status = RefitStatus(n_forests=n_forests, mse_skill=skill, mae_skill=skill)
    monkeypatch.setattr(ServiceQueries, "refit_status", status)
    window = look(house.url)
    window.see("#gateway", "Not run since the start")
    trees = {"Trees in use": "1 device", "Trees vs. persistence": "40\xa0% better (MSE), 40\xa0% better (MAE)"}
    assert refit_rows(window) == {"Nightly refit": "Not run since the start"} | (trees if n_forests else {})
