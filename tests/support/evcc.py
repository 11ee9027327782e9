"""What evcc does with a number of a circuit, as its source says (evcc 0.313, MIT licence).

The files are named where a rule is from. A rule is here as far as docs/demand-energy-managers.md relies on it.
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
        self._timeout_s = timeout_s
        self._payload: str | None = None
        self._received_s = -math.inf

    def receive(self, payload: bytes, now_s: float) -> None:
        self._payload, self._received_s = payload.decode(), now_s

    def number(self, now_s: float) -> float | None:
        """Return the number; None where evcc has an error: nothing came, it is outdated, or it is no finite number."""
        if self._payload is None or (self._timeout_s and now_s - self._received_s > self._timeout_s):
            return None
        try:
            number = float(self._payload)
        except ValueError:
            return None
        return number if math.isfinite(number) else None


class Circuit:
    """A circuit with a meter, and one charger in it (core/circuit/circuit.go: GetMaxPower, ValidatePower)."""

    def __init__(self, configured_w: float, topic: Topic) -> None:
        self._configured_w, self._topic = configured_w, topic

    def limit_w(self, now_s: float) -> float:
        number = self._topic.number(now_s)
        return self._configured_w if number is None else number

    def allowed_w(self, metered_w: float, charging_w: float, wanted_w: float, now_s: float) -> float:
        """Return the charger's power: what it wants, or what the limit leaves for it."""
        limit_w = self.limit_w(now_s)
        if limit_w == 0:
            return wanted_w
        left_w = limit_w - metered_w
        if max(0.0, wanted_w - charging_w) > left_w:
            return min(wanted_w, max(0.0, charging_w + left_w))
        return wanted_w
