"""The page in Chromium: cold load time, and frame times while its list of 500 reporting devices scrolls."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.broker import NoBrokerError, running_broker
from bench.fleet import Fleet
from bench.load import Generator
from bench.subject import Subject, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

N_DEVICES = 500
#: Enough minutes to fill the chart's first range.
N_MINUTES = 200
_WINDOW = 1_000
_LOADED = "() => performance.getEntriesByName('gapcast-usable').length"
_USABLE = "performance.getEntriesByName('gapcast-usable')[0].startTime"
_ALL_LISTED = "(n) => document.querySelector('#count').innerText === n"
_SCROLL = """async (forMs) => {
  const box = document.querySelector('#list');
  const times = [];
  let most = 0, step = 24;
  const begin = performance.now();
  for (let now = begin; now < begin + forMs;) {
    now = await new Promise(requestAnimationFrame);
    times.push(now);
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) step = -24;
    if (box.scrollTop <= 0) step = 24;
    box.scrollTop += step;
    most = Math.max(most, document.querySelectorAll('.device').length);
  }
  return [times, most];
}"""


@dataclass(frozen=True, slots=True)
class PageFigures:
    """Cold loads until forecast and chart are drawn (ms each), bytes transferred, and frame times of scrolling (ms)."""

    name: str
    usable_ms: list[float]
    n_bytes: int
    frame_p50_ms: float
    frame_p99_ms: float
    frame_max_ms: float
    n_frames: int
    most_rows: int


def measure(subject: Subject, n_loads: int, scroll_s: float) -> PageFigures:
    """Load the page of a gateway with :data:`N_DEVICES` devices that report every second, and scroll through them."""
    with (
        running_broker(nodelay=True) as (port, _),
        running(subject, port, 1) as gateway,
        Generator(port, Fleet(N_DEVICES, 1)) as generator,
        _browser() as browser,
    ):
        generator.wait_until_answered()
        generator.send_minutes(N_MINUTES, _WINDOW)
        url = f"http://127.0.0.1:{gateway.http_port}/"
        loads = [_cold(browser, url) for _ in range(n_loads)]
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(url)
        page.wait_for_function(_ALL_LISTED, arg=str(N_DEVICES))
        with _each_second(generator):
            times, most_rows = page.evaluate(_SCROLL, scroll_s * 1_000)
    frames_ms = np.diff(times)
    p50, p99, most = np.percentile(frames_ms, (50, 99, 100))
    return PageFigures(
        subject.name,
        [usable_ms for usable_ms, _ in loads],
        max(n_bytes for _, n_bytes in loads),
        frame_p50_ms=float(p50),
        frame_p99_ms=float(p99),
        frame_max_ms=float(most),
        n_frames=len(frames_ms),
        most_rows=most_rows,
    )


def _cold(browser: Browser, url: str) -> tuple[float, int]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})  # with its own empty cache
    page = context.new_page()
    received = _received(page)
    page.goto(url)
    page.wait_for_function(_LOADED)
    usable_ms = float(page.evaluate(_USABLE))
    page.wait_for_function(_ALL_LISTED, arg=str(N_DEVICES))
    n_bytes = sum(received.values())
    context.close()
    return usable_ms, n_bytes


def _received(page: Page) -> dict[str, int]:
    received: dict[str, int] = {}
    traffic = page.context.new_cdp_session(page)

    def add_chunk(event: dict[str, Any]) -> None:
        received[event["requestId"]] = received.get(event["requestId"], 0) + event["encodedDataLength"]

    def set_total(event: dict[str, Any]) -> None:
        received[event["requestId"]] = event["encodedDataLength"]

    traffic.on("Network.dataReceived", add_chunk)
    traffic.on("Network.loadingFinished", set_total)
    traffic.send("Network.enable")
    return received


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only in the test environment, for this part

    command = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    if command is None:
        msg = "chromium is not installed"
        raise NoBrokerError(msg)
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield playwright.chromium.launch(executable_path=command, args=sandbox)


@contextmanager
def _each_second(generator: Generator) -> Iterator[None]:
    stopping = threading.Event()

    def send() -> None:
        while not stopping.is_set():
            due_s = time.monotonic() + 1
            generator.send_minutes(1, _WINDOW)
            stopping.wait(max(0.0, due_s - time.monotonic()))

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        stopping.set()
        sending.join()
