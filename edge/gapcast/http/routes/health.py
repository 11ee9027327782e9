"""The health document of the service."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse

from gapcast.service.queries.queries import ServiceQueries
from gapcast.text.distribution_version import version_of


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


def health_of(queries: ServiceQueries) -> Health:
    """Return the health of the service.

    ``fail`` without a broker; ``warn`` if readings are not persisted, or if damaged state was found at start-up: the
    check ``state:restored`` then fails until the next start, while the gateway keeps serving.
    """
    connected, store = queries.connected, queries.state_store
    problem, damage = store.problem, store.damage
    broker = (
        HealthCheck(status="pass")
        if connected
        else HealthCheck(status="fail", output=queries.problem or "not connected")
    )
    models = HealthCheck(status="pass", output=", ".join(sorted(queries.models)))
    checks = {"mqtt:connection": [broker], "models:loaded": [models]}
    if problem is not None:
        checks["state:kept"] = [HealthCheck(status="warn" if problem else "pass", output=problem or None)]
        checks["state:restored"] = [HealthCheck(status="fail" if damage else "pass", output=damage or None)]
    status: Literal["pass", "warn", "fail"] = ("warn" if problem or damage else "pass") if connected else "fail"
    return Health(status=status, version=version_of("gapcast"), checks=checks)


def readiness_of(queries: ServiceQueries) -> HealthResponse:
    """Return the response to a readiness check: 503 without a broker."""
    health = health_of(queries)
    status = HTTPStatus.SERVICE_UNAVAILABLE if health.status == "fail" else HTTPStatus.OK
    return HealthResponse(health.model_dump(exclude_none=True), status)
