"""Listens for the meters' own registers as the service does, and reports the last value of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gapcast.app.broker.broker import filters_of, register_sources_of
from gapcast.check.finding import Finding, ok, warn
from gapcast.config.settings import Settings
from gapcast.core.billing.registers import Register
from gapcast.core.errors import PayloadError
from gapcast.mqtt.requests.demand_registers import RegisterReader, RegisterSource
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import SHOWN_TOPIC_CHARS
from gapcast.service.ports.broker_link import IncomingMessage

_NAMES = {Register.RUNNING: "demand of the running window", Register.MONTH_PEAK: "highest window of the month"}
#: A register in W below this power is doubtful.
_DOUBTFUL_KW = 0.05
#: Maximum number of devices shown of a topic with ``{device}``.
_SHOWN = 5


class _LastValues:
    """The last value of one register by device, kW."""

    def __init__(self) -> None:
        self.kw: dict[str, float] = {}

    def record_running_register(self, device: str, kw: float, _instant_ms: int) -> None:
        self.kw[device] = kw

    def record_peak_register(self, device: str, kw: float) -> None:
        self.kw[device] = kw


class RegisterListener:
    """Reads the configured registers, each on its own."""

    def __init__(self, settings: Settings) -> None:
        #: Problem as a sentence -> count.
        self.rejected: Counter[str] = Counter()
        self._registers: list[tuple[RegisterSource, RegisterReader, _LastValues]] = []
        of_readings = filters_of(settings)
        for source in register_sources_of(settings):
            values = _LastValues()
            reader = RegisterReader([source], of_readings, settings.reading_limits, values, self._reject)
            self._registers.append((source, reader, values))

    def receive(self, received: ReceivedMessage) -> bool:
        """Read the registers in a message; return whether it holds nothing else."""
        holds_these_alone = False
        for _, reader, _ in self._registers:
            message = reader.read(received)
            if message is not None:
                holds_these_alone = True
                if message.problem is not None:
                    self._reject(message, message.problem)
        return holds_these_alone

    def findings(self, wait_s: float) -> Iterator[Finding]:
        """Yield the last values, and the registers without one."""
        for source, _, values in self._registers:
            name = _NAMES[source.register]
            for device, kw in sorted(values.kw.items())[:_SHOWN]:
                if _is_of_another_unit(source, kw):
                    shown = f"{device}: {name} {kw / source.per_unit:g} W, or is it in kW?"
                    yield warn("register", shown, 'if it is in kW, set demand.register_unit = "kW"')
                else:
                    yield ok("register", f"{device}: {name} {kw:.3f} kW")
            if not values.kw:
                whose = f"{source.device}: " if source.device else ""
                topic = source.topic if isinstance(source.topic, str) else source.topic.pattern
                fix = (
                    "check its topic and path; retained values are ignored; if the register is sent only on change, "
                    "increase --wait. Without the register, gapcast uses its own sums"
                )
                yield warn("register", f"{whose}no {name} on {topic} within {wait_s:g} s", fix)

    def _reject(self, message: IncomingMessage, problem: PayloadError) -> None:
        topic = message.token.topic[:SHOWN_TOPIC_CHARS]  # the token is the publication
        self.rejected[f"{topic}: {problem.reason}: {problem.detail}"] += 1


def _is_of_another_unit(source: RegisterSource, kw: float) -> bool:
    """Return whether a value in W is rather one in kW: a fraction, or no month's peak, and lower than any house's."""
    if source.per_unit == 1 or not 0 < kw < _DOUBTFUL_KW:
        return False
    return source.register is Register.MONTH_PEAK or not (kw / source.per_unit).is_integer()
