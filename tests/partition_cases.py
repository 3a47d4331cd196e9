"""Which parts are cut from each other, or fail by themselves, and what is promised of each: data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.namespaces import Cut

STOPPED_S = 30.0
REDIS_LEASE_S = 2.0
EPOCH_LEASE_S = 4.0
TOLD_WITHIN_S = 1.0
"""By how much later than a sweep began the peers may have been told, for that sweep to count."""

ORDER_FLIGHT_S = 0.5
TAKEOVER_S = 6.0
BLIND_S = 15.0
"""As both guards are configured: 10 s without a listing, and what a round of them takes."""

LAST_PAGE_S = 8.0
"""For how long a PostgreSQL whose disk is full takes the small writes of two guards: a page of its log, of 8 kB."""

PROOF_S = REDIS_LEASE_S + TOLD_WITHIN_S + EPOCH_LEASE_S + ORDER_FLIGHT_S
"""No trip of a guard with a peer, and with bots in Redis, is proven sooner."""

UNPROVEN_FOR_S = PROOF_S + 4.0
"""For how long it is looked on after a trip, where a guard must not prove it: one that heeds nobody had by then."""

UNPROVEN_THEN_S = 2.0
"""The same once the guard says that it has come so far."""


class Board(StrEnum):
    """Where the two guards meet."""

    POSTGRESQL = "PostgreSQL"
    REDIS = "Redis"


class Who(StrEnum):
    """The parts, by what they do when the failure begins. HOLDER: the guard that opens; OTHER: the one that doesn't."""

    HOLDER = "the guard that opens"
    OTHER = "the other guard"
    BOT = "the bot"
    STORE = "PostgreSQL"
    REDIS = "Redis"
    VENUE = "the venue"
    ALL = "everybody"


HOLDER, OTHER, BOT, STORE, REDIS, VENUE = Who.HOLDER, Who.OTHER, Who.BOT, Who.STORE, Who.REDIS, Who.VENUE
NOBODY: frozenset[Who] = frozenset()
BOTH = frozenset({HOLDER, OTHER})
AS_BEFORE = frozenset({HOLDER, BOT})
BY_THE_OTHER = frozenset({OTHER, BOT})


class Fault(StrEnum):
    """What befalls one of them by itself."""

    KILLED = "kill -9"
    STOPPED = "stopped for 30 s"
    FULL = "its disk is full"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A failure, and what is promised.

    one, other: who are cut from each other; without `other` it befalls `one`. open_then: who finds the gate open once
    it has settled. shut_within_s: of those who found it open before and do no more, or do again by another guard.
    proven: who proves a trip while it lasts. untold: who says that the other one can't be told of it: all is empty
    there, and no proof for want of that.
    """

    one: Who
    other: Who | None = None
    how: Cut | Fault
    board: Board = Board.POSTGRESQL
    open_then: frozenset[Who]
    shut_within_s: Mapping[Who, float] = field(default_factory=dict)
    proven: frozenset[Who] = BOTH
    untold: frozenset[Who] = NOBODY

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.one}: {self.how}" if self.other is None else f"{self.one} from {self.other}: {self.how}"

    @property
    def is_out(self) -> bool:
        """Whether the guard that opened neither sees a loss nor hears of one."""
        return self.one is HOLDER and self.other in (None, Who.ALL)

    @property
    def lasts_s(self) -> float:
        """For how long at least."""
        return STOPPED_S if self.how is Fault.STOPPED else 0.0

    @property
    def looked_on_s(self) -> float:
        """For how long after the last trip: a guard that must not prove it should have the time to."""
        return 0.0 if self.is_out or self.proven == BOTH else UNPROVEN_FOR_S

    @property
    def id(self) -> str:
        """For a test."""
        return "-".join(re.findall(r"\w+", f"{self.name}, board in {self.board}"))


def _stays_open() -> dict[str, Any]:
    """The guard that opens has all it needs, and the two hear of each other."""
    return {"open_then": AS_BEFORE}


def _stays_open_without_the_other() -> dict[str, Any]:
    """The one that doesn't open hears nothing more, and can tell nothing."""
    return {"open_then": AS_BEFORE, "proven": frozenset({HOLDER}), "untold": frozenset({OTHER})}


def _taken_over(bot_within_s: float) -> dict[str, Any]:
    """By the other guard, that tells the first on the board, and so may prove a trip by itself."""
    within_s = {HOLDER: EPOCH_LEASE_S, BOT: bot_within_s}
    return {"open_then": BY_THE_OTHER, "shut_within_s": within_s, "proven": frozenset({OTHER})}


def _taken_over_untold(bot_within_s: float) -> dict[str, Any]:
    """The same, and the first trips as well, of which it can tell nobody."""
    return _taken_over(bot_within_s) | {"untold": frozenset({HOLDER})}


def _all_shut(bot_within_s: float) -> dict[str, Any]:
    """Neither can open, nor tell the other."""
    within_s = {HOLDER: EPOCH_LEASE_S, BOT: bot_within_s}
    return {"open_then": NOBODY, "shut_within_s": within_s, "proven": NOBODY, "untold": BOTH}


def _filled_up() -> dict[str, Any]:
    """As when it is gone, which it is once the page of its log is full."""
    return _all_shut(EPOCH_LEASE_S) | {"shut_within_s": dict.fromkeys((HOLDER, BOT), LAST_PAGE_S + EPOCH_LEASE_S)}


def _blind(sees: Who) -> dict[str, Any]:
    """What one of them can't see keeps both shut; the other can do what is to be done."""
    return {"open_then": NOBODY, "shut_within_s": {HOLDER: BLIND_S, BOT: BLIND_S}, "proven": frozenset({sees})}


def _bot_shut() -> dict[str, Any]:
    """The guards go on."""
    return {"open_then": frozenset({HOLDER}), "shut_within_s": {BOT: REDIS_LEASE_S}}


def _cut(how: Cut) -> Iterator[Case]:
    # Until its lease is over it says open, in Redis too.
    yield Case(one=HOLDER, other=STORE, how=how, **_taken_over_untold(EPOCH_LEASE_S))
    yield Case(one=OTHER, other=STORE, how=how, **_stays_open_without_the_other())
    yield Case(one=HOLDER, other=REDIS, how=how, **_bot_shut())
    yield Case(one=OTHER, other=REDIS, how=how, **_stays_open())
    yield Case(one=HOLDER, other=OTHER, how=how, **_stays_open())
    yield Case(one=STORE, other=REDIS, how=how, **_stays_open())
    yield Case(one=HOLDER, other=VENUE, how=how, **_blind(OTHER))
    yield Case(one=OTHER, other=VENUE, how=how, **_blind(HOLDER))
    yield Case(one=BOT, other=REDIS, how=how, **_bot_shut())
    yield Case(one=STORE, other=Who.ALL, how=how, **_all_shut(EPOCH_LEASE_S))
    yield Case(one=REDIS, other=Who.ALL, how=how, **_bot_shut())
    yield Case(one=HOLDER, other=REDIS, how=how, board=Board.REDIS, **_taken_over_untold(REDIS_LEASE_S))
    yield Case(one=OTHER, other=REDIS, how=how, board=Board.REDIS, **_stays_open_without_the_other())
    yield Case(one=HOLDER, other=OTHER, how=how, board=Board.REDIS, **_stays_open())
    yield Case(one=REDIS, other=Who.ALL, how=how, board=Board.REDIS, **_all_shut(REDIS_LEASE_S))


def _alone(board: Board, server: Who) -> Iterator[Case]:
    """Of either board."""
    bot_within_s = EPOCH_LEASE_S if server is STORE else REDIS_LEASE_S
    yield Case(one=HOLDER, other=server, how=Cut.NO_ANSWERS, board=board, **_taken_over_untold(bot_within_s))
    yield Case(one=HOLDER, other=Who.ALL, how=Cut.UNPLUGGED, board=board, **_taken_over(REDIS_LEASE_S))
    yield Case(one=server, other=Who.ALL, how=Cut.UNPLUGGED, board=board, **_all_shut(bot_within_s))
    yield Case(one=HOLDER, how=Fault.KILLED, board=board, **_taken_over(REDIS_LEASE_S))
    yield Case(one=HOLDER, how=Fault.STOPPED, board=board, **_taken_over(REDIS_LEASE_S))
    yield Case(one=server, how=Fault.STOPPED, board=board, **_all_shut(bot_within_s))


CASES = [
    *_cut(Cut.ERROR),
    *_cut(Cut.SILENCE),
    *_alone(Board.POSTGRESQL, STORE),
    *_alone(Board.REDIS, REDIS),
    Case(one=REDIS, how=Fault.STOPPED, **_bot_shut()),
    Case(one=STORE, how=Fault.FULL, **_filled_up()),
]
