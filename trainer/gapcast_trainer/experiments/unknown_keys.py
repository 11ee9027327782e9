"""Suggestions for unknown keys of an experiment."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError

from gapcast.core.documents.field_problem import Error, field_problem

_UNKNOWN_KEY = "extra_forbidden"


def first_error(error: ValidationError) -> Error:
    """Return the error to report: an unknown key if there is one, because it may be a misspelt required key."""
    errors = error.errors()
    return next((one for one in errors if one["type"] == _UNKNOWN_KEY), errors[0])


def key_problem(error: Error, section: type[BaseModel], whole: str, otherwise: str) -> str:
    """Return :func:`field_problem` of ``error`` in ``section``, and the key that was probably meant if it is unknown.

    That key may be in another section: ``descent.epochs`` for ``epochs``. ``otherwise`` follows if none is similar.
    """
    problem = field_problem(error, whole)
    if error["type"] != _UNKNOWN_KEY:
        return problem
    keys = list(_keys_of(section))
    last = {key.rsplit(".", 1)[-1]: key for key in reversed(keys)}
    key = ".".join(map(str, error["loc"]))
    name = key.rsplit(".", 1)[-1]
    if name in last:
        return f"{problem}; did you mean {last[name]}?"
    if similar := get_close_matches(key, keys, n=1):
        return f"{problem}; did you mean {similar[0]}?"
    if similar := get_close_matches(name, last, n=1):
        return f"{problem}; did you mean {last[similar[0]]}?"
    return f"{problem}; {otherwise}"


def _keys_of(section: type[BaseModel], above: str = "") -> Iterable[str]:
    for name, field in section.model_fields.items():
        yield above + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys_of(field.annotation, f"{above}{name}.")
