"""The JSON object of a device's demand in REST: the published one, with the month's highest windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gapcast.core.demand.demand import Demand
from gapcast.core.demand.document import demand_document
from gapcast.core.demand.month_peaks import DayPeak
from gapcast.core.forecast import DECIMALS
from gapcast.core.grid import minute_label

#: The field with the month's highest windows, and of how many days it has one.
MONTH_PEAKS, N_MONTH_PEAKS = "month_peaks", 5


def device_demand_document(demand: Demand, peaks: Sequence[DayPeak]) -> dict[str, Any]:
    """Return the JSON object of ``demand`` with ``peaks``, those of its device's running month, highest first."""
    highest = [{"start": minute_label(one.start_minute), "kw": round(one.kw, DECIMALS)} for one in peaks]
    return {**demand_document(demand), MONTH_PEAKS: highest}
