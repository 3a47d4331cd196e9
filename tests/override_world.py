"""A desk where wardens are asked, with wardens who have devices, and time that moves when told to."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from risk_daemon.auth import passkeys
from risk_daemon.auth.desk import Desk, Opened
from risk_daemon.auth.override import Purpose
from risk_daemon.auth.page_site import PageSite
from risk_daemon.auth.wardens import Rules, Warden, WardenStore
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.event_names import EventName, RiskEvent
from tests.authenticator import Authenticator, code_at

_ON_THE_WAY = (EventName.OVERRIDE_ASKED, EventName.OVERRIDE_AGREED)
SITE = PageSite.at("localhost", 8787, is_tls=False)


class Person:
    """Somebody with a device and an app for codes."""

    def __init__(self, name: str, site: PageSite = SITE) -> None:
        self.name = name
        self.device = Authenticator()
        self.secret = base64.b32encode(secrets.token_bytes(20)).decode()
        self.site = site

    def enrolled(self, store: WardenStore, rules: Rules | None = None) -> Person:
        """Put into the file as if they had been at the page."""
        options = passkeys.registration_options(self.site, self.name, b"c" * 32, [])
        passkey = passkeys.registered(self.site, b"c" * 32, self.device.create(options, self.site.origin))
        warden = Warden(name=self.name, secret=self.secret, last_step=0, passkey=passkey, enrolled_wall=0.0)
        store.change(lambda register: register.enrolled(warden, rules or Rules()))
        return self


class OverrideWorld:
    """A desk with its wardens. done: what was carried out, by whom. events: of ends; noted: of the way there."""

    def __init__(self, directory: Path, *names: str, quorum: int = 1) -> None:
        self.clock = ManualClock(wall=1_800_000_015.0)
        self.store = WardenStore.beside(directory)
        self.rules = Rules(quorum=quorum)
        self.people = {name: Person(name).enrolled(self.store) for name in names}
        self.events: list[RiskEvent] = []
        self.noted: list[RiskEvent] = []
        self.done: list[str] = []
        self.outcome: tuple[bool, str] = (True, "reset")
        self.error: Exception | None = None
        self.tell_error: Exception | None = None
        self.desk = self.another_desk()

    def another_desk(self) -> Desk:
        """As after a restart: it knows what is on disk."""
        desk = Desk(self.store, self.rules, self.clock, self._tell)
        desk.site = SITE
        return desk

    async def _tell(self, event: RiskEvent) -> None:
        if self.tell_error is not None:
            raise self.tell_error
        (self.noted if event.name in _ON_THE_WAY else self.events).append(event)

    async def carry_out(self, by: str) -> tuple[bool, str]:
        if self.error is not None:
            raise self.error
        self.done.append(by)
        return self.outcome

    async def open(self, purpose: Purpose = Purpose.RESET, **more: Any) -> Opened:
        return await self.desk.open(
            purpose, asked_by="uid:0 (root)", reason="looked at it", carry_out=self.carry_out, **more
        )

    def otp(self, name: str, steps: int = 0) -> str:
        return code_at(self.people[name].secret, self.clock.now().wall, steps=steps)

    async def signed(self, opened: Opened, name: str, **client: Any) -> dict[str, Any]:
        """What `name`'s browser brings for a fresh challenge."""
        options = await self.desk.challenge(opened.code, opened.attempt, name)
        return self.people[name].device.get(options, SITE.origin, **client)

    async def agree(self, opened: Opened, name: str, otp: str | None = None) -> Mapping[str, Any]:
        answer = await self.signed(opened, name)
        return await self.desk.agree(opened.code, opened.attempt, name, otp or self.otp(name), answer)

    def told(self) -> list[tuple[str, str, str]]:
        """Every event: its name, who, why."""
        return [(event.name.value, event.fields["who"], event.fields["why"]) for event in self.events]
