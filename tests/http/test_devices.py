"""What is known of each device, over REST."""

from __future__ import annotations

import pytest

from gapcast.core.grid import minute_label
from gapcast.core.reading import Reading
from tests.http.conftest import Rest
from tests.http.test_predict import assert_problem

FIRST = 21_476_160
NAMES = ["a", "b.2", "c", "home"]


@pytest.fixture(scope="module")
def fed(rest: Rest) -> Rest:
    """REST of four devices with 12 minutes each, and one with a single reading."""
    for minute in range(12):
        rest.push(*(Reading(name, FIRST + minute, 0.25 * (minute + i)) for i, name in enumerate(reversed(NAMES))))
    rest.push(Reading("young", FIRST, 1.5))
    return rest


def test_one_device(fed: Rest) -> None:
    document = fed.client.get("/devices/home").json()
    assert document["device"] == "home"
    assert document["online"] is None
    assert document["last_reading"] == {"ts": minute_label(FIRST + 11), "gap_kw": 2.75}
    assert document["n_observed"] == 12
    assert document["context"] == fed.service.publisher.spec.context
    assert document["forecast"] == fed.client.get("/predict", params={"device": "home"}).json()
    assert set(document["scores"]) == {"last_day", "last_week", "ever"}
    assert document["scores"]["ever"]["n"] == 0


def test_one_before_its_first_forecast(fed: Rest) -> None:
    document = fed.client.get("/devices/young").json()
    assert document["forecast"] is None
    assert document["n_observed"] == 1


def test_pages_by_name(fed: Rest) -> None:
    first = fed.client.get("/devices", params={"limit": 3}).json()
    assert [one["device"] for one in first["devices"]] == ["a", "b.2", "c"]
    assert first["n_devices"] == 5
    assert first["next"] == "c"
    second = fed.client.get("/devices", params={"limit": 3, "after": first["next"]}).json()
    assert [one["device"] for one in second["devices"]] == ["home", "young"]
    assert second["next"] is None
    assert set(second["devices"][0]["scores"]) == {"last_day"}
    assert second["devices"][0]["forecast"] == fed.client.get("/devices/home").json()["forecast"]


def test_what_is_long_is_packed_for_who_accepts_it(fed: Rest) -> None:
    plain = fed.client.get("/devices", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(plain.content) > 2_000
    packed = fed.client.get("/devices", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert packed.json() == plain.json()
    for short in ("/devices/young", "/predict", "/devices/nobody"):
        assert "content-encoding" not in fed.client.get(short, headers={"accept-encoding": "gzip"}).headers


def test_history(fed: Rest) -> None:
    document = fed.client.get("/devices/home/history", params={"minutes": 4}).json()
    assert [one["ts"] for one in document["readings"]] == [minute_label(FIRST + m) for m in range(8, 12)]
    assert [one["target_at"] for one in document["forecasts"]] == [minute_label(FIRST + m) for m in range(8, 17)]
    assert [one["came_kw"] for one in document["forecasts"]][:5] == [2.0, 2.25, 2.5, 2.75, None]
    newest = fed.client.get("/predict", params={"device": "home"}).json()
    assert document["forecasts"][-1]["gap_kw"] == pytest.approx(newest["gap_kw"], abs=1e-6)
    assert fed.client.get("/devices/home/history").json()["minutes"] == 180


def test_what_is_unknown_is_a_404(fed: Rest) -> None:
    for path in ("/devices/nobody", "/devices/nobody/history"):
        assert_problem(fed.client.get(path), 404, "nobody")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [("/devices", "limit", "0"), ("/devices", "limit", "x"), ("/devices/home/history", "minutes", "0")],
)
def test_what_cannot_be_asked_is_a_422(fed: Rest, path: str, name: str, value: str) -> None:
    assert_problem(fed.client.get(path, params={name: value}), 422, name)


def test_a_forgotten_one_is_gone(fed: Rest) -> None:
    fed.push(Reading("gone", FIRST, 1.0), Reading("gone", FIRST + 1, 1.0))
    assert fed.client.delete("/devices/gone").status_code == 204
    assert_problem(fed.client.get("/devices/gone"), 404, "gone")
    assert "gone" not in fed.client.get("/devices").text
