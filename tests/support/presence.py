"""What a test may need that is not everywhere, and what happens where it is missing.

A test says it by a marker: ``mosquitto``, ``prometheus``, ``systemd``, ``root``, ``openssl``, ``chromium`` (some given
by its fixtures), ``apparmor``, ``wholeset``, ``homeassistant`` or ``nodered``. Where the thing is missing the test is
deselected, with a line that says so; where ``GAPCAST_REQUIRE`` names it, that is an error. ``GAPCAST_NO_SKIPS=1`` fails
a session in which any test was skipped.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.brokers import mosquitto_command
from tests.support.browser import chromium_command
from tests.support.certificates import openssl_command
from tests.support.systemd import systemd_missing

ROOT = Path(__file__).resolve().parents[2]
WHOLE_SET = "household_power_consumption.zip"
#: Fast ones first: these folders come last, in this order, and within each those that need more.
LAST_FOLDERS = ("integration", "systemd", "page", "trainer", "e2e", "homeassistant", "nodered")
LAST_MARKERS = ("mosquitto", "prometheus", "systemd", "wholeset", "e2e")

_REMARKS = pytest.StashKey[list[str]]()


def whole_set_path() -> Path | None:
    """Where the whole UCI set lies, if it does: ``GAPCAST_WHOLESET``, or ``shared/data`` beside the checkout."""
    named = os.environ.get("GAPCAST_WHOLESET")
    path = Path(named) if named else ROOT.parent / "shared" / "data" / WHOLE_SET
    return path if path.is_file() else None


def prometheus_command() -> str | None:
    """Where Prometheus's server is, if it and its tool are."""
    return shutil.which("prometheus") if shutil.which("promtool") else None


def apparmor_command() -> str | None:
    """Return the path of ``apparmor_parser``, with the abstractions that a profile includes, if they are installed."""
    command = shutil.which("apparmor_parser", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return command if Path("/etc/apparmor.d/abstractions/base").exists() else None


def home_assistant_command() -> str | None:
    """Where Home Assistant is, if the variable that scripts/try-home-assistant sets says so."""
    return os.environ.get("GAPCAST_HOME_ASSISTANT")


def node_red_command() -> str | None:
    """Where Node-RED is, if the variable that scripts/try-node-red sets says so."""
    return os.environ.get("GAPCAST_NODE_RED")


def _missing() -> dict[str, str]:
    """Marker -> why its tests cannot run here."""
    missing = {}
    if mosquitto_command() is None:
        missing["mosquitto"] = "mosquitto is not installed"
    if prometheus_command() is None:
        missing["prometheus"] = "prometheus and promtool are not installed"
    if why := systemd_missing():
        missing["systemd"] = why
    if os.geteuid() != 0:
        missing["root"] = "only root can give root up"
    if chromium_command() is None or find_spec("playwright") is None:
        missing["chromium"] = "chromium is not installed, or Playwright is not (requirements/test.txt)"
    if openssl_command() is None:
        missing["openssl"] = "the command openssl is not installed"
    if apparmor_command() is None:
        missing["apparmor"] = "apparmor_parser is not installed"
    if home_assistant_command() is None:
        missing["homeassistant"] = "they need a Home Assistant (scripts/try-home-assistant)"
    if node_red_command() is None:
        missing["nodered"] = "they need a Node-RED (scripts/try-node-red)"
    if whole_set_path() is None:
        missing["wholeset"] = f"{WHOLE_SET} is not at hand (GAPCAST_WHOLESET names it)"
    return missing


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses mosquitto, leave out what cannot run, put slow tests last."""
    for item in items:
        if "mosquitto" in getattr(item, "fixturenames", ()):
            item.add_marker("mosquitto")
        if "node_red" in getattr(item, "fixturenames", ()):
            item.add_marker("nodered")
        if "page" in item.path.relative_to(ROOT).parts:
            item.add_marker("chromium")
            item.add_marker("mosquitto")
        if "authority" in getattr(item, "fixturenames", ()):
            item.add_marker("openssl")
        if "e2e" in item.path.relative_to(ROOT).parts:
            item.add_marker("e2e")
    remarks = config.stash.setdefault(_REMARKS, [])
    required = {name for name in os.environ.get("GAPCAST_REQUIRE", "").split(",") if name}
    for marker, why in _missing().items():
        left_out = [item for item in items if item.get_closest_marker(marker)]
        if left_out and marker in required:
            msg = f"GAPCAST_REQUIRE asks for {marker}, but {why}"
            raise pytest.UsageError(msg)
        if left_out:
            remarks.append(f"{len(left_out)} tests left out: {why}")
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    items.sort(key=_slowness)


def _slowness(item: pytest.Item) -> tuple[int, int]:
    parts = item.path.relative_to(ROOT).parts
    folder = max((rank for rank, name in enumerate(LAST_FOLDERS, 1) if name in parts), default=0)
    return folder, max((rank for rank, name in enumerate(LAST_MARKERS, 1) if item.get_closest_marker(name)), default=0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, and what must not have been skipped."""
    for remark in config.stash.get(_REMARKS, []):
        terminalreporter.write_line(remark)
    if _skipped_in_vain(terminalreporter):
        terminalreporter.write_line("GAPCAST_NO_SKIPS is set, and tests were skipped", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a session with skips where none may be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and reporter is not None and _skipped_in_vain(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped_in_vain(reporter: pytest.TerminalReporter) -> bool:
    return os.environ.get("GAPCAST_NO_SKIPS", "") not in {"", "0"} and bool(reporter.stats.get("skipped"))
