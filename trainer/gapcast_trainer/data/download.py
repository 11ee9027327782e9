"""Downloads a file and verifies it; resumes after broken connections, retries after server errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
from tqdm import tqdm

from gapcast_trainer.errors import FetchError

#: Seconds to wait before each retry.
PAUSES_S = (1.0, 2.0, 5.0, 10.0)
_TIMEOUT_S = 30.0


def download(
    url: str,
    path: Path,
    check: Callable[[Path], None],
    *,
    progress: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download ``url`` to ``path``, which is created only after ``check`` has accepted the complete file.

    Partial data is stored beside it as ``….part``, and resumed by this or a later call. If ``check`` raises, the
    partial file is removed, and the error propagates. Raises :class:`FetchError` if the server rejects the request, or
    if the download does not finish after the first attempt and a retry after each of :data:`PAUSES_S`.
    """
    part = path.with_name(f"{path.name}.part")
    for pause_s in (*PAUSES_S, None):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _resume(url, part, progress)
            break
        except httpx.HTTPError as error:
            if pause_s is None or not _is_transient(error):
                raise FetchError(url, _describe(error)) from error
            pause(pause_s)
        except OSError as error:
            raise FetchError(url, f"cannot be written to {part} ({error.strerror})") from error
    try:
        check(part)
    except Exception:
        part.unlink()
        raise
    part.replace(path)


def _resume(url: str, part: Path, progress: bool) -> None:
    """Fetch the rest of ``url`` into ``part``; the whole file if the server does not support ranges."""
    n_before = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={n_before}-"} if n_before else {})
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S) as answer:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and n_before:
            if answer.headers.get("Content-Range") != f"bytes */{n_before}":
                part.unlink()  # longer than the file on the server: outdated
                answer.raise_for_status()
            return
        answer.raise_for_status()
        resumed = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        n_before = n_before if resumed else 0
        n_left = answer.headers.get("Content-Length")
        total = int(n_left) + n_before if n_left else None
        with (
            part.open("ab" if resumed else "wb") as stream,
            tqdm(total=total, initial=n_before, unit="B", unit_scale=True, desc=part.stem, disable=not progress) as bar,
        ):
            for block in answer.iter_raw():
                stream.write(block)
                bar.update(len(block))


def _is_transient(error: httpx.HTTPError) -> bool:
    """Return whether a retry may succeed: after a broken connection or a server error, not after a rejection."""
    if not isinstance(error, httpx.HTTPStatusError):
        return not isinstance(error, httpx.UnsupportedProtocol)
    status = error.response.status_code
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
        HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    }  # fmt: skip


def _describe(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answers {error.response.status_code} {error.response.reason_phrase}"
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.UnsupportedProtocol):
        return f"is no address of a file ({reason}): correct --url"
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return f"cannot be reached ({reason}): check the network, or download it in a browser"
    return f"the download broke off ({reason}); run it again to resume"
