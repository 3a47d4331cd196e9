"""Wardens: the people who may resume, each with a passkey and one-time codes.

The file also remembers what must survive a restart: the last code each has used, how often somebody failed lately, a
glass that is being broken, and the strictest rules that were ever in force here. A file that can't be read is not "no
wardens": whoever asks gets an error, and nothing is resumed. Nor is one that is gone: the store remembers that there
was somebody, until the last is revoked or the glass is broken.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import structlog

from risk_daemon.auth.private_file import alone, read_privately, replace_privately
from risk_daemon.auth.remembered import is_remembered, remember
from risk_daemon.errors import RecordError, StateError, UsageError
from risk_daemon.state.directory import Paths

_LOG = structlog.get_logger(__name__)

FILE_NAME = "wardens.json"
FORMAT = 1
STEP_S = 30
_DRIFT_STEPS = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_CODE = re.compile(r"[0-9]{6}", re.ASCII)
_SECRET = re.compile(r"[A-Z2-7]{32}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A credential of an authenticator. host: what the page was called that it was made on (the relying party)."""

    credential_id: bytes
    public_key: bytes = field(repr=False)
    sign_count: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warden:
    """One person. last_step: of the last one-time code that counted."""

    name: str
    secret: str = field(repr=False)
    last_step: int
    passkey: Passkey
    enrolled_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """Every warden is to be forgotten from `due_wall` on. asked_by: for the records."""

    asked_by: str
    asked_wall: float
    due_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How many must agree, and how long the glass takes to break."""

    quorum: int = 1
    break_glass_after_s: float = 3_600.0

    def strictest(self, other: Rules) -> Rules:
        """Whichever asks for more, of each."""
        return Rules(
            quorum=max(self.quorum, other.quorum),
            break_glass_after_s=max(self.break_glass_after_s, other.break_glass_after_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """The whole file. failed_walls: when somebody failed lately. rules: the strictest since the first was enrolled."""

    wardens: Mapping[str, Warden] = field(default_factory=dict)
    failed_walls: tuple[float, ...] = ()
    locked_until_wall: float = 0.0
    break_glass: BreakGlass | None = None
    rules: Rules | None = None

    @property
    def is_guarded(self) -> bool:
        """Whether anybody is enrolled: then only wardens resume."""
        return bool(self.wardens)

    def rules_with(self, configured: Rules) -> Rules:
        """What holds: the file on disk may ask for more than was in force before, never for less."""
        return configured if self.rules is None else configured.strictest(self.rules)

    def enrolled(self, warden: Warden, rules: Rules) -> Self:
        """With one more. Raises UsageError for a name that is taken, or an authenticator that another one has."""
        self.check_free(warden.name)
        if any(known.passkey.credential_id == warden.passkey.credential_id for known in self.wardens.values()):
            raise UsageError("this passkey is another warden's: each needs one of their own")
        return replace(self, wardens={**self.wardens, warden.name: warden}, rules=self.rules_with(rules))

    def check_free(self, name: str) -> None:
        """Raises UsageError unless somebody new may be called so."""
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{name[:70]!r} is no name for a warden: 1 to 64 letters, digits, `.`, `_` and `-`")
        if name in self.wardens:
            raise UsageError(f"there is a warden called {name} already: revoke them first, or take another name")

    def revoked(self, name: str) -> Self:
        """Without one. With nobody left the rules start anew. Raises UsageError if there is none of that name."""
        if name not in self.wardens:
            raise UsageError(f"there is no warden called {name[:70]!r}: see `risk-daemon warden list`")
        kept = {other: warden for other, warden in self.wardens.items() if other != name}
        return replace(self, wardens=kept, rules=self.rules if kept else None)

    def used(self, name: str, step: int, sign_count: int) -> Self:
        """A code and a signature of this warden counted, and count no more. A glass is not broken while keys work.

        Raises StateError where they did already: somebody else was quicker.
        """
        warden = self.wardens.get(name)
        if warden is None or step <= warden.last_step:
            raise StateError(f"this one-time code of {name} was used already: wait for the next one")
        passkey = replace(warden.passkey, sign_count=max(sign_count, warden.passkey.sign_count))
        wardens = {**self.wardens, name: replace(warden, last_step=step, passkey=passkey)}
        return replace(self, wardens=wardens, break_glass=None)


def step_of(secret: str, code: str, wall: float, *, after: int = -1) -> int | None:
    """The time step that `code` is of, if it is one of now or 30 s beside it, and later than the step `after`.

    None for any other. The comparison takes as long for each.
    """
    import pyotp  # only here: what reads the list needs none of it

    if _CODE.fullmatch(code) is None:
        return None
    found, totp, now = None, pyotp.TOTP(secret), int(wall // STEP_S)
    for step in range(max(0, now - _DRIFT_STEPS), now + _DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step), code) and step > after:
            found = step
    return found


def was_used(warden: Warden, code: str, wall: float) -> bool:
    """Whether `code` would be right, had it not counted already."""
    return step_of(warden.secret, code, wall) is not None and step_of_next(warden, code, wall) is None


def step_of_next(warden: Warden, code: str, wall: float) -> int | None:
    """The step of a code that may count for this warden; None for any other."""
    return step_of(warden.secret, code, wall, after=warden.last_step)


def provisioning_uri(secret: str, name: str) -> str:
    """What an authenticator app reads from a QR code."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="risk-daemon")


# --- the file ----------------------------------------------------------------------------------------


class WardenStore:
    """The register in one file. Any number of processes may use it at once. Blocks: it waits for the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, state_dir: Path) -> Self:
        """Of the daemon whose state is kept there; the file need not be there yet."""
        return cls(state_dir / FILE_NAME)

    def read(self) -> Register:
        """Raises StateError for a file that is not one of ours, or is gone: nobody resumes anything then."""
        register = self.read_what_is_left()
        if not register.is_guarded and self.is_remembered():
            raise StateError(
                f"{self.path}: wardens were enrolled, and it names none any more: nothing is resumed until it is"
                " brought back from a copy, or root breaks the glass (`risk-daemon warden break-glass`)"
            )
        return register

    def read_what_is_left(self) -> Register:
        """The file by itself: for breaking the glass. Raises StateError for one that is not ours."""
        try:
            data = read_privately(self.path, is_secret=True)
            return Register() if data is None else _parse(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StateError(
                f"{self.path}: the wardens can't be read ({reason}): nothing is resumed until that is mended"
            ) from error

    def is_remembered(self) -> bool:
        """Whether the store beside it says that somebody is enrolled. Raises StateError where it can't be read."""
        return is_remembered(self._database)

    def change(self, to: Callable[[Register], Register]) -> Register:
        """What `to` makes of the register, once it is on disk. Raises StateError, then it is as it was; and as `to`.

        The store remembers whether somebody is enrolled, also where nothing changes: it may be a new one.
        """
        with self._alone():
            before = self.read()
            after = to(before)
            if not after.is_guarded:
                self._remember(False)
            if after != before:
                self._write(after)
            if after.is_guarded:
                self._remember(True)
        return after

    def change_what_is_left(self, to: Callable[[Register], Register | None]) -> None:
        """For breaking the glass, whatever is gone already. None: nobody is enrolled from now on. Raises StateError."""
        with self._alone():
            after = to(self.read_what_is_left())
            if after is None:
                self._remember(False)
            self._write(after or Register())

    @property
    def _database(self) -> Path:
        return Paths(self.path.parent).database

    def _remember(self, is_guarded: bool) -> None:
        try:
            remember(self._database, is_guarded)
        except (RecordError, StateError) as error:
            if not is_guarded:
                raise StateError(f"{self.path}: the store can't be told that nobody is enrolled: {error}") from error
            _LOG.critical("wardens_not_remembered", error=str(error))  # the register holds without it

    def _alone(self) -> AbstractContextManager[None]:
        return alone(self.path, "wardens")

    def _write(self, register: Register) -> None:
        try:
            replace_privately(self.path, json.dumps(_document(register), indent=1).encode("ascii") + b"\n")
        except OSError as error:
            raise StateError(f"{self.path}: the wardens can't be written: {error}") from error


def _document(register: Register) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "wardens": [_warden_document(warden) for warden in register.wardens.values()],
        "failed_walls": list(register.failed_walls),
        "locked_until_wall": register.locked_until_wall,
        "break_glass": None if register.break_glass is None else asdict(register.break_glass),
        "rules": None if register.rules is None else asdict(register.rules),
    }


def _warden_document(warden: Warden) -> dict[str, Any]:
    passkey = warden.passkey
    return {
        "name": warden.name,
        "secret": warden.secret,
        "last_step": warden.last_step,
        "enrolled_wall": warden.enrolled_wall,
        "passkey": {
            "credential_id": base64.b64encode(passkey.credential_id).decode(),
            "public_key": base64.b64encode(passkey.public_key).decode(),
            "sign_count": passkey.sign_count,
            "host": passkey.host,
        },
    }


def _parse(data: bytes) -> Register:
    """Raises ValueError, KeyError, TypeError or AttributeError for anything that `_write` would not have written."""
    document = json.loads(data)
    if document.get("format") != FORMAT:
        raise ValueError(f"format {document.get('format')!r} is not known")
    wardens = [_warden(**record) for record in document["wardens"]]
    if len({warden.name for warden in wardens}) != len(wardens):
        raise ValueError("two wardens have the same name")
    glass, rules = document["break_glass"], document["rules"]
    return Register(
        wardens={warden.name: warden for warden in wardens},
        failed_walls=tuple(float(wall) for wall in document["failed_walls"]),
        locked_until_wall=float(document["locked_until_wall"]),
        break_glass=None if glass is None else BreakGlass(**glass),
        rules=None if rules is None else _rules(**rules),
    )


def _warden(*, name: str, secret: str, last_step: int, enrolled_wall: float, passkey: Mapping[str, Any]) -> Warden:
    if _NAME.fullmatch(name) is None or _SECRET.fullmatch(secret) is None:
        raise ValueError("an entry is not one of a warden")
    return Warden(
        name=name,
        secret=secret,
        last_step=int(last_step),
        enrolled_wall=float(enrolled_wall),
        passkey=_passkey(**passkey),
    )


def _passkey(*, credential_id: str, public_key: str, sign_count: int, host: str) -> Passkey:
    found = Passkey(
        credential_id=base64.b64decode(credential_id, validate=True),
        public_key=base64.b64decode(public_key, validate=True),
        sign_count=int(sign_count),
        host=str(host),
    )
    if not found.credential_id or not found.public_key:
        raise ValueError("an entry has no passkey")
    return found


def _rules(*, quorum: int, break_glass_after_s: float) -> Rules:
    if type(quorum) is not int or quorum < 1:
        raise ValueError("the quorum is no number of people")
    return Rules(quorum=quorum, break_glass_after_s=float(break_glass_after_s))
