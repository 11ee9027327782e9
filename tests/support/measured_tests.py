"""Limits coverage to tests not marked ``long``, and to the first examples of each property.

Other tests and the first examples run the same lines, and measuring doubles or triples the time of Python code.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

#: Enough for all lines and branches of the core. Hypothesis begins with the simplest example.
N_EXAMPLES = 25


class _Measurement:
    """The coverage measurement of this process, if it runs under ``coverage run``."""

    def __init__(self) -> None:
        coverage = sys.modules.get("coverage")
        self._running = None if coverage is None else coverage.Coverage.current()
        self._is_stopped = False

    def stop(self) -> None:
        """Stop measuring until :meth:`resume`."""
        if self._running is not None and not self._is_stopped:
            self._running.stop()
            self._is_stopped = True

    def resume(self) -> None:
        """Measure again if it was stopped."""
        if self._running is not None and self._is_stopped:
            self._running.start()
            self._is_stopped = False


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing within: for fixtures whose code other tests cover."""
    measurement = _Measurement()
    measurement.stop()
    try:
        yield
    finally:
        measurement.resume()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure as much of the test as the module says."""
    measurement = _Measurement()
    tested: Any = getattr(getattr(item, "obj", None), "hypothesis", None)
    test = getattr(tested, "inner_test", None)  # None without hypothesis
    if item.get_closest_marker("long") is not None:
        measurement.stop()
    if test is not None:
        tested.inner_test = _with_first_examples_measured(test, measurement)
    try:
        return (yield)
    finally:
        if test is not None:
            tested.inner_test = test
        measurement.resume()


def _with_first_examples_measured(test: Callable[..., object], measurement: _Measurement) -> Callable[..., object]:
    n_run = 0

    @functools.wraps(test)
    def measured(*arguments: object, **named: object) -> object:
        nonlocal n_run
        n_run += 1
        if n_run > N_EXAMPLES:
            measurement.stop()
        return test(*arguments, **named)

    return measured
