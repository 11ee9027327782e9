"""Puts measured tables into docs/performance.md: ``python -m bench.performance_page FILE...``.

The files are those that ``bench/run``, ``python -m bench.devices`` and ``bench/instructions`` write with ``--json``. A
table named NAME replaces what is between ``<!-- figures: NAME -->`` and ``<!-- /figures -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.results import tables_in

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def with_tables(page: str, tables: Mapping[str, str]) -> tuple[str, list[str]]:
    r"""Return ``page`` with ``tables`` in their places, and the names of the places without a table.

    >>> page = "<!-- figures: a -->\n\nold\n\n<!-- /figures -->\n<!-- figures: b -->\n<!-- /figures -->"
    >>> text, missing = with_tables(page, {"a": "new"})
    >>> text == page.replace("old", "new"), missing
    (True, ['b'])
    """
    missing = [name for _, name, _ in _BLOCK.findall(page) if name not in tables]

    def replace(found: re.Match[str]) -> str:
        table = tables.get(found[2])
        return found[0] if table is None else f"{found[1]}\n{table}\n\n{found[3]}"

    return _BLOCK.sub(replace, page), missing


def main() -> int:
    """Replace the tables; say which were left as they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.performance_page", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    chosen = parser.parse_args()
    tables = {name: table for path in chosen.files for name, table in tables_in(path).items()}
    page, missing = with_tables(_PAGE.read_text(encoding="utf-8"), tables)
    _PAGE.write_text(page, encoding="utf-8")
    print(f"{_PAGE.name}: no new table for {', '.join(missing) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
