"""An error in one step of the service, or in one message, does not stop the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from structlog.testing import capture_logs

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError, PayloadError, ShardError
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.models.predictor import Prediction
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.service.batches import forecast_step
from gapcast.service.containment import Containment, record_internal_error
from gapcast.service.persistence.persistence import NoStateStore
from gapcast.service.ports.broker_link import IncomingMessage
from gapcast.service.service import MAX_FAILED_ITERATIONS, Service
from tests.core.test_isolation import NO_NUMBER, NOON, POISON_KW, Fragile
from tests.support.links import MemoryLink


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged, unwritten."""
    with capture_logs() as captured:
        yield captured


class Panic(BaseException):
    """What an extension module may raise: no Exception."""


class NotingLink(MemoryLink):
    """A memory link that records what was acknowledged and rejected; the methods named in ``raising`` raise."""

    def __init__(self, **raising: BaseException) -> None:
        super().__init__()
        self.settled: list[IncomingMessage] = []
        self.rejected: list[tuple[str, str]] = []
        self._raising = raising

    def _raise(self, name: str) -> None:
        if name in self._raising:
            raise self._raising[name]

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        self._raise("receive_messages")
        return super().receive_messages(n_at_most, timeout_s)

    def publish(self, forecasts: Forecasts) -> list[int]:
        self._raise("publish")
        return super().publish(forecasts)

    def reject(self, rejected: IncomingMessage | Reading, problem: PayloadError) -> None:
        self._raise("reject")
        reading = rejected if isinstance(rejected, Reading) else rejected.reading
        self.rejected.append((reading.device if reading is not None else "", problem.reason))

    def acknowledge_after(self, message: IncomingMessage, forecast_id: int, batch: int) -> None:
        self.settled.append(message)
        self._raise("acknowledge_after")

    def flush(self) -> None:
        self._raise("flush")

    def close(self, timeout_s: float, on_progress: Callable[[], None]) -> bool:
        self._raise("close")
        return super().close(timeout_s, on_progress)


class RaisingStateStore(NoStateStore):
    """A state store whose methods raise, except for ``close``."""

    def __init__(self) -> None:
        self.closed = False

    def append_batch(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Any] = ()) -> None:
        raise MemoryError

    def close(self, snapshot: Snapshot | None) -> None:
        self.closed = True


def served(link: MemoryLink, *batches: list[Reading], engine: Engine | None = None, **options: Any) -> Service:
    service = Service(link, engine or Engine(Fragile()), {}, **options)
    for batch in batches:
        link.put(*batch)
        service.run_once(0)
    return service


def minute(i: int, **powers_kw: Any) -> list[Reading]:
    return [Reading(device, NOON + i, kw) for device, kw in powers_kw.items()]


def test_run_once_rejects_only_the_failing_forecast(logs: list[Any]) -> None:
    link = NotingLink()
    service = served(link, minute(0, a=1, b=1, c=1), minute(1, a=2, b=POISON_KW, c=3), minute(2, a=4, b=5, c=6))
    assert [(one.device, one.gap_kw) for one in link.published] == [("a", 2), ("c", 3), ("a", 4), ("b", 5), ("c", 6)]
    assert link.rejected == [("b", "internal_error")]
    assert len(link.settled) == 9
    assert service.statistics.readings == {"accepted": 8, "duplicate": 0, "late": 0, "rejected": 1}
    assert service.statistics.internal_errors == {"forecast": 1}
    (line,) = [one for one in logs if one["event"] == "internal.error"]
    assert (line["kind"], line["what"], line["part"]) == ("ZeroDivisionError", "b", "forecast")
    assert link.published[3].n_observed == 3, "the reading that had no forecast is history all the same"


def test_run_once_reading_that_raises_is_rejected_and_its_device_forgotten() -> None:
    link = NotingLink()
    service = served(link, minute(0, a=1, b=1), minute(1, a=2, b=NO_NUMBER), minute(2, a=3, b=3), minute(3, b=4))
    assert [(one.device, one.n_observed) for one in link.published] == [("a", 2), ("a", 3), ("b", 2)]
    assert link.rejected == [("b", "internal_error")]
    assert service.statistics.internal_errors == {"message": 1}
    assert link.forgotten == ["b"]


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), OSError(24, "Too many open files"), Panic()])
@pytest.mark.parametrize(
    ("step", "part"), [("publish", "publish"), ("acknowledge_after", "stream"), ("flush", "publish")]
)
def test_run_once_step_that_raises_leaves_the_other_steps_taken(error: BaseException, step: str, part: str) -> None:
    link = NotingLink(**{step: error})
    service = served(link, minute(0, a=1, b=1), minute(1, a=2, b=2))
    assert len(link.settled) == 4
    assert len(link.published) == (0 if step == "publish" else 2)
    assert service.statistics.readings["accepted"] == 4
    assert set(service.statistics.internal_errors) == {part}


class FullDisk:
    """A log that cannot be written."""

    def exception(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")


class Failing(Fragile):
    """A model that the runtime cannot run."""

    def predict(self, windows: F32) -> Prediction:
        raise ModelError("the runtime cannot compute the file")


def test_run_once_model_that_fails_without_a_log_leaves_the_other_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_step, "log", FullDisk())
    link = NotingLink()
    service = served(link, minute(0, a=1, b=1), minute(1, a=2, b=2), engine=Engine(Failing()))
    assert len(link.settled) == 4
    assert service.statistics.readings["accepted"] == 4
    assert service.statistics.internal_errors == {"forecast": 1}


def test_run_once_rejection_that_raises_leaves_its_message_acknowledged() -> None:
    link = NotingLink(reject=OverflowError())
    link.put_problem()
    service = served(link, minute(0, a=1))
    assert len(link.settled) == 2
    assert service.statistics.internal_errors == {"publish": 1}


def test_run_once_store_that_raises_leaves_messages_acknowledged() -> None:
    link, state_store = NotingLink(), RaisingStateStore()
    service = served(link, minute(0, a=1), minute(1, a=2), state_store=state_store)
    assert (len(link.settled), len(link.published)) == (2, 1)
    assert service.statistics.internal_errors["persistence"] >= 2


class Raising(Engine):
    """An engine that raises in the named method."""

    raises: str = ""

    def _step(self, name: str) -> None:
        if name == self.raises:
            raise Panic

    def accept(self, readings: Sequence[Reading]) -> Any:
        self._step("accept")
        return super().accept(readings)

    def forecast(self, accepted: Any, issued_at_ms: int) -> Forecasts:
        self._step("forecast")
        return super().forecast(accepted, issued_at_ms)

    def learn(self, *, copied: bool = True) -> Any:
        self._step("learn")
        return super().learn(copied=copied)


@pytest.mark.parametrize(
    ("step", "part", "n_published", "n_rejected"),
    [("accept", "stream", 0, 2), ("forecast", "forecast", 0, 0), ("learn", "learning", 2, 0)],
)
def test_run_once_engine_that_raises_as_a_whole_is_contained(
    step: str, part: str, n_published: int, n_rejected: int
) -> None:
    link, engine = NotingLink(), Raising(Fragile())
    service = served(link, minute(0, a=1, b=1), engine=engine)
    engine.raises = step
    link.put(*minute(1, a=2, b=2))
    service.run_once(0)
    assert (len(link.published), len(link.rejected), len(link.settled)) == (n_published, n_rejected, 4)
    assert part in service.statistics.internal_errors
    engine.raises = ""
    link.put(*minute(2, a=3, b=3))
    service.run_once(0)
    assert len(link.published) == n_published + 2


class Pauses(Event):
    """Notes how long each pause was to be, instead of pausing; set after so many."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._n = n
        self.lengths_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.lengths_s.append(timeout or 0)
        if len(self.lengths_s) >= self._n:
            self.set()
        return self.is_set()


def test_run_failing_iterations_wait_longer_and_stop_the_watchdog_calls() -> None:
    link = NotingLink(receive_messages=RecursionError())
    service = Service(link, Engine(Fragile()), {})
    stopping, calls = Pauses(MAX_FAILED_ITERATIONS + 5), []
    assert service.run(stopping, lambda: calls.append(len(stopping.lengths_s)))
    assert service.statistics.internal_errors["stream"] == MAX_FAILED_ITERATIONS + 5
    assert calls == list(range(1, MAX_FAILED_ITERATIONS))
    assert stopping.lengths_s == sorted(stopping.lengths_s)
    assert (stopping.lengths_s[0], stopping.lengths_s[-1]) == (0.1, 5.0)
    assert sum(stopping.lengths_s[:MAX_FAILED_ITERATIONS]) < 60, "the watchdog of the unit waits a minute"


class RecoveringLink(NotingLink):
    """A link that raises but for each ``MAX_FAILED_ITERATIONS``-th time, when it receives nothing."""

    n_calls = 0

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        self.n_calls += 1
        if self.n_calls % MAX_FAILED_ITERATIONS:
            raise RecursionError
        return super().receive_messages(n_at_most, timeout_s)


def test_run_iteration_that_succeeds_begins_the_count_of_failures_again() -> None:
    service, calls = Service(RecoveringLink(), Engine(Fragile()), {}), []
    n_pauses = MAX_FAILED_ITERATIONS - 1
    stopping = Pauses(3 * n_pauses)
    service.run(stopping, lambda: calls.append(len(stopping.lengths_s)))
    assert stopping.lengths_s == stopping.lengths_s[:n_pauses] * 3
    assert sorted(set(calls)) == list(range(1, 3 * n_pauses + 1))


def test_run_end_that_raises_still_persists_the_state() -> None:
    link, state_store, stopping = NotingLink(close=OSError()), RaisingStateStore(), Event()
    stopping.set()
    assert not Service(link, Engine(Fragile()), {}, state_store=state_store).run(stopping)
    assert state_store.closed


def test_run_end_names_why_the_state_is_not_persisted(logs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it looks like a stop that loses nothing."""
    stopping = Event()
    stopping.set()
    for problem in ("No space left on device", ""):
        monkeypatch.setattr(NoStateStore, "problem", problem)
        Service(NotingLink(), Engine(Fragile()), {}).run(stopping)
    found = [(one["log_level"], one.get("problem")) for one in logs if one["event"] == "service.stopped"]
    assert found == [("warning", "No space left on device"), ("info", None)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ShardError("taken over")])
def test_run_lets_what_is_to_end_the_process_pass(error: BaseException) -> None:
    service = Service(NotingLink(receive_messages=error), Engine(Fragile()), {})
    with pytest.raises(type(error)):
        service.run(Event())


def test_attempt_returns_what_the_step_recalls() -> None:
    assert Containment(Statistics()).attempt("stream", max, 1, 2) == 2


def test_run_steps_continue_after_one_that_raises(logs: list[Any]) -> None:
    taken: list[str] = []

    def fails(_: list[str]) -> None:
        raise Panic

    containment = Containment(Statistics())
    containment.run_steps((("stream", fails), ("http", lambda all_taken: all_taken.append("a"))), taken)
    assert taken == ["a"]
    assert containment.statistics.internal_errors == {"stream": 1}
    assert logs[0]["what"].endswith("fails")


def test_run_steps_let_what_is_to_end_the_process_pass() -> None:
    def ends(_: list[str]) -> None:
        raise SystemExit

    taken: list[str] = []
    with pytest.raises(SystemExit):
        Containment(Statistics()).run_steps(
            (("stream", ends), ("stream", lambda all_taken: all_taken.append("a"))), taken
        )
    assert not taken


def test_record_internal_error_survives_an_error_that_cannot_be_shown() -> None:
    class NamelessError(Exception):
        def __str__(self) -> str:
            raise OSError

    statistics = Statistics()
    record_internal_error(statistics, "stream", NamelessError())
    assert statistics.internal_errors == {"stream": 1}


class SlowCounts(dict[str, int]):
    """Counts whose reading lets other threads run before the new count is written."""

    def get(self, part: str, default: Any = None) -> Any:
        n = super().get(part, default)
        for _ in range(1_000):  # the interpreter switches threads at the end of a loop
            pass
        return n


def test_record_internal_error_counts_all_of_several_threads() -> None:
    statistics, n = Statistics(internal_errors=SlowCounts()), 1_000
    before_s, ready = sys.getswitchinterval(), Barrier(3)

    def record() -> None:
        ready.wait()
        for _ in range(n):
            record_internal_error(statistics, "http", ValueError("it is not"))

    threads = [Thread(target=record) for _ in range(3)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before_s)
    assert statistics.internal_errors == {"http": 3 * n}
