"""A minute that is open at the end of a process is closed by the next one, with the same mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import MeterState, Sample
from gapcast.storage.journals import journal, journal_reader
from tests.support.approximate import approx
from tests.support.sources import EXTRAS, LONG_AGO_MS, SourceFeed

SECOND, MINUTE = 1_000, 60_000
FIRST = LONG_AGO_MS // MINUTE
TIMED = {"topic": "meter/{device}", "value": ["a + b", "kw"], "unit": "kW", "time": "t", "time_form": "epoch_ms"}
METERS: dict[str, dict[str, Any]] = {
    "timed": TIMED | {"every_s": 10, "voltage_v": "volts"},
    "late": TIMED | {"every_s": 10, "lateness_s": 15},
    "parts": {"topic": "meter/{device}/{part}", "format": "number", "value": "a - b", "unit": "kW", "every_s": 10},
    "counter": TIMED | {"value": "kwh", "unit": "kWh", "every_s": 10, "hold_s": 120},
    "held": {"topic": "meter/{device}", "format": "number", "unit": "kW", "every_s": 10, "hold_s": 600},
    "on change": {
        "topic": "meter/{device}",
        "format": "number",
        "unit": "kW",
        "every_s": 10,
        "hold_s": 600,
        "on_change": True,
    },
}
#: Seconds to the next message, delay of its own time, and its content.
MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 55),
        st.sampled_from([0, 0, 0, 3, 12, 40]),
        st.sampled_from(["a", "b", "ab", "null", "kw", "kwh", "no"]),
    ),
    min_size=2,
    max_size=30,
)


class JournaledFeed(SourceFeed):
    """A reader whose samples are journaled after each message, as a separate batch."""

    def __init__(self, source: dict[str, Any], journal_path: Path) -> None:
        super().__init__(source, extras=EXTRAS)
        self.source = source
        self.path = journal_path
        self.path.write_bytes(journal.encode_header())

    def journal_batch(self, readings: Sequence[Reading]) -> None:
        with self.path.open("ab") as file:
            samples = self.reader.meters.take_samples()
            file.write(journal.encode(journal.PersistedBatch(self.now_ms, readings, samples)))

    def publish(self, message: tuple[int, int, str], i: int) -> None:
        """Send the i-th message, then let the clock close due minutes; journal both."""
        wait_s, early_s, what = message
        at_ms = self.now_ms + wait_s * SECOND
        kw = 0.1 + i * 0.37 % 3
        terms: dict[str, dict[str, float | None]] = {
            "ab": {"a": kw, "b": kw / 2}, "a": {"a": kw}, "b": {"b": kw / 2}, "null": {"a": kw, "b": None},
            "kwh": {"kwh": 100 + i * 0.01},
        }  # fmt: skip
        document = terms.get(what, {"kw": kw, "kwh": 50.0, "volts": 230 + i}) | {"t": at_ms - early_s * SECOND}
        source = self.source
        if "{part}" in source["topic"]:
            incoming = self.send(
                f"meter/home/{what if what in 'ab' else 'a'}", "nan" if what == "no" else str(kw), at_ms
            )
        elif source.get("format") == "number":
            incoming = self.send("meter/home", "unavailable" if what == "no" else str(kw), at_ms)
        else:
            incoming = self.send("meter/home", "null" if what == "no" else json.dumps(document), at_ms)
        self.journal_batch([one.reading for one in incoming if one.reading is not None])


def begun(name: str, folder: Path, at_ms: int = LONG_AGO_MS) -> JournaledFeed:
    feed = JournaledFeed(METERS[name], folder / "journal")
    feed.now_ms = at_ms
    return feed


def killed(life: JournaledFeed, name: str, folder: Path) -> JournaledFeed:
    """Return the process after one that was killed: it has the journal."""
    entries = list(journal_reader.read(life.path, journal_reader.Damage()))
    after = begun(name, folder, life.now_ms)
    for entry in entries:
        assert isinstance(entry, journal.PersistedBatch)
        after.reader.meters.replay_samples(entry.samples, entry.readings, entry.issued_at_ms)
    return after


def stopped(life: JournaledFeed, name: str, folder: Path) -> JournaledFeed:
    """Return the process after one that ended normally: it has the state of its meters."""
    after = begun(name, folder, life.now_ms)
    after.reader.meters.restore_state(standing := life.reader.meters.capture_state())
    assert after.reader.meters.capture_state() == standing
    return after


@pytest.mark.parametrize("name", METERS)
@given(messages=MESSAGES, cut=st.integers(1, 30))
@example([(0, 0, "a"), (51, 0, "b"), (16, 0, "kw"), (55, 0, "kw"), (0, 12, "a"), (0, 0, "a")], 4)
@example([(0, 0, "kw"), (35, 0, "a"), (55, 0, "kw"), (37, 0, "kwh"), (55, 0, "a")], 3)
def test_open_minute_restart_keeps_the_mean(
    tmp_path_factory: pytest.TempPathFactory, name: str, messages: list[tuple[int, int, str]], cut: int
) -> None:
    """Of a process that was killed, and of one that was stopped."""
    folder = tmp_path_factory.mktemp("kept")
    undisturbed = begun(name, folder)
    for i, message in enumerate(messages[:cut]):
        undisturbed.publish(message, i)
    before, following = list(undisturbed.readings), []
    for end in (killed, stopped):
        (folder / end.__name__).mkdir()
        following.append(end(undisturbed, name, folder / end.__name__))
    for process in (undisturbed, *following):
        for i, message in enumerate(messages[cut:], cut):
            process.publish(message, i)
        process.wait()  # after a restart, the clock waits for what the broker may have
    for after in following:
        assert [*before, *after.readings] == undisturbed.readings


def test_journal_huge_term_of_a_meter_costs_no_reading(tmp_path: Path) -> None:
    """A sum's terms have no limit of their own: they may cancel each other, or others may still be unknown."""
    feed = begun("parts", tmp_path)
    assert [one.reading for one in feed.send("meter/home/a", "1e300")] == [None]
    others = [Reading("barn", FIRST, 1.0), Reading("mill", FIRST, 2.0)]
    feed.journal_batch(others)
    damage = journal_reader.Damage()
    (entry,) = journal_reader.read(feed.path, damage)
    assert isinstance(entry, journal.PersistedBatch)
    assert (entry.readings, entry.samples, str(damage)) == (others, [], "")


# --- who stood where, and who goes on -------------------------------------------------------------------


def half_a_minute(source: dict[str, Any], **more: Any) -> SourceFeed:
    """Return a meter that has reported 2 kW for half a minute."""
    feed = SourceFeed(source, **more)
    for second in range(0, 40, 10):
        feed.send("meter/home", json.dumps({"kw": 2, "kwh": 7 + second / 1_800, "t": LONG_AGO_MS + second * SECOND}))
    return feed


def resumed(feed: SourceFeed, source: dict[str, Any], **more: Any) -> SourceFeed:
    after = SourceFeed(source, **more)
    after.now_ms = feed.now_ms
    after.reader.meters.restore_state(feed.reader.meters.capture_state())
    return after


def in_batches(feed: SourceFeed) -> list[Sample]:
    return list(feed.reader.meters.take_samples())


def test_open_minute_adds_the_backlog_before_the_clock_ends_it() -> None:
    source = TIMED | {"every_s": 10, "hold_s": 120}
    feed = half_a_minute(source)
    feed.now_ms = LONG_AGO_MS + 5 * MINUTE  # the minute is over, and no one has closed it
    after = resumed(feed, source)
    assert after.wait(9) == []
    after.send("meter/home", json.dumps({"kw": 5, "t": LONG_AGO_MS + 40 * SECOND}), after.now_ms)
    after.wait(2 * 60)
    assert after.readings[0] == Reading("home", FIRST, approx((40 * 2 + 20 * 5) / 60))
    silent = resumed(feed, source)
    assert silent.wait(9) == []
    assert [one.reading for one in silent.wait(600)][:1] == [Reading("home", FIRST, 2.0)]


@pytest.mark.parametrize("end", [killed, stopped])
def test_open_minute_held_before_the_restart_is_filled(tmp_path: Path, end: Any) -> None:
    life = begun("held", tmp_path)
    for second in (0, 5, 60):
        life.send("meter/home", "2", LONG_AGO_MS + second * SECOND)
    life.wait(59)  # the minute is open, and nothing came for most of it
    life.journal_batch(life.readings)
    (tmp_path / "after").mkdir()
    after = end(life, "held", tmp_path / "after")
    after.wait(60)
    assert life.readings == [Reading("home", FIRST, 2.0, is_filled=True)]
    assert after.readings == [Reading("home", FIRST + 1, 2.0, is_filled=True)]


def test_open_minute_replayed_duplicate_has_no_effect() -> None:
    source = TIMED | {"every_s": 10}
    feed = half_a_minute(source)
    for second in (0, 10, 20):  # three in a row, each after the one before: without DUP, a replay of the past
        payload = json.dumps({"kw": 9, "t": LONG_AGO_MS + second * SECOND})
        feed.send("meter/home", payload, feed.now_ms, again=True)
    after = SourceFeed(source)
    after.reader.meters.replay_samples(in_batches(feed), [], feed.now_ms)
    (meter,), (before,) = after.reader.meters.capture_state(), feed.reader.meters.capture_state()
    assert meter.open_minute == before.open_minute


def test_open_minute_replay_restores_the_meters_clock() -> None:
    """The newest time of a meter decides which of two equal hours in autumn a message means, and whether it is late."""
    source = TIMED | {"every_s": 10}
    feed = half_a_minute(source)
    after = SourceFeed(source)
    after.reader.meters.replay_samples(in_batches(feed), [], feed.now_ms)
    (meter,), (before,) = after.reader.meters.capture_state(), feed.reader.meters.capture_state()
    assert (meter.last_ms, meter.behind_ms) == (before.last_ms, before.behind_ms)
    assert (meter.last_ms, meter.behind_ms) == (LONG_AGO_MS + 30 * SECOND, -30 * SECOND)
    assert in_batches(after) == [], "they are in the journal already"


def test_open_minute_replayed_null_restores_the_meters_clock() -> None:
    """A meter whose clock was set back sends null first: its minutes end by the clock that it has then."""
    feed = SourceFeed(TIMED)
    feed.send("meter/home", json.dumps({"a": 5, "b": 1, "t": LONG_AGO_MS}), LONG_AGO_MS)
    feed.send("meter/home", json.dumps({"a": 5, "b": None, "t": LONG_AGO_MS + MINUTE}), LONG_AGO_MS + 3 * MINUTE)
    after = SourceFeed(TIMED)
    after.reader.meters.replay_samples(in_batches(feed), [], feed.now_ms)
    (meter,), (before,) = after.reader.meters.capture_state(), feed.reader.meters.capture_state()
    assert meter.behind_ms == before.behind_ms == 2 * MINUTE


@pytest.mark.parametrize("value", [["a + b", "kw"], ["new", "kw"]])
def test_open_minute_meter_without_a_known_term_keeps_its_sum(value: list[str]) -> None:
    feed = SourceFeed(TIMED)
    for second, number in ((0, 1.0), (10, None)):
        at_ms = LONG_AGO_MS + second * SECOND
        feed.send("meter/home", json.dumps({"a": number, "b": number, "t": at_ms}), at_ms)
    after = resumed(feed, TIMED | {"value": value})
    after.send("meter/home", json.dumps({"kw": 9, "t": feed.now_ms + SECOND}))
    assert after.statistics.samples["taken"] == (value == ["new", "kw"])


def test_open_minute_replay_waits_for_the_backlog_before_the_clock() -> None:
    source = TIMED | {"every_s": 10, "hold_s": 60}
    feed = half_a_minute(source)
    after = SourceFeed(source)
    after.now_ms = LONG_AGO_MS + 10 * MINUTE
    after.reader.meters.replay_samples(in_batches(feed), [], feed.now_ms)
    after.wait(9.9)
    assert after.readings == []
    after.wait(0.2)
    assert [reading.minute for reading in after.readings] == [FIRST]


def test_open_minute_rejected_count_continues_the_counter() -> None:
    source = TIMED | {"value": "kwh", "unit": "kWh", "every_s": 10, "hold_s": 120}
    feed = half_a_minute(source)
    feed.send("meter/home", json.dumps({"kwh": 9_000, "t": LONG_AGO_MS + 40 * SECOND}))
    assert feed.reasons == ["out_of_range"]
    after = SourceFeed(source)
    after.reader.meters.replay_samples(in_batches(feed), [], feed.now_ms)
    assert after.reader.meters.capture_state()[0].counted == (LONG_AGO_MS + 40 * SECOND, (9_000,))
    assert after.reasons == []


@pytest.mark.parametrize(
    "source",
    [{"topic": "other/{device}", "value": "kw"}, {"topic": "meter/{device}", "value": "kw", "kind": "minute"}],
    ids=["no source", "not of samples"],
)
def test_open_minute_of_a_removed_source_is_dropped(source: dict[str, Any]) -> None:
    feed = half_a_minute(TIMED)
    after = resumed(feed, source)
    after.reader.meters.replay_samples(in_batches(feed), [Reading("home", FIRST, 1.0)], LONG_AGO_MS)
    assert after.reader.meters.capture_state() == []


def test_open_minute_over_a_lower_limit_is_dropped() -> None:
    feed = half_a_minute(TIMED)
    feed.send("meter/barn", json.dumps({"kw": 1, "t": LONG_AGO_MS}))
    after = resumed(feed, TIMED, max_devices=1)
    after.reader.meters.replay_samples(in_batches(feed), [], LONG_AGO_MS)
    assert [meter.topic for meter in after.reader.meters.capture_state()] == ["meter/home"]


def test_open_minute_of_other_channels_starts_empty() -> None:
    after = resumed(half_a_minute(TIMED), TIMED, extras=("voltage_v",))
    assert after.reader.meters.capture_state()[0].open_minute.newest_ms is None


@pytest.mark.parametrize("value", [["new", "kw"], ["new", "a + b", "kw"], ["kw", "new"]])
def test_open_minute_of_other_sums_uses_what_the_meter_sends(value: list[str]) -> None:
    after = resumed(half_a_minute(TIMED | {"value": ["kw", "a + b"]}), TIMED | {"value": value})
    for second in range(30, 150, 10):
        at_ms = LONG_AGO_MS + second * SECOND
        after.send("meter/home", json.dumps({"kw": 1.0, "t": at_ms}), at_ms)
    assert [reading.minute for reading in after.readings] == [FIRST, FIRST + 1]
    assert after.statistics.n_not_readings == 0


def test_open_minute_meter_that_sent_the_first_sum_uses_no_other() -> None:
    feed = SourceFeed(TIMED)
    feed.send("meter/home", json.dumps({"a": 1, "b": 1, "t": LONG_AGO_MS}))
    after = resumed(feed, TIMED)
    after.send("meter/home", json.dumps({"kw": 9, "t": LONG_AGO_MS + SECOND}))
    assert after.statistics.n_not_readings == 1


def test_open_minute_counter_of_other_terms_starts_empty() -> None:
    counter = TIMED | {"value": "kwh", "unit": "kWh"}
    after = resumed(half_a_minute(counter), counter | {"value": "kwh - back"})
    assert after.reader.meters.capture_state()[0].counted is None


def test_open_minute_of_a_forgotten_meter_is_dropped() -> None:
    feed = half_a_minute(TIMED | {"hold_s": 120})
    feed.reader.meters.forget("home")
    assert feed.reader.meters.capture_state() == []
    assert feed.wait() == []
    assert feed.reader.meters.topic_of("home") == ""
    feed.send("meter/home", json.dumps({"kw": 1, "t": feed.now_ms}), feed.now_ms)
    assert len(feed.reader.meters.capture_state()) == 1


def test_open_minute_meter_without_samples_has_no_state() -> None:
    feed = SourceFeed(TIMED)
    feed.send("meter/home", json.dumps({"other": 1}))
    standing: Sequence[MeterState] = feed.reader.meters.capture_state()
    assert (standing, in_batches(feed)) == ([], [])
