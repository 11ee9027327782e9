"""Renders the output of ``gapcast status`` for a real run as SVG: see scripts/status-picture."""

from __future__ import annotations

import re
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from _picture_gateway import HOST, HTTP_PORT, MQTT_PORT, picture_settings, publish, running

from gapcast.core.time_grid import DAY_MIN
from gapcast.demo.broker import EmbeddedBroker
from gapcast.status.rendering import TerminalStyle, draw
from gapcast.status.rest_client import RestClient
from gapcast.status.status_snapshot import fetch_snapshot

N_MINUTES = 2 * DAY_MIN
COLOURS = {"1": "#ffffff", "2": "#8b949e", "31": "#ff7b72", "32": "#7ee787", "33": "#f2cc60"}
PLAIN, GROUND = "#d0d7de", "#161b22"
LINE_PX, CHARACTER_PX, EDGE_PX = 20, 8.4, 18


def main(path: Path) -> None:
    """Publish two days of each device at full speed and the next hour slowly; then render the status."""
    with ExitStack() as stack:
        broker = EmbeddedBroker(MQTT_PORT)
        broker.start()
        stack.callback(broker.stop)
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcast-picture-"))
        settings = picture_settings(Path(state))
        with running(settings) as gateway:
            publish(gateway, 0, N_MINUTES, pause_s=0.0)
        with running(settings) as gateway:
            publish(gateway, N_MINUTES, 60, pause_s=0.02)
            lines = draw(
                fetch_snapshot(RestClient(f"http://{HOST}:{HTTP_PORT}")),
                None,
                datetime.now(UTC),
                TerminalStyle(colours=True),
            )
    path.write_text(svg(lines), encoding="utf-8")


def svg(lines: list[str]) -> str:
    """Return terminal lines as SVG."""
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
    """Return a line with its colours as SVG text."""
    parts = re.split(r"\033\[(\d+)m", line)
    made = [escape(parts[0])]
    for code, text in zip(parts[1::2], parts[2::2], strict=True):
        colour = COLOURS.get(code)
        made.append(f'<tspan fill="{colour}">{escape(text)}</tspan>' if colour else escape(text))
    return "".join(made)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
