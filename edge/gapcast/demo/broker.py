"""amqtt, an MQTT 3.1.1 broker in Python, in a thread of this process: for the demo and for tests."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from gapcast.core.errors import BrokerError

if TYPE_CHECKING:
    from amqtt.broker import Broker

_START_S = _STOP_S = 10.0


class EmbeddedBroker:
    """A broker on one port of ``host``, which can be stopped and started again; it keeps nothing between."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._broker: Broker | None = None
        self._ending = False
        self._transports: set[asyncio.WriteTransport] = set()  # of connections that are open, or were of late

    def start(self) -> None:
        """Listen; return once it does. Raises :class:`BrokerError` without amqtt or where the port is taken."""
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_S)
        except ModuleNotFoundError as error:
            msg = "the embedded broker is not installed: pip install 'gapcast[demo]'"
            raise BrokerError(msg) from error
        except Exception as error:
            msg = f"the embedded broker cannot listen on {self.host} port {self.port} ({error})"
            raise BrokerError(msg) from error

    def stop(self) -> None:
        """Close every connection and stop listening; no effect where it does not run."""
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
        self._ending = False
        connected = self._broker.stream_connected

        def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> Any:
            if self._ending:
                writer.transport.abort()
                return None
            self._transports = {each for each in self._transports if not each.is_closing()} | {writer.transport}
            return connected(reader, writer, listener_name)

        self._broker.stream_connected = connect
        await self._broker.start()

    async def _end(self, broker: Broker) -> None:
        """Cut every connection, shut down, and end what amqtt leaves: tasks of connections that never said CONNECT.

        From Python 3.12.1 on a server waits at its end for its connections, and amqtt knows nothing of those.
        """
        self._ending = True
        for transport in self._transports:
            transport.abort()
        self._transports.clear()
        await broker.shutdown()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # a transport closes its socket in the loop's next round
