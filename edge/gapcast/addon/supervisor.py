"""Requests the MQTT broker from Home Assistant's Supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from gapcast.core.errors import SettingsError
from gapcast.text.json_input import decode_json

_TIMEOUT_S, _MAX_RESPONSE_BYTES = 10.0, 1 << 16


def mqtt_service(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return host, port and account of the Supervisor's broker; None if the Supervisor has no broker.

    Raises :class:`SettingsError` if the Supervisor does not answer, or rejects the request.
    """
    address = environment.get("SUPERVISOR_URL", "http://supervisor")
    token = environment.get("SUPERVISOR_TOKEN", "")
    if not token:
        msg = "SUPERVISOR_TOKEN is not set: gapcast addon is for Home Assistant's Supervisor; elsewhere use gapcast run"
        raise SettingsError(msg)
    url = urlsplit(address)
    try:
        with closing(HTTPConnection(url.hostname or "", url.port or 80, timeout=_TIMEOUT_S)) as connection:
            connection.request("GET", "/services/mqtt", headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            is_denied = response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}  # may be plain text
            document = None if is_denied else decode_json(response.read(_MAX_RESPONSE_BYTES))
    except (OSError, HTTPException, ValueError) as error:
        msg = f"{address}: the Supervisor does not answer ({error}); restart the add-on"
        raise SettingsError(msg) from error
    if is_denied:
        msg = f"{address}: the Supervisor denied the request: config.yaml of the add-on must have services: [mqtt:want]"
        raise SettingsError(msg)
    data = document.get("data") if isinstance(document, dict) else None
    return data if response.status == HTTPStatus.OK and isinstance(data, dict) and "host" in data else None
