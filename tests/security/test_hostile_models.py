"""Model files that crash the runtime, allocate without bound or have a wrong card: none reaches the service."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from gapcast.app.models.models import admission_of, library_of, load_models, load_usable_models
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError
from gapcast.predictors.installation.install import install
from gapcast.predictors.models_folder.files import MAX_CARD_BYTES, read_model_files
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import build_model, default_model, load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.predictors.trials.admission import Admission
from gapcast.predictors.trials.confinement import ChildLimits
from gapcast.predictors.trials.proven_models import PROVEN_FILE, ProvenModels
from gapcast.predictors.trials.trial import MAX_BATCH_S, check_batch, probe_windows, run_trial, try_model
from tests.integration.conftest import StartGateway, stack, start_gateway
from tests.support.brokers import MosquittoBroker
from tests.support.models import ModelCopy, default_name, every_feature_model, shipped_models, shipped_names
from tests.support.waiting import wait_until

__all__ = ["stack", "start_gateway"]

MB = 1 << 20
HOSTILE = Path(__file__).parents[1] / "fixtures" / "hostile"
#: Small models with one flipped bit, found by a search: with ``crashing`` the runtime reads or writes invalid memory,
#: with ``greedy`` the interpreter takes 240 MB. Which signal ends the process depends on the memory's content.
CRASHING, GREEDY = HOSTILE / "crashing", HOSTILE / "greedy"
SIGNAL = "SIG(SEGV|ABRT|BUS)"
CRASHED = f"crashing: the model was not loaded: its self-test ended by {SIGNAL}"
#: Offset and bit of a flip, found by a search, with which the runtime crashes in the shipped lstm-5-3.
CRASH_OF_SHIPPED = (23721, 5)


def flip(copy: ModelCopy, place: tuple[int, int]) -> None:
    """Flip one bit of the model file, and put the hash of the result into the card."""
    offset, bit = place
    content = bytearray(copy.file.read_bytes())
    content[offset] ^= 1 << bit
    copy.alter_file(bytes(content), card_too=True)


@pytest.fixture
def copy(tmp_path: Path) -> ModelCopy:
    return ModelCopy(tmp_path / "models", source=every_feature_model())


@pytest.fixture
def admission(tmp_path: Path) -> Admission:
    """Admission as in a service, with a record in its own folder."""
    return Admission(shipped_models(), ProvenModels(tmp_path / "record", "runtime 1"))


# --- the trial --------------------------------------------------------------------------------------------


def test_model_that_crashes_the_runtime_ends_only_its_trial(admission: Admission) -> None:
    with pytest.raises(ModelError, match=CRASHED):
        admission.load(CRASHING)


def test_model_with_a_flipped_bit_ends_only_its_trial(tmp_path: Path, admission: Admission) -> None:
    copy = ModelCopy(tmp_path / "models", "lstm-5-3")
    flip(copy, CRASH_OF_SHIPPED)
    with pytest.raises(ModelError, match=f"lstm-5-3: the model was not loaded: its self-test ended by {SIGNAL}"):
        admission.load(copy.folder)


def test_model_that_takes_much_memory_fails_its_trial() -> None:
    files = read_model_files(GREEDY)
    with pytest.raises(ModelError, match=r"failed to prepare|used more than 64 MB"):
        try_model(files, GREEDY)
    try_model(files, GREEDY, ChildLimits(1024 * MB))  # it is the limit that refuses it


def test_model_cancelled_in_its_trial_is_not_loaded(copy: ModelCopy) -> None:
    with pytest.raises(ModelError, match="its self-test was cancelled: gapcast is shutting down"):
        try_model(read_model_files(copy.folder), copy.folder, is_cancelled=lambda: True)


def given_of(copy: ModelCopy) -> BytesIO:
    """Return the input of the child."""
    files, place = read_model_files(copy.folder), str(copy.folder).encode()
    lengths = len(place).to_bytes(4, "big") + len(files.card).to_bytes(4, "big")
    return BytesIO(lengths + place + files.card + files.model)


def test_trial_of_a_valid_model_returns_nothing(copy: ModelCopy) -> None:
    """The child's part, in this process."""
    assert run_trial(given_of(copy)) == b""


def test_model_that_is_slow_is_rejected(copy: ModelCopy) -> None:
    model = load_model(copy.folder)
    windows = next(iter(probe_windows(model.card)))
    times_s = iter((0.0, MAX_BATCH_S + 0.5))
    with pytest.raises(ModelError, match=r"every-feature: a batch of 1 windows takes 2\.5 s, more than 2 s"):
        check_batch(model, windows, lambda: next(times_s))


def test_model_that_takes_seconds_of_processor_time_fails_its_trial(
    copy: ModelCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the child's part in this process, with a clock that advances at each read."""
    monkeypatch.setattr(time, "process_time", count(0, MAX_BATCH_S + 1).__next__)
    with pytest.raises(ModelError, match=r"a batch of 1 windows takes 3\.0 s, more than 2 s"):
        run_trial(given_of(copy))


def test_model_with_other_outputs_than_its_card_is_rejected(copy: ModelCopy) -> None:
    model = load_model(copy.folder)
    assert model.quantile_levels is not None
    card = model.card.model_copy(update={"quantile_levels": [*model.quantile_levels, 0.999]})
    other = TflitePredictor(copy.file.read_bytes(), card)
    with pytest.raises(ModelError, match=r"every-feature: a batch gives the shapes .*, not "):
        check_batch(other, next(iter(probe_windows(card))), lambda: 0.0)


# --- which models have one ------------------------------------------------------------------------------


def test_model_that_passed_is_not_tried_again(
    copy: ModelCopy, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission.load(copy.folder)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")  # none can be started any more
    assert admission.load(copy.folder).name == copy.name
    assert admission.load(shipped_models() / "linear").name == "linear", "a shipped one never needs any"
    copy.alter_card(lambda card: card.update(version="2"))
    with pytest.raises(ModelError, match="could not be started in a child process"):
        admission.load(copy.folder)


@pytest.mark.parametrize("runtime", ["runtime 1", "runtime 2"])
@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"models": 5}', b'{"models": [5]}', b"\xff" * 100_000])
def test_trial_record_damaged_or_of_another_runtime_is_ignored(tmp_path: Path, damage: bytes, runtime: str) -> None:
    record = ProvenModels(tmp_path, "runtime 1")
    record.add("ab" * 32)
    assert record.has("ab" * 32)
    assert not record.has("cd" * 32)
    assert ProvenModels(tmp_path, runtime).has("ab" * 32) == (runtime == "runtime 1")
    (tmp_path / PROVEN_FILE).write_bytes(damage)
    assert not record.has("ab" * 32)
    record.add("ab" * 32)
    assert record.has("ab" * 32)
    assert (tmp_path / PROVEN_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [PROVEN_FILE]


def test_trial_record_is_bounded(tmp_path: Path) -> None:
    record = ProvenModels(tmp_path, "runtime 1")
    for i in range(205):
        record.add(f"{i:064x}")
    assert [record.has(f"{i:064x}") for i in (0, 4, 5, 204)] == [False, False, True, True]


def test_trial_record_that_cannot_be_written_is_no_error(copy: ModelCopy, tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"a file where the folder should be")
    admission = Admission(None, ProvenModels(tmp_path / "record", "runtime 1"))
    with structlog.testing.capture_logs() as lines:
        assert admission.load(copy.folder).name == copy.name
    assert [line["event"] for line in lines] == ["models.not_recorded"]
    (tmp_path / "record").unlink()
    (tmp_path / "record" / PROVEN_FILE).mkdir(parents=True)
    with structlog.testing.capture_logs() as lines:
        assert admission.load(copy.folder).name == copy.name
    assert [line["event"] for line in lines] == ["models.not_recorded"]
    assert [path.name for path in (tmp_path / "record").iterdir()] == [PROVEN_FILE]


def test_trial_record_without_a_home_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    record = admission_of(Settings(), {}).proven
    record.add("ab" * 32)
    assert not record.has("ab" * 32)


# --- the service ------------------------------------------------------------------------------------------


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def crashing(folder: Path) -> Path:
    return shutil.copytree(CRASHING, folder / "crashing")


def greedy(folder: Path) -> Path:
    return shutil.copytree(GREEDY, folder / "greedy")


def tolerant(folder: Path) -> Path:
    copy = ModelCopy(folder, "lstm-5-3")
    copy.alter_card(lambda card: card["golden"].update(tolerance_kw=1e300))
    return copy.folder


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (crashing, CRASHED),
        (greedy, "failed to prepare|used more than"),
        (tolerant, r"golden\.tolerance_kw: must be at most 0\.01"),
    ],
)
def test_service_keeps_running_with_a_hostile_model_in_its_folder(
    mosquitto: MosquittoBroker,
    start_gateway: StartGateway,
    tmp_path: Path,
    model: Callable[[Path], Path],
    problem: str,
) -> None:
    models = ModelCopy(tmp_path / "models", "linear").models
    folder = model(tmp_path / "downloads")
    gateway = start_gateway(mosquitto, models={"path": models})
    before = resident_bytes()
    with structlog.testing.capture_logs() as lines:
        folder.rename(models / folder.name)
        statistics = gateway.service.statistics
        wait_until(lambda: statistics.model_reloads["refused"] == 1, "the model to be refused")
    assert [line for line in lines if line["event"] == "models.refused" and re.search(problem, line["problem"])]
    assert httpx.get(f"{gateway.url}/livez").status_code == 200
    assert [card["name"] for card in httpx.get(f"{gateway.url}/models").json()["models"]] == ["linear"]
    assert resident_bytes() - before < 80 * MB


def test_install_hostile_model_changes_nothing(tmp_path: Path, admission: Admission) -> None:
    library = Library((shipped_models(), tmp_path / "state" / "models"))
    with pytest.raises(ModelError, match=CRASHED):
        install(CRASHING, library, admission)
    assert sorted(library.models()) == shipped_names()


def installed(tmp_path: Path, source: Path = CRASHING) -> ModelCopy:
    return ModelCopy(tmp_path / "state" / "models", source=source)


def bad_registry(tmp_path: Path) -> None:
    (installed(tmp_path).models / "registry.json").write_bytes(b"[" * 4_000)


def default_that_is_bad(tmp_path: Path) -> None:
    assert default_model(installed(tmp_path).models) == "crashing"


def name_of_something_else(tmp_path: Path) -> None:
    copy = installed(tmp_path, every_feature_model())
    copy.folder.rename(copy.models / "blend")


@pytest.mark.parametrize("spoil", [default_that_is_bad, bad_registry, name_of_something_else])
def test_service_starts_with_shipped_models_beneath_a_hostile_one(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path)
    settings = Settings.model_validate({"state": {"path": tmp_path / "state"}})
    library, admission = library_of(settings, {}), admission_of(settings, {})
    with structlog.testing.capture_logs() as lines:
        models = load_usable_models(settings, library, admission)
    assert models.primary.name == default_name()
    assert sorted(models.by_name) == shipped_names()
    assert {line["event"] for line in lines} == {"models.refused"}
    with pytest.raises(ModelError):
        load_models(settings, library, admission)


def test_service_starts_with_the_shipped_model_of_the_same_name(tmp_path: Path) -> None:
    copy = installed(tmp_path, shipped_models() / default_name())
    copy.alter_file(copy.file.read_bytes()[:-8])
    settings = Settings.model_validate({"state": {"path": tmp_path / "state"}})
    models = load_usable_models(settings, library_of(settings, {}), admission_of(settings, {}))
    assert models.primary.card == load_model(shipped_models() / default_name()).card


def test_service_does_not_start_with_a_configured_hostile_model(tmp_path: Path) -> None:
    installed(tmp_path)
    settings = Settings.model_validate({"state": {"path": tmp_path / "state"}, "forecast": {"model": "crashing"}})
    with pytest.raises(ModelError, match="there is no model 'crashing' in"):
        load_usable_models(settings, library_of(settings, {}), admission_of(settings, {}))


# --- cards and files --------------------------------------------------------------------------------------


def with_value(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def alter(card: dict[str, Any]) -> None:
        for key in path[:-1]:
            card = card[key]
        card[path[-1]] = value

    return alter


CARDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a tolerance of 1e300": (with_value("golden", "tolerance_kw", value=1e300), "golden.tolerance_kw"),
    "a tolerance a little too wide": (with_value("golden", "tolerance_kw", value=0.011), "golden.tolerance_kw"),
    "a tolerance below nothing": (with_value("golden", "tolerance_kw", value=-1.0), "golden.tolerance_kw"),
    "an infinite tolerance": (with_value("golden", "tolerance_kw", value=float("inf")), "golden.tolerance_kw"),
    "a context of a millennium": (with_value("context", value=10**9), "context"),
    "a file of a terabyte": (with_value("bytes", value=1 << 40), "bytes"),
    "parameters without number": (with_value("parameters", value=10**13), "parameters"),
    "lead times without end": (with_value("lead_times_min", value=list(range(1, 1_000))), "lead_times_min"),
    "features without end": (
        with_value("features", value=[{"name": "gap_kw", "unit": "kW"}] * 1_000),
        "features",
    ),
    "quantile levels without end": (
        with_value("quantile_levels", value=[i / 10_000 for i in range(1, 10_000)]),
        "quantile_levels",
    ),
    "no quantile level": (with_value("quantile_levels", value=[]), "quantile_levels"),
    "a family of a megabyte": (with_value("family", value="x" * MB), "family"),
    "a commit of a megabyte": (with_value("git_commit", value="x" * MB), "git_commit"),
    "a source of a megabyte": (with_value("trained_on", "source", value="x" * MB), "trained_on.source"),
    "an embargo of ages": (with_value("split", "embargo_min", value=10**13), "split.embargo_min"),
    "an error without bound": (with_value("scores", "model", "mse_kw2", value=1e300), "scores.model.mse_kw2"),
    "an error below nothing": (with_value("scores", "model", "mae_kw", value=-1.0), "scores.model.mae_kw"),
    "a skill above all": (with_value("scores", "skill", value=2.0), "scores.skill"),
    "a golden value that float32 cannot hold": (
        lambda card: card["golden"]["mean"][0].__setitem__(0, 1e300),
        "golden.mean",
    ),
    "golden windows without end": (
        lambda card: card["golden"].update(window=card["golden"]["window"][:1] * 2_000),
        "golden.window",
    ),
}


@pytest.mark.parametrize("what", CARDS)
def test_card_over_its_bounds_is_rejected(tmp_path: Path, what: str) -> None:
    alter, field = CARDS[what]
    copy = ModelCopy(tmp_path / "models", "lstm-5-3")
    copy.alter_card(alter)
    with pytest.raises(ModelError, match=rf"card\.json: {re.escape(field)}"):
        load_model(copy.folder)


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"context":' + b"9" * 5_000 + b"}", b'"\\ud800"', b"NaN", b"", b"\xff", b'{"context": 1e999}'],
)
def test_card_that_is_no_document_is_a_clear_error(copy: ModelCopy, text: bytes) -> None:
    copy.card.write_bytes(text)
    with pytest.raises(ModelError, match=r"card\.json: "):
        load_model(copy.folder)
    (copy.models / "registry.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"registry\.json: "):
        default_model(copy.models)


def test_file_larger_than_any_model_is_not_read(copy: ModelCopy) -> None:
    with copy.file.open("r+b") as file:
        file.truncate(100 * MB)
    with pytest.raises(ModelError, match=r"model\.tflite: has more than 64 MB"):
        load_model(copy.folder)
    copy.card.write_bytes(b" " * (MAX_CARD_BYTES + 1))
    copy.file.write_bytes(b"")
    with pytest.raises(ModelError, match=r"card\.json: has more than 8 MB"):
        load_model(copy.folder)
    (copy.models / "registry.json").write_bytes(b" " * 10_000)
    with pytest.raises(ModelError, match=r"registry\.json: has more than 4096 bytes"):
        default_model(copy.models)


def test_pipe_in_place_of_a_model_does_not_block(copy: ModelCopy) -> None:
    copy.file.unlink()
    os.mkfifo(copy.file)
    with pytest.raises(ModelError, match=r"model\.tflite: is not a regular file"):
        load_model(copy.folder)


def test_golden_example_uses_the_bytes_that_were_tried(copy: ModelCopy, admission: Admission) -> None:
    """Files that change after their bytes were read have no effect."""
    files = read_model_files(copy.folder)
    card = json.loads(copy.card.read_bytes())
    copy.file.write_bytes(b"another")
    try_model(files, copy.folder)
    assert build_model(files, load_model(every_feature_model()).card).card.version == card["version"]
    with pytest.raises(ModelError, match="is not the file that its card describes"):
        admission.load(copy.folder)


@pytest.mark.root
def test_trial_record_of_root_belongs_to_the_owner_of_the_state(tmp_path: Path) -> None:
    """For example after ``sudo gapcast check`` beside a service with its own account, which could not read it."""
    os.chown(tmp_path, 12_345, 12_345)
    ProvenModels(tmp_path, "runtime 1").add("ab" * 32)
    assert (tmp_path / PROVEN_FILE).stat().st_uid == 12_345
