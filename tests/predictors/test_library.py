"""The model library: layered folders, and installation from any archive after a self-test."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from gapcast.app.models.models import library_of
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelError
from gapcast.core.models.card_types import MAX_MODEL_BYTES
from gapcast.predictors.installation.install import _replace_model, install, make_default, remove
from gapcast.predictors.models_folder.library import Library
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.trials.admission import Admission
from gapcast.predictors.trials.proven_models import ProvenModels
from tests.support.disks import open_folder, unprivileged
from tests.support.models import ModelCopy

MODEL, CARD = "model.tflite", "card.json"


class ProvenOnce(ProvenModels):
    """Remembers the models that passed, so that each content has one trial in these tests."""

    def __init__(self) -> None:
        super().__init__(None, "runtime")
        self._digests: set[str] = set()

    def has(self, digest: str) -> bool:
        return digest in self._digests

    def add(self, digest: str) -> None:
        self._digests.add(digest)


ADMISSION = Admission(None, ProvenOnce())


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    ModelCopy(tmp_path / "shipped", "lstm-5-3")
    return ModelCopy(tmp_path / "shipped", "linear").models


@pytest.fixture
def library(shipped: Path, tmp_path: Path) -> Library:
    return Library((shipped, tmp_path / "state" / "models"))


@pytest.fixture
def newer(tmp_path: Path) -> ModelCopy:
    """Version 2 of an installed model."""
    copy = ModelCopy(tmp_path / "newer", "linear")
    copy.alter_card(lambda card: card.update(version="2"))
    return copy


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- the library ----------------------------------------------------------------------------------------


def test_library_later_folder_takes_precedence(library: Library, newer: ModelCopy) -> None:
    before = library.stamp()
    assert install(newer.folder, library, ADMISSION).version == "2"
    assert library.models() == {"linear": library.own / "linear", "lstm-5-3": library.folders[0] / "lstm-5-3"}
    assert library.default() == "linear"
    assert library.stamp() != before
    assert str(library) == f"{library.folders[0]} and {library.own}"


@pytest.mark.parametrize("change", ["touched", "replaced", "gone", "registry"])
def test_library_stamp_changes_with_every_file(shipped: Path, change: str) -> None:
    library = Library((shipped,))
    before, file = library.stamp(), shipped / "linear" / MODEL
    assert library.stamp() == before
    if change == "touched":
        os.utime(file, ns=(0, 0))
    elif change == "replaced":
        status = file.stat()
        other = file.with_name("other")
        other.write_bytes(file.read_bytes())
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.replace(file)
    elif change == "gone":
        file.unlink()
    else:
        (shipped / "registry.json").write_text('{"default": "lstm-5-3"}', encoding="utf-8")
    assert library.stamp() != before


def test_library_of_a_running_service_does_not_watch_bundled_models(
    shipped: Path, newer: ModelCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade replaces them before the service is restarted."""
    monkeypatch.setattr("gapcast.app.models.models.models_path", lambda: shipped)
    library = library_of(Settings(), {"STATE_DIRECTORY": str(tmp_path / "state")})
    before = library.stamp()
    os.utime(shipped / "linear" / MODEL, ns=(0, 0))
    (shipped / "registry.json").write_text('{"default": "lstm-5-3"}', encoding="utf-8")
    assert library.stamp() == before
    install(newer.folder, library, ADMISSION)
    assert library.stamp() != before
    configured = library_of(Settings.model_validate({"models": {"path": shipped}}), {})
    before = configured.stamp()
    (shipped / "registry.json").write_text('{"default": "linear"}', encoding="utf-8")
    assert configured.stamp() != before


@pytest.mark.parametrize("problem", ["Too many levels of symbolic links", "File name too long"])
def test_library_unreadable_folder_has_no_files_and_is_named(shipped: Path, tmp_path: Path, problem: str) -> None:
    folder = tmp_path / ("loop" if "links" in problem else "a" * 300)
    if "links" in problem:
        folder.symlink_to(folder)
    library = Library((shipped, folder))
    assert library.stamp() == Library((shipped,)).stamp()
    with pytest.raises(ModelError, match=rf"cannot be read \({problem}\): check the path and the disk"):
        library.models()


def test_library_stamp_without_a_free_file_descriptor_is_unknown(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty stamp would reload the models."""

    def fail(folder: Path) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(folder))

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(OSError, match="Too many open files"):
        Library((shipped,)).stamp()


def test_library_without_a_registry_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"registry\.json: there is no such file"):
        Library((tmp_path, tmp_path / "none")).default()


# --- what a model is packed in ----------------------------------------------------------------------------


def zipped(folder: Path, file: Path, inside: str) -> Path:
    with zipfile.ZipFile(file.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MODEL, CARD):
            archive.write(folder / name, f"{inside}{name}")
        archive.writestr(f"{inside}README.md", "what it is")
    return file.with_suffix(".zip")


def tarred(folder: Path, file: Path, inside: str) -> Path:
    with tarfile.open(file.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(folder, inside or ".")
    return file.with_suffix(".tar.gz")


def beside(folder: Path, file: Path, inside: str) -> Path:
    copy = file.with_suffix(".tflite")
    copy.write_bytes((folder / MODEL).read_bytes())
    (file.with_suffix(".json") if inside else file.with_name(CARD)).write_bytes((folder / CARD).read_bytes())
    return copy


@pytest.mark.parametrize("pack", [zipped, tarred, beside, lambda folder, *_: folder])
@pytest.mark.parametrize("inside", ["", "linear/", "../../up/", "/etc/gapcast/"])
def test_install_from_any_archive(
    library: Library, newer: ModelCopy, tmp_path: Path, pack: Callable[[Path, Path, str], Path], inside: str
) -> None:
    file = pack(newer.folder, tmp_path / "download", inside)
    before = names_in(tmp_path)
    card = install(file, library, ADMISSION)
    assert (card.name, card.version) == ("linear", "2")
    assert load_model(library.own / "linear").card == card
    assert names_in(library.own) == ["linear"]
    assert names_in(library.own / "linear") == [CARD, MODEL]
    assert names_in(tmp_path) == sorted({*before, "state"})


def test_install_replaces_an_older_version(library: Library, newer: ModelCopy) -> None:
    install(newer.folder, library, ADMISSION)
    newer.alter_card(lambda card: card.update(version="3"))
    install(newer.folder, library, ADMISSION, default=True)
    assert load_model(library.own / "linear").version == "3"
    assert json.loads((library.own / "registry.json").read_text(encoding="utf-8")) == {"default": "linear"}
    assert names_in(library.own) == ["linear", "registry.json"]


@pytest.mark.parametrize(
    ("registry", "optional"), [('{"default": "lstm-5-3", "optional": ["linear"]}', ["linear"]), ("damaged", None)]
)
def test_install_default_keeps_the_optional_models(
    shipped: Path, newer: ModelCopy, registry: str, optional: list[str] | None
) -> None:
    (shipped / "registry.json").write_text(registry, encoding="utf-8")
    install(newer.folder, Library((shipped,)), ADMISSION, default=True)
    written = json.loads((shipped / "registry.json").read_text(encoding="utf-8"))
    assert (written["default"], written.get("optional")) == ("linear", optional)


def test_install_first_model_becomes_the_default(newer: ModelCopy, tmp_path: Path) -> None:
    library = Library((tmp_path / "own",))
    install(newer.folder, library, ADMISSION)
    assert library.default() == "linear"


def archive_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def link_of(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in (MODEL, CARD):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return path


def cut_short(path: Path) -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        info = tarfile.TarInfo(MODEL)
        info.size = 100_000
        archive.addfile(info, io.BytesIO(os.urandom(100_000)))
    path.write_bytes(content.getvalue()[:50_000])
    return path


def locked(path: Path) -> Path:
    """An archive whose members are marked as encrypted."""
    content = bytearray(archive_of(path, (MODEL, b""), (CARD, b"{}")).read_bytes())
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + flags_at] |= 1
            at = content.find(signature, at + 1)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path / "none", r"none: cannot be read \(No such file or directory\)"),
        (lambda path: Path(shutil.copy(__file__, path)), r"test_library\.py: is not a model: give a folder"),
        (lambda path: path, r"model\.tflite: cannot be read \(No such file or directory\)"),
        (lambda path: archive_of(path / "a.zip", ("x", b"")), r"a\.zip: must hold one model\.tflite .* it has neither"),
        (lambda path: archive_of(path / "a.zip", (MODEL, b"")), r"it has model\.tflite"),
        (lambda path: archive_of(path / "a.zip", (f"a/{MODEL}", b""), (f"b/{CARD}", b"")), r"a/model.*, b/card"),
        (
            lambda path: archive_of(path / "a.zip", *((f"{i}/{name}", b"") for i in "ab" for name in (MODEL, CARD))),
            r"a/model\.tflite, a/card\.json, b/model\.tflite, b/card\.json",
        ),
        (lambda path: link_of(path / "a.tar"), r"a\.tar: must hold one model\.tflite .* it has neither"),
        (lambda path: cut_short(path / "a.tar.gz"), r"a\.tar\.gz: cannot be unpacked .*: fetch or pack it again"),
        (lambda path: archive_of(path / "a.zip", *((f"{i}", b"") for i in range(1_001))), r"more than 1000 files"),
        (lambda path: archive_of(path / "a.zip", (MODEL, bytes(MAX_MODEL_BYTES + 1))), r"has more than 64 MB"),
        (
            lambda path: archive_of(path / "a.zip", *((f"{i}", bytes(MAX_MODEL_BYTES + 1)) for i in range(4))),
            r"or 256 MB",
        ),
        (lambda path: locked(path / "a.zip"), r"a\.zip: cannot be unpacked .*encrypted"),
        (lambda path: archive_of(path / "a.zip", (MODEL, b""), (CARD, b"{}")), r"a\.zip: card\.json: name: is missing"),
    ],
)
def test_install_invalid_archive_changes_nothing(
    library: Library, tmp_path: Path, make: Callable[[Path], Path], problem: str
) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    file = make(folder)
    with pytest.raises(ModelError, match=problem) as raised:
        install(file, library, ADMISSION)
    assert "\n" not in str(raised.value)
    assert names_in(library.own) == []


def test_install_failed_self_test_keeps_the_old_model(library: Library, newer: ModelCopy) -> None:
    install(newer.folder, library, ADMISSION)
    newer.alter_card(lambda card: card["golden"]["mean"][0].__setitem__(0, 99.0))
    with pytest.raises(ModelError, match="model linear: mean of the golden example differs by"):
        install(newer.folder, library, ADMISSION)
    newer.alter_file(b"another")
    with pytest.raises(ModelError, match=r"newer/linear: model\.tflite: is not the file that its card describes"):
        install(newer.folder, library, ADMISSION)
    assert load_model(library.own / "linear").version == "2"
    assert names_in(library.own) == ["linear"]


@pytest.mark.parametrize("name", ["blend", "registry.json"])
def test_install_reserved_name_is_rejected(library: Library, newer: ModelCopy, name: str) -> None:
    install(newer.folder, library, ADMISSION, default=True)
    newer.alter_card(lambda card: card.update(name=name))
    with pytest.raises(ModelError, match=f"no model may be named {name}"):
        install(newer.folder, library, ADMISSION, taken=("blend",))
    assert library.default() == "linear"


def test_install_failed_replace_restores_the_old_model(library: Library, newer: ModelCopy) -> None:
    install(newer.folder, library, ADMISSION)
    staged, place = library.own.parent / "gone", library.own / "linear"
    with pytest.raises(FileNotFoundError):
        _replace_model(staged, place, library.own.parent)
    assert load_model(place).version == "2"
    with pytest.raises(FileNotFoundError):
        _replace_model(staged, library.own / "other", library.own.parent)
    assert names_in(library.own) == ["linear"]


def test_install_read_only_folder_is_named_with_a_fix(newer: ModelCopy) -> None:
    content = (newer.file.read_bytes(), newer.card.read_bytes())
    with open_folder() as folder:
        (folder / "closed").mkdir(mode=0o555)
        for name, bytes_of in zip((MODEL, CARD), content, strict=True):
            (folder / name).write_bytes(bytes_of)
        with unprivileged(), pytest.raises(ModelError, match=r"closed/models: cannot be written .* set models\.path"):
            install(folder, Library((folder / "closed" / "models",)), ADMISSION)


def test_library_that_this_account_may_not_enter_is_named_with_a_fix(shipped: Path) -> None:
    with open_folder() as folder:
        (folder / "state").mkdir(mode=0)
        library = Library((shipped, folder / "state" / "models"))
        with unprivileged(), pytest.raises(ModelError, match=r"models: cannot be read \(Permission denied\): run"):
            Library(library.folders[1:]).models()
        assert sorted(library.without(library.own).models()) == ["linear", "lstm-5-3"]


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_models_folder_that_this_account_may_not_read_is_named_with_a_fix(shipped: Path, mode: int) -> None:
    """Without the right to list it (4) or to enter it (1)."""
    with open_folder() as folder:
        shutil.copytree(shipped, folder / "models")
        library = Library((folder / "models",))
        (folder / "models").chmod(mode)
        for read in (library.models, library.optional):
            with (
                unprivileged(),
                pytest.raises(ModelError, match=r"models.*: cannot be read \(Permission denied\): run"),
            ):
                read()
        (folder / "models").chmod(0o755)


def test_subfolder_that_this_account_may_not_enter_is_skipped(shipped: Path) -> None:
    """Of a file system, or of an installation that is going on; unlike the folder of a model."""
    with open_folder() as folder:
        shutil.copytree(shipped, folder / "models")
        for name in ("lost+found", ".install-x", "linear"):
            (folder / "models" / name).mkdir(exist_ok=True)
            (folder / "models" / name).chmod(0)
        with unprivileged():
            assert sorted(Library((folder / "models",)).models()) == ["linear", "lstm-5-3"]
            with pytest.raises(ModelError, match=r"linear/card\.json: cannot be read \(Permission denied\)"):
                load_model(folder / "models" / "linear")


# --- taking one out ---------------------------------------------------------------------------------------


def test_remove_uncovers_the_model_beneath(library: Library, newer: ModelCopy) -> None:
    install(newer.folder, library, ADMISSION)
    assert remove("linear", library), "the shipped one can be the default"
    assert library.models()["linear"] == library.folders[0] / "linear"
    assert names_in(library.own) == []


def test_remove_rejects_models_of_the_configuration(library: Library, newer: ModelCopy) -> None:
    install(newer.folder, library, ADMISSION)
    assert remove("linear", library, {"linear": "forecast.experts"}), "the bundled one remains"
    newer.alter_card(lambda card: card.update(name="mine"))
    install(newer.folder, library, ADMISSION)
    with pytest.raises(ModelError, match=r"mine is required by forecast\.experts: remove it from that key first"):
        remove("mine", library, {"mine": "forecast.experts"})
    assert not remove("mine", library, {"linear": "forecast.experts"})


def test_remove_rejects_shipped_and_unknown_models(library: Library, newer: ModelCopy) -> None:
    newer.alter_card(lambda card: card.update(name="mine"))
    install(newer.folder, library, ADMISSION)
    with pytest.raises(ModelError, match="'lstm-5-3' comes with gapcast and cannot be removed"):
        remove("lstm-5-3", library)
    for name in ("other", "../shipped/linear", ""):
        with pytest.raises(ModelError, match=r"is not installed in .*; available models: linear, lstm-5-3, mine"):
            remove(name, library)
    assert not remove("mine", library)
    assert "mine" not in library.models()


@pytest.mark.parametrize("optional", [[], ["mine"]])
def test_remove_default_restores_the_bundled_default(library: Library, newer: ModelCopy, optional: list[str]) -> None:
    newer.alter_card(lambda card: card.update(name="mine"))
    install(newer.folder, library, ADMISSION, default=True)
    registry = library.own / "registry.json"
    registry.write_text(json.dumps({"default": "mine", "optional": optional}), encoding="utf-8")
    assert library.default() == "mine"
    assert not remove("mine", library)
    assert library.default() == Library(library.folders[:1]).default()
    assert json.loads(registry.read_text(encoding="utf-8")).get("optional", []) == optional


def test_remove_default_of_a_single_folder_is_rejected(newer: ModelCopy, tmp_path: Path) -> None:
    library = Library((tmp_path / "own",))
    install(newer.folder, library, ADMISSION)
    with pytest.raises(ModelError, match="linear is the default model: make another one the default"):
        remove("linear", library)
    newer.alter_card(lambda card: card.update(name="mine"))
    install(newer.folder, library, ADMISSION)
    make_default("mine", library)
    assert library.default() == "mine"
    assert not remove("linear", library)


def test_make_default_accepts_bundled_models(library: Library, newer: ModelCopy) -> None:
    newer.alter_card(lambda card: card.update(name="mine"))
    install(newer.folder, library, ADMISSION, default=True)
    make_default("lstm-5-3", library)
    assert library.default() == "lstm-5-3"
    with pytest.raises(ModelError, match=r"there is no model 'oracle' in .*; there are: linear, lstm-5-3, mine"):
        make_default("oracle", library)
    assert library.default() == "lstm-5-3"
