"""What can go wrong, as one tree.

::

    GapcastError
    ├── PayloadError        bytes that are not a usable reading (reason, detail)
    ├── RequestError        a prediction request whose values cannot be used
    │   └── TooLargeError   one with more readings than are taken
    ├── SourceError         a file of readings that cannot be used (path, line, problem)
    ├── BrokerError         a broker that cannot be reached, or refuses
    ├── ModelError          a model file or card that is missing, altered or does not fit
    ├── StateError          kept state that cannot be used (what, problem)
    ├── ShardError          a shard that another worker has, or that this one cannot go on with
    ├── StatusError         a running service that cannot be asked how it stands
    └── SettingsError       a configuration that cannot be used (key, problem)

No class here knows of HTTP or MQTT: the adapters translate.
"""

from __future__ import annotations


class GapcastError(Exception):
    """Base of every error that gapcast raises on purpose."""


class PayloadError(GapcastError):
    """A message that is not a usable reading.

    ``reason`` is one of a fixed set of words (a metric label, a key for scripts);
    ``detail`` is a sentence for a person that names the value and the cure.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RequestError(GapcastError):
    """A prediction request whose values cannot be used; the message names the value."""


class TooLargeError(RequestError):
    """A prediction request with more readings than are taken; the message says how many are."""


class SourceError(GapcastError):
    """A file of readings that cannot be used; the message names the file, the line and the value."""

    def __init__(self, path: object, line: int | None, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if line is None else f"{path}, line {line}: {problem}")


class BrokerError(GapcastError):
    """A broker that cannot be reached or refuses; the message names it and the cure."""


class ModelError(GapcastError):
    """A model file or its card is missing, truncated, altered or of another shape."""


class StateError(GapcastError):
    """State that was kept and cannot be used; the message says what is wrong with it."""


class ShardError(GapcastError):
    """A shard that another worker has, or that this one cannot go on with; the message says why, and the cure."""


class StatusError(GapcastError):
    """A running service that cannot be asked how it stands; the message names it and the cure."""


class SettingsError(GapcastError):
    """A configuration that cannot be used; the message names the key and the cure."""
