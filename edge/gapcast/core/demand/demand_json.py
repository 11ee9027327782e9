"""The documents of a batch of demands as JSON, and its powers in whole watts.

Without the compiled library numbers are rounded at once, and written by one template. The documents are those of
:func:`gapcast.core.demand.document.demand_document`; the fields are declared there.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache

import numpy as np

from gapcast.core.demand.compiled_texts import compiled_texts
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.demand_texts import DemandTexts
from gapcast.core.demand.document import DEMAND_FIELDS, DEMAND_SCHEMA, NEXT, W_PER_KW, WINDOW_FIELDS, headroom_w
from gapcast.core.demand.max_power import max_powers_w
from gapcast.core.demand.window_demands import SOURCES
from gapcast.core.forecast import DECIMALS
from gapcast.core.grid import instant_label, minute_label

_TEXT = json.dumps
_SOURCES = [_TEXT(source.value) for source in SOURCES]
#: The numbers of a window that are rounded, in the order of its fields.
_OF_RUNNING = ("so_far_kw", "expected_kw", "lower_kw", "median_kw", "upper_kw", "limit_kw", "p_exceed")
_OF_NEXT = _OF_RUNNING[1:]
_OTHERS = ("month_peak_kw", "fuse_kw", "p_fuse")
#: A document, with a placeholder for each value.
_TEMPLATE = ",".join(
    (
        *(f'"{field.name}":%s' for field in DEMAND_FIELDS),
        f'"{NEXT}":{{' + ",".join(f'"{field.name}":%s' for field in WINDOW_FIELDS) + "}",
    )
).join("{}")


#: Texts of models and their versions.
_text = lru_cache(maxsize=16)(_TEXT)


@lru_cache(maxsize=1_024)
def _minute(minute: int) -> str:
    return f'"{minute_label(minute)}"'


def demand_texts(demands: Demands) -> DemandTexts:
    """Return the texts of ``demands``."""
    return compiled_texts(demands) or reference_texts(demands)


def demand_payloads(demands: Demands) -> list[bytes]:
    """Return the document of each of ``demands`` as JSON."""
    return demand_texts(demands).documents


def reference_texts(demands: Demands) -> DemandTexts:
    """Return the texts of ``demands`` without the compiled library."""
    headrooms_w = list(map(headroom_w, demands.running.headroom_kw.tolist()))
    return DemandTexts(_payloads(demands), headrooms_w, max_powers_w(demands).tolist())


def _payloads(demands: Demands) -> list[bytes]:
    running, following, model = demands.running, demands.next, demands.model
    numbers = np.array(
        [
            *(getattr(running, name) for name in _OF_RUNNING),
            *(getattr(demands, name) for name in _OTHERS),
            *(getattr(following, name) for name in _OF_NEXT),
        ]
    )
    of_windows = (
        (
            map(_minute, one.start_minutes.tolist()),
            map(_minute, one.end_minutes.tolist()),
            [_SOURCES[code] for code in one.sources.tolist()],
            map(math.floor, (one.headroom_kw * W_PER_KW).tolist()),
        )
        for one in (running, following)
    )
    columns = (
        demands.devices,
        map(_minute, demands.observed_minutes.tolist()),
        map(_minute, demands.valid_until_minutes.tolist()),
        running.elapsed_min.tolist(),
        demands.risk.tolist(),
        numbers.round(DECIMALS).T.tolist(),
        *(zip(*one, strict=True) for one in of_windows),
    )
    of_batch = f'"{instant_label(demands.issued_at_ms)}"', _text(model.name), _text(model.version)
    payloads = []
    for device, observed_at, valid_until, elapsed_min, risk, values, now, after in zip(*columns, strict=True):
        known = [value if value == value else "null" for value in values]  # noqa: PLR0124 - NaN differs from itself
        start, end, source, headroom_w = now
        next_start, next_end, next_source, next_headroom_w = after
        of_running = start, end, elapsed_min, *known[:6], source, known[6], headroom_w
        of_next = next_start, next_end, *known[10:15], next_source, known[15], next_headroom_w
        identity = DEMAND_SCHEMA, f'"{device}"', observed_at, *of_batch  # device ids need no escapes
        row = *identity, *of_running, risk, *known[7:10], valid_until, *of_next
        payloads.append((_TEMPLATE % row).encode())
    return payloads
