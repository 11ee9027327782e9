"""The JSON object of a device's demand in REST: the published one, with the month's highest windows and a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gapcast.core.billing.low_limit import LIMIT_WARNING, LowLimit, text_of
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.documents.document import demand_document
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.grid import minute_label

#: The field with the month's highest windows, and of how many days it has one.
MONTH_PEAKS, N_MONTH_PEAKS = "month_peaks", 5


def device_demand_document(demand: Demand, peaks: Sequence[DayPeak], low_limit: LowLimit | None) -> dict[str, Any]:
    """Return the JSON object of ``demand`` with ``peaks``, those of its device's running month, highest first.

    ``low_limit`` is the device's limit if it is too low.
    """
    highest = [{"start": minute_label(one.start_minute), "kw": round(one.kw, DECIMALS)} for one in peaks]
    return {**demand_document(demand), MONTH_PEAKS: highest, LIMIT_WARNING: text_of(low_limit)}
