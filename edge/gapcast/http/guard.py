"""Who may ask: a token for everything but health, where one is set."""

from __future__ import annotations

import base64
import binascii
import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http import problems

#: What is answered without a token: an orchestrator has none.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"})
#: The page's own files, which say nothing of the house; what they ask for is guarded as all else.
PAGE, PAGE_FILES = "/", "/page/"
_CURE = "send the token of http.token: authorization: Bearer TOKEN, or as a password, by Basic"
_BEARER = 'Bearer realm="gapcast"'
_CHALLENGE = f'{_BEARER}, Basic realm="gapcast", charset="UTF-8"'


class Guard:
    """Answers 401 to who does not bear ``token``.

    It may come as a bearer token, or as the password of HTTP's Basic scheme with any user: a browser asks for that by
    itself, and then sends it with every request of a page, those for events among them. A page that asks for the token
    on its own says ``X-Requested-With``, and the browser is not told to.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what may be asked."""
        if scope["type"] == "http" and not is_open(scope["path"]):
            headers = Headers(scope=scope)
            given = given_token(headers.get("authorization", ""))
            if given is None or not hmac.compare_digest(given, self._token):
                refused = problems.problem(HTTPStatus.UNAUTHORIZED, _CURE, path=scope["path"])
                refused.headers["www-authenticate"] = _BEARER if "x-requested-with" in headers else _CHALLENGE
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """Tell whether ``path`` is answered without a token.

    >>> is_open("/livez"), is_open("/"), is_open("/page/main.js"), is_open("/pages"), is_open("/predict")
    (True, True, True, False, False)
    """
    return path in OPEN_PATHS or path == PAGE or path.startswith(PAGE_FILES)


def given_token(authorization: str) -> bytes | None:
    """Return the token in an ``authorization`` header; None where there is none.

    >>> given_token("Bearer abc"), given_token("Basic dXNlcjphYmM="), given_token("Digest abc")
    (b'abc', b'abc', None)
    """
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return password if colon else None
