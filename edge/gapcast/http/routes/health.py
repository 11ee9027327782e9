"""The health document of the service, and its status, which adds what not everybody may read."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from gapcast.core.time_grid import instant_label
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


class RefitDocument(BaseModel):
    """The nightly refit; the time, the duration and the skills are absent while they are not known."""

    last_ran_at: str | None = Field(description="When the last refit since the start ended, RFC 3339")
    took_s: float | None = Field(description="Total duration of that night's refits, s")
    n_devices: int = Field(description="Devices with trees from a refit in use")
    mse_skill: float | None = Field(
        description="1 - MSE / MSE of persistence of the mean on the newest days before the refit, mean over devices"
    )
    mae_skill: float | None = Field(description="The same for the median, by MAE")


class GatewayStatus(Health):
    """Data of the event ``status``: the health, and the nightly refit if this gateway refits.

    Health is served without a token; how well the trees forecast a household is not part of it.
    """

    refit: RefitDocument | None


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


def gateway_status_of(queries: ServiceQueries) -> GatewayStatus:
    """Return the health of the service, and its nightly refits."""
    refit = queries.refit_status
    return GatewayStatus(
        **dict(health_of(queries)),
        refit=refit
        and RefitDocument(
            last_ran_at=None if refit.last_ran_s is None else instant_label(round(refit.last_ran_s * 1_000)),
            took_s=None if refit.last_ran_s is None else round(refit.took_s, 1),
            n_devices=refit.n_forests,
            mse_skill=None if refit.mse_skill is None else round(refit.mse_skill, 4),
            mae_skill=None if refit.mae_skill is None else round(refit.mae_skill, 4),
        ),
    )
