"""okx's REST face: one trading account for spot, margin, swaps, futures and options, a funding account beside it.

Wire formats after the venue's v5 reference (www.okx.com/docs-v5/en: Trading Account, Order Book Trading with its Algo
Trading and Spread Trading, Funding Account, Trading Bot, Error Code). Every answer is `{"code", "msg", "data"}` with
values as strings; the rows of a change carry an `sCode` each. What others measured on the demo environment stands
where the reference says otherwise (see okx_words). Guessed: the order in which a key, its passphrase, time, address
and signature are checked; the answer to an unknown path; that plain orders of trading bots are in no listing of
orders; the fields of DCA, recurring and signal bots.

Left out: amending, RFQ and block trades, easy convert, loans and earn products, sub-account calls, market data but
tickers and marks, histories of orders and fills, option greeks, and `BTC-USD_UM-SWAP`, which settles in several coins.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import OrderDraft, Refused
from adapters.simulated.wire import okx_account as account
from adapters.simulated.wire import okx_bills as bills
from adapters.simulated.wire import okx_bots as bots
from adapters.simulated.wire import okx_markets as markets
from adapters.simulated.wire import okx_prices as prices
from adapters.simulated.wire import okx_words as words
from adapters.simulated.wire.base import Key, Reply, Request, Route, decimal, hmac_sha256, milliseconds, text
from adapters.simulated.wire.okx_desk import SWITCHES, Desk
from adapters.simulated.wire.okx_words import Denied, Rows, denial
from adapters.simulated.wire.okx_ws import OkxSession

UID = "44705892343619584"
_GLOBAL = frozenset({"www.okx.com", "openapi.okx.com"})
_REGIONAL = frozenset({"eea.okx.com", "my.okx.com", "us.okx.com"})
_SOCKETS = frozenset({"ws.okx.com:443", "ws.okx.com:8443", "ws.okx.com", "wspap.okx.com:443"})
_PATH = "/api/v5/"
_STALE_S = 30.0
_WALLETS = {"6": markets.FUNDING, "18": markets.TRADING}

# Calls, or rows of calls that carry many, in so many seconds: per user, those marked with * per instrument.
_LIMITS: dict[str, tuple[int, float]] = {
    "account/balance": (10, 2),
    "account/positions": (10, 2),
    "account/config": (5, 2),
    "account/bills": (5, 1),
    "account/bills-archive": (5, 2),
    "asset/balances": (6, 1),
    "asset/bills": (6, 1),
    "asset/currencies": (6, 1),
    "asset/deposit-history": (6, 1),
    "asset/withdrawal-history": (6, 1),
    "market/tickers": (20, 2),
    "public/instruments": (20, 2),
    "public/mark-price": (10, 2),
    "public/time": (10, 2),
    "sprd/orders-pending": (10, 2),
    "trade/orders-pending": (60, 2),
    "trade/orders-algo-pending": (20, 2),
    "trade/fills-history": (10, 2),
    "trade/cancel-order": (60, 2),
    "trade/cancel-batch-orders": (300, 2),
    "trade/cancel-algos": (20, 2),
    "trade/cancel-advance-algos": (20, 2),
    "trade/cancel-all-after": (1, 1),
}
_BY_INSTRUMENT = frozenset({name for name in _LIMITS if name.startswith("trade/cancel-") and name[-1] != "r"})

_Handler = Callable[[Request, dict[str, Any]], Any]


class OkxFace:
    """Answers okx's REST calls for an exchange.

    switches: what an account may choose and what the reference leaves open. acctLv 1 spot, 2 futures, 3 multi-currency,
    4 portfolio; environment: live or demo; limits: on, if calls are counted; connections: full, if a channel takes no
    more of them; notice: on, if sockets are told of an upgrade; the others are the desk's.
    """

    kind = "okx"
    hosts = _GLOBAL | _REGIONAL | _SOCKETS
    empty_envelope = b'{"code":"0","msg":"","data":[]}'
    key_errors: Mapping[str, str] = {"read_only_key": "50120", "revoked_key": "50119"}

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.switches = {
            **SWITCHES,
            "acctLv": "2",
            "posMode": "net_mode",
            "environment": "live",
            "limits": "off",
            "connections": "free",
            "notice": "off",
        }
        self.desk = Desk(exchange, self.switches)
        self._counted: dict[str, deque[tuple[float, int]]] = {}
        self._routes = self._table()

    def _table(self) -> dict[tuple[str, str], Route]:
        rows = (*self._account_table(), *self._order_table(), *self._bot_table(), *self._market_table())
        return {(method, _PATH + path): route for method, path, route in rows}

    def _account_table(self) -> list[tuple[str, str, Route]]:
        exchange = self.exchange
        archive, history = bills.ARCHIVE_S, 5 * 366 * 86_400.0
        return [
            _get("account/balance", Call.BALANCES, self._balance),
            _get("account/positions", Call.POSITIONS, self._positions),
            _get("account/config", Call.OTHER, self._config),
            _post("account/set-position-mode", Call.OTHER, self._set_mode),
            _get("account/bills", Call.LEDGER, lambda r, f: bills.trading_bills(exchange, f, r.wall, bills.BILLS_S)),
            _get("account/bills-archive", Call.LEDGER, lambda r, f: bills.trading_bills(exchange, f, r.wall, archive)),
            _get("asset/balances", Call.BALANCES, lambda _, f: account.funding_rows(exchange, _coins(f))),
            _get("asset/currencies", Call.MARKETS, lambda _, __: markets.currencies_json()),
            _get("asset/bills", Call.LEDGER, lambda r, f: bills.funding_bills(exchange, f, r.wall)),
            _get(
                "asset/bills-history",
                Call.LEDGER,
                lambda r, f: bills.funding_bills(exchange, f, r.wall, history, bills.HISTORY_LAG_S),
            ),
            _get("asset/deposit-history", Call.LEDGER, lambda r, f: bills.deposits(exchange, f, r.wall)),
            _get("asset/withdrawal-history", Call.LEDGER, lambda r, f: bills.withdrawals(exchange, f, r.wall)),
            _post("asset/transfer", Call.OTHER, self._transfer),
        ]

    def _order_table(self) -> list[tuple[str, str, Route]]:
        desk = self.desk
        return [
            _get("trade/orders-pending", Call.OPEN_ORDERS, lambda _, f: desk.pending(f)),
            _get("trade/orders-algo-pending", Call.OPEN_ORDERS, lambda _, f: desk.algo_pending(f)),
            _get("sprd/orders-pending", Call.OPEN_ORDERS, lambda _, f: desk.spreads(f)),
            _get("trade/order", Call.OTHER, lambda _, f: desk.find(f)),
            _get("trade/fills-history", Call.FILLS, lambda _, f: desk.fills(f)),
            _get("trade/order-algo", Call.OTHER, lambda _, f: desk.find_algo(f)),
            _post("trade/order", Call.PLACE, lambda r, f: desk.place(f, r.wall)),
            _post("trade/batch-orders", Call.PLACE, lambda r, _: desk.place(_sent(r), r.wall)),
            _post("trade/order-algo", Call.PLACE, lambda r, f: desk.place_algo(f, r.wall)),
            _post("trade/close-position", Call.PLACE, self._close),
            _post("trade/cancel-order", Call.CANCEL, lambda r, f: desk.cancel(f, r.wall)),
            _post("trade/cancel-batch-orders", Call.CANCEL, lambda r, _: desk.cancel(_sent(r), r.wall)),
            _post("trade/cancel-algos", Call.CANCEL, lambda r, _: desk.cancel_algos(_sent(r), r.wall)),
            _post("trade/cancel-advance-algos", Call.CANCEL, lambda r, _: desk.cancel_advanced(_sent(r), r.wall)),
            _post("trade/mass-cancel", Call.CANCEL, _mass_cancel),
            _post("trade/cancel-all-after", Call.DEAD_MAN, lambda r, f: desk.arm(f, r.wall)),
            _post("sprd/cancel-order", Call.CANCEL, lambda r, f: desk.cancel_spread(f, r.wall)),
            _post("sprd/mass-cancel", Call.CANCEL, lambda r, _: desk.cancel_spreads(r.wall)),
            _post("sprd/cancel-all-after", Call.DEAD_MAN, lambda r, f: desk.arm_spreads(f, r.wall)),
        ]

    def _bot_table(self) -> list[tuple[str, str, Route]]:
        rows = []
        words_of = {"dca": ("ongoing-list", "stop", "orders")}
        for family in bots.KINDS:
            listing, stop, inside = words_of.get(family, ("orders-algo-pending", "stop-order-algo", "sub-orders"))
            rows += [
                _get(f"tradingBot/{family}/{listing}", Call.OPEN_ORDERS, self._bots(family)),
                _get(f"tradingBot/{family}/{inside}", Call.OTHER, self._sub_orders(family)),
                _post(f"tradingBot/{family}/{stop}", Call.CANCEL, self._stop_bots(family)),
            ]
        return rows

    def _market_table(self) -> list[tuple[str, str, Route]]:
        exchange = self.exchange
        return [
            _get("public/instruments", Call.MARKETS, lambda _, f: prices.instruments(exchange, f), private=False),
            _get("public/time", Call.OTHER, lambda r, _: [{"ts": str(milliseconds(r.wall))}], private=False),
            _get("public/mark-price", Call.PRICES, lambda r, f: prices.marks(exchange, f, r.wall), private=False),
            _get("market/tickers", Call.PRICES, lambda r, f: prices.tickers(exchange, f, r.wall), private=False),
            _get("market/ticker", Call.PRICES, lambda r, f: prices.ticker(exchange, f, r.wall), private=False),
            _get("system/status", Call.OTHER, lambda _, __: [], private=False),
        ]

    def route(self, method: str, path: str) -> Route | None:
        return self._routes.get((method, path))

    def session(self, _: str, path: str = "") -> OkxSession:
        part = path.partition("?")[0].rpartition("/")[2]
        return OkxSession(self.exchange, self.key, self.desk, part, UID)

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its errors included."""
        if route is None:
            return Reply({"code": "404", "msg": "Not Found", "data": {}}, 404)
        if route.private and (refusal := self._refusal(request)) is not None:
            return refusal
        try:
            form = {} if request.body.startswith("[") else request.form()
            self.desk.attach(request.wall)
            if self.switches["limits"] == "on":
                self._count(request)
            result = route.handler(request, form)
        except ValueError:
            return denial("50002")
        except Denied as denied:
            return denial(denied.code, denied.detail)
        except Refused as refused:
            return denial(words.code_of(refused), str(refused))
        if isinstance(result, Rows):
            return Reply(result.body(request.wall))
        return Reply(result if isinstance(result, bytes) else {"code": "0", "msg": "", "data": result})

    def error(self, text: str, _: float) -> Reply:
        """text: a code, or a code and its sentence; other words are a system error's."""
        code = text.partition(" ")[0]
        if not code.isdigit():
            return Reply({"code": "50026", "msg": text, "data": []}, 500)
        reply = denial(code, at_the_gate=True)
        message = text[len(code) + 1 :]
        return Reply({"code": code, "msg": message}, reply.status) if message else reply

    # --- keys and limits -------------------------------------------------------------------------------

    def _refusal(self, request: Request) -> Reply | None:
        """Why the gateway refuses a private request, if it does."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        parts = {name: headers.get(f"ok-access-{name}", "") for name in ("key", "passphrase", "sign", "timestamp")}
        absent = {"key": "50103", "passphrase": "50104", "sign": "50106", "timestamp": "50107"}
        code = next((absent[name] for name, value in parts.items() if not value), None)
        code = code or self._doubt(parts, request, headers.get("x-simulated-trading") == "1")
        return None if code is None else denial(code, "203.0.113.7", at_the_gate=True)

    def _doubt(self, parts: Mapping[str, str], request: Request, is_demo: bool) -> str | None:
        if parts["key"] != self.key.api_key or request.host in _REGIONAL:
            return "50119"
        if is_demo != (self.switches["environment"] == "demo"):
            return "50101"
        if parts["passphrase"] != self.key.passphrase:
            return "50105"
        try:
            sent = datetime.fromisoformat(parts["timestamp"]).timestamp()
        except ValueError:
            return "50112"
        if abs(sent - request.wall) > _STALE_S:
            return "50102"
        if self.key.bound_to and "127.0.0.1" not in self.key.bound_to.split(","):
            return "50110"
        path = request.path + (f"?{request.query}" if request.query else "")
        digest = hmac_sha256(self.key.api_secret, parts["timestamp"] + request.method + path + request.body)
        return None if base64.b64encode(digest).decode() == parts["sign"] else "50113"

    def _count(self, request: Request) -> None:
        """Raise Denied if a call goes beyond what its path, or an instrument of it, may be asked."""
        path = request.path.removeprefix(_PATH)
        if path not in _LIMITS:
            return
        most, window_s = _LIMITS[path]
        for name, cost in _costs(path, request).items():
            counted = self._counted.setdefault(name, deque())
            while counted and counted[0][0] <= request.wall - window_s:
                counted.popleft()
            if sum(units for _, units in counted) + cost > most:
                raise Denied("50011")
            counted.append((request.wall, cost))

    # --- account ---------------------------------------------------------------------------------------

    def _balance(self, request: Request, form: dict[str, Any]) -> Any:
        return [account.balance(self.exchange, request.wall, _coins(form))]

    def _positions(self, request: Request, form: dict[str, Any]) -> Any:
        names = str(form["instId"]).split(",") if form.get("instId") else []
        if len(names) > 10:
            raise Denied("51000", "instId")
        rows = account.position_rows(self.exchange, request.wall)
        kinds = (form.get("instType"), "", None)
        return [row for row in rows if row["instId"] in (names or [row["instId"]]) and _is(row["instType"], kinds)]

    def _config(self, _: Request, __: dict[str, Any]) -> Any:
        granted = ["read_only", "withdraw", "trade"] if self.key.may_withdraw else ["read_only", "trade"]
        row = {
            "uid": UID,
            "mainUid": UID,
            "acctLv": self.switches["acctLv"],
            "posMode": self.switches["posMode"],
            "autoLoan": False,
            "ctIsoMode": "automatic",
            "mgnIsoMode": "automatic",
            "enableSpotBorrow": False,
            "greeksType": "PA",
            "ip": self.key.bound_to,
            "kycLv": "3",
            "label": "risk daemon",
            "level": "Lv1",
            "levelTmp": "",
            "liquidationGear": "-1",
            "opAuth": "0",
            "perm": ",".join(granted),
            "roleType": "0",
            "settleCcy": "USDT",
            "spotOffsetType": "",
            "spotRoleType": "0",
            "stpIp": "",
            "traderInsts": [],
            "type": "0",
        }
        return [row]

    def _set_mode(self, _: Request, form: dict[str, Any]) -> Any:
        if form.get("posMode") not in ("net_mode", "long_short_mode"):
            raise Denied("51000", "posMode")
        self.switches["posMode"] = form["posMode"]
        return [{"posMode": form["posMode"]}]

    def _transfer(self, request: Request, form: dict[str, Any]) -> Any:
        source, target = (_WALLETS.get(str(form.get(end))) for end in ("from", "to"))
        amount, coin = decimal(form, "amt"), str(form.get("ccy", ""))
        if source is None or target is None or amount is None or amount <= 0:
            raise Denied("51000", "from")
        if self.exchange.total(coin, source) < amount:
            raise Denied("51008", coin)
        self.exchange.transfer(coin, amount, request.wall, source=source, target=target)
        names = {"ccy": coin, "from": str(form["from"]), "to": str(form["to"])}
        return [names | {"transId": "754147", "clientId": "", "amt": text(amount)}]

    def _close(self, request: Request, form: dict[str, Any]) -> Any:
        """`trade/close-position`: at the market, the whole of it."""
        symbol = self.exchange.instrument(str(form.get("instId", ""))).symbol
        leg = str(form.get("posSide", "net")).replace("net", "")
        held = next((p for p in self.exchange.positions.values() if (p.symbol, p.side) == (symbol, leg)), None)
        if held is None or (form.get("mgnMode") == "isolated") != held.isolated:
            raise Denied("51023")
        side = "sell" if held.quantity > 0 else "buy"
        draft = OrderDraft(symbol, side, "market", abs(held.quantity), reduce_only=True, position_side=leg)
        self.exchange.place(draft, request.wall)
        return [{"instId": form["instId"], "posSide": leg or "net", "clOrdId": "", "tag": ""}]

    # --- bots ------------------------------------------------------------------------------------------

    def _bots(self, family: str) -> _Handler:
        return lambda _, form: bots.listed(self.exchange, family, form)

    def _sub_orders(self, family: str) -> _Handler:
        return lambda _, form: bots.sub_orders(self.exchange, family, form)

    def _stop_bots(self, family: str) -> _Handler:
        return lambda request, _: bots.stopped(self.exchange, family, _sent(request), request.wall)


def _get(path: str, call: Call, handler: _Handler, *, private: bool = True) -> tuple[str, str, Route]:
    return "GET", path, Route(call, handler, private)


def _post(path: str, call: Call, handler: _Handler) -> tuple[str, str, Route]:
    return "POST", path, Route(call, handler)


def _sent(request: Request) -> Any:
    """A body that may be an array. Raises ValueError if it is no JSON."""
    return json.loads(request.body)


def _mass_cancel(_: Request, __: dict[str, Any]) -> Any:
    """Options of market makers in portfolio margin alone: everybody else is told that."""
    raise Denied("51411")


def _coins(form: Mapping[str, Any]) -> list[str]:
    return str(form["ccy"]).split(",") if form.get("ccy") else []


def _is(kind: str, wanted: tuple[Any, ...]) -> bool:
    return wanted[0] in ("", None, kind)


def _costs(path: str, request: Request) -> dict[str, int]:
    """What a call counts, by what it is counted for."""
    if path not in _BY_INSTRUMENT:
        kind = str(request.form().get("instType", "")) if path == "public/instruments" else ""
        return {f"{path} {kind}": 1}
    rows = _sent(request)
    names = [str(row.get("instId")) for row in (rows if isinstance(rows, list) else [rows])]
    return {f"{path} {name}": names.count(name) for name in names}
