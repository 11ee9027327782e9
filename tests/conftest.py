"""Fixtures of all tests. Importing this module needs only pytest and hypothesis; fixtures may need more."""

from __future__ import annotations

import gc
import inspect
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.brokers import Broker, MosquittoBroker, default_broker_kind, started_broker
from tests.support.certificates import Authority
from tests.support.measured_tests import pytest_runtest_call
from tests.support.optional_tools import (
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
    register_markers,
    whole_set_path,
)
from tests.support.waiting import GUARD_S

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_runtest_call",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

# The same examples on every run and machine; `scripts/test --hypothesis-profile=explore` tries new ones. No deadline
# and no check for slow generation, which would fail on a busy machine.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", _UNTIMED, derandomize=True)
settings.register_profile("explore", _UNTIMED, max_examples=3_000)
settings.register_profile("brief", _UNTIMED, derandomize=True, max_examples=10)  # for a second and a third Python
settings.load_profile("steady")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and let commands be interrupted: a shell's background jobs ignore SIGINT otherwise."""
    register_markers(config)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # until the tests run: what is imported is not garbage


def pytest_collection_finish() -> None:
    """Exclude modules and tests from collections of garbage, which took a tenth of the time of TensorFlow's tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def patient_requests() -> None:
    """Let a request of httpx wait longer than its default of 5 s, which is short on a machine busy with other tests.

    Requests share one list of certificate authorities, because each would read it again, which takes ten milliseconds.
    """
    httpx = sys.modules.get("httpx")  # imported by every module that makes requests
    if httpx is not None:
        timeout = inspect.signature(httpx.get).parameters["timeout"].default
        timeout.connect = timeout.read = timeout.write = timeout.pool = GUARD_S
        authorities = httpx.create_ssl_context()
        for request in (httpx.get, httpx.post, httpx.put, httpx.delete):
            request.__kwdefaults__["verify"] = authorities


@pytest.fixture
def restored_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo the configuration of logs by a command that the test runs in this process.

    Loggers are not cached meanwhile: a cached one would keep the command's configuration in later tests.
    """
    import structlog

    before, root, configure = structlog.get_config(), logging.getLogger(), structlog.configure
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(structlog, "configure", lambda **how: configure(**how | {"cache_logger_on_first_use": False}))
    yield
    configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A started broker: mosquitto if it is installed, else the embedded one.

    Modules that test details of the protocol override it with a fixture that has ``params=BROKER_KINDS``.
    """
    with started_broker(default_broker_kind(), tmp_path) as made:
        yield made


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A started mosquitto, for tests that need MQTT 5, or broker state that survives a restart."""
    made = MosquittoBroker(tmp_path / "mosquitto")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def restricted_broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto with one account, ``gapcast``, which has no rights."""
    plugin = next(Path("/usr/lib").rglob("mosquitto_dynamic_security.so"))
    accounts = tmp_path / "accounts.json"
    subprocess.run(["mosquitto_ctrl", "dynsec", "init", str(accounts), "gapcast", "the word"], check=True)
    document = json.loads(accounts.read_text(encoding="utf-8"))
    document["clients"][0]["roles"] = []  # without the administrator role
    accounts.write_text(json.dumps(document), encoding="utf-8")
    accounts.chmod(0o600)
    broker = MosquittoBroker(tmp_path / "mosquitto", (f"plugin {plugin}", f"plugin_opt_config_file {accounts}"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of the test's own."""
    return Authority(tmp_path / "authority")


@pytest.fixture(scope="session")
def whole_set() -> Path:
    """The zip with the whole UCI set; for tests marked ``wholeset``."""
    path = whole_set_path()
    assert path is not None, "a test that uses whole_set must be marked wholeset"
    return path
