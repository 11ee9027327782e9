"""A REST client of a running service, which may be on another machine, and the instants in its documents."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gapcast.config.files.secret_file import read_secret
from gapcast.core.errors import SettingsError, StatusError
from gapcast.http.guards.ip_networks import is_loopback
from gapcast.text.json_input import JsonError, decode_json
from gapcast.text.terminal_text import printable

#: Maximum size of a response: a thousand devices with their metrics take a few megabytes.
_MAX_RESPONSE_BYTES = 32 << 20
_MAX_DETAIL_BYTES = 65_536
_TEXT = "text/plain; version=0.0.4"
#: Media type of a refusal, for instance if all connections are in use.
_PROBLEM = "application/problem+json"


def instant_of(text: Any) -> datetime:
    """Return the instant of an RFC 3339 text, in UTC; raise TypeError or ValueError if it is invalid.

    >>> instant_of("2026-01-01T12:00:00+01:00").isoformat()
    '2026-01-01T11:00:00+00:00'
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = f"{text} has no offset"
        raise ValueError(msg)
    return at.astimezone(UTC)


def read_token(path: Path) -> str:
    """Return the token in a file; raise :class:`StatusError` if it cannot be read."""
    try:
        return read_secret("--token-file", path).strip()
    except SettingsError as error:
        raise StatusError(str(error)) from error


class RestClient:
    """A client for the service at ``url``, with its bearer ``token`` if it requires one."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 5.0) -> None:
        """Set the URL, token and timeout: a request fails if the service is silent for ``timeout_s``."""
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        as_sent = token.encode().decode("latin-1") if token else ""  # in UTF-8; urllib sends Latin-1
        self._headers = {"Authorization": f"Bearer {as_sent}"} if token else {}
        if not self.url.startswith(("http://", "https://")):
            msg = f"--url: {url!r} must begin with http:// or https://"
            raise StatusError(msg)

    def document(self, route: str) -> dict[str, Any]:
        """Return the JSON object at ``route``; raise :class:`StatusError`."""
        try:
            document = decode_json(self.text(route, "application/json"))
        except JsonError as error:
            msg = f"{self.url}{route} did not return JSON: is it a gapcast service?"
            raise StatusError(msg) from error
        return document if isinstance(document, dict) else {}

    def text(self, route: str, accept: str = _TEXT) -> str:
        """Return the body of ``route``, also of a 503 if the service is not ready; raise :class:`StatusError`."""
        request = urllib.request.Request(f"{self.url}{route}", headers={"Accept": accept, **self._headers})  # noqa: S310 - see __init__
        try:
            return self._decoded(route, self._read(request))
        except urllib.error.HTTPError as error:
            with error:
                raise StatusError(self._refusal(route, error)) from error
        except (OSError, ValueError, HTTPException) as error:
            why = getattr(error, "reason", None) or error
            why = getattr(why, "strerror", None) or why
            msg = f"cannot reach {self.url} ({why}): is gapcast running there? --url selects another"
            raise StatusError(msg) from error

    def _refusal(self, route: str, error: urllib.error.HTTPError) -> str:
        """Return the meaning of a status other than 200 and 503; a service's answer has a detail with the fix."""
        if error.code == HTTPStatus.UNAUTHORIZED and self._headers:
            return f"{self.url} does not accept this token: check the file of --token-file, or http.token"
        if error.code == HTTPStatus.UNAUTHORIZED:
            return f"{self.url} requires a token: pass the file that holds it with --token-file"
        detail = "is it a gapcast service?"
        with suppress(OSError, HTTPException, JsonError):
            document = decode_json(error.read(_MAX_DETAIL_BYTES))
            if isinstance(document, dict) and isinstance(document.get("detail"), str):
                detail = printable(document["detail"])
        return f"{self.url}{route} returned {error.code} {error.reason}: {detail}"

    def _decoded(self, route: str, answer: bytes) -> str:
        if len(answer) > _MAX_RESPONSE_BYTES:
            msg = f"{self.url}{route} returned more than {_MAX_RESPONSE_BYTES >> 20} MB: is it a gapcast service?"
            raise StatusError(msg)
        return answer.decode("utf-8", errors="replace")

    def _read(self, request: urllib.request.Request) -> bytes:
        """Return the body of the answer, also of a 503 without a problem document; raise the errors of urllib."""
        try:
            with self._opener().open(request, timeout=self._timeout_s) as answer:
                body: bytes = answer.read(_MAX_RESPONSE_BYTES + 1)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or error.headers.get_content_type() == _PROBLEM:
                raise
            with error:  # not ready
                body = error.read(_MAX_RESPONSE_BYTES + 1)
        return body

    def _opener(self) -> urllib.request.OpenerDirector:
        """Return what opens a request: by a proxy of the environment, but not to this machine."""
        host = urlsplit(self.url).hostname or ""
        is_here = host == "localhost" or is_loopback(host)
        return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_here else []))
