"""What is told before alerts have begun: it waits until all is known that an earlier process left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from risk_daemon.model.event_names import EventName, RiskEvent

AT_MOST = 10_000


class Early:
    """lost: called for each that does not fit, or fails; the event log has it. trip_id: the last trip that was told."""

    def __init__(self, lost: Callable[[Exception], None], at_most: int = AT_MOST) -> None:
        self.trip_id: str | None = None
        self._lost = lost
        self._at_most = at_most
        self._calls: list[Callable[[], object]] = []
        self._has_begun = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        return self._has_begun.is_set()

    async def begun(self) -> None:
        """Wait for it."""
        await self._has_begun.wait()

    def do(self, call: Callable[[], object], records: Sequence[RiskEvent] = ()) -> None:
        """Now, or when it has begun. records: what it tells, if that is news that may be left out; a trip is not."""
        if self.has_begun:
            call()
            return
        trips = [one.fields.get("trip_id") for one in records if one.name is EventName.CIRCUIT_BREAKER_TRIGGERED]
        if trips:
            self.trip_id = str(trips[-1])
        if trips or not records or len(self._calls) < self._at_most:
            self._calls.append(call)
        else:
            self._lost(OverflowError("more than can wait"))

    def begin(self) -> None:
        """Do all of it, in its order."""
        self._has_begun.set()
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call()
            except Exception as error:  # it takes no other with it
                self._lost(error)
