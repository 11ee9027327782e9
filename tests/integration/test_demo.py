"""Parts of the demo: the watcher and its scores, and the settings that apply."""

from __future__ import annotations

import errno
import gc
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import pytest

from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError
from gapcast.core.time_grid import minute_label
from gapcast.demo import run
from gapcast.demo.broker import EmbeddedBroker
from gapcast.demo.run import DemoOptions, run_demo
from gapcast.demo.watcher import Watcher
from tests.integration.conftest import Connect
from tests.integration.test_stream import FIRST
from tests.support.brokers import Broker
from tests.support.models import shipped_models
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until


def forecast(i: int, median_kw: float | None) -> str:
    """Return a forecast of 1.5 kW for five minutes later, with the fields that the watcher reads."""
    observed_at, target_at = minute_label(FIRST + i), minute_label(FIRST + i + 5)
    return json.dumps({"observed_at": observed_at, "target_at": target_at, "gap_kw": 1.5, "median_kw": median_kw})


@pytest.mark.parametrize(
    ("median_kw", "mae", "by"), [(None, "0.5000", ""), (1.75, "0.2500", "; MAE by the median")], ids=["mean", "median"]
)
@pytest.mark.parametrize("paced", [True, False])
def test_watcher_absolute_error_uses_the_median_if_present(
    broker: Broker, connect: Connect, median_kw: float | None, mae: str, by: str, paced: bool
) -> None:
    peer = connect(broker)
    shown: list[str] = []
    with Watcher(broker.host, broker.port, "home", shown.append) as watcher:
        assert watcher.summary(paced=paced) == "0 readings, 0 forecasts: not enough data to score"
        for i in range(6):
            watcher.sent(minute_label(FIRST + i), 1.0 if i < 5 else 2.0)
            if paced:
                peer.publish("gap/home/forecast", forecast(i, median_kw))
                assert watcher.wait_for(i + 1, GUARD_S)
        if not paced:  # the meter is ahead of the forecasts
            for i in range(6):
                peer.publish("gap/home/forecast", forecast(i, median_kw))
        assert watcher.wait_for(6, GUARD_S)
        lines = watcher.summary(paced=paced).splitlines()
    assert lines[:4] == [
        "6 readings, 6 forecasts, 1 scored",
        f"  forecast     MSE 0.2500 kW²  MAE {mae} kW",
        "  persistence  MSE 1.0000 kW²  MAE 1.0000 kW",
        f"  skill +75.0% (1 - MSE / MSE of persistence{by})",
    ]
    assert lines[4].endswith("(at full speed: includes queueing)") is not paced
    assert shown[-1].endswith("now  2.000 kW   00:10  1.500 kW   | forecast for now  1.500 kW, error 0.500 kW")


def test_demo_uses_models_forecast_and_site_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[Settings] = []

    def application(settings: Settings, environment: Mapping[str, str]) -> None:
        assert environment == {}
        taken.append(settings)
        msg = "seen enough"
        raise ModelError(msg)

    monkeypatch.setattr(run, "Application", application)
    mqtt_port, http_port = free_port(), free_port()
    counts = {"models": {"path": shipped_models()}, "forecast": {"model": "linear"}, "site": {"timezone": "Asia/Tokyo"}}
    given = Settings.model_validate(
        counts
        | {
            "gateway": {"id": "cellar"},
            "mqtt": {"host": "nowhere.invalid", "username": "me", "password": "secret", "qos": 0},
            "http": {"host": "::1", "max_readings": 2},
            "topics": {"reading": "meter/{device}"},
            "limits": {"max_kw": 1.0},
            "devices": {"max": 1},
            "state": {"path": "/nowhere"},
        }
    )
    with pytest.raises(ModelError, match="seen enough"):
        run_demo(DemoOptions(None, None, mqtt_port, http_port), given, print, Event())
    state = taken[0].state.path
    assert state is not None
    assert state != Path("/nowhere")
    assert not state.exists(), "the folder is removed when the demo ends"
    own = {"gateway": {"id": "demo"}, "mqtt": {"host": LOOPBACK, "port": mqtt_port, "protocol": "3.1.1"},
           "http": {"host": LOOPBACK, "port": http_port}, "state": {"path": state}}  # fmt: skip
    assert taken == [Settings.model_validate(counts | own)]


def test_demo_names_the_port_that_replaces_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Settings] = []

    def application(settings: Settings, _environment: Mapping[str, str]) -> None:
        taken.append(settings)
        msg = "seen enough"
        raise ModelError(msg)

    monkeypatch.setattr(run, "Application", application)
    shown: list[str] = []
    with socket.create_server((LOOPBACK, 0)) as mqtt, socket.create_server((LOOPBACK, 0)) as http:
        wanted = mqtt.getsockname()[1], http.getsockname()[1]
        with pytest.raises(ModelError, match="seen enough"):
            run_demo(DemoOptions(None, None, *wanted), Settings(), shown.append, Event())
    found = taken[0].mqtt.port, taken[0].http.port
    assert shown == [f"port {a} is in use: using {b}" for a, b in zip(wanted, found, strict=True)]


def test_embedded_broker_closes_silent_connections() -> None:
    broker = EmbeddedBroker(free_port())
    broker.start()
    with socket.create_connection((LOOPBACK, broker.port)):
        wait_until(lambda: len(broker._transports) == 1, "the connection's arrival")
        broker.stop()
    assert not broker._transports
    gc.collect()  # an unclosed transport warns when it is found


def test_embedded_broker_client_closes_first_logs_no_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = Event()

    async def stream_connected(*_: object, **__: object) -> None:
        served.set()
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr("amqtt.broker.Broker.stream_connected", stream_connected)
    broker = EmbeddedBroker(free_port())
    broker.start()
    with socket.create_connection((LOOPBACK, broker.port)):
        assert served.wait(GUARD_S)
    broker.stop()  # after the loop has logged what the connection raised
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
