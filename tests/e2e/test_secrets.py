"""Passwords do not appear in logs, over REST or in a crash."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.e2e.conftest import Start
from tests.support.certificates import Authority
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S

PASSWORD, KEY_PASSWORD = "broker-word-4711", "key-word-4712"
CRASHING = """
import os
from threading import Event
from gapcast.app.application import Application
from gapcast.config.loader import load
from gapcast.observability.logs import configure_logs

settings = load(None, os.environ, {})
configure_logs("console", "debug")
application = Application(settings, os.environ)

stopping = Event()

def fail(timeout_s):
    stopping.set()
    raise RuntimeError(f"{settings} {application.session._options} {vars(application.session)}")

application.service.run_once = fail
application.run(stopping)  # the error is contained, and logged
fail(0)  # this one ends the process
"""


def secrets(authority: Authority) -> dict[str, str]:
    identity = authority.issue("gateway", alternative="DNS:gateway")
    return {
        "GAPCAST_MQTT__USERNAME": "house",
        "GAPCAST_MQTT__PASSWORD": PASSWORD,
        "GAPCAST_MQTT__TLS__ENABLED": "true",
        "GAPCAST_MQTT__TLS__CERTIFICATE_PATH": str(identity.certificate),
        "GAPCAST_MQTT__TLS__KEY_PATH": str(authority.encrypted(identity, KEY_PASSWORD)),
        "GAPCAST_MQTT__TLS__KEY_PASSWORD": KEY_PASSWORD,
        "GAPCAST_LOG__LEVEL": "debug",
    }


def test_running_service_shows_no_secret(
    start: Start, settings_of: Callable[[int], tuple[str, ...]], http_port: int, authority: Authority
) -> None:
    service = start("run", *settings_of(free_port()), **secrets(authority))
    service.wait_ready(http_port, "/livez")
    service.wait_for_output("mqtt.unreachable")
    routes = ("/models", "/metrics", "/readyz", "/openapi.json", "/predict")
    shown = "".join(httpx.get(f"http://{LOOPBACK}:{http_port}{route}").text for route in routes)
    service.signal(signal.SIGTERM)
    assert service.wait() == 0
    for secret in (PASSWORD, KEY_PASSWORD):
        assert secret not in shown + service.out + service.err


def test_error_contained_or_not_shows_no_secret(
    authority: Authority, environment: dict[str, str], tmp_path: Path
) -> None:
    variables = environment | secrets(authority) | {
        "GAPCAST_HTTP__HOST": LOOPBACK, "GAPCAST_HTTP__PORT": str(free_port()), "GAPCAST_GATEWAY__ID": "e2e",
    }  # fmt: skip
    crashed = subprocess.run(
        [sys.executable, "-c", CRASHING], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=GUARD_S,
    )  # fmt: skip
    assert crashed.returncode != 0
    logged, _, last_words = crashed.stderr.rpartition("service.stopped")
    for shown in (logged, last_words):
        assert "RuntimeError" in shown
        assert "username='house'" in shown, "what is no secret is there"
    for secret in (PASSWORD, KEY_PASSWORD):
        assert secret not in crashed.stdout + crashed.stderr
