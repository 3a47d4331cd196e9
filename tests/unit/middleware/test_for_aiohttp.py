"""The aiohttp middleware in front of a real application, over a real connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from risk_daemon.client import DaemonGate, TradingGate
from risk_daemon.middleware.for_aiohttp import ANSWER, circuit_breaker_middleware
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from tests.gate_server import TOKEN, GateServer, beating

ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}
Shop = Callable[..., web.Application]


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[MemoryMap]:
    with beating(tmp_path) as lock:
        yield lock


@pytest.fixture
def gate(lock: MemoryMap, tmp_path: Path) -> TradingGate:
    return TradingGate(tmp_path)


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


@pytest.fixture
def taken() -> list[Any]:
    return []


@pytest.fixture
def shop(taken: list[Any]) -> Shop:
    async def take(request: web.Request) -> web.Response:
        taken.append((await request.json(), request.get(ANSWER)))
        return web.json_response({"taken": "yes"})

    def make(*middlewares: Any) -> web.Application:
        app = web.Application(middlewares=middlewares)
        app.router.add_route("*", "/orders", take)
        app.router.add_post("/orders/{order_id}", take)
        return app

    return make


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Callable[..., Any]]:
    async with TestServer(app) as server, TestClient(server) as client:

        async def call(method: str, path: str, body: Any = ORDER) -> tuple[int, Any]:
            url = URL(f"http://127.0.0.1:{server.port}{path}", encoded=True)
            async with client.session.request(method, url, json=body, allow_redirects=False) as reply:
                return reply.status, await reply.json(content_type=None) if reply.status != 404 else None

        yield call


def trip(lock: MemoryMap) -> None:
    lock.write(LockRecord(True, "daily_loss", "trip-7", until_wall=1795219200.0), SystemClock().now())


async def test_it_follows_the_gate(gate: TradingGate, lock: MemoryMap, shop: Shop, taken: list[Any]) -> None:
    async with serving(shop(circuit_breaker_middleware(gate))) as call:
        assert await call("POST", "/orders") == (200, {"taken": "yes"})
        trip(lock)
        status, problem = await call("POST", "/orders")
        assert (status, problem["veto_reason"], problem["trip_id"]) == (423, "daily_loss", "trip-7")
        assert problem["locked_until"] == "2026-11-21T00:00:00.000000Z"
        assert (await call("PUT", "/orders"))[0] == 200
        assert (await call("POST", "/orders/7"))[0] == 200
        assert (await call("POST", "/nowhere"))[0] == 404
        lock.write(LockRecord(locked=False), SystemClock().now())
        assert (await call("POST", "/orders"))[0] == 200
    assert len(taken) == 4


async def test_a_refusal_has_the_form_of_a_problem(gate: TradingGate, lock: MemoryMap, shop: Shop) -> None:
    trip(lock)
    async with TestServer(shop(circuit_breaker_middleware(gate))) as server, TestClient(server) as client:
        reply = await client.post("/orders", json=ORDER)
        assert reply.content_type == "application/problem+json"
        assert (await reply.json())["title"] == "Locked"


@pytest.mark.parametrize("path", ["/orders/", "//orders", "/%6frders", "/ORDERS", "/%256frders", "/orders%0A"])
async def test_no_spelling_slips_through(
    gate: TradingGate, lock: MemoryMap, shop: Shop, taken: list[Any], path: str
) -> None:
    trip(lock)
    lenient = web.normalize_path_middleware(append_slash=False, remove_slash=True)
    async with serving(shop(circuit_breaker_middleware(gate), lenient)) as call:
        assert (await call("POST", path))[0] == 423
    assert not taken


async def test_a_mounted_application(gate: TradingGate, lock: MemoryMap, shop: Shop, taken: list[Any]) -> None:
    """Guarded by its own middleware with its own paths, and by the outer one with the whole path."""
    root = web.Application(middlewares=[circuit_breaker_middleware(gate, ("POST /out/orders",))])
    middle = web.Application()
    middle.add_subapp("/in", shop(circuit_breaker_middleware(gate)))
    root.add_subapp("/deep", middle)
    root.add_subapp("/out", shop())
    root.add_subapp("/free", shop())
    async with serving(root) as call:
        for path in ("/deep/in/orders", "/out/orders", "/free/orders"):
            assert (await call("POST", path))[0] == 200
        trip(lock)
        assert (await call("POST", "/deep/in/orders"))[0] == 423
        assert (await call("POST", "/out/orders"))[0] == 423
        assert (await call("POST", "/free/orders"))[0] == 200
    assert len(taken) == 4


async def test_patterns_of_ones_own(gate: TradingGate, lock: MemoryMap, shop: Shop) -> None:
    trip(lock)
    async with serving(shop(circuit_breaker_middleware(gate, ("* /orders", "POST /orders/{id}")))) as call:
        assert (await call("PUT", "/orders"))[0] == 423
        assert (await call("POST", "/orders/7"))[0] == 423


async def order_of(request: web.Request) -> dict[str, Any]:
    return dict(await request.json())


async def test_each_order_is_asked_about(server: GateServer, shop: Shop, taken: list[Any]) -> None:
    app = shop(circuit_breaker_middleware(DaemonGate(server.url, TOKEN), order_from=order_of))
    async with serving(app) as call:
        assert (await call("POST", "/orders"))[0] == 200
        assert server.checks[0]["symbol"] == "BTC/USDT"
        assert taken[0][0] == ORDER
        assert taken[0][1].is_valid()
        server.is_open = False
        status, problem = await call("POST", "/orders")
        assert (status, problem["limits"]) == (423, {"max_daily_loss_pct": 0.03})
        for body in ([], {}, "x", ORDER | {"price": -1}):
            assert (await call("POST", "/orders", body))[0] == 422
    assert len(taken) == 1


class Broken:
    def peek(self) -> Any:
        raise RuntimeError("boom")

    async def acheck(self, **_: Any) -> Any:
        raise RuntimeError("boom")


@pytest.mark.parametrize("order_from", [None, order_of])
async def test_a_failing_gate_is_a_shut_gate(shop: Shop, taken: list[Any], order_from: Any) -> None:
    async with serving(shop(circuit_breaker_middleware(Broken(), order_from=order_from))) as call:
        status, problem = await call("POST", "/orders")
    assert (status, problem["veto_reason"], taken) == (423, "locked", [])


def test_a_gate_without_a_map_must_be_asked_about_orders() -> None:
    with pytest.raises(ValueError, match="order_from"):
        circuit_breaker_middleware(DaemonGate("http://127.0.0.1:1", TOKEN))
