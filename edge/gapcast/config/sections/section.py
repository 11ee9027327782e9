"""What all sections of the configuration share: their base class, and validators that name the problem of a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_NUMBERS = frozenset({int, float})
#: Separators in a URL, an account or a path, which a host never contains.
_NO_HOST = re.compile(r"[/@?#\s\x00]")
#: Maximum number of characters between two dots of a host name (RFC 1035, section 2.3.4).
_LABEL_CHARS = 63
Port = Annotated[int, Field(ge=1, le=65_535)]


def plain_value_problem(value: object, annotation: Any) -> str | None:
    """Return what is wrong with ``value`` for a key of type ``annotation`` that pydantic would accept; None if nothing.

    >>> plain_value_problem(True, int), plain_value_problem("", Path | None), plain_value_problem(True, bool)
    ('must be a number', 'is empty: write a path, or remove the key', None)
    """
    kinds = _kinds_in(annotation)
    if isinstance(value, bool) and bool not in kinds and kinds & _NUMBERS:
        return "must be a number"
    if isinstance(value, str) and any("\ud800" <= one <= "\udfff" for one in value):  # bytes in another encoding
        return "is not text in UTF-8"
    if value == "" and Path in kinds:  # Path("") is the current folder
        return "is empty: write a path, or remove the key"
    return tilde_problem(value) if isinstance(value, str) and Path in kinds else None


def tilde_problem(path: str) -> str | None:
    """Return what is wrong with ``path`` if a shell would have to replace its beginning; None if nothing."""
    return "begins with ~, which gapcast does not replace: write the whole path" if path.startswith("~") else None


def matching(pattern: str, problem: str) -> AfterValidator:
    """Return a validator that a text matches ``pattern`` completely; ``problem`` says what it must be."""
    expression = re.compile(pattern)

    def check(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise ValueError(problem)
        return text

    return AfterValidator(check)


def host_rule(port_key: str) -> Callable[[str], str]:
    """Return a validator that a text can be a host name or an address; ``port_key`` is the key of its port."""

    def check(host: str) -> str:
        if problem := host_problem(host, port_key):
            raise ValueError(problem)
        return host

    return check


def host_problem(host: str, port_key: str) -> str | None:
    """Return why ``host`` cannot be a host name or an address, None if it can; ``port_key`` is the key of its port.

    >>> host_problem("broker:1883", "mqtt.port"), host_problem("::1", "mqtt.port")
    ('must be the host alone: set the port by mqtt.port', None)
    """
    if "://" in host:
        return f"must be a host name or an address, without {host.partition('://')[0]}://; the port is {port_key}"
    if _NO_HOST.search(host):
        return "must be a host name or an address, without spaces, user name and path"
    if host.startswith("["):
        return "must be an address without brackets"
    if host.count(":") == 1:
        return f"must be the host alone: set the port by {port_key}"
    return None if _has_possible_labels(host) else "cannot be a host name: between two dots are 1 to 63 characters"


def _has_possible_labels(host: str) -> bool:
    """Return whether ``host`` can be encoded for DNS. An ASCII name needs no IDNA codec, which takes 0.4 MB."""
    if host.isascii():
        *others, last = map(len, host.split("."))
        return last <= _LABEL_CHARS and all(0 < n <= _LABEL_CHARS for n in others)
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _kinds_in(annotation: Any) -> set[Any]:
    """Return the types in ``annotation``, without those inside lists."""
    if not get_args(annotation) or getattr(annotation, "__origin__", None) in {tuple, dict}:
        return {annotation}
    return {kind for one in get_args(annotation) for kind in _kinds_in(one)}


class SettingsSection(BaseModel):
    """A section of the configuration: frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _check_plain(cls, value: Any, info: ValidationInfo) -> Any:
        if problem := plain_value_problem(value, cls.model_fields[str(info.field_name)].annotation):
            raise ValueError(problem)
        return value


def split_list(value: object) -> object:
    """Return the parts of a text with commas, as in an environment variable; any other value unchanged.

    >>> split_list("a, b,"), split_list(["a,b"])
    (['a', 'b'], ['a,b'])
    """
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value
