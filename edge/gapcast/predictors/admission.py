"""How models come into this process: shipped ones as they are, all others after a trial in a child process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gapcast.predictors.files import ModelFiles, read_model_files
from gapcast.predictors.proven import ProvenModels
from gapcast.predictors.store import build_model, check_files
from gapcast.predictors.tflite import TflitePredictor
from gapcast.predictors.trial import try_model

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """Loads models; a model that is neither in ``trusted`` nor ``proven`` has to pass its trial first.

    ``trusted`` is the folder of the models that came with gapcast: they are trusted as its code is.
    ``is_cancelled`` ends a trial that is under way. A model that is ``loaded`` already, by its name, and has not
    changed is used again: a reload costs no memory for it.
    """

    trusted: Path | None
    proven: ProvenModels
    is_cancelled: Callable[[], bool] = lambda: False
    loaded: Mapping[str, TflitePredictor] = field(default_factory=dict)

    def load(self, folder: Path) -> TflitePredictor:
        """Load, check and self-test the model in ``folder``; raise :class:`ModelError` where it is no good.

        Its files are read once: the bytes that pass the trial are those that this process loads.
        """
        return self.build(self.admit(folder), folder)

    def admit(self, folder: Path) -> ModelFiles:
        """Return the files of the model in ``folder``, which this process may load; raise :class:`ModelError`."""
        files = read_model_files(folder)
        if self.trusted is None or folder.parent.resolve() != self.trusted.resolve():
            self.prove(files, folder)
        return files

    def build(self, files: ModelFiles, folder: Path) -> TflitePredictor:
        """Return the model that ``files``, which :meth:`admit` returned, are; raise :class:`ModelError`."""
        card = check_files(files, folder)
        loaded = self.loaded.get(card.name)
        return loaded if loaded is not None and loaded.card == card else build_model(files, card)

    def prove(self, files: ModelFiles, folder: Path) -> None:
        """Try the ``files`` read from ``folder``, unless they have passed before; raise :class:`ModelError`."""
        digest = files.digest
        if self.proven.has(digest):
            return
        try_model(files, folder, is_cancelled=self.is_cancelled)
        try:
            self.proven.add(digest)
        except OSError as error:
            log.info("models.not_recorded", path=str(folder), problem=error.strerror or str(error))
