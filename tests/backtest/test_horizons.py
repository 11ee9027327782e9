"""``--horizons`` and ``--outlook-out``: what is accepted, and what is written."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.backtest.outlooks.outlook_tally import HEADER, OutlookFile, parse_horizons
from gapcast.commands.backtest import backtest
from gapcast.core.errors import SettingsError
from gapcast.sample import sample_path
from tests.support.models import history_model, shipped_models

FIRST = 21_476_160

pytestmark = pytest.mark.usefixtures("restored_logs")


@pytest.mark.parametrize(("text", "horizons"), [("5", (5,)), ("60, 15,30", (15, 30, 60)), ("1,2", (1, 2))])
def test_horizons_are_sorted(text: str, horizons: tuple[int, ...]) -> None:
    assert parse_horizons(text) == horizons


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0", "0 min is not between 1 and 60"),
        ("15,61", "61 min is not between 1 and 60"),
        ("soon", "'soon' is not a number of minutes"),
        ("5,,15", "'' is not a number of minutes"),
        ("", "'' is not a number of minutes"),
        ("-5", "'-5' is not a number of minutes"),
        ("7.5", "'7.5' is not a number of minutes"),
        ("²", "'²' is not a number of minutes"),
        ("15,30,15", "15 is listed twice"),
    ],
)
def test_horizons_that_are_wrong_are_named(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_horizons(text)
    assert problem in str(raised.value)
    assert "use whole minutes from 1 to 60, each once, such as --horizons 5,15,30,60" in str(raised.value)


def outlooks() -> np.ndarray:
    """Two outlooks at two lead times: ``[N, H, kind, column]``."""
    kw = np.arange(2 * 2 * 2 * 4, dtype=np.float64).reshape(2, 2, 2, 4) / 3
    kw[1, 1, 1, 3] = np.nan
    return kw


def test_outlook_file_has_a_line_for_each_kind_and_lead(tmp_path: Path) -> None:
    path = tmp_path / "outlook.csv"
    with OutlookFile(path, (15, 30)) as file:
        file.add(["a", "b"], [FIRST, FIRST + 1], outlooks())
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == HEADER
    assert [row[:4] for row in rows] == [
        [device, f"2010-11-01T00:0{i}:00Z", kind, lead]
        for i, device in enumerate("ab")
        for kind in ("point", "mean")
        for lead in ("15", "30")
    ]
    assert rows[0][4:] == ["0.0", "0.333333", "0.666667", "1.0"]
    assert rows[1][4:] == ["2.666667", "3.0", "3.333333", "3.666667"]
    assert rows[-1][4:] == ["9.333333", "9.666667", "10.0", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["outlook.csv"]


def test_outlook_file_after_an_error_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "outlook.csv"
    path.write_text("before", encoding="utf-8")
    file = OutlookFile(path, (15, 30))
    with suppress(KeyboardInterrupt), file:
        file.add(["a", "b"], [FIRST, FIRST + 1], outlooks())
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["outlook.csv"]


def test_outlook_file_unwritable_is_named(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "none" / "out.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=rf"--outlook-out .*: cannot be written \({problem}"):
            OutlookFile(path, (15,))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--horizons", "15", "--all-models"), "--horizons scores the outlook of one run: remove --all-models"),
        (("--outlook-out", "out.csv"), "add --horizons, such as --horizons 15,30,60"),
        (("--horizons", "61"), "61 min is not between 1 and 60"),
    ],
)
def test_horizons_command_explains_wrong_options(arguments: tuple[str, ...], problem: str) -> None:
    done = CliRunner().invoke(backtest, ["home.csv", *arguments])
    assert done.exit_code != 0
    assert problem in f"{done.output} {done.exception}"


def test_horizons_command_writes_outlooks(tmp_path: Path) -> None:
    models, out, scores = tmp_path / "models", tmp_path / "outlook.csv", tmp_path / "scores.json"
    shutil.copytree(shipped_models() / "lstm-5-3", models / "lstm-5-3")
    shutil.copytree(history_model(), models / history_model().name)
    (models / "registry.json").write_text('{"default": "lstm-5-3"}', encoding="utf-8")
    chosen = [f"models.path={models}", f"outlook.model={history_model().name}", f"state.path={tmp_path}"]
    arguments = ["--limit", "100", "--horizons", "5,20", "--outlook-out", str(out), "--json", str(scores)]
    sets = [word for one in chosen for word in ("--set", one)]
    done = CliRunner().invoke(backtest, [str(sample_path()), *sets, *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "the mean of all minutes until then" in done.output
    with out.open(newline="", encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == 99 * 2 * 2
    points = json.loads(scores.read_text(encoding="utf-8"))["outlook"][:2]
    assert [(one["kind"], one["lead_min"], one["n"]) for one in points] == [("point", 5, 94), ("point", 20, 79)]
