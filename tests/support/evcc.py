"""How evcc uses the numbers of a circuit, according to its source (evcc 0.313.2, b29b49e3 of August 2026, MIT licence).

Each rule names its source file. Only the rules that docs/demand-energy-managers.md relies on are included.
"""

from __future__ import annotations

import math
import re

#: Fields of a circuit (core/circuit/circuit.go, NewConfigurableFromConfig), beside its name. Case does not matter.
CIRCUIT_FIELDS = {
    "name",
    "title",
    "parent",
    "meter",
    "maxcurrent",
    "maxpower",
    "getmaxcurrent",
    "getmaxpower",
    "timeout",
}
#: Fields of the plugin ``mqtt`` that reads (plugin/mqtt.go, plugin/mqtt/client.go, plugin/pipeline/pipeline.go).
MQTT_FIELDS = {
    "source", "topic", "timeout", "scale", "broker", "user", "password", "clientid", "insecure", "cacert", "clientcert",
    "clientkey", "jq", "regex", "default", "quote", "unpack", "decode", "allowempty",
}  # fmt: skip
#: Payloads that are errors (plugin/helper.go, knownErrors).
KNOWN_ERRORS = {"ErrAsleep", "ErrMustRetry", "ErrNotAvailable"}
#: How long a circuit uses the last power of a meter that fails, s; then it counts as the largest number (core/circuit).
METER_TIMEOUT_S = 60.0
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def duration_s(text: str) -> int:
    """Return a duration of Go, such as ``1m30s``, s."""
    found = _DURATION.fullmatch(text)
    assert found is not None
    assert text
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3_600 + minutes * 60 + seconds


class Topic:
    """The newest payload of a topic as a number (util/monitor.go, plugin/mqtt_handler.go, plugin/helper.go)."""

    def __init__(self, timeout_s: float) -> None:
        """``timeout_s``: 0 for the default of the plugin, with which a number is never outdated."""
        self._timeout_s = timeout_s
        self._payload: str | None = None
        self._received_s = -math.inf

    def receive(self, payload: bytes, now_s: float) -> None:
        self._payload, self._received_s = payload.decode(), now_s

    def number(self, now_s: float) -> float | None:
        """Return the number; None where evcc has an error: nothing came, it is outdated, or it is no finite number."""
        if self._payload is None or (self._timeout_s and now_s - self._received_s > self._timeout_s):
            return None
        if self._payload in KNOWN_ERRORS or self._payload != self._payload.strip():  # ParseFloat takes no blanks
            return None
        try:
            number = float(self._payload)
        except ValueError:
            return None
        return number if math.isfinite(number) else None


class Circuit:
    """A circuit with a meter, and one charger in it.

    core/circuit/circuit.go: GetMaxPower, effectiveMaxPower, overloadOnError, ValidatePower.
    """

    def __init__(self, configured_w: float, topic: Topic, hems_w: float | None = None) -> None:
        """``configured_w`` is ``maxPower`` (0: none), ``hems_w`` the limit by the grid operator (None: no such)."""
        self._configured_w, self._topic, self._hems_w = configured_w, topic, hems_w
        self._metered_w, self._metered_s = 0.0, -math.inf

    def limit_w(self, now_s: float) -> float:
        """Return the limit; 0 for none."""
        number = self._topic.number(now_s)
        limit_w = self._configured_w if number is None else number
        if self._hems_w is None or self._hems_w <= 0:
            return limit_w
        return self._hems_w if limit_w <= 0 else min(self._hems_w, limit_w)

    def allowed_w(self, metered_w: float | None, charging_w: float, wanted_w: float, now_s: float) -> float:
        """Return the charger's power: what it wants, or what the limit leaves for it.

        ``metered_w`` is None if the meter fails: its last power is used for a minute, then the circuit is full.
        """
        if metered_w is not None:
            self._metered_w, self._metered_s = metered_w, now_s
        elif now_s - self._metered_s > METER_TIMEOUT_S:
            self._metered_w = math.inf
        limit_w = self.limit_w(now_s)
        if limit_w == 0:
            return wanted_w
        left_w = limit_w - self._metered_w
        if max(0.0, wanted_w - charging_w) > left_w:
            return min(wanted_w, max(0.0, charging_w + left_w))
        return wanted_w
