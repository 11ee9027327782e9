"""The number of processors that a process may use: its affinity, and the quotas of its control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gapcast.config.machine.processors import n_usable_processors
from tests.security.test_memory_limits import system

GROUP = {"proc__self__cgroup": "0::/a/b\n"}


@pytest.mark.parametrize(
    ("files", "n"),
    [
        ({}, 4),
        (GROUP | {"sys__fs__cgroup__a__b__cpu.max": "max 100000\n"}, 4),
        (GROUP | {"sys__fs__cgroup__a__b__cpu.max": "200000 100000\n"}, 2),
        (GROUP | {"sys__fs__cgroup__a__cpu.max": "150000 100000\n", "sys__fs__cgroup__a__b__cpu.max": "max 100000"}, 1),
        (GROUP | {"sys__fs__cgroup__a__b__cpu.max": "20000 100000\n"}, 1),
        (GROUP | {"sys__fs__cgroup__a__b__cpu.max": "900000 100000\n"}, 4),
        (GROUP | {"sys__fs__cgroup__a__b__cpu.max": "much 0\n100000 0\n100000\n"}, 4),
        ({"proc__self__cgroup": "1:cpu:/a\n", "sys__fs__cgroup__a__cpu.max": "100000 100000\n"}, 4),
    ],
)
def test_usable_processors_respect_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], n: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5})
    assert n_usable_processors(system(tmp_path, **files)) == n


def test_usable_processors_respect_the_affinity(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(before)])
    try:
        assert n_usable_processors(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(("n_machine", "n"), [(3, 3), (None, 1)])
def test_usable_processors_without_affinity_are_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_machine: int | None, n: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: n_machine)
    assert n_usable_processors(tmp_path) == n
