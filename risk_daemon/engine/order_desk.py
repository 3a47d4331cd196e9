"""Answers one order after the other: restraints first, then room in the order rates, then limits of single orders.

An order that may be sent takes its slot at once, so that two bots never share the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from risk_daemon.breakers.manager import CircuitBreakerManager
from risk_daemon.breakers.order_rate import OrderRateCircuitBreaker
from risk_daemon.engine.books import Books
from risk_daemon.engine.decision import Turn
from risk_daemon.engine.settings import EngineSettings
from risk_daemon.gate.activity import Teller
from risk_daemon.gate.pretrade import PreTrade
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest, Restraint, Veto, check_order
from risk_daemon.gate.veto_tally import VetoTally
from risk_daemon.model.account import OrderSide
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import ErrorReported, EventName, Kind, OrderReported, OrdersSeen, RiskEvent


class OrderDesk:
    """Where orders are asked for and told of."""

    def __init__(self, books: Books, manager: CircuitBreakerManager, settings: EngineSettings) -> None:
        self._books = books
        self._manager = manager
        self._settings = settings
        self._rates = self._rates_of_rules()
        self._pretrade = PreTrade(settings.pretrade)
        self._tally = VetoTally()
        self._streamed: set[str] = set()

    def reconfigure(self, settings: EngineSettings) -> None:
        """Other limits, by what was let through before; the rates are those of the manager's rules now."""
        self._settings = settings
        self._rates = self._rates_of_rules()
        self._pretrade.reconfigure(settings.pretrade)

    def _rates_of_rules(self) -> list[OrderRateCircuitBreaker]:
        return [rule for rule in self._manager.get_all_breakers() if isinstance(rule, OrderRateCircuitBreaker)]

    def answer(
        self, order: OrderRequest, restraints: Sequence[Restraint], now: Instant, *, is_acting: bool
    ) -> OrderAnswer:
        """is_acting: False while disabled; then only halts hold, which are among the restraints."""
        is_reducing = self._is_reducing(order, now.mono)
        veto = check_order(order, restraints, is_reducing=is_reducing)
        if veto is None and is_acting:
            passes_rates = is_reducing and self._settings.allow_reduce_only
            veto = (None if passes_rates else self._rate_veto(order, now)) or self._limit_veto(order, now)
        if veto is not None:
            self._tally.note(veto, order.bot)
            return OrderAnswer(wall=now.wall, veto=veto)
        self._books.activity.record_order(
            now.mono,
            venue=order.venue,
            symbol=order.symbol,
            side=order.side,
            client_order_id=order.client_order_id,
            bot=order.bot,
            teller=Teller.GATE,
        )
        self._pretrade.took(order, now.mono)
        return OrderAnswer(wall=now.wall)

    def _is_reducing(self, order: OrderRequest, now_mono: float) -> bool:
        """Whether the order surely makes a position smaller and does not turn it; an unknown position says no."""
        if not order.reduce_only:
            return False
        portfolio, venue = self._books.portfolio, order.venue
        age_s = portfolio.age_s(venue, Kind.POSITIONS, now_mono)
        if age_s is None or age_s > portfolio.settings.stale_after_s(venue, Kind.POSITIONS):
            return False
        held = next((p.quantity for p in portfolio.positions(venue) if p.symbol == order.symbol), Decimal(0))
        shrinks = held > 0 if order.side == OrderSide.SELL else held < 0
        return shrinks and order.quantity <= abs(held)

    def _rate_veto(self, order: OrderRequest, now: Instant) -> Veto | None:
        vetoes = (rate.veto(self._books.activity, now, order) for rate in self._rates if rate.is_active(now))
        return next((veto for veto in vetoes if veto is not None), None)

    def _limit_veto(self, order: OrderRequest, now: Instant) -> Veto | None:
        price, rate = self._price_of(order) if self._pretrade.wants_price else (None, None)
        return self._pretrade.check(order, now.mono, price=price, reference_rate=rate)

    def _price_of(self, order: OrderRequest) -> tuple[Decimal | None, Decimal | None]:
        """The instrument's price, and what a unit of its quote (inverse: contract) is worth. None: not known."""
        base, _, rest = order.symbol.partition("/")
        quote = rest.partition(":")[0]
        portfolio = self._books.portfolio
        mark = portfolio.prices.mark(order.venue, order.symbol)
        rate = self._fresh_rate(quote)
        if mark is not None and not mark.is_stale:
            return mark.value, rate
        base_rate = self._fresh_rate(base)
        return (base_rate / rate if base_rate and rate else None), rate

    def _fresh_rate(self, asset: str) -> Decimal | None:
        portfolio = self._books.portfolio
        return None if portfolio.is_stale(asset) else portfolio.rate(asset)

    # --- what is told ------------------------------------------------------------------------------

    def take(self, event: OrdersSeen | OrderReported | ErrorReported, turn: Turn) -> None:
        """Count what bots and venues tell of, each order once."""
        activity, now_mono = self._books.activity, turn.now.mono
        match event:
            case ErrorReported():
                activity.record_error(now_mono, event.kind, bot=event.bot, venue=event.venue)
            case OrderReported():
                activity.record_order(
                    now_mono,
                    venue=event.venue,
                    symbol=event.symbol,
                    side=event.side,
                    order_id=event.order_id,
                    client_order_id=event.client_order_id,
                    bot=event.bot,
                    teller=Teller.BOT,
                )
            case OrdersSeen():
                self._take_stream(event, now_mono)

    def _take_stream(self, event: OrdersSeen, now_mono: float) -> None:
        """What a venue's first snapshot names was sent before: it is known from now on, and not counted."""
        is_old = event.is_snapshot and event.venue not in self._streamed
        self._streamed.add(event.venue)
        activity = self._books.activity
        for order in (*event.orders, *event.ended):
            if is_old:
                activity.know_order(order.venue, order_id=order.order_id, client_order_id=order.client_order_id)
                continue
            activity.record_order(
                now_mono,
                venue=order.venue,
                symbol=order.symbol,
                side=order.side,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                teller=Teller.VENUE,
            )

    def note_veto(self, veto: Veto, bot: str | None) -> None:
        """Count a veto that `bot` has read from the memory map."""
        self._tally.note(veto, bot)

    def vetoes_left(self) -> RiskEvent | None:
        """What was not summed up yet, for the last moment."""
        summary = self._tally.flush()
        return None if summary is None else RiskEvent(EventName.ORDER_VETOED, summary)

    def tell_vetoes(self, turn: Turn) -> None:
        """A summary of the vetoes since the last one; the lines are written elsewhere."""
        summary = self._tally.due(turn.now.mono)
        if summary is not None:
            turn.record(EventName.ORDER_VETOED, **summary)
