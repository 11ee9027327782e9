"""Each preset reads recorded messages of its meters; the origin of each message is beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from gapcast.core.readings.reading import instant_of
from gapcast.core.time_grid import minute_of
from gapcast.presets import presets
from tests.support.sources import EXTRAS, LONG_AGO_MS, SourceFeed

METERS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[1] / "fixtures" / "meters.toml").read_text(encoding="utf-8")
)["meter"]


def test_presets_all_have_messages_with_an_origin() -> None:
    assert {meter["preset"] for meter in METERS} == set(presets())
    assert {meter["preset"] for meter in METERS if "power_kw" in meter} == set(presets())
    assert all(meter["origin"] for meter in METERS)


def test_preset_of_zigbee2mqtt_reads_a_friendly_name_with_spaces() -> None:
    feed = SourceFeed({"preset": "zigbee2mqtt"})
    feed.send("zigbee2mqtt/Kitchen plug", '{"power": 230}')
    feed.send("zigbee2mqtt/Kitchen plug/availability", '{"power": 5}')
    feed.send("zigbee2mqtt/bridge/state", '{"power": 5}')
    feed.wait()
    assert {reading.device for reading in feed.readings} == {"Kitchen_plug"}
    assert feed.reasons == []


@pytest.mark.parametrize("meter", METERS, ids=[f"{i}-{meter['preset']}" for i, meter in enumerate(METERS)])
def test_preset_reads_its_meters_messages(meter: dict[str, Any]) -> None:
    every_s = max(60, presets()[meter["preset"]].get("every_s", 60))  # so that one sample is enough for a minute
    source = {"preset": meter["preset"], "every_s": every_s} | meter.get("set", {})
    feed = SourceFeed(source, site="Europe/Paris", extras=EXTRAS)
    at_ms = instant_of(meter["at"]) if "at" in meter else LONG_AGO_MS
    for topic, payload in meter["sends"]:
        feed.send(topic, payload, at_ms)
    feed.wait()
    assert feed.reasons == []
    if "power_kw" not in meter:
        assert feed.readings == []
        assert feed.statistics.n_not_readings == len(meter["sends"])
        return
    assert feed.readings
    for reading in feed.readings:
        assert reading.device == meter["device"]
        assert reading.gap_kw == pytest.approx(meter["power_kw"], abs=1e-12)
        assert (reading.measured or None) == (pytest.approx(meter["measured"]) if "measured" in meter else None)
    # A sample without a successor is held for the usual interval of its meter's samples.
    assert feed.readings[0].minute - minute_of(at_ms) in {0, 1}
