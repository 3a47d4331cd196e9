"""The simulated bybit against the unmodified ccxt client: what hides orders and money there hides them here."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ccxt
import pytest
import pytest_asyncio
from venue_process import Sim, client_of, until, until_subscribed, within

from adapters.simulated.server import VenueServer
from adapters.simulated.wire.base import hmac_sha256
from adapters.simulated.wire.bybit import BybitFace
from adapters.simulated.wire.bybit_orders import FILTERS

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

SPOT, LINEAR, USDC, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USDC:USDC", "BTC/USD:BTC"
PRE_MARKET = "PREM/USDT:USDT"
STOP = {"side": "sell", "type": "stop", "quantity": "0.02", "trigger_price": "45000"}
LIMIT = {"side": "buy", "quantity": "0.01", "price": "50000"}
DAY_MS = 86_400_000


class Workshop:
    """One session, and clients that share one loaded market list."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession()
        self.clients: list[Any] = []

    async def client(self, endpoint: str, **options: Any) -> Any:
        client = client_of("bybit", endpoint, **options)
        client.timeout_on_exit = 0
        client.options["fetchMarkets"]["types"] = ["spot", "linear", "inverse"]
        if self.clients:
            client.set_markets_from_exchange(self.clients[0])
        else:
            await client.load_markets()
        self.clients.append(client)
        return client

    async def close(self) -> None:
        await asyncio.gather(self.http.close(), *(client.close() for client in self.clients))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    workshop = Workshop()
    yield workshop
    await workshop.close()


@pytest_asyncio.fixture(loop_scope="module")
async def sim(workshop: Workshop) -> AsyncIterator[Sim]:
    server = VenueServer("bybit")
    await server.start()
    yield Sim(server, workshop.http, await workshop.client(server.endpoint))
    await server.stop()


def face_of(sim: Sim) -> BybitFace:
    face = sim.server.face
    assert isinstance(face, BybitFace)
    return face


def rows(reply: Any) -> list[Any]:
    listed = reply["result"].get("list", reply["result"].get("rows"))
    assert isinstance(listed, list)
    return listed


async def open_orders(sim: Sim, **params: Any) -> list[Any]:
    return rows(await sim.client.privateGetV5OrderRealtime({"limit": 50, **params}))


async def every_page(call: Any, params: dict[str, Any]) -> list[list[Any]]:
    """Every page, until one is empty or no cursor is told."""
    pages: list[list[Any]] = []
    cursor = ""
    while True:
        reply = await call(params | ({"cursor": cursor} if cursor else {}))
        pages.append(rows(reply))
        cursor = reply["result"]["nextPageCursor"]
        if not pages[-1] or not cursor:
            return pages


async def resting(sim: Sim) -> int:
    return int((await sim.state())["open_order_count"])


def ago(days: float) -> int:
    return int(time.time() * 1000 - days * DAY_MS)


# --- markets and prices --------------------------------------------------------------------------------


async def test_market_lists_have_their_real_size_and_names_shared_by_spot_and_contracts(sim: Sim) -> None:
    markets = sim.client.markets
    assert len(markets) > 1200
    assert markets[SPOT]["id"] == markets[LINEAR]["id"] == "BTCUSDT"
    assert (markets[USDC]["id"], markets[INVERSE]["id"]) == ("BTCPERP", "BTCUSD")
    assert (markets[INVERSE]["contractSize"], markets["BTC/USDT:USDT-310627"]["id"]) == (1.0, "BTCUSDT-27JUN31")
    assert markets[PRE_MARKET]["active"] is False
    assert len(sim.client.currencies) > 500


async def test_linear_contracts_are_listed_in_pages_and_spot_is_not(sim: Sim) -> None:
    pages = await every_page(sim.client.publicGetV5MarketInstrumentsInfo, {"category": "linear"})
    assert [len(page) for page in pages] == [500, 99]
    (spot,) = await every_page(sim.client.publicGetV5MarketInstrumentsInfo, {"category": "spot", "limit": 100})
    assert len(spot) == 616


async def test_a_delisted_market_leaves_the_lists_and_its_orders_stay(sim: Sim) -> None:
    await sim.post("order", symbol=LINEAR, **LIMIT)
    await sim.post("delist", symbol=LINEAR)
    listed = rows(await sim.client.publicGetV5MarketInstrumentsInfo({"category": "linear", "limit": 1000}))
    assert "BTCUSDT" not in {row["symbol"] for row in listed}
    closed = rows(await sim.client.publicGetV5MarketInstrumentsInfo({"category": "linear", "status": "Closed"}))
    assert [row["symbol"] for row in closed] == ["BTCUSDT"]
    (order,) = await open_orders(sim, category="linear", settleCoin="USDT")
    await sim.client.privatePostV5OrderCancel({"category": "linear", "symbol": "BTCUSDT", "orderId": order["orderId"]})
    assert await resting(sim) == 0


async def test_prices_have_a_mark_except_on_spot(sim: Sim) -> None:
    await sim.post("price", symbol=LINEAR, price="42000")
    ticker = (await sim.client.fetch_tickers([LINEAR]))[LINEAR]
    assert ticker["bid"] < ticker["markPrice"] == 42000 < ticker["ask"]
    spot = (await sim.client.fetch_tickers([SPOT]))[SPOT]
    assert (spot["last"], spot["markPrice"]) == (60000, None)
    assert "usdIndexPrice" in spot["info"]


# --- listings ------------------------------------------------------------------------------------------


async def test_each_category_and_settle_coin_is_listed_apart(sim: Sim) -> None:
    for symbol in (SPOT, LINEAR, USDC, INVERSE):
        await sim.post("order", symbol=symbol, client_order_id=symbol, **LIMIT)
    assert [o["symbol"] for o in await sim.client.fetch_open_orders(params={"type": "spot"})] == [SPOT]
    assert [o["symbol"] for o in await sim.client.fetch_open_orders()] == [LINEAR]
    assert [o["symbol"] for o in await sim.client.fetch_open_orders(params={"settleCoin": "USDC"})] == [USDC]
    assert await sim.client.fetch_open_orders(params={"category": "inverse"}) == []
    assert [o["symbol"] for o in await open_orders(sim, category="inverse")] == ["BTCUSD"]
    assert await open_orders(sim, category="option") == []
    with pytest.raises(ccxt.BadRequest):
        await open_orders(sim, category="linear")
    with pytest.raises(ccxt.BadRequest, match="settleCoin"):
        await sim.client.fetch_open_orders(params={"category": "spot"})


async def test_listing_has_pages_of_fifty_that_no_cancel_shifts(sim: Sim) -> None:
    placed = (await sim.post("order", symbol=LINEAR, count=120, **LIMIT))["order_ids"]
    wanted = {"category": "linear", "settleCoin": "USDT", "limit": 50}
    first = await sim.client.privateGetV5OrderRealtime(wanted)
    for name in placed[-10:]:
        await sim.delete("order", order_id=name)
    rest = await every_page(
        sim.client.privateGetV5OrderRealtime, wanted | {"cursor": first["result"]["nextPageCursor"]}
    )
    seen = [row["orderId"] for page in [rows(first), *rest] for row in page]
    assert seen == placed[::-1], "newest first, none missing, none twice"
    assert rest[-1] == [], "a cursor is told after the last row as well"
    assert len(await sim.client.fetch_open_orders()) == 20
    with pytest.raises(ccxt.BadRequest, match="limit"):
        await sim.client.privateGetV5OrderRealtime(wanted | {"limit": 51})


async def test_rows_of_spot_and_of_contracts_are_told_apart(sim: Sim) -> None:
    for symbol in (SPOT, LINEAR):
        await sim.post("order", symbol=symbol, **STOP)
    (spot,) = await open_orders(sim, category="spot")
    assert "tpslMode" not in spot
    assert "createType" not in spot
    (linear,) = await open_orders(sim, category="linear", symbol="BTCUSDT")
    assert (linear["orderStatus"], linear["stopOrderType"], linear["triggerDirection"]) == ("Untriggered", "Stop", 2)
    assert linear["createType"] == "CreateByStopOrder"


# --- cancels -------------------------------------------------------------------------------------------


async def test_spot_lists_all_filters_and_cancels_one_at_a_time(sim: Sim) -> None:
    for book in FILTERS:
        kind = LIMIT if book == "Order" else STOP
        await sim.post("order", symbol=SPOT, book=book, **kind)
    assert len(await open_orders(sim, category="spot")) == 5
    assert len(await open_orders(sim, category="spot", orderFilter="OcoOrder")) == 1
    for left, book in zip((4, 3, 2, 1, 0), FILTERS, strict=True):
        await sim.client.cancel_all_orders(params={"type": "spot", "orderFilter": book})
        assert await resting(sim) == left


async def test_an_order_is_cancelled_by_id_under_its_own_filter_only(sim: Sim) -> None:
    limited = (await sim.post("order", symbol=SPOT, **LIMIT, book="tpslOrder"))["order_id"]
    paired = (await sim.post("order", symbol=SPOT, **LIMIT, book="OcoOrder"))["order_id"]
    with pytest.raises(ccxt.OrderNotFound):
        await sim.client.cancel_order(limited, SPOT)
    await sim.client.cancel_order(limited, SPOT, {"orderFilter": "tpslOrder"})
    with pytest.raises(ccxt.PermissionDenied):
        await sim.client.cancel_order(paired, SPOT, {"orderFilter": "OcoOrder"})
    assert await resting(sim) == 1


async def test_cancel_all_of_contracts_picks_five_hundred_and_does_it_later(sim: Sim) -> None:
    face_of(sim).orders.cancel_lag_s = 60
    placed = (await sim.post("order", symbol=LINEAR, count=620, **LIMIT))["order_ids"]
    acknowledged = await sim.client.cancel_all_orders()
    assert len(acknowledged) == 500
    assert [order["id"] for order in acknowledged] != placed[:500]
    assert await resting(sim) == 620
    await sim.post("clock", skew_s=61)
    assert await resting(sim) == 120
    await sim.post("clock", skew_s=0)
    face_of(sim).orders.cancel_lag_s = 0.001
    await sim.client.cancel_all_orders()
    await until(lambda: _rests(sim, 0))


async def _rests(sim: Sim, count: int) -> bool:
    return await resting(sim) == count


async def test_cancel_all_of_contracts_reaches_one_settle_coin(sim: Sim) -> None:
    for symbol in (LINEAR, USDC, INVERSE):
        await sim.post("order", symbol=symbol, **LIMIT)
        await sim.post("order", symbol=symbol, **STOP)
    await sim.client.cancel_all_orders()
    await until(lambda: _rests(sim, 4))
    assert await sim.client.cancel_all_orders(params={"category": "inverse"}) == []
    await sim.client.cancel_all_orders(params={"category": "inverse", "settleCoin": "BTC", "orderFilter": "Order"})
    await until(lambda: _rests(sim, 3))
    with pytest.raises(ccxt.BadRequest):
        await sim.client.privatePostV5OrderCancelAll({"category": "linear"})
    await sim.client.privatePostV5OrderCancelAll({"category": "linear", "baseCoin": "ETH"})
    await until(lambda: _rests(sim, 1))


async def test_a_batch_is_counted_by_its_rows_and_says_so_beside_the_result(sim: Sim) -> None:
    placed = (await sim.post("order", symbol=LINEAR, count=15, **LIMIT))["order_ids"]
    asked = [{"symbol": "BTCUSDT", "orderId": name} for name in ["unknown", *placed[:14]]]
    reply = await sim.client.privatePostV5OrderCancelBatch({"category": "linear", "request": asked})
    codes = [row["code"] for row in reply["retExtInfo"]["list"]]
    assert codes == [110001] + [0] * 9 + [10006] * 5
    assert (reply["retCode"], len(rows(reply)), await resting(sim)) == (0, 15, 6)
    with pytest.raises(ccxt.BadRequest):
        await sim.client.privatePostV5OrderCancelBatch({"category": "spot", "request": asked})


async def test_some_orders_can_not_be_cancelled(sim: Sim) -> None:
    auction = (await sim.post("order", symbol=PRE_MARKET, quantity="1", price="1"))["order_id"]
    leg = (await sim.post("order", symbol=LINEAR, **LIMIT, book="spreadLeg"))["order_id"]
    await sim.post("order", symbol=LINEAR, **LIMIT, book="spread")
    await sim.client.cancel_all_orders()
    assert {row["orderId"] for row in await open_orders(sim, category="linear", settleCoin="USDT")} == {auction, leg}
    with pytest.raises(ccxt.ExchangeError, match="110095"):
        await sim.client.cancel_order(auction, PRE_MARKET)
    with pytest.raises(ccxt.ExchangeError, match="110115"):
        await sim.client.cancel_order(leg, LINEAR)
    assert len(rows(await signed(sim, "GET", "/v5/spread/order/realtime", ""))) == 1
    assert len(rows(await signed(sim, "POST", "/v5/spread/order/cancel-all", '{"cancelAll":true}'))) == 1
    assert await resting(sim) == 1


async def test_a_strategy_places_again_until_it_is_stopped_and_bots_are_not_listed(sim: Sim) -> None:
    for name, kind in (("slices", "twap"), ("web", "grid")):
        await sim.post("bot", symbol=LINEAR, every_ms=30, id=name, prefix=name, strategy=kind, **LIMIT)
    await sim.client.cancel_all_orders()
    await until(lambda: _listed(sim, {"CreateByTWAP", "CreateByFGridBot"}))
    (running,) = rows(await signed(sim, "GET", "/v5/strategy/list", "status=2"))
    assert (running["strategyId"], running["strategyType"], running["status"]) == ("slices", "twap", 2)
    assert rows(await signed(sim, "GET", "/v5/strategy/list", "status=5")) == []
    stopped = await signed(sim, "POST", "/v5/strategy/stop", '{"strategyId":"slices"}')
    assert stopped["result"] == {"strategyId": "slices"}
    assert (await signed(sim, "POST", "/v5/strategy/stop", '{"strategyId":"web"}'))["retCode"] == 60065
    await until(lambda: _listed(sim, {"CreateByFGridBot"}))


async def _listed(sim: Sim, kinds: set[str]) -> bool:
    return {row["createType"] for row in await open_orders(sim, category="linear", settleCoin="USDT")} == kinds


async def signed(sim: Sim, method: str, path: str, data: str) -> Any:
    """A call that ccxt does not have."""
    stamp = str(int(time.time() * 1000))
    headers = {
        "X-BAPI-API-KEY": sim.client.apiKey,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-SIGN": hmac_sha256(sim.client.secret, f"{stamp}{sim.client.apiKey}5000{data}").hex(),
        "Content-Type": "application/json",
    }
    url = f"{sim.server.endpoint}/api.bybit.com{path}" + (f"?{data}" if method == "GET" else "")
    async with sim.http.request(method, url, data=None if method == "GET" else data, headers=headers) as reply:
        return await reply.json()


# --- orders placed -------------------------------------------------------------------------------------


async def test_orders_are_placed_rested_and_filled(sim: Sim) -> None:
    await sim.client.create_order(LINEAR, "limit", "buy", 0.01, 40000, {"clientOrderId": "mine"})
    await sim.client.create_order(LINEAR, "market", "buy", 0.5)
    await sim.client.create_order(LINEAR, "market", "sell", 0.5, None, {"stopLossPrice": 50000})
    await sim.client.create_order(SPOT, "market", "buy", 0.01, None, {"cost": 600})
    await sim.client.create_order(SPOT, "limit", "sell", 0.005, 70000, {"triggerPrice": 65000})
    state = await sim.state()
    assert sorted(state["open_orders"]) == ["perp_plain", "perp_trigger", "spot_trigger"]
    assert state["open_orders"]["perp_plain"][0]["client_order_id"] == "mine"
    assert state["open_orders"]["perp_trigger"][0]["order_type"] == "stop_loss"
    assert state["positions"][LINEAR]["quantity"] == "0.5"
    assert float(state["holdings"]["BTC"]["total"]) == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ccxt.InsufficientFunds):
        await sim.client.create_order(SPOT, "limit", "buy", 1, 59000)


# --- account -------------------------------------------------------------------------------------------


async def test_borrowed_money_lies_in_the_wallet_and_not_in_the_equity(sim: Sim) -> None:
    await sim.post("debt", asset="USDT", amount="1000")
    await sim.post("position", symbol=LINEAR, quantity="0.1", entry="59000")
    reply = await sim.client.privateGetV5AccountWalletBalance({"accountType": "UNIFIED"})
    ((coin,),) = [wallet["coin"] for wallet in rows(reply)]
    told = {name: float(coin[name]) for name in ("walletBalance", "spotBorrow", "unrealisedPnl", "equity")}
    assert told == {"walletBalance": 6000, "spotBorrow": 1000, "unrealisedPnl": 100, "equity": 5100}
    assert (await sim.client.fetch_balance())["debt"] == {"USDT": 1000}
    with pytest.raises(ccxt.BadRequest):
        await sim.client.privateGetV5AccountWalletBalance({"accountType": "SPOT"})


async def test_the_funding_wallet_is_asked_apart(sim: Sim) -> None:
    await sim.post("transfer", asset="USDT", amount="1000", source="UNIFIED", target="FUND")
    assert (await sim.client.fetch_balance())["total"] == {"USDT": 4000}
    assert (await sim.client.fetch_balance({"type": "funding"}))["total"] == {"USDT": 1000}


async def test_positions_are_listed_by_settle_coin_in_pages(sim: Sim) -> None:
    for symbol, size in ((LINEAR, "-0.5"), ("ETH/USDT:USDT", "2"), (USDC, "0.1"), (INVERSE, "600")):
        await sim.post("position", symbol=symbol, quantity=size, entry="3000")
    found = {held["symbol"]: held["side"] for held in await sim.client.fetch_positions()}
    assert found == {LINEAR: "short", "ETH/USDT:USDT": "long"}
    pages = await every_page(
        sim.client.privateGetV5PositionList, {"category": "linear", "settleCoin": "USDT", "limit": 1}
    )
    assert [len(page) for page in pages] == [1, 1]
    (inverse,) = rows(await sim.client.privateGetV5PositionList({"category": "inverse"}))
    assert (inverse["symbol"], inverse["size"]) == ("BTCUSD", "600")
    (empty,) = rows(await sim.client.privateGetV5PositionList({"category": "linear", "symbol": "XRPUSDT"}))
    assert (empty["side"], empty["size"]) == ("", "0")
    with pytest.raises(ccxt.BadRequest):
        await sim.client.privateGetV5PositionList({"category": "linear"})


# --- flows ---------------------------------------------------------------------------------------------


async def test_the_log_shows_a_day_unless_asked_and_a_week_at_most(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-100")
    assert [row["type"] for row in rows(await sim.client.privateGetV5AccountTransactionLog())] == ["TRANSFER_OUT"]
    early = {"startTime": ago(30.5), "endTime": ago(29.5)}
    (funded,) = rows(await sim.client.privateGetV5AccountTransactionLog(early))
    assert (funded["type"], funded["change"], funded["cashBalance"]) == ("TRANSFER_IN", "5000", "5000")
    with pytest.raises(ccxt.BadRequest, match="time range"):
        await sim.client.privateGetV5AccountTransactionLog({"startTime": ago(8), "endTime": ago(0)})


async def test_the_log_has_pages_and_words_for_every_change(sim: Sim) -> None:
    await sim.post("trade", symbol=SPOT, side="buy", quantity="0.01", price="60000", fee="0.6")
    await sim.post("position", symbol=LINEAR, quantity="0.1", entry="61000")
    await sim.client.create_order(LINEAR, "market", "sell", 0.1, None, {"reduceOnly": True})
    await sim.post("funding", symbol=LINEAR, amount="-1.5")
    await sim.post("debt", asset="USDC", amount="10")
    await sim.post("flow", asset="USDT", amount="3", kind="interest")
    pages = await every_page(sim.client.privateGetV5AccountTransactionLog, {"limit": 2})
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    told = [row for page in pages for row in page]
    assert {row["type"] for row in told} == {"TRADE", "SETTLEMENT", "BORROW", "INTEREST"}
    for row in told:
        parts = [float(row[name] or 0) for name in ("cashFlow", "funding", "fee", "change")]
        assert parts[0] + parts[1] - parts[2] == pytest.approx(parts[3])
    spot = [row for row in told if row["category"] == "spot"]
    assert len({row["id"] for row in spot}) == 1, "two rows of one event share an id"
    assert {row["currency"] for row in spot} == {"BTC", "USDT"}


async def test_what_came_and_left_is_recorded_in_five_places(sim: Sim) -> None:
    client = sim.client
    await sim.post("flow", asset="USDT", amount="200", wallet="FUND")
    await sim.post("flow", asset="USDT", amount="-50", fee="1")
    await sim.post("flow", asset="USDT", amount="-70", kind="internal")
    await sim.post("flow", asset="USDT", amount="30", kind="internal")
    await sim.post("flow", asset="USDT", amount="40", kind="sub_transfer")
    await sim.post("transfer", asset="USDT", amount="150", source="FUND", target="UNIFIED")
    assert [row["amount"] for row in await client.fetch_deposits()] == [200]
    assert [row["amount"] for row in await client.fetch_withdrawals()] == [50]
    hidden = rows(await client.privateGetV5AssetWithdrawQueryRecord({"withdrawType": 2}))
    assert [(row["amount"], row["withdrawType"]) for row in hidden] == [("70", 1), ("50", 0)]
    (internal,) = rows(await client.privateGetV5AssetDepositQueryInternalRecord())
    assert (internal["amount"], len(internal["createdTime"])) == ("30", 10)
    (moved,) = await client.fetch_transfers()
    assert (moved["fromAccount"], moved["toAccount"], moved["amount"]) == ("fund", "unified", 150)
    (sub,) = rows(await client.privateGetV5AssetTransferQueryUniversalTransferList())
    assert (sub["amount"], sub["toMemberId"]) == ("40", "1448939")
    fund = rows(await client.privateGetV5AssetFundinghistory())
    assert [(row["ioDirection"], row["txnAmt"]) for row in fund] == [("O", "150"), ("I", "200")]


# --- keys, errors, limits ------------------------------------------------------------------------------


async def test_what_a_key_may_do_is_told(sim: Sim) -> None:
    told = (await sim.client.privateGetV5UserQueryApi())["result"]
    assert (told["readOnly"], told["uta"], told["ips"]) == (0, 1, ["127.0.0.1"])
    assert "Withdraw" not in told["permissions"]["Wallet"]
    await sim.post("key", may_withdraw=True, read_only=True)
    told = (await sim.client.privateGetV5UserQueryApi())["result"]
    assert (told["readOnly"], told["ips"]) == (1, ["*"])
    assert "Withdraw" in told["permissions"]["Wallet"]
    with pytest.raises(ccxt.PermissionDenied, match="10005"):
        await sim.client.cancel_all_orders()


async def test_requests_are_refused_as_documented(sim: Sim, workshop: Workshop) -> None:
    stranger = await workshop.client(sim.server.endpoint, api_key="stranger")
    with pytest.raises(ccxt.AuthenticationError, match="10003"):
        await stranger.fetch_balance()
    forger = await workshop.client(sim.server.endpoint, secret="forged")
    with pytest.raises(ccxt.AuthenticationError, match=r"10004.*error sign! origin_string"):
        await forger.fetch_balance()
    await sim.post("clock", skew_s=10)
    with pytest.raises(ccxt.InvalidNonce, match="10002"):
        await sim.client.fetch_balance()
    await sim.post("clock", skew_s=0)
    with pytest.raises(ccxt.BadSymbol):
        await open_orders(sim, category="linear", symbol="NOPEUSDT")
    with pytest.raises(ccxt.OrderNotFound, match="110001"):
        await sim.client.cancel_order("unknown", LINEAR)
    async with sim.http.get(f"{sim.server.endpoint}/api.bybit.com/v5/account/info") as reply:
        assert reply.status == 401
    await sim.post("fault", how="venue_error", text="10016 System error. Please try again later.", count=1)
    with pytest.raises(ccxt.ExchangeError, match="10016"):
        await sim.client.fetch_balance()


async def test_an_endpoint_has_a_limit_a_second_and_tells_it(sim: Sim) -> None:
    for left in range(9, -1, -1):
        await sim.client.cancel_all_orders()
        assert sim.client.last_response_headers["X-Bapi-Limit-Status"] == str(left)
    with pytest.raises(ccxt.RateLimitExceeded, match="10006"):
        await sim.client.cancel_all_orders()
    assert sim.client.last_response_headers["X-Bapi-Limit"] == "10"
    await sim.client.cancel_all_orders(params={"type": "spot"})


async def test_an_address_that_asks_too_often_is_shut_out(sim: Sim) -> None:
    now = time.time()
    assert not any(face_of(sim).limits.bans(now) for _ in range(600))
    with pytest.raises(ccxt.RateLimitExceeded, match="access too frequent"):
        await sim.client.fetch_time()


# --- disconnection protection --------------------------------------------------------------------------


async def test_disconnection_protection_says_success_and_is_off(sim: Sim) -> None:
    await sim.client.cancel_all_orders_after(40_000, {"product": "DERIVATIVES"})
    assert (await sim.client.privateGetV5AccountQueryDcpInfo())["result"]["dcpInfos"] == []


async def test_disconnection_protection_is_held_by_sockets_that_are_subscribed_to_it(sim: Sim) -> None:
    face_of(sim).dcp.windows["DERIVATIVES"] = 10
    await sim.client.cancel_all_orders_after(5_000, {"product": "DERIVATIVES"})
    (info,) = (await sim.client.privateGetV5AccountQueryDcpInfo())["result"]["dcpInfos"]
    assert info == {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "5"}
    await sim.post("order", symbol=LINEAR, **LIMIT)
    await sim.post("order", symbol=LINEAR, **STOP)
    assert (await sim.state())["dead_man_due_wall"] is None
    async with sim.http.ws_connect(f"{sim.server.endpoint}/stream.bybit.com/v5/private") as ws:
        await ws.send_json(sign_in(sim))
        await ws.send_json({"op": "subscribe", "args": ["dcp.future"]})
        assert [(await ws.receive_json())["success"] for _ in range(2)] == [True, True]
        assert (await sim.state())["dead_man_due_wall"] == pytest.approx(time.time() + 5, abs=1)
    await sim.post("clock", skew_s=6)
    assert [gone["kind"] for gone in (await sim.state())["cancelled_orders"]] == ["perp_plain"]


def sign_in(sim: Sim, secret: str | None = None) -> dict[str, Any]:
    expires = str(int(time.time() * 1000) + 10_000)
    signature = hmac_sha256(secret or sim.client.secret, f"GET/realtime{expires}").hex()
    return {"op": "auth", "args": [sim.client.apiKey, expires, signature]}


# --- sockets -------------------------------------------------------------------------------------------


async def watch(sim: Sim, awaitable: Any) -> asyncio.Future[Any]:
    future = asyncio.ensure_future(awaitable)
    await until_subscribed(sim.server)
    return future


async def test_orders_wallet_and_positions_are_told_as_they_change(sim: Sim) -> None:
    await sim.post("balance", asset="BTC", amount="1")
    seen = await watch(sim, sim.client.watch_orders())
    wallet = await watch(sim, sim.client.watch_balance())
    await sim.post("order", symbol=LINEAR, **STOP)
    await sim.post("balance", asset="USDT", amount="4000")
    (order,) = await within(seen)
    assert (order["symbol"], order["status"], order["triggerPrice"]) == (LINEAR, "open", 45000)
    assert (await within(wallet))["total"] == {"USDT": 4000}, "only what changed, and no snapshot"
    gone = await watch(sim, sim.client.watch_orders())
    positions = await watch(sim, sim.client.watch_positions())
    await sim.client.cancel_all_orders()
    assert (await within(gone))[-1]["info"]["orderStatus"] == "Deactivated"
    assert await within(positions) is not None


async def test_spot_tickers_tell_neither_bid_nor_mark_and_contracts_do(sim: Sim) -> None:
    spot = await within(sim.client.watch_ticker(SPOT))
    assert (spot["last"], spot["bid"], spot["markPrice"]) == (60000, None, None)
    contract = await watch(sim, sim.client.watch_ticker(LINEAR))
    assert (await within(contract))["markPrice"] == 60000
    moved = await watch(sim, sim.client.watch_ticker(LINEAR))
    await sim.post("price", symbol=LINEAR, price="50000")
    assert (await within(moved))["markPrice"] == 50000
    touch = await within(sim.client.watch_bids_asks([SPOT]))
    assert touch[SPOT]["bid"] < 60000 < touch[SPOT]["ask"]


async def test_sockets_refuse_in_the_venues_words(sim: Sim) -> None:
    base = f"{sim.server.endpoint}/stream.bybit.com/v5"
    async with sim.http.ws_connect(f"{base}/private") as ws:
        for asked in (sign_in(sim, "forged"), {"op": "subscribe", "args": ["order"]}):
            await ws.send_json(asked)
            assert (await ws.receive_json())["success"] is False
        await ws.send_json({"op": "ping", "req_id": 7})
        assert (await ws.receive_json())["op"] == "pong"
    async with sim.http.ws_connect(f"{base}/public/spot") as ws:
        await ws.send_json({"op": "subscribe", "req_id": 3, "args": ["tickers.NOPE"]})
        refusal = await ws.receive_json()
        assert (refusal["ret_msg"], refusal["req_id"]) == ("Invalid symbol :[tickers.NOPE]", "3")
        await ws.send_json({"op": "subscribe", "args": [f"tickers.SYN{n:03d}USDT" for n in range(11)]})
        assert (await ws.receive_json())["ret_msg"] == "args size >10"


async def test_orders_over_the_trade_socket_know_no_filter(sim: Sim) -> None:
    placed = await within(sim.client.create_order_ws(LINEAR, "limit", "buy", 0.01, 40000))
    assert (await within(sim.client.cancel_order_ws(placed["id"], LINEAR)))["id"] == placed["id"]
    paired = (await sim.post("order", symbol=SPOT, **LIMIT, book="tpslOrder"))["order_id"]
    with pytest.raises(ccxt.OrderNotFound):
        await within(sim.client.cancel_order_ws(paired, SPOT, {"orderFilter": "tpslOrder"}))
