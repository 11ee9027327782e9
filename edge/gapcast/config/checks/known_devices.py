"""Checks that each device with its own keys can be the device of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gapcast.config.sections.demand import DemandSettings
from gapcast.config.sections.forecast import ForecastSettings
from gapcast.config.sections.sources import SourceSettings, fixed_devices, no_source


def device_problems(
    sources: Sequence[SourceSettings], demand: DemandSettings, forecast: ForecastSettings
) -> Iterator[str]:
    """Yield a sentence with the key for each device of ``demand`` and ``forecast`` that no source in ``sources`` has.

    Yields nothing if a source, or a native reading, may be of any device.
    """
    fixed = fixed_devices(sources)
    if not fixed:
        return
    keys = {f"demand.devices.{i}.device": one.device for i, one in enumerate(demand.devices)}
    keys |= {f"forecast.devices.{device}": device for device in forecast.devices}
    for key, device in keys.items():
        if device not in fixed:
            yield f"{key}: {no_source(device, fixed)}"
