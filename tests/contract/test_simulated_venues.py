"""Both simulated venues against the unmodified ccxt client: what is set through the admin face is what it reads."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest
import pytest_asyncio
from venue_process import Sim, client_of, until, within

from adapters.simulated import API_KEY
from adapters.simulated.server import VenueServer, run

# Closing a client takes ccxt a quarter of a second: one loop for all lets them be closed at once.
pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ("kraken", "krakenfutures")
SYMBOL = {"kraken": "BTC/USD", "krakenfutures": "BTC/USD:USD"}
START = {"kraken": 6000.0, "krakenfutures": 4000.0}
LIMIT = {"side": "buy", "quantity": "0.01", "price": "50000", "client_order_id": "bot-7"}
STOP = {"side": "sell", "type": "stop", "quantity": "0.02", "trigger_price": "45000"}


class Workshop:
    """Makes venues and clients, and clears them away together."""

    def __init__(self) -> None:
        self.http = aiohttp.ClientSession()
        self.loaded: dict[str, Any] = {}
        self.clients: list[Any] = []

    async def client(self, kind: str, endpoint: str, **options: Any) -> Any:
        client = client_of(kind, endpoint, **options)
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


@pytest_asyncio.fixture(params=KINDS, loop_scope="module")
async def sim(request: pytest.FixtureRequest, workshop: Workshop) -> AsyncIterator[Sim]:
    server = VenueServer(request.param)
    await server.start()
    yield Sim(server, workshop.http, await workshop.client(request.param, server.endpoint))
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def kraken(workshop: Workshop) -> AsyncIterator[Sim]:
    server = VenueServer("kraken")
    await server.start()
    yield Sim(server, workshop.http, await workshop.client("kraken", server.endpoint))
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def futures(workshop: Workshop) -> AsyncIterator[Sim]:
    server = VenueServer("krakenfutures")
    await server.start()
    yield Sim(server, workshop.http, await workshop.client("krakenfutures", server.endpoint))
    await server.stop()


def symbol_of(sim: Sim) -> str:
    return SYMBOL[sim.server.kind]


async def watch(awaitable: Any) -> asyncio.Future[Any]:
    """Start watching, so that what happens next is not missed."""
    future = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    return future


# --- REST ----------------------------------------------------------------------------------------------


async def test_market_lists_have_their_real_size(sim: Sim) -> None:
    markets = sim.client.markets
    if sim.server.kind == "kraken":
        assert len(markets) >= 1100
        assert len(sim.client.currencies) >= 590
        assert markets["BTC/USD"]["id"] == "XXBTZUSD"
        assert markets["BTC/USDT"]["id"] == "XBTUSDT"
        assert markets["USDT/USD"]["id"] == "USDTZUSD"
    else:
        assert 330 <= len(markets) <= 370
        assert markets["BTC/USD:USD"]["id"] == "PF_XBTUSD"
        assert markets["BTC/USD:BTC"]["inverse"] is True
        assert markets["BTC/USD:BTC-310627"]["future"] is True


async def test_default_account_holds_usdt_and_nothing_else(sim: Sim) -> None:
    assert (await sim.client.fetch_balance())["total"] == {"USDT": START[sim.server.kind]}
    assert await sim.client.fetch_open_orders() == []
    assert await sim.client.fetch_positions() == []


async def test_balance_set_is_the_balance_read(sim: Sim) -> None:
    await sim.post("balance", asset="BTC", amount="0.25")
    assert (await sim.client.fetch_balance())["total"]["BTC"] == 0.25


async def test_plain_and_trigger_orders_are_listed_with_their_client_ids(sim: Sim) -> None:
    await sim.post("order", symbol=symbol_of(sim), **LIMIT)
    await sim.post("order", symbol=symbol_of(sim), **STOP)
    plain, trigger = await sim.client.fetch_open_orders()
    assert (plain["symbol"], plain["side"], plain["amount"], plain["clientOrderId"]) == (
        symbol_of(sim),
        "buy",
        0.01,
        "bot-7",
    )
    assert (trigger["side"], trigger["amount"], trigger["triggerPrice"]) == ("sell", 0.02, 45000.0)
    by_kind = (await sim.state())["open_orders"]
    assert sorted(kind.partition("_")[2] for kind in by_kind) == ["plain", "trigger"]


async def test_position_is_listed_and_leaves_the_wallet_alone(sim: Sim) -> None:
    await sim.post("position", symbol=symbol_of(sim), quantity="-0.5", entry="61000")
    (position,) = await sim.client.fetch_positions()
    assert (position["symbol"], position["side"], position["contracts"]) == (symbol_of(sim), "short", 0.5)
    assert (await sim.client.fetch_balance())["total"] == {"USDT": START[sim.server.kind]}
    await sim.post("position", symbol=symbol_of(sim), quantity="0")
    assert await sim.client.fetch_positions() == []


async def test_price_moves_bid_ask_and_mark_but_no_wallet(sim: Sim) -> None:
    await sim.post("price", symbol=symbol_of(sim), price="42000")
    ticker = (await sim.client.fetch_tickers([symbol_of(sim)]))[symbol_of(sim)]
    assert ticker["bid"] < 42000 < ticker["ask"]
    assert (ticker["bid"] + ticker["ask"]) / 2 == pytest.approx(42000)
    if sim.server.kind == "krakenfutures":
        assert ticker["markPrice"] == 42000
    assert (await sim.client.fetch_balance())["total"] == {"USDT": START[sim.server.kind]}


async def test_an_assets_price_moves_all_its_instruments(sim: Sim) -> None:
    await sim.post("price", asset="BTC", price="30000")
    tickers = await sim.client.fetch_tickers()
    moved = [t for s, t in tickers.items() if s.startswith("BTC/") and s.split(":")[0] in ("BTC/USD", "BTC/USDT")]
    assert len(moved) >= 2
    assert all(ticker["last"] == pytest.approx(30000) for ticker in moved)
    assert tickers[symbol_of(sim).replace("BTC", "ETH")]["last"] == 3000


async def test_cancel_one_and_cancel_all(sim: Sim) -> None:
    order_id = (await sim.post("order", symbol=symbol_of(sim), **LIMIT))["order_id"]
    await sim.post("order", symbol=symbol_of(sim), **STOP)
    await sim.client.cancel_order(order_id)
    assert len(await sim.client.fetch_open_orders()) == 1
    await sim.client.cancel_all_orders()
    assert await sim.client.fetch_open_orders() == []
    state = await sim.state()
    assert [gone["how"] for gone in state["cancelled_orders"]] == ["cancel", "cancel_all"]
    assert all(gone["cancelled_wall"] >= gone["placed_wall"] for gone in state["cancelled_orders"])
    with pytest.raises(ccxt.OrderNotFound):
        await sim.client.cancel_order(order_id)


async def test_cancel_a_batch_of_ids(sim: Sim) -> None:
    placed = await sim.post("order", symbol=symbol_of(sim), count=3, **LIMIT)
    await sim.client.cancel_orders(placed["order_ids"][:2])
    assert [order["id"] for order in await sim.client.fetch_open_orders()] == placed["order_ids"][2:]


async def test_orders_are_placed_rested_and_filled(sim: Sim) -> None:
    await sim.post("balance", asset="USD", amount="5000")
    await sim.post("balance", asset="BTC", amount="1")
    symbol = symbol_of(sim)
    resting = await sim.client.create_order(symbol, "limit", "buy", 0.01, 40000, {"clientOrderId": "mine-1"})
    await sim.client.create_order(symbol, "market", "buy", 0.01)
    await sim.client.create_order(symbol, "market", "sell", 0.005, None, {"stopLossPrice": 30000})
    listed = {order["id"]: order for order in await sim.client.fetch_open_orders()}
    assert listed[resting["id"]]["clientOrderId"] == "mine-1"
    assert len(listed) == 2
    state = await sim.state()
    assert [(fill["side"], fill["fill_quantity"]) for fill in state["fills"]] == [("buy", "0.01")]
    if sim.server.kind == "kraken":
        assert state["holdings"]["BTC"]["total"] == "1.01"
        assert float(state["holdings"]["USD"]["held"]) == 400
    else:
        assert state["positions"][symbol]["quantity"] == "0.01"


async def test_kraken_validates_an_order_without_placing_it(kraken: Sim) -> None:
    await kraken.client.create_order("BTC/USDT", "limit", "buy", 0.01, 40000, {"validate": "true"})
    assert (await kraken.state())["open_order_count"] == 0


async def test_dead_mans_switch_cancels_when_it_is_not_fed(sim: Sim) -> None:
    await sim.post("order", symbol=symbol_of(sim), **LIMIT)
    await sim.client.cancel_all_orders_after(60_000)
    armed = (await sim.state())["dead_man_due_wall"]
    assert armed is not None
    sim.server.exchange.arm_dead_man(0.001, (await sim.state())["wall"] - 1)
    state = await sim.state()
    assert [gone["how"] for gone in state["cancelled_orders"]] == ["dead_man"]
    assert state["dead_man_due_wall"] is None


async def test_flow_is_in_the_ledger_and_a_balance_change_is_no_flow(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-500")
    await sim.post("balance", asset="USDT", amount="3000")
    rows = [row for row in await sim.client.fetch_ledger() if row["amount"] != START[sim.server.kind]]
    flows = [row for row in rows if row["type"] in ("transaction", "transfer")]
    assert [(row["direction"], row["amount"], row["currency"]) for row in flows] == [("out", 500.0, "USDT")]
    assert len(rows) == 2
    assert len({row["id"] for row in rows}) == 2
    assert [row["amount"] for row in (await sim.state())["flows"]][1:] == ["-500"]


async def test_ledger_and_balance_may_learn_of_a_flow_apart(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-500", delay_ledger_ms=3_600_000)
    assert (await sim.client.fetch_balance())["total"]["USDT"] == START[sim.server.kind] - 500
    assert len(await sim.client.fetch_ledger()) == 1
    await sim.post("flow", asset="USDT", amount="-700", delay_balance_ms=3_600_000)
    assert (await sim.client.fetch_balance())["total"]["USDT"] == START[sim.server.kind] - 500
    assert len(await sim.client.fetch_ledger()) == 2


async def test_ledger_from_a_time_on(sim: Sim) -> None:
    await sim.post("flow", asset="USDT", amount="-500")
    yesterday = (await sim.state())["wall"] - 86_400
    if sim.server.kind == "kraken":
        rows = (await sim.client.privatePostLedgers({"start": int(yesterday)}))["result"]["ledger"].values()
    else:
        rows = (await sim.client.historyGetAccountLog({"since": int(yesterday * 1000)}))["logs"]
    assert len(rows) == 1
    assert len(await sim.client.fetch_ledger()) == 2


async def test_kraken_lists_fifty_ledger_rows_a_page_newest_first(kraken: Sim) -> None:
    for amount in range(1, 60):
        await kraken.post("flow", asset="USDT", amount=amount)
    first = await kraken.client.privatePostLedgers({})
    second = await kraken.client.privatePostLedgers({"ofs": 50})
    assert (len(first["result"]["ledger"]), len(second["result"]["ledger"])) == (50, 10)
    assert first["result"]["count"] == 60
    assert not set(first["result"]["ledger"]) & set(second["result"]["ledger"])


async def test_flex_wallet_has_value_and_profit_stands_beside_it(futures: Sim) -> None:
    await futures.post("position", symbol="BTC/USD:USD", quantity="0.1", entry="59000")
    account = (await futures.client.privateGetAccounts())["accounts"]["flex"]
    assert account["currencies"]["USDT"] == {
        "quantity": 4000.0,
        "value": 4000.0,
        "collateral": 4000.0,
        "available": 4000.0,
    }
    assert (account["balanceValue"], account["pnl"], account["portfolioValue"]) == (4000.0, 100.0, 4100.0)


async def test_closing_a_position_realises_its_profit(futures: Sim) -> None:
    await futures.post("position", symbol="BTC/USD:USD", quantity="0.1", entry="61000")
    order = await futures.client.create_order("BTC/USD:USD", "market", "sell", 0.5, None, {"reduceOnly": True})
    assert order["filled"] == 0.1
    assert await futures.client.fetch_positions() == []
    assert (await futures.client.fetch_balance())["total"]["USD"] == pytest.approx(-100.3)
    with pytest.raises(ccxt.ExchangeError, match="wouldNotReducePosition"):
        await futures.client.create_order("BTC/USD:USD", "market", "sell", 0.5, None, {"reduceOnly": True})


async def test_inverse_contract_settles_in_its_own_wallet(futures: Sim) -> None:
    await futures.post("balance", asset="BTC", amount="1", wallet="fi_xbtusd")
    await futures.post("position", symbol="PI_XBTUSD", quantity="6000", entry="60000")
    await futures.post("price", symbol="PI_XBTUSD", price="50000")
    account = (await futures.client.privateGetAccounts())["accounts"]["fi_xbtusd"]
    assert account["balances"] == {"xbt": "1"}
    assert account["auxiliary"]["pnl"] == pytest.approx(-0.02)


# --- keys ----------------------------------------------------------------------------------------------


async def test_wrong_key_and_wrong_secret_are_refused(sim: Sim, workshop: Workshop) -> None:
    kind, endpoint = sim.server.kind, sim.server.endpoint
    stranger = await workshop.client(kind, endpoint, api_key="stranger")
    with pytest.raises(ccxt.AuthenticationError):
        await stranger.fetch_balance()
    forger = await workshop.client(kind, endpoint, secret="Zm9yZ2Vk")
    wanted = "EAPI:Invalid signature" if kind == "kraken" else "authenticationError"
    with pytest.raises(ccxt.ExchangeError, match=wanted):
        await forger.fetch_open_orders()


async def test_kraken_refuses_an_old_nonce(kraken: Sim) -> None:
    await kraken.client.fetch_balance()
    kraken.client.incrementing_nonce = lambda: 5
    try:
        with pytest.raises(ccxt.InvalidNonce, match="EAPI:Invalid nonce"):
            await kraken.client.fetch_balance()
    finally:
        del kraken.client.incrementing_nonce


async def test_futures_refuse_an_old_nonce_where_one_is_given(futures: Sim) -> None:
    url = f"{futures.server.endpoint}/futures.kraken.com/derivatives/api/v3/accounts"
    key = futures.server.face.key  # type: ignore[attr-defined]

    async def ask(nonce: int) -> str:
        digest = hashlib.sha256(f"{nonce}/api/v3/accounts".encode()).digest()
        headers = {"APIKey": API_KEY, "Nonce": str(nonce), "Authent": key.sign(digest)}
        async with futures.http.get(url, headers=headers) as reply:
            return str((await reply.json()).get("error"))

    assert [await ask(n) for n in (10, 20, 20, 15)] == ["None", "None", "nonceDuplicate", "nonceBelowThreshold"]


# --- streams -------------------------------------------------------------------------------------------


def _usdt(sim: Sim, balance: Any) -> float:
    return float(balance["USDT"]["total"])


async def test_balance_stream_gives_a_snapshot_then_every_change(sim: Sim) -> None:
    params = {} if sim.server.kind == "kraken" else {"account": "flex_futures"}
    assert _usdt(sim, await within(sim.client.watch_balance(params))) == START[sim.server.kind]
    update = await watch(sim.client.watch_balance(params))
    await sim.post("flow", asset="USDT", amount="-1000")
    assert _usdt(sim, await within(update)) == START[sim.server.kind] - 1000


async def test_order_stream_gives_open_orders_and_what_becomes_of_them(sim: Sim) -> None:
    first = (await sim.post("order", symbol=symbol_of(sim), **LIMIT))["order_id"]
    assert [order["id"] for order in await within(sim.client.watch_orders())] == [first]
    update = await watch(sim.client.watch_orders())
    second = (await sim.post("order", symbol=symbol_of(sim), **STOP))["order_id"]
    assert second in [order["id"] for order in await within(update)]
    gone = await watch(sim.client.watch_orders())
    await sim.delete("order")
    await within(gone)

    async def both_are_cancelled() -> bool:
        states = {order["id"]: order["status"] for order in sim.client.orders}
        return states.get(first) == states.get(second) == "canceled"

    await until(both_are_cancelled)


async def test_ticker_stream(sim: Sim) -> None:
    symbol = symbol_of(sim)
    assert (await within(sim.client.watch_ticker(symbol)))["last"] == 60000
    update = await watch(sim.client.watch_ticker(symbol))
    await sim.post("price", symbol=symbol, price="59000")
    assert (await within(update))["last"] == 59000


async def test_position_stream(futures: Sim) -> None:
    await futures.post("position", symbol="BTC/USD:USD", quantity="0.5", entry="60000")
    (first,) = await within(futures.client.watch_positions())
    assert (first["contracts"], first["side"]) == (0.5, "long")
    update = await watch(futures.client.watch_positions())
    await futures.post("price", symbol="BTC/USD:USD", price="58000")
    ((moved),) = await within(update)
    assert (moved["markPrice"], moved["unrealizedPnl"]) == (58000, -1000)


async def test_rows_of_a_trade_may_arrive_apart(kraken: Sim) -> None:
    await within(kraken.client.watch_balance())
    first = await watch(kraken.client.watch_balance())
    await kraken.post("trade", symbol="BTC/USDT", side="buy", quantity="0.05", price="60000", rows_apart_ms=30)
    half = dict((await within(first))["total"])
    assert half == {"USDT": 3000.0}

    async def second_row_has_arrived() -> bool:
        return bool(kraken.client.balance["spot"]["total"] == {"USDT": 3000.0, "BTC": 0.05})

    await until(second_row_has_arrived)
    assert (await kraken.client.fetch_balance())["total"] == {"USDT": 3000.0, "BTC": 0.05}


async def test_token_and_challenge_are_verified(sim: Sim, workshop: Workshop) -> None:
    host, ask = {
        "kraken": (
            "ws-auth.kraken.com/v2",
            {"method": "subscribe", "params": {"channel": "balances", "token": "guessed"}},
        ),
        "krakenfutures": (
            "futures.kraken.com/ws/v1",
            {
                "event": "subscribe",
                "feed": "balances",
                "api_key": API_KEY,
                "original_challenge": "x",
                "signed_challenge": "y",
            },
        ),
    }[sim.server.kind]
    async with sim.http.ws_connect(f"{sim.server.endpoint}/{host}") as ws:
        await within(ws.receive_json())
        await ws.send_json(ask)
        answer = json.dumps(await within(ws.receive_json()))
    assert "ESession:Invalid session" in answer or "Failed to subscribe" in answer


# --- faults --------------------------------------------------------------------------------------------


async def _raw(sim: Sim, method: str = "fetch_open_orders") -> tuple[str, Any]:
    """What the client makes of a call, and the body it got."""
    sim.client.last_http_response = None
    try:
        answer = repr(await getattr(sim.client, method)())
    except Exception as error:  # every kind of failure counts here
        answer = type(error).__name__
    return answer, sim.client.last_http_response


@pytest.mark.parametrize(
    ("how", "body"),
    [("html", "<!DOCTYPE html>"), ("empty_object", "{}"), ("empty_list", "[]"), ("empty_body", "")],
)
async def test_odd_bodies_are_served_as_asked(sim: Sim, how: str, body: str) -> None:
    await sim.post("order", symbol=symbol_of(sim), **LIMIT)
    await sim.post("fault", how=how, target="open_orders")
    _, got = await _raw(sim)
    assert got == body if body != "<!DOCTYPE html>" else got.startswith(body)
    assert (await sim.client.fetch_balance())["total"] == {"USDT": START[sim.server.kind]}
    await sim.delete("fault")
    assert len(await sim.client.fetch_open_orders()) == 1


async def test_empty_envelope_is_the_venues_own(sim: Sim) -> None:
    await sim.post("fault", how="empty_envelope", target="balances", count=1)
    _, got = await _raw(sim, "fetch_balance")
    assert json.loads(got) in (
        {"error": [], "result": {}},
        {"result": "success", "serverTime": "2026-01-01T00:00:00.000Z"},
    )
    assert (await sim.client.fetch_balance())["total"] == {"USDT": START[sim.server.kind]}


async def test_truncated_json_and_nan(sim: Sim) -> None:
    await sim.post("order", symbol=symbol_of(sim), **LIMIT)
    await sim.post("fault", how="truncated", target="open_orders", count=1)
    _, got = await _raw(sim)
    with pytest.raises(ValueError):
        json.loads(got)
    await sim.post("fault", how="nan", target="balances", count=1)
    _, got = await _raw(sim, "fetch_balance")
    assert "NaN" in got
    assert (await sim.state())["faults"] == []


@pytest.mark.parametrize("status", ["401", "403", "429", "500", "503"])
async def test_statuses(sim: Sim, status: str) -> None:
    await sim.post("fault", how=status, target="any", count=1, retry_after_s=7)
    async with sim.http.get(f"{sim.server.endpoint}/{_public(sim)}") as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (int(status), "7")
    async with sim.http.get(f"{sim.server.endpoint}/{_public(sim)}") as reply:
        assert reply.status == 200


def _public(sim: Sim) -> str:
    paths = {
        "kraken": "api.kraken.com/0/public/Ticker",
        "krakenfutures": "futures.kraken.com/derivatives/api/v3/tickers",
    }
    return paths[sim.server.kind]


async def test_venue_error_in_the_venues_own_words(sim: Sim) -> None:
    text = "EAPI:Rate limit exceeded" if sim.server.kind == "kraken" else "apiLimitExceeded"
    await sim.post("fault", how="venue_error", target="open_orders", text=text, count=1)
    with pytest.raises((ccxt.DDoSProtection, ccxt.RateLimitExceeded)):
        await sim.client.fetch_open_orders()


async def test_hang_reset_and_slow(sim: Sim, workshop: Workshop) -> None:
    hasty = await workshop.client(sim.server.kind, sim.server.endpoint, timeout_ms=60)
    await sim.post("fault", how="hang", target="open_orders", count=1)
    with pytest.raises(ccxt.RequestTimeout):
        await hasty.fetch_open_orders()
    await sim.post("fault", how="reset", target="open_orders", count=1)
    with pytest.raises((ccxt.NetworkError, ccxt.ExchangeError)):
        await sim.client.fetch_open_orders()
    await sim.post("fault", how="slow", target="open_orders", delay_ms=500, count=1)
    with pytest.raises(ccxt.RequestTimeout):
        await hasty.fetch_open_orders()
    assert await sim.client.fetch_open_orders() == []


async def test_slow_reply_shows_the_moment_of_the_request(sim: Sim) -> None:
    await sim.post("fault", how="slow", target="balances", delay_ms=80, count=1)
    reply = await watch(sim.client.fetch_balance())

    async def asked() -> bool:
        return "balances" in (await sim.state())["calls"]

    await until(asked)
    await sim.post("flow", asset="USDT", amount="-1000")
    assert (await within(reply))["total"]["USDT"] == START[sim.server.kind]


async def test_cancel_that_is_acknowledged_and_not_done(sim: Sim) -> None:
    await sim.post("order", symbol=symbol_of(sim), **LIMIT)
    await sim.post("fault", how="ack_without_cancel")
    await sim.client.cancel_all_orders()
    assert len(await sim.client.fetch_open_orders()) == 1
    assert (await sim.state())["cancelled_orders"] == []
    await sim.delete("fault")
    await sim.client.cancel_all_orders()
    assert await sim.client.fetch_open_orders() == []


@pytest.mark.parametrize("carried_out", [False, True])
async def test_a_call_that_fails_may_or_may_not_have_been_done(sim: Sim, carried_out: bool) -> None:
    await sim.post("order", symbol=symbol_of(sim), **LIMIT)
    await sim.post("fault", how="503", target="cancel", count=1, carried_out=carried_out)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await sim.client.cancel_all_orders()
    assert len(await sim.client.fetch_open_orders()) == (0 if carried_out else 1)


async def test_a_part_of_the_path_names_a_fault(kraken: Sim) -> None:
    await kraken.post("fault", how="503", target="CancelAll", count=1)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        await kraken.client.cancel_all_orders()
    assert (await kraken.state())["calls"]["cancel"]["count"] == 1


async def test_bot_places_orders_until_it_is_stopped(sim: Sim) -> None:
    await sim.post("bot", symbol=symbol_of(sim), price="40000", every_ms=5, prefix="grid")

    async def has_placed_three() -> bool:
        return len(await sim.client.fetch_open_orders()) >= 3

    await until(has_placed_three)
    await sim.delete("bot")
    listed = await sim.client.fetch_open_orders()
    assert [order["clientOrderId"] for order in listed[:3]] == ["grid-1", "grid-2", "grid-3"]
    assert (await sim.state())["bots"] == []


async def test_dropped_socket_ends_the_watch(sim: Sim) -> None:
    await within(sim.client.watch_ticker(symbol_of(sim)))
    pending = await watch(sim.client.watch_ticker(symbol_of(sim)))
    await sim.post("socket", action="drop")
    with pytest.raises(ccxt.NetworkError):
        await within(pending)
    assert (await within(sim.client.watch_ticker(symbol_of(sim))))["last"] == 60000


async def _public_socket(sim: Sim) -> Any:
    """A bare socket that has subscribed to a ticker and read its snapshot."""
    host, ask, price = {
        "kraken": (
            "ws.kraken.com/v2",
            {"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USD"]}},
            "bid",
        ),
        "krakenfutures": (
            "futures.kraken.com/ws/v1",
            {"event": "subscribe", "feed": "ticker", "product_ids": ["PF_XBTUSD"]},
            "bid",
        ),
    }[sim.server.kind]
    ws = await sim.http.ws_connect(f"{sim.server.endpoint}/{host}", autoping=False)
    await ws.send_json(ask)
    while f'"{price}"' not in (await within(ws.receive())).data:
        pass
    return ws


async def test_silent_socket_answers_only_the_protocols_ping(sim: Sim) -> None:
    ws = await _public_socket(sim)
    await sim.post("socket", action="silent")
    await sim.post("price", symbol=symbol_of(sim), price="59000")
    await ws.send_json({"method": "ping"})
    await ws.ping()
    assert (await within(ws.receive())).type is aiohttp.WSMsgType.PONG
    await sim.post("socket", action="heal")
    await sim.post("price", symbol=symbol_of(sim), price="58000")
    assert "5799" in (await within(ws.receive())).data
    await ws.close()


async def test_frozen_socket_answers_nothing_at_all(sim: Sim) -> None:
    ws = await _public_socket(sim)
    await sim.post("socket", action="frozen")
    await ws.ping()
    await ws.send_json({"method": "ping", "event": "challenge", "api_key": API_KEY})
    await sim.post("price", symbol=symbol_of(sim), price="59000")
    await sim.post("socket", action="heal")
    await ws.ping(b"again")
    assert (await within(ws.receive())).data == b"again"
    await ws.close()


async def test_quiet_socket_beats(workshop: Workshop) -> None:
    server = VenueServer("kraken", idle_s=0.01)
    await server.start()
    sim = Sim(server, workshop.http, None)
    ws = await _public_socket(sim)
    assert (await within(ws.receive_json())) == {"channel": "heartbeat"}
    await ws.close()
    await server.stop()


async def test_garbage_on_the_socket(sim: Sim) -> None:
    ws = await _public_socket(sim)
    await sim.post("socket", action="garbage")
    with pytest.raises(ValueError):
        json.loads((await within(ws.receive())).data)
    await sim.post("fault", how="nan", target="ws", field="bid", count=1)
    await sim.post("price", symbol=symbol_of(sim), price="59000")
    assert '"bid": NaN' in (await within(ws.receive())).data
    await ws.close()


async def test_socket_that_can_not_be_dialled(sim: Sim) -> None:
    await sim.post("fault", how="503", target="ws")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await _public_socket(sim)
    await sim.delete("fault")
    await sim.post("fault", how="socket_drop")
    with pytest.raises(aiohttp.ClientError):
        await _public_socket(sim)


# --- the admin face ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "word"),
    [
        ("price", {"symbol": "BTC/USD", "price": "NaN"}, "finite"),
        ("price", {"symbol": "NOPE/USD", "price": 1}, "no instrument"),
        ("price", {"price": 1}, "give symbol and price"),
        ("order", {"symbol": "BTC/USD", "quantity": -1, "price": 1}, "quantity"),
        ("balance", {"asset": "USDT", "amount": 1, "wallat": "x"}, "wallat"),
        ("fault", {"how": "sometimes"}, "how must be one of"),
        ("fault", {"how": "slow"}, "delay_ms"),
        ("nothing", {}, "unknown"),
    ],
)
async def test_senseless_admin_requests_are_refused_with_a_sentence(
    kraken: Sim, name: str, body: dict[str, Any], word: str
) -> None:
    assert word in (await kraken.call("POST", name, body, status=400))["error"]


async def test_state_counts_calls_by_kind_and_endpoint(kraken: Sim) -> None:
    await kraken.client.fetch_open_orders()
    await kraken.client.fetch_open_orders()
    state = await kraken.state()
    assert state["calls"]["open_orders"]["count"] == 2
    assert state["endpoints"]["POST /0/private/OpenOrders"] == 2


async def test_foreign_hosts_are_not_served(kraken: Sim) -> None:
    async with kraken.http.get(f"{kraken.server.endpoint}/api.binance.com/api/v3/time") as reply:
        assert reply.status == 404


# --- as a program --------------------------------------------------------------------------------------

_PROGRAM = "import sys; from adapters.simulated.server import run; sys.exit(run(*sys.argv[1:2], 0, {options}))"
_SCENARIO = [
    {"path": "balance", "body": {"asset": "USDT", "amount": "777"}},
    {"path": "order", "body": {"symbol": "BTC/USD:USD", "price": 50000, "count": 3}},
]


def _start(kind: str, options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(options=options), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


async def test_program_ends_with_its_standard_input(workshop: Workshop) -> None:
    process, line = _start("krakenfutures", "exit_on_stdin_eof=True")
    with process:
        assert line["event"] == "simulated_venue_listening"
        assert line["endpoint"] == f"http://127.0.0.1:{line['port']}"
        async with workshop.http.get(f"{line['endpoint']}/_sim/state") as reply:
            assert (await reply.json())["holdings"]["USDT"]["total"] == "4000"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0


async def test_program_plays_a_scenario_and_ends_on_sigterm(workshop: Workshop, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps(_SCENARIO))
    process, line = _start("krakenfutures", f"scenario={str(scenario)!r}")
    with process:
        async with workshop.http.get(f"{line['endpoint']}/_sim/state") as reply:
            state = await reply.json()
        assert (state["holdings"]["USDT"]["total"], state["open_order_count"]) == ("777", 3)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("kind", "text", "word"),
    [
        ("mtgox", None, "can't be simulated"),
        ("kraken", '[{"pth": "balance"}]', "a scenario is a list"),
        ("kraken", '[{"path": "price", "body": {"symbol": "X", "price": 1}}]', "no instrument"),
    ],
)
async def test_program_that_can_not_start_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str, text: str | None, word: str
) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(text or "[]")
    code = await asyncio.to_thread(run, kind, 0, scenario=str(scenario))
    assert (code, word in capsys.readouterr().err) == (1, True)
