"""Models for tests: the shipped ones, and copies of them that are wrong in one way.

Imports only the standard library and the edge's core, because the predictor's tests run without more.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gapcast.bundled import models_path
from gapcast.private_files import replacement_of


def shipped_models() -> Path:
    """The folder of models that tests use: the shipped one, or another that GAPCAST_TEST_MODELS names."""
    named = os.environ.get("GAPCAST_TEST_MODELS")
    return Path(named) if named else models_path()


def every_feature_model() -> Path:
    """The folder of a model with all existing features as inputs (see ``every_feature_model.py``); not shipped."""
    return Path(__file__).parent / "every-feature"


def history_model() -> Path:
    """The folder of a small model with a history and all four outputs (see ``history_model.py``); not shipped."""
    return Path(__file__).parent / "with-history"


def shipped_names() -> list[str]:
    """The models there, by name."""
    return sorted(path.parent.name for path in shipped_models().glob("*/card.json"))


def default_name() -> str:
    """The name of the default primary model."""
    name: str = json.loads((shipped_models() / "registry.json").read_text(encoding="utf-8"))["default"]
    return name


def put(path: Path, content: bytes) -> None:
    """Replace the file at ``path`` at once: a running gateway may check it at any time, and report half a file."""
    with replacement_of(path) as part:
        part.write_bytes(content)


class ModelCopy:
    """A copy of a model in a models folder of its own, to be altered: a shipped one, or that at ``source``."""

    def __init__(self, models: Path, name: str | None = None, source: Path | None = None) -> None:
        source = source or shipped_models() / (name or default_name())
        self.name = name or source.name
        self.models = models
        self.folder = models / self.name
        shutil.copytree(source, self.folder)
        self.alter_card(lambda card: card.update(name=self.name))
        self.make_default(self.name)

    @property
    def file(self) -> Path:
        return self.folder / "model.tflite"

    @property
    def card(self) -> Path:
        return self.folder / "card.json"

    def make_default(self, name: str) -> None:
        put(self.models / "registry.json", json.dumps({"default": name}).encode())

    def alter_card(self, alter: Callable[[dict[str, Any]], object]) -> None:
        document = json.loads(self.card.read_text(encoding="utf-8"))
        alter(document)
        put(self.card, json.dumps(document).encode())

    def alter_file(self, content: bytes, *, card_too: bool = False) -> None:
        """Replace the file; with ``card_too`` update the card's checksum, so that the bytes themselves are judged."""
        put(self.file, content)
        if card_too:
            digest = hashlib.sha256(content).hexdigest()
            self.alter_card(lambda card: card.update(sha256=digest, bytes=len(content)))


def models_with_outlook(folder: Path) -> dict[str, Any]:
    """Make a ``folder`` of the default model and the small one with a history; return settings that use both."""
    ModelCopy(folder, source=history_model())
    ModelCopy(folder)
    return {"models": {"path": folder}, "outlook": {"model": history_model().name}}
