"""A program in a separate terminal, and a user who reads and types."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import GUARD_S

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: The end of a prompt: with a default, for a password; or `gapcast setup` that has shown what it receives.
_PROMPT = re.compile(r"[^\n]*(?:\[[^\]\n]*\]|assword[^\n]*): $|press Enter(?:.*?messages){2}", re.DOTALL)


class Terminal:
    """The terminal of a program: its output, and what the user types."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int) -> None:
        self.process = process
        self._ours = ours
        self._bytes = b""
        #: All that was shown.
        self.shown = ""
        self._read_until = 0

    def wait_for(self, words: str, timeout_s: float = GUARD_S) -> str:
        """Read until ``words`` are shown after the last match; return the output before them."""
        deadline_s = time.monotonic() + timeout_s
        while (at := self.shown.find(words, self._read_until)) < 0:
            ended = not self._read(deadline_s - time.monotonic())
            assert not ended or words in self.shown[self._read_until :], f"{words!r} not shown; shown: {self.shown}"
        seen = self.shown[self._read_until : at]
        self._read_until = at + len(words)
        return seen

    def answer(self, question: str, line: str = "") -> None:
        """Wait for a question, and type a line."""
        self.wait_for(question)
        self.type(line)

    def type(self, line: str) -> None:
        """Type a line, where a question ends."""
        self.wait_for(": ")
        os.write(self._ours, f"{line}\n".encode())

    def answer_prompts(self, answers: Mapping[str, str], timeout_s: float = GUARD_S) -> int:
        """Answer prompts until the end, by the words in them, and others with Enter; return the exit code."""
        deadline_s = time.monotonic() + timeout_s
        while self._read(deadline_s - time.monotonic()):
            if prompt := _PROMPT.search(self.shown, self._read_until):
                self._read_until = len(self.shown)
                line = next((answers[words] for words in answers if words in prompt[0]), "")
                os.write(self._ours, f"{line}\n".encode())
        return self.process.wait(max(0.1, deadline_s - time.monotonic()))

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._ours, b"\x03")

    def press_enter(self) -> None:
        os.write(self._ours, b"\n")

    def wait_end(self, timeout_s: float = GUARD_S) -> int:
        """Read to the end; return the exit code."""
        deadline_s = time.monotonic() + timeout_s
        while self._read(deadline_s - time.monotonic()):
            pass
        return self.process.wait(max(0.1, deadline_s - time.monotonic()))

    def _read(self, timeout_s: float) -> bool:
        """Read the available output; return whether there may be more."""
        if timeout_s <= 0 or not select.select([self._ours], [], [], timeout_s)[0]:
            return False
        try:
            more = os.read(self._ours, 65_536)
        except OSError:  # the program has ended
            return False
        self._bytes += more  # which may end within a character, a colour or a line's end
        self.shown = _COLOURS.sub("", self._bytes.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(more)


@contextmanager
def in_terminal(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    """Start a program in a terminal; kill it if it still runs at the end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(GUARD_S)
        os.close(ours)
