"""The documents of a batch of outlooks, made column by column: a quarter of the time of one by one.

They are those of :func:`gapcast.core.outlook.document.outlook_document`; the fields are declared there.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np

from gapcast.core.forecast import DECIMALS, LEVEL
from gapcast.core.grid import instant_label, minute_label
from gapcast.core.outlook.document import OUTLOOK_FIELDS, OUTLOOK_SCHEMA
from gapcast.core.outlook.outlook import Outlooks

_NAMES = tuple(field.name for field in OUTLOOK_FIELDS)
#: The lists of powers, in the order of the columns of single minutes and of means.
_POWERS = (
    "mean_kw", "lower_kw", "median_kw", "upper_kw",
    "mean_to_kw", "mean_to_lower_kw", "mean_to_median_kw", "mean_to_upper_kw",
)  # fmt: skip


def outlook_documents(outlooks: Outlooks) -> list[dict[str, Any]]:
    """Return the published JSON object of each of ``outlooks``. Documents share lists: they must not be changed."""
    leads_min, minutes, model = list(outlooks.lead_times_min), outlooks.observed_minutes, outlooks.model
    targets = {minute: [minute_label(minute + lead_min) for lead_min in leads_min] for minute in set(minutes)}
    powers_kw = np.concatenate((outlooks.point_kw, outlooks.mean_kw), axis=2).round(DECIMALS).transpose(2, 0, 1)
    columns = {
        "v": repeat(OUTLOOK_SCHEMA),
        "device": outlooks.devices,
        "observed_at": map(minute_label, minutes),
        "issued_at": repeat(instant_label(outlooks.issued_at_ms)),
        "model": repeat(model.name),
        "model_version": repeat(model.version),
        "level": repeat(LEVEL),
        "lead_min": repeat(leads_min),
        "target_at": [targets[minute] for minute in minutes],
        **dict(zip(_POWERS, powers_kw.tolist(), strict=True)),
    }
    rows = zip(*(columns[name] for name in _NAMES), strict=False)
    return [dict(zip(_NAMES, row, strict=True)) for row in rows]
