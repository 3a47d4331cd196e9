"""Binance futures' rows: orders of both books, positions, wallets, income, tickers, in the venue's JSON.

The two halves differ by little: a worth is in the quote asset (linear) or in the base asset (inverse), and some names.
Not simulated: liquidation prices, isolated margin, and tiers; margin is a twentieth of a position's worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange, position_key
from adapters.simulated.model import TRIGGER_TYPES, ZERO, Fill, HeldPosition, Instrument, LedgerRow, OpenOrder
from adapters.simulated.wire import binanceusdm_markets as markets
from adapters.simulated.wire.base import milliseconds, text

_LEVERAGE = 20
# The venue's words for order types; those that wait for a price are of the algo book.
WORDS = {
    "limit": "LIMIT",
    "market": "MARKET",
    "stop_loss": "STOP_MARKET",
    "stop_loss_limit": "STOP",
    "take_profit": "TAKE_PROFIT_MARKET",
    "take_profit_limit": "TAKE_PROFIT",
    "trailing_stop": "TRAILING_STOP_MARKET",
}
CONDITIONAL = frozenset(WORDS[name] for name in TRIGGER_TYPES)
_INCOME = {
    "deposit": "TRANSFER",
    "withdrawal": "TRANSFER",
    "transfer": "TRANSFER",
    "sub_transfer": "INTERNAL_TRANSFER",
    "rebate": "COMMISSION_REBATE",
    "airdrop": "CONTEST_REWARD",
    "interest": "BFUSD_REWARD",
    "borrow": "AUTO_EXCHANGE",
    "funding": "FUNDING_FEE",
}
# What a wallet lists even if it never held it.
_USUAL = {markets.UM: ("USDT", "USDC", "BTC", "BNB", "ETH", "BFUSD"), markets.CM: ("BTC", "ETH", "BNB")}


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the futures: USD-M (linear) or COIN-M (inverse). moves: its name in transfers between wallets."""

    kind: str
    prefix: str
    host: str
    stream_host: str
    wallet: str
    moves: str
    listing: markets.Listing


USDM = Half("binanceusdm", "/fapi", "fapi.binance.com", "fstream.binance.com", markets.UM, "UMFUTURE", markets.LINEAR)
COINM = Half(
    "binancecoinm", "/dapi", "dapi.binance.com", "dstream.binance.com", markets.CM, "CMFUTURE", markets.INVERSE
)


# --- orders --------------------------------------------------------------------------------------------


def is_algo(order: OpenOrder) -> bool:
    """Is it in the book of conditional orders?"""
    return order.kind.partition("_")[2] in ("trigger", "algo")


def client_id(order: OpenOrder) -> str:
    """Who gives none gets one."""
    return order.draft.client_order_id or f"simulated_{order.order_id}"


def position_side(order: OpenOrder) -> str:
    """BOTH, or LONG or SHORT of an account that may hold both."""
    return order.draft.position_side.upper() or "BOTH"


def status(order: OpenOrder) -> str:
    """NEW, PARTIALLY_FILLED or FILLED."""
    if order.filled == 0:
        return "NEW"
    return "PARTIALLY_FILLED" if order.remaining > 0 else "FILLED"


def plain_order(exchange: Exchange, order: OpenOrder) -> dict[str, Any]:
    """A row of `openOrders`."""
    draft, instrument = order.draft, exchange.instruments[order.draft.symbol]
    average, cost = _executed(exchange, order, instrument)
    row = {
        "orderId": int(order.order_id),
        "symbol": instrument.wire_id,
        "status": status(order),
        "clientOrderId": client_id(order),
        "price": text(draft.price or ZERO),
        "avgPrice": text(average),
        "origQty": "0" if draft.close_position else text(draft.quantity),
        "executedQty": text(order.filled),
        "cumBase" if instrument.inverse else "cumQuote": text(cost),
        "timeInForce": "GTC",
        "type": WORDS[draft.order_type],
        "reduceOnly": draft.reduce_only,
        "closePosition": draft.close_position,
        "side": draft.side.upper(),
        "positionSide": position_side(order),
        "stopPrice": text(draft.trigger_price or ZERO),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": WORDS[draft.order_type],
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "time": milliseconds(order.placed_wall),
        "updateTime": milliseconds(order.placed_wall),
    }
    return row | ({"pair": f"{instrument.base}{instrument.quote}"} if instrument.inverse else {})


def trade(exchange: Exchange, fill: Fill) -> dict[str, Any]:
    """A row of `userTrades`."""
    order, instrument = fill.order, exchange.instruments[fill.order.draft.symbol]
    fee, asset = exchange.fee_of(fill)
    worth = instrument.worth(fill.price) * fill.quantity
    return {
        "symbol": instrument.wire_id,
        "id": fill.fill_id,
        "orderId": int(order.order_id),
        "side": order.draft.side.upper(),
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "realizedPnl": "0",
        "baseQty" if instrument.inverse else "quoteQty": text(worth, 8),
        "commission": text(fee, 8),
        "commissionAsset": asset,
        "time": milliseconds(fill.wall),
        "positionSide": position_side(order),
        "buyer": order.draft.side == "buy",
        "maker": False,
    }


def cancelled_order(exchange: Exchange, order: OpenOrder, wall: float) -> dict[str, Any]:
    """The answer to a cancel: since July 2026 without the sums in the quote asset."""
    row = plain_order(exchange, order)
    kept = {name: value for name, value in row.items() if name not in ("cumQuote", "avgPrice", "time")}
    return kept | {"status": "CANCELED", "cumQty": row["executedQty"], "updateTime": milliseconds(wall)}


def algo_order(exchange: Exchange, order: OpenOrder) -> dict[str, Any]:
    """A row of `openAlgoOrders`."""
    draft = order.draft
    return {
        "algoId": int(order.order_id),
        "clientAlgoId": client_id(order),
        "algoType": "CONDITIONAL",
        "orderType": WORDS[draft.order_type],
        "symbol": exchange.instruments[draft.symbol].wire_id,
        "side": draft.side.upper(),
        "positionSide": position_side(order),
        "timeInForce": "GTC",
        "quantity": "0" if draft.close_position else text(draft.quantity),
        "algoStatus": "NEW",
        "actualOrderId": "",
        "actualPrice": "0.0",
        "triggerPrice": text(draft.trigger_price or ZERO),
        "price": text(draft.price or ZERO),
        "icebergQuantity": None,
        "tpTriggerPrice": "0.0",
        "tpPrice": "0.0",
        "slTriggerPrice": "0.0",
        "slPrice": "0.0",
        "tpOrderType": "",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": "CONTRACT_PRICE",
        "priceMatch": "NONE",
        "closePosition": draft.close_position,
        "priceProtect": False,
        "reduceOnly": draft.reduce_only,
        "createTime": milliseconds(order.placed_wall),
        "updateTime": milliseconds(order.placed_wall),
        "triggerTime": 0,
        "goodTillDate": 0,
    }


def _executed(exchange: Exchange, order: OpenOrder, instrument: Instrument) -> tuple[Decimal, Decimal]:
    """The average price of what is executed of an order, and what that was worth."""
    fills = [fill for fill in exchange.fills if fill.order.order_id == order.order_id] if order.filled else []
    amount = sum((fill.quantity for fill in fills), ZERO)
    if amount == 0:
        return ZERO, ZERO
    average = sum((fill.quantity * fill.price for fill in fills), ZERO) / amount
    return average, amount * instrument.worth(average)


# --- positions and wallets -----------------------------------------------------------------------------


def held_positions(exchange: Exchange, symbols: Iterable[str]) -> list[HeldPosition]:
    """The positions in some instruments: none is one of nothing, and of a hedged account there are always two."""
    sides = ("long", "short") if exchange.hedged else ("",)
    return [
        exchange.positions.get(position_key(symbol, side)) or HeldPosition(symbol, ZERO, ZERO, 0.0, side)
        for symbol in symbols
        for side in sides
    ]


def profit(exchange: Exchange, held: HeldPosition) -> Decimal:
    """Not realised yet."""
    if held.quantity == 0:
        return ZERO
    return exchange.instruments[held.symbol].profit(held.quantity, held.entry, exchange.quotes[held.symbol].mark)


def notional(exchange: Exchange, held: HeldPosition) -> Decimal:
    """What a position is worth, with its sign, in the asset that it settles in."""
    return held.quantity * exchange.instruments[held.symbol].worth(exchange.quotes[held.symbol].mark)


def position(exchange: Exchange, held: HeldPosition) -> dict[str, Any]:
    """A row of `positionRisk`."""
    instrument, worth = exchange.instruments[held.symbol], notional(exchange, held)
    row = {
        "symbol": instrument.wire_id,
        "positionSide": held.side.upper() or "BOTH",
        "positionAmt": text(held.quantity),
        "entryPrice": text(held.entry),
        "breakEvenPrice": text(held.entry),
        "markPrice": text(exchange.quotes[held.symbol].mark),
        "unRealizedProfit": text(profit(exchange, held), 8),
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "notionalValue" if instrument.inverse else "notional": text(worth, 8),
        "isolatedWallet": "0",
        "updateTime": milliseconds(held.opened_wall),
    }
    if instrument.inverse:
        return row | {"leverage": str(_LEVERAGE), "maxQty": "50000", "marginType": "cross", "isAutoAddMargin": "false"}
    margin = text(abs(worth) / _LEVERAGE, 8)
    return row | {
        "marginAsset": instrument.settle,
        "initialMargin": margin,
        "maintMargin": text(abs(worth) / 250, 8),
        "positionInitialMargin": margin,
        "openOrderInitialMargin": "0",
        "adl": 1,
        "bidNotional": "0",
        "askNotional": "0",
    }


def assets(exchange: Exchange, half: Half, wall: float) -> list[dict[str, Any]]:
    """The rows of a wallet: its balance without unrealised profit, and with it. Never touched: time 0.

    An account whose every asset is margin owes by a balance below zero.
    """
    wallet = exchange.wallets.get(half.wallet, {})
    return [_asset(exchange, half, code, wall) for code in dict.fromkeys((*_USUAL[half.wallet], *wallet))]


def _asset(exchange: Exchange, half: Half, code: str, wall: float) -> dict[str, Any]:
    settled = [held for held in exchange.positions.values() if exchange.instruments[held.symbol].settle == code]
    balance = exchange.total(code, half.wallet) - exchange.owed(code, half.wallet)
    gain = sum((profit(exchange, held) for held in settled), ZERO)
    margin = sum((abs(notional(exchange, held)) for held in settled), ZERO) / _LEVERAGE
    free = text(max(ZERO, balance + gain - margin), 8)
    is_used = code in exchange.wallets.get(half.wallet, {}) or bool(settled)
    return {
        "asset": code,
        "walletBalance": text(balance, 8),
        "unrealizedProfit": text(gain, 8),
        "marginBalance": text(balance + gain, 8),
        "maintMargin": text(margin * _LEVERAGE / 250, 8),
        "initialMargin": text(margin, 8),
        "positionInitialMargin": text(margin, 8),
        "openOrderInitialMargin": "0.00000000",
        "crossWalletBalance": text(balance, 8),
        "crossUnPnl": text(gain, 8),
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "updateTime": milliseconds(wall) if is_used else 0,
    }


# --- income --------------------------------------------------------------------------------------------


def incomes(exchange: Exchange, row: LedgerRow) -> list[dict[str, Any]]:
    """What the income history has for one row. Profit and fee are two rows, whose ids are alike."""
    if row.sizes is None:
        return [_income(exchange, row, _INCOME.get(row.kind, "REALIZED_PNL"), row.amount)]
    rows = [_income(exchange, row, "REALIZED_PNL", row.amount + row.fee)] if row.amount + row.fee else []
    return rows + ([_income(exchange, row, "COMMISSION", -row.fee)] if row.fee else [])


def _income(exchange: Exchange, row: LedgerRow, kind: str, amount: Decimal) -> dict[str, Any]:
    return {
        "symbol": "" if row.symbol is None else exchange.instruments[row.symbol].wire_id,
        "incomeType": kind,
        "income": text(amount, 8),
        "asset": row.asset,
        "info": str(row.ref) if row.sizes is not None else kind,
        "time": milliseconds(row.wall),
        "tranId": 9_689_000_000 + row.ref,
        "tradeId": str(row.ref) if row.sizes is not None else "",
    }


# --- market --------------------------------------------------------------------------------------------


def mark_price(exchange: Exchange, symbol: str, wall: float) -> dict[str, Any]:
    """A row of `premiumIndex`."""
    instrument, mark = exchange.instruments[symbol], text(exchange.quotes[symbol].mark)
    row = {
        "symbol": instrument.wire_id,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": "" if "-" in symbol else "0.00010000",
        "interestRate": "0.00010000",
        "nextFundingTime": 0 if "-" in symbol else (milliseconds(wall) // 28_800_000 + 1) * 28_800_000,
        "time": milliseconds(wall),
    }
    return row | ({"pair": f"{instrument.base}{instrument.quote}"} if instrument.inverse else {})


def book_ticker(exchange: Exchange, symbol: str, wall: float) -> dict[str, Any]:
    """A row of `ticker/bookTicker`."""
    quote = exchange.quotes[symbol]
    return {
        "symbol": exchange.instruments[symbol].wire_id,
        "bidPrice": text(quote.bid),
        "bidQty": "10.000",
        "askPrice": text(quote.ask),
        "askQty": "10.000",
        "time": milliseconds(wall),
        "lastUpdateId": milliseconds(wall),
    }


def day_ticker(exchange: Exchange, symbol: str, wall: float) -> dict[str, Any]:
    """A row of `ticker/24hr`: last prices, neither bid nor ask."""
    last = text(exchange.quotes[symbol].mark)
    return {
        "symbol": exchange.instruments[symbol].wire_id,
        "priceChange": "0",
        "priceChangePercent": "0.000",
        "weightedAvgPrice": last,
        "lastPrice": last,
        "lastQty": "1.000",
        "openPrice": last,
        "highPrice": last,
        "lowPrice": last,
        "volume": "1000.000",
        "quoteVolume": "1000.000",
        "openTime": milliseconds(wall) - 86_400_000,
        "closeTime": milliseconds(wall),
        "firstId": 1,
        "lastId": 1000,
        "count": 1000,
    }
