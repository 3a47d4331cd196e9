"""deribit's face: JSON-RPC over HTTP GET, every instrument kind in one account.

After docs.deribit.com (the copy in rosssaunders/coincise, 2025): articles/authentication (`deri-hmac-sha256`, good for
a minute), articles/errors, trading (buy, sell, cancel, cancel_all*, get_open_orders*), account management (summaries,
positions, transaction log, API keys), market data (instruments, currencies, ticker), public/get_time. Every reply is
`{"jsonrpc", "result" or "error", "usIn", "usOut", "usDiff", "testnet"}`; errors come with status 400.

Left out: POST, tokens over HTTP, combos, block trades and RFQs, quotes, linked orders, cancel-on-disconnect (it is of
a connection), the value of options, cross collateral, limits. The switch `settlement` with the value `now` settles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, Fill, OpenOrder, OrderDraft, Refused
from adapters.simulated.wire import deribit_markets as markets
from adapters.simulated.wire import deribit_rows as rows
from adapters.simulated.wire.base import Key, Reply, Request, Route, decimal, hmac_sha256, milliseconds
from adapters.simulated.wire.deribit_ws import DeribitSession

_CHANGES = frozenset({Call.PLACE, Call.CANCEL, Call.DEAD_MAN})
_MOST_ENTRIES = 250
_AUTHORIZATION = re.compile(r"deri-hmac-sha256 id=([^,]*),ts=(\d+),sig=([0-9a-f]+),nonce=(.*)")
_TYPES = {
    "stop_market": "stop_loss",
    "stop_limit": "stop_loss_limit",
    "take_market": "take_profit",
    "take_limit": "take_profit_limit",
}
_ERRORS = {
    "insufficient_funds": (10009, "not_enough_funds"),
    "unknown_order": (10004, "order_not_found"),
    "unknown_symbol": (13020, "not_found"),
    "would_not_reduce": (11030, "other_reject reduce_only"),
}
Handler = Callable[[Request, dict[str, Any]], Any]


def order_id(number: int) -> str:
    """The id of the n-th order."""
    return f"ETH-{349_000 + number}"


class Switches(dict[str, str]):
    """What an admin request sets. `settlement`: whatever is set, it settles now."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__(settlement="")
        self._settle = settle

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self._settle()


class DeribitFace:
    """Answers deribit's REST calls for an exchange."""

    kind = "deribit"
    hosts = frozenset({"www.deribit.com"})
    empty_envelope = b'{"jsonrpc":"2.0","result":[],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}'
    key_errors: Mapping[str, str] = {"read_only_key": "13021 forbidden", "revoked_key": "13004 invalid_credentials"}

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.session_rows = rows.Session(exchange)
        self.switches = Switches(self.session_rows.settle)
        private = {f"private/{name}": Route(call, handler) for name, (call, handler) in self._private().items()}
        public = {f"public/{name}": Route(call, handler, False) for name, (call, handler) in self._public().items()}
        self._routes = {f"/api/v2/{name}": route for name, route in (private | public).items()}

    def _private(self) -> dict[str, tuple[Call, Handler]]:
        return {
            "get_account_summaries": (Call.BALANCES, self._summaries),
            "get_account_summary": (Call.BALANCES, lambda _, form: self.session_rows.summary(str(form["currency"]))),
            "get_positions": (Call.POSITIONS, self._positions),
            "get_open_orders": (Call.OPEN_ORDERS, lambda _, form: self._open(form)),
            "get_open_orders_by_currency": (Call.OPEN_ORDERS, lambda _, form: self._open(form)),
            "get_open_orders_by_instrument": (Call.OPEN_ORDERS, lambda _, form: self._open(form)),
            "get_transaction_log": (Call.LEDGER, self._log),
            "get_user_trades_by_instrument": (Call.FILLS, self._trades),
            "get_user_trades_by_instrument_and_time": (Call.FILLS, self._trades),
            "list_api_keys": (Call.OTHER, self._keys),
            "buy": (Call.PLACE, lambda request, form: self._place("buy", request, form)),
            "sell": (Call.PLACE, lambda request, form: self._place("sell", request, form)),
            "cancel": (Call.CANCEL, self._cancel),
            "cancel_all": (Call.CANCEL, lambda request, _: self._cancel_where(request, {})),
            "cancel_all_by_instrument": (Call.CANCEL, self._cancel_where),
        }

    def _public(self) -> dict[str, tuple[Call, Handler]]:
        return {
            "get_time": (Call.OTHER, lambda request, _: milliseconds(request.wall)),
            "get_currencies": (Call.MARKETS, lambda _, __: [markets.currency_row(code) for code in markets.CURRENCIES]),
            "get_instruments": (Call.MARKETS, self._instruments),
            "ticker": (Call.PRICES, self._ticker),
        }

    def route(self, method: str, path: str) -> Route | None:
        return self._routes.get(path) if method == "GET" else None

    def session(self, _: str, _path: str = "", /) -> DeribitSession:
        return DeribitSession(self.session_rows, self.key)

    def _trades(self, _: Request, form: dict[str, Any]) -> Any:
        """Of one instrument, the newest first, ten where no count is asked for."""
        symbol = self.exchange.instrument(str(form["instrument_name"])).symbol
        start, count = int(form.get("start_timestamp") or 0), int(form.get("count") or 10)
        fills = [fill for fill in reversed(self.exchange.fills) if fill.order.draft.symbol == symbol]
        found = [fill for fill in fills if milliseconds(fill.wall) >= start]
        return {
            "trades": [rows.trade_row(self.exchange, fill) for fill in found[:count]],
            "has_more": len(found) > count,
        }

    # --- answers ---------------------------------------------------------------------------------------

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its errors included."""
        if route is None:
            return _failed(-32601, "Method not found", request.wall)
        if route.private and (error := self._refusal(route, request)) is not None:
            return _failed(*error, request.wall)
        try:
            result = route.handler(request, request.form())
        except Refused as refused:
            return _failed(*_ERRORS.get(refused.code, (-32602, "Invalid params")), request.wall)
        except KeyError:
            return _failed(-32602, "Invalid params", request.wall)
        return Reply(_envelope({"result": result}, request.wall))

    def error(self, text: str, wall: float) -> Reply:
        """`13021 forbidden`; without a number it is 10001."""
        found = re.match(r"(-?\d+)\s*(.*)", text)
        return _failed(10001, text, wall) if found is None else _failed(int(found[1]), found[2], wall)

    def _refusal(self, route: Route, request: Request) -> tuple[int, str] | None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None:
            return 13009, "unauthorized"
        name, stamp, signature, nonce = found.groups()
        uri = request.path + (f"?{request.query}" if request.query else "")
        signed = f"{stamp}\n{nonce}\n{request.method}\n{uri}\n{request.body}\n"
        if name != self.key.api_key or hmac_sha256(self.key.api_secret, signed).hex() != signature:
            return 13004, "invalid_credentials"
        if abs(milliseconds(request.wall) - int(stamp)) > 60_000:
            return 13009, "unauthorized"
        return (13021, "forbidden") if self.key.read_only and route.call in _CHANGES else None

    # --- account ---------------------------------------------------------------------------------------

    def _summaries(self, _: Request, __: dict[str, Any]) -> Any:
        return {"summaries": self.session_rows.summaries()}

    def _positions(self, _: Request, form: dict[str, Any]) -> Any:
        return self.session_rows.positions(str(form.get("currency", "any")), form.get("kind"))

    def _log(self, _: Request, form: dict[str, Any]) -> Any:
        """Newest first; the continuation is the id of the entry that comes next."""
        start, end = int(form["start_timestamp"]), int(form["end_timestamp"])
        before = int(form.get("continuation") or 1 << 62)
        listed = [
            rows.log_row(row, None if row.symbol is None else self.exchange.instruments[row.symbol].wire_id)
            for row in sorted(self.exchange.ledger, key=lambda row: row.number, reverse=True)
            if row.wallet == markets.MAIN and row.asset == form["currency"]
        ]
        found = [row for row in listed if start <= row["timestamp"] <= end and row["id"] <= before]
        count = min(int(form.get("count") or 100), _MOST_ENTRIES)
        return {"logs": found[:count], "continuation": found[count]["id"] if len(found) > count else None}

    def _keys(self, request: Request, _: dict[str, Any]) -> Any:
        trade, wallet = ("read" if self.key.read_only else "read_write"), self.key.may_withdraw
        scope = f"account:read trade:{trade} wallet:{'read_write' if wallet else 'none'} block_trade:none"
        ours = {
            "timestamp": milliseconds(request.wall),
            "name": "guard",
            "max_scope": scope,
            "ip_whitelist": [self.key.bound_to] if self.key.bound_to else [],
            "id": 2,
            "enabled": True,
            "enabled_features": [],
            "default": False,
            "client_secret": self.key.api_secret,
            "client_id": self.key.api_key,
        }
        other = ours | {"id": 1, "name": "other", "client_id": "AbCdEfGh", "client_secret": "s" * 43}
        return [other | {"max_scope": "account:read_write trade:read_write wallet:read_write"}, ours]

    # --- orders ----------------------------------------------------------------------------------------

    def _open(self, form: Mapping[str, Any]) -> list[dict[str, Any]]:
        orders = [order for order in self.exchange.orders.values() if self._matches(order, form)]
        return [rows.order_row(self.exchange, order) for order in orders]

    def _matches(self, order: OpenOrder, form: Mapping[str, Any]) -> bool:
        """A listing without `kind`, `type`, currency or instrument is of all of them."""
        instrument, of = self.exchange.instruments[order.draft.symbol], str(form.get("type", "all"))
        waits = order.draft.trigger_price is not None
        is_of_type = of in ("all", rows.order_type(order.draft)) or (of == "trigger_all" and waits)
        return (
            is_of_type
            and form.get("kind") in (None, "any", markets.kind(instrument))
            and form.get("currency") in (None, instrument.settle or instrument.quote)
            and form.get("instrument_name") in (None, instrument.wire_id)
        )

    def _place(self, side: str, request: Request, form: dict[str, Any]) -> Any:
        order, fill = self.exchange.place(_draft(side, form), request.wall)
        state = None if fill is None else "filled" if order.remaining == 0 else "open"
        trades = [] if fill is None else [_trade(fill)]
        return {"order": rows.order_row(self.exchange, order, state), "trades": trades}

    def _cancel(self, request: Request, form: dict[str, Any]) -> Any:
        name = str(form["order_id"])
        if name not in self.exchange.orders:
            raise Refused("unknown_order", "order_not_found")
        return rows.order_row(self.exchange, self.exchange.cancel(name, request.wall), "cancelled")

    def _cancel_where(self, request: Request, form: dict[str, Any]) -> Any:
        return len(self.exchange.cancel_where(lambda order: self._matches(order, form), request.wall))

    # --- market ----------------------------------------------------------------------------------------

    def _instruments(self, _: Request, form: dict[str, Any]) -> Any:
        return markets.rows(self.exchange, str(form.get("currency", "any")), form.get("kind"))

    def _ticker(self, request: Request, form: dict[str, Any]) -> Any:
        return rows.ticker(self.exchange, self.exchange.instrument(str(form["instrument_name"])), request.wall)


def _draft(side: str, form: Mapping[str, Any]) -> OrderDraft:
    word = str(form.get("type", "limit"))
    return OrderDraft(
        str(form["instrument_name"]),
        side,
        _TYPES.get(word, word),
        decimal(form, "amount") or decimal(form, "contracts") or ZERO,
        decimal(form, "price") if word.endswith("limit") else None,
        decimal(form, "trigger_price"),
        form.get("label"),
        str(form.get("reduce_only", "")).lower() == "true",
    )


def _trade(fill: Fill) -> dict[str, Any]:
    return {
        "trade_id": str(fill.fill_id),
        "order_id": fill.order.order_id,
        "price": float(fill.price),
        "amount": float(fill.quantity),
        "direction": fill.order.draft.side,
        "timestamp": milliseconds(fill.wall),
        "state": "filled",
    }


def _envelope(body: dict[str, Any], wall: float) -> dict[str, Any]:
    now = int(wall * 1e6)
    return {"jsonrpc": "2.0", **body, "usIn": now, "usOut": now + 100, "usDiff": 100, "testnet": False}


def _failed(code: int, message: str, wall: float) -> Reply:
    return Reply(_envelope({"error": {"code": code, "message": message}}, wall), 400)
