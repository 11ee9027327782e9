"""Connects, listens for meters, and lets the user choose among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gapcast.core.errors import BrokerError
from gapcast.mqtt.session.session import Session
from gapcast.presets import PER_TOPIC
from gapcast.setup.broker.broker_access import BrokerAccess
from gapcast.setup.broker.broker_connection import BrokerConnection
from gapcast.setup.messages.message_recording import MessageRecording, listen
from gapcast.setup.meters.channels import may_have_others
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_choice import MeterChoice
from gapcast.setup.meters.preset_answers import MeterAnswer, PresetAnswers
from gapcast.setup.meters.preset_recognition import Candidate, single_meters
from gapcast.setup.meters.search_hints import advice, field_hint, shown_messages, tasmota_hint, value_hint
from gapcast.setup.meters.sending_interval import is_interval_known
from gapcast.setup.prompts import Prompts, ask_valid
from gapcast.setup.topics import EVERYTHING, filter_of, has_device, has_wildcard, is_within, topic_problem

#: Time after its first state in which Home Assistant sends that state's unit, and its other retained states, s.
_STATES_S = 3.0


@dataclass(frozen=True, slots=True)
class ChosenMeter:
    """The answers for a meter, and the candidate that reads it; None if it was not received."""

    answer: MeterAnswer
    candidate: Candidate | None


class MeterSearch:
    """Searches for meters, repeatedly if the user wants."""

    def __init__(
        self,
        answers: PresetAnswers,
        prompts: Prompts,
        show: Callable[[str], None],
        progress: Callable[[str], None],
        zone: str,
    ) -> None:
        self._answers = answers
        self._prompts = prompts
        self._show = show
        self._progress = progress
        #: The zone of local times, as far as known: the machine's zone until the user has been asked.
        self._zone = zone

    def search(self, connection: BrokerConnection, access: BrokerAccess) -> tuple[MessageRecording, list[ChosenMeter]]:
        """Return the messages recorded over ``connection`` and the chosen meters; the user may listen again.

        Raises :class:`BrokerError` if a meter was not found and prompts are not interactive.
        """
        meters, topics = self._answers.meters, self._answers.topics
        while True:
            session, granted = connection.connect(access, topics)
            if granted != topics:
                meters, topics = tuple(replace(one, topic=granted[0]) for one in meters[:1]), granted
            try:
                if not self._answers.wait_s:
                    return MessageRecording(), [ChosenMeter(one, None) for one in meters]
                recording = self._listen(session, topics, meters)
            finally:
                session.close(1.0)
            self._show(f"Received {recording.summary}.")
            chosen = self._choose(recording, meters)
            is_complete = all(one.candidate is not None for one in chosen)
            if is_complete or not self._prompts.confirm("Listen again?", default=True):
                return recording, chosen
            if len(meters) == 1:
                question = "Topic of the meter, to select among all its numbers (# subscribes to all topics)"
                topic = ask_valid(self._prompts, self._show, question, topics[0], "--topic", topic_problem)
                meters = (replace(meters[0], topic=None if topic == EVERYTHING else topic),)
                topics = (topic,)

    def _choose(self, recording: MessageRecording, meters: tuple[MeterAnswer, ...]) -> list[ChosenMeter]:
        """Return the chosen meters, without a candidate for meters that were not received or chosen."""
        choice = MeterChoice(self._prompts, self._show, recording, self._zone)
        chosen = []
        for meter in meters:
            found = candidates(recording, self._zone, meter)
            if found:
                self._show(f"Possible meters{f' for {meter.title}' if meter.is_given else ''}:")
            else:
                self._explain_no_candidates(recording, meter)
            some = choice.choose(found, meter) if found else []
            chosen += [ChosenMeter(meter, one) for one in some] or [ChosenMeter(meter, None)]
        return with_own_topics(chosen, recording, self._zone)

    def _listen(self, session: Session, topics: tuple[str, ...], meters: tuple[MeterAnswer, ...]) -> MessageRecording:
        wait_s = self._answers.wait_s
        hint = "; press Enter to stop earlier" if self._prompts.is_interactive else ""
        shown = ", ".join(dict.fromkeys(filter_of(topic) for topic in topics))
        self._show(f"Listening to {shown} for {wait_s:g} s (most meters send within a minute{hint}) ...")

        def is_sufficient(so_far: MessageRecording, now_s: float) -> bool:
            found = [candidates(so_far, self._zone, meter) if meter.is_given else [] for meter in meters]
            return all(some and some[0].is_likely and is_interval_known(some[0]) for some in found) and not any(
                may_have_others(one, so_far) or awaits_states(one, meter, so_far, now_s)
                for meter, some in zip(meters, found, strict=True)
                for one in some
            )

        return listen(session, wait_s, self._prompts, self._progress, is_sufficient)

    def _explain_no_candidates(self, recording: MessageRecording, meter: MeterAnswer) -> None:
        """Show what was received instead; raise :class:`BrokerError` if prompts are not interactive."""
        if not recording.n_messages:
            self._show(
                "Does the meter send to this broker, and does this account have permission to read its topic? A "
                "broker may silently withhold topics that an account has no permission to read."
            )
        elif recording.of_topic:
            what = f" as {meter.title} reads it" if meter.is_given else ""
            self._show(f"None of these looks like a power reading{what}:")
            for line in shown_messages(recording):
                self._show(line)
        if self._prompts.is_interactive:
            for hint in (tasmota_hint(recording, meter), value_hint(recording, meter) or field_hint(recording)):
                if hint is not None:
                    self._show(hint[0].upper() + hint[1:])
            return
        what = f" for {meter.title}" if meter.is_given else ""
        msg = (
            f"no meter was detected{what} within {self._answers.wait_s:g} s, nothing was written: "
            f"{advice(recording, meter)} (--wait 0 writes without waiting for a meter)"
        )
        raise BrokerError(msg)


def awaits_states(candidate: Candidate, meter: MeterAnswer, recording: MessageRecording, now_s: float) -> bool:
    """Return whether Home Assistant may not have sent yet a state's unit, or another entity's state that matches."""
    if candidate.source.get("preset") != PER_TOPIC:
        return False
    topic = meter.topic or EVERYTHING
    is_unit_known = meter.unit is not None or "unit" in candidate.source
    if is_unit_known and not has_device(topic) and not has_wildcard(topic):
        return False
    return now_s < min(recording.of_topic[one].first_s for one in candidate.topics) + _STATES_S


def with_own_topics(chosen: Sequence[ChosenMeter], recording: MessageRecording, timezone: str) -> list[ChosenMeter]:
    """Return the meters; instead of one whose pattern matches topics of another pattern too, each of its own topics.

    A meter on a single topic needs no such separation: :func:`source_questions.exact_first` puts it first.
    """
    patterns = [one.candidate for one in chosen if one.candidate is not None and has_device(one.candidate.pattern)]
    topics = {topic for candidate in patterns for topic in candidate.topics}
    separate = []
    for one in chosen:
        candidate = one.candidate
        singles: list[Candidate] = []
        if candidate is not None and any(is_within(topic, candidate.pattern) for topic in topics - candidate.topics):
            singles = single_meters(candidate, recording, timezone)
        separate += [ChosenMeter(one.answer, single) for single in singles] or [one]
    return separate
