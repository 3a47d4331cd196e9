"""Wardens without a browser: an authenticator in software, and the requests that the page would send."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from risk_daemon.app.overrides import SENTENCE
from risk_daemon.auth.page_site import PageSite
from risk_daemon.auth.passkeys import registered, registration_options
from risk_daemon.auth.wardens import Rules, WardenStore
from risk_daemon.auth.wardens import Warden as WardenRecord
from tests.authenticator import Authenticator
from tests.e2e.asking import App, Asking
from tests.e2e.harness import Daemon, wait_for


class Page:
    """The page of one attempt."""

    def __init__(self, address: str, code: str) -> None:
        self.origin = address.removesuffix("/override")
        self.code = code

    def ask(self, question: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """What the page's script would send, and the answer with its status."""
        data = json.dumps({"code": self.code, **body}).encode()
        headers = {"Content-Type": "application/json", "Origin": self.origin}
        request = urllib.request.Request(f"{self.origin}/override/{question}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def look(self) -> dict[str, Any]:
        status, view = self.ask("look")
        assert status == 200, view
        return view


class Warden:
    """One person with a device and an app."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = Authenticator()
        self.app: App | None = None

    def enrolled(self, daemon: Daemon, *others: Warden) -> Warden:
        """At the terminal and on the page, after the others agreed."""
        asking = Asking(daemon, "warden", "enroll", self.name)
        try:
            page = Page(asking.address, asking.code)
            for other in others:
                status, view = other.agrees(page)
                assert status == 200, view
            self.app = App(asking.secret)
            attempt = page.look()["attempt"]
            status, options = page.ask("registration", attempt=attempt)
            assert status == 200, options
            credential = self.device.create(options, page.origin)
            status, view = page.ask("enroll", attempt=attempt, otp=self.app.code(), credential=credential)
            assert (status, view["end"]["done"]) == (200, True), view
            assert asking.ends() == 0, asking.said
        finally:
            asking.stop()
        return self

    def put(self, daemon: Daemon, rules: Rules | None = None) -> Warden:
        """Into the register, as if they had been at the page: where enrolling is not what is looked at."""
        site = PageSite.at("localhost", 80, is_tls=False)
        options = registration_options(site, self.name, b"c" * 32, [])
        passkey = registered(site, b"c" * 32, self.device.create(options, site.origin))
        secret = base64.b32encode(secrets.token_bytes(20)).decode()
        known = WardenRecord(name=self.name, secret=secret, last_step=0, passkey=passkey, enrolled_wall=0.0)
        store = WardenStore.beside(daemon.state)
        store.change(lambda register: register.enrolled(known, rules or Rules()))
        self.app = App(secret)
        return self

    def agrees(self, page: Page, otp: str | None = None) -> tuple[int, dict[str, Any]]:
        """Give both to the attempt that the page shows; otp: instead of the right one."""
        assert self.app is not None
        attempt = page.look()["attempt"]
        status, options = page.ask("challenge", attempt=attempt, warden=self.name)
        if status != 200:
            return status, options
        credential = self.device.get(options, page.origin)
        code = self.app.code() if otp is None else otp
        return page.ask("agree", attempt=attempt, warden=self.name, otp=code, credential=credential)


def page_of(asking: Asking) -> Page:
    return Page(asking.address, asking.code)


def refusals(daemon: Daemon) -> list[Mapping[str, Any]]:
    """Everything that was refused so far, as the log has it."""
    return daemon.of("override_refused")


def wait_for_refusal(daemon: Daemon, words: str) -> None:
    wait_for(lambda: any(words in row["why"] for row in refusals(daemon)), f"{words!r} in {refusals(daemon)}")


def glass(daemon: Daemon) -> subprocess.CompletedProcess[str]:
    """Break the glass, or ask again."""
    return subprocess.run(
        [sys.executable, "-m", "risk_daemon", "warden", "break-glass", "--config", str(daemon.config)],
        env=daemon.environment,
        cwd=daemon.directory,
        input=f"{SENTENCE}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
