"""Changes of the state other than readings: made by users, persisted between batches, repeated after a restart."""

from __future__ import annotations

from typing import NamedTuple

from gapcast.core.billing.changes import CorrectedMonthPeak, LimitChange
from gapcast.core.plans.plan import LoadPlan


class ForgottenDevice(NamedTuple):
    """A device that was forgotten."""

    device: str


class ReplacedPlan(NamedTuple):
    """A device whose plan was replaced."""

    device: str
    plan: LoadPlan


StateChange = ForgottenDevice | ReplacedPlan | LimitChange | CorrectedMonthPeak
