"""Binance's futures, both halves, against the unmodified ccxt client: what hides orders hides them here too."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest
import pytest_asyncio
from venue_process import Sim, client_of, until, until_subscribed, within

from adapters.simulated.server import VenueServer

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

SYMBOL = {"binanceusdm": "BTC/USDT:USDT", "binancecoinm": "BTC/USD:BTC"}
OTHER = {"binanceusdm": "ETH/USDT:USDT", "binancecoinm": "ETH/USD:ETH"}
WALLET = {"binanceusdm": ("USDT", 4000.0), "binancecoinm": ("BTC", 0.1)}
TRIGGER = {"trigger": True}


class Workshop:
    """Clients that know the markets, cleared away together."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession()
        self.loaded: dict[str, Any] = {}
        self.clients: list[Any] = []

    async def client(self, kind: str, endpoint: str, **options: Any) -> Any:
        client = client_of(kind, endpoint, **options)
        client.options["fetchOpenOrders"]["warnWithoutSymbol"] = False
        self.clients.append(client)
        if kind in self.loaded:
            client.set_markets_from_exchange(self.loaded[kind])
        else:
            await client.load_markets()
            self.loaded[kind] = client
        return client

    async def close(self) -> None:
        await asyncio.gather(self.http.close(), *(client.close() for client in self.clients))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    workshop = Workshop()
    yield workshop
    await workshop.close()


@pytest_asyncio.fixture(params=SYMBOL, loop_scope="module")
async def sim(request: pytest.FixtureRequest, workshop: Workshop) -> AsyncIterator[Sim]:
    server = VenueServer(request.param)
    await server.start()
    yield Sim(server, workshop.http, await workshop.client(request.param, server.endpoint))
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def usdm(workshop: Workshop) -> AsyncIterator[Sim]:
    server = VenueServer("binanceusdm", idle_s=0.05)
    await server.start()
    yield Sim(server, workshop.http, await workshop.client("binanceusdm", server.endpoint))
    await server.stop()


def plain(sim: Sim, **rest: Any) -> dict[str, Any]:
    return {"symbol": SYMBOL[sim.server.kind], "side": "buy", "quantity": "1", "price": "50000"} | rest


def stop(sim: Sim, **rest: Any) -> dict[str, Any]:
    body = {
        "symbol": SYMBOL[sim.server.kind],
        "side": "sell",
        "type": "stop",
        "quantity": "2",
        "trigger_price": "45000",
    }
    return body | rest


async def listed(sim: Sim, **params: Any) -> list[str]:
    return [order["id"] for order in await sim.client.fetch_open_orders(None, None, None, params)]


# --- market and account --------------------------------------------------------------------------------


async def test_market_lists_have_their_real_size(workshop: Workshop, sim: Sim) -> None:
    markets = sim.client.markets
    if sim.server.kind == "binancecoinm":
        assert 25 <= len(markets) <= 60
        assert (markets["BTC/USD:BTC"]["contractSize"], markets["ETH/USD:ETH"]["contractSize"]) == (100, 10)
        return
    assert 600 <= len(markets) <= 700
    assert markets["BTC/USDT:USDT"]["id"] == "BTCUSDT"
    assert markets["BTC/USDT:USDT-310328"]["future"] is True
    assert [symbol for symbol in markets if not symbol.isascii()]


async def test_what_is_delisted_is_no_market_and_its_orders_go_on(sim: Sim) -> None:
    order_id = (await sim.post("order", **plain(sim)))["order_id"]
    await sim.post("delist", symbol=SYMBOL[sim.server.kind])
    asked = (
        sim.client.fapiPublicGetExchangeInfo
        if sim.server.kind == "binanceusdm"
        else sim.client.dapiPublicGetExchangeInfo
    )
    ids = {row["symbol"] for row in (await asked())["symbols"]}
    assert sim.client.market(SYMBOL[sim.server.kind])["id"] not in ids
    assert await listed(sim) == [order_id]


async def test_the_wallet_is_without_unrealised_profit_and_beside_it_with(sim: Sim) -> None:
    asset, amount = WALLET[sim.server.kind]
    await sim.post("position", symbol=SYMBOL[sim.server.kind], quantity="-1", entry="61000")
    balance = await sim.client.fetch_balance()
    (row,) = [row for row in balance["info"]["assets"] if row["asset"] == asset]
    assert float(row["walletBalance"]) == amount
    assert float(row["marginBalance"]) > amount
    assert set(balance["total"]) == {asset}


async def test_positions_have_their_side_and_mark(sim: Sim) -> None:
    symbol = SYMBOL[sim.server.kind]
    await sim.post("position", symbol=symbol, quantity="-2", entry="61000")
    await sim.post("price", symbol=symbol, price="58000")
    (position,) = await sim.client.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == (symbol, "short", 2)
    assert (position["markPrice"], position["entryPrice"], position["hedged"]) == (58000, 61000, False)
    assert (await sim.client.fetch_mark_prices([symbol]))[symbol]["markPrice"] == 58000
    bid_ask = (await sim.client.fetch_bids_asks([symbol]))[symbol]
    assert bid_ask["bid"] < 58000 < bid_ask["ask"]


async def test_a_hedged_account_holds_a_long_and_a_short(usdm: Sim) -> None:
    for side, quantity in (("long", "2"), ("short", "-1")):
        await usdm.post("position", symbol="BTCUSDT", quantity=quantity, entry="60000", side=side)
    found = await usdm.client.fetch_positions()
    assert [(row["side"], row["contracts"], row["hedged"]) for row in found] == [("long", 2, True), ("short", 1, True)]
    assert await usdm.client.fetch_position_mode() == {"info": {"dualSidePosition": True}, "hedged": True}
    with pytest.raises(ccxt.OperationRejected, match="-4061"):
        await usdm.client.create_order("BTC/USDT:USDT", "market", "sell", 1)
    await usdm.client.create_order("BTC/USDT:USDT", "market", "sell", 2, None, {"positionSide": "LONG"})
    assert [row["side"] for row in await usdm.client.fetch_positions()] == ["short"]


# --- two books -----------------------------------------------------------------------------------------


async def test_each_listing_and_each_cancel_is_of_one_book(sim: Sim) -> None:
    symbol, other = SYMBOL[sim.server.kind], OTHER[sim.server.kind]
    near = (await sim.post("order", **plain(sim)))["order_id"]
    far = (await sim.post("order", **plain(sim, symbol=other, price="2000")))["order_id"]
    waits = (await sim.post("order", **stop(sim)))["order_id"]
    assert (await listed(sim), await listed(sim, trigger=True)) == ([near, far], [waits])
    await sim.client.cancel_all_orders(symbol)
    assert (await listed(sim), await listed(sim, trigger=True)) == ([far], [waits])
    await sim.client.cancel_all_orders(symbol, TRIGGER)
    assert (await listed(sim), await listed(sim, trigger=True)) == ([far], [])
    await sim.client.cancel_all_orders(symbol)  # nothing is open there: answered alike


async def test_an_order_is_cancelled_only_in_its_own_book(sim: Sim) -> None:
    symbol = SYMBOL[sim.server.kind]
    near = (await sim.post("order", **plain(sim)))["order_id"]
    waits = (await sim.post("order", **stop(sim)))["order_id"]
    for wrong in (
        lambda: sim.client.cancel_order(waits, symbol),
        lambda: sim.client.cancel_order(near, symbol, TRIGGER),
    ):
        with pytest.raises(ccxt.OrderNotFound, match="-2011"):
            await wrong()
    await sim.client.cancel_order(waits, symbol, TRIGGER)
    assert (await sim.client.cancel_order(near, symbol))["status"] == "canceled"


async def test_a_triggered_order_moves_to_the_other_book(usdm: Sim) -> None:
    waits = (await usdm.post("order", **stop(usdm, type="stop_limit", price="44000")))["order_id"]
    await usdm.post("trigger", order_id=waits, gap_ms=3_600_000)
    assert (await listed(usdm, trigger=True), await listed(usdm)) == ([], []), "for a while it is in neither"
    usdm.server.exchange.advance(wall(usdm) + 3_600)
    assert (await listed(usdm, trigger=True), len(await listed(usdm))) == ([], 1)


async def test_a_batch_says_of_each_row_whether_it_was_done(usdm: Sim) -> None:
    placed = (await usdm.post("order", count=3, **plain(usdm)))["order_ids"]
    request = {"symbol": "BTCUSDT", "orderidlist": [placed[0], "5"]}
    done, refused = await usdm.client.fapiPrivateDeleteBatchOrders(request)
    assert (done["status"], refused) == ("CANCELED", {"code": -2011, "msg": "Unknown order sent."})
    with pytest.raises(ccxt.OrderNotFound):
        await usdm.client.cancel_orders(["5"], "BTC/USDT:USDT")
    with pytest.raises(ccxt.BadRequest, match="-1130"):
        await usdm.client.cancel_orders([str(number) for number in range(11)], "BTC/USDT:USDT")


async def test_orders_are_placed_in_the_book_of_their_kind(sim: Sim) -> None:
    symbol = SYMBOL[sim.server.kind]
    near = await sim.client.create_order(symbol, "limit", "buy", 1, 40000, {"clientOrderId": "mine-1"})
    waits = await sim.client.create_order(symbol, "market", "sell", 1, None, {"stopLossPrice": 30000})
    assert (near["clientOrderId"], near["status"], waits["triggerPrice"]) == ("mine-1", "open", 30000)
    bought = await sim.client.create_order(symbol, "market", "buy", 1)
    assert (bought["status"], bought["filled"]) == ("closed", 1)
    assert sorted((await sim.state())["open_orders"]) == ["perp_plain", "perp_trigger"]
    request = {"symbol": sim.client.market(symbol)["id"], "side": "SELL", "type": "STOP_MARKET", "stopPrice": "1"}
    usdm, coinm = sim.client.fapiPrivatePostOrder, sim.client.dapiPrivatePostOrder
    with pytest.raises(ccxt.ExchangeError, match="-4120"):
        await (usdm if sim.server.kind == "binanceusdm" else coinm)(request)


async def test_a_stop_that_closes_all_has_no_quantity(usdm: Sim) -> None:
    await usdm.post("order", **stop(usdm, close_position=True))
    (row,) = await usdm.client.fapiPrivateGetOpenAlgoOrders()
    assert (row["quantity"], row["closePosition"], row["reduceOnly"]) == ("0", True, False)


async def test_the_dead_mans_switch_is_of_one_symbol(usdm: Sim) -> None:
    for body in (plain(usdm), plain(usdm, symbol="ETHUSDT", price="2000"), stop(usdm)):
        await usdm.post("order", **body)
    await usdm.client.fapiPrivatePostCountdownCancelAll({"symbol": "BTCUSDT", "countdownTime": 20})

    async def has_fired() -> bool:
        return bool((await usdm.state())["cancelled_orders"])

    await until(has_fired)
    state = await usdm.state()
    assert [(gone["symbol"], gone["how"]) for gone in state["cancelled_orders"]] == [("BTC/USDT:USDT", "dead_man")]
    assert state["open_order_count"] == 2


async def test_a_strategy_outlives_the_cancel_of_its_children(usdm: Sim) -> None:
    await usdm.post("bot", symbol="BTCUSDT", quantity="0.1", price="50000", every_ms=20, strategy="twap")
    (parent,) = (await usdm.client.sapiGetAlgoFuturesOpenOrders())["orders"]
    await usdm.client.cancel_all_orders("BTC/USDT:USDT")

    async def has_child() -> bool:
        return len(await listed(usdm)) > 0

    await until(has_child)
    assert (await usdm.client.sapiDeleteAlgoFuturesOrder({"algoId": parent["algoId"]}))["success"] is True
    assert ((await usdm.client.sapiGetAlgoFuturesOpenOrders())["total"], await listed(usdm)) == (0, [])
    with pytest.raises(ccxt.BadRequest, match="-20124"):
        await usdm.client.sapiDeleteAlgoFuturesOrder({"algoId": parent["algoId"]})


# --- income, transfers ---------------------------------------------------------------------------------


async def test_income_is_of_seven_days_a_hundred_rows_oldest_first(usdm: Sim) -> None:
    for amount in range(1, 103):
        usdm.server.exchange.flow("USDT", Decimal(amount), wall(usdm))
    rows = await usdm.client.fapiPrivateGetIncome()
    assert len(rows) == 100
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert len(await usdm.client.fapiPrivateGetIncome({"startTime": 0, "limit": 1000})) == 103


def wall(sim: Sim) -> float:
    return float(sim.server.state()["wall"])


async def test_profit_and_fee_are_rows_with_one_id(sim: Sim) -> None:
    symbol = SYMBOL[sim.server.kind]
    await sim.post("position", symbol=symbol, quantity="2", entry="50000")
    await sim.post("fees", ratio="0.0005")
    await sim.client.create_order(symbol, "market", "sell", 2, None, {"reduceOnly": True})
    await sim.post("funding", symbol=symbol, amount="-0.00001")
    rows = [row["info"] for row in await sim.client.fetch_ledger(None, int(wall(sim) * 1000) - 60_000)]
    assert [row["incomeType"] for row in rows] == ["REALIZED_PNL", "COMMISSION", "FUNDING_FEE"]
    assert rows[0]["tranId"] == rows[1]["tranId"]
    asset = WALLET[sim.server.kind][0]
    before = WALLET[sim.server.kind][1]
    total = (await sim.client.fetch_balance())["total"][asset]
    assert total == pytest.approx(before + sum(float(row["income"]) for row in rows), abs=1e-7)


async def test_a_transfer_is_told_by_its_direction(usdm: Sim) -> None:
    await usdm.post("balance", asset="USDT", amount="500", wallet="funding", kind="none")
    await usdm.post("transfer", asset="USDT", amount="100", source="funding", target="um")
    await usdm.post("flow", asset="USDT", amount="-50")
    ask = usdm.client.sapiGetAssetTransfer
    assert [row["amount"] for row in (await ask({"type": "FUNDING_UMFUTURE"}))["rows"]] == ["100"]
    assert [row["amount"] for row in (await ask({"type": "UMFUTURE_MAIN"}))["rows"]] == ["50"]
    assert (await ask({"type": "MAIN_UMFUTURE"}))["rows"] == []  # what was funded is older than seven days


# --- keys, limits, errors ------------------------------------------------------------------------------


async def test_wrong_keys_secrets_and_times_are_refused(usdm: Sim, workshop: Workshop) -> None:
    stranger = await workshop.client("binanceusdm", usdm.server.endpoint, api_key="stranger")
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await stranger.fetch_balance()
    forger = await workshop.client("binanceusdm", usdm.server.endpoint, secret="forged")
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        await forger.fetch_open_orders()
    await usdm.post("clock", skew_s=-5)
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await usdm.client.fetch_open_orders()
    with pytest.raises(ccxt.BadSymbol, match="-1121"):
        await usdm.client.fapiPublicGetPremiumIndex({"symbol": "NONEUSDT"})


async def test_a_key_that_may_only_read_is_told_so_by_401(usdm: Sim) -> None:
    await usdm.post("fault", how="read_only_key")
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await usdm.client.cancel_all_orders("BTC/USDT:USDT")
    await usdm.post("key", may_withdraw=True, bound_to="")
    told = await usdm.client.sapiGetAccountApiRestrictions()
    assert (told["enableWithdrawals"], told["ipRestrict"], told["enableFutures"]) == (True, False, True)


async def test_weights_are_counted_and_too_much_is_refused(usdm: Sim) -> None:
    await usdm.client.fetch_open_orders()
    assert usdm.client.last_response_headers["X-MBX-USED-WEIGHT-1M"] == "40"
    await usdm.post("limit", ceiling=41, decay_per_s=1)
    await usdm.client.fetch_open_orders("BTC/USDT:USDT")
    with pytest.raises(ccxt.DDoSProtection, match="429"):
        await usdm.client.fetch_open_orders()
    assert int(usdm.client.last_response_headers["Retry-After"]) >= 1


# --- streams -------------------------------------------------------------------------------------------


async def watch(sim: Sim, awaitable: Any) -> asyncio.Future[Any]:
    """Start watching, and wait until the socket is there, so that what happens next is not missed."""
    future = asyncio.ensure_future(awaitable)
    await until_subscribed(sim.server)
    return future


async def test_account_stream_tells_money_orders_and_positions(sim: Sim) -> None:
    asset, amount = WALLET[sim.server.kind]
    symbol = SYMBOL[sim.server.kind]
    assert await within(sim.client.watch_positions()) == []
    balance, orders = await watch(sim, sim.client.watch_balance()), await watch(sim, sim.client.watch_orders())
    await sim.post("flow", asset=asset, amount=str(-amount / 4))
    assert (await within(balance))[asset]["total"] == pytest.approx(amount * 3 / 4)
    placed = (await sim.post("order", **plain(sim)))["order_id"]
    assert [order["id"] for order in await within(orders)] == [placed]
    waits = (await sim.post("order", **stop(sim)))["order_id"]
    await sim.delete("order")

    async def are_cancelled() -> bool:
        return {order["id"]: order["status"] for order in sim.client.orders} == dict.fromkeys(
            (placed, waits), "canceled"
        )

    await until(are_cancelled)
    positions = await watch(sim, sim.client.watch_positions())
    await sim.post("position", symbol=symbol, quantity="2", entry="60000")
    assert [(row["contracts"], row["side"]) for row in await within(positions)] == [(2, "long")]


async def test_marks_and_books_are_streamed(sim: Sim) -> None:
    symbol = SYMBOL[sim.server.kind]
    assert (await within(sim.client.watch_mark_prices([symbol])))[symbol]["markPrice"] == 60000
    assert (await within(sim.client.watch_bids_asks([symbol])))[symbol]["bid"] < 60000
    update = await watch(sim, sim.client.watch_mark_prices([symbol]))
    await sim.post("price", symbol=symbol, price="59000")
    marks = [(await within(update))[symbol]["markPrice"]]
    while marks[-1] != 59000:
        marks.append((await within(sim.client.watch_mark_prices([symbol])))[symbol]["markPrice"])


async def test_a_listen_key_that_ends_says_so_and_a_dead_one_is_silent(usdm: Sim) -> None:
    key = (await usdm.client.fapiPrivatePostListenKey())["listenKey"]
    assert (await usdm.client.fapiPrivatePutListenKey())["listenKey"] == key
    url = f"{usdm.server.endpoint}/fstream.binance.com/private/ws?listenKey={key}"
    async with usdm.http.ws_connect(url) as socket:
        await usdm.client.fapiPrivateDeleteListenKey()
        assert (await within(socket.receive_json()))["e"] == "listenKeyExpired"
    with pytest.raises(ccxt.AuthenticationError, match="-1125"):
        await usdm.client.fapiPrivatePutListenKey()
    async with usdm.http.ws_connect(url) as socket:
        await usdm.post("order", **plain(usdm))
        with pytest.raises(TimeoutError):
            await within(socket.receive_json(), 0.1)


async def test_a_stream_of_the_wrong_path_is_acknowledged_and_silent(usdm: Sim) -> None:
    async with usdm.http.ws_connect(f"{usdm.server.endpoint}/fstream.binance.com/market/ws/1") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "none@markPrice"], "id": 1})
        assert await within(socket.receive_json()) == {"result": None, "id": 1}
        await usdm.post("price", symbol="BTCUSDT", price="59000")
        with pytest.raises(TimeoutError):
            await within(socket.receive_json(), 0.1)
        await socket.send_str("nonsense")
        assert (await within(socket.receive_json()))["error"]["code"] == 2
