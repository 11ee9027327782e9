"""The first problem that the validation of a configuration finds, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from gapcast.config.checks.unknown_keys import unknown_key_problem
from gapcast.core.documents.field_problem import value_in_parentheses, value_problem
from gapcast.core.documents.message_format import did_you_mean

#: Error types of pydantic.
_UNKNOWN_KEY, _NO_LIST, _NO_CHOICE = "extra_forbidden", "tuple_type", "literal_error"
_NO_SECTION = frozenset({"model_type", "dict_type"})


def first_problem(error: ValidationError, settings: type[BaseModel]) -> tuple[tuple[str, ...], str]:
    """Return the location and the problem of the first unknown key of ``settings``, else of the first invalid one.

    The problem has the value, if it is no secret.
    """
    # An unknown key comes first, since another error may follow from it: the intended key is missing.
    first = min(error.errors(), key=lambda one: one["type"] != _UNKNOWN_KEY)
    location = tuple(map(str, first["loc"]))
    key = ".".join(location)
    problem, meant = value_problem(first), ""
    if first["type"] == _UNKNOWN_KEY:
        problem = unknown_key_problem(settings, first["loc"])
    elif first["type"] in _NO_SECTION:
        fix = f": write [{key}] in one pair of brackets" if isinstance(first["input"], list) else ""
        problem = f"is a section, not a value{fix}"
    elif first["type"] == _NO_LIST and isinstance(first["input"], Mapping):
        problem = f"is a list of sections: write [[{key}]] in two pairs of brackets, in gapcast.toml"
    elif first["type"] == _NO_CHOICE and isinstance(first["input"], str):
        meant = did_you_mean(first["input"], re.findall("'([^']*)'", first["ctx"]["expected"]))
    # The value of a misspelt or missing key may also be a secret, as may an address with an account.
    may_be_secret = "password" in key or "token" in key or first["type"] in {_UNKNOWN_KEY, *_NO_SECTION}
    shown = "" if may_be_secret or "@" in str(first["input"]) else value_in_parentheses(first)
    return location, f"{problem}{shown}{meant}"
