"""Loads models into this process: bundled ones directly, all others after a trial in a child process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gapcast.predictors.models_folder.files import ModelFiles, read_model_files
from gapcast.predictors.models_folder.store import build_model, check_files
from gapcast.predictors.tflite.tflite import TflitePredictor
from gapcast.predictors.trials.proven_models import ProvenModels
from gapcast.predictors.trials.trial import try_model

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """Loads models; a model that is neither in ``trusted`` nor ``proven`` must pass a trial first.

    ``trusted`` is the folder of the bundled models, which are trusted like the code.
    ``is_cancelled`` ends a running trial. A ``loaded`` model, by name, is reused if it has not changed, so that a
    reload needs no memory for it.
    """

    trusted: Path | None
    proven: ProvenModels
    is_cancelled: Callable[[], bool] = lambda: False
    loaded: Mapping[str, TflitePredictor] = field(default_factory=dict)

    def load(self, folder: Path) -> TflitePredictor:
        """Load, check and self-test the model in ``folder``; raise :class:`ModelError` if it fails.

        Its files are read once: this process loads the same bytes that passed the trial.
        """
        return self.build(self.admit(folder), folder)

    def admit(self, folder: Path) -> ModelFiles:
        """Return the files of the model in ``folder`` once it is admitted; raise :class:`ModelError` if rejected."""
        files = read_model_files(folder)
        if self.trusted is None or folder.parent.resolve() != self.trusted.resolve():
            self.prove(files, folder)
        return files

    def build(self, files: ModelFiles, folder: Path) -> TflitePredictor:
        """Build the model from ``files`` returned by :meth:`admit`; raise :class:`ModelError` if that fails."""
        card = check_files(files, folder)
        loaded = self.loaded.get(card.name)
        return loaded if loaded is not None and loaded.card == card else build_model(files, card)

    def prove(self, files: ModelFiles, folder: Path) -> None:
        """Run the trial of ``files`` unless they passed before; raise :class:`ModelError` if they fail."""
        digest = files.digest
        if self.proven.has(digest):
            return
        try_model(files, folder, is_cancelled=self.is_cancelled)
        try:
            self.proven.add(digest)
        except OSError as error:
            log.info("models.not_recorded", path=str(folder), problem=error.strerror or str(error))
