"""deribit's account as rows of JSON: summaries, positions, orders, the transaction log, tickers.

Cash gets the profit of contracts at the settlement alone: what was realised since then stands in `session_rpl`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, Fill, HeldPosition, Instrument, LedgerRow, OpenOrder, OrderDraft
from adapters.simulated.wire import deribit_markets as markets
from adapters.simulated.wire.base import milliseconds

_SESSION = frozenset({"position", "funding"})
"""Rows of the exchange's own book that this venue books at its settlement alone."""

_LOG_TYPES = {"deposit": "deposit", "withdrawal": "withdrawal", "trade": "trade", "interest": "interest"}
_ORDER_TYPES = {
    "stop_loss": "stop_market",
    "stop_loss_limit": "stop_limit",
    "take_profit": "take_market",
    "take_profit_limit": "take_limit",
}
ROW_ID = 82_330_000


class Session:
    """What is counted since the last settlement. prices: what each position was settled at; none was, at first."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.prices: dict[str, Decimal] = {}
        self._began = 0

    def settle(self) -> None:
        """As at 08:00 UTC: profit, also that of open positions, becomes cash."""
        now = max((row.wall for row in self.exchange.ledger), default=0.0)
        for held in self.exchange.positions.values():
            instrument = self.exchange.instruments[held.symbol]
            asset = instrument.settle or instrument.quote
            total = self.exchange.total(asset, markets.MAIN) + self.floating(held)
            self.exchange.set_balance(asset, total, now, wallet=markets.MAIN, kind="settlement")
            self.prices[held.symbol] = self.exchange.quotes[held.symbol].mark
        self._began = len(self.exchange.ledger)

    def realised(self, asset: str) -> Decimal:
        """Profit and funding of the session."""
        rows = self.exchange.ledger[self._began :]
        return sum((row.amount for row in rows if row.kind in _SESSION and row.asset == asset), ZERO)

    def floating(self, held: HeldPosition) -> Decimal:
        """Unrealised profit of the session."""
        return self._profit(held, self.prices.get(held.symbol, held.entry))

    def _profit(self, held: HeldPosition, start: Decimal) -> Decimal:
        instrument, mark = self.exchange.instruments[held.symbol], self.exchange.quotes[held.symbol].mark
        return instrument.profit(held.quantity, start, mark)

    # --- rows ------------------------------------------------------------------------------------------

    def summaries(self) -> list[dict[str, Any]]:
        """A row of every currency, held or not."""
        held = [asset for asset in self.exchange.wallets[markets.MAIN] if asset not in markets.CURRENCIES]
        return [self.summary(code) for code in (*markets.CURRENCIES, *held)]

    def summary(self, code: str) -> dict[str, Any]:
        """One of them."""
        realised = self.realised(code)
        cash = self.exchange.total(code, markets.MAIN) - realised
        floating = sum((self.floating(held) for held in self._settling_in(code)), ZERO)
        equity = cash + realised + floating
        return {
            "currency": code,
            "balance": float(cash),
            "equity": float(equity),
            "margin_balance": float(equity),
            "available_funds": float(equity),
            "available_withdrawal_funds": float(cash),
            "session_rpl": float(realised),
            "session_upl": float(floating),
            "futures_session_rpl": float(realised),
            "futures_session_upl": float(floating),
            "options_session_rpl": 0.0,
            "options_session_upl": 0.0,
            "options_value": 0.0,
            "total_pl": float(floating),
            "initial_margin": 0.0,
            "maintenance_margin": 0.0,
            "spot_reserve": 0.0,
            "additional_reserve": 0.0,
            "fee_balance": 0.0,
            "cross_collateral_enabled": False,
            "portfolio_margining_enabled": False,
            "margin_model": "segregated_sm",
        }

    def _settling_in(self, code: str) -> list[HeldPosition]:
        known = self.exchange.instruments
        return [held for held in self.exchange.positions.values() if known[held.symbol].settle == code]

    def positions(self, currency: str = "any", of: str | None = None) -> list[dict[str, Any]]:
        """get_positions."""
        held = [(each, self.exchange.instruments[each.symbol]) for each in self.exchange.positions.values()]
        wanted = [(each, made) for each, made in held if currency in ("any", made.settle)]
        return [self.position(each, made) for each, made in wanted if of in (None, markets.kind(made))]

    def position(self, held: HeldPosition, instrument: Instrument) -> dict[str, Any]:
        """One of them; `average_price` stays over a settlement, what is floating does not."""
        mark = self.exchange.quotes[held.symbol].mark
        return {
            "instrument_name": instrument.wire_id,
            "kind": markets.kind(instrument),
            "direction": "buy" if held.quantity > 0 else "sell",
            "size": float(held.quantity),
            "size_currency": float(held.quantity / mark if instrument.inverse else held.quantity),
            "average_price": float(held.entry),
            "mark_price": float(mark),
            "index_price": float(mark),
            "settlement_price": float(self.prices.get(held.symbol, held.entry)),
            "floating_profit_loss": float(self.floating(held)),
            "total_profit_loss": float(self._profit(held, held.entry)),
            "realized_profit_loss": 0.0,
            "realized_funding": 0.0,
            "delta": float(held.quantity),
            "initial_margin": 0.0,
            "maintenance_margin": 0.0,
            "open_orders_margin": 0.0,
            "leverage": 50,
            "interest_value": 0.0,
        }


def log_row(row: LedgerRow, instrument: str | None) -> dict[str, Any]:
    """An entry of the transaction log. What contracts gained shows as `cashflow`, and changes no cash yet."""
    in_session = row.kind in _SESSION
    change = -row.fee if in_session else row.amount
    entry: dict[str, Any] = {
        "id": ROW_ID + row.number,
        "user_seq": row.number,
        "user_id": 7,
        "username": "simulated",
        "currency": row.asset,
        "type": row.kind
        if row.kind == "settlement"
        else _LOG_TYPES.get(row.kind, "trade" if in_session else "transfer"),
        "timestamp": milliseconds(row.wall),
        "change": float(change),
        "cashflow": float(row.amount if in_session else change),
        "balance": float(row.balance),
        "equity": float(row.balance),
        "amount": float(row.amount),
        "commission": float(row.fee),
        "info": {},
    }
    return entry | ({} if instrument is None else {"instrument_name": instrument})


def order_row(exchange: Exchange, order: OpenOrder, state: str | None = None) -> dict[str, Any]:
    """An order, as listings, cancels and notifications have it."""
    draft, instrument = order.draft, exchange.instruments[order.draft.symbol]
    waits = draft.trigger_price is not None
    row: dict[str, Any] = {
        "order_id": order.order_id,
        "instrument_name": instrument.wire_id,
        "direction": draft.side,
        "order_type": order_type(draft),
        "order_state": state or ("untriggered" if waits else "open"),
        "amount": float(draft.quantity),
        "filled_amount": float(order.filled),
        "average_price": 0.0,
        "price": "market_price" if draft.price is None else float(draft.price),
        "label": draft.client_order_id or "",
        "time_in_force": "good_til_cancelled",
        "post_only": False,
        "api": True,
        "web": False,
        "replaced": False,
        "mmp": False,
        "risk_reducing": False,
        "creation_timestamp": milliseconds(order.placed_wall),
        "last_update_timestamp": milliseconds(order.placed_wall),
    }
    if instrument.settle is not None:
        row |= {"reduce_only": draft.reduce_only, "is_liquidation": False}
    if waits:
        row |= {"trigger": "last_price", "trigger_price": float(draft.trigger_price or 0), "triggered": False}
    return row


def trade_row(exchange: Exchange, fill: Fill) -> dict[str, Any]:
    """An execution, as listings and notifications have it."""
    order, (fee, asset) = fill.order, exchange.fee_of(fill)
    instrument = exchange.instruments[order.draft.symbol]
    return {
        "trade_id": f"{instrument.base}-{fill.fill_id}",
        "trade_seq": fill.fill_id,
        "order_id": order.order_id,
        "instrument_name": instrument.wire_id,
        "direction": order.draft.side,
        "order_type": order_type(order.draft),
        "state": "filled" if order.remaining == 0 else "open",
        "amount": float(fill.quantity),
        "price": float(fill.price),
        "timestamp": milliseconds(fill.wall),
        "fee": float(fee),
        "fee_currency": asset,
        "label": order.draft.client_order_id or "",
        "liquidity": "T",
    }


def order_type(draft: OrderDraft) -> str:
    """The venue's word."""
    return _ORDER_TYPES.get(draft.order_type, draft.order_type)


def ticker(exchange: Exchange, instrument: Instrument, wall: float) -> dict[str, Any]:
    """ticker, and what its channel tells."""
    quote = exchange.quotes[instrument.symbol]
    mark = float(quote.mark)
    return {
        "instrument_name": instrument.wire_id,
        "timestamp": milliseconds(wall),
        "state": "open",
        "best_bid_price": float(quote.bid),
        "best_bid_amount": 10.0,
        "best_ask_price": float(quote.ask),
        "best_ask_amount": 10.0,
        "mark_price": mark,
        "index_price": mark,
        "last_price": mark,
        "settlement_price": mark,
        "estimated_delivery_price": mark,
        "min_price": mark / 2,
        "max_price": mark * 2,
        "open_interest": 1000.0,
        "stats": {"high": mark, "low": mark, "volume": 1.0, "volume_usd": 1.0, "price_change": 0.0},
    }
