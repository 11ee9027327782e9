"""Experiments: a TOML file defines a model, and a mistake in it is one sentence."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gapcast.core.windows.window import WindowSpec
from gapcast_trainer.data.split import MinuteSplit
from gapcast_trainer.data.windows import WindowTask
from gapcast_trainer.errors import RunError
from gapcast_trainer.experiments.experiment import Experiment, parse_experiment
from gapcast_trainer.experiments.experiment_files import find_experiment, shipped_names

WHOLE = """
family = "lstm"
seed = 4

[data]
first = 2008-01-01
train_until = 2009-07-01T00:00:00Z
validate_until = "2010-01-01"
test_until = 2011-01-01T02:00:00+02:00
every = 3

[window]
context = 60
padding = "zero"
features = ["gap_kw", "tod_sin", "tod_cos"]

[outputs]
lead_times_min = [1, 5]
quantile_levels = [0.1, 0.9]

[hyper]
units = [4]

[loss]
quantiles = 2.0
lead_weights = [1, 3]

[descent]
optimiser = "sgd"
schedule = "exponential"
epochs = 7

[augment]
short_law = "log"
"""

LEAD_TIMES = "outputs.lead_times_min must be whole minutes in ascending order from 1, not "
A_TIME = "must be a date or a time, as 2009-07-01 or 2009-07-01T12:00:00Z, not "


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_experiment_file_sets_everything(tmp_path: Path) -> None:
    experiment = find_experiment(str(written(tmp_path, WHOLE)))
    assert (experiment.name, experiment.family, experiment.seed, experiment.hyper) == (
        "mine",
        "lstm",
        4,
        {"units": [4]},
    )
    assert experiment.task() == WindowTask(WindowSpec(60, "zero"), (1, 5), ("gap_kw", "tod_sin", "tod_cos"))
    year = datetime(2011, 1, 1, tzinfo=UTC)
    assert experiment.split() == MinuteSplit(datetime(2009, 7, 1, tzinfo=UTC), datetime(2010, 1, 1, tzinfo=UTC), year)
    assert experiment.data.first == datetime(2008, 1, 1, tzinfo=UTC)
    assert (experiment.descent.optimiser, experiment.descent.epochs, experiment.descent.batch_size) == ("sgd", 7, 1024)
    assert experiment.loss.lead_weights == (1, 3)


def test_experiment_defaults(tmp_path: Path) -> None:
    experiment = find_experiment(str(written(tmp_path, 'family = "linear"')))
    assert experiment == Experiment(name="mine", family="linear")
    assert (experiment.data.train_until, experiment.data.validate_until, experiment.data.test_until) == (
        None,
        None,
        None,
    )
    with pytest.raises(ValueError, match="does not state all of train_until, validate_until, test_until"):
        experiment.split()
    assert experiment.task() == WindowTask()


@pytest.mark.parametrize(("leads", "embargo_min"), [((1, 4), 4), ((15,), 15), ((5, 15, 60), 60)])
def test_embargo_follows_the_longest_lead_time(leads: tuple[int, ...], embargo_min: int) -> None:
    experiment = Experiment(name="mine", family="linear").changed({"outputs.lead_times_min": leads})
    assert (experiment.task().horizon_min, experiment.embargo_min) == (leads[-1], embargo_min)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "mine.toml: family: is missing"),
        ('famliy = "linear"', r"mine.toml: famliy: there is no such key; did you mean family\?"),
        ("family = ", "mine.toml: is not TOML: "),
        ('family = "linear"\nspeed = 3', r"mine.toml: speed: there is no such key; did you mean seed\?"),
        ('family = "linear"\nunits = 3', "units: there is no such key; the keys of a model family are below hyper"),
        ('family = "linear"\nepochs = 3', r"epochs: there is no such key; did you mean descent\.epochs\?"),
        ('family = "linear"\nbatchsize = 3', r"batchsize: there is no such key; did you mean descent\.batch_size\?"),
        ('family = "linear"\n[descents]\nepochs = 3', r"descents: there is no such key; did you mean descent\?"),
        ('family = "linear"\n[loss]\nepochs = 3', r"loss\.epochs: .*; did you mean descent\.epochs\?"),
        ('family = "linear"\n[descent]\nepochs = 0', r"descent\.epochs: must be greater than 0 \(it is 0\)"),
        ('family = "linear"\n[descent]\noptimiser = "best"', r"descent\.optimiser: .*'adam', 'adamw' or 'sgd'"),
        ('family = "linear"\n[window]\nfeatures = ["tod_sin"]', "the first feature must be gap_kw, not tod_sin"),
        ('family = "linear"\n[window]\nfeatures = ["gap_kw", "mood"]', "unknown feature mood"),
        ('family = "linear"\n[window]\ncontext = 1', r"window\.context: must be at least 2 \(it is 1\)"),
        ('family = "linear"\n[window]\ncontext = 100_001', r"window\.context: must be at most 100000 \(it is 100001\)"),
        ('family = "linear"\n[outputs]\nlead_times_min = [5, 1]', rf"{LEAD_TIMES}\(5, 1\)$"),
        ('family = "linear"\n[outputs]\nlead_times_min = [0, 5]', rf"{LEAD_TIMES}\(0, 5\)$"),
        ('family = "linear"\n[outputs]\nlead_times_min = [5, 5]', rf"{LEAD_TIMES}\(5, 5\)$"),
        ('family = "linear"\n[outputs]\nlead_times_min = [5, 61]', "must end with 60 or less"),
        ('family = "linear"\n[outputs]\nlead_times_min = []', r"outputs\.lead_times_min: must have at least 1 entry"),
        ('family = "linear"\n[outputs]\nquantile_levels = []', r"outputs\.quantile_levels: must have at least 1 entry"),
        ('family = "linear"\n[outputs]\nquantile_levels = [0.5, 1.0]', "quantile_levels must rise between 0 and 1"),
        ('family = "linear"\n[outputs]\nquantile_levels = [0.5, 0.5]', "quantile_levels must rise between 0 and 1"),
        ('family = "linear"\n[loss]\nlead_weights = [1, 2]', "one for each of the 1 lead times"),
        (
            'family = "linear"\n[data]\ntrain_until = 2010-06-01\nvalidate_until = 2010-01-01',
            r"data\.validate_until \(2010-01-01, .*mine\.toml\) is before data\.train_until \(2010-06-01, ",
        ),
        (
            'family = "linear"\n[data]\ntrain_until = 2010-06-01\ntest_until = 2010-06-01T02:00:00+02:00',
            r"data\.test_until \(2010-06-01, .*mine\.toml\) equals data\.train_until \(2010-06-01, .*mine\.toml\)$",
        ),
        (
            'family = "linear"\n[data]\nembargo_min = 4',
            r"data\.embargo_min must be at least the longest lead time \(5 min\), not 4$",
        ),
        ('family = "linear"\n[data]\nembargo_min = -1', r"data\.embargo_min: must be at least 0 \(it is -1\)"),
        ('family = "linear"\n[data]\ntrain_until = "soon"', rf"data\.train_until: {A_TIME}soon$"),
        (
            'family = "linear"\n[data]\ntrain_until = "2009-07-01T25:00"',
            rf"data\.train_until: {A_TIME}2009-07-01T25:00$",
        ),
        ('family = "linear"\n[data]\ntrain_until = 20090701', rf"data\.train_until: {A_TIME}20090701$"),
        ('family = "linear"\n[data]\ntest_until = 1.3e9', rf"data\.test_until: {A_TIME}1300000000\.0$"),
        ('family = "linear"\n[data]\nfirst = true', rf"data\.first: {A_TIME}True$"),
        ('family = "linear"\n[data]\nfirst = 12:00:00', rf"data\.first: {A_TIME}12:00:00$"),
        ('family = "linear"\nseed = -1', "mine.toml: seed: must be at least 0"),
        ('family = "linear"\nseed = 4294967296', "mine.toml: seed: must be less than 4294967296"),
    ],
)
def test_experiment_error_names_the_key(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=error):
        find_experiment(str(written(tmp_path, text)))


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2009-03-01", 0),
        ('"2009-03-01"', 0),
        ("2009-03-01T12:00:00", 12),
        ("2009-03-01 12:00:00", 12),
        ('"2009-03-01T12:00:00"', 12),
        ('"2009-03-01 12:00"', 12),
        ("2009-03-01T12:00:00Z", 12),
        ('"2009-03-01T12:00:00Z"', 12),
        ("2009-03-01T12:00:00+02:00", 10),
        ('"2009-03-01T12:00:00+02:00"', 10),
        ("2009-03-01T12:00:00-03:00", 15),
        ('"2009-03-01T12:00-03:00"', 15),
    ],
)
def test_experiment_dates_are_utc_by_default(text: str, hour: int, tmp_path: Path) -> None:
    expected = datetime(2009, 3, 1, hour, tzinfo=UTC)
    experiment = find_experiment(
        str(written(tmp_path, f'family = "linear"\n[data]\nfirst = {text}\ntrain_until = {text}'))
    )
    assert (experiment.data.first, experiment.data.train_until) == (expected, expected)
    assert experiment.changed({"data.train_until": text.strip('"')}).data.train_until == expected


@pytest.mark.parametrize(("seed", "context"), [(0, 2), (2**32 - 1, 100_000)])
def test_experiment_bounds_are_inclusive(seed: int, context: int, tmp_path: Path) -> None:
    experiment = find_experiment(
        str(written(tmp_path, f'family = "linear"\nseed = {seed}\n[window]\ncontext = {context}'))
    )
    assert (experiment.seed, experiment.task().window.context) == (seed, context)


def test_experiment_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert find_experiment(str(written(tmp_path, "\ufeff" + WHOLE))) == find_experiment(str(written(tmp_path, WHOLE)))


def test_experiment_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no experiment is called gpt: there are .*lstm, lstm-16-8, lstm-5-3"):
        find_experiment("gpt")
    with pytest.raises(RunError, match=r"gone\.toml: cannot be read \(No such file"):
        find_experiment(str(tmp_path / "gone.toml"))


def test_experiment_keys_are_overridden_by_path() -> None:
    experiment = find_experiment("lstm-5-3").changed({"descent.epochs": 2, "hyper.units": [7], "seed": 9})
    assert (experiment.descent.epochs, experiment.hyper["units"], experiment.seed) == (2, [7], 9)
    with pytest.raises(RunError, match=r"experiment lstm-5-3: descent\.speed: "):
        experiment.changed({"descent.speed": 2})
    with pytest.raises(RunError, match=r"seed\.x: seed holds no keys"):
        experiment.changed({"seed.x": 2})


def test_experiment_keeps_its_mixing_without_mixtures() -> None:
    """A training of one house from another run ends with the average of both runs' weights."""
    mixing = {"start_share": 0.4, "n_each": 3}
    experiment = parse_experiment({"name": "mine", "family": "lstm", "mixing": mixing}, "mine.toml")
    changed = experiment.changed({"descent.epochs": 3})
    assert changed.mixing == experiment.mixing == Experiment.model_validate(experiment.model_dump()).mixing
    assert experiment.changed({"mixing.share": 0.5}).mixing.n_each == 3
    assert "mixing" not in Experiment(name="mine", family="lstm").model_dump()


def test_shipped_experiments_are_valid() -> None:
    assert set(shipped_names()) >= {"linear", "lstm", "lstm-16-8", "lstm-5-3"}
    for name in shipped_names():
        experiment = find_experiment(name)
        assert experiment.name == name
        test_part = (experiment.data.validate_until, experiment.data.test_until)  # 2010, of every one
        assert test_part == (MinuteSplit().validate_until, MinuteSplit().test_until)
        path = Path(find_experiment.__code__.co_filename).parent / f"{name}.toml"
        assert "name" not in tomllib.loads(path.read_text())
