"""The health document of the service."""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse

from gapcast.service.service import Service


class HealthResponse(JSONResponse):
    """A response with a :class:`Health` document."""

    media_type = "application/health+json"


class HealthCheck(BaseModel):
    """One check of draft-inadarei-api-health-check."""

    status: Literal["pass", "warn", "fail"]
    output: str | None = None


class Health(BaseModel):
    """``application/health+json``."""

    status: Literal["pass", "warn", "fail"]
    version: str
    checks: dict[str, list[HealthCheck]]


def health_of(service: Service) -> Health:
    """Return the health of ``service``.

    ``fail`` without a broker; ``warn`` if readings are not persisted, or if damaged state was found at start-up: the
    check ``state:restored`` then fails until the next start, while the gateway serves.
    """
    connected, problem, damage = service.connected, service.state_store.problem, service.state_store.damage
    broker = (
        HealthCheck(status="pass")
        if connected
        else HealthCheck(status="fail", output=service.problem or "not connected")
    )
    models = HealthCheck(status="pass", output=", ".join(sorted(service.models)))
    checks = {"mqtt:connection": [broker], "models:loaded": [models]}
    if problem is not None:
        checks["state:kept"] = [HealthCheck(status="warn" if problem else "pass", output=problem or None)]
        checks["state:restored"] = [HealthCheck(status="fail" if damage else "pass", output=damage or None)]
    status: Literal["pass", "warn", "fail"] = ("warn" if problem or damage else "pass") if connected else "fail"
    return Health(status=status, version=version("gapcast"), checks=checks)
