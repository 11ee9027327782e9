"""The documents of a batch of outlooks, rounded at once: a quarter of the time of one by one.

They are those of :func:`gapcast.core.outlook.documents.document.outlook_document`; the fields are declared there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gapcast.core.forecasts.forecast import DECIMALS, LEVEL
from gapcast.core.grid import instant_label, minute_label
from gapcast.core.outlook.documents.document import OUTLOOK_SCHEMA
from gapcast.core.outlook.outlook import Outlooks

#: The lists of powers, in the order of the columns of single minutes and of means.
_POWERS = (
    "mean_kw", "lower_kw", "median_kw", "upper_kw",
    "mean_to_kw", "mean_to_lower_kw", "mean_to_median_kw", "mean_to_upper_kw",
)  # fmt: skip


def outlook_documents(outlooks: Outlooks) -> list[dict[str, Any]]:
    """Return the published JSON object of each of ``outlooks``. Documents share lists: they must not be changed."""
    leads_min, minutes, model = list(outlooks.lead_times_min), outlooks.observed_minutes, outlooks.model
    issued_at = instant_label(outlooks.issued_at_ms)
    targets = {minute: [minute_label(minute + lead_min) for lead_min in leads_min] for minute in set(minutes)}
    powers_kw = np.concatenate((outlooks.point_kw, outlooks.mean_kw), axis=2).round(DECIMALS)
    return [
        {
            "v": OUTLOOK_SCHEMA,
            "device": device,
            "observed_at": minute_label(minute),
            "issued_at": issued_at,
            "model": model.name,
            "model_version": model.version,
            "level": LEVEL,
            "lead_min": leads_min,
            "target_at": targets[minute],
            **dict(zip(_POWERS, lists_kw, strict=True)),
        }
        for device, minute, lists_kw in zip(
            outlooks.devices, minutes, powers_kw.transpose(0, 2, 1).tolist(), strict=True
        )
    ]
