"""The switches of one account, as calls of its client: armed, refreshed and disarmed by what the venue answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any

from adapters.dead_man import DeadMan
from risk_daemon.errors import VenueRejected

_WHOLE = ""
"""Stands for the account where others name a market."""

_Place = tuple[DeadMan, str]


class Switches:
    """Remembers which were armed: one that is armed in a market where nothing is open any more is disarmed."""

    def __init__(self, dead_men: Sequence[DeadMan], client: Any) -> None:
        self.dead_men = dead_men
        self._client = client
        self._armed: set[_Place] = set()

    async def arm(self, timeout_s: float, symbols: Collection[str]) -> tuple[str, ...]:
        """Arm or refresh: see `CancelsByItself`. One market that is refused keeps no other from being armed."""
        places = [(one, name) for one in self.dead_men for name in (sorted(symbols) if one.by_market else (_WHOLE,))]
        left = self._armed.difference(places)
        self._armed.update(places)  # also what is refused: a call without an answer may have arrived
        await _all(*(self._send(place, timeout_s) for place in places), *(self._disarm(place) for place in left))
        return tuple(sorted({name for _, name in places}))

    async def disarm(self) -> None:
        """Disarm what was armed. What is refused is tried again the next time."""
        await _all(*(self._disarm(place) for place in tuple(self._armed)))

    async def are_armed(self) -> bool | None:
        """Whether any is armed, by the venue's own word."""
        asked = [one for one in self.dead_men if one.query is not None]
        if not asked:
            return None
        return any([one.armed(await getattr(self._client, str(one.query))()) for one in asked])

    async def _disarm(self, place: _Place) -> None:
        await self._send(place, 0.0)
        self._armed.discard(place)

    async def _send(self, place: _Place, timeout_s: float) -> None:
        """Raises VenueRejected where the venue answers well, and says that it did something else."""
        switch, name = place
        market = _WHOLE if name == _WHOLE else str(self._client.market(name)["id"])
        said = switch.says(await getattr(self._client, switch.call)(dict(switch.params(timeout_s, market))))
        if said is not None and said != (timeout_s > 0):
            raise VenueRejected(f"{switch.call}: it answered that the switch is {'armed' if said else 'not armed'}")


async def _all(*calls: Coroutine[Any, Any, None]) -> None:
    """Every call to its end; then the first failure is raised."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    for failure in done:
        if isinstance(failure, BaseException):
            raise failure
