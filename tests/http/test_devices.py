"""``/devices``: the status and history of each device."""

from __future__ import annotations

import pytest

from gapcast.api.devices import Devices
from gapcast.app.models.loaded_models import Models
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.submeters import measured_name
from gapcast.core.time_grid import minute_label
from gapcast.service.service import Service
from tests.core.learning.test_house_forests import constant_forest
from tests.http.conftest import Rest
from tests.http.test_predict import assert_problem
from tests.support.links import MemoryLink

FIRST = 21_476_160
NAMES = ["a", "b.2", "c", "home"]


@pytest.fixture(scope="module")
def with_devices(rest: Rest) -> Rest:
    """REST with four devices of 12 minutes each, and one with a single reading."""
    for minute in range(12):
        rest.push(*(Reading(name, FIRST + minute, 0.25 * (minute + i)) for i, name in enumerate(reversed(NAMES))))
    rest.push(Reading("young", FIRST, 1.5))
    return rest


def test_device_status(with_devices: Rest) -> None:
    document = with_devices.client.get("/devices/home").json()
    assert document["device"] == "home"
    assert document["online"] is None
    assert document["last_reading"] == {"ts": minute_label(FIRST + 11), "gap_kw": 2.75}
    assert document["last_reading_filled"] is False
    assert document["n_observed"] == 12
    assert document["context"] == with_devices.service.queries.published_model.spec.context
    assert document["tracked"] is False  # there is no ensemble
    assert document["has_trees"] is False
    assert document["forecast"] == with_devices.client.get("/predict", params={"device": "home"}).json()
    assert set(document["scores"]) == {"last_day", "last_week", "all_time", "ever"}
    assert document["scores"]["all_time"] == document["scores"]["ever"]
    assert document["scores"]["all_time"]["n"] == 0


def test_device_has_trees_after_a_refit(models: Models) -> None:
    link, engine = MemoryLink(), Engine(models.primary)
    forests = engine.horizons.main.forests
    forests.use("home", constant_forest(forests.features.names))
    link.put(Reading("home", FIRST, 3.0), Reading("cellar", FIRST, 3.0))
    service = Service(link, engine, models.by_name)
    service.run_once(0)
    assert [document["has_trees"] for document in Devices(service).page(2)["devices"]] == [False, True]


def test_device_has_the_newest_known_minute_of_each_submeter(models: Models) -> None:
    link = MemoryLink()
    engine = Engine(models.primary, submeters={"home": ("car", "oven", "pump")})
    service = Service(link, engine, models.by_name)
    car, pump = measured_name("car"), measured_name("pump")
    for i, measured in enumerate(({car: 2.0}, {car: 0.5, pump: 0.1}, None, {pump: 0.25})):
        link.put(Reading("home", FIRST + i, 3.0, measured=measured))
    service.run_once(0)
    document = Devices(service).one("home")
    assert document is not None
    assert document["submeters"] == [
        {"name": "car", "last_minute": {"ts": minute_label(FIRST + 1), "gap_kw": 0.5}, "age_min": 2},
        {"name": "oven", "last_minute": None, "age_min": None},
        {"name": "pump", "last_minute": {"ts": minute_label(FIRST + 3), "gap_kw": 0.25}, "age_min": 0},
    ]


def test_device_has_the_offset_of_a_wrong_clock(with_devices: Rest) -> None:
    with_devices.service.statistics.clock_offsets_min["home"] = -61
    offsets_min = [one["clock_offset_min"] for one in with_devices.client.get("/devices").json()["devices"]]
    assert offsets_min == [None, None, None, -61, None]
    assert with_devices.client.get("/devices/home").json()["clock_offset_min"] == -61
    del with_devices.service.statistics.clock_offsets_min["home"]
    assert with_devices.client.get("/devices/home").json()["clock_offset_min"] is None


def test_device_before_its_first_forecast(with_devices: Rest) -> None:
    document = with_devices.client.get("/devices/young").json()
    assert document["forecast"] is None
    assert document["n_observed"] == 1


def test_device_status_marks_a_filled_newest_minute(rest: Rest) -> None:
    rest.push(*(Reading("silent", FIRST + minute, 1.5, is_filled=minute == 2) for minute in range(3)))
    document = rest.client.get("/devices/silent").json()
    assert (document["last_reading_filled"], document["n_observed"]) == (True, 2)
    assert document["forecast"]["observed_at"] == minute_label(FIRST + 2)
    rest.push(Reading("silent", FIRST + 3, 1.5))
    assert rest.client.get("/devices/silent").json()["last_reading_filled"] is False
    rest.client.delete("/devices/silent")


def test_devices_are_paged_by_name(with_devices: Rest) -> None:
    first = with_devices.client.get("/devices", params={"limit": 3}).json()
    assert [one["device"] for one in first["devices"]] == ["a", "b.2", "c"]
    assert first["n_devices"] == 5
    assert first["next"] == "c"
    second = with_devices.client.get("/devices", params={"limit": 3, "after": first["next"]}).json()
    assert [one["device"] for one in second["devices"]] == ["home", "young"]
    assert second["next"] is None
    assert set(second["devices"][0]["scores"]) == {"last_day"}
    assert second["devices"][0]["forecast"] == with_devices.client.get("/devices/home").json()["forecast"]


def test_devices_long_answer_is_compressed_if_accepted(with_devices: Rest) -> None:
    plain = with_devices.client.get("/devices", headers={"accept-encoding": "identity"})
    refused = with_devices.client.get("/devices", headers={"accept-encoding": "gzip;q=0"})
    for answer in (plain, refused):
        assert "content-encoding" not in answer.headers
        assert answer.headers["vary"] == "Accept-Encoding"
    assert len(plain.content) > 2_000
    packed = with_devices.client.get("/devices", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 3
    assert packed.json() == plain.json()
    for short in ("/devices/young", "/predict", "/devices/nobody"):
        assert "content-encoding" not in with_devices.client.get(short, headers={"accept-encoding": "gzip"}).headers


def test_device_history(with_devices: Rest) -> None:
    document = with_devices.client.get("/devices/home/history", params={"minutes": 4}).json()
    assert [one["ts"] for one in document["readings"]] == [minute_label(FIRST + m) for m in range(8, 12)]
    assert [one["target_at"] for one in document["forecasts"]] == [minute_label(FIRST + m) for m in range(8, 17)]
    assert [one["actual_kw"] for one in document["forecasts"]][:5] == [2.0, 2.25, 2.5, 2.75, None]
    newest = with_devices.client.get("/predict", params={"device": "home"}).json()
    assert document["forecasts"][-1]["gap_kw"] == pytest.approx(newest["gap_kw"], abs=1e-6)
    assert with_devices.client.get("/devices/home/history").json()["minutes"] == 180


def test_device_unknown_is_a_404(with_devices: Rest) -> None:
    for path in ("/devices/nobody", "/devices/nobody/history"):
        assert_problem(with_devices.client.get(path), 404, "nobody")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [("/devices", "limit", "0"), ("/devices", "limit", "x"), ("/devices/home/history", "minutes", "0")],
)
def test_devices_invalid_query_is_a_422(with_devices: Rest, path: str, name: str, value: str) -> None:
    assert_problem(with_devices.client.get(path, params={name: value}), 422, name)


def test_device_forgotten_is_a_404(with_devices: Rest) -> None:
    with_devices.push(Reading("gone", FIRST, 1.0), Reading("gone", FIRST + 1, 1.0))
    assert with_devices.client.delete("/devices/gone").status_code == 204
    assert_problem(with_devices.client.get("/devices/gone"), 404, "gone")
    assert "gone" not in with_devices.client.get("/devices").text
