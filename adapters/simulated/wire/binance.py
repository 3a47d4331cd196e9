"""binance's REST face: spot, cross margin and isolated margin of one account.

Wire formats after binance-spot-api-docs (rest-api.md, errors.md) and developers.binance.com (margin, wallet,
sub-account, simple earn, algo trading). An order belongs to spot, to the cross account or to a pair's own; `DELETE
openOrders` reaches one symbol of one of them, with its order lists, and -2011 says that there was nothing. Margin
orders listed without a symbol are those of the cross account alone. Limit orders of Convert are a book apart (`convert`
to the admin face). A TWAP of the venue's own outlives every cancel
of its orders; it is listed and stopped in a book of its own. Futures have their empty market lists here and no more.

Guessed, since the documentation is silent: what bare margin listings weigh (as many calls as there are margin pairs),
that they hide isolated orders, and the refusal of an unknown algo order. Left out: portfolio margin, order amending,
cancel-replace, OTO placement (the admin face places such lists), SOR, prevented matches, the order count limits.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, Instrument, Refused
from adapters.simulated.wire import binance_flows as flows
from adapters.simulated.wire import binance_markets as markets
from adapters.simulated.wire import binance_orders as orders
from adapters.simulated.wire import binance_wallets as wallets
from adapters.simulated.wire.base import Key, Request, decimal, milliseconds, text
from adapters.simulated.wire.binance_common import BinanceFace, Endpoint, refusal, wanted, whole
from adapters.simulated.wire.binance_trading import Trading
from adapters.simulated.wire.binance_wallets import SpotAndMargin
from adapters.simulated.wire.binance_ws import MarketSession, UserSession

_TOKEN_LIFE_S = 86_400
_WS_API = frozenset({"ws-api.binance.com:443", "ws-api.binance.com"})
_STREAMS = frozenset({"stream.binance.com:9443", "stream.binance.com:443", "stream.binance.com"})


class SpotFace(BinanceFace):
    """Answers binance's calls of spot and margin for an exchange. is_master: of sub-accounts; else it is one itself."""

    kind = "binance"
    hosts = frozenset({"api.binance.com", "fapi.binance.com", "dapi.binance.com"}) | _WS_API | _STREAMS

    def __init__(self, exchange: SpotAndMargin, key: Key) -> None:
        self.account = exchange
        self.trading = Trading(exchange)
        self.is_master = False
        self.tokens: dict[str, tuple[float, str]] = {}
        self._numbers = itertools.count(1)
        super().__init__(exchange, key)

    def session(self, host: str, path: str = "", /) -> MarketSession | UserSession:
        if host in _WS_API:
            return UserSession(self.account, self.key, self.tokens, self.socket_answer)
        return MarketSession(self.account, path)

    def table(self) -> Mapping[tuple[str, str], Endpoint]:
        return _public(self) | _account(self) | _trading(self, margin=False) | _trading(self, margin=True)

    # --- market ----------------------------------------------------------------------------------------

    def exchange_info(self, request: Request, form: dict[str, Any]) -> bytes:
        return markets.exchange_info(self.named(form) or self.exchange.listed(), request.wall)

    def named(self, form: Mapping[str, Any]) -> list[Instrument]:
        """The pairs of `symbol` or `symbols`; none if neither is there. Raises Refused."""
        names = [str(form["symbol"])] if form.get("symbol") else json.loads(form.get("symbols") or "[]")
        found = [self.exchange.instrument(str(name)) for name in names]
        if any(pair.symbol in self.exchange.delisted for pair in found):
            raise Refused("unknown_symbol", "it is listed no longer")
        return found

    def quoted(self, form: Mapping[str, Any], row: Callable[[Instrument], dict[str, Any]]) -> Any:
        """One row for `symbol`, a list for anything else."""
        rows = [row(pair) for pair in self.named(form) or self.exchange.listed() if pair.symbol in self.exchange.quotes]
        return rows[0] if form.get("symbol") else rows

    def day(self, pair: Instrument, wall: float) -> dict[str, Any]:
        """A row of `ticker/24hr`."""
        last = text(self.exchange.quotes[pair.symbol].mark)
        names = ("weightedAvgPrice", "prevClosePrice", "lastPrice", "openPrice", "highPrice", "lowPrice")
        day = dict.fromkeys(names, last) | {"priceChange": "0", "priceChangePercent": "0.000"}
        volume = {"lastQty": "1.0", "volume": "100.0", "quoteVolume": text(100 * Decimal(last))}
        times = {"openTime": milliseconds(wall) - 86_400_000, "closeTime": milliseconds(wall)}
        return self.book(pair) | day | volume | times | {"firstId": 1, "lastId": 100, "count": 100}

    def book(self, pair: Instrument) -> dict[str, Any]:
        """A row of `ticker/bookTicker`."""
        quote = self.exchange.quotes[pair.symbol]
        return {
            "symbol": pair.wire_id,
            "bidPrice": text(quote.bid),
            "bidQty": "10.0",
            "askPrice": text(quote.ask),
            "askQty": "10.0",
        }

    # --- account ---------------------------------------------------------------------------------------

    def restrictions(self) -> dict[str, Any]:
        """What the key may do."""
        return {
            "ipRestrict": bool(self.key.bound_to),
            "createTime": 1623840271000,
            "enableReading": True,
            "enableWithdrawals": self.key.may_withdraw,
            "enableInternalTransfer": False,
            "enableMargin": True,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": True,
            "enablePortfolioMarginTrading": False,
        }

    def coins(self) -> list[dict[str, Any]]:
        wallet = self.exchange.wallets.get(wallets.SPOT, {})
        return [row | {"free": text(wallet[row["coin"]])} if row["coin"] in wallet else row for row in markets.coins()]

    def lend(self, request: Request, form: Mapping[str, Any]) -> dict[str, Any]:
        """Borrow or repay."""
        amount = decimal(form, "amount") or ZERO
        isolated = orders.is_isolated(form)
        wallet = wallets.ISOLATED + wanted(form, "symbol") if isolated else wallets.CROSS
        signed = amount if wanted(form, "type").upper() == "BORROW" else -amount
        self.exchange.borrow(wanted(form, "asset"), signed, request.wall, wallet=wallet)
        return {"tranId": flows.tran_id(self.exchange.ledger[-1])}

    def token(self, request: Request, form: Mapping[str, Any]) -> dict[str, Any]:
        """A listen token: which wallet's events it subscribes to, and until when."""
        isolated = orders.is_isolated(form)
        wallet = wallets.ISOLATED + wanted(form, "symbol") if isolated else wallets.CROSS
        life_ms = min(whole(form, "validity", _TOKEN_LIFE_S * 1000) or 0, _TOKEN_LIFE_S * 1000)
        token = f"simulated-listen-token-{next(self._numbers)}"
        self.tokens[token] = (request.wall + life_ms / 1000, wallet)
        return {"token": token, "expirationTime": milliseconds(request.wall) + life_ms}


# --- endpoints -----------------------------------------------------------------------------------------


def _public(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    def ticker(form: Mapping[str, Any]) -> int:
        count = len(json.loads(form.get("symbols") or "[]")) or (1 if form.get("symbol") else 1_000)
        return 2 if count <= 20 else 40 if count <= 100 else 80

    none: dict[str, Any] = {"timezone": "UTC", "rateLimits": [], "exchangeFilters": [], "assets": [], "symbols": []}
    api = "/api/v3/"
    return {
        ("GET", api + "ping"): Endpoint(Call.OTHER, lambda _, __: {}, False),
        ("GET", api + "time"): Endpoint(Call.OTHER, lambda r, _: {"serverTime": milliseconds(r.wall)}, False),
        ("GET", api + "exchangeInfo"): Endpoint(Call.MARKETS, face.exchange_info, False, 20),
        ("GET", api + "ticker/24hr"): Endpoint(
            Call.PRICES, lambda r, f: face.quoted(f, lambda pair: face.day(pair, r.wall)), False, ticker
        ),
        ("GET", api + "ticker/bookTicker"): Endpoint(Call.PRICES, lambda _, f: face.quoted(f, face.book), False, 4),
        ("GET", "/sapi/v1/system/status"): Endpoint(Call.OTHER, lambda _, __: {"status": 0, "msg": "normal"}, False),
        ("GET", "/fapi/v1/exchangeInfo"): Endpoint(Call.MARKETS, lambda _, __: none, False),
        ("GET", "/dapi/v1/exchangeInfo"): Endpoint(Call.MARKETS, lambda _, __: none, False),
    }


def _account(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    """Everything that is neither market nor order."""
    return {**_wallets(face), **_ledgers(face), **_of_masters(face), **_keys_and_lists(face), **_strategies(face)}


def _wallets(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    """What each of them holds."""
    exchange = face.exchange
    sapi, earn = "/sapi/v1/", "/sapi/v1/simple-earn/flexible/"
    balances: dict[tuple[str, str], Endpoint] = {
        ("GET", "/api/v3/account"): Endpoint(
            Call.BALANCES, lambda r, f: wallets.spot_account(exchange, f, r.wall), weight=20
        ),
        ("GET", sapi + "margin/account"): Endpoint(
            Call.BALANCES, lambda _, __: wallets.cross_account(exchange), weight=10
        ),
        ("GET", sapi + "margin/isolated/account"): Endpoint(
            Call.BALANCES, lambda _, f: wallets.isolated_account(exchange, f), weight=10
        ),
        ("POST", sapi + "asset/get-funding-asset"): Endpoint(Call.BALANCES, lambda _, f: wallets.funding(exchange, f)),
        ("GET", sapi + "asset/wallet/balance"): Endpoint(
            Call.BALANCES, lambda _, __: wallets.overview(exchange), weight=60
        ),
        ("GET", earn + "position"): Endpoint(
            Call.BALANCES, lambda _, f: wallets.earn_positions(exchange, f), weight=150
        ),
    }
    balances["GET", sapi + "simple-earn/locked/position"] = Endpoint(
        Call.BALANCES, lambda _, f: wallets.locked_positions(exchange, f), weight=150
    )
    return balances


def _ledger(
    face: SpotFace, told: Callable[..., Any], weight: int, *, by_user: bool = False, **options: bool
) -> Endpoint:
    def handler(request: Request, form: dict[str, Any]) -> Any:
        return told(face.exchange, form, request.wall, **options)

    return Endpoint(Call.LEDGER, handler, weight=weight, by_user=by_user)


def _ledgers(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    """Every way money moves, and how it is moved."""
    sapi, earn = "/sapi/v1/", "/sapi/v1/simple-earn/flexible/"
    ledgers: dict[str, tuple[Callable[..., Any], int]] = {
        "capital/deposit/hisrec": (flows.deposits, 1),
        "asset/assetDividend": (flows.dividends, 10),
        "asset/transfer": (flows.universal_transfers, 1),
        "margin/transfer": (flows.margin_transfers, 1),
        "margin/borrow-repay": (flows.loans, 10),
    }

    return {
        **{("GET", sapi + name): _ledger(face, told, weight) for name, (told, weight) in ledgers.items()},
        ("GET", sapi + "capital/withdraw/history"): _ledger(face, flows.withdrawals, 18_000, by_user=True),
        ("GET", earn + "history/subscriptionRecord"): _ledger(face, flows.earn_moves, 150, in_=True),
        ("GET", earn + "history/redemptionRecord"): _ledger(face, flows.earn_moves, 150, in_=False),
        ("POST", sapi + "asset/transfer"): Endpoint(
            Call.PLACE, lambda r, f: flows.move(face.exchange, f, r.wall), weight=300, by_user=True
        ),
        ("POST", sapi + "margin/borrow-repay"): Endpoint(Call.PLACE, face.lend, weight=1_500, by_user=True),
    }


def _of_masters(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    """What only a master account may ask, and what only a sub-account."""
    sub = "/sapi/v1/sub-account/"

    def only(allows: Callable[[], bool], endpoint: Endpoint) -> Endpoint:
        def handler(request: Request, form: dict[str, Any]) -> Any:
            if not allows():
                raise refusal(-2015, "Invalid API-key, IP, or permissions for action.")
            return endpoint.handler(request, form)

        return replace(endpoint, handler=handler)

    names = Endpoint(Call.OTHER, lambda _, __: {"subAccounts": [{"email": flows.SUB_EMAIL}]})
    return {
        ("GET", sub + "transfer/subUserHistory"): only(
            lambda: not face.is_master, _ledger(face, flows.sub_transfers, 1)
        ),
        ("GET", sub + "universalTransfer"): only(lambda: face.is_master, _ledger(face, flows.master_transfers, 1)),
        ("GET", sub + "list"): only(lambda: face.is_master, names),
    }


def _keys_and_lists(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    """What the key may do, coins, and the markets of margin."""
    sapi, listed = "/sapi/v1/", face.exchange.listed
    return {
        ("GET", sapi + "account/apiRestrictions"): Endpoint(Call.TOKEN, lambda _, __: face.restrictions()),
        ("GET", sapi + "capital/config/getall"): Endpoint(Call.MARKETS, lambda _, __: face.coins(), weight=10),
        ("GET", sapi + "margin/allPairs"): Endpoint(
            Call.MARKETS, lambda _, __: markets.margin_pairs(listed()), False, keyed=True
        ),
        ("GET", sapi + "margin/isolated/allPairs"): Endpoint(
            Call.MARKETS, lambda _, __: markets.margin_pairs(listed()), False, 10, keyed=True
        ),
        ("POST", sapi + "userListenToken"): Endpoint(Call.TOKEN, face.token, False, keyed=True),
    }


def _strategies(face: SpotFace) -> dict[tuple[str, str], Endpoint]:
    """Orders by which the venue places others, and conversions that wait."""
    sapi = "/sapi/v1/"
    return {
        ("GET", sapi + "algo/spot/openOrders"): Endpoint(Call.OPEN_ORDERS, lambda _, __: face.trading.algos()),
        ("DELETE", sapi + "algo/spot/order"): Endpoint(Call.CANCEL, face.trading.stop_algo),
        ("GET", sapi + "convert/limit/queryOpenOrders"): Endpoint(
            Call.OPEN_ORDERS, lambda _, __: face.trading.conversions(), weight=3_000, by_user=True
        ),
        ("POST", sapi + "convert/limit/cancelOrder"): Endpoint(
            Call.CANCEL, face.trading.cancel_conversion, weight=200, by_user=True
        ),
        ("POST", sapi + "algo/spot/newOrderTwap"): Endpoint(
            Call.PLACE, face.trading.start_twap, weight=3_000, by_user=True
        ),
    }


def _trading(face: SpotFace, *, margin: bool) -> dict[tuple[str, str], Endpoint]:
    """The endpoints of orders: of spot, or the same of margin."""
    base = "/sapi/v1/margin/" if margin else "/api/v3/"
    trading, pairs = face.trading, len(markets.margin_pairs(face.exchange.listed()))

    def listing(form: Mapping[str, Any]) -> int:
        if margin:
            return 10 if form.get("symbol") else pairs
        return 6 if form.get("symbol") else 80

    def acts(call: Call, act: Callable[..., Any], weight: int) -> Endpoint:
        """What succeeds is free on spot; on margin it costs, cancels by address, orders by user."""
        by_user = margin and call is Call.PLACE
        return Endpoint(call, lambda r, f: act(r, f, margin), weight=weight, is_free=not margin, by_user=by_user)

    def tells(call: Call, tell: Callable[..., Any], weight: int | Callable[[Mapping[str, Any]], int]) -> Endpoint:
        return Endpoint(call, lambda _, f: tell(f, margin), weight=weight)

    lists = Endpoint(Call.OPEN_ORDERS, lambda r, f: trading.open_lists(r, f, margin), weight=10 if margin else 6)
    return {
        ("GET", base + "openOrders"): tells(Call.OPEN_ORDERS, trading.open_orders, listing),
        ("GET", base + "order"): tells(Call.OPEN_ORDERS, trading.order, 10 if margin else 4),
        ("GET", base + "myTrades"): tells(Call.FILLS, trading.trades, 10 if margin else 20),
        ("GET", base + "openOrderList"): lists,
        ("POST", base + "order"): acts(Call.PLACE, trading.place, 6 if margin else 1),
        ("POST", base + ("order/oco" if margin else "orderList/oco")): acts(
            Call.PLACE, trading.place_oco, 6 if margin else 1
        ),
        ("DELETE", base + "order"): acts(Call.CANCEL, trading.cancel, 10 if margin else 1),
        ("DELETE", base + "openOrders"): acts(Call.CANCEL, trading.cancel_all, 1),
        ("DELETE", base + "orderList"): acts(Call.CANCEL, trading.cancel_list, 1),
    }
