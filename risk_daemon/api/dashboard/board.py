"""What every open page shows: read and written once for all of them, at most a few times a second.

The page is made of parts. A part that changes gets the number of the look at which it did, so whoever knows how far
they have read is told what came since, in bytes that all of them share; who reads slowly is told of the newest only.
A look that takes long is followed by a pause that is longer: people looking on never take much of the loop's time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from risk_daemon.api.dashboard import summary, tables
from risk_daemon.api.dashboard.alerts import alerts, waits
from risk_daemon.api.dashboard.chart import SPANS, chart
from risk_daemon.api.dashboard.curve import Curves
from risk_daemon.api.dashboard.html import Markup, joined, tag
from risk_daemon.api.dashboard.log import Log
from risk_daemon.api.dashboard.words import clock, wall_of
from risk_daemon.api.feed import FeedEnded, Subscription, TooManyReaders
from risk_daemon.api.port import Control
from risk_daemon.errors import InvariantError, RiskDaemonError
from risk_daemon.model.clock import Clock
from risk_daemon.model.event_names import EventName
from risk_daemon.model.status import State
from risk_daemon.state.files import json_text

_LOG = structlog.get_logger(__name__)
_SHARE = 20  # of the time a look takes: so long the next one waits at least
_AT_ONCE = 16  # readers are woken in so many at a time, and whoever is heard between comes first
_CHARTS_EVERY_S = 15.0
_URGENT_S = 0.05
_AGAIN_S = 5.0
_URGENT = frozenset(
    {
        EventName.CIRCUIT_BREAKER_TRIGGERED,
        EventName.CIRCUIT_BREAKER_RESET,
        EventName.BREAKER_TRIPPED,
        EventName.BREAKER_RESET,
        EventName.MANUAL_HALT,
        EventName.SWEEP_FINISHED,
        EventName.VENUE_PROVEN,
        EventName.VENUE_UNPROVEN,
        EventName.ALERT_ACKNOWLEDGED,
    }
)
_STILL = "the evaluation loop does not turn: what stands here may be old, and every order is refused"


@dataclass(frozen=True, slots=True)
class Face:
    """What a page shows besides its parts. standing: whether a trip waits to be acknowledged."""

    clock: str = ""
    tone: str = summary.BAD
    word: str = ""
    line: str = ""
    standing: bool = False

    @property
    def said(self) -> tuple[str, str, str, bool]:
        """What of it is news."""
        return self.tone, self.word, self.line, self.standing


PARTS: Mapping[str, Callable[[State], Markup]] = {
    "limits": summary.limits,
    "worth": summary.worth,
    "profit": summary.profit,
    "breakers": tables.breakers,
    "positions": tables.positions,
    "holdings": tables.holdings,
    "locks": tables.locks,
}
# Of these a page may show only what matches some words.
HAPPENED: Mapping[str, Callable[..., Markup]] = {
    "open-orders": tables.open_orders,
    "orders": tables.orders,
    "fills": tables.fills,
    "errors": tables.errors,
    "vetoes": tables.vetoes,
}


class Board:
    """One for all pages. tick: called at every look while somebody reads. `close` tells the last that is known."""

    def __init__(
        self, control: Control, now: Clock, tick: Callable[[], None], *, every_s: float = 0.4, beat_s: float = 2.0
    ) -> None:
        self.log = Log()
        self.state: State = State.shown({})
        self.face = Face()
        self.version = 0
        self.is_closed = False
        self._is_ending = False
        self._control = control
        self._clock = now
        self._tick = tick
        self._every_s = every_s
        self._beat_s = beat_s
        self._epoch = secrets.token_hex(4)
        self._parts: dict[str, tuple[int, Markup]] = {}
        self._written: dict[int, bytes] = {}
        self._curves = Curves(SPANS)
        self._charts_mono = float("-inf")
        self._look = asyncio.Lock()
        self._taken_mono = float("-inf")
        self._pause_s = every_s
        self._nudged = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._readers = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._ticker: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    # --- its life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen to what happens."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._follow(), name="page-log"))

    async def close(self) -> None:
        """Look for the last time, and tell it to everybody."""
        if not self._tasks:
            return
        for task in (*self._tasks, *([] if self._ticker is None else [self._ticker])):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._subscription is not None:
            with suppress(FeedEnded):
                while (event := await self._subscription.next(0.001)) is not None:
                    self.log.note(event)
            self._subscription.close()
        self._is_ending = True
        async with self._look:
            await self._take(must_draw=True)
        self.is_closed = True
        await self._wake()

    async def _follow(self) -> None:
        """Every event into the log; what matters is shown at once."""
        while True:
            try:
                self._subscription = self._control.subscribe()
                while True:
                    event = await self._subscription.next(60.0)
                    if event is not None:
                        self.log.note(event)
                        if event.name in _URGENT:
                            self._nudged.set()
            except FeedEnded:
                self.log.missed += 1
            except TooManyReaders:
                await asyncio.sleep(_AGAIN_S)

    # --- readers -------------------------------------------------------------------------------------

    def join(self) -> None:
        """Somebody reads from now on."""
        self._readers += 1
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.get_running_loop().create_task(self._turn(), name="page-board")

    def leave(self) -> None:
        self._readers -= 1

    @property
    def readers(self) -> int:
        return self._readers

    async def changed(self, since: int) -> None:
        """Until there is something to write to who has read up to `since`: news, or only that we are there."""
        if self.version > since or self.is_closed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    async def _turn(self) -> None:
        """Look again and again while anybody reads."""
        beat_mono, told = self._clock.now().mono, 0
        while self._readers > 0:
            self._tick()
            await self.fresh()
            now = self._clock.now().mono
            if self.version > told or now >= beat_mono:
                beat_mono, told = now + self._beat_s, self.version
                await self._wake()
            await self._rest()

    async def _rest(self) -> None:
        """As long as a look deserves; what is urgent waits for a moment only."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._nudged.wait()
            await asyncio.sleep(_URGENT_S)
            self._taken_mono = float("-inf")
        self._nudged.clear()

    async def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for number, future in enumerate(waiting, 1):
            if not future.done():
                future.set_result(None)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    # --- looking -------------------------------------------------------------------------------------

    async def fresh(self) -> None:
        """Look, unless that was done a moment ago."""
        async with self._look:
            if self._clock.now().mono - self._taken_mono >= 0.9 * self._pause_s:
                await self._take()

    async def _take(self, *, must_draw: bool = False) -> None:
        """must_draw: the pictures too, however new they are: nobody will draw them again."""
        began, before, number = self._clock.now().mono, self.face, self.version + 1
        document, trouble = self._read()
        cost_s = self._clock.now().mono - began
        for name, render in self._renderings(document, trouble).items():
            await asyncio.sleep(0)
            at = self._clock.now().mono
            self._put(name, render(), number)
            cost_s += self._clock.now().mono - at
        if must_draw or began - self._charts_mono >= _CHARTS_EVERY_S:
            self._charts_mono = began
            await self._draw(number)
        if before.said != self.face.said or any(at == number for at, _ in self._parts.values()):
            self.version = number
        self._written.clear()
        self._taken_mono = began
        self._pause_s = max(self._every_s, _SHARE * cost_s)

    def _read(self) -> tuple[Mapping[str, Any], str]:
        """The state and the alerts, or why they are not known."""
        try:
            self.state = State.shown(self._control.state())
            # At the end the loop has turned for the last time, as it must: what it said last is no old news.
            is_well = self._is_ending or self._control.is_alive()
            document, trouble = self._control.alerts(), "" if is_well else _STILL
        except Exception as error:
            known = isinstance(error, RiskDaemonError) and not isinstance(error, InvariantError)
            _LOG.error("page_state_failed", exc_info=None if known else error, error=str(error))
            self.state, document = State.shown({}), {}
            trouble = f"how things stand can't be told: {error}" if known else "a bug of the daemon: see its journal"
        line = summary.headline(self.state)
        self.face = Face(
            clock=clock(self.state.time),
            tone=summary.BAD if trouble else line.tone,
            word="NOT KNOWN" if trouble else line.word,
            line=trouble or line.told,
            standing=waits(document),
        )
        return document, trouble

    def _renderings(self, document: Mapping[str, Any], trouble: str) -> Mapping[str, Callable[[], Markup]]:
        """In the order in which they matter, with room for others between them."""
        of_state = {name: partial(render, self.state) for name, render in {**PARTS, **HAPPENED}.items()}
        return {
            "now": partial(_now, self.state, self.log.proven, trouble),
            **of_state,
            "venues": partial(tables.venues, self.state, self.log.proven),
            "alerts": partial(alerts, document, self.state),
        }

    async def _draw(self, number: int) -> None:
        await self._curves.follow(self._control.history())
        now = wall_of(self.state.time) or self._clock.now().wall
        for span in SPANS:
            await asyncio.sleep(0)
            self._put(f"chart-{span}", chart(self._curves.of(span), self.state, span, now), number)

    def _put(self, name: str, written: Markup, number: int) -> None:
        known = self._parts.get(name)
        if known is None or known[1] != written:
            self._parts[name] = (number, written)

    # --- telling -------------------------------------------------------------------------------------

    def part(self, name: str) -> Markup:
        """As it is now; empty before the first look."""
        return self._parts[name][1] if name in self._parts else Markup("")

    @property
    def mark(self) -> str:
        """How far a page has read that is made now."""
        return f"{self._epoch}-{self.version}"

    def since(self, mark: str) -> int:
        """How far somebody has read; 0 for what another run of the daemon has told."""
        epoch, _, number = mark.partition("-")
        return int(number) if epoch == self._epoch and number.isascii() and number.isdigit() else 0

    def news(self, since: int) -> bytes:
        """What changed after `since`, as JSON; everything for 0."""
        if since not in self._written:
            self._written[since] = json_text(self._document(since)).encode("ascii")
        return self._written[since]

    def block(self, since: int) -> bytes:
        """The same as a server-sent event; where there is nothing new, that we are there."""
        if since >= self.version:
            return b"event: beat\ndata: %b\n\n" % clock(self._clock.now().wall).encode("ascii")
        return b"id: %b\nevent: state\ndata: %b\n\n" % (self.mark.encode("ascii"), self.news(since))

    def _document(self, since: int) -> dict[str, Any]:
        face = self.face
        return {
            "mark": self.mark,
            "clock": face.clock,
            "tone": face.tone,
            "word": face.word,
            "line": face.line,
            "standing": face.standing,
            "parts": {name: written for name, (at, written) in self._parts.items() if at > since},
        }


def _now(state: State, proven: Mapping[str, float], trouble: str) -> Markup:
    badge = tag("strong", "NOT KNOWN", class_="badge")
    return joined(tag("p", badge, f" {trouble}", class_="state bad") if trouble else None, summary.now(state, proven))
