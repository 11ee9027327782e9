"""Are the models there, unaltered, and do they compute here what they computed where they were made?"""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.app.models import admission_of, library_of, load_models
from gapcast.check.finding import MODEL_FAILS, Finding, Situation, fail, ok
from gapcast.core.errors import ModelError
from gapcast.core.features import DERIVED
from gapcast.predictors.runtime import load_interpreter


def check_models(situation: Situation) -> Iterator[Finding]:
    """Load every model and replay its golden example."""
    settings = situation.settings
    try:
        library, admission = library_of(settings, situation.environment), admission_of(settings, situation.environment)
        situation.models = models = load_models(settings, library, admission)
    except ModelError as error:
        where = settings.models.path or "the models that came with gapcast: install it again"
        cure = f"put the whole model back (model.tflite and card.json belong together), or name another; see {where}"
        yield fail("models", str(error), cure, MODEL_FAILS)
        return
    names, speaking = ", ".join(sorted(models.by_name)), models.speaking
    clock = f" (it goes by the clock of {settings.site.timezone})" if set(speaking.features) & set(DERIVED) else ""
    yield ok("models", f"{names} self-tested on {load_interpreter()[1]}; {speaking.name} speaks{clock}")
