"""Analog forecasts as features: the changes after earlier moments of the window that resemble the newest one.

A moment is compared with an earlier one by the course of the power before it, relative to its own power: by the squared
differences of both courses, in units of the window's spread. The changes after the earlier moments are averaged with
weights that decay with the difference (a kernel regression: Nadaraya 1964; analogs: Lorenz 1969). A load that cycles is
thus forecast by its last cycles, whatever its power and its times.
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

    ``decay`` is the weight of a mean relative to the next newer mean. ``widths`` are root mean squared differences at
    which the weight of an analog has fallen to 0.6 (the standard deviations of a normal kernel).
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
        """The weights of the means, which add up to 1."""
        found = self.decay ** np.arange(self.n - 1, -1, -1)
        return [float(weight) for weight in found / found.sum()]


#: The last 8 minutes individually, and the last 48 minutes in means of four.
COURSES = (Course(8, 1, 0.9, (0.15,)), Course(12, 4, 0.85, (0.15, 0.5)))
#: Lead times of the changes that are averaged, minutes.
_LEADS_MIN = (1, 3, 5)
#: Limit of relative changes, and the changes from which a change counts as a step: partly, and wholly.
_LIMIT, _STEP, _WHOLE_STEP = 8.0, 0.2, 0.4
#: Weight of the assumption of no change, in analogs.
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


def analog_features(minutes_kw: keras.KerasTensor, spread_kw: keras.KerasTensor) -> keras.KerasTensor:
    """Return features ``[N, F]`` of the power ``minutes_kw`` ``[context, N]`` in units of ``spread_kw`` ``[1, N]``.

    For each course and width: the mean changes after 1, 3 and 5 minutes, the mean absolute value of the last, the
    shares of steps up and down, and the logarithm of the mean weight. Here minutes are the last axis: an operation that
    subtracts a value from all minutes of a window, or sums over them, then takes the runtime one kernel call per
    window.
    """
    kw, spread_kw = by_window([minutes_kw]), by_window([spread_kw])
    earliest = min(course.length_min for course in COURSES)
    last = kw.shape[1] - 1 - _LEADS_MIN[-1]  # the newest moment whose changes are known
    followed = _changes(kw, earliest, last, spread_kw)
    unit = ops.reshape(1 / ops.square(spread_kw), (-1, 1, 1))
    found = []
    for course in COURSES:
        first = course.length_min
        means_kw = kw if course.step_min == 1 else by_window([moving_mean(minutes_kw, course.step_min)])
        difference = _differences_kw2(kw, means_kw, course, first, last) * unit
        rates = np.reshape([-0.5 / width**2 for width in course.widths], (1, -1, 1)).astype(np.float32)
        weight = ops.exp(difference * rates)  # for each width, [N, W, moments]
        total = ops.sum(weight, axis=2, keepdims=True) + _NO_CHANGE
        values = followed if first == earliest else followed[:, :, first - earliest :]
        n_widths, n_moments = weight.shape[1:]
        weighted = ops.reshape(values, (-1, 1, *values.shape[1:])) * ops.reshape(weight, (-1, n_widths, 1, n_moments))
        sums = ops.sum(weighted, axis=3)
        means = ops.concatenate([sums / total, ops.log(total * (1 / n_moments))], axis=2)
        found.append(ops.reshape(means, (-1, means.shape[1] * means.shape[2])))
    return ops.concatenate(found, axis=1)


def _changes(kw: keras.KerasTensor, first: int, last: int, spread_kw: keras.KerasTensor) -> keras.KerasTensor:
    """Return the changes ``[N, 6, last - first + 1]`` after the moments from ``first``, in units of ``spread_kw``."""
    n_moments = last - first + 1
    now_kw = kw[:, first : last + 1]
    after_kw = [kw[:, first + lead : last + 1 + lead] - now_kw for lead in _LEADS_MIN]
    after = ops.clip(ops.concatenate(after_kw, axis=1) / spread_kw, -_LIMIT, _LIMIT)
    after = ops.reshape(after, (-1, len(_LEADS_MIN), n_moments))
    newest = after[:, -1:, :]
    scale = 1 / (_WHOLE_STEP - _STEP)
    signs = np.reshape([scale, -scale], (1, 2, 1)).astype(np.float32)
    steps = ops.clip(newest * signs - _STEP * scale, 0, 1)
    return ops.concatenate([after, ops.absolute(newest), steps], axis=1)


def _differences_kw2(
    kw: keras.KerasTensor, means_kw: keras.KerasTensor, course: Course, first: int, last: int
) -> keras.KerasTensor:
    """Return the mean squared difference of the courses before the newest moment and before each earlier moment.

    Earlier moments are ``first`` to ``last`` of the power ``kw`` ``[N, T]``, whose moving means are ``means_kw``; the
    result is ``[N, 1, last - first + 1]``. Differences are taken in kW, where they are nearly exact: after a division
    by the spread, their rounding would differ between runtimes, and the weights would magnify it.
    """
    n, step = course.n, course.step_min
    n_means, n_moments = means_kw.shape[1], last - first + 1
    # The newest mean first: a product with zeros and a one is exact.
    chosen = np.zeros((n * step, n), np.float32)
    chosen[step * np.arange(n, 0, -1) - 1, np.arange(n)] = 1
    newest_kw = ops.matmul(means_kw[:, n_means - n * step :], ops.convert_to_tensor(chosen)) - kw[:, -1:]
    earlier_kw = ops.reshape(means_kw, (-1, 1, n_means)) - ops.reshape(newest_kw, (-1, n, 1))
    # Row r of n is shifted by r steps, so that each column has the course before one moment.
    reach, length = (n - 1) * step, n_means - step
    flat = ops.reshape(earlier_kw, (-1, n * n_means))[:, : n * length]
    shifted_kw = ops.reshape(flat, (-1, n, length))[:, :, reach : reach + n_moments]
    moments_kw = ops.reshape(kw[:, first : last + 1], (-1, 1, n_moments))
    weights = np.reshape(course.weights[::-1], (1, n, 1)).astype(np.float32)
    return ops.sum(ops.square(shifted_kw - moments_kw) * weights, axis=1, keepdims=True)
