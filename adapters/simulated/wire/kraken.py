"""kraken's REST face: spot and margin.

Wire formats after the venue's REST reference (docs.kraken.com/api-reference). Every reply is
`{"error": [...], "result": ...}` with status 200, errors included.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import Fill, HeldPosition, LedgerRow, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import kraken_markets
from adapters.simulated.wire.base import Key, Reply, Request, Route, decimal, iso, text
from adapters.simulated.wire.kraken_names import ledger_kind, venue_id, wire_asset
from adapters.simulated.wire.kraken_ws import KrakenSession

_ERRORS = {
    "unknown_symbol": "EQuery:Unknown asset pair",
    "unknown_order": "EOrder:Unknown order",
    "insufficient_funds": "EOrder:Insufficient funds",
    "would_not_reduce": "EOrder:Reduce only:No position exists",
    "invalid": "EGeneral:Invalid arguments",
}
_LEDGER_PAGE = 50
_COSTS = {"Ledgers": 2.0, "TradesHistory": 2.0, "AddOrder": 0.0, "CancelOrder": 0.0}
_CANCEL_BATCH = 50
_TOKEN_LIFE_S = 900


class KrakenFace:
    """Answers kraken's REST calls for an exchange."""

    kind = "kraken"
    hosts = frozenset({"api.kraken.com", "ws.kraken.com", "ws-auth.kraken.com"})
    empty_envelope = b'{"error":[],"result":{}}'
    key_errors: Mapping[str, str] = {"read_only_key": "EGeneral:Permission denied", "revoked_key": "EAPI:Invalid key"}

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.tokens: dict[str, float] = {}
        self._token_numbers = itertools.count(1)
        self._routes = self._table()

    def _table(self) -> dict[str, Route]:
        private: dict[str, tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            "Balance": (Call.BALANCES, self._balance),
            "BalanceEx": (Call.BALANCES, self._balance_ex),
            "OpenOrders": (Call.OPEN_ORDERS, self._open_orders),
            "OpenPositions": (Call.POSITIONS, self._open_positions),
            "Ledgers": (Call.LEDGER, self._ledgers),
            "TradesHistory": (Call.FILLS, self._trades),
            "AddOrder": (Call.PLACE, self._add_order),
            "CancelOrder": (Call.CANCEL, self._cancel_order),
            "CancelOrderBatch": (Call.CANCEL, self._cancel_batch),
            "CancelAll": (Call.CANCEL, self._cancel_all),
            "CancelAllOrdersAfter": (Call.DEAD_MAN, self._cancel_after),
            "GetWebSocketsToken": (Call.TOKEN, self._token),
        }
        routes = {f"/0/private/{name}": Route(call, handler) for name, (call, handler) in private.items()}
        public: dict[str, tuple[Call, Callable[[Request, dict[str, Any]], Any]]] = {
            "Assets": (Call.MARKETS, lambda _, __: kraken_markets.assets_json()),
            "AssetPairs": (Call.MARKETS, self._pairs),
            "Ticker": (Call.PRICES, self._ticker),
            "Time": (Call.OTHER, lambda request, _: {"unixtime": int(request.wall)}),
            "SystemStatus": (Call.OTHER, lambda request, _: {"status": "online", "timestamp": iso(request.wall)}),
        }
        routes |= {f"/0/public/{name}": Route(call, handler, False) for name, (call, handler) in public.items()}
        return routes

    def route(self, method: str, path: str) -> Route | None:
        route = self._routes.get(path)
        return None if route is None or (route.private and method != "POST") else route

    def session(self, host: str, _path: str = "") -> KrakenSession:
        return KrakenSession(self.exchange, self.tokens, private=host == "ws-auth.kraken.com")

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its errors included."""
        if route is None:
            return Reply({"error": ["EGeneral:Unknown method"]}, 404)
        form = request.form()
        if route.private and (error := self._refusal(request, form)) is not None:
            return Reply({"error": [error]})
        try:
            result = route.handler(request, form)
        except Refused as refused:
            return Reply({"error": [_ERRORS.get(refused.code, "EGeneral:Internal error")]})
        return Reply(result if isinstance(result, bytes) else {"error": [], "result": result})

    def error(self, text: str, _: float) -> bytes:
        return Reply({"error": [text]}).encoded()

    def _refusal(self, request: Request, form: Mapping[str, Any]) -> str | None:
        """Why a private request is refused, if it is: key, then signature, then nonce."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("api-key") != self.key.api_key:
            return "EAPI:Invalid key"
        nonce = str(form.get("nonce", ""))
        if not nonce.isdigit():
            return "EAPI:Invalid nonce"
        digest = hashlib.sha256((nonce + request.body).encode()).digest()
        if not self.key.verifies(request.path.encode() + digest, headers.get("api-sign", "")):
            return "EAPI:Invalid signature"
        if int(nonce) <= self.key.last_nonce:
            return "EAPI:Invalid nonce"
        self.key.last_nonce = int(nonce)
        cost = _COSTS.get(request.path.rpartition("/")[2], 1.0)
        if self.key.counter is not None and not self.key.counter.admits(cost, request.wall):
            return "EAPI:Rate limit exceeded"
        return None

    # --- account ---------------------------------------------------------------------------------------

    def _balance(self, _: Request, __: dict[str, Any]) -> Any:
        return {wire_asset(asset): text(total) for asset, total in self._wallet().items()}

    def _balance_ex(self, _: Request, __: dict[str, Any]) -> Any:
        held = self.exchange.held()
        return {
            wire_asset(asset): {"balance": text(total, 10), "hold_trade": text(held.get(asset, Decimal(0)), 10)}
            for asset, total in self._wallet().items()
        }

    def _wallet(self) -> Mapping[str, Decimal]:
        return self.exchange.wallets[self.exchange.wallet]

    def _open_orders(self, _: Request, form: dict[str, Any]) -> Any:
        orders: Iterable[OpenOrder] = self.exchange.orders.values()
        if (wanted := form.get("cl_ord_id")) is not None:
            orders = [order for order in orders if order.draft.client_order_id == wanted]
        return {"open": {order.order_id: self._order(order) for order in orders}}

    def _order(self, order: OpenOrder) -> dict[str, Any]:
        draft = order.draft
        pair = self.exchange.instrument(draft.symbol).names[0]
        trigger = draft.trigger_price is not None
        first, second = (draft.trigger_price, draft.price) if trigger else (draft.price, None)
        row = {
            "refid": None,
            "userref": None,
            "cl_ord_id": draft.client_order_id,
            "status": "open",
            "opentm": order.placed_wall,
            "starttm": 0,
            "expiretm": 0,
            "descr": {
                "pair": pair,
                "type": draft.side,
                "ordertype": draft.order_type.replace("_", "-"),
                "price": text(first or Decimal(0)),
                "price2": text(second or Decimal(0)),
                "leverage": "5:1" if draft.leveraged else "none",
                "order": _sentence(draft, pair),
                "close": "",
            },
            "vol": text(draft.quantity, 8),
            "vol_exec": text(order.filled, 8),
            "cost": "0.00000",
            "fee": "0.00000",
            "price": "0.00000",
            "stopprice": text(draft.trigger_price or Decimal(0), 5),
            "limitprice": text(draft.price if trigger and draft.price else Decimal(0), 5),
            "misc": "",
            "oflags": "fciq",
        }
        return row | ({"reduce_only": True} if draft.reduce_only else {})

    def _open_positions(self, _: Request, form: dict[str, Any]) -> Any:
        rows = [self._position(position) for position in self.exchange.positions.values()]
        if form.get("consolidation") == "market":
            return rows
        return {venue_id("T", number): row for number, row in enumerate(rows, 1)}

    def _position(self, position: HeldPosition) -> dict[str, Any]:
        instrument = self.exchange.instrument(position.symbol)
        mark = self.exchange.quotes[position.symbol].mark
        size = abs(position.quantity)
        return {
            "pair": instrument.wire_id,
            "positions": "1",
            "type": "buy" if position.quantity > 0 else "sell",
            "leverage": "5.00000",
            "cost": text(size * position.entry, 5),
            "fee": "0.00000",
            "vol": text(size, 8),
            "vol_closed": "0.00000000",
            "margin": text(size * position.entry / 5, 5),
            "value": text(size * mark, 5),
            "net": text(instrument.profit(position.quantity, position.entry, mark), 5),
        }

    def _ledgers(self, _: Request, form: dict[str, Any]) -> Any:
        """Newest first, 50 a page; `start` is exclusive, `end` inclusive."""
        start, end = decimal(form, "start") or Decimal(0), decimal(form, "end")
        rows = [
            row
            for row in self.exchange.ledger
            if row.wall > start
            and (end is None or row.wall <= end)
            and form.get("asset", "all") in ("all", wire_asset(row.asset), row.asset)
            and form.get("type", "all") in ("all", ledger_kind(row))
        ]
        rows.sort(key=lambda row: (row.wall, row.number), reverse=True)
        offset = int(decimal(form, "ofs") or 0)
        page = rows[offset : offset + _LEDGER_PAGE]
        return {"ledger": {venue_id("L", row.number): _ledger_row(row) for row in page}, "count": len(rows)}

    def _trades(self, _: Request, form: dict[str, Any]) -> Any:
        """Newest first, 50 a page; `start` is exclusive, `end` inclusive."""
        start, end = decimal(form, "start") or Decimal(0), decimal(form, "end")
        found = [fill for fill in self.exchange.fills if fill.wall > start and (end is None or fill.wall <= end)]
        found.sort(key=lambda fill: fill.fill_id, reverse=True)
        offset = int(decimal(form, "ofs") or 0)
        page = found[offset : offset + _LEDGER_PAGE]
        return {"trades": {venue_id("T", fill.fill_id): self._trade(fill) for fill in page}, "count": len(found)}

    def _trade(self, fill: Fill) -> dict[str, Any]:
        draft = fill.order.draft
        return {
            "ordertxid": fill.order.order_id,
            "postxid": venue_id("P", fill.fill_id),
            "pair": self.exchange.instrument(draft.symbol).wire_id,
            "time": fill.wall,
            "type": draft.side,
            "ordertype": draft.order_type.replace("_", "-"),
            "price": text(fill.price, 5),
            "cost": text(fill.price * fill.quantity, 5),
            "fee": text(self.exchange.fee_of(fill)[0], 5),
            "vol": text(fill.quantity, 8),
            "margin": "0.00000",
            "leverage": "5" if draft.leveraged else "0",
            "misc": "",
            "trade_id": fill.fill_id,
            "maker": False,
        }

    # --- orders ----------------------------------------------------------------------------------------

    def _add_order(self, request: Request, form: dict[str, Any]) -> Any:
        draft = _draft(form)
        description = {"descr": {"order": _sentence(draft, self.exchange.instrument(draft.symbol).names[0])}}
        if str(form.get("validate", "")).lower() == "true":
            return description
        order, _ = self.exchange.place(draft, request.wall)
        return description | {"txid": [order.order_id]}

    def _cancel_order(self, request: Request, form: dict[str, Any]) -> Any:
        self.exchange.cancel(str(form.get("cl_ord_id") or form.get("txid")), request.wall)
        return {"count": 1}

    def _cancel_batch(self, request: Request, form: dict[str, Any]) -> Any:
        names = [str(name) for name in form.get("orders", [])]
        if not 0 < len(names) <= _CANCEL_BATCH:
            raise Refused("invalid", "1 to 50 orders a batch")
        known = [name for name in names if name in self.exchange.orders]
        for name in known:
            self.exchange.cancel(name, request.wall)
        return {"count": len(known)}

    def _cancel_all(self, request: Request, _: dict[str, Any]) -> Any:
        return {"count": len(self.exchange.cancel_all(request.wall))}

    def _cancel_after(self, request: Request, form: dict[str, Any]) -> Any:
        timeout = decimal(form, "timeout")
        if timeout is None or not 0 <= timeout <= 86_400:
            raise Refused("invalid", "timeout is 0 to 86400 seconds")
        due = self.exchange.arm_dead_man(float(timeout), request.wall)
        return {"currentTime": iso(request.wall), "triggerTime": "0" if due is None else iso(due)}

    def _token(self, request: Request, _: dict[str, Any]) -> Any:
        token = f"simulated-token-{next(self._token_numbers)}"
        self.tokens[token] = request.wall + _TOKEN_LIFE_S
        return {"token": token, "expires": _TOKEN_LIFE_S}

    # --- market ----------------------------------------------------------------------------------------

    def _pairs(self, _: Request, __: dict[str, Any]) -> Any:
        return kraken_markets.pairs_json(frozenset(self.exchange.delisted))

    def _ticker(self, _: Request, form: dict[str, Any]) -> Any:
        names = str(form["pair"]).split(",") if form.get("pair") else list(self.exchange.quotes)
        found = [self.exchange.instrument(name) for name in names]
        return {instrument.wire_id: self._quote(instrument.symbol) for instrument in found}

    def _quote(self, symbol: str) -> dict[str, Any]:
        quote = self.exchange.quotes[symbol]
        last = text(quote.mark)
        return {
            "a": [text(quote.ask), "10", "10.000"],
            "b": [text(quote.bid), "10", "10.000"],
            "c": [last, "0.10000000"],
            "v": ["100.00000000", "200.00000000"],
            "p": [last, last],
            "t": [100, 200],
            "l": [last, last],
            "h": [last, last],
            "o": last,
        }


def _ledger_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "refid": venue_id("R", row.ref),
        "time": row.wall,
        "type": ledger_kind(row),
        "subtype": "",
        "aclass": "currency",
        "asset": wire_asset(row.asset),
        "amount": text(row.amount + row.fee, 10),
        "fee": text(row.fee, 10),
        "balance": text(row.balance, 10),
    }


def _draft(form: Mapping[str, Any]) -> OrderDraft:
    order_type = str(form.get("ordertype", "")).replace("-", "_")
    first, second = decimal(form, "price"), decimal(form, "price2")
    triggered = order_type.startswith(("stop_loss", "take_profit"))
    return OrderDraft(
        str(form.get("pair", "")),
        str(form.get("type", "")),
        order_type,
        decimal(form, "volume") or Decimal(0),
        second if triggered else first,
        first if triggered else None,
        form.get("cl_ord_id"),
        str(form.get("reduce_only", "")).lower() == "true",
        form.get("leverage", "none") != "none",
    )


def _sentence(draft: OrderDraft, pair: str) -> str:
    words = f"{draft.side} {text(draft.quantity, 8)} {pair} @ "
    names = {"stop_loss": "stop loss", "take_profit": "take profit"}
    for kind, name in names.items():
        if draft.order_type.startswith(kind):
            words += f"{name} {draft.trigger_price:f}"
            return words + (f" -> limit {draft.price:f}" if draft.price is not None else "")
    return words + (f"limit {draft.price:f}" if draft.price is not None else "market")
