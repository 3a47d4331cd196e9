"""bybit's face, version 5, unified account: spot, linear contracts settled in USDT and USDC, inverse ones.

Wire formats after the venue's documentation (bybit-exchange.github.io/docs/v5, sources in bybit-exchange/docs):
introduction and authentication, error codes, rate limits, market (instruments, tickers), order (create, cancel,
cancel-all, batch-cancel, open-order, dcp), spread trade, strategy, position, account (wallet balance, transaction
log, dcp info), asset (coins, deposits, withdrawals, transfers, funding history), user (API key), websocket
(public, private, trade). Every reply is `{"retCode", "retMsg", "result", "retExtInfo", "time"}` with status 200,
errors included.

Where they are silent, the harder case is taken: acknowledged cancels of all contracts are done a moment later,
batches reach plain orders on spot only, the orders of strategies and bots show in listings and fall like others,
disconnection protection spares conditional orders, a `wallet` frame has only the coins that changed.

Left out: options (listed as empty), attached take profits, trailing stops and amending over the API,
order history, strategies that are paused or have ended, portfolio margin, sub-accounts, `success` "0" (a fault can
say it), deposits that are rolled back, order ids of digits on spot.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import Refused
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Key, Reply, Request, Route, Session, hmac_sha256, milliseconds
from adapters.simulated.wire.bybit_account import MEMBER, Account
from adapters.simulated.wire.bybit_dcp import Dcp
from adapters.simulated.wire.bybit_flows import Flows
from adapters.simulated.wire.bybit_limits import Limits
from adapters.simulated.wire.bybit_orders import Orders
from adapters.simulated.wire.bybit_prices import Prices
from adapters.simulated.wire.bybit_strategies import Strategies
from adapters.simulated.wire.bybit_words import MESSAGES, Outcome, code_of, envelope, failure
from adapters.simulated.wire.bybit_ws import PrivateSession, PublicSession, TradeSession

_CHANGES = frozenset({Call.PLACE, Call.CANCEL, Call.DEAD_MAN})
_COUNTS_ITSELF = "/v5/order/cancel-batch"
_TOO_FREQUENT = Reply(b"access too frequent", 403, (("Content-Type", "text/plain"),))


class BybitFace:
    """Answers bybit's REST calls for an exchange."""

    kind = "bybit"
    hosts = frozenset({"api.bybit.com", "stream.bybit.com"})
    empty_envelope = b'{"retCode":0,"retMsg":"OK","result":{},"retExtInfo":{},"time":1767225600000}'
    key_errors: Mapping[str, str] = {
        "read_only_key": f"10005 {MESSAGES[10005]}",
        "revoked_key": f"10003 {MESSAGES[10003]}",
    }

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.limits = Limits()
        self.orders = Orders(exchange, self.limits)
        self.account = Account(exchange)
        self.dcp = Dcp(exchange)
        self._sockets = itertools.count(1)
        self._routes = self._own_routes()
        for part in (self.orders, self.account, self.dcp, Flows(exchange), Prices(exchange), Strategies(exchange)):
            self._routes |= part.routes()

    def _own_routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v5/market/time"): Route(Call.OTHER, _time, False),
            ("GET", "/v5/system/status"): Route(Call.OTHER, lambda _, __: {"list": []}, False),
            ("GET", "/v5/market/instruments-info"): Route(Call.MARKETS, self._instruments, False),
            ("GET", "/v5/asset/coin/query-info"): Route(Call.MARKETS, self._coins),
            ("GET", "/v5/user/query-api"): Route(Call.OTHER, self._key_info),
            ("GET", "/v5/account/info"): Route(Call.OTHER, _account_info),
        }

    def route(self, method: str, path: str) -> Route | None:
        return self._routes.get((method, path))

    def session(self, _: str, path: str = "", /) -> Session:
        """`/v5/private`, `/v5/trade`, or `/v5/public/` and a category: one host has them all."""
        name, number = path.partition("?")[0].removeprefix("/v5/"), next(self._sockets)
        if name == "private":
            return PrivateSession(self.key, self.orders, self.account, self.dcp, number)
        if name == "trade":
            return TradeSession(self.key, self.orders, number)
        return PublicSession(self.exchange, name.removeprefix("public/"), number)

    # --- answers ---------------------------------------------------------------------------------------

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its errors included; and to a signed one, how far its limit is used."""
        if self.limits.bans(request.wall):
            return _TOO_FREQUENT
        if route is None:
            return Reply(failure(10017, request.wall, "Route not found."), 404)
        if not route.private:
            return Reply(self._body(route, request, request.form()))
        if (refusal := self._refusal(route, request)) is not None:
            return refusal
        form = request.form()
        counted = 0 if request.path == _COUNTS_ITSELF else 1
        is_over = self.limits.take(request.path, form, counted, request.wall) < counted or not self._admits(request)
        body = failure(10006, request.wall) if is_over else self._body(route, request, form)
        return Reply(body, headers=self.limits.headers(request.path, form, request.wall, is_over=is_over))

    def _body(self, route: Route, request: Request, form: dict[str, Any]) -> bytes:
        try:
            return envelope(route.handler(request, form), request.wall)
        except Refused as error:
            code = code_of(error, is_spot=form.get("category") == "spot")
            return failure(code, request.wall, str(error) if error.code.isdigit() else None)

    def error(self, text: str, wall: float) -> bytes:
        """Of `10016 System error.` the number is the code; without one it is 10001."""
        found = re.match(r"(\d+)\s*(.*)", text)
        return failure(10001, wall, text) if found is None else failure(int(found[1]), wall, found[2] or None)

    def _admits(self, request: Request) -> bool:
        return self.key.counter is None or self.key.counter.admits(1.0, request.wall)

    def _refusal(self, route: Route, request: Request) -> Reply | None:
        """Why a private request is refused, if it is: headers, time, key, signature, permission."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        names = ("x-bapi-api-key", "x-bapi-timestamp", "x-bapi-sign")
        api_key, stamp, signature = (headers.get(name, "") for name in names)
        received = headers.get("x-bapi-recv-window") or "5000"
        if not api_key or not signature or not stamp.isdigit() or not received.isdigit():
            return Reply(b"", 401)
        now = milliseconds(request.wall)
        if not now - int(received) <= int(stamp) < now + 1000:
            said = "invalid request, please check your server timestamp or recv_window param."
            said += f" req_timestamp[{stamp}],server_timestamp[{now}],recv_window[{received}]"
            return Reply(failure(10002, request.wall, said))
        if api_key != self.key.api_key:
            return Reply(failure(10003, request.wall))
        payload = request.body if request.method == "POST" else request.query
        signed = f"{stamp}{api_key}{received}{payload}"
        if hmac_sha256(self.key.api_secret, signed).hex() != signature:
            said = f"error sign! origin_string[{signed}]"
            return Reply(failure(10004, request.wall, said))
        is_barred = self.key.read_only and route.call in _CHANGES
        return Reply(failure(10005, request.wall)) if is_barred else None

    # --- market, key, account --------------------------------------------------------------------------

    def _instruments(self, _: Request, form: dict[str, Any]) -> bytes:
        return markets.instruments_info(self.exchange, form)

    def _coins(self, _: Request, form: dict[str, Any]) -> Any:
        wanted = form.get("coin")
        return {"rows": [_coin(code) for code in self.exchange.asset_prices if wanted in (None, "", code)]}

    def _key_info(self, _: Request, __: dict[str, Any]) -> Any:
        """Whatever it may do, a key may ask this."""
        wallet = ["AccountTransfer", "SubMemberTransfer"] + (["Withdraw"] if self.key.may_withdraw else [])
        is_bound = bool(self.key.bound_to)
        told = {
            "id": "2208369",
            "note": "simulated",
            "apiKey": self.key.api_key,
            "readOnly": int(self.key.read_only),
            "secret": "",
            "permissions": {**_PERMISSIONS, "Wallet": wallet},
            "ips": [self.key.bound_to] if is_bound else ["*"],
            "type": 1,
            "deadlineDay": -2 if is_bound else 83,
            "expiredAt": "1970-01-01T00:00:00Z" if is_bound else "2031-01-01T00:00:00Z",
            "createdAt": "2025-10-13T03:20:45Z",
            "unified": 0,
            "uta": 1,
            "userID": int(MEMBER),
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "rsaPublicKey": "",
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_DEFAULT",
            "kycRegion": "",
        }
        return Outcome(told, "")


_PERMISSIONS: Mapping[str, list[str]] = {
    "ContractTrade": ["Order", "Position"],
    "Spot": ["SpotTrade"],
    "Wallet": [],
    "Options": ["OptionsTrade"],
    "Derivatives": ["DerivativesTrade"],
    "CopyTrading": [],
    "BlockTrade": [],
    "Exchange": ["ExchangeHistory"],
    "NFT": [],
    "Affiliate": [],
    "Earn": [],
    "FiatP2P": [],
}


def _time(request: Request, _: dict[str, Any]) -> Any:
    return {"timeSecond": str(int(request.wall)), "timeNano": str(int(request.wall * 1e9))}


def _account_info(_: Request, __: dict[str, Any]) -> Any:
    """What it says of disconnection protection has no meaning any more."""
    return {
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": "1697078946000",
        "unifiedMarginStatus": 6,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
    }


def _coin(code: str) -> dict[str, Any]:
    chain = {
        "chain": code,
        "chainType": code,
        "confirmation": "1",
        "withdrawFee": "0.0005",
        "depositMin": "0.0005",
        "withdrawMin": "0.001",
        "chainDeposit": "1",
        "chainWithdraw": "1",
        "minAccuracy": "8",
        "withdrawPercentageFee": "0",
    }
    return {"name": code, "coin": code, "remainAmount": "1000000", "chains": [chain]}
