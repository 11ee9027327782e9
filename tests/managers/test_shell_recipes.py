"""deploy/shell: a load that follows the headroom on MQTT, and a query over HTTP whether a load may be drawn."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gapcast.core.time_grid import minute_label
from tests.support.brokers import MosquittoBroker
from tests.support.deployed import SHELL
from tests.support.http_servers import QuietHandler, serving
from tests.support.peers import Peer, peer_of
from tests.support.ports import LOOPBACK, free_port
from tests.support.waiting import GUARD_S, wait_until

TOPIC, NEED_W = "gap/home/headroom_w", 2_200


class SwitchedLoad:
    """The recipe as a process; its commands write the load's states into a file."""

    def __init__(
        self,
        broker: MosquittoBroker,
        folder: Path,
        silence_s: float = GUARD_S,
        then: str = "",
        command_s: float = GUARD_S,
        min_off_s: float = 0,
    ) -> None:
        """Start the recipe; ``then``: what the command that switches on does after writing its state."""
        times = {"SILENCE_S": silence_s, "COMMAND_S": command_s, "MIN_OFF_S": min_off_s}
        self._file = folder / "states"
        self._file.touch()
        self._out = folder / "out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [SHELL / "switch-by-headroom", str(NEED_W), f"echo on >>{self._file}{then}",
                 f"echo off >>{self._file}", "-h", broker.host, "-p", str(broker.port), "-t", TOPIC],
                env=os.environ | {name: f"{time_s:g}" for name, time_s in times.items()}, stdout=out, stderr=out,
            )  # fmt: skip

    def output(self) -> str:
        return self._out.read_text(encoding="utf-8")

    def commands(self) -> list[str]:
        """Return the commands so far, including commands for a state that the load already had."""
        return self._file.read_text(encoding="utf-8").split()

    def states(self) -> list[str]:
        return [state for state, _ in groupby(self.commands())]

    def wait_states(self, *expected: str) -> None:
        wait_until(lambda: self.states() == list(expected), lambda: f"{expected}, not {self.states()}: {self.output()}")


@contextmanager
def switched_load(
    broker: MosquittoBroker, folder: Path, *states: str, silence_s: float = GUARD_S, min_off_s: float = 0
) -> Iterator[SwitchedLoad]:
    """Yield a started recipe once its load has had ``states``."""
    load = SwitchedLoad(broker, folder, silence_s, min_off_s=min_off_s)
    try:
        load.wait_states(*states)
        yield load
    finally:
        load.process.terminate()
        load.process.wait(GUARD_S)


@pytest.fixture
def peer(mosquitto: MosquittoBroker) -> Iterator[Peer]:
    with peer_of(mosquitto.host, mosquitto.port) as made:
        yield made


@pytest.mark.mosquitto_sub
class TestSwitchByHeadroom:
    def test_load_follows_headroom_with_hysteresis(
        self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
    ) -> None:
        """The first number is retained, so that it arrives whenever the recipe subscribes; the others follow."""
        peer.publish(TOPIC, str(NEED_W), retain=True)
        with switched_load(mosquitto, tmp_path, "off", "on") as load:
            for number in ("0", "900", "-1"):
                peer.publish(TOPIC, number)
            load.wait_states("off", "on", "off")
            for number in (str(NEED_W - 1), "0", "nonsense", "", str(NEED_W + 1)):
                peer.publish(TOPIC, number)
            load.wait_states("off", "on", "off", "on")
            assert "not a whole number of watts: nonsense" in load.output()
        assert load.states()[-1] == "off"  # at its end

    def test_command_is_run_again_with_each_number(
        self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
    ) -> None:
        """An unreachable plug misses a command, and the next number repeats it."""
        peer.publish(TOPIC, str(NEED_W), retain=True)
        with switched_load(mosquitto, tmp_path, "off", "on") as load:
            for number in ("-1", "-1", "0", "3000", "3000"):
                peer.publish(TOPIC, number)
            wait_until(lambda: load.commands() == ["off", "on", "off", "off", "on", "on"], load.output)
            assert [line.split(":")[0] for line in load.output().splitlines()] == ["off", "on", "off", "on"]

    def test_load_stays_off_for_its_minimum_time(self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path) -> None:
        """By the number after it, the load's number has been read; the load was switched off at the start."""
        peer.publish(TOPIC, "5000", retain=True)
        with switched_load(mosquitto, tmp_path, "off", min_off_s=GUARD_S) as load:
            wait_until(lambda: self.subscribed(peer, load), load.output)
            peer.publish(TOPIC, "5000")
            peer.publish(TOPIC, "last")
            wait_until(lambda: "not a whole number of watts: last" in load.output(), load.output)
            assert load.commands() == ["off"]

    @staticmethod
    def subscribed(peer: Peer, load: SwitchedLoad) -> bool:
        peer.publish(TOPIC, "first")
        return "first" in load.output()

    def test_load_returns_after_its_minimum_time_off(
        self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
    ) -> None:
        with switched_load(mosquitto, tmp_path, "off", min_off_s=1) as load:

            def is_on() -> bool:
                peer.publish(TOPIC, "5000")
                return load.states() == ["off", "on"]

            wait_until(is_on, load.output)

    def test_command_that_does_not_end_is_ended(self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path) -> None:
        peer.publish(TOPIC, "5000", retain=True)
        load = SwitchedLoad(mosquitto, tmp_path, then="; sleep 1000", command_s=1)
        try:
            load.wait_states("off", "on")
            peer.publish(TOPIC, "-900")
            load.wait_states("off", "on", "off")
            assert "failed: echo on" in load.output()
        finally:
            load.process.terminate()
            load.process.wait(GUARD_S)

    def test_load_is_switched_off_when_nothing_arrives(
        self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
    ) -> None:
        peer.publish(TOPIC, "5000", retain=True)
        with switched_load(mosquitto, tmp_path, "off", "on", "off", silence_s=1) as load:
            wait_until(lambda: "off: no number for 1 s" in load.output(), load.output)  # printed after the command
            assert "no number for 1 s: check the topic, and whether gapcast runs" in load.output()

    @pytest.mark.parametrize(
        ("need_w", "environment", "name"),
        [
            ("0", {}, "NEED_W"),
            ("2200", {"SILENCE_S": "0.5"}, "SILENCE_S"),
            ("2200", {"COMMAND_S": "0"}, "COMMAND_S"),
            ("2200", {"MIN_OFF_S": "5 min"}, "MIN_OFF_S"),
        ],
    )
    def test_number_that_cannot_be_used_is_named(self, need_w: str, environment: dict[str, str], name: str) -> None:
        done = subprocess.run(
            [SHELL / "switch-by-headroom", need_w, "true", "true"], env=os.environ | environment,
            capture_output=True, text=True, timeout=GUARD_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr.split(":")[0]) == (2, name)

    def test_load_is_switched_off_when_its_client_ends(self, tmp_path: Path) -> None:
        nobody = MosquittoBroker(tmp_path / "never-started")
        load = SwitchedLoad(nobody, tmp_path)
        assert load.process.wait(GUARD_S) == 1
        assert load.states() == ["off"]

    def test_load_is_switched_off_if_it_ends_while_switching_on(
        self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path
    ) -> None:
        """The signal arrives while ``timeout`` runs the command, and is handled after the command."""
        peer.publish(TOPIC, "5000", retain=True)
        states, end = tmp_path / "states", 'read -r _ _ _ script _ </proc/$PPID/stat; kill -TERM "$script"'
        process = subprocess.Popen(
            [SHELL / "switch-by-headroom", str(NEED_W), f"{end}; echo on >>{states}", f"echo off >>{states}",
             "-h", mosquitto.host, "-p", str(mosquitto.port), "-t", TOPIC],
            env=os.environ | {"MIN_OFF_S": "0"},
        )  # fmt: skip
        assert process.wait(GUARD_S) == 0
        assert states.read_text(encoding="utf-8").split() == ["off", "on", "off"]

    def test_command_that_fails_is_run_again(self, mosquitto: MosquittoBroker, peer: Peer, tmp_path: Path) -> None:
        peer.publish(TOPIC, "5000", retain=True)
        states = tmp_path / "states"
        states.mkdir()  # no file can be written there
        process = subprocess.Popen(
            [SHELL / "switch-by-headroom", str(NEED_W), f"echo on >>{states}/file", f"false >>{states}/off",
             "-h", mosquitto.host, "-p", str(mosquitto.port), "-t", TOPIC],
            env=os.environ | {"MIN_OFF_S": "0"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        wait_until((states / "file").exists, "the load to be on")
        process.terminate()
        said, _ = process.communicate(timeout=GUARD_S)
        assert said.count("failed: false") == 2  # at the start, and again at the end


@pytest.mark.parametrize("arguments", [[], ["2200", "true"], ["0", "true", "true"], ["2 kW", "true", "true"]])
def test_switch_with_wrong_arguments_changes_nothing(arguments: list[str]) -> None:
    assert subprocess.run([SHELL / "switch-by-headroom", *arguments], capture_output=True, check=False).returncode == 2


class StoredAnswer:
    """One answer for ``/headroom``, and the parameters of the requests."""

    def __init__(self, body: str, status: int = 200) -> None:
        self.requests: list[dict[str, Any]] = []
        stored = self

        class Handler(QuietHandler):
            def answer_get(self) -> None:
                parts = urlsplit(self.path)
                stored.requests.append(
                    {"path": parts.path, "token": self.headers["Authorization"], **parse_qs(parts.query)}
                )
                self.respond(body.encode(), status)

        self.handler = Handler


def exit_code(stored: StoredAnswer, *arguments: str, **environment: str) -> int:
    with serving(stored.handler) as url:
        return subprocess.run(
            [SHELL / "may-draw", *arguments], env=os.environ | {"GAPCAST_URL": url} | environment,
            capture_output=True, timeout=GUARD_S, check=False,
        ).returncode  # fmt: skip


def answer(allowed: str, valid_min: int = 60) -> str:
    until = (datetime.now(UTC) + timedelta(minutes=valid_min) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        minutes=1
    )
    return f'{{"v":1,"allowed":{allowed},"p_exceed":0.01,"valid_until":"{minute_label(until)}","windows":[]}}'


@pytest.mark.curl
class TestMayDraw:
    @pytest.mark.parametrize(("allowed", "code"), [("true", 0), ("false", 1), ("null", 2)])
    def test_exit_code_is_the_answer(self, allowed: str, code: int) -> None:
        server = StoredAnswer(answer(allowed))
        assert exit_code(server, "home", "2", "45") == code
        assert server.requests == [
            {"path": "/headroom", "token": None, "device": ["home"], "kw": ["2"], "minutes": ["45"]}
        ]

    def test_address_may_end_with_a_slash(self) -> None:
        server = StoredAnswer(answer("true"))
        with serving(server.handler) as url:
            done = subprocess.run(
                [SHELL / "may-draw", "home", "2", "45"], env=os.environ | {"GAPCAST_URL": f"{url}/"},
                capture_output=True, timeout=GUARD_S, check=False,
            )  # fmt: skip
        assert (done.returncode, server.requests[0]["path"]) == (0, "/headroom")

    def test_exit_code_of_an_old_answer_is_2(self) -> None:
        assert exit_code(StoredAnswer(answer("true", -1)), "home", "2", "45") == 2

    @pytest.mark.parametrize(("clock", "code"), [("2026-01-01T12:04:59Z", 0), ("2026-01-01T12:05:00Z", 2)])
    def test_exit_code_from_the_time_of_expiry_on_is_2(self, tmp_path: Path, clock: str, code: int) -> None:
        (tmp_path / "date").write_text(f"#!/bin/sh\necho {clock}\n", encoding="utf-8")
        (tmp_path / "date").chmod(0o755)
        server = StoredAnswer('{"allowed":true,"valid_until":"2026-01-01T12:05:00Z"}')
        assert exit_code(server, "home", "2", "45", PATH=f"{tmp_path}:{os.environ['PATH']}") == code

    @pytest.mark.parametrize(("body", "status"), [("{}", 200), ("", 200), (answer("true"), 404), (answer("true"), 500)])
    def test_exit_code_without_an_answer_is_2(self, body: str, status: int) -> None:
        assert exit_code(StoredAnswer(body, status), "home", "2", "45") == 2

    def test_problem_of_the_gateway_is_shown(self) -> None:
        server = StoredAnswer('{"status":404,"detail":"device \'nobody\' is unknown"}', 404)
        with serving(server.handler) as url:
            done = subprocess.run(
                [SHELL / "may-draw", "nobody", "2", "45"], env=os.environ | {"GAPCAST_URL": url},
                capture_output=True, timeout=GUARD_S, check=False,
            )  # fmt: skip
        assert (done.returncode, b"device 'nobody' is unknown" in done.stderr) == (2, True), done.stderr

    def test_token_and_unusual_names_are_sent_as_they_are(self) -> None:
        server = StoredAnswer(answer("true"))
        assert exit_code(server, "a&b", "2", "45", GAPCAST_TOKEN="secret") == 0
        assert (server.requests[0]["token"], server.requests[0]["device"]) == ("Bearer secret", ["a&b"])

    def test_exit_code_without_a_gateway_is_2(self) -> None:
        assert subprocess.run(
            [SHELL / "may-draw", "home", "2", "45"],
            env=os.environ | {"GAPCAST_URL": f"http://{LOOPBACK}:{free_port()}"},
            capture_output=True, timeout=GUARD_S, check=False,
        ).returncode == 2  # fmt: skip
