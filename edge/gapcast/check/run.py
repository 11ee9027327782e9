"""Runs all checks in order, and computes the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gapcast.check.broker import check_broker, check_former_keys
from gapcast.check.demand import check_demand
from gapcast.check.finding import CheckInput, Finding, Severity
from gapcast.check.machine import check_clock, check_compiled_steps, check_memory, check_port, check_state
from gapcast.check.models import check_models
from gapcast.check.readings import check_readings
from gapcast.config.settings import Settings
from gapcast.text.terminal_text import printable

#: Each yields findings; a later one may use results of an earlier one in :class:`CheckInput`.
CHECKS: tuple[Callable[[CheckInput], Iterator[Finding]], ...] = (
    check_models,
    check_compiled_steps,
    check_demand,
    check_former_keys,
    check_broker,
    check_readings,
    check_clock,
    check_memory,
    check_state,
    check_port,
)


def run_checks(
    settings: Settings, environment: Mapping[str, str], show: Callable[[str], None], wait_s: float = 0.0
) -> int:
    """Show the findings of each check; return the exit code of the first failure, or 0.

    Waits ``wait_s`` for readings (0: does not wait).
    """
    inputs = CheckInput(settings, environment, wait_s)
    code = 0
    try:
        for check in CHECKS:
            for finding in check(inputs):
                for line in finding.lines():
                    show(printable(line))  # it may contain topics and payloads from anyone at the broker
                if finding.severity is Severity.FAIL:
                    code = code or finding.code
    finally:
        if inputs.session is not None:
            inputs.session.close(1.0)
    return code
