"""The guarded exchange: the unmodified ccxt clients against a simulated venue, and small ones that show each way in."""

from __future__ import annotations

import asyncio
import copy
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest

from adapters.endpoint import rewrite_all
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from risk_daemon.bot.answers import boot_ns
from risk_daemon.bot.ccxt_calls import sends_orders
from risk_daemon.client import DaemonGate, GateAnswer, Lease, ProposedOrder, TradingGate
from risk_daemon.guarded_exchange import OrderVetoed, guard
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from tests.gate_server import TOKEN, Answer, GateServer, beating, lease, veto
from tests.locks_world import OPEN, TRIPPED, Guard, gate_of, lock_of
from tests.redis_server import RedisServer

LIMIT: Any = ("BTC/USDT", "limit", "buy", 0.01, 50_000)


class Gate:
    """Keeps what it is asked and told; says yes until `no` holds a reason."""

    def __init__(self) -> None:
        self.asked: list[ProposedOrder] = []
        self.told: list[tuple[Any, ...]] = []
        self.no: Any = None
        self.valid_for_ms = 1000
        self.heard = threading.Condition()

    def check(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        assert order is not None
        self.asked.append(order)
        if isinstance(self.no, Exception):
            raise self.no
        if self.no is not None:
            return GateAnswer(allowed=False, veto_reason=self.no, detail="no")
        return GateAnswer(allowed=True, lease=Lease(self.valid_for_ms, boot_ns()))

    async def acheck(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        await asyncio.sleep(0)
        return self.check(order, **fields)

    def report_sent(self, **traits: Any) -> bool:
        return self._tell("sent", traits["symbol"], traits["order_id"], traits["client_order_id"])

    def report_rejected(self, *, venue: str | None = None, detail: str = "") -> bool:
        return self._tell("rejected", venue, detail)

    def report_error(self, kind: str, *, venue: str | None = None, detail: str = "") -> bool:
        return self._tell(kind, venue, detail)

    def _tell(self, *told: Any) -> bool:
        with self.heard:
            self.told.append(told)
            self.heard.notify_all()
        return True

    def wait_for(self, count: int) -> list[tuple[Any, ...]]:
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.told) >= count, 5), self.told
        return self.told


@pytest.fixture
def gate() -> Gate:
    return Gate()


# --- the real ccxt and a simulated venue -----------------------------------------------------------


class Venue:
    """A simulated kraken on a loop of its own, so that blocking clients can talk to it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.run(self._start())
        self.loaded = self.client(ccxt.kraken)
        self.loaded.load_markets()

    async def _start(self) -> VenueServer:
        server = VenueServer("kraken")
        await server.start()
        return server

    def run(self, coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(10)

    def client(self, kind: type, **options: Any) -> Any:
        client = kind({"apiKey": API_KEY, "secret": API_SECRET, "enableRateLimit": False, **options})
        client.urls["api"] = rewrite_all(client.urls["api"], self.server.endpoint)
        if hasattr(self, "loaded"):
            client.set_markets_from_exchange(self.loaded)
        return client

    @property
    def placed(self) -> int:
        return self.server.endpoints.get("POST /0/private/AddOrder", 0)

    @property
    def orders(self) -> list[dict[str, Any]]:
        return [row for rows in self.server.state()["open_orders"].values() for row in rows]

    def close(self) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    venue = Venue()
    yield venue
    venue.close()


@pytest.fixture(autouse=True)
def no_orders(request: pytest.FixtureRequest) -> None:
    if "venue" in request.fixturenames:
        venue = request.getfixturevalue("venue")
        venue.server.exchange.orders.clear()
        venue.server.endpoints.clear()


async def called(exchange: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """A method's result, awaited where it must be."""
    result = getattr(exchange, name)(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


async def closed(exchange: Any) -> None:
    """What `exchange.close()` does, without the quarter of a second that it then waits."""
    session, connector = getattr(exchange, "session", None), getattr(exchange, "tcp_connector", None)
    exchange.session = exchange.tcp_connector = None
    for resource in (session, connector):
        if resource is not None and not exchange.synchronous:
            await resource.close()


KINDS = [ccxt.kraken, ccxt.async_support.kraken, ccxt.pro.kraken]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
async def test_it_asks_and_then_sends(venue: Venue, gate: Gate, kind: type) -> None:
    exchange = guard(venue.client(kind), gate, venue="main")
    assert isinstance(exchange, kind)
    assert isinstance(exchange, ccxt.Exchange if kind is ccxt.kraken else ccxt.async_support.Exchange)
    order = await called(exchange, "create_order", *LIMIT, {"clientOrderId": "bot-7"})
    expected = ProposedOrder("main", "BTC/USDT", "buy", "0.01", "limit", 50_000, client_order_id="bot-7")
    assert gate.asked == [expected]
    assert [row["client_order_id"] for row in venue.orders] == ["bot-7"]
    assert gate.wait_for(1) == [("sent", "BTC/USDT", order["id"], "bot-7")]
    await closed(exchange)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
async def test_a_veto_is_raised_and_nothing_is_sent(venue: Venue, gate: Gate, kind: type) -> None:
    exchange = guard(venue.client(kind), gate)
    order = await called(exchange, "create_order", *LIMIT)
    gate.no = "daily_loss"
    with pytest.raises(OrderVetoed, match="daily_loss") as raised:
        await called(exchange, "createOrder", *LIMIT)
    assert (raised.value.answer.veto_reason, raised.value.order) == ("daily_loss", gate.asked[-1])
    assert (venue.placed, len(gate.asked)) == (1, 2)
    assert [row["id"] for row in await called(exchange, "fetch_open_orders")] == [order["id"]]
    assert (await called(exchange, "fetch_balance"))["USDT"]["total"] > 0
    await called(exchange, "cancel_order", order["id"], "BTC/USDT")
    await called(exchange, "cancel_all_orders")
    assert (venue.orders, len(gate.asked)) == ([], 2)
    gate.wait_for(1)
    assert [told[0] for told in gate.told] == ["sent"], "a veto is no error"
    await closed(exchange)


ARGUMENTS: dict[str, Any] = {
    "id": "O1",
    "symbol": "BTC/USDT",
    "type": "limit",
    "side": "buy",
    "amount": 0.01,
    "price": 50_000,
    "cost": 100,
    "duration": 60,
    "clientOrderId": "bot-7",
    "orders": [{"symbol": "BTC/USDT", "type": "limit", "side": "buy", "amount": 0.01, "price": 50_000}],
    "fromCode": "BTC",
    "toCode": "USD",
    "triggerPrice": 51_000,
    "stopLossPrice": 49_000,
    "takeProfitPrice": 52_000,
    "trailingAmount": 10,
    "trailingPercent": 1,
    "trailingTriggerPrice": 50_000,
    "takeProfit": 52_000,
    "stopLoss": 49_000,
}


@pytest.mark.parametrize("kind", [ccxt.kraken, ccxt.pro.kraken], ids=lambda kind: kind.__module__)
async def test_every_way_to_send_an_order_is_guarded(venue: Venue, tmp_path: Path, kind: type) -> None:
    """Whatever ccxt calls it, in both spellings: nothing but reads for its sake reaches the venue."""
    exchange = guard(venue.client(kind), TradingGate(tmp_path))
    names = [name for name in dir(kind) if sends_orders(name) and not name.lower().startswith("close")]
    assert len(names) > 100
    for name in names:
        parameters = inspect.signature(getattr(kind, name)).parameters
        given = {key: ARGUMENTS[key] for key in parameters if key not in ("self", "params")}
        with pytest.raises((OrderVetoed, ccxt.NotSupported), match=r"locked|ReduceOnly"):
            await called(exchange, name, **given)
    assert set(venue.server.endpoints) == {"GET /0/public/Ticker"}, "what an order by its cost would buy"
    await closed(exchange)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("create_limit_buy_order", ("BTC/USDT", 0.01, 50_000)),
        ("create_limit_order", ("BTC/USDT", "buy", 0.01, 50_000)),
        ("create_market_buy_order", ("BTC/USDT", 0.01)),
        ("createMarketBuyOrderWithCost", ("BTC/USDT", 600)),
        ("create_stop_limit_order", ("BTC/USDT", "sell", 0.01, 40_000, 41_000)),
    ],
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
async def test_ccxts_own_calls_are_not_asked_twice(venue: Venue, gate: Gate, kind: type, name: str, args: Any) -> None:
    exchange = guard(venue.client(kind), gate)
    try:
        await called(exchange, name, *args)
    except ccxt.ExchangeError:  # what the venue thinks of it is not the point
        assert venue.placed == 1
    assert (len(gate.asked), venue.placed) == (1, 1)
    await closed(exchange)


async def test_orders_at_the_same_time_are_asked_about_one_by_one(venue: Venue, gate: Gate) -> None:
    exchange = guard(venue.client(ccxt.async_support.kraken), gate)
    lane = asyncio.Lock()  # kraken wants rising nonces

    class Slow(Gate):
        async def acheck(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
            async with lane:
                return await gate.acheck(order)

    ids = [f"bot-{number}" for number in range(5)]
    calls = [exchange.create_order(*LIMIT, {"clientOrderId": name}) for name in ids]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(str(order.client_order_id) for order in gate.asked) == ids
    assert len([row for row in results if isinstance(row, dict)]) >= 1
    await closed(exchange)


async def test_with_the_daemons_own_gate(venue: Venue, tmp_path: Path) -> None:
    """Map, HTTP and reports together, as a bot has them."""
    with GateServer() as server, beating(tmp_path) as lock:
        exchange = guard(venue.client(ccxt.async_support.kraken), TradingGate(tmp_path, server.url, TOKEN))
        order = await exchange.create_order(*LIMIT)
        sent = {"kind": "sent", "venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "order_id": order["id"]}
        assert await asyncio.to_thread(server.wait_for_reports, 1) == [sent]
        server.is_open = False
        with pytest.raises(OrderVetoed) as raised:
            await exchange.create_order(*LIMIT)
        assert raised.value.answer.limits == {"max_daily_loss_pct": 0.03}
        lock.write(LockRecord(True, "capital_loss", "trip-7"), SystemClock().now())
        with pytest.raises(OrderVetoed, match="capital_loss"):
            await exchange.create_order(*LIMIT)
        assert (len(server.checks), venue.placed) == (2, 1)
        await closed(exchange)


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.__module__)
async def test_with_a_gate_in_redis(venue: Venue, tmp_path: Path, kind: type) -> None:
    """A bot on another machine has nothing but that."""
    redis = RedisServer(tmp_path).start()
    writer = Guard(lock_of(redis, lease_ms=2_000))
    try:
        exchange = guard(venue.client(kind), gate_of(redis))
        with pytest.raises(OrderVetoed, match="guard main of main does not say open"):
            await called(exchange, "create_order", *LIMIT)
        await writer.say(OPEN)
        await called(exchange, "create_order", *LIMIT)
        await writer.say(TRIPPED)
        with pytest.raises(OrderVetoed, match="capital_loss"):
            await called(exchange, "create_order", *LIMIT)
        assert venue.placed == 1
        await closed(exchange)
    finally:
        await writer.lock.aclose()
        redis.kill()


# --- the moment of asking --------------------------------------------------------------------------


def test_it_asks_behind_the_rate_limiter(venue: Venue, gate: Gate) -> None:
    """A lease lives for a second, and the limiter may take several: the question comes after it."""
    seen: list[str] = []

    class Traced(ccxt.kraken):
        def throttle(self, cost: Any = None) -> None:
            seen.append(f"waited, {len(gate.asked)} asked")

        def fetch(self, url: str, *args: Any, **kwargs: Any) -> Any:
            seen.append(f"{url.rpartition('/')[2]}, {len(gate.asked)} asked")
            return super().fetch(url, *args, **kwargs)

    exchange = guard(venue.client(Traced, enableRateLimit=True), gate)
    exchange.create_order(*LIMIT)
    assert seen == ["waited, 0 asked", "AddOrder, 1 asked"]


def test_a_lease_that_ran_out_is_asked_for_again(venue: Venue, gate: Gate) -> None:
    """ccxt may send the same request twice: not the second time on an old lease."""

    class Flaky(ccxt.kraken):
        tries = 0

        def fetch(self, url: str, *args: Any, **kwargs: Any) -> Any:
            self.tries += 1
            if self.tries == 1:
                gate.no = "daily_loss"
                raise ccxt.NetworkError("once more, please")
            return super().fetch(url, *args, **kwargs)

        def sleep(self, milliseconds: float) -> None:
            run_out(answer[0].lease)

    answer: list[Any] = [None]
    gate.valid_for_ms = 50
    check = gate.check

    def checked(*args: Any, **kwargs: Any) -> GateAnswer:
        found = check(*args, **kwargs)
        answer[0] = found
        return found

    gate.check = checked  # type: ignore[method-assign]
    options = {"maxRetriesOnFailure": 1, "maxRetriesOnFailureDelay": 1}
    exchange = guard(venue.client(Flaky, options=options), gate)
    with pytest.raises(OrderVetoed, match="daily_loss"):
        exchange.create_order(*LIMIT)
    assert (len(gate.asked), exchange.tries, venue.placed) == (2, 1, 0)


def test_a_shut_map_is_seen_before_anything_is_sent(venue: Venue, tmp_path: Path) -> None:
    """Not even the markets are loaded for an order that may not be sent."""
    fresh = venue.client(ccxt.kraken)
    fresh.markets = None
    exchange = guard(fresh, TradingGate(tmp_path / "none"))
    with pytest.raises(OrderVetoed, match="locked"):
        exchange.create_order(*LIMIT)
    assert not venue.server.endpoints


def test_reduce_only_is_asked_through_a_shut_map(venue: Venue, tmp_path: Path) -> None:
    with GateServer() as server:
        exchange = guard(venue.client(ccxt.kraken), TradingGate(tmp_path / "none", server.url, TOKEN))
        with pytest.raises(OrderVetoed, match="locked"):
            exchange.create_order(*LIMIT)
        exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 50_000, {"reduceOnly": True})
        assert [check["reduce_only"] for check in server.checks] == [True]


@pytest.mark.parametrize("no", [RuntimeError("boom"), ValueError("odd")])
@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.__module__)
async def test_a_gate_that_fails_is_a_veto(venue: Venue, gate: Gate, kind: type, no: Exception) -> None:
    exchange = guard(venue.client(kind), gate)
    gate.no = no
    with pytest.raises(OrderVetoed) as raised:
        await called(exchange, "create_order", *LIMIT)
    assert (raised.value.answer.veto_reason, venue.placed) == ("no_answer", 0)
    await closed(exchange)


def test_an_answer_without_a_valid_lease_is_a_veto(venue: Venue, gate: Gate) -> None:
    exchange = guard(venue.client(ccxt.kraken), gate)
    gate.valid_for_ms = -1
    with pytest.raises(OrderVetoed):
        exchange.create_order(*LIMIT)
    assert venue.placed == 0


@pytest.mark.parametrize("amount", [float("nan"), 0, -1, None, "a lot"])
def test_orders_that_make_no_sense_are_vetoed(venue: Venue, gate: Gate, amount: Any) -> None:
    exchange = guard(venue.client(ccxt.kraken), gate)
    with pytest.raises(OrderVetoed) as raised:
        exchange.create_order("BTC/USDT", "limit", "buy", amount, 50_000)
    assert (raised.value.answer.veto_reason, venue.placed, gate.asked) == ("invalid_order", 0, [])


# --- past the unified calls ------------------------------------------------------------------------

RAW = ["private_post_addorder", "privatePostAddOrder", "privatePostAddorder", "privatePostAddOrderBatch"]


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__module__)
async def test_raw_endpoints_that_send_orders_are_refused(venue: Venue, gate: Gate, kind: type, name: str) -> None:
    exchange = guard(venue.client(kind), gate)
    with pytest.raises(OrderVetoed, match="raw_endpoint"):
        await called(exchange, name, {"pair": "XBTUSDT", "type": "buy", "ordertype": "market", "volume": "1"})
    assert (venue.server.endpoints, gate.asked) == ({}, [])
    await closed(exchange)


@pytest.mark.parametrize("name", ["request", "fetch2"])
def test_so_is_every_other_way_to_them(venue: Venue, gate: Gate, name: str) -> None:
    exchange = guard(venue.client(ccxt.kraken), gate)
    for api in (["private"], "private"):
        with pytest.raises(OrderVetoed, match="raw_endpoint"):
            getattr(exchange, name)("AddOrder", api, "POST", {})
        with pytest.raises(OrderVetoed, match="raw_endpoint"):
            getattr(exchange, name)("AddOrder", api=api, method="POST", params={})
    with pytest.raises(OrderVetoed, match="raw_endpoint"):
        ccxt.kraken.create_order(exchange, *LIMIT)
    assert venue.server.endpoints == {}


def test_raw_reads_and_cancels_pass(venue: Venue, gate: Gate) -> None:
    exchange = guard(venue.client(ccxt.kraken), gate)
    gate.no = "manual_halt"
    assert exchange.private_post_openorders()["result"] == {"open": {}}
    assert exchange.privatePostCancelAll()["result"]["count"] == 0
    assert exchange.request("BalanceEx", ["private"], "POST", {})["error"] == []
    assert gate.asked == []


def test_a_bots_own_subclass_is_guarded_too(venue: Venue, gate: Gate) -> None:
    class Bot(ccxt.kraken):
        def quick(self) -> Any:
            return self.privatePostAddOrder({"pair": "XBTUSDT"})

        def create_order(self, symbol: str, type: str, side: str, amount: Any, *args: Any) -> Any:  # noqa: A002
            return super().create_order(symbol.upper(), type, side, amount, *args)

    exchange = guard(venue.client(Bot), gate)
    with pytest.raises(OrderVetoed, match="raw_endpoint"):
        exchange.quick()
    assert exchange.create_limit_buy_order("btc/usdt", 0.01, 50_000)["id"]
    assert [order.symbol for order in gate.asked] == ["btc/usdt"]


def test_each_order_of_a_call_of_ones_own_is_asked_about(venue: Venue, gate: Gate) -> None:
    class Eager(ccxt.kraken):  # type: ignore[misc]
        def create_order(self, symbol: str, type: str, side: str, amount: Any, *args: Any) -> Any:  # noqa: A002
            return [super(Eager, self).create_order(symbol, type, side, amount, *args) for _ in range(3)]

    exchange = guard(venue.client(Eager), gate)
    assert len(exchange.create_order(*LIMIT)) == 3
    assert len(gate.asked) == 3
    gate.no = "drawdown"
    with pytest.raises(OrderVetoed):
        exchange.create_order(*LIMIT)


def test_other_objects_of_the_class(venue: Venue, gate: Gate) -> None:
    """The guarded one and its copies are guarded; other clients of the same class are not touched."""
    free, exchange = venue.client(ccxt.kraken), venue.client(ccxt.kraken)
    assert guard(exchange, gate) is exchange
    gate.no = "manual_halt"
    for guarded in (exchange, copy.copy(exchange), type(exchange)({"apiKey": API_KEY, "secret": API_SECRET})):
        for name in ("create_order", "createOrder"):
            with pytest.raises(OrderVetoed):
                getattr(guarded, name)(*LIMIT)
    assert free.create_order(*LIMIT)["id"]
    assert (repr(exchange), type(exchange).__name__) == ("ccxt.kraken()", "kraken")
    with pytest.raises(ValueError, match="already"):
        guard(exchange, gate)


def test_what_can_not_be_guarded_is_refused(gate: Gate) -> None:
    with pytest.raises(TypeError):
        guard(object(), gate)


# --- exchanges of a few lines ----------------------------------------------------------------------


class Plain:
    """An exchange without ccxt's transport: everything is asked before the call."""

    id = "plain"

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.reply: Any = {"id": 7}
        self.positions: Any = []

    def create_order(self, symbol: str, type: str, side: str, amount: Any, price: Any = None, params: Any = {}) -> Any:  # noqa: A002, B006 - as ccxt has it
        self.sent.append((symbol, type, side, amount, price))
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    def create_orders(self, orders: Any, params: Any = None) -> Any:
        return [self.create_order(**order) for order in orders]

    def create_market_buy_order_with_cost(self, symbol: str, cost: Any, params: Any = None) -> Any:
        return self.create_order(symbol, "market", "buy", cost)

    def edit_order(self, id: str, symbol: str, type: str, side: str, amount: Any = None, price: Any = None) -> Any:  # noqa: A002
        return self.create_order(symbol, type, side, amount, price)

    def close_position(self, symbol: str, side: Any = None, params: Any = None) -> Any:
        return self.create_order(symbol, "market", "sell", 2)

    def fetch_positions(self, symbols: Any = None) -> Any:
        return self.positions

    def fetch_ticker(self, symbol: str) -> Any:
        return {"bid": 90, "last": None, "ask": 110}


def test_it_asks_before_the_call(gate: Gate) -> None:
    exchange = guard(Plain(), gate)
    assert exchange.create_order("A/B", "limit", "buy", 1, 5) == {"id": 7}
    assert [order.venue for order in gate.asked] == ["plain"]
    assert gate.wait_for(1) == [("sent", "A/B", "7", None)]
    gate.no = "blind"
    with pytest.raises(OrderVetoed):
        exchange.create_order("A/B", "limit", "buy", 1, 5)
    assert len(exchange.sent) == 1


def test_all_orders_of_a_call_or_none(gate: Gate) -> None:
    exchange = guard(Plain(), gate)
    rows = [{"symbol": f"{name}/B", "type": "limit", "side": "buy", "amount": 1, "price": 5} for name in "ACD"]
    assert len(exchange.create_orders(rows)) == 3
    assert [order.symbol for order in gate.asked] == ["A/B", "C/B", "D/B"]
    check = gate.check
    gate.check = lambda order=None, /, **_: (  # type: ignore[method-assign]
        GateAnswer(allowed=False, veto_reason="max_notional") if order.symbol == "D/B" else check(order)
    )
    other = guard(Plain(), gate)
    with pytest.raises(OrderVetoed, match="max_notional"):
        other.create_orders(rows)
    with pytest.raises(OrderVetoed, match="no order"):
        other.create_orders([])
    assert other.sent == []


def test_an_order_by_its_cost_is_asked_by_what_it_buys(gate: Gate) -> None:
    """At the lowest of the last prices: rather too much than too little."""
    exchange = guard(Plain(), gate)
    exchange.create_market_buy_order_with_cost("A/B", 180)
    assert (gate.asked[0].quantity, gate.asked[0].price, gate.asked[0].type) == (2, None, "market")
    exchange.create_order("A/B", "market", "buy", 1, None, {"cost": 45})
    assert gate.asked[1].quantity == 1, "the larger of amount and cost"


@pytest.mark.parametrize("ticker", [None, {}, {"bid": None}, {"bid": float("nan")}, {"bid": "x"}])
def test_an_order_by_its_cost_without_a_price_is_vetoed(gate: Gate, ticker: Any) -> None:
    exchange = Plain()
    exchange.fetch_ticker = lambda symbol: ticker  # type: ignore[method-assign]
    guard(exchange, gate)
    with pytest.raises(OrderVetoed, match="invalid_order"):
        exchange.create_market_buy_order_with_cost("A/B", 180)
    assert (exchange.sent, gate.asked) == ([], [])


def test_an_amend_is_asked_like_an_order(gate: Gate) -> None:
    exchange = guard(Plain(), gate)
    exchange.edit_order("7", "A/B", "limit", "sell", 2, 5)
    assert (gate.asked[0].side, gate.asked[0].quantity, gate.asked[0].price) == ("sell", 2, 5)
    with pytest.raises(OrderVetoed, match="quantity"):
        exchange.edit_order("7", "A/B", "limit", "sell")


def test_closing_a_position_is_asked_as_reducing_it(gate: Gate) -> None:
    exchange = guard(Plain(), gate)
    with pytest.raises(OrderVetoed, match="no order"):
        exchange.close_position("A/B:B")
    exchange.positions = [{"symbol": "A/B:B", "side": "short", "contracts": 2}]
    exchange.close_position("A/B:B")
    assert (gate.asked[0].side, gate.asked[0].quantity, gate.asked[0].reduce_only) == ("buy", 2, True)


def test_a_method_set_on_the_object_is_guarded(gate: Gate) -> None:
    exchange, sent = Plain(), []
    exchange.create_order = lambda *args: sent.append(args)  # type: ignore[method-assign]
    guard(exchange, gate)
    exchange.create_order("A/B", "limit", "buy", 1, 5)
    gate.no = "blind"
    with pytest.raises(OrderVetoed):
        exchange.create_order("A/B", "limit", "buy", 1, 5)
    assert (len(sent), gate.asked[0].symbol) == (1, "A/B")


def test_a_transport_set_on_the_object_is_asked_before(venue: Venue, gate: Gate) -> None:
    exchange = venue.client(ccxt.kraken)
    guard(exchange, gate)
    sent: list[Any] = []
    exchange.privatePostAddOrder = lambda request: sent.append(request) or {"error": [], "result": {"txid": ["O1"]}}
    exchange.create_order(*LIMIT)
    gate.no = "blind"
    with pytest.raises(OrderVetoed):
        exchange.create_order(*LIMIT)
    assert (len(sent), len(gate.asked)) == (1, 2)


def test_a_way_that_was_not_seen_is_closed_after_the_first(
    venue: Venue, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(ccxt.kraken):
        def create_order(self, symbol: Any, type: Any, side: Any, amount: Any, price: Any) -> Any:  # noqa: A002
            return {"id": "sent by pigeon"}

    exchange = guard(venue.client(Odd), gate)
    exchange.create_order(*LIMIT)
    assert "past the gate" in caplog.text
    gate.no = "blind"
    with pytest.raises(OrderVetoed):
        exchange.create_order(*LIMIT)


# --- what is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ccxt.InsufficientFunds("x"), "expected"),
        (ccxt.InvalidOrder("x"), "rejected"),
        (ccxt.OrderImmediatelyFillable("x"), "rejected"),
        (ccxt.MarketClosed("x"), "rejected"),
        (ccxt.RequestTimeout("x"), "connection"),
        (ccxt.RateLimitExceeded("x"), "connection"),
        (ccxt.ExchangeNotAvailable("x"), "connection"),
        (ccxt.AuthenticationError("x"), "broker"),
        (ccxt.ExchangeError("x"), "broker"),
        (ccxt.ArgumentsRequired("x"), "strategy"),
        (KeyError("x"), "broker"),
    ],
)
def test_errors_are_told_by_what_they_mean(gate: Gate, error: Exception, kind: str) -> None:
    exchange = guard(Plain(), gate)
    exchange.reply = error
    with pytest.raises(type(error)):
        exchange.create_order("A/B", "limit", "buy", 1, 5)
    assert gate.wait_for(1)[0][:2] == (kind, "plain")


def test_what_is_told_has_no_signature_in_it(gate: Gate) -> None:
    exchange = guard(Plain(), gate)
    exchange.reply = ccxt.RequestTimeout("plain POST https://api.plain/order?symbol=A&signature=5ec4e7 timed out")
    with pytest.raises(ccxt.RequestTimeout):
        exchange.create_order("A/B", "limit", "buy", 1, 5)
    assert gate.wait_for(1)[0][2] == "RequestTimeout: plain POST https://api.plain/order?... timed out"


def test_a_reply_that_says_rejected_is_a_rejection(gate: Gate) -> None:
    exchange = guard(Plain(), gate)
    exchange.reply = {"id": "7", "status": "rejected"}
    exchange.create_order("A/B", "limit", "buy", 1, 5)
    assert gate.wait_for(1)[0][:2] == ("rejected", "plain")


@pytest.mark.parametrize("reply", [None, "ok", [], [None], {"id": None}])
def test_an_odd_reply_is_given_on_as_it_is(gate: Gate, reply: Any) -> None:
    exchange = guard(Plain(), gate)
    exchange.reply = reply
    assert exchange.create_order("A/B", "limit", "buy", 1, 5) == reply
    assert gate.wait_for(1) == [("sent", "A/B", None, None)]


def test_no_order_waits_for_a_report(gate: Gate) -> None:
    listening = threading.Event()

    def slow(**_: Any) -> bool:
        listening.wait(10)
        raise RuntimeError("and then it fails")

    gate.report_sent = slow  # type: ignore[method-assign]
    exchange = guard(Plain(), gate)
    for _ in range(300):
        exchange.create_order("A/B", "limit", "buy", 1, 5)
    assert len(exchange.sent) == 300
    listening.set()


def run_out(lease: Lease) -> None:
    while lease.is_valid():
        threading.Event().wait(0.001)


# --- asynchronous, over sockets --------------------------------------------------------------------


class Socket:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)


class Streaming:
    """As ccxt.pro sends orders over a socket: it may have to connect first, and that takes its time."""

    id = "streaming"

    def __init__(self) -> None:
        self.socket = Socket()
        self.before_sending: Any = None
        self.tasks: list[asyncio.Task[None]] = []
        self.ping_now = asyncio.Event()

    def client(self, url: str) -> Socket:
        return self.socket

    async def fetch2(self, *args: Any) -> Any: ...

    async def create_order_ws(self, symbol: str, type: str, side: str, amount: Any, price: Any = None) -> Any:  # noqa: A002
        if self.before_sending is not None:
            self.before_sending()
        await self.client("wss://x").send({"order": symbol})
        self.tasks.append(asyncio.create_task(self.ping()))
        return {"id": "1"}

    async def ping(self) -> None:
        await self.ping_now.wait()
        await self.client("wss://x").send("ping")


WS_ORDER: Any = ("A/B", "limit", "buy", 1, 5)


async def test_orders_over_sockets_are_asked_about_before(gate: Gate) -> None:
    exchange = guard(Streaming(), gate)
    await exchange.create_order_ws(*WS_ORDER)
    gate.no = "blind"
    with pytest.raises(OrderVetoed):
        await exchange.create_order_ws(*WS_ORDER)
    assert (exchange.socket.sent, len(gate.asked)) == ([{"order": "A/B"}], 2)


async def test_what_a_call_leaves_behind_is_not_asked_about(gate: Gate) -> None:
    """A task that it started, such as one that sends pings, goes on when the lease has long run out."""
    exchange = guard(Streaming(), gate)
    gate.valid_for_ms = 20
    await exchange.create_order_ws(*WS_ORDER)
    lease = Lease(20, boot_ns())
    await asyncio.to_thread(run_out, lease)
    exchange.ping_now.set()
    await asyncio.gather(*exchange.tasks)
    assert (exchange.socket.sent, len(gate.asked)) == ([{"order": "A/B"}, "ping"], 1)


async def test_ccxts_own_sockets(venue: Venue, gate: Gate) -> None:
    """The real ccxt.pro: reads pass, and a veto leaves the socket as it is."""
    exchange = guard(venue.client(ccxt.pro.kraken), gate)
    assert (await asyncio.wait_for(exchange.watch_balance(), 5))["USDT"]["total"] > 0
    with pytest.raises(ccxt.ExchangeError, match="Unknown method"):  # the simulated venue takes no orders this way
        await asyncio.wait_for(exchange.create_order_ws(*LIMIT), 5)
    gate.no = "blind"
    with pytest.raises(OrderVetoed):
        await exchange.create_order_ws(*LIMIT)
    assert (len(gate.asked), len(venue.server.state()["open_orders"])) == (2, 0)
    assert exchange.clients
    assert not any(socket.error for socket in exchange.clients.values())
    await exchange.close()


async def test_a_lease_that_ran_out_on_the_way_to_the_socket(gate: Gate) -> None:
    exchange = guard(Streaming(), gate)
    gate.valid_for_ms = 20

    def connect() -> None:
        assert answers[-1].lease is not None
        run_out(answers[-1].lease)
        gate.no = "daily_loss"

    answers: list[GateAnswer] = []
    check = gate.check

    def checked(*args: Any, **kwargs: Any) -> GateAnswer:
        answers.append(check(*args, **kwargs))
        return answers[-1]

    gate.check = checked  # type: ignore[method-assign]
    exchange.before_sending = connect
    with pytest.raises(OrderVetoed, match="daily_loss"):
        await exchange.create_order_ws(*WS_ORDER)
    assert (exchange.socket.sent, len(gate.asked)) == ([], 2)


async def test_a_cancelled_call_is_over(gate: Gate) -> None:
    exchange = guard(Streaming(), gate)
    waiting = asyncio.Event()

    async def stuck(message: Any) -> None:
        waiting.set()
        await asyncio.Event().wait()

    exchange.socket.send = stuck  # type: ignore[method-assign]
    exchange.socket.is_gated = False  # type: ignore[attr-defined]
    call = asyncio.create_task(exchange.create_order_ws(*WS_ORDER))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert gate.told == []


async def test_the_loop_is_not_blocked_while_asking(venue: Venue) -> None:
    with GateServer() as server:
        arrived, go = threading.Event(), threading.Event()

        def slow(_: Any) -> Answer:
            arrived.set()
            go.wait(5)
            return lease() if go.is_set() else veto()

        server.behave = slow
        exchange = guard(venue.client(ccxt.async_support.kraken), DaemonGate(server.url, TOKEN))
        call = asyncio.create_task(exchange.create_order(*LIMIT))
        await asyncio.to_thread(arrived.wait, 5)
        go.set()
        assert (await call)["id"]
        await closed(exchange)
