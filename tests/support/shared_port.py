"""A TLS port that MQTT shares with HTTPS; the protocol offered by ALPN (RFC 7301) decides between them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until

MQTT, HTTP = "mqtt", "http/1.1"
_HTTP_ANSWER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class SharedPort:
    """Connects clients that agreed on ``mqtt`` to a broker, and treats all others as HTTPS."""

    def __init__(self, context: ssl.SSLContext, broker_port: int) -> None:
        context.set_alpn_protocols([MQTT, HTTP])
        self._context, self._broker_port = context, broker_port
        self._connections: set[asyncio.Task[None]] = set()
        self._listening = Event()
        self.port = 0
        #: The protocol agreed on with each client, in order; None if there was none.
        self.agreed: list[str | None] = []

    async def serve(self, stopping: asyncio.Event) -> None:
        server = await asyncio.start_server(self._take, LOOPBACK, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        async with server:
            await stopping.wait()
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def wait_listening(self) -> None:
        wait_until(self._listening.is_set, "the shared port")

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._lead(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        try:
            if self.agreed[-1] == MQTT:
                await self._join(reader, writer)
            else:
                writer.write(_HTTP_ANSWER)
                await writer.drain()
        finally:
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(LOOPBACK, self._broker_port)
        ways = [asyncio.create_task(_pump(reader, to_broker)), asyncio.create_task(_pump(from_broker, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            to_broker.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65_536):
        sink.write(chunk)
        await sink.drain()


@contextmanager
def shared_port(context: ssl.SSLContext, broker_port: int) -> Iterator[SharedPort]:
    """Run a shared port in a separate thread."""
    shared = SharedPort(context, broker_port)
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    thread = Thread(target=loop.run_until_complete, args=(shared.serve(stopping),), name="shared-port")
    thread.start()
    try:
        shared.wait_listening()
        yield shared
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
