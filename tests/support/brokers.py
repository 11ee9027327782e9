"""Two real brokers with one face: amqtt in a thread of this process, and mosquitto where it is installed.

amqtt speaks MQTT 3.1.1 only and keeps nothing over a restart. mosquitto speaks MQTT 5 too, and keeps
sessions, queued and retained messages over a restart.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.support.ports import LOOPBACK, free_port, is_open
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from amqtt.broker import Broker as AmqttBroker

START_S, STOP_S = 10.0, 10.0


class Broker(Protocol):
    """A broker on a fixed loopback port, which can be stopped and started again."""

    name: str
    host: str
    port: int

    def start(self) -> None:
        """Listen; return once it does."""

    def stop(self) -> None:
        """Close every connection and stop listening; no effect where it does not run."""


class EmbeddedBroker:
    """amqtt, in an event loop of its own thread."""

    name = "embedded"
    host = LOOPBACK

    def __init__(self) -> None:
        self.port = free_port()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._broker: AmqttBroker | None = None

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="amqtt", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(START_S)

    def stop(self) -> None:
        loop, thread, broker = self._loop, self._thread, self._broker
        if loop is None or thread is None or broker is None:
            return
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(STOP_S)
        asyncio.run_coroutine_threadsafe(_end_other_tasks(), loop).result(STOP_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_S)
        loop.close()
        self._loop = self._thread = self._broker = None

    async def _listen(self) -> None:
        from amqtt.broker import Broker as AmqttBroker

        self._broker = AmqttBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await self._broker.start()


async def _end_other_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def mosquitto_command() -> str | None:
    """Where mosquitto is installed, if it is."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class MosquittoBroker:
    """mosquitto, in a process of its own, with its files in ``folder``."""

    name = "mosquitto"
    host = LOOPBACK

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = mosquitto_command()
        if command is None:
            msg = "mosquitto is not installed"
            raise FileNotFoundError(msg)
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "mosquitto.conf"
        settings.write_text(self._settings(), encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [command, "-c", str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._listens_or_died, f"mosquitto on port {self.port}", START_S)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _settings(self) -> str:
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            "max_queued_messages 0",
            "persistence true",
            f"persistence_location {self._folder}/",
        ]
        if os.geteuid() == 0:  # otherwise it gives up root, and its own folder with it
            lines.append("user root")
        return "\n".join(lines) + "\n"

    def _listens_or_died(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            msg = f"mosquitto ended at once: {(self._folder / 'mosquitto.log').read_text(encoding='utf-8')}"
            raise RuntimeError(msg)
        return is_open(self.port)
