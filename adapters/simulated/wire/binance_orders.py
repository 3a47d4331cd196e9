"""Orders of Binance spot and margin as they are written and read.

After rest-api.md of binance-spot-api-docs and the margin trading reference. A stop and both legs of an OCO are rows
among all others. Guessed, since the documentation is silent: what waits for the working order of a list
(PENDING_NEW) is not in the list of open orders, only in that of open order lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import TRIGGER_TYPES, ZERO, Fill, OpenOrder, OrderDraft
from adapters.simulated.wire.base import decimal, milliseconds, text
from adapters.simulated.wire.binance_common import missing, refusal, wanted
from adapters.simulated.wire.binance_wallets import SpotAndMargin, is_listed, list_id

TYPES = {
    "LIMIT": "limit",
    "LIMIT_MAKER": "limit",
    "MARKET": "market",
    "STOP_LOSS": "stop_loss",
    "STOP_LOSS_LIMIT": "stop_loss_limit",
    "TAKE_PROFIT": "take_profit",
    "TAKE_PROFIT_LIMIT": "take_profit_limit",
}


def client_id(order: OpenOrder) -> str:
    """The client's id, or the one that the venue makes for an order without."""
    return order.draft.client_order_id or f"sim{order.order_id}"


def wire_type(order: OpenOrder) -> str:
    """A trailing stop is a stop with `trailingDelta`; the limit leg of an OCO never takes."""
    if order.draft.order_type == "trailing_stop":
        return "STOP_LOSS"
    if order.draft.order_type == "limit" and order.draft.book.startswith("oco-"):
        return "LIMIT_MAKER"
    return order.draft.order_type.upper()


def draft_of(exchange: Exchange, form: Mapping[str, Any], *, margin: bool, leg: str = "", book: str = "") -> OrderDraft:
    """The order that a request asks for. leg: the prefix of its parameters, such as `above`. Raises Refused."""

    def name(word: str) -> str:
        return leg + word[0].upper() + word[1:] if leg else word

    instrument = exchange.instrument(wanted(form, "symbol"))
    kind = wanted(form, name("type")).upper()
    if kind not in TYPES:
        raise refusal(-1116, "Invalid orderType.")
    if wanted(form, "side").upper() not in ("BUY", "SELL"):
        raise refusal(-1117, "Invalid side.")
    price, stop = decimal(form, name("price")), decimal(form, name("stopPrice"))
    if price is None and TYPES[kind].endswith("limit"):
        raise missing(name("price"))
    if stop is None and TYPES[kind] in TRIGGER_TYPES:
        stop = exchange.quotes[instrument.symbol].mark if form.get(name("trailingDelta")) else None
    if stop is None and TYPES[kind] in TRIGGER_TYPES:
        raise missing(name("stopPrice"))
    quantity, worth = decimal(form, "quantity"), decimal(form, "quoteOrderQty")
    if quantity is None and worth is None:
        raise missing("quantity")
    amount = quantity if quantity is not None else (worth or ZERO) / exchange.quotes[instrument.symbol].ask
    own = form.get(name("clientOrderId") if leg else "newClientOrderId")
    return OrderDraft(
        instrument.symbol,
        str(form["side"]).lower(),
        TYPES[kind],
        round(amount, 8),
        price,
        stop,
        str(own) if own else None,
        leveraged=margin,
        isolated=margin and is_isolated(form),
        book=book,
    )


def is_isolated(form: Mapping[str, Any]) -> bool:
    """`TRUE` by the documentation; `true` is sent by ccxt and is taken as well."""
    return str(form.get("isIsolated", "")).lower() == "true"


# --- rows ----------------------------------------------------------------------------------------------


def _head(exchange: Exchange, order: OpenOrder) -> dict[str, Any]:
    draft = order.draft
    row = {
        "symbol": exchange.instruments[draft.symbol].wire_id,
        "orderId": int(order.order_id),
        "orderListId": list_id(order),
        "clientOrderId": client_id(order),
        "price": text(draft.price or ZERO, 8),
        "origQty": text(draft.quantity, 8),
        "executedQty": text(order.filled, 8),
        "cummulativeQuoteQty": text(order.filled * (draft.price or exchange.quotes[draft.symbol].mark), 8),
        "timeInForce": "GTC",
        "type": wire_type(order),
        "side": draft.side.upper(),
        "stopPrice": text(draft.trigger_price or ZERO, 8),
        "selfTradePreventionMode": "NONE",
    }
    return row | ({"isIsolated": draft.isolated} if draft.leveraged else {})


def status(exchange: SpotAndMargin, order: OpenOrder) -> str:
    """Of an order that rests."""
    if order.filled > 0:
        return "PARTIALLY_FILLED"
    return "PENDING_NEW" if exchange.is_pending(order) else "NEW"


def open_row(exchange: SpotAndMargin, order: OpenOrder) -> dict[str, Any]:
    """A row of `openOrders`. One of margin does not tell its list."""
    placed = milliseconds(order.placed_wall)
    row = _head(exchange, order) | {
        "status": status(exchange, order),
        "icebergQty": "0.00000000",
        "time": placed,
        "updateTime": placed,
        "isWorking": order.draft.order_type not in TRIGGER_TYPES,
        "workingTime": -1 if order.draft.order_type in TRIGGER_TYPES else placed,
        "origQuoteOrderQty": "0.00000000",
    }
    if order.draft.leveraged:
        del row["orderListId"]
    return row


def placed_row(exchange: SpotAndMargin, order: OpenOrder, fill: Fill | None, wall: float) -> dict[str, Any]:
    """The full answer to a new order."""
    row = _head(exchange, order) | {"transactTime": milliseconds(wall), "workingTime": milliseconds(wall)}
    if fill is None:
        return row | {"status": status(exchange, order), "fills": []}
    trade = {
        "price": text(fill.price, 8),
        "qty": text(fill.quantity, 8),
        "commission": text(fill.quantity * fill.price * exchange.fee_ratio, 8),
        "commissionAsset": exchange.instruments[order.draft.symbol].quote,
        "tradeId": fill.fill_id,
    }
    worth = text(fill.quantity * fill.price, 8)
    return row | {"status": "FILLED", "cummulativeQuoteQty": worth, "fills": [trade]}


def cancelled_row(exchange: SpotAndMargin, order: OpenOrder, cancel_id: str, wall: float) -> dict[str, Any]:
    """The answer to a cancel: the old client id moves to `origClientOrderId`. That of margin has no time."""
    row = _head(exchange, order) | {
        "origClientOrderId": client_id(order),
        "clientOrderId": cancel_id,
        "status": "CANCELED",
    }
    return row if order.draft.leveraged else row | {"transactTime": milliseconds(wall)}


def order_list(exchange: SpotAndMargin, legs: list[OpenOrder], wall: float, *, is_done: bool = False) -> dict[str, Any]:
    """An order list without the reports of its orders."""
    first = legs[0]
    name = exchange.instruments[first.draft.symbol].wire_id
    row = {
        "orderListId": list_id(first),
        "contingencyType": first.draft.book.partition("-")[0].upper(),
        "listStatusType": "ALL_DONE" if is_done else "EXEC_STARTED",
        "listOrderStatus": "ALL_DONE" if is_done else "EXECUTING",
        "listClientOrderId": f"list{list_id(first)}",
        "transactionTime": milliseconds(wall if is_done else first.placed_wall),
        "symbol": name,
        "orders": [
            {"symbol": name, "orderId": int(leg.order_id), "clientOrderId": client_id(leg)}
            for leg in sorted(legs, key=lambda leg: int(leg.order_id))
        ],
    }
    return row | ({"isIsolated": first.draft.isolated} if first.draft.leveraged else {})


def lists_of(orders: Iterable[OpenOrder]) -> list[list[OpenOrder]]:
    """The legs of each list among these orders."""
    books: dict[str, list[OpenOrder]] = {}
    for order in filter(is_listed, orders):
        books.setdefault(order.draft.book, []).append(order)
    return list(books.values())


def trades(exchange: Exchange, wallet: str, symbol: str, margin: bool) -> list[dict[str, Any]]:
    """Rows of `myTrades` of a pair, the eldest first: one for each trade of the book, from its first leg."""
    pair, found = exchange.instruments[symbol], dict[int, dict[str, Any]]()
    fills = {(fill.wall, fill.price): fill for fill in exchange.fills if fill.order.draft.symbol == symbol}
    for leg in exchange.ledger:
        if leg.kind != "trade" or leg.symbol != symbol or leg.wallet != wallet or leg.price is None:
            continue
        gross = leg.amount + leg.fee
        quantity = abs(gross) if leg.asset == pair.base else abs(gross) / leg.price
        fill = fills.get((leg.wall, leg.price))
        ids = (leg.ref, leg.ref) if fill is None else (fill.fill_id, int(fill.order.order_id))
        row = found.setdefault(
            leg.ref,
            {
                "symbol": pair.wire_id,
                "id": ids[0],
                "orderId": ids[1],
                "orderListId": -1,
                "price": text(leg.price, 8),
                "qty": text(quantity, 8),
                "quoteQty": text(quantity * leg.price, 8),
                "commission": text(ZERO, 8),
                "commissionAsset": pair.quote,
                "time": milliseconds(leg.wall),
                "isBuyer": (gross > 0) == (leg.asset == pair.base),
                "isMaker": False,
                "isBestMatch": True,
            },
        )
        if leg.asset == pair.quote:
            row["commission"] = text(leg.fee, 8)
        if margin:
            row["isIsolated"] = wallet != "cross"
    return list(found.values())
