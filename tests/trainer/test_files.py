"""Atomic writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapcast_trainer.files import atomic_path, write_atomically


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_write_that_fails_keeps_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "x.csv"
    write_atomically(path, "before")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of it")
            assert temporary.suffix == ".csv"
            raise failure

    with pytest.raises(failure):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
