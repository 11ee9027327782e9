"""The demo's MQTT client: subscribes to the forecasts, prints them, and scores them."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Condition, Event

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gapcast.core.documents.figures import skill_or_nan
from gapcast.core.errors import BrokerError
from gapcast.mqtt.connection.client import disconnect
from gapcast.text.json_input import JsonError, decode_json

_SUBSCRIBE_S = 60.0


class Watcher:
    """A stock MQTT client; prints one line per forecast, with its outcome."""

    def __init__(self, host: str, port: int, device: str, show: Callable[[str], None]) -> None:
        self._scored: list[tuple[float, ...]] = []  # the forecast of each outcome, minus the outcome, kW
        self.n_readings = self.n_forecasts = 0
        self.has_median = False
        self.latencies_s: list[float] = []
        self._forecast = f"gap/{device}/forecast"
        self._show = show
        self._seen = Condition()
        self._published: dict[str, tuple[float, float]] = {}  # minute -> (power kW, when it was published)
        # target minute -> (forecast kW, last reading kW, median kW if the model provides one)
        self._forecasts: dict[str, tuple[float, float, float | None]] = {}
        self._subscribed = Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._host, self._port = host, port

    def __enter__(self) -> Watcher:
        """Subscribe; raise :class:`BrokerError` if the broker does not confirm."""
        self._client.connect(self._host, self._port)
        self._client.loop_start()
        if not self._subscribed.wait(_SUBSCRIBE_S):
            msg = f"the broker at {self._host} port {self._port} refuses the subscription"
            raise BrokerError(msg)
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        disconnect(self._client)
        del self._client  # the last reference: paho then closes the sockets that wake its loop

    def wait_for(self, n_forecasts: int, timeout_s: float) -> bool:
        """Wait for ``n_forecasts``; return whether they arrived in time."""
        with self._seen:
            return self._seen.wait_for(lambda: self.n_forecasts >= n_forecasts, timeout_s)

    def sent(self, minute_label: str, gap_kw: float) -> None:
        """Record a reading that is being published: the outcome of the forecast for its minute."""
        with self._seen:
            self.n_readings += 1
            self._published[minute_label] = (gap_kw, time.perf_counter())
            if minute_label in self._forecasts:
                self._score(minute_label)

    def _score(self, minute_label: str) -> None:
        actual_kw, _ = self._published[minute_label]
        forecast_kw, last_kw, median_kw = self._forecasts[minute_label]
        forecasts_kw = forecast_kw, last_kw, forecast_kw if median_kw is None else median_kw
        self._scored.append(tuple(kw - actual_kw for kw in forecasts_kw))

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe(self._forecast, qos=1)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        received_s = time.perf_counter()
        try:
            forecast = decode_json(message.payload)
            observed_at, target_at = str(forecast["observed_at"]), str(forecast["target_at"])
            forecast_kw, median_kw = float(forecast["gap_kw"]), forecast["median_kw"]
            median_kw = None if median_kw is None else float(median_kw)
        except (JsonError, LookupError, TypeError, ValueError, OverflowError):
            return  # not this gateway's forecast: the demo's broker accepts messages from anyone
        with self._seen:
            if observed_at not in self._published:
                return  # a reading of another client
            now_kw, sent_s = self._published[observed_at]
            self.latencies_s.append(received_s - sent_s)
            self.has_median = median_kw is not None
            self._forecasts[target_at] = (forecast_kw, now_kw, median_kw)
            if target_at in self._published:  # at full speed the meter is ahead of the forecasts
                self._score(target_at)
            line = f"{_clock(observed_at)}  now {now_kw:6.3f} kW   {target_at[11:16]} {forecast_kw:6.3f} kW"
            before = self._forecasts.get(observed_at)
            if before is not None:
                line += f"   | forecast for now {before[0]:6.3f} kW, error {abs(before[0] - now_kw):5.3f} kW"
            self.n_forecasts += 1
            self._seen.notify_all()
        self._show(line)

    def summary(self, *, paced: bool) -> str:
        """Return the scores and latencies in a few lines; at full speed (not ``paced``) readings queue."""
        if not self._scored:
            return f"{self.n_readings} readings, {self.n_forecasts} forecasts: not enough data to score"
        errors_kw = np.array(self._scored)
        mse_kw2, persistence_mse_kw2, _ = (errors_kw**2).mean(axis=0).tolist()
        _, persistence_mae_kw, mae_kw = np.abs(errors_kw).mean(axis=0).tolist()
        skill = skill_or_nan(mse_kw2, persistence_mse_kw2)
        ordered = sorted(self.latencies_s)
        p50, p99 = (1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
        by_median = "; MAE by the median" if self.has_median else ""
        latency = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms" + ("" if paced else " (at full speed: includes queueing)")
        return "\n".join(
            (
                f"{self.n_readings} readings, {self.n_forecasts} forecasts, {len(self._scored)} scored",
                f"  forecast     MSE {mse_kw2:.4f} kW²  MAE {mae_kw:.4f} kW",
                f"  persistence  MSE {persistence_mse_kw2:.4f} kW²  MAE {persistence_mae_kw:.4f} kW",
                f"  skill {skill:+.1%} (1 - MSE / MSE of persistence{by_median})",
                f"  latency, reading sent to forecast received: {latency}",
            )
        )


def _clock(label: str) -> str:
    return f"{label[:10]} {label[11:16]}"
