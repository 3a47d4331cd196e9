"""bybit's orders: which listing shows them, which cancel reaches them, and what a cancel answers.

Books of an order (`OrderDraft.book`): on spot the order filters, `Order`, `StopOrder`, `tpslOrder`, `OcoOrder`,
`BidirectionalTpslOrder`; on contracts the stop order types, `Stop`, `TakeProfit`, `StopLoss`, `TrailingStop` and
so on; `spread` is a combination, listed and cancelled apart, `spreadLeg` one of its legs.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import (
    TRIGGER_TYPES,
    ZERO,
    Fill,
    Instrument,
    OpenOrder,
    OrderDraft,
    Refused,
)
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Request, Route, decimal, milliseconds, text
from adapters.simulated.wire.bybit_limits import Limits
from adapters.simulated.wire.bybit_words import MESSAGES, POSITION_INDEX, Outcome, code_of, page, refused

FILTERS = ("Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
_NAMEABLE = ("Order", "StopOrder", "tpslOrder")
_SPREAD = ("spread", "spreadLeg")
_BY_STRATEGY = {"twap": "CreateByTWAP", "chaseOrder": "CreateByChaseOrder", "iceberg": "CreateByIceBerg"}
_BY_BOT = {"grid": "CreateByFGridBot", "martingale": "CreateByMartingaleBot"}
_SPREAD_FIELDS = (
    *("orderId", "orderLinkId", "side", "orderType", "price", "qty", "leavesQty", "cumExecQty", "orderStatus"),
    *("timeInForce", "createdTime", "updatedTime"),
)
_POSITION_SIDES = {str(index): side for side, index in POSITION_INDEX.items()}
_CLOSES_A_LEG = (("sell", "long"), ("buy", "short"))
_BATCH = {"spot": 10}
_AT_ONCE = 500
_WEEK_MS = 7 * 86_400_000


def execution_id(fill: Fill) -> str:
    """The id of an execution."""
    return str(uuid.UUID(int=fill.fill_id))


def _when_executed(fill: Fill) -> tuple[int, str]:
    return milliseconds(fill.wall), f"{fill.fill_id:012}"


class Orders:
    """Lists, places and cancels the orders of an exchange.

    cancel_lag_s: how much later than it is answered a cancel-all of contracts is done.
    """

    def __init__(self, exchange: Exchange, limits: Limits) -> None:
        self.exchange = exchange
        self.cancel_lag_s = 0.005
        self._limits = limits
        self._chance = random.Random(0)

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v5/order/realtime"): Route(Call.OPEN_ORDERS, self._list),
            ("GET", "/v5/execution/list"): Route(Call.FILLS, self._executions),
            ("POST", "/v5/order/create"): Route(Call.PLACE, self._create),
            ("POST", "/v5/order/cancel"): Route(Call.CANCEL, lambda request, form: self.cancel(form, request.wall)),
            ("POST", "/v5/order/cancel-batch"): Route(Call.CANCEL, self._cancel_batch),
            ("POST", "/v5/order/cancel-all"): Route(Call.CANCEL, self._cancel_all),
            ("GET", "/v5/spread/order/realtime"): Route(Call.OPEN_ORDERS, self._list_spreads),
            ("POST", "/v5/spread/order/cancel"): Route(Call.CANCEL, self._cancel_spread),
            ("POST", "/v5/spread/order/cancel-all"): Route(Call.CANCEL, self._cancel_spreads),
        }

    # --- listings --------------------------------------------------------------------------------------

    def _list(self, _: Request, form: dict[str, Any]) -> Any:
        of = markets.wanted_category(form)
        if of == "linear" and not any(form.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
            raise refused(10001, "params error: symbol, baseCoin and settleCoin can't be all empty")
        if of == "spot" and form.get("settleCoin"):
            raise refused(10001, "params error: settleCoin is not supported")
        if (wanted := form.get("orderFilter")) and wanted not in FILTERS:
            raise refused(170201)
        reaches = self._named(of, form)
        found = [
            order
            for order in self.exchange.orders.values()
            if self._category(order) == of and reaches(order) and (not wanted or filter_of(order) == wanted)
        ]
        shown, cursor = page(found, form, _key)
        return {"category": of, "nextPageCursor": cursor, "list": [self.row(order) for order in shown]}

    def _named(self, of: str, form: Mapping[str, Any]) -> Callable[[OpenOrder], bool]:
        """Of what a listing or a cancel names the first counts: an order, a symbol, a base coin, a settle coin."""
        if wanted := form.get("orderId"):
            return lambda order: order.order_id == wanted
        if wanted := form.get("orderLinkId"):
            return lambda order: order.draft.client_order_id == wanted
        if form.get("symbol"):
            symbol = markets.named(self.exchange, of, form["symbol"]).symbol
            return lambda order: order.draft.symbol == symbol
        if coin := form.get("baseCoin"):
            return lambda order: self._instrument(order).base == coin
        if coin := form.get("settleCoin"):
            return lambda order: self._instrument(order).settle == coin
        return lambda _: True

    def _executions(self, _: Request, form: dict[str, Any]) -> Any:
        """Of one category, the newest first; `startTime` alone asks for seven days."""
        of, (start, end) = markets.wanted_category(form), (decimal(form, name) for name in ("startTime", "endTime"))
        last = end if end is not None or start is None else start + _WEEK_MS
        found = [
            fill
            for fill in self.exchange.fills
            if markets.category(self._instrument(fill.order)) == of
            and form.get("symbol") in (None, "", self._instrument(fill.order).wire_id)
            and (start or ZERO) <= milliseconds(fill.wall) <= (last or milliseconds(fill.wall))
        ]
        shown, cursor = page(found, form, _when_executed, rows_unasked=50, most=100)
        return {"category": of, "list": [self.execution(fill) for fill in shown], "nextPageCursor": cursor}

    def execution(self, fill: Fill) -> dict[str, Any]:
        """An execution, as both the listing and the stream have it."""
        order, (fee, asset) = fill.order, self.exchange.fee_of(fill)
        row = self._plain_row(order)
        kept = ("symbol", "orderId", "orderLinkId", "side", "orderType", "leavesQty", "stopOrderType", "blockTradeId")
        return {name: row[name] for name in kept} | {
            "orderPrice": row["price"],
            "orderQty": row["qty"],
            "execFee": text(fee),
            "feeCurrency": asset,
            "execId": execution_id(fill),
            "execPrice": text(fill.price),
            "execQty": text(fill.quantity),
            "execType": "Trade",
            "execValue": text(fill.price * fill.quantity),
            "execTime": str(milliseconds(fill.wall)),
            "isMaker": False,
            "feeRate": text(self.exchange.fee_ratio),
            "seq": fill.fill_id,
        }

    def row(self, order: OpenOrder) -> dict[str, Any]:
        """An order as both the listing and the stream have it."""
        row = self._plain_row(order)
        return row | (self._spot_part(order) if self._instrument(order).settle is None else self._contract_part(order))

    def _plain_row(self, order: OpenOrder) -> dict[str, Any]:
        draft, at = order.draft, str(milliseconds(order.placed_wall))
        worth = (draft.price or ZERO) * order.remaining
        return {
            "symbol": self._instrument(order).wire_id,
            "orderId": order.order_id,
            "orderLinkId": draft.client_order_id or "",
            "blockTradeId": "",
            "side": draft.side.capitalize(),
            "orderType": "Limit" if draft.price is not None else "Market",
            "price": text(draft.price or ZERO),
            "qty": text(draft.quantity),
            "leavesQty": text(order.remaining),
            "leavesValue": text(worth),
            "cumExecQty": text(order.filled),
            "cumExecValue": text((draft.price or ZERO) * order.filled),
            "cumExecFee": "0",
            "cumFeeDetail": {},
            "avgPrice": text(draft.price) if draft.price and order.filled else "",
            "orderStatus": _status(order),
            "timeInForce": "GTC",
            "stopOrderType": stop_type(order),
            "triggerPrice": text(draft.trigger_price) if draft.trigger_price is not None else "",
            "triggerDirection": _direction(draft),
            "triggerBy": "LastPrice" if draft.trigger_price is not None else "",
            "takeProfit": "",
            "stopLoss": "",
            "tpTriggerBy": "",
            "slTriggerBy": "",
            "tpLimitPrice": "",
            "slLimitPrice": "",
            "positionIdx": POSITION_INDEX[draft.position_side],
            "reduceOnly": draft.reduce_only,
            "closeOnTrigger": False,
            "isLeverage": "",
            "orderIv": "",
            "cancelType": "UNKNOWN",
            "rejectReason": "EC_NoError",
            "smpType": "None",
            "smpGroup": 0,
            "smpOrderId": "",
            "placeType": "",
            "createdTime": at,
            "updatedTime": at,
        }

    def _spot_part(self, order: OpenOrder) -> dict[str, Any]:
        """By the lack of `tpslMode` and `createType` clients tell a spot order from one of contracts."""
        last = text(self.exchange.quotes[order.draft.symbol].mark)
        leverage = "1" if order.draft.leveraged else "0"
        return {"isLeverage": leverage, "basePrice": last, "ocoTriggerBy": "", "marketUnit": ""}

    def _contract_part(self, order: OpenOrder) -> dict[str, Any]:
        last = text(self.exchange.quotes[order.draft.symbol].mark)
        return {"tpslMode": "", "createType": self._create_type(order), "lastPriceOnCreated": last}

    def _create_type(self, order: OpenOrder) -> str:
        if order.draft.book in _SPREAD:
            return "CreateByFutureSpread"
        if (bot := self.exchange.bots.get(order.strategy)) is not None:
            return (_BY_STRATEGY | _BY_BOT).get(bot.strategy, "CreateByUser")
        stop = stop_type(order)
        return {"": "CreateByUser", "Stop": "CreateByStopOrder"}.get(stop, f"CreateBy{stop}")

    # --- placing ---------------------------------------------------------------------------------------

    def _create(self, request: Request, form: dict[str, Any]) -> Any:
        return self.create(form, request.wall)

    def create(self, form: Mapping[str, Any], wall: float) -> dict[str, str]:
        """Place an order; attached take profits and trailing stops are not simulated."""
        of = markets.wanted_category(form, "spot", "linear", "inverse")
        instrument = markets.named(self.exchange, of, form.get("symbol"))
        if markets.in_auction(instrument):
            raise refused(110095)
        order, _ = self.exchange.place(self._draft(of, instrument, form), wall)
        return {"orderId": order.order_id, "orderLinkId": order.draft.client_order_id or ""}

    def _draft(self, of: str, instrument: Instrument, form: Mapping[str, Any]) -> OrderDraft:
        side, trigger = str(form.get("side", "")).lower(), decimal(form, "triggerPrice")
        is_limit = form.get("orderType") == "Limit"
        quantity = decimal(form, "qty") or ZERO
        position = self._position_side(instrument, form)
        is_quote = of == "spot" and not is_limit and form.get("marketUnit", _unit(side)) == "quoteCoin"
        if is_quote:
            quantity /= self.exchange.quotes[instrument.symbol].ask
        return OrderDraft(
            instrument.symbol,
            side,
            _order_type(side, is_limit=is_limit, is_trigger=trigger is not None, form=form),
            quantity,
            decimal(form, "price") if is_limit else None,
            trigger,
            form.get("orderLinkId") or None,
            of != "spot" and (str(form.get("reduceOnly", "")).lower() == "true" or (side, position) in _CLOSES_A_LEG),
            leveraged=of == "spot" and str(form.get("isLeverage", "0")) == "1",
            position_side=position,
            book="tpslOrder" if of == "spot" and form.get("orderFilter") == "tpslOrder" else "",
        )

    def _position_side(self, instrument: Instrument, form: Mapping[str, Any]) -> str:
        """A hedged account wants to know which of two positions is meant, another one does not."""
        side = _POSITION_SIDES.get(str(form.get("positionIdx") or "0"), "")
        is_hedged = self.exchange.hedged and markets.category(instrument) == "linear"
        if bool(side) != is_hedged:
            raise refused(10001, "position idx not match position mode")
        return side

    # --- cancels ---------------------------------------------------------------------------------------

    def cancel(self, form: Mapping[str, Any], wall: float) -> dict[str, str]:
        """Cancel one order by its id. On spot it must stand under the filter that is named, `Order` by default."""
        of = markets.wanted_category(form)
        wanted = str(form.get("orderFilter") or "Order")
        if of == "spot" and wanted not in _NAMEABLE:
            raise refused(170201)
        order = self._one(of, form)
        if of == "spot" and filter_of(order) != wanted:
            raise refused(170213)
        if markets.in_auction(self._instrument(order)):
            raise refused(110095)
        if order.draft.book in _SPREAD:
            raise refused(110115)
        self.exchange.cancel(order.order_id, wall)
        return _ids(order)

    def _one(self, of: str, form: Mapping[str, Any]) -> OpenOrder:
        symbol = markets.named(self.exchange, of, form.get("symbol")).symbol
        if not form.get("orderId") and not form.get("orderLinkId"):
            raise refused(10001, "params error: orderId or orderLinkId is required")
        reaches = self._named(of, form)
        for order in self.exchange.orders.values():
            if order.draft.symbol == symbol and reaches(order):
                return order
        raise Refused("unknown_order", "it is not there")

    def _cancel_batch(self, request: Request, form: dict[str, Any]) -> Any:
        """Every row has its code of its own, beside the result; what is over the limit is not done."""
        of = markets.wanted_category(form)
        asked = form.get("request")
        if not isinstance(asked, list) or not 0 < len(asked) <= _BATCH.get(of, 20):
            raise refused(10001, "params error: request size is invalid")
        granted = self._limits.take(request.path, form, len(asked), request.wall)
        codes = [self._code_of_row(of, row, request.wall) for row in asked[:granted]]
        codes += [10006] * (len(asked) - granted)
        rows = [
            {
                "category": of,
                "symbol": row.get("symbol", ""),
                "orderId": row.get("orderId", ""),
                "orderLinkId": row.get("orderLinkId", ""),
            }
            for row in asked
        ]
        told = [{"code": code, "msg": "OK" if code == 0 else MESSAGES.get(code, "")} for code in codes]
        return Outcome({"list": rows}, rows=told)

    def _code_of_row(self, of: str, row: Mapping[str, Any], wall: float) -> int:
        try:
            self.cancel({"symbol": "", **row, "category": of, "orderFilter": "Order"}, wall)
        except Refused as error:
            return code_of(error, is_spot=of == "spot")
        return 0

    def _cancel_all(self, request: Request, form: dict[str, Any]) -> Any:
        of = markets.wanted_category(form)
        if of == "spot":
            gone = self.exchange.cancel_where(self._on_spot(form), request.wall)
        else:
            gone = self.exchange.cancel_later(self._on_contracts(of, form), request.wall, self.cancel_lag_s)
        return {"list": [_ids(order) for order in gone], "success": "1"}

    def _on_spot(self, form: Mapping[str, Any]) -> Callable[[OpenOrder], bool]:
        """One kind of order, of all symbols unless one is named."""
        wanted = form.get("orderFilter") or "Order"
        if wanted not in FILTERS:
            raise refused(170201)
        if form.get("settleCoin"):
            raise refused(10001, "params error: settleCoin is not supported")
        reaches = self._named("spot", {"symbol": form.get("symbol")})
        return lambda order: self._category(order) == "spot" and filter_of(order) == wanted and reaches(order)

    def _on_contracts(self, of: str, form: Mapping[str, Any]) -> Callable[[OpenOrder], bool]:
        """At most 500, picked at random. A base coin is taken for the whole category."""
        names = {name: form.get(name) for name in ("symbol", "baseCoin", "settleCoin")}
        if of != "option" and not any(names.values()):
            raise refused(10001, "params error: symbol, baseCoin and settleCoin can't be all empty")
        if names["baseCoin"] and not names["symbol"]:
            names = {}
        reaches = self._named(of, names)
        found = [
            order.order_id
            for order in self.exchange.orders.values()
            if self._category(order) == of and reaches(order) and self._falls(order, form)
        ]
        picked = frozenset(found if len(found) <= _AT_ONCE else self._chance.sample(found, _AT_ONCE))
        return lambda order: order.order_id in picked

    def _falls(self, order: OpenOrder, form: Mapping[str, Any]) -> bool:
        if markets.in_auction(self._instrument(order)) or order.draft.book in _SPREAD:
            return False
        wanted, stop = form.get("orderFilter"), stop_type(order)
        if wanted == "StopOrder":
            return bool(stop) if form.get("stopOrderType") != "Stop" else stop == "Stop"
        return not wanted or not stop

    # --- spreads ---------------------------------------------------------------------------------------

    def _list_spreads(self, _: Request, form: dict[str, Any]) -> Any:
        found = [order for order in self.exchange.orders.values() if order.draft.book == "spread"]
        shown, cursor = page(found, form, _key)
        return {"nextPageCursor": cursor, "list": [self._spread_row(order) for order in shown]}

    def _spread_row(self, order: OpenOrder) -> dict[str, Any]:
        instrument, row = self._instrument(order), self._plain_row(order)
        combo = {"symbol": f"{instrument.wire_id}_{instrument.base}/{instrument.quote}", "baseCoin": instrument.base}
        return {name: row[name] for name in _SPREAD_FIELDS} | combo

    def _cancel_spread(self, request: Request, form: dict[str, Any]) -> Any:
        order = self.exchange.find(str(form.get("orderId") or form.get("orderLinkId") or ""))
        if order.draft.book != "spread":
            raise refused(110001)
        self.exchange.cancel(order.order_id, request.wall)
        return _ids(order)

    def _cancel_spreads(self, request: Request, form: dict[str, Any]) -> Any:
        if str(form.get("cancelAll", "")).lower() != "true":
            raise refused(10001, "params error: symbol or cancelAll is required")
        gone = self.exchange.cancel_where(lambda order: order.draft.book in _SPREAD, request.wall)
        return {"list": [_ids(order) for order in gone if order.draft.book == "spread"], "success": "1"}

    # --- words -----------------------------------------------------------------------------------------

    def _instrument(self, order: OpenOrder) -> Instrument:
        return self.exchange.instruments[order.draft.symbol]

    def _category(self, order: OpenOrder) -> str:
        """Of the orders that are listed at all: a combination stands in no category."""
        return "spread" if order.draft.book == "spread" else markets.category(self._instrument(order))


def is_trigger(draft: OrderDraft) -> bool:
    """Does it wait for a price?"""
    return draft.order_type in TRIGGER_TYPES


def filter_of(order: OpenOrder) -> str:
    """The order filter that it stands under."""
    if order.draft.book in FILTERS:
        return order.draft.book
    return "StopOrder" if stop_type(order) else "Order"


def stop_type(order: OpenOrder) -> str:
    """What sort of waiting order it is; none if it is a plain one."""
    book = order.draft.book
    if book in (*_SPREAD, "Order") or (not book and not is_trigger(order.draft)):
        return ""
    if book and book != "StopOrder":
        return book
    return "TrailingStop" if order.draft.order_type == "trailing_stop" else "Stop"


def _status(order: OpenOrder) -> str:
    if is_trigger(order.draft):
        return "Untriggered"
    return "PartiallyFilled" if order.filled > 0 else "New"


def _direction(draft: OrderDraft) -> int:
    """1: waits for the price to rise; 2: to fall."""
    if draft.trigger_price is None:
        return 0
    return 1 if (draft.side == "buy") == draft.order_type.startswith("stop_loss") else 2


def _order_type(side: str, *, is_limit: bool, is_trigger: bool, form: Mapping[str, Any]) -> str:
    if not is_trigger:
        return "limit" if is_limit else "market"
    stops = str(form.get("triggerDirection") or "") in ("", "1" if side == "buy" else "2")
    return ("stop_loss" if stops else "take_profit") + ("_limit" if is_limit else "")


def _unit(side: str) -> str:
    """What the size of a market order on spot is counted in, unless it is said."""
    return "quoteCoin" if side == "buy" else "baseCoin"


def _ids(order: OpenOrder) -> dict[str, str]:
    return {"orderId": order.order_id, "orderLinkId": order.draft.client_order_id or ""}


def _key(order: OpenOrder) -> tuple[int, str]:
    return milliseconds(order.placed_wall), order.order_id
