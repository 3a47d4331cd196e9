"""Sending what is owed, until it is acknowledged: tasks that nothing of the guard ever waits for.

The line is looked at while there is nothing to send, so that it is open when a trip comes, and so that people know
beforehand that nobody would hear of one. What fails is tried again in turn, with growing pauses; what is new is tried
at once, beside whatever hangs. Saving the outbox holds up nothing: what is not saved is at worst sent once more.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from risk_daemon.alerts.delivery import DeliverySettings, going_on
from risk_daemon.alerts.outbox import Lane
from risk_daemon.broadcast.message import CONTENT_TYPE, Message, Voice
from risk_daemon.broadcast.outbox import Outbox
from risk_daemon.model.clock import Clock
from risk_daemon.model.event_names import EventName, RiskEvent

_LOG = structlog.get_logger(__name__)

LOOK_EVERY_S = 30.0
_TELL_AGAIN_AFTER_S = 3_600.0
_REASON_MAX = 500
_TOLD_MAX = 20
_BESIDE_MAX = 32


class NotDelivered(Exception):
    """It was not acknowledged. It may have been delivered all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Where a message is."""

    topic: str
    partition: int
    offset: int


class Line(Protocol):
    """The way to a broker. Each call ends by itself."""

    async def look(self) -> None:
        """Open it and see that it works. Raises NotDelivered."""
        ...

    async def send(self, key: str, body: bytes, content_type: str) -> Delivered:
        """Raises NotDelivered."""
        ...

    async def close(self) -> None: ...


class Relay:
    """keep: saves the outbox; must not raise. told: hears what came of it, at once; must neither block nor raise.

    look_every_s: how often the line is looked at while nothing is owed; None: never, it opens with the first message.
    """

    def __init__(
        self,
        line: Line,
        outbox: Outbox,
        voice: Voice,
        clock: Clock,
        *,
        keep: Callable[[], Awaitable[None]],
        told: Callable[[RiskEvent], None],
        pauses: DeliverySettings | None = None,
        look_every_s: float | None = LOOK_EVERY_S,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),
    ) -> None:
        self._line = line
        self._outbox = outbox
        self._voice = voice
        self._clock = clock
        self._keep = keep
        self._told = told
        self._pauses = pauses or DeliverySettings()
        self._look_every_s = look_every_s
        self._jitter = jitter
        self._tries: Counter[str] = Counter()
        self._failures = 0
        self._failed_mono: dict[bool, float] = {}
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._under_way: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._is_kept = True

    def start(self) -> None:
        """Send what is owed, now and from now on."""
        self._task = asyncio.get_running_loop().create_task(going_on(self._work, "broadcast"), name="broadcast")

    def nudge(self) -> None:
        """There is something new to send. It waits for no other's try."""
        self._wake.set()
        if self._under_way:
            self._send_new_beside()

    @property
    def failures(self) -> int:
        """How many tries in a row have failed; 0: the last one did not."""
        return self._failures

    async def flushed(self, within_s: float) -> bool:
        """Wait until each that is owed was tried once, and for what came of it to be kept. True: nothing is owed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while any(not self._tries[message.trip_id] for message in self._outbox.owed()):
                    self._tried.clear()
                    await self._tried.wait()
                while self._keeping is not None:
                    await asyncio.wait({self._keeping})
        return not self._outbox.owed()

    async def aclose(self) -> None:
        """Stop; what is under way is cut off, and stays owed."""
        tasks = {task for task in (self._task, self._keeping, *self._beside) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._task = None
        await self._line.close()

    # --- the task --------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            message = self._next()
            if await self._went_well(message):
                continue
            self._failures += 1
            await self._rest()

    async def _went_well(self, message: Message | None) -> bool:
        """Whether what was to be done, sending or nothing, went well."""
        try:
            if message is None:
                await self._idle()
            else:
                await self._try(message)
        except NotDelivered as error:
            self._fail(message, str(error))
        except Exception as error:  # one that can't be put into words must not keep the others
            _LOG.critical("broadcast_failed", error=repr(error))
            self._fail(message, repr(error))
        else:
            return True
        return False

    async def _try(self, message: Message) -> None:
        self._under_way.add(message.trip_id)
        self._send_new_beside()
        try:
            await self._send(message)
        finally:
            self._under_way.discard(message.trip_id)

    def _send_new_beside(self) -> None:
        """The newest first: what was never tried waits for nobody's try that hangs."""
        for message in reversed(self._outbox.owed()):
            if len(self._beside) >= _BESIDE_MAX:
                return
            if message.trip_id not in self._under_way and not self._tries[message.trip_id]:
                self._under_way.add(message.trip_id)
                task = asyncio.get_running_loop().create_task(self._try_beside(message), name="broadcast beside")
                self._beside.add(task)
                task.add_done_callback(self._beside.discard)

    async def _try_beside(self, message: Message) -> None:
        if not await self._went_well(message):
            self._wake.set()  # from now on it is tried in turn

    def _next(self) -> Message | None:
        """The one that was tried least, so that one that is refused again and again keeps no other."""
        waiting = (message for message in self._outbox.owed() if message.trip_id not in self._under_way)
        return min(waiting, key=lambda message: self._tries[message.trip_id], default=None)

    async def _idle(self) -> None:
        if self._look_every_s is not None:
            await self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_every_s):
                await self._wake.wait()

    async def _look(self) -> None:
        """A trip does not wait for a look that hangs."""
        looking, waking = asyncio.ensure_future(self._line.look()), asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({looking, waking}, return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                looking.result()
                self._recover()
        finally:
            waking.cancel()
            if not looking.done():
                looking.cancel()
                await asyncio.wait({looking})

    async def _send(self, message: Message) -> None:
        body = self._voice.body(message)
        since_mono = self._clock.now().mono
        sent = await self._line.send(message.trip_id, body, CONTENT_TYPE)
        now = self._clock.now()
        self._outbox.settle(message.trip_id)
        tries = self._tries.pop(message.trip_id, 0) + 1
        self._recover()
        facts = {"trip_id": message.trip_id, "topic": sent.topic, "partition": sent.partition, "offset": sent.offset}
        took_s, after_s = now.mono - since_mono, now.wall - message.wall
        times = {"tries": tries, "took_s": round(took_s, 4), "after_s": round(after_s, 3)}
        self._told(RiskEvent(EventName.BROADCAST_SENT, {**facts, **times}))
        self._is_kept = False
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep_it(), name="broadcast kept")
        self._tried.set()

    async def _keep_it(self) -> None:
        """Once at a time, and again for what came meanwhile. A disk that stalls holds up this alone."""
        try:
            while not self._is_kept:
                self._is_kept = True
                await self._keep()
        except Exception as error:
            _LOG.critical("broadcast_not_kept", error=repr(error))
        finally:
            self._keeping = None

    def _recover(self) -> None:
        if self._failures:
            _LOG.warning("broadcast_works_again", failures=self._failures)
        self._failures = 0
        self._failed_mono.clear()

    def _fail(self, message: Message | None, reason: str) -> None:
        if message is not None:
            self._tries[message.trip_id] += 1
        self._tried.set()
        is_owed, now_mono = message is not None, self._clock.now().mono
        if now_mono - self._failed_mono.get(is_owed, float("-inf")) < _TELL_AGAIN_AFTER_S:
            return
        self._failed_mono[is_owed] = now_mono
        owed = [one.trip_id for one in self._outbox.owed()]
        facts: dict[str, Any] = {"owed": owed[-_TOLD_MAX:], "count": len(owed)}
        facts["trip_id"] = None if message is None else message.trip_id
        self._told(RiskEvent(EventName.BROADCAST_FAILED, {**facts, "reason": reason[:_REASON_MAX]}))

    async def _rest(self) -> None:
        """What is new cuts it short."""
        pause_s = self._pauses.pause_s(Lane.TRIP, self._failures, None) * self._jitter()
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
