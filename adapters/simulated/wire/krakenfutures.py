"""krakenfutures' REST face: perpetual and dated futures, multi-collateral and inverse.

Wire formats after the venue's derivatives reference (docs.kraken.com/api-reference). Replies carry
`result` and `serverTime`; errors are `{"result": "error", "error": "<word>"}` with status 200.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, Fill, HeldPosition, Instrument, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import krakenfutures_markets as markets
from adapters.simulated.wire.base import Key, Reply, Request, Route, decimal, iso
from adapters.simulated.wire.krakenfutures_wallets import accounts, log_rows, transfer_row
from adapters.simulated.wire.krakenfutures_ws import KrakenFuturesSession, fill_uid

ACCOUNT_UID = str(uuid.UUID(int=0xACC0))
_ORDER_NAMESPACE = 0x0DE2 << 64
_CHALLENGE_NAMESPACE = 0xC4A1 << 64
_TYPES = {
    "lmt": "limit",
    "post": "limit",
    "ioc": "market",
    "mkt": "market",
    "stp": "stop_loss",
    "take_profit": "take_profit",
}
_STATUSES = {
    "insufficient_funds": "insufficientAvailableFunds",
    "would_not_reduce": "wouldNotReducePosition",
    "invalid": "invalidSize",
}
_LOG_PAGE = 500
_FILLS_PAGE = 100


def order_uid(number: int) -> str:
    """The id of the n-th order."""
    return str(uuid.UUID(int=_ORDER_NAMESPACE + number))


class KrakenFuturesFace:
    """Answers krakenfutures' REST calls for an exchange."""

    kind = "krakenfutures"
    hosts = frozenset({"futures.kraken.com", "demo-futures.kraken.com"})
    empty_envelope = b'{"result":"success","serverTime":"2026-01-01T00:00:00.000Z"}'
    key_errors: Mapping[str, str] = {"read_only_key": "authenticationError", "revoked_key": "authenticationError"}

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self._challenges = itertools.count(_CHALLENGE_NAMESPACE)
        self._routes = self._table()

    def _table(self) -> dict[tuple[str, str], Route]:
        handlers: dict[tuple[str, str], tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            ("GET", "accounts"): (Call.BALANCES, self._accounts),
            ("GET", "openpositions"): (Call.POSITIONS, self._positions),
            ("GET", "openorders"): (Call.OPEN_ORDERS, self._open_orders),
            ("GET", "transfers"): (Call.LEDGER, self._transfers),
            ("GET", "fills"): (Call.FILLS, self._fills),
            ("POST", "sendorder"): (Call.PLACE, self._send_order),
            ("POST", "cancelorder"): (Call.CANCEL, self._cancel_order),
            ("POST", "batchorder"): (Call.CANCEL, self._batch),
            ("POST", "cancelallorders"): (Call.CANCEL, self._cancel_all),
            ("POST", "cancelallordersafter"): (Call.DEAD_MAN, self._cancel_after),
        }
        routes = {
            (method, f"/derivatives/api/v3/{name}"): Route(call, handler)
            for (method, name), (call, handler) in handlers.items()
        }
        routes["GET", "/api/history/v3/account-log"] = Route(Call.LEDGER, self._account_log)
        routes["GET", "/derivatives/api/v3/instruments"] = Route(Call.MARKETS, self._instruments, False)
        routes["GET", "/derivatives/api/v3/tickers"] = Route(Call.PRICES, self._tickers, False)
        return routes

    def route(self, method: str, path: str) -> Route | None:
        return self._routes.get((method, path))

    def session(self, _: str, _path: str = "") -> KrakenFuturesSession:
        challenge = str(uuid.UUID(int=next(self._challenges)))
        return KrakenFuturesSession(self.exchange, self.key, ACCOUNT_UID, challenge)

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its errors included."""
        if route is None:
            return Reply(_error("notFound", request.wall), 404)
        if route.private and (error := self._refusal(request)) is not None:
            return Reply(_error(error, request.wall))
        try:
            result = route.handler(request, request.form())
        except Refused as refused:
            word = "notFound" if refused.code == "unknown_symbol" else "invalidArgument"
            return Reply(_error(word, request.wall))
        if isinstance(result, bytes) or "logs" in result:
            return Reply(result)
        return Reply({"result": "success", **result, "serverTime": iso(request.wall)})

    def error(self, text: str, wall: float) -> bytes:
        return Reply(_error(text, wall)).encoded()

    def _refusal(self, request: Request) -> str | None:
        """Why a private request is refused, if it is. A nonce is optional here, but must rise if given."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        nonce = headers.get("nonce", "")
        if headers.get("apikey") != self.key.api_key or (nonce and not nonce.isdigit()):
            return "authenticationError"
        data = request.query or request.body
        path = request.path.removeprefix("/derivatives")
        digest = hashlib.sha256((data + nonce + path).encode()).digest()
        if not self.key.verifies(digest, headers.get("authent", "")):
            return "authenticationError"
        if nonce and int(nonce) <= self.key.last_nonce:
            return "nonceDuplicate" if int(nonce) in self.key.seen else "nonceBelowThreshold"
        if nonce:
            self.key.last_nonce = int(nonce)
            self.key.seen.add(int(nonce))
        return None

    # --- account ---------------------------------------------------------------------------------------

    def _accounts(self, _: Request, __: dict[str, Any]) -> Any:
        return {"accounts": accounts(self.exchange)}

    def _positions(self, _: Request, __: dict[str, Any]) -> Any:
        return {"openPositions": [self._position(held) for held in self.exchange.positions.values()]}

    def _position(self, position: HeldPosition) -> dict[str, Any]:
        return {
            "side": "long" if position.quantity > 0 else "short",
            "symbol": self.exchange.instrument(position.symbol).wire_id,
            "price": float(position.entry),
            "fillTime": iso(position.opened_wall),
            "size": float(abs(position.quantity)),
            "unrealizedFunding": 0.0,
        }

    def _open_orders(self, _: Request, __: dict[str, Any]) -> Any:
        return {"openOrders": [self._open_order(order) for order in self.exchange.orders.values()]}

    def _open_order(self, order: OpenOrder) -> dict[str, Any]:
        draft = order.draft
        row: dict[str, Any] = {
            "order_id": order.order_id,
            "symbol": self.exchange.instrument(draft.symbol).wire_id,
            "side": draft.side,
            "orderType": _order_word(draft),
            "unfilledSize": float(order.remaining),
            "filledSize": float(order.filled),
            "receivedTime": iso(order.placed_wall),
            "status": "untouched" if order.filled == 0 else "partiallyFilled",
            "reduceOnly": draft.reduce_only,
            "lastUpdateTime": iso(order.placed_wall),
        }
        if draft.client_order_id is not None:
            row["cliOrdId"] = draft.client_order_id
        if draft.price is not None:
            row["limitPrice"] = float(draft.price)
        if draft.trigger_price is not None:
            row |= {"stopPrice": float(draft.trigger_price), "triggerSignal": "last"}
        return row

    def _fills(self, _: Request, form: dict[str, Any]) -> Any:
        """The newest hundred, or those before `lastFillTime`."""
        last = form.get("lastFillTime")
        newest = [fill for fill in reversed(self.exchange.fills) if not last or iso(fill.wall) < str(last)]
        return {"fills": [self._fill(fill) for fill in newest[:_FILLS_PAGE]]}

    def _fill(self, fill: Fill) -> dict[str, Any]:
        draft = fill.order.draft
        row: dict[str, Any] = {
            "fill_id": fill_uid(fill),
            "symbol": self.exchange.instrument(draft.symbol).wire_id,
            "side": draft.side,
            "order_id": fill.order.order_id,
            "size": float(fill.quantity),
            "price": float(fill.price),
            "fillTime": iso(fill.wall),
            "fillType": "taker",
        }
        return row | ({} if draft.client_order_id is None else {"cliOrdId": draft.client_order_id})

    # --- ledger ----------------------------------------------------------------------------------------

    def _account_log(self, _: Request, form: dict[str, Any]) -> Any:
        """`since` and `before` in milliseconds, `from` and `to` as ids, newest first unless sort=asc."""
        since, before = decimal(form, "since"), decimal(form, "before")
        first, last = decimal(form, "from"), decimal(form, "to")
        entries = [
            entry
            for row in self.exchange.ledger
            if (since is None or row.wall * 1000 >= since) and (before is None or row.wall * 1000 < before)
            for entry in log_rows(self.exchange, row)
            if (first is None or entry["id"] >= first)
            and (last is None or entry["id"] <= last)
            and form.get("info", entry["info"]) == entry["info"]
        ]
        entries.sort(key=lambda entry: int(entry["id"]), reverse=form.get("sort", "desc") != "asc")
        return {"accountUid": ACCOUNT_UID, "logs": entries[: int(decimal(form, "count") or _LOG_PAGE)]}

    def _transfers(self, _: Request, __: dict[str, Any]) -> Any:
        newest = sorted(self.exchange.flows, key=lambda row: row.wall, reverse=True)[:100]
        return {"transfers": [transfer_row(row) for row in newest]}

    # --- orders ----------------------------------------------------------------------------------------

    def _send_order(self, request: Request, form: dict[str, Any]) -> Any:
        draft = _draft(form)
        self.exchange.instrument(draft.symbol)
        received = {"receivedTime": iso(request.wall)}
        try:
            order, fill = self.exchange.place(draft, request.wall)
        except Refused as refused:
            return {"sendStatus": {"status": _STATUSES[refused.code], "orderEvents": []} | received}
        event = self._placed_event(order) if fill is None else self._fill_event(fill)
        status = {"order_id": order.order_id, "status": "placed", "orderEvents": [event]}
        return {"sendStatus": status | received}

    def _cancel_order(self, request: Request, form: dict[str, Any]) -> Any:
        return {"cancelStatus": self._cancel_one(form.get("order_id") or form.get("cliOrdId"), request.wall)}

    def _cancel_one(self, name: Any, wall: float) -> dict[str, Any]:
        try:
            order = self.exchange.cancel(str(name), wall)
        except Refused:
            return {"status": "notFound", "receivedTime": iso(wall), "order_id": name, "orderEvents": []}
        return {
            "status": "cancelled",
            "order_id": order.order_id,
            "receivedTime": iso(wall),
            "orderEvents": [self._cancel_event(order)],
        }

    def _batch(self, request: Request, form: dict[str, Any]) -> Any:
        """Cancels of a batch; placing and editing in a batch are not simulated."""
        orders = json.loads(str(form.get("json", "{}"))).get("batchOrder", [])
        if any(order.get("order") != "cancel" for order in orders):
            raise Refused("invalid", "only cancels are simulated in a batch")
        names = [order.get("order_id") or order.get("cliOrdId") for order in orders]
        return {"batchStatus": [self._cancel_one(name, request.wall) for name in names]}

    def _cancel_all(self, request: Request, form: dict[str, Any]) -> Any:
        name = form.get("symbol")
        symbol = None if name is None else self.exchange.instrument(str(name)).symbol
        orders = self.exchange.cancel_all(request.wall, symbol=symbol)
        status = {
            "receivedTime": iso(request.wall),
            "cancelOnly": name or "all",
            "status": "cancelled" if orders else "noOrdersToCancel",
            "cancelledOrders": [{"order_id": order.order_id} for order in orders],
            "orderEvents": [self._cancel_event(order) for order in orders],
        }
        return {"cancelStatus": status}

    def _cancel_after(self, request: Request, form: dict[str, Any]) -> Any:
        timeout = decimal(form, "timeout")
        if timeout is None or timeout < 0:
            raise Refused("invalid", "timeout is seconds, not below zero")
        due = self.exchange.arm_dead_man(float(timeout), request.wall)
        status = {"currentTime": iso(request.wall), "triggerTime": "0" if due is None else iso(due)}
        return {"status": status}

    def _placed_event(self, order: OpenOrder) -> dict[str, Any]:
        if order.draft.trigger_price is None:
            return {"type": "PLACE", "order": self._event_order(order), "reducedQuantity": None}
        return {"type": "PLACE", "orderTrigger": self._event_trigger(order)}

    def _cancel_event(self, order: OpenOrder) -> dict[str, Any]:
        inner = self._event_order(order)
        return {"type": "CANCEL", "uid": order.order_id, "order": inner}

    def _fill_event(self, fill: Fill) -> dict[str, Any]:
        return {
            "type": "EXECUTION",
            "executionId": fill_uid(fill),
            "price": float(fill.price),
            "amount": float(fill.quantity),
            "orderPriorEdit": None,
            "orderPriorExecution": self._event_order(fill.order) | {"filled": 0},
            "takerReducedQuantity": None,
        }

    def _event_order(self, order: OpenOrder) -> dict[str, Any]:
        draft = order.draft
        return {
            "orderId": order.order_id,
            "cliOrdId": draft.client_order_id,
            "type": _order_word(draft),
            "symbol": self.exchange.instrument(draft.symbol).wire_id,
            "side": draft.side,
            "quantity": float(draft.quantity),
            "filled": float(order.filled),
            "limitPrice": None if draft.price is None else float(draft.price),
            "reduceOnly": draft.reduce_only,
            "timestamp": iso(order.placed_wall),
            "lastUpdateTimestamp": iso(order.placed_wall),
        }

    def _event_trigger(self, order: OpenOrder) -> dict[str, Any]:
        inner = self._event_order(order)
        return {
            **{name: inner[name] for name in ("type", "symbol", "side", "quantity", "limitPrice", "reduceOnly")},
            "uid": order.order_id,
            "clientId": order.draft.client_order_id,
            "triggerPrice": float(order.draft.trigger_price or 0),
            "triggerSide": "trigger_below" if order.draft.side == "sell" else "trigger_above",
            "triggerSignal": "last_price",
            "timestamp": inner["timestamp"],
            "lastUpdateTimestamp": inner["lastUpdateTimestamp"],
        }

    # --- market ----------------------------------------------------------------------------------------

    def _instruments(self, request: Request, _: dict[str, Any]) -> bytes:
        gone = frozenset(self.exchange.instruments[symbol].wire_id for symbol in self.exchange.delisted)
        return markets.instruments_answer(iso(request.wall), gone)

    def _tickers(self, request: Request, _: dict[str, Any]) -> Any:
        rows = [self._ticker(instrument, request.wall) for instrument in self.exchange.instruments.values()]
        for code in markets.indices():
            last = float(self.exchange.asset_prices[code])
            rows.append({"symbol": markets.index_name(code), "last": last, "lastTime": iso(request.wall)})
        return {"tickers": rows}

    def _ticker(self, instrument: Instrument, wall: float) -> dict[str, Any]:
        quote = self.exchange.quotes[instrument.symbol]
        last = float(quote.mark)
        return {
            "tag": "perpetual" if "-" not in instrument.symbol else "quarter",
            "pair": f"{markets.wire_asset(instrument.base)}:USD",
            "symbol": instrument.wire_id,
            "markPrice": last,
            "bid": float(quote.bid),
            "bidSize": 10.0,
            "ask": float(quote.ask),
            "askSize": 10.0,
            "vol24h": 1000.0,
            "openInterest": 1000.0,
            "open24h": last,
            "indexPrice": last,
            "last": last,
            "lastTime": iso(wall),
            "lastSize": 1.0,
            "suspended": False,
            "fundingRate": 0.0,
            "fundingRatePrediction": 0.0,
        }


def _error(word: str, wall: float) -> dict[str, Any]:
    return {"result": "error", "error": word, "serverTime": iso(wall)}


def _order_word(draft: OrderDraft) -> str:
    words = {"limit": "lmt", "market": "mkt"}
    plain = draft.order_type.removesuffix("_limit")
    return words.get(draft.order_type, "stp" if plain == "stop_loss" else plain)


def _draft(form: Mapping[str, Any]) -> OrderDraft:
    price, trigger = decimal(form, "limitPrice"), decimal(form, "stopPrice")
    word = str(form.get("orderType", ""))
    order_type = _TYPES.get(word, word)
    if trigger is not None and price is not None and order_type in ("stop_loss", "take_profit"):
        order_type += "_limit"
    return OrderDraft(
        str(form.get("symbol", "")),
        str(form.get("side", "")),
        order_type,
        decimal(form, "size") or ZERO,
        price if order_type != "market" else None,
        trigger,
        form.get("cliOrdId"),
        str(form.get("reduceOnly", "")).lower() == "true",
    )
