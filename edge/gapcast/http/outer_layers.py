"""The layers that every request passes first: they restrict access, and ensure that there is a response."""

from __future__ import annotations

from starlette.middleware import Middleware

from gapcast.core.monitoring.statistics import Statistics
from gapcast.http.errors.error_responses import ErrorResponses
from gapcast.http.guards.host_check import HostCheck
from gapcast.http.guards.ip_allowlist import IpAllowlist
from gapcast.http.guards.token_guard import TokenGuard
from gapcast.http.options import HttpOptions


def outer_layers(options: HttpOptions, statistics: Statistics) -> list[Middleware]:
    """Return the layers of the application and of its entry, from the innermost to the outermost."""
    layers = []
    if options.token is not None:
        layers.append(Middleware(TokenGuard, token=options.token))
    if options.cors_origins:  # outside of TokenGuard: preflight requests carry no token
        from starlette.middleware.cors import CORSMiddleware  # noqa: PLC0415 - most gateways do not need it

        origins = options.cors_origins
        layers.append(Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"]))
    if options.allow_from:
        layers.append(Middleware(IpAllowlist, networks=options.allow_from))
    layers.append(Middleware(HostCheck, allowed_hosts=options.allowed_hosts, own_names=options.own_names))
    layers.append(Middleware(ErrorResponses, statistics=statistics))
    return layers
