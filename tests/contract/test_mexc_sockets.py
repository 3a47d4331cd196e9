"""The simulated mexc's sockets against the unmodified ccxt client: protobuf on spot, JSON on contracts."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ccxt
import pytest
import pytest_asyncio
from mexc_case import PERP, SPOT, SWAP, Workshop, books, opened
from venue_process import Sim, until_subscribed, within

from adapters.simulated import API_KEY

# Closing a client takes ccxt a quarter of a second: one loop for all lets them be closed at once.
pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]


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


async def watching(sim: Sim, sockets: int, *awaitables: Any) -> list[asyncio.Future[Any]]:
    """Start to watch, and wait until the subscriptions stand. sockets: how many are open then."""
    futures = [asyncio.ensure_future(each) for each in awaitables]

    await until_subscribed(sim.server, sockets)
    return futures


async def test_spot_account_and_orders_come_as_protobuf(sim: Sim) -> None:
    balance, orders = await watching(sim, 1, sim.client.watch_balance(), sim.client.watch_orders())
    await sim.post("order", symbol=SPOT, price="50000", quantity="0.01", client_order_id="bot-7")
    assert (await within(balance))["USDT"] == {"free": 5500.0, "used": 500.0, "total": 6000.0}
    (order,) = await within(orders)
    assert (order["symbol"], order["side"], order["clientOrderId"], order["status"], order["amount"]) == (
        SPOT,
        "buy",
        "bot-7",
        "open",
        0.01,
    )
    (orders,) = await watching(sim, 1, sim.client.watch_orders())
    await sim.client.cancel_all_orders()
    assert (await within(orders))[-1]["status"] == "canceled"
    (balance,) = await watching(sim, 1, sim.client.watch_balance())
    await sim.post("flow", asset="USDT", amount="-500")
    told = await within(balance)
    assert (told["USDT"]["total"], told["info"]["type"], told["info"]["balanceAmountChange"]) == (
        5500.0,
        "WITHDRAW",
        "-500",
    )


async def test_spot_ticker(sim: Sim) -> None:
    (ticker,) = await watching(sim, 1, sim.client.watch_ticker(SPOT))
    await sim.post("price", symbol=SPOT, price="42000")
    told = await within(ticker)
    assert (told["bid"] + told["ask"]) / 2 == pytest.approx(42000)


async def test_contract_wallet_orders_and_tickers(sim: Sim) -> None:
    client = sim.client
    balance, orders, one = await watching(
        sim,
        1,
        client.watch_balance(SWAP),
        client.watch_orders(None, None, None, SWAP),
        client.watch_ticker("ETH/USDT:USDT"),
    )
    assert (await within(one))["bid"] is not None
    (tickers,) = await watching(sim, 1, client.watch_tickers([PERP]))
    await sim.post("order", symbol=PERP, price="50000", quantity="3")
    assert (await within(orders))[0]["symbol"] == PERP
    await sim.post("flow", asset="USDT", amount="-500", wallet="contract")
    assert (await within(balance))["USDT"]["total"] == 3500.0
    await sim.post("price", symbol=PERP, price="42000")
    told = (await within(tickers))[PERP]
    assert (told["bid"], told["info"]["fairPrice"]) in ((None, 42000), (None, 60000))


async def _socket(sim: Sim, host: str) -> Any:
    return await sim.http.ws_connect(f"{sim.server.endpoint}/{host}")


async def _asked(ws: Any, message: dict[str, Any]) -> dict[str, Any]:
    await ws.send_json(message)
    answer: dict[str, Any] = json.loads((await within(ws.receive())).data)
    return answer


async def test_a_subscription_is_refused_with_code_0(sim: Sim) -> None:
    ws = await _socket(sim, "wbs-api.mexc.com/ws?listenKey=nobody")
    answer = await _asked(ws, {"method": "SUBSCRIPTION", "params": ["spot@private.account.v3.api.pb"]})
    assert (answer["code"], "Blocked" in answer["msg"]) == (0, True)
    assert (await _asked(ws, {"method": "PING"}))["msg"] == "PONG"
    await ws.close()


async def test_a_listen_key_ends_in_silence(sim: Sim) -> None:
    key = (await sim.client.spotPrivatePostUserDataStream())["listenKey"]
    ws = await _socket(sim, f"wbs-api.mexc.com/ws?listenKey={key}")
    channel = "spot@private.account.v3.api.pb"
    assert (await _asked(ws, {"method": "SUBSCRIPTION", "params": [channel]}))["msg"] == channel
    await sim.post("flow", asset="USDT", amount="5")
    assert (await within(ws.receive())).type is aiohttp.WSMsgType.BINARY
    await sim.client.spotPrivatePutUserDataStream({"listenKey": key})
    await sim.post("clock", skew_s=3700)
    await sim.post("flow", asset="USDT", amount="5")
    assert (await _asked(ws, {"method": "PING"}))["msg"] == "PONG"
    await sim.post("clock", skew_s=0)
    await sim.client.spotPrivateDeleteUserDataStream({"listenKey": key})
    with pytest.raises(ccxt.ExchangeError):
        await sim.client.spotPrivatePutUserDataStream({"listenKey": key})
    await ws.close()


async def test_every_book_and_position_is_pushed_after_a_login(sim: Sim) -> None:
    ws = await _socket(sim, "contract.mexc.com/edge")
    wrong = {"apiKey": API_KEY, "reqTime": str(sim.client.milliseconds()), "signature": "00"}
    assert (await _asked(ws, {"method": "login", "param": wrong}))["channel"] == "rs.error"
    signature = sim.client.hmac((API_KEY + wrong["reqTime"]).encode(), sim.client.secret.encode(), hashlib.sha256)
    assert (await _asked(ws, {"method": "login", "param": wrong | {"signature": signature}}))["channel"] == "rs.login"
    await books(sim)
    await sim.post("position", symbol=PERP, quantity="-4", entry="61000")
    await sim.post("position", symbol=PERP, quantity="0")
    frames = [json.loads((await within(ws.receive())).data) for _ in range(6)]
    assert [frame["channel"].removeprefix("push.personal.") for frame in frames] == [
        "order",
        "plan.order",
        "stop.planorder",
        "track.order",
        "position",
        "position",
    ]
    assert [(frame["data"]["state"], frame["data"]["holdVol"]) for frame in frames[-2:]] == [(1, 4), (3, 0)]
    await ws.close()
