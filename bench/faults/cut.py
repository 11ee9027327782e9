"""Networks that drop packets silently: a proxy that stops forwarding, or a network namespace of the kernel."""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BYTES = 65_536
_LOOK_S = 0.05
_NAME, _HERE, _THERE = "gapcast-faults", "10.213.77.1", "10.213.77.2"


class SilentProxy:
    """Forwards bytes between its own port and the broker's, until it is cut.

    Existing connections then stay open without data, as behind a router that has forgotten them; new ones are accepted
    after :meth:`restore`.
    """

    def __init__(self, port: int) -> None:
        """Forward to the broker at ``port``."""
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._other: dict[socket.socket, socket.socket] = {}
        self._forgotten: list[socket.socket] = []
        self._is_cut = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()

    def cut(self) -> None:
        """Stop forwarding."""
        self._is_cut.set()

    def restore(self) -> None:
        """Accept new connections."""
        self._is_cut.clear()

    def close(self) -> None:
        """Stop the proxy and close all connections."""
        self._ended.set()
        self._thread.join()
        for end in (*self._other, *self._forgotten, self._listening):
            end.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._listening, selectors.EVENT_READ)
            while not self._ended.is_set():
                if self._is_cut.is_set():
                    for end in self._other:
                        waiting.unregister(end)
                    self._forgotten += self._other
                    self._other.clear()
                    self._ended.wait(_LOOK_S)
                    continue
                for key, _ in waiting.select(_LOOK_S):
                    if key.fileobj is self._listening:
                        self._pair(waiting)
                    elif key.data in self._other:  # unless closed together with its other end
                        self._forward(waiting, key.data)

    def _pair(self, waiting: selectors.BaseSelector) -> None:
        here, _ = self._listening.accept()
        try:
            there = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            here.close()
            return
        self._other |= {here: there, there: here}
        for end in (here, there):
            waiting.register(end, selectors.EVENT_READ, end)

    def _forward(self, waiting: selectors.BaseSelector, end: socket.socket) -> None:
        other = self._other[end]
        try:
            some = end.recv(_BYTES)
            other.sendall(some)
        except OSError:
            some = b""
        if not some:
            for one in (end, other):
                del self._other[one]
                waiting.unregister(one)
                one.close()


class Cable:
    """A network namespace for the broker, connected by a virtual cable that can be pulled. Needs root."""

    host = _THERE
    #: Prefix of a command that runs at the other end.
    prefix = ("ip", "netns", "exec", _NAME)

    @staticmethod
    def is_supported() -> bool:
        """Return whether this machine supports network namespaces."""
        return os.geteuid() == 0 and shutil.which("ip") is not None

    def cut(self) -> None:
        """Pull the cable: packets are lost silently."""
        _ip("netns", "exec", _NAME, "ip", "link", "set", "there", "down")

    def restore(self) -> None:
        """Plug the cable in again."""
        _ip("netns", "exec", _NAME, "ip", "link", "set", "there", "up")


@contextmanager
def cable() -> Iterator[Cable]:
    """Create the cable, and remove it afterwards."""
    _ip("netns", "add", _NAME)
    try:
        _ip("link", "add", "gapcast-here", "type", "veth", "peer", "name", "there", "netns", _NAME)
        _ip("addr", "add", f"{_HERE}/30", "dev", "gapcast-here")
        _ip("link", "set", "gapcast-here", "up")
        for words in (f"addr add {_THERE}/30 dev there", "link set there up", "link set lo up"):
            _ip("netns", "exec", _NAME, "ip", *words.split())
        yield Cable()
    finally:
        _ip("netns", "delete", _NAME)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
