"""Hears what meters send, and tells what may be read of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gapcast.mqtt.session import Session
from gapcast.setup.broker_access import EVERYTHING, filter_of
from gapcast.setup.message_recording import MessageRecording
from gapcast.setup.power_guess import guess_power_sources
from gapcast.setup.preset_recognition import Candidate, recognize_presets
from gapcast.setup.prompts import Prompts

#: So many messages are enough to see what there is.
_ENOUGH = 50_000
_TELL_EVERY_S = 1.0


def listen(
    session: Session,
    wait_s: float,
    ask: Prompts,
    progress: Callable[[str], None],
    is_enough: Callable[[MessageRecording], bool],
) -> MessageRecording:
    """Hear for ``wait_s`` at most: until a person presses Enter, or nobody is there and ``is_enough`` says so."""
    recording = MessageRecording()
    deadline_s, told_s = time.monotonic() + wait_s, 0.0
    while (left_s := deadline_s - time.monotonic()) > 0 and recording.n_messages < _ENOUGH:
        taken = session.take(256, min(left_s, 0.25))
        for received in taken:
            recording.add(received)
            session.acknowledge_after(received.publication, 0)
        session.flush()
        if ask.enough() or (not ask.is_person and taken and is_enough(recording)):
            break
        if time.monotonic() - told_s > _TELL_EVERY_S:
            told_s = time.monotonic()
            progress(f"{recording.summary}; {left_s:.0f} s left")
    return recording


def candidates(recording: MessageRecording, timezone: str, topic: str, preset: str | None) -> list[Candidate]:
    """Return what may be meant, the likeliest first: by ``preset`` alone where one is named, on ``topic`` first."""
    known = recognize_presets(recording, timezone)
    if preset is not None:
        return [one for one in known if one.source.get("preset") == preset]
    heard = {one for candidate in known for one in candidate.topics}
    return known + guess_power_sources(recording, timezone, heard, any_name=filter_of(topic) != EVERYTHING)
