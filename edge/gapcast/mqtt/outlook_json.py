"""Outlooks as JSON, a batch at a time: the bytes of :func:`gapcast.core.outlook.document.outlook_document`.

Outlooks of one model share a template, and those of a minute its labels: only the powers are encoded one by one.
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

#: Fields of text that differ between the outlooks of a model, in order; they need no escapes.
_TEXTS = ("device", "observed_at", "issued_at")
_TARGETS = "target_at"


def encode_outlooks(outlooks: Outlooks) -> Iterator[bytes]:
    """Yield the JSON of each of ``outlooks``, in order."""
    model, issued_at = outlooks.model, instant_label(outlooks.issued_at_ms).encode()
    template = _template_of(model.name, model.version, leads_min := model.lead_times_min)
    powers_kw = np.concatenate((outlooks.point_kw, outlooks.mean_kw), axis=2).transpose(0, 2, 1).round(DECIMALS)
    lists = to_json(powers_kw.tolist())[3:-3].split(b"]],[[")
    for device, minute, powers in zip(outlooks.devices, outlooks.observed_minutes, lists, strict=True):
        observed_at, target_at = _labels_of(minute, leads_min)
        yield template % (device.encode(), observed_at, issued_at, target_at, *powers.split(b"],["))


@functools.lru_cache(maxsize=16)  # the minutes of one batch are few
def _labels_of(minute: int, leads_min: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Return the label of ``minute``, and the list of those of the lead times."""
    targets = '","'.join([minute_label(minute + lead_min) for lead_min in leads_min])
    return minute_label(minute).encode(), f'["{targets}"]'.encode()


@functools.lru_cache(maxsize=4)
def _template_of(name: str, version: str, leads_min: tuple[int, ...]) -> bytes:
    """Return the template of a model's outlooks: its places are those of the texts, targets and powers."""
    nothing_kw = np.zeros((len(leads_min), N_COLUMNS))
    outlook = Outlook("", 0, 0, name, version, leads_min, nothing_kw, nothing_kw)
    return b"{" + b",".join(_part_of(field, outlook) for field in OUTLOOK_FIELDS) + b"}"


def _part_of(field: OutlookField, outlook: Outlook) -> bytes:
    if field.name in _TEXTS:
        text = b'"%b"'
    elif field.name == _TARGETS:
        text = b"%b"
    elif field.type is FieldType.NUMBERS:
        text = b"[%b]"
    else:
        text = to_json(field.value(outlook)).replace(b"%", b"%%")
    return b'"' + field.name.encode() + b'":' + text
