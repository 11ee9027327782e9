"""Listens for meters and lets the user choose among them."""

from __future__ import annotations

from collections.abc import Callable

from gapcast.core.errors import BrokerError
from gapcast.mqtt.session import Session
from gapcast.setup.broker_access import EVERYTHING, BrokerAccess, connect_interactively, filter_of
from gapcast.setup.message_listener import candidates, listen
from gapcast.setup.message_recording import MessageRecording
from gapcast.setup.preset_answers import PresetAnswers
from gapcast.setup.preset_recognition import Candidate
from gapcast.setup.prompts import Prompts
from gapcast.setup.source_selection import choose

_SHOWN = 12


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
        self._zone = zone

    def search(self, access: BrokerAccess, topic: str) -> tuple[MessageRecording, list[Candidate], str]:
        """Return the recorded messages, the chosen candidates, and the topic; the user may listen again.

        Raises :class:`BrokerError` if no meter was found and prompts are not interactive.
        """
        while True:
            session, topic = connect_interactively(access, topic, self._prompts, self._show)
            self._show(f"Connected to {access.host} port {access.port}.")
            try:
                if not self._answers.wait_s:
                    return MessageRecording(), [], topic
                recording = self._listen(session, topic)
            finally:
                session.close(1.0)
            found = self._candidates(recording, topic)
            self._show(f"Received {recording.summary}.")
            if found:
                self._show("Possible meters:")
                return recording, choose(found, self._prompts, self._show), topic
            self._explain_no_candidates(recording)
            if not self._prompts.is_interactive:
                msg = "no meter was detected, nothing was written (--wait 0 writes without waiting for a meter)"
                raise BrokerError(msg)
            if not self._prompts.confirm("Listen again?", default=True):
                return recording, [], topic
            topic = self._prompts.text("Topic of the meter (# subscribes to all topics)", topic, "--topic")

    def _listen(self, session: Session, topic: str) -> MessageRecording:
        subscription, wait_s = filter_of(topic), self._answers.wait_s
        hint = "; press Enter to stop earlier" if self._prompts.is_interactive else ""
        self._show(f"Listening to {subscription} for {wait_s:g} s (most meters send within a minute{hint}) ...")
        is_specific = self._answers.preset is not None or subscription != EVERYTHING
        return listen(
            session,
            wait_s,
            self._prompts,
            self._progress,
            lambda so_far: is_specific and bool(self._candidates(so_far, topic)),
        )

    def _candidates(self, recording: MessageRecording, topic: str) -> list[Candidate]:
        found = candidates(recording, self._zone, topic, self._answers.preset)
        value = self._answers.value
        return found if value is None else [one for one in found if one.source.get("value") == value]

    def _explain_no_candidates(self, recording: MessageRecording) -> None:
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
