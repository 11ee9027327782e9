"""The one JSON decoder for everything that comes from outside: messages, requests, files and answers of other programs.

It is pydantic-core's (the Rust crate jiter, which every request body of pydantic passes too; wheels for x86-64, aarch64
and armv7). Its limits:

- nesting: 200 levels
- numbers: integers of at most 4,300 digits; ``NaN``, ``Infinity`` and ``-Infinity`` are not JSON (RFC 8259, section 6).
  A number beyond a double's range becomes infinite: whoever uses a number checks that it is finite
- strings: valid UTF-8; an escaped lone surrogate (``\\ud800``) is an error, as are control characters
- names: of equal names in an object the last one counts, as in Python's own decoder
- exactly one value; white space around it, no byte-order mark

The size of a document is limited by whoever receives it.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json


class JsonError(ValueError):
    """Bytes that are not JSON, or beyond the limits of this decoder; the message says what and where."""


def decode_json(document: bytes | bytearray | str) -> Any:
    """Return the value of a JSON ``document``: dict, list, str, int, float, bool or None.

    Raises :class:`JsonError` for anything else, whatever the bytes.

    >>> decode_json(b'{"gap_kw": 1.5}')
    {'gap_kw': 1.5}
    >>> decode_json(b"[NaN]")
    Traceback (most recent call last):
    edge.json_input.JsonError: expected value at line 1 column 2
    """
    try:
        return from_json(document, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise JsonError(str(error)) from error
