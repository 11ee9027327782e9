"""An outlook from its training to the exported folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.errors import ExportError, RunError
from gapcast_trainer.training.run import RUN_FILE, Run, load_run
from tests.trainer.outlook.small_outlook import CONTEXT, LEADS_MIN, LEVELS, outlook_experiment

EXPERIMENT = outlook_experiment()


def test_outlook_run_records_what_made_it(fitted: tuple[Run, Path], models: Path) -> None:
    run, folder = fitted
    body = load_model(models / "body").card
    assert (run.name, run.status, len(run.history)) == ("next-hour", "finished", 2)
    assert run.start == f"body {body.version} {body.sha256}"
    assert body.experiment is not None
    assert run.experiment.hyper["body"] == body.experiment["hyper"]
    assert run.n_train > run.n_validate > 0
    assert load_run(folder)[0] == run


def test_outlook_training_keeps_the_body(exported: Any, models: Path) -> None:
    """The first minutes of the exported model are the forecast of the body's file."""
    own, body = load_model(exported.folder), load_model(models / "body")
    windows = np.array(own.card.golden.window, dtype=np.float32)
    history = np.array(own.card.golden.history, dtype=np.float32)
    found, expected = own.predict(windows, history), body.predict(windows)
    assert found.mean[:, :2] == pytest.approx(expected.mean, abs=1e-5)
    assert found.quantiles is not None
    assert expected.quantiles is not None
    assert found.quantiles[:, :2] == pytest.approx(expected.quantiles, abs=1e-5)


def test_outlook_card_describes_the_second_input(exported: Any) -> None:
    card = exported.card
    assert (card.history_steps, card.family, card.context) == (672, "outlook", CONTEXT)
    assert (tuple(card.lead_times_min), tuple(card.quantile_levels)) == (LEADS_MIN, LEVELS)
    assert card.forecasts_means
    assert card.split.embargo_min == LEADS_MIN[-1]
    assert card.experiment["outlook"]["main"] == 1_000
    assert card.scores.skill == pytest.approx(1 - card.scores.model.mse_kw2 / card.scores.persistence.mse_kw2, abs=1e-5)


def test_outlook_export_states_the_number_of_scored_windows(exported: Any, messages: list[str]) -> None:
    assert messages[-1] == f"next-hour: scoring on {exported.card.scores.model.n:,} windows"


def test_outlook_file_agrees_with_keras_in_each_batch_size(exported: Any) -> None:
    assert exported.parity_kw < 1e-4
    assert exported.agreement_kw < 1e-5


def test_outlook_file_that_differs_from_keras_is_rejected(exported: Any, fitted: tuple[Run, Path]) -> None:
    from gapcast_trainer.export.outlook import check_file
    from gapcast_trainer.families import find_family

    run, weights = load_run(fitted[1])
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    model = family.build(run.design, hyper)
    model.set_weights([weight + 0.5 for weight in weights])
    predictor = load_model(exported.folder)
    golden = predictor.card.golden
    with pytest.raises(ExportError, match="the file and Keras differ by"):
        check_file(predictor, model, np.array(golden.window, np.float32), np.array(golden.history, np.float32))


@pytest.mark.parametrize(
    "parts",
    [
        {"validate_until": "2020-01-05T04:10Z", "test_until": "2020-01-05T04:50Z"},
        {"validate_until": "2020-01-07T05:50Z", "test_until": "2020-01-08"},  # windows, but no outcome 20 min ahead
    ],
)
def test_outlook_without_windows_to_score_is_rejected(
    small: CleanFile, fitted: tuple[Run, Path], tmp_path: Path, parts: dict[str, str]
) -> None:
    from gapcast_trainer.export.export import export

    for path in fitted[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fields = json.loads((tmp_path / RUN_FILE).read_text())
    fields["experiment"]["data"] |= parts
    (tmp_path / RUN_FILE).write_text(json.dumps(fields))
    with pytest.raises(RunError, match="next-hour: the clean file has no windows in the test part"):
        export(tmp_path, small, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_outlook_without_a_body_is_rejected(small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    with pytest.raises(RunError, match="is built around a model: give its folder by --start"):
        fit(EXPERIMENT, small, tmp_path)


def test_outlook_around_another_model_is_rejected(small: CleanFile, models: Path, tmp_path: Path) -> None:
    from gapcast_trainer.training.fit import fit

    other = outlook_experiment(hyper={**EXPERIMENT.hyper, "body": {**EXPERIMENT.hyper["body"], "dense": 4}})
    with pytest.raises(RunError, match=r"is not the model that hyper\.body describes"):
        fit(other, small, tmp_path, start=models / "body")


def test_file_weights_of_another_graph_are_rejected(models: Path) -> None:
    import keras

    from gapcast_trainer.tflite.file_weights import set_file_weights

    window = keras.Input((3,), name="window")
    model = keras.Model(window, {"mean": keras.layers.Dense(2, name="mean")(window)})
    with pytest.raises(RunError, match="the file is of another graph"):
        set_file_weights(model, (models / "body/model.tflite").read_bytes())


def test_outlook_loss_weights_lead_times_as_stated() -> None:
    """Lead times 10 and 20 alone have a single minute of their own; the other three columns are means until 2 to 20."""
    from gapcast_trainer.training.outlook.head_training import ColumnLoss

    target, right = np.ones((1, 5, 3), np.float32), np.ones((1, 5, 1 + len(LEVELS)), np.float32)
    found = []
    for column in range(5):
        wrong = right.copy()
        wrong[0, column] = 2
        experiment = outlook_experiment(loss={"lead_weights": [1, 1, 1, 3]}, outlook={"point_weight": 2.0})
        found.append(float(ColumnLoss(experiment).call(target, wrong)[0]))
    assert np.array(found) / found[2] == pytest.approx([2, 6, 1, 1, 3], rel=1e-5)


def test_training_rows_are_augmented_and_validation_rows_are_not(small: CleanFile) -> None:
    """Of each row that is validated the features are those of its window; in training, some are shortened or scaled."""
    from gapcast_trainer.training.outlook.feature_rows import feature_rows
    from gapcast_trainer.training.outlook.series import training_series

    experiment = outlook_experiment(
        augment={"scaled_share": 1.0, "short_share": 1.0}, outlook={"n_simulated": 0, "n_mixtures": 0}
    )
    (series,) = training_series(small, [], experiment)
    seen: dict[SplitPart, tuple[F32, F32]] = {}

    class Recorder:
        """Stands for the frozen part of a model, and keeps its inputs."""

        def predict_on_batch(self, inputs: list[F32]) -> list[F32]:
            """Return features of the right lengths."""
            seen[part] = (inputs[0][:, :, 0], inputs[1])
            n = len(inputs[0])
            return [np.zeros((n, 1), np.float32)] * 4

    for part in (SplitPart.TRAIN, SplitPart.VALIDATE):
        rows = feature_rows(Recorder(), series, part, experiment, n_most=200)
        assert rows is not None
        assert len(rows) == 200
        assert rows.target.shape == (200, 2 + 3, 3)
        assert (rows.target[:, :, 1:] > 0).all()
    n_padded = {part: int((np.diff(kw, axis=1) == 0).sum()) for part, (kw, _) in seen.items()}
    assert n_padded[SplitPart.TRAIN] > 10 * max(n_padded[SplitPart.VALIDATE], 1)


def test_training_rows_of_too_short_a_house_are_none(small: CleanFile) -> None:
    from gapcast_trainer.training.outlook.feature_rows import feature_rows
    from gapcast_trainer.training.outlook.series import training_series

    (series,) = training_series(small, [], outlook_experiment(outlook={"n_simulated": 0, "n_mixtures": 0}))
    short = replace(series, gap_kw=series.gap_kw[:15])
    assert feature_rows(object(), short, SplitPart.TRAIN, EXPERIMENT, n_most=9) is None
