"""The ASGI middleware in front of real FastAPI applications, called as a server calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from fastapi import FastAPI, Request

from risk_daemon.client import DaemonGate, GateAnswer, TradingGate
from risk_daemon.errors import CircuitBreakerException
from risk_daemon.middleware.asgi import ANSWER, CircuitBreakerMiddleware, HeldRequest
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from tests.gate_server import TOKEN, GateServer, beating

ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1"}


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any, method: str, path: str, body: Any = None, *, root: str = "", parts: int = 1, kind: str = "http"
) -> Reply:
    """One request, as uvicorn passes it on: the path decoded once, the body in parts."""
    data = b"" if body is None else json.dumps(body).encode()
    size = -(-len(data) // parts) or 1
    pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]
    reply = Reply()

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            reply.body += message.get("body", b"")

    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": root,
        "headers": [(b"content-type", b"application/json")],
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return reply


class Shop:
    """An application that takes orders, and what reached it."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.app = FastAPI()
        self.app.post("/orders")(self.take)
        self.app.get("/orders")(self.show)

    async def take(self, request: Request) -> dict[str, str]:
        self.taken.append(await request.json())
        return {"taken": "yes"}

    async def show(self) -> list[Any]:
        return self.taken


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


def trip(lock: MemoryMap, cause: str = "daily_loss") -> None:
    lock.write(LockRecord(True, cause, "trip-7", until_wall=1795219200.0), SystemClock().now())


async def test_an_open_gate_lets_orders_through(gate: TradingGate) -> None:
    shop = Shop()
    shop.app.add_middleware(CircuitBreakerMiddleware, gate=gate)
    reply = await call(shop.app, "POST", "/orders", ORDER)
    assert (reply.status, reply.json(), shop.taken) == (200, {"taken": "yes"}, [ORDER])


async def test_a_shut_gate_answers_423(gate: TradingGate, lock: MemoryMap) -> None:
    shop = Shop()
    shop.app.add_middleware(CircuitBreakerMiddleware, gate=gate)
    trip(lock)
    reply = await call(shop.app, "POST", "/orders", ORDER)
    assert (reply.status, reply.headers["content-type"]) == (423, "application/problem+json")
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.json() == {
        "type": "about:blank",
        "title": "Locked",
        "status": 423,
        "detail": "the gate is shut",
        "veto_reason": "daily_loss",
        "observed": {},
        "limits": {},
        "trip_id": "trip-7",
        "locked_until": "2026-11-21T00:00:00.000000Z",
    }
    assert not shop.taken
    assert (await call(shop.app, "GET", "/orders")).status == 200
    assert (await call(shop.app, "POST", "/nowhere")).status == 404


SPELLINGS = ["/orders/", "//orders", "/%6frders", "/orders%0A", "/orders%2f", "/ORDERS", "/x/../orders", "/%256frders"]


@pytest.mark.parametrize("path", SPELLINGS)
async def test_no_spelling_slips_through(gate: TradingGate, lock: MemoryMap, path: str) -> None:
    shop = Shop()
    trip(lock)
    reply = await call(CircuitBreakerMiddleware(shop.app, gate), "POST", path, ORDER)
    assert (reply.status, shop.taken) == (423, [])


async def test_the_application_does_take_one_of_them(gate: TradingGate) -> None:
    """Why spelling matters: this is not an attack on paper."""
    shop = Shop()
    assert (await call(CircuitBreakerMiddleware(shop.app, gate), "POST", "/orders%0A", ORDER)).status == 200
    assert shop.taken == [ORDER]


async def test_a_mounted_application_is_guarded_from_inside_and_outside(gate: TradingGate, lock: MemoryMap) -> None:
    inside, outside, root = Shop(), Shop(), FastAPI()
    inside.app.add_middleware(CircuitBreakerMiddleware, gate=gate)
    root.mount("/in", inside.app)
    root.mount("/out", outside.app)
    whole = CircuitBreakerMiddleware(root, gate, ("POST /out/orders",))
    for path in ("/in/orders", "/out/orders"):
        assert (await call(whole, "POST", path, ORDER)).status == 200
    trip(lock)
    for path in ("/in/orders", "/in//orders", "/out/orders", "/out/%6frders"):
        assert (await call(whole, "POST", path, ORDER)).status in (423, 404)
    assert (await call(whole, "POST", "/in/orders", ORDER)).status == 423
    assert (await call(whole, "POST", "/out/orders", ORDER)).status == 423
    assert (len(inside.taken), len(outside.taken)) == (1, 1)


@pytest.mark.parametrize("path", ["/orders", "/api/orders"])
async def test_a_server_with_a_root_path(gate: TradingGate, lock: MemoryMap, path: str) -> None:
    trip(lock)
    shop = Shop()
    assert (await call(CircuitBreakerMiddleware(shop.app, gate), "POST", path, ORDER, root="/api")).status == 423
    assert not shop.taken


async def test_other_kinds_of_scopes_pass(gate: TradingGate, lock: MemoryMap) -> None:
    trip(lock)
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    for kind in ("websocket", "lifespan"):
        await call(CircuitBreakerMiddleware(app, gate), "POST", "/orders", kind=kind)
    assert seen == ["websocket", "lifespan"]


class Broken:
    """A gate that fails, each time in another way."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def peek(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def acheck(self, **_: Any) -> Any:
        return self.peek()


@pytest.mark.parametrize("answer", [RuntimeError("boom"), True, None, "yes", GateAnswer(allowed=True)], ids=repr)
@pytest.mark.parametrize("asks", [False, True])
async def test_a_failing_gate_is_a_shut_gate(answer: Any, asks: bool) -> None:
    shop = Shop()
    order_from = HeldRequest.json if asks else None
    app = CircuitBreakerMiddleware(shop.app, Broken(answer), order_from=order_from)
    assert (await call(app, "POST", "/orders", ORDER)).status == 423
    assert not shop.taken


# --- asking about the order itself -----------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 3])
async def test_each_order_is_asked_about(server: GateServer, parts: int) -> None:
    shop = Shop()
    app = CircuitBreakerMiddleware(shop.app, DaemonGate(server.url, TOKEN), order_from=HeldRequest.json)
    assert (await call(app, "POST", "/orders", ORDER, parts=parts)).status == 200
    assert shop.taken == [ORDER], "the application reads the body again"
    assert server.checks[0]["quantity"] == "0.1"
    server.is_open = False
    reply = await call(app, "POST", "/orders", ORDER)
    assert (reply.status, reply.json()["veto_reason"], len(shop.taken)) == (423, "daily_loss", 1)
    assert reply.json()["limits"] == {"max_daily_loss_pct": 0.03}


async def test_the_answer_travels_with_the_request(server: GateServer) -> None:
    seen: list[GateAnswer] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope[ANSWER])

    guarded = CircuitBreakerMiddleware(app, DaemonGate(server.url, TOKEN), order_from=HeldRequest.json)
    await call(guarded, "POST", "/orders", ORDER)
    assert seen[0].is_valid()


async def slow_order(request: HeldRequest) -> dict[str, Any]:
    return {**request.json(), "client_order_id": f"{request.method} {request.path}"}


async def test_order_from_may_wait(server: GateServer) -> None:
    app = CircuitBreakerMiddleware(Shop().app, DaemonGate(server.url, TOKEN), order_from=slow_order)
    assert (await call(app, "POST", "/orders", ORDER)).status == 200
    assert server.checks[0]["client_order_id"] == "POST /orders"


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, ORDER | {"quantity": "NaN"}, ORDER | {"extra": 1}, {**ORDER, "side": None}], ids=str
)
async def test_what_is_no_order_is_422(server: GateServer, body: Any) -> None:
    shop = Shop()
    app = CircuitBreakerMiddleware(shop.app, DaemonGate(server.url, TOKEN), order_from=HeldRequest.json)
    reply = await call(app, "POST", "/orders", body)
    assert (reply.status, reply.json()["veto_reason"]) == (422, "invalid_order")
    assert not shop.taken
    assert not server.checks


async def test_a_body_without_end_is_422(server: GateServer) -> None:
    shop = Shop()
    app = CircuitBreakerMiddleware(shop.app, DaemonGate(server.url, TOKEN), order_from=HeldRequest.json)
    reply = await call(app, "POST", "/orders", {"symbol": "x" * 70_000}, parts=4)
    assert (reply.status, shop.taken) == (422, [])


def test_a_gate_without_a_map_must_be_asked_about_orders() -> None:
    with pytest.raises(ValueError, match="order_from"):
        CircuitBreakerMiddleware(FastAPI(), DaemonGate("http://127.0.0.1:1", TOKEN))


# --- the class of the phase plan -------------------------------------------------------------------


@pytest.mark.parametrize("account_id", [uuid4(), "main", "kraken"])
def test_check_breaker_is_true_while_open(gate: TradingGate, risk: Callable[..., None], account_id: Any) -> None:
    risk(halts=[])
    assert CircuitBreakerMiddleware(FastAPI(), gate).check_breaker(account_id) is True


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"max_daily_loss_pct": 0.03}, "Zen Mode Active: -3% Limit Hit"),
        ({"limit": 0.125}, "Zen Mode Active: -12.5% Limit Hit"),
        ({"limit": "5000"}, "Zen Mode Active: -5000 Limit Hit"),
        ({}, "Zen Mode Active: daily_loss"),
    ],
)
def test_check_breaker_raises_with_the_real_limit(
    gate: TradingGate, lock: MemoryMap, tmp_path: Path, limits: dict[str, Any], sentence: str
) -> None:
    trip(lock)
    told = {"lock": {"cause": "daily_loss", "trip_id": "trip-7", "limits": limits}}
    (tmp_path / "risk.json").write_text(json.dumps(told))
    with pytest.raises(CircuitBreakerException) as raised:
        CircuitBreakerMiddleware(FastAPI(), gate).check_breaker(uuid4())
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("cause", "limits"),
    [
        ("order_rate", {"max_orders": 100, "window_s": 60.0}),
        ("error_rate", {"max_errors": 10}),
        ("blind", {"veto_after_s": 30.0}),
        ("volatility", {"max_volatility": 1.5}),
        ("custom:moon", {"phase": 0.5}),
    ],
)
def test_what_is_no_loss_is_told_by_its_reason(
    gate: TradingGate, lock: MemoryMap, tmp_path: Path, cause: str, limits: dict[str, Any]
) -> None:
    lock.write(LockRecord(True, cause), SystemClock().now())
    (tmp_path / "risk.json").write_text(json.dumps({"lock": {"cause": cause, "trip_id": None, "limits": limits}}))
    with pytest.raises(CircuitBreakerException) as raised:
        CircuitBreakerMiddleware(FastAPI(), gate).check_breaker("main")
    assert str(raised.value) == f"Zen Mode Active: {cause}"


HALTED = {"venue": "kraken", "bot": None, "reason": "odd fills", "operator": "anna"}


def test_an_account_that_is_a_halted_venue_may_not_trade(gate: TradingGate, risk: Callable[..., None]) -> None:
    risk(halts=[HALTED])
    guard = CircuitBreakerMiddleware(FastAPI(), gate)
    with pytest.raises(CircuitBreakerException, match="manual_halt"):
        guard.check_breaker("kraken")
    assert guard.check_breaker("mexc")
    assert guard.check_breaker("some other account"), "it names no venue: the gate alone"
    risk(halts=[{**HALTED, "bot": "alice"}])
    assert guard.check_breaker("kraken"), "one bot there is halted, the venue is not"
    risk(halts=[])
    assert guard.check_breaker("kraken")


def test_what_may_hide_a_halt_is_a_no(gate: TradingGate, risk: Callable[..., None], tmp_path: Path) -> None:
    guard = CircuitBreakerMiddleware(FastAPI(), gate)
    for document in ({}, {"halts": None}, {"halts": [HALTED]}):
        risk(**document)
        with pytest.raises(CircuitBreakerException):
            guard.check_breaker("kraken")
    risk(halts=[])
    os.utime(tmp_path / "risk.json", (1.0, 1.0))
    with pytest.raises(CircuitBreakerException, match="locked"):
        guard.check_breaker("kraken")
    (tmp_path / "risk.json").write_text("{")
    for account in ("kraken", uuid4()):
        with pytest.raises(CircuitBreakerException, match="locked"):
            guard.check_breaker(account)


@pytest.fixture
def risk(tmp_path: Path) -> Callable[..., None]:
    """Writes `risk.json` of two venues."""

    def write(**members: Any) -> None:
        (tmp_path / "risk.json").write_text(json.dumps({"venues": {"kraken": {}, "mexc": {}}} | members))

    return write


def test_check_breaker_raises_where_there_is_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(CircuitBreakerException, match="locked"):
        CircuitBreakerMiddleware(FastAPI(), TradingGate(tmp_path / "none")).check_breaker("main")


# --- what it costs to import -----------------------------------------------------------------------


@pytest.mark.parametrize(("module", "allowed"), [("asgi", []), ("for_aiohttp", ["aiohttp"])])
def test_importing_it_brings_little_along(module: str, allowed: list[str]) -> None:
    program = (
        f"import sys, risk_daemon.middleware.{module};"
        "print(*(n for n in ('ccxt', 'aiohttp', 'pydantic', 'starlette', 'fastapi') if n in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.split() == allowed
