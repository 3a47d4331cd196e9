"""One simulated account as the world has it: the exchange core, its health, and what was told about it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from adapters.base import Market, OrderScope
from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Instrument, OpenOrder, OrderDraft
from risk_daemon.model.events import Kind, Position, Price
from risk_daemon.model.units import ZERO
from tests.simulated.scenario import Call, Fault, VenueSpec
from tests.simulated.virtual_time import Timeline

QUOTE = "USDT"
_CANCEL_FAULTS = frozenset({Fault.ACK_ONLY, Fault.PARTIAL})
_DEADLY = frozenset(
    {Fault.REFUSED, Fault.HANG, Fault.MALFORMED, Fault.TOO_MANY, Fault.REJECTED, Fault.LOST},
)
_READS = frozenset({Call.BALANCES, Call.POSITIONS, Call.PRICES})
_SWEEP_FAULTS = frozenset({Fault.DEAF})
_UNSIGNED = frozenset({Call.CONNECT, Call.PRICES, Call.STREAM})
_TURN_S = 3.0


@dataclass(frozen=True, slots=True)
class Past:
    """What was true once."""

    amounts: Mapping[str, object]
    positions: tuple[Position, ...]
    prices: tuple[Price, ...]


@dataclass(slots=True)
class Health:
    """trouble: what hits every call now. noise: how likely a fault hits one. silent: streams say nothing.

    past: what the streams say again and again instead of the truth. lag_s: how far behind it they are.
    read_only: the key may look at everything and change nothing.
    """

    trouble: Fault = Fault.NONE
    troubled_calls: frozenset[Call] = frozenset(Call)
    noise: Mapping[Fault, float] = field(default_factory=dict)
    silent: bool = False
    frozen: bool = False
    past: Past | None = None
    lag_s: float = 0.0
    read_only: bool = False


class SimVenue:
    """The account, its faults, and a record of what left it."""

    def __init__(self, spec: VenueSpec, prices: Mapping[str, Decimal], rng: random.Random, timeline: Timeline) -> None:
        self.spec = spec
        self.name = spec.name
        self.timeline = timeline
        self.health = Health()
        self.exchange = Exchange(
            _instruments(spec, prices),
            {_symbol(spec, asset): price for asset, price in prices.items()},
            asset_prices=prices,
            wallet="main",
            order_id=(spec.name + "-{}").format,
        )
        self.market = Market.PERP if spec.perp else Market.SPOT
        self.scopes = tuple(OrderScope(name, frozenset({self.market})) for name in ("plain", "trigger"))
        self.publish: Callable[[], None] | None = None
        self.last_look: dict[str, float] = {}
        self.last_urgent_look: dict[str, float] = {}  # of a sweep
        self.cancel_asked_mono: list[float] = []
        self.ledger_told_true = float("-inf")
        self.balances_told = False
        self.lie: tuple[str, Decimal] | None = None
        self.short: list[bool] = []  # which of the next balance replies lack half of the account
        self.lies_open: dict[str, float] = {}
        self._rng = rng
        self._signed = 0
        self._fund()

    def _fund(self) -> None:
        before = self.timeline.true - 30 * 86_400
        for asset, amount in self.spec.wallet.items():
            self.exchange.flow(asset, amount, before)
        for symbol, (quantity, entry) in self.spec.positions.items():
            self.exchange.set_position(symbol, quantity, entry, before)
        for number in range(self.spec.resting):
            self.place("trigger" if number % 3 == 2 else "plain", f"old-{number}")
        self.exchange.take_notices()

    # --- what happens to the account -----------------------------------------------------------------

    def place(self, order: str, client_order_id: str) -> OpenOrder:
        """An order of a bot or a person; it is far from the market and rests."""
        symbol = next(iter(self.exchange.instruments))
        price = self.exchange.quotes[symbol].mark / 2
        draft = OrderDraft(
            symbol,
            "buy",
            "stop_loss_limit" if order == "trigger" else "limit",
            Decimal("0.01"),
            price,
            price if order == "trigger" else None,
            client_order_id,
            reduce_only=order == "reduce_only",
        )
        return self.exchange.place(draft, self.timeline.true, checked=False)[0]

    def orders_in(self, scope: str) -> list[OpenOrder]:
        kind = f"{self.market.value}_{scope}"
        return [order for order in self.exchange.orders.values() if order.kind == kind]

    def equity(self) -> Decimal:
        """The account's true worth, from the exchange's own books."""
        exchange = self.exchange
        worth = sum(
            (amount * self.price(asset) for asset, amount in exchange.wallets["main"].items()),
            ZERO,
        )
        for symbol, held in exchange.positions.items():
            profit = exchange.instruments[symbol].profit(held.quantity, held.entry, exchange.quotes[symbol].mark)
            worth += profit
        return worth

    def price(self, asset: str) -> Decimal:
        return Decimal(1) if asset == QUOTE else self.exchange.asset_prices[asset]

    def gross(self) -> Decimal:
        """Everything held, and the notional of every position."""
        exchange = self.exchange
        held = sum((abs(amount) * self.price(asset) for asset, amount in exchange.wallets["main"].items()), ZERO)
        for symbol, position in exchange.positions.items():
            held += abs(position.quantity) * exchange.quotes[symbol].mark
        return held

    # --- faults --------------------------------------------------------------------------------------

    def fault(self, call: Call) -> Fault:
        """What goes wrong with this call."""
        health = self.health
        if health.trouble is not Fault.NONE and call in health.troubled_calls:
            return self._trouble(call)
        if not health.noise:
            return Fault.NONE
        roll = self._rng.random()
        for fault, chance in health.noise.items():
            roll -= chance
            if roll < 0:
                return fault if _fits(fault, call) else Fault.NONE
        return Fault.NONE

    def _trouble(self, call: Call) -> Fault:
        trouble = self.health.trouble
        if trouble is Fault.EVERY_SECOND:
            self._signed += call not in _UNSIGNED
            return Fault.REFUSED if call not in _UNSIGNED and self._signed % 2 else Fault.NONE
        if trouble is Fault.BY_TURNS:
            return Fault.MALFORMED if self.timeline.true // _TURN_S % 2 else Fault.NONE
        return trouble

    def latency_s(self) -> float:
        """One way."""
        return self.spec.latency_s / 2 * self._rng.uniform(0.5, 1.5)

    def slowness_s(self) -> float:
        return self._rng.choice((0.5, 2.0, 4.0, 12.0)) * self._rng.uniform(0.5, 1.2)

    def picks(self, count: int) -> list[int]:
        """About half of `count` things."""
        return [index for index in range(count) if self._rng.random() < 0.5]

    def retry_after_s(self) -> float:
        return self._rng.choice((1.0, 3.0, 8.0))

    def is_dead(self) -> bool:
        """Whether nothing of it can be read now."""
        return self.health.trouble in _DEADLY and self.health.troubled_calls >= _READS

    def is_well(self) -> bool:
        """Streams that tell the past are no excuse while REST tells the truth."""
        health = self.health
        return health.trouble is Fault.NONE and not (health.silent or health.frozen or self.lies_open)

    @property
    def streams(self) -> frozenset[Kind]:
        return self.spec.streams


def _fits(fault: Fault, call: Call) -> bool:
    if fault in _CANCEL_FAULTS:
        return call is Call.CANCEL
    if fault in _SWEEP_FAULTS:
        return call in (Call.CANCEL, Call.LIST)
    return True


def _symbol(spec: VenueSpec, asset: str) -> str:
    return f"{asset}/{QUOTE}:{QUOTE}" if spec.perp else f"{asset}/{QUOTE}"


def _instruments(spec: VenueSpec, prices: Mapping[str, Decimal]) -> list[Instrument]:
    settle = QUOTE if spec.perp else None
    return [
        Instrument(_symbol(spec, asset), _symbol(spec, asset), asset, QUOTE, settle, wallet="main") for asset in prices
    ]
