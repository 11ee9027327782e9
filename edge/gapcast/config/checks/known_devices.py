"""The devices that have keys of their own: each is one that a source can have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gapcast.config.sections.demand import DemandSettings
from gapcast.config.sections.forecast import ForecastSettings
from gapcast.config.sections.sources import SourceSettings, fixed_devices, no_source


def device_problems(
    sources: Sequence[SourceSettings], demand: DemandSettings, forecast: ForecastSettings
) -> Iterator[str]:
    """Yield each device of ``demand`` and ``forecast`` that none of ``sources`` has, in a sentence with the key.

    None is a problem if a source, or a native reading, may be of any device.
    """
    fixed = fixed_devices(sources)
    if not fixed:
        return
    keys = {f"demand.devices.{i}.device": one.device for i, one in enumerate(demand.devices)}
    keys |= {f"forecast.devices.{device}": device for device in forecast.devices}
    for key, device in keys.items():
        if device not in fixed:
            yield f"{key}: {no_source(device, fixed)}"
