"""Asking over HTTP: a yes is only what the contract says, in time; everything else is a no, and never an exception."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.bot import answers
from risk_daemon.client import DaemonGate, GateAnswer, Lease, ProposedOrder, TradingGate
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from tests.gate_server import LEASE, TOKEN, VETO, Answer, GateServer, beating, http, lease, veto

ORDER: dict[str, Any] = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1", "price": "60000"}
TRIPPED = LockRecord(True, "daily_loss", "trip-7", until_wall=1795219200.0)


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as server:
        yield server


def gate_of(server: GateServer, **options: Any) -> DaemonGate:
    return DaemonGate(server.url, TOKEN, **options)


def now(offset_s: float = 0.0) -> Instant:
    instant = SystemClock().now()
    return Instant(instant.mono + offset_s, instant.wall)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[MemoryMap]:
    with beating(tmp_path) as lock:
        yield lock


# --- a yes and a no --------------------------------------------------------------------------------


def test_a_yes_comes_with_a_lease(server: GateServer) -> None:
    before = answers.boot_ns()
    answer = gate_of(server).check(**ORDER, client_order_id="a-1")
    assert answer.allowed
    assert answer
    assert answer.lease is not None
    assert (answer.lease.valid_for_ms, answer.lease.lease_id) == (1000, "lease-1")
    assert before <= answer.lease.asked_ns <= answers.boot_ns()
    assert server.checks == [
        {
            "venue": "kraken",
            "symbol": "BTC/USDT",
            "side": "buy",
            "type": "limit",
            "quantity": "0.1",
            "price": "60000",
            "reduce_only": False,
            "client_order_id": "a-1",
        }
    ]
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_veto_says_why(server: GateServer) -> None:
    server.is_open = False
    answer = gate_of(server).check(**ORDER)
    assert not answer
    assert answer.veto_reason == "daily_loss"
    assert answer.detail == VETO["detail"]
    assert answer.observed == {"daily_loss_ratio": 0.031}
    assert answer.limits == {"max_daily_loss_pct": 0.03}
    assert (answer.trip_id, answer.locked_until) == ("trip-7", "2026-11-21T00:00:00.000000Z")


async def test_the_same_without_blocking(server: GateServer) -> None:
    gate = gate_of(server)
    assert await gate.acheck(**ORDER)
    server.is_open = False
    assert (await gate.acheck(**ORDER)).veto_reason == "daily_loss"


async def test_many_ask_at_once(server: GateServer) -> None:
    server.behave = lambda request: lease(lease_id=request.json()["client_order_id"])
    gate = gate_of(server)

    async def lease_id(name: str) -> str:
        """On a busy machine some of many are late, which is no yes: they ask again."""
        while (lease := (answer := await gate.acheck(**ORDER, client_order_id=name)).lease) is None:
            assert answer.veto_reason == answers.NO_ANSWER, answer
        return lease.lease_id

    names = [f"a-{n}" for n in range(60)]
    async with asyncio.timeout(30.0):
        assert await asyncio.gather(*map(lease_id, names)) == names


def test_threads_share_a_gate(server: GateServer) -> None:
    server.behave = lambda request: lease(lease_id=request.json()["client_order_id"])
    gate, wrong = gate_of(server), []

    def ask(name: int) -> None:
        for number in range(50):
            answer = gate.check(**ORDER, client_order_id=f"{name}-{number}")
            if answer.lease is None or answer.lease.lease_id != f"{name}-{number}":
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(server.checks) == 200
    assert server.connections <= 4


def test_a_connection_is_kept(server: GateServer) -> None:
    gate = gate_of(server)
    assert all(gate.check(**ORDER) for _ in range(5))
    assert server.connections == 1


def test_a_connection_that_was_closed_is_made_anew(server: GateServer) -> None:
    server.behave = lambda _: http(200, LEASE, close=True)
    gate = gate_of(server)
    assert all(gate.check(**ORDER) for _ in range(3))
    # Closed without a word, between two questions.
    server.behave = lambda _: Answer(http(200, LEASE).parts, close=True)
    assert all(gate.check(**ORDER) for _ in range(3))


def test_a_child_process_does_not_share_the_connection(server: GateServer) -> None:
    gate = gate_of(server)
    assert gate.check(**ORDER)
    child = os.fork()
    if child == 0:
        os._exit(0 if gate.check(**ORDER) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gate.check(**ORDER)
    assert server.connections == 2


def test_a_child_process_has_threads_of_its_own(server: GateServer) -> None:
    gate = gate_of(server)

    async def ask() -> bool:
        return bool(await gate.acheck(**ORDER))

    assert asyncio.run(ask())
    child = os.fork()
    if child == 0:
        os._exit(0 if asyncio.run(ask()) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_answer_that_nobody_asked_for_is_not_the_next_ones(server: GateServer) -> None:
    said = threading.Event()

    def twice() -> Iterator[bytes]:
        yield from lease().parts
        yield from lease().parts
        said.set()

    server.behave = lambda _: Answer(twice())
    gate = gate_of(server)
    assert gate.check(**ORDER)
    assert said.wait(5)
    server.behave, server.is_open = None, False
    assert gate.check(**ORDER).veto_reason == "daily_loss"


# --- leases ----------------------------------------------------------------------------------------


def test_a_lease_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [5_000_000_000]
    monkeypatch.setattr(answers, "boot_ns", lambda: clock[0])
    answer = GateAnswer(allowed=True, lease=Lease(1000, 5_000_000_000))
    assert answer.is_valid()
    clock[0] += 1_000_000_000
    assert answer.is_valid()
    clock[0] += 1
    assert not answer.is_valid()
    assert not answer
    assert answer.allowed


def test_a_lease_of_the_future_is_none() -> None:
    assert not Lease(1000, answers.boot_ns() + 10**9).is_valid()


def test_allowed_without_a_lease_is_not_valid() -> None:
    assert not GateAnswer(allowed=True)
    assert not GateAnswer(allowed=False, lease=Lease(1000, answers.boot_ns()))


def test_a_lease_counts_from_before_the_question(server: GateServer) -> None:
    """Shorter than the answer took: it has run out on arrival."""
    asked = threading.Event()

    def slow(_: Any) -> Answer:
        asked.set()
        return Answer([b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", *wait(), *body(valid_for_ms=1)])

    def wait() -> Iterator[bytes]:
        until_ns = answers.boot_ns() + 5_000_000
        while answers.boot_ns() < until_ns:
            server.ended.wait(0.001)
        yield b"X-Waited: yes\r\n"

    def body(**changes: Any) -> list[bytes]:
        whole = b"".join(lease(**changes).parts).partition(b"\r\n\r\n")[2]
        return [b"Content-Length: %d\r\n\r\n" % len(whole) + whole]

    server.behave = slow
    answer = gate_of(server).check(**ORDER)
    assert asked.is_set()
    assert not answer.allowed
    assert (answer.veto_reason, answer.lease) == ("no_answer", None)
    assert "run out" in answer.detail


# --- what is not an answer -------------------------------------------------------------------------

NOT_A_LEASE: dict[str, Any] = {
    "empty": b"",
    "HTML": b"<html>welcome</html>",
    "half": b'{"allowed": true, "time": "x", "time_wall"',
    "no object": [LEASE],
    "null": None,
    "only allowed": {"allowed": True},
    "nothing": {},
    "not allowed": LEASE | {"allowed": False},
    "one": LEASE | {"allowed": 1},
    "text": LEASE | {"allowed": "true"},
    "one member more": LEASE | {"veto_reason": "daily_loss"},
    "no lease id": LEASE | {"lease_id": ""},
    "lease id null": LEASE | {"lease_id": None},
    "time null": LEASE | {"time": None},
    "wall text": LEASE | {"time_wall": "1795176000.0"},
    "wall true": LEASE | {"time_wall": True},
    "for ever": LEASE | {"valid_for_ms": 3_600_000},
    "just too long": LEASE | {"valid_for_ms": 1001},
    "no time": LEASE | {"valid_for_ms": 0},
    "less than none": LEASE | {"valid_for_ms": -1},
    "fraction": LEASE | {"valid_for_ms": 999.5},
    "valid true": LEASE | {"valid_for_ms": True},
    "valid null": LEASE | {"valid_for_ms": None},
    "NaN": b'{"allowed": true, "time": "x", "time_wall": NaN, "lease_id": "y", "valid_for_ms": 1000}',
    "infinite": b'{"allowed": true, "time": "x", "time_wall": 1e999, "lease_id": "y", "valid_for_ms": 1000}',
    "twice": b'{"allowed": false, "allowed": true, "time": "x", "time_wall": 1.0, "lease_id": "y", "valid_for_ms": 9}',
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 50_000,
}


@pytest.mark.parametrize("body", NOT_A_LEASE.values(), ids=NOT_A_LEASE.keys())
def test_200_with_anything_but_a_lease_is_a_no(server: GateServer, body: Any) -> None:
    server.behave = lambda _: http(200, body)
    answer = gate_of(server).check(**ORDER)
    assert (answer.allowed, answer.veto_reason, bool(answer)) == (False, "no_answer", False)
    assert "200" in answer.detail


@pytest.mark.parametrize("content_type", ["text/html", "application/problem+json", "text/plain", ""])
def test_200_of_another_kind_is_a_no(server: GateServer, content_type: str) -> None:
    server.behave = lambda _: http(200, LEASE, content_type)
    assert gate_of(server).check(**ORDER).veto_reason == "no_answer"


@pytest.mark.parametrize("status", [201, 202, 204, 206, 301, 302, 307, 401, 403, 404, 409, 429, 500, 502, 503, 504])
def test_another_status_is_no_answer(server: GateServer, status: int) -> None:
    """Even with a lease in it, and a Location that leads to one."""
    server.behave = lambda _: http(status, LEASE, "application/json", f"Location: {server.url}/api/v1/orders/check")
    answer = gate_of(server).check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "no_answer")
    assert str(status) in answer.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_order_that_the_daemon_can_not_read(server: GateServer, status: int) -> None:
    server.behave = lambda _: http(status, {"detail": "no venue 'krakn'"}, "application/problem+json")
    answer = gate_of(server).check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "invalid_order")
    assert "no venue 'krakn'" in answer.detail


def test_a_wrong_token_is_a_no(server: GateServer) -> None:
    answer = DaemonGate(server.url, "another").check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "no_answer")
    assert "401" in answer.detail
    assert not DaemonGate(server.url).check(**ORDER).allowed


@pytest.mark.parametrize("body", [b"", b"<html>", {}, {"veto_reason": None}, {"veto_reason": 5}, [1]])
def test_423_without_a_reason_is_locked(server: GateServer, body: Any) -> None:
    server.behave = lambda _: http(423, body, "application/problem+json")
    answer = gate_of(server).check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "locked")


def test_odd_members_of_a_veto_are_left_out(server: GateServer) -> None:
    server.behave = lambda _: veto(observed=[1], limits=None, trip_id=7, locked_until=False, detail="a\nb\x1b[2J")
    answer = gate_of(server).check(**ORDER)
    assert answer.veto_reason == "daily_loss"
    assert (answer.observed, answer.limits, answer.trip_id, answer.locked_until) == ({}, {}, None, None)
    assert answer.detail.isprintable()


def endless(server: GateServer, part: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    while not server.ended.wait(0.02):
        yield part


def silent(server: GateServer) -> Iterator[bytes]:
    server.ended.wait()
    yield b""


LENGTH = len(b"".join(http(200, LEASE).parts).partition(b"\r\n\r\n")[2])
WIRES: dict[str, Callable[[GateServer], Answer]] = {
    "closes at once": lambda server: Answer([], close=True),
    "says nothing": lambda server: Answer(silent(server)),
    "drops of a header": lambda server: Answer(endless(server, b"X-Drop: 1\r\n")),
    "drops of a line": lambda server: Answer(endless(server, b"x")),
    "100 for ever": lambda server: Answer(b"HTTP/1.1 100 Continue\r\n\r\n" for _ in iter(server.ended.is_set, True)),
    "not HTTP": lambda server: Answer([b"SSH-2.0-OpenSSH_9.6\r\n" * 3], close=True),
    "half a status": lambda server: Answer([b"HTTP/1.1 2"], close=True),
    "no status": lambda server: Answer([b"HTTP/1.1 yes\r\n\r\n"], close=True),
    "shorter than it says": lambda server: Answer(
        [part.replace(b"Content-Length: %d" % LENGTH, b"Content-Length: 900") for part in http(200, LEASE).parts],
        close=True,
    ),
    "no length": lambda server: Answer(
        [part.replace(b"Content-Length", b"X-Length") for part in http(200, LEASE).parts], close=True
    ),
    "too long": lambda server: http(200, b" " * 70_000),
    "broken chunks": lambda server: Answer(
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"], close=True
    ),
    "upgrade": lambda server: http(101, LEASE),
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES.keys())
def test_a_broken_line_is_a_no_in_time(server: GateServer, wire: Callable[[GateServer], Answer]) -> None:
    server.behave = lambda _: wire(server)
    gate = gate_of(server, timeout_s=0.2)
    answer = gate.check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "no_answer")
    assert answer.detail
    server.behave = None
    assert gate.check(**ORDER), "the next question is asked on a clean connection"


async def test_a_silent_daemon_does_not_block_the_loop(server: GateServer) -> None:
    server.behave = lambda _: Answer(silent(server))
    gate, turns = gate_of(server, timeout_s=0.2), 0
    asking = asyncio.gather(*(gate.acheck(**ORDER) for _ in range(30)))
    while not asking.done():
        turns += 1
        await asyncio.sleep(0)
    assert {answer.veto_reason for answer in await asking} == {"no_answer"}
    assert turns > 10


def test_nobody_there_is_a_no() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answer = DaemonGate(f"http://127.0.0.1:{taken.getsockname()[1]}", TOKEN).check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "no_answer")
    assert "refused" in answer.detail


def test_a_name_that_is_not_found_in_time_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ended = [], threading.Event()

    def slow(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        ended.wait()
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    gate = DaemonGate("https://daemon.invalid", TOKEN, timeout_s=0.05)
    found = [gate.check(**ORDER) for _ in range(3)]
    ended.set()
    assert {(answer.allowed, answer.veto_reason) for answer in found} == {(False, "no_answer")}
    assert asked == ["daemon.invalid"], "one look-up at a time"


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.5:8787",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "127.0.0.1:8787",
        "",
        "http://",
        "http://user:pw@127.0.0.1:8787",
        "https://user@daemon.example",
        "http://127.0.0.1:8787/?a=b",
        "http://127.0.0.1:99999",
        "http://0.0.0.0:8787",
    ],
)
def test_a_url_that_is_not_safe_is_refused(url: str, tmp_path: Path) -> None:
    for make in (DaemonGate, lambda url: TradingGate(tmp_path, url)):
        with pytest.raises(ValueError):
            make(url)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1", "http://127.9.9.9:1", "https://example.com"])
def test_loopback_and_tls_are_taken(url: str) -> None:
    DaemonGate(url, TOKEN)


@pytest.mark.parametrize("token", ["", "two words", "a\r\nX: y", "é"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError) as refused:
        DaemonGate("http://127.0.0.1:1", token)
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize("timeout_s", [0, -1, 1.01, 60, float("nan")])
def test_nobody_waits_longer_than_a_lease_lives(timeout_s: float) -> None:
    with pytest.raises(ValueError):
        DaemonGate("http://127.0.0.1:1", timeout_s=timeout_s)


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": "NaN"},
        {"quantity": float("inf")},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": None},
        {"quantity": True},
        {"quantity": "a lot"},
        {"quantity": "1e99"},
        {"quantity": Decimal("sNaN")},
        {"price": 0},
        {"price": "-5"},
        {"price": float("nan")},
        {"side": "hold"},
        {"side": None},
        {"symbol": ""},
        {"symbol": "x" * 129},
        {"venue": 7},
        {"venue": "kra\nken"},
        {"type": " "},
        {"reduce_only": "yes"},
        {"reduce_only": None},
        {"client_order_id": ""},
        {"client_order_id": 7},
        {"colour": "red"},
    ],
    ids=str,
)
async def test_orders_that_make_no_sense_are_refused(server: GateServer, change: dict[str, Any]) -> None:
    gate = gate_of(server)
    with pytest.raises(ValueError):
        gate.check(**ORDER | change)
    with pytest.raises(ValueError):
        await gate.acheck(**ORDER | change)
    assert not server.requests


def test_missing_fields_and_two_orders_are_refused(server: GateServer) -> None:
    for fields in ({}, {name: value for name, value in ORDER.items() if name != "quantity"}):
        with pytest.raises(ValueError):
            gate_of(server).check(**fields)
    with pytest.raises(ValueError):
        gate_of(server).check(ProposedOrder(**ORDER), side="buy")


def test_numbers_go_as_text(server: GateServer) -> None:
    gate = gate_of(server)
    for quantity in (0.1, Decimal("0.10"), "0.1", "1e-1"):
        assert gate.check(ProposedOrder(**ORDER | {"quantity": quantity, "side": "BUY", "price": None}))
    sent = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "type": "limit", "quantity": "0.1"}
    assert server.checks == [{**sent, "reduce_only": False}] * 4
    assert gate.check(**ORDER | {"quantity": 12})
    assert server.checks[-1]["quantity"] == "12"


# --- the map first ---------------------------------------------------------------------------------


def test_both_must_say_yes(server: GateServer, lock: MemoryMap, tmp_path: Path) -> None:
    gate = TradingGate(tmp_path, server.url, TOKEN)
    answer = gate.check(**ORDER)
    assert answer
    assert answer.lease is not None
    assert answer.lease.lease_id == "lease-1"
    server.is_open = False
    assert gate.check(**ORDER).veto_reason == "daily_loss"


async def test_a_shut_map_is_a_no_without_asking(server: GateServer, lock: MemoryMap, tmp_path: Path) -> None:
    gate = TradingGate(tmp_path, server.url, TOKEN)
    lock.write(TRIPPED, now())
    for answer in (gate.check(**ORDER), await gate.acheck(**ORDER)):
        assert (answer.allowed, answer.veto_reason, answer.trip_id) == (False, "daily_loss", "trip-7")
        assert answer.locked_until == "2026-11-21T00:00:00.000000Z"
        assert answer.detail == "the gate is shut"
    assert {request.path for request in server.requests} <= {"/api/v1/orders/report"}, "told, later, and not asked"


async def test_reduce_only_is_asked_through_a_shut_map(server: GateServer, lock: MemoryMap, tmp_path: Path) -> None:
    gate = TradingGate(tmp_path, server.url, TOKEN)
    lock.write(TRIPPED, now())
    assert gate.check(**ORDER, reduce_only=True)
    assert await gate.acheck(**ORDER, reduce_only=True)
    server.is_open, server.veto = False, {"veto_reason": "capital_loss"}
    assert gate.check(**ORDER, reduce_only=True).veto_reason == "capital_loss"


def test_reduce_only_gets_the_maps_reason_where_nobody_answers(
    server: GateServer, lock: MemoryMap, tmp_path: Path
) -> None:
    server.behave = lambda _: http(500, {})
    lock.write(TRIPPED, now())
    answer = TradingGate(tmp_path, server.url, TOKEN).check(**ORDER, reduce_only=True)
    assert (answer.allowed, answer.veto_reason) == (False, "daily_loss")
    assert not TradingGate(tmp_path).check(**ORDER, reduce_only=True).allowed


def test_a_map_shut_while_the_answer_was_on_its_way(server: GateServer, lock: MemoryMap, tmp_path: Path) -> None:
    def shut_then_allow(_: Any) -> Answer:
        lock.write(TRIPPED, now())
        return lease()

    server.behave = shut_then_allow
    assert TradingGate(tmp_path, server.url, TOKEN).check(**ORDER).veto_reason == "daily_loss"


def test_a_no_over_http_stays_a_no_whatever_the_map(server: GateServer, lock: MemoryMap, tmp_path: Path) -> None:
    def flicker(_: Any) -> Answer:
        lock.write(TRIPPED, now())
        lock.write(LockRecord(locked=False), now())
        return veto(veto_reason="order_rate")

    server.behave = flicker
    answer = TradingGate(tmp_path, server.url, TOKEN).check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "order_rate")


def test_without_a_url_the_map_answers(tmp_path: Path) -> None:
    gate, lock = TradingGate(tmp_path), MemoryMap(tmp_path / "gate.bin")
    lock.write(LockRecord(locked=False), now())
    stamped = now(-0.4)
    lock.stamp(stamped)
    answer = gate.check(**ORDER)
    assert answer
    assert answer.lease is not None
    assert answer.lease.asked_ns == int(stamped.mono * 1e9), "valid for as long as the daemon's stamp, not longer"
    lock.stamp(now(-1.1))
    answer = gate.check(**ORDER)
    assert (answer.allowed, answer.veto_reason) == (False, "locked")
    assert (TradingGate(tmp_path / "none").peek().veto_reason, gate.report_sent(**traits())) == ("locked", False)


def traits() -> dict[str, str]:
    return {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy"}


LOCK = {"cause": "daily_loss", "trip_id": "trip-7", "reason": "3 % of the day", "limits": {"l": 0.03}}


@pytest.mark.parametrize(
    ("document", "limits", "detail"),
    [
        ({"lock": LOCK}, {"l": 0.03}, "3 % of the day"),
        ({"lock": LOCK | {"trip_id": "trip-6"}}, {}, None),
        ({"lock": LOCK | {"cause": "drawdown"}}, {}, None),
        ({"lock": LOCK | {"limits": 3, "reason": None}}, {}, None),
        ({"lock": [], "circuit_breaker": 5}, {}, None),
        ([], {}, None),
    ],
    ids=str,
)
def test_the_risk_file_tells_more_of_the_same_lock(
    lock: MemoryMap, tmp_path: Path, document: Any, limits: dict[str, Any], detail: str | None
) -> None:
    lock.write(TRIPPED, now())
    (tmp_path / "risk.json").write_text(json.dumps(document))
    answer = TradingGate(tmp_path).peek()
    assert (answer.veto_reason, answer.limits) == ("daily_loss", limits)
    assert answer.detail == (detail or "the gate is shut")


@pytest.mark.parametrize(
    ("cause", "limits"),
    [
        ("capital_loss", {"loss_threshold": 0.05}),
        ("portfolio_dd_circuit", {"max_portfolio_dd_nav_pct": 0.1}),
        ("blind", {}),
    ],
)
def test_the_risk_file_knows_these_limits(lock: MemoryMap, tmp_path: Path, cause: str, limits: dict[str, Any]) -> None:
    lock.write(LockRecord(True, cause), now())
    document = {"lock": {"cause": cause, "trip_id": None}, "loss_threshold": 0.05}
    document["circuit_breaker"] = {"max_portfolio_dd_nav_pct": 0.1}
    (tmp_path / "risk.json").write_text(json.dumps(document))
    assert TradingGate(tmp_path).peek().limits == limits
    (tmp_path / "risk.json").write_text("half a f")
    assert TradingGate(tmp_path).peek().limits == {}


# --- reports ---------------------------------------------------------------------------------------


async def test_reports_go_over(server: GateServer, tmp_path: Path) -> None:
    for gate in (gate_of(server), TradingGate(tmp_path, server.url, TOKEN)):
        server.requests.clear()
        assert gate.report_sent(**traits(), order_id="O-1", client_order_id="a-1")
        assert gate.report_rejected(venue="kraken", detail="too small")
        assert gate.report_error("connection", venue="kraken", detail="x" * 1000)
        assert await gate.areport_sent(**traits())
        assert await gate.areport_rejected()
        assert await gate.areport_error("strategy")
        assert server.reports == [
            {"kind": "sent", **traits(), "order_id": "O-1", "client_order_id": "a-1"},
            {"kind": "rejected", "venue": "kraken", "detail": "too small"},
            {"kind": "error", "error_kind": "connection", "venue": "kraken", "detail": "x" * 256},
            {"kind": "sent", **traits()},
            {"kind": "rejected"},
            {"kind": "error", "error_kind": "strategy"},
        ]
        with pytest.raises(ValueError):
            gate.report_error("bad luck")


async def test_a_report_that_nobody_hears_is_no_exception(server: GateServer) -> None:
    gate = DaemonGate(server.url, "another")
    assert not gate.report_sent(**traits())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gate = DaemonGate(f"http://127.0.0.1:{taken.getsockname()[1]}", TOKEN)
        assert not gate.report_error("broker")
        assert not await gate.areport_error("broker")


# --- what it costs to import -----------------------------------------------------------------------


def test_importing_it_brings_little_along() -> None:
    program = (
        "import sys, risk_daemon.client as c; heavy = ('ccxt', 'aiohttp', 'pydantic', 'asyncio', 'http', 'ssl', 'json',"
        " 'email', 'concurrent', 'socket'); print([n for n in heavy if n in sys.modules]);"
        "c.TradingGate('/nowhere', 'http://127.0.0.1:1'); c.DaemonGate;"
        "print([n for n in heavy[:4] if n in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.split("\n")[:2] == ["[]", "[]"]


def test_there_is_nothing_else_by_that_name() -> None:
    import risk_daemon.client

    with pytest.raises(AttributeError):
        risk_daemon.client.Gate  # noqa: B018 - asking for it is the test
