"""An outlook file that continues from the trunk of the model that it extends: the same weights and forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner

from gapcast.core.arrays.array_types import F32
from gapcast.core.streams.quarters import STEPS
from gapcast.core.windows.features import assemble
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast_trainer.cli import main
from gapcast_trainer.errors import ExportError
from gapcast_trainer.families import find_family
from gapcast_trainer.training.run import load_run
from tests.support.models import ModelCopy, shipped_models
from tests.trainer.outlook.small_outlook import CONTEXT, outlook_experiment


class Files(NamedTuple):
    """The files of a small body and of the outlook around it, and of the same body with other weights."""

    body: bytes
    outlook: bytes
    other: bytes


def with_other_weights(content: bytes) -> bytes:
    """The file with the other sign of the hundred largest weights below 2: a single one may be unused."""
    data = bytearray(content)
    weights = np.frombuffer(data, dtype=np.float32)
    largest = np.argsort(np.where(np.abs(weights) < 2, np.abs(weights), 0))[-100:]
    weights[largest] *= -1
    return bytes(data)


@pytest.fixture(scope="module")
def files(models: Path, exported: Any) -> Files:
    body, outlook = ((folder / "model.tflite").read_bytes() for folder in (models / "body", exported.folder))
    return Files(body, outlook, with_other_weights(body))


@pytest.fixture(scope="module")
def shared(files: Files) -> Any:
    """The files of the body and of the outlook, once they share the trunk."""
    from gapcast_trainer.tflite.shared_trunk import share_trunk

    return share_trunk(files.body, files.outlook)


def run(content: bytes, signature: str, **inputs: F32) -> dict[str, F32]:
    interpreter: Any = load_interpreter()[0](model_content=content)
    return dict(interpreter.get_signature_runner(signature)(**inputs))


@pytest.mark.parametrize("n", [1, 8])
def test_shared_trunk_changes_no_bit_of_a_forecast(files: Files, shared: Any, n: int) -> None:
    draw = np.random.default_rng(n)
    kw = draw.gamma(1.0, 1.0, (n, CONTEXT, 1)).astype(np.float32)
    windows = assemble(kw, np.arange(n) * 7 + 1_000, outlook_experiment().task().features)
    history = draw.gamma(1.0, 1.0, (n, STEPS)).astype(np.float32)
    before, after = (
        run(files.body, "serving_default", window=windows),
        run(shared.first, "serving_default", window=windows),
    )
    whole = run(files.outlook, "serving_default", window=windows, history=history)
    again = run(shared.outlook, "serving_default", window=windows, history=history)
    body = {name: values for name, values in after.items() if name.startswith("body_")}
    continued = run(shared.outlook, "after_body", window=windows, history=history, **body)
    assert {name: after[name].tobytes() for name in before} == {name: kw.tobytes() for name, kw in before.items()}
    for found in (again, continued):
        assert {name: kw.tobytes() for name, kw in found.items()} == {name: kw.tobytes() for name, kw in whole.items()}


def test_shared_trunk_values_are_by_window(shared: Any) -> None:
    """The head computes the trunk's output by minute again: a row for each minute of all windows."""
    interpreter: Any = load_interpreter()[0](model_content=shared.outlook)
    inputs = interpreter.get_signature_runner("after_body").get_input_details()
    body = {name: [*map(int, one["shape_signature"])] for name, one in inputs.items() if name.startswith("body_")}
    assert body
    assert all(shape[0] == -1 and min(shape[1:]) > 0 for shape in body.values()), body


@pytest.mark.long
def test_shared_trunk_makes_files_smaller_and_is_reproducible(files: Files, shared: Any) -> None:
    from gapcast_trainer.tflite.shared_trunk import share_trunk

    assert shared == share_trunk(files.body, files.outlook)
    assert len(shared.first) < len(files.body)


@pytest.mark.long
def test_shared_trunk_keeps_the_weights_readable(shared: Any, models: Path) -> None:
    """A retrained outlook begins with the weights in the file of the model that it extends."""
    from gapcast_trainer.tflite.file_weights import set_file_weights

    run, weights = load_run(models.parent / "runs/body")
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    model = family.build(run.design, hyper)
    set_file_weights(model, shared.first)
    for found, weight in zip(model.get_weights(), weights, strict=True):
        assert found == pytest.approx(weight, rel=1e-5, abs=1e-7)


def test_shared_trunk_of_another_model_is_rejected(files: Files) -> None:
    from gapcast_trainer.tflite.shared_trunk import share_trunk

    with pytest.raises(ExportError, match="does not contain the whole other model: its trunk is another one"):
        share_trunk(files.other, files.outlook)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Copies of the shipped models, as they were before they shared a trunk."""
    for name in ("lstm", "outlook"):
        ModelCopy(tmp_path, name).alter_card(lambda card: card.pop("body"))
    return tmp_path


@pytest.mark.parametrize(
    ("pair", "error"),
    [
        (("lstm", "outlok"), "no model is called outlok in {models}: there are lstm, outlook"),
        (("lsmt", "outlook"), "no model is called lsmt in {models}: there are lstm, outlook"),
        (
            ("lstm", "lstm"),
            "{models}/lstm: is no outlook: name the outlook second, and first the model that it extends",
        ),
        (("outlook", "lstm"), "{models}/lstm: is no outlook: name the outlook second, and first the model that it"),
        (("outlook", "outlook"), "{models}/outlook: cannot continue from itself: name first the model that it extends"),
    ],
)
def test_share_body_of_unfit_models_is_rejected(copies: Path, pair: tuple[str, str], error: str) -> None:
    before = {path: path.read_bytes() for path in copies.rglob("*") if path.is_file()}
    found = CliRunner().invoke(main, ["share-body", *pair, "--models", str(copies)])
    assert (found.exit_code, error.format(models=copies) in found.output) == (2, True), found.output
    assert {path: path.read_bytes() for path in copies.rglob("*") if path.is_file()} == before


def test_shared_shipped_models_stay_as_they_are(copies: Path) -> None:
    """Sharing a second time finds the same trunk, and writes cards that the loader accepts."""
    from gapcast_trainer.export.share import share

    shipped = [load_model(shipped_models() / name).card for name in ("lstm", "outlook")]
    found = share(copies, "lstm", "outlook")
    assert [one.card.body for one in found] == [card.body for card in shipped]
    for one, card in zip(found, shipped, strict=True):
        assert load_model(one.folder).card == one.card
        assert one.card.bytes == pytest.approx(card.bytes, rel=1e-3)


def test_share_rejects_a_changed_forecast(copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gapcast_trainer.export import share as module
    from gapcast_trainer.tflite import shared_trunk
    from gapcast_trainer.tflite.shared_trunk import SharedTrunk

    plain = shared_trunk.share_trunk

    def swapped(first: bytes, outlook: bytes) -> SharedTrunk:
        found = plain(first, outlook)
        return found._replace(outlook=with_other_weights(found.outlook))

    monkeypatch.setattr(shared_trunk, "share_trunk", swapped)
    with pytest.raises(ExportError, match=r"of the golden example changes by"):
        module.share(copies, "lstm", "outlook")
