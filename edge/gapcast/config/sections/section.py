"""The base class of all sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from gapcast.config.sections.value_rules import plain_value_problem

Port = Annotated[int, Field(ge=1, le=65_535)]


class SettingsSection(BaseModel):
    """A section of the configuration: frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: Any, info: ValidationInfo) -> Any:
        if problem := plain_value_problem(value, cls.model_fields[str(info.field_name)].annotation):
            raise ValueError(problem)
        return value


def split_list(value: object) -> object:
    """Return the parts of a text with commas, as an environment variable has it; any other value as it is.

    >>> split_list("a, b,"), split_list(["a,b"])
    (['a', 'b'], ['a,b'])
    """
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value
