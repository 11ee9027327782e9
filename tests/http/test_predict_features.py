"""``POST /predict`` with models that need more than power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gapcast.core.time_grid import minute_label
from gapcast.core.windows.features import assemble
from tests.http.conftest import EVERY, Rest
from tests.http.test_predict import FIRST, POWERS, assert_problem, timed

EXTRAS = {"reactive_kvar": 0.1, "voltage_v": 239.1, "current_a": 5.1}


def measured(*powers_kw: float) -> list[dict[str, Any]]:
    return [reading | EXTRAS for reading in timed(*enumerate(powers_kw))]


def test_predict_passes_measured_features(rest: Rest) -> None:
    document = rest.client.post("/predict", json={"readings": measured(1.0, 1.4), "model": EVERY}).json()
    model = rest.service.queries.models[EVERY]
    assert (document["model"], document["n_observed"]) == (EVERY, 2)
    assert len(document["path"]) == 5
    assert document["path"][-1] == document["gap_kw"]
    assert document["lower_kw"] < document["median_kw"] < document["upper_kw"]
    padded = np.tile(np.array([1.0, *EXTRAS.values()], dtype=np.float32), (1, model.spec.context, 1))
    padded[0, -1, 0] = 1.4
    inputs = assemble(padded, np.array([FIRST + 1]), model.features)
    assert document["path"] == pytest.approx(model.predict(inputs).mean[0].tolist(), abs=1e-5)


def test_predict_uses_the_readings_time_of_day(rest: Rest) -> None:
    def at(minute: int) -> float:
        readings = [{"ts": minute_label(FIRST + minute + i), "gap_kw": 1.0, **EXTRAS} for i in range(2)]
        gap_kw: float = rest.client.post("/predict", json={"readings": readings, "model": EVERY}).json()["gap_kw"]
        return gap_kw

    assert at(0) != at(720)
    assert at(0) == at(7 * 1_440)


def test_predict_one_lead_time_has_no_path(rest: Rest) -> None:
    if len(rest.service.queries.models["lstm-5-3"].lead_times_min) > 1:
        pytest.fail("lstm-5-3 forecasts several lead times now: take another model for this test")
    assert "path" not in rest.client.post("/predict", json={"readings": POWERS, "model": "lstm-5-3"}).json()


def test_predict_ignores_unneeded_features(rest: Rest) -> None:
    with_it, without = measured(*POWERS), timed(*enumerate(POWERS))
    answers = [rest.client.post("/predict", json={"readings": readings, "model": "linear"}).json()["gap_kw"]
               for readings in (with_it, without)]  # fmt: skip
    assert answers[0] == answers[1]


LACKING: dict[str, tuple[list[Any], str]] = {
    "bare numbers": (
        [1.0, 1.1],
        "readings[0]: the reading has no reactive_kvar or voltage_v or current_a",
    ),
    "power alone": (timed((0, 1.0), (1, 1.1)), f"which model {EVERY} needs: send gap_kw, reactive_kvar, voltage_v,"),
    "one of them missing": (
        [measured(1.0, 1.1)[0], {k: v for k, v in measured(1.0, 1.1)[1].items() if k != "voltage_v"}],
        "readings[1]: the reading has no voltage_v, which",
    ),
    "one that is null": (
        [measured(1.0, 1.1)[0], measured(1.0, 1.1)[1] | {"voltage_v": None}],
        "readings[1]: voltage_v must be a number in V, not null",
    ),
    "one that is text": ([measured(1.0)[0] | {"current_a": "5"}, 1], "readings[0]: current_a must be a number in A"),
}


@pytest.mark.parametrize("what", LACKING)
def test_predict_missing_feature_is_rejected(rest: Rest, what: str) -> None:
    readings, words = LACKING[what]
    assert_problem(rest.client.post("/predict", json={"readings": readings, "model": EVERY}), 422, words)
