"""scripts/setup-gateway with a stand-in for docker, which records its arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.optional_tools import ROOT

_DOCKER = """#!/bin/sh
echo "$*" >>"$CALLS"
[ "$2" != ps ] || printf '%s' "$RUNNING"
"""
_SETUP = "compose run --rm --no-deps --quiet-pull setup"
_STATUS = "compose ps --quiet --status running mosquitto"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, and a ``docker`` that runs nothing."""
    for name in ("bin", "scripts", "docker/config", "docker/secrets/accounts", "docker/secrets/broker"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "docker/secrets/accounts/attic").write_text("password", encoding="utf-8")
    docker = tmp_path / "bin/docker"
    docker.write_text(_DOCKER, encoding="utf-8")
    docker.chmod(0o755)
    shutil.copy2(ROOT / "scripts/setup-gateway", tmp_path / "scripts")
    return tmp_path


def calls_of(checkout: Path, *words: str, running: str) -> Sequence[str]:
    """Run the script with ``words``, with a broker's container of the id ``running``; return the calls of docker."""
    calls = checkout / "calls"
    path = f"{checkout / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CALLS": str(calls), "RUNNING": running}
    subprocess.run([checkout / "scripts/setup-gateway", *words], env=environment, check=True, capture_output=True)
    return calls.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("words", "setups"),
    [
        ((), [_SETUP]),
        (("account", "attic"), [f"{_SETUP} attic"]),
        pytest.param(("tls", "gateway.local"), [_SETUP, _SETUP], marks=pytest.mark.openssl),
    ],
)
def test_setup_gateway_restarts_a_running_broker_once(
    checkout: Path, words: Sequence[str], setups: Sequence[str]
) -> None:
    """A reload by SIGHUP would let mosquitto disconnect clients again and again."""
    assert calls_of(checkout, *words, running="1a2b") == [*setups, _STATUS, "compose restart mosquitto"]


def test_setup_gateway_does_not_start_a_broker(checkout: Path) -> None:
    assert calls_of(checkout, running="") == [_SETUP, _STATUS]
