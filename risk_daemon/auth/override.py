"""One attempt of the wardens to allow something: who asked for what, who has agreed, and how it ended.

One attempt at a time, for ten minutes, known by a code that only the one at the terminal has. It lives in memory: a
restart forgets it, half done or not. Failures are counted over all attempts, and outlive a restart in the register:
five within a quarter of an hour, and nobody is asked for as long. No clock, no chance, no disk in here.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from risk_daemon.auth.wardens import Register
from risk_daemon.errors import ExitCode, RiskDaemonError, check
from risk_daemon.model.clock import Instant

LASTS_S = 600.0
CHALLENGE_LASTS_S = 120.0
FAILURES = 5
LOCKED_S = 900.0

CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 12


class OverrideRefused(RiskDaemonError):
    """What was asked of an attempt is not done, and why. Nothing was opened."""

    exit_code = ExitCode.REFUSED


class Unknown(OverrideRefused):
    """No attempt of that code is open."""


class Purpose(StrEnum):
    """What wardens are asked to allow."""

    RESET = "reset"
    DISABLE = "disable"
    RELEASE = "release"
    INIT = "init"
    CONFIGURATION = "configuration"
    ENROLL = "enroll"
    REVOKE = "revoke"
    FUND = "fund"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants. facts: how things stand, as label and text; changes: sentences about what will.

    needed: how many must agree; 0 only for the first enrolment. enrolls: who gets a passkey once they did.
    """

    purpose: Purpose
    asked_by: str
    reason: str
    needed: int
    facts: tuple[tuple[str, str], ...] = ()
    changes: tuple[str, ...] = ()
    enrolls: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an attempt ended. is_granted: they agreed. is_done: and what they agreed to was done."""

    is_granted: bool
    is_done: bool
    told: str


@dataclass(slots=True, kw_only=True)
class Attempt:
    """nonce: its public name. code: who knows it may see it and take part. given: who agreed, in their order."""

    nonce: str
    code: str = field(repr=False)
    wish: Wish
    since: Instant
    given: list[str] = field(default_factory=list)
    end: End | None = None
    _challenges: dict[str, tuple[bytes, float]] = field(default_factory=dict, repr=False)

    @property
    def is_agreed(self) -> bool:
        """Whether as many have agreed as are needed."""
        return len(self.given) >= self.wish.needed

    def left_s(self, now: Instant) -> float:
        """Seconds until it ends by itself."""
        return max(0.0, self.since.mono + LASTS_S - now.mono)

    def challenge(self, name: str, challenge: bytes, now: Instant) -> None:
        """What `name` is to sign; an earlier one counts no more."""
        self._challenges[name] = (challenge, now.mono + CHALLENGE_LASTS_S)

    def take_challenge(self, name: str, now: Instant) -> bytes:
        """What `name` was to sign, once. Raises OverrideRefused where there is none, or it is too old."""
        challenge, until_mono = self._challenges.pop(name, (b"", 0.0))
        if not challenge or now.mono >= until_mono:
            raise OverrideRefused("what was signed is not what was asked for, or too old: try again")
        return challenge


class Override:
    """The attempt there is, if there is one."""

    def __init__(self) -> None:
        self.attempt: Attempt | None = None

    def open(self, wish: Wish, nonce: str, code: str, register: Register, now: Instant) -> Attempt:
        """A new attempt, in the place of one that has ended. Raises OverrideRefused while locked, and by too few."""
        check(self.attempt is None or self.attempt.end is not None, "an attempt that is open must be ended first")
        refuse_locked(register, now)
        too_few = wish.needed - len(register.wardens)
        if too_few > 0:
            raise OverrideRefused(
                f"{wish.needed} wardens must agree and {len(register.wardens)} are enrolled: enrol {too_few} more"
            )
        self.attempt = Attempt(nonce=nonce, code=normal(code), wish=wish, since=now)
        return self.attempt

    def find(self, code: str) -> Attempt:
        """The open attempt of that code. Raises Unknown, the same whether there is none or another."""
        attempt = self.attempt
        if attempt is None or not hmac.compare_digest(attempt.code.encode(), normal(code).encode()):
            raise Unknown("no attempt of this code is open: look at the terminal where it was begun")
        return attempt

    def find_open(self, code: str, nonce: str, now: Instant) -> Attempt:
        """As `find`, of an attempt that still takes something. Raises OverrideRefused for one that has ended."""
        attempt = self.find(code)
        if attempt.nonce != nonce:
            raise OverrideRefused("this page is of another attempt: load it again")
        if attempt.end is not None or attempt.left_s(now) <= 0:
            raise OverrideRefused("this attempt has ended: begin another one at the terminal")
        return attempt

    def agree(self, attempt: Attempt, name: str, register: Register) -> bool:
        """`name` has proven who they are, and agrees. Whether that is enough. Raises OverrideRefused for a second time.

        Whoever is not enrolled any more does not count.
        """
        if name in attempt.given:
            raise OverrideRefused(f"{name} has agreed already: the others are needed")
        attempt.given = [*(known for known in attempt.given if known in register.wardens), name]
        return attempt.is_agreed


# --- failures ----------------------------------------------------------------------------------------


def refuse_locked(register: Register, now: Instant) -> None:
    """Raises OverrideRefused while too many failures are too young."""
    wait_s = register.locked_until_wall - now.wall
    if wait_s > 0:
        raise OverrideRefused(
            f"too many attempts failed: nobody can override anything for another {wait_s / 60:.1f} minutes"
        )


def failed(register: Register, now: Instant) -> Register:
    """With one more failure, and locked where it is one too many. Those before a lock are forgiven with its end."""
    young = (*(wall for wall in register.failed_walls if abs(now.wall - wall) < LOCKED_S), now.wall)
    if len(young) < FAILURES:
        return replace(register, failed_walls=young)
    return replace(register, failed_walls=(), locked_until_wall=now.wall + LOCKED_S)


# --- codes -------------------------------------------------------------------------------------------


def code_of(chance: Iterable[int]) -> str:
    """A code that can be read out and typed, of so many random bytes."""
    return "".join(CODE_ALPHABET[byte % len(CODE_ALPHABET)] for byte in chance)


def shown(code: str) -> str:
    """In groups of four."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def normal(code: str) -> str:
    """As it was made, however somebody typed it."""
    return "".join(letter for letter in code.upper() if letter.isascii() and letter.isalnum())
