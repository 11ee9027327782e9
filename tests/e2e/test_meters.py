"""Meters by a configuration file: checked, and read across a kill of the process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx

from gapcast.core.time_grid import MINUTE_MS, minute_label
from tests.e2e.conftest import Start
from tests.integration.test_meters import SECOND_MS, sensor
from tests.integration.test_stream import FIRST, assert_same, offline, without_issue
from tests.support.brokers import Broker, MosquittoBroker
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

SettingsOf = Callable[[int], tuple[str, ...]]


def configured(folder: Path, text: str) -> Path:
    file = folder / "gapcast.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_check_lists_the_topics(start: Start, settings_of: SettingsOf, broker: Broker, tmp_path: Path) -> None:
    file = configured(tmp_path, '[[sources]]\npreset = "tasmota"\n\n[[sources]]\npreset = "dsmr-reader"\n')
    protocol = ("--set", "mqtt.protocol=3.1.1") if broker.name == "embedded" else ()
    command = start("check", "--config", file, *settings_of(broker.port), *protocol)
    assert command.wait() == 0, command.out
    assert "subscribed to tele/{device}/SENSOR, dsmr/json" in command.out


def test_source_error_names_the_key_and_a_fix(start: Start, settings_of: SettingsOf, tmp_path: Path) -> None:
    file = configured(tmp_path, '[[sources]]\ntopic = "dsmr/json"\nvalue = "power"\n')
    command = start("run", "--config", file, *settings_of(1883))
    assert command.wait() == 2
    assert "sources.0.topic: 'dsmr/json' has no {device}: give it one, or name the device" in command.err
    assert "Traceback" not in command.err


def test_kill_within_a_minute_changes_no_forecast(
    start: Start, settings_of: SettingsOf, http_port: int, mosquitto: MosquittoBroker, tmp_path: Path
) -> None:
    alone = "[forecast]\nblend = false\ncalibrate = false\n"
    file = configured(tmp_path, alone + '[[sources]]\npreset = "tasmota"\nevery_s = 10\n')
    service = start("run", "--config", file, *settings_of(mosquitto.port))
    service.wait_ready(http_port)
    samples = [(FIRST * MINUTE_MS + 10 * i * SECOND_MS, 1_000 + 370 * i % 600) for i in range(61)]
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        peer.subscribe("gap/+/forecast")
        for at_ms, watts in samples[:33]:  # to half a minute into the sixth
            peer.publish("tele/plug/SENSOR", sensor(at_ms, watts))
        peer.wait_for("gap/plug/forecast", 4)
        metrics = f"http://{LOOPBACK}:{http_port}/metrics"
        wait_until(lambda: 'samples_total{result="taken"} 33.0' in httpx.get(metrics).text, "the samples to be taken")
        service.signal(signal.SIGKILL)
        service.wait()
        for at_ms, watts in samples[33:]:
            peer.publish("tele/plug/SENSOR", sensor(at_ms, watts))
        start("run", "--config", file, *settings_of(mosquitto.port)).wait_ready(http_port)
        last = minute_label(FIRST + 9)
        peer.wait_that(lambda messages: messages and messages[-1].document["observed_at"] == last, "the last forecast")
        documents: list[dict[str, Any]] = []
        for message in peer.on("gap/plug/forecast"):  # what was not confirmed before the kill is published again
            document = without_issue(message.document)
            if document not in documents:
                documents.append(document)
    minutes = [(FIRST + i, fmean(watts for _, watts in samples[6 * i : 6 * i + 6]) / 1_000) for i in range(10)]
    assert_same(documents, offline("plug", minutes))
