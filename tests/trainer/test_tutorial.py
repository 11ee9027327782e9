"""The tutorial, command by command in an empty folder; and its figures by three ways."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import pytest

from gapcast.cli import main as edge_main
from gapcast_trainer.cli import main
from tests.support.brokers import MosquittoBroker
from tests.support.commands import run_command
from tests.support.optional_tools import ROOT
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
#: The commands of the page, in order, each with the lines that it prints.
STEPS = [(command.strip(), shown.splitlines()) for command, shown in re.findall(
    r"```sh\n(.*?)```\s+```text\n(.*?)```", PAGE, re.DOTALL)]  # fmt: skip
NAMES = ["prepare", "train", "export", "evaluate", "install", "run", "replay", "status"]
COLUMNS = ("--time-column", "time", "--value-column", "power_w", "--timezone", "Europe/Berlin")
ALONE = {"model": "home", "blend": "false", "calibrate": "false", "learn": "false"}
N_READINGS = 14_405
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")
PROGRAMS = {
    "gapcast": "-m gapcast",
    "gapcast-trainer": "-c 'from gapcast_trainer.cli import main; main(prog_name=\"gapcast-trainer\")'",
}


class Home:
    """A user's folder with a broker, and the commands on the PATH."""

    def __init__(self, folder: Path, broker: MosquittoBroker) -> None:
        self.folder = folder
        self.url = f"http://{LOOPBACK}:{(port := free_port())}"
        programs = folder.parent / "bin"
        programs.mkdir()
        for name, arguments in PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            (programs / name).chmod(0o755)
        packages = [str(ROOT / name) for name in ("edge", "trainer", "fleet")]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("GAPCAST_")} | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join([*packages, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "HOME": str(folder.parent),
            "XDG_STATE_HOME": str(folder.parent / "state"),
            "GAPCAST_MQTT__HOST": broker.host,
            "GAPCAST_MQTT__PORT": str(broker.port),
            "GAPCAST_HTTP__HOST": LOOPBACK,
            "GAPCAST_HTTP__PORT": str(port),
            "GAPCAST_LOG__FORMAT": "console",  # as in a terminal
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def run(self, command: str) -> str:
        """What ``command`` prints on both streams.

        Commands of the trainer run in this process, which has TensorFlow: each start would load it for nine seconds.
        Only the first, which needs none, shows that the program starts. So do back-tests, which are not of the page.
        """
        program, *arguments = shlex.split(command)
        if program == "gapcast-trainer" and arguments[0] != "prepare":
            return self._run_here((program, main), arguments)
        if arguments[0] == "backtest":
            return self._run_here((program, edge_main), arguments)
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def _run_here(self, program: tuple[str, click.Command], arguments: list[str]) -> str:
        done = run_command(program, arguments, self.folder, self.environment)
        assert done.exit_code == 0, f"{arguments}\n{done.output}"
        return done.output

    @contextmanager
    def running(self, command: str) -> Iterator[Path]:
        """A service in the background, once it is ready, and the file that it prints to."""
        log = self.folder.parent / "run.log"
        with log.open("wb") as file:
            service = subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.environment, stdout=file, stderr=file
            )
        try:
            wait_until(self.is_ready, lambda: f"the service; it said {log.read_text()}")
            yield log
        finally:
            service.terminate()
            service.wait(GUARD_S)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=GUARD_S).status_code == 200
        except httpx.TransportError:
            return False

    def has_outcomes_until(self, ts: str) -> bool:
        """Whether the device practice has forecast its reading of ``ts``, the last one."""
        answer = httpx.get(f"{self.url}/devices/practice", timeout=GUARD_S)
        forecast = answer.json().get("forecast") or {} if answer.status_code == 200 else {}
        return bool(forecast.get("observed_at") == ts)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """An empty folder, but for the file that the script of the page writes."""
    place = tmp_path_factory.mktemp("tutorial")
    (place / "home").mkdir()
    broker = MosquittoBroker(place / "mosquitto")
    broker.start()
    made = Home(place / "home", broker)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run([sys.executable, "-c", script], cwd=made.folder, check=True)
    yield made
    broker.stop()


@pytest.fixture(scope="module")
def followed(home: Home) -> dict[str, str]:
    """What each command printed."""
    printed, commands = {}, dict(zip(NAMES, (command for command, _ in STEPS), strict=True))
    for name in NAMES[:5]:
        printed[name] = home.run(commands[name])
    with home.running(commands["run"]) as log:
        printed["replay"] = home.run(commands["replay"])
        wait_until(lambda: home.has_outcomes_until("2025-10-27T22:59:00Z"), "the last reading's forecast")
        printed["status"] = home.run(commands["status"])
    printed["run"] = log.read_text(encoding="utf-8")
    return printed


def is_shown(line: str, printed: str) -> bool:
    """Whether ``printed`` has ``line`` but for rounding; ``…`` stands for anything."""
    pattern = "".join(
        ".*" if part == "…" else "(" + _NUMBER.pattern + ")" if _NUMBER.fullmatch(part) else re.escape(part)
        for part in re.split(rf"(…|{_NUMBER.pattern})", line)
    )
    wanted = [float(number.replace(",", "")) for number in _NUMBER.findall(line)]
    for found in re.finditer(re.sub(r"(\\ )+", r"\\s+", pattern), printed):
        numbers = [float(number.replace(",", "")) for number in found.groups()]
        if all(math.isclose(a, b, rel_tol=0.05, abs_tol=0.01) for a, b in zip(numbers, wanted, strict=True)):
            return True
    return False


@pytest.mark.e2e
@pytest.mark.mosquitto
@pytest.mark.parametrize(("name", "step"), list(zip(NAMES, STEPS, strict=True)), ids=NAMES)
def test_tutorial_command_prints_what_the_page_shows(
    followed: dict[str, str], name: str, step: tuple[str, list[str]]
) -> None:
    for line in step[1]:
        assert is_shown(line, followed[name]), f"{line}\nis not in\n{followed[name]}"


def test_tutorial_replay_is_not_of_a_real_house() -> None:
    """Old readings restart the stream of their device: the page must not use a name that a meter may have."""
    replay, _ = STEPS[NAMES.index("replay")]
    assert "--device practice" in replay
    assert "Not with a gateway that already serves your house" in PAGE


def test_tutorial_has_eight_commands_at_most() -> None:
    assert len(STEPS) == PAGE.count("```sh") <= 8


Figures = tuple[int, float, float]


def of_evaluate(path: Path) -> Figures:
    """Number, MSE of the mean and MAE of the median of the stream of home."""
    (model,) = (row for row in json.loads(path.read_text())["models"] if row["name"] == "home")
    return model["stream"]["n"], model["stream"]["mse_kw2"], model["stream"]["median_mae_kw"]


def of_scores(scores: dict[str, float]) -> Figures:
    return int(scores["n"]), scores["mse_kw2"], scores["mae_kw"]


@pytest.fixture(scope="module")
def evaluated(home: Home, followed: dict[str, str]) -> Callable[..., Figures]:
    def run(*options: str) -> Figures:
        home.run(" ".join(("gapcast-trainer evaluate home --brief --json scores.json", *options)))
        return of_evaluate(home.folder / "scores.json")

    return run


@pytest.fixture(scope="module")
def backtested(home: Home, followed: dict[str, str]) -> Callable[..., Figures]:
    settings = [f"--set forecast.{key}={value}" for key, value in ALONE.items()]

    def run(file: str, *options: str) -> Figures:
        words = (
            "gapcast backtest",
            file,
            *options,
            "--json backtest.json --set site.timezone=Europe/Berlin",
            *settings,
        )
        home.run(" ".join(words))
        return of_scores(json.loads((home.folder / "backtest.json").read_text())["scored"])

    return run


def assert_same(found: Figures, wanted: Figures) -> None:
    assert found[0] == wanted[0]
    assert found[1:] == pytest.approx(wanted[1:], abs=1e-6)


@pytest.mark.e2e
@pytest.mark.mosquitto
def test_test_part_has_the_same_figures_in_evaluate_and_backtest(
    evaluated: Callable[..., Figures], backtested: Callable[..., Figures]
) -> None:
    """From the meter's CSV and from the clean file; the time of day is among the model's features."""
    from_test_part = "--score-from 2025-10-26T00:00Z"
    wanted = evaluated()
    assert_same(backtested("meter.csv", *COLUMNS, from_test_part), wanted)
    assert_same(backtested("runs/household.parquet", from_test_part), wanted)


@pytest.mark.e2e
@pytest.mark.mosquitto
def test_whole_file_has_the_same_figures_in_the_gateway(
    home: Home, evaluated: Callable[..., Figures], backtested: Callable[..., Figures]
) -> None:
    wanted = evaluated("--from 2025-10-17")
    assert_same(backtested("meter.csv", *COLUMNS), wanted)
    state = home.folder.parent / "alone"  # a gateway that has not seen the meter yet
    settings = [f"--set forecast.{key}={value}" for key, value in ALONE.items()]
    sections = "--set site.timezone=Europe/Berlin --set models.path=models"
    with home.running(" ".join(("gapcast run", f"--set state.path={state}", sections, *settings))):
        replay, _ = STEPS[NAMES.index("replay")]
        assert f"{N_READINGS} readings published" in home.run(replay)
        wait_until(lambda: home.has_outcomes_until("2025-10-27T22:59:00Z"), "the last reading's forecast")
        wait_until(lambda: live(home)[0] >= wanted[0], lambda: f"{wanted[0]} outcomes: {live(home)}")
        assert_same(live(home), wanted)


def live(home: Home) -> Figures:
    return of_scores(httpx.get(f"{home.url}/devices/practice", timeout=GUARD_S).json()["scores"]["all_time"])
