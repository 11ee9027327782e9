"""Forecasts on their way out: on which topic, for how long, and with what of their reading's properties."""

from __future__ import annotations

from gapcast.core.forecast import Forecasts
from gapcast.core.forecast_json import ForecastEncoder
from gapcast.core.grid import MINUTE_MS
from gapcast.core.reading import Reading
from gapcast.mqtt.frames import Publication
from gapcast.mqtt.properties import passed_on
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DeviceTopic

#: Expiry of a forecast whose reading is itself of the past, as in a replay.
REPLAY_EXPIRY_S = 300


class ForecastPublisher:
    """Publishes forecasts, batch by batch: what the readings of one bore goes with its forecasts."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Publish over ``session`` on each device's ``topic``."""
        self._session = session
        self._encoder = ForecastEncoder()
        self._retain = retain
        self._before, self._after = topic.before.encode(), topic.after.encode()
        #: Device and minute -> properties that their forecast bears.
        self._carried: dict[tuple[str, int], bytes] = {}

    def begin(self) -> None:
        """Begin a batch."""
        self._carried.clear()

    def carry(self, reading: Reading, publication: Publication) -> None:
        """Let the forecast of ``reading`` bear what its message did."""
        if publication.properties and (carried := passed_on(publication.properties)):
            self._carried.setdefault((reading.device, reading.minute), carried)

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast on its device's topic; return their receipts.

        With MQTT 5 it expires at its target time. What its reading bore of correlation data and user
        properties goes with it.
        """
        if not len(forecasts):
            return []
        horizon_min = forecasts.model.lead_times_min[-1]
        now_min = forecasts.issued_at_ms / MINUTE_MS
        publish, before, after, retain = self._session.publish, self._before, self._after, self._retain
        receipts, carried = [], self._carried
        for device, minute, payload in zip(
            forecasts.devices, forecasts.observed_minutes, self._encoder.encode(forecasts), strict=True
        ):
            topic = b"%b%b%b" % (before, device.encode(), after)
            left_min = minute + horizon_min - now_min
            expiry_s = int(left_min * 60) if 0 < left_min <= horizon_min + 1 else REPLAY_EXPIRY_S
            extra = carried.get((device, minute), b"") if carried else b""
            receipts.append(publish(topic, payload, retain=retain, expiry_s=expiry_s or 1, extra=extra))
        return receipts
