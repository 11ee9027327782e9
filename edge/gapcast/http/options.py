"""Limits and access rules of REST."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.http.guards.ip_networks import Networks


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Limits and access rules of REST.

    Requests need ``token`` (None: no authentication); pages of ``cors_origins`` may call the API from a browser. If
    ``allow_from`` is not empty, only clients in these networks are served. Without a token, only clients on this
    machine and in ``allow_changes_from`` may make changes. ``allowed_hosts`` and ``own_names`` are the names accepted
    in the header Host, besides addresses.
    """

    max_body_bytes: int = 262_144
    max_tensor_bytes: int = 16_777_216
    max_event_readers: int = 100
    token: str | None = None
    cors_origins: tuple[str, ...] = ()
    allow_from: Networks = ()
    allow_changes_from: Networks = ()
    allowed_hosts: tuple[str, ...] = ()
    own_names: tuple[str, ...] = ()
    max_event_readers_per_client: int = 10
    max_total_body_bytes: int = 33_554_432
