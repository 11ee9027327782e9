"""Outlooks as JSON, a batch at a time: the values of :func:`gapcast.core.outlook.document.outlook_document`.

Outlooks of one model have one form, and those of a minute the same labels.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

import numpy as np

from gapcast.core.document_field import FieldType
from gapcast.core.forecast import DECIMALS
from gapcast.core.grid import instant_label, minute_label
from gapcast.core.json_documents import JsonDocuments
from gapcast.core.json_rows import JsonForm, SlotKind
from gapcast.core.outlook.document import OUTLOOK_FIELDS
from gapcast.core.outlook.outlook import N_COLUMNS, Outlook, Outlooks
from gapcast.core.predictor import ModelIdentity

#: Fields that differ between the outlooks of a model, in order; they need no escapes.
_TEXTS = ("device", "observed_at", "issued_at")
_TARGETS = "target_at"
_SEPARATORS = (",", ":")


class OutlookEncoder:
    """Writes batches of outlooks."""

    def __init__(self, *, compiled: bool = True) -> None:
        """``compiled``: write them in C where that is possible; the bytes are the same."""
        self._compiled = compiled
        self._model: tuple[str, str, tuple[int, ...]] | None = None
        self._documents: JsonDocuments | None = None

    def encode(self, outlooks: Outlooks) -> list[bytes]:
        """Return the JSON of each of ``outlooks``, in order."""
        n, leads_min = len(outlooks), outlooks.lead_times_min
        documents = self._documents_of(outlooks.model)
        texts = [*outlooks.devices, *map(minute_label, outlooks.observed_minutes)]
        texts += [instant_label(outlooks.issued_at_ms)] * n
        texts += [_target_labels(minute, leads_min) for minute in outlooks.observed_minutes]
        values = documents.values(n)
        lists_kw = values.reshape(n, 2, N_COLUMNS, len(leads_min))
        lists_kw[:, 0], lists_kw[:, 1] = outlooks.point_kw.transpose(0, 2, 1), outlooks.mean_kw.transpose(0, 2, 1)
        return documents.write(texts, values.round(DECIMALS, out=values))

    def _documents_of(self, model: ModelIdentity) -> JsonDocuments:
        found = model.name, model.version, model.lead_times_min
        if self._documents is None or found != self._model:
            form = JsonForm.of(_parts_of(*found))
            self._model, self._documents = found, JsonDocuments(form, compiled=self._compiled)
        return self._documents


@functools.lru_cache(maxsize=16)  # the minutes of one batch are few
def _target_labels(minute: int, leads_min: tuple[int, ...]) -> str:
    """Return the list of the lead times' labels after ``minute``."""
    return '["' + '","'.join([minute_label(minute + lead_min) for lead_min in leads_min]) + '"]'


def _parts_of(name: str, version: str, leads_min: tuple[int, ...]) -> Iterator[str | SlotKind]:
    """Yield the parts of the form of a model's outlooks: four texts, and the lists of powers."""
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
