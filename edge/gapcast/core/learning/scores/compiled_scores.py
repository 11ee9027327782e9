"""The sums of scores and drift, computed by the compiled library: the same digits in a tenth of the time.

Outcomes of a compiled step are read in place. Other outcomes are copied to arrays with fixed addresses: numpy takes ten
times as long to return an address as to copy a few numbers. The copy also converts types and strides.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from operator import attrgetter

import numpy as np

from gapcast.compiled.functions import Function, ResizableArrays, load_function, set_pointers
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.ensemble.step_outcomes import KINDS, OutcomesStruct, StepOutcomes
from gapcast.core.learning.scores.drift_state import DriftState, EndedDays
from gapcast.core.learning.scores.score_sums import ScoreSums

_Integers, _Doubles = ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_double)
_Floats, _Shorts = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_int32)


class _ScoreSumsStruct(ctypes.Structure):
    """``struct score_sums`` of ``scores.c``."""

    _fields_ = (
        ("outcomes", ctypes.c_void_p), ("buckets", _Floats), ("bucket_ids", _Shorts), ("all_time", _Doubles),
        ("newest_minute", _Integers), ("n_rows", ctypes.c_int64), ("max_devices", ctypes.c_int64),
        ("n_members", ctypes.c_int64), ("n_sources", ctypes.c_int64), ("n_sums", ctypes.c_int64),
    )  # fmt: skip


class _DriftStateStruct(ctypes.Structure):
    """``struct drift_state`` of ``drift.c``."""

    _fields_ = (
        ("outcomes", ctypes.c_void_p), ("day", _Integers), ("today", _Doubles), ("ended", _Integers),
        ("totals", _Doubles), ("n_rows", ctypes.c_int64), ("max_devices", ctypes.c_int64),
        ("min_outcomes", ctypes.c_double),
    )  # fmt: skip


def new_score_sums(members: tuple[str, ...], max_devices: int) -> ScoreSums:
    """Return empty sums; they are compiled if there is a library for this machine."""
    add = load_function("gapcast_add_to_scores")
    return ScoreSums(members, max_devices) if add is None else CompiledScoreSums(members, max_devices, add)


def new_drift_state(max_devices: int, min_outcomes: int) -> DriftState:
    """Return the state of new devices; it is compiled if there is a library for this machine."""
    add = load_function("gapcast_add_to_days")
    return DriftState(max_devices, min_outcomes) if add is None else CompiledDriftState(max_devices, min_outcomes, add)


class CompiledScoreSums(ScoreSums):
    """Score sums computed by ``gapcast_add_to_scores``."""

    def __init__(self, members: tuple[str, ...], max_devices: int, add: Function) -> None:
        """Add outcomes with the function ``add``."""
        super().__init__(members, max_devices)
        self._batch = _BatchCopy(
            rows=(), minutes=(), actual_kw=(), last_kw=(), members_kw=(2, len(members)), published_kw=(4,)
        )
        self._struct = _ScoreSumsStruct(
            max_devices=max_devices, n_members=len(members), n_sources=len(self.sources), n_sums=self.n_sums
        )
        self._function, self._address = add, ctypes.addressof(self._struct)
        self._bind()

    def add(self, outcomes: Outcomes) -> None:
        """Add outcomes, in order for each device; outcomes of untracked rows are ignored."""
        n = len(outcomes.rows)
        self._struct.outcomes = self._batch.address_of(outcomes)
        if self.arrays is not self._bound:
            self._bind()
        n_rows = self._function(self._address, n)
        if n_rows:
            self.grow(n_rows)
            self._bind()
            self._function(self._address, n)

    def _bind(self) -> None:
        """Pass the arrays to the library."""
        self._bound, self._struct.n_rows = self.arrays, len(self)
        set_pointers(self._struct, **self.arrays)


class CompiledDriftState(DriftState):
    """State of drift; ``gapcast_add_to_days`` adds the outcomes of the days in progress."""

    def __init__(self, max_devices: int, min_outcomes: int, add: Function) -> None:
        """Add outcomes with the function ``add``."""
        super().__init__(max_devices, min_outcomes)
        self._batch = _BatchCopy(rows=(), minutes=(), actual_kw=(), published_kw=(4,))
        self._struct = _DriftStateStruct(max_devices=max_devices, min_outcomes=min_outcomes)
        self._function, self._address = add, ctypes.addressof(self._struct)
        self._ended_at, self._totals = np.empty(0, dtype=np.int64), np.empty((0, 2))
        self._bind()

    def add(self, outcomes: Outcomes) -> EndedDays | None:
        """Add outcomes, in order for each device; return the complete days that ended, None without any.

        Outcomes of untracked rows are ignored.
        """
        n = len(outcomes.rows)
        self._struct.outcomes = self._batch.address_of(outcomes)
        if n > len(self._ended_at) or self.arrays is not self._bound:
            size = max(n, len(self._ended_at))
            self._ended_at, self._totals = np.empty(size, dtype=np.int64), np.empty((size, 2))
            self._bind()
        n_ended = self._function(self._address, n)
        if n_ended < 0:
            self.grow(-n_ended)
            self._bind()
            n_ended = self._function(self._address, n)
        return self._ended(outcomes, self._ended_at[:n_ended], self._totals[:n_ended]) if n_ended else None

    def _bind(self) -> None:
        """Pass the arrays to the library."""
        self._bound, self._struct.n_rows = self.arrays, len(self)
        day, today = self.arrays["day"], self.arrays["today"]
        set_pointers(self._struct, day=day, today=today, ended=self._ended_at, totals=self._totals)


class _BatchCopy:
    """Copies of the arrays of outcomes, at addresses that change only when a batch is larger than all earlier ones."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        """Copy arrays with these ``shapes``, given without the number of outcomes."""
        struct = OutcomesStruct()
        self._address = ctypes.addressof(struct)
        self._shapes: Mapping[str, tuple[int, ...]] = shapes
        self._of = attrgetter(*shapes)
        self._batch = ResizableArrays(struct, {name: (KINDS[name], shape) for name, shape in shapes.items()})

    def address_of(self, outcomes: Outcomes) -> int:
        """Return the address of the structure of ``outcomes``, or of a copy.

        Raises :class:`ValueError` if an array has another shape.
        """
        if isinstance(outcomes, StepOutcomes):
            n_members = self._shapes.get("members_kw")
            if n_members is None or outcomes.members_kw.shape[1:] == n_members:
                return outcomes.address
        n = len(outcomes.rows)
        if n != self._batch.n:
            self._batch.resize(n)
        for place, array in zip(self._batch.views.values(), self._of(outcomes), strict=True):
            place[...] = array
        return self._address
