"""The exceptions of gapcast.

::

    GapcastError
    ├── PayloadError        a payload that is not a usable reading (reason, detail)
    ├── RequestError        a prediction request with unusable values
    │   └── TooLargeError   a prediction request with too many readings
    ├── NoDemandError       a device without a demand, or without a valid one
    ├── SourceError         an unusable file of readings (path, problem, line)
    ├── BrokerError         a broker that cannot be reached or refuses the connection
    ├── ModelError          a model file or card that is missing, altered or incompatible
    │   ├── UnknownModelError   a setting that names a model that does not exist
    │   └── ModelChoiceError    a setting that the models do not support
    ├── StateError          persisted state that cannot be used (what, problem)
    ├── StateInUseError     persisted state that another gapcast process uses
    ├── ShardError          a shard that another worker holds, or whose state this worker cannot use
    ├── StatusError         a running service whose status cannot be queried
    └── SettingsError       an invalid configuration (key, problem)
        └── AddressError    a listen address that this machine does not have, or not yet

They are independent of HTTP and MQTT: the adapters translate them.
"""

from __future__ import annotations

from typing import ClassVar

#: Exit codes of commands.
EXIT_ERROR, EXIT_BAD_INPUT, EXIT_BAD_MODEL, EXIT_STATE_LOCKED = 1, 2, 3, 4


class GapcastError(Exception):
    """Base of every error that gapcast raises on purpose.

    >>> [error.exit_code for error in (SettingsError, AddressError, ModelError, ModelChoiceError, ShardError)]
    [2, 1, 3, 2, 4]
    """

    #: The exit code of a command that ends with this error.
    exit_code: ClassVar[int] = EXIT_BAD_INPUT


class PayloadError(GapcastError):
    """A message that is not a usable reading.

    ``reason`` is one of a fixed set of identifiers (a metric label, a key for scripts); ``detail`` is a sentence for
    people that names the value and the fix.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RequestError(GapcastError):
    """A prediction request with unusable values; the message names the value."""


class TooLargeError(RequestError):
    """A prediction request with too many readings; the message names the limit."""


class NoDemandError(GapcastError):
    """A device without a demand, or (``is_stale``) without a valid one; the message says why, and names the fix."""

    def __init__(self, problem: str, *, is_stale: bool = False) -> None:
        super().__init__(problem)
        self.is_stale = is_stale


class SourceError(GapcastError):
    """An unusable file of readings; the message names the file, the line and the value."""

    def __init__(self, path: object, problem: str, line: int | None = None) -> None:
        super().__init__(f"{path}: {problem}" if line is None else f"{path}, line {line}: {problem}")
        self.path = path
        self.line = line


class BrokerError(GapcastError):
    """A broker that cannot be reached or refuses the connection; the message names the broker and the fix."""


class ModelError(GapcastError):
    """A model file or its card is missing, truncated, altered or of another shape."""

    exit_code = EXIT_BAD_MODEL


class UnknownModelError(ModelError):
    """A setting that names a model that does not exist; the message lists the existing models."""


class ModelChoiceError(ModelError):
    """A setting that the models do not support; the message names the key and what they support."""

    exit_code = EXIT_BAD_INPUT


class StateError(GapcastError):
    """Persisted state that cannot be used; the message names the problem."""


class StateInUseError(GapcastError):
    """Persisted state that another gapcast process uses; the message names the folder and the fix."""

    exit_code = EXIT_STATE_LOCKED


class ShardError(GapcastError):
    """A shard that another worker holds, or whose state this worker cannot use; the message names the fix."""

    exit_code = EXIT_STATE_LOCKED


class StatusError(GapcastError):
    """A running service whose status cannot be queried; the message names the service and the fix."""


class SettingsError(GapcastError):
    """An invalid configuration; the message names the key and the fix."""


class AddressError(SettingsError):
    """A listen address that this machine does not have: it is wrong, or the network is not up yet."""

    exit_code = EXIT_ERROR  # systemd restarts after this code, unlike after 2 and 3
