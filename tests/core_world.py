"""A small world around the engine: venues with a truth of their own, reads on a schedule, virtual time.

Nothing here sleeps and nothing is random. A test changes the truth, says which frames the streams
give, and lets time run; reads that the engine asks for are answered after `latency_s`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

from risk_daemon.baselines.baselines import BaselineSettings
from risk_daemon.breakers.base import BaseCircuitBreaker
from risk_daemon.engine.decision import Action, Decision, ReadNow, StartSweep
from risk_daemon.engine.engine import Engine, EngineSettings
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
    BalancesSeen,
    EventName,
    Flow,
    FlowsListed,
    Input,
    Kind,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    RiskEvent,
    Source,
    Started,
    SweepFinished,
    Tick,
    VenueConnected,
)
from risk_daemon.portfolio.manager import PortfolioSettings

SPOT = frozenset({Kind.BALANCES, Kind.PRICES})
PERP = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})
BTC_PERP = "BTC/USDT:USDT"
TICK_S = 0.2


def amounts(**rows: object) -> dict[str, Decimal]:
    return {asset: Decimal(str(amount)) for asset, amount in rows.items()}


def price(symbol: str, value: object) -> Price:
    """`BTC/USDT` is a spot pair, `BTC/USDT:USDT` a perp's mark."""
    base, quote = symbol.split(":")[0].split("/")
    return Price(symbol, base, quote, Decimal(str(value)), converts=":" not in symbol)


def perp(quantity: object, entry: object, symbol: str = BTC_PERP) -> Position:
    return Position(
        symbol=symbol, quantity=Decimal(str(quantity)), entry=Decimal(str(entry)), settle="USDT", underlying="BTC"
    )


def engine_settings(capital: object = 10_000, venues: dict[str, frozenset[Kind]] | None = None) -> EngineSettings:
    return EngineSettings(
        portfolio=PortfolioSettings(expected={"spot": SPOT, "perp": PERP} if venues is None else venues),
        baselines=BaselineSettings(initial_capital=None if capital is None else Decimal(str(capital))),
    )


class World:
    """Venues `spot` and `perp` by default, each holding 5,000 USDT; BTC at 50,000."""

    def __init__(
        self,
        settings: EngineSettings | None = None,
        clock: ManualClock | None = None,
        rules: Callable[[], Sequence[BaseCircuitBreaker]] = tuple,
    ) -> None:
        self.settings = settings or engine_settings()
        self.rules = rules
        self.sweeps_take_s: float | None = None
        self.clock = clock or ManualClock()
        self.expected = self.settings.portfolio.expected
        self.holdings: dict[str, dict[str, Decimal]] = {venue: amounts(USDT=5_000) for venue in self.expected}
        self.positions: dict[str, dict[str, Position]] = {venue: {} for venue in self.expected}
        self.prices: dict[str, dict[str, Price]] = {venue: {} for venue in self.expected}
        self.ledger: dict[str, list[Flow]] = {venue: [] for venue in self.expected}
        self.trades: dict[str, list[Flow]] = {venue: [] for venue in self.expected}
        self.tells_trades = False
        self.dead: set[str] = set()
        self.ledger_dead: set[str] = set()
        self.latency_s = 0.05
        self.read_every_s = 15.0
        self.list_every_s = 300.0
        self.decisions: list[Decision] = []
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._count = count()
        self._flow_ids = count(1)
        self._wake: float | None = None
        self._next_tick = self.now
        self._next_read = self.now + self.read_every_s
        self._next_list = self.now + self.list_every_s
        for venue in self.expected:
            self.prices[venue]["BTC/USDT"] = price("BTC/USDT", 50_000)
        self.engine = Engine(self.settings, self.rules())

    # --- time --------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.clock.now().mono

    def start(self) -> World:
        """A first run of the daemon, up to its first baseline."""
        self.begin()
        self.run(12.0)
        return self

    def begin(self) -> None:
        """Started, connected, everything read once."""
        self.send(Started())
        for venue in self.expected:
            if venue not in self.dead:
                self.send(VenueConnected(venue))
        self.read_all()
        for venue in self.expected:
            self.list_flows(venue)
        self.send(Tick())

    def let_answers_arrive(self) -> None:
        """Let time pass until nothing that was asked is without its answer."""
        while self._queue:
            self.run(self._queue[0][0] - self.now + 0.001)

    def restart(self, *, down_s: float = 1.0, latch: Any = None) -> World:
        """The same venues, an engine that was killed now and starts with what it had persisted."""
        documents = self.engine.snapshot()
        latch = latch or (None if self.engine.trip is None else self.engine.trip.latch())
        self.clock.advance(down_s)
        self._queue.clear()
        self._wake = None
        self._next_tick, self._next_read, self._next_list = self.now, self.now + 15.0, self.now + 300.0
        self.engine = Engine(self.settings, self.rules())
        self.engine.restore({**documents, "latch": latch}, self.clock.now())
        self.decisions = []
        return self

    def run(self, seconds: float) -> list[Decision]:
        """Let time pass: ticks, wakes, scheduled reads and answers. Returns the decisions made meanwhile."""
        first, end = len(self.decisions), self.now + seconds
        while True:
            due = [self._next_tick, self._next_read, self._next_list]
            due += [self._wake] if self._wake is not None else []
            due += [self._queue[0][0]] if self._queue else []
            moment = min(due)
            if moment > end:
                self.clock.advance(end - self.now)
                return self.decisions[first:]
            if moment > self.now:
                self.clock.advance(moment - self.now)
            self._do_next(moment)

    def _do_next(self, moment: float) -> None:
        if self._queue and self._queue[0][0] <= moment:
            heapq.heappop(self._queue)[2]()
        elif self._next_read <= moment:
            self._next_read = moment + self.read_every_s
            self.read_all()
        elif self._next_list <= moment:
            self._next_list = moment + self.list_every_s
            for venue in self.expected:
                self.list_flows(venue)
        else:
            self._next_tick = moment + TICK_S
            self.send(Tick())

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._count), what))

    # --- events ------------------------------------------------------------------------------------

    def send(self, event: Input) -> Decision:
        decision = self.engine.process(event, self.clock.now())
        self.decisions.append(decision)
        self._wake = decision.wake_mono
        for action in decision.actions:
            if isinstance(action, ReadNow):
                self._answer(action)
            if isinstance(action, StartSweep) and self.sweeps_take_s is not None:
                self.later(self.sweeps_take_s, partial(self.send, SweepFinished(action.trip_id, True, 0, 0.1)))
        return decision

    def _answer(self, action: ReadNow) -> None:
        for venue in self.expected:
            if action.venues is None or venue in action.venues:
                requested = self.now
                self.later(self.latency_s, lambda v=venue, at=requested: self._answer_one(action, v, at))

    def _answer_one(self, action: ReadNow, venue: str, requested: float) -> None:
        for kind in (Kind.POSITIONS, Kind.BALANCES, Kind.PRICES):
            if kind in action.kinds:
                self.read(venue, kind, requested)
        if Kind.FLOWS in action.kinds:
            self.list_flows(venue, requested)

    def read_all(self) -> None:
        for venue, kinds in self.expected.items():
            for kind in sorted(kinds):
                self.read(venue, kind)

    def read(self, venue: str, kind: Kind, requested: float | None = None) -> None:
        """A REST read of the truth; a dead venue says nothing."""
        at = self.now if requested is None else requested
        if venue in self.dead or kind not in self.expected[venue]:
            return
        if kind is Kind.BALANCES:
            self.send(BalancesSeen(venue, at, Source.REST, dict(self.holdings[venue]), complete=True))
        elif kind is Kind.POSITIONS:
            rows = tuple(self.positions[venue].values())
            self.send(PositionsSeen(venue, at, Source.REST, rows, complete=True))
        else:
            self.send(PricesSeen(venue, at, Source.REST, tuple(self.prices[venue].values())))

    def list_flows(self, venue: str, requested: float | None = None) -> None:
        if venue not in self.dead | self.ledger_dead:
            at = self.now if requested is None else requested
            trades = tuple(self.trades[venue]) if self.tells_trades else None
            self.send(FlowsListed(venue, at, tuple(self.ledger[venue]), trades))

    def stream_balances(self, venue: str, **rows: object) -> Decision:
        """Change the truth, and tell of it on the stream."""
        self.holdings[venue].update(amounts(**rows))
        return self.send(BalancesSeen(venue, self.now, Source.STREAM, amounts(**rows), complete=False))

    def stream_position(self, venue: str, position: Position) -> Decision:
        self.positions[venue][position.symbol] = position
        if not position.quantity:
            del self.positions[venue][position.symbol]
        return self.send(PositionsSeen(venue, self.now, Source.STREAM, (position,), complete=False))

    def stream_price(self, symbol: str, value: object, *venues: str, is_true: bool = True) -> Decision:
        """A tick on these venues (all by default). is_true False: a wild tick that REST does not know of."""
        row = price(symbol, value)
        decision = None
        for venue in venues or tuple(self.expected):
            if is_true:
                self.prices[venue][symbol] = row
            decision = self.send(PricesSeen(venue, self.now, Source.STREAM, (row,)))
        assert decision is not None
        return decision

    def move_money(self, venue: str, asset: str, amount: object) -> None:
        """Put money in or take it out of the truth of balances; nothing is told yet."""
        self.holdings[venue][asset] = self.holdings[venue].get(asset, Decimal(0)) + Decimal(str(amount))

    def tell_balance(self, venue: str, asset: str) -> Decision:
        return self.stream_balances(venue, **{asset: self.holdings[venue][asset]})

    def book_flow(self, venue: str, asset: str, amount: object, kind: str = "transfer") -> Flow:
        """Write a row into the venue's ledger; nothing is told yet."""
        flow_id = f"L{next(self._flow_ids)}"
        flow = Flow(
            flow_id=flow_id,
            venue=venue,
            asset=asset,
            amount=Decimal(str(amount)),
            wall=self.clock.now().wall,
            kind=kind,
        )
        self.ledger[venue].append(flow)
        return flow

    def book_trade(self, venue: str, **rows: object) -> None:
        """Write the rows of one trade into the venue's book; nothing is told yet."""
        number = next(self._flow_ids)
        for asset, amount in rows.items():
            row = Flow(
                flow_id=f"L{number}{asset}",
                venue=venue,
                asset=asset,
                amount=Decimal(str(amount)),
                wall=self.clock.now().wall,
                kind="trade",
                group=f"T{number}",
            )
            self.trades[venue].append(row)

    def trade(self, venue: str, **rows: object) -> Decision:
        """A trade, or a fee: the truth changes, the book has its rows, the stream tells of it."""
        self.book_trade(venue, **rows)
        for asset, amount in rows.items():
            self.move_money(venue, asset, amount)
        return self.stream_balances(venue, **{asset: self.holdings[venue][asset] for asset in rows})

    # --- what is seen ------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.engine.state.value

    @property
    def gate(self) -> str:
        """`open`, or the cause it is shut for."""
        gate = self.engine.gate
        return str(gate.cause) if gate.locked else "open"

    @property
    def loss(self) -> float:
        loss = self.engine.figures(self.clock.now())["loss_ratio"]
        assert loss is not None
        return float(loss)

    def records(self, *names: EventName) -> list[RiskEvent]:
        return [record for decision in self.decisions for record in decision.records if record.name in names]

    def actions(self, kind: type[Any]) -> list[Action]:
        return [action for decision in self.decisions for action in decision.actions if isinstance(action, kind)]

    def forget(self) -> None:
        """Start looking anew at records and actions."""
        self.decisions = []


class ShortWorld(World):
    """wild: what the amounts of the next balance replies of venue `spot` are multiplied by; the truth stays."""

    wild: tuple[Decimal | int, ...] = ()

    def read(self, venue: str, kind: Kind, requested: float | None = None) -> None:
        factor, self.wild = (self.wild[0], self.wild[1:]) if self._is_next_wild(venue, kind) else (1, self.wild)
        held = self.holdings[venue]
        self.holdings[venue] = {asset: amount * factor for asset, amount in held.items()}
        super().read(venue, kind, requested)
        self.holdings[venue] = held

    def _is_next_wild(self, venue: str, kind: Kind) -> bool:
        return bool(self.wild) and venue == "spot" and kind is Kind.BALANCES


def with_(settings: EngineSettings, **tables: Any) -> EngineSettings:
    """`settings` with fields of its tables replaced: `with_(s, confirmation={"enabled": False})`."""
    changed = {
        name: replace(getattr(settings, name), **change) if isinstance(change, dict) else change
        for name, change in tables.items()
    }
    return replace(settings, **changed)
