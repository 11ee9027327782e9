"""Shows the detected meters, and lets the user choose one, several, all, or a sum of some."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gapcast.core.documents.message_format import listed
from gapcast.core.errors import SettingsError
from gapcast.mqtt.sources.source_topics import DEVICE
from gapcast.presets import PER_TOPIC
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.messages.number_fields import NumberKind
from gapcast.setup.messages.power_role import PowerRole
from gapcast.setup.meters.meter_sum import NOT_SUPPORTED, SumTerm, sum_of
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import Candidate, single_meters
from gapcast.setup.prompts import Prompts
from gapcast.setup.topics import has_wildcard

_SHOWN, _SHOWN_SINGLE, _SHOWN_POWERS, _SHOWN_FIELDS = 30, 10, 3, 12
_LABEL = r"\d+(?:\.\d+)?"
_ITEM = re.compile(rf"{_LABEL}(?:[+-]{_LABEL})*", re.ASCII)
_SIGNED = re.compile(rf"([+-]?)({_LABEL})", re.ASCII)
_QUESTION = "Select meters: 1, 2 = two devices; 1 + 2 or 1 - 2 = one device; all; none"
_NONE = frozenset({"none", "0"})


class MeterChoice:
    """Lets the user choose among candidates."""

    def __init__(
        self, prompts: Prompts, show: Callable[[str], None], recording: MessageRecording, timezone: str
    ) -> None:
        self._prompts = prompts
        self._show = show
        self._recording = recording
        self._timezone = timezone

    def choose(self, found: Sequence[Candidate], meter: MeterAnswer) -> list[Candidate]:
        """Return the chosen candidates of ``found``; empty if the user chooses none.

        Raises :class:`SettingsError` if several or no candidates are the likeliest and prompts are not interactive.
        """
        listed = self._list(found)
        if not self._prompts.is_interactive:
            return [_only(found, meter)]
        is_unasked = found[0].role is PowerRole.GENERATION and not _is_named(meter)
        if not is_unasked and (len(listed) == 1 or (len(found) == 1 and DEVICE in meter.title)):
            return [found[0]]
        while True:
            answer = self._prompts.text(_QUESTION, None if is_unasked else "1", "--preset or --topic").lower()
            if answer in _NONE:
                return []
            chosen = self._all(found) if answer == "all" else self._chosen(answer, listed)
            if isinstance(chosen, str):
                self._show(f"  {chosen}")
            elif _overlap(chosen):
                self._show("  these read the same messages: choose only one of them")
            else:
                return chosen

    def _list(self, found: Sequence[Candidate]) -> dict[str, Candidate]:
        """Show the candidates, and below each its single meters; return them by label."""
        listed = {}
        for number, candidate in enumerate(found[:_SHOWN], 1):
            self._show(f"  {number:>2}  {candidate.title}: {_powers(candidate)}")
            listed[str(number)] = candidate
            if not self._prompts.is_interactive or len(candidate.devices) == 1:
                continue
            singles = single_meters(candidate, self._recording, self._timezone)
            for part, single in enumerate(singles[:_SHOWN_SINGLE], 1):
                self._show(f"      {number}.{part}  only {_powers(single)}")
                listed[f"{number}.{part}"] = single
        if len(found) > _SHOWN:
            self._show(f"      and {len(found) - _SHOWN} more: narrow the list with --topic")
        return listed

    def _chosen(self, answer: str, listed: dict[str, Candidate]) -> list[Candidate] | str:
        """Return the candidates of an answer such as ``1, 2.1 + 2.2``, or what is wrong with the answer."""
        items = re.sub(r"\s*([+-])\s*", r"\1", answer).replace(",", " ").split()
        if not items or not all(_ITEM.fullmatch(item) for item in items):
            return f"enter a number from 1 to {self._n_of(listed)}"
        chosen = []
        for item in dict.fromkeys(items):
            labels = _SIGNED.findall(item)
            if unknown := [label for _, label in labels if label not in listed]:
                return f"there is no {unknown[0]}: enter a number from 1 to {self._n_of(listed)}"
            if len(labels) == 1:
                chosen.append(listed[item])
                continue
            if several := [label for _, label in labels if len(listed[label].devices) > 1]:
                return f"{several[0]} reads several meters: add up {several[0]}.1 + {several[0]}.2"
            terms = [SumTerm(-1 if sign == "-" else 1, listed[label]) for sign, label in labels]
            is_double = _overlap([term.candidate for term in terms])
            total = None if is_double else sum_of(terms, self._recording, self._timezone)
            if total is None:
                return NOT_SUPPORTED
            chosen.append(total)
        return chosen

    @staticmethod
    def _n_of(listed: dict[str, Candidate]) -> int:
        return sum("." not in label for label in listed)

    @staticmethod
    def _all(found: Sequence[Candidate]) -> list[Candidate]:
        """Return every meter once: of candidates that read the same messages, only the first."""
        chosen: list[Candidate] = []
        for candidate in found[:_SHOWN]:
            if not _overlap([*chosen, candidate]):
                chosen.append(candidate)
        return chosen


def _only(found: Sequence[Candidate], meter: MeterAnswer) -> Candidate:
    """Return the first candidate if no other is as likely; otherwise raise :class:`SettingsError` with the choices."""
    first = found[0]
    likely = [one for one in found if one.kind is first.kind]
    what = f" match {meter.title}" if meter.is_given else " were found"
    powers = [one for one in found if max(one.kind, first.kind) < NumberKind.WEAK_POWER]
    if any(not one.topics & first.topics for one in likely + powers):
        msg = f"several meters{what}: select one with --preset or --topic, or several by repeating them"
        raise SettingsError(msg)
    if first.generation_topics and not _is_named(meter):
        topics = listed(first.generation_topics, _SHOWN_FIELDS)
        msg = f"{topics} may be generation or storage, not the house: to read it, select it with {first.options}"
        raise SettingsError(msg)
    same = [one for one in likely if one.topics == first.topics]
    if meter.value is None and any(one.is_channel for one in same):
        options = "; or ".join(one.options for one in same)
        msg = f"{first.pattern} has the powers of several channels: choose by {options}"
        raise SettingsError(msg)
    is_of_preset = "preset" in first.source and (len(same) == 1 or "value" not in first.source or first.n_terms > 1)
    if is_of_preset or (meter.value is not None and "part_value" not in first.source):
        return first
    if first.number is None:
        if first.kind is NumberKind.OTHER and has_wildcard(meter.topic or ""):
            msg = f"{first.pattern} does not have the name of a power: if it is one, pass --topic {first.pattern}"
            raise SettingsError(msg)
        return first
    how = "write its part_value by hand (docs/meters.md)" if meter.value is not None else "name it with --value"
    paths = f"{how}, one of {listed([str(one.number) for one in likely], _SHOWN_FIELDS)}"
    if first.kind is NumberKind.OTHER:
        msg = f"no number of {first.pattern} has the name of a power: {paths}"
        raise SettingsError(msg)
    if len(likely) > 1:
        quantity = "energy counter" if first.is_counter else "power"
        msg = f"several numbers of {first.pattern} may be its {quantity}: {paths}"
        raise SettingsError(msg)
    return first


def _is_named(meter: MeterAnswer) -> bool:
    """Return whether the user named the meter: its preset, unless that reads every entity, or its topic."""
    if meter.topic is not None and not has_wildcard(meter.topic):
        return True
    return meter.preset not in {None, PER_TOPIC}


def _overlap(chosen: Sequence[Candidate]) -> bool:
    return sum(len(candidate.topics) for candidate in chosen) > len({t for one in chosen for t in one.topics})


def _powers(candidate: Candidate) -> str:
    unit = f" {candidate.source.get('unit', '')}".rstrip() + " (energy counter)" if candidate.is_counter else ""
    if candidate.unit_known and not unit:
        shown = [f"{name} {power:.3f} kW" for name, power in candidate.devices.items()]
    else:
        shown = [f"{name} {number:.10g}{unit}" for name, number in candidate.devices.items()]
    return listed(shown, _SHOWN_POWERS)
