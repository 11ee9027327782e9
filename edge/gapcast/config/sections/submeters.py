"""``[[submeters]]``: meters of single loads, which belong to a device. They are read like ``[[sources]]``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import field_validator, model_validator

from gapcast.config.sections.section import matching
from gapcast.config.sections.sources import SourceSettings, fixed_devices, no_source
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.core.readings.submeters import Submeters

_PLACEHOLDERS = ("{device}", "{channel}", "{shard}")
#: Maximum number of submeters of a device: each takes memory and time.
MOST_SUBMETERS = 8


class SubmeterSettings(SourceSettings):
    """One of ``[[submeters]]``."""

    #: The device to which the submeter belongs.
    of: str
    #: The submeter's name, which identifies what was learned from it.
    name: Annotated[str, matching(r"[A-Za-z0-9_.-]{1,48}", "must be 1 to 48 of A-Z a-z 0-9 _ - .")]

    @field_validator("of")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not is_device_id(device):
            raise ValueError(device_id_problem(device))
        return device

    @model_validator(mode="before")
    @classmethod
    def _check_has_no_device(cls, values: Any) -> Any:
        """Reject a device; a preset's device, which is merged later, has no effect."""
        if isinstance(values, dict) and values.get("device"):
            msg = "a submeter is not a device of its own: remove device, and name the device that it belongs to as of"
            raise ValueError(msg)
        return values

    @model_validator(mode="after")
    def _check_is_one_meter(self) -> SubmeterSettings:
        found = [one for one in _PLACEHOLDERS if one in self.topic]
        if found:
            msg = f"topic {self.topic!r} has {found[0]}: write the topic of this submeter, as in tele/car/SENSOR"
            raise ValueError(msg)
        return self


def names_of(submeters: Sequence[SubmeterSettings]) -> Submeters:
    """Return the names of each device's submeters, in order."""
    names: dict[str, tuple[str, ...]] = {}
    for one in submeters:
        names[one.of] = (*names.get(one.of, ()), one.name)
    return names


def submeter_problems(
    submeters: Sequence[SubmeterSettings], sources: Sequence[SourceSettings], reading_topic: str, *, is_shared: bool
) -> Iterator[str]:
    """Yield each problem with ``submeters`` in a sentence that names the key and the fix.

    ``sources`` are the meters (empty: native readings on ``reading_topic``); ``is_shared``: whether several workers
    share the meters.
    """
    if submeters and is_shared:
        problem = "different workers may read a submeter and its device"
        yield f"submeters: {problem}: remove the submeters, or shards and mqtt.share_group"
    topics = [(f"sources.{i}.topic", topic) for i, source in enumerate(sources) for topic in source.topics]
    topics = topics or [("topics.reading", reading_topic)]
    fixed = fixed_devices(sources)
    for i, one in enumerate(submeters):
        key = f"submeters.{i}"
        if (one.of, one.name) in [(other.of, other.name) for other in submeters[:i]]:
            yield f"{key}.name: {one.of} has a submeter {one.name!r} already: give each another name"
        if fixed and one.of not in fixed:
            yield f"{key}.of: {no_source(one.of, fixed)}"
        for other_key, topic in topics:
            if topic in one.topics:
                yield f"{key}.topic: {topic!r} is already read by {other_key}: give the submeter its own topic"
        topics += [(f"{key}.topic", topic) for topic in one.topics]
    for device, names in names_of(submeters).items():
        if len(names) > MOST_SUBMETERS:
            yield f"submeters: {device} has {len(names)}, at most {MOST_SUBMETERS} are read: keep the largest loads"
