"""The service swaps the engine between two batches, without an effect on its other parts."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.monitoring.online_tracker import OnlineTracker
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.predictors.baselines import Persistence, Trend
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.running_engine import EngineSwap
from gapcast.service.service import Service
from tests.core.test_snapshot import Electric
from tests.support.links import MemoryLink
from tests.test_persistence import NOON, ConfirmingLink, MemoryStateStore


def push(service: Service, link: MemoryLink, *readings: Reading) -> None:
    link.put(*readings)
    service.run_once(0)


def test_swap_takes_effect_between_two_batches() -> None:
    link, old, new = MemoryLink(), Persistence(), Trend()
    service = Service(link, Engine(old), {"persistence": old})
    push(service, link, *(Reading("home", NOON + i, 1.0 + i) for i in range(3)))
    assert service.queries.latest_of("home") is not None
    taken = service.swap_engine(Engine(new), {"trend": new})
    assert not taken.done()
    push(service, link, Reading("home", NOON + 3, 4.0))
    assert 0 <= taken.result(0) < 1
    assert [forecast.model for forecast in link.published] == ["persistence", "persistence", "trend"]
    assert link.published[-1].n_observed == 4
    assert (service.queries.model, service.queries.models) == (new, {"trend": new})
    assert [forecast.model for forecast in service.queries.latest_page(9)[0]] == ["trend"]


def test_swap_without_an_offer_does_nothing() -> None:
    exchanging = EngineSwap()
    assert not exchanging.is_due
    assert exchanging.accept(Engine(Persistence())) is None


def test_swap_to_an_incompatible_engine_is_rejected() -> None:
    link, old = MemoryLink(), Persistence()
    service = Service(link, Engine(old), {"persistence": old})
    push(service, link, *(Reading("home", NOON + i, 1.0 + i) for i in range(3)))
    taken: Future[float] = service.swap_engine(Engine(Electric()), {})
    push(service, link, Reading("home", NOON + 3, 4.0))
    with pytest.raises(StateError, match="restart gapcast to switch to persistence"):
        taken.result(0)
    assert link.published[-1].n_observed == 4
    assert service.queries.models == {"persistence": old}


def test_swap_keeps_online_state_also_in_reused_rows() -> None:
    link, old, new = MemoryLink(), Persistence(), Trend()
    service = Service(link, Engine(old), {}, reports=ReportOptions(OnlineTracker(600)))
    push(service, link, *(Reading(device, NOON, 1.0) for device in ("a", "b", "c")))
    service.forget("b")
    service.run_once(0)
    announced = list(link.announced)
    service.swap_engine(Engine(new), {})
    push(service, link, *(Reading(device, NOON + 1, 1.0) for device in ("a", "c")))
    assert link.announced == announced, "nothing is new"
    push(service, link, Reading("d", NOON + 1, 1.0))
    assert link.announced == [*announced, ("d", True)]
    assert service.forget("c")
    service.run_once(0)
    assert link.forgotten == ["b", "c"]


def test_swap_requests_a_snapshot_once_all_is_confirmed() -> None:
    class InvalidatableStateStore(MemoryStateStore):
        def invalidate(self) -> None:
            self.wants = True

    link, state_store, old, new = ConfirmingLink(), InvalidatableStateStore(), Persistence(), Trend()
    service = Service(link, Engine(old), {}, state_store=state_store)
    push(service, link, *(Reading("home", NOON + i, 1.0 + i) for i in range(3)))
    service.swap_engine(Engine(new), {})
    push(service, link, Reading("home", NOON + 3, 4.0))
    assert state_store.wants
    assert state_store.snapshots == []
    link.unconfirmed.clear()
    service.run_once(0)
    (snapshot,) = state_store.snapshots
    assert state_store.minutes == [0, 1, 2, 3]
    restarted = Engine(new)
    restore_snapshot(restarted, snapshot)
    assert restarted.latest() == service.queries.latest_page(9)[0]
