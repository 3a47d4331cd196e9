"""What the memory map refused is told to the daemon, and nobody waits for that."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.bot.answers import GateAnswer
from risk_daemon.bot.refusals import QUEUE_MAX, Refusals
from risk_daemon.client import ProposedOrder, TradingGate
from risk_daemon.guarded_exchange import OrderVetoed, guard
from risk_daemon.middleware.asgi import CircuitBreakerMiddleware
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from tests.gate_server import TOKEN, GateServer, beating, http

ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1", "price": "60000"}
NO = GateAnswer(allowed=False, veto_reason="daily_loss", detail="loss of 3.10 %")


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


@pytest.fixture
def shut(tmp_path: Path) -> Iterator[MemoryMap]:
    with beating(tmp_path) as lock:
        lock.write(LockRecord(True, "daily_loss", "trip-7"), SystemClock().now())
        yield lock


@pytest.fixture
def gate(server: GateServer, shut: MemoryMap, tmp_path: Path) -> TradingGate:
    return TradingGate(tmp_path, server.url, TOKEN)


def test_an_order_that_the_map_refused_is_told(gate: TradingGate, server: GateServer) -> None:
    assert gate.check(**ORDER).veto_reason == "daily_loss"
    [told] = server.wait_for_reports(1)
    assert told["order"] == ORDER | {"type": "limit", "reduce_only": False}
    assert (told["kind"], told["veto_reason"], told["untold"]) == ("vetoed", "daily_loss", 0)
    assert 0 <= told["ago_s"] < 5
    assert server.checks == [], "the no came from the map"


async def test_one_that_was_refused_to_a_loop_is_told(gate: TradingGate, server: GateServer) -> None:
    assert not await gate.acheck(**ORDER)
    assert server.wait_for_reports(1)[0]["order"]["symbol"] == "BTC/USDT"


def test_what_the_daemon_itself_refused_is_not_told_again(server: GateServer, tmp_path: Path) -> None:
    server.is_open = False
    with beating(tmp_path) as lock:
        gate = TradingGate(tmp_path, server.url, TOKEN)
        assert not gate.check(**ORDER)
        lock.write(LockRecord(True, "blind"), SystemClock().now())
        assert not gate.check(**ORDER)
    assert [report["veto_reason"] for report in server.wait_for_reports(1)] == ["blind"]


def test_an_exchange_that_looked_at_the_map_tells(gate: TradingGate, server: GateServer) -> None:
    class Exchange(SimpleNamespace):
        def describe(self) -> dict[str, Any]:
            return {"api": {"private": {"post": ["AddOrder"]}}}

        def fetch(self, *args: Any) -> None: ...

        def fetch2(self, *args: Any) -> None: ...

        def create_order(self, symbol: str, type: str, side: str, amount: float, price: Any = None) -> None:  # noqa: A002
            raise AssertionError("it was sent")

    exchange = guard(Exchange(id="kraken", markets={"BTC/USDT": {}}), gate)
    with pytest.raises(OrderVetoed):
        exchange.create_order("BTC/USDT", "limit", "buy", 0.1, 60000)
    [told] = server.wait_for_reports(1)
    assert (told["order"]["side"], told["veto_reason"]) == ("buy", "daily_loss")


async def test_a_middleware_tells_what_it_refused(gate: TradingGate, server: GateServer) -> None:
    sent: list[Any] = []

    async def app(*_: Any) -> None:
        raise AssertionError("it was called")

    async def send(message: Any) -> None:
        sent.append(message)

    middleware = CircuitBreakerMiddleware(app, gate)
    await middleware({"type": "http", "method": "POST", "path": "/orders", "headers": []}, lambda: None, send)  # type: ignore[arg-type, return-value]
    assert sent[0]["status"] == 423
    [told] = server.wait_for_reports(1)
    assert "order" not in told
    assert told["detail"].startswith("POST /orders: ")


# --- a daemon that is slow, gone, or says odd things ----------------------------------------------------


def test_a_daemon_that_does_not_answer_holds_up_nobody(shut: MemoryMap, tmp_path: Path) -> None:
    """It takes connections and never reads: each report hangs until its deadline, and no check waits for one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = TradingGate(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN)
        began = time.monotonic()
        answers = {gate.check(**ORDER).veto_reason for _ in range(1_000)}
        assert answers == {"daily_loss"}
        assert time.monotonic() - began < 60, "a thousand times a deadline of a second would be more"


def test_what_finds_no_room_is_counted() -> None:
    told: list[dict[str, Any]] = []
    go, all_told = threading.Event(), threading.Event()

    def post(document: Any) -> int:
        go.wait(10)
        told.append(dict(document))
        if len(told) == 2:
            all_told.set()
        return 202

    refusals = Refusals(post)
    for _ in range(QUEUE_MAX + 7):
        refusals.tell(None, NO)
    go.set()
    assert all_told.wait(10)
    assert [each["untold"] for each in told[:2]] in ([0, 7], [7, 0]), "once, and with the next that was not yet made"
    refusals.finish(0.0)


@pytest.mark.parametrize("status", [None, 429, 503])
def test_what_was_not_heard_is_told_again(status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk_daemon.bot.refusals.RETRY_AFTER_S", 0.001)
    answers, told, done = [status, 202], [], threading.Event()

    def post(document: Any) -> int | None:
        told.append(document["detail"])
        if len(told) == 2:
            done.set()
        return answers.pop(0)

    refusals = Refusals(post)
    refusals.tell(None, NO)
    assert done.wait(10)
    assert told == ["loss of 3.10 %"] * 2


def test_what_the_daemon_does_not_take_is_counted_and_left() -> None:
    answers, told, done = [422, 202], [], threading.Event()

    def post(document: Any) -> int:
        told.append((document["detail"], document["untold"]))
        if len(told) == 2:
            done.set()
        return answers.pop(0)

    refusals = Refusals(post)
    refusals.tell(None, NO)
    refusals.tell(None, GateAnswer(allowed=False, veto_reason="blind", detail="next"), "here")
    assert done.wait(10)
    assert told == [("loss of 3.10 %", 0), ("here: next", 1)]


def test_a_bot_that_ends_on_its_veto_has_told_it(server: GateServer, shut: MemoryMap, tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from risk_daemon.client import TradingGate\n"
        "gate = TradingGate(*sys.argv[1:4])\n"
        "sys.exit(0 if gate.check(**json.loads(sys.argv[4])) else 3)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path), server.url, TOKEN, json.dumps(ORDER)]
    assert subprocess.run(words, timeout=60, check=False).returncode == 3
    assert server.wait_for_reports(1)[0]["order"]["venue"] == "kraken"


def test_without_a_url_nobody_is_told(shut: MemoryMap, tmp_path: Path) -> None:
    gate = TradingGate(tmp_path)
    assert not gate.check(**ORDER)
    gate.tell_refused(ProposedOrder(**ORDER), NO)  # type: ignore[arg-type]


def test_a_daemon_that_refuses_reports_changes_no_answer(server: GateServer, shut: MemoryMap, tmp_path: Path) -> None:
    server.behave = lambda _: http(500, {})
    gate = TradingGate(tmp_path, server.url, "another-token")
    assert [gate.check(**ORDER).veto_reason for _ in range(3)] == ["daily_loss"] * 3
