"""Debian's Chromium, driven by Playwright, and the errors that a page reported during a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.waiting import GUARD_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

#: Longest wait for something on the page, milliseconds.
WAIT_MS = GUARD_S * 1_000
#: How often a wait checks whether the page's scripts have failed, milliseconds.
_LOOK_MS = 5_000
#: Chromium aborts all requests when a network interface appears or disappears, even one of a container.
_OF_THE_MACHINE = "ERR_NETWORK_CHANGED"
#: Loads of a page in a row that may be disturbed.
_MOST_LOADS = 20
#: Resolves to whether all modules of the page ran.
_HAS_SCRIPTS = """() => Promise.all(
    [...document.querySelectorAll("script[type=module][src]")].map((one) => import(one.src))
).then(() => true, () => false)"""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def chromium_command() -> str | None:
    """The path of Chromium, if any; preferably of the build without windows, which takes a third of the time."""
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window on the screen."""
    from playwright.sync_api import sync_playwright

    command = chromium_command()
    assert command is not None, "a test that takes this fixture is marked chromium"
    with sync_playwright() as playwright:
        options = ["--disable-dev-shm-usage"]  # a container's is small
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # Chromium refuses it to root
        browser = playwright.chromium.launch(executable_path=command, args=options)
        yield browser
        browser.close()


class BrowserWindow:
    """A page, and each error that its console, its scripts or its policy reported."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        #: Exceptions that the page's scripts did not catch; they are among the errors too.
        self.exceptions: list[str] = []
        #: Whether an error is part of the test.
        self.is_expected: Callable[[str], bool] = lambda _: False
        self.urls: list[str] = []
        self.is_disturbed = False
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._record)
        page.on("pageerror", lambda error: self._record_exception(str(error)))
        page.on("response", self._answered)

    def _record(self, message: ConsoleMessage) -> None:
        if _OF_THE_MACHINE in message.text:
            self.is_disturbed = True
        elif message.type in {"error", "warning"}:
            self.errors.append(f"{message.text} ({message.location['url']})")

    def _record_exception(self, text: str) -> None:
        self.exceptions.append(text)
        self.errors.append(text)

    def _answered(self, response: Response) -> None:
        self.urls.append(response.url)

    def open(self, url: str) -> None:
        """Load a page, again if the machine's network disturbed it: it does not work without all its scripts.

        Chromium may report a disturbance after the page has loaded, so the scripts are checked too.
        """
        self.is_disturbed = False
        self.page.goto(url)
        if not self._is_whole():
            self.reload()  # another goto would stay in the document if the address has a fragment

    def reload(self) -> None:
        """Load the page once more, as :meth:`open` does."""
        for _ in range(_MOST_LOADS):
            self.is_disturbed = False
            self.page.reload()
            if self._is_whole():
                return
        msg = f"the page was disturbed {_MOST_LOADS} times: {self.page.url}"
        raise AssertionError(msg)

    def _is_whole(self) -> bool:
        return bool(self.page.evaluate(_HAS_SCRIPTS)) and not self.is_disturbed

    def count_bytes(self) -> dict[str, int]:
        """Count what comes over the network from now on, heads too, by request; those without an end as they go."""
        received: dict[str, int] = {}

        def some(event: dict[str, Any]) -> None:
            received[event["requestId"]] = received.get(event["requestId"], 0) + event["encodedDataLength"]

        def all_of_it(event: dict[str, Any]) -> None:
            received[event["requestId"]] = event["encodedDataLength"]

        traffic = self.page.context.new_cdp_session(self.page)
        traffic.on("Network.dataReceived", some)
        traffic.on("Network.loadingFinished", all_of_it)
        traffic.send("Network.enable")
        return received

    def data(self, selector: str) -> float | None:
        """Return the value behind a figure; None if it has none."""
        value = self.page.locator(selector).get_attribute("value")
        return None if value is None else float(value)

    def text(self, selector: str) -> str:
        text: str = self.page.locator(selector).inner_text()
        return text

    def wait(self, function: str, argument: Any = None, timeout_ms: float = WAIT_MS) -> None:
        """Wait until a function (of ``argument``) returns true in the page.

        Not an expression: from its second evaluation on, the page's Content Security Policy would block it. Fails soon
        if a script of the page raises an exception: it would hardly come true then.
        """
        from playwright.sync_api import TimeoutError as NotYetError

        left_ms = timeout_ms
        while True:
            try:
                self.page.wait_for_function(function, arg=argument, timeout=min(left_ms, _LOOK_MS))
            except NotYetError:
                left_ms -= _LOOK_MS
                assert not self.exceptions, f"the page raised: {self.exceptions}"
                if left_ms <= 0:
                    raise
            else:
                return

    def see(self, selector: str, text: str, timeout_ms: float = WAIT_MS) -> None:
        """Wait until the element is shown and ``text`` is in it (what is hidden has an ``innerText`` too)."""
        self.wait(
            "([selector, text]) => { const it = document.querySelector(selector);"
            " return it?.checkVisibility() && it.innerText.includes(text) }",
            [selector, text],
            timeout_ms,
        )

    def gone(self, selector: str, timeout_ms: float = WAIT_MS) -> None:
        self.page.locator(selector).wait_for(state="hidden", timeout=timeout_ms)
