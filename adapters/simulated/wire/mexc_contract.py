"""mexc's contract house, API v1: four books of orders, positions, wallets, tickers.

A limit order rests in the limit book, one that waits for a price in the plan book, one that belongs to a position in
the stop book, one that trails in the track book. No listing shows two, and no cancel reaches two. The plan list and
the stop list show the last seven days unless they are asked for others; the list of open stops and the count show all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, Instrument, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import mexc_markets as markets
from adapters.simulated.wire.base import Key, Request, Route, decimal, milliseconds
from adapters.simulated.wire.mexc_contract_rows import (
    STATES,
    asset_row,
    asset_rows,
    order_row,
    position_row,
    ticker_row,
)
from adapters.simulated.wire.mexc_flows import DAY_MS
from adapters.simulated.wire.mexc_names import book_of, leg_meant, position_id, side_meant
from adapters.simulated.wire.mexc_rules import no

_USUAL_DAYS, _LONGEST_DAYS = 7, 90
_PAGE, _LONGEST_PAGE = 20, 100
_CANCELS = 50
_MARKET_TYPES = (5, 6)
_TRACK_DISTANCE = Decimal("0.02")


class Contract:
    """Answers the contract house's calls."""

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key

    def routes(self) -> dict[tuple[str, str], Route]:
        private: dict[tuple[str, str], tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            ("GET", "account/assets"): (Call.BALANCES, lambda _, __: asset_rows(self.exchange)),
            ("GET", "account/asset/*"): (Call.BALANCES, self._asset),
            ("GET", "position/open_positions"): (Call.POSITIONS, self._positions),
            ("GET", "position/position_mode"): (Call.OTHER, lambda _, __: 1),
            ("GET", "order/list/open_orders"): (Call.OPEN_ORDERS, self._limit_orders),
            ("GET", "order/list/open_orders/*"): (Call.OPEN_ORDERS, self._limit_orders_of),
            ("GET", "planorder/list/orders"): (Call.OPEN_ORDERS, self._plan_orders),
            ("GET", "stoporder/list/orders"): (Call.OPEN_ORDERS, self._stop_orders),
            ("GET", "stoporder/open_orders"): (Call.OPEN_ORDERS, self._open_stops),
            ("GET", "trackorder/list/orders"): (Call.OPEN_ORDERS, self._track_orders),
            ("GET", "order/open_order_total_count"): (Call.OPEN_ORDERS, self._count),
            ("GET", "order/get/*"): (Call.OTHER, self._order),
            ("POST", "order/create"): (Call.PLACE, self._place),
            ("POST", "order/submit"): (Call.PLACE, self._place),
            ("POST", "planorder/place"): (Call.PLACE, self._place_plan),
            ("POST", "stoporder/place"): (Call.PLACE, self._place_stop),
            ("POST", "trackorder/place"): (Call.PLACE, self._place_track),
            ("POST", "order/cancel"): (Call.CANCEL, self._cancel_limits),
            ("POST", "order/cancel_all"): (Call.CANCEL, self._cancel_all_limits),
            ("POST", "planorder/cancel"): (Call.CANCEL, self._cancel_plans),
            ("POST", "planorder/cancel_all"): (Call.CANCEL, self._cancel_all_plans),
            ("POST", "stoporder/cancel"): (Call.CANCEL, self._cancel_stops),
            ("POST", "stoporder/cancel_all"): (Call.CANCEL, self._cancel_all_stops),
            ("POST", "trackorder/cancel"): (Call.CANCEL, self._cancel_track),
        }
        public: dict[str, tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            "ping": (Call.OTHER, lambda request, _: milliseconds(request.wall)),
            "detail": (Call.MARKETS, lambda _, __: markets.detail(self.exchange.listed())),
            "ticker": (Call.PRICES, self._tickers),
            "fair_price/*": (Call.PRICES, self._fair_price),
            "index_price/*": (Call.PRICES, self._index_price),
        }
        routes = {(method, f"/api/v1/private/{name}"): Route(*row) for (method, name), row in private.items()}
        return routes | {("GET", f"/api/v1/contract/{name}"): Route(*row, False) for name, row in public.items()}

    # --- account -----------------------------------------------------------------------------------------

    def _asset(self, request: Request, _: dict[str, Any]) -> Any:
        return asset_row(self.exchange, _last(request))

    def _positions(self, request: Request, form: dict[str, Any]) -> Any:
        rows = [position_row(self.exchange, held, request.wall) for held in self.exchange.positions.values()]
        return [row for row in rows if form.get("symbol") in (None, "", row["symbol"])]

    # --- listings ----------------------------------------------------------------------------------------

    def _book(self, *books: str) -> list[OpenOrder]:
        """What rests in these books, newest first."""
        found = [order for order in self.exchange.orders.values() if book_of(order) in books]
        return sorted(found, key=lambda order: (order.placed_wall, order.order_id), reverse=True)

    def _rows(self, book: str) -> list[dict[str, Any]]:
        return [order_row(self.exchange, order) for order in self._book(book)]

    def _limit_orders(self, _: Request, form: dict[str, Any]) -> Any:
        rows = _matching(self._rows("limit"), form)
        return _page(rows, form)

    def _limit_orders_of(self, request: Request, form: dict[str, Any]) -> Any:
        return self._limit_orders(request, form | {"symbol": _last(request)})

    def _plan_orders(self, request: Request, form: dict[str, Any]) -> Any:
        """Those that wait, and those that were cancelled, unless `states` says which."""
        wanted = _numbers(form.get("states"))
        rows = self._rows("plan") + self._cancelled("plan")
        found = [row for row in _matching(rows, form) if not wanted or row["state"] in wanted]
        return _page(_recent(found, request, form), form)

    def _stop_orders(self, request: Request, form: dict[str, Any]) -> Any:
        rows = self._rows("stop") + [row | {"isFinished": 1} for row in self._cancelled("stop")]
        found = [row for row in _matching(rows, form) if form.get("is_finished") in (None, "", str(row["isFinished"]))]
        return _page(_recent(found, request, form), form)

    def _open_stops(self, _: Request, form: dict[str, Any]) -> Any:
        return _matching(self._rows("stop"), form)

    def _track_orders(self, request: Request, form: dict[str, Any]) -> Any:
        wanted = _numbers(form.get("states"))
        if not wanted:
            raise no(600, "Parameter error! states is required")
        rows = self._rows("track") + self._cancelled("track")
        found = [row for row in _matching(rows, form) if row["state"] in wanted]
        start, end = decimal(form, "start_time"), decimal(form, "end_time")
        found = [row for row in found if (start or 0) <= row["createTime"] <= (end or milliseconds(request.wall))]
        return _page(found, form, "pageIndex", "pageSize")

    def _cancelled(self, book: str) -> list[dict[str, Any]]:
        gone = [each for each in self.exchange.cancelled if book_of(each.order) == book]
        return [
            order_row(self.exchange, each.order, "cancelled") | {"updateTime": milliseconds(each.wall)}
            for each in reversed(gone)
        ]

    def _count(self, _: Request, __: dict[str, Any]) -> Any:
        """Of every book, however old."""
        counts = {f"{book}OrderCount": len(self._book(book)) for book in STATES}
        return {"sumCount": sum(counts.values()), **counts}

    def _order(self, request: Request, _: dict[str, Any]) -> Any:
        name = _last(request)
        order = self.exchange.orders.get(name)
        if order is not None:
            return order_row(self.exchange, order)
        gone = next((each.order for each in self.exchange.cancelled if each.order.order_id == name), None)
        if gone is None:
            raise Refused("unknown_order", "no such order")
        return order_row(self.exchange, gone, "cancelled")

    # --- placing -----------------------------------------------------------------------------------------

    def _open_contract(self, form: Mapping[str, Any]) -> Instrument:
        contract = self.exchange.instrument(str(form.get("symbol", "")))
        if contract.symbol in self.exchange.delisted or not markets.is_open_to_api(contract.symbol):
            raise no(1002, "Contract not allow place order!")
        return contract

    def _leg(self, form: Mapping[str, Any]) -> str:
        return leg_meant(int(decimal(form, "side") or 0)) if self.exchange.hedged else ""

    def _place(self, request: Request, form: dict[str, Any]) -> Any:
        order, _ = self.exchange.place(self._limit_draft(form), request.wall)
        return {"orderId": order.order_id, "ts": milliseconds(request.wall)}

    def _limit_draft(self, form: Mapping[str, Any]) -> OrderDraft:
        contract, (side, reduces) = self._open_contract(form), _side(form)
        is_market = decimal(form, "type") in _MARKET_TYPES
        return OrderDraft(
            contract.symbol,
            side,
            "market" if is_market else "limit",
            decimal(form, "vol") or ZERO,
            None if is_market else decimal(form, "price"),
            client_order_id=form.get("externalOid"),
            reduce_only=reduces or form.get("reduceOnly") is True,
            position_side=self._leg(form),
        )

    def _place_plan(self, request: Request, form: dict[str, Any]) -> Any:
        contract, (side, reduces) = self._open_contract(form), _side(form)
        word = "stop_loss" if (side == "buy") is (decimal(form, "triggerType") == 1) else "take_profit"
        is_market = decimal(form, "orderType") in _MARKET_TYPES
        draft = OrderDraft(
            contract.symbol,
            side,
            word if is_market else f"{word}_limit",
            decimal(form, "vol") or ZERO,
            None if is_market else decimal(form, "price"),
            decimal(form, "triggerPrice"),
            reduce_only=reduces,
            position_side=self._leg(form),
            book="plan",
        )
        return self.exchange.place(draft, request.wall, checked=False)[0].order_id

    def _place_stop(self, request: Request, form: dict[str, Any]) -> Any:
        wanted = str(form.get("positionId"))
        held = next((each for each in self.exchange.positions.values() if str(position_id(each)) == wanted), None)
        if held is None:
            raise Refused("would_not_reduce", "no such position")
        loss = decimal(form, "stopLossPrice")
        draft = OrderDraft(
            held.symbol,
            "sell" if held.quantity > 0 else "buy",
            "take_profit" if loss is None else "stop_loss",
            decimal(form, "vol") or abs(held.quantity),
            trigger_price=loss or decimal(form, "takeProfitPrice"),
            reduce_only=True,
            position_side=held.side,
            book="stop",
        )
        return int(self.exchange.place(draft, request.wall, checked=False)[0].order_id)

    def _place_track(self, request: Request, form: dict[str, Any]) -> Any:
        contract, (side, reduces) = self._open_contract(form), _side(form)
        mark = self.exchange.quotes[contract.symbol].mark
        distance = mark * _TRACK_DISTANCE
        draft = OrderDraft(
            contract.symbol,
            side,
            "trailing_stop",
            decimal(form, "vol") or ZERO,
            trigger_price=mark + distance if side == "buy" else mark - distance,
            reduce_only=reduces,
            position_side=self._leg(form),
            book="track",
        )
        return self.exchange.place(draft, request.wall, checked=False)[0].order_id

    # --- cancelling --------------------------------------------------------------------------------------

    def _cancel_limits(self, request: Request, form: dict[str, Any]) -> Any:
        """The outer answer is a success, whatever the rows say."""
        return [self._cancel_limit(str(name), request.wall) for name in _cancels(form)]

    def _cancel_limit(self, name: str, wall: float) -> dict[str, Any]:
        order = self.exchange.orders.get(name)
        if order is not None and book_of(order) == "limit":
            self.exchange.cancel(name, wall)
            return {"orderId": name, "errorCode": 0, "errorMsg": "success"}
        if any(each.order.order_id == name for each in self.exchange.cancelled):
            return {"orderId": name, "errorCode": 2041, "errorMsg": "order state cannot be cancelled"}
        return {"orderId": name, "errorCode": 2040, "errorMsg": "order not exist"}

    def _cancel_all_limits(self, request: Request, form: dict[str, Any]) -> Any:
        """`symbol` "" is every contract; the documentation wants it there."""
        if "symbol" not in form:
            raise no(600, "Parameter error!")
        self._sweep("limit", form, request)

    def _cancel_all_plans(self, request: Request, form: dict[str, Any]) -> Any:
        self._sweep("plan", form, request)

    def _cancel_all_stops(self, request: Request, form: dict[str, Any]) -> Any:
        self._sweep("stop", form, request)

    def _sweep(self, book: str, form: Mapping[str, Any], request: Request) -> None:
        symbol = self.exchange.instrument(str(form["symbol"])).symbol if form.get("symbol") else None
        self.exchange.cancel_where(
            lambda order: book_of(order) == book and symbol in (None, order.draft.symbol), request.wall
        )

    def _cancel_plans(self, request: Request, form: dict[str, Any]) -> Any:
        """No answer for each: what is unknown passes in silence."""
        self._cancel_ids("plan", [str(row.get("orderId")) for row in _cancels(form)], request)

    def _cancel_stops(self, request: Request, form: dict[str, Any]) -> Any:
        self._cancel_ids("stop", [str(row.get("stopPlanOrderId")) for row in _cancels(form)], request)

    def _cancel_track(self, request: Request, form: dict[str, Any]) -> Any:
        """One by its id. The documentation is silent on a bare call: it reaches nothing."""
        self._cancel_ids("track", [str(form.get("trackOrderId"))], request)

    def _cancel_ids(self, book: str, names: list[str], request: Request) -> None:
        wanted = frozenset(names)
        self.exchange.cancel_where(
            lambda order: book_of(order) == book and order.order_id in wanted, request.wall, how="cancel"
        )

    # --- market ------------------------------------------------------------------------------------------

    def listed(self) -> list[Instrument]:
        """Contracts that are on the lists."""
        return [each for each in self.exchange.listed() if each.settle is not None]

    def _listed(self, name: Any) -> Instrument:
        contract = self.exchange.instrument(str(name))
        if contract.settle is None or contract.symbol in self.exchange.delisted:
            raise Refused("unknown_symbol", "no such contract")
        return contract

    def _tickers(self, request: Request, form: dict[str, Any]) -> Any:
        """All contracts as a list, or one as an object."""
        if form.get("symbol"):
            return ticker_row(self.exchange, self._listed(form["symbol"]), request.wall)
        return [ticker_row(self.exchange, contract, request.wall) for contract in self.listed()]

    def _fair_price(self, request: Request, _: dict[str, Any]) -> Any:
        return self._one_price(request, "fairPrice")

    def _index_price(self, request: Request, _: dict[str, Any]) -> Any:
        return self._one_price(request, "indexPrice")

    def _one_price(self, request: Request, field: str) -> dict[str, Any]:
        contract = self._listed(_last(request))
        mark = float(self.exchange.quotes[contract.symbol].mark)
        return {"symbol": contract.wire_id, field: mark, "timestamp": milliseconds(request.wall)}


def _last(request: Request) -> str:
    return request.path.rpartition("/")[2]


def _side(form: Mapping[str, Any]) -> tuple[str, bool]:
    found = side_meant(int(decimal(form, "side") or 0))
    if found is None:
        raise no(2003, "Order side error")
    return found


def _numbers(raw: Any) -> frozenset[int]:
    return frozenset(int(part) for part in str(raw or "").split(",") if part.strip().isdigit())


def _cancels(form: Mapping[str, Any]) -> list[Any]:
    rows = form.get("rows")
    if not isinstance(rows, list) or not 0 < len(rows) <= _CANCELS:
        raise no(600, "Parameter error! 1 to 50 orders")
    return rows


def _matching(rows: list[dict[str, Any]], form: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in rows if form.get("symbol") in (None, "", row["symbol"])]


def _page(
    rows: list[dict[str, Any]], form: Mapping[str, Any], number: str = "page_num", size: str = "page_size"
) -> list[dict[str, Any]]:
    page, length = int(decimal(form, number) or 1), int(decimal(form, size) or _PAGE)
    if page < 1 or not 1 <= length <= _LONGEST_PAGE:
        raise no(600, "Parameter error! a page has 1 to 100 rows")
    return rows[(page - 1) * length : page * length]


def _recent(rows: list[dict[str, Any]], request: Request, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows made in the span that was asked for, else in the last seven days; a span of more than 90 is refused."""
    end = decimal(form, "end_time") or Decimal(milliseconds(request.wall))
    start = decimal(form, "start_time")
    start = end - _USUAL_DAYS * DAY_MS if start is None else start
    if end - start > _LONGEST_DAYS * DAY_MS:
        raise no(600, "Parameter error! the time span must not exceed 90 days")
    return [row for row in rows if start <= row["createTime"] <= end]
