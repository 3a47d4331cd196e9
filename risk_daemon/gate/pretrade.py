"""Limits of single orders: size, distance from the market, repetition, and the pace of one bot.

They say nothing about the portfolio; they catch the order that nobody meant to send. What a limit needs and is
not known makes a veto, never a pass. A value exactly at its limit passes, one beyond it does not.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Context, Decimal

from risk_daemon.errors import check
from risk_daemon.gate.restraints import Cause, OrderRequest, Veto
from risk_daemon.model.account import OrderSide
from risk_daemon.model.units import EXACT, ONE, percent, plain

LIMIT = "limit"

# Traces of orders that are kept for the duplicate window, at most two an order: 20 MB when full.
TRACES_MAX = 100_000
_RATE_WINDOW_S = 1.0
_SHOWN = Context(prec=18)


@dataclass(frozen=True, slots=True)
class PreTradeSettings:
    """Each limit is off while it is None. Raises ValueError for one that is not above zero.

    max_notional: in the reference currency. max_quantity: in the venue's own unit of the instrument.
    price_collar: a ratio of the market's price, above and below it. duplicate_window_s: seconds.
    """

    max_notional: Decimal | None = None
    max_quantity: Decimal | None = None
    price_collar: Decimal | None = None
    duplicate_window_s: float | None = None
    max_orders_per_second_per_bot: int | None = None

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if value is not None and not value > 0:
                raise ValueError(f"{setting.name} is {value}: a limit is above zero, or left out")


class PreTrade:
    """Judges one order after the other: `check`, then `took` if it got its lease.

    A vetoed order leaves no trace: it counts for no pace, and it does not prolong the duplicate window. So a bot
    that hammers one order gets it through once a window: no more often, and not never again.
    """

    def __init__(self, settings: PreTradeSettings) -> None:
        self.settings = settings
        self._traces = RecentTraces(settings.duplicate_window_s or 0.0)
        self._rates = BotRates()

    def reconfigure(self, settings: PreTradeSettings) -> None:
        """Other limits. What was not remembered for the old ones is not known to the new ones."""
        self.settings = settings
        self._traces.window_s = settings.duplicate_window_s or 0.0

    @property
    def wants_price(self) -> bool:
        """Whether some limit is measured by the market's price."""
        return self.settings.max_notional is not None or self.settings.price_collar is not None

    def check(
        self, order: OrderRequest, now_mono: float, *, price: Decimal | None, reference_rate: Decimal | None
    ) -> Veto | None:
        """The first limit that `order` is beyond, in the order of `Cause`; None if there is none.

        price: the instrument's mid or mark, in its quote per base unit. reference_rate: the reference currency
        for one unit of the order's quote asset. None: unknown or stale. Raises InvariantError for no size.
        """
        check(_known(order.quantity) is not None, f"an order's quantity is above zero, not {order.quantity}")
        check(_known(order.contract_size) is not None, f"a contract size is above zero, not {order.contract_size}")
        price, rate = _known(price), _known(reference_rate)
        return (
            self._unknown(order, price, rate)
            or self._beyond_notional(order, price, rate)
            or self._beyond_quantity(order)
            or self._beyond_collar(order, price)
            or self._duplicate(order, now_mono)
            or self._too_fast(order, now_mono)
        )

    def took(self, order: OrderRequest, now_mono: float) -> None:
        """The order got its lease."""
        if self.settings.duplicate_window_s is not None:
            self._traces.add(_traces_of(order), now_mono)
        if self.settings.max_orders_per_second_per_bot is not None:
            self._rates.add(order.bot, now_mono)

    def _unknown(self, order: OrderRequest, price: Decimal | None, rate: Decimal | None) -> Veto | None:
        limits: dict[str, object] = {}
        if self.settings.max_notional is not None and notional(order, price, rate) is None:
            limits["max_notional"] = plain(self.settings.max_notional)
        if self.settings.price_collar is not None and order.price is not None and price is None:
            limits["price_collar"] = float(self.settings.price_collar)
        if not limits:
            return None
        missing = []
        if rate is not None or "price_collar" in limits:
            missing.append(f"the price of {order.symbol} on {order.venue}")
        if rate is None and "max_notional" in limits:
            missing.append("the rate of its quote asset")
        return Veto(
            Cause.PRICE_UNKNOWN,
            f"not known or too old: {' and '.join(missing)}; without it {' and '.join(limits)} can't be judged",
            {"market_price": _shown(price), "reference_rate": _shown(rate)},
            limits,
        )

    def _beyond_notional(self, order: OrderRequest, price: Decimal | None, rate: Decimal | None) -> Veto | None:
        limit = self.settings.max_notional
        worth = None if limit is None else notional(order, price, rate)
        if limit is None or worth is None or worth <= limit:
            return None
        return Veto(
            Cause.MAX_NOTIONAL,
            f"the order may come to {_shown(worth)}, more than the {plain(limit)} of max_notional",
            {"notional": _shown(worth)},
            {"max_notional": plain(limit)},
        )

    def _beyond_quantity(self, order: OrderRequest) -> Veto | None:
        limit = self.settings.max_quantity
        if limit is None or order.quantity <= limit:
            return None
        return Veto(
            Cause.MAX_QUANTITY,
            f"the quantity {_shown(order.quantity)} is more than the {plain(limit)} of max_quantity",
            {"quantity": _shown(order.quantity)},
            {"max_quantity": plain(limit)},
        )

    def _beyond_collar(self, order: OrderRequest, price: Decimal | None) -> Veto | None:
        """Both ways: an order on the harmless side of the market is a slip as well."""
        limit = self.settings.price_collar
        if limit is None or order.price is None or price is None:
            return None
        deviation = EXACT.subtract(EXACT.divide(order.price, price), ONE)
        if EXACT.abs(deviation) <= limit:
            return None
        return Veto(
            Cause.PRICE_COLLAR,
            f"the price {_shown(order.price)} is {percent(EXACT.abs(deviation))} from the market's {_shown(price)}, "
            f"more than the {percent(limit)} of price_collar",
            {"price": _shown(order.price), "market_price": _shown(price), "deviation": float(deviation)},
            {"price_collar": float(limit)},
        )

    def _duplicate(self, order: OrderRequest, now_mono: float) -> Veto | None:
        window_s = self.settings.duplicate_window_s
        if window_s is None:
            return None
        age_s = self._traces.age_s(_traces_of(order), now_mono)
        if age_s is not None:
            reason = f"the same order was let through {age_s:.3f} s ago, within the {window_s:g} s of duplicate_window"
        elif self._traces.is_full:
            reason = f"too many orders within the {window_s:g} s of duplicate_window to remember: set a shorter one"
        else:
            return None
        observed = {"age_s": None if age_s is None else round(age_s, 3)}
        return Veto(Cause.DUPLICATE_ORDER, reason, observed, {"duplicate_window_s": window_s})

    def _too_fast(self, order: OrderRequest, now_mono: float) -> Veto | None:
        limit = self.settings.max_orders_per_second_per_bot
        count = 0 if limit is None else self._rates.count(order.bot, now_mono)
        if limit is None or count < limit:
            return None
        who = "bots without a name" if order.bot is None else f"the bot {order.bot}"
        return Veto(
            Cause.BOT_ORDER_RATE,
            f"{who} had {count} orders within a second, and max_orders_per_second_per_bot is {limit}",
            {"orders_in_last_second": count},
            {"max_orders_per_second_per_bot": limit},
        )


def notional(order: OrderRequest, price: Decimal | None, rate: Decimal | None) -> Decimal | None:
    """What the order may come to at most, in the reference currency; None if that can't be known.

    A limit buy pays no more than its own price. A limit sell gets no less than its own, but may get the market's,
    and so may whatever is no plain limit order: they count at the larger of the two. An inverse contract is worth
    a fixed amount of its quote asset. price, rate: as in `PreTrade.check`.
    """
    size = EXACT.multiply(order.quantity, order.contract_size)
    if rate is None or order.inverse:
        return None if rate is None else EXACT.multiply(size, rate)
    own = _known(order.price)
    is_capped = own is not None and order.order_type == LIMIT and order.side == OrderSide.BUY
    worst = own if is_capped else None if price is None else max(price, own or price)
    return None if worst is None else EXACT.multiply(EXACT.multiply(size, worst), rate)


class RecentTraces:
    """What was seen within the last `window_s` seconds, and when."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._seen_mono: OrderedDict[int, float] = OrderedDict()  # oldest first

    @property
    def is_full(self) -> bool:
        """Nothing more can be remembered, so nothing can be ruled out."""
        return len(self._seen_mono) >= TRACES_MAX

    def age_s(self, traces: Iterable[int], now_mono: float) -> float | None:
        """How long ago any of the traces was seen last; None if none was within the window."""
        self._expire(now_mono)
        return min((now_mono - self._seen_mono[trace] for trace in traces if trace in self._seen_mono), default=None)

    def add(self, traces: Iterable[int], now_mono: float) -> None:
        self._expire(now_mono)
        for trace in traces:
            self._seen_mono[trace] = now_mono
            self._seen_mono.move_to_end(trace)

    def _expire(self, now_mono: float) -> None:
        while self._seen_mono and now_mono - next(iter(self._seen_mono.values())) >= self.window_s:
            self._seen_mono.popitem(last=False)


class BotRates:
    """Orders of the last second by bot; those without a name count together."""

    def __init__(self) -> None:
        self._taken: deque[tuple[float, str | None]] = deque()
        self._counts: Counter[str | None] = Counter()

    def count(self, bot: str | None, now_mono: float) -> int:
        self._expire(now_mono)
        return self._counts[bot]

    def add(self, bot: str | None, now_mono: float) -> None:
        self._expire(now_mono)
        self._taken.append((now_mono, bot))
        self._counts[bot] += 1

    def _expire(self, now_mono: float) -> None:
        while self._taken and now_mono - self._taken[0][0] >= _RATE_WINDOW_S:
            _, bot = self._taken.popleft()
            self._counts[bot] -= 1
            if not self._counts[bot]:
                del self._counts[bot]


def _traces_of(order: OrderRequest) -> tuple[int, ...]:
    """What an order is recognised by: what it wants to do, and its id. Hashes, to keep them small."""
    deed = (order.symbol, order.side, order.order_type, order.quantity, order.price)
    traces = (hash((order.bot, order.venue, deed)),)
    return (*traces, hash((order.bot, order.venue, order.client_order_id))) if order.client_order_id else traces


def _known(number: Decimal | None) -> Decimal | None:
    """`number`, if it is finite and above zero."""
    return number if number is not None and number.is_finite() and number > 0 else None


def _shown(number: Decimal | None) -> str | None:
    """For people: 18 digits are enough."""
    return None if number is None else plain(_SHOWN.plus(number))
