"""``/demand`` and ``/headroom``: answers, pages, changes, and the problems with each."""

from __future__ import annotations

import time
from datetime import datetime

import httpx
import pytest
from prometheus_client import generate_latest

from gapcast.api.headroom_answer import HeadroomHandler
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.documents.document import demand_document
from gapcast.core.engine import Engine
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.time_grid import minute_label, minute_of
from gapcast.http.options import HttpOptions
from gapcast.http.routes.event_history import Ring
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.predictors.baselines import Persistence
from gapcast.service.queries.unknown_device import unknown_device
from gapcast.service.service import Service
from tests.support.links import MemoryLink
from tests.support.outlook_model import OutlookModel
from tests.support.rest_requests import ask

#: 2026-11-02T00:00:00Z, a Monday.
MONDAY = 29_892_960
SITE = SiteDemandOptions(DemandOptions(limit_kw=2.0), {"free": DemandOptions()})
N_DEVICES = 3


def service_of(link: MemoryLink, site: SiteDemandOptions | None = SITE) -> Service:
    model = Persistence()
    outlook = OutlookOptions(max_devices=N_DEVICES)
    engine = Engine(model, outlook=OutlookConfig(OutlookModel(), outlook), demand=site, limits=Limits())
    return Service(link, engine, {model.name: model})


class LiveClock:
    """The gateway's clock: the end of the newest minute that :func:`run` has processed."""

    now_ns = 0

    def time_ns(self) -> int:
        return self.now_ns


CLOCK = LiveClock()


@pytest.fixture(autouse=True)
def _live_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", CLOCK.time_ns)


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink()


@pytest.fixture
def service(link: MemoryLink) -> Service:
    return service_of(link)


def run(service: Service, link: MemoryLink, *devices: str, n: int = 3, first: int = MONDAY, kw: float = 1.0) -> None:
    """Process ``n`` minutes of each device, one batch per minute."""
    for i in range(n):
        CLOCK.now_ns = (first + i + 1) * 60 * 10**9
        link.put(*(Reading(device, first + i, kw) for device in devices))
        service.run_once(0)


def label_minute(label: str) -> int:
    return minute_of(round(datetime.fromisoformat(label).timestamp() * 1_000))


# --- /demand -----------------------------------------------------------------------------------------


def test_demand_of_a_device_is_the_published_one(service: Service, link: MemoryLink) -> None:
    run(service, link, "home", n=18)
    answer = ask(service, "GET", "/demand?device=home")
    peaks = [{"start": minute_label(MONDAY), "kw": 1.0}]
    document = answer.json()
    of_device = {"month_peaks": peaks, "timezone": "UTC", "limit_warning": None}
    assert (answer.status_code, document) == (200, demand_document(link.demands[-1]) | of_device)
    assert ask(service, "GET", "/devices/home").json()["demand"] == document
    assert (document["window_start"], document["elapsed_min"]) == (minute_label(MONDAY + 15), 3)
    assert (document["limit_kw"], document["limit_source"], document["month_peak_kw"]) == (2.0, "fixed", 1.0)
    metrics = generate_latest(build_registry(service, ServiceInfo("", "gw"))).decode()
    assert "gapcast_demands_total 17.0" in metrics


def test_month_peaks_are_the_highest_window_of_each_day(service: Service, link: MemoryLink) -> None:
    for day in range(7):
        run(service, link, "home", n=16, first=MONDAY + 1_440 * day + 600, kw=1.0 + day % 4 / 10)
    peaks = ask(service, "GET", "/demand?device=home").json()["month_peaks"]
    days = [(one["kw"], (minute - MONDAY) // 1_440) for one in peaks for minute in [label_minute(one["start"])]]
    assert days == [(pytest.approx(1.3), 3), (pytest.approx(1.2), 2), (pytest.approx(1.2), 6), (1.1, 1), (1.1, 5)]


@pytest.mark.long
def test_limit_below_what_is_always_drawn_is_accepted_and_warned(service: Service, link: MemoryLink) -> None:
    run(service, link, "home", n=1_440, kw=0.5)
    assert ask(service, "GET", "/demand").json()["limit_warnings"] == {}
    changed = ask(service, "PUT", "/demand/limit?device=home", json=0.25)
    words = "home: the limit of 0.25 kW is below the lowest window of the last day (0.50 kW): set a limit above 0.50 kW"
    assert (changed.status_code, changed.json()) == (200, {"device": "home", "kw": 0.25, "limit_warning": words})
    assert ask(service, "GET", "/demand").json()["limit_warnings"] == {"home": words}
    assert ask(service, "GET", "/demand?device=home").json()["limit_warning"] == words
    assert ask(service, "GET", "/devices/home").json()["demand"]["limit_warning"] == words


def test_device_without_demand_has_none_in_its_document(service: Service, link: MemoryLink) -> None:
    run(service, link, "free")
    assert ask(service, "GET", "/devices/free").json()["demand"] is None
    assert service.queries.demands.month_peaks("free") == service.queries.demands.month_peaks("nobody") == []


def test_demands_are_paged_by_device(service: Service, link: MemoryLink) -> None:
    run(service, link, "b", "free", "a", "late")
    first = ask(service, "GET", "/demand?limit=1").json()
    assert ([one["device"] for one in first["demands"]], first["n_devices"], first["next"]) == (["a"], 2, "a")
    second = ask(service, "GET", "/demand?limit=1&after=a").json()
    assert ([one["device"] for one in second["demands"]], second["next"]) == (["b"], None)


def test_demands_of_a_page_are_of_devices_that_have_one(service: Service, link: MemoryLink) -> None:
    run(service, link, "a", n=1)
    run(service, link, "b")
    page = ask(service, "GET", "/demand?limit=1").json()
    assert ([one["device"] for one in page["demands"]], page["n_devices"], page["next"]) == (["b"], 1, None)


@pytest.mark.parametrize("path", ["/demand?device={}", "/headroom?device={}&kw=1&minutes=5"])
@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("nobody", unknown_device("nobody")),
        (
            "free",
            "device 'free' has no limit, so no demand is computed: set demand.limit_kw, or that of its [[",
        ),
        ("late", "device 'late' has no demand: only the first 3 devices have one (outlook.max_devices)"),
        ("new", "device 'new' has no demand for its newest reading yet: it is computed with the next outlook"),
    ],
)
def test_absent_demand_is_not_found_with_its_reason(
    service: Service, link: MemoryLink, path: str, device: str, words: str
) -> None:
    run(service, link, "home", "free", "new", "late", n=1)
    run(service, link, "home", "free", "late", first=MONDAY + 1)
    answer = ask(service, "GET", path.format(device))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"].startswith(words)


@pytest.mark.parametrize("path", ["/demand?device=home", "/headroom?device=home&kw=1&minutes=5"])
def test_gateway_without_limits_names_the_key(link: MemoryLink, path: str) -> None:
    service = service_of(link, None)
    run(service, link, "home")
    answer = ask(service, "GET", path)
    assert answer.status_code == 404
    assert "set demand.limit_kw" in answer.json()["detail"]
    assert ask(service, "GET", "/demand").json() == {"demands": [], "limit_warnings": {}, "n_devices": 0, "next": None}
    assert link.demands == []


def test_demand_events_follow_the_outlooks(service: Service, link: MemoryLink) -> None:
    service.feed.listen(lambda: None)
    run(service, link, "home", n=2)
    events, missed = service.feed.drain()
    ring = Ring()
    first = ring.next_id
    for event in events:
        ring.add(event)
    text = ring.read(first, "home", 100_000)[0].decode()
    kinds = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event")]
    assert (kinds, missed) == (["reading", "reading", "forecast", "outlook", "demand"], False)
    assert '"headroom_w":' in text


# --- /headroom ---------------------------------------------------------------------------------------


def test_headroom_of_a_device_is_answered(service: Service, link: MemoryLink) -> None:
    run(service, link, "home", n=18)
    answer = ask(service, "GET", "/headroom?device=home&kw=0.5&minutes=45")
    document = answer.json()
    assert (answer.status_code, document["allowed"], document["kw"], document["minutes"]) == (200, True, 0.5, 45)
    assert document["max_kw"] >= 0.5
    assert document["earliest_start"] == document["start"] == minute_label(MONDAY + 18)
    assert sum(one["load_min"] for one in document["windows"]) == 45
    too_much = ask(service, "GET", "/headroom?device=home&kw=9.9&minutes=45").json()
    assert (too_much["allowed"], too_much["p_exceed"] > 0.9) == (False, True)


def test_house_above_its_limit_has_no_headroom(service: Service, link: MemoryLink) -> None:
    """A limit below the lowest draw of the house is not an error: nothing may be added."""
    run(service, link, "home", n=18, kw=3.0)
    document = ask(service, "GET", "/headroom?device=home&kw=0.1&minutes=15").json()
    assert (document["max_kw"], document["earliest_start"], document["allowed"]) == (0.0, None, False)
    assert document["p_exceed_without"] > 0.9
    demand = ask(service, "GET", "/demand?device=home").json()
    assert (demand["headroom_w"] < 0, demand["p_exceed"] > 0.9) == (True, True)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("kw=0&minutes=45", "kw: 0 kW must be at least 0.001 and at most 100 (limits.max_kw)"),
        ("kw=-1&minutes=45", "kw: -1 kW must be at least 0.001"),
        ("kw=1000&minutes=45", "kw: 1000 kW must be at least 0.001 and at most 100 (limits.max_kw): is it in watts?"),
        ("kw=1e-9&minutes=45", "kw: 1e-09 kW must be at least 0.001"),
        ("kw=1_0&minutes=45", "kw: must be a number without underscores, not '1_0'"),
        ("kw=2&minutes=1_0", "minutes: must be a number without underscores, not '1_0'"),
        ("kw=nan&minutes=45", "kw: nan kW must be at least 0.001"),
        ("kw=2&minutes=0", "minutes: must be 1 to 1440, which is a day, not 0"),
        ("kw=2&minutes=10000", "minutes: must be 1 to 1440, which is a day, not 10000"),
        ("kw=2&minutes=4.5", "minutes: "),
        ("kw=two&minutes=45", "kw: "),
        ("kw=2", "minutes: "),
        ("minutes=45", "kw: "),
    ],
)
def test_impossible_headroom_request_is_a_422(service: Service, link: MemoryLink, query: str, words: str) -> None:
    run(service, link, "home")
    answer = ask(service, "GET", f"/headroom?device=home&{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(words), answer.json()["detail"]


@pytest.mark.parametrize(("later_s", "minutes"), [(7 * 60, 7), (5 * 60 + 25, 5)])
def test_headroom_of_an_old_reading_is_not_answered(
    service: Service, link: MemoryLink, monkeypatch: pytest.MonkeyPatch, later_s: int, minutes: int
) -> None:
    run(service, link, "home")
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + later_s * 10**9)
    answer = ask(service, "GET", "/headroom?device=home&kw=1&minutes=5")
    assert answer.status_code == 503
    assert answer.json()["detail"] == (
        f"the newest reading of 'home' was received more than {minutes} minutes ago, but a demand is valid for 5 "
        "minutes: use your own safe value until the next reading"
    )
    assert ask(service, "GET", "/demand?device=home").status_code == 200, "it has valid_until"


def test_headroom_of_a_reading_from_the_future_is_not_answered(
    service: Service, link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a battery-backed clock starts with a time before the power failure."""
    run(service, link, "home")
    now_ns, back_s = time.time_ns(), 30
    monkeypatch.setattr(time, "time_ns", lambda: now_ns - back_s * 10**9)
    assert ask(service, "GET", "/headroom?device=home&kw=1&minutes=5").status_code == 200
    back_s = 3_600
    answer = ask(service, "GET", "/headroom?device=home&kw=1&minutes=5")
    assert answer.status_code == 503
    assert "by a clock that was ahead of the current time: use your own safe value" in answer.json()["detail"]


@pytest.mark.parametrize(("late_min", "status"), [(-1, 200), (0, 503), (30, 503), (1_441, 503)])
def test_headroom_of_a_late_reading_is_not_answered(
    service: Service, link: MemoryLink, monkeypatch: pytest.MonkeyPatch, late_min: int, status: int
) -> None:
    """The demand had expired when it was made: its headroom is not published either."""
    over_ns = (MONDAY + 2 + 5) * 60 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: over_ns + late_min * 60 * 10**9)
    run(service, link, "home")
    answer = ask(service, "GET", "/headroom?device=home&kw=1&minutes=5")
    assert answer.status_code == status
    assert ("'home' was measured at 2026-11-02T00:02:00Z but received at" in answer.text) == (status == 503)


@pytest.mark.parametrize(("after_s", "status"), [(0, 200), (60, 200), (61, 503), (200, 503)])
def test_headroom_of_a_window_that_is_over_is_not_answered(
    service: Service, link: MemoryLink, monkeypatch: pytest.MonkeyPatch, after_s: int, status: int
) -> None:
    """The last demand of a window is valid for a minute; the next reading may take as long."""
    end_ns = (MONDAY + 15) * 60 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: end_ns - 60 * 10**9)
    run(service, link, "home", n=14)
    monkeypatch.setattr(time, "time_ns", lambda: end_ns + after_s * 10**9)
    answer = ask(service, "GET", "/headroom?device=home&kw=1&minutes=5")
    assert answer.status_code == status
    assert ("its demand was valid until 2026-11-02T00:15:00Z" in answer.text) == (status == 503)


# --- changes -----------------------------------------------------------------------------------------


def test_limit_that_is_set_holds_from_the_next_reading_on(service: Service, link: MemoryLink) -> None:
    run(service, link, "home")
    answer = ask(service, "PUT", "/demand/limit?device=home", json=3.5)
    assert (answer.status_code, answer.json()) == (200, {"device": "home", "kw": 3.5, "limit_warning": None})
    run(service, link, "home", n=1, first=MONDAY + 3)
    assert [(one.running.limit_kw, one.running.limit_source.value) for one in link.demands[-2:]] == [
        (2.0, "fixed"), (3.5, "set"),
    ]  # fmt: skip
    restored = ask(service, "PUT", "/demand/limit?device=home", json={"kw": None}).json()
    assert restored == {"device": "home", "kw": None, "limit_warning": None}
    run(service, link, "home", n=1, first=MONDAY + 4)
    assert link.demands[-1].running.limit_kw == 2.0


def test_month_peak_is_corrected(service: Service, link: MemoryLink) -> None:
    run(service, link, "home", n=18)
    peak = {"kw": 3.2, "at": minute_label(MONDAY + 5)}
    answer = ask(service, "PUT", "/demand/month_peak?device=home", json=peak)
    assert (answer.status_code, answer.json()) == (200, {"device": "home", **peak})
    assert ask(service, "PUT", "/demand/month_peak?device=home", json=2.9).json()["at"] is None
    assert ask(service, "PUT", "/demand/month_peak?device=home", json={"kw": 2.9, "at": None}).json()["at"] is None
    run(service, link, "home", n=1, first=MONDAY + 18)
    assert link.demands[-1].month_peak_kw == 2.9


@pytest.mark.parametrize(
    ("path", "body", "reason", "words"),
    [
        (
            "limit?device=home",
            "0",
            "out_of_range",
            "the limit must be 0.01 to 100 kW (limits.max_kw), not 0 kW",
        ),
        (
            "limit?device=home",
            "2500",
            "out_of_range",
            "the limit must be 0.01 to 100 kW (limits.max_kw), not 2500 kW: if these are watts, send kW (2.5)",
        ),
        ("limit?device=home", "1e9", "out_of_range", "the limit must be 0.01 to 100 kW"),
        ("limit?device=home", "1e-7", "out_of_range", "the limit must be 0.01 to 100 kW (limits.max_kw), not 1e-07 kW"),
        ("limit?device=home", '"2.5"', "not_a_number", "the limit: power must be a number in kW, not '2.5'"),
        ("limit?device=home", "{", "not_json", "the body is not JSON"),
        ("limit?device=home", "", "not_json", "the body is not JSON"),
        (
            "limit?device=home",
            "month_peak",
            "not_json",
            "the body is not JSON: expected value at line 1 column 1; send 2.5, or null",
        ),
        ("limit?device=home", "NaN", "not_finite", "NaN and Infinity are not JSON"),
        ("limit?device=no%20device", "2", "bad_device", "'no device' cannot name a device"),
        ("limit?device=free", "2", "no_demand", "free has no demand: set demand.limit_kw"),
        (
            "month_peak?device=home",
            "-1",
            "out_of_range",
            "the month's peak must be 0 to 100 kW (limits.max_kw), not -1 kW",
        ),
        ("month_peak?device=home", "NaN", "not_finite", "NaN and Infinity are not JSON"),
        ("month_peak?device=home", '{"kw": 1, "at": 5}', "bad_time", "at: 5 is before 2000"),
        ("month_peak?device=nobody", "1", "unknown_device", "nobody has no window yet"),
        (
            "month_peak?device=home",
            '{"kw": 1, "at": "soon"}',
            "bad_time",
            "at: 'soon' is not RFC 3339: give",
        ),
        (
            "month_peak?device=home",
            f'{{"kw": 3.2, "at": "{minute_label(MONDAY + 600)}"}}',
            "bad_time",
            "the window from 2026-11-02T10:00:00Z has not ended",
        ),
        (
            "month_peak?device=home",
            '{"kw": 3.2, "at": "2026-10-03T18:15:00+01:00"}',
            "bad_time",
            "the window from 2026-10-03T17:15:00Z is outside the current month (that of 2026-11-02",
        ),
    ],
)
def test_change_that_cannot_be_is_a_422_and_changes_nothing(
    service: Service, link: MemoryLink, path: str, body: str, reason: str, words: str
) -> None:
    run(service, link, "home", "free", n=18)
    headers = {"content-type": "application/json"}
    answer = ask(service, "PUT", f"/demand/{path}", content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (422, reason), answer.json()
    assert answer.json()["detail"].startswith(words), answer.json()["detail"]
    run(service, link, "home", n=1, first=MONDAY + 18)
    newest = link.demands[-1]
    assert (newest.running.limit_kw, newest.month_peak_kw) == (2.0, 1.0)


@pytest.mark.parametrize("path", ["/demand/limit?device=home", "/demand/month_peak?device=home"])
def test_change_from_another_machine_needs_a_right(service: Service, link: MemoryLink, path: str) -> None:
    run(service, link, "home", n=18)
    away = ("192.0.2.7", 1)
    assert ask(service, "PUT", path, json=1.5, client=away).status_code == 403
    token = HttpOptions(max_body_bytes=10_000, token="long enough")
    assert ask(service, "PUT", path, json=1.5, client=away, http=token).status_code == 401
    headers = {"authorization": "Bearer long enough"}
    assert ask(service, "PUT", path, json=1.5, client=away, http=token, headers=headers).status_code == 200


# --- requests over MQTT ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'{"device": "home", "kw": 0.5, "minutes": 45}', None, ""),
        (b'{"device": "home", "kw": 0, "minutes": 45}', 422, "kw: 0 kW must be at least 0.001"),
        (b'{"device": "nobody", "kw": 1, "minutes": 45}', 404, unknown_device("nobody")),
        (b'{"device": "home", "kw": 1}', 422, 'the request has no "minutes": send {"device"'),
        (b'{"device": 5, "kw": 1, "minutes": 45}', 422, "device: must be text"),
        (b'{"device": "home", "kw": 1, "minutes": 45, "w": 1}', 422, "the request has the unknown key 'w'"),
        (b'{"device": "home", "kw": 1, "minutes": 45, "": 1}', 422, "the request has the unknown key ''"),
        (b'{"device": "home", "kw": 1%s, "minutes": 45}' % (b"0" * 400), 422, "kw: a number of many digits kW must be"),
        (b"[]", 422, "the request is not an object"),
        (b"", 422, "the request is not JSON"),
        (b"{", 422, "the request is not JSON"),
    ],
)
def test_headroom_message_is_answered_like_rest(
    service: Service, link: MemoryLink, body: bytes, status: int | None, words: str
) -> None:
    run(service, link, "home", n=18)
    document, media_type = HeadroomHandler(service.queries).answer_message(body, len(body))
    answer = httpx.Response(200, content=document).json()
    assert media_type == ("application/json" if status is None else "application/problem+json")
    assert answer.get("status") == status
    assert answer.get("detail", "").startswith(words)
    if status is None:
        assert answer == ask(service, "GET", "/headroom?device=home&kw=0.5&minutes=45").json()


def test_headroom_message_of_too_many_bytes_returns_413(service: Service) -> None:
    document, _ = HeadroomHandler(service.queries).answer_message(b"{}", 70_000)
    assert b'"status":413' in document


def test_headroom_message_that_raises_is_contained(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.queries.demands, "headroom", lambda *_: 1 / 0)
    body = b'{"device": "home", "kw": 1, "minutes": 45}'
    document, _ = HeadroomHandler(service.queries).answer_message(body, len(body))
    assert b'"status":500' in document
    assert service.statistics.internal_errors == {"request": 1}
