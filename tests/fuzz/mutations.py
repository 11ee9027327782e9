"""Mutations of inputs that keep their form: JSON stays JSON, a message among several stays a message.

A fuzzer that flips bytes of a JSON document produces mostly invalid JSON, which the decoder rejects immediately. These
mutations change the decoded value and encode it again. They depend only on the random generator, so that the tests
repeat them exactly.
"""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz.target import FIELD, PART

#: Values that decoders get wrong: limits of types, other types, numbers as text, non-finite, long and deep values.
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -0.0, -1, 1, 0.1, 100, 100.1, 1e6, 1e16, 1e300, -1e300, 5e-324, 2**31, 2**53, 2**63, -(2**63),
    2**64, 10**30, 10**400, 10**4_400, float("inf"), float("nan"), "", "0", "1.5", "1e999", "nan", "inf", "unavailable",
    "\x00", "\ud800", "é", "x" * 70, "x" * 5_000, "..", ".", "home", [], {}, [[]], [{}], {"": {}}, {"ts": 1},
    1_288_571_340, 1_288_571_340_000, 946_684_800, 4_102_444_800, "2010-11-01T00:29:00Z", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2023-10-29T02:30:00", "2023-03-26T02:30:00",
)  # fmt: skip
_MOST_MEMBERS = 64


def mutate(data: bytes, draw: random.Random, words: tuple[str, ...] = ()) -> bytes:
    """Return ``data`` with one of its parts changed: as JSON if it is JSON, else byte by byte."""
    parts = data.split(PART)
    place = draw.randrange(len(parts))
    if len(parts) > 1 and draw.random() < 0.2:
        return PART.join(_rearranged(parts, place, draw))
    fields = parts[place].split(FIELD)
    at = draw.randrange(len(fields))
    fields[at] = mutate_document(fields[at], draw, words)
    parts[place] = FIELD.join(fields)
    return PART.join(parts)


def mutate_document(text: bytes, draw: random.Random, words: tuple[str, ...] = ()) -> bytes:
    """Return ``text`` changed: as JSON if it is JSON, else byte by byte."""
    if draw.random() < 0.8:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            for _ in range(draw.choice((1, 1, 1, 2, 4))):
                document = _mutated(document, draw, words)
            return _encoded(document)
    return mutate_bytes(text, draw, words)


def mutate_bytes(data: bytes, draw: random.Random, words: tuple[str, ...] = ()) -> bytes:
    """Return ``data`` with bytes flipped, removed, repeated or inserted, or cut short."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        at = draw.randrange(len(changed) + 1)
        action = draw.randrange(6)
        if action == 0 and at < len(changed):
            changed[at] ^= 1 << draw.randrange(8)
        elif action == 1 and at < len(changed):
            changed[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif action == 2:
            del changed[at : at + draw.randrange(1, 9)]
        elif action == 3:
            changed[at:at] = changed[at : at + draw.randrange(1, 33)] * draw.randrange(1, 4)
        elif action == 4:
            changed[at:at] = (draw.choice(words) if words else "0").encode("utf-8", "surrogatepass")
        elif at:
            del changed[at:]
    return bytes(changed)


def _rearranged(parts: list[bytes], place: int, draw: random.Random) -> list[bytes]:
    """Return the parts with one left out, repeated or moved."""
    action = draw.randrange(3)
    if action == 0:
        return parts[:place] + parts[place + 1 :]
    if action == 1:
        return parts[: place + 1] + parts[place:]
    other = draw.randrange(len(parts))
    swapped = list(parts)
    swapped[place], swapped[other] = swapped[other], swapped[place]
    return swapped


def _mutated(value: Any, draw: random.Random, words: tuple[str, ...]) -> Any:
    """Return a JSON value with one value in it changed."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        return _mutated_object(dict(value), draw, words)
    if isinstance(value, list) and value and draw.random() < 0.85:
        return _mutated_list(list(value), draw, words)
    if isinstance(value, str) and value and draw.random() < 0.5:
        return mutate_bytes(value.encode("utf-8", "surrogatepass"), draw, words).decode("utf-8", "replace")
    if isinstance(value, int | float) and not isinstance(value, bool) and draw.random() < 0.5:
        return _mutated_number(value, draw)
    return draw.choice(words) if words and draw.random() < 0.2 else draw.choice(_ODD)


def _mutated_object(value: dict[str, Any], draw: random.Random, words: tuple[str, ...]) -> dict[str, Any]:
    name = draw.choice(list(value))
    action = draw.random()
    if action < 0.1:
        del value[name]
    elif action < 0.2:
        value[draw.choice(words or ("x",))] = draw.choice((*_ODD[:20], value[name]))
    elif action < 0.25:
        value[draw.choice(words or ("x",))] = value.pop(name)
    else:
        value[name] = _mutated(value[name], draw, words)
    return value


def _mutated_list(value: list[Any], draw: random.Random, words: tuple[str, ...]) -> list[Any]:
    place = draw.randrange(len(value))
    action = draw.random()
    if action < 0.1:
        del value[place]
    elif action < 0.2:
        value[place:place] = [value[place]] * draw.choice((1, 2, _MOST_MEMBERS))
        del value[4 * _MOST_MEMBERS :]
    else:
        value[place] = _mutated(value[place], draw, words)
    return value


def _mutated_number(value: float, draw: random.Random) -> float:
    """Return a number near ``value``, or of another size."""
    try:
        return draw.choice((value + 1, value - 1, -value, value * 1_000, value / 1_000, value * 60, float(value)))
    except OverflowError:  # an integer beyond a float's range
        return 0


def _encoded(document: Any) -> bytes:
    """Return a value as JSON; lone surrogates stay escaped, and integers of any length are written."""
    try:
        return json.dumps(document).encode()
    except ValueError:  # an integer of more digits than Python writes
        return json.dumps(_shortened(document)).encode().replace(b'"<digits>"', b"9" * 5_000)


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return "<digits>" if isinstance(value, int) and value.bit_length() > 14_000 else value
