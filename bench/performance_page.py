"""Puts measured tables into docs/performance.md and README.md: ``python -m bench.performance_page FILE...``.

The files are the ``--json`` output of ``bench/run``, ``python -m bench.devices`` and ``bench/instructions``. A table
named NAME replaces the table after the comment ``<!-- figures: NAME -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.results import tables_in

_ROOT = Path(__file__).resolve().parent.parent
_PAGES = (_ROOT / "docs" / "performance.md", _ROOT / "README.md")
_PLACE = re.compile(r"(<!-- figures: ([\w-]+) -->\n)(?:\n(?:\|[^\n]*\n)+)?")


def with_tables(page: str, tables: Mapping[str, str]) -> tuple[str, list[str]]:
    r"""Return ``page`` with ``tables`` in their places, and the names of the places without a new table.

    >>> with_tables("<!-- figures: a -->\n\n| old |\n\n<!-- figures: b -->\n\nEnd.\n", {"a": "| new |"})
    ('<!-- figures: a -->\n\n| new |\n\n<!-- figures: b -->\n\nEnd.\n', ['b'])
    """
    missing = [name for _, name in _PLACE.findall(page) if name not in tables]

    def replace(found: re.Match[str]) -> str:
        table = tables.get(found[2])
        return found[0] if table is None else f"{found[1]}\n{table}\n"

    return _PLACE.sub(replace, page), missing


def main() -> int:
    """Replace the tables; print which tables stayed unchanged."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance_page", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    chosen = parser.parse_args()
    tables = {name: table for path in chosen.files for name, table in tables_in(path).items()}
    for path in _PAGES:
        page, missing = with_tables(path.read_text(encoding="utf-8"), tables)
        path.write_text(page, encoding="utf-8")
        print(f"{path.name}: left as they are: {', '.join(missing) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
