"""The panel of the running billing window: its text, its bar, and its content without a current demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapcast.core.billing.options import LimitSource
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.documents.document import demand_document
from gapcast.core.time_grid import MINUTE_MS, minute_label
from tests.page.conftest import House, Look
from tests.page.test_access import faults
from tests.support.brokers import MosquittoBroker
from tests.support.browser import DESKTOP, PHONE, BrowserWindow
from tests.support.demands import DEMAND
from tests.support.gateways import Gateway
from tests.support.models import models_with_outlook
from tests.support.peers import peer_of

KW = "\xa0kW"
PEAKS_KW = (3.214, 2.98)
#: Published a minute and a few seconds after the start of its newest minute, as in live operation.
LIVE = replace(DEMAND, issued_at_ms=DEMAND.observed_minute * MINUTE_MS + 63_000)


def changed(demand: Demand = LIVE, **changes: Any) -> Demand:
    """Return ``demand`` with ``changes`` of its running window, or of itself."""
    of_window = {name: value for name, value in changes.items() if hasattr(demand.running, name)}
    of_demand = {name: value for name, value in changes.items() if name not in of_window}
    return replace(demand, running=replace(demand.running, **of_window), **of_demand)


def document_of(demand: Demand, limit_warning: str | None = None) -> dict[str, Any]:
    """Return what ``GET /demand`` returns for ``demand``."""
    peaks = [
        {"start": minute_label(DEMAND.running.start_minute - 1_440 * i), "kw": kw} for i, kw in enumerate(PEAKS_KW)
    ]
    of_device = {"month_peaks": peaks, "timezone": "Europe/Brussels", "limit_warning": limit_warning}
    return demand_document(demand) | of_device


def stop_clocks(window: BrowserWindow, at_ms: int, ahead_ms: int = 0) -> None:
    """Set the gateway's clock to ``at_ms`` and the browser's ``ahead_ms`` ahead, even if a test sets it."""
    window.page.add_init_script(
        f"""Date.now = () => {at_ms + ahead_ms};
        const header = Headers.prototype.get;
        Headers.prototype.get = function (name) {{
          return name === "date" ? new Date(Date.now() - {ahead_ms}).toUTCString() : header.call(this, name);
        }};"""
    )


def look_at(
    look: Look,
    house: House,
    demand: Demand | None,
    after_s: float = 65,
    *,
    warning: str | None = None,
    ahead_s: float = 0,
    **options: Any,
) -> BrowserWindow:
    """Open the page of a device that has ``demand``, at ``after_s`` from the start of its newest minute."""
    window = look("about:blank", timezone_id="Europe/Brussels", **options)
    stop_clocks(window, DEMAND.observed_minute * MINUTE_MS + round(after_s * 1_000), round(ahead_s * 1_000))

    def with_demand(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"demand": demand and document_of(demand, warning)})

    window.page.route("**/devices/home", with_demand)
    window.open(house.url + "#device=home")
    window.page.locator("#chart canvas").wait_for()
    return window


def test_panel_shows_why_a_limit_can_never_be_kept(house: House, look: Look) -> None:
    words = "home: the limit of 0.10 kW is below the lowest window of the last day"
    window = look_at(look, house, LIVE, warning=words)
    window.see("#limit-warning", words)


def test_panel_shows_the_window_and_its_headroom(house: House, look: Look) -> None:
    window = look_at(look, house, LIVE)
    window.see("#demand-head", "Billing window 12:30 to 12:45")
    assert window.text("#demand-valid").startswith("Valid until 12:45")
    assert window.page.locator("#limit-warning").is_hidden()
    assert (window.data("#headroom"), window.text("#headroom")) == (1_234, "1.2")
    assert window.text("#headroom-text") == "may be added until 12:45"
    assert window.text("#headroom-risk") == "to keep the risk of exceeding the limit or the fuse at 5\xa0%"
    assert window.text("#chance") == f"Very unlikely to exceed 2.50{KW}"
    assert window.text("#chance-number") == "(1\xa0%)"
    assert window.text("#elapsed-text") == "11 of 15 minutes"
    assert window.page.locator("#elapsed").evaluate("bar => [bar.value, bar.max]") == [11, 15]
    assert window.text("#demand-facts").split("\n") == [
        "Mean so far", f"1.20{KW}",
        "Expected mean", f"1.30{KW} (median 1.25; 90 % interval 1.10 to 1.90)",
        "Limit", f"2.50{KW}, configured",
        "Fuse", f"9.20{KW}; very unlikely that a minute is above (under 1\xa0%)",
        "Next window", f"12:45 to 13:00: 2.60{KW} expected (0.80 to 4.00); no limit",
    ]  # fmt: skip
    peaks = window.page.locator("#peaks li").evaluate_all("all => all.map((one) => one.innerText.split('\\n'))")
    assert peaks == [["Tue 28 Mar, 12:30", f"3.21{KW}"], ["Mon 27 Mar, 12:30", f"2.98{KW}"]]
    assert window.text("#peaks-head") == "Highest windows of this month"


def test_power_that_must_go_off_is_explained_by_the_risk(house: House, look: Look) -> None:
    window = look_at(look, house, changed(p_exceed=0.09, headroom_kw=-0.45))
    window.see("#headroom-text", "must be switched off until 12:45")
    assert window.text("#chance") == f"Very unlikely to exceed 2.50{KW}"
    assert window.text("#chance-number") == "(9\xa0%, more than the accepted 5\xa0%)"


def test_month_peaks_have_times_of_the_gateways_zone(house: House, look: Look) -> None:
    window = look("about:blank", timezone_id="America/St_Johns")
    window.open(house.url)
    december_1st = {"start": "2026-11-30T23:00:00Z", "kw": 1.81}  # in Paris
    shown = window.page.evaluate(
        """async ([peak, ...timezones]) => {
          const panel = new (await import('./page/demand-panel.js')).DemandPanel();
          return timezones.map((timezone) => {
            panel.draw({ demand: null, restDemand: { month_peaks: [peak], timezone } });
            return ['peaks-head', 'peaks'].map((id) => document.getElementById(id).textContent);
          });
        }""",
        [december_1st, "Europe/Paris", "America/St_Johns", "Mars/Olympus"],
    )
    head = "Highest windows of this month"
    assert shown == [
        [f"{head} (times of Europe/Paris)", f"Tue 1 Dec, 00:001.81{KW}"],
        [head, f"Mon 30 Nov, 19:301.81{KW}"],
        [head, f"Mon 30 Nov, 19:301.81{KW}"],  # a zone that the browser does not know
    ]


def test_window_at_a_clock_change_has_offsets(house: House, look: Look) -> None:
    window = look("about:blank", timezone_id="Europe/Brussels")
    window.open(house.url)
    shown = window.page.evaluate(
        "async (spans) => spans.map((await import('./page/demand.js')).span)",
        [
            {"window_start": "2026-10-25T00:30:00Z", "window_end": "2026-10-25T00:45:00Z"},
            {"window_start": "2026-10-25T00:45:00Z", "window_end": "2026-10-25T01:00:00Z"},
        ],
    )
    assert shown == ["02:30 to 02:45", "02:45 GMT+2 to 02:00 GMT+1"]


def test_bar_is_to_scale(house: House, look: Look) -> None:
    window = look_at(look, house, LIVE)
    window.page.locator("#bar").wait_for()
    left = """(id) => {
      const [part, track] = [id, 'bar'].map((one) => document.querySelector(`#${one}`).getBoundingClientRect());
      return [part.left, part.right].map((x) => (x - track.left) / track.width);
    }"""
    parts = {name: window.page.evaluate(left, f"bar-{name}") for name in ("drawn", "band", "end", "limit")}
    high_kw = 2.5 * 1.06
    for name, (low_kw, top_kw) in {"drawn": (0, 1.2 * 11 / 15), "band": (1.1, 1.9)}.items():
        assert parts[name] == pytest.approx([low_kw / high_kw, top_kw / high_kw], abs=0.002)
    for name, at_kw in {"end": 1.3, "limit": 2.5}.items():
        assert sum(parts[name]) / 2 == pytest.approx(at_kw / high_kw, abs=0.002)
    assert window.page.locator("#bar").get_attribute("aria-label") == (
        "Mean of the window: 0.88 kW from energy used so far, 1.30 kW expected, 90 % interval 1.10 to 1.90 kW, "
        "limit 2.50 kW"
    )
    for label in ("#bar-limit-label", "#bar-end-label"):
        box, around = (window.page.locator(one).bounding_box() for one in (label, "#bar"))
        assert box is not None
        assert around is not None
        assert around["x"] <= box["x"]
        assert box["x"] + box["width"] <= around["x"] + around["width"]


@pytest.mark.parametrize(
    ("changes", "figure", "text"),
    [
        ({"headroom_kw": -0.51}, "0.6", "must be switched off until 12:45"),
        ({"headroom_kw": 0.099}, "0", "Nothing may be added until 12:45"),
        ({"so_far_kw": 3.6, "headroom_kw": -8.0, "p_exceed": 0.999}, None,
         f"The limit is exceeded: with nothing more drawn until 12:45, the mean is 2.64{KW}"),
        ({"limit_kw": None, "fuse_kw": None, "p_fuse": None}, None, "No limit until 12:45"),
        ({"limit_kw": None}, "1.2", "may be added until 12:45"),
    ],
    ids=["over", "step", "exceeded", "unlimited", "fuse"],
)  # fmt: skip
def test_headroom_in_words(house: House, look: Look, changes: dict[str, Any], figure: str | None, text: str) -> None:
    window = look_at(look, house, changed(**changes))
    window.see("#headroom-text", text)
    assert window.page.locator("#headroom-figure").is_visible() == (figure is not None)
    if figure is not None:
        assert window.text("#headroom") == figure


def test_panel_is_hidden_without_demand(house: House, look: Look) -> None:
    window = look_at(look, house, None)
    window.see("#chart-note", "Last 3 hours")
    assert not window.page.locator("#demand").is_visible()


@pytest.mark.parametrize(("after_s", "is_over"), [(6 * 60, False), (5 * 60, True)])
def test_panel_shows_no_headroom_that_has_expired(house: House, look: Look, after_s: float, is_over: bool) -> None:
    window = look_at(look, house, LIVE, after_s)
    window.see("#demand-valid", "Was valid until 12:45")
    if is_over:
        window.see("#headroom-text", "The window is over; the next reading begins a new one")
        assert not window.page.locator("#headroom-figure").is_visible()
    else:
        window.see("#demand-problem", "treat the headroom as 0 kW")
        assert not window.page.locator("#demand-now").is_visible()
    window.see("#peaks", "3.21")


@pytest.mark.parametrize("ahead_s", [-3_600, 3_600])
def test_panel_uses_the_clock_of_the_gateway(house: House, look: Look, ahead_s: float) -> None:
    window = look_at(look, house, LIVE, ahead_s=ahead_s)
    window.see("#headroom-text", "may be added until 12:45")
    expired = look_at(look, house, LIVE, 6 * 60, ahead_s=ahead_s)
    expired.see("#demand-problem", "treat the headroom as 0 kW")


def test_gateway_time_of_a_slow_response_is_ignored(house: House, look: Look) -> None:
    window = look(house.url)
    offsets = window.page.evaluate(
        """async () => {
          const { gatewayNow, setGatewayTime } = await import('./page/clock.js');
          const at = 1_700_000_000_000;
          Date.now = () => at;
          const after = (date, sent) => { setGatewayTime(date, sent); return gatewayNow() - at; };
          const date = (ms) => new Date(at + ms).toUTCString();
          return [
            after(date(1_000), at), after(date(-60_000), at - 1_000), after(date(-3_600_000), at - 3_599_000),
            after(date(5_000), at + 1), after(null, at), after(date(0), at),
          ];
        }"""
    )
    assert offsets == [0, -60_000, -60_000, -60_000, -60_000, 0]


def test_panel_expires_while_it_is_open(house: House, look: Look) -> None:
    window = look_at(look, house, LIVE)
    window.see("#headroom-text", "may be added")
    window.page.evaluate(
        """async (document) => {
          const { DemandPanel } = await import('./page/demand-panel.js');
          const { Demand } = await import('./page/demand.js');
          const over = new Demand(document).expiresMs + 60_000;
          Date.now = () => over - 1;
          new DemandPanel().draw({ demand: document, restDemand: null });
          Date.now = () => over;
        }""",
        document_of(LIVE),
    )
    window.see("#demand-problem", "the newest reading is too old")
    assert not window.page.locator("#demand-now").is_visible()
    reason = window.page.evaluate(
        """async (demand) => {
          const { DemandPanel } = await import('./page/demand-panel.js');
          new DemandPanel().draw({ demand, restDemand: null, device: { clock_offset_min: -61, forecast: null } });
          return document.getElementById('demand-problem').textContent;
        }""",
        document_of(LIVE),
    )
    assert "the meter’s clock is behind" in reason


@pytest.mark.parametrize("is_shown_again", [False, True])
def test_panel_shows_no_expired_headroom_after_the_computer_slept(
    house: House, look: Look, is_shown_again: bool
) -> None:
    window = look_at(look, house, LIVE)
    window.see("#headroom-text", "may be added")
    later_ms = (DEMAND.observed_minute + 180) * MINUTE_MS
    window.page.evaluate("(at) => { Date.now = () => at }", later_ms)  # no timer has run since
    if is_shown_again:
        window.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert window.page.locator("#demand-problem").is_visible()
    window.see("#demand-problem", "the newest reading is too old", 60_000)


def test_demand_words_and_numbers(house: House, look: Look) -> None:
    window = look(house.url)

    def of(expression: str, demand: Demand = LIVE) -> Any:
        return window.page.evaluate(
            "async (document) => { const demands = await import('./page/demand.js');"
            f"const demand = new demands.Demand(document); return {expression} }}",
            document_of(demand),
        )

    words = of("[0, 0.099, 0.1, 0.33, 0.5, 0.66, 0.9, 1].map(demands.chance)")
    assert words == [
        "very unlikely", "very unlikely", "unlikely", "about even chance", "about even chance",
        "likely", "very likely", "very likely",
    ]  # fmt: skip
    numbers = of("[0, 0.009, 0.124, 0.989, 0.9999].map(demands.chanceNumber)")
    assert numbers == ["under 1\xa0%", "under 1\xa0%", "12\xa0%", "99\xa0%", "over 99\xa0%"]
    assert of("[1999, 100, 99, 0, -1, -501].map(demands.headroom)") == [
        ["1.9", False], ["0.1", False], ["0", False], ["0", False], ["0.1", True], ["0.6", True],
    ]  # fmt: skip
    by_peak = changed(limit_source=LimitSource.MONTH_PEAK)
    assert of("demand.limitText", by_peak) == f"2.50{KW}, the month\u2019s peak"
    for peak_kw in (None, 2.2):
        floor = changed(by_peak, month_peak_kw=peak_kw)
        assert of("demand.limitText", floor) == f"2.50{KW}, minimum billed demand"
    assert of("demand.limitText", changed(limit_source=LimitSource.SET)) == f"2.50{KW}, set while running"
    unlimited = changed(limit_kw=None, p_exceed=0.0)
    assert of("demand.chanceText", changed(unlimited, fuse_kw=None)) == ["No limit applies to this window", ""]
    assert of("demand.chanceText", changed(so_far_kw=3.6)) == [f"Above 2.50{KW} already", ""]
    numbers = [of("demand.chanceText", changed(p_exceed=p))[1] for p in (0.05, 0.051, 0.09)]
    assert numbers == [
        "5\xa0%", "slightly more than the accepted 5\xa0%", "9\xa0%, more than the accepted 5\xa0%",
    ]  # fmt: skip
    assert of("[0.000001, 0.004, 0.05, 0.125].map(demands.riskNumber)") == [
        "0.0001\xa0%", "0.4\xa0%", "5\xa0%", "13\xa0%",
    ]  # fmt: skip
    ratings = [of("demand.rating", changed(p_exceed=p)) for p in (0.05, 0.051, 0.5)]
    assert ratings == ["good", "wait", "bad"]
    for demand in (unlimited, LIVE):  # the fuse alone, and with a limit that will probably be kept
        ratings = [of("demand.rating", changed(demand, p_fuse=p)) for p in (0.05, 0.114, 0.5)]
        assert ratings == ["good", "wait", "bad"]
        fuse_text = of("demand.chanceText", changed(demand, p_fuse=0.114))
        assert fuse_text == [f"Unlikely that a minute is above 9.20{KW}", "11\xa0%, more than the accepted 5\xa0%"]
    assert of("demand.chanceText", changed(p_fuse=0.05))[0] == f"Very unlikely to exceed 2.50{KW}"
    following = replace(LIVE, next=replace(LIVE.next, limit_kw=2.5, p_exceed=0.5))
    assert of("demand.nextText", following).endswith(
        f"about even chance to exceed 2.50{KW} (50\xa0%, more than the accepted 5\xa0%); headroom -0.2{KW}"
    )
    assert of("demand.soFarText", changed(elapsed_min=14, n_known=4)) == (
        f"1.20{KW}; 10 of 14 minutes were not measured"
    )
    assert of("demand.drawnKw", changed(elapsed_min=14, n_known=4)) == pytest.approx(1.2 * 4 / 15)
    ends = [minute_label(LIVE.running.end_minute), minute_label(LIVE.next.end_minute)]
    for elapsed, next_kw, addable in ((12, 0.4, [1_234, ends[0]]), (13, 0.4, [400, ends[1]]), (14, -0.2, [0, ends[1]])):
        late = replace(changed(elapsed_min=elapsed, n_known=elapsed), next=replace(LIVE.next, headroom_kw=next_kw))
        assert of("demand.addable", late) == addable
    assert of("demand.addable", changed(elapsed_min=14, n_known=14, headroom_kw=-0.45)) == [-450, ends[0]]
    assert of("[new demands.PowerScale([-1, null, 1]).at(-1), new demands.PowerScale([2]).at(0)]") == [0, 0]


def test_demand_expires_by_the_clock_and_in_a_replay_by_its_age(house: House, look: Look) -> None:
    window = look(house.url)
    phases = """async ([document, from]) => {
      const demand = new (await import('./page/demand.js')).Demand(document);
      return [299, 300, 359, 360].map((seconds) => demand.phaseAt(1_000 * (from + seconds))[0]);
    }"""
    at_s = DEMAND.observed_minute * 60
    assert window.page.evaluate(phases, [document_of(LIVE), at_s]) == ["current", "over", "over", "expired"]
    early = changed(end_minute=LIVE.valid_until_minute + 4)
    assert window.page.evaluate(phases, [document_of(early), at_s]) == ["current", "expired", "expired", "expired"]
    later_s = at_s + 2 * 86_400
    replay = replace(early, issued_at_ms=later_s * 1_000)
    assert window.page.evaluate(phases, [document_of(replay), later_s])[:2] == ["current", "expired"]


def test_events_are_shown_after_the_gateways_clock_was_set_back(house: House, look: Look) -> None:
    shown = look(house.url).page.evaluate(
        """async () => {
          const { Store } = await import('./page/store.js');
          const store = new Store(() => {});
          store.selected = 'home';
          for (const issued_at of ['2026-01-01T13:00:05.000Z', '2026-01-01T12:00:05.000Z']) {
            const head = { device: 'home', issued_at, observed_at: '2026-01-01T12:00:00Z', lead_min: [1] };
            store.applyEvent('demand', head);
            store.applyEvent('outlook', head);
          }
          return [store.demand.issued_at, store.series.outlook.document.issued_at];
        }"""
    )
    assert shown == ["2026-01-01T12:00:05.000Z"] * 2


def test_panel_follows_the_events(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look, tmp_path: Path
) -> None:
    gateway = start(mosquitto, **models_with_outlook(tmp_path / "models"), demand={"limit_kw": 2.5, "hours": ""})
    url = f"{gateway.url}/demand?device=home"
    reading = '{{"ts": "2026-11-03T17:{:02}:00Z", "gap_kw": {}}}'
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(20):
            peer.publish("gap/home/reading", reading.format(minute, 1 + minute % 4 / 10))
        gateway.wait_taken(20)
        window = look("about:blank", timezone_id="UTC")
        first = httpx.get(f"{gateway.url}/devices/home").json()
        issued_ms = round(datetime.fromisoformat(first["demand"]["issued_at"]).timestamp() * 1_000)
        stop_clocks(window, issued_ms)  # it does not expire while the test runs
        window.page.route("**/devices/home", lambda route: route.fulfill(json=first))  # so that events alone are new
        window.open(f"{gateway.url}/#device=home")
        window.see("#demand-head", "Billing window 17:15 to 17:30")
        window.see("#elapsed-text", "5 of 15 minutes")
        assert window.data("#headroom") == first["demand"]["headroom_w"]
        window.see("#peaks", f"Tue 3 Nov, 17:00\n{first['demand']['month_peaks'][0]['kw']:.2f}{KW}")
        assert httpx.put(url.replace("/demand?", "/demand/limit?"), json=2.25).status_code == 200
        peer.publish("gap/home/reading", reading.format(20, 2.4))
        gateway.wait_taken(21)
        newest = httpx.get(url).json()
        window.see("#elapsed-text", "6 of 15 minutes")
        window.see("#demand-facts", f"2.25{KW}, set while running")
        window.see("#demand-facts", f"Mean so far\n{newest['so_far_kw']:.2f}{KW}")
        assert window.data("#headroom") == newest["headroom_w"]
        window.see("#peaks", "17:00")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("p_exceed", [0.01, 0.2, 0.95])
def test_axe_finds_no_fault_in_the_panel(
    house: House, look: Look, colours: str, viewport: dict[str, int], p_exceed: float
) -> None:
    demand = changed(p_exceed=p_exceed, headroom_kw=0.5 - p_exceed)
    window = look_at(look, house, demand, color_scheme=colours, viewport=viewport)
    window.see("#headroom-text", "until")
    assert faults(window) == []
    assert window.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
