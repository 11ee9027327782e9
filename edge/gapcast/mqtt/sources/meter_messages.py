"""Messages of meters: their payload, parsed by the keys of a source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from gapcast.core.meters.source import part_of, terms_of
from gapcast.core.meters.values import number_of
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.features import GAP
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.payloads import check_own_echo, decode_document, raise_if_too_large
from gapcast.mqtt.sources.meter import Meter


class MeterMessage(NamedTuple):
    """A parsed message.

    ``document`` is the message's JSON or number, None for an empty payload. ``terms`` are the terms of the meter's
    value in the message, by path, in the meter's unit; a term is None if the message marks it as unknown from now on.
    """

    document: object
    terms: Mapping[str, float | None]

    @property
    def is_empty(self) -> bool:
        """Whether the message has no payload, like one that clears a retained topic."""
        return self.document is None

    @property
    def nulls(self) -> list[str]:
        """The paths of the terms that the message marks as unknown."""
        return [path for path, number in self.terms.items() if number is None]


def parse_message(meter: Meter, part: str, publication: Publication) -> MeterMessage:
    """Parse a message of ``meter``; ``part`` names the term of its topic, if topics are terms.

    Raises :class:`PayloadError` for a payload that is too long, not JSON, or a document that gapcast publishes.
    """
    source, payload = meter.source, publication.payload
    raise_if_too_large(publication.n_bytes)
    if source.format == "number":
        number = number_of(payload.decode("utf-8", errors="replace"), "the payload")
        return MeterMessage(number, {part: number})
    document = decode_document(payload) if payload else None
    if document is None:
        return MeterMessage(None, {part: None})
    if type(document) is dict:
        check_own_echo(document)
    if source.part_value:
        return MeterMessage(document, part_of(source, part, document))
    return MeterMessage(document, terms_of(source, document, meter.best))


def as_publication(topic: str, reading: Reading) -> Publication:
    """Return a minute completed by several messages or the clock as a message of its own, for rejections."""
    document = {"ts": minute_label(reading.minute), GAP: reading.gap_kw, **(reading.measured or {})}
    payload = json.dumps(document).encode()
    return Publication(topic, payload, 0, False, False, b"", len(payload))
