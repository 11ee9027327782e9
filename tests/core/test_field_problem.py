"""A problem with a field names it, the fix and the value, however long the value is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gapcast.core.documents.field_problem import field_problem, problem_and_value


class Meter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    port: int = Field(default=1, ge=1, le=9)
    names: tuple[str, ...] = Field(default=("a",), min_length=1, max_length=2)
    unit: str = Field(default="kW", max_length=8)
    file: str = Field(default="a", pattern="^[a-z]+$")
    name: str = "meter"

    @field_validator("name")
    @classmethod
    def _is_word(cls, name: str) -> str:
        if " " in name:
            msg = f"{name!r} has blanks"
            raise ValueError(msg)
        return name


def problem_with(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Meter.model_validate(fields)
    return field_problem(caught.value.errors()[0])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"port": "much"}, "port: must be a whole number (it is 'much')"),
        ({"port": 10}, "port: must be at most 9 (it is 10)"),
        ({"port": {"a": "secret"}}, "port: must be a whole number"),
        ({"names": "ab"}, "names: must be a list (it is 'ab')"),
        ({"names": []}, "names: must have at least 1 entry (it is [])"),
        ({"names": ["a", "b", "c"]}, "names: must have at most 2 entries (it is ['a', 'b', 'c'])"),
        ({"unit": "kilowatt-hours"}, "unit: must have at most 8 characters (it is 'kilowatt-hours')"),
        ({"names": None}, "names: must be a list (it is null)"),
        ({"names": [True, False, None]}, "names.0: must be a text in quotes (it is true)"),
        ({"port": [True, False, None]}, "port: must be a whole number (it is [true, false, null])"),
        ({"name": "my meter"}, "name: 'my meter' has blanks"),
        ({"file": "../x"}, "file: must match ^[a-z]+$ (it is '../x')"),
        ({"post": "secret"}, "post: there is no such key"),
        ({"unit": "\x1b[31m\n" * 3}, r"unit: must have at most 8 characters (it is '\x1b[31m\n\x1b[31m\n\x1b[31m\n')"),
    ],
)
def test_field_problem_names_field_fix_and_value(fields: dict[str, Any], problem: str) -> None:
    assert problem_with(**fields) == problem


def test_field_problem_shortens_long_values() -> None:
    nested: Any = "x" * 1_000
    for _ in range(8):
        nested = [nested] * 8
    for value in ("x" * 10**6, b"x" * 10**6, nested, [["x" * 1_000] * 1_000] * 1_000, 10**300):
        error = {"type": "int_type", "loc": ("port",), "msg": "", "input": value}
        assert len(problem_and_value(error)) < 4_000, type(value)


def test_field_problem_of_an_integer_too_long_to_print_states_its_size() -> None:
    """Hexadecimal numbers of TOML have any length, and Python writes 4,300 digits at most."""
    assert problem_with(port=1 << 20_000) == "port: must be at most 9 (it is a number of 20,001 bits)"
