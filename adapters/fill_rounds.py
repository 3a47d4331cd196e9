"""What was executed, asked for at leisure: once after connecting, and then when there may be more.

It is for people alone, so it gives way to everything: it keeps quiet while a sweep lists, an ordinary call pushes it
aside, and a failure of it says nothing of the venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from adapters.base import FillReader, VenueAdapter
from adapters.lane import PushedAside
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import BalancesSeen, Input, Kind, PositionsSeen

EVERY_S = 60.0
RETRY_S = 10.0
BACK_S = 86_400.0
"""How far back the first listing goes."""

_LONGEST_PAUSE_S = 3_600.0
_LOG = structlog.get_logger(__name__)


class FillRounds:
    """Asks for as long as it runs, if the adapter can. may_list: whether it may now."""

    def __init__(
        self,
        adapter: VenueAdapter,
        emit: Callable[[Input], None],
        clock: Clock,
        *,
        call_timeout_s: float,
        may_list: Callable[[], bool],
    ) -> None:
        self._adapter = adapter
        self._emit = emit
        self._clock = clock
        self._call_timeout_s = call_timeout_s
        self._may_list = may_list
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._since_wall = clock.now().wall - BACK_S
        self._last: dict[Kind, object] = {}
        self._failures = 0

    def want(self) -> None:
        """There may be fills that nobody has told of."""
        self._wanted.set()

    def noticed(self, seen: object) -> None:
        """A reading of the account. Where no stream tells of fills, one that differs from the last calls for a look."""
        if self._adapter.capabilities.streams_fills:
            return
        if isinstance(seen, BalancesSeen):
            self._compare(Kind.BALANCES, dict(seen.amounts))
        elif isinstance(seen, PositionsSeen):
            self._compare(Kind.POSITIONS, {row.symbol: row.quantity for row in seen.positions})

    def _compare(self, kind: Kind, told: object) -> None:
        if self._last.get(kind, told) != told:
            self.want()
        self._last[kind] = told

    async def run(self) -> None:
        """Until it is cancelled."""
        adapter = self._adapter
        if not isinstance(adapter, FillReader):
            return
        while True:
            await self._wanted.wait()
            if self._may_list():
                self._wanted.clear()
                pause_s = await self._round(adapter)
            else:
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    async def _round(self, adapter: FillReader) -> float:
        """List once. Returns for how long to leave it at that."""
        try:
            async with asyncio.timeout(self._call_timeout_s):
                seen = await adapter.read_fills(self._since_wall)
        except PushedAside:
            self.want()
            return RETRY_S
        except Exception as error:  # whatever it is, the readings beside this go on
            return self._failed(error)
        self._failures = 0
        self._emit(seen)
        return EVERY_S

    def _failed(self, error: Exception) -> float:
        if not self._failures:
            why = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"[:200]
            _LOG.info("fills_not_listed", venue=self._adapter.name, why=why)
        self._failures += 1
        self.want()
        return float(min(_LONGEST_PAUSE_S, EVERY_S * 2 ** min(self._failures, 10)))
