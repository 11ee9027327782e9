"""The page of a house: the values of REST, live."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gapcast.core.learning.scores.summary import MIN_OUTCOMES
from gapcast.recordings.recording import Minute
from tests.page.conftest import House, Look, payload
from tests.page.pixels import N_PIXELS
from tests.support.brokers import MosquittoBroker
from tests.support.browser import PHONE, BrowserWindow
from tests.support.gateways import Gateway
from tests.support.peers import peer_of
from tests.support.waiting import wait_until

AT = "#device={}"


def shown(window: BrowserWindow) -> dict[str, Any]:
    """Return what the first card shows of the newest forecast, by the names in ``/predict``."""
    lower, upper = (window.page.locator("#interval data").nth(i).get_attribute("value") for i in (0, 1))
    path = window.page.locator("#path data").evaluate_all("all => all.map((one) => Number(one.value))")
    return {
        "gap_kw": window.data("#ahead-kw"),
        "lower_kw": float(lower or "nan"),
        "upper_kw": float(upper or "nan"),
        "path": path,
    }


def test_house_values_follow_predict(house: House, look: Look) -> None:
    window = look(house.url + AT.format("home"))
    for _ in range(3):
        minute = house.read_next()
        published = house.ask("predict?device=home")
        window.wait("(kw) => Number(document.querySelector('#ahead-kw').value) === kw", published["gap_kw"])
        assert shown(window) == {name: published[name] for name in ("gap_kw", "lower_kw", "upper_kw", "path")}
        assert window.data("#now-kw") == pytest.approx(minute.gap_kw, abs=1e-6)
        assert window.text("#ahead-kw") == f"{published['gap_kw']:.2f}"
        weights = window.page.locator("#members tr").evaluate_all(
            "rows => rows.map((row) => [...row.querySelectorAll('data')].map((one) => Number(one.value)))"
        )
        by_mean = sorted(published["experts"], key=lambda name: -published["experts"][name])
        assert weights == [[published["experts"][name], published["median_experts"][name]] for name in by_mean]
    assert window.text("#device") == "home"


def test_house_shows_planned_power_while_there_is_some(house: House, look: Look) -> None:
    window = look(house.url + AT.format("home"))
    newest = house.ask("devices/home")["last_reading"]["ts"]
    plan = f"{house.url}devices/home/plan"
    assert httpx.put(plan, json=[{"kw": 2.5, "from": newest, "minutes": 30}]).status_code == 200
    house.read_next()
    window.see("#planned", "Forecast includes planned loads: 2.50 kW")
    assert httpx.delete(plan).status_code == 204
    house.read_next()
    window.wait("() => document.querySelector('#planned').hidden")


def test_house_shows_outcome_and_forecast_of_a_minute(house: House, look: Look) -> None:
    window = look(house.url + AT.format("home"))
    window.page.locator("#table-part summary").click()
    window.wait("() => document.querySelectorAll('#rows tr').length === 185")
    history = house.ask("devices/home/history?minutes=180")
    published = {forecast["target_at"]: forecast for forecast in history["forecasts"]}
    read = {reading["ts"]: reading["gap_kw"] for reading in history["readings"]}
    rows = window.page.locator("#rows tr").evaluate_all(
        "rows => rows.map((row) => [...row.children].map((c) => c.innerText))"
    )
    for label, row in zip(sorted(set(published) | set(read), reverse=True), rows, strict=True):
        forecast = published[label]
        assert row[1] == (f"{read[label]:.3f}" if label in read else "pending")
        assert row[2] == f"{forecast['gap_kw']:.3f}"
        assert row[3] == f"{forecast['lower_kw']:.3f} to {forecast['upper_kw']:.3f}"
    assert [row[1] for row in rows].count("pending") == 5  # the five minutes that no reading has come of
    for range_, minutes in (("1 h", 60), ("24 h", 1_440)):  # as the chart
        window.page.get_by_role("button", name=range_, exact=True).click()
        window.wait("(n) => document.querySelectorAll('#rows tr').length === n", minutes + 5)


def test_rows_of_the_tables_stay_while_minutes_arrive(house: House, look: Look) -> None:
    """Who reads a table with a screen reader, or has selected some of it, is not interrupted."""
    window = look(house.url + AT.format("home"))
    for part, rows in (("#table-part", "#rows"), ("#outlook-part", "#outlook-rows")):
        window.page.locator(f"{part} summary").click()
        window.page.locator(f"{rows} tr").first.wait_for()
    texts = """() => [...document.querySelectorAll('#rows tr, #outlook-rows tr')].map((row) => row.innerText)"""
    window.page.evaluate("() => { window.read = document.querySelectorAll('#rows tr')[10] }")
    pending = window.page.evaluate(
        "() => { window.next = document.querySelectorAll('#rows tr')[4]; return next.innerText }"
    )
    window.page.evaluate("() => getSelection().selectAllChildren(window.read)")
    before = window.page.evaluate("() => String(getSelection())")
    newest = "() => ['#rows tr', '#outlook-rows tr'].map((row) => document.querySelector(row).dataset.minute)"
    first = window.page.evaluate(newest)
    minute = house.read_next()
    window.wait("(kw) => window.next.innerText.includes(kw)", f"{minute.gap_kw:.3f}")
    window.wait(f"(first) => ({newest})().every((minute, i) => minute !== first[i])", first)
    assert "pending" in pending
    assert window.page.evaluate("() => [window.read.isConnected, String(getSelection())]") == [True, before]
    kept = window.page.evaluate(texts)
    window.page.evaluate(
        "() => document.querySelectorAll('#rows, #outlook-rows').forEach((body) => body.replaceChildren())"
    )
    window.page.get_by_role("button", name="3 h", exact=True).click()  # draws all rows again
    window.wait(f"(kept) => JSON.stringify(({texts})()) === JSON.stringify(kept)", kept)


def test_house_chart_is_drawn(house: House, look: Look) -> None:
    window = look(house.url + AT.format("home"))
    for range_ in ("24 h", "3 h"):
        window.page.get_by_role("button", name=range_, exact=True).click()
        window.see("#chart-note", f"Last {range_.replace(' h', ' hours')}")
    for name in ("measured", "forecast"):
        window.wait(
            f"(name) => ({N_PIXELS})(name) > 200",
            name,
        )
    window.page.locator("#chart .u-over").hover()
    window.see("#readout", "forecast")
    window.is_expected = lambda error: "getImageData" in error  # the test's own asking


def test_house_scores_as_text(house: House, look: Look) -> None:
    scores = house.ask("devices/home")["scores"]["last_day"]
    assert scores["sufficient"]
    window = look(house.url + AT.format("home"))
    whole = round(100 * abs(scores["skill"]))
    side = "better" if scores["skill"] > 0 else "worse"
    window.see("#skill", f"{whole}\xa0% {side} than persistence (assuming no change) over the last day.")
    covered = round(100 * scores["coverage"])
    window.see("#coverage", f"{covered}\xa0% of the measured values were inside the 90 % interval.")
    window.see("#figures", f"{scores['mae_kw']:.3f}")
    window.see("#warm", "180 of 180 minutes")


def test_house_warming_up_has_no_scores(house: House, look: Look) -> None:
    n = house.ask("devices/attic")["scores"]["all_time"]["n"]
    assert n > 0
    window = look(house.url + AT.format("attic"))
    window.see("#state", "Warm-up: 10 of 180 minutes")
    window.see("#warm", "10 of 180 minutes")
    assert n < MIN_OUTCOMES / 2
    window.see("#skill", "Forecast accuracy will be shown in about 12\xa0h.")
    window.see("#warm", "First assessment")
    window.see("#warm", "in about 12\xa0h")
    window.see("#figures", f"Outcomes\t{n}")
    assert "better" not in window.text("#figures")


def test_time_until_the_accuracy_is_that_of_the_first_period(house: House, look: Look) -> None:
    """A meter with pauses has fewer outcomes in the last day than in all."""
    window = look("about:blank")

    def with_pauses(route: Any) -> None:
        response = route.fetch()
        device = response.json()
        for period, n in (("last_day", 100), ("last_week", 690), ("all_time", 690)):
            device["scores"][period] |= {"n": n, "sufficient": False}
        route.fulfill(response=response, json=device)

    window.page.route("**/devices/attic", with_pauses)
    window.open(house.url + AT.format("attic"))
    window.see("#warm", "in about 30\xa0min")
    window.see("#skill", "Forecast accuracy will be shown in about 30\xa0min.")


def test_score_texts(house: House, look: Look) -> None:
    window = look(house.url)

    def text(**scores: Any) -> list[str]:
        sentence: list[str] = window.page.evaluate(
            "async (scores) => (await import('./page/format.js')).skillSentence(scores, 'last_day')",
            {"n": 900} | scores,
        )
        return sentence

    reference = "persistence (assuming no change) over the last day"
    assert text(sufficient=True, skill=0.141) == [f"14\xa0% better than {reference}", "good"]
    assert text(sufficient=True, skill=-0.082) == [f"8\xa0% worse than {reference}", "bad"]
    assert text(sufficient=True, skill=-0.004)[0] == f"As good as {reference}"
    assert text(sufficient=True, skill=None)[1] == "even"
    for n, duration in ((3, "12\xa0h"), (360, "6\xa0h"), (640, "80\xa0min"), (MIN_OUTCOMES - 1, "1\xa0min")):
        assert text(sufficient=False, skill=0.9, n=n)[0].endswith(
            f"Forecast accuracy will be shown in about {duration}"
        )
    assert window.page.evaluate("async () => (await import('./page/format.js')).MIN_OUTCOMES") == MIN_OUTCOMES


def test_house_chart_restarts_with_a_replay(house: House, look: Look) -> None:
    window = look(house.url)
    rows = window.page.evaluate(
        """async () => {
          const { Series } = await import('./page/series.js');
          const series = new Series();
          const at = (minute) => new Date(60_000 * (24_000_000 + minute)).toISOString();
          series.addReading(at(10), 1);
          const path = [1.2, 1.4, 1.6, 1.8, 2];
          const ends = { observed_at: at(10), target_at: at(15), horizon_min: 5 };
          series.addForecast({ ...ends, gap_kw: 2, lower_kw: 1, upper_kw: 3, path });
          const columns = series.columns(3).map((column) => column.slice(-6));
          series.addReading(at(4), 7);
          return [columns, [...series.measured.values()], series.forecasts.size];
        }"""
    )
    columns, read, n_told = rows
    seconds, kw, lower, upper, published, path, medians = columns
    assert [s - seconds[0] for s in seconds] == [0, 60, 120, 180, 240, 300]
    assert kw == [1, None, None, None, None, None]
    assert (lower[-1], upper[-1], lower[:-1]) == (1, 3, [None] * 5)  # at its target minute
    assert published == [None] * 6
    assert path == [1, 1.2, 1.4, 1.6, 1.8, 2]
    assert medians == [None] * 6  # without an outlook
    assert (read, n_told) == ([7], 0)


def test_house_chart_begins_with_its_first_value(house: House, look: Look) -> None:
    window = look(house.url + AT.format("attic"))
    window.see("#chart-note", "Last 3 hours (10 minutes so far), until")
    shown = window.page.evaluate(
        """async () => {
          const { Series } = await import('./page/series.js');
          const at = (minute) => new Date(60_000 * (24_000_000 + minute)).toISOString();
          const shown = (nReadings, nMinutes) => {
            const series = new Series();
            for (let i = 0; i < nReadings; i++) series.addReading(at(i), 1);
            return series.columns(nMinutes)[0].length;
          };
          return [shown(2, 180), shown(25, 180), shown(180, 180), shown(300, 180), shown(300, 60)];
        }"""
    )
    assert shown == [10, 25, 180, 180, 60]


def test_page_shows_devices_and_gateway(house: House, look: Look) -> None:
    window = look(house.url, viewport=PHONE)
    window.see("#list", "attic")
    window.see("#list", "home")
    assert window.text("#count") == "2"
    window.see("#gateway", "Connected")
    for name in house.gateway.service.queries.models:
        assert name in window.text("#gateway")
    window.page.locator("#models summary").click()
    window.see("#cards", "parameters")
    assert window.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    house.peer.publish("gap/cellar/reading", '{"ts": "2010-07-12T00:00:00Z", "gap_kw": 1.5}')
    window.see("#list", "cellar")
    window.see("#count", "3")
    # Its requests about the device are answered before the device is forgotten.
    status, history = re.compile(r"/devices/cellar$"), re.compile(r"/devices/cellar/history\?")
    with window.page.expect_response(status), window.page.expect_response(history):
        window.page.locator("#list").get_by_text("cellar").click()
    window.see("#device", "cellar")
    window.wait("() => Math.abs(document.querySelector('#now').getBoundingClientRect().top) < 40")  # it is in sight
    window.see("#state", "Waiting for second reading")
    wait_until(lambda: house.gateway.service.forget("cellar"), "the device to be forgotten")
    window.see("#count", "2")
    window.wait("() => document.querySelector('#device').innerText !== 'cellar'")


def test_unknown_device(house: House, look: Look) -> None:
    window = look(house.url + AT.format("home"))
    window.see("#state", "Online")
    window.page.goto(house.url + AT.format("nobody"))
    window.see("#device", "nobody")
    window.see("#state", "Unknown device")
    assert window.data("#now-kw") is window.data("#ahead-kw") is None
    assert (window.text("#now-kw"), window.text("#skill")) == ("–", "")
    assert window.text("#chart-note") == "No measured values yet."
    window.is_expected = lambda error: "404" in error


def test_house_chart_note_two_readings_counts_two_minutes(house: House, look: Look) -> None:
    house.peer.publish("gap/shed/reading", '{"ts": "2010-07-12T00:00:00Z", "gap_kw": 1.5}')
    house.peer.publish("gap/shed/reading", '{"ts": "2010-07-12T00:01:00Z", "gap_kw": 1.4}')
    window = look(house.url + AT.format("shed"))
    window.see("#chart-note", "Last 3 hours (2 minutes so far), until")
    wait_until(lambda: house.gateway.service.forget("shed"), "the device to be forgotten")


def test_page_has_no_horizon_until_there_is_a_forecast(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look
) -> None:
    gateway = start(mosquitto, forecast={"horizon_min": 15})
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.publish("gap/home/reading", payload(Minute(21_476_160, 1.25)))
        gateway.wait_taken(1)
        window = look(f"{gateway.url}/")
        window.see("#state", "Waiting for second reading")
        assert window.text("#ahead-label") == "Forecast"
        assert (window.text("#key-forecast"), window.text("#key-path")) == ("earlier forecast", "next minutes")
        assert not re.search(r"\b(5|five) min", window.text("#dashboard"))
        peer.publish("gap/home/reading", payload(Minute(21_476_161, 1.25)))
        window.see("#ahead-label", "In 15 minutes")
        window.see("#path-label", "Next 15 minutes, kW")
        window.see("#key-forecast", "forecast 15 min earlier")
        assert window.page.locator("#earlier-head").text_content() == "Forecast 15 min earlier, kW"
        window.see("#key-path", "next 60 minutes")  # of the outlook
