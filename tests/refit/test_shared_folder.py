"""Two services with the same state folder: the second one ends, and leaves the minute archive to the first."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import httpx
import pytest

from gapcast.app import application
from gapcast.core.errors import StateInUseError
from gapcast.core.readings.reading import Reading
from gapcast.refit.nights import REFIT_FOLDER, NightlyRefits
from gapcast.storage.files import locks
from tests.support.gateways import Gateway, gateway_settings, running
from tests.support.houses import FIRST
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S


def nights_of(gateway: Gateway) -> NightlyRefits:
    """Return the nights of ``gateway`` once it has restored its state."""
    assert httpx.get(f"{gateway.url}/livez", timeout=GUARD_S).is_success
    nights = gateway.application._nights
    assert nights is not None
    return nights


def test_second_service_does_not_change_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "refits", lambda _: True)
    monkeypatch.setattr(locks, "WAIT_S", 0.0)
    broker_port = free_port()
    path = tmp_path / "stream" / REFIT_FOLDER / "home.minutes"
    with running(gateway_settings(broker_port, tmp_path), connected=False) as first:
        first_nights = nights_of(first)
        first_nights.record([Reading("home", FIRST + i, 1.0) for i in range(3)])
        first_nights.archive.flush()
        content = path.read_bytes()
        torn = content + content[-20:-4]  # as read while the first one writes
        path.write_bytes(torn)
        second = application.Application(gateway_settings(broker_port, tmp_path), {})
        with pytest.raises(StateInUseError):
            second.run(Event())
        second.close()
        assert path.read_bytes() == torn, "the second service repaired a file of the first"
        path.write_bytes(content)
        first_nights.record([Reading("home", FIRST + 3, 2.0)])
        assert first_nights.archive.load("home").gap_kw.tolist() == [1.0, 1.0, 1.0, 2.0]
