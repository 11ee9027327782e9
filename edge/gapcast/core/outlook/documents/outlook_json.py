"""Encodes batches of outlooks as JSON, alone or in MQTT packets, equal to :func:`.outlook_document.outlook_document`.

Outlooks of one model have one template, and outlooks of one minute have the same labels.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence

import numpy as np

from gapcast.compiled.functions import load_function
from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.document_field import FieldType
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.forecasts.json_rows import JsonDocuments, JsonTemplate, Packets, SlotKind, WrittenRows
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.outlook.documents.outlook_document import OUTLOOK_FIELDS
from gapcast.core.outlook.outlook import N_COLUMNS, Outlook, Outlooks
from gapcast.core.time_grid import instant_label, minute_label

#: Fields that differ between the outlooks of a model, in order; they need no escapes.
_TEXTS = ("device", "observed_at", "issued_at")
_TARGETS = "target_at"
_SEPARATORS = (",", ":")


class OutlookEncoder:
    """Encodes batches of outlooks, alone or each in an MQTT packet that publishes it."""

    def __init__(self, packets: Packets | None = None) -> None:
        """``packets`` describes the packets that :meth:`write_packets` writes."""
        self._packets = packets
        self._function = load_function("gapcast_json_rows")
        self._model: tuple[str, str, tuple[int, ...]] | None = None
        self._documents: JsonDocuments | None = None

    def encode(self, outlooks: Outlooks) -> list[bytes]:
        """Return the JSON of each of ``outlooks``, in order."""
        documents = self._documents_of(outlooks.model)
        values = documents.values(len(outlooks))
        _fill(values, outlooks)
        return documents.write(_texts_of(outlooks), values)

    def write_packets(
        self, outlooks: Outlooks, expiry_s: Sequence[int], packet_ids: Sequence[int] = ()
    ) -> WrittenRows | None:
        """Return the packets that publish ``outlooks``, at least one: see :meth:`.JsonRows.write`.

        None without the compiled library, or if it cannot write one of the outlooks.
        """
        rows, n = self._documents_of(outlooks.model).packets, len(outlooks)
        if rows is None:
            return None
        _fill(rows.values(n), outlooks)
        return rows.write(_texts_of(outlooks), n, expiry_s, packet_ids)

    def _documents_of(self, model: ModelIdentity) -> JsonDocuments:
        found = _identity_of(model)
        if self._documents is None or found != self._model:
            template = JsonTemplate.from_parts(_parts_of(*found))
            self._model, self._documents = found, JsonDocuments(template, self._function, self._packets)
        return self._documents


def _identity_of(model: ModelIdentity) -> tuple[str, str, tuple[int, ...]]:
    return model.name, model.version, model.lead_times_min


def _fill(values: F64, outlooks: Outlooks) -> None:
    """Write the rounded powers of ``outlooks`` to the ``values`` ``[N, V]`` of their documents."""
    lists_kw = values.reshape(len(outlooks), 2, N_COLUMNS, -1)
    lists_kw[:, 0], lists_kw[:, 1] = outlooks.point_kw.transpose(0, 2, 1), outlooks.mean_kw.transpose(0, 2, 1)
    values.round(DECIMALS, out=values)


def _texts_of(outlooks: Outlooks) -> list[str]:
    """Return the texts of the documents: all first texts, then all second texts."""
    minutes, leads_min = outlooks.observed_minutes, outlooks.lead_times_min
    texts = [*outlooks.devices, *map(minute_label, minutes)]
    texts += [instant_label(outlooks.issued_at_ms)] * len(outlooks)
    texts += [_target_labels(minute, leads_min) for minute in minutes]
    return texts


@functools.lru_cache(maxsize=16)  # a batch has few different minutes
def _target_labels(minute: int, leads_min: tuple[int, ...]) -> str:
    """Return the list of the labels of the lead times after ``minute``."""
    return '["' + '","'.join([minute_label(minute + lead_min) for lead_min in leads_min]) + '"]'


def _parts_of(name: str, version: str, leads_min: tuple[int, ...]) -> Iterator[str | SlotKind]:
    """Yield the parts of the template of a model's outlooks: four texts, and the lists of powers."""
    nothing_kw = np.zeros((len(leads_min), N_COLUMNS))
    outlook = Outlook("", 0, 0, name, version, leads_min, nothing_kw, nothing_kw)
    for i, field in enumerate(OUTLOOK_FIELDS):
        yield f'{"," if i else "{"}"{field.name}":'
        if field.name in _TEXTS:
            yield from ('"', SlotKind.TEXT, '"')
        elif field.name == _TARGETS:
            yield SlotKind.TEXT
        elif field.type is FieldType.NUMBERS:
            for lead in range(len(leads_min)):
                yield "," if lead else "["
                yield SlotKind.NUMBER
            yield "]"
        else:
            yield json.dumps(field.value(outlook), separators=_SEPARATORS)
    yield "}"
