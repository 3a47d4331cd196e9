"""The one loop that keeps a venue's data true, for all venues.

REST reads on a schedule are the truth; streams are hints that come early. A stream vouches for what
it did not change only while a REST read begun after its last doubt stands: after every connect, and
after every frame that says "something changed" without saying what.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence

from adapters.base import VenueAdapter
from adapters.fill_rounds import FillRounds
from adapters.lane import PushedAside
from adapters.order_rounds import OrderRounds
from risk_daemon.errors import VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import (
    BalancesSeen,
    FlowsListed,
    Input,
    Kind,
    PositionsSeen,
    PricesSeen,
    StreamConfirmed,
    VenueConnected,
    VenueLost,
)

Reading = BalancesSeen | PositionsSeen | PricesSeen | FlowsListed

_READ_ORDER = (Kind.POSITIONS, Kind.BALANCES, Kind.FLOWS, Kind.PRICES)
"""Positions before prices: they say whose marks are needed."""

_SNAPSHOT_KINDS = frozenset({Kind.BALANCES, Kind.POSITIONS})
"""Streams whose first frame comes at once. A stream of orders may have none, one of prices nothing to watch."""

_READ_GAP_S = 0.5
_CONFIRM_EVERY_S = 1.0


def backoff_s(attempt: int) -> float:
    """Seconds to wait before attempt number `attempt` (from 1): doubling to 30 s, a random half of it taken off."""
    return float(min(30.0, 0.5 * 2 ** min(attempt, 6)) * random.uniform(0.5, 1.0))


class VenueFeed:
    """Connects, reads, streams, reconnects and reports; every outcome is an input given to `emit`.

    assets: what needs a price here, besides what this venue itself holds.
    flows_since_wall: when the ledger was last listed whole; flows are listed from there, with an overlap.
    call_timeout_s: how long one read may take; silent_after_s: how long a live stream may say nothing.
    may_list: whether open orders are to be listed in every round now; not while a sweep does it.
    """

    def __init__(
        self,
        adapter: VenueAdapter,
        emit: Callable[[Input], None],
        clock: Clock,
        *,
        assets: Callable[[], frozenset[str]],
        reconcile_every_s: float = 15.0,
        call_timeout_s: float = 10.0,
        connect_timeout_s: float = 60.0,
        flows_every_s: float = 300.0,
        flows_since_wall: float | None = None,
        flows_overlap_s: float = 3_600.0,
        silent_after_s: float = 20.0,
        backoff: Callable[[int], float] = backoff_s,
        may_list: Callable[[], bool] = lambda: True,
    ) -> None:
        self._adapter = adapter
        self._emit = emit
        self._clock = clock
        self._assets = assets
        self._reconcile_every_s = reconcile_every_s
        self._call_timeout_s = call_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._flows_every_s = flows_every_s
        self._began = clock.now()
        self._flows_since_wall = self._began.wall if flows_since_wall is None else flows_since_wall
        self._flows_overlap_s = flows_overlap_s
        self._silent_after_s = silent_after_s
        self._backoff = backoff
        self._orders = OrderRounds(
            adapter,
            emit,
            clock,
            every_s=reconcile_every_s,
            call_timeout_s=call_timeout_s,
            backoff=backoff,
            may_list=may_list,
        )
        self._fills = FillRounds(adapter, emit, clock, call_timeout_s=call_timeout_s, may_list=may_list)
        self._flow_ids: set[str] = set()
        self._held: dict[Kind, frozenset[str]] = {}
        self._outages: set[tuple[str, Kind | None]] = set()
        self._wanted = {kind: asyncio.Event() for kind in Kind}
        self._asked = {kind: asyncio.Lock() for kind in Kind}
        self._asked_next: set[Kind] = set()
        self._retry_after_s: dict[Kind, float] = {}
        self._live: set[Kind] = set()
        self._doubt_mono: dict[Kind, float] = {}
        self._confirmed_mono: dict[Kind, float] = {}

    @property
    def flows_since_wall(self) -> float:
        """When the ledger was last listed whole: to be persisted, and given to the next feed of this venue."""
        return self._flows_since_wall

    async def run(self) -> None:
        """Feed until cancelled. Raises only what is no venue's failure, such as a ConfigError."""
        await self._connect()
        failures = {kind: 0 if await self._read(kind) else 1 for kind in self._read_kinds()}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._orders.run())
            tasks.create_task(self._fills.run())
            for kind, failed in failures.items():
                tasks.create_task(self._keep_reading(kind, failed))
            for kind in sorted(self._adapter.capabilities.stream_kinds):
                tasks.create_task(self._keep_streaming(kind))
            tasks.create_task(self._keep_confirming())

    async def read_now(self, kinds: frozenset[Kind], *, urgent: bool = False) -> None:
        """Read these kinds over REST at once. What fails is reported as VenueLost with its kind, never raised."""
        wanted = [kind for kind in self._read_kinds() if kind in kinds]
        await asyncio.gather(*(self._read_in_turn(kind, urgent) for kind in wanted))

    async def _read_in_turn(self, kind: Kind, urgent: bool) -> None:
        """Reads leave one after another: whoever asks again meanwhile shares the one that is to begin next.

        Else a slow venue, asked every second, would never answer anybody in time, and a price that flaps at
        a limit would have the guard flood its own venue.
        """
        turn = self._asked[kind]
        if kind in self._asked_next:
            async with turn:
                return
        self._asked_next.add(kind)
        try:
            await turn.acquire()
        finally:
            self._asked_next.discard(kind)
        try:
            await self._read(kind, urgent=urgent, is_asked_for=True)
        finally:
            turn.release()

    def _read_kinds(self) -> list[Kind]:
        capabilities = self._adapter.capabilities
        missing = {Kind.FLOWS: not capabilities.has_flows, Kind.POSITIONS: not capabilities.has_positions}
        return [kind for kind in _READ_ORDER if not missing.get(kind, False)]

    # --- connecting ------------------------------------------------------------------------------

    async def _connect(self) -> None:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(self._connect_timeout_s):
                    await self._adapter.connect()
            except (VenueError, TimeoutError) as error:
                attempt += 1
                self._report_lost(("connect", None), error)
                await asyncio.sleep(max(self._backoff(attempt), _retry_after_s(error)))
            else:
                self._outages.discard(("connect", None))
                self._emit(VenueConnected(self._adapter.name))
                return

    # --- REST ------------------------------------------------------------------------------------

    async def _keep_reading(self, kind: Kind, failures: int) -> None:
        """Read by the schedule, and sooner after so many failures in a row: a first ledger, above all."""
        every_s = self._flows_every_s if kind is Kind.FLOWS else self._reconcile_every_s
        while True:
            pause_s = every_s if failures == 0 else min(every_s, self._backoff(failures))
            await self._pause(kind, max(pause_s, self._retry_after_s.pop(kind, 0.0)))
            failures = 0 if await self._read(kind) else failures + 1

    async def _pause(self, kind: Kind, pause_s: float) -> None:
        """Wait, or less if the kind is wanted; but never read in a row without a gap."""
        await asyncio.sleep(min(_READ_GAP_S, pause_s))
        wanted = self._wanted[kind]
        waiting = asyncio.ensure_future(wanted.wait())
        try:
            await asyncio.wait({waiting}, timeout=max(0.0, pause_s - _READ_GAP_S))
        finally:
            waiting.cancel()
        wanted.clear()

    async def _read(self, kind: Kind, *, urgent: bool = False, is_asked_for: bool = False) -> bool:
        """Read one kind and emit it. False, and reported, if the venue gave no proven answer in time."""
        try:
            async with asyncio.timeout(self._call_timeout_s):
                seen = await self._call(kind, urgent)
        except PushedAside:
            self._wanted[kind].set()
            return True
        except (VenueError, TimeoutError) as error:
            self._retry_after_s[kind] = _retry_after_s(error)
            self._report_lost(("rest", kind), error, is_asked_for=is_asked_for)
            return False
        self._report_found(kind)
        await self._take(kind, seen, urgent)
        return True

    def _call(self, kind: Kind, urgent: bool) -> Awaitable[Reading]:
        if kind is Kind.BALANCES:
            return self._adapter.read_balances(urgent=urgent)
        if kind is Kind.POSITIONS:
            return self._adapter.read_positions(urgent=urgent)
        if kind is Kind.FLOWS:
            since_wall = min(self._flows_since_wall, self._clock.now().wall)
            return self._adapter.read_flows(since_wall - self._flows_overlap_s, urgent=urgent)
        assets = self._assets().union(*self._held.values())
        return self._adapter.read_prices(assets, urgent=urgent)

    async def _take(self, kind: Kind, seen: Reading, urgent: bool) -> None:
        if seen.requested_mono >= self._doubt_mono.get(kind, seen.requested_mono):
            self._doubt_mono.pop(kind, None)
        self._emit(seen)
        self._fills.noticed(seen)
        if isinstance(seen, BalancesSeen):
            self._hold(kind, seen.amounts)
        elif isinstance(seen, PositionsSeen):
            self._hold(kind, (asset for row in seen.positions for asset in (row.settle, row.underlying)))
        elif isinstance(seen, FlowsListed):
            await self._take_flows(seen, urgent)

    def _hold(self, kind: Kind, names: Iterable[str]) -> None:
        """Remember what needs a price; something new is priced at once."""
        held = frozenset(names)
        if not held <= self._held.get(kind, frozenset()):
            self._wanted[Kind.PRICES].set()
        self._held[kind] = held

    async def _take_flows(self, listed: FlowsListed, urgent: bool) -> None:
        """After a new flow the balance is read again: a flow counts with a balance requested after its listing."""
        self._flows_since_wall = self._safe_wall(listed.requested_mono)
        ids = {flow.flow_id for flow in listed.flows}
        is_new = not ids <= self._flow_ids
        self._flow_ids = ids
        if is_new:
            await self._read(Kind.BALANCES, urgent=urgent)

    def _safe_wall(self, mono: float) -> float:
        """The wall time of a moment of this run; where the clock was set meanwhile, the earlier of the two answers.

        The venue's ledger is asked from here on: a clock that jumped ahead must not hide flows.
        """
        now = self._clock.now()
        return min(now.wall - (now.mono - mono), self._began.wall + (mono - self._began.mono))

    # --- streams ---------------------------------------------------------------------------------

    async def _keep_streaming(self, kind: Kind) -> None:
        attempt = 0
        while True:
            try:
                await self._begin_stream(kind)
                attempt = 0
                while True:
                    self._deliver(kind, await self._adapter.next_frame(kind))
            except (VenueError, TimeoutError) as error:
                self._live.discard(kind)
                self._report_lost(("stream", kind), error)
                attempt += 1
                if isinstance(error, TimeoutError | VenueRejected):
                    # A refused or silent session is not dialled again by asking for the next frame.
                    await self._adapter.reset_streams()
                await asyncio.sleep(max(self._backoff(attempt), _retry_after_s(error)))

    async def _begin_stream(self, kind: Kind) -> None:
        """Take the first frame, then read over REST: what that shows, nothing on the stream can be older than."""
        patience_s = self._call_timeout_s if kind in _SNAPSHOT_KINDS else None
        async with asyncio.timeout(patience_s):
            first = await self._adapter.next_frame(kind)
        self._report_streaming(kind)
        if kind in self._read_kinds():
            self._doubt_mono[kind] = self._clock.now().mono
            if not await self._read(kind):
                self._wanted[kind].set()
        self._live.add(kind)
        if kind is Kind.ORDERS:
            self._fills.want()  # what was executed while there was no stream
        self._deliver(kind, first, is_read=True)

    def _deliver(self, kind: Kind, inputs: Sequence[Input], *, is_read: bool = False) -> None:
        if not inputs and not is_read:
            self._doubt_mono[kind] = self._clock.now().mono
            self._wanted[kind].set()
        for seen in inputs:
            self._emit(seen)
            if isinstance(seen, BalancesSeen):
                self._hold(kind, self._held.get(kind, frozenset()).union(seen.amounts))

    async def _keep_confirming(self) -> None:
        while True:
            await asyncio.sleep(_CONFIRM_EVERY_S)
            for kind in sorted(self._live - {Kind.ORDERS}):
                self._confirm(kind)
            if self._is_silent():
                await self._adapter.reset_streams()

    def _confirm(self, kind: Kind) -> None:
        mono = self._adapter.heartbeat_mono(kind)
        if mono is None or kind in self._doubt_mono or mono <= self._confirmed_mono.get(kind, 0.0):
            return
        self._confirmed_mono[kind] = mono
        self._emit(StreamConfirmed(self._adapter.name, kind, mono))

    def _is_silent(self) -> bool:
        now_mono = self._clock.now().mono
        heartbeats = (self._adapter.heartbeat_mono(kind) for kind in self._live)
        return any(mono is not None and now_mono - mono > self._silent_after_s for mono in heartbeats)

    # --- reporting -------------------------------------------------------------------------------

    def _report_lost(
        self, outage: tuple[str, Kind | None], error: BaseException, *, is_asked_for: bool = False
    ) -> None:
        """Once an outage, not once a retry; but whoever asked for a reading is always told.

        What we pushed aside ourselves, for the cancels, says nothing of the venue: it is tried again.
        """
        if isinstance(error, PushedAside):
            return
        face, kind = outage
        reason = f"stream: {_reason(error)}" if face == "stream" else _reason(error)
        if outage not in self._outages or is_asked_for:
            self._emit(VenueLost(self._adapter.name, reason, kind, is_stream=face != "rest"))
        self._outages.add(outage)

    def _report_found(self, kind: Kind) -> None:
        if ("rest", kind) not in self._outages:
            return
        self._outages.discard(("rest", kind))
        if not any(face == "rest" for face, _ in self._outages):
            self._emit(VenueConnected(self._adapter.name))

    def _report_streaming(self, kind: Kind) -> None:
        if ("stream", kind) in self._outages:
            self._outages.discard(("stream", kind))
            self._emit(VenueConnected(self._adapter.name, kind))


def _reason(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error)


def _retry_after_s(error: BaseException) -> float:
    wish_s = error.retry_after_s if isinstance(error, VenueUnavailable) else None
    return 0.0 if wish_s is None else wish_s
