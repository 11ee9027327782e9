"""Checks that readings arrive, are usable, and have a plausible unit and clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from gapcast.app.broker.broker import mosquitto_command, samples_fix_of
from gapcast.check.finding import CheckInput, Finding, ok, warn
from gapcast.check.registers import RegisterListener
from gapcast.check.sample_listener import NEEDS_SEVERAL, SampleListener
from gapcast.config.settings import Settings
from gapcast.core.billing.export_warning import EXPORT_FIX, export_warning
from gapcast.core.documents.message_format import counted, listed
from gapcast.core.meters.plausibility import plausibility_warning
from gapcast.mqtt.sources.meter_registry import SHARED_FIX
from gapcast.service.reports.interval_log import FAST_FIX, FAST_PROBLEM

#: The interval of most meters plus a margin for a late message, s.
_MINUTE_S, _MARGIN_S = 60.0, 10.0
#: Maximum number of messages to read.
_MAX_MESSAGES = 2_000
#: Maximum number of devices in a sentence, or of problems shown.
_SHOWN = 5
#: Maximum number of meters with a line of their own.
_MAX_METERS = 50


def usual_wait_s(settings: Settings) -> float:
    """Return how long to wait for a message of the slowest source, s."""
    return _slowest_s(settings) + _MARGIN_S


def _slowest_s(settings: Settings) -> float:
    return max([_MINUTE_S, *(source.every_s for source in settings.sources)])


def check_readings(inputs: CheckInput) -> Iterator[Finding]:
    """Listen for readings for ``wait_s``, as the service does."""
    session = inputs.session
    if session is None or not inputs.wait_s:
        return
    listener, registers, wait_s = SampleListener(inputs.settings), RegisterListener(inputs.settings), inputs.wait_s
    deadline_s = time.monotonic() + wait_s
    while (left_s := deadline_s - time.monotonic()) > 0 and listener.n_messages < _MAX_MESSAGES:
        for received in session.receive_messages(256, min(left_s, 0.25)):
            if not registers.receive(received):
                listener.receive(received)
            session.acknowledge_after(received.publication, 0)
        session.flush()
    yield from _check_arrivals(inputs, listener)
    yield from _last_powers(listener)
    for name, topic in listener.submeters.items():
        if name not in listener.devices:
            fix = "check its topic; forecasts continue without this submeter"
            yield warn("submeter", f"{name}: no message on {topic} within {inputs.wait_s:g} s", fix)
    for device, (topic, other) in listener.shared_devices.items():
        text = f"{topic} and {other} are both the device {device}: they are read as one meter"
        yield warn("sources", text, SHARED_FIX)
    yield from registers.findings(wait_s)
    yield from _check_export(inputs.settings, listener)
    for sentence, n in (listener.rejected + registers.rejected).most_common(_SHOWN):
        times = f" ({n} times)" if n > 1 else ""
        yield warn("readings", f"not usable: {sentence}{times}", "compare with the payloads in docs/meters.md")
    for device, samples in sorted(listener.devices.items()):
        if samples.is_fast:
            sources = inputs.settings.submeters if device in listener.submeters else inputs.settings.sources
            fix = f"{FAST_FIX}{samples_fix_of(sources, inputs.settings)}"
            yield warn("meter", f"{device}: several readings a minute: {FAST_PROBLEM}", fix)
        if warning := plausibility_warning(samples.powers_kw, is_house=device not in listener.submeters):
            text, _, fix = warning.partition(": ")
            yield warn("unit", f"{device}: {text}", fix)
        if problem := samples.clock_problem(time.time_ns() // 1_000_000):
            yield warn("clock", f"{device}: {problem[0]}", f"{problem[1]}; ignore this for a replay of old readings")


def _check_arrivals(inputs: CheckInput, listener: SampleListener) -> Iterator[Finding]:
    settings = inputs.settings
    topics = ", ".join(source.topic for source in settings.sources) or settings.topics.reading
    n_of_meters = listener.n_messages - listener.n_submeter_messages
    names = sorted(listener.devices.keys() - listener.submeters.keys())
    if not n_of_meters:
        command = mosquitto_command(settings.mqtt, "mosquitto_sub", "-v", "-t", "#")
        listing = f"list all messages with {command}; " if command else ""
        least_s, every_s = usual_wait_s(settings), _slowest_s(settings)
        every = "most meters send once a minute" if every_s <= _MINUTE_S else f"a source sends every {every_s:g} s"
        longer = f"{every}, so try --wait {least_s:g}; " if inputs.wait_s < least_s else ""
        fix = f"{longer}{listing}a broker may also silently withhold topics that this account has no permission to read"
        yield warn("readings", f"no message on {topics} within {inputs.wait_s:g} s", fix)
    elif names:
        n_messages = counted(n_of_meters, "message")
        yield ok("readings", f"{n_messages} within {inputs.wait_s:g} s, of {listed(names, _SHOWN)}")


def _check_export(settings: Settings, listener: SampleListener) -> Iterator[Finding]:
    """Check that no device with a limit exports power, unless only imported power counts."""
    site = settings.demand.site_options(settings.site.zone)
    for device, samples in sorted(listener.devices.items()):
        text = export_warning(site.for_device(device), min(samples.powers_kw, default=0.0))
        if text is not None and device not in listener.submeters:
            yield warn("demand", f"{device}: {text}", EXPORT_FIX)


def _last_powers(listener: SampleListener) -> Iterator[Finding]:
    """Yield the last power of each meter, in kW, and the sources whose messages have no power."""
    devices = sorted(listener.devices.items())
    for device, samples in devices[:_MAX_METERS]:
        n = counted(samples.n_messages, "message")
        if samples.powers_kw:
            yield ok("meter", f"{device}: {samples.powers_kw[-1]:.3f} kW ({n})")
        elif samples.missing:
            missing, _, fix = samples.missing.partition(": ")
            fix = fix or "check that the meter sends it, or wait longer (--wait); else remove it from value"
            yield warn("meter", f"{device}: no power yet ({n}): {missing}", fix)
        elif samples.needs_several:
            yield ok("meter", f"{device}: no power yet ({n}): {NEEDS_SEVERAL}")
    if len(devices) > _MAX_METERS:
        yield ok("meter", f"and {len(devices) - _MAX_METERS} more meters")
    with_power = {samples.pattern for _, samples in devices if samples.powers_kw}
    without: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for _, samples in devices:
        if samples.pattern not in with_power and not samples.needs_several:
            without[samples.pattern] += samples.n_messages
            if samples.without_value:
                examples[samples.pattern] = f", such as {samples.without_value}"
    for pattern, n_messages in without.items():
        fix = "check that value names a field that the meter sends (docs/meters.md), or wait longer (--wait)"
        problem = f"{counted(n_messages, 'message')} without a power{examples.get(pattern, '')}"
        yield warn("meter", f"{pattern}: {problem}", fix)
