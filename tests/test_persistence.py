"""Confirmed, then stored, then acknowledged: the disk is never ahead of the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gapcast.core.engine import Engine
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import MeterState, OpenMinute, Sample
from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_changes import ForgottenDevice, ReplacedPlan, StateChange
from gapcast.core.time_grid import MINUTE_MS
from gapcast.predictors.baselines import Persistence
from gapcast.service.persistence.persistence import NoStateStore
from gapcast.service.ports.broker_link import IncomingMessage, NoMeters
from gapcast.service.service import MAX_BATCH, Service
from gapcast.storage.store import Store
from tests.support.links import MemoryLink

NOON = 21_476_160


class ConfirmingLink(MemoryLink):
    """A link whose forecasts are confirmed by hand; it records acknowledged readings."""

    def __init__(self) -> None:
        super().__init__()
        self.unconfirmed: list[int] = []
        self.settled: list[tuple[int, int]] = []  # minute, batch
        self.n_taken_at_most: list[int] = []
        self.last_persisted = 0

    def receive_messages(self, n_at_most: int, timeout_s: float) -> list[IncomingMessage]:
        self.n_taken_at_most.append(n_at_most)
        return super().receive_messages(n_at_most, timeout_s)

    def publish(self, forecasts: Forecasts) -> list[int]:
        super().publish(forecasts)
        forecast_ids = [1_000_000 + minute for minute in forecasts.observed_minutes]
        self.unconfirmed += forecast_ids
        return forecast_ids

    def acknowledge_after(self, message: IncomingMessage, forecast_id: int, batch: int) -> None:
        assert message.reading is not None
        self.settled.append((message.reading.minute - NOON, batch))

    def has_confirmed(self, forecast_ids: Sequence[int]) -> bool:
        return not set(forecast_ids) & set(self.unconfirmed)

    def mark_persisted(self, batch: int) -> None:
        self.last_persisted = batch

    @property
    def acknowledged(self) -> list[int]:
        return [minute for minute, batch in self.settled if batch <= self.last_persisted]


class MemoryStateStore(NoStateStore):
    """Stores everything in memory; requests a snapshot on demand."""

    def __init__(self) -> None:
        self.minutes: list[int] = []
        self.samples: list[Sample] = []
        self.removals: list[tuple[str, int]] = []  # and how many minutes were kept by then
        self.snapshots: list[Snapshot] = []
        self.wants = False

    def append_batch(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        self.samples += samples
        self.minutes += [reading.minute - NOON for reading in readings]

    def append_change(self, change: StateChange) -> None:
        self.removals.append((change.device, len(self.minutes)))

    def maintain(self) -> bool:
        return self.wants

    def write_snapshot(self, snapshot: Snapshot) -> None:
        self.wants = False
        self.snapshots.append(snapshot)

    def close(self, snapshot: Snapshot | None) -> None:
        self.snapshots += [snapshot] if snapshot is not None else []


@pytest.fixture
def link() -> ConfirmingLink:
    return ConfirmingLink()


@pytest.fixture
def state_store() -> MemoryStateStore:
    return MemoryStateStore()


@pytest.fixture
def service(link: ConfirmingLink, state_store: MemoryStateStore) -> Service:
    return Service(link, Engine(Persistence()), {}, state_store=state_store)


def send(service: Service, link: ConfirmingLink, *minutes: int) -> None:
    link.put(*(Reading("home", NOON + minute, 1.0) for minute in minutes))
    service.run_once(0)


def test_batch_is_stored_once_confirmed_and_in_order(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    send(service, link, 0)
    assert (state_store.minutes, link.acknowledged) == ([0], [0]), "a first reading has nothing to wait for"
    send(service, link, 1, 2)
    send(service, link, 3)
    assert (state_store.minutes, link.acknowledged) == ([0], [0])
    first, second, third = link.unconfirmed
    link.unconfirmed = [second]
    service.run_once(0)
    assert (state_store.minutes, link.acknowledged) == ([0], [0]), "the third is confirmed, but not those before it"
    link.unconfirmed = []
    service.run_once(0)
    assert (state_store.minutes, link.acknowledged) == ([0, 1, 2, 3], [0, 1, 2, 3])
    assert first < second < third


def test_batch_without_effect_is_acknowledged_and_not_stored(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    send(service, link, 0, 0, 1, 1)
    link.unconfirmed = []
    send(service, link, 1)
    assert state_store.minutes == [0, 1]
    assert link.acknowledged == [0, 0, 1, 1, 1]


def test_held_reading_is_stored(service: Service, link: ConfirmingLink, state_store: MemoryStateStore) -> None:
    send(service, link, 0, -3, 9_000)  # one late, one more than a day ahead
    assert state_store.minutes == [0, -3, 9_000]


def test_snapshot_has_only_confirmed_batches(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    send(service, link, 0, 1)
    state_store.wants = True
    service.run_once(0)
    assert state_store.snapshots == []
    send(service, link, 2)
    assert link.n_taken_at_most[-2:] == [MAX_BATCH, 0], "nothing is taken until all is confirmed"
    link.unconfirmed = []
    service.run_once(0)
    (snapshot,) = state_store.snapshots
    engine = Engine(Persistence())
    restore_snapshot(engine, snapshot)
    assert engine.latest()[0].observed_minute == NOON + 1
    service.run_once(0)
    assert link.n_taken_at_most[-1] == MAX_BATCH
    assert link.published[-1].observed_minute == NOON + 2


class Plug(NoMeters):
    """A meter that sends a sample with each batch."""

    def __init__(self, link: ConfirmingLink) -> None:
        self.link = link
        self.sent: list[Sample] = []
        self.forgotten: list[str] = []

    def take_samples(self) -> Sequence[Sample]:
        n_taken = self.link.n_taken
        if self.sent and self.sent[-1].at_ms == n_taken:
            return []
        self.sent.append(Sample("plug", n_taken, {"": 1.0}, {}))
        return self.sent[-1:]

    def capture_state(self) -> Sequence[MeterState]:
        n = self.link.n_taken
        return [MeterState("plug", {"": 1.0}, 0, n, 0, OpenMinute(0, 0, (), (), None, (), (), n), None)]

    def forget(self, device: str) -> None:
        self.forgotten.append(device)


def test_samples_are_stored_with_their_batch(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    link.meters = plug = Plug(link)
    send(service, link, 0)
    assert state_store.samples == plug.sent
    send(service, link, 1)
    assert len(state_store.samples) == 1, "its forecast is not confirmed"
    state_store.wants = True
    link.unconfirmed = []
    send(service, link, 2)  # taken by the time that all before it is confirmed
    assert (state_store.samples, state_store.snapshots) == (plug.sent[:2], [])
    link.unconfirmed = []
    service.run_once(0)
    (snapshot,) = state_store.snapshots
    assert state_store.samples == plug.sent
    assert [meter.last_ms for meter in snapshot.meters] == [3]
    assert service.forget("home")
    service.run_once(0)
    assert plug.forgotten == ["home"]


def test_samples_without_a_message_are_stored(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    """As when the clock closes a minute without a mean, and no message comes."""
    link.meters = plug = Plug(link)
    service.run_once(0)
    service.run_once(0)
    assert state_store.samples == plug.sent
    assert len(plug.sent) == 1


def test_unconfirmed_forecasts_delay_only_the_snapshot(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(service, link, 0, 1)
    state_store.wants = True
    send(service, link, 2)
    now_s, later_s = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s() + later_s)
    taken = []
    for later_s in (0.1, 1.1, 20.0, 31.0, 31.1, 32.1):  # noqa: B007 - the clock reads it
        service.run_once(0)
        service.run_once(0)
        taken.append(link.n_taken_at_most[-1])
    assert taken == [0, MAX_BATCH, MAX_BATCH, 0, 0, MAX_BATCH]
    assert state_store.snapshots == []


def test_close_writes_a_snapshot_only_if_all_is_confirmed(link: ConfirmingLink, state_store: MemoryStateStore) -> None:
    for unconfirmed in (False, True):
        service = Service(link, Engine(Persistence()), {}, state_store=state_store)
        send(service, link, 0, 1)
        link.unconfirmed = link.unconfirmed[-1:] if unconfirmed else []
        stopping = threading.Event()
        stopping.set()
        service.run(stopping)
        assert len(state_store.snapshots) == 1


# --- a device that is forgotten --------------------------------------------------------------------------


def test_forget_keeps_its_order_among_batches(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    send(service, link, 0, 1)
    assert service.forget("home")
    assert not service.forget("home")
    service.run_once(0)
    assert state_store.removals == [("home", 0)], "at once, though the batch before it is not confirmed"
    send(service, link, 2, 3)
    send(service, link, 4)
    link.unconfirmed = link.unconfirmed[1:]
    service.run_once(0)
    assert (state_store.minutes, state_store.removals) == ([0, 1], [("home", 0), ("home", 2)])
    link.unconfirmed = []
    service.run_once(0)
    assert (state_store.minutes, link.acknowledged) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    assert link.published[-1].n_observed == 3, "it starts as new"


def test_close_stores_forgotten_devices_despite_unconfirmed(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore
) -> None:
    send(service, link, 0, 1)
    service.forget("home")
    stopping = threading.Event()
    stopping.set()
    service.run(stopping)
    assert (state_store.minutes, {*state_store.removals}, state_store.snapshots) == ([], {("home", 0)}, [])
    assert link.forgotten == ["home"]


@pytest.mark.parametrize("is_killed", [True, False])
def test_forget_offline_clears_retained_messages_after_a_restart(
    link: ConfirmingLink, tmp_path: Path, *, is_killed: bool
) -> None:
    stopping = threading.Event()
    stopping.set()
    first = Store(tmp_path)
    first.restore(engine := Engine(Persistence()))
    service = Service(link, engine, {}, state_store=first)
    send(service, link, 0)
    link.connected = False
    assert service.forget("home")
    for _ in range(3):
        service.run_once(0)
    if is_killed:
        first.close(None)
    else:
        service.run(stopping)
    assert link.forgotten == []
    link.connected = True
    for _ in range(2):  # the second time there is nothing left to clear
        store = Store(tmp_path)
        store.restore(engine := Engine(Persistence()))
        assert Service(link, engine, {}, state_store=store).run(stopping)
        assert link.forgotten == ["home"]


def test_restart_does_not_clear_messages_of_a_returned_device(link: ConfirmingLink, tmp_path: Path) -> None:
    first = Store(tmp_path)
    first.restore(engine := Engine(Persistence()))
    service = Service(link, engine, {}, state_store=first)
    send(service, link, 0)
    service.forget("home")
    send(service, link, 1)
    assert link.forgotten == ["home"]
    first.close(None)  # as a kill
    second = Store(tmp_path)
    second.restore(engine := Engine(Persistence()))
    assert list(second.forgotten) == ["home"]
    stopping = threading.Event()
    stopping.set()
    Service(link, engine, {}, state_store=second).run(stopping)
    assert (list(engine.buffers), link.forgotten) == (["home"], ["home"])


def test_snapshot_waits_for_the_removal_of_retained_messages(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "forget", lambda _device: [7])
    send(service, link, 0)
    link.unconfirmed = [7]
    service.forget("home")
    service.run_once(0)
    state_store.wants = True
    service.run_once(0)
    assert state_store.snapshots == []
    link.unconfirmed = []
    service.run_once(0)
    assert len(state_store.snapshots) == 1


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_changes_survive_a_kill_right_after_their_iteration(
    link: ConfirmingLink, tmp_path: Path, *, is_confirmed: bool
) -> None:
    first = Store(tmp_path)
    first.restore(engine := Engine(Persistence()))
    service = Service(link, engine, {}, state_store=first)
    send(service, link, 0, 1)
    link.unconfirmed = []
    service.run_once(0)
    if not is_confirmed:
        send(service, link, 2)  # what the broker confirms later, or never
    assert service.forget("home")
    service.replace_plan("barn", LoadPlan((PlannedLoad(7.4, NOON * MINUTE_MS, (NOON + 60) * MINUTE_MS, "car"),)))
    service.run_once(0)
    first.close(None)  # as a kill: nothing more is written
    second = Store(tmp_path)
    second.restore(engine := Engine(Persistence()))
    assert list(engine.buffers) == []
    assert [load.name for load in engine.plan_of("barn").loads] == ["car"]
    second.close(None)


def test_kill_among_confirmations_keeps_the_newest_change(link: ConfirmingLink, tmp_path: Path) -> None:
    first = Store(tmp_path)
    first.restore(engine := Engine(Persistence()))
    service = Service(link, engine, {}, state_store=first)
    for minute, name in ((1, "car"), (2, "heater")):
        send(service, link, minute - 1, minute)
        load = PlannedLoad(7.4, NOON * MINUTE_MS, (NOON + 60) * MINUTE_MS, name)
        service.replace_plan("barn", LoadPlan((load,)))
        service.run_once(0)
    link.unconfirmed = link.unconfirmed[1:]  # the batch before the first change is confirmed, the other is not
    service.run_once(0)
    first.close(None)  # as a kill
    second = Store(tmp_path)
    second.restore(engine := Engine(Persistence()))
    assert [load.name for load in engine.plan_of("barn").loads] == ["heater"]
    assert engine.buffers.newest("home")[0] == NOON + 1
    second.close(None)


def test_deleted_device_stays_deleted_among_confirmations(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[StateChange] = []
    monkeypatch.setattr(state_store, "append_change", changes.append)
    send(service, link, 0, 1)
    service.replace_plan("home", LoadPlan((PlannedLoad(7.4, NOON * MINUTE_MS, (NOON + 60) * MINUTE_MS, "car"),)))
    send(service, link, 2)
    assert service.forget("home")
    service.run_once(0)
    link.unconfirmed = link.unconfirmed[1:]
    service.run_once(0)
    assert [type(change) for change in changes] == [ReplacedPlan, ForgottenDevice] * 2


def test_pending_changes_are_stored_again_once_for_all_confirmations(
    service: Service, link: ConfirmingLink, state_store: MemoryStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[StateChange] = []
    monkeypatch.setattr(state_store, "append_change", changes.append)
    n_changes = 20
    for minute in range(n_changes):
        send(service, link, minute)
        load = PlannedLoad(7.4, NOON * MINUTE_MS, (NOON + 60) * MINUTE_MS, str(minute))
        service.replace_plan("home", LoadPlan((load,)))
        service.run_once(0)
    changes.clear()
    link.unconfirmed = link.unconfirmed[-1:]
    service.run_once(0)
    names = [change.plan.loads[0].name for change in changes if isinstance(change, ReplacedPlan)]
    assert names == [str(minute) for minute in range(1, n_changes)], names
