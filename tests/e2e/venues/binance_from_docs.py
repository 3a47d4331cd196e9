"""Binance spot and USD-M futures on loopback, written from Binance's public API documentation alone.

It shares no code with the project. Original URLs are served below their host name
(`/fapi.binance.com/fapi/v1/premiumIndex`). Signed calls are checked: HMAC-SHA256 over query and body, as hex.
There is no matching engine and no stream. `GET /control` tells what was asked of which host.
`POST /control` takes `{"marks": {"BTCUSDT": 42000}}`, `{"position": {"BTCUSDT": {"amount": 0.02, "entry": 50000}}}`
and `{"listed": ["BTCUSDT", "DOGEUSDT"]}`, the spot pairs of the market list.
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import sys
import time
from collections import Counter
from typing import Any

from aiohttp import web

KEY, SECRET = "docs-key", "binance-as-its-documentation-has-it"
SPOT_HOST, FUTURES_HOST = "api.binance.com", "fapi.binance.com"
Json = dict[str, Any]

FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "1000000", "tickSize": "0.10"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
]


def precise(base: str) -> Json:
    quote = {"quoteAsset": "USDT", "quotePrecision": 8, "baseAssetPrecision": 8}
    return {"symbol": f"{base}USDT", "baseAsset": base, "status": "TRADING", "filters": FILTERS} | quote


class Account:
    """What the account holds, what is listed, and what was asked."""

    def __init__(self) -> None:
        self.prices = {"BTCUSDT": 50000.0, "DOGEUSDT": 0.1}
        self.marks = {"BTCUSDT": 50000.0}
        self.positions: Json = {"BTCUSDT": {"amount": 0.02, "entry": 50000.0}}
        self.spot = {"USDT": 5000.0, "BTC": 0.1}
        self.wallet = {"USDT": 10000.0}
        self.listed = ["BTCUSDT"]
        self.calls: Counter[str] = Counter()

    # spot

    def exchange_info(self, _: Json) -> Any:
        rows = [
            precise(pair.removesuffix("USDT"))
            | {"isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"]}
            for pair in self.listed
        ]
        return {"timezone": "UTC", "serverTime": int(time.time() * 1000), "rateLimits": [], "symbols": rows}

    def spot_account(self, _: Json) -> Any:
        rows = [
            {"asset": asset, "free": f"{amount:.8f}", "locked": "0.00000000"} for asset, amount in self.spot.items()
        ]
        return {
            "makerCommission": 10,
            "canTrade": True,
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
        }

    def spot_tickers(self, query: Json) -> Any:
        wanted = json.loads(query["symbols"]) if "symbols" in query else self.listed
        prices = {pair: self.prices[pair] for pair in wanted}
        return [
            {"symbol": pair, "bidPrice": f"{price * 0.9999:.8f}", "askPrice": f"{price * 1.0001:.8f}"}
            | {"lastPrice": f"{price:.8f}", "closeTime": int(time.time() * 1000)}
            for pair, price in prices.items()
        ]

    def spot_book(self, query: Json) -> Any:
        names = ("symbol", "bidPrice", "askPrice")
        rows = [{name: row[name] for name in names} for row in self.spot_tickers(query)]
        return [row | {"bidQty": "31.21000000", "askQty": "40.66000000"} for row in rows]

    def restrictions(self, _: Json) -> Any:
        may = {"enableReading": True, "enableSpotAndMarginTrading": True, "enableWithdrawals": False}
        more = {"enableInternalTransfer": False, "enableMargin": False, "enableFutures": False}
        return may | more | {"ipRestrict": True, "createTime": 1623840271000, "permitsUniversalTransfer": False}

    # USD-M futures

    def futures_info(self, _: Json) -> Any:
        row = precise("BTC") | {"pair": "BTCUSDT", "contractType": "PERPETUAL", "marginAsset": "USDT"}
        row |= {
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "pricePrecision": 2,
            "quantityPrecision": 3,
        }
        return {"timezone": "UTC", "serverTime": int(time.time() * 1000), "rateLimits": [], "symbols": [row]}

    def unrealized(self, pair: str) -> float:
        position = self.positions[pair]
        return float(position["amount"] * (self.marks[pair] - position["entry"]))

    def futures_account(self, _: Json) -> Any:
        profit = sum(map(self.unrealized, self.positions))
        rows = [
            {"asset": asset, "walletBalance": f"{amount:.8f}", "unrealizedProfit": f"{profit:.8f}"}
            | {"marginBalance": f"{amount + profit:.8f}", "availableBalance": f"{amount:.8f}", "maintMargin": "0"}
            | {"initialMargin": "0", "crossWalletBalance": f"{amount:.8f}", "updateTime": 0}
            for asset, amount in self.wallet.items()
        ]
        return {"totalWalletBalance": f"{sum(self.wallet.values()):.8f}", "assets": rows, "positions": []}

    def futures_balance(self, _: Json) -> Any:
        return [
            {"accountAlias": "SgsR", "asset": asset, "balance": f"{amount:.8f}", "crossWalletBalance": f"{amount:.8f}"}
            | {"crossUnPnl": "0.00000000", "availableBalance": f"{amount:.8f}", "maxWithdrawAmount": f"{amount:.8f}"}
            | {"marginAvailable": True, "updateTime": 1617939110373}
            for asset, amount in self.wallet.items()
        ]

    def asset_index(self, _: Json) -> Any:
        return [{"symbol": "USDTUSD", "time": int(time.time() * 1000), "index": "1.00000000"}]

    def position_risk(self, _: Json) -> Any:
        return [
            {"symbol": pair, "positionSide": "BOTH", "positionAmt": str(row["amount"]), "entryPrice": str(row["entry"])}
            | {"breakEvenPrice": str(row["entry"]), "markPrice": str(self.marks[pair]), "liquidationPrice": "0"}
            | {"unRealizedProfit": str(self.unrealized(pair)), "notional": str(row["amount"] * self.marks[pair])}
            | {"marginAsset": "USDT", "isolatedMargin": "0", "isolatedWallet": "0", "initialMargin": "0", "adl": 1}
            | {"maintMargin": "0", "positionInitialMargin": "0", "openOrderInitialMargin": "0", "updateTime": 1}
            for pair, row in self.positions.items()
            if row["amount"]
        ]

    def premium_index(self, query: Json) -> Any:
        rows = [
            {"symbol": pair, "markPrice": f"{mark:.8f}", "indexPrice": f"{mark:.8f}", "time": int(time.time() * 1000)}
            | {"estimatedSettlePrice": f"{mark:.8f}", "lastFundingRate": "0.0001", "interestRate": "0.0001"}
            | {"nextFundingTime": 4133404800000}
            for pair, mark in self.marks.items()
        ]
        return rows if "symbol" not in query else next(row for row in rows if row["symbol"] == query["symbol"])

    def futures_tickers(self, _: Json) -> Any:
        """No bid, no ask and no mark: this is what the documentation shows."""
        return [
            {"symbol": pair, "lastPrice": f"{mark:.2f}", "openPrice": f"{mark:.2f}", "volume": "1", "quoteVolume": "1"}
            | {"priceChange": "0", "priceChangePercent": "0", "weightedAvgPrice": f"{mark:.2f}", "lastQty": "1"}
            | {"highPrice": f"{mark:.2f}", "lowPrice": f"{mark:.2f}", "openTime": 0, "closeTime": 1, "count": 1}
            for pair, mark in self.marks.items()
        ]

    def brackets(self, _: Json) -> Any:
        bracket = {"bracket": 1, "initialLeverage": 125, "notionalCap": 50000, "notionalFloor": 0}
        return [{"symbol": "BTCUSDT", "brackets": [bracket | {"maintMarginRatio": 0.004, "cum": 0.0}]}]


NOTHING_PAGED = {"rows": [], "total": 0}
NO_ISOLATED = {"assets": [], "totalAssetOfBtc": "0", "totalLiabilityOfBtc": "0", "totalNetAssetOfBtc": "0"}
PUBLIC = {
    f"{SPOT_HOST}/api/v3/time": lambda _, query: {"serverTime": int(time.time() * 1000)},
    f"{SPOT_HOST}/api/v3/ticker/bookTicker": Account.spot_book,
    f"{SPOT_HOST}/api/v3/exchangeInfo": Account.exchange_info,
    f"{SPOT_HOST}/api/v3/ticker/24hr": Account.spot_tickers,
    f"{FUTURES_HOST}/fapi/v1/exchangeInfo": Account.futures_info,
    f"{FUTURES_HOST}/fapi/v1/time": lambda _, query: {"serverTime": int(time.time() * 1000)},
    f"{FUTURES_HOST}/fapi/v1/premiumIndex": Account.premium_index,
    f"{FUTURES_HOST}/fapi/v1/assetIndex": Account.asset_index,
    f"{FUTURES_HOST}/fapi/v1/ticker/24hr": Account.futures_tickers,
}
SIGNED = {
    f"{SPOT_HOST}/api/v3/account": Account.spot_account,
    f"{SPOT_HOST}/api/v3/openOrders": lambda _, query: [],
    f"{SPOT_HOST}/sapi/v1/capital/deposit/hisrec": lambda _, query: [],
    f"{SPOT_HOST}/sapi/v1/capital/withdraw/history": lambda _, query: [],
    f"{SPOT_HOST}/sapi/v1/account/apiRestrictions": Account.restrictions,
    f"{SPOT_HOST}/sapi/v1/algo/spot/openOrders": lambda _, query: {"total": 0, "orders": []},
    f"{SPOT_HOST}/sapi/v1/convert/limit/queryOpenOrders": lambda _, query: {"list": []},
    f"{SPOT_HOST}/sapi/v1/asset/get-funding-asset": lambda _, query: [],
    f"{SPOT_HOST}/sapi/v1/simple-earn/flexible/position": lambda _, query: NOTHING_PAGED,
    f"{SPOT_HOST}/sapi/v1/simple-earn/locked/position": lambda _, query: NOTHING_PAGED,
    f"{SPOT_HOST}/sapi/v1/margin/isolated/account": lambda _, query: NO_ISOLATED,
    f"{SPOT_HOST}/sapi/v1/asset/transfer": lambda _, query: NOTHING_PAGED,
    f"{SPOT_HOST}/sapi/v1/asset/assetDividend": lambda _, query: NOTHING_PAGED,
    f"{SPOT_HOST}/sapi/v1/sub-account/transfer/subUserHistory": lambda _, query: [],
    f"{FUTURES_HOST}/fapi/v2/account": Account.futures_account,
    f"{FUTURES_HOST}/fapi/v3/account": Account.futures_account,
    f"{FUTURES_HOST}/fapi/v2/positionRisk": Account.position_risk,
    f"{FUTURES_HOST}/fapi/v3/positionRisk": Account.position_risk,
    f"{FUTURES_HOST}/fapi/v1/leverageBracket": Account.brackets,
    f"{FUTURES_HOST}/fapi/v1/openOrders": lambda _, query: [],
    f"{FUTURES_HOST}/fapi/v1/openAlgoOrders": lambda _, query: [],
    f"{FUTURES_HOST}/fapi/v3/balance": Account.futures_balance,
    f"{FUTURES_HOST}/fapi/v1/income": lambda _, query: [],
    f"{SPOT_HOST}/sapi/v1/algo/futures/openOrders": lambda _, query: {"total": 0, "orders": []},
}


class Server:
    """The HTTP face."""

    def __init__(self) -> None:
        self.account = Account()
        self.app = web.Application()
        self.app.router.add_route("*", "/control", self.control)
        self.app.router.add_route("*", "/{path:.*}", self.serve)

    async def serve(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.account.calls[path] += 1
        if path in PUBLIC:
            return web.json_response(PUBLIC[path](self.account, dict(request.query)))
        if path not in SIGNED:
            return web.json_response({"code": -1121, "msg": "no such address"}, status=404)
        payload = request.rel_url.raw_query_string + await request.text()
        signed, _, signature = payload.rpartition("&signature=")
        expected = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if request.headers.get("X-MBX-APIKEY") != KEY or not hmac.compare_digest(signature, expected):
            return web.json_response({"code": -1022, "msg": "Signature for this request is not valid."}, status=400)
        return web.json_response(SIGNED[path](self.account, dict(request.query)))

    async def control(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            command = await request.json()
            self.account.marks |= command.get("marks", {})
            self.account.positions |= command.get("position", {})
            self.account.spot |= command.get("spot", {})
            self.account.listed = command.get("listed", self.account.listed)
        return web.json_response({"calls": self.account.calls})


async def serve(port: int) -> None:
    """Says the port really bound in one JSON line, then serves until it is ended."""
    runner = web.AppRunner(Server().app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
