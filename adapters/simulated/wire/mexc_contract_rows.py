"""Rows of mexc's contract house: the orders of its four books, positions, wallets, tickers.

Numbers are JSON numbers here; ids are strings, but a stop order's.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, HeldPosition, Instrument, OpenOrder, OrderDraft
from adapters.simulated.wire.base import milliseconds
from adapters.simulated.wire.mexc_markets import SETTLE_COINS
from adapters.simulated.wire.mexc_names import (
    CONTRACT_WALLET,
    LEVERAGE,
    book_of,
    position_id,
    positions_of,
    side_number,
)

# What each book says of an order that rests, was cancelled, was executed.
STATES = {
    "limit": {"open": 2, "cancelled": 4, "done": 3},
    "plan": {"open": 1, "cancelled": 2, "done": 3},
    "stop": {"open": 1, "cancelled": 2, "done": 3},
    "track": {"open": 1, "cancelled": 4, "done": 2},
}


def order_row(exchange: Exchange, order: OpenOrder, became: str = "open") -> dict[str, Any]:
    """A row as the book that holds the order writes it. became: open, cancelled or done."""
    book = book_of(order)
    row = {"limit": _limit_row, "plan": _plan_row, "stop": _stop_row, "track": _track_row}[book]
    stamp = milliseconds(order.placed_wall)
    common = {
        "symbol": exchange.instrument(order.draft.symbol).wire_id,
        "vol": float(order.draft.quantity),
        "state": STATES[book][became],
        "createTime": stamp,
        "updateTime": stamp,
    }
    return common | row(exchange, order)


def _limit_row(_: Exchange, order: OpenOrder) -> dict[str, Any]:
    draft = order.draft
    return {
        "orderId": order.order_id,
        "positionId": 0,
        "price": float(draft.price or 0),
        "leverage": LEVERAGE,
        "side": side_number(draft),
        "category": 1,
        "orderType": 1,
        "dealAvgPrice": float(draft.price or 0) if order.filled else 0,
        "dealVol": float(order.filled),
        "orderMargin": 0,
        "usedMargin": 0,
        "takerFee": 0,
        "makerFee": 0,
        "profit": 0,
        "feeCurrency": "USDT",
        "openType": 2,
        "externalOid": draft.client_order_id or f"_m_{order.order_id}",
        "errorCode": 0,
        "positionMode": 1,
        "reduceOnly": draft.reduce_only,
    }


def _plan_row(_: Exchange, order: OpenOrder) -> dict[str, Any]:
    draft = order.draft
    return {
        "id": order.order_id,
        "leverage": LEVERAGE,
        "side": side_number(draft),
        "triggerPrice": float(draft.trigger_price or 0),
        "price": float(draft.price or 0),
        "openType": 2,
        "triggerType": 1 if rises(draft) else 2,
        "executeCycle": 87_600,
        "trend": 1,
        "orderType": 5 if draft.price is None else 1,
        "errorCode": 0,
        "positionMode": 1,
        "reduceOnly": draft.reduce_only,
    }


def _stop_row(exchange: Exchange, order: OpenOrder) -> dict[str, Any]:
    draft = order.draft
    is_long = draft.side == "sell"
    legs = [held for held in positions_of(exchange, draft.symbol) if (held.quantity > 0) is is_long]
    field = "takeProfitPrice" if draft.order_type.startswith("take_profit") else "stopLossPrice"
    return {
        "id": int(order.order_id),
        "orderId": "0",
        "positionId": str(position_id(legs[0])) if legs else "0",
        field: float(draft.trigger_price or draft.price or 0),
        "triggerSide": 0,
        "positionType": 1 if is_long else 2,
        "realityVol": 0,
        "errorCode": 0,
        "isFinished": 0,
        "version": 1,
        "profitLossVolType": "SAME",
        "volType": 1,
        "takeProfitReverse": 2,
        "stopLossReverse": 2,
        "closeTryTimes": 0,
        "reverseTryTimes": 0,
    }


def _track_row(exchange: Exchange, order: OpenOrder) -> dict[str, Any]:
    draft = order.draft
    return {
        "id": order.order_id,
        "leverage": LEVERAGE,
        "side": side_number(draft),
        "openType": 1,
        "trend": 1,
        "activePrice": 0,
        "markPrice": float(exchange.quotes[draft.symbol].mark),
        "backType": 1,
        "backValue": 0.02,
        "triggerPrice": float(draft.trigger_price or draft.price or 0),
        "triggerType": 1,
        "orderId": 0,
        "errorCode": 0,
        "positionMode": 1,
        "reduceOnly": draft.reduce_only,
    }


def rises(draft: OrderDraft) -> bool:
    """A plan order triggers at or above its price: a stop that buys, a take profit that sells."""
    return draft.order_type.startswith("take_profit") is (draft.side == "sell")


# --- positions and wallets -------------------------------------------------------------------------------


def position_row(exchange: Exchange, held: HeldPosition, wall: float) -> dict[str, Any]:
    """One leg: a long and a short of one contract are two rows."""
    margin = float(_margin(exchange, held))
    return {
        "positionId": position_id(held),
        "symbol": exchange.instrument(held.symbol).wire_id,
        "positionType": 1 if held.quantity > 0 else 2,
        "openType": 2,
        "state": 1 if held.quantity else 3,
        "holdVol": float(abs(held.quantity)),
        "frozenVol": 0,
        "closeVol": 0,
        "holdAvgPrice": float(held.entry),
        "holdAvgPriceFullyScale": str(held.entry),
        "openAvgPrice": float(held.entry),
        "openAvgPriceFullyScale": str(held.entry),
        "closeAvgPrice": 0,
        "liquidatePrice": 0,
        "oim": margin,
        "im": margin,
        "holdFee": 0,
        "realised": 0,
        "adlLevel": 1,
        "leverage": LEVERAGE,
        "createTime": milliseconds(held.opened_wall),
        "updateTime": milliseconds(wall),
        "autoAddIm": False,
        "version": 1,
        "profitRatio": 0,
        "newOpenAvgPrice": float(held.entry),
        "newCloseAvgPrice": 0,
        "closeProfitLoss": 0,
        "fee": 0,
        "positionShowStatus": "OPEN",
    }


def asset_rows(exchange: Exchange) -> list[dict[str, Any]]:
    """The contract account: a row of each coin that contracts settle in, and of what else lies there."""
    wallet = exchange.wallets.get(CONTRACT_WALLET, {})
    return [asset_row(exchange, coin) for coin in dict.fromkeys((*SETTLE_COINS, *wallet))]


def asset_row(exchange: Exchange, coin: str) -> dict[str, Any]:
    """Profit that is not realised stands in `equity`, and in nothing else."""
    total = exchange.total(coin, CONTRACT_WALLET)
    legs = [held for held in exchange.positions.values() if exchange.instruments[held.symbol].settle == coin]
    margin = sum((_margin(exchange, held) for held in legs), ZERO)
    profit = sum((_profit(exchange, held) for held in legs), ZERO)
    frozen = sum(_frozen(exchange, coin, exchange.orders.values()), ZERO)
    available = total - margin - frozen
    return {
        "currency": coin,
        "positionMargin": float(margin),
        "availableBalance": float(available),
        "cashBalance": float(available),
        "frozenBalance": float(frozen),
        "equity": float(total + profit),
        "unrealized": float(profit),
        "bonus": 0,
        "availableCash": float(available),
        "availableOpen": float(available),
        "debtAmount": 0,
        "contributeMarginAmount": 0,
        "vcoinId": coin,
    }


def _margin(exchange: Exchange, held: HeldPosition) -> Decimal:
    if held.quantity == 0:
        return ZERO
    return abs(held.quantity) * exchange.instruments[held.symbol].worth(held.entry) / LEVERAGE


def _profit(exchange: Exchange, held: HeldPosition) -> Decimal:
    instrument = exchange.instruments[held.symbol]
    return instrument.profit(held.quantity, held.entry, exchange.quotes[held.symbol].mark)


def _frozen(exchange: Exchange, coin: str, orders: Iterable[OpenOrder]) -> list[Decimal]:
    """Only the limit book holds money."""
    return [
        order.remaining * exchange.instruments[order.draft.symbol].worth(order.draft.price) / LEVERAGE
        for order in orders
        if book_of(order) == "limit" and order.draft.price and not order.draft.reduce_only
        if exchange.instruments[order.draft.symbol].settle == coin
    ]


# --- market ----------------------------------------------------------------------------------------------


def ticker_row(exchange: Exchange, contract: Instrument, wall: float) -> dict[str, Any]:
    """The mark is the fair price."""
    quote = exchange.quotes[contract.symbol]
    last = float(quote.mark)
    return {
        "contractId": 1,
        "symbol": contract.wire_id,
        "lastPrice": last,
        "bid1": float(quote.bid),
        "ask1": float(quote.ask),
        "volume24": 1000,
        "amount24": 1000 * last,
        "holdVol": 1000,
        "lower24Price": last,
        "high24Price": last,
        "riseFallRate": 0,
        "riseFallValue": 0,
        "indexPrice": last,
        "fairPrice": last,
        "fundingRate": 0,
        "maxBidPrice": 2 * last,
        "minAskPrice": last / 2,
        "timestamp": milliseconds(wall),
    }
