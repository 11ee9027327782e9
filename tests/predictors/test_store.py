"""A models folder: valid models load, all others are rejected in one clear sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.core.errors import ModelError
from gapcast.core.models.card import ModelCard
from gapcast.core.models.predictor import run_model
from gapcast.predictors.models_folder.files import read_registry
from gapcast.predictors.models_folder.store import default_model, load_model, model_names
from gapcast.predictors.tflite import batch_interpreter, runtime
from gapcast.predictors.tflite.model_interpreters import runtime_error
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.predictors.tflite.tflite import TflitePredictor
from tests.predictors.conftest import predict
from tests.support.models import ModelCopy, every_feature_model, shipped_models, shipped_names
from tests.support.waiting import GUARD_S

Card = dict[str, Any]


def test_shipped_models_load() -> None:
    models = shipped_models()
    assert model_names(models) == shipped_names()
    assert default_model(models) in shipped_names()


def test_shipped_model_matches_its_card(model: TflitePredictor) -> None:
    card = model.card
    golden = np.asarray(card.golden.window, dtype=np.float32)
    assert golden.shape[1:] == (card.context, len(card.features))
    history = None if card.golden.history is None else np.asarray(card.golden.history, dtype=np.float32)
    found = run_model(model, golden, history)
    np.testing.assert_allclose(found.mean, card.golden.mean, rtol=0, atol=card.golden.tolerance_kw)
    assert (model.name, model.version) == (card.name, card.version)
    assert (card.quantile_levels is None) == (found.quantiles is None)


def test_load_model_copied_elsewhere(copy: ModelCopy) -> None:
    assert load_model(copy.folder).name == copy.name


def refusal(copy: ModelCopy) -> str:
    """Load an invalid model; return the error sentence."""
    with pytest.raises(ModelError) as refused:
        load_model(copy.folder)
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


# --- the file -------------------------------------------------------------------------------------


def test_load_missing_file_is_named(copy: ModelCopy) -> None:
    copy.file.unlink()
    assert refusal(copy) == f"{copy.file}: cannot be read (No such file or directory)"


def test_load_folder_in_place_of_the_file_is_rejected(copy: ModelCopy) -> None:
    copy.file.unlink()
    copy.file.mkdir()
    assert str(copy.file) in refusal(copy)


@pytest.mark.parametrize("n_left", [0, 1, 100, -1])
def test_load_truncated_file_is_rejected(copy: ModelCopy, n_left: int) -> None:
    whole = copy.file.read_bytes()
    copy.alter_file(whole[:n_left])
    sentence = refusal(copy)
    assert str(copy.file) in sentence
    assert "is not the file that its card describes" in sentence
    assert f"({len(whole[:n_left])} bytes" in sentence
    assert f"the card says {len(whole)}" in sentence


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_load_file_with_a_flipped_bit_is_rejected(copy: ModelCopy, share: float) -> None:
    content = bytearray(copy.file.read_bytes())
    content[int(share * len(content))] ^= 1
    copy.alter_file(bytes(content))
    assert "is not the file that its card describes" in refusal(copy)


def test_load_file_with_an_added_byte_is_rejected(copy: ModelCopy) -> None:
    copy.alter_file(copy.file.read_bytes() + b"\0")
    assert "is not the file that its card describes" in refusal(copy)


# Files that begin like a model and continue differently are not tried: the runtimes read beyond their end. The card's
# sha256 rejects such files.
@pytest.mark.parametrize("content", [b"\0" * 4_000, b"not a model at all, but long enough to be one"])
def test_load_invalid_model_with_matching_card_is_rejected(copy: ModelCopy, content: bytes) -> None:
    copy.alter_file(content, card_too=True)
    sentence = refusal(copy)
    assert sentence.startswith(f"model {copy.name}: the runtime cannot load the file")


def test_load_other_model_with_matching_hash_is_rejected(copy: ModelCopy) -> None:
    other = next(name for name in shipped_names() if name != copy.name)
    copy.alter_file((shipped_models() / other / "model.tflite").read_bytes(), card_too=True)
    assert copy.name in refusal(copy)


# --- the card -------------------------------------------------------------------------------------


def test_load_missing_card_is_named(copy: ModelCopy) -> None:
    copy.card.unlink()
    assert refusal(copy) == f"{copy.card}: cannot be read (No such file or directory)"


@pytest.mark.parametrize("text", ["", "{", "not JSON", "[]", "null", '"card"', "\ufeff{}"])
def test_load_invalid_card_is_rejected(copy: ModelCopy, text: str) -> None:
    copy.card.write_text(text, encoding="utf-8")
    assert refusal(copy).startswith(f"{copy.card}: ")


def test_load_binary_card_is_rejected(copy: ModelCopy) -> None:
    copy.card.write_bytes(b"\xff\xfe{}")
    assert refusal(copy).startswith(f"{copy.card}: ")


@pytest.mark.parametrize("field", [name for name, field in ModelCard.model_fields.items() if field.is_required()])
def test_load_card_without_a_required_field_names_it(copy: ModelCopy, field: str) -> None:
    copy.alter_card(lambda card: card.pop(field))
    assert refusal(copy) == f"{copy.card}: {field}: is missing"


def add_feature(card: Card, name: str) -> None:
    card["features"].append({"name": name, "unit": "1"})
    for window in card["golden"]["window"]:
        for minute in window:
            minute.append(0.5)


WRONG_CARDS: dict[str, tuple[Callable[[Card], object], str]] = {
    "another hash": (lambda card: card.update(sha256="0" * 64), "is not the file that its card describes"),
    "a hash that is none": (lambda card: card.update(sha256="abc"), "sha256: "),
    "another size": (lambda card: card.update(bytes=card["bytes"] + 1), "is not the file that its card describes"),
    "another name": (lambda card: card.update(name="other"), "describes model other, but the folder is named"),
    "a name that is a path": (lambda card: card.update(name="../other"), "name: "),
    "a version with a quote": (lambda card: card.update(version='1"'), "version: "),
    "a schema of the future": (lambda card: card.update(schema_version=2), "schema_version: "),
    "a field too many": (lambda card: card.update(colour="red"), "colour: "),
    "no context": (lambda card: card.update(context=1), "context: "),
    "another context": (lambda card: card.update(context=card["context"] + 1), "golden.window"),
    "unknown padding": (lambda card: card.update(padding="mean"), "padding: "),
    "an unknown feature": (
        lambda card: add_feature(card, "moon_phase"),
        "features: unknown feature moon_phase: use one of gap_kw, ",
    ),
    "another first feature": (
        lambda card: card["features"].insert(0, {"name": "voltage", "unit": "V"}),
        "the first feature must be gap_kw, not voltage",
    ),
    "a feature in another unit": (
        lambda card: card["features"][0].update(unit="W"),
        "features: gap_kw is given in kW, not in W",
    ),
    "features that the file does not take": (lambda card: add_feature(card, "tod_sin"), "windows of [30, 1]"),
    "no features": (lambda card: card.update(features=[]), "features: "),
    "lead times that fall": (lambda card: card.update(lead_times_min=[5, 1]), "lead_times_min must rise"),
    "a lead time of now": (lambda card: card.update(lead_times_min=[0, 5]), "lead_times_min must rise"),
    "a horizon beyond an hour": (lambda card: card.update(lead_times_min=[1, 61]), "must end with 60 or less, not 61"),
    "no lead times": (lambda card: card.update(lead_times_min=[]), "lead_times_min: "),
    "more lead times than the file": (lambda card: card.update(lead_times_min=[1, 2, 3, 4, 5]), "golden.mean"),
    "quantile levels beyond 1": (lambda card: card.update(quantile_levels=[0.5, 1.5]), "quantile_levels must rise"),
    "another golden outcome": (
        lambda card: card["golden"]["mean"][0].__setitem__(-1, 99.0),
        "is allowed): the example was not made with this file, or this runtime computes it wrongly; export the model",
    ),
    "a misspelled key": (lambda card: card.update(contxt=card.pop("context")), "contxt: there is no such key"),
    "a golden outcome of another shape": (lambda card: card["golden"]["mean"].pop(), "golden.mean"),
    "a golden outcome of ragged shape": (lambda card: card["golden"]["mean"][0].append(1.0), "golden.mean"),
    "no golden window": (lambda card: card["golden"].update(window=[]), "golden.window: "),
    "a ragged golden window": (lambda card: card["golden"]["window"][0].pop(), "golden.window"),
    "a golden window of text": (lambda card: card["golden"].update(window="abc"), "golden.window: "),
    "a golden NaN": (lambda card: card["golden"]["mean"][0].__setitem__(0, float("nan")), "golden.mean"),
    "no tolerance": (lambda card: card["golden"].update(tolerance_kw=0), "golden.tolerance_kw: "),
}


@pytest.mark.parametrize("what", WRONG_CARDS)
def test_load_card_that_does_not_match_is_rejected(copy: ModelCopy, what: str) -> None:
    alter, words = WRONG_CARDS[what]
    copy.alter_card(alter)
    sentence = refusal(copy)
    assert words in sentence
    assert copy.name in sentence


def test_load_card_with_missing_quantiles_is_rejected(copy: ModelCopy) -> None:
    def promise_quantiles(card: dict[str, Any]) -> None:
        card["quantile_levels"] = [0.05, 0.5, 0.95]
        card["golden"]["quantiles"] = [[[0.5, 1.0, 1.5]] for _ in card["golden"]["mean"]]

    copy.alter_card(promise_quantiles)
    assert re.search(
        r"signature is \['window'\] -> .*, not \['window'\] -> \['mean', 'quantiles'\]: name ", refusal(copy)
    )


def test_runtime_error_of_tensorflow_operations_names_the_conversion() -> None:
    """The runtime itself recommends a delegate for Android, which no gateway has."""
    error = RuntimeError(
        "Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter. "
        "For the Android, it can be resolved by adding a dependency. Node 5 (FlexTensorListReserve) failed to prepare."
    )
    assert str(runtime_error("mine", "load", error)) == (
        "model mine: the runtime cannot load the file: it needs TensorFlow operations; "
        "convert it to TFLite builtin operations alone (LSTM: unroll=True)"
    )


def test_load_model_with_every_feature() -> None:
    model = load_model(every_feature_model())
    assert np.asarray(model.card.golden.window).shape[1:] == (model.spec.context, len(model.features))
    assert model.predict(np.asarray(model.card.golden.window, dtype=np.float32)).quantiles is not None


# --- memory -------------------------------------------------------------------------------------


def test_model_after_rest_predicts_the_same(model: TflitePredictor) -> None:
    windows = np.asarray(model.card.golden.window, dtype=np.float32)
    before = predict(model, windows).mean
    model.release_interpreters()
    np.testing.assert_array_equal(predict(model, windows).mean, before)


def test_interpreter_is_created_for_its_first_batch(model: TflitePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def counted() -> Any:
        made.append(load_interpreter())
        return made[-1]

    monkeypatch.setattr(batch_interpreter, "load_interpreter", counted)
    again = TflitePredictor((shipped_models() / model.name / "model.tflite").read_bytes(), model.card)
    windows = np.ones((300, model.spec.context, len(model.features)), dtype=np.float32)
    n_made = []
    for n in (1, 2, 17, 9, 8, 1, 32, 33, 300):
        assert len(predict(again, windows[:n]).mean) == n
        n_made.append(len(made))
    assert n_made == [1, 1, 2, 3, 3, 3, 3, 3, 3]
    again.release_interpreters()
    assert len(predict(again, windows[:5]).mean) == 5
    assert len(made) == 4


# --- the registry ---------------------------------------------------------------------------------


def test_registry_names_the_default(copy: ModelCopy) -> None:
    assert default_model(copy.models) == copy.name


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"default": null}', '{"default": 1}', '{"default": ["a"]}', '"a"', "\xff"]
)
def test_registry_without_a_default_is_rejected(copy: ModelCopy, text: str) -> None:
    registry = copy.models / "registry.json"
    registry.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError) as refused:
        default_model(copy.models)
    assert str(refused.value).startswith(f"{registry}: ")


@pytest.mark.parametrize("optional", ["null", "1", '"a"', "[1]", '{"a": 1}'])
def test_registry_optional_that_is_no_list_of_names_is_rejected(copy: ModelCopy, optional: str) -> None:
    registry = copy.models / "registry.json"
    registry.write_text(f'{{"default": "a", "optional": {optional}}}')
    with pytest.raises(ModelError, match=r'registry\.json: "optional" must be a list of names of models, not '):
        read_registry(copy.models)


def test_registry_names_the_optional_models(copy: ModelCopy) -> None:
    assert read_registry(copy.models).optional == ()
    (copy.models / "registry.json").write_text('{"default": "a", "optional": ["b", "c"]}')
    assert read_registry(copy.models) == ("a", ("b", "c"))


def test_registry_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'registry.json'}: there is no such file")):
        default_model(tmp_path)


def test_folder_without_models_is_empty(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    assert model_names(tmp_path) == []
    assert model_names(tmp_path / "nowhere") == []


# --- windows of another shape -----------------------------------------------------------------------


@pytest.mark.parametrize("change", ["no rows", "a minute less", "a minute more", "a feature more", "one window alone"])
def test_predict_wrong_shape_is_rejected(model: TflitePredictor, change: str) -> None:
    context, n_features = model.spec.context, len(model.card.features)
    shape = {
        "no rows": (0, context, n_features),
        "a minute less": (2, context - 1, n_features),
        "a minute more": (2, context + 1, n_features),
        "a feature more": (2, context, n_features + 1),
        "one window alone": (context, n_features),
    }[change]
    with pytest.raises(ModelError, match=f"model {model.name} takes"):
        model.predict(np.zeros(shape, dtype=np.float32))


# --- the runtime ----------------------------------------------------------------------------------


def test_runtime_has_a_name() -> None:
    _, name = load_interpreter()
    assert re.fullmatch(r"(ai-edge-litert|tflite-runtime) \d+\.\d+.*", name)


def test_runtime_missing_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "RUNTIMES", (("no-such-runtime", "no_such_runtime.interpreter"),))
    with pytest.raises(ModelError, match="no TFLite runtime is installed: install no-such-runtime"):
        load_interpreter()


def test_runtime_falls_back_to_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_interpreter()
    monkeypatch.setattr(runtime, "RUNTIMES", (("no-such-runtime", "no_such_runtime.interpreter"), *runtime.RUNTIMES))
    assert load_interpreter() == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import a_library_that_is_not_there", "No module named 'a_library_that_is_not_there'"),
        ("raise ImportError('libstdc++.so.6: version GLIBCXX_9\\nnot found')", "version GLIBCXX_9 not found"),
        ("from broken_runtime import what_it_lacks", "cannot import name 'what_it_lacks'"),
    ],
)
def test_runtime_broken_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, reason: str
) -> None:
    (tmp_path / "broken_runtime.py").write_text(f"{content}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(runtime, "RUNTIMES", (("broken-runtime", "broken_runtime"), *runtime.RUNTIMES))
    with pytest.raises(ModelError, match=f"broken-runtime cannot be loaded \\(.*{reason}.*: install it again"):
        load_interpreter()


#: Loads the runtime; with "beside", one that also prints an error when it creates its first interpreter.
_LOADING = """
import importlib, importlib.util, os, sys
from gapcast.predictors.tflite import runtime
if sys.argv[1] == "beside":
    names = [name for _, name in runtime.RUNTIMES if importlib.util.find_spec(name.split(".")[0])]
    library = importlib.import_module(names[0])
    original = library.Interpreter
    def failing(**options):
        os.write(2, b"ERROR: out of luck\\n")
        return original(**options)
    library.Interpreter = failing
if sys.argv[1] == "closed":
    os.close(2)
runtime.load_interpreter()
if sys.argv[1] != "closed":
    os.write(2, b"after\\n")
"""


@pytest.mark.parametrize(
    ("how", "expected"), [("alone", b"after\n"), ("beside", b"ERROR: out of luck\nafter\n"), ("closed", b"")]
)
def test_runtime_drops_only_the_delegate_notice(how: str, expected: bytes) -> None:
    """Other output on standard error in the meantime is passed on, and a closed standard error does no harm."""
    done = subprocess.run([sys.executable, "-c", _LOADING, how], capture_output=True, timeout=GUARD_S, check=True)
    assert done.stderr == expected
