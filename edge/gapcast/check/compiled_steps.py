"""Checks that the compiled steps can be used."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.check.finding import CheckInput, Finding, ok, warn
from gapcast.compiled.library import loaded

_FIX = (
    "install the released wheel (Linux with glibc on x86-64, 64-bit ARM or 32-bit ARMv7), or install a C compiler "
    "(apt install gcc libc6-dev) and then gapcast from its source; ignore this where processor time does not matter"
)


def check_compiled_steps(inputs: CheckInput) -> Iterator[Finding]:
    """Open the library of compiled steps; without it the forecasts are the same, and cost more."""
    found = loaded()
    if found.library is None:
        text = f"none ({found.problem}): numpy computes the same forecasts, in several times the processor time"
        yield warn("compiled steps", text, _FIX)
    else:
        yield ok("compiled steps", f"in use, built for {found.machine}")
