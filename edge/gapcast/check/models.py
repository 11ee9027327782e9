"""Checks that the models exist, are unaltered, and reproduce their reference outputs."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.app.models.installed_models import InstalledModelError
from gapcast.app.models.models import admission_of, library_of, load_models
from gapcast.check.finding import CheckInput, Finding, fail, ok
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import ModelChoiceError, ModelError, UnknownModelError
from gapcast.core.windows.features import DERIVED
from gapcast.predictors.tflite.runtime import load_interpreter


def check_models(inputs: CheckInput) -> Iterator[Finding]:
    """Load every model and replay its golden example."""
    settings = inputs.settings
    try:
        library, admission = library_of(settings, inputs.environment), admission_of(settings, inputs.environment)
        inputs.models = models = load_models(settings, library, admission)
    except ModelChoiceError as error:
        yield fail("models", str(error), "change this setting: no installed model supports it", error.exit_code)
        return
    except UnknownModelError as error:
        fix = "correct the name in the settings (forecast.model, forecast.experts, outlook.model), or install the model"
        yield fail("models", str(error), fix, error.exit_code)
        return
    except InstalledModelError as error:
        meanwhile = "gapcast starts without it, unless the settings name it"
        fix = error.describe_fix(f"install it again, or remove {error.path}", meanwhile)
        yield fail("models", str(error), fix, error.exit_code)
        return
    except ModelError as error:
        place = "reinstall gapcast" if settings.models.path is None else f"see {settings.models.path}"
        fix = f"restore the model (model.tflite and card.json belong together), or select another; {place}"
        yield fail("models", str(error), fix, error.exit_code)
        return
    names, primary = ", ".join(sorted(models.by_name)), models.primary
    clock = f" (time zone {settings.site.timezone})" if set(primary.features) & set(DERIVED) else ""
    outlook = ""
    if models.outlook is not None:
        devices = counted(settings.outlook.max_devices, "device")
        outlook = f"; outlook model: {models.outlook.name}, for the first {devices}"
    own = "".join(f"; {device}: {horizon_min} minutes ahead" for device, horizon_min in models.devices_min.items())
    runtime = load_interpreter()[1]
    yield ok("models", f"{names} self-tested on {runtime}{outlook}; primary model: {primary.name}{clock}{own}")
