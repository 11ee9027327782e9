"""Detects registers that are far below the gateway's own means, as with a wrong unit.

A meter measures the same energy as its registers, and registers of imported energy can only be higher than the net
power. So a register that is far below is of another unit, topic or length of windows, and would show room where there
is none. Single low values also occur with correct registers: the meter's clock, and so its window, can be a minute off,
and the gateway can have interpolated minutes. They are not used, but reported only if they recur.
"""

from __future__ import annotations

from typing import NamedTuple

from gapcast.core.billing.device_windows import WindowState
from gapcast.core.billing.registers import Register

#: A running register below this part of the own mean is not used.
_LEAST_RUNNING = 0.5
#: A month's peak below this part of the own one is not used, unless the own one is faulty.
_LEAST_PEAK = 0.1
#: The own one may be faulty if the register is at least this part of the power that several windows reached.
_LEAST_CONFIRMED = 0.5
#: Values that are lower than this by the own means are not compared, kW: registers are rounded.
_LEAST_KW = 0.05
#: Number of windows with a too low register, and no plausible value in between, when it is reported.
_N_REPORTED = 3


class LowRegister(NamedTuple):
    """A register of the device of ``row`` that is too low: its power, and that of the same window as measured, kW."""

    row: int
    register: Register
    register_kw: float
    measured_kw: float


class RegisterCheck:
    """Compares registers with own means, and collects those to report: one line for each device and register."""

    def __init__(self) -> None:
        #: By row and register: the number of windows with a low value since the last plausible one, and the newest.
        self._low: dict[tuple[int, Register], tuple[int, int]] = {}
        self._reported: set[tuple[int, Register]] = set()
        self._to_report: list[LowRegister] = []

    def accepts_running(self, row: int, minute: int, state: WindowState, so_far_kw: float) -> bool:
        """Return whether ``so_far_kw``, the mean so far by the register, is plausible after ``minute`` of ``state``.

        Only windows are compared whose minutes are all known, and not with ``imports_only``: a register that counts net
        energy is lower.
        """
        elapsed_min, window_min = minute + 1 - state.start_minute, state.end_minute - state.start_minute
        is_comparable = state.n_known >= elapsed_min and state.least_kw < 0
        if not is_comparable or state.sum_kw < _LEAST_KW * window_min:
            return True
        measured_kw = state.sum_kw / state.n_known
        if so_far_kw >= _LEAST_RUNNING * measured_kw:
            self._low.pop((row, Register.RUNNING), None)
            return True
        if 2 * elapsed_min >= window_min:
            self._record(LowRegister(row, Register.RUNNING, so_far_kw, measured_kw), state.start_minute)
        return False

    def accepts_peak(
        self, row: int, start_minute: int, measured_kw: float, confirmed_kw: float | None, peak_kw: float
    ) -> bool:
        """Return whether ``peak_kw``, the month's peak by the register, is plausible if the own one is ``measured_kw``.

        ``start_minute`` is that of the running window. A faulty reading or a wrong correction may have raised the own
        peak to any power, so a register is also plausible if it is not far below ``confirmed_kw``
        (:attr:`.MonthPeaks.confirmed_kw`). Until that is known, nothing is reported.
        """
        least_kw = _LEAST_PEAK * measured_kw
        if confirmed_kw is not None and confirmed_kw >= _LEAST_KW:
            least_kw = min(least_kw, _LEAST_CONFIRMED * confirmed_kw)
        if measured_kw < _LEAST_KW or peak_kw >= least_kw:
            self._low.pop((row, Register.MONTH_PEAK), None)
            return True
        found = LowRegister(row, Register.MONTH_PEAK, peak_kw, measured_kw)
        self._record(found, start_minute, can_report=confirmed_kw is not None)
        return False

    def take_reports(self) -> list[LowRegister]:
        """Return the registers that are to be reported since the last call."""
        reports, self._to_report = self._to_report, []
        return reports

    def forget(self, row: int) -> None:
        """Remove what is known of the device of ``row``."""
        for register in Register:
            self._low.pop((row, register), None)
            self._reported.discard((row, register))
        self._to_report = [one for one in self._to_report if one.row != row]

    def _record(self, found: LowRegister, start_minute: int, *, can_report: bool = True) -> None:
        key = found.row, found.register
        n_windows, newest = self._low.get(key, (0, -1))
        if start_minute == newest:
            return
        self._low[key] = n_windows + 1, start_minute
        if can_report and n_windows + 1 >= _N_REPORTED and key not in self._reported:
            self._reported.add(key)
            self._to_report.append(found)
