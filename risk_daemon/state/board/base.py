"""The board: where guards of the same accounts see each other, and which of them may open.

Closing needs nobody's leave: every guard writes what holds for it, and all heed it. Opening takes the *epoch*, a number
that rises with every new holder, for `LEASE_S` at a time by the board's own clock. A venue checks no such number; so
nothing here is needed for a cancel, and a guard that wrongly believes it is the holder does nothing but open, for what
is left of its lease, while no other guard says no.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Protocol, Self

LEASE_S = 4.0
"""How long the epoch is held after it was asked for; a new board settles as long before anybody opens."""

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one guard says for all: whether it keeps new orders out, and by which trip, where it is one.

    trip_id: of a trip, not of a freeze. since_wall: Unix seconds.
    """

    locked: bool
    cause: str = ""
    reason: str = ""
    trip_id: str | None = None
    since_wall: float = 0.0

    def document(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_document(cls, document: object) -> Self:
        """What `document` gave. Raises ValueError if it isn't one, or of another format."""
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise ValueError("it is not what a guard of this version writes")
        locked, cause, reason = (document.get(name) for name in ("locked", "cause", "reason"))
        trip_id, since = document.get("trip_id"), document.get("since_wall")
        is_time = isinstance(since, int | float) and not isinstance(since, bool) and isfinite(since)
        texts = isinstance(cause, str) and isinstance(reason, str) and isinstance(trip_id, str | None)
        if not (isinstance(locked, bool) and texts and is_time):
            raise ValueError("it is not what a guard writes")
        return cls(locked=locked, cause=str(cause), reason=str(reason), trip_id=trip_id, since_wall=float(str(since)))


UNREADABLE = Standing(locked=True, cause="locked", reason="what it wrote can't be read")


def standings_in(
    bodies: Mapping[str, Any], named: Iterable[str]
) -> tuple[dict[str, Standing | None], dict[str, Standing]]:
    """What the guards wrote, by name: those in `named`, None for who was not heard of; and all others."""
    heard = {name: _standing_in(body) for name, body in bodies.items()}
    others = {name: heard.pop(name, None) for name in named}
    return others, heard


def _standing_in(body: Any) -> Standing:
    """What can't be read locks."""
    try:
        return Standing.from_document(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return UNREADABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the board stands after an exchange.

    is_ours: the epoch is held by who asked, for LEASE_S from when it asked. is_taken: another process stands under the
    same name, and nothing was written. is_settled: the board has known of itself for as long as a lease lasts, on one
    server and by a clock that was not set back, so that no lease of before is in force. holder: the name of the guard
    that holds the epoch, empty if none.
    others: by name; None for a guard that was not heard of since the board was made, or began to settle anew: what was
    said before that, or in the future by the board's clock, is of a board that nobody knows any more.
    unnamed: of the guards that were heard of, and that who asked does not count among its others.
    """

    epoch: int
    holder: str
    is_ours: bool
    is_taken: bool
    is_settled: bool
    others: Mapping[str, Standing | None]
    unnamed: Mapping[str, Standing]


class Board(Protocol):
    """One place, shared by all guards of the same accounts."""

    @property
    def place(self) -> str:
        """Where it is, for people; without a password."""
        ...

    async def exchange(self, mine: Standing, *, wants: bool, known_epoch: int) -> Answer:
        """Write what holds here, hold or let go of the epoch, and see how the others stand; in one step.

        wants: whether this guard would open, were it let. known_epoch: the highest that was ever seen; a board that
        knows of less was restored or made anew, and settles first. A word that was held up on the way, and comes after
        a later one of the same process, changes nothing. Raises RecordError; then nothing is known.
        """
        ...

    async def close(self) -> None: ...
