"""The page of a house with an outlook: the chart continues for an hour; without one it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.page.conftest import Look
from tests.support.brokers import MosquittoBroker
from tests.support.browser import BrowserWindow
from tests.support.gateways import Gateway
from tests.support.models import models_with_outlook
from tests.support.peers import peer_of

READING = '{{"ts": "2026-01-01T12:{:02}:00Z", "gap_kw": {}}}'
ROWS = "rows => rows.map((row) => [...row.children].slice(1).map((cell) => cell.innerText))"


def outlook_of(gateway: Gateway) -> dict[str, Any]:
    outlook: dict[str, Any] = httpx.get(f"{gateway.url}/outlook?device=home").json()
    return outlook


def point_at_the_end(window: BrowserWindow) -> None:
    """Point at the right edge of the chart: the last minute."""
    box = window.page.locator("#chart .u-over").bounding_box()
    assert box is not None
    window.page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] / 2)


def see_outlook(window: BrowserWindow, outlook: dict[str, Any]) -> None:
    """Check that every part of ``outlook`` that the page shows is present."""
    means = [outlook["mean_to_kw"][outlook["lead_min"].index(minutes)] for minutes in (15, 30, 60)]
    window.wait(
        "(means) => means.every((kw, i) => Number(document.querySelectorAll('#means data')[i]?.value) === kw)", means
    )
    window.page.mouse.move(0, 0)
    window.see("#chart-note", f"Mean of the next hour: {means[-1]:.2f} kW")
    point_at_the_end(window)
    window.see("#readout", f"forecast {outlook['mean_kw'][-1]:.3f} kW · median {outlook['median_kw'][-1]:.3f} kW")
    window.see("#readout", f"mean from now until then {means[-1]:.3f} kW")
    rows = window.page.locator("#outlook-rows tr").evaluate_all(ROWS)
    assert rows == [
        [f"{mean:.3f}", f"{lower:.3f} to {upper:.3f}", f"{mean_to:.3f}", f"{lower_to:.3f} to {upper_to:.3f}"]
        for mean, lower, upper, mean_to, lower_to, upper_to in zip(
            *(
                outlook[f"{kind}kw"]
                for kind in ("mean_", "lower_", "upper_", "mean_to_", "mean_to_lower_", "mean_to_upper_")
            ),
            strict=True,
        )
    ]


def test_house_chart_continues_with_the_outlook(
    mosquitto: MosquittoBroker, start: Callable[..., Gateway], look: Look, tmp_path: Path
) -> None:
    sections = models_with_outlook(tmp_path / "models")
    sections["outlook"]["max_devices"] = 1
    gateway = start(mosquitto, **sections)
    with peer_of(mosquitto.host, mosquitto.port) as peer:
        for minute in range(20):
            for device in ("home", "second"):
                peer.publish(f"gap/{device}/reading", READING.format(minute, 1 + minute % 4 / 10))
        gateway.wait_taken(40)
        window = look(f"{gateway.url}/#device=home")
        window.page.locator("#outlook-part summary").click()
        window.see("#key-path", "next 60 minutes")
        see_outlook(window, outlook_of(gateway))
        peer.publish("gap/home/reading", READING.format(20, 2.5))
        gateway.wait_taken(41)
        see_outlook(window, outlook_of(gateway))
        between = window.page.evaluate(
            """async (document) => {
              const { Outlook } = await import('./page/outlook.js');
              const outlook = new Outlook(document);
              const at = (lead) => outlook.at(outlook.minute + lead);
              return [at(0), at(7).mean, at(7).upperTo, at(60).median, at(61), outlook.next(7)];
            }""",
            outlook := outlook_of(gateway),
        )
        at = {lead_min: i for i, lead_min in enumerate(outlook["lead_min"])}
        mean, upper = (
            0.6 * outlook[name][at[5]] + 0.4 * outlook[name][at[10]] for name in ("mean_kw", "mean_to_upper_kw")
        )
        assert between == [None, pytest.approx(mean), pytest.approx(upper), outlook["median_kw"][at[60]], None, None]
        other = look(f"{gateway.url}/#device=second")
        other.see("#chart-note", "Forecast for ")
        other.see("#key-path", "next 5 minutes")
        point_at_the_end(other)
        other.see("#readout", "90 % interval")
        assert "median" not in other.text("#readout")
        for part in ("#means-label", "#key-median", "#outlook-part"):
            other.gone(part)
