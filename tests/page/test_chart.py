"""The chart and the figures: devices with incomplete minutes, and small powers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute
from tests.page.conftest import House, Look, payload
from tests.page.pixels import N_PIXELS
from tests.support.brokers import MosquittoBroker
from tests.support.browser import PHONE, BrowserWindow
from tests.support.gateways import Gateway
from tests.support.models import models_with_outlook
from tests.support.peers import peer_of

#: A minute of 2026.
FIRST = 29_500_000


def n_pixels(window: BrowserWindow, name: str) -> int:
    window.is_expected = lambda error: "getImageData" in error  # the test's own asking
    n: int = window.page.evaluate(N_PIXELS, name)
    return n


def publish(house: House, device: str, minutes: range, kw: float = 1.5) -> None:
    n = house.gateway.n_taken
    for minute in minutes:
        house.peer.send(f"gap/{device}/reading", payload(Minute(FIRST + minute, kw)))
    house.gateway.wait_taken(n + len(minutes))


def test_chart_draws_readings_between_missing_minutes(house: House, look: Look) -> None:
    publish(house, "sparse", range(0, 120, 2))
    window = look(f"{house.url}#device=sparse")
    window.see("#chart-note", "(119 minutes so far)")
    window.wait("() => document.querySelector('#chart canvas')")
    assert n_pixels(window, "measured") > 200
    assert house.gateway.service.forget("sparse")


def test_filled_minute_is_shown_and_is_no_measured_value(house: House, look: Look) -> None:
    said = "(filled: the meter sends nothing, its last value is held)"

    def publish_one(minute: int, kw: float, *, is_filled: bool = False) -> None:
        n = house.gateway.n_taken
        document = {"ts": minute_label(FIRST + minute), "gap_kw": kw, "filled": is_filled}
        house.peer.publish("gap/silent/reading", json.dumps(document))
        house.gateway.wait_taken(n + 1)

    for minute in range(3):
        publish_one(minute, 0.4, is_filled=minute == 2)
    window = look(f"{house.url}#device=silent")  # by GET /devices
    window.see("#when", said)
    window.see("#chart-note", "(3 minutes so far)")  # the history has two
    publish_one(3, 0.4)  # by events from here on
    window.wait("() => !document.querySelector('#when').innerText.includes('filled')")
    publish_one(4, 0.7, is_filled=True)
    window.see("#when", said)
    window.see("#now-kw", "0.70")
    window.see("#chart-note", "(5 minutes so far)")
    assert "measured 0.40 to 0.40 kW" in window.text("#chart-note")
    window.page.close()
    assert house.gateway.service.forget("silent")


def test_history_of_filled_minutes_alone_is_not_missing(house: House, look: Look) -> None:
    n = house.gateway.n_taken
    for minute in range(3):
        document = {"ts": minute_label(FIRST + minute), "gap_kw": 0.4, "filled": True}
        house.peer.publish("gap/held/reading", json.dumps(document))
    house.gateway.wait_taken(n + 3)
    window = look(f"{house.url}#device=held")
    window.see("#chart-note", "No measured values yet.")
    window.page.locator("#chart canvas").wait_for()
    assert window.text("#chart-note") == "No measured values yet."
    window.page.close()
    assert house.gateway.service.forget("held")


def test_path_begins_at_the_minute_of_its_forecast(house: House, look: Look) -> None:
    measured, path, target, target_of_some = look(house.url).page.evaluate(
        """async () => {
          const { Series } = await import('./page/series.js');
          const series = new Series();
          const at = (minute) => new Date(60_000 * (24_000_000 + minute)).toISOString();
          series.addHistory({ readings: [{ ts: at(1), gap_kw: 1 }], forecasts: [] });
          series.extendTo(at(3)); // two filled minutes
          const forecast = { observed_at: at(3), target_at: at(6), gap_kw: 2, horizon_min: 3, path: [1.2, 1.4, 2] };
          series.addForecast(forecast);
          series.addReading(at(4), 1.1);
          const columns = series.columns(180);
          const without = [undefined, [1.2, 2]].map((path) => {
            series.addForecast({ ...forecast, path });
            return series.columns(180)[5];
          });
          return [columns[1], columns[5], ...without].map((column) => column.slice(-6));
        }"""
    )
    assert measured == [1, None, None, 1.1, None, None]
    assert path == [None, None, None, 1.1, 1.4, 2]
    assert target == target_of_some == [None, None, None, 1.1, None, 2], "without a value for each minute"


def test_table_times_are_unequal_when_summer_time_ends(house: House, look: Look) -> None:
    half_past_two = 29_881_470  # the first one of 25 October 2026, in Berlin
    publish(house, "autumn", range(half_past_two - FIRST, half_past_two - FIRST + 61, 20))
    window = look(f"{house.url}#device=autumn", timezone_id="Europe/Berlin")
    window.page.locator("#table-part summary").click()
    window.wait("() => document.querySelectorAll('#rows tr').length === 4")
    times = window.page.locator("#rows th").all_inner_texts()
    day = ", 25 October 2026"
    assert times == [f"{time}{day}" for time in ("02:30 GMT+1", "02:10", "02:50", "02:30 GMT+2")]
    assert house.gateway.service.forget("autumn")


def test_page_shows_no_forecast_from_before_a_gap(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look, tmp_path: Path
) -> None:
    gateway = start(mosquitto, **models_with_outlook(tmp_path / "models"))
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        house = House(gateway, peer, iter(()))
        publish(house, "home", range(20))
        window = look(house.url + "#device=home")
        window.see("#chart-note", "Forecast for ")
        window.see("#means", "60 min")
        publish(house, "home", range(200, 201))
        for _ in range(2):  # by events, then by GET /devices
            window.see("#state", "Waiting for second reading")
            assert window.text("#ahead-kw") == "–"
            assert window.page.locator("#path-part").is_hidden()
            assert "Forecast for" not in window.text("#chart-note")
            assert "Mean of the next hour" not in window.text("#chart-note")
            window.see("#list", "Waiting for second reading")
            window.reload()
        publish(house, "home", range(201, 202))
        window.see("#chart-note", "Forecast for ")
        window.see("#means", "60 min")


def test_powers_as_text(house: House, look: Look) -> None:
    texts = look(house.url).page.evaluate(
        """async () => {
          const { kw, kw3 } = await import('./page/format.js');
          const values = [0, -0, 0.0004, -0.0004, -0.0006, 0.001, -0.05, 0.5, -3.456, 9.994, 50, -50.04, null];
          return [values.map(kw), [-0.0004, 0, -0.0006, -12].map(kw3)];
        }"""
    )
    assert texts == [
        ["0.00", "0.00", "0.000", "0.000", "-0.001", "0.001", "-0.050", "0.50", "-3.46", "9.99", "50.0", "-50.0", "–"],
        ["0.000", "0.000", "-0.001", "-12.000"],
    ]


def test_tap_on_the_chart_shows_the_values_of_a_minute(house: House, look: Look) -> None:
    window = look(f"{house.url}#device=home", viewport=PHONE, has_touch=True)
    window.see("#chart-note", "Forecast for ")
    over = window.page.locator("#chart .u-over")
    over.tap(position={"x": 60, "y": 60})
    window.see("#readout", "measured ")
    readout, minute = window.text("#readout"), house.read_next()
    window.see("#when", f"{minute_label(minute.minute)[11:16]},")
    assert window.text("#readout") == readout  # of the same minute, which is further left now
    window.page.locator("#ranges button").first.press("Enter")  # an hour, which does not have it
    window.wait("() => document.querySelector('#readout').innerText === ''")
    over.tap(position={"x": 60, "y": 60})
    window.see("#readout", "measured ")
    window.page.locator("#chart-head").tap()
    window.wait("() => document.querySelector('#readout').innerText === ''")
    for chart_or_not, seen in (
        ("#chart .u-over", "true"),
        ("#chart-head", "false"),
    ):  # a mouse too
        window.page.locator(chart_or_not).hover()
        window.wait(f"() => (document.querySelector('#readout').innerText !== '') === {seen}")


@pytest.mark.parametrize("width", [320, 360])
def test_small_powers_fit_on_a_narrow_screen(house: House, look: Look, width: int) -> None:
    publish(house, f"tiny-{width}", range(30), kw=-0.001)
    window = look(f"{house.url}#device=tiny-{width}", viewport={"width": width, "height": 640})
    window.see("#now-kw", "-0.001")
    window.see("#path", "0.00")
    assert window.page.evaluate("document.documentElement.scrollWidth") == width
    tiles, line = (window.page.locator(part).bounding_box() for part in ("#path li:last-child", "#skill >> xpath=.."))
    assert tiles is not None
    assert line is not None
    assert tiles["x"] + tiles["width"] <= line["x"] + line["width"] + 0.5
    assert house.gateway.service.forget(f"tiny-{width}")


def test_path_of_a_long_horizon_is_thinned(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    horizons_min = {"far": 60, "near": 15, "next": 1}
    gateway = start(
        mosquitto, forecast={"devices": {name: {"horizon_min": minutes} for name, minutes in horizons_min.items()}}
    )
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        house = House(gateway, peer, iter(()))
        for device, horizon_min, step in (("far", 60, 6), ("near", 15, 2)):
            publish(house, device, range(3))
            path = house.ask(f"predict?device={device}")["path"]
            assert len(path) == horizon_min
            window = look(f"{house.url}#device={device}")
            window.see("#path-label", f"Next {horizon_min} minutes, kW")
            shown = window.page.locator("#path data").evaluate_all("all => all.map((one) => Number(one.value))")
            assert shown == path[::-step][::-1]  # the last one is that of the target minute
        publish(house, "next", range(1))  # whose forecasts have no path
        window = look(f"{house.url}#device=next", timezone_id="UTC")
        window.see("#chart-note", "(1 minute so far)")
        publish(house, "next", range(1, 3))
        target = minute_label(FIRST + 3)[11:16]
        window.see("#ahead-label", f"In 1 minute ({target})")
        window.see("#chart-note", f" Forecast for {target}: 1.5")
