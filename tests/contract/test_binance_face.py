"""The simulated binance against the unmodified ccxt client: spot, margin, flows, weights, streams."""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ccxt
import pytest
import pytest_asyncio
from venue_process import Sim, client_of, until, until_subscribed, within

from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer

# Closing a client takes ccxt a quarter of a second: one loop for all lets them be closed at once.
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

BUY = {"symbol": "BTC/USDT", "side": "buy", "quantity": "0.01", "price": "50000"}
SELL = {"symbol": "BTC/USDT", "side": "sell", "quantity": "0.01", "price": "70000"}
STOP = {"symbol": "BTC/USDT", "side": "sell", "type": "stop", "quantity": "0.01", "trigger_price": "45000"}
CROSS = {"leveraged": True}
ISOLATED = {"leveraged": True, "isolated": True}
DAY_S = 86_400


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_client() -> AsyncIterator[Any]:
    """A client for all: to make one and to load its markets takes longer than most tests."""
    server = VenueServer("binance")
    await server.start()
    client = client_of("binance", server.endpoint)
    client.options["fetchOpenOrders"]["warnWithoutSymbol"] = False
    await client.load_markets()
    await server.stop()
    yield client
    await client.close()


@pytest_asyncio.fixture(loop_scope="module")
async def sim(http: aiohttp.ClientSession, one_client: Any) -> AsyncIterator[Sim]:
    server = VenueServer("binance", idle_s=0.05)
    await server.start()
    one_client.urls["api"] = moved(one_client.urls["api"], server.endpoint)
    yield Sim(server, http, one_client)
    await server.stop()


def moved(urls: Any, endpoint: str) -> Any:
    """The addresses of a client at another server."""
    if isinstance(urls, dict):
        return {name: moved(inner, endpoint) for name, inner in urls.items()}
    return re.sub(r"//127.0.0.1:\d+", endpoint.removeprefix("http:"), urls)


def ids(orders: list[dict[str, Any]]) -> list[str]:
    return sorted(order["id"] for order in orders)


def amounts(balance: dict[str, Any]) -> dict[str, float]:
    return {asset: total for asset, total in balance["total"].items() if total}


async def ask(sim: Sim, method: str, path: str, query: str = "", **headers: str) -> tuple[int, Any, Any]:
    """A request as it is written: its status, its headers, its body."""
    url = f"{sim.server.endpoint}/api.binance.com{path}" + (f"?{query}" if query else "")
    async with sim.http.request(method, url, headers=headers) as reply:
        return reply.status, reply.headers, json.loads(await reply.text())


def signed(sim: Sim, query: str = "", *, secret: str = API_SECRET, at: float | None = None) -> str:
    stamp = int((sim.server._now() if at is None else at) * 1000)
    query = f"{query}&timestamp={stamp}" if query else f"timestamp={stamp}"
    return f"{query}&signature={hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"


# --- markets -------------------------------------------------------------------------------------------


async def test_market_list_has_its_real_size(sim: Sim) -> None:
    markets = sim.client.markets
    assert 1700 <= len(markets) <= 1800
    assert len(sim.client.currencies) >= 530
    assert (markets["BTC/USDT"]["id"], markets["BTC/USDT"]["spot"]) == ("BTCUSDT", True)
    assert markets["BTC/USDT"]["marginModes"] == {"cross": True, "isolated": True}
    assert markets["OLD001/USDT"]["active"] is False


async def test_a_delisted_pair_vanishes_and_its_order_rests_on(sim: Sim) -> None:
    order_id = (await sim.post("order", **BUY | {"symbol": "ETH/USDT"}))["order_id"]
    await sim.post("delist", symbol="ETH/USDT")
    rows = (await sim.client.publicGetExchangeInfo())["symbols"]
    assert "ETHUSDT" not in {row["symbol"] for row in rows}
    assert "ETHUSDT" not in {row["symbol"] for row in await sim.client.sapiGetMarginAllPairs()}
    with pytest.raises(ccxt.BadSymbol):
        await sim.client.fetch_tickers(["ETH/USDT"])
    assert ids(await sim.client.fetch_open_orders()) == [order_id]
    known = sim.client.markets
    sim.client.set_markets([])
    try:
        (unknown,) = await sim.client.fetch_open_orders()
        with pytest.raises(ccxt.BadSymbol):
            await sim.client.cancel_all_orders(unknown["symbol"])
    finally:
        sim.client.set_markets(known)
    await sim.client.privateDeleteOpenOrders({"symbol": "ETHUSDT"})
    assert await sim.client.fetch_open_orders() == []


async def test_tickers_of_some_and_of_all(sim: Sim) -> None:
    await sim.post("price", symbol="BTC/USDT", price="42000")
    ticker = (await sim.client.fetch_tickers(["BTC/USDT", "ETH/USDT"]))["BTC/USDT"]
    assert ticker["bid"] < 42000 < ticker["ask"]
    assert len(await sim.client.fetch_tickers()) == 1727
    assert (await sim.client.fetch_bids_asks(["BTC/USDT"]))["BTC/USDT"]["bid"] < 42000
    assert (await ask(sim, "GET", "/api/v3/ticker/24hr", "symbol=NOPE"))[2]["code"] == -1121


# --- wallets -------------------------------------------------------------------------------------------


async def test_each_wallet_is_read_by_itself(sim: Sim) -> None:
    await sim.post("balance", asset="BTC", amount="2", wallet="cross")
    await sim.post("debt", asset="USDT", amount="700", wallet="cross")
    await sim.post("balance", asset="ETH", amount="3", wallet="isolated:ETHUSDT")
    await sim.post("balance", asset="BNB", amount="4", wallet="funding")
    assert amounts(await sim.client.fetch_balance({"omitZeroBalances": True})) == {"USDT": 5000}
    cross = await sim.client.fetch_balance({"marginMode": "cross"})
    assert amounts(cross) == {"BTC": 2, "USDT": 700}
    assert cross["debt"]["USDT"] == 700
    assert amounts(await sim.client.fetch_balance({"marginMode": "isolated"})) == {"ETH": 3}
    assert amounts(await sim.client.fetch_balance({"type": "funding"})) == {"BNB": 4}
    pair = (await sim.client.sapiGetMarginIsolatedAccount({"symbols": "ETHUSDT"}))["assets"][0]
    assert (pair["symbol"], pair["baseAsset"]["free"]) == ("ETHUSDT", "3.00000000")
    worth = {row["walletName"]: float(row["balance"]) for row in await sim.client.sapiGetAssetWalletBalance()}
    assert worth["Cross Margin"] == 2
    assert worth["Isolated Margin"] == 0.15
    assert worth["Copy Trading"] == 0


async def test_earn_stands_in_the_spot_account_under_another_name(sim: Sim) -> None:
    await sim.post("transfer", asset="USDT", amount="1000", source="spot", target="earn")
    assert amounts(await sim.client.fetch_balance()) == {"USDT": 4000, "LDUSDT": 1000}
    (position,) = (await sim.client.sapiGetSimpleEarnFlexiblePosition())["rows"]
    assert (position["asset"], position["totalAmount"]) == ("USDT", "1000.00000000")
    subscribed = await sim.client.sapiGetSimpleEarnFlexibleHistorySubscriptionRecord()
    assert [row["amount"] for row in subscribed["rows"]] == ["1000.00000000"]


async def test_orders_hold_what_they_would_give_in_their_own_wallet(sim: Sim) -> None:
    await sim.post("balance", asset="USDT", amount="900", wallet="cross")
    await sim.post("order", **BUY)
    await sim.post("order", **BUY, **CROSS)
    assert (await sim.client.fetch_balance())["USDT"] == {"free": 4500, "used": 500, "total": 5000}
    cross = (await sim.client.fetch_balance({"marginMode": "cross"}))["USDT"]
    assert (cross["free"], cross["used"]) == (400, 500)


# --- orders --------------------------------------------------------------------------------------------


async def test_every_account_lists_its_own_orders(sim: Sim) -> None:
    spot = (await sim.post("order", **BUY))["order_id"]
    stop = (await sim.post("order", **STOP))["order_id"]
    cross = (await sim.post("order", **BUY, **CROSS))["order_id"]
    isolated = (await sim.post("order", **BUY, **ISOLATED))["order_id"]
    assert ids(await sim.client.fetch_open_orders()) == [spot, stop]
    assert ids(await sim.client.fetch_open_orders(params={"marginMode": "cross"})) == [cross]
    found = await sim.client.fetch_open_orders("BTC/USDT", params={"marginMode": "isolated"})
    assert ids(found) == [isolated]
    assert await sim.client.fetch_open_orders("ETH/USDT", params={"marginMode": "isolated"}) == []
    with pytest.raises(ccxt.BadRequest, match="-1102"):
        await sim.client.sapiGetMarginOpenOrders({"isIsolated": "TRUE"})


async def test_a_cancel_of_all_reaches_one_symbol_of_one_account(sim: Sim) -> None:
    await sim.post("order", **BUY)
    await sim.post("order", **STOP)
    other = (await sim.post("order", **BUY | {"symbol": "ETH/USDT"}))["order_id"]
    await sim.post("order", **BUY, **CROSS)
    await sim.post("order", **BUY, **ISOLATED)
    assert len(await sim.client.cancel_all_orders("BTC/USDT")) == 2
    assert ids(await sim.client.fetch_open_orders()) == [other]
    assert len(await sim.client.cancel_all_orders("BTC/USDT", {"marginMode": "cross"})) == 1
    assert (await sim.state())["open_order_count"] == 2
    assert len(await sim.client.cancel_all_orders("BTC/USDT", {"marginMode": "isolated"})) == 1
    for params in ({}, {"marginMode": "cross"}, {"marginMode": "isolated"}):
        with pytest.raises(ccxt.OrderNotFound, match="-2011"):
            await sim.client.cancel_all_orders("BTC/USDT", params)


async def test_one_order_is_cancelled_by_its_symbol_and_either_id(sim: Sim) -> None:
    first = (await sim.post("order", **BUY))["order_id"]
    await sim.post("order", **BUY, client_order_id="mine")
    third = (await sim.post("order", **BUY, **CROSS))["order_id"]
    with pytest.raises(ccxt.OrderNotFound):
        await sim.client.cancel_order(first, "ETH/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        await sim.client.cancel_order(third, "BTC/USDT")
    gone = await sim.client.cancel_order(first, "BTC/USDT")
    assert (gone["status"], gone["info"]["origClientOrderId"]) == ("canceled", f"sim{first}")
    assert (await sim.client.cancel_order("", "BTC/USDT", {"clientOrderId": "mine"}))["status"] == "canceled"
    assert (await sim.client.cancel_order(third, "BTC/USDT", {"marginMode": "cross"}))["id"] == third
    assert (await sim.client.fetch_order(first, "BTC/USDT"))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await sim.client.fetch_order("7", "BTC/USDT")


async def test_orders_are_placed_rested_and_filled(sim: Sim) -> None:
    resting = await sim.client.create_order("BTC/USDT", "limit", "buy", 0.01, 40000, {"clientOrderId": "mine-1"})
    assert (resting["status"], resting["clientOrderId"]) == ("open", "mine-1")
    bought = await sim.client.create_order("BTC/USDT", "market", "buy", 0.05)
    assert (bought["status"], bought["filled"]) == ("closed", 0.05)
    stop = await sim.client.create_order("BTC/USDT", "market", "sell", 0.05, None, {"stopLossPrice": 30000})
    listed = {order["id"]: order for order in await sim.client.fetch_open_orders()}
    assert listed[stop["id"]]["triggerPrice"] == 30000
    assert len(listed) == 2
    (trade,) = await sim.client.fetch_my_trades("BTC/USDT")
    assert (trade["side"], trade["amount"], trade["price"]) == ("buy", 0.05, 60003)
    with pytest.raises(ccxt.InsufficientFunds):
        await sim.client.create_order("BTC/USDT", "limit", "buy", 1, 40000)


async def test_a_margin_order_borrows_what_it_lacks(sim: Sim) -> None:
    await sim.post("balance", asset="USDT", amount="100", wallet="cross")
    params = {"marginMode": "cross", "sideEffectType": "AUTO_BORROW_REPAY"}
    await sim.client.create_order("BTC/USDT", "limit", "buy", 0.01, 61000, params)
    cross = await sim.client.fetch_balance({"marginMode": "cross"})
    assert cross["debt"]["USDT"] == 510
    assert cross["BTC"]["total"] == 0.01
    with pytest.raises(ccxt.InsufficientFunds):
        await sim.client.create_order("BTC/USDT", "limit", "buy", 1, 61000, {"marginMode": "cross"})
    loans = await sim.client.sapiGetMarginBorrowRepay({"type": "BORROW"})
    assert [row["amount"] for row in loans["rows"]] == ["510.00000000"]


async def place_oco(sim: Sim) -> dict[str, Any]:
    request = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "70000",
        "belowType": "STOP_LOSS",
        "belowStopPrice": "45000",
    }
    placed: dict[str, Any] = await sim.client.privatePostOrderListOco(request)
    return placed


async def test_order_lists_stand_among_the_orders_and_go_as_one(sim: Sim) -> None:
    await sim.post("balance", asset="BTC", amount="1")
    placed = await place_oco(sim)
    above, below = (str(row["orderId"]) for row in placed["orders"])
    assert (await sim.client.fetch_balance())["BTC"]["used"] == 0.01
    assert ids(await sim.client.fetch_open_orders()) == [above, below]
    (listed,) = await sim.client.privateGetOpenOrderList()
    assert (listed["orderListId"], listed["contingencyType"]) == (placed["orderListId"], "OCO")
    await sim.post("order", **BUY)
    gone = await sim.client.privateDeleteOpenOrders({"symbol": "BTCUSDT"})
    assert [len(row.get("orderReports", [])) for row in gone] == [0, 2]
    assert await sim.client.fetch_open_orders() == []
    placed = await place_oco(sim)
    await sim.client.cancel_order(str(placed["orders"][1]["orderId"]), "BTC/USDT")
    assert await sim.client.fetch_open_orders() == []
    placed = await place_oco(sim)
    ended = await sim.client.privateDeleteOrderList({"symbol": "BTCUSDT", "orderListId": placed["orderListId"]})
    assert ended["listOrderStatus"] == "ALL_DONE"
    placed = await place_oco(sim)
    await sim.post("fill", order_id=str(placed["orders"][0]["orderId"]))
    assert (await sim.state())["open_order_count"] == 0


async def test_what_waits_for_a_working_order_is_only_in_the_list_of_lists(sim: Sim) -> None:
    working = (await sim.post("order", **BUY, book="oto-9"))["order_id"]
    pending = (await sim.post("order", **SELL, book="oto-9"))["order_id"]
    assert ids(await sim.client.fetch_open_orders()) == [working]
    (listed,) = await sim.client.privateGetOpenOrderList()
    assert [str(row["orderId"]) for row in listed["orders"]] == [working, pending]
    await sim.post("fill", order_id=working)
    assert ids(await sim.client.fetch_open_orders()) == [pending]


async def test_a_twap_places_again_until_it_is_stopped_itself(sim: Sim) -> None:
    await sim.post("bot", **BUY, every_ms=10, prefix="slice", id="twap-1", strategy="twap")
    await until(lambda: placed(sim, 2))
    await sim.client.cancel_all_orders("BTC/USDT")
    await until(lambda: placed(sim, 1))
    listed = await sim.client.sapiGetAlgoSpotOpenOrders()
    assert (listed["total"], listed["orders"][0]["symbol"]) == (1, "BTCUSDT")
    await sim.client.sapiDeleteAlgoSpotOrder({"algoId": listed["orders"][0]["algoId"]})
    assert (await sim.client.sapiGetAlgoSpotOpenOrders())["orders"] == []
    assert await sim.client.fetch_open_orders() == []
    with pytest.raises(ccxt.ExchangeError, match="-20124"):
        await sim.client.sapiDeleteAlgoSpotOrder({"algoId": 7})


async def placed(sim: Sim, count: int) -> bool:
    return len(await sim.client.fetch_open_orders()) >= count


# --- flows ---------------------------------------------------------------------------------------------


async def test_deposits_and_withdrawals_have_a_window_of_ninety_days(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-500", fee="1")
    await sim.post("flow", asset="BNB", amount="2", wallet="funding")
    (withdrawal,) = await sim.client.fetch_withdrawals()
    assert (withdrawal["amount"], withdrawal["fee"]["cost"], withdrawal["status"]) == (500, 1, "ok")
    assert (await sim.client.fetch_balance())["USDT"]["total"] == 4499
    deposits = await sim.client.fetch_deposits()
    assert [(row["currency"], row["info"]["walletType"]) for row in deposits] == [("USDT", 0), ("BNB", 1)]
    now = int(sim.server._now() * 1000)
    assert len(await sim.client.fetch_deposits(since=now - DAY_S * 1000)) == 1
    with pytest.raises(ccxt.BadRequest, match="-1127"):
        await sim.client.sapiGetCapitalDepositHisrec({"startTime": now - 91 * DAY_S * 1000, "endTime": now})
    sim.server.exchange.flow("USDT", -sim.server.exchange.total("USDT"), sim.server._now() - 100 * DAY_S)
    assert len(await sim.client.fetch_withdrawals()) == 1
    assert len(await sim.client.fetch_withdrawals(since=now - 110 * DAY_S * 1000)) == 1


async def test_transfers_are_listed_by_direction(sim: Sim) -> None:
    await sim.post("transfer", asset="USDT", amount="100", source="spot", target="um")
    await sim.post("transfer", asset="USDT", amount="40", source="um", target="spot")
    await sim.post("transfer", asset="USDT", amount="7", source="spot", target="cross")
    await sim.post("transfer", asset="USDT", amount="3", source="spot", target="isolated:BTCUSDT")
    await sim.client.transfer("USDT", 2, "spot", "funding")
    assert [row["amount"] for row in await sim.client.fetch_transfers()] == [100]
    there = await sim.client.fetch_transfers(params={"fromAccount": "swap", "toAccount": "spot"})
    assert [row["amount"] for row in there] == [40]
    cross = (await sim.client.sapiGetMarginTransfer())["rows"]
    assert [(row["type"], row["amount"], row["transFrom"]) for row in cross] == [("ROLL_IN", "7.00000000", "SPOT")]
    isolated = (await sim.client.sapiGetMarginTransfer({"isolatedSymbol": "BTCUSDT"}))["rows"]
    assert [row["transTo"] for row in isolated] == ["ISOLATED_MARGIN"]
    assert amounts(await sim.client.fetch_balance({"type": "funding"})) == {"USDT": 2}
    with pytest.raises(ccxt.BadRequest, match="-1102"):
        await sim.client.sapiGetAssetTransfer()


async def test_sub_accounts_show_what_went_out_unless_asked(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-20", kind="sub_transfer")
    await sim.post("flow", asset="USDT", amount="30", kind="sub_transfer")
    told = sim.client.sapiGetSubAccountTransferSubUserHistory
    assert [row["qty"] for row in await told()] == ["20"]
    assert [row["qty"] for row in await told({"type": 1})] == ["30"]
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):
        await sim.client.sapiGetSubAccountUniversalTransfer()
    sim.server.face.is_master = True  # type: ignore[attr-defined]
    sent = await sim.client.sapiGetSubAccountUniversalTransfer()
    assert [row["amount"] for row in sent["result"]] == ["20"]
    (sub,) = (await sim.client.sapiGetSubAccountList())["subAccounts"]
    came = await sim.client.sapiGetSubAccountUniversalTransfer({"fromEmail": sub["email"]})
    assert [(row["amount"], row["toEmail"]) for row in came["result"]] == [("30", "master@test.com")]
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):
        await told()


async def test_gifts_are_listed_twenty_at_a_time(sim: Sim) -> None:
    for _ in range(24):
        await sim.post("flow", asset="BNB", amount="0.1", kind="airdrop")
    await sim.post("flow", asset="USDT", amount="5", kind="rebate")
    gifts = await sim.client.sapiGetAssetAssetDividend()
    assert (len(gifts["rows"]), gifts["total"]) == (20, 25)
    assert (gifts["rows"][0]["asset"], gifts["rows"][0]["direction"]) == ("USDT", 1)
    assert len((await sim.client.sapiGetAssetAssetDividend({"limit": 500}))["rows"]) == 25


async def test_trades_are_told_by_symbol_and_by_wallet(sim: Sim) -> None:
    await sim.post("trade", symbol="BTC/USDT", side="buy", quantity="0.01", fee="0.6")
    await sim.post("trade", symbol="BTC/USDT", side="sell", quantity="0.004")
    first, second = await sim.client.fetch_my_trades("BTC/USDT")
    assert (first["side"], first["amount"], first["cost"], first["fee"]["cost"]) == ("buy", 0.01, 600, 0.6)
    assert (second["side"], second["amount"]) == ("sell", 0.004)
    assert await sim.client.fetch_my_trades("ETH/USDT") == []
    assert await sim.client.fetch_my_trades("BTC/USDT", params={"marginMode": "cross"}) == []


# --- keys, time, weights -------------------------------------------------------------------------------


async def test_keys_signatures_and_times_that_are_refused(sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sim.client, "apiKey", "stranger")
        with pytest.raises(ccxt.DDoSProtection, match="-2015"):  # of a key that has worked, ccxt thinks so
            await sim.client.fetch_balance()
        patch.setattr(sim.client, "apiKey", API_KEY)
        patch.setattr(sim.client, "secret", "forged")
        with pytest.raises(ccxt.AuthenticationError, match="-1022"):
            await sim.client.fetch_open_orders()
    path, key = "/api/v3/openOrders", {"X-MBX-APIKEY": API_KEY}
    now = sim.server._now()
    for at, window, code in ((now - 6, "", -1021), (now - 6, "recvWindow=7000", None), (now + 2, "", -1021)):
        _, _, body = await ask(sim, "GET", path, signed(sim, window, at=at), **key)
        assert (body["code"] if isinstance(body, dict) else None) == code
    status, _, body = await ask(sim, "GET", path, signed(sim, "recvWindow=60001"), **key)
    assert (status, body["code"]) == (400, -1131)
    assert (await ask(sim, "GET", path, signed(sim)))[0] == 401
    assert (await ask(sim, "GET", path, "", **key))[2]["code"] == -1102
    assert (await ask(sim, "GET", path, signed(sim).replace("signature=", "signature=0"), **key))[2]["code"] == -1022
    assert (await ask(sim, "GET", path, signed(sim).upper().replace("TIMESTAMP", "timestamp"), **key))[0] == 400


async def test_the_venues_clock_may_be_ahead(sim: Sim) -> None:
    await sim.post("clock", skew_s=30)
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await sim.client.fetch_open_orders()
    await sim.client.load_time_difference()
    assert await sim.client.fetch_open_orders() == []
    sim.client.options["timeDifference"] = 0


async def test_a_key_is_told_what_it_may(sim: Sim) -> None:
    await sim.post("key", may_withdraw=True, bound_to="")
    may = await sim.client.sapiGetAccountApiRestrictions()
    assert (may["enableReading"], may["enableWithdrawals"], may["ipRestrict"]) == (True, True, False)


async def test_refusals_come_with_the_venues_own_status(sim: Sim) -> None:
    await sim.post("order", **BUY)
    await sim.post("fault", how="read_only_key")
    with pytest.raises(ccxt.DDoSProtection, match="-2015"):
        await sim.client.privateDeleteOpenOrders({"symbol": "BTCUSDT"})
    await sim.delete("fault")
    await sim.post("fault", how="venue_error", target="open_orders", text="-1008 Server is currently overloaded.")
    path, key = "/api/v3/openOrders", {"X-MBX-APIKEY": API_KEY}
    status, _, body = await ask(sim, "GET", path, signed(sim), **key)
    assert (status, body["code"]) == (400, -1008)
    await sim.delete("fault")
    await sim.post("fault", how="ack_without_cancel")
    assert len(await sim.client.cancel_all_orders("BTC/USDT")) == 1
    assert len(await sim.client.fetch_open_orders()) == 1


async def test_weight_is_counted_by_the_minute(sim: Sim) -> None:
    path, key = "/api/v3/openOrders", {"X-MBX-APIKEY": API_KEY}

    async def used(method: str, query: str = "", path: str = path) -> tuple[int, int]:
        status, headers, _ = await ask(sim, method, path, signed(sim, query), **key)
        return status, int(headers["X-MBX-USED-WEIGHT-1M"])

    _, before = await used("GET", "symbol=BTCUSDT")
    assert await used("GET") == (200, before + 80)
    await sim.post("order", **BUY)
    assert await used("DELETE", "symbol=BTCUSDT") == (200, before + 80)
    assert await used("DELETE", "symbol=BTCUSDT") == (400, before + 81)
    _, headers, _ = await ask(sim, "GET", "/sapi/v1/capital/withdraw/history", signed(sim), **key)
    assert headers["X-SAPI-USED-UID-WEIGHT-1M"] == "18000"


async def test_who_asks_too_much_is_refused_and_then_banned(sim: Sim) -> None:
    await until(lambda: asyncio.sleep(0, time.time() % 60 < 57))  # the count starts anew with the minute
    await sim.post("limit", ceiling=100, decay_per_s=1)
    await sim.client.fetch_open_orders()
    await sim.client.fetch_open_orders()
    with pytest.raises(ccxt.DDoSProtection, match="429"):
        await sim.client.fetch_open_orders()
    assert 0 < int(sim.client.last_response_headers["Retry-After"]) <= 60
    for _ in range(20):
        with pytest.raises(ccxt.DDoSProtection):
            await sim.client.fetch_open_orders()
    with pytest.raises(ccxt.DDoSProtection, match="418"):
        await sim.client.fetch_open_orders()
    assert int(sim.client.last_response_headers["Retry-After"]) > 60


# --- streams -------------------------------------------------------------------------------------------


async def heard(sim: Sim, awaitable: Any, name: str, **body: Any) -> Any:
    """What a watcher hears of something that happens once it listens."""
    watching = asyncio.ensure_future(awaitable)
    await until_subscribed(sim.server)
    await sim.post(name, **body)
    return await within(watching)


async def test_balances_and_orders_are_pushed(sim: Sim) -> None:
    balance = await heard(sim, sim.client.watch_balance({"type": "spot"}), "flow", asset="USDT", amount="-500")
    assert balance["USDT"]["free"] == 4500
    (opened,) = await heard(sim, sim.client.watch_orders(params={"type": "spot"}), "order", **BUY)
    assert (opened["status"], opened["symbol"], opened["amount"]) == ("open", "BTC/USDT", 0.01)
    watching = asyncio.ensure_future(sim.client.watch_orders(params={"type": "spot"}))
    await asyncio.sleep(0)
    await sim.client.cancel_all_orders("BTC/USDT")
    assert [row["status"] for row in await within(watching)][-1] == "canceled"


async def test_prices_are_pushed(sim: Sim) -> None:
    book = await heard(sim, sim.client.watch_bids_asks(["BTC/USDT"]), "price", symbol="BTC/USDT", price="42000")
    while book["BTC/USDT"]["bid"] > 43000:
        book = await within(sim.client.watch_bids_asks(["BTC/USDT"]))
    sim.client.options["watchTickers"]["name"] = "ticker"
    ticker = await within(sim.client.watch_tickers(["BTC/USDT"]))
    assert ticker["BTC/USDT"]["bid"] < 42000 < ticker["BTC/USDT"]["ask"]


class Socket:
    """The WebSocket API without a client."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    @classmethod
    async def dial(cls, sim: Sim, path: str) -> "Socket":
        return cls(await sim.http.ws_connect(f"{sim.server.endpoint}/{path}"))

    async def call(self, method: str, **params: Any) -> Any:
        await self.ws.send_json({"id": "1", "method": method, "params": params})
        return await self.hear()

    async def hear(self) -> Any:
        return await self.ws.receive_json(timeout=3)


def login(sim: Sim, secret: str = API_SECRET, **params: Any) -> dict[str, Any]:
    params |= {"apiKey": API_KEY, "timestamp": int(sim.server._now() * 1000)}
    message = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return params | {"signature": hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()}


async def test_subscriptions_are_signed_and_made_once(sim: Sim) -> None:
    socket = await Socket.dial(sim, "ws-api.binance.com:443/ws-api/v3")
    subscribe = "userDataStream.subscribe.signature"
    refused = await socket.call(subscribe, **login(sim, "forged"))
    assert (refused["status"], refused["error"]["code"]) == (400, -1022)
    assert (await socket.call(subscribe, **login(sim) | {"apiKey": "stranger"}))["status"] == 401
    assert (await socket.call(subscribe, **login(sim)))["result"] == {"subscriptionId": 0}
    assert (await socket.call(subscribe, **login(sim)))["error"]["code"] == -2035
    await sim.post("order", **BUY)
    report, position = await socket.hear(), await socket.hear()
    assert (report["event"]["e"], report["event"]["x"]) == ("executionReport", "NEW")
    assert position["event"]["B"][1] == {"a": "USDT", "f": "4500.00000000", "l": "500.00000000"}
    gone = await socket.call("openOrders.cancelAll", **login(sim, symbol="BTCUSDT"))
    assert (gone["status"], gone["result"][0]["status"]) == (200, "CANCELED")
    await socket.ws.close()


async def test_margin_has_a_stream_of_its_own_by_token(sim: Sim) -> None:
    token = (await sim.client.sapiPostUserListenToken({"validity": 300}))["token"]
    socket = await Socket.dial(sim, "ws-api.binance.com:443/ws-api/v3")
    subscribe = "userDataStream.subscribe.listenToken"
    assert (await socket.call(subscribe, listenToken="other"))["error"]["code"] == -1209
    assert (await socket.call(subscribe, listenToken=token))["result"]["subscriptionId"] == 0
    await sim.post("order", **BUY)
    await sim.post("transfer", asset="USDT", amount="10", source="spot", target="cross")
    position, move = await socket.hear(), await socket.hear()
    assert position["event"]["B"] == [{"a": "USDT", "f": "10.00000000", "l": "0.00000000"}]
    assert (move["event"]["e"], move["event"]["d"]) == ("balanceUpdate", "10.00000000")
    assert (await socket.hear())["event"]["e"] == "eventStreamTerminated"
    await socket.ws.close()


async def test_streams_may_be_named_in_the_address(sim: Sim) -> None:
    socket = await Socket.dial(sim, "stream.binance.com:9443/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker")
    frames = [await socket.hear(), await socket.hear()]
    assert [frame["stream"] for frame in frames] == ["btcusdt@bookTicker", "ethusdt@bookTicker"]
    assert frames[0]["data"]["s"] == "BTCUSDT"
    await socket.ws.close()
