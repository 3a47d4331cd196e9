"""The simulated mexc against the unmodified ccxt client: both houses, their books, windows, limits and refusals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest
import pytest_asyncio
from mexc_case import PERP, PLAN, SPOT, SWAP, TRACK, Workshop, books, opened
from venue_process import Sim

from adapters.simulated import API_KEY

# Closing a client takes ccxt a quarter of a second: one loop for all lets them be closed at once.
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

DAY_S = 86_400


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    workshop = Workshop()
    yield workshop
    await workshop.close()


@pytest_asyncio.fixture(loop_scope="module")
async def sim(workshop: Workshop) -> AsyncIterator[Sim]:
    server = opened()
    await server.start()
    yield Sim(server, workshop.http, await workshop.client(server.endpoint))
    await server.stop()


async def count(sim: Sim) -> dict[str, int]:
    reply = await sim.client.request("order/open_order_total_count", ["contract", "private"], "GET")
    return {name.removesuffix("Count").removesuffix("Order"): number for name, number in reply["data"].items()}


async def milliseconds(sim: Sim, days_ago: float) -> int:
    return int(((await sim.state())["wall"] - days_ago * DAY_S) * 1000)


# --- markets and prices --------------------------------------------------------------------------------


async def test_market_lists_have_their_real_size(sim: Sim) -> None:
    markets = sim.client.markets.values()
    assert sum(market["spot"] for market in markets) == 2115
    assert sum(market["swap"] for market in markets) == 1192
    assert sum(market["info"].get("apiAllowed") is False for market in markets) == 44
    assert sim.client.markets["BTC/USD:BTC"]["inverse"] is True
    assert sim.client.markets[PERP]["contractSize"] == 0.0001


async def test_a_delisted_market_is_on_no_list_and_its_order_on_every_one(sim: Sim) -> None:
    await sim.post("order", symbol="SYN0007/USDT", price="1", quantity="10")
    await sim.post("delist", symbol="SYN0007/USDT")
    await sim.post("delist", symbol="SYN0007/USDT:USDT")
    symbols = {row["symbol"] for row in (await sim.client.spotPublicGetExchangeInfo())["symbols"]}
    contracts = {row["symbol"] for row in (await sim.client.contractPublicGetDetail())["data"]}
    assert (len(symbols), len(contracts)) == (2114, 1191)
    (order,) = await sim.client.spotPrivateGetOpenOrders()
    assert order["symbol"] == "SYN0007USDT"
    gone = await sim.client.spotPrivateDeleteOrder({"symbol": "SYN0007USDT", "orderId": order["orderId"]})
    assert gone["status"] == "CANCELED"
    assert (await sim.client.spotPublicGetSymbolOffline())["data"][0]["symbol"] == "SYN0007USDT"


async def test_tickers_of_one_and_of_all(sim: Sim) -> None:
    await sim.post("price", prices={SPOT: "42000", PERP: "42100"})
    one = (await sim.client.fetch_tickers([PERP]))[PERP]
    assert (one["info"]["fairPrice"], one["last"]) == (42100, 42100)
    assert one["bid"] < 42100 < one["ask"]
    both = await sim.client.fetch_tickers([SPOT, "ETH/USDT"])
    assert (both[SPOT]["bid"] + both[SPOT]["ask"]) / 2 == pytest.approx(42000)
    assert len(await sim.client.fetch_tickers([PERP, "ETH/USDT:USDT"])) == 2
    assert (await sim.client.contractPublicGetFairPriceSymbol({"symbol": "BTC_USDT"}))["data"]["fairPrice"] == 42100


async def test_both_houses_tell_the_time(sim: Sim) -> None:
    await sim.post("clock", skew_s=3600)
    assert await sim.client.fetch_time() > sim.client.milliseconds() + 3_590_000
    assert await sim.client.fetch_time(SWAP) > sim.client.milliseconds() + 3_590_000


# --- balances and positions ----------------------------------------------------------------------------


async def test_two_wallets(sim: Sim) -> None:
    assert (await sim.client.fetch_balance())["total"] == {"USDT": 6000.0}
    assert (await sim.client.fetch_balance(SWAP))["total"]["USDT"] == 4000.0
    await sim.post("order", symbol=SPOT, price="50000", quantity="0.01")
    assert (await sim.client.fetch_balance())["USDT"] == {"free": 5500.0, "used": 500.0, "total": 6000.0}


async def test_profit_that_is_not_realised_stands_in_equity_alone(sim: Sim) -> None:
    await sim.post("position", symbol=PERP, quantity="1000", entry="50000")
    rows = (await sim.client.contractPrivateGetAccountAssets())["data"]
    row = next(row for row in rows if row["currency"] == "USDT")
    assert (row["equity"], row["unrealized"], row["positionMargin"]) == (5000.0, 1000.0, 250.0)
    assert row["availableBalance"] + row["positionMargin"] + row["frozenBalance"] == 4000.0
    # ccxt forgets the margin.
    assert (await sim.client.fetch_balance(SWAP))["total"]["USDT"] == 3750.0


async def test_long_and_short_of_one_contract_are_two_rows(sim: Sim) -> None:
    await sim.post("position", symbol=PERP, quantity="5", entry="61000", side="long")
    await sim.post("position", symbol=PERP, quantity="-3", entry="62000", side="short")
    await sim.post("position", symbol="BTC/USD:BTC", quantity="-7", entry="60000")
    found = {(row["symbol"], row["side"], row["contracts"]) for row in await sim.client.fetch_positions()}
    assert found == {(PERP, "long", 5.0), (PERP, "short", 3.0), ("BTC/USD:BTC", "short", 7.0)}
    rows = (await sim.client.contractPrivateGetPositionOpenPositions({"symbol": "BTC_USDT"}))["data"]
    assert len({row["positionId"] for row in rows}) == 2


# --- spot orders ---------------------------------------------------------------------------------------


async def test_spot_orders_stand_in_one_list(sim: Sim) -> None:
    await sim.post("order", symbol=SPOT, price="50000", client_order_id="bot-7")
    await sim.post("order", symbol="ETH/USDT", side="sell", **PLAN | {"quantity": "1"})
    await books(sim)
    plain, waiting = await sim.client.fetch_open_orders()
    assert (plain["symbol"], plain["side"], plain["clientOrderId"]) == (SPOT, "buy", "bot-7")
    assert (waiting["symbol"], waiting["triggerPrice"], waiting["info"]["isWorking"]) == ("ETH/USDT", 51000.0, False)
    assert len(await sim.client.fetch_open_orders(SPOT)) == 1


async def test_one_spot_cancel_takes_all_pairs_and_the_other_takes_what_waits(sim: Sim) -> None:
    for symbol in (SPOT, "ETH/USDT"):
        await sim.post("order", symbol=symbol, price="1", quantity="1")
        await sim.post("order", symbol=symbol, side="sell", **PLAN | {"quantity": "1"})
    await books(sim)
    await sim.client.cancel_all_orders()
    assert {row["type"] for row in await sim.client.spotPrivateGetOpenOrders()} == {"STOP_LIMIT"}
    assert len(await sim.client.cancel_all_orders(SPOT)) == 1
    assert [row["symbol"] for row in await sim.client.fetch_open_orders()] == ["ETH/USDT"]
    with pytest.raises(ccxt.BadSymbol):
        await sim.client.spotPrivateDeleteOpenOrders({"symbol": "BTCUSDT,ETHUSDT"})
    assert (await count(sim))["sum"] == 4


async def test_a_spot_order_is_cancelled_by_its_id_or_its_clients(sim: Sim) -> None:
    await sim.post("order", symbol=SPOT, price="50000", client_order_id="bot-7")
    order_id = (await sim.post("order", symbol=SPOT, price="50000"))["order_id"]
    await sim.client.cancel_order("", SPOT, {"clientOrderId": "bot-7"})
    gone = await sim.client.cancel_order(order_id, SPOT)
    assert (gone["id"], gone["status"]) == (order_id, "canceled")
    assert (await sim.client.fetch_order(order_id, SPOT))["status"] == "canceled"
    with pytest.raises(ccxt.BadRequest, match=r"-2011.*Unknown order sent"):
        await sim.client.cancel_order(order_id, SPOT)


async def test_spot_orders_are_placed_rested_and_filled(sim: Sim) -> None:
    resting = await sim.client.create_order(SPOT, "limit", "buy", 0.01, 40000, {"clientOrderId": "mine-1"})
    await sim.client.create_order(SPOT, "market", "buy", 0.01, 60000)
    (listed,) = await sim.client.fetch_open_orders()
    assert (listed["id"], listed["clientOrderId"]) == (resting["id"], "mine-1")
    (trade,) = await sim.client.fetch_my_trades(SPOT)
    assert (trade["side"], trade["price"]) == ("buy", pytest.approx(60003))
    with pytest.raises(ccxt.InsufficientFunds):
        await sim.client.create_order(SPOT, "limit", "buy", 10, 40000)


# --- contract orders -----------------------------------------------------------------------------------


async def test_each_book_has_its_own_list_and_the_count_knows_all(sim: Sim) -> None:
    await books(sim)
    (limit,) = await sim.client.fetch_open_orders(None, None, None, SWAP)
    (plan,) = await sim.client.fetch_open_orders(None, None, None, SWAP | {"trigger": True})
    (stop,) = (await sim.client.contractPrivateGetStoporderOpenOrders())["data"]
    (track,) = (await sim.client.contractPrivateGetTrackorderListOrders({"states": "0,1"}))["data"]
    assert (limit["info"]["side"], limit["info"]["externalOid"], limit["symbol"]) == (1, "bot-7", PERP)
    assert (plan["info"]["triggerPrice"], plan["info"]["state"]) == (51000, 1)
    assert (stop["stopLossPrice"], stop["isFinished"], stop["positionType"]) == (40000, 0, 1)
    assert (track["side"], track["state"]) == (3, 1)
    assert await count(sim) == {"sum": 4, "limit": 1, "plan": 1, "stop": 1, "track": 1}
    with pytest.raises(ccxt.BadRequest):
        await sim.client.contractPrivateGetTrackorderListOrders()
    with pytest.raises(ccxt.ExchangeError, match="404"):
        await sim.client.contractPrivatePostOrderOpenOrderTotalCount()


async def test_old_plan_and_stop_orders_show_only_when_they_are_asked_for(sim: Sim) -> None:
    await books(sim, age_s=8 * DAY_S)
    client = sim.client
    assert await client.fetch_open_orders(None, None, None, SWAP | {"trigger": True}) == []
    assert (await client.contractPrivateGetStoporderListOrders())["data"] == []
    assert len((await client.contractPrivateGetStoporderOpenOrders())["data"]) == 1
    assert len(await client.fetch_open_orders(None, None, None, SWAP)) == 1
    window = {"start_time": await milliseconds(sim, 89.9), "end_time": await milliseconds(sim, 0)}
    assert len((await client.contractPrivateGetPlanorderListOrders(window | {"states": 1}))["data"]) == 1
    assert len((await client.contractPrivateGetStoporderListOrders(window | {"is_finished": 0}))["data"]) == 1
    with pytest.raises(ccxt.BadRequest, match="90 days"):
        await client.contractPrivateGetPlanorderListOrders(window | {"start_time": await milliseconds(sim, 91)})
    assert (await count(sim))["sum"] == 4


async def test_an_older_window_is_reached_by_its_end(sim: Sim) -> None:
    await sim.post("order", symbol=PERP, age_s=100 * DAY_S, **PLAN)
    window = {"start_time": await milliseconds(sim, 160), "end_time": await milliseconds(sim, 90)}
    assert len((await sim.client.contractPrivateGetPlanorderListOrders(window))["data"]) == 1


async def test_lists_are_paged(sim: Sim) -> None:
    await sim.post("order", symbol=PERP, price="50000", quantity="1", count=130)
    await sim.post("order", symbol=PERP, count=25, **TRACK)
    client = sim.client
    assert len((await client.contractPrivateGetOrderListOpenOrders())["data"]) == 20
    assert len(await client.fetch_open_orders(None, None, None, SWAP)) == 100
    second = await client.contractPrivateGetOrderListOpenOrders({"page_size": 100, "page_num": 2})
    assert len(second["data"]) == 30
    track = await client.contractPrivateGetTrackorderListOrders({"states": "0,1", "pageIndex": 2, "pageSize": 20})
    assert len(track["data"]) == 5
    with pytest.raises(ccxt.BadRequest):
        await client.contractPrivateGetOrderListOpenOrders({"page_size": 101})


async def test_each_cancel_takes_its_own_book(sim: Sim) -> None:
    await books(sim)
    client = sim.client
    with pytest.raises(ccxt.BadRequest):
        await client.cancel_all_orders(None, SWAP)
    await client.cancel_all_orders(None, SWAP | {"symbol": ""})
    assert await count(sim) == {"sum": 3, "limit": 0, "plan": 1, "stop": 1, "track": 1}
    await client.cancel_all_orders(None, SWAP | {"method": "contractPrivatePostPlanorderCancelAll"})
    await client.contractPrivatePostStoporderCancelAll()
    assert await count(sim) == {"sum": 1, "limit": 0, "plan": 0, "stop": 0, "track": 1}
    (track,) = (await client.contractPrivateGetTrackorderListOrders({"states": "0,1"}))["data"]
    await client.contractPrivatePostTrackorderCancel({})
    assert (await count(sim))["track"] == 1
    await client.contractPrivatePostTrackorderCancel({"symbol": "BTC_USDT", "trackOrderId": track["id"]})
    assert (await count(sim))["sum"] == 0


async def test_cancelled_plan_orders_stay_on_their_list(sim: Sim) -> None:
    await books(sim)
    await sim.client.contractPrivatePostPlanorderCancelAll()
    rows = (await sim.client.contractPrivateGetPlanorderListOrders())["data"]
    assert [row["state"] for row in rows] == [2]
    assert await sim.client.fetch_open_orders(None, None, None, SWAP | {"trigger": True}) == []


async def test_a_batch_of_cancels_succeeds_whatever_its_rows_say(sim: Sim) -> None:
    ids = (await sim.post("order", symbol=PERP, price="50000", quantity="1", count=3))["order_ids"]
    reply = await sim.client.contractPrivatePostOrderCancel([*ids[:2], ids[0], "1"])
    assert [row["errorCode"] for row in reply["data"]] == [0, 0, 2041, 2040]
    assert (reply["success"], (await count(sim))["limit"]) == (True, 1)
    with pytest.raises(ccxt.InvalidOrder, match="order not exist"):
        await sim.client.cancel_order("1", None, SWAP)
    with pytest.raises(ccxt.BadRequest):
        await sim.client.cancel_orders(["1"] * 51, PERP)


async def test_plan_orders_by_id_and_orders_of_one_contract(sim: Sim) -> None:
    await books(sim)
    await sim.post("order", symbol="ETH/USDT:USDT", price="2000", quantity="1")
    (plan,) = await sim.client.fetch_open_orders(None, None, None, SWAP | {"trigger": True})
    await sim.client.cancel_order(plan["id"], PERP, {"trigger": True})
    await sim.client.cancel_all_orders(PERP)
    assert await count(sim) == {"sum": 3, "limit": 1, "plan": 0, "stop": 1, "track": 1}
    (stop,) = (await sim.client.contractPrivateGetStoporderOpenOrders())["data"]
    await sim.client.contractPrivatePostStoporderCancel([{"stopPlanOrderId": stop["id"]}])
    assert (await count(sim))["stop"] == 0


async def test_contract_orders_are_placed_rested_and_filled(sim: Sim) -> None:
    client = sim.client
    resting = await client.create_order(PERP, "limit", "buy", 3, 40000, {"clientOrderId": "mine-1"})
    await client.create_order(PERP, "market", "buy", 10)
    await client.create_order(PERP, "limit", "sell", 5, 70000, {"reduceOnly": True})
    plan = await client.create_order(PERP, "market", "sell", 4, None, {"triggerPrice": 50000, "triggerType": 2})
    listed = {row["id"]: row["info"]["side"] for row in await client.fetch_open_orders(None, None, None, SWAP)}
    assert listed[resting["id"]] == 1
    assert len(listed) == 2
    assert [row["id"] for row in await client.fetch_open_orders(None, None, None, SWAP | {"trigger": True})] == [
        plan["id"]
    ]
    assert (await sim.state())["positions"][PERP]["quantity"] == "10.0"
    closed = next(symbol for symbol, market in client.markets.items() if market["info"].get("apiAllowed") is False)
    with pytest.raises(ccxt.InvalidOrder, match="not allow"):
        await client.create_order(closed, "limit", "buy", 1, 1)


# --- flows ---------------------------------------------------------------------------------------------


async def test_a_deposit_has_no_id_and_a_withdrawal_tells_its_fee_within_the_amount(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="250")
    await sim.post("flow", asset="USDT", amount="-500", fee="1")
    (deposit,) = await sim.client.fetch_deposits()
    assert (deposit["id"], deposit["currency"], deposit["amount"], deposit["status"]) == (None, "USDT", 250.0, "ok")
    (withdrawal,) = await sim.client.fetch_withdrawals("USDT")
    assert (withdrawal["amount"], withdrawal["info"]["amount"], withdrawal["status"]) == (500.0, "501", "ok")


async def test_flows_are_listed_for_seven_days_at_a_time(sim: Sim) -> None:
    client = sim.client
    assert await client.fetch_deposits() == []
    window = {"startTime": await milliseconds(sim, 33), "endTime": await milliseconds(sim, 27)}
    assert [row["amount"] for row in await client.fetch_deposits(None, None, None, window)] == [10_000.0]
    with pytest.raises(ccxt.BadRequest, match="too long"):
        await client.fetch_deposits(None, await milliseconds(sim, 8))
    with pytest.raises(ccxt.BadRequest, match="90 days"):
        await client.fetch_withdrawals(None, await milliseconds(sim, 91))


async def test_transfers_are_listed_by_direction(sim: Sim) -> None:
    await sim.post("transfer", asset="USDT", amount="300", source="contract", target="spot")
    back = {"fromAccountType": "FUTURES", "toAccountType": "SPOT"}
    (row,) = await sim.client.fetch_transfers(None, None, None, back)
    assert (row["amount"], row["fromAccount"], row["toAccount"], row["status"]) == (300.0, "swap", "spot", "ok")
    there = {"fromAccountType": "SPOT", "toAccountType": "FUTURES"}
    assert await sim.client.fetch_transfers(None, None, None, there) == []
    since = await milliseconds(sim, 35)
    assert [row["amount"] for row in await sim.client.fetch_transfers(None, since, None, there)] == [4000.0]
    seen = await sim.client.fetch_transfers(None, None, None, SWAP | there)
    assert [(row["info"]["type"], row["amount"]) for row in seen] == [("IN", 4000.0), ("OUT", 300.0)]
    with pytest.raises(ccxt.BadRequest):
        await sim.client.spotPrivateGetCapitalTransfer()


async def test_transfers_of_sub_accounts_and_to_other_users(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-40", kind="sub_transfer")
    both = {"fromAccountType": "SPOT", "toAccountType": "SPOT"}
    (row,) = await sim.client.spotPrivateGetCapitalSubAccountUniversalTransfer(both)
    assert (row["amount"], row["fromAccount"], row["toAccount"]) == ("40", "", "sub")
    assert (await sim.client.spotPrivateGetCapitalTransferInternal())["data"] == []


async def test_realised_profit_and_funding_of_contracts_are_told(sim: Sim) -> None:
    await sim.client.create_order(PERP, "market", "buy", 10)
    await sim.post("funding", symbol=PERP, amount="-0.5")
    (deal,) = (await sim.client.contractPrivateGetOrderListOrderDealsV3())["data"]
    assert (deal["symbol"], deal["vol"], deal["side"]) == ("BTC_USDT", 10, 1)
    (paid,) = (await sim.client.contractPrivateGetPositionFundingRecords())["data"]["resultList"]
    assert paid["funding"] == -0.5


# --- refusals ------------------------------------------------------------------------------------------


async def refused(sim: Sim, params: dict[str, Any]) -> str:
    """What a spot listing and a contract listing of these params are refused with."""
    with pytest.raises(ccxt.BaseError) as spot:
        await sim.client.fetch_open_orders(None, None, None, dict(params))
    with pytest.raises(ccxt.BaseError) as contract:
        await sim.client.fetch_open_orders(None, None, None, SWAP | params)
    return f"{spot.value} {contract.value}"


async def test_wrong_keys_and_secrets_are_refused_by_each_house_in_its_words(sim: Sim, workshop: Workshop) -> None:
    sim.client = await workshop.client(sim.server.endpoint, secret="bm90IHRoZSBzZWNyZXQ=")
    words = await refused(sim, {})
    assert '"code": 700002' in words
    assert '"code": 602' in words
    sim.client = await workshop.client(sim.server.endpoint, api_key="mx0nobody")
    words = await refused(sim, {})
    assert '"code": 10072' in words
    assert '"code": 401' in words


async def test_stale_times_and_wide_windows_are_refused(sim: Sim) -> None:
    await sim.post("clock", skew_s=20)
    words = await refused(sim, {})
    assert '"code": 700003' in words
    assert '"code": 513' in words
    sim.client.options["recvWindow"] = 60_001
    with pytest.raises(ccxt.InvalidNonce, match="700005"):
        await sim.client.fetch_open_orders()


async def test_unknown_symbols_and_paths(sim: Sim) -> None:
    with pytest.raises(ccxt.BadSymbol, match="-1121"):
        await sim.client.spotPrivateGetOpenOrders({"symbol": "NOPEUSDT"})
    with pytest.raises(ccxt.BadSymbol, match="1001"):
        await sim.client.contractPublicGetTicker({"symbol": "NOPE_USDT"})
    with pytest.raises(ccxt.ExchangeError, match="404"):
        await sim.client.spotPrivateGetKycStatus()


async def test_a_key_that_may_only_read(sim: Sim) -> None:
    await books(sim)
    await sim.post("fault", how="read_only_key")
    with pytest.raises(ccxt.AuthenticationError, match="700007"):
        await sim.client.cancel_all_orders()
    with pytest.raises(ccxt.PermissionDenied, match="704"):
        await sim.client.cancel_all_orders(None, SWAP | {"symbol": ""})
    assert len(await sim.client.fetch_open_orders(None, None, None, SWAP)) == 1


async def test_a_key_tells_what_it_may(sim: Sim) -> None:
    asked = {"accessKey": API_KEY}
    told = await sim.client.spotPrivateGetApiKeyInfo(asked)
    assert "SPOT_DEAL_WRITE" in told["permissions"].split(",")
    assert "WITHDRAW_WRITE" not in told["permissions"]
    assert told["ipWhiteList"] == "127.0.0.1"
    await sim.post("key", may_withdraw=True, bound_to="")
    told = await sim.client.spotPrivateGetApiKeyInfo(asked)
    assert "SPOT_WITHDRAW_WRITE" in told["permissions"].split(",")
    assert told["ipWhiteList"] == ""


async def test_spot_cancels_share_twelve_a_second(sim: Sim) -> None:
    ids = (await sim.post("order", symbol=SPOT, price="50000", count=20))["order_ids"]
    answers = await asyncio.gather(*(sim.client.cancel_order(one, SPOT) for one in ids), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, ccxt.RateLimitExceeded)]
    assert 1 <= len(refused) <= 8
    assert len(await sim.client.fetch_open_orders()) == len(refused)


async def test_each_contract_endpoint_takes_ten_a_second(sim: Sim) -> None:
    ask = sim.client.contractPrivateGetStoporderOpenOrders
    answers = await asyncio.gather(*(ask() for _ in range(30)), return_exceptions=True)
    assert any(isinstance(answer, ccxt.RateLimitExceeded) and "510" in str(answer) for answer in answers)
    assert (await count(sim))["sum"] == 0
