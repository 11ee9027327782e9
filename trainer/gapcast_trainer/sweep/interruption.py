"""Ctrl-C during a search.

A trial builds and traces a model in Keras and TensorFlow, which may swallow a KeyboardInterrupt that is raised there,
or turn it into another error.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

#: Signals closer together than this are one: `timeout`, for example, sends its signal twice.
_ONE_PRESS_S = 1.0


class Interruption:
    """Remembers that Ctrl-C was pressed while this context is entered, and raises KeyboardInterrupt as usual.

    It does nothing in a thread other than the main one, which receives no signals, or if the process ignores SIGINT, as
    a background job of a shell without job control does.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._pressed_s: float | None = None
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    @property
    def was_requested(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._pressed_s is not None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.was_requested:
            raise KeyboardInterrupt

    def _interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        pressed_s, self._pressed_s = self._pressed_s, self._clock_s()
        if pressed_s is None or self._pressed_s - pressed_s >= _ONE_PRESS_S:
            raise KeyboardInterrupt
