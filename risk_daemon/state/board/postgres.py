"""The board in PostgreSQL: one function on the server, so that what is written, held and seen is of one moment there.

The tables and the function are of the migration `0020_board.sql`. Where the server replicates synchronously, a
failover loses nothing; where it does not, what is lost is written again with the next exchange. Another server than the
one that was asked before, by any guard, or that one restarted, settles anew: it may have lost an epoch whose holder
nobody hears. A server is known by when it was started.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from risk_daemon.errors import RecordError
from risk_daemon.state.board.base import LEASE_S, Answer, Known, Standing, standing_in, standings_in

_EXCHANGE = "SELECT exchange_on_board($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"

T = TypeVar("T")


class Link(Protocol):
    """A way to the server: see `PostgresLink`. run: raises RecordError for whatever goes wrong."""

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T: ...

    async def close(self) -> None: ...


class PostgresBoard:
    """See `Board`. link: with timeouts of its own; it is closed with this. run: names this process."""

    def __init__(self, link: Link, *, place: str, group: str, name: str, run: str, others: Sequence[str]) -> None:
        self.place = place
        self._link = link
        self._group, self._name, self._run, self._others = group, name, run, tuple(others)
        self._seq = 0

    async def exchange(self, mine: Standing | None, known: Known, *, wants: bool) -> Answer:
        self._seq += 1
        body, locks, stays = None, False, False
        if mine is not None:
            body, locks, stays = json.dumps(mine.document()), mine.locked, mine.is_here
        me, lease = (self._group, self._name, self._run, self._seq), timedelta(seconds=LEASE_S)
        told = (known.epoch, known.words, known.server, known.doubts)
        words = (*me, body, locks, stays, wants, *told, lease)
        found = await self._link.run(lambda connection: connection.fetchval(_EXCHANGE, *words))
        try:
            return self._answer(json.loads(found))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RecordError(f"{self.place}: the board gave an odd answer: {error}") from error

    def _answer(self, found: dict[str, Any]) -> Answer:
        """Raises ValueError, KeyError, TypeError, AttributeError."""
        said = found["others"].items()
        others, unnamed = standings_in({name: body for name, (body, _) in said}, self._others)
        return Answer(
            epoch=int(found["epoch"]),
            words=int(found["words"]),
            at_s=float(found["at_s"]),
            holder=_name_of(found["holder"]),
            is_ours=found["is_ours"] is True,
            is_taken=found["is_taken"] is not False,
            is_settled=found["is_settled"] is True,
            before=None if found["before"] is None else standing_in(found["before"]),
            others=others,
            unnamed=unnamed,
            said_s={name: float(said_s) for name, (_, said_s) in said},
            server=str(found["server"]),
        )

    async def close(self) -> None:
        await self._link.close()


def _name_of(holder: object) -> str:
    """NAME of NAME:RUN."""
    return str(holder or "").rpartition(":")[0]
