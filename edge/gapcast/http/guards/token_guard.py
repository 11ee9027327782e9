"""Requires the token, if one is set, for everything but health checks."""

from __future__ import annotations

import base64
import binascii
import hmac
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http.errors import problems

#: Paths served without a token, for orchestrators, which have none.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"})
#: The page's static files, which contain no household data; their API requests need the token.
PAGE, PAGE_FILES = "/", "/page/"
_FIX = (
    "the request has no valid token: send the header Authorization: Bearer TOKEN with the token of http.token, or the "
    "token as the password of HTTP Basic"
)
_BEARER = 'Bearer realm="gapcast"'
_CHALLENGE = f'{_BEARER}, Basic realm="gapcast", charset="UTF-8"'


class TokenGuard:
    """Rejects requests without ``token`` with 401.

    The token may be sent as a bearer token, or as the password of HTTP Basic with any user name: browsers prompt for
    that and then send it with every request of a page, including server-sent events. A page that prompts itself sends
    ``X-Requested-With``, and then the challenge omits Basic. Letters beyond ASCII may be sent in UTF-8, as by curl, or
    in Latin-1, as by Python.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._tokens = [token.encode()]
        with suppress(UnicodeEncodeError):
            self._tokens.append(token.encode("latin-1"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on authorized requests."""
        if not is_open(scope["path"]):
            headers = Headers(scope=scope)
            token = parse_token(headers.get("authorization", ""))
            if token is None or not any(hmac.compare_digest(token, one) for one in self._tokens):
                refused = problems.problem(HTTPStatus.UNAUTHORIZED, _FIX, path=scope["path"])
                refused.headers["www-authenticate"] = _BEARER if "x-requested-with" in headers else _CHALLENGE
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """Return whether ``path`` is served without a token.

    >>> is_open("/livez"), is_open("/"), is_open("/page/main.js"), is_open("/pages"), is_open("/predict")
    (True, True, True, False, False)
    """
    return path in OPEN_PATHS or path == PAGE or path.startswith(PAGE_FILES)


def parse_token(authorization: str) -> bytes | None:
    """Return the token in an ``authorization`` header, whose characters are its bytes; None if there is none.

    >>> parse_token("Bearer abc"), parse_token("Basic dXNlcjphYmM="), parse_token("Digest abc")
    (b'abc', b'abc', None)
    """
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return password if colon else None
