"""Listens until there is a meter to choose, and lets one be chosen."""

from __future__ import annotations

from collections.abc import Callable

from gapcast.core.errors import BrokerError
from gapcast.mqtt.session import Session
from gapcast.setup.broker_access import EVERYTHING, BrokerAccess, filter_of, reach
from gapcast.setup.message_listener import candidates, listen
from gapcast.setup.message_recording import MessageRecording
from gapcast.setup.preset_answers import PresetAnswers
from gapcast.setup.preset_recognition import Candidate
from gapcast.setup.prompts import Prompts
from gapcast.setup.source_selection import choose

_SHOWN = 12


class MeterSearch:
    """One look at what there is, or several."""

    def __init__(
        self,
        given: PresetAnswers,
        ask: Prompts,
        show: Callable[[str], None],
        progress: Callable[[str], None],
        zone: str,
    ) -> None:
        self._given = given
        self._ask = ask
        self._show = show
        self._progress = progress
        self._zone = zone

    def search(self, access: BrokerAccess, topic: str) -> tuple[MessageRecording, list[Candidate], str]:
        """Return what was heard, which of it is meant, and on which topic; a person may listen again.

        Raises :class:`BrokerError` where nobody is there and no meter was heard.
        """
        while True:
            session, topic = reach(access, topic, self._ask, self._show)
            self._show(f"Connected to {access.host} port {access.port}.")
            try:
                if not self._given.wait_s:
                    return MessageRecording(), [], topic
                recording = self._listen(session, topic)
            finally:
                session.close(1.0)
            found = self._candidates(recording, topic)
            self._show(f"Received {recording.summary}.")
            if found:
                self._show("Possible meters:")
                return recording, choose(found, self._ask, self._show), topic
            self._tell_nothing(recording)
            if not self._ask.is_person:
                msg = "no meter was detected, nothing was written (--wait 0 writes without waiting for a meter)"
                raise BrokerError(msg)
            if not self._ask.yes("Listen again?", default=True):
                return recording, [], topic
            topic = self._ask.text("Topic of the meter (# subscribes to all topics)", topic, "--topic")

    def _listen(self, session: Session, topic: str) -> MessageRecording:
        heard, wait_s = filter_of(topic), self._given.wait_s
        hint = "; press Enter to stop earlier" if self._ask.is_person else ""
        self._show(f"Listening to {heard} for {wait_s:g} s (most meters send within a minute{hint}) ...")
        is_told = self._given.preset is not None or heard != EVERYTHING
        return listen(
            session, wait_s, self._ask, self._progress, lambda so_far: is_told and bool(self._candidates(so_far, topic))
        )

    def _candidates(self, recording: MessageRecording, topic: str) -> list[Candidate]:
        found = candidates(recording, self._zone, topic, self._given.preset)
        value = self._given.value
        return found if value is None else [one for one in found if one.source.get("value") == value]

    def _tell_nothing(self, recording: MessageRecording) -> None:
        if not recording.n_messages:
            self._show(
                "Does the meter send to this broker, and does this account have permission to read its topic? A "
                "broker may silently withhold topics that an account has no permission to read."
            )
            return
        self._show("None of these looks like a power reading:")
        for name in sorted(recording.of_topic)[:_SHOWN]:
            payload = recording.of_topic[name][-1].publication.payload[:60].decode("utf-8", "replace")
            self._show(f"  {name}  {payload}")
