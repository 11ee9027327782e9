"""Meters by a configuration file, as a user writes one: checked, and read over the death of the process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from edge.core.grid import MINUTE_MS, minute_label
from tests.e2e.conftest import Start
from tests.integration.test_meters import SECOND_MS, sensor
from tests.integration.test_stream import FIRST
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.peers import peer_of

SettingsOf = Callable[[int], tuple[str, ...]]


def configured(folder: Path, text: str) -> Path:
    file = folder / "gapcast.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_check_tells_which_topics_are_read(
    start: Start, settings_of: SettingsOf, broker: Broker, tmp_path: Path
) -> None:
    file = configured(tmp_path, '[[sources]]\npreset = "tasmota"\n\n[[sources]]\npreset = "dsmr-reader"\n')
    protocol = ("--set", "mqtt.protocol=3.1.1") if broker.name == "embedded" else ()
    command = start("check", "--config", file, *settings_of(broker.port), *protocol)
    assert command.wait() == 0, command.out
    assert "subscribed to tele/{device}/SENSOR, dsmr/json" in command.out


def test_a_source_that_cannot_be_is_said_with_its_key_and_the_cure(
    start: Start, settings_of: SettingsOf, tmp_path: Path
) -> None:
    file = configured(tmp_path, '[[sources]]\ntopic = "dsmr/json"\nvalue = "power"\n')
    command = start("run", "--config", file, *settings_of(1883))
    assert command.wait() == 2
    assert "sources.0.topic: 'dsmr/json' has no {device}: give it one, or name the device" in command.err
    assert "Traceback" not in command.err


def test_killed_in_the_middle_of_a_minute_it_loses_no_more_than_the_samples_of_that_minute(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, tmp_path: Path
) -> None:
    file = configured(tmp_path, '[[sources]]\npreset = "tasmota"\nevery_s = 10\n')
    service = start("run", "--config", file, *settings_of(mosquitto.port))
    service.wait_ready(http_port)
    samples = [FIRST * MINUTE_MS + 10 * i * SECOND_MS for i in range(61)]  # ten minutes, and the one that closes them
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe("gap/+/forecast")
        for at_ms in samples[:32]:  # to twenty seconds into the sixth minute
            peer.publish("tele/plug/SENSOR", sensor(at_ms, 1_000))
        peer.wait_for("gap/plug/forecast", 4)
        service.signal(signal.SIGKILL)
        service.wait()
        for at_ms in samples[32:]:
            peer.publish("tele/plug/SENSOR", sensor(at_ms, 1_000))
        start("run", "--config", file, *settings_of(mosquitto.port)).wait_ready(http_port)

        def observed() -> set[str]:
            return {message.document["observed_at"] for message in peer.on("gap/plug/forecast")}

        expected = {minute_label(FIRST + i) for i in (1, 2, 3, 4, 6, 7, 8, 9)}  # the sixth is where it begins again
        peer.wait_that(lambda _: observed() >= expected, "a forecast of every minute but the one that was open")
        assert all(abs(message.document["gap_kw"] - 1.0) < 0.1 for message in peer.on("gap/plug/forecast"))
