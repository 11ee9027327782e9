"""``GET /events``: the events, and clients that are slow, late or too many."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any, NamedTuple

import httpx
import pytest
import structlog

from gapcast.app.models.loaded_models import Models
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.http.options import HttpOptions
from gapcast.http.routes import event_readers, events
from gapcast.http.routes.event_history import Ring, encoded
from gapcast.mqtt.connection import backoff
from gapcast.service.ports.minute_recorder import RefitStatus
from gapcast.service.queries.queries import ServiceQueries
from gapcast.service.reports.event_feed import MAX_WAITING
from gapcast.service.service import Service
from tests.http.conftest import MAX_BODY_BYTES, MAX_EVENT_READERS, MAX_TENSOR_BYTES, Rest, serving
from tests.http.test_predict import assert_problem
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

minutes = count(21_476_160)


class Event(NamedTuple):
    kind: str
    data: dict[str, object]
    id: int | None


class Reader:
    """A client of the stream: ``next`` returns event by event, after the ``greeting``."""

    def __init__(self, answer: httpx.Response) -> None:
        self.lines = answer.iter_lines()
        self.greeting = next(self._events())
        assert self.greeting.kind == "status"

    def next(self, *kinds: str) -> Event:
        """Return the next event of ``kinds``.

        Without ``kinds``, it is the next one caused by a device: a status and a heartbeat may come at any time.
        """
        for event in self._events():
            if event.kind in kinds or not (kinds or event.kind in {"status", "heartbeat"}):
                return event
        msg = "the stream has ended"
        raise EOFError(msg)

    def _events(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self.lines:
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                yield Event("heartbeat", {}, None)
            elif line:
                fields[name] = value
            elif "event" in fields:
                number = int(fields["id"]) if "id" in fields else None
                yield Event(fields["event"], json.loads(fields["data"]), number)
                fields = {}


@contextmanager
def reading(rest: Rest, last_id: object = None, **params: str) -> Iterator[Reader]:
    headers = {} if last_id is None else {"last-event-id": str(last_id)}
    with ExitStack() as stack:
        answer = stack.enter_context(rest.client.stream("GET", "/events", params=params, headers=headers))
        while answer.status_code == 503:  # the readers of the test before are about to leave
            stack.close()
            answer = stack.enter_context(rest.client.stream("GET", "/events", params=params, headers=headers))
        assert answer.headers["content-type"].startswith("text/event-stream")
        reader = Reader(answer)  # whose end closes the answer
        yield reader


def push(rest: Rest, device: str = "home", n: int = 1) -> list[int]:
    pushed = [next(minutes) for _ in range(n)]
    rest.push(*(Reading(device, minute, 1.5) for minute in pushed))
    return pushed


def test_ring_that_was_restarted_resumes_no_reader_of_before() -> None:
    """This includes a reader that had read all of it: events until the restart were not stored."""
    ring = Ring(3)
    for _ in range(5):
        ring.put("reading", "home", b"{}")
    newest = ring.next_id - 1
    assert ring.position_after(str(newest)) == (ring.next_id, True)
    assert ring.position_after(str(newest - 3)) == (newest - 2, True), "three are stored"
    assert ring.position_after(str(newest - 4)) == (ring.next_id, False)
    ring.restart()
    assert ring.position_after(str(newest)) == (ring.next_id, False)


def test_ring_reader_of_a_device_gets_its_events_and_those_of_the_gateway() -> None:
    ring = Ring()
    first = ring.next_id
    for kind, device in (("reading", "home"), ("reading", "mill"), ("status", None)):
        ring.put(kind, device, b"{}")
    of_home, of_gateway = encoded("reading", b"{}", first), encoded("status", b"{}", first + 2)
    assert ring.read(first, "home", 1_000) == (of_home + of_gateway, first + 3)
    assert ring.read(first, None, 1) == (of_home, first + 1), "about as many bytes as may be sent"


def test_events_of_a_reading_and_its_forecast(rest: Rest) -> None:
    with reading(rest) as reader:
        minute = push(rest, "newest", n=2)[-1]  # there is no forecast of a single reading
        _, first, second = (reader.next() for _ in range(3))
        assert first[:2] == ("reading", {"device": "newest", "ts": minute_label(minute), "gap_kw": 1.5})
        assert second[:2] == ("forecast", rest.client.get("/predict", params={"device": "newest"}).json())
        assert first.id is not None
        assert second.id == first.id + 1


def test_events_mark_the_reading_of_a_filled_minute(rest: Rest) -> None:
    with reading(rest) as reader:
        rest.push(Reading("home", next(minutes), 1.5, is_filled=True))
        assert reader.next("reading").data["filled"] is True


def test_events_have_the_power_of_the_device_and_its_history(rest: Rest) -> None:
    with reading(rest) as reader:
        rest.push(Reading("home", next(minutes), 0.412_666_666_7))
        assert reader.next("reading").data["gap_kw"] == 0.412667
    assert rest.client.get("/devices/home").json()["last_reading"]["gap_kw"] == 0.412667
    assert rest.client.get("/devices/home/history").json()["readings"][-1]["gap_kw"] == 0.412667


def test_events_omit_rejected_readings(rest: Rest) -> None:
    with reading(rest) as reader:
        (minute,) = push(rest)
        rest.push(Reading("home", minute, 2.5), Reading("home", minute - 1, 2.5))
        (after,) = push(rest)
        assert [reader.next("reading").data["ts"] for _ in range(2)] == [minute_label(minute), minute_label(after)]


def test_events_of_one_device(rest: Rest) -> None:
    with reading(rest, device="home") as reader:
        push(rest, "other")
        push(rest)
        assert reader.next("reading").data["device"] == "home"


@pytest.mark.parametrize("in_query", [False, True], ids=["header", "query"])
def test_events_resume_after_the_last_id(rest: Rest, in_query: bool) -> None:
    """In the query as from a substitute for ``EventSource`` that sends a token."""
    with reading(rest) as reader:
        push(rest)
        seen = reader.next("reading")
    missed = push(rest, n=2)
    with reading(rest, lastEventId=str(seen.id)) if in_query else reading(rest, seen.id) as reader:
        assert reader.next().kind == "forecast"
        assert [reader.next("reading").data["ts"] for _ in missed] == [minute_label(minute) for minute in missed]


def test_events_resume_after_only_the_status_was_read(rest: Rest) -> None:
    with reading(rest) as reader:
        greeted = reader.greeting.id
    assert greeted is not None
    missed = push(rest, n=2)
    with reading(rest, greeted) as reader:
        assert reader.greeting.id == greeted
        assert [reader.next("reading").data["ts"] for _ in missed] == [minute_label(minute) for minute in missed]


@pytest.mark.parametrize("last_id", [1, "no number", 10**17])
def test_events_resume_too_late_sends_a_gap(rest: Rest, last_id: object) -> None:
    with reading(rest, last_id) as reader:
        assert reader.greeting.id is None
        reset = reader.next()
        assert reset.kind == "reset"
        push(rest)
        event = reader.next("reading")
        assert event.id is not None
        assert reset.id is not None
        assert event.id > reset.id


def test_events_overflow_sends_a_gap(rest: Rest) -> None:
    with reading(rest) as reader:
        for _ in range(20 * MAX_WAITING):
            rest.service.feed.publish_event("scores", "home", {})
        assert reader.next("reset").data == {"reason": "events were dropped because there were too many"}


def test_events_of_a_lost_and_restored_broker(rest: Rest) -> None:
    with reading(rest) as reader:
        rest.link.connected = False
        assert reader.next("status").data["status"] == "fail"
        rest.link.connected = True
        assert reader.next("status").data == rest.client.get("/readyz").json()


def test_events_of_the_nightly_refit(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "refit" not in with_refit(rest, monkeypatch, None)
    assert with_refit(rest, monkeypatch, RefitStatus()) == {"refit": {"n_devices": 0}}
    ran = RefitStatus(1_767_261_665.25, 31.44, n_used=2, n_forests=2, mse_skill=0.40404, mae_skill=0.24646)
    assert with_refit(rest, monkeypatch, ran)["refit"] == {
        "last_ran_at": "2026-01-01T10:01:05.250Z", "took_s": 31.4, "n_devices": 2, "mse_skill": 0.404,
        "mae_skill": 0.2465,
    }  # fmt: skip


def with_refit(rest: Rest, monkeypatch: pytest.MonkeyPatch, refit: RefitStatus | None) -> dict[str, Any]:
    """Return what the event ``status`` adds to the health, which needs no token, if the refits are ``refit``."""
    monkeypatch.setattr(ServiceQueries, "refit_status", refit)
    with reading(rest) as reader:
        health = rest.client.get("/readyz").json()
        status = reader.greeting.data
        assert {name: status[name] for name in health} == health
        return {name: value for name, value in status.items() if name not in health}


def test_broker_that_returns_is_shown_within_five_seconds() -> None:
    """docs/web-page.md promises this: the longest wait until the next attempt to connect, and the next status."""
    assert backoff._LONGEST_S + event_readers._CHECK_S <= 5


def test_events_of_a_forgotten_device(rest: Rest) -> None:
    push(rest, "gone")
    with reading(rest) as reader:
        rest.client.delete("/devices/gone")
        rest.service.run_once(0)
        assert reader.next("device").data == {"device": "gone", "state": "forgotten"}


def test_events_report_the_status_after_an_error_of_the_check(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For instance without a free file descriptor, the version in the document cannot be read temporarily."""
    errors, n_before = rest.service.statistics.internal_errors, rest.service.statistics.internal_errors.get("http", 0)

    def fail(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(event_readers, "_CHECK_S", 0.01)
    with reading(rest) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(event_readers, "gateway_status_of", fail)
            wait_until(lambda: errors.get("http", 0) > n_before, "the error of a check")
        for connected, status in ((False, "fail"), (True, "pass")):
            rest.link.connected = connected
            while reader.next("status").data["status"] != status:
                pass


def test_events_reader_whose_events_cannot_be_made_is_counted(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    n_before = rest.service.statistics.internal_errors.get("http", 0)

    def fail(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(event_readers, "gateway_status_of", fail)
    with structlog.testing.capture_logs() as logs:
        with rest.client.stream("GET", "/events") as answer, pytest.raises(httpx.RemoteProtocolError):
            answer.read()
        wait_until(lambda: "sending events" in [log.get("what") for log in logs], "the error of the reader")
    assert rest.service.statistics.internal_errors["http"] > n_before


def test_events_heartbeat(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    with reading(rest) as reader:
        for _ in range(3):
            assert reader.next("heartbeat")


def test_events_clients_over_the_limit_are_rejected(rest: Rest) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_EVENT_READERS):
            stack.enter_context(reading(rest))
        refused = rest.client.get("/events")
        assert_problem(refused, 503, "max_event_readers")
        assert refused.headers["retry-after"] == "10"
    wait_until(lambda: can_enter(rest), "a place for one more")


def can_enter(rest: Rest) -> bool:
    with rest.client.stream("GET", "/events") as answer:
        return answer.status_code == 200


def test_events_slow_client_is_disconnected(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "SLOW_S", 0.5)
    with socket.socket() as slow, reading(rest) as reader, reading(rest):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect((LOOPBACK, rest.port))
        slow.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        wait_until(lambda: not can_enter(rest), "three readers")
        while not can_enter(rest):
            pushed = push(rest, n=250)
            received = [reader.next("reading", "reset") for _ in pushed]
            assert [event.data["ts"] for event in received] == [minute_label(minute) for minute in pushed]
    assert not caplog.records  # no error of a library beside events.slow_reader


def test_events_overtaken_client_is_disconnected(rest: Rest) -> None:
    async def read() -> None:
        readers, never = event_readers.EventReaders(rest.service, 3, 3), asyncio.Event()
        readers.ring = Ring(3)

        async def receive() -> dict[str, Any]:
            await never.wait()
            return {}

        async def send(_: MutableMapping[str, Any]) -> None:
            for _event in range(4):  # meanwhile
                readers.ring.put("reading", "home", b"{}")

        await events.EventStream(readers, "a", None, None)({}, receive, send)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(read())
    assert [line["event"] for line in lines] == ["events.slow_reader"]


def test_events_without_clients_has_no_listener(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_readers, "_LINGER_S", 0.0)
    with reading(rest):
        assert rest.service.feed.has_listener
    wait_until(lambda: not rest.service.feed.has_listener, "the end of listening")
    push(rest)
    assert rest.service.feed.drain() == ([], False)
    with reading(rest) as reader:
        (minute,) = push(rest)
        assert reader.next("reading").data["ts"] == minute_label(minute)


def test_events_reader_that_returned_is_served_beyond_the_linger(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_readers, "_LINGER_S", 0.01)

    async def return_soon(service: Service) -> bool:
        readers, later = event_readers.EventReaders(service, 3, 3), asyncio.Event()
        readers.enter("a")
        readers.leave("a")
        readers.enter("a")
        asyncio.get_running_loop().call_later(0.02, later.set)  # due after what the first visit has left behind
        await later.wait()
        return service.feed.has_listener

    with serving(models, HttpOptions(MAX_BODY_BYTES, MAX_TENSOR_BYTES)) as rest:
        is_served = asyncio.run(return_soon(rest.service))
    assert is_served


def test_events_shutdown_ends_all_streams(rest: Rest) -> None:
    with reading(rest) as reader:
        rest.service.feed.close()
        with pytest.raises(EOFError):
            reader.next()
