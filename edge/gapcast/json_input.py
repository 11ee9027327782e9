r"""The one JSON decoder for everything that comes from outside: messages, requests, files, answers of other programs.

It is pydantic-core's (the Rust crate jiter, which every request body of pydantic passes too; wheels for x86-64, aarch64
and armv7). Its limits:

- nesting: 200 objects, or 201 lists, within each other
- numbers: integers of at most 4,300 digits; ``NaN``, ``Infinity`` and ``-Infinity`` are not JSON (RFC 8259, section 6).
  A number beyond a double's range becomes infinite, as ``1e400`` does: whoever uses a number checks that it is finite
- strings: valid UTF-8; an escaped lone surrogate (``\ud800``) is an error, as are control characters, NUL among them.
  ``\u0000`` is valid, and gives NUL
- names: of equal names in an object the last one counts, as in Python's own decoder
- exactly one value; white space around it, no byte-order mark, no trailing comma

The size of a document is limited by whoever receives it. ``tests/test_json_input.py`` shows each limit.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

_LITERALS = ("NaN", "Infinity")


class JsonError(ValueError):
    """Bytes that are not JSON, or beyond the limits of this decoder; the message says what and where."""


class NonFiniteLiteralError(JsonError):
    """A document that would be JSON without its ``NaN``, ``Infinity`` or ``-Infinity``."""


def decode_json(document: bytes | bytearray | str) -> Any:
    """Return the value of a JSON ``document``: dict, list, str, int, float, bool or None.

    Raises :class:`JsonError` for anything else, whatever the bytes; :class:`NonFiniteLiteralError` where only a literal
    that is not finite is wrong with them.

    >>> decode_json(b'{"gap_kw": 1.5}')
    {'gap_kw': 1.5}
    >>> decode_json(b"1 2")
    Traceback (most recent call last):
    gapcast.json_input.JsonError: trailing characters at line 1 column 3
    """
    try:
        # Strings are cached (up to 63 bytes each): time stamps repeat from meter to meter as names do.
        return from_json(document, allow_inf_nan=False)
    except (ValueError, TypeError) as error:  # TypeError: a str with a lone surrogate, which no bytes decode to
        kind = NonFiniteLiteralError if _has_non_finite_literal(document) else JsonError
        raise kind(str(error)) from error


def _has_non_finite_literal(document: bytes | bytearray | str) -> bool:
    text = document if isinstance(document, str) else document.decode("utf-8", "replace")
    if not any(literal in text for literal in _LITERALS):
        return False
    try:
        from_json(document)
    except (ValueError, TypeError):
        return False
    return True
