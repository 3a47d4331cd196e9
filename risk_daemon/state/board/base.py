"""The board: where guards of the same accounts see each other, and which of them may open.

Closing needs nobody's leave: every guard writes what holds for it, and all heed it. Opening takes the *epoch*, a number
that rises with every new holder, for `LEASE_S` at a time by the board's own clock. A venue checks no such number; so
nothing here is needed for a cancel, and a guard that wrongly believes it is the holder does nothing but open, for what
is left of its lease, while no other guard says no.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Protocol, Self

LEASE_S = 4.0
"""How long the epoch is held after it was asked for; a new board settles as long before anybody opens."""

FORMAT = 2

# More markets than that are said as one digest of them: then only a guard of the very same ones guards them too.
_MARKETS_SAID = 200
_TEXT_CHARS = 200


def said_as(markets: Iterable[str]) -> tuple[str, ...]:
    """What a guard says of the markets that it guards, a text for each: sorted, and of a size that has an end."""
    texts = tuple(sorted(set(markets)))
    if len(texts) <= _MARKETS_SAID and all(len(text) <= _TEXT_CHARS for text in texts):
        return texts
    return (f"{len(texts)} markets with the digest {hashlib.sha256(json.dumps(texts).encode()).hexdigest()}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one guard says for all: whether it keeps new orders out, and by which trip, where it is one.

    trip_id: of a trip, not of a freeze. since_wall: Unix seconds. is_here: it goes on speaking; False: this is its last
    word. while_here: what it says holds only for as long as it goes on speaking, as that it sees nothing itself.
    guarded: the markets that it guards, by `said_as`. They stay what bots trade there when it is gone: so they hold
    until it says something else, whether it took leave or not.
    """

    locked: bool
    cause: str = ""
    reason: str = ""
    trip_id: str | None = None
    since_wall: float = 0.0
    is_here: bool = True
    while_here: bool = False
    guarded: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"format": FORMAT, **asdict(self), "guarded": list(self.guarded)}

    @classmethod
    def from_document(cls, document: object) -> Self:
        """What `document` gave. Raises ValueError if it isn't one, or of another format."""
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise ValueError("it is not what a guard of this version writes")
        locked, cause, reason = (document.get(name) for name in ("locked", "cause", "reason"))
        trip_id, since = document.get("trip_id"), document.get("since_wall")
        is_time = isinstance(since, int | float) and not isinstance(since, bool) and isfinite(since)
        texts = isinstance(cause, str) and isinstance(reason, str) and isinstance(trip_id, str | None)
        is_here, while_here = document.get("is_here"), document.get("while_here")
        flags = isinstance(locked, bool) and isinstance(is_here, bool) and isinstance(while_here, bool)
        guarded = document.get("guarded")
        if not (flags and texts and is_time and _are_markets(guarded)):
            raise ValueError("it is not what a guard writes")
        return cls(
            locked=bool(locked),
            cause=str(cause),
            reason=str(reason),
            trip_id=trip_id,
            since_wall=float(str(since)),
            is_here=bool(is_here),
            while_here=bool(while_here),
            guarded=tuple(map(str, guarded or ())),
        )


def _are_markets(guarded: object) -> bool:
    """Some: nobody guards nothing."""
    if not isinstance(guarded, list) or not 0 < len(guarded) <= _MARKETS_SAID:
        return False
    return all(isinstance(market, str) and len(market) <= _TEXT_CHARS for market in guarded)


UNREADABLE = Standing(locked=True, cause="locked", reason="what it wrote can't be read", guarded=())


def standings_in(
    bodies: Mapping[str, Any], named: Iterable[str]
) -> tuple[dict[str, Standing | None], dict[str, Standing]]:
    """What the guards wrote, by name: those in `named`, None for who was not heard of; and all others."""
    heard = {name: standing_in(body) for name, body in bodies.items()}
    others = {name: heard.pop(name, None) for name in named}
    return others, heard


def standing_in(body: Any) -> Standing:
    """What one wrote. What can't be read locks."""
    try:
        return Standing.from_document(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return UNREADABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What who asks knows of the board. epoch, words: the highest that it ever answered, in earlier runs too.

    A board that knows of less was restored, or made anew. doubts: its clock was moved, by the clock of who asks.
    server: which one answered last, in this run; empty: none did. A lease may be in force that another gave.
    """

    epoch: int = 0
    words: int = 0
    doubts: bool = False
    server: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the board stands after an exchange.

    words: how many were ever said here. at_s: the board's clock, in seconds.
    is_ours: the epoch is held by who asked, for LEASE_S from when it asked. is_taken: another process stands under the
    same name, and nothing was written. is_settled: the board has known of itself for as long as a lease lasts, on one
    server and by a clock that was not moved, so that no lease of before is in force. holder: the name of the guard
    that holds the epoch, empty if none. before: what the process before this one said here last under this name, also
    when it was told already; None: nothing.
    others: by name; None for a guard that was not heard of since the board was made, or began to settle anew: what was
    said before that, or in the future by the board's clock, is of a board that nobody knows any more.
    unnamed: of the guards that were heard of, and that who asked does not count among its others.
    said_s: so many seconds ago, of everybody who was heard of. server: a name of the one that answered, until it is
    started anew.
    """

    epoch: int
    words: int
    at_s: float
    holder: str
    is_ours: bool
    is_taken: bool
    is_settled: bool
    before: Standing | None
    others: Mapping[str, Standing | None]
    unnamed: Mapping[str, Standing]
    said_s: Mapping[str, float]
    server: str = ""


class Board(Protocol):
    """One place, shared by all guards of the same accounts."""

    @property
    def place(self) -> str:
        """Where it is, for people; without a password."""
        ...

    async def exchange(self, mine: Standing | None, known: Known, *, wants: bool) -> Answer:
        """Write what holds here, hold or let go of the epoch, and see how the others stand; in one step.

        mine: None: what was said last stays; who asks is no guard. wants: whether this guard would open, were it let,
        or would have nobody else open. A board that knows of less than `known`, that is another server than the one
        known, that lost who holds the epoch, or whose clock is doubted, settles first. A word that was held up on the
        way, and comes after a later one of the same process, changes nothing. A name is of one process at a time; but
        what locks is taken in whoever says it. Raises RecordError; then nothing is known.
        """
        ...

    async def close(self) -> None: ...
