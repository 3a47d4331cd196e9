"""The documented Kraken server against the unmodified ccxt client and against a bare socket.

The end-to-end tests trust this server as a second opinion, so it is itself shown to be right first.
"""

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import ccxt.pro
import pytest
import pytest_asyncio

# Closing a client takes ccxt a quarter of a second: one loop for all lets them be closed at once.
pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = Path(__file__).parents[1] / "e2e" / "venues" / "kraken_from_docs.py"
KEY, SECRET = "docs-key", base64.b64encode(b"kraken, as its documentation has it").decode()
DEADLINE_S = 5
STOP = {"pair": "BTC/USDT", "side": "sell", "type": "stop-loss", "volume": 0.02, "price": 45000}
LIMIT = {"pair": "ETH/USD", "side": "buy", "volume": 1.5, "price": 2000.5, "cl_ord_id": "bot-1"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with subprocess.Popen([sys.executable, SCRIPT, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.terminate()


class Control:
    """The server's control face."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http, self.url = http, f"{base}/control"

    async def __call__(self, **command: Any) -> Any:
        async with self.http.post(self.url, json=command) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()


@pytest_asyncio.fixture(loop_scope="module")
async def control(base: str) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as http:
        control = Control(http, base)
        await control(reset=True)
        yield control


def below(base: str, urls: Any) -> Any:
    if isinstance(urls, dict):
        return {key: below(base, value) for key, value in urls.items()}
    host = base.removeprefix("http://")
    return re.sub(r"^(http|ws)s://", rf"\1://{host}/", urls)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def new_client(base: str) -> AsyncIterator[Callable[[str], Any]]:
    clients = []

    def new(secret: str) -> Any:
        client = ccxt.pro.kraken({"apiKey": KEY, "secret": secret, "enableRateLimit": False})
        client.urls["api"] = below(base, client.urls["api"])
        clients.append(client)
        return client

    yield new
    await asyncio.gather(*(client.close() for client in clients))


@pytest.fixture
def client(new_client: Callable[[str], Any], control: Control) -> Any:
    return new_client(SECRET)


@pytest.fixture
def stranger(new_client: Callable[[str], Any], control: Control) -> Any:
    return new_client(base64.b64encode(b"another secret").decode())


async def soon(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, DEADLINE_S)


async def test_markets_are_those_of_the_documentation(client: Any) -> None:
    markets = await client.load_markets()
    assert (markets["BTC/USD"]["id"], markets["BTC/USDT"]["id"]) == ("XXBTZUSD", "XBTUSDT")
    assert all(market["active"] and market["spot"] for market in markets.values())
    assert markets["BTC/USDT"]["precision"] == {"amount": 1e-8, "price": 0.1}
    assert {"USD", "EUR", "USDT", "USDC", "BTC", "ETH"} <= set(client.currencies)
    assert (await client.fetch_status())["status"] == "ok"
    assert await client.fetch_time() > 0


async def test_balance_shows_totals_and_what_orders_hold(client: Any, control: Control) -> None:
    await control(order=STOP)
    await control(order=LIMIT | {"pair": "ETH/USDT"})
    balance = await client.fetch_balance()
    assert balance["BTC"] == {"free": 0.06, "used": 0.02, "total": 0.08}
    assert balance["USDT"] == {"free": 2999.25, "used": 3000.75, "total": 6000.0}
    assert (await client.private_post_balance())["result"]["XXBT"] == "0.0800000000"


async def test_open_orders_show_the_stop_too(client: Any, control: Control) -> None:
    await control(order=STOP)
    await control(order=LIMIT)
    stop, limit = sorted(await client.fetch_open_orders(), key=lambda order: order["id"])
    assert (stop["symbol"], stop["side"], stop["type"], stop["amount"]) == ("BTC/USDT", "sell", "market", 0.02)
    assert (stop["stopLossPrice"], stop["info"]["descr"]["ordertype"]) == (45000.0, "stop-loss")
    assert (limit["symbol"], limit["side"], limit["type"], limit["price"]) == ("ETH/USD", "buy", "limit", 2000.5)
    assert (limit["clientOrderId"], limit["remaining"], limit["status"]) == ("bot-1", 1.5, "open")
    assert [order["id"] for order in await client.fetch_open_orders("ETH/USD")] == [limit["id"]]


async def test_no_open_orders_is_an_empty_object_below_open(client: Any) -> None:
    assert await client.private_post_openorders() == {"error": [], "result": {"open": {}}}
    assert await client.fetch_open_orders() == []
    assert await client.fetch_positions() == []


async def test_cancel_all_takes_limits_and_stops(client: Any, control: Control) -> None:
    await control(order=STOP)
    truth = await control(order=LIMIT)
    reply = await client.cancel_all_orders()
    assert reply[0]["info"]["result"]["count"] == 2
    after = await control()
    assert (after["open"], after["cancelled"]) == ({}, list(truth["open"]))
    assert after["calls"]["CancelAll"] == 1
    assert await client.fetch_open_orders() == []


async def test_cancel_order_by_either_id_and_only_once(client: Any, control: Control) -> None:
    truth = await control(order=STOP)
    await control(order=LIMIT)
    [stop_id] = truth["open"]
    await client.cancel_order(stop_id)
    await client.cancel_order("", params={"clientOrderId": "bot-1"})
    assert (await control())["open"] == {}
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(stop_id)


async def test_dead_man_fires_once_and_can_be_disarmed(client: Any, control: Control) -> None:
    await control(order=STOP)
    armed = await client.cancel_all_orders_after(60_000)
    assert armed["result"]["triggerTime"] > armed["result"]["currentTime"]
    assert (await control())["dead_man"] is True
    assert (await client.cancel_all_orders_after(0))["result"]["triggerTime"] == "0"
    assert (await control())["dead_man"] is False
    assert len(await soon(client.watch_orders())) == 1
    await client.cancel_all_orders_after(1_000)
    assert (await soon(client.watch_orders()))[-1]["status"] == "canceled"
    truth = await control()
    assert (truth["open"], truth["dead_man"]) == ({}, False)


async def test_tickers_have_their_mid_at_the_price_that_was_set(client: Any, control: Control) -> None:
    await control(price={"BTC/USDT": 41000, "ETH": 2000})
    tickers = await client.fetch_tickers(["BTC/USDT", "BTC/USD", "ETH/USD", "ETH/USDT"])
    mids = {symbol: (row["bid"] + row["ask"]) / 2 for symbol, row in tickers.items()}
    assert mids == {"BTC/USDT": 41000, "BTC/USD": 50000, "ETH/USD": 2000, "ETH/USDT": 2000}
    assert len(await client.fetch_tickers()) == 9


async def test_ledger_lists_flows_with_and_without_effect(client: Any, control: Control) -> None:
    await control(entry={"type": "deposit", "asset": "USDT", "amount": 250})
    await control(entry={"type": "withdrawal", "asset": "BTC", "amount": -0.01, "fee": 0.001})
    await control(entry={"type": "withdrawal", "asset": "USDT", "amount": -99, "effect": False})
    await control(balance={"USDT": 5000})
    rows = sorted(await client.fetch_ledger(), key=lambda row: row["id"])
    assert [(row["currency"], row["direction"], row["amount"], row["after"]) for row in rows] == [
        ("USDT", "in", 250.0, 6250.0),
        ("BTC", "out", 0.01, 0.069),
        ("USDT", "out", 99.0, 6250.0),
        ("USDT", "out", 1250.0, 5000.0),
    ]
    assert [row["info"]["type"] for row in rows] == ["deposit", "withdrawal", "withdrawal", "trade"]
    assert len({row["id"] for row in rows}) == 4
    assert [row["amount"] for row in await client.fetch_ledger("BTC")] == [0.01]
    assert [row["amount"] for row in await client.fetch_ledger(params={"type": "deposit"})] == [250.0]
    assert [row["amount"] for row in await client.fetch_ledger(params={"start": rows[2]["id"]})] == [1250.0]
    assert (await client.fetch_balance())["total"] == {"USDT": 5000.0, "BTC": 0.069, "USD": 0.0}


async def test_ledger_comes_in_pages_of_fifty(client: Any, control: Control) -> None:
    for amount in range(1, 53):
        await control(entry={"type": "deposit", "asset": "USDT", "amount": amount})
    first = await client.private_post_ledgers()
    assert (len(first["result"]["ledger"]), first["result"]["count"]) == (50, 52)
    second = await client.private_post_ledgers({"ofs": 50})
    assert [float(row["amount"]) for row in second["result"]["ledger"].values()] == [2.0, 1.0]


async def test_the_rows_of_trades_share_a_reference_and_add_up_to_the_change_of_the_balances(
    client: Any, control: Control
) -> None:
    before = (await client.privatePostBalanceEx())["result"]
    trade = {"pair": "BTC/USDT", "side": "buy", "volume": 0.0012345, "price": 43210.98, "fee": 0.1386995}
    await control(trade=trade | {"count": 3})
    await control(trade=trade | {"side": "sell", "pair": "ETH/USD"})
    after = (await client.privatePostBalanceEx())["result"]
    rows = (await client.privatePostLedgers())["result"]["ledger"].values()
    assert Counter(Counter(row["refid"] for row in rows).values()) == {2: 4}
    told: Counter[str] = Counter()
    for row in rows:
        told[row["asset"]] += Decimal(row["amount"]) - Decimal(row["fee"])  # type: ignore[assignment]
    for asset, row in after.items():
        assert Decimal(row["balance"]) - Decimal(before.get(asset, {"balance": 0})["balance"]) == told[asset]


async def test_a_row_may_come_later_than_its_change(client: Any, control: Control) -> None:
    await control(balance={"USDT": 5000}, ledger=0.05)
    assert (await client.privatePostBalanceEx())["result"]["USDT"]["balance"] == "5000.00000000"
    async with asyncio.timeout(DEADLINE_S):
        while not (await client.privatePostLedgers())["result"]["ledger"]:
            pass


async def test_balance_stream_gives_a_snapshot_then_changes(client: Any, control: Control) -> None:
    assert (await soon(client.watch_balance()))["total"] == {"USDT": 6000.0, "BTC": 0.08, "USD": 0.0}
    update = asyncio.create_task(client.watch_balance())
    await control(entry={"type": "withdrawal", "asset": "USDT", "amount": -1000, "fee": 1})
    balance = await soon(update)
    assert (balance["USDT"]["total"], balance["BTC"]["total"]) == (4999.0, 0.08)
    row = balance["info"]["data"][0]
    assert (row["type"], row["wallet_type"], row["amount"], row["fee"]) == ("withdrawal", "spot", -1000.0, 1.0)


async def test_ticker_stream_gives_a_snapshot_then_changes(client: Any, control: Control) -> None:
    ticker = await soon(client.watch_tickers(["BTC/USDT", "ETH/USD"]))
    assert ticker["BTC/USDT"]["last"] == 50000.0 or ticker["ETH/USD"]["last"] == 2500.0
    await control(price={"BTC": 39999.5})
    while (await soon(client.watch_tickers(["BTC/USDT"])))["BTC/USDT"]["last"] != 39999.5:
        pass
    assert client.tickers["BTC/USDT"]["bid"] == 39999.4


async def test_order_stream_shows_the_stop_and_its_cancellation(client: Any, control: Control) -> None:
    await control(order=STOP)
    [stop] = await soon(client.watch_orders())
    assert (stop["symbol"], stop["type"], stop["amount"], stop["status"]) == ("BTC/USDT", "stop-loss", 0.02, "open")
    assert stop["info"]["triggers"]["price"] == 45000.0
    watching = asyncio.create_task(client.watch_orders())
    await client.cancel_all_orders()
    assert (await soon(watching))[0]["status"] == "canceled"


async def test_wrong_secret_and_wrong_key_are_refused(stranger: Any, control: Control) -> None:
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        await stranger.fetch_balance()
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        await soon(stranger.watch_balance())
    stranger.apiKey = "nobody"
    with pytest.raises(ccxt.AuthenticationError, match="EAPI:Invalid key"):
        await stranger.cancel_all_orders()
    calls = (await control())["calls"]
    assert (calls["EAPI:Invalid signature"], calls["EAPI:Invalid key"]) == (2, 1)
    assert "CancelAll" not in calls


async def test_nonce_must_rise_and_a_refused_call_does_not_move_it(
    client: Any, stranger: Any, control: Control
) -> None:
    await client.load_markets()
    await client.fetch_balance()
    used = client.incrementing_nonce()
    stranger.incrementing_nonce = lambda: used + 1_000_000
    with pytest.raises(ccxt.ExchangeError, match="EAPI:Invalid signature"):
        await stranger.fetch_balance()
    client.incrementing_nonce = lambda: used
    await client.fetch_balance()
    for stale in (used, used - 1):
        client.incrementing_nonce = lambda stale=stale: stale
        with pytest.raises(ccxt.InvalidNonce):
            await client.fetch_balance()


@pytest.mark.parametrize(
    ("mode", "status", "body"),
    [
        ("html", 200, "<html>"),
        ("object", 200, "{}"),
        ("empty_result", 200, '{"error":[],"result":{}}'),
        ("list", 200, "[]"),
        ("empty", 200, ""),
        ("500", 500, "Internal Server Error"),
        ("EService:Busy", 200, '{"error": ["EService:Busy"]}'),
    ],
)
@pytest.mark.parametrize(("command", "endpoint"), [("listing", "OpenOrders"), ("balances", "BalanceEx")])
async def test_broken_replies_are_sent_as_asked(
    client: Any, control: Control, base: str, command: str, endpoint: str, mode: str, status: int, body: str
) -> None:
    await control(order=STOP)
    await control(**{command: mode})
    signed = client.sign(endpoint, ["private"], "POST", {})
    async with control.http.post(signed["url"], data=signed["body"], headers=signed["headers"]) as reply:
        assert reply.status == status
        assert (await reply.text()).startswith(body)
    await control(**{command: "ok"})
    assert len(await client.fetch_open_orders()) == 1
    assert (await client.fetch_balance())["BTC"]["used"] == 0.02


async def test_a_hanging_reply_runs_into_the_callers_timeout(client: Any, control: Control) -> None:
    await client.load_markets()
    await control(listing="hang")
    client.timeout = 100
    with pytest.raises(ccxt.RequestTimeout):
        await client.fetch_open_orders()
    assert (await control())["calls"]["OpenOrders"] == 1


async def test_an_unknown_command_is_refused(control: Control) -> None:
    for wrong in ({"listng": "html"}, {"listing": "htm"}):
        async with control.http.post(control.url, json=wrong) as reply:
            assert reply.status == 400


async def receive(ws: aiohttp.ClientWebSocketResponse) -> Any:
    return await soon(ws.receive_json())


async def test_bare_socket_status_pong_refusal_and_heartbeat(control: Control, base: str) -> None:
    async with control.http.ws_connect(f"{base}/ws-auth.kraken.com/v2") as ws:
        assert (await receive(ws))["data"][0]["system"] == "online"
        await ws.send_json({"method": "ping", "req_id": 101})
        assert {"method": "pong", "req_id": 101}.items() <= (await receive(ws)).items()
        params: dict[str, Any] = {"channel": "balances", "token": "stale"}
        await ws.send_json({"method": "subscribe", "params": params, "req_id": 102})
        refused = await receive(ws)
        assert (refused["success"], refused["error"], refused["req_id"]) == (False, "ESession:Invalid session", 102)
        params = {"channel": "ticker", "symbol": ["BTC/USD", "XBT/USD"]}
        await ws.send_json({"method": "subscribe", "params": params})
        known, snapshot, unknown, heartbeat = [await receive(ws) for _ in range(4)]
        assert known["result"] == {"channel": "ticker", "snapshot": True, "symbol": "BTC/USD"}
        assert (snapshot["type"], snapshot["data"][0]["bid"]) == ("snapshot", 49999.9)
        assert (unknown["success"], unknown["error"]) == (False, "Currency pair not supported XBT/USD")
        assert heartbeat == {"channel": "heartbeat"}


async def test_private_frames_are_numbered_and_one_frame_carries_both_legs_of_a_trade(
    client: Any, control: Control, base: str
) -> None:
    token = (await client.private_post_getwebsocketstoken())["result"]["token"]
    async with control.http.ws_connect(f"{base}/ws-auth.kraken.com/v2") as ws:
        await receive(ws)
        await ws.send_json({"method": "subscribe", "params": {"channel": "balances", "token": token}})
        _, snapshot = await receive(ws), await receive(ws)
        await control(balance={"BTC": 0.18, "USDT": 1000})
        update = await receive(ws)
    assert (snapshot["type"], snapshot["sequence"], update["type"], update["sequence"]) == ("snapshot", 1, "update", 2)
    assert {(row["asset"], row["balance"], row["type"]) for row in update["data"]} == {
        ("BTC", 0.18, "trade"),
        ("USDT", 1000.0, "trade"),
    }
