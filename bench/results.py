"""The results of a measurement: printed as tables, and written as JSON for docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

_TABLES = "tables"


class Results:
    """The results of one command's measurements.

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
        """Write ``about``, a description of the measurement, with the results."""
        self._values: dict[str, object] = dict(about or {})
        self._tables: dict[str, str] = {}

    def add(self, name: str, value: object, table: str) -> None:
        """Add a result, and print its table, which may be empty."""
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
    """Return the tables, by name, of the results at ``path``."""
    tables: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))[_TABLES]
    return tables


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: round(one, 4) if isinstance(one, float) else one for name, one in asdict(value).items()}
    raise TypeError(value)
