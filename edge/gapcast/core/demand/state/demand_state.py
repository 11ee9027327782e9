"""The stored state of the demands of devices: the newest one, what was learned, and the live scores."""

from __future__ import annotations

from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.scores.live_scores import LiveScores
from gapcast.core.demand.state.newest_demands import NEWEST, initial_newest


class DemandState:
    """The state of each device, in the rows from 1 on, like those of the outlooks."""

    def __init__(self, power: RemainingPower) -> None:
        #: The distributions of what remains, with what was learned of them.
        self.power = power
        #: The newest demands.
        self.newest = DeviceRows({NEWEST: initial_newest()})
        #: The live scores.
        self.live = LiveScores()

    def by_prefix(self) -> dict[str, DeviceRows]:
        """Return the state that is valid for one outlook model, by the prefix of its columns."""
        return {"": self.newest, "power/": self.power.state, "live/": self.live.state}

    def adopt(self, before: DemandState) -> None:
        """Continue with the state of ``before``, which must not be used afterwards."""
        self.newest, self.power.state, self.live = before.newest, before.power.state, before.live

    def forget(self, row: int) -> None:
        """Remove all state of the device of ``row`` of the buffers."""
        self.newest.forget(row + 1)
        self.power.state.forget(row + 1)
        self.live.forget(row + 1)
