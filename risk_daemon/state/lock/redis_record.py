"""The gate as it stands in Redis: its keys, its record, and when a record is a yes. Standard library only.

Of each guard of a group, under `risk-daemon:<group>:gate:<guard>`:

    (the key itself)  the record, JSON. An `open` has a time to live, of a lease at most; a `locked` has none.
    ...:writer        which process writes it, up to which number, and when it spoke last (the server's clock, us)
    ...:contest       which other process has locked it lately

An `open` counts only as its writer meant it: well formed, of this group and guard, on the server that it was given to
(`server` is that server's `run_id`: one that was restarted or promoted has another), said before now and not longer
ago than its lease, with no more time to live than that. All of it by the server's own clock, in one transaction.

An `open` names the guard's `peers`, who guard the same accounts: one of them that only stands aside, or says nothing,
is no objection to it. Whatever else does not say open is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from risk_daemon.state.lock.base import UNREADABLE, LockRecord

FORMAT: Final = 1
LEASE_MS: Final = 2000
_US_IN_MS: Final = 1000
# A guard that has nothing against orders of others: it starts, it ended, it can't save its state, or a peer opens.
_ASIDE: Final = frozenset({"starting", "locked", "elsewhere"})


def key_of(group: str, guard: str) -> str:
    """Where the gate of one guard stands."""
    return f"risk-daemon:{group}:gate:{guard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What makes an `open` one. server: run id of the Redis it is given to. said_us: by that server's clock."""

    run: str
    seq: int
    server: str
    said_us: int
    lease_ms: int


def text_of(record: LockRecord, group: str, guard: str, given: Given | None, peers: Sequence[str] = ()) -> str:
    """The record as it is written. given: for an `open`, and only for that."""
    document = {"format": FORMAT, "group": group, "guard": guard, "peers": list(peers), **record.document()}
    if given is not None:
        document |= {
            "run": given.run,
            "seq": given.seq,
            "server": given.server,
            "said_us": given.said_us,
            "lease_ms": given.lease_ms,
        }
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look found. pttl_ms, time_us, server: what the server said of the key, its clock and itself."""

    text: object
    pttl_ms: object
    time_us: int
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What that means. word: names this `open` among all others; left_ms: how long it holds yet; 0 when locked.

    peers: who guards the same accounts. stands_aside: locked, and no objection to a peer's `open`.
    """

    record: LockRecord
    peers: frozenset[str] = frozenset()
    stands_aside: bool = False
    word: tuple[str, int] = ("", 0)
    left_ms: int = 0


SHUT: Final = Gate(record=UNREADABLE)


def judge(seen: Seen, group: str, guard: str) -> Gate | None:
    """The gate that was seen, locked for anything odd. None: there is no record."""
    if seen.text is None:
        return None
    try:
        document = json.loads(str(seen.text))
        record = LockRecord.from_document(document)
        if not _is_of(document, group, guard):
            return SHUT
        if not record.locked:
            return _opened(document, record, seen)
        is_aside = record.trip_id is None and record.until_wall is None and record.cause in _ASIDE
        return Gate(record=record, stands_aside=is_aside)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return SHUT


def _is_of(document: Mapping[str, Any], group: str, guard: str) -> bool:
    named = (document["format"], document["group"], document["guard"])
    peers = document["peers"]
    return named == (FORMAT, group, guard) and isinstance(peers, list) and all(isinstance(one, str) for one in peers)


def _opened(document: Mapping[str, Any], record: LockRecord, seen: Seen) -> Gate:
    run, seq, server = document["run"], document["seq"], document["server"]
    said_us, lease_ms = document["said_us"], document["lease_ms"]
    if not (isinstance(run, str) and run and isinstance(server, str) and server):
        return SHUT
    if not all(map(_is_count, (seq, said_us, lease_ms, seen.pttl_ms))) or not isinstance(seen.pttl_ms, int):
        return SHUT
    age_us, lease_us = seen.time_us - said_us, min(lease_ms, LEASE_MS) * _US_IN_MS
    left_ms = min(seen.pttl_ms, (lease_us - age_us) // _US_IN_MS)
    is_fresh = 0 <= age_us <= lease_us and 0 < seen.pttl_ms <= LEASE_MS and left_ms > 0
    if not is_fresh or server != seen.server:
        return SHUT
    return Gate(record=record, peers=frozenset(document["peers"]), word=(run, seq), left_ms=left_ms)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
