"""What followed earlier moments of the window that resemble the newest one: analog forecasts, as features.

A moment is compared with an earlier one by the course of the power before it, relative to its own power: by the squared
differences of both courses, in units of the window's spread. The changes that followed the earlier moments are averaged
with weights that decay with the difference (a kernel regression: Nadaraya 1964; analogs: Lorenz 1969). A load that
cycles is forecast by its last cycles, whatever its power and its times.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from gapcast_trainer.errors import RunError
from gapcast_trainer.families.parts.base import Design
from gapcast_trainer.families.parts.graph import by_window, moving_mean


@dataclass(frozen=True, slots=True)
class Course:
    """The course of the power before a moment: ``n`` means of ``step_min`` minutes each, the newest one last.

    ``decay`` is the weight of a mean relative to that of the next newer one. ``widths`` are root mean squared
    differences at which the weight of an analog has fallen to 0.6 (the standard deviations of a normal kernel).
    """

    n: int
    step_min: int
    decay: float
    widths: tuple[float, ...]

    @property
    def length_min(self) -> int:
        """The number of minutes before a moment in its course."""
        return self.n * self.step_min - 1

    @property
    def weights(self) -> list[float]:
        """The weights of the means, which sum up to 1."""
        found = self.decay ** np.arange(self.n - 1, -1, -1)
        return [float(weight) for weight in found / found.sum()]


#: The last 8 minutes one by one, and the last 48 minutes in means of four.
COURSES = (Course(8, 1, 0.9, (0.15,)), Course(12, 4, 0.85, (0.15, 0.5)))
#: Lead times of the changes that are averaged, minutes.
_LEADS_MIN = (1, 3, 5)
#: Limit of relative changes, and the changes from which on one counts as a step: partly, and wholly.
_LIMIT, _STEP, _WHOLE_STEP = 8.0, 0.2, 0.4
#: Weight of the assumption that nothing changes, in analogs.
_NO_CHANGE = 0.05
#: The shortest window with analogs, minutes.
LEAST_MIN = max(course.length_min for course in COURSES) + _LEADS_MIN[-1] + 1


def check_analogs(design: Design) -> None:
    """Raise :class:`RunError` if a model of ``design`` cannot have analogs."""
    context = design.task.window.context
    if context < LEAST_MIN:
        msg = f"analogs need a context of at least {LEAST_MIN} min, not {context} min: enlarge it, or set analogs = 0"
        raise RunError(msg)
    if design.quantile_levels is None:
        msg = "analogs need outputs.quantile_levels, which the experiment does not state: add them, or set analogs = 0"
        raise RunError(msg)


def analog_features(kw: keras.KerasTensor, spread_kw: keras.KerasTensor) -> keras.KerasTensor:
    """Return features ``[N, F]`` of the power ``kw`` ``[context, N]`` in units of ``spread_kw`` ``[1, N]``.

    For each course and width: the mean changes after 1, 3 and 5 minutes, the mean size of the last, the shares of steps
    up and down, and the logarithm of the mean weight.
    """
    n_minutes, ahead = kw.shape[0], _LEADS_MIN[-1]
    last = n_minutes - 1 - ahead  # the newest moment whose changes are known
    followed = _changes(kw, last, spread_kw)
    unit = 1 / ops.square(spread_kw)
    found = []
    for course in COURSES:
        first = course.length_min
        difference = _differences_kw2(kw, course, first, last) * unit
        values = followed[:, first:, :]
        for width in course.widths:
            weight = ops.exp(difference * (-0.5 / width**2))
            total = ops.sum(weight, axis=0, keepdims=True) + _NO_CHANGE
            found += [ops.sum(values * weight, axis=1) / total, ops.log(total * (1 / weight.shape[0]))]
    return by_window(found)


def _changes(kw: keras.KerasTensor, last: int, spread_kw: keras.KerasTensor) -> keras.KerasTensor:
    """Return ``[6, last + 1, N]``: what followed each moment up to ``last``, in units of ``spread_kw``."""
    now_kw = kw[: last + 1, :]
    after = [ops.clip((kw[lead : last + 1 + lead, :] - now_kw) / spread_kw, -_LIMIT, _LIMIT) for lead in _LEADS_MIN]
    newest, scale = after[-1], 1 / (_WHOLE_STEP - _STEP)
    up, down = (ops.clip(sign * scale * newest - _STEP * scale, 0, 1) for sign in (1, -1))
    rows = [ops.reshape(row, (1, last + 1, -1)) for row in (*after, ops.absolute(newest), up, down)]
    return ops.concatenate([ops.concatenate(rows[:3], axis=0), ops.concatenate(rows[3:], axis=0)], axis=0)


def _differences_kw2(kw: keras.KerasTensor, course: Course, first: int, last: int) -> keras.KerasTensor:
    """Return the mean squared difference of the course before the newest moment from that before each earlier one.

    Of the moments from ``first`` to ``last`` of the power ``kw`` ``[T, N]``: ``[last - first + 1, N]``. Differences are
    taken in kW, where they are nearly exact: divided by the spread before, their rounding would differ between
    runtimes, and the weights magnify it.
    """
    n, step = course.n, course.step_min
    means_kw = moving_mean(kw, step)
    n_means = means_kw.shape[0]
    newest_kw = ops.reshape(means_kw[n_means - n * step :, :], (n, step, -1))[:, step - 1 :, :]
    newest_kw = newest_kw - ops.reshape(kw[-1:, :], (1, 1, -1))
    earlier_kw = ops.reshape(means_kw, (1, n_means, -1)) - newest_kw
    # Row r of n is shifted by (n - 1 - r) steps, so that a column has the course before one moment.
    reach = (n - 1) * step
    flat = ops.reshape(earlier_kw, (n * n_means, -1))
    flat = ops.concatenate([flat[:reach, :], flat, flat[:step, :]], axis=0)
    shifted_kw = ops.reshape(flat, (n, n_means + step, -1))[:, reach : reach + last - first + 1, :]
    moments_kw = ops.reshape(kw[first : last + 1, :], (1, last - first + 1, -1))
    weights = ops.reshape(ops.convert_to_tensor(course.weights, dtype="float32"), (n, 1, 1))
    return ops.sum(ops.square(shifted_kw - moments_kw) * weights, axis=0)
