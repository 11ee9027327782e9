"""Commands do not write over what they read, or over another result."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapcast.core.errors import SettingsError
from gapcast.recordings.written_files import check_apart


def test_written_file_that_is_read_is_refused(tmp_path: Path) -> None:
    house = tmp_path / "house.csv"
    house.write_text("readings", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"--out .*would replace the file of readings .*house\.csv: name another"):
        check_apart([house], {"--json": None, "--out": tmp_path / "." / "house.csv"})


def test_written_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--out .*all: would replace what --json writes: name another file"):
        check_apart([], {"--json": tmp_path / "all", "--out": tmp_path / "all"})


def test_written_files_may_be_one_device() -> None:
    check_apart([], {"--json": Path("/dev/null"), "--out": Path("/dev/null")})
