"""The route of the sources: the subscribed topics, and the messages received before the first forecast."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gapcast.core.time_grid import instant_label
from gapcast.http.errors import problems
from gapcast.service.ports.intake import IntakeStatus, WaitingDevice
from gapcast.service.queries.queries import ServiceQueries


class WaitingDeviceDocument(BaseModel):
    """A device that has no forecast yet."""

    device: str
    n_samples: int = Field(description="Samples received from a meter of a source since the start; 0 otherwise")
    n_readings: int = Field(description="Readings in its window: a forecast follows the second")
    first_forecast_at: str | None = Field(description="When its first forecast is expected, RFC 3339; null: unknown")


class SubmeterDocument(BaseModel):
    """A configured submeter."""

    device: str = Field(description="The device of the submeter")
    name: str
    topic: str = Field(description="The topic of its messages")


class SourcesDocument(BaseModel):
    """The topics that the gateway is subscribed to, and the messages that it has received so far."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "summary": "Listening to tele/+/SENSOR at broker:1883: 12 samples from plug",
                    "broker": "broker:1883",
                    "topics": ["tele/+/SENSOR"],
                    "sources": ["tasmota"],
                    "submeters": [],
                    "command": "mosquitto_sub -h broker -p 1883 -v -t tele/+/SENSOR",
                    "first_forecast_at": "2026-01-01T11:20:02.000Z",
                    "n_ignored": 0,
                    "n_rejected": 0,
                    "waiting": [
                        {
                            "device": "plug",
                            "n_samples": 12,
                            "n_readings": 0,
                            "first_forecast_at": "2026-01-01T11:20:02.000Z",
                        }
                    ],
                }
            ]
        }
    )

    summary: str = Field(
        description="Summary of this document in a sentence, or the reason why there is no connection to the broker"
    )
    broker: str = Field(description="Host and port of the broker")
    topics: list[str] = Field(description="Subscriptions for readings")
    sources: list[str] = Field(description="Presets or topics of the configured sources; empty: native readings")
    submeters: list[SubmeterDocument] = Field(description="The configured submeters, in order")
    command: str = Field(
        description="A command that shows the messages of the sources, or publishes a native reading; may be empty"
    )
    first_forecast_at: str | None = Field(
        description="When the first forecast is expected, RFC 3339; null: unknown, or there are forecasts"
    )
    n_ignored: int = Field(description="Messages without a power since the start")
    n_rejected: int = Field(description="Rejected messages since the start; the rejected topic has the reasons")
    waiting: list[WaitingDeviceDocument] = Field(description="Devices without a forecast, at most 20")


def sources_router(queries: ServiceQueries) -> APIRouter:
    """Return the route ``/sources``."""
    router = APIRouter(tags=["devices"])

    @router.get(
        "/sources",
        summary="Subscriptions and received messages",
        responses=problems.answers(HTTPStatus.UNPROCESSABLE_ENTITY),
    )
    def sources() -> SourcesDocument:
        """Return the topics that the gateway is subscribed to, and the messages received before the first forecast."""
        return _document(queries.intake())

    return router


def _document(status: IntakeStatus) -> SourcesDocument:
    subscriptions = status.subscriptions
    return SourcesDocument(
        summary=status.sentence(),
        broker=subscriptions.address,
        topics=list(subscriptions.topics),
        sources=list(subscriptions.sources),
        submeters=[
            SubmeterDocument(device=device, name=name, topic=topic) for device, name, topic in subscriptions.submeters
        ],
        command=subscriptions.command,
        first_forecast_at=_instant(status.forecast_at_ms),
        n_ignored=status.n_ignored,
        n_rejected=status.n_rejected,
        waiting=[_waiting(one) for one in status.waiting],
    )


def _waiting(one: WaitingDevice) -> WaitingDeviceDocument:
    return WaitingDeviceDocument(
        device=one.device,
        n_samples=one.n_samples,
        n_readings=one.n_readings,
        first_forecast_at=_instant(one.forecast_at_ms),
    )


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else instant_label(at_ms)
