"""mexc's spot socket: book tickers in public, account and orders by a listen key. Pushes are protobuf, answers JSON.

There is no snapshot. A subscription that is refused is answered with code 0 as well, and says so in words only; a
listen key that has ended is not told of: the socket stays open and is silent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    ZERO,
    BalanceChanged,
    Fill,
    LedgerRow,
    Notice,
    OpenOrder,
    OrderCancelled,
    OrderFilled,
    OrderOpened,
    PriceChanged,
    Refused,
)
from adapters.simulated.wire.base import milliseconds, text
from adapters.simulated.wire.mexc_frames import ACCOUNT, BOOK_TICKER, DEALS, ORDERS, push
from adapters.simulated.wire.mexc_names import SPOT_WALLET, book_of, is_conditional

ACCOUNT_CHANNEL = "spot@private.account.v3.api.pb"
ORDER_CHANNEL = "spot@private.orders.v3.api.pb"
DEAL_CHANNEL = "spot@private.deals.v3.api.pb"
_TICKER_CHANNEL = "spot@public.aggre.bookTicker.v3.api.pb@"
_SUBSCRIPTIONS = 30
_NEW, _FILLED, _PART_FILLED, _CANCELLED = 1, 2, 3, 4
_LIMIT, _MARKET, _STOP_LIMIT = 1, 5, 100
_REASONS = {
    "deposit": "DEPOSIT",
    "withdrawal": "WITHDRAW",
    "trade": "ENTRUST",
    "transfer": "CONTRACT_TRANSFER",
    "airdrop": "SUGAR",
}


class SpotSession:
    """One connection. is_alive: whether a listen key is still good at a time."""

    def __init__(self, exchange: Exchange, listen_key: str, is_alive: Callable[[str, float], bool]) -> None:
        self.exchange = exchange
        self._listen_key = listen_key
        self._is_alive = is_alive
        self._channels: set[str] = set()
        self._tickers: dict[str, set[str]] = {}

    def opened(self, _: float) -> Sequence[Any]:
        return []

    def idle(self, now: float) -> Sequence[Any]:
        """No market of the venue's own rests for a second."""
        return [self._ticker(name, symbol, now) for symbol, names in self._tickers.items() for name in sorted(names)]

    def received(self, text: str, now: float) -> Sequence[Any]:
        try:
            message = json.loads(text)
            method = str(message["method"]).upper()
        except (ValueError, KeyError, TypeError):
            return [_said("Invalid message")]
        names = [str(name) for name in message.get("params") or []]
        if method == "PING":
            return [_said("PONG")]
        if method == "SUBSCRIPTION":
            return [_said(self._subscribed(names, now))]
        if method == "UNSUBSCRIPTION":
            return [_said(self._unsubscribed(names))]
        return [_said("Unknown method")]

    def _subscribed(self, names: Sequence[str], now: float) -> str:
        taken = [name for name in names if self._subscribe(name, now)]
        refused = [name for name in names if name not in taken]
        if not refused:
            return ",".join(taken)
        return f"Not Subscribed successfully! [{','.join(refused)}]. Reason: Blocked!"

    def _subscribe(self, name: str, now: float) -> bool:
        if len(self._channels) >= _SUBSCRIPTIONS:
            return False
        if name.startswith(_TICKER_CHANNEL):
            try:
                symbol = self.exchange.instrument(name.rpartition("@")[2]).symbol
            except Refused:
                return False
            self._tickers.setdefault(symbol, set()).add(name)
        elif name not in (ACCOUNT_CHANNEL, ORDER_CHANNEL, DEAL_CHANNEL) or not self._is_alive(self._listen_key, now):
            return False
        self._channels.add(name)
        return True

    def _unsubscribed(self, names: Sequence[str]) -> str:
        self._channels -= set(names)
        for channels in self._tickers.values():
            channels -= set(names)
        return ",".join(names)

    # --- pushes ------------------------------------------------------------------------------------------

    def notified(self, notices: Sequence[Notice], now: float) -> Sequence[Any]:
        return [frame for notice in notices for frame in self._push(notice, now)]

    def _push(self, notice: Notice, now: float) -> list[bytes]:
        if isinstance(notice, PriceChanged):
            return [self._ticker(name, notice.symbol, now) for name in sorted(self._tickers.get(notice.symbol, ()))]
        if not self._is_alive(self._listen_key, now):
            return []
        if isinstance(notice, BalanceChanged):
            return self._balances(notice.rows, now)
        if isinstance(notice, OrderOpened):
            return self._order(notice.order, _NEW, now) + self._held(notice.order, "ENTRUST_PLACE", now)
        if isinstance(notice, OrderCancelled):
            order = notice.cancelled.order
            return self._order(order, _CANCELLED, now) + self._held(order, "ENTRUST_CANCEL", now)
        if isinstance(notice, OrderFilled):
            order = notice.fill.order
            told = self._order(order, _PART_FILLED if order.remaining else _FILLED, now)
            return self._deal(notice.fill, now) + told
        return []

    def _ticker(self, channel: str, symbol: str, now: float) -> bytes:
        quote = self.exchange.quotes[symbol]
        body = {1: text(quote.bid), 2: "10", 3: text(quote.ask), 4: "10"}
        return push(BOOK_TICKER, channel, body, milliseconds(now), self.exchange.instruments[symbol].wire_id)

    def _balances(self, rows: Sequence[LedgerRow], now: float) -> list[bytes]:
        if ACCOUNT_CHANNEL not in self._channels:
            return []
        return [
            self._account(row.asset, text(row.amount), "0", _REASONS.get(row.kind, "ENTRUST"), now)
            for row in rows
            if row.wallet == SPOT_WALLET
        ]

    def _held(self, order: OpenOrder, reason: str, now: float) -> list[bytes]:
        """What an order holds has changed, and the free balance with it."""
        if ACCOUNT_CHANNEL not in self._channels or order.kind != "spot_plain":
            return []
        instrument, draft = self.exchange.instruments[order.draft.symbol], order.draft
        asset = instrument.base if draft.side == "sell" else instrument.quote
        held = order.remaining if draft.side == "sell" else order.remaining * (draft.price or ZERO)
        change = held if reason == "ENTRUST_PLACE" else -held
        return [self._account(asset, text(-change), text(change), reason, now)]

    def _account(self, asset: str, change: str, frozen_change: str, reason: str, now: float) -> bytes:
        """One coin: what is free, and what orders hold."""
        held = self.exchange.held().get(asset, ZERO)
        body: Mapping[int, str | int] = {
            1: asset,
            2: f"coin-{asset}",
            3: text(self.exchange.total(asset) - held),
            4: change,
            5: text(held),
            6: frozen_change,
            7: reason,
            8: milliseconds(now),
        }
        return push(ACCOUNT, ACCOUNT_CHANNEL, body, milliseconds(now))

    def _deal(self, fill: Fill, now: float) -> list[bytes]:
        if DEAL_CHANNEL not in self._channels or book_of(fill.order) != "spot":
            return []
        draft, (fee, asset) = fill.order.draft, self.exchange.fee_of(fill)
        body: Mapping[int, str | int | bool | None] = {
            1: text(fill.price),
            2: text(fill.quantity),
            3: text(fill.price * fill.quantity),
            4: 1 if draft.side == "buy" else 2,
            7: deal_id(fill),
            8: draft.client_order_id,
            9: fill.order.order_id,
            10: text(fee),
            11: asset,
            12: milliseconds(fill.wall),
        }
        symbol = self.exchange.instruments[draft.symbol].wire_id
        return [push(DEALS, DEAL_CHANNEL, body, milliseconds(now), symbol)]

    def _order(self, order: OpenOrder, status: int, now: float) -> list[bytes]:
        if ORDER_CHANNEL not in self._channels or book_of(order) != "spot":
            return []
        draft = order.draft
        price = draft.price or draft.trigger_price or ZERO
        waits = is_conditional(draft)
        body: Mapping[int, str | int | bool | None] = {
            1: order.order_id,
            2: draft.client_order_id,
            3: text(price),
            4: text(draft.quantity),
            5: text(draft.quantity * price),
            6: text(price if order.filled else ZERO),
            7: _STOP_LIMIT if waits else _MARKET if draft.order_type == "market" else _LIMIT,
            8: 1 if draft.side == "buy" else 2,
            9: not waits,
            10: text(order.remaining * price),
            11: text(order.remaining),
            13: text(order.filled),
            14: text(order.filled * price),
            15: status,
            16: milliseconds(order.placed_wall),
            19: text(draft.trigger_price) if draft.trigger_price is not None else None,
        }
        symbol = self.exchange.instruments[draft.symbol].wire_id
        return [push(ORDERS, ORDER_CHANNEL, body, milliseconds(now), symbol)]


def deal_id(fill: Fill) -> str:
    """The id of an execution."""
    return f"{fill.fill_id}X1"


def _said(words: str) -> dict[str, Any]:
    """An answer has code 0 whatever it says."""
    return {"id": 0, "code": 0, "msg": words}
