"""Exhausted memory and open files: fewer devices than configured, and a service that continues."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import structlog

from gapcast.app.engines.device_limit import device_cost, limit_devices
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import load_models
from gapcast.check.finding import CheckInput, Severity
from gapcast.check.machine import check_memory
from gapcast.config.machine.memory_limit import (
    IDLE_BYTES,
    LEAST_DEVICES,
    DeviceCost,
    MemoryLimit,
    devices_that_fit,
    read_memory_limit,
)
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.streams.week import WeekHistory
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.batch_interpreter import BatchInterpreter
from gapcast.systemd.notify import Notifier
from tests.core.outlook.test_week_in_engine import QuarterMean
from tests.integration.conftest import StartGateway, stack, start_gateway
from tests.security.test_confined_tasks import run
from tests.support.brokers import MosquittoBroker
from tests.support.models import ModelCopy, models_with_outlook, shipped_models
from tests.support.waiting import wait_until

__all__ = ["stack", "start_gateway"]

MB, GB = 1 << 20, 1 << 30


# --- how much memory there is -----------------------------------------------------------------------------


def system(root: Path, **files: str) -> Path:
    """Write a system's files under ``root``; ``__`` in a name stands for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


@pytest.fixture
def _unlimited() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limits[1], limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


MEMINFO = "MemTotal:  1000000 kB\nMemFree: 5 kB\n"
SYSTEMS: dict[str, tuple[dict[str, str], MemoryLimit | None]] = {
    "nothing that says it": ({}, None),
    "a machine": ({"proc__meminfo": MEMINFO}, MemoryLimit(1_024_000_000, "the machine")),
    "a group of version 2": (
        {
            "proc__meminfo": MEMINFO,
            "proc__self__cgroup": "0::/a/b\n",
            "sys__fs__cgroup__a__b__memory.max": "268435456\n",
        },
        MemoryLimit(256 * MB, "/sys/fs/cgroup/a/b/memory.max"),
    ),
    "a group above it": (
        {
            "proc__meminfo": MEMINFO,
            "proc__self__cgroup": "0::/a/b\n",
            "sys__fs__cgroup__a__b__memory.max": "max\n",
            "sys__fs__cgroup__a__memory.max": "134217728\n",
            "sys__fs__cgroup__memory.max": "268435456\n",
        },
        MemoryLimit(128 * MB, "/sys/fs/cgroup/a/memory.max"),
    ),
    "a container's view of its group": (
        {"proc__self__cgroup": "0::/../../docker/x\n", "sys__fs__cgroup__memory.max": "268435456\n"},
        MemoryLimit(256 * MB, "/sys/fs/cgroup/memory.max"),
    ),
    "a group larger than the machine": (
        {"proc__meminfo": MEMINFO, "proc__self__cgroup": "0::/\n", "sys__fs__cgroup__memory.max": f"{8 * GB}\n"},
        MemoryLimit(1_024_000_000, "the machine"),
    ),
    "a group of version 1": (
        {
            "proc__self__cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/x\n",
            "sys__fs__cgroup__memory__docker__x__memory.limit_in_bytes": "268435456\n",
            "sys__fs__cgroup__memory__memory.limit_in_bytes": "9223372036854771712\n",
        },
        MemoryLimit(256 * MB, "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes"),
    ),
    "files that say nothing": (
        {"proc__meminfo": "\n\n", "proc__self__cgroup": "0::/\n\n", "sys__fs__cgroup__memory.max": "much\n"},
        None,
    ),
}


@pytest.mark.usefixtures("_unlimited")
@pytest.mark.parametrize("what", SYSTEMS)
def test_memory_limit_is_the_lowest_that_the_system_states(tmp_path: Path, what: str) -> None:
    files, limit = SYSTEMS[what]
    assert read_memory_limit(system(tmp_path, **files)) == limit


def test_memory_limit_counts_that_of_the_process(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (900 * GB, limits[1]))
    try:
        assert read_memory_limit(tmp_path) == MemoryLimit(900 * GB, "RLIMIT_AS")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_memory_limit_of_this_machine_is_known() -> None:
    limit = read_memory_limit()
    assert limit is not None
    assert 64 * MB < limit.n_bytes < 1 << 50


# --- how many devices fit ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models(settings())


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"models": {"path": shipped_models()}, **sections})


def test_device_limit_is_what_fits_at_most_as_configured() -> None:
    cost = DeviceCost(1_000, tracked_bytes=9_000, n_tracked=100, history_bytes=10_000, n_history=10)
    assert cost.total_bytes(1_000) == 1_000_000 + 900_000 + 100_000
    budget = cost.total_bytes(1_000)
    limit = IDLE_BYTES + int(budget / 0.6) + 10
    assert devices_that_fit(cost, limit, 100_000) == 1_000
    assert devices_that_fit(cost, limit - 1_000, 100_000) == 999
    assert devices_that_fit(cost, limit, 500) == 500
    assert devices_that_fit(cost, 0, 500) == LEAST_DEVICES
    assert devices_that_fit(cost, 0, 5) == 5


def test_devices_max_that_does_not_fit_is_lowered_with_a_warning(models: Models) -> None:
    limit = MemoryLimit(256 * MB, "/sys/fs/cgroup/memory.max")
    with structlog.testing.capture_logs() as lines:
        limited = limit_devices(settings(devices={"max": 1_000_000}), models, limit)
    assert 10_000 < limited.devices.max < 60_000
    assert 500 < limited.learning.max_devices < 1_500, "a device without learning state is still forecast"
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("devices.limited", "warning")
    assert (line["configured"], line["effective"]) == (1_000_000, limited.devices.max)
    assert line["limit"] == "256 MB of memory (limited by /sys/fs/cgroup/memory.max)"
    assert "devices.max" in line["fix"]
    assert engine_of(limited, models).buffers.max_devices == limited.devices.max


def test_devices_max_that_fits_is_unchanged(models: Models) -> None:
    """This number of meters per worker was measured on such a machine (docs/scale.md)."""
    many = settings(devices={"max": 200_000}, learning={"max_devices": 200_000})
    with structlog.testing.capture_logs() as lines:
        assert limit_devices(many, models, MemoryLimit(24 * GB, "the machine")) is many
        assert limit_devices(many, models, None) is many
        default = settings()
        assert limit_devices(default, models, MemoryLimit(512 * MB, "the machine")) is default
    assert lines == []


def test_device_cost_counts_the_arrays_of_a_device(models: Models) -> None:
    cost = device_cost(engine_of(settings(), models))
    assert 1_000 < cost.each_bytes < 3_000
    assert 32_000 < cost.tracked_bytes < 41_000
    assert (cost.n_tracked, cost.n_history) == (1_500, 50)
    assert 40_000 < cost.history_bytes < 45_000
    alone = device_cost(Engine(models.primary))
    assert (alone.tracked_bytes, alone.n_tracked, alone.history_bytes, alone.n_history) == (0, 0, 0, 0)


def test_device_cost_of_a_history_is_of_devices_that_have_one() -> None:
    """The week, its copy in a checkpoint and its features: for tracked devices, or for each one without learning."""
    with_history, without = QuarterMean(), QuarterMean(history_steps=0)
    options = EnsembleOptions()
    each = [device_cost(Engine(model)) for model in (with_history, without)]
    prepared_bytes = WeekHistory(1).n_prepared_bytes_per_device
    assert prepared_bytes == 4 * 7 * 24 * 4
    assert 7_000 < each[0].each_bytes - each[1].each_bytes - prepared_bytes < 8_000
    tracked = [device_cost(Engine(model, ensemble=Ensemble((model,), options))) for model in (with_history, without)]
    assert tracked[0].tracked_bytes - tracked[1].tracked_bytes == each[0].each_bytes - each[1].each_bytes
    assert tracked[0].each_bytes == tracked[1].each_bytes


def test_check_reports_whether_the_devices_fit(models: Models) -> None:
    situation = CheckInput(settings(), {}, 0.0)
    assert list(check_memory(situation)) == [], "without models nothing is known"
    situation.models = models
    (found,) = check_memory(situation)
    assert (found.severity, found.what) == (Severity.OK, "memory")
    situation.settings = settings(devices={"max": 10**12})
    (found,) = check_memory(situation)
    assert found.severity is Severity.WARN
    assert f"devices.max is {10**12}, but only " in found.text
    assert "lower devices.max" in found.fix


def test_check_reports_devices_that_cannot_all_learn(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service also lowers these numbers if only some devices can learn."""
    limit = MemoryLimit(GB, "/sys/fs/cgroup/memory.max")
    monkeypatch.setattr("gapcast.check.machine.read_memory_limit", lambda: limit)
    chosen = settings(devices={"max": 20_000}, learning={"max_devices": 20_000})
    limited = limit_devices(chosen, models, limit)
    assert limited.devices.max == 20_000
    (found,) = check_memory(CheckInput(chosen, {}, 0.0, models))
    assert found.severity is Severity.WARN
    n_tracked = limited.learning.max_devices
    lowered = f"learning.max_devices is 20000, but only {n_tracked} tracked devices fit into 1024 MB"
    assert found.text.startswith(lowered)


def test_outlooks_that_do_not_fit_are_fewer(tmp_path: Path) -> None:
    chosen = settings(**models_with_outlook(tmp_path / "models"), devices={"max": 1_000_000})
    models = load_models(chosen)
    engine = engine_of(chosen, models)
    cost = device_cost(engine)
    assert (cost.n_outlook, cost.tracked_bytes) == (100, device_cost(engine_of(settings(), models)).tracked_bytes)
    assert engine.outlooks is not None
    of_state = engine.outlooks.n_bytes_per_device
    assert 40_000 < of_state < 50_000
    assert 2 * of_state <= cost.outlook_bytes < 2 * of_state + 20_000, "a checkpoint may copy it; its week is the rest"
    with structlog.testing.capture_logs() as lines:
        small, tiny = (limit_devices(chosen, models, MemoryLimit(n * MB, "RLIMIT_AS")) for n in (200, 90))
    assert 10 < small.outlook.max_devices < 100
    assert tiny.outlook.max_devices == 1, "the first device always has one"
    assert [line["outlooks"] for line in lines] == [small.outlook.max_devices, 1]
    large = limit_devices(chosen, models, MemoryLimit(100 * GB, "the machine"))
    assert large is chosen


@pytest.mark.mosquitto
def test_gateway_limits_devices_to_the_memory(
    mosquitto: MosquittoBroker,
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway(mosquitto, devices={"max": 10**12})
    limit = read_memory_limit()
    assert limit is not None
    taken = gateway.service.queries.read(lambda engine, _: engine.buffers.max_devices)
    assert taken * 1_000 < limit.n_bytes


# --- where it runs out ------------------------------------------------------------------------------------


def open_or_none(path: str) -> int | None:
    """Return a descriptor of ``path``, None if there are too many open files."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return None


@contextmanager
def no_more_files() -> Iterator[Callable[[], None]]:
    """Prevent this process from opening further files: EMFILE for each.

    Yields a function that occupies the places of files that other threads have closed meanwhile.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]

    def fill() -> None:
        while (file := open_or_none(os.devnull)) is not None:
            held.append(file)

    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 1, limits[1]))
    try:
        fill()
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for file in held:
            os.close(file)


def test_interpreters_are_created_without_free_files() -> None:
    model = load_model(shipped_models() / "linear")
    model.release_interpreters()
    shape = (model.spec.context, len(model.features))
    with no_more_files():
        for size in (1, 8, 32, 40):
            assert len(model.predict(np.zeros((size, *shape), dtype=np.float32)).mean) == size
    assert model.sizes == (1, 8, 32)


def test_rows_are_predicted_singly_if_memory_is_short() -> None:
    assert run("predict_with_no_memory_left") == b"32 by (1,)"


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files")])
def test_model_without_any_interpreter_is_an_error_that_names_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(shipped_models() / "linear")
    windows = np.zeros((1, model.spec.context, len(model.features)), dtype=np.float32)
    model.release_interpreters()

    def fail() -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("gapcast.predictors.tflite.batch_interpreter.load_interpreter", fail)
        with pytest.raises(ModelError, match=r"^model linear: no interpreter for 1 rows: "):
            model.predict(windows)
    assert len(model.predict(windows).mean) == 1


def test_memory_that_runs_out_in_a_forecast_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(shipped_models() / "linear")

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(BatchInterpreter, "run", fail)
    with pytest.raises(ModelError, match="model linear: not enough memory for 3 windows"):
        model.predict(np.zeros((3, model.spec.context, len(model.features)), dtype=np.float32))


def test_watchdog_is_notified_without_free_files(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        notifier = Notifier(address, 10.0)
        with no_more_files():
            notifier.alive(lambda: "well")
        assert supervisor.recv(100).startswith(b"WATCHDOG=1\n")


@pytest.mark.mosquitto
def test_model_watcher_continues_after_no_free_files(
    mosquitto: MosquittoBroker,
    start_gateway: StartGateway,
    tmp_path: Path,
) -> None:
    copy = ModelCopy(tmp_path / "models", "linear")
    gateway = start_gateway(mosquitto, models={"path": copy.models})
    statistics = gateway.service.statistics
    with no_more_files() as fill:

        def has_failed() -> bool:
            fill()  # other threads may have closed a file meanwhile
            return statistics.internal_errors.get("models", 0) > 0

        wait_until(has_failed, "a look that fails")
    copy.alter_card(lambda card: card.update(version="new"))
    wait_until(lambda: statistics.model_reloads["swapped"] == 1, "the new model")
    assert httpx.get(f"{gateway.url}/livez").status_code == 200
