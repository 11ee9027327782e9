"""The JSON body of a request about one device."""

from __future__ import annotations

from gapcast.core.errors import PayloadError
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.text.json_input import JsonError, decode_json


def decode_body(device: str, body: bytes) -> object:
    """Return the JSON value in ``body``.

    Raises :class:`PayloadError` if it is not JSON, or if ``device`` is not a valid name.
    """
    if not is_device_id(device):
        raise PayloadError("bad_device", device_id_problem(device))
    try:
        return decode_json(body)
    except JsonError as error:
        raise PayloadError("not_json", f"the body is not JSON: {error}") from error
