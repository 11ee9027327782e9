"""An event that a signal handler may set, whatever the thread that it interrupts is doing."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event


class ReentrantEvent(Event):
    """An event whose :meth:`set` a signal handler may call, also within another ``set`` or ``wait``.

    :meth:`threading.Event.set` takes a lock that the interrupted code may hold, and would then never return. It is set
    once and not cleared.

    >>> event = ReentrantEvent()
    >>> event.wait(0), event.is_set()
    (False, False)
    >>> event.set(); event.wait(), event.wait()
    (True, True)
    """

    def __init__(self) -> None:
        super().__init__()
        self._has_been_set = False
        self._wakeups: SimpleQueue[None] = SimpleQueue()  # its put is reentrant

    def is_set(self) -> bool:
        """Return whether the event is set."""
        return self._has_been_set

    def set(self) -> None:
        """Set the event, and wake the threads that wait for it."""
        self._has_been_set = True
        self._wakeups.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, or for ``timeout`` seconds; return whether it is set."""
        if not self._has_been_set:
            with suppress(Empty):
                self._wakeups.get(timeout=None if timeout is None else max(0.0, timeout))
                self._wakeups.put(None)  # for the next thread that waits
        return self._has_been_set
