"""``every_s`` from the observed interval of the messages that contain a power."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import Candidate
from gapcast.setup.meters.sending_interval import MIN_MESSAGES, SendingInterval, is_interval_known, with_interval

NOW_MS = 1_767_268_800_000
PLUG, POWER = "tele/plug/SENSOR", '{"Time":"2026-01-01T13:00:00","ENERGY":{"Power":230}}'
RPC = "shelly/events/rpc"


def at(
    times_s: list[float], topic: str = PLUG, payload: str = POWER, *, retained: bool = False
) -> list[ReceivedMessage]:
    body = payload.encode()
    publication = Publication(topic, body, 0, False, retained, b"", len(body))
    return [ReceivedMessage(publication, time_s, NOW_MS + round(time_s * 1_000)) for time_s in times_s]


def interval_of(messages: list[ReceivedMessage], preset: str = "tasmota") -> tuple[float | None, str, bool]:
    """The written ``every_s``, the sentence about it, and whether the interval is known."""
    recording = MessageRecording()
    for received in sorted(messages, key=lambda one: one.received_s):
        recording.add(received)
    candidate = candidates(recording, "Europe/Paris", MeterAnswer(preset=preset))[0]
    source, sentence = with_interval(dict(candidate.source), candidate)
    return source.get("every_s"), sentence, is_interval_known(candidate)


def test_interval_of_a_ten_second_plug_is_written() -> None:
    every_s, sentence, _ = interval_of(at([0.0, 10.1, 20.0, 29.9, 40.0]))
    assert every_s == 10
    assert sentence == "plug: sends about every 10 s: every_s = 10 (the preset tasmota assumes 300)"


def test_interval_equal_to_the_presets_is_not_written() -> None:
    every_s, sentence, _ = interval_of(at([0.0, 300.0, 600.0]))
    assert (every_s, sentence) == (None, "plug: sends about every 300 s, as the preset tasmota assumes")


def test_interval_of_too_few_messages_stays_the_presets() -> None:
    every_s, sentence, is_known = interval_of(at([0.0, 10.0]))
    assert (every_s, is_known) == (None, False)
    assert sentence.startswith(
        "plug: 2 messages with a power received, too few to measure the interval: every_s stays 300"
    )


def test_interval_ignores_retained_messages() -> None:
    every_s, sentence, _ = interval_of([*at([0.0], retained=True), *at([0.3, 10.3])])
    assert every_s is None
    assert "2 messages with a power received" in sentence
    assert interval_of([*at([0.0], retained=True), *at([0.3, 10.3, 20.3])])[0] == 10


def test_interval_ignores_messages_without_a_power() -> None:
    state = '{"Time":"2026-01-01T13:00:00","AM2301":{"Temperature":21.5}}'
    others = at([1.0, 2.0, 3.0, 11.0, 12.0, 13.0, 21.0], payload=state)
    assert interval_of([*at([0.0, 10.0, 20.0, 30.0]), *others])[0] == 10


def test_interval_ignores_a_lost_and_an_extra_message() -> None:
    assert interval_of(at([0.0, 10.0, 30.0, 40.0, 41.0, 50.0, 60.0]))[0] == 10


def test_interval_of_two_plugs_equals_the_slower_ones() -> None:
    slower = at([0.0, 60.0, 120.0], "tele/tv/SENSOR")
    every_s, sentence, _ = interval_of([*at([0.0, 10.0, 20.0]), *slower])
    assert every_s == 60
    assert sentence.startswith("plug, tv: sends about every 60 s, the slowest of them: every_s = 60")


def test_interval_of_a_pattern_names_its_devices() -> None:
    recording = MessageRecording()
    for topic in ("shellies/em/emeter/1/power", "shellies/em/emeter/0/power"):
        for received in at([0.0, 10.0, 20.0], topic, "230"):
            recording.add(received)
    meter = MeterAnswer("shellies/em/emeter/{channel}/power", "shelly-gen1")
    (candidate,) = candidates(recording, "Europe/Paris", meter)
    source, sentence = with_interval(dict(candidate.source), candidate)
    assert (source["device"], sentence.partition(":")[0]) == ("em-{channel}", "em-0, em-1")


def test_interval_of_irregular_messages_stays_the_presets() -> None:
    every_s, sentence, _ = interval_of(at([0.0, 1.0, 2.0, 3.0, 150.0, 151.0]))
    assert every_s is None
    assert sentence == "plug: sends irregularly, with pauses of up to 147 s: every_s stays 300 (the preset tasmota)"


def test_interval_of_a_meter_that_reports_changes_is_not_written() -> None:
    powers = at([0.0, 10.0, 20.0], RPC, '{"params":{"ts":1767268800.0,"em:0":{"total_act_power":412.0}}}')
    every_s, sentence, is_known = interval_of(powers, "shelly-gen2")
    assert (every_s, is_known) == (None, True)
    assert sentence == "shelly: sends when its power changes; a power is valid for 600 s (hold_s)"
    counter = {"preset": "shelly-gen2", "value": "params.emdata:0.total_act", "unit": "Wh"}
    found, sentence = with_interval(counter, Candidate(counter, {"shelly": 1.0}, frozenset({RPC})))
    assert (found, sentence) == (counter, "shelly: sends when its power changes"), "hold_s is that of a power"


@given(
    every_s=st.sampled_from([1, 2, 5, 10, 15, 20, 30, 60, 120, 300]),
    jitters=st.lists(st.floats(-0.02, 0.02), min_size=MIN_MESSAGES, max_size=16),
)
def test_interval_with_jitter_is_rounded_to_the_meters(every_s: int, jitters: list[float]) -> None:
    measured = SendingInterval.between([every_s * (i + jitter) for i, jitter in enumerate(jitters)])
    assert measured.every_s == every_s
    assert measured.is_regular
