"""The board in PostgreSQL: one function on the server, so that what is written, held and seen is of one moment there.

The tables and the function are of the migration `0020_board.sql`. Where the server replicates synchronously, a
failover loses nothing; where it does not, what is lost is written again with the next exchange. Another server than the
one that was asked before, or that one restarted, settles anew: it may have lost an epoch whose holder nobody hears. A
server is known by when it was started.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from risk_daemon.errors import RecordError
from risk_daemon.state.board.base import LEASE_S, Answer, Standing, standings_in

_EXCHANGE = "SELECT exchange_on_board($1, $2, $3, $4, $5, $6, $7, $8)"


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

    async def exchange(self, mine: Standing, *, wants: bool, known_epoch: int) -> Answer:
        self._seq += 1
        body, lease = json.dumps(mine.document()), timedelta(seconds=LEASE_S)
        words = (self._group, self._name, self._run, self._seq, body, wants, known_epoch, lease)
        found = await self._link.run(lambda connection: connection.fetchval(_EXCHANGE, *words))
        try:
            return self._answer(json.loads(found))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RecordError(f"{self.place}: the board gave an odd answer: {error}") from error

    def _answer(self, found: dict[str, Any]) -> Answer:
        """Raises ValueError, KeyError, TypeError, AttributeError."""
        others, unnamed = standings_in(found["others"], self._others)
        return Answer(
            epoch=int(found["epoch"]),
            holder=str(found["holder"]).rpartition(":")[0],
            is_ours=found["is_ours"] is True,
            is_taken=found["is_taken"] is not False,
            is_settled=found["is_settled"] is True,
            others=others,
            unnamed=unnamed,
        )

    async def close(self) -> None:
        await self._link.close()
