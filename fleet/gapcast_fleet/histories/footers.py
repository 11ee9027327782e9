"""The column types of Parquet files, from their footers: Spark applies one file's types to all files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gapcast.core.errors import SourceError
from gapcast_fleet.output_folders import has_hidden_part

#: Column name -> type.
ColumnTypes = dict[str, str]


def require_parquet(folder: Path) -> None:
    """Raise :class:`SourceError` if ``folder`` is no folder, or has no file whose name ends in ``.parquet``."""
    if not folder.is_dir():
        raise SourceError(folder, "no such folder")
    if next(folder.rglob("*.parquet"), None) is None:
        raise SourceError(folder, "holds no .parquet")


def column_types(folder: Path) -> dict[Path, ColumnTypes]:
    """Return the column types of each file under ``folder`` that Spark reads, by path.

    Raises :class:`SourceError` that names the file if there are no files, or one is not a complete Parquet file.
    """
    require_parquet(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: _types_of(path) for path in files if not has_hidden_part(path.relative_to(folder))}


def check_types(files: Mapping[Path, ColumnTypes], names: Iterable[str]) -> None:
    """Raise :class:`SourceError` unless each column of ``names`` has one type in all ``files`` that have it."""
    for name in names:
        known = [(path, types[name]) for path, types in files.items() if name in types]
        for path, kind in known:
            if kind != known[0][1]:
                problem = f"the type of column {name!r} is {kind}, and {known[0][1]} in {known[0][0]}"
                raise SourceError(path, f"{problem}: write all files with the same types")


def check_present(files: Mapping[Path, ColumnTypes], names: Iterable[str]) -> None:
    """Raise :class:`SourceError` if a file lacks a column of ``names`` that another file has."""
    for name in names:
        lacking = [path for path, types in files.items() if name not in types]
        if lacking and len(lacking) < len(files):
            raise SourceError(lacking[0], f"has no column {name!r}, which other files have: write it to all files")


def _types_of(path: Path) -> ColumnTypes:
    try:
        schema = pq.read_metadata(path).schema
    except (OSError, pa.ArrowException) as error:
        problem = f"is not a complete Parquet file: write it again, or move it away ({str(error).splitlines()[0]})"
        raise SourceError(path, problem) from error
    columns = (schema.column(at) for at in range(len(schema)))
    return {column.path.split(".")[0]: _type_of(column) for column in columns}


def _type_of(column: Any) -> str:
    """Return the type of a column of a footer: equal if Spark reads two columns as the same type."""
    logical = json.loads(column.logical_type.to_json())
    kind, physical = str(logical["Type"]).lower(), str(column.physical_type)
    if kind == "timestamp":
        if logical["timeUnit"] == "nanoseconds":
            return "timestamp in nanoseconds"
        return "timestamp in UTC" if logical["isAdjustedToUTC"] else "timestamp without a time zone"
    if kind == "int":
        return f"{'' if logical['isSigned'] else 'u'}int{logical['bitWidth']}"
    if kind == "decimal":
        return f"decimal({column.precision},{column.scale})"
    if kind == "none":
        return {"INT96": "timestamp in UTC", "BYTE_ARRAY": "binary"}.get(physical, physical.lower())
    return kind
