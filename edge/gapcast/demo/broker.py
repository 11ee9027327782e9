"""amqtt, an MQTT 3.1.1 broker in Python, in a thread of this process: for the demo and for tests."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gapcast.core.errors import BrokerError
from gapcast.text.install_command import install_command

if TYPE_CHECKING:
    from amqtt.broker import Broker

#: Longest waits, s: a busy machine needs seconds to load amqtt alone.
_START_S = _STOP_S = 60.0


class EmbeddedBroker:
    """A broker on one port of this machine that can be stopped and started again, without persistent state."""

    host = "127.0.0.1"

    def __init__(self, port: int) -> None:
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._broker: Broker | None = None
        self._is_ending = False
        self._transports: set[asyncio.WriteTransport] = set()  # of open and recently closed connections

    def start(self) -> None:
        """Start listening. Raises :class:`BrokerError` without amqtt or if the port is in use."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_S)
        except ModuleNotFoundError as error:
            msg = f"the embedded broker is not installed: {install_command('demo')} in the checkout"
            raise BrokerError(msg) from error
        except Exception as error:
            msg = f"the embedded broker cannot listen on {self.host} port {self.port} ({error})"
            raise BrokerError(msg) from error

    def stop(self) -> None:
        """Close every connection and stop listening; no effect if it is not running."""
        loop, thread, broker = self._loop, self._thread, self._broker
        if loop is None or thread is None or broker is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(broker), loop).result(_STOP_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_S)
        loop.close()
        self._loop = self._thread = self._broker = None

    async def _listen(self) -> None:
        from amqtt.broker import Broker  # noqa: PLC0415 - an extra, which only the demo needs

        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        self._is_ending = False
        connected = self._broker.stream_connected

        def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> Any:
            if self._is_ending:
                writer.transport.abort()
                return None
            self._transports = {each for each in self._transports if not each.is_closing()} | {writer.transport}
            return _served(connected(reader, writer, listener_name))

        self._broker.stream_connected = connect
        await self._broker.start()

    async def _end(self, broker: Broker) -> None:
        """Abort every connection, shut down, and cancel amqtt's leftover tasks of connections without a CONNECT.

        Since Python 3.12.1 a server waits for its connections when it closes, and amqtt does not track those.
        """
        self._is_ending = True
        for transport in self._transports:
            transport.abort()
        self._transports.clear()
        await broker.shutdown()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # a transport closes its socket in the loop's next iteration


async def _served(connection: Coroutine[Any, Any, None]) -> None:
    """Serve a connection to its end, also if the client has already closed it, for which amqtt raises an error.

    This happens with each client that tries MQTT 5 first, such as ``gapcast check``; asyncio would print the traceback.
    """
    try:
        await connection
    except OSError as error:
        logging.getLogger("amqtt").info("the client closed its connection: %s", error)
