"""Error messages about a field of a file or a request, as plain sentences instead of pydantic's messages."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from gapcast.core.documents.message_format import counted

#: An entry of :meth:`pydantic.ValidationError.errors`.
Error = Mapping[str, Any]

_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "int_parsing": lambda _: "must be a whole number",
    "int_type": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "float_parsing": lambda _: "must be a number",
    "float_type": lambda _: "must be a number",
    "bool_parsing": lambda _: "must be true or false",
    "bool_type": lambda _: "must be true or false",
    "path_type": lambda _: "must be a path in quotes",
    "string_type": lambda _: "must be a text in quotes",
    "finite_number": lambda _: "must be a finite number",
    "list_type": lambda _: "must be a list",
    "tuple_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "there is no such key",
    "literal_error": lambda limits: f"must be {limits['expected']}",
    "greater_than": lambda limits: f"must be greater than {limits['gt']}",
    "greater_than_equal": lambda limits: f"must be at least {limits['ge']}",
    "less_than": lambda limits: f"must be less than {limits['lt']}",
    "less_than_equal": lambda limits: f"must be at most {limits['le']}",
    "string_pattern_mismatch": lambda limits: f"must match {limits['pattern']}",
    "string_too_short": lambda limits: f"must have at least {counted(limits['min_length'], 'character')}",
    "string_too_long": lambda limits: f"must have at most {counted(limits['max_length'], 'character')}",
}
#: Type of an error raised by a validator of gapcast.
_OWN = "value_error"
#: Types of errors that have no value to show.
_WITHOUT_VALUE = frozenset({"missing", "extra_forbidden"})
#: Largest integer shown with its digits, in bits. Python refuses to format one of more than 4,300 digits.
_MAX_SHOWN_BITS = 1_024


class _ShortRepr(reprlib.Repr):
    """Shortens long values: texts to 80 characters, and lists to six entries that are not lists of lists.

    Literals are as in JSON and TOML, wherever the value is from.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlevel = 2

    def repr_int(self, x: int, level: int) -> str:
        n_bits = x.bit_length()
        return super().repr_int(x, level) if n_bits <= _MAX_SHOWN_BITS else f"a number of {n_bits:,} bits"

    def repr_bool(self, x: bool, _level: int) -> str:
        return "true" if x else "false"

    def repr_NoneType(self, _x: None, _level: int) -> str:  # noqa: N802 - found by the name of the type
        return "null"


_SHORT = _ShortRepr()
#: Types of errors about the length of a text or of a list.
_TOO_SHORT, _TOO_LONG = "too_short", "too_long"


def field_problem(error: Error, whole: str = "the file") -> str:
    """Return the field of ``error``, the problem, and the value; ``whole`` names the object that has the fields.

    >>> field_problem({"type": "int_parsing", "loc": ("window", "context"), "msg": "", "input": "much"})
    "window.context: must be a whole number (it is 'much')"
    >>> field_problem({"type": "missing", "loc": ("family",), "msg": "", "input": {}})
    'family: is missing'
    """
    return f"{'.'.join(map(str, error['loc'])) or whole}: {problem_and_value(error)}"


def problem_and_value(error: Error) -> str:
    """Return the problem of ``error``, and the value unless a validator of gapcast raised the error.

    Messages of gapcast's validators name the value where that helps.
    """
    return f"{value_problem(error)}{'' if error['type'] == _OWN else value_in_parentheses(error)}"


def value_in_parentheses(error: Error) -> str:
    """Return the value of ``error`` in parentheses; empty if the value has keys, or if there is none."""
    value = error["input"]
    return "" if error["type"] in _WITHOUT_VALUE or isinstance(value, Mapping) else f" (it is {_SHORT.repr(value)})"


def value_problem(error: Error) -> str:
    """Return the problem of the value of ``error``.

    >>> value_problem({"type": "less_than_equal", "loc": ("mqtt", "qos"), "msg": "", "input": 3, "ctx": {"le": 1}})
    'must be at most 1'
    """
    limits: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind in {_TOO_SHORT, _TOO_LONG}:
        at, n = ("least", limits["min_length"]) if kind == _TOO_SHORT else ("most", limits["max_length"])
        one, several = ("character", "characters") if isinstance(error["input"], str) else ("entry", "entries")
        return f"must have at {at} {n} {one if n == 1 else several}"
    if kind in _SENTENCES:
        return _SENTENCES[kind](limits)
    message: str = error["msg"]
    return message.removeprefix("Value error, ")
