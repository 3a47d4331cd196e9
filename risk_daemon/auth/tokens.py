"""Bearer tokens: who may ask over HTTP, by name and role.

A token is `rdt_` and 43 characters of chance, shown once, when it is made. The file keeps its SHA-256: for 256
random bits nothing slower is needed. The file is replaced whole, and read again whenever it has changed, so that a
running daemon knows at the next request what was made or revoked. A file that can't be read lets nobody in.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from risk_daemon.auth.private_file import alone, read_privately, replace_privately
from risk_daemon.errors import StateError, UsageError
from risk_daemon.model.clock import Clock, SystemClock

FILE_NAME = "tokens.json"
FORMAT = 1
PREFIX = "rdt_"
CHANGES_MAX = 100  # that the file keeps; whoever owns the event log takes them from it
_SECRET_BYTES = 32
_LENGTH = len(PREFIX) + 43
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Role(StrEnum):
    """What the bearer may do: a bot asks and reports, an operator halts and reads, a viewer reads, a warden resumes."""

    BOT = "bot"
    OPERATOR = "operator"
    VIEWER = "viewer"
    WARDEN = "warden"


# A warden is a person with a passkey, never the bearer of a text.
CREATABLE = (Role.BOT, Role.OPERATOR, Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token stands for. A bot's token names the bot."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be shown of a token. created_wall: Unix seconds."""

    name: str
    role: Role
    created_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """That a token was made or revoked. change_id: it has this one line in the event log. token_id: see `Audit`."""

    change_id: str
    is_created: bool
    token_id: str
    name: str
    role: Role
    operator: str
    source: str
    wall: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What there is to tell of the tokens. tokens: by the first digits of their digests; changes: the last ones."""

    tokens: Mapping[str, Principal]
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class _Contents:
    entries: Mapping[bytes, _Entry]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    info: TokenInfo
    principal: Principal

    @classmethod
    def of(cls, digest: bytes, info: TokenInfo) -> Self:
        return cls(digest, info, Principal(info.name, info.role))

    def document(self) -> dict[str, Any]:
        info = self.info
        return {
            "name": info.name,
            "role": info.role.value,
            "sha256": self.digest.hex(),
            "created_wall": info.created_wall,
        }


class TokenStore:
    """The tokens in one file. Any number of processes may use it at once."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._path_text = str(path)  # os.stat is asked at every request, and a Path makes it slower
        self._clock = clock
        self._version: tuple[int, ...] | None = None
        self._entries: Mapping[bytes, _Entry] = {}
        self._told: Mapping[bytes, _Entry] | None = None
        self._problem: str | None = None
        self._reads = 0

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> Self:
        """path: the file; it need not be there yet. Raises nothing."""
        return cls(path, clock or SystemClock())

    # --- asking ------------------------------------------------------------------------------------

    def authenticate(self, token: str) -> Principal | None:
        """Who `token` stands for, None for nobody. Raises nothing.

        It is looked up by its digest: how long that takes tells nothing of any token.
        """
        self._refresh()
        if len(token) != _LENGTH or not token.isascii():
            return None
        digest = _digest(token)
        entry = self._entries.get(digest)
        if entry is None or not hmac.compare_digest(entry.digest, digest):
            return None
        return entry.principal

    def version(self) -> int:
        """A number that is another one whenever an answer of `authenticate` may be. Raises nothing."""
        self._refresh()
        return self._reads

    def knows(self, name: str, role: Role) -> bool | None:
        """Whether a token of `role` is called `name`; None where the file can't be read. Raises nothing."""
        self._refresh()
        if self._problem is not None:
            return None
        return any(entry.info.name == name and entry.info.role is role for entry in self._entries.values())

    def list(self) -> tuple[TokenInfo, ...]:
        """All tokens, oldest first. Raises StateError if the file can't be read."""
        return tuple(sorted((entry.info for entry in self._load().values()), key=lambda info: info.created_wall))

    # --- changing ----------------------------------------------------------------------------------

    def create(self, role: Role | str, name: str, *, operator: str = "", source: str = "") -> str:
        """A new token's text, which nobody can show again. operator, source: who does it, and from where.

        Raises UsageError for a role that has no tokens, a name that is taken or is no name; StateError if the
        file can't be read or written.
        """
        kind = _creatable(role)
        if _NAME.fullmatch(name) is None:
            raise UsageError(f"{name[:70]!r} is no name for a token: 1 to 64 letters, digits, `.`, `_` and `-`")
        with self._alone():
            before = self._read()
            entries = dict(before.entries)
            if any(entry.info.name == name for entry in entries.values()):
                raise UsageError(f"there is a token called {name} already: revoke it first, or take another name")
            token = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
            digest = _digest(token)
            made = entries[digest] = _Entry.of(digest, TokenInfo(name, kind, self._clock.now().wall))
            self._write(entries, (*before.changes, self._change(made, operator, source, is_created=True)))
        return token

    def revoke(self, name: str, *, operator: str = "", source: str = "") -> bool:
        """Whether there was a token of that name. Raises StateError if the file can't be read or written."""
        with self._alone():
            before = self._read()
            gone = [entry for entry in before.entries.values() if entry.info.name == name]
            if not gone:
                return False
            kept = {digest: entry for digest, entry in before.entries.items() if entry.info.name != name}
            told = (self._change(entry, operator, source, is_created=False) for entry in gone)
            self._write(kept, (*before.changes, *told))
        return True

    def audit(self) -> Audit:
        """Raises StateError if the file can't be read."""
        found = self._read()
        return Audit({token_id(digest): entry.principal for digest, entry in found.entries.items()}, found.changes)

    def _change(self, entry: _Entry, operator: str, source: str, *, is_created: bool) -> Change:
        return Change(
            change_id=secrets.token_hex(8),
            is_created=is_created,
            token_id=token_id(entry.digest),
            name=entry.info.name,
            role=entry.info.role,
            operator=operator,
            source=source,
            wall=self._clock.now().wall,
        )

    # --- the file ----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Know what the file says now. One that can't be read is said once, and tried again each time."""
        try:
            version = _version(self._path_text)
            if version is None or version != self._version:
                self._reads += 1
                entries = self._load()
                self._tell_changes(entries)
                self._entries = self._told = entries
            self._version, self._problem = version, None
        except (OSError, StateError) as error:
            self._entries, self._version = {}, None
            self._reads += 1
            self._say(str(error))

    def _tell_changes(self, now: Mapping[bytes, _Entry]) -> None:
        """Who got a token and who lost one, in the journal: at first all there are, then what changed."""
        before = self._told
        if before is None and not now:
            return
        import structlog  # only here: `risk-daemon token` must answer at once

        journal = structlog.get_logger(__name__)
        if before is None:
            journal.info("tokens_known", tokens=_named(now, {}))
        elif before.keys() != now.keys():
            journal.warning("tokens_changed", created=_named(now, before), revoked=_named(before, now))

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            import structlog  # only here: `risk-daemon token` must answer at once

            structlog.get_logger(__name__).error("tokens_unreadable", error=problem, effect="no token is accepted")
        self._problem = problem

    def _load(self) -> Mapping[bytes, _Entry]:
        """Raises StateError."""
        return self._read().entries

    def _read(self) -> _Contents:
        """Raises StateError."""
        try:
            data = read_privately(self._path)
            return _Contents({}) if data is None else _parse(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StateError(f"{self._path}: the tokens can't be read ({reason}): mend it or move it away") from error

    def _write(self, entries: Mapping[bytes, _Entry], changes: Sequence[Change]) -> None:
        """A change and the word of it in one. Raises StateError; then the file is as it was."""
        document = {
            "format": FORMAT,
            "tokens": [entry.document() for entry in entries.values()],
            "changes": [asdict(change) for change in changes[-CHANGES_MAX:]],
        }
        try:
            replace_privately(self._path, json.dumps(document, indent=1).encode("ascii") + b"\n")
        except OSError as error:
            raise StateError(f"{self._path}: the tokens can't be written: {error}") from error

    def _alone(self) -> AbstractContextManager[None]:
        """One writer at a time, among all processes. Entering raises StateError."""
        return alone(self._path, "tokens")


def _creatable(role: Role | str) -> Role:
    if role not in CREATABLE:
        known = " or ".join(CREATABLE)
        raise UsageError(f"there are no tokens of the role {str(role)[:70]!r}: it must be {known}")
    return Role(role)


def _digest(token: str) -> bytes:
    return sha256(token.encode("ascii")).digest()


def _version(path: str) -> tuple[int, ...] | None:
    """What changes when the file is replaced or written to; None if there is none. Raises OSError."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode


def token_id(digest: bytes) -> str:
    """Names a token in records, and opens nothing."""
    return digest.hex()[:12]


def _parse(data: bytes) -> _Contents:
    """Raises ValueError, KeyError, TypeError or AttributeError for anything that `_write` would not have written."""
    document = json.loads(data)
    if document.get("format") != FORMAT:
        raise ValueError(f"format {document.get('format')!r} is not known")
    entries = [_entry(**record) for record in document["tokens"]]
    if len({entry.info.name for entry in entries}) != len(entries):
        raise ValueError("two tokens have the same name")
    changes = tuple(_changed(**record) for record in document.get("changes", []))
    return _Contents({entry.digest: entry for entry in entries}, changes)


def _changed(*, role: str, wall: float, is_created: bool, **texts: str) -> Change:
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(is_created, bool):
        raise ValueError("a change is not one of a token")
    return Change(role=Role(role), wall=float(wall), is_created=is_created, **texts)


def _entry(*, name: str, role: str, sha256: str, created_wall: float) -> _Entry:
    if _DIGEST.fullmatch(sha256) is None or _NAME.fullmatch(name) is None or role not in CREATABLE:
        raise ValueError("an entry is not one of a token")
    return _Entry.of(bytes.fromhex(sha256), TokenInfo(name, Role(role), float(created_wall)))


def _named(entries: Mapping[bytes, _Entry], besides: Mapping[bytes, _Entry]) -> dict[str, str]:
    """Name -> role of what is in the first only."""
    return {entry.info.name: entry.info.role.value for digest, entry in entries.items() if digest not in besides}
