"""Changes of the state that are not readings: made by any thread, persisted between two batches."""

from __future__ import annotations

from typing import NamedTuple

from gapcast.core.billing.changes import CorrectedMonthPeak, LimitChange
from gapcast.core.plans.plan import LoadPlan


class ForgottenDevice(NamedTuple):
    """A device that was forgotten."""

    device: str


class PlanChange(NamedTuple):
    """A device with its new plan."""

    device: str
    plan: LoadPlan


#: A change, at its position between two batches.
StateChange = ForgottenDevice | PlanChange | LimitChange | CorrectedMonthPeak
