"""``gapcast replay`` publishes submeters as plugs beside the mains, with the same result as the back-test."""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.houses import FilePart, minutes_of
from gapcast.backtest.run import run_houses
from gapcast.commands.replay import ReplaySource, replay_file
from gapcast.core.engine import Engine
from gapcast.mqtt.connection.transport import Transport
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast.sample import sample_path
from tests.integration.conftest import Connect, StartGateway
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import gateway_settings

N = 300
POWERS = ("gap_kw", "median_kw", "lower_kw", "upper_kw")
UCI, APPLIANCES = (
    ("sub_metering_1", "sub_metering_2", "sub_metering_3"),
    ("kettle_w", "dishwasher_w", "washingmachine_w", "microwave_w"),
)
OF_UCI = FileFormat(submeters=True)
OF_APPLIANCES = FileFormat(Layout("datetime", "aggregate_w", zone=UTC, submeters=APPLIANCES))


@pytest.fixture
def patient_broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that drops no message, however slow the gateway is."""
    made = MosquittoBroker(tmp_path / "mosquitto", ("max_queued_messages 0",))
    made.start()
    yield made
    made.stop()


def plugs(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the configured submeters: the first on its own topic, the others on the topics of a replay."""
    topics = ["plugs/first", *(f"gap/home/reading/{name}" for name in names[1:])]
    return [
        {"of": "home", "name": name, "preset": "gapcast", "topic": topic}
        for name, topic in zip(names, topics, strict=True)
    ]


class Replayed:
    """Replays files to a gateway, and runs the engine over them like a back-test."""

    def __init__(self, broker: MosquittoBroker, start_gateway: StartGateway, connect: Connect, folder: Path) -> None:
        self._broker, self._start_gateway, self._folder = broker, start_gateway, folder
        self.peer = connect(broker)
        self.peer.subscribe("gap/home/forecast")

    def check(self, file: Path, form: FileFormat, names: Sequence[str], start: str | None = None) -> None:
        gateway = self._start_gateway(self._broker, submeters=plugs(names))
        settings = gateway_settings(self._broker.port, self._folder / "other", submeters=plugs(names))
        part, said = FilePart(start, N), list[str]()
        n_sent = replay_file(
            settings, ReplaySource(file, form, part), "home", None, Event(), transport=Transport(), show=said.append
        )
        assert n_sent == N
        assert not [line for line in said if line.startswith("warning")]
        forecasts = [message.document for message in self.peer.wait_for("gap/home/forecast", N - 1)]
        gateway.wait_taken(N)

        recording = read_recording(file, form)
        assert recording.submeters == tuple(names)
        engine = engine_of(settings, load_models(settings), {"home": recording.submeters})
        run_houses(engine, {"home": minutes_of(recording, part)}, submeters={"home": recording.submeters_kw})
        window = gateway.service.queries.read(lambda live, _: live.buffers.window("home"))
        assert np.array_equal(window, engine.buffers.window("home"), equal_nan=True)
        assert not np.isnan(window).any()
        assert window[:, 1:].max() > 0
        self._check_forecast(forecasts[-1], engine)
        assert "submetered" in forecasts[-1]["experts"]

    def _check_forecast(self, live: dict[str, Any], engine: Engine) -> None:
        expected = engine.latest_of("home")
        assert expected is not None
        document = expected.document()
        assert live["observed_at"] == document["observed_at"]
        for power in POWERS:
            assert live[power] == pytest.approx(document[power], abs=2e-5), power


@pytest.fixture
def replayed(
    patient_broker: MosquittoBroker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> Replayed:
    return Replayed(patient_broker, start_gateway, connect, tmp_path)


@pytest.mark.mosquitto
def test_replayed_plugs_of_a_week_give_the_forecasts_of_a_backtest(replayed: Replayed) -> None:
    replayed.check(sample_path(), OF_UCI, UCI)


@pytest.mark.mosquitto
@pytest.mark.wholeset
def test_replayed_plugs_of_uci_give_the_forecasts_of_a_backtest(
    replayed: Replayed, whole_set: Path, tmp_path: Path
) -> None:
    """The first evening of the file, in its own format."""
    with zipfile.ZipFile(whole_set) as archive, archive.open(archive.namelist()[0]) as member:
        (tmp_path / "evening.txt").write_bytes(b"".join(islice(member, N + 1)))
    replayed.check(tmp_path / "evening.txt", OF_UCI, UCI)


@pytest.mark.mosquitto
@pytest.mark.wholeset
@pytest.mark.parametrize(
    ("name", "first"),
    [("ukdale_house2", "2013-05-26T06:38:00"), ("refit_house2", "2013-10-02T14:20:00")],
)
def test_replayed_appliances_give_the_forecasts_of_a_backtest(
    replayed: Replayed, whole_set: Path, tmp_path: Path, name: str, first: str
) -> None:
    """From a minute on after which all four appliances are on."""
    file = tmp_path / "house.csv"
    with gzip.open(whole_set.parent / f"{name}_minutes.csv.gz", "rt", encoding="utf-8", newline="") as source:
        lines = csv.reader(source)
        kept = [next(lines), *islice((line for line in lines if line[0] >= first), N)]
    file.write_text("".join(",".join(line) + "\n" for line in kept), encoding="utf-8")
    replayed.check(file, OF_APPLIANCES, APPLIANCES, first)
