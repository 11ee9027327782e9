"""Answers given on the command line, validated before any question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gapcast.core.errors import SettingsError
from gapcast.core.meters.source import COUNTERS
from gapcast.core.meters.values import parse_sum
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.mqtt.sources.source_topics import PART
from gapcast.presets import presets
from gapcast.setup.broker.broker_access import BrokerAccess
from gapcast.setup.topics import EVERYTHING, topic_problem
from gapcast.text.time_zone_names import time_zone_problem


@dataclass(frozen=True, slots=True)
class MeterAnswer:
    """What is known about one meter; None: prompt for it."""

    topic: str | None = None
    preset: str | None = None
    value: str | None = None
    unit: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether the answers select a meter."""
        return self.topic is not None or self.preset is not None

    @property
    def title(self) -> str:
        """The options that select the meter."""
        options = (("--preset", self.preset), ("--topic", self.topic), ("--value", self.value))
        return " ".join(f"{name} {value}" for name, value in options if value is not None)


@dataclass(frozen=True, slots=True)
class PresetAnswers:
    """The answers; None: prompt for it."""

    config: Path
    #: Address of the broker, without an account.
    broker: BrokerAccess | None = None
    username: str | None = None
    password: str | None = None
    tls: bool | None = None
    ca_path: Path | None = None
    certificate_path: Path | None = None
    key_path: Path | None = None
    meters: tuple[MeterAnswer, ...] = (MeterAnswer(),)
    #: Device names, in the order of the meters.
    devices: tuple[str, ...] = ()
    timezone: str | None = None
    home_assistant: bool | None = None
    wait_s: float = 70.0
    overwrite: bool = False

    def with_account(self, broker: BrokerAccess) -> BrokerAccess:
        """Return the access to a broker with the given account and certificates."""
        return replace(
            broker,
            username=self.username,
            password=self.password,
            ca_path=self.ca_path,
            certificate_path=self.certificate_path,
            key_path=self.key_path,
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to subscribe to: the meters' topics, or all topics if a meter's is unknown."""
        topics = tuple(EVERYTHING if meter.topic is None else meter.topic for meter in self.meters)
        return (EVERYTHING,) if EVERYTHING in topics else topics

    def __post_init__(self) -> None:
        """Raise :class:`SettingsError`, naming option and value, if an answer is invalid."""
        if self.timezone is not None and (problem := time_zone_problem(self.timezone)) is not None:
            msg = f"--timezone: {problem}"
            raise SettingsError(msg)
        for meter in self.meters:
            if (problem := _problem_of(meter)) is not None:
                raise SettingsError(problem)
        for i, name in enumerate(self.devices):
            if (problem := device_problem(name, self.devices[:i])) is not None:
                msg = f"--device: {problem}"
                raise SettingsError(msg)
        if self.devices and self.meters[0].is_given and len(self.devices) != len(self.meters):
            msg = f"--device: {len(self.devices)} names for {len(self.meters)} meters: give one name for each"
            raise SettingsError(msg)


def meter_answers(
    topics: Sequence[str], names: Sequence[str], values: Sequence[str], units: Sequence[str]
) -> tuple[MeterAnswer, ...]:
    """Return the meters that repeated options describe, in their order; an option given once applies to all.

    Raises :class:`SettingsError` if the options do not match.

    >>> [one.title for one in meter_answers(["a/power", "b/power"], ["esphome"], [], [])]
    ['--preset esphome --topic a/power', '--preset esphome --topic b/power']
    """
    n_meters = max(len(topics), len(names), 1)
    given = {"--topic": topics, "--preset": names, "--value": values, "--unit": units}
    columns: list[list[str | None]] = []
    for option, entered in given.items():
        if len(entered) > 1 and len(entered) != n_meters:
            msg = f"{option} is given {len(entered)} times for {n_meters} meters: give it once, or once for each"
            raise SettingsError(msg)
        columns.append([*entered] * n_meters if len(entered) == 1 else [*entered] or [None] * n_meters)
    if len(topics) == 1 and len(names) > 1 and topics[0] != EVERYTHING:
        msg = f"--topic is given once for {n_meters} presets: give it once for each, or leave it out"
        raise SettingsError(msg)
    meters = tuple(MeterAnswer(*row) for row in zip(*columns, strict=True))
    if len(set(meters)) < n_meters:
        msg = "--preset and --topic name the same meter twice: give each meter its own --topic"
        raise SettingsError(msg)
    return meters


def device_problem(name: str, taken: Sequence[str] = ()) -> str | None:
    """Return what is wrong with a device's name, None if it is valid.

    >>> device_problem("my meter")
    "'my meter' cannot name a device: use 1 to 64 of A-Z a-z 0-9 _ - ."
    """
    if not is_device_id(name):
        return device_id_problem(name)
    return f"{name!r} is the name of another device: choose another" if name in taken else None


def _problem_of(meter: MeterAnswer) -> str | None:
    if meter.preset is not None and meter.preset not in presets():
        return f"--preset: unknown preset {meter.preset!r}; available: {', '.join(sorted(presets()))}"
    if meter.topic is not None and (problem := topic_problem(meter.topic)) is not None:
        return f"--topic: {problem}"
    if meter.topic is not None and PART in meter.topic.split("/") and meter.value is None and meter.preset is None:
        return f"--topic: {meter.topic!r} needs --value, the sum of its parts, such as 'a + b'"
    if meter.unit in COUNTERS and (problem := _counter_problem(meter)) is not None:
        return f"--unit {meter.unit}: {problem}"
    try:
        _ = parse_sum(meter.value) if meter.value is not None else ()
    except ValueError as error:
        return f"--value: {error}"
    return None


def _counter_problem(meter: MeterAnswer) -> str | None:
    """Return why the meter cannot be an energy counter, None if it can be one."""
    if meter.preset is not None and meter.value is None and "value" in presets()[meter.preset]:
        return f"the preset {meter.preset} reads a power: name the energy counter with --value"
    if meter.topic is not None and PART in meter.topic.split("/"):
        return "energy counters on several topics cannot be added up: read their powers (W, kW)"
    return None
