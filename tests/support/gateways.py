"""The complete gateway in a thread of this process: all that ``gapcast run`` starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from gapcast.app.application import Application
from gapcast.config.settings import Settings
from tests.support.models import shipped_models
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

GATEWAY = "gw-test"
#: ``[forecast]`` with the model alone: its own predictions are published, without anything learned.
ALONE = {"blend": False, "calibrate": False}
STATUS, REJECTED = f"gapcast/{GATEWAY}/status", f"gapcast/{GATEWAY}/rejected"


def gateway_settings(mqtt_port: int, state: Path, /, **sections: Any) -> Settings:
    """Settings of a gateway against a loopback broker; ``sections`` add to them, as in ``mqtt={"qos": 0}``."""
    merged: dict[str, Any] = {
        "gateway": {"id": GATEWAY},
        "mqtt": {"host": LOOPBACK, "port": mqtt_port},
        "http": {"host": LOOPBACK, "port": free_port()},
        "state": {"path": state},
        "models": {"path": shipped_models()},
    }
    for section, values in sections.items():
        merged[section] = merged.get(section, {}) | values if isinstance(values, dict) else values
    return Settings.model_validate(merged)


class Gateway:
    """A running application."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.application = Application(settings, {}, **options)
        self.service = self.application.service
        self.session = self.application.session
        self.url = f"http://{LOOPBACK}:{self.application.http_port}"
        self._stopping = Event()
        self._thread = Thread(target=self.application.run, args=(self._stopping,), name="gateway", daemon=True)
        self._thread.start()

    @property
    def n_taken(self) -> int:
        """The number of readings processed so far, accepted or not; all messages that they caused are sent."""
        return sum(self.service.statistics.readings.values())

    def wait_connected(self, timeout_s: float = GUARD_S) -> None:
        wait_until(
            lambda: self.service.queries.connected or not self._thread.is_alive(),
            lambda: f"the gateway's connection ({self.session.problem})",
            timeout_s,
        )
        assert self._thread.is_alive(), "the gateway has ended"

    def wait_taken(self, n: int, timeout_s: float = GUARD_S) -> None:
        wait_until(lambda: self.n_taken >= n, lambda: f"{n} readings to be taken, {self.n_taken} were", timeout_s)

    def stop(self, timeout_s: float = GUARD_S) -> None:
        self._stopping.set()
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the gateway does not stop"


@contextmanager
def running(settings: Settings, *, connected: bool = True, **options: Any) -> Iterator[Gateway]:
    gateway = Gateway(settings, **options)
    try:
        if connected:
            gateway.wait_connected()
        yield gateway
    finally:
        gateway.stop()
