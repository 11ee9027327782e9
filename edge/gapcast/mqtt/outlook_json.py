"""Outlooks as JSON, a batch at a time: the bytes of :func:`gapcast.core.outlook.document.outlook_document`.

Outlooks of one model share a template, and those of a minute its labels: only the powers are written one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from pydantic_core import to_json

from gapcast.core.forecast import DECIMALS
from gapcast.core.forecast_fields import FieldType
from gapcast.core.grid import instant_label, minute_label
from gapcast.core.outlook.document import OUTLOOK_FIELDS, OutlookField
from gapcast.core.outlook.outlook import N_COLUMNS, Outlook, Outlooks
from gapcast.mqtt.power_lists import PowerLists

#: Fields of text that differ between the outlooks of a model, in order; they need no escapes.
_TEXTS = ("device", "observed_at", "issued_at")
_TARGETS = "target_at"
#: The lists of powers, which are the last fields.
POWERS = tuple(field.name for field in OUTLOOK_FIELDS if field.type is FieldType.NUMBERS)


class OutlookEncoder:
    """Writes batches of outlooks."""

    def __init__(self, *, compiled: bool = True) -> None:
        """``compiled``: write the powers in C where that is possible; the bytes are the same."""
        self._compiled = compiled
        self._n_leads = 0
        self._lists: PowerLists | None = None

    def encode(self, outlooks: Outlooks) -> Iterator[bytes]:
        """Yield the JSON of each of ``outlooks``, in order."""
        model, issued_at = outlooks.model, instant_label(outlooks.issued_at_ms).encode()
        leads_min = model.lead_times_min
        template = _template_of(model.name, model.version, leads_min)
        if self._compiled and self._n_leads != len(leads_min):
            self._n_leads, self._lists = len(leads_min), PowerLists.of(POWERS, len(leads_min))
        lists = None if self._lists is None else self._lists.write(outlooks)
        rows = zip(outlooks.devices, outlooks.observed_minutes, lists or _lists_of(outlooks), strict=True)
        for device, minute, powers in rows:
            observed_at, target_at = _labels_of(minute, leads_min)
            yield template % (device.encode(), observed_at, issued_at, target_at, powers)


def _lists_of(outlooks: Outlooks) -> list[bytes]:
    """Return the lists of powers of each outlook, with their names."""
    powers_kw = np.concatenate((outlooks.point_kw, outlooks.mean_kw), axis=2).transpose(0, 2, 1).round(DECIMALS)
    named = ",".join(f'"{name}":[%b]' for name in POWERS).encode()
    return [named % tuple(row.split(b"],[")) for row in to_json(powers_kw.tolist())[3:-3].split(b"]],[[")]


@functools.lru_cache(maxsize=16)  # the minutes of one batch are few
def _labels_of(minute: int, leads_min: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Return the label of ``minute``, and the list of those of the lead times."""
    targets = '","'.join([minute_label(minute + lead_min) for lead_min in leads_min])
    return minute_label(minute).encode(), f'["{targets}"]'.encode()


@functools.lru_cache(maxsize=4)
def _template_of(name: str, version: str, leads_min: tuple[int, ...]) -> bytes:
    """Return the template of a model's outlooks: its places are those of the texts, the targets, and all lists."""
    nothing_kw = np.zeros((len(leads_min), N_COLUMNS))
    outlook = Outlook("", 0, 0, name, version, leads_min, nothing_kw, nothing_kw)
    parts = [_part_of(field, outlook) for field in OUTLOOK_FIELDS if field.name not in POWERS]
    return b"{" + b",".join([*parts, b"%b"]) + b"}"


def _part_of(field: OutlookField, outlook: Outlook) -> bytes:
    if field.name in _TEXTS:
        text = b'"%b"'
    elif field.name == _TARGETS:
        text = b"%b"
    else:
        text = to_json(field.value(outlook)).replace(b"%", b"%%")
    return b'"' + field.name.encode() + b'":' + text
