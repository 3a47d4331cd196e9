"""One account on one simulated exchange: wallets, orders, positions, ledger, dead man's switch.

Pure: no I/O, no clock, no chance. Time is an argument (Unix seconds), and what is due later happens
in `advance`. The wire faces and the admin face all drive this, and the same calls at the same times
always end in the same state.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from adapters.simulated.accounts import ON_TIME, Accounts, Late, fixed
from adapters.simulated.model import (
    TRIGGER_TYPES,
    ZERO,
    Bot,
    Cancelled,
    Depth,
    Fill,
    HeldPosition,
    Instrument,
    LedgerRow,
    OpenOrder,
    OrderCancelled,
    OrderDraft,
    OrderFilled,
    OrderOpened,
    OrderTriggered,
    PositionChanged,
    PriceChanged,
    Quote,
    Refused,
    check_draft,
    check_positive,
)


@dataclass(frozen=True, slots=True)
class DeadMan:
    """An armed switch: when it fires, and which orders it reaches."""

    due_wall: float
    reaches: Callable[[OpenOrder], bool]


class Exchange(Accounts):
    """The account and its market.

    order_id: makes the venue's id of the n-th order. wallet: the wallet meant when none is named.
    hedged: a long and a short of one instrument are two positions.
    ignore_cancels: cancels are answered and not done (a fault). fee_ratio: what an order's execution
    costs, as a part of what it is worth.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        prices: Mapping[str, Decimal],
        *,
        asset_prices: Mapping[str, Decimal] | None = None,
        wallet: str = "spot",
        order_id: Callable[[int], str] = "order-{}".format,
    ) -> None:
        super().__init__(wallet)
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.quotes = {symbol: Quote.around(price) for symbol, price in prices.items()}
        self.asset_prices = dict(asset_prices or {})
        self.orders: dict[str, OpenOrder] = {}
        self.positions: dict[str, HeldPosition] = {}
        self.cancelled: list[Cancelled] = []
        self.fills: list[Fill] = []
        self.bots: dict[str, Bot] = {}
        self.dead_men: dict[str, DeadMan] = {}
        self.delisted: set[str] = set()
        self.depths: dict[str, Depth] = {}
        self.hedged = False
        self.ignore_cancels = False
        self.fee_ratio = ZERO
        self._order_id = order_id
        self._names = _names(self.instruments.values())

    # --- time and news ---------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Do everything that is due by `now`, in order of time."""
        while (due := self.next_due()) is not None and due <= now:
            fired = next((name for name, switch in self.dead_men.items() if switch.due_wall == due), None)
            if fired is not None:
                switch = self.dead_men.pop(fired)
                self._cancel(tuple(filter(switch.reaches, self.orders.values())), due, "dead_man")
            else:
                _, _, action = heapq.heappop(self._agenda)
                action(due)

    def next_due(self) -> float | None:
        """When `advance` next has something to do; None if nothing is planned."""
        times = [self._agenda[0][0]] if self._agenda else []
        return min((*times, *(switch.due_wall for switch in self.dead_men.values())), default=None)

    # --- market ----------------------------------------------------------------------------------------

    def instrument(self, name: str) -> Instrument:
        """The instrument of a unified symbol or any spelling of the venue. Raises Refused."""
        symbol = self._names.get(name.lower())
        if symbol is None:
            raise Refused("unknown_symbol", f"there is no instrument {name!r}")
        return self.instruments[symbol]

    def delist(self, name: str) -> None:
        """Take an instrument off the market lists. What rests in it goes on resting, as venues have it."""
        self.delisted.add(self.instrument(name).symbol)

    def listed(self) -> list[Instrument]:
        """The instruments of the market lists."""
        return [instrument for symbol, instrument in self.instruments.items() if symbol not in self.delisted]

    def set_price(self, name: str, price: Decimal) -> None:
        """Quote one instrument around `price`. Wallets and resting orders are not touched."""
        check_positive(price, "price")
        symbol = self.instrument(name).symbol
        self.quotes[symbol] = Quote.around(price)
        self._notices.append(PriceChanged(symbol))

    def set_asset_price(self, asset: str, price: Decimal) -> None:
        """Move an asset to `price` USD: every instrument of that base moves by the same ratio."""
        check_positive(price, "price")
        old = self.asset_prices.get(asset)
        if old is None:
            raise Refused("unknown_asset", f"there is no price of the asset {asset!r}")
        self.asset_prices[asset] = price
        for instrument in self.instruments.values():
            if instrument.base == asset and instrument.symbol in self.quotes:
                self.set_price(instrument.symbol, self.quotes[instrument.symbol].mark * price / old)

    # --- wallets ---------------------------------------------------------------------------------------

    def held(self, wallet: str | None = None) -> dict[str, Decimal]:
        """What resting orders hold of each asset of a wallet."""
        held: dict[str, Decimal] = {}
        for order in self.orders.values():
            if self.holds(order) and self.wallet_of(order.draft) == (wallet or self.wallet):
                asset, amount = self._given(order.draft, order.remaining, order.draft.price)
                held[asset] = held.get(asset, ZERO) + amount
        return held

    def holds(self, order: OpenOrder) -> bool:
        """Does it keep back what it would give, while it rests?"""
        return order.kind == "spot_plain"

    def wallet_of(self, draft: OrderDraft) -> str | None:
        """The wallet whose assets an order exchanges; None: it moves a position."""
        is_spot = self.instruments[draft.symbol].settle is None and not draft.leveraged
        return self.wallet if is_spot else None

    def trade(
        self,
        name: str,
        side: str,
        quantity: Decimal,
        price: Decimal,
        now: float,
        *,
        fee: Decimal = ZERO,
        wallet: str | None = None,
        rows_apart_s: float = 0.0,
        late: Late = ON_TIME,
    ) -> None:
        """A spot trade. What is given leaves first; what is received arrives `rows_apart_s` later.

        fee: in the quote asset, on top of what is given or off what is received.
        """
        check_positive(quantity, "quantity")
        check_positive(price, "price")
        symbol, base, quote = self._spot_legs(name)
        worth, fee = fixed(quantity * price), fixed(fee)
        legs = [(quote, -worth, fee), (base, quantity, ZERO)]
        if side == "sell":
            legs = [(base, -quantity, ZERO), (quote, worth, fee)]
        ref = self._next("ref")
        given, received = (
            replace(
                self._row("trade", wallet or self.wallet, asset, amount - part, ref, now),
                fee=part,
                symbol=symbol,
                price=price,
            )
            for asset, amount, part in legs
        )
        together = rows_apart_s <= 0
        self._book((given, received) if together else (given,), now, late)
        if not together:
            self._later(now, rows_apart_s, lambda at: self._book((replace(received, wall=at),), at, late))

    def _spot_legs(self, name: str) -> tuple[str, str, str]:
        instrument = self.instrument(name)
        if instrument.settle is not None:
            raise Refused("invalid", f"{instrument.symbol} is no spot instrument")
        return instrument.symbol, instrument.base, instrument.quote

    # --- orders ----------------------------------------------------------------------------------------

    def place(
        self, draft: OrderDraft, now: float, *, checked: bool = True, strategy: str = ""
    ) -> tuple[OpenOrder, Fill | None]:
        """Take an order. Market orders and crossing limit orders are filled at once at the touch, whole.

        Where the market has a `Depth`, that much of a market order is.
        checked=False rests a limit order whatever it crosses and whatever funds there are: an order
        that somebody placed before (`now`: when). strategy: the bot of the venue's own that places it. Raises Refused.
        """
        instrument = self.instrument(draft.symbol)
        draft = replace(draft, symbol=instrument.symbol)
        check_draft(draft)
        touch = self._touch(draft) if checked or draft.order_type == "market" else None
        if checked:
            draft = self._checked(draft, touch)
        kind = _kind(instrument, draft)
        order = OpenOrder(self._order_id(self._next("order")), draft, kind, now, strategy=strategy)
        if touch is not None:
            return self._take(order, touch, now)
        self.orders[order.order_id] = order
        self._notices.append(OrderOpened(order))
        return order, None

    def _take(self, order: OpenOrder, touch: Decimal, now: float) -> tuple[OpenOrder, Fill | None]:
        depth = self._depth(order.draft)
        quantity = order.draft.quantity if depth is None else min(depth.quantity, order.draft.quantity)
        fill: Fill | None = None
        if quantity > 0:
            order, fill = self._execute(order, quantity, touch, now)
        if depth is not None and depth.rests and order.remaining > 0:
            self.orders[order.order_id] = order
            self._notices.append(OrderOpened(order))
        return order, fill

    def _depth(self, draft: OrderDraft) -> Depth | None:
        depth = self.depths.get(draft.symbol) if draft.order_type == "market" else None
        if depth is not None and depth.count is not None:
            del self.depths[draft.symbol]
            if depth.count > 1:
                self.depths[draft.symbol] = replace(depth, count=depth.count - 1)
        return depth

    def fill(self, order_id: str, now: float, *, quantity: Decimal | None = None) -> Fill:
        """Execute a resting order at its price (a trigger order at its trigger price). Raises Refused."""
        order = self.find(order_id)
        price = order.draft.price or order.draft.trigger_price or self.quotes[order.draft.symbol].mark
        del self.orders[order.order_id]
        order, fill = self._execute(order, min(quantity or order.remaining, order.remaining), price, now)
        if order.remaining > 0:
            self.orders[order.order_id] = order
        return fill

    def trigger(self, order_id: str, now: float, *, gap_s: float = 0.0) -> None:
        """Its price is reached: the order leaves its book, `gap_s` later a plain one is placed. Raises Refused."""
        waiting = self.find(order_id)
        check_positive(waiting.draft.trigger_price, "trigger_price")
        order_type = "market" if waiting.draft.price is None else "limit"
        draft = replace(waiting.draft, order_type=order_type, trigger_price=None, book="")
        held = self.positions.get(position_key(draft.symbol, draft.position_side))
        if draft.close_position and held is not None:
            draft = replace(draft, quantity=abs(held.quantity))

        def place(at: float) -> None:
            became, _ = self.place(draft, at, checked=False, strategy=waiting.strategy)
            self._notices.append(OrderTriggered(waiting, became.order_id))

        del self.orders[waiting.order_id]
        if gap_s > 0:
            self._notices.append(OrderTriggered(waiting))
        self._later(now, gap_s, place)

    def find(self, order_id: str) -> OpenOrder:
        """A resting order by its id or client order id. Raises Refused."""
        if (order := self.orders.get(order_id)) is not None:
            return order
        for order in self.orders.values():
            if order.draft.client_order_id == order_id:
                return order
        raise Refused("unknown_order", f"there is no open order {order_id!r}")

    def cancel(self, order_id: str, now: float, *, how: str = "cancel") -> OpenOrder:
        """Cancel one order by its id or client order id. Raises Refused if none rests."""
        order = self.find(order_id)
        self._cancel((order,), now, how)
        return order

    def cancel_all(self, now: float, *, how: str = "cancel_all", symbol: str | None = None) -> tuple[OpenOrder, ...]:
        """Cancel every order, or those of one instrument; returns them."""
        orders = tuple(o for o in self.orders.values() if symbol is None or o.draft.symbol == symbol)
        self._cancel(orders, now, how)
        return orders

    def cancel_where(
        self, reaches: Callable[[OpenOrder], bool], now: float, *, how: str = "cancel_all"
    ) -> tuple[OpenOrder, ...]:
        """Cancel the orders that one call reaches; returns them."""
        orders = tuple(filter(reaches, self.orders.values()))
        self._cancel(orders, now, how)
        return orders

    def cancel_later(
        self, reaches: Callable[[OpenOrder], bool], now: float, delay_s: float, *, how: str = "cancel_all"
    ) -> tuple[OpenOrder, ...]:
        """Cancel, `delay_s` after it is answered, what one call reaches now, as far as it rests then; returns it."""
        orders = tuple(filter(reaches, self.orders.values()))
        if not self.ignore_cancels:
            names = frozenset(order.order_id for order in orders)
            self._later(now, delay_s, lambda at: self._cancel(self._still(names), at, how))
        return orders

    def _still(self, names: frozenset[str]) -> tuple[OpenOrder, ...]:
        return tuple(order for name, order in self.orders.items() if name in names)

    def arm_dead_man(
        self, timeout_s: float, now: float, *, name: str = "", reaches: Callable[[OpenOrder], bool] = lambda _: True
    ) -> float | None:
        """Cancel what it reaches `timeout_s` from now unless armed again; 0 disarms. Returns the due time.

        name: of the switch, where a venue has one for each symbol.
        """
        self.dead_men.pop(name, None)
        if timeout_s <= 0:
            return None
        self.dead_men[name] = DeadMan(now + timeout_s, reaches)
        return now + timeout_s

    @property
    def dead_man_due(self) -> float | None:
        """When the first switch fires; None if none is armed."""
        return min((switch.due_wall for switch in self.dead_men.values()), default=None)

    def _cancel(self, orders: tuple[OpenOrder, ...], now: float, how: str) -> None:
        if self.ignore_cancels and how in ("cancel", "cancel_all"):
            return
        for order in orders:
            del self.orders[order.order_id]
            self.cancelled.append(Cancelled(order, now, how))
            self._notices.append(OrderCancelled(self.cancelled[-1]))

    def _touch(self, draft: OrderDraft) -> Decimal | None:
        quote = self.quotes[draft.symbol]
        best = quote.ask if draft.side == "buy" else quote.bid
        if draft.order_type == "market":
            return best
        if draft.order_type != "limit" or draft.price is None:
            return None
        crosses = draft.price >= best if draft.side == "buy" else draft.price <= best
        return best if crosses else None

    def _checked(self, draft: OrderDraft, touch: Decimal | None) -> OrderDraft:
        wallet = self.wallet_of(draft)
        if wallet is not None:
            asset, needed = self._given(draft, draft.quantity, touch or draft.price or draft.trigger_price)
            if self.total(asset, wallet) - self.held(wallet).get(asset, ZERO) < needed:
                raise Refused("insufficient_funds", f"not enough {asset} for this order")
        elif draft.reduce_only:
            position = self.positions.get(position_key(draft.symbol, draft.position_side))
            if position is None or (position.quantity > 0) == (draft.side == "buy"):
                raise Refused("would_not_reduce", f"no position in {draft.symbol} that this order would reduce")
            return replace(draft, quantity=min(draft.quantity, abs(position.quantity)))
        return draft

    def _given(self, draft: OrderDraft, quantity: Decimal, price: Decimal | None) -> tuple[str, Decimal]:
        instrument = self.instruments[draft.symbol]
        if draft.side == "sell":
            return instrument.base, quantity
        return instrument.quote, quantity * (price or self.quotes[draft.symbol].ask)

    def _execute(self, order: OpenOrder, quantity: Decimal, price: Decimal, now: float) -> tuple[OpenOrder, Fill]:
        order = replace(order, filled=order.filled + quantity)
        fill = Fill(order, self._next("fill"), quantity, price, now)
        self.fills.append(fill)
        self._notices.append(OrderFilled(fill))
        wallet = self.wallet_of(order.draft)
        if wallet is not None:
            fee = quantity * price * self.fee_ratio
            self.trade(order.draft.symbol, order.draft.side, quantity, price, now, fee=fee, wallet=wallet)
        else:
            self._move_position(order.draft, quantity if order.draft.side == "buy" else -quantity, price, now)
        return order, fill

    def fee_of(self, fill: Fill) -> tuple[Decimal, str]:
        """What an execution cost, and in what."""
        instrument, draft = self.instruments[fill.order.draft.symbol], fill.order.draft
        worth = fill.price if self.wallet_of(draft) is not None else instrument.worth(fill.price)
        return fixed(fill.quantity * self.fee_ratio * worth), instrument.settle or instrument.quote

    # --- positions -------------------------------------------------------------------------------------

    def set_position(
        self, name: str, quantity: Decimal, entry: Decimal, now: float, *, side: str = "", isolated: bool = False
    ) -> None:
        """Put a position in place (0 removes it). Wallets are not touched. side: see `HeldPosition`."""
        symbol = self.instrument(name).symbol
        key = position_key(symbol, side)
        if quantity == 0:
            self.positions.pop(key, None)
        else:
            check_positive(entry, "entry")
            self.positions[key] = HeldPosition(symbol, quantity, entry, now, side, isolated)
        self.hedged = self.hedged or bool(side)
        self._notices.append(PositionChanged(symbol))

    def _move_position(self, draft: OrderDraft, signed: Decimal, price: Decimal, now: float) -> None:
        symbol, side = draft.symbol, draft.position_side
        old = self.positions.get(position_key(symbol, side)) or HeldPosition(
            symbol, ZERO, price, now, isolated=draft.isolated
        )
        instrument = self.instruments[symbol]
        quantity, entry, profit = old.quantity + signed, old.entry, ZERO
        if old.quantity * signed < 0:
            closed = min(abs(signed), abs(old.quantity))
            profit = instrument.profit(closed if old.quantity > 0 else -closed, old.entry, price)
            entry = price if quantity * signed > 0 else old.entry
        else:
            entry = instrument.average_entry(old.quantity, old.entry, signed, price)
        self._realise(instrument, profit, (old.quantity, quantity), price, now)
        self.set_position(symbol, quantity, entry, now, side=side, isolated=old.isolated)

    def _realise(
        self, instrument: Instrument, profit: Decimal, sizes: tuple[Decimal, Decimal], price: Decimal, now: float
    ) -> None:
        """The row of a trade with contracts: its profit less its fee. sizes: of the position, before and after."""
        fee = fixed(abs(sizes[1] - sizes[0]) * self.fee_ratio * instrument.worth(price))
        row = self._settled(instrument, "position", fixed(profit) - fee, now)
        self._book((replace(row, fee=fee, price=price, sizes=sizes),), now)

    def pay_funding(self, name: str, amount: Decimal, now: float) -> None:
        """Funding of a position in contracts (rollover, on a margin venue): received above zero, paid below."""
        row = self._settled(self.instrument(name), "funding", amount, now)
        self._book((row,), now)

    def _settled(self, instrument: Instrument, kind: str, amount: Decimal, now: float) -> LedgerRow:
        wallet, asset = instrument.wallet or self.wallet, instrument.settle or instrument.quote
        row = self._row(kind, wallet, asset, amount, self._next("ref"), now)
        return replace(row, symbol=instrument.symbol)

    # --- bots ------------------------------------------------------------------------------------------

    def start_bot(self, bot: Bot, now: float) -> None:
        """Let a bot place its first order now and one every `every_s` until it is stopped."""
        check_positive(Decimal(str(bot.every_s)), "every_s")
        self.instrument(bot.draft.symbol)
        check_draft(bot.draft)
        bot = replace(bot, began_wall=now)
        self.bots[bot.bot_id] = bot
        self._bot_turn(bot, 1, now)

    def strategies(self, *kinds: str) -> list[Bot]:
        """The venue's own bots, or those of these kinds."""
        return [bot for bot in self.bots.values() if bot.strategy and (not kinds or bot.strategy in kinds)]

    def stop_strategy(self, bot_id: str, now: float) -> None:
        """Stop a bot of the venue's own, and cancel what it has placed. Raises Refused."""
        if bot_id not in self.bots or not self.bots[bot_id].strategy:
            raise Refused("unknown_order", f"there is no strategy {bot_id!r}")
        if not self.ignore_cancels:
            self.stop_bots(bot_id)
            self.cancel_where(lambda order: order.strategy == bot_id, now)

    def stop_bots(self, bot_id: str | None = None) -> None:
        """Stop one bot, or all."""
        for name in [bot_id] if bot_id is not None else list(self.bots):
            if self.bots.pop(name, None) is None:
                raise Refused("unknown_bot", f"there is no bot {name!r}")

    def _bot_turn(self, bot: Bot, turn: int, now: float) -> None:
        if self.bots.get(bot.bot_id) is bot:
            draft = replace(bot.draft, client_order_id=f"{bot.prefix}-{turn}")
            self.place(draft, now, checked=False, strategy=bot.bot_id if bot.strategy else "")
            self._later(now, bot.every_s, lambda at: self._bot_turn(bot, turn + 1, at))


def position_key(symbol: str, side: str = "") -> str:
    """Under which an exchange has a position: its symbol, and its side where there may be one of each."""
    return f"{symbol} {side}" if side else symbol


def _names(instruments: Iterable[Instrument]) -> dict[str, str]:
    names: dict[str, str] = {}
    for instrument in instruments:
        for name in (instrument.symbol, instrument.wire_id, *instrument.names):
            names.setdefault(name.lower(), instrument.symbol)
    return names


def _kind(instrument: Instrument, draft: OrderDraft) -> str:
    market = "perp" if instrument.settle is not None else "margin" if draft.leveraged else "spot"
    return f"{market}_{draft.book or ('trigger' if draft.order_type in TRIGGER_TYPES else 'plain')}"
