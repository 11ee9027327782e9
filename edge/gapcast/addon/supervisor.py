"""Asks Home Assistant's Supervisor for the broker that its house uses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from gapcast.core.errors import SettingsError
from gapcast.json_input import decode_json

_WAIT_S, _LONGEST_ANSWER = 10.0, 1 << 16


def mqtt_service(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return host, port and account of the broker that the Supervisor knows; None where it knows none.

    Raises :class:`SettingsError` where it does not answer, or not us.
    """
    address = environment.get("SUPERVISOR_URL", "http://supervisor")
    token = environment.get("SUPERVISOR_TOKEN", "")
    if not token:
        msg = "SUPERVISOR_TOKEN is not set: gapcast addon is for Home Assistant's Supervisor; elsewhere use gapcast run"
        raise SettingsError(msg)
    where = urlsplit(address)
    try:
        with closing(HTTPConnection(where.hostname or "", where.port or 80, timeout=_WAIT_S)) as asked:
            asked.request("GET", "/services/mqtt", headers={"Authorization": f"Bearer {token}"})
            answer = asked.getresponse()
            document = decode_json(answer.read(_LONGEST_ANSWER))
    except (OSError, HTTPException, ValueError) as error:
        msg = f"{address}: the Supervisor does not answer ({error}); restart the add-on"
        raise SettingsError(msg) from error
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        msg = f"{address}: the Supervisor refuses to say: config.yaml of the add-on must have services: [mqtt:want]"
        raise SettingsError(msg)
    data = document.get("data") if isinstance(document, dict) else None
    return data if answer.status == HTTPStatus.OK and isinstance(data, dict) and "host" in data else None
