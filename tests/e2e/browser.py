"""A real browser with an authenticator that is built into nothing: for pages that are used by keyboard alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.harness import wait_for

NEEDED = "TESTS_NEED_BROWSER"
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_ALLOWED_MS = 20_000


def chromium() -> str:
    """Where the browser is. Skips the test without one, unless the environment says that there must be one."""
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    if found is not None:
        return found
    if os.environ.get(NEEDED) == "1":
        pytest.fail(f"{NEEDED}=1, and there is no Chromium")
    pytest.skip("there is no Chromium here: `apt-get install chromium`; .ci/run does")


class Person:
    """Somebody at a browser of their own, with a device that knows them."""

    def __init__(self, browser: Any, name: str) -> None:
        self.name = name
        self.page = browser.new_context().new_page()
        self.page.set_default_timeout(_ALLOWED_MS)
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", self._heard)
        self._devtools = self.page.context.new_cdp_session(self.page)
        self._devtools.send("WebAuthn.enable")
        self._device = self._devtools.send("WebAuthn.addVirtualAuthenticator", {"options": _DEVICE})["authenticatorId"]

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # refusals are expected
            self.troubles.append(message.text)

    def opens(self, address: str, code: str) -> None:
        """Type the address, then the code."""
        self.page.goto(address)
        self.waits_for_focus("code")  # a browser gives it with its first picture, which may come after the page
        self.keys(code)
        self.page.wait_for_selector("#attempt:not([hidden])")

    def keys(self, text: str, then: str = "Enter") -> None:
        """Type, and press a key; nothing is ever clicked."""
        self.page.keyboard.type(text)
        self.page.keyboard.press(then)

    def focused(self) -> str:
        """What the next key goes to."""
        return str(self.page.evaluate("document.activeElement.id"))

    def waits_until(self, expression: str, arg: Any = None) -> None:
        """Until it is true on the page. Asked from here: the page's own policy forbids what is made of texts there."""

        def what() -> str:
            return f"{expression} of {arg}; the page says {self.reads('#said')!r}"

        wait_for(lambda: self.page.evaluate(expression, arg), what)

    def waits_for_focus(self, on: str) -> None:
        self.waits_until("(on) => document.activeElement.id === on", on)

    def waits_to_read(self, words: str, at: str = "#said") -> str:
        """Until the words stand there; all that does."""
        self.waits_until("([at, words]) => document.querySelector(at).textContent.includes(words)", [at, words])
        return self.reads(at)

    def reads(self, at: str) -> str:
        return str(self.page.text_content(at) or "")

    def is_verified(self, is_it: bool) -> None:
        """Whether the device knows who touches it."""
        self._devtools.send("WebAuthn.setUserVerified", {"authenticatorId": self._device, "isUserVerified": is_it})

    def passkeys(self) -> list[dict[str, Any]]:
        found = self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self._device})
        return list(found["credentials"])


_DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser, as long as this lasts."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
