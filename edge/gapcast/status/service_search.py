"""Finds the running service: by the configuration here, by the address files, or at the default port."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gapcast.config.files.service_address import ADDRESS_FILE, SYSTEMD_FOLDERS, local_url, read_address
from gapcast.config.files.state_dir import state_path
from gapcast.config.loader import DEFAULT_FILE
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError, StatusError
from gapcast.status.rest_client import RestClient


class ServiceCandidate(NamedTuple):
    """A possible address of a service: a description, the URL or why there is none, and the configured token."""

    where: str
    url: str | OSError | ValueError
    token: str | None = None


def find_service(
    read: Callable[[], Settings],
    environment: Mapping[str, str],
    client: Callable[[str, str | None], RestClient],
    *,
    is_explicit: bool,
) -> RestClient:
    """Return a client of the first service that answers; raise :class:`StatusError` with all attempts.

    ``read`` returns the settings, ``client`` a client of the service at a URL, with the configured token if the
    configuration has this address. If the settings are ``is_explicit``, given on the command line, only their address
    is tried, and its errors are raised.
    """
    tried = []
    for where, url, token in _candidates(read, environment, is_explicit=is_explicit):
        if not isinstance(url, str):
            tried.append(f"{where}: {getattr(url, 'strerror', None) or url}")
            continue
        rest = client(url, token)
        try:
            rest.text("/livez", "application/json")
        except StatusError as error:
            tried.append(f"{url} ({where}): {_reason(error)}")
        else:
            return rest
    msg = f"found no running gapcast. Tried {'; '.join(tried)}. Is it running? --url selects its address"
    raise StatusError(msg)


def _reason(error: StatusError) -> str:
    cause = getattr(error.__cause__, "reason", None) or error.__cause__ or error
    return getattr(cause, "strerror", None) or str(cause)


def _candidates(
    read: Callable[[], Settings], environment: Mapping[str, str], *, is_explicit: bool
) -> Iterator[ServiceCandidate]:
    try:
        settings = read()
    except SettingsError as error:
        if is_explicit:
            raise
        yield ServiceCandidate("the configuration here", ValueError(str(error)))
        settings = Settings()
    configured = local_url(settings.http.host, settings.http.port)
    token = None if settings.http.token is None else settings.http.token.get_secret_value()
    is_configured = settings.http != Settings().http
    if is_explicit or is_configured:
        yield ServiceCandidate("http.host and http.port of the configuration", configured, token)
    if is_explicit:
        return
    for folder in _folders(settings, environment):
        path = folder / ADDRESS_FILE
        try:
            url = read_address(path)
        except (OSError, ValueError) as error:
            yield ServiceCandidate(str(path), error)
        else:
            yield ServiceCandidate(str(path), url, token if url == configured else None)
    if not is_configured:
        origin = f"http.port of {DEFAULT_FILE}" if DEFAULT_FILE.exists() else "the default http.port"
        yield ServiceCandidate(origin, configured)


def _folders(settings: Settings, environment: Mapping[str, str]) -> Iterator[Path]:
    with suppress(SettingsError):  # an account without a home has no state folder of its own
        yield state_path(settings.state.path, environment)
    yield from SYSTEMD_FOLDERS
