"""The chart: what is drawn of a device whose minutes are not complete."""

from __future__ import annotations

from gapcast.recordings.recording import Minute
from tests.page.conftest import House, Look, payload
from tests.support.browser import Window

#: A minute of 2026.
FIRST = 29_500_000
#: The number of pixels of the chart that have the colour ``name``.
N_PIXELS = """(name) => {
  const probe = document.querySelector('#chart').appendChild(document.createElement('i'));
  probe.style.color = `var(--${name})`;
  const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const canvas = document.querySelector('#chart canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    n += wanted.every((value, j) => Math.abs(data[i + j] - value) < 12) && data[i + 3] > 200;
  }
  return n;
}"""


def n_pixels(window: Window, name: str) -> int:
    window.is_expected = lambda error: "getImageData" in error  # the test's own asking
    n: int = window.page.evaluate(N_PIXELS, name)
    return n


def publish(house: House, device: str, minutes: range) -> None:
    n = house.gateway.n_taken
    for minute in minutes:
        house.peer.send(f"gap/{device}/reading", payload(Minute(FIRST + minute, 1 + minute % 7 / 10)))
    house.gateway.wait_taken(n + len(minutes))


def test_chart_draws_readings_between_missing_minutes(house: House, look: Look) -> None:
    publish(house, "sparse", range(0, 120, 2))
    window = look(f"{house.url}#device=sparse")
    window.see("#chart-note", "(119 minutes so far)")
    window.wait("() => document.querySelector('#chart canvas')")
    assert n_pixels(window, "measured") > 200
    assert house.gateway.service.forget("sparse")
