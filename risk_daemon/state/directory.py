"""The state directory: one owner, one set of accounts.

A missing latch is not "no latch": a directory that is empty, of other accounts, of another version or
damaged is refused, and only `init` (or a run on simulated venues) makes one. What makes it ours is one
document, written in one transaction with the first lock record. So a directory is set up or it is not,
wherever the process was killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from risk_daemon.errors import RecordError, StateError, StateOwned
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import UNREADABLE, LockRecord
from risk_daemon.state.store.base import JsonObject
from risk_daemon.state.store.formats import FORMAT, IDENTITY, OLDEST
from risk_daemon.state.store.sqlite import connect, read_documents, write_documents
from risk_daemon.state.traces import trace_left

LATCH = "lock"
LOST = "lost"
_INIT = "run `risk-daemon init`"
_MIGRATE = "run `risk-daemon migrate`"


def fingerprint(exchange: str, endpoint: str, api_key: str) -> str:
    """16 hex digits that name an account without giving its key away.

    endpoint: where it is reached: `live`, `sandbox`, an address, or `simulated`, whose port changes.
    """
    text = json.dumps([exchange, endpoint, api_key])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def latch(documents: Mapping[str, JsonObject]) -> LockRecord:
    """The lock as it was saved. Absent or unreadable is locked, cause `locked`."""
    try:
        return LockRecord.from_document(documents[LATCH])
    except (KeyError, ValueError, TypeError, AttributeError):
        return UNREADABLE


@dataclass(frozen=True, slots=True)
class Paths:
    """The files in a state directory."""

    root: Path

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def risk(self) -> Path:
        return self.root / "risk.json"

    @property
    def vetoes(self) -> Path:
        return self.root / "risk_vetoes.jsonl"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def gate(self) -> Path:
        return self.root / "gate.bin"

    @property
    def lock(self) -> Path:
        return self.root / "lock.json"

    @property
    def socket(self) -> Path:
        return self.root / "risk-daemon.sock"

    @property
    def owner(self) -> Path:
        return self.root / "owner.lock"


class StateDir:
    """A directory that is ours until `close`, or until the process ends, however it ends.

    fresh: it was set up by this opening, so there is no memory in it.
    The lock lives in the open file: a child that is forked without exec would hold it too.
    """

    def __init__(self, paths: Paths, descriptor: int, fresh: bool) -> None:
        self.paths = paths
        self.fresh = fresh
        self._descriptor = descriptor

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        accounts: Mapping[str, str],
        initial_capital: str,
        create: bool,
        replace: bool = False,
        first: Mapping[str, JsonObject] | None = None,
    ) -> Self:
        """Take the directory. accounts: venue -> fingerprint. initial_capital: as configured, as plain text.

        create: set it up if it is not; refused while a lock file or the event log tells of a trip that nobody
        ended. replace: start over, forgetting everything but the event log; refused while the lock is shut, and
        while it can't be read. first: more of what a fresh one begins with. Raises StateError, one sentence with
        what to do.
        """
        paths = Paths(path)
        wanted = identity(accounts, initial_capital)
        try:
            _check_directory(paths, create or replace)
            descriptor = _take(paths)
        except OSError as error:
            raise StateError(f"{path}: the state directory can't be used: {error}") from error
        try:
            fresh = _check_identity(paths, wanted, create or replace, replace, first)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(paths, descriptor, fresh)

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the directory whatever is in it: to finish a trip, or to bring it to another format.

        Raises StateOwned, and StateError where it can't be used at all.
        """
        paths = Paths(path)
        try:
            return cls(paths, _take(paths), fresh=False)
        except OSError as error:
            raise StateError(f"{path}: the state directory can't be used: {error}") from error

    def close(self) -> None:
        """Let somebody else own it. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_directory(paths: Paths, create: bool) -> None:
    """The directory stands, with mode 0700 if we made it; nobody else may write to it. OSError, StateError.

    Whose it is matters where it is set up: later on root may act in a directory of the guard's user.
    """
    root = paths.root
    if create and not root.exists():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not root.exists():
        raise StateError(f"{root}: there is no state directory: {_INIT}")
    if not root.is_dir():
        raise StateError(f"{root}: this is not a directory: set [state] dir to another place")
    if create and root.stat().st_uid not in (os.geteuid(), 0):
        raise StateError(
            f"{root}: user {root.stat().st_uid} owns it and may change all of it: chown it, or run as them"
        )
    if create and not any(root.iterdir()):
        root.chmod(0o700)
    if stat.S_IMODE(root.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise StateError(f"{root}: others can write to the state directory: run `chmod 700 {root}`")
    if not create and not paths.database.exists():
        raise StateError(f"{root}: there is no state in this directory: {_INIT}")


def _take(paths: Paths) -> int:
    """The descriptor that holds the lock. Raises StateError if somebody else has it; OSError."""
    descriptor = os.open(paths.owner, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StateOwned(f"{paths.root}: another risk-daemon (pid {pid}) owns this state directory") from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_identity(
    paths: Paths, wanted: dict[str, Any], create: bool, replace: bool, first: Mapping[str, JsonObject] | None
) -> bool:
    """True: set up just now. Raises StateError."""
    if create and not paths.database.exists():
        check_no_trip(paths)
    with closing(connect(paths.database, create=create)) as connection:
        documents = read_documents(paths.database, connection)
        known = documents.get(IDENTITY)
        if known is None and documents:
            raise StateError(f"{paths.database}: the state does not say whose it is: restore it from a copy")
        if known is None and not create:
            raise StateError(f"{paths.root}: the state was never set up: {_INIT}")
        if known is not None and not replace:
            _check_same(paths.root, known, wanted)
            return False
        if known is not None:
            _check_unlatched(paths.root, latch(documents))
        check_no_trip(paths)
        set_up(paths, connection, wanted, first)
    return True


def check_no_trip(paths: Paths) -> None:
    """An empty state beside the traces of a trip is a state that was lost. Raises StateError."""
    left = trace_left(paths.gate, paths.lock, paths.events)
    if left is not None:
        raise StateError(
            f"{paths.root}: {left.told_by} tells of trip {left.trip_id}, which nobody has reset, but its state.db is"
            " gone: bring that back, or look at the accounts yourself and set [state] dir to another place"
        )


def identity(accounts: Mapping[str, str], initial_capital: str) -> dict[str, Any]:
    """The document that makes a directory ours. See `StateDir.open`."""
    return {"format": FORMAT, "accounts": dict(accounts), "initial_capital": initial_capital}


def set_up(
    paths: Paths,
    connection: sqlite3.Connection,
    wanted: Mapping[str, Any],
    more: Mapping[str, JsonObject] | None = None,
) -> None:
    """Write a first state: unlocked, unless `more` says otherwise. Blocks. Raises StateError."""
    unlocked = LockRecord(locked=False, since_wall=SystemClock().now().wall)
    documents = {IDENTITY: wanted, LATCH: unlocked.document(), **(more or {})}
    try:
        write_documents(paths.database, connection, documents, only=True)
    except RecordError as error:
        raise StateError(str(error)) from error


def _check_unlatched(root: Path, lock: LockRecord) -> None:
    if lock.locked:
        raise StateError(f"{root}: trading is locked ({lock.cause}): run `risk-daemon reset` before starting over")


def _check_same(root: Path, known: dict[str, Any], wanted: dict[str, Any]) -> None:
    _check_format(root, known.get("format"))
    different = differences(known, wanted)
    if different:
        raise StateError(
            f"{root}: the state belongs to another setting ({'; '.join(different)}): "
            f"set [state] dir to another place, or {_INIT} to start over"
        )


def _check_format(root: Path, found: object) -> None:
    if isinstance(found, int) and OLDEST <= found < FORMAT:
        raise StateError(f"{root}: the state is of format {found}, this risk-daemon writes {FORMAT}: {_MIGRATE}")
    if found != FORMAT:
        raise StateError(
            f"{root}: the state has format {found!r}, this risk-daemon knows {FORMAT}: use the one that wrote it"
        )


def differences(known: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What of `wanted` a state that says `known` of itself is not of; see `identity`."""
    before, after = known.get("accounts"), wanted["accounts"]
    if not isinstance(before, dict):
        return ["its accounts can't be read"]
    found = [f"{venue} is another account" for venue in after if venue in before and before[venue] != after[venue]]
    found += [f"{venue} is new" for venue in after if venue not in before]
    found += [f"{venue} is gone" for venue in before if venue not in after]
    capital = known.get("initial_capital")
    if capital != wanted["initial_capital"]:
        found.append(f"initial_capital is {wanted['initial_capital']}, was {capital}")
    return found
