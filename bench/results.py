"""The results of a measurement: printed as tables, and written as JSON, from which docs/performance.md takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

_TABLES = "tables"


class Results:
    """What one command measured.

    >>> results = Results()
    >>> results.add("echo", {"us": 1.23456}, "| echo |")
    <BLANKLINE>
    | echo |
    >>> print(results.json())
    {
     "echo": {
      "us": 1.23456
     },
     "tables": {
      "echo": "| echo |"
     }
    }
    <BLANKLINE>
    """

    def __init__(self, about: Mapping[str, object] | None = None) -> None:
        """``about`` the measurement: written with the results."""
        self._values: dict[str, object] = dict(about or {})
        self._tables: dict[str, str] = {}

    def add(self, name: str, value: object, table: str) -> None:
        """Add a result, and print its table, which is empty if there is none."""
        self._values[name] = value
        if table:
            self._tables[name] = table
            print(f"\n{table}", flush=True)

    def json(self) -> str:
        """Return all results; dataclasses and named tuples as objects."""
        return json.dumps(self._values | {_TABLES: self._tables}, indent=1, default=_plain, ensure_ascii=False) + "\n"

    def write(self, path: Path | None) -> None:
        """Write the results to ``path``, if there is one."""
        if path is not None:
            path.write_text(self.json(), encoding="utf-8")


def tables_in(path: Path) -> dict[str, str]:
    """Return the tables, by name, of results that were written to ``path``."""
    tables: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))[_TABLES]
    return tables


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: round(one, 4) if isinstance(one, float) else one for name, one in asdict(value).items()}
    raise TypeError(value)
