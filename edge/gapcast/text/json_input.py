r"""The JSON decoder for all external input: messages, requests, files, responses of other programs.

It is the decoder of pydantic-core (the Rust crate jiter, which also decodes every request body of pydantic; wheels for
x86-64, aarch64 and armv7). Its limits:

- nesting: 200 objects, or 201 lists, within each other
- numbers: integers of at most 4,300 digits; ``NaN``, ``Infinity`` and ``-Infinity`` are not JSON (RFC 8259, section 6).
  A number beyond a double's range becomes infinite, for example ``1e400``: callers check that numbers are finite
- strings: valid UTF-8; an escaped lone surrogate (``\ud800``) is an error, and so are control characters such as NUL.
  ``\u0000`` is valid and decodes to NUL
- names: if an object repeats a name, the last value counts, as in Python's own decoder
- exactly one value; white space around it is allowed, a byte-order mark or a trailing comma is not

The receiver limits the size of a document. ``tests/test_json_input.py`` shows each limit.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

_LITERALS = ("NaN", "Infinity")


class JsonError(ValueError):
    """Input that is not JSON or exceeds the limits of this decoder; the message gives the problem and its position.

    ``reason`` is the reason of a rejected message.
    """

    reason = "not_json"

    def problem_of(self, what: str) -> str:
        """Return what is wrong with the input, called ``what``, in a sentence."""
        return f"{what} is not JSON: {self}"


class NonFiniteLiteralError(JsonError):
    """A document that is JSON except for ``NaN``, ``Infinity`` or ``-Infinity``."""

    reason = "not_finite"

    def problem_of(self, what: str) -> str:
        """Return that the literal is not JSON, and its position."""
        return f"NaN and Infinity are not JSON ({self})"


def decode_json(document: bytes | bytearray | str) -> Any:
    """Return the value of a JSON ``document``: dict, list, str, int, float, bool or None.

    Raises :class:`JsonError` for any other input; :class:`NonFiniteLiteralError` if the only error is a non-finite
    literal.

    >>> decode_json(b'{"gap_kw": 1.5}')
    {'gap_kw': 1.5}
    >>> decode_json(b"1 2")
    Traceback (most recent call last):
    gapcast.text.json_input.JsonError: trailing characters at line 1 column 3
    """
    try:
        # Strings are cached (up to 63 bytes each): time stamps and names repeat from meter to meter.
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
