"""What setup says about a meter's clock."""

from __future__ import annotations

from datetime import UTC, datetime

from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.source_preview import preview

IN_JULY_MS = round(datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp() * 1_000)


def test_preview_names_a_clock_without_daylight_saving() -> None:
    recording = MessageRecording()
    for i in range(3):  # at UTC+1 all year, and read as local times of Berlin
        body = f'{{"Time":"2026-07-01T11:00:{i:02}","ENERGY":{{"Power":{400 + i}}}}}'.encode()
        publication = Publication("tele/dryer/SENSOR", body, 0, False, False, b"", len(body))
        recording.add(ReceivedMessage(publication, i, IN_JULY_MS + 1_000 * i))
    sections = {"site": {"timezone": "Europe/Berlin"}, "sources": [{"preset": "tasmota"}]}
    (warning,) = preview(sections, recording, lambda _: None).clocks
    assert "60 minutes behind" in warning
    assert "the meter's clock ignores daylight saving time" in warning
