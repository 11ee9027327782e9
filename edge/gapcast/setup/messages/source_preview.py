"""Shows what a configuration reads from the recorded messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gapcast.check.sample_listener import NEEDS_SEVERAL, SampleListener
from gapcast.config.settings import Settings
from gapcast.core.documents.message_format import counted
from gapcast.core.meters.plausibility import plausibility_warning
from gapcast.setup.messages.message_recording import MessageRecording


class PreviewWarnings(NamedTuple):
    """Doubtful points of a preview, as sentences; and sentences on an implausible power, by the topic of the source."""

    units: list[str]
    clocks: list[str]
    implausible: dict[str, str]


def preview(sections: dict[str, Any], recording: MessageRecording, show: Callable[[str], None]) -> PreviewWarnings:
    """Show what the configuration reads from ``recording``; return warnings about units and clocks.

    Raises pydantic's ``ValidationError`` or :class:`SettingsError` if the configuration is invalid.
    """
    listener = SampleListener(Settings.model_validate(sections))
    newest_ms = 0
    for received in recording.in_order():
        newest_ms = received.received_ms
        if listener.reads(received.publication.topic):
            listener.receive(received)
    units, clocks = [], []
    implausible: dict[str, str] = {}
    for name, samples in sorted(listener.devices.items()):
        if not samples.powers_kw:
            if samples.needs_several:
                messages = counted(samples.n_messages, "message")
                show(f"  {name}: no power yet ({messages}): {samples.missing or NEEDS_SEVERAL}")
            continue
        show(f"  {name}: {samples.powers_kw[-1]:.3f} kW ({len(samples.powers_kw)} messages)")
        if warning := plausibility_warning(samples.powers_kw):
            units.append(f"{name}: {warning}")
            implausible.setdefault(samples.pattern, units[-1])
        if problem := samples.clock_problem(newest_ms):
            clocks.append(f"{name}: {problem[0]}: {problem[1]}")
    for sentence, n in listener.rejected.most_common(3):
        units.append(f"{sentence} ({n} times)")
    return PreviewWarnings(units, clocks, implausible)
