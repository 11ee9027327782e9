"""Records the messages of meters."""

from __future__ import annotations

import time
from collections.abc import Callable

from gapcast.mqtt.session.session import Session
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.prompts import Prompts

#: Maximum number of messages to record.
_MAX_MESSAGES = 50_000
_PROGRESS_EVERY_S = 1.0
#: Pause between two checks, as a multiple of the time that one takes: the rest is left for reading messages on time.
_PAUSE_FACTOR = 4


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
    next_check_s, n_checked = 0.0, 0
    while (left_s := deadline_s - time.monotonic()) > 0 and recording.n_messages < _MAX_MESSAGES:
        taken = session.receive_messages(256, min(left_s, 0.25))
        for received in taken:
            recording.add(received)
            session.acknowledge_after(received.publication, 0)
        session.flush()
        if prompts.wants_to_stop():
            break
        if not prompts.is_interactive and recording.n_messages > n_checked and time.monotonic() >= next_check_s:
            began_s, n_checked = time.monotonic(), recording.n_messages
            if is_sufficient(recording):
                break
            next_check_s = time.monotonic() + _PAUSE_FACTOR * (time.monotonic() - began_s)
        if time.monotonic() - shown_s > _PROGRESS_EVERY_S:
            shown_s = time.monotonic()
            progress(f"{recording.summary}; {left_s:.0f} s left")
    return recording
