"""After an import the service continues as if it had received the file live."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from gapcast.core.learning.scores.summary import ALL_TIME, Summary
from gapcast.core.time_grid import minute_label
from gapcast.history_import.past_readings import PastFiles
from gapcast.history_import.run import Target, import_past
from gapcast.recordings.recording import Minute, read_recording
from gapcast.recordings.text.layout import FileFormat
from gapcast.sample import sample_path
from tests.integration.conftest import Connect, StartGateway
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import Gateway, gateway_settings
from tests.support.peers import Peer
from tests.support.waiting import wait_until

POWERS = ("gap_kw", "median_kw", "lower_kw", "upper_kw")
#: Published powers have six decimals.
SAME_KW = 1.01e-6
#: Readings sent before the earlier ones are taken.
N_IN_FLIGHT = 500
#: Fields of the outlook that depend on what an import teaches it (tests/history_import). Forecasts do not.
NO_OUTLOOK = {"enabled": False}
#: Readings after the import.
N_LATER = 10
#: Number of readings of the week that are no forecast's outcome: the first six, and one after a missing minute.
N_UNSCORED = 7


def scores_after(gateway: Gateway, n: int) -> Summary:
    """Return the scores over all time, once they cover ``n`` outcomes."""

    def scores() -> Summary:
        return gateway.service.queries.live_scores()[0][ALL_TIME]

    wait_until(lambda: scores().n >= n, lambda: f"{n} outcomes, {scores().n} are scored")
    return scores()


def payload_of(minute: Minute) -> str:
    return json.dumps({"ts": minute_label(minute.minute), "gap_kw": minute.gap_kw})


def publish_one_by_one(peer: Peer, device: str, minutes: list[Minute], n_before: int) -> list[dict[str, Any]]:
    for i, minute in enumerate(minutes, 1):
        peer.publish(f"gap/{device}/reading", payload_of(minute))
        peer.wait_for(f"gap/{device}/forecast", n_before + i)
    return [message.document for message in peer.on(f"gap/{device}/forecast")[n_before:]]


def test_imported_week_equals_a_week_seen_live(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect, tmp_path: Path
) -> None:
    minutes = list(read_recording(sample_path()).minutes())
    week, later = minutes[:-N_LATER], minutes[-N_LATER:]
    text = ["entity_id,state,last_changed", *(f"sensor.p_kw,{kw},{minute_label(at)}" for at, kw, _ in week)]
    export = tmp_path / "history.csv"
    export.write_text("\n".join([*text, f"sensor.p_kw,unavailable,{minute_label(later[0].minute)}", ""]))
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    live = start_gateway(mosquitto, outlook=NO_OUTLOOK)
    for i, minute in enumerate(week):
        peer.send("gap/live/reading", payload_of(minute))
        live.wait_taken(i - N_IN_FLIGHT)
    peer.wait_for("gap/live/forecast", len(week) - 1)
    expected = publish_one_by_one(peer, "live", later, len(week) - 1)
    live_scores = scores_after(live, len(minutes) - N_UNSCORED)
    live.stop()

    settings = gateway_settings(mosquitto.port, tmp_path / "imported", outlook=NO_OUTLOOK)
    result = import_past(
        settings, {}, PastFiles((export,), FileFormat(hold_min=1), UTC), Target("imported"), lambda _: None
    )
    assert result.n_readings == len(week)
    imported = start_gateway(mosquitto, state={"path": tmp_path / "imported"}, outlook=NO_OUTLOOK)
    assert imported.service.queries.live_scores()[0][ALL_TIME].n == len(week) - N_UNSCORED, (
        "scores are warm before any reading"
    )
    found = publish_one_by_one(peer, "imported", later, 0)
    for one, other in zip(found, expected, strict=True):
        assert (one["observed_at"], one["n_observed"]) == (other["observed_at"], other["n_observed"])
        assert [one[name] for name in POWERS] == pytest.approx([other[name] for name in POWERS], abs=SAME_KW)
    scores = scores_after(imported, len(minutes) - N_UNSCORED)
    for name in ("mse_kw2", "mae_kw", "bias_kw", "coverage", "width_kw"):
        assert getattr(scores, name) == pytest.approx(getattr(live_scores, name), abs=SAME_KW)
