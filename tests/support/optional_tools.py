"""Deselects the tests whose tools are not installed.

A test names the tool that it needs by a marker of :data:`TOOLS`; some are set by its fixtures, folder or name.
Without the tool the test is deselected, with a line in the summary; if ``GAPCAST_REQUIRE`` names the tool, that is an
error.
``GAPCAST_NO_SKIPS=1`` fails a session in which any test was skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from gapcast.compiled.library import load_library
from tests.support.brokers import mosquitto_command
from tests.support.browser import chromium_command
from tests.support.certificates import openssl_command
from tests.support.systemd import systemd_missing

ROOT = Path(__file__).resolve().parents[2]
WHOLE_SET = "household_power_consumption.zip"
#: Fast tests run first: these folders come last, in this order, and within each the markers below.
LAST_FOLDERS = ("integration", "systemd", "page", "trainer", "e2e", "homeassistant", "nodered", "emhass")
LAST_MARKERS = ("mosquitto", "prometheus", "systemd", "wholeset", "e2e")

_REMARKS = pytest.StashKey[list[str]]()


def whole_set_path() -> Path | None:
    """Return the path of the whole UCI set: ``GAPCAST_WHOLESET``, or in ``shared/data`` beside the checkout."""
    named = os.environ.get("GAPCAST_WHOLESET")
    path = Path(named) if named else ROOT.parent / "shared" / "data" / WHOLE_SET
    return path if path.is_file() else None


def prometheus_command() -> str | None:
    """Return the path of Prometheus's server, if it and promtool are installed."""
    return shutil.which("prometheus") if shutil.which("promtool") else None


def apparmor_command() -> str | None:
    """Return the path of ``apparmor_parser``, with the abstractions that a profile includes, if they are installed."""
    command = shutil.which("apparmor_parser", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return command if Path("/etc/apparmor.d/abstractions/base").exists() else None


def home_assistant_command() -> str | None:
    """Return the path of Home Assistant from the variable that scripts/try-home-assistant sets, if any."""
    return os.environ.get("GAPCAST_HOME_ASSISTANT")


def node_red_command() -> str | None:
    """Return the path of Node-RED from the variable that scripts/try-node-red sets, if any."""
    return os.environ.get("GAPCAST_NODE_RED")


def emhass_command() -> str | None:
    """Return the path of EMHASS from the variable that scripts/try-emhass sets, if any."""
    return os.environ.get("GAPCAST_EMHASS")


def _needs(why: str, is_there: Callable[[], object]) -> Callable[[], str | None]:
    return lambda: None if is_there() else why


#: By marker: returns why its tests cannot run here, None if they can.
TOOLS: dict[str, Callable[[], str | None]] = {
    "apparmor": _needs("apparmor_parser is not installed", apparmor_command),
    "chromium": _needs(
        "chromium is not installed, or Playwright is not (requirements/test.txt)",
        lambda: chromium_command() and find_spec("playwright"),
    ),
    "compiled": _needs("the compiled steps are not built for this machine (edge/native/build.py)", load_library),
    "curl": _needs("the command curl is not installed", lambda: shutil.which("curl")),
    "emhass": _needs("they need an EMHASS (scripts/try-emhass)", emhass_command),
    "homeassistant": _needs("they need a Home Assistant (scripts/try-home-assistant)", home_assistant_command),
    "lightgbm": _needs("LightGBM is not installed (requirements/trainer-test.txt)", lambda: find_spec("lightgbm")),
    "mosquitto": _needs("mosquitto is not installed", mosquitto_command),
    "mosquitto_sub": _needs("the command mosquitto_sub is not installed", lambda: shutil.which("mosquitto_sub")),
    "nodered": _needs("they need a Node-RED (scripts/try-node-red)", node_red_command),
    "openssl": _needs("the command openssl is not installed", openssl_command),
    "prometheus": _needs("prometheus and promtool are not installed", prometheus_command),
    "root": _needs("not run as root", lambda: os.geteuid() == 0),
    "systemd": systemd_missing,
    "wholeset": _needs(f"{WHOLE_SET} is not available (GAPCAST_WHOLESET names it)", whole_set_path),
}


def register_markers(config: pytest.Config) -> None:
    """Declare the markers of :data:`TOOLS` to pytest."""
    for marker in TOOLS:
        config.addinivalue_line("markers", f"{marker}: left out without the tool (tests/support/optional_tools.py)")


def _missing() -> dict[str, str]:
    """Return, by marker, why its tests cannot run here."""
    return {marker: why for marker, missing in TOOLS.items() if (why := missing())}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add markers by fixture and folder, deselect tests that cannot run, and put slow tests last."""
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
        if item.path.name.startswith("test_compiled_"):
            item.add_marker("compiled")
    remarks = config.stash.setdefault(_REMARKS, [])
    required = {name for name in os.environ.get("GAPCAST_REQUIRE", "").split(",") if name}
    for marker, why in _missing().items():
        deselected = [item for item in items if item.get_closest_marker(marker)]
        if deselected and marker in required:
            msg = f"GAPCAST_REQUIRE asks for {marker}, but {why}"
            raise pytest.UsageError(msg)
        if deselected:
            remarks.append(f"{len(deselected)} tests left out: {why}")
            config.hook.pytest_deselected(items=deselected)
            items[:] = [item for item in items if item not in deselected]
    items.sort(key=_slowness)


def _slowness(item: pytest.Item) -> tuple[int, int]:
    parts = item.path.relative_to(ROOT).parts
    folder = max((rank for rank, name in enumerate(LAST_FOLDERS, 1) if name in parts), default=0)
    return folder, max((rank for rank, name in enumerate(LAST_MARKERS, 1) if item.get_closest_marker(name)), default=0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print which tests were deselected, and whether any were skipped that must not be."""
    for remark in config.stash.get(_REMARKS, []):
        terminalreporter.write_line(remark)
    if _has_forbidden_skips(terminalreporter):
        terminalreporter.write_line("GAPCAST_NO_SKIPS is set, and tests were skipped", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a session with skipped tests if GAPCAST_NO_SKIPS is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and reporter is not None and _has_forbidden_skips(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _has_forbidden_skips(reporter: pytest.TerminalReporter) -> bool:
    return os.environ.get("GAPCAST_NO_SKIPS", "") not in {"", "0"} and bool(reporter.stats.get("skipped"))
