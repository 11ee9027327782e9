"""The stream of readings as samples: three per minute, whose mean is the minute's reading."""

from __future__ import annotations

from bench.faults.stream import FIRST_MINUTE, MeterStream, power_kw
from bench.fleet import device_name

#: ``gapcast.toml`` of the gateway.
CONFIGURATION = """\
[[sources]]
topic = "meter/{device}"
value = "kw"
unit = "kW"
time = "t"
time_form = "epoch_s"
every_s = 20
"""
#: Second of the minute, and offset of the sample from the minute's mean, kW.
_SAMPLES = ((0, 0.05), (20, -0.07), (40, 0.02))
_MIN_S = 60


class SampledStream(MeterStream):
    """Publishes samples, and after the last minute one more sample that completes it."""

    def _publish_minute(self, minute: int) -> int:
        for second, off_kw in _SAMPLES:
            for device in range(self.n_devices):
                self._sample(device, minute, second, power_kw(device, minute) + off_kw)
        return len(_SAMPLES) * self.n_devices

    def _publish_end(self, minute: int) -> None:
        for device in range(self.n_devices):
            self._sample(device, minute, 0, 1.0)

    def _sample(self, device: int, minute: int, second: int, kw: float) -> None:
        at_s = (FIRST_MINUTE + minute) * _MIN_S + second
        self._meter.publish(f"meter/{device_name(device)}", f'{{"t": {at_s}, "kw": {kw:.3f}}}', 1)
