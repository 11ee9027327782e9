"""Records the messages of meters, and finds the candidates for sources in them."""

from __future__ import annotations

import time
from collections.abc import Callable

from gapcast.mqtt.session import Session
from gapcast.setup.broker_access import EVERYTHING, filter_of
from gapcast.setup.message_recording import MessageRecording
from gapcast.setup.power_guess import guess_power_sources
from gapcast.setup.preset_recognition import Candidate, recognize_presets
from gapcast.setup.prompts import Prompts

#: Maximum number of messages to record.
_MAX_MESSAGES = 50_000
_PROGRESS_EVERY_S = 1.0


def listen(
    session: Session,
    wait_s: float,
    prompts: Prompts,
    progress: Callable[[str], None],
    is_sufficient: Callable[[MessageRecording], bool],
) -> MessageRecording:
    """Record messages for at most ``wait_s``: until the user presses Enter or, unattended, ``is_sufficient``."""
    recording = MessageRecording()
    deadline_s, shown_s = time.monotonic() + wait_s, 0.0
    while (left_s := deadline_s - time.monotonic()) > 0 and recording.n_messages < _MAX_MESSAGES:
        taken = session.receive_messages(256, min(left_s, 0.25))
        for received in taken:
            recording.add(received)
            session.acknowledge_after(received.publication, 0)
        session.flush()
        if prompts.wants_to_stop() or (not prompts.is_interactive and taken and is_sufficient(recording)):
            break
        if time.monotonic() - shown_s > _PROGRESS_EVERY_S:
            shown_s = time.monotonic()
            progress(f"{recording.summary}; {left_s:.0f} s left")
    return recording


def candidates(recording: MessageRecording, timezone: str, topic: str, preset: str | None) -> list[Candidate]:
    """Return the candidates, likeliest first: only those of ``preset`` if given."""
    known = recognize_presets(recording, timezone)
    if preset is not None:
        return [one for one in known if one.source.get("preset") == preset]
    recognized = {one for candidate in known for one in candidate.topics}
    return known + guess_power_sources(recording, timezone, recognized, any_name=filter_of(topic) != EVERYTHING)
