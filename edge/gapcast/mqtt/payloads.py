"""The native payloads: bytes to readings, and rejections to bytes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence

from gapcast.core.errors import PayloadError
from gapcast.core.plans.plan import LOAD_EXAMPLE, LoadPlan, plan_of
from gapcast.core.readings.reading import Limits, Reading, instant_of, measured_of, power_of
from gapcast.core.time_grid import minute_of
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.text.json_input import JsonError, NonFiniteLiteralError, decode_json

_new_tuple = tuple.__new__
_REJECTED_BYTES = 1_024
#: A number with a decimal comma, a unit or a sign that JSON does not have: 1,5 or 0.5 kW or .5
_NUMBER_AND_MORE = re.compile(rb"\s*[-+]?\d{0,20}[.,]?\d{0,20}\s*[A-Za-z]{0,3}\s*")
#: Reason of a rejection: the message is one of gapcast's own.
OWN_ECHO = "own_echo"
_REJECTION = frozenset({"topic", "reason", "detail", "payload"})
#: Documents that gapcast publishes as JSON, by keys that no meter's message combines.
_OWN_DOCUMENTS = {
    "forecast": frozenset({"horizon_min", "issued_at", "target_at", "model_version"}),
    "outlook": frozenset({"lead_min", "issued_at", "target_at", "model_version"}),
    "demand": frozenset({"window_start", "issued_at", "p_exceed", "model_version"}),
    "rejection": _REJECTION,
}


def decode(
    device: str, payload: bytes, n_bytes: int, received_ms: int | None, limits: Limits, extras: Sequence[str] = ()
) -> Reading:
    """Return the reading in ``payload``: ``{"ts": …, "gap_kw": …}`` or a bare number (kW).

    ``extras`` are the measured features that are read from an object beside its power, where present. ``"filled":
    true`` means that nothing was measured for most of the minute; other keys are ignored.

    ``n_bytes`` is the payload's length as it was sent. Without ``ts`` the reading is of the minute in which it arrived
    (``received_ms``; None for a retained or redelivered message, whose age is unknown).

    Raises :class:`PayloadError` for anything else, whatever the bytes.
    """
    if not n_bytes:
        raise PayloadError("empty", "the payload is empty: send a number or a JSON object")
    raise_if_too_large(n_bytes)
    try:
        value = decode_json(payload)
    except JsonError as error:
        raise _problem_of(error, payload, "do not publish a minute without a value") from error
    instant_ms, measured, is_filled = received_ms, None, False
    if isinstance(value, dict):
        has_ts = "ts" in value
        if len(value) > 1 + has_ts:  # more than the power and its time
            if "horizon_min" in value:
                check_own_echo(value)
            is_filled = value.get("filled") is True
        if has_ts:
            instant_ms = instant_of(value["ts"])
        if "gap_kw" not in value:
            check_own_echo(value)
            fix = 'send {"gap_kw": 1.234}, or describe the meter\'s own messages in [[sources]]'
            raise PayloadError("no_value", f'the object has no "gap_kw": {fix}')
        if extras:
            measured = {name: measured_of(name, value[name]) for name in extras if name in value}
        value = value["gap_kw"]
    if instant_ms is None:
        detail = "a retained or redelivered message without ts has an unknown age: publish readings with ts"
        raise PayloadError("unknown_age", detail)
    # As Reading(...), in half the time: there is one for each message.
    return _new_tuple(Reading, (device, minute_of(instant_ms), power_of(value, limits), False, measured, is_filled))


def decode_plan(payload: bytes, n_bytes: int, received_ms: int | None, limits: Limits) -> LoadPlan:
    """Return the plan in ``payload``, read by :func:`gapcast.core.plans.plan.plan_of`; an empty payload is no load.

    ``n_bytes`` and ``received_ms`` are as for :func:`decode`. Raises :class:`PayloadError` for anything else.
    """
    if not n_bytes:  # a retained plan was removed
        return LoadPlan()
    raise_if_too_large(n_bytes, "plan")
    return plan_of(decode_change(payload, f"{LOAD_EXAMPLE}, or []"), limits, received_ms)


def raise_if_too_large(n_bytes: int, what: str = "payload") -> None:
    """Raise :class:`PayloadError` if a message (``what`` in the error) has more than the permitted bytes."""
    if n_bytes > MAX_PAYLOAD:
        raise PayloadError("too_large", f"the {what} has {n_bytes} bytes; at most {MAX_PAYLOAD} are read")


def check_own_echo(document: Mapping[str, object]) -> None:
    """Raise :class:`PayloadError` if a received ``document`` is one that gapcast publishes.

    This happens if a bridge, a script or another program copies it to a topic of readings.
    """
    for what, keys in _OWN_DOCUMENTS.items():
        if keys <= document.keys():
            detail = (
                f"this is a gapcast {what}, copied back to a topic that gapcast reads: "
                "exclude gapcast's own topics from the bridge or program that copies it"
            )
            raise PayloadError(OWN_ECHO, detail)


def is_rejection(payload: bytes) -> bool:
    """Return whether ``payload`` is a message of the rejected topic."""
    try:
        document = decode_json(payload)
    except JsonError:
        return False
    return isinstance(document, dict) and document.keys() >= _REJECTION


def decode_document(payload: bytes) -> object:
    """Return the value of a JSON payload; raise :class:`PayloadError` (``not_json`` or ``not_finite``)."""
    try:
        return decode_json(payload)
    except JsonError as error:
        raise _problem_of(error, payload, "send null, or leave the value out") from error


def decode_change(payload: bytes, example: str) -> object:
    """Return the value of a JSON payload that changes the state of a device; ``example`` is a valid value.

    Raises :class:`PayloadError` (``not_json`` or ``not_finite``).
    """
    try:
        return decode_json(payload)
    except JsonError as error:
        raise PayloadError(error.reason, f"{error.problem_of('the payload')}; send {example}") from error


def _problem_of(error: JsonError, payload: bytes, instead: str) -> PayloadError:
    """Return what is wrong with ``payload``; ``instead`` is the fix for a value that is not a number."""
    if isinstance(error, NonFiniteLiteralError):
        detail = f"NaN and Infinity are not JSON, and no reading: {instead} ({error})"
        return PayloadError("not_finite", detail)
    is_number = _NUMBER_AND_MORE.fullmatch(payload) is not None
    fix = " (send the number alone, with a decimal point, as in 1.5)" if is_number else ""
    return PayloadError("not_json", f"the payload is not JSON: {error}{fix}")


def encode_rejection(topic: str, payload: bytes, reason: str, detail: str, n_omitted: int = 0) -> bytes:
    """Return the message for the rejected topic; the payload is truncated to 1 kB, and base64 if it is not UTF-8.

    ``n_omitted`` is the number of earlier rejections that were omitted.
    """
    head = payload[:_REJECTED_BYTES]
    try:
        shown = head.decode()
    except UnicodeDecodeError as error:
        cut_within_a_character = len(payload) > len(head) and error.reason == "unexpected end of data"
        shown = head[: error.start].decode() if cut_within_a_character else base64.b64encode(head).decode()
    document: dict[str, object] = {"topic": topic, "reason": reason, "detail": detail, "payload": shown}
    if n_omitted:
        document["omitted"] = n_omitted
    return json.dumps(document).encode()
