"""The simulated okx against the unmodified ccxt client: listings and their pages, cancels and their reach, money."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import ccxt.pro
import pytest
import pytest_asyncio
from venue_process import Sim, client_of, until, within

from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from adapters.simulated.wire.okx_books import ALGOS

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

SPOT, SWAP, INVERSE = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"
LIMIT = {"side": "buy", "quantity": "0.01", "price": "50000", "client_order_id": "bot7"}
STOP = {"side": "sell", "type": "stop", "quantity": "0.02", "trigger_price": "45000"}


class Workshop:
    """One set of markets for all clients, which are closed together."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession()
        self.clients: list[Any] = []

    async def client(self, endpoint: str, **options: Any) -> Any:
        client = client_of("okx", endpoint, **options)
        client.password = "simulated-passphrase"
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
    server = VenueServer("okx")
    await server.start()
    yield Sim(server, workshop.http, await workshop.client(server.endpoint))
    await server.stop()


async def switch(sim: Sim, name: str, value: str) -> None:
    await sim.post("switch", switch=name, value=value)


async def listed(sim: Sim, kind: str) -> list[str]:
    return [
        row["id"] for row in await sim.client.fetch_open_orders(None, None, None, {"trigger": True, "ordType": kind})
    ]


async def codes(call: Any) -> list[str]:
    """The outer code of a reply, then one of each row."""
    reply = await call
    return [reply["code"], *(row["sCode"] for row in reply["data"])]


# --- what there is -------------------------------------------------------------------------------------


async def test_market_lists_have_their_real_size(sim: Sim) -> None:
    markets = sim.client.markets
    kinds = [market["type"] for market in markets.values()]
    assert kinds.count("spot") > 800
    assert kinds.count("swap") > 250
    assert (kinds.count("future"), kinds.count("option")) == (32, 48)
    assert (markets[SWAP]["id"], markets[SWAP]["contractSize"], markets[SWAP]["linear"]) == (
        "BTC-USDT-SWAP",
        0.01,
        True,
    )
    assert (markets[INVERSE]["contractSize"], markets[INVERSE]["inverse"]) == (100, True)
    assert markets["BTC/USDT:USDT-310328"]["expiry"] == 1932451200000
    assert not any("ABOVE" in symbol for symbol in markets)


async def test_the_default_account(sim: Sim) -> None:
    assert (await sim.client.fetch_balance())["total"] == {"USDT": 5000.0}
    assert (await sim.client.fetch_balance({"type": "funding"}))["total"] == {}
    assert await sim.client.fetch_open_orders() == []
    assert await sim.client.fetch_positions() == []


async def test_prices(sim: Sim) -> None:
    await sim.post("price", symbol=SWAP, price="42000")
    ticker = (await sim.client.fetch_tickers([SWAP]))[SWAP]
    assert ticker["bid"] < 42000 < ticker["ask"]
    assert ticker["markPrice"] is None
    assert (await sim.client.fetch_mark_prices([SWAP]))[SWAP]["markPrice"] == 42000
    assert (await sim.client.fetch_tickers([SPOT]))[SPOT]["last"] == 60000


async def test_an_instrument_that_is_delisted_vanishes_and_its_orders_stay(sim: Sim, workshop: Workshop) -> None:
    order_id = (await sim.post("order", symbol=SPOT, **LIMIT))["order_id"]
    await sim.post("delist", symbol=SPOT)
    instruments = (await sim.client.publicGetPublicInstruments({"instType": "SPOT"}))["data"]
    assert "BTC-USDT" not in {row["instId"] for row in instruments}
    assert SPOT not in await sim.client.fetch_tickers()
    with pytest.raises(ccxt.BadSymbol):
        await sim.client.privateGetTradeOrdersPending({"instId": "BTC-USDT"})
    (row,) = (await sim.client.privateGetTradeOrdersPending())["data"]
    cancel = [{"instId": row["instId"], "ordId": order_id}]
    assert await codes(sim.client.privatePostTradeCancelBatchOrders(cancel)) == ["0", "0"]


async def test_an_event_contract_is_unknown_to_the_client(sim: Sim) -> None:
    await sim.post("order", symbol="BTC-ABOVE-DAILY-310328-1600-70000", side="buy", quantity="5", price="0.4")
    (row,) = (await sim.client.privateGetTradeOrdersPending())["data"]
    assert row["instType"] == "EVENTS"
    assert (await sim.client.fetch_open_orders())[0]["symbol"] == "BTC-ABOVE-DAILY-310328-1600-70000"


# --- money ---------------------------------------------------------------------------------------------


async def detail(sim: Sim, coin: str = "USDT") -> dict[str, str]:
    (row,) = (await sim.client.privateGetAccountBalance())["data"]
    return next(found for found in row["details"] if found["ccy"] == coin)


async def test_margin_of_isolated_positions_and_money_of_bots_leave_the_cash(sim: Sim) -> None:
    await sim.post("position", symbol=SWAP, quantity="10", entry="60000")
    await sim.post("position", symbol="ETH/USDT:USDT", quantity="-10", entry="3100", isolated=True)
    await sim.post("bot", symbol=SPOT, price="50000", quantity="0.01", every_ms=60_000, strategy="grid", id="901")
    await sim.post("price", symbol=SWAP, price="61000")
    row = await detail(sim)
    amounts = {name: Decimal(row[name]) for name in ("eq", "cashBal", "upl", "stgyEq", "isoEq", "isoUpl", "liab")}
    assert amounts == {"eq": 5200, "cashBal": 4190, "upl": 100, "stgyEq": 500, "isoEq": 410, "isoUpl": 100, "liab": 0}
    assert amounts["cashBal"] + amounts["stgyEq"] + amounts["isoEq"] - amounts["isoUpl"] == 5000


async def test_a_loan_makes_cash_negative_and_is_told_once_more_as_liability(sim: Sim) -> None:
    await sim.post("debt", asset="BTC", amount="0.5")
    await sim.post("balance", asset="BTC", amount="0.1")
    row = await detail(sim, "BTC")
    assert (row["cashBal"], row["eq"], row["liab"]) == ("-0.4", "-0.4", "0.4")


async def test_an_empty_account_has_no_details(sim: Sim) -> None:
    await sim.post("balance", asset="USDT", amount="0")
    assert (await sim.client.privateGetAccountBalance())["data"][0]["details"] == []


async def test_positions_net_and_by_sides_cross_and_isolated_linear_and_inverse(sim: Sim) -> None:
    await sim.post("position", symbol=SWAP, quantity="-5", entry="61000")
    await sim.post("position", symbol=INVERSE, quantity="20", entry="50000")
    swap, inverse = await sim.client.fetch_positions()
    assert (swap["symbol"], swap["side"], swap["contracts"], swap["unrealizedPnl"]) == (SWAP, "short", 5, 50)
    assert (inverse["side"], inverse["contracts"], inverse["notional"]) == ("long", 20, pytest.approx(2000 / 60000))
    await switch(sim, "posMode", "long_short_mode")
    await sim.post("position", symbol=SWAP, quantity="0")
    await sim.post("position", symbol=SWAP, quantity="2", entry="60000", side="long")
    await sim.post("position", symbol=SWAP, quantity="-3", entry="60000", side="short", isolated=True)
    rows = {row["side"]: row for row in await sim.client.fetch_positions([SWAP])}
    assert {side: row["contracts"] for side, row in rows.items()} == {"long": 2, "short": 3}
    assert [rows[side]["marginMode"] for side in ("long", "short")] == ["cross", "isolated"]
    await sim.client.create_order(SWAP, "market", "sell", 2, None, {"positionSide": "long", "reduceOnly": True})
    assert [row["side"] for row in await sim.client.fetch_positions([SWAP])] == ["short"]


async def test_a_margin_position_tells_its_side_by_its_coin(sim: Sim) -> None:
    await sim.post("position", symbol=SPOT, quantity="-0.5", entry="60000")
    (row,) = (await sim.client.privateGetAccountPositions())["data"]
    assert (row["instType"], row["pos"], row["posCcy"], row["liab"]) == ("MARGIN", "30000.0", "USDT", "-0.5")


async def test_a_deposit_lands_in_funding_and_a_transfer_moves_it(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="700", wallet="funding")
    assert (await sim.client.fetch_balance({"type": "funding"}))["total"] == {"USDT": 700.0}
    assert [row["amount"] for row in await sim.client.fetch_deposits()] == [5000.0, 700.0]
    assert (await sim.client.privateGetAccountBills())["data"] == []
    await sim.client.transfer("USDT", 300, "funding", "trading")
    (bill,) = (await sim.client.privateGetAccountBills({"type": "1"}))["data"]
    assert (bill["balChg"], bill["bal"], bill["subType"], bill["from"], bill["to"]) == ("300", "5300", "11", "6", "18")
    assert [row["amount"] for row in await sim.client.fetch_transfers()] == [5000.0, 300.0]
    assert [row["type"] for row in (await sim.client.privateGetAssetBills())["data"]] == ["131", "1"]
    await sim.post("flow", asset="USDT", amount="-50", wallet="funding", fee="1")
    (withdrawal,) = await sim.client.fetch_withdrawals()
    assert (withdrawal["amount"], withdrawal["fee"]["cost"], withdrawal["status"]) == (50.0, 1.0, "ok")


async def test_what_flows_straight_into_the_trading_wallet_is_a_transfer_there(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-500")
    (bill,) = (await sim.client.privateGetAccountBills())["data"]
    assert (bill["type"], bill["subType"], bill["balChg"], bill["bal"]) == ("1", "12", "-500", "4500")
    assert [row["type"] for row in (await sim.client.privateGetAssetBills())["data"]] == ["2", "130"]
    assert [row["amount"] for row in await sim.client.fetch_withdrawals()] == [500.0]


async def test_bills_have_pages_and_a_week(sim: Sim) -> None:
    for amount in range(1, 131):
        await sim.post("flow", asset="USDT", amount=amount)
    first = (await sim.client.privateGetAccountBills())["data"]
    assert (len(first), first[0]["balChg"]) == (100, "130")
    second = (await sim.client.privateGetAccountBills({"after": first[-1]["billId"]}))["data"]
    assert [row["balChg"] for row in second] == [str(amount) for amount in range(30, 0, -1)]
    newer = (await sim.client.privateGetAccountBills({"before": second[-1]["billId"]}))["data"]
    assert newer[0]["balChg"] == "130", "the newest come first, and 29 older ones are skipped"
    archive = (await sim.client.privateGetAccountBillsArchive({"after": second[-1]["billId"]}))["data"]
    assert [row["balChg"] for row in archive] == ["5000"], "what is older than a week is in the archive alone"
    assert await sim.client.fetch_ledger() == [], "ccxt asks for bills of spot, and transfers have no instrument"


async def test_trades_and_funding_are_bills_of_their_own_types(sim: Sim) -> None:
    await sim.post("trade", symbol=SPOT, side="buy", quantity="0.01", price="60000", fee="0.6")
    await sim.post("funding", symbol=SWAP, amount="-2")
    rows = (await sim.client.privateGetAccountBills())["data"]
    assert [(row["ccy"], row["type"], row["subType"], float(row["balChg"])) for row in rows] == [
        ("USDT", "8", "173", -2),
        ("BTC", "2", "1", 0.01),
        ("USDT", "2", "2", -600.6),
    ]


# --- listings of orders --------------------------------------------------------------------------------


async def test_plain_orders_have_pages_of_a_hundred(sim: Sim) -> None:
    ids = (await sim.post("order", symbol=SPOT, count=230, **LIMIT))["order_ids"]
    seen: list[str] = []
    while page := await sim.client.fetch_open_orders(None, None, None, {"after": seen[-1]} if seen else {}):
        seen += sorted((row["id"] for row in page), reverse=True)
    assert seen == ids[::-1]
    assert len(await sim.client.fetch_open_orders(None, None, 500)) == 100


async def test_each_algo_type_is_in_a_listing_of_its_own(sim: Sim) -> None:
    placed = {kind: (await sim.post("order", symbol=SWAP, book=kind, **STOP))["order_id"] for kind in ALGOS}
    unnamed = (await sim.post("order", symbol=SPOT, **STOP))["order_id"]
    assert await sim.client.fetch_open_orders() == []
    for kind in set(ALGOS) - {"conditional"}:
        assert await listed(sim, kind) == [placed[kind]]
    assert await listed(sim, "conditional,oco") == [placed["conditional"], placed["oco"], unnamed]
    for wrong in ("trigger,twap", "nonsense", ""):
        with pytest.raises(ccxt.BadRequest, match="51000"):
            await sim.client.privateGetTradeOrdersAlgoPending({"ordType": wrong})
    await switch(sim, "unknown_types", "iceberg")
    with pytest.raises(ccxt.BadRequest, match="51000"):
        await listed(sim, "iceberg")


async def test_algo_orders_have_pages_too(sim: Sim) -> None:
    await sim.post("order", symbol=SPOT, count=120, **STOP)
    first = (await sim.client.privateGetTradeOrdersAlgoPending({"ordType": "conditional"}))["data"]
    older = {"ordType": "conditional", "after": first[-1]["algoId"]}
    assert (len(first), len((await sim.client.privateGetTradeOrdersAlgoPending(older))["data"])) == (100, 20)


async def test_attached_orders_are_unlisted_until_their_parent_is_filled(sim: Sim) -> None:
    protection = {"stopLoss": {"triggerPrice": 40000}}
    parent = await sim.client.create_order(SWAP, "limit", "buy", 1, 50000, protection)
    (row,) = (await sim.client.privateGetTradeOrdersPending())["data"]
    assert row["attachAlgoOrds"][0]["slTriggerPx"] == "40000"
    assert await listed(sim, "conditional,oco") == []
    await sim.post("fill", order_id=parent["id"])
    (stop,) = await sim.client.fetch_open_orders(None, None, None, {"trigger": True, "ordType": "conditional,oco"})
    assert (stop["side"], stop["amount"], stop["stopLossPrice"]) == ("sell", 1, 40000)


async def test_spread_orders_are_in_no_other_listing(sim: Sim) -> None:
    await sim.post("order", symbol=SWAP, book="spread", **LIMIT)
    assert await sim.client.fetch_open_orders() == []
    (row,) = (await sim.client.privateGetSprdOrdersPending())["data"]
    assert row["sprdId"] == "BTC-USDT_BTC-USDT-SWAP"
    with pytest.raises(ccxt.OrderNotFound, match="51400"):
        await sim.client.cancel_order(row["ordId"], SWAP)
    await sim.client.privatePostSprdMassCancel()
    assert (await sim.client.privateGetSprdOrdersPending())["data"] == []


# --- orders --------------------------------------------------------------------------------------------


async def test_orders_are_placed_found_and_filled(sim: Sim) -> None:
    resting = await sim.client.create_order(SPOT, "limit", "buy", 0.01, 40000, {"clientOrderId": "mine1"})
    bought = await sim.client.create_order(SPOT, "market", "buy", 0.01)
    await sim.client.create_order(SPOT, "market", "sell", 0.005, None, {"stopLossPrice": 30000})
    (row,) = await sim.client.fetch_open_orders()
    assert (row["id"], row["clientOrderId"], row["amount"]) == (resting["id"], "mine1", 0.01)
    assert (await sim.client.fetch_order(bought["id"], SPOT))["status"] == "closed"
    assert len(await listed(sim, "conditional,oco")) == 1
    assert (await sim.state())["holdings"]["BTC"]["total"] == "0.01"
    with pytest.raises(ccxt.OrderNotFound, match="51603"):
        await sim.client.fetch_order("1", SPOT)
    with pytest.raises(ccxt.InsufficientFunds):
        await sim.client.create_order(SPOT, "limit", "buy", 5, 40000)


async def test_a_position_is_closed_at_the_market(sim: Sim) -> None:
    await sim.client.create_order(SWAP, "market", "buy", 3)
    await sim.client.close_position(SWAP)
    assert await sim.client.fetch_positions() == []
    with pytest.raises(ccxt.ExchangeError, match="51023"):
        await sim.client.close_position(SWAP)


async def test_a_batch_cancels_twenty_of_any_instruments_each_with_its_own_code(sim: Sim) -> None:
    spot = (await sim.post("order", symbol=SPOT, **LIMIT))["order_id"]
    swap = (await sim.post("order", symbol=SWAP, **LIMIT))["order_id"]
    stop = (await sim.post("order", symbol=SWAP, **STOP))["order_id"]
    mixed = [("BTC-USDT-SWAP", stop), ("BTC-USDT", spot), ("BTC-USDT-SWAP", swap), ("BTC-USDT", "17")]
    batch = [{"instId": name, "ordId": order_id} for name, order_id in mixed]
    assert await codes(sim.client.privatePostTradeCancelBatchOrders(batch)) == ["2", "51400", "0", "0", "51400"]
    assert (await sim.state())["open_order_count"] == 1
    with pytest.raises(ccxt.OrderNotFound, match="51400"):
        await sim.client.cancel_order(spot, SPOT)
    with pytest.raises(ccxt.ExchangeError, match="51406"):
        await sim.client.cancel_orders([str(number) for number in range(21)], SPOT)


async def test_which_cancel_reaches_which_algo(sim: Sim) -> None:
    placed = {kind: (await sim.post("order", symbol=SWAP, book=kind, **STOP))["order_id"] for kind in ALGOS}
    rows = {kind: {"instId": "BTC-USDT-SWAP", "algoId": placed[kind]} for kind in ALGOS}
    advanced = ("move_order_stop", "iceberg", "smart_iceberg", "twap")
    everything = await codes(sim.client.privatePostTradeCancelAlgos(list(rows.values())))
    assert everything == ["2", "0", "0", "0", "51400", "51400", "51400", "51400", "0"]
    wrong = [rows["conditional"], rows["twap"]]
    assert await codes(sim.client.privatePostTradeCancelAdvanceAlgos(wrong)) == ["2", "51293", "0"]
    await switch(sim, "advance", "shared")
    left = [rows[kind] for kind in advanced if kind != "twap"]
    assert await codes(sim.client.privatePostTradeCancelAlgos(left)) == ["0", "0", "0", "0"]
    assert (await sim.state())["open_order_count"] == 0
    with pytest.raises(ccxt.ExchangeError, match="51406"):
        await sim.client.privatePostTradeCancelAlgos([rows["oco"]] * 11)


async def test_a_cancel_may_take_effect_later_than_it_is_acknowledged(sim: Sim) -> None:
    order_id = (await sim.post("order", symbol=SPOT, **LIMIT))["order_id"]
    await switch(sim, "cancel_lag_s", "30")
    await sim.client.cancel_order(order_id, SPOT)
    assert len(await sim.client.fetch_open_orders()) == 1
    sim.server.exchange.advance((await sim.state())["wall"] + 31)
    assert await sim.client.fetch_open_orders() == []


async def test_the_dead_mans_switch_reaches_plain_orders_of_the_account_or_of_a_tag(sim: Sim) -> None:
    for book in ("", "spread"):
        await sim.post("order", symbol=SWAP, book=book, **LIMIT)
    await sim.post("order", symbol=SWAP, **STOP)
    tagged = await sim.client.create_order(SPOT, "limit", "buy", 0.01, 40000, {"tag": "mine"})
    armed = (await sim.client.cancel_all_orders_after(20_000, {"tag": "mine"}))["data"][0]
    assert (armed["tag"], int(armed["triggerTime"]) - int(armed["ts"])) == ("mine", 20_000)
    await sim.client.cancel_all_orders_after(60_000)
    exchange, wall = sim.server.exchange, (await sim.state())["wall"]
    exchange.advance(wall + 21)
    assert tagged["id"] not in exchange.orders
    exchange.advance(wall + 61)
    assert sorted(order.kind for order in exchange.orders.values()) == ["perp_spread", "perp_trigger"]
    assert (await sim.client.cancel_all_orders_after(0))["data"][0]["triggerTime"] == "0"
    with pytest.raises(ccxt.BadRequest, match="timeOut"):
        await sim.client.cancel_all_orders_after(9_000)


# --- what the venue runs itself ------------------------------------------------------------------------


async def test_a_twap_places_again_until_it_is_stopped_itself(sim: Sim) -> None:
    await sim.post("bot", symbol=SWAP, price="50000", every_ms=60_000, strategy="twap", id="77")
    (child,) = await sim.client.fetch_open_orders()
    assert child["info"]["algoId"] == "77"
    assert await listed(sim, "twap") == ["77"]
    assert child["id"] == "77", "ccxt takes the parent's id for the child's"
    await sim.client.cancel_orders([child["info"]["ordId"]], SWAP)
    sim.server.exchange.advance((await sim.state())["wall"] + 61)
    assert len(await sim.client.fetch_open_orders()) == 1
    await switch(sim, "children", "stay")
    stop = [{"instId": "BTC-USDT-SWAP", "algoId": "77"}]
    assert await codes(sim.client.privatePostTradeCancelAdvanceAlgos(stop)) == ["0", "0"]
    assert (await listed(sim, "twap"), len(await sim.client.fetch_open_orders())) == ([], 1)


async def test_trading_bots_have_listings_of_their_own_and_hide_their_orders(sim: Sim) -> None:
    kinds = ("grid", "contract_grid", "moon_grid", "spot_dca", "contract_dca", "recurring", "signal")
    for number, kind in enumerate(kinds):
        await sim.post("bot", symbol=SWAP, price="50000", every_ms=60_000, strategy=kind, id=str(900 + number))
    client = sim.client
    assert await client.fetch_open_orders() == []
    for number, kind in enumerate(kinds[:3]):
        (row,) = (await client.privateGetTradingBotGridOrdersAlgoPending({"algoOrdType": kind}))["data"]
        assert (row["algoId"], row["state"], row["activeOrdNum"]) == (str(900 + number), "running", "1")
    assert len((await client.privateGetTradingBotDcaOngoingList({"algoOrdType": "spot_dca"}))["data"]) == 1
    signals = {"algoOrdType": "contract", "after": "9223372036854775807"}
    assert len((await client.privateGetTradingBotRecurringOrdersAlgoPending())["data"]) == 1
    assert len((await client.privateGetTradingBotSignalOrdersAlgoPending(signals))["data"]) == 1
    with pytest.raises(ccxt.BadRequest):
        await client.privateGetTradingBotGridOrdersAlgoPending()
    stop = {"instId": "BTC-USDT-SWAP", "stopType": "2"}
    grids = [stop | {"algoId": str(900 + number), "algoOrdType": kind} for number, kind in enumerate(kinds[:3])]
    wrong = stop | {"algoId": "903", "algoOrdType": "grid"}
    assert await codes(client.privatePostTradingBotGridStopOrderAlgo([*grids, wrong])) == ["2", "0", "0", "0", "51291"]
    for number, kind in ((903, "spot_dca"), (904, "contract_dca")):
        await client.privatePostTradingBotDcaStop({"algoId": str(number), "algoOrdType": kind, "stopType": "2"})
    await client.privatePostTradingBotRecurringStopOrderAlgo([{"algoId": "905"}])
    await client.privatePostTradingBotSignalStopOrderAlgo([{"algoId": "906"}])
    state = await sim.state()
    assert (state["bots"], state["open_order_count"]) == ([], 0)


# --- keys ----------------------------------------------------------------------------------------------


async def test_a_key_tells_its_permissions_and_addresses(sim: Sim) -> None:
    (row,) = (await sim.client.privateGetAccountConfig())["data"]
    assert (row["perm"], row["ip"], row["posMode"]) == ("read_only,trade", "127.0.0.1", "net_mode")
    await sim.post("key", may_withdraw=True, bound_to="")
    (row,) = (await sim.client.privateGetAccountConfig())["data"]
    assert (set(row["perm"].split(",")), row["ip"]) == ({"read_only", "withdraw", "trade"}, "")


async def test_what_is_wrong_with_a_key_is_told_by_a_code(sim: Sim, workshop: Workshop) -> None:
    cases = {
        "50119": {"api_key": "another"},
        "50113": {"secret": "another"},
    }
    for code, options in cases.items():
        client = await workshop.client(sim.server.endpoint, **options)
        with pytest.raises(ccxt.ExchangeError, match=code):
            await client.fetch_balance()
    client = await workshop.client(sim.server.endpoint)
    client.password = "another"
    with pytest.raises(ccxt.AuthenticationError, match="50105"):
        await client.fetch_balance()
    await sim.post("key", bound_to="198.51.100.4")
    with pytest.raises(ccxt.PermissionDenied, match="50110"):
        await sim.client.fetch_balance()
    await sim.post("key", bound_to="")
    await sim.post("clock", skew_s=40)
    with pytest.raises(ccxt.InvalidNonce, match="50102"):
        await sim.client.fetch_balance()
    await sim.post("clock", skew_s=0)
    await switch(sim, "environment", "demo")
    with pytest.raises(ccxt.AuthenticationError, match="50101"):
        await sim.client.fetch_balance()


async def test_the_wrong_region_knows_no_key(sim: Sim) -> None:
    headers = {"OK-ACCESS-KEY": API_KEY, "OK-ACCESS-SIGN": "x", "OK-ACCESS-TIMESTAMP": "x", "OK-ACCESS-PASSPHRASE": "x"}
    url = f"{sim.server.endpoint}/eea.okx.com/api/v5/account/balance"
    async with sim.http.get(url, headers=headers) as reply:
        assert (reply.status, await reply.json()) == (401, {"code": "50119", "msg": "API key doesn't exist"})


async def test_a_key_that_may_only_read(sim: Sim) -> None:
    await sim.post("fault", how="read_only_key")
    await sim.client.fetch_open_orders()
    with pytest.raises(ccxt.ExchangeError, match="50120"):
        await sim.client.cancel_order("1", SPOT)


async def test_calls_are_counted_if_that_is_wanted(sim: Sim) -> None:
    await switch(sim, "limits", "on")
    for _ in range(20):
        await listed(sim, "trigger")
    with pytest.raises(ccxt.RateLimitExceeded, match="50011"):
        await listed(sim, "twap")
    await sim.client.fetch_open_orders()
    sim.server.skew_s = 2.1
    await listed(sim, "twap")


# --- sockets -------------------------------------------------------------------------------------------


async def watching(sim: Sim, channel: str, awaitable: Any) -> asyncio.Future[Any]:
    """Start watching, so that what happens next is not missed."""
    future = asyncio.ensure_future(awaitable)

    async def is_subscribed() -> bool:
        sessions: list[Any] = [socket.session for socket in sim.server._sockets]
        return any(arg["channel"] == channel for session in sessions for arg in session.subscribed)

    await until(is_subscribed)
    return future


async def test_streams_of_the_account(sim: Sim) -> None:
    client = sim.client
    assert (await within(client.watch_balance()))["USDT"]["total"] == 5000
    changed = await watching(sim, "account", client.watch_balance())
    await sim.post("flow", asset="USDT", amount="-500")
    assert (await within(changed))["USDT"]["total"] == 4500
    assert await within(client.watch_positions()) == []
    changed = await watching(sim, "positions", client.watch_positions())
    await sim.post("position", symbol=SWAP, quantity="-5", entry="61000")
    assert [(row["side"], row["contracts"]) for row in await within(changed)] == [("short", 5)]
    orders = await watching(sim, "orders", client.watch_orders())
    order_id = (await sim.post("order", symbol=SPOT, **LIMIT))["order_id"]
    assert [(row["id"], row["status"]) for row in await within(orders)] == [(order_id, "open")]
    orders = await watching(sim, "orders", client.watch_orders())
    await client.cancel_order(order_id, SPOT)
    assert [(row["id"], row["status"]) for row in await within(orders)] == [(order_id, "canceled")]


async def test_algo_orders_have_a_stream_of_their_own(sim: Sim) -> None:
    orders = await watching(sim, "orders-algo", sim.client.watch_orders(None, None, None, {"trigger": True}))
    await sim.post("order", symbol=SPOT, book="twap", **STOP)
    await sim.post("order", symbol=SPOT, **STOP)
    (row,) = await within(orders)
    assert (row["info"]["ordType"], row["stopLossPrice"]) == ("conditional", 45000)


async def test_streams_of_prices(sim: Sim) -> None:
    assert (await within(sim.client.watch_tickers([SPOT, SWAP])))[SPOT]["last"] == 60000
    price = await watching(sim, "mark-price", sim.client.watch_mark_prices([SWAP]))
    assert (await within(price))[SWAP]["markPrice"] == 60000
    price = await watching(sim, "mark-price", sim.client.watch_mark_prices([SWAP]))
    await sim.post("price", symbol=SWAP, price="59000")
    assert (await within(price))[SWAP]["markPrice"] == 59000


async def test_orders_are_cancelled_over_the_socket(sim: Sim) -> None:
    ids = (await sim.post("order", symbol=SWAP, count=2, **LIMIT))["order_ids"]
    assert len(await within(sim.client.cancel_orders_ws(ids, SWAP))) == 2
    assert (await sim.state())["open_order_count"] == 0
    placed = await within(sim.client.create_order_ws(SPOT, "limit", "buy", 0.01, 40000))
    assert placed["id"] in sim.server.exchange.orders


async def test_a_bare_socket(sim: Sim) -> None:
    ws = await sim.http.ws_connect(f"{sim.server.endpoint}/ws.okx.com:443/ws/v5/private")
    await ws.send_str("ping")
    assert (await within(ws.receive())).data == "pong"
    await ws.send_json({"op": "subscribe", "args": [{"channel": "account"}]})
    assert (await within(ws.receive_json()))["code"] == "60011"
    await ws.send_json({"op": "login", "args": [{"apiKey": API_KEY, "passphrase": "another"}]})
    assert (await within(ws.receive_json()))["code"] == "60024"
    await ws.close()


async def test_a_channel_that_is_full_is_acknowledged_and_silent(sim: Sim) -> None:
    await switch(sim, "connections", "full")
    ws = await sim.http.ws_connect(f"{sim.server.endpoint}/ws.okx.com:443/ws/v5/private")
    stamp = str(int((await sim.state())["wall"]))
    sign = sim.client.hmac(f"{stamp}GET/users/self/verify".encode(), API_SECRET.encode(), hashlib.sha256, "base64")
    login = {"apiKey": API_KEY, "passphrase": "simulated-passphrase", "timestamp": stamp, "sign": sign}
    await ws.send_json({"op": "login", "args": [login]})
    await ws.send_json({"op": "subscribe", "args": [{"channel": "orders", "instType": "ANY"}]})
    events = [(await within(ws.receive_json()))["event"] for _ in range(3)]
    assert events == ["login", "subscribe", "channel-conn-count-error"]
    await sim.post("order", symbol=SPOT, **LIMIT)
    await ws.send_str("ping")
    assert (await within(ws.receive())).data == "pong"
    await ws.close()
