"""A sweep: its trials, resuming, and its report."""

from __future__ import annotations

import itertools
import logging
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.cli import main
from gapcast_trainer.errors import RunError, TrainerError
from gapcast_trainer.sweep.interruption import Interruption
from gapcast_trainer.sweep.space import read_space
from gapcast_trainer.training.run import Run, read_run
from tests.trainer import synthetic

PARTS = f"""
train_until = {synthetic.SPLIT.train_until:%Y-%m-%dT%H:%M:%SZ}
validate_until = {synthetic.SPLIT.validate_until:%Y-%m-%dT%H:%M:%SZ}
test_until = {synthetic.SPLIT.test_until:%Y-%m-%dT%H:%M:%SZ}
"""
SPACE = f"""
family = "lstm"

[window]
context = 4

[data]{PARTS}
[descent]
epochs = 2
batch_size = 1024

[search]
"descent.learning_rate" = {{low = 1e-3, high = 1e-1, log = true}}
"hyper.units" = {{choices = [[2], [3]]}}
"descent.epochs" = {{low = 1, high = 2}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_search_resumes_and_reports_all_trials(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.report import finished, lines, write_page
    from gapcast_trainer.sweep.search import search

    space = read_space(written(tmp_path, SPACE))
    said: list[str] = []
    first = search(space, small, tmp_path / "study", minutes=5, n_trials=1, show=said.append)
    assert len(finished(first)) == 1
    study = search(space, small, tmp_path / "study", minutes=5, n_trials=1, show=said.append)
    assert [trial.number for trial in study.get_trials()] == [0, 1]
    assert len({trial.params["descent.learning_rate"] for trial in study.get_trials()}) == 2
    assert sorted(path.name for path in (tmp_path / "study").glob("trial-*")) == ["trial-0", "trial-1"]

    best = finished(study)[0]
    assert best.values[0] == min(trial.values[0] for trial in finished(study))
    table = lines(study, space)
    assert table[0].startswith("space: ")
    assert f"{best.values[0]:.5f}" in table[2]
    assert "[2]" in table[2] or "[3]" in table[2]  # the choice, not its place in the list

    write_page(study, space, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f"{best.values[0]:.5f}" in page
    assert page.count("<img") >= 1
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("before", "after", "unlike"),
    [
        ("[[2], [3]]", "[[3], [2]]", "search"),  # their places are stored
        ("epochs = 2", "epochs = 3", "experiment"),
        ("log = true", "log = false", "search"),
        ("high = 1e-1", "high = 2e-1", ""),
    ],
)
def test_search_resumes_only_the_same_search(
    small: CleanFile, tmp_path: Path, before: str, after: str, unlike: str
) -> None:
    from gapcast_trainer.sweep.search import search

    def begin(text: str, clean: CleanFile) -> None:
        search(read_space(written(tmp_path, text)), clean, tmp_path / "study", minutes=1, n_trials=0)

    begin(SPACE, small)
    with pytest.raises(RunError, match=r"has trials of another search \(data differ\)"):
        begin(SPACE, replace(small, sha256="0" * 64))
    if unlike:
        with pytest.raises(RunError, match=rf"has trials of another search \({unlike} differ\)"):
            begin(SPACE.replace(before, after), small)
    else:
        begin(SPACE.replace(before, after), small)


def test_search_of_another_experiment_keeps_the_first(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.search import search

    space = read_space(written(tmp_path, SPACE))
    search(space, small, tmp_path / "study", minutes=1, n_trials=0)
    other = replace(space, experiment=space.experiment.changed({"name": "other"}))
    with pytest.raises(RunError, match=r"has trials of another search \(experiment differ\)"):
        search(other, small, tmp_path / "study", minutes=1, n_trials=0)


@pytest.mark.parametrize(("n_epochs", "state"), [(1, "COMPLETE"), (2, "PRUNED")])
def test_search_prunes_the_trial_that_its_time_limit_ends(
    small: CleanFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_epochs: int, state: str
) -> None:
    from gapcast_trainer.sweep import search
    from gapcast_trainer.sweep.report import unfinished_line

    space = read_space(written(tmp_path, SPACE.replace("low = 1, high = 2", f"choices = [{n_epochs}]")))
    clock_s = itertools.chain([0.0], itertools.repeat(61.0))
    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=lambda: next(clock_s)))
    shown: list[str] = []
    study = search.search(space, small, tmp_path / "study", minutes=1, n_trials=1, show=shown.append)
    assert [trial.state.name for trial in study.get_trials()] == [state]
    assert (shown[-1] == "trial 0 stopped after epoch 1: the time is up") == (state == "PRUNED")
    assert ("increase --minutes" in unfinished_line(study)) == (state == "PRUNED")
    status = "interrupted" if state == "PRUNED" else "finished"
    assert read_run(tmp_path / "study" / "trial-0").status == status


def test_search_ctrl_c_is_shown_in_one_line(
    small: CleanFile, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gapcast_trainer.sweep.search import search

    monkeypatch.setattr(logging.getLogger("optuna"), "handlers", [caplog.handler])
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)
        if line.startswith("trial 0: "):
            raise KeyboardInterrupt

    search(read_space(written(tmp_path, SPACE)), small, tmp_path / "study", minutes=5, show=show)
    assert (shown[1:], caplog.text) == (["stopped; run it again to resume"], "")


@pytest.mark.parametrize("seen_as", ["nothing", "another error"])
def test_search_ctrl_c_swallowed_in_a_trial_stops_it(
    small: CleanFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen_as: str
) -> None:
    from gapcast_trainer.sweep import search
    from gapcast_trainer.training.fit import fit

    shown: list[str] = []

    def interrupted(*values: Any, **options: Any) -> Run:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        if seen_as == "another error":
            msg = "Failed to convert elements"
            raise TypeError(msg)
        return fit(*values, **options)

    monkeypatch.setattr(search, "fit", interrupted)
    before = signal.getsignal(signal.SIGINT)
    space = read_space(written(tmp_path, SPACE))
    study = search.search(space, small, tmp_path / "study", minutes=5, n_trials=2, show=shown.append)
    assert (len(study.get_trials()), shown[-1]) == (1, "stopped; run it again to resume")
    assert signal.getsignal(signal.SIGINT) is before


def test_interruption_counts_signals_close_together_as_one() -> None:
    now_s = 10.0
    with Interruption(lambda: now_s) as interruption:
        assert not interruption.was_requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        now_s += 0.5
        signal.raise_signal(signal.SIGINT)
        now_s += 1.5
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interruption.was_requested


def test_interruption_leaves_an_ignored_signal_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert not interruption.was_requested


def test_search_in_a_folder_that_cannot_be_made_is_named(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.search import search

    space = read_space(written(tmp_path, SPACE))
    with pytest.raises(TrainerError, match=r"space\.toml/study: cannot be written \(Not a directory\)$"):
        search(space, small, tmp_path / "space.toml/study", minutes=1, n_trials=1)


def test_search_family_without_descent_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.search import search

    text = f'family = "trend"\n[data]{PARTS}\n[search]\n"hyper.forgetting" = {{low = 0.5, high = 1.0}}'
    with pytest.raises(RunError, match="family trend has no loss to score a trial by"):
        search(read_space(written(tmp_path, text)), small, tmp_path / "study", minutes=1, n_trials=1)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            'family = "lstm"\n[search]\n"hyper.units" = {choices = [[0]]}',
            r"space: family lstm: hyper\.units\.0: must",
        ),
        ('[search]\nfamily = {choices = ["lstm", "gpt"]}', "space: family gpt: there is no family gpt: there are"),
        (
            '[search]\nfamily = {choices = ["lstm", "linear"]}\n"hyper.units" = {choices = [[2], [3]]}',
            r"space: family linear: hyper\.units: there is no such key",
        ),
        (
            '[search]\nfamily = {choices = ["lstm", "linear"]}\nhyper = {choices = [{units = [2]}, {anchor = 0.5}]}',
            r"space: family linear: hyper\.units: there is no such key",
        ),
        (
            '[search]\nfamily = {choices = ["lstm", "persistence"]}\nhyper = {choices = [{units = [2]}, {}]}',
            "family persistence has no loss to score a trial by",
        ),
        (
            "[search]\nhyper = {choices = [{units = [2]}, 3]}",
            r"experiment space: hyper: must be an object \(it is 3\)",
        ),
        (
            '[search]\nfamily = {choices = ["lstm", "persistence"]}',
            "family persistence has no loss to score a trial by",
        ),
    ],
)
def test_search_of_unfit_families_writes_nothing(small: CleanFile, tmp_path: Path, text: str, error: str) -> None:
    from gapcast_trainer.sweep.search import search

    space = read_space(written(tmp_path, text if text.startswith("family") else f'family = "lstm"\n{text}'))
    with pytest.raises(RunError, match=error):
        search(space, small, tmp_path / "study", minutes=1, n_trials=1)
    assert not (tmp_path / "study").exists()


def test_search_of_hyper_tables_of_several_families_is_accepted(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.search import search

    searched = 'family = {choices = ["lstm", "linear"]}\nhyper = {choices = [{ridge = 0.1}, {units = [2]}]}'
    space = read_space(written(tmp_path, f'family = "lstm"\n[data]{PARTS}\n[search]\n{searched}'))
    assert search(space, small, tmp_path / "study", minutes=1, n_trials=0).get_trials() == []


def test_search_shows_values_that_do_not_fit_each_other_as_a_trial(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.search import search

    text = f'family = "multiscale"\n[data]{PARTS}\n[search]\n"hyper.near_min" = {{choices = [20, 30]}}'
    said: list[str] = []
    search(read_space(written(tmp_path, text)), small, tmp_path / "study", minutes=1, n_trials=1, show=said.append)
    assert said[-1].startswith("trial 0 failed: context less near_min must be whole blocks of"), said


def test_search_failed_trials_are_pruned_until_many_fail(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.sweep.report import check_any_usable
    from gapcast_trainer.sweep.search import search

    said: list[str] = []
    soon = synthetic.SPLIT.train_until + timedelta(minutes=2)
    space = read_space(written(tmp_path, re.sub("validate_until = .*", f"validate_until = {soon.isoformat()}", SPACE)))
    study = search(space, small, tmp_path / "study", minutes=5, n_trials=3, show=said.append)
    assert [trial.state.name for trial in study.get_trials()] == ["PRUNED"] * 3
    assert len([line for line in said if "failed: no window to validate on" in line]) == 3, said
    with pytest.raises(RunError, match=r"study: no trial is completed, 3 failed \(the last: no window to validate on"):
        check_any_usable(study, tmp_path / "study")
    with pytest.raises(RunError, match="no window to validate on"):
        search(space, small, tmp_path / "study", minutes=5, n_trials=20)


def test_space_may_extend_a_shipped_experiment(tmp_path: Path) -> None:
    text = 'base = "lstm-5-3"\n[descent]\nepochs = 3\n[search]\n"descent.average" = {choices = [0.0, 0.999]}'
    space = read_space(written(tmp_path, text))
    assert (space.experiment.name, space.experiment.family, space.experiment.descent.epochs) == ("space", "lstm", 3)


@pytest.mark.parametrize(
    ("searched", "error"),
    [
        (
            '"loss.quantiles" = {low = 0.1, high = 1.0}',
            r"search\.loss\.quantiles: changes what the loss measures, and the losses of",
        ),
        ("loss = {choices = [{}, {mean = 2.0}]}", r"search\.loss\.mean: changes what the loss measures"),
        ('"outputs.quantile_levels" = {choices = [[0.5], [0.1, 0.9]]}', "changes what the loss measures"),
        ('"hyper.l2" = {low = 0.0, high = 1.0}', r"search\.hyper\.l2: adds its penalty to the loss"),
        (
            '"data.train_until" = {choices = [2020-01-03, 2020-01-04]}',
            r"search\.data\.train_until: changes the parts, or",
        ),
        ('"data.first" = {choices = [2020-01-01, 2020-01-02]}', r"search\.data\.first: changes the parts, or the"),
        ('"augment.short_share" = {low = 0.0, high = 1.0}', r"search\.augment\.short_share: changes which windows"),
        ('augment = {choices = [{short_law = "log"}, {}]}', r"search\.augment\.short_law: changes which windows"),
        ('"seed" = {low = 1, high = 9}', r"search\.seed: changes which windows"),
        (
            "data = {choices = [{every = 2}, {}]}",
            r"search\.data: a choice replaces the whole section, with the keys that it omits: search data\.KEY$",
        ),
        ("mixing = {choices = [{}, {share = 0.5}]}", r"search\.mixing: a choice replaces the whole section"),
        ("window = {choices = [{}]}", r"search\.window: a choice replaces the whole section"),
        (
            '"window.context" = {low = 5, high = 9}',
            r"search\.window\.context: .*: set augment\.short_share = 0 to search",
        ),
        ('"mixing.share" = {low = 0.0, high = 1.0}', r"search\.mixing\.share: changes the unit .*: leave out 0$"),
        (
            '"descent.only_new" = {choices = [false, true]}',
            r"descent\.only_new keeps the layers of another run",
        ),
        (
            'family = {choices = ["lstm", "outlook"]}',
            "family outlook is built around a model, and a search has no --start",
        ),
    ],
)
def test_space_with_trials_that_cannot_be_compared_is_rejected(searched: str, error: str, tmp_path: Path) -> None:
    path = written(tmp_path, f'family = "lstm"\n[outputs]\nquantile_levels = [0.1, 0.9]\n[search]\n{searched}')
    with pytest.raises(RunError, match=rf"^{re.escape(str(path))}: .*{error}"):
        read_space(path)


@pytest.mark.parametrize(
    ("sections", "searched"),
    [
        ("", '"data.every" = {low = 1, high = 4}'),
        ("[augment]\nshort_share = 0", '"window.context" = {low = 5, high = 9}'),
        ("", '"mixing.share" = {low = 0.1, high = 1.0}'),
        ("", '"augment.scaled_share" = {low = 0.0, high = 1.0}'),
        ("", "hyper = {choices = [{units = [3]}, {units = [2, 2], anchor = 0.5}]}"),
    ],
)
def test_space_of_what_changes_the_training_alone_is_read(sections: str, searched: str, tmp_path: Path) -> None:
    assert len(read_space(written(tmp_path, f'family = "lstm"\n{sections}\n[search]\n{searched}')).ranges) == 1


@pytest.mark.parametrize(
    ("base", "error"),
    [
        ("lstm", r"space\.toml: descent\.only_new keeps the layers of another run, and a search has no --start: set"),
        ("outlook", r"space\.toml: family outlook is built around a model, and a search has no --start"),
    ],
)
def test_space_of_an_experiment_that_needs_a_start_is_rejected(base: str, error: str, tmp_path: Path) -> None:
    text = f'base = "{base}"\n[search]\n"descent.learning_rate" = {{low = 1e-3, high = 1e-2}}'
    with pytest.raises(RunError, match=error):
        read_space(written(tmp_path, text))


def test_space_is_read_without_tensorflow(tmp_path: Path) -> None:
    """The command then imports it without its messages."""
    code = (
        "import sys; from pathlib import Path; from gapcast_trainer.sweep.space import read_space\n"
        "read_space(Path(sys.argv[1]))\n"
        "sys.exit(' '.join({'tensorflow', 'keras'} & set(sys.modules)) or 0)"
    )
    words = [sys.executable, "-c", code, str(written(tmp_path, SPACE))]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("outcomes", "exit_code", "line"),
    [
        ("FF", 2, "gapcast-trainer: study: no trial is completed, 2 failed (the last: failure 1)"),
        ("T", 0, "no trial is completed yet: increase --minutes"),
        ("FT", 0, "no trial is completed yet, 1 failed (the last: failure 0): increase --minutes"),
        ("", 0, "no trial is completed yet: run it again"),
        ("FI", 0, "no trial is completed yet, 1 failed (the last: failure 0): run it again"),
        ("C", 0, "space: 1 trial completed, 0 stopped early"),
        ("CFPF", 0, "space: 1 trial completed, 1 stopped early, 2 failed (the last: failure 3)"),
    ],
)
def test_sweep_states_failed_trials_apart(
    clean_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: str, exit_code: int, line: str
) -> None:
    """Trials failed (F), were completed (C), pruned (P), interrupted (I), or stopped by the end of the search (T)."""
    import optuna
    from optuna.trial import TrialState

    from gapcast_trainer.sweep.report import FAILURE, TIME_UP

    attributes: dict[str, dict[str, Any]] = {
        "F": {}, "T": {TIME_UP: True}, "P": {}, "I": {}, "C": {"epochs": 1, "validate_mse_kw2": 0.1},
    }  # fmt: skip
    study = optuna.create_study()
    for place, outcome in enumerate(outcomes):
        done = optuna.trial.create_trial(
            state={"C": TrialState.COMPLETE, "I": TrialState.FAIL}.get(outcome, TrialState.PRUNED),
            value=0.5 if outcome == "C" else None,
            user_attrs=attributes[outcome] | ({FAILURE: f"failure {place}"} if outcome == "F" else {}),
        )
        study.add_trial(done)
    monkeypatch.setattr("gapcast_trainer.sweep.search.search", lambda *_, **__: study)
    monkeypatch.chdir(tmp_path)
    words = ["sweep", str(written(tmp_path, SPACE)), "--clean", str(clean_path), "--out", "study"]
    found = CliRunner().invoke(main, words, prog_name="gapcast-trainer")
    assert (found.exit_code, line in found.output.splitlines()) == (exit_code, True), found.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('family = "lstm"', r"has no \[search\] table"),
        ("family = ", "is not TOML"),
        (
            'family = "lstm"\n[search]\n"seed" = {low = 3}',
            r"search\.seed: high is missing: give low and high \(and log\), or choices$",
        ),
        (
            'family = "lstm"\n[search]\n"descent.learning_rat" = {low = 0.001, high = 0.1}',
            r"space\.toml: in \[search\]: .*learning_rat: there is no such key; did you mean descent\.learning_rate\?",
        ),
        ('family = "lstm"\n[search]\n"seed" = {low = 3, high = 2}', "low must be below high"),
        ('family = "lstm"\n[search]\n"seed" = {choices = []}', r"search\.seed"),
        ('base = "gpt"\n[search]\n"seed" = {low = 1, high = 2}', "no experiment is called gpt"),
    ],
)
def test_space_invalid_is_rejected(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=said):
        read_space(written(tmp_path, text))
