"""``gapcast check`` reports whether the compiled steps are in use, and why not."""

from __future__ import annotations

import pytest

from gapcast.check import machine
from gapcast.check.finding import CheckInput, Severity
from gapcast.check.machine import check_compiled_steps
from gapcast.compiled.library import LoadedLibrary, machine_name
from gapcast.config.settings import Settings

SITUATION = CheckInput(Settings(), {}, 0.0)


@pytest.mark.compiled
def test_check_names_the_machine_of_the_compiled_steps() -> None:
    (finding,) = check_compiled_steps(SITUATION)
    assert finding.lines() == [f"ok   compiled steps: in use, built for {machine_name()}"]


def test_check_states_why_there_are_no_compiled_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "loaded", lambda: LoadedLibrary(None, "riscv64", "this installation has none"))
    (finding,) = check_compiled_steps(SITUATION)
    assert finding.severity is Severity.WARN
    assert "none (this installation has none): numpy is used instead" in finding.text
    assert "C compiler" in finding.fix
