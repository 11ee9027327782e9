"""Draws what ``gapcast status`` shows of a real run, as SVG: see scripts/status-picture."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from html import escape
from itertools import islice
from pathlib import Path
from threading import Event, Thread

from edge.compose import Application
from edge.core.grid import DAY_MIN
from edge.core.reading import Limits
from edge.demo.broker import EmbeddedBroker
from edge.replay.publisher import Meter
from edge.replay.source import Columns, read_minutes
from edge.sample import sample_path
from edge.settings import Settings
from edge.status.asking import Rest
from edge.status.drawing import Pen, draw
from edge.status.picture import take_picture

HOST, MQTT_PORT, HTTP_PORT = "127.0.0.1", 18_831, 18_080
DAY_OF = {"cellar": 0, "home": 1, "workshop": 2}
N_MINUTES = 2 * DAY_MIN
LONGEST_S = 120.0
COLOURS = {"1": "#ffffff", "2": "#8b949e", "31": "#ff7b72", "32": "#7ee787", "33": "#f2cc60"}
PLAIN, GROUND = "#d0d7de", "#161b22"
LINE_PX, CHARACTER_PX, EDGE_PX = 20, 8.4, 18


def main(path: Path) -> None:
    """Give a gateway two days of each device at once, and the next hour at a pace; then draw it."""
    with ExitStack() as stack:
        broker = EmbeddedBroker(MQTT_PORT, HOST)
        broker.start()
        stack.callback(broker.stop)
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcast-picture-"))
        settings = Settings.model_validate({
            "mqtt": {"host": HOST, "port": MQTT_PORT, "protocol": "3.1.1"},
            "http": {"host": HOST, "port": HTTP_PORT},
            "state": {"path": state},
            "metrics": {"per_device": len(DAY_OF)},
        })  # fmt: skip
        with running(settings) as gateway:
            publish(gateway, 0, N_MINUTES, pause_s=0.0)
        with running(settings) as gateway:
            publish(gateway, N_MINUTES, 60, pause_s=0.02)
            lines = draw(take_picture(Rest(f"http://{HOST}:{HTTP_PORT}")), None, datetime.now(UTC), Pen(colours=True))
    path.write_text(svg(lines), encoding="utf-8")


@contextmanager
def running(settings: Settings) -> Iterator[Application]:
    """Run a gateway, and wait until it is connected."""
    stopping = Event()
    gateway = Application(settings, {})
    thread = Thread(target=gateway.run, args=(stopping,), name="gateway")
    thread.start()
    try:
        wait_until(lambda: gateway.service.connected)
        yield gateway
    finally:
        stopping.set()
        thread.join()


def publish(gateway: Application, start: int, n_minutes: int, pause_s: float) -> None:
    """Publish so many minutes of each device, and wait until they are taken."""
    with ExitStack() as stack:
        meters = []
        for device, day in DAY_OF.items():
            minutes = read_minutes(sample_path(), Columns(), Limits())
            first = day * DAY_MIN + start
            meter = stack.enter_context(Meter(HOST, MQTT_PORT, f"gap/{device}/reading"))
            meters.append((meter, islice(minutes, first, first + n_minutes)))
        for _ in range(n_minutes):
            for meter, minutes in meters:
                meter.publish(next(minutes))
                time.sleep(pause_s)
        wait_until(lambda: gateway.service.statistics.readings["accepted"] >= n_minutes * len(DAY_OF))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; end in words where it does not come."""
    deadline_s = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline_s:
            sys.exit("the gateway has not done its part in time")
        time.sleep(0.05)


def svg(lines: list[str]) -> str:
    """Return lines of a terminal as a picture."""
    width = max(len(re.sub(r"\033\[\d+m", "", line)) for line in lines) * CHARACTER_PX + 2 * EDGE_PX
    height = len(lines) * LINE_PX + 2 * EDGE_PX
    texts = "\n".join(
        f'<text x="{EDGE_PX}" y="{EDGE_PX + (i + 1) * LINE_PX - 6}" xml:space="preserve">{spans(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img">\n'
        "<title>gapcast status in a terminal</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>\n'
        f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" fill="{PLAIN}">\n{texts}\n</g>\n'
        "</svg>\n"
    )


def spans(line: str) -> str:
    """Return a line with its colours."""
    parts = re.split(r"\033\[(\d+)m", line)
    made = [escape(parts[0])]
    for code, text in zip(parts[1::2], parts[2::2], strict=True):
        colour = COLOURS.get(code)
        made.append(f'<tspan fill="{colour}">{escape(text)}</tspan>' if colour else escape(text))
    return "".join(made)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
