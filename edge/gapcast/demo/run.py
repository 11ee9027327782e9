"""Runs broker, service, meter and watcher together."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer

from gapcast.app.application import Application
from gapcast.config.sections.http import HttpSettings
from gapcast.config.sections.mqtt import MqttSettings
from gapcast.config.settings import GatewaySettings, Settings, StateSettings
from gapcast.core.errors import BrokerError, ModelError, SettingsError
from gapcast.core.models.predictor import Predictor
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.features import measured_in
from gapcast.demo.broker import EmbeddedBroker
from gapcast.demo.watcher import Watcher
from gapcast.recordings.recording import Minute, read_recording
from gapcast.replay.publisher import MeterPublisher, replay
from gapcast.sample import sample_path

HOST, DEVICE = EmbeddedBroker.host, "home"
_READY_S, _LAST_FORECAST_S = 60.0, 5.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """``speed`` is a multiple of real time (None: maximum); ``duration_s`` None: to the end of the recorded week.

    If ``mqtt_port`` or ``http_port`` is in use, a free one is used instead.
    """

    speed: float | None = 60.0
    duration_s: float | None = None
    mqtt_port: int = 1883
    http_port: int = 8080


def run_demo(options: DemoOptions, settings: Settings, show: Callable[[str], None], interrupted: Event) -> None:
    """Run until the duration has passed, the week is over or ``interrupted`` is set; then show the summary.

    Only ``models``, ``forecast`` and ``site`` of ``settings`` are used.
    """
    broker = EmbeddedBroker(_free_port(options.mqtt_port, show))
    broker.start()
    with contextlib.ExitStack() as stack:
        stack.callback(broker.stop)
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcast-demo-")))
        http_port = _free_port(options.http_port, show)
        application = Application(_settings(settings, broker.port, http_port, state), {})
        stack.callback(application.close)
        _require_power_only(application.models.primary)
        served = Event()
        pool = stack.enter_context(ThreadPoolExecutor(1, "meter"))
        seen = pool.submit(_meter_and_watch, application, broker, options, show, interrupted)
        seen.add_done_callback(lambda _: served.set())
        try:
            application.run(served)
        finally:
            interrupted.set()
        show(seen.result().summary(paced=options.speed is not None))


def _meter_and_watch(
    application: Application,
    broker: EmbeddedBroker,
    options: DemoOptions,
    show: Callable[[str], None],
    interrupted: Event,
) -> Watcher:
    """Replay the bundled week to the service; return the client that watched the forecasts."""
    _wait_ready(application)
    pace = "at full speed" if options.speed is None else f"at {options.speed:g} times real time"
    show(f"open   http://{HOST}:{application.http_port}/")
    show(f"listen mosquitto_sub -h {HOST} -p {broker.port} -t 'gap/#' -v")
    show(f"Replaying a recorded week of a real house {pace}; stop with Ctrl-C.")
    watcher = Watcher(broker.host, broker.port, DEVICE, show)
    clock = Timer(options.duration_s or 0, interrupted.set)
    clock.daemon = True
    with watcher, MeterPublisher(broker.host, broker.port, f"gap/{DEVICE}/reading") as meter:
        if options.duration_s is not None:
            clock.start()

        def publish(minute: Minute) -> None:
            watcher.sent(minute_label(minute.minute), minute.gap_kw)
            meter.publish(minute)

        replay(read_recording(sample_path()).minutes(), publish, options.speed, interrupted)
        watcher.wait_for(watcher.n_readings - 1, _LAST_FORECAST_S)
    clock.cancel()
    return watcher


def _require_power_only(model: Predictor) -> None:
    other_features = measured_in(model.features)[1:]
    if other_features:
        msg = f"model {model.name} needs {', '.join(other_features)}, which the demo's recording lacks: select another"
        raise ModelError(msg)


def _wait_ready(application: Application) -> None:
    deadline_s = time.monotonic() + _READY_S
    while not application.service.queries.connected:
        if time.monotonic() > deadline_s:
            msg = f"the service did not connect to the embedded broker within {_READY_S:g} s"
            raise BrokerError(msg)
        time.sleep(0.02)


def _settings(settings: Settings, mqtt_port: int, http_port: int, state: Path) -> Settings:
    return Settings(
        gateway=GatewaySettings(id="demo"),
        mqtt=MqttSettings(host=HOST, port=mqtt_port, protocol="3.1.1"),  # amqtt supports no other version
        http=HttpSettings(host=HOST, port=http_port),
        state=StateSettings(path=state),
        models=settings.models,
        forecast=settings.forecast,
        site=settings.site,
    )


def _free_port(wanted: int, show: Callable[[str], None]) -> int:
    """Return ``wanted`` if that port is free, else a free port, which is shown."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)) as probe:
            found = int(probe.getsockname()[1])
            if found != wanted:
                show(f"port {wanted} is in use: using {found}")
            return found
    msg = f"cannot listen on any port at {HOST}"
    raise SettingsError(msg)
