"""Creates the interpreters that the stream will need: of the models, or of the part of them, that will run."""

from __future__ import annotations

from collections.abc import Iterable

from gapcast.app.models.loaded_models import Models
from gapcast.app.models.shared_body import warm_up_continuation
from gapcast.core.models.predictor import Predictor


def warm_up_like(models: Models, in_use: Iterable[Predictor]) -> None:
    """Create the interpreters of ``models`` for the batch sizes of the models ``in_use``.

    Of an outlook that continues from the primary model's body, only the continuation runs.
    """
    sizes: set[int] = set()
    continued_sizes: set[int] = set()
    for model in in_use:
        sizes.update(getattr(model, "sizes", ()))
        continued_sizes.update(getattr(model, "continued_sizes", ()))
    continued = models.continued
    for model in models.active:
        if model is not continued:
            model.warm_up(sorted(sizes))
    if continued is not None:
        warm_up_continuation(models.primary, continued, sorted(continued_sizes))
