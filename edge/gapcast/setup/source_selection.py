"""Selects among the detected meters, and determines their unit and interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median_low
from typing import Any

from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.core.clocks import MAX_AHEAD_MIN, MAX_BEHIND_MIN, clock_fix
from gapcast.core.errors import SettingsError
from gapcast.core.meters.plausibility import plausibility_warning
from gapcast.presets import presets
from gapcast.setup.field_names import likely_unit
from gapcast.setup.message_recording import MessageRecording
from gapcast.setup.preset_recognition import Candidate
from gapcast.setup.prompts import Prompts

UNITS = ("W", "kW")
#: Values to which a meter's interval is rounded up, s.
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900)
_SHOWN = 30


def choose(found: Sequence[Candidate], prompts: Prompts, show: Callable[[str], None]) -> list[Candidate]:
    """Return the chosen candidates of ``found``.

    Raises :class:`SettingsError` if there are several and prompts are not interactive.
    """
    for number, candidate in enumerate(found[:_SHOWN], 1):
        show(f"  {number:>2}  {candidate.title}: {_powers(candidate)}")
    if len(found) > _SHOWN:
        show(f"      and {len(found) - _SHOWN} more: give a topic to narrow the list")
    first = set(found[0].topics)
    others = [candidate for candidate in found[1:] if not candidate.topics & first]
    if others and not prompts.is_interactive:
        msg = "several meters were found: select one with --preset or --topic"
        raise SettingsError(msg)
    while len(found) > 1:
        answer = prompts.text("Which of them? Separate several with commas", "1", "--preset or --topic")
        numbers = [int(part) for part in answer.replace(",", " ").split() if part.isdecimal()]
        if numbers and all(1 <= number <= len(found) for number in numbers):
            chosen = [found[number - 1] for number in dict.fromkeys(numbers)]
            if not _overlap(chosen):
                return chosen
            show("  these read the same messages: choose only one of them")
        else:
            show(f"  enter a number from 1 to {len(found)}")
    return list(found)


def _overlap(chosen: Sequence[Candidate]) -> bool:
    return sum(len(candidate.topics) for candidate in chosen) > len({t for one in chosen for t in one.topics})


def _powers(candidate: Candidate) -> str:
    unit = " kW" if candidate.unit_known else ""
    shown = [f"{name} {power:.3f}{unit}" if unit else f"{name} {power:g}" for name, power in candidate.devices.items()]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")  # noqa: PLR2004 - fits one line


def with_unit(candidate: Candidate, unit: str | None, prompts: Prompts) -> dict[str, Any]:
    """Return a candidate's source with its unit: ``unit``, the preset's, or from a prompt."""
    source = dict(candidate.source)
    if unit is not None:
        source["unit"] = unit
    elif not candidate.unit_known:
        name, number = next(iter(candidate.devices.items()))
        likely = likely_unit([*candidate.devices.values()]) if prompts.is_interactive else None
        source["unit"] = prompts.text(f"{name} sends {number:g}: is that in W or kW?", likely, "--unit", UNITS)
    return source


def with_interval(source: dict[str, Any], candidate: Candidate, recording: MessageRecording) -> dict[str, Any]:
    """Return the source with the measured interval of its meter, if it differs from the source's."""
    preset = presets().get(source.get("preset", ""), {})
    if preset.get("kind") == "minute" or preset.get("format") == "gapcast" or "hold_s" in preset:
        return source
    measured_s = [every_s for topic in candidate.topics if (every_s := recording.every_s(topic)) is not None]
    if not measured_s:
        return source
    interval_s, preset_s = max(measured_s), preset.get("every_s", 60)
    rounded_s = next((step_s for step_s in _STEPS_S if step_s >= interval_s * 0.95), _STEPS_S[-1])
    # With an interval below the default of a minute, every pause would become a gap.
    return source if max(rounded_s, 60) == max(preset_s, 60) else source | {"every_s": max(rounded_s, 10)}


def preview(
    sections: dict[str, Any], recording: MessageRecording, show: Callable[[str], None]
) -> tuple[list[str], list[str]]:
    """Show what the configuration reads from the recording; return warnings about units and about clocks.

    Raises pydantic's ``ValidationError`` or :class:`SettingsError` if the configuration is invalid.
    """
    listener = SampleListener(Settings.model_validate(sections))
    for received in recording.in_order():
        if listener.reads(received.publication.topic):
            listener.receive(received)
    units, clocks = [], []
    for name, samples in sorted(listener.devices.items()):
        if not samples.powers_kw:
            continue
        show(f"  {name}: {samples.powers_kw[-1]:.3f} kW ({len(samples.powers_kw)} messages)")
        if warning := plausibility_warning(samples.powers_kw):
            units.append(f"{name}: {warning}")
        ahead_min = median_low(samples.ahead_min) if samples.ahead_min else 0
        if not -MAX_BEHIND_MIN <= ahead_min <= MAX_AHEAD_MIN:
            side = "ahead of" if ahead_min > 0 else "behind"
            clocks.append(
                f"{name}: timestamps are {abs(ahead_min)} minutes {side} this machine's clock: {clock_fix(ahead_min)}"
            )
    for sentence, n in listener.rejected.most_common(3):
        units.append(f"{sentence} ({n} times)")
    return units, clocks
