"""okx's books: which of them an order lies in, and how a row of each is written.

One book of plain orders, eight of algo orders, one of spread orders, and those of trading bots, which no listing of
orders shows. What the account knows of an order but the exchange does not (its tag, its attached orders) is in `Sent`,
as it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Bot, Fill, Instrument, OpenOrder, OrderDraft
from adapters.simulated.wire.base import milliseconds, text
from adapters.simulated.wire.okx_markets import LEVERAGE, inst_type
from adapters.simulated.wire.okx_words import blank

PLAIN, SPREAD = "plain", "spread"
ALGOS = ("conditional", "oco", "trigger", "move_order_stop", "iceberg", "smart_iceberg", "twap", "chase")
# Those that `algo-advance` shows, and that may need a cancel of their own.
ADVANCED = frozenset({"move_order_stop", "iceberg", "smart_iceberg", "twap"})
# Strategies that are no rows of the algo list: each kind has listings of its own.
TRADING_BOTS = frozenset({"grid", "contract_grid", "moon_grid", "spot_dca", "contract_dca", "recurring", "signal"})

_FIRST_ORDER_ID = 312_269_865_356_374_016

Sent = Mapping[str, Any]
"""What a client sent of an order."""

_EMPTY_PLAIN = """
algoClOrdId avgPx cancelSource cancelSourceReason category ccy fillPx fillTime lastPx linkedAlgoOrd pnl pxType pxUsd
pxVol quickMgnType rebate rebateCcy slOrdPx slTriggerPx slTriggerPxType stpId stpMode tag tgtCcy tpOrdPx tpTriggerPx
tpTriggerPxType tradeId
"""
_EMPTY_ALGO = """
activePx actualPx actualSide actualSz algoClOrdId amendPxOnTriggerType callbackRatio callbackSpread ccy chaseType
chaseVal clOrdId closeFraction failCode last maxChaseType maxChaseVal moveTriggerPx ordId ordPx pxLimit pxSpread
pxVar quickMgnType slOrdPx slTriggerPx slTriggerPxType szLimit tag tgtCcy timeInterval tpOrdPx tpTriggerPx
tpTriggerPxType triggerPx triggerPxType triggerTime
"""
_NOT_ECHOED = frozenset({"clOrdId", "ordId"})


def order_id(number: int) -> str:
    """The id of the n-th order: later ones are higher."""
    return str(_FIRST_ORDER_ID + number)


def book_of(draft: OrderDraft) -> str:
    """The book of an order: its own, or what its type says."""
    if draft.book:
        return draft.book
    if draft.trigger_price is None:
        return PLAIN
    return "move_order_stop" if draft.order_type == "trailing_stop" else "conditional"


def is_hidden(exchange: Exchange, order: OpenOrder) -> bool:
    """Whether a trading bot placed it: what it places is shown by the bot's own `sub-orders` alone."""
    bot = exchange.bots.get(order.strategy)
    return bot is not None and bot.strategy in TRADING_BOTS


def kind_of(instrument: Instrument, draft: OrderDraft) -> str:
    """The `instType` of an order: a leveraged one on a spot pair is MARGIN."""
    return "MARGIN" if draft.leveraged and instrument.settle is None else inst_type(instrument)


def plain_row(exchange: Exchange, order: OpenOrder, sent: Sent, *, state: str = "") -> dict[str, Any]:
    """A row of `orders-pending`, and of the channel `orders`."""
    draft = order.draft
    row = _common(exchange, draft, order.placed_wall) | {
        "ordId": order.order_id,
        "clOrdId": draft.client_order_id or "",
        "algoId": order.strategy,
        "source": "13" if order.strategy else "",
        "px": text(draft.price) if draft.price is not None else "",
        "sz": text(draft.quantity),
        "ordType": sent.get("ordType", draft.order_type),
        "accFillSz": text(order.filled),
        "fillSz": "0",
        "state": state or ("partially_filled" if order.filled else "live"),
        "fee": "0",
        "feeCcy": exchange.instruments[draft.symbol].quote,
        "isTpLimit": "false",
        "attachAlgoOrds": list(sent.get("attachAlgoOrds", ())),
    }
    return blank(_EMPTY_PLAIN) | _echo(sent, _EMPTY_PLAIN) | row


def fill_row(exchange: Exchange, fill: Fill) -> dict[str, Any]:
    """A row of `trade/fills-history`. What is paid stands below zero."""
    draft, stamp = fill.order.draft, _stamp(fill.wall)
    fee, asset = exchange.fee_of(fill)
    return {
        "instType": kind_of(exchange.instruments[draft.symbol], draft),
        "instId": exchange.instruments[draft.symbol].wire_id,
        "tradeId": str(fill.fill_id),
        "ordId": fill.order.order_id,
        "clOrdId": draft.client_order_id or "",
        "billId": str(_FIRST_ORDER_ID + fill.fill_id),
        "tag": "",
        "subType": "1" if draft.side == "buy" else "2",
        "fillPx": text(fill.price),
        "fillSz": text(fill.quantity),
        "side": draft.side,
        "posSide": draft.position_side or "net",
        "execType": "T",
        "feeCcy": asset,
        "fee": text(-fee),
        "fillTime": stamp,
        "ts": stamp,
    }


def spread_row(exchange: Exchange, order: OpenOrder) -> dict[str, Any]:
    """A row of `sprd/orders-pending`: the spread of a pair and this instrument."""
    instrument = exchange.instruments[order.draft.symbol]
    return {
        "sprdId": f"{instrument.base}-{instrument.quote}_{instrument.wire_id}",
        "ordId": order.order_id,
        "clOrdId": order.draft.client_order_id or "",
        "tag": "",
        "px": text(order.draft.price or Decimal(0)),
        "sz": text(order.draft.quantity),
        "ordType": "limit",
        "side": order.draft.side,
        "fillSz": "0",
        "fillPx": "",
        "tradeId": "",
        "accFillSz": text(order.filled),
        "pendingFillSz": "0",
        "pendingSettleSz": "0",
        "canceledSz": "0",
        "avgPx": "0",
        "state": "live",
        "cancelSource": "",
        "uTime": _stamp(order.placed_wall),
        "cTime": _stamp(order.placed_wall),
    }


def algo_row(exchange: Exchange, order: OpenOrder, sent: Sent, *, state: str = "live") -> dict[str, Any]:
    """A row of `orders-algo-pending`, and of the channels `orders-algo` and `algo-advance`."""
    draft, book = order.draft, book_of(order.draft)
    price = text(draft.price) if draft.price is not None else "-1"
    trigger = text(draft.trigger_price) if draft.trigger_price is not None else ""
    names = {"trigger": ("triggerPx", "ordPx"), "move_order_stop": ("moveTriggerPx", "ordPx")}
    names["conditional"] = ("tpTriggerPx", "tpOrdPx")
    if not draft.order_type.startswith("take_profit"):
        names["conditional"] = names["oco"] = ("slTriggerPx", "slOrdPx")
    first, second = names.get(book, ("triggerPx", "pxLimit"))
    row = _common(exchange, draft, order.placed_wall) | {
        "algoId": order.order_id,
        "algoClOrdId": draft.client_order_id or "",
        "ordType": book,
        "sz": text(draft.quantity),
        "state": state,
    }
    return _empty_algo() | {first: trigger, second: price} | _echo(sent, _EMPTY_ALGO) | row


def strategy_row(exchange: Exchange, bot: Bot, *, state: str = "live") -> dict[str, Any]:
    """The row in `orders-algo-pending` of an algo that places orders again and again until it is stopped."""
    draft = bot.draft
    row = _common(exchange, draft, bot.began_wall) | {
        "algoId": bot.bot_id,
        "ordType": bot.strategy,
        "sz": text(draft.quantity),
        "szLimit": text(draft.quantity),
        "pxLimit": text(draft.price) if draft.price is not None else "",
        "timeInterval": f"{bot.every_s:g}",
        "state": state,
    }
    return _empty_algo() | row


def bot_row(exchange: Exchange, bot: Bot) -> dict[str, Any]:
    """A row of a trading bot's own listing. Fields differ from kind to kind; these are what all have, and a grid's."""
    instrument = exchange.instruments[bot.draft.symbol]
    active = sum(order.strategy == bot.bot_id for order in exchange.orders.values())
    # What these two trade is a list.
    traded: dict[str, Any] = {"instId": instrument.wire_id}
    if bot.strategy == "recurring":
        traded = {"recurringList": [{"ccy": instrument.base, "ratio": "1"}]}
    if bot.strategy == "signal":
        traded = {"instIds": [instrument.wire_id]}
    return {
        "algoId": bot.bot_id,
        "algoClOrdId": "",
        "algoOrdType": "contract" if bot.strategy == "signal" else bot.strategy,
        "instType": inst_type(instrument),
        **traded,
        "state": "running",
        "cTime": _stamp(bot.began_wall),
        "uTime": _stamp(bot.began_wall),
        "gridNum": "10",
        "runType": "1",
        "investment": text(invested(exchange, bot)),
        "activeOrdNum": str(active),
        "totalPnl": "0",
        "stopType": "",
        "cancelType": "0",
        "tag": "",
    }


def invested(exchange: Exchange, bot: Bot) -> Decimal:
    """What was given to a bot, in the coin that it quotes or settles in: it lies apart from the cash."""
    instrument, draft = exchange.instruments[bot.draft.symbol], bot.draft
    return draft.quantity * instrument.worth(draft.price or exchange.quotes[draft.symbol].mark)


def _common(exchange: Exchange, draft: OrderDraft, placed_wall: float) -> dict[str, Any]:
    instrument = exchange.instruments[draft.symbol]
    is_cash = instrument.settle is None and not draft.leveraged
    return {
        "instType": kind_of(instrument, draft),
        "instId": instrument.wire_id,
        "side": draft.side,
        "posSide": draft.position_side or "net",
        "tdMode": "cash" if is_cash else "isolated" if draft.isolated else "cross",
        "lever": "" if is_cash else str(LEVERAGE),
        "reduceOnly": "true" if draft.reduce_only else "false",
        "cTime": _stamp(placed_wall),
        "uTime": _stamp(placed_wall),
    }


def _empty_algo() -> dict[str, Any]:
    return blank(_EMPTY_ALGO) | {"ordIdList": [], "linkedOrd": {"ordId": ""}, "attachAlgoOrds": []}


def _echo(sent: Sent, names: str) -> dict[str, str]:
    wanted = frozenset(names.split()) - _NOT_ECHOED
    return {name: str(value) for name, value in sent.items() if name in wanted and value is not None}


def _stamp(wall: float) -> str:
    return str(milliseconds(wall))
