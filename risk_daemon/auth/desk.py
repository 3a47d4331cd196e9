"""Where wardens are asked: an attempt is opened, seen, agreed to, and then what it was for is done.

Each gives a passkey and a one-time code, the passkey first: whoever has none learns nothing about codes. Whatever is
odd counts as a failure, is told, and opens nothing. What counts is on disk before it counts.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import structlog

from risk_daemon.auth.override import (
    CODE_LENGTH,
    LASTS_S,
    Attempt,
    End,
    Override,
    OverrideRefused,
    Purpose,
    Wish,
    code_of,
    failed,
    refuse_locked,
    shown,
)
from risk_daemon.auth.page_site import PageSite
from risk_daemon.auth.wardens import (
    Register,
    Rules,
    Warden,
    WardenStore,
    provisioning_uri,
    step_of,
    step_of_next,
    was_used,
)
from risk_daemon.errors import RecordError, RiskDaemonError, StateError
from risk_daemon.model.clock import Clock, Instant
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.files import utc_text

PAGE = "/override"
_NONCE_BYTES = 16
_SECRET_BYTES = 20
_CHALLENGE_BYTES = 32
PASSKEYS = "risk_daemon.auth.passkeys"

_LOG = structlog.get_logger(__name__)

# Told who agreed; says whether it was done, and what became of it.
CarryOut = Callable[[str], Awaitable[tuple[bool, str]]]
Tell = Callable[[RiskEvent], Awaitable[None]]

_PEOPLE = frozenset({Purpose.ENROLL, Purpose.REVOKE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the one at the terminal is told, and nobody else. uri: of a new warden's one-time codes."""

    attempt: str
    address: str
    code: str
    needed: int
    lasts_s: float
    uri: str | None = field(default=None, repr=False)

    def document(self) -> dict[str, Any]:
        return {
            "attempt": self.attempt,
            "address": self.address,
            "code": self.code,
            "needed": self.needed,
            "lasts_s": self.lasts_s,
            "uri": self.uri,
        }


class Desk:
    """One attempt at a time. configured: what the file asks for; more, if more was in force here before.

    tell: writes an event down; what can't be told is not granted. site: where the page is, once it is.
    """

    def __init__(
        self,
        store: WardenStore,
        configured: Rules,
        clock: Clock,
        tell: Tell,
        chance: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.store = store
        self.site: PageSite | None = None
        self.configured = configured
        self._clock = clock
        self.tell = tell
        self._chance = chance
        self._override = Override()
        self._carry_out: CarryOut | None = None
        self._secret: str | None = None
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._expiring: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._is_closed = False

    # --- at the terminal -----------------------------------------------------------------------------

    async def keep_rules(self) -> None:
        """Remember what the file asks for, if it is more: a smaller quorum is none from now on. Raises StateError."""
        await asyncio.to_thread(self.store.change, self._tightened)

    async def is_guarded(self) -> bool:
        """Whether wardens must be asked. Raises StateError where that can't be known: then nothing is resumed."""
        return (await asyncio.to_thread(self.store.read)).is_guarded

    async def open(
        self,
        purpose: Purpose,
        *,
        asked_by: str,
        reason: str,
        carry_out: CarryOut,
        facts: tuple[tuple[str, str], ...] = (),
        changes: tuple[str, ...] = (),
        enrolls: str | None = None,
    ) -> Opened:
        """Ask the wardens. An attempt that is under way is ended by it. Raises OverrideRefused, StateError."""
        # A tenth of a second, and memory, that the guard needs for nothing else; and not in its own thread.
        await asyncio.to_thread(import_module, PASSKEYS)
        async with self._lock:
            if self._is_closed:
                raise OverrideRefused("the process is ending: ask again when it runs")
            site = self._site()
            await self._end_open("another one was begun")
            register = await asyncio.to_thread(self.store.change, self._tightened)
            if enrolls is not None:
                register.check_free(enrolls)
            wish = Wish(
                purpose=purpose,
                asked_by=asked_by,
                reason=reason,
                needed=self._needed(purpose, register),
                facts=facts,
                changes=changes,
                enrolls=enrolls,
            )
            code, nonce = code_of(self._chance(CODE_LENGTH)), self._chance(_NONCE_BYTES).hex()
            attempt = self._override.open(wish, nonce, code, register, self._clock.now())
            await self._tell_asked(attempt)
            self._carry_out = carry_out
            self._secret = None
            if enrolls is not None:
                self._secret = base64.b32encode(self._chance(_SECRET_BYTES)).decode()
            self._start_timer(attempt)
            self._touch()
            return Opened(
                attempt=nonce,
                address=f"{site.origin}{PAGE}",
                code=shown(code),
                needed=wish.needed,
                lasts_s=LASTS_S,
                uri=None if self._secret is None or enrolls is None else provisioning_uri(self._secret, enrolls),
            )

    async def withdraw(self, nonce: str, who: str) -> None:
        """End the open attempt, by whoever began it. Raises OverrideRefused if that is not it."""
        async with self._lock:
            attempt = self._override.attempt
            if attempt is None or attempt.nonce != nonce or attempt.end is not None:
                raise OverrideRefused("no such attempt is open")
            await self._end_open(f"withdrawn by {who}")

    async def close(self) -> None:
        """The end of the process: an attempt that is under way is over, and there is no other. Again: nothing."""
        self._is_closed = True
        async with self._lock:
            await self._end_open("the process that asked has ended")
        for task in self._expiring:
            task.cancel()

    async def progress(self) -> Mapping[str, Any] | None:
        """How the last attempt stands, for the one at the terminal."""
        attempt = self._override.attempt
        return None if attempt is None else self._view(attempt, await asyncio.to_thread(self.store.read))

    async def changed(self, within_s: float) -> None:
        """Until the attempt has moved on, or the time is over."""
        moved = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait({moved}, timeout=within_s)
        moved.cancel()

    # --- on the page ---------------------------------------------------------------------------------

    async def look(self, code: str) -> Mapping[str, Any]:
        """What the attempt of this code is about. Raises Unknown."""
        attempt = self._override.find(code)
        return self._view(attempt, await asyncio.to_thread(self.store.read))

    async def challenge(self, code: str, nonce: str, name: str) -> Mapping[str, Any]:
        """What the browser asks `name`'s authenticator. Raises OverrideRefused."""
        from risk_daemon.auth.passkeys import authentication_options

        async with self._lock:
            now = self._clock.now()
            attempt = await self._open_attempt(code, nonce, now)
            register = await asyncio.to_thread(self.store.read)
            refuse_locked(register, now)
            warden, site = self._warden(attempt, register, name), self._site()
            if warden.passkey.host != site.host:
                raise OverrideRefused(
                    f"{name}'s passkey was made for {warden.passkey.host}, and this page is of {site.host}"
                )
            challenge = self._chance(_CHALLENGE_BYTES)
            attempt.challenge(name, challenge, now)
            return authentication_options(site, warden.passkey, challenge)

    async def agree(self, code: str, nonce: str, name: str, otp: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """`name` agrees. With the last one who is needed, what was asked for is done. Raises OverrideRefused."""
        async with self._lock:
            now = self._clock.now()
            attempt = await self._open_attempt(code, nonce, now)
            register = await asyncio.to_thread(self.store.read)
            refuse_locked(register, now)
            warden = self._warden(attempt, register, name)
            try:
                step, count = self._proof(attempt, warden, otp, answer, now)
                had_glass = register.break_glass is not None
                register = await asyncio.to_thread(self.store.change, lambda known: known.used(name, step, count))
            except (OverrideRefused, StateError) as error:
                raise await self._failed(attempt, name, str(error), now) from error
            if had_glass:
                facts = {"who": name, "why": "a warden's keys work", "outcome": "stopped"}
                await self.tell(RiskEvent(EventName.BREAK_GLASS_ENDED, facts))
            is_enough = self._override.agree(attempt, name, register)
            self._touch()
            await self._tell_agreed(attempt, name)
            if is_enough and attempt.wish.enrolls is None:
                await self._do(attempt)
            return self._view(attempt, register)

    async def registration(self, code: str, nonce: str) -> Mapping[str, Any]:
        """What the browser asks a new warden's authenticator. Raises OverrideRefused."""
        from risk_daemon.auth.passkeys import registration_options

        async with self._lock:
            now = self._clock.now()
            attempt = await self._open_attempt(code, nonce, now)
            name = self._newcomer(attempt)
            register = await asyncio.to_thread(self.store.read)
            challenge = self._chance(_CHALLENGE_BYTES)
            attempt.challenge(name, challenge, now)
            present = [warden.passkey for warden in register.wardens.values()]
            return registration_options(self._site(), name, challenge, present)

    async def enroll(self, code: str, nonce: str, otp: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """The new warden shows that both of theirs work, and is one from now on. Raises OverrideRefused."""
        async with self._lock:
            now = self._clock.now()
            attempt = await self._open_attempt(code, nonce, now)
            name = self._newcomer(attempt)
            refuse_locked(await asyncio.to_thread(self.store.read), now)
            try:
                warden = self._newcomer_proof(attempt, name, otp, answer, now)
            except OverrideRefused as error:
                raise await self._failed(attempt, name, str(error), now) from error

            async def write(_by: str) -> tuple[bool, str]:
                await asyncio.to_thread(self.store.change, lambda known: self._with(known, warden, attempt.wish))
                return True, f"{name} is a warden from now on"

            self._carry_out = write
            await self._do(attempt)
            return self._view(attempt, await asyncio.to_thread(self.store.read))

    # --- who is who ----------------------------------------------------------------------------------

    def _site(self) -> PageSite:
        if self.site is None:
            raise OverrideRefused("there is no page to ask wardens on yet: try again in a moment")
        return self.site

    def _needed(self, purpose: Purpose, register: Register) -> int:
        """Those that are enrolled decide who else is, be they fewer than must agree to everything else."""
        quorum = register.rules_with(self.configured).quorum
        return min(quorum, len(register.wardens)) if purpose in _PEOPLE else quorum

    def _tightened(self, register: Register) -> Register:
        if not register.is_guarded:
            return register
        return replace(register, rules=register.rules_with(self.configured))

    def _with(self, register: Register, warden: Warden, wish: Wish) -> Register:
        if self._needed(Purpose.ENROLL, register) > wish.needed:
            raise OverrideRefused("others were enrolled meanwhile: begin again, so that they are asked")
        return register.enrolled(warden, self.configured)

    @staticmethod
    def _warden(attempt: Attempt, register: Register, name: str) -> Warden:
        """Raises OverrideRefused unless `name` may agree to this."""
        if attempt.is_agreed or name in attempt.given:
            raise OverrideRefused("enough have agreed already" if attempt.is_agreed else f"{name} has agreed already")
        warden = register.wardens.get(name)
        if warden is None:
            raise OverrideRefused(f"there is no warden called {name[:70]!r}")
        return warden

    @staticmethod
    def _newcomer(attempt: Attempt) -> str:
        if attempt.wish.enrolls is None or not attempt.is_agreed:
            raise OverrideRefused("nobody is to be enrolled here, or not yet: those who are must agree first")
        return attempt.wish.enrolls

    def _proof(
        self, attempt: Attempt, warden: Warden, otp: str, answer: Mapping[str, Any], now: Instant
    ) -> tuple[int, int]:
        """The step of the code and the counter of the passkey. Raises OverrideRefused unless both are right."""
        from risk_daemon.auth.passkeys import authenticated

        challenge = attempt.take_challenge(warden.name, now)
        count = authenticated(self._site(), warden.passkey, challenge, answer)
        step = step_of_next(warden, otp.strip(), now.wall)
        if step is None:
            used = was_used(warden, otp.strip(), now.wall)
            raise OverrideRefused(f"this one-time code {'was used already: wait for the next' if used else 'is wrong'}")
        return step, count

    def _newcomer_proof(self, attempt: Attempt, name: str, otp: str, answer: Mapping[str, Any], now: Instant) -> Warden:
        from risk_daemon.auth.passkeys import registered

        challenge, secret = attempt.take_challenge(name, now), self._secret or ""
        passkey = registered(self._site(), challenge, answer)
        step = step_of(secret, otp.strip(), now.wall)
        if step is None:
            raise OverrideRefused("this one-time code is wrong: read the QR code at the terminal again")
        return Warden(name=name, secret=secret, last_step=step, passkey=passkey, enrolled_wall=now.wall)

    # --- how it ends ---------------------------------------------------------------------------------

    async def _open_attempt(self, code: str, nonce: str, now: Instant) -> Attempt:
        """Raises Unknown; what is of another attempt, or too late, is told as well."""
        attempt = self._override.find(code)
        try:
            return self._override.find_open(code, nonce, now)
        except OverrideRefused as error:
            await self._tell_refused(attempt, None, str(error))
            raise

    async def _do(self, attempt: Attempt) -> None:
        """What was agreed to. What can't be written down first is not done."""
        by, carry_out, wish = ", ".join(attempt.given), self._carry_out, attempt.wish
        is_done, told = False, "there is nothing to do"
        try:
            facts = {"purpose": wish.purpose.value, "who": by or wish.asked_by, "why": wish.reason}
            facts |= {"asked_by": wish.asked_by, "attempt": attempt.nonce}
            await self.tell(RiskEvent(EventName.OVERRIDE_GRANTED, facts))
            if carry_out is not None:
                is_done, told = await carry_out(by)
        except RiskDaemonError as error:
            told = str(error)
        self._finish(attempt, End(is_granted=True, is_done=is_done, told=told))
        if not is_done:
            await self._tell_refused(attempt, by or None, f"agreed to, and not done: {told}")

    async def _failed(self, attempt: Attempt, name: str, why: str, now: Instant) -> OverrideRefused:
        """Count a failure, and tell. The error to raise."""
        try:
            register = await asyncio.to_thread(self.store.change, lambda known: failed(known, now))
        except StateError as error:
            self._finish(attempt, End(is_granted=False, is_done=False, told=f"a failure could not be counted: {error}"))
            await self._tell_refused(attempt, name, why)
            return OverrideRefused(f"{why}; and this attempt is over, because a failure could not be counted")
        is_locked = register.locked_until_wall > now.wall
        if is_locked:
            told = f"too many failures: nobody can override anything until {utc_text(register.locked_until_wall)}"
            self._finish(attempt, End(is_granted=False, is_done=False, told=told))
        count = len(register.failed_walls) if not is_locked else None
        until = utc_text(register.locked_until_wall) if is_locked else None
        await self._tell_refused(attempt, name, why, failures=count, locked_until=until)
        return OverrideRefused(f"{why}; too many failures, locked until {until}" if is_locked else why)

    async def _end_open(self, why: str) -> None:
        """End the open attempt, if there is one. The caller has the lock."""
        attempt = self._override.attempt
        if attempt is None or attempt.end is not None:
            return
        agreed = f"{len(attempt.given)} of {attempt.wish.needed} had agreed"
        self._finish(attempt, End(is_granted=False, is_done=False, told=f"{why}; {agreed}"))
        await self._tell_refused(attempt, ", ".join(attempt.given) or None, f"{why}; {agreed}")

    async def _tell_asked(self, attempt: Attempt) -> None:
        """Before anybody can agree: what can't be told is not asked."""
        wish = attempt.wish
        facts = {"purpose": wish.purpose.value, "who": wish.asked_by, "why": wish.reason, "needed": wish.needed}
        try:
            await self.tell(RiskEvent(EventName.OVERRIDE_ASKED, {**facts, "attempt": attempt.nonce}))
        except RiskDaemonError as error:
            self._finish(attempt, End(is_granted=False, is_done=False, told=str(error)))
            raise

    async def _tell_agreed(self, attempt: Attempt, name: str) -> None:
        """One of those who are needed; what is half done is known also where it never comes to an end."""
        count = f"{len(attempt.given)} of {attempt.wish.needed}"
        facts = {"purpose": attempt.wish.purpose.value, "who": name, "why": count, "attempt": attempt.nonce}
        await self.tell(RiskEvent(EventName.OVERRIDE_AGREED, facts))

    async def _tell_refused(self, attempt: Attempt, who: str | None, why: str, **more: Any) -> None:
        wish = attempt.wish
        facts = {"purpose": wish.purpose.value, "who": who or wish.asked_by, "why": why, "asked_by": wish.asked_by}
        facts |= {"attempt": attempt.nonce, **more}
        try:
            await self.tell(RiskEvent(EventName.OVERRIDE_REFUSED, facts))
        except RecordError as error:  # it stays refused
            _LOG.error("override_refused_not_written", error=str(error), **facts)

    def _finish(self, attempt: Attempt, end: End) -> None:
        attempt.end = end
        self._carry_out = self._secret = None
        if self._timer is not None:
            self._timer.cancel()
        self._touch()

    def _start_timer(self, attempt: Attempt) -> None:
        def expire() -> None:
            task = asyncio.ensure_future(self._expire(attempt))
            self._expiring.add(task)
            task.add_done_callback(self._expiring.discard)

        self._timer = asyncio.get_running_loop().call_later(LASTS_S, expire)

    async def _expire(self, attempt: Attempt) -> None:
        async with self._lock:
            if self._override.attempt is attempt:
                await self._end_open("ten minutes are over")

    def _touch(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # --- what is shown -------------------------------------------------------------------------------

    def _view(self, attempt: Attempt, register: Register) -> dict[str, Any]:
        wish, end = attempt.wish, attempt.end
        stage = "ended" if end is not None else "enroll" if wish.enrolls and attempt.is_agreed else "agree"
        return {
            "attempt": attempt.nonce,
            "purpose": wish.purpose.value,
            "asked_by": wish.asked_by,
            "reason": wish.reason,
            "facts": [list(fact) for fact in wish.facts],
            "changes": list(wish.changes),
            "needed": wish.needed,
            "given": list(attempt.given),
            "wardens": [name for name in register.wardens if name not in attempt.given],
            "enrolls": wish.enrolls,
            "stage": stage,
            "left_s": round(attempt.left_s(self._clock.now())),
            "end": None if end is None else {"granted": end.is_granted, "done": end.is_done, "told": end.told},
        }
