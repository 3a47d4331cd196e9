"""Sending: two tasks a channel, one for trips and one for the rest, so that nothing ever waits behind anything else.

What time may heal is tried again with growing pauses; the rest is given up at once, and told by others.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.attempts import Attempt
from risk_daemon.alerts.channels.base import TRY_TIMEOUT_S, AnySettings, Attempted, Channel, later
from risk_daemon.alerts.outbox import LANE_MAX, Lane, Outbox, lane_of
from risk_daemon.model.clock import Clock

_LOG = structlog.get_logger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]

_AFTER_A_BUG_S = 1.0
_TRIES_MAX = 4 * LANE_MAX
_BEYOND_ITS_OWN_S = 2.0  # a channel ends a try itself; one that does not is ended


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Pauses double from the first to the longest. give_up_after_s: for longer nothing but a trip is tried."""

    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0
    longest_pause_of_trip_s: float = 10.0
    give_up_after_s: float = 24 * 3_600.0

    def pause_s(self, lane: Lane, failures: int, wish_s: float | None) -> float:
        """How long to wait after so many failures in a row, without jitter. wish_s: what the receiver asked for."""
        longest_s = self.longest_pause_of_trip_s if lane is Lane.TRIP else self.longest_pause_s
        return min(longest_s, max(wish_s or 0.0, self.first_pause_s * 2.0 ** min(failures - 1, 16)))


class Deliverer:
    """One channel. payload: the body of an alert. told: hears of every try, in the loop's thread; must not raise.

    timeout_s: the channel's own, for one try.
    """

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        clock: Clock,
        settings: DeliverySettings,
        *,
        payload: Callable[[Alert], Mapping[str, Any]],
        told: Callable[[Attempt], None],
        timeout_s: float = TRY_TIMEOUT_S,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),
    ) -> None:
        self.channel = channel
        self.failures = 0
        self._outbox = outbox
        self._clock = clock
        self._settings = settings
        self.timeout_s = timeout_s
        self._payload = payload
        self._told = told
        self._jitter = jitter
        self._tries: dict[str, tuple[int, float]] = {}
        self._wake = {lane: asyncio.Event() for lane in Lane}
        self._resting = dict.fromkeys(Lane, False)
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: set[asyncio.Task[None]] = set()
        self._is_trying_trip = False

    def start(self) -> None:
        """Send what is owed, now and from now on."""
        for lane in Lane:
            name = f"alerts {self.channel.name} {lane}"
            work = going_on(partial(self._work, lane), name)
            self._tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    def nudge(self, lane: Lane) -> None:
        """There is something new to send. A new trip waits for nothing, not for another one's try that hangs."""
        self._wake[lane].set()
        if lane is Lane.TRIP and self._is_trying_trip:
            self._try_new_trips_beside()

    def nudge_all(self) -> None:
        """As `nudge`, of both lanes."""
        for lane in Lane:
            self.nudge(lane)

    def _try_new_trips_beside(self, in_turn: Alert | None = None) -> None:
        for alert in self._outbox.owed(self.channel.name):
            if lane_of(alert) is Lane.TRIP and alert.alert_id not in self._tries and alert is not in_turn:
                self._try_beside(alert)

    def _try_beside(self, alert: Alert) -> None:
        self._tries[alert.alert_id] = (0, self._clock.now().mono)
        name = f"alerts {self.channel.name} {alert.alert_id}"
        task = asyncio.get_running_loop().create_task(self._deliver_beside(alert), name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _deliver_beside(self, alert: Alert) -> None:
        try:
            await self._deliver(alert)
        except Exception as error:  # it stays owed, and has its turn
            _LOG.critical("alert_task_failed", task=f"alerts {self.channel.name}", error=repr(error))

    @property
    def has_tried(self) -> bool:
        """Whether nothing is owed that was not tried since the last pause."""
        name = self.channel.name
        return all(self._resting[lane] or self._outbox.first(name, lane) is None for lane in Lane)

    async def once(self, alert: Alert) -> Attempted:
        """One try beside all others, that leaves nothing owed."""
        attempt = await self._tried(alert)
        self._told(replace(attempt, is_last=True))
        return attempt.outcome

    async def close(self) -> None:
        """Stop; what is under way is cut off, and stays owed."""
        tasks = [*self._tasks, *self._beside]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        with suppress(Exception):  # it is over with it, however it ends
            await self.channel.close()

    async def _work(self, lane: Lane) -> None:
        failures = 0
        while True:
            self._wake[lane].clear()
            alert = self._outbox.first(self.channel.name, lane)
            if alert is None:
                await self._wake[lane].wait()
                continue
            outcome = await self._deliver_in_turn(lane, alert)
            failures = 0 if outcome.delivered else failures + 1
            if not outcome.delivered:
                pause_s = self._settings.pause_s(lane, failures, outcome.retry_after_s)
                await self._rest(lane, pause_s * self._jitter())

    async def _deliver_in_turn(self, lane: Lane, alert: Alert) -> Attempted:
        """And wait for those that were sent beside it, so that none goes out twice at once."""
        if lane is not Lane.TRIP:
            return await self._deliver(alert)
        self._is_trying_trip = True
        self._try_new_trips_beside(alert)
        try:
            outcome = await self._deliver(alert)
            while self._beside:
                await asyncio.wait(self._beside)
            return outcome
        finally:
            self._is_trying_trip = False

    async def _rest(self, lane: Lane, pause_s: float) -> None:
        """Another trip ends the pause: it may be the one that gets through."""
        self._resting[lane] = True
        try:
            if lane is Lane.TRIP:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake[lane].wait()
            else:
                await asyncio.sleep(pause_s)
        finally:
            self._resting[lane] = False

    async def _deliver(self, alert: Alert) -> Attempted:
        attempt = await self._tried(alert)
        if attempt.is_last:
            self._outbox.settle(self.channel.name, alert)
        else:
            self._outbox.postpone(self.channel.name, alert)
        self._forget_lost()
        self._told(attempt)
        return attempt.outcome

    def _forget_lost(self) -> None:
        """What fell out of a full lane is counted no more."""
        if len(self._tries) > _TRIES_MAX:
            owed = {alert.alert_id for alert in self._outbox.owed(self.channel.name)}
            self._tries = {alert_id: tries for alert_id, tries in self._tries.items() if alert_id in owed}

    async def _tried(self, alert: Alert) -> Attempt:
        since_mono = self._clock.now().mono
        number, first_mono = self._tries.get(alert.alert_id, (0, since_mono))
        self._tries[alert.alert_id] = (number + 1, first_mono)
        outcome = await self._send(alert)
        now = self._clock.now()
        is_old = lane_of(alert) is Lane.OTHER and now.mono - first_mono > self._settings.give_up_after_s
        is_last = outcome.delivered or not outcome.may_retry or is_old
        self.failures = 0 if outcome.delivered else self.failures + 1
        if is_last:
            self._tries.pop(alert.alert_id, None)
        return Attempt(
            channel=self.channel.name,
            alert=alert,
            number=number + 1,
            outcome=outcome,
            seconds=now.mono - since_mono,
            wall=now.wall,
            is_last=is_last,
        )

    async def _send(self, alert: Alert) -> Attempted:
        """One try that ends, and never raises."""
        try:
            async with asyncio.timeout(self.timeout_s + _BEYOND_ITS_OWN_S):
                return await self.channel.send(alert, self._payload(alert))
        except TimeoutError:
            return later("timeout")
        except Exception as error:  # a channel that breaks its word is a channel that failed
            return later(type(error).__name__, str(error))


async def going_on(work: Work, name: str) -> None:
    """Do it for ever: a bug is shouted, and it begins anew."""
    while True:
        try:
            await work()
        except Exception as error:
            _LOG.critical("alert_task_failed", task=name, error=repr(error))
            await asyncio.sleep(_AFTER_A_BUG_S)


def shown(settings: AnySettings, outbox: Outbox, deliverer: Deliverer | None) -> dict[str, Any]:
    """A channel as people are shown it, JSON-able."""
    return {
        "kind": settings.kind,
        "severity": str(settings.severity),
        "owed": len(outbox.owed(settings.name)),
        "missed": outbox.missed[settings.name],
        "failures": 0 if deliverer is None else deliverer.failures,
        "escalation": settings.escalation,
        "heartbeat": settings.heartbeat,
    }
