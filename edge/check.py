"""``gapcast check``: what is wrong, in plain words, before anyone waits for a forecast."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from edge.compose import session_options
from edge.core.errors import ModelError
from edge.core.features import DERIVED
from edge.loading import library_of, load_models
from edge.mqtt.session import Session
from edge.predictors.runtime import load_interpreter
from edge.settings import Settings

_BROKER_S = 8.0
OK, BROKER_FAILS, MODEL_FAILS = 0, 1, 3


def run_checks(settings: Settings, environment: Mapping[str, str], show: Callable[[str], None]) -> int:
    """Check models and broker, showing a line each up to the first failure; return its exit code, or 0."""
    try:
        models = load_models(settings, library_of(settings, environment))
    except ModelError as error:
        show(f"FAIL models: {error}")
        return MODEL_FAILS
    names, speaking = ", ".join(sorted(models.by_name)), models.speaking
    clock = f" (it goes by the clock of {settings.site.timezone})" if set(speaking.features) & set(DERIVED) else ""
    show(f"ok   models: {names} self-tested on {load_interpreter()[1]}; {speaking.name} speaks{clock}")
    options = session_options(settings, environment)
    # Under a name of its own: the running service's would be taken over by this one.
    session = Session(replace(options, gateway=f"{options.gateway}-check", session_expiry_s=0, announce=False))
    where = f"{settings.mqtt.host} port {settings.mqtt.port}"
    deadline_s = time.monotonic() + _BROKER_S
    while not (session.connected or session.problem.startswith("unreachable")) and time.monotonic() < deadline_s:
        session.take(1, 0.25)
    connected, problem = session.connected, session.problem
    session.close(1.0)
    if not connected:
        show(f"FAIL broker: {where}: {problem or 'no answer'}")
        return BROKER_FAILS
    topics = ", ".join(source.topic for source in settings.sources) or settings.topics.reading
    show(f"ok   broker: {where}, MQTT {session.protocol}, subscribed to {topics}")
    return OK
