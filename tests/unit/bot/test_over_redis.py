"""A bot that asks Redis: what it is told, what a look takes, threads, forks. Faults: contract/test_redis_faults.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.bot import over_redis
from risk_daemon.bot.answers import boot_ns
from risk_daemon.bot.over_redis import RedisGates
from risk_daemon.client import TradingGate
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from risk_daemon.state.lock.redis_record import LEASE_MS
from tests.e2e.harness import wait_for
from tests.gate_server import TOKEN, Answer, GateServer, beating, lease
from tests.locks_world import CLOCK, KEY, OPEN, TRIPPED, Guard, gate_of, lock_of
from tests.redis_server import RedisServer, free_port

ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.1", "price": "60000"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield made
    made.kill()


def say(server: RedisServer, record: object) -> None:
    """For a whole lease."""

    async def once() -> None:
        server.ask("FLUSHALL")
        guard = Guard(lock_of(server, lease_ms=LEASE_MS))
        await guard.say(record)  # type: ignore[arg-type]
        await guard.lock.aclose()
        assert guard.errors == []

    asyncio.run(once())


# --- answers -----------------------------------------------------------------------------------------


def test_an_open_is_a_lease_that_ends_with_the_guards_word(server: RedisServer) -> None:
    said_ns = boot_ns()
    say(server, OPEN)
    answer = gate_of(server).peek()
    assert answer
    assert answer.lease is not None
    assert said_ns <= answer.lease.asked_ns
    assert answer.lease.asked_ns + answer.lease.valid_for_ms * 1_000_000 <= boot_ns() + LEASE_MS * 1_000_000
    assert (gate_of(server).is_open(), gate_of(server).reason()) == (True, "")


def test_a_lock_comes_with_its_trip_and_its_end(server: RedisServer) -> None:
    say(server, TRIPPED)
    answer = gate_of(server).check(**ORDER)
    assert (answer.allowed, answer.veto_reason, answer.trip_id) == (False, "capital_loss", "trip-1")
    assert answer.locked_until == "2025-11-20T12:00:00.000000Z"
    assert answer.detail == f"{server.url}: guard main says locked"
    assert answer.lease is None


def test_where_nobody_is_it_says_so(server: RedisServer) -> None:
    server.ask("FLUSHALL")
    answer = gate_of(server).peek()
    assert (answer.veto_reason, answer.detail) == ("locked", f"{server.url}: guard main of main does not say open")
    nowhere = TradingGate(redis=f"redis://127.0.0.1:{free_port()}", redis_timeout_s=1.0).peek()
    assert nowhere.veto_reason == "locked"
    assert "Connection refused" in nowhere.detail


async def test_without_blocking_the_loop_it_is_the_same(server: RedisServer) -> None:
    await asyncio.to_thread(say, server, OPEN)
    gate = gate_of(server)
    assert await gate.apeek()
    assert await gate.acheck(**ORDER)
    await asyncio.to_thread(say, server, TRIPPED)
    assert (await gate.acheck(**ORDER)).veto_reason == "capital_loss"
    answers = await asyncio.gather(*(gate.apeek() for _ in range(50)))
    assert {answer.veto_reason for answer in answers} == {"capital_loss"}


# --- with the other gates ------------------------------------------------------------------------------


def test_map_and_redis_must_both_say_open(server: RedisServer, tmp_path: Path) -> None:
    gate = gate_of(server, path=tmp_path)
    lock = MemoryMap(tmp_path / "gate.bin")
    for here, there in [(OPEN, TRIPPED), (TRIPPED, OPEN), (TRIPPED, TRIPPED)]:
        lock.write(here, CLOCK.now())
        say(server, there)
        lock.stamp(CLOCK.now())
        assert (gate.is_open(), gate.reason(), bool(gate.check(**ORDER))) == (False, "capital_loss", False)
    say(server, OPEN)
    lock.write(OPEN, CLOCK.now())
    assert (gate.is_open(), gate.reason()) == (True, "")
    answer = gate.peek()
    assert answer.lease is not None
    assert answer.lease.valid_for_ms <= 1000, "the map's, which ends first"
    lock.close()
    assert not gate_of(server, path=tmp_path / "nowhere").is_open()


def test_the_daemon_is_asked_only_through_an_open_gate_and_has_the_last_word(server: RedisServer) -> None:
    with GateServer() as daemon:
        gate = gate_of(server, url=daemon.url, token=TOKEN)
        say(server, OPEN)
        assert gate.check(**ORDER)
        assert len(daemon.checks) == 1
        say(server, TRIPPED)
        assert gate.check(**ORDER).veto_reason == "capital_loss"
        assert len(daemon.checks) == 1


@pytest.mark.parametrize("there", ["another guard tripped", "nobody answers"])
@pytest.mark.parametrize("here", [OPEN, TRIPPED, None])
async def test_no_daemon_overrules_what_redis_says_not_for_reduce_only_either(
    server: RedisServer, tmp_path: Path, here: LockRecord | None, there: str
) -> None:
    """The daemon's own gate may be open, and then it lets pass what it takes for any order."""
    server.ask("FLUSHALL")
    urls = [server.url, *([f"redis://127.0.0.1:{free_port()}"] if there == "nobody answers" else [])]
    guards = [Guard(lock_of(server, guard=name, lease_ms=LEASE_MS)) for name in "ab"]
    for guard in guards:
        is_it = guard is guards[1] and there != "nobody answers"
        await guard.say(TRIPPED if is_it else OPEN)
    with GateServer() as daemon, beating(tmp_path) as lock:
        lock.write(here or OPEN, CLOCK.now())
        path = None if here is None else tmp_path
        gate = gate_of(server, path=path, redis=urls, guards=("a", "b"), url=daemon.url, token=TOKEN)
        for answer in (gate.check(**ORDER, reduce_only=True), await gate.acheck(**ORDER, reduce_only=True)):
            assert not answer.allowed
            assert answer.veto_reason == ("locked" if there == "nobody answers" and here != TRIPPED else "capital_loss")
        assert daemon.checks == []
    for guard in guards:
        await guard.lock.aclose()


async def test_a_map_that_is_shut_is_for_the_daemon_while_redis_says_open_before_and_after(
    server: RedisServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(say, server, OPEN)
    with GateServer() as daemon, contextlib.closing(MemoryMap(tmp_path / "gate.bin")) as lock:
        lock.write(TRIPPED, CLOCK.now())
        gate = gate_of(server, path=tmp_path, url=daemon.url, token=TOKEN)
        assert not gate.check(**ORDER)
        assert gate.check(**ORDER, reduce_only=True)
        assert await gate.acheck(**ORDER, reduce_only=True)

        def trips(_: object) -> Answer:
            server.ask("DEL", KEY)
            return lease()

        daemon.behave = trips
        assert not gate.check(**ORDER, reduce_only=True).allowed, "shut while the answer was on its way"
        await asyncio.to_thread(say, server, OPEN)
        assert not (await gate.acheck(**ORDER, reduce_only=True)).allowed
        assert len(daemon.checks) == 4


def test_a_halt_of_one_venue_is_not_known_there(server: RedisServer) -> None:
    say(server, OPEN)
    answer = gate_of(server).peek_venue("kraken")
    assert (answer.allowed, answer.veto_reason) == (False, "locked")
    assert "state directory" in answer.detail


# --- looks ---------------------------------------------------------------------------------------------


class Mute:
    """Takes connections and answers nothing, or a byte now and then."""

    def __init__(self, drip: bytes = b"") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._drip = drip
        self._is_over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        open_ones = []
        self._listener.settimeout(0.02)
        while not self._is_over.is_set():
            try:
                open_ones.append(self._listener.accept()[0])
                self.connections += 1
            except TimeoutError:
                pass
            for one in open_ones if self._drip else ():
                try:
                    one.send(self._drip)
                except OSError:
                    continue
        for one in [*open_ones, self._listener]:
            one.close()

    def close(self) -> None:
        self._is_over.set()


@pytest.mark.parametrize("drip", [b"", b"*", b"+", b"$9", b"HTTP/1.1 200 OK\r\n", b"+OK\r\n", b"*-1\r\n"])
def test_whoever_answers_oddly_or_not_at_all_keeps_nobody_waiting(drip: bytes) -> None:
    mute = Mute(drip)
    gate = TradingGate(redis=f"redis://127.0.0.1:{mute.port}", redis_timeout_s=0.05)
    took = []
    for _ in range(30):
        began = time.monotonic()
        assert not gate.is_open()
        took.append(time.monotonic() - began)
    mute.close()
    assert max(took) < 0.35
    assert sorted(took)[15] < 0.05, "most are told at once that it did not answer the one before"
    assert mute.connections <= 4, "no storm of connections"


def test_many_threads_share_looks_and_none_is_older_than_its_question(server: RedisServer) -> None:
    say(server, OPEN)
    gate, wrong, said_locked, ends = gate_of(server), [], threading.Event(), time.monotonic() + 1.5
    assert gate.is_open()

    def ask() -> None:
        while time.monotonic() < ends:
            was_locked = said_locked.is_set()
            if gate.is_open() and was_locked:
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    say(server, TRIPPED)
    said_locked.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert gate.reason() == "capital_loss"


def test_it_survives_a_fork(server: RedisServer) -> None:
    say(server, OPEN)
    gate = gate_of(server)
    assert gate.is_open()
    child = os.fork()
    if child == 0:
        os._exit(0 if gate.is_open() else 1)
    assert gate.is_open()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gate.is_open()


def test_it_survives_a_fork_in_the_middle_of_a_look(server: RedisServer) -> None:
    """The thread that asks is not there in the child, and what it was about to answer never comes."""
    say(server, OPEN)
    gate = gate_of(server)
    assert gate.is_open()
    asked = gate._elsewhere._servers[0]  # type: ignore[union-attr]
    server.pause()
    asking = [threading.Thread(target=gate.is_open) for _ in range(2)]
    asking[0].start()
    wait_for(lambda: asked._began_ns is not None, "a look under way")
    asking[1].start()
    wait_for(lambda: asked._next is not None, "another one that waits for it")
    child = os.fork()
    server.resume()
    if child == 0:
        ends = time.monotonic() + 1.0
        while not (is_open := gate.is_open()) and time.monotonic() < ends:
            time.sleep(0)
        os._exit(0 if is_open else 1)
    for thread in asking:
        thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- what is refused, and what is loaded -------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [{"redis": "http://h"}, {"redis": "redis://:pw@h"}, {"redis": []}, {"redis_timeout_s": 0}, {"redis_timeout_s": 1.1},
     {"redis_timeout_s": float("nan")}, {"guards": ()}, {"guards": "main"}, {"guards": ("",)}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        TradingGate(**{"redis": "redis://127.0.0.1", **more})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no gate to ask"):
        TradingGate()


def test_without_the_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"risk-daemon\[redis\]"):
        RedisGates(["redis://127.0.0.1"])
    assert over_redis.TIMEOUT_S == 0.05


def test_who_does_not_ask_redis_does_not_load_it() -> None:
    use = "from risk_daemon.client import TradingGate; TradingGate('/nowhere').is_open()"
    code = f"import sys; {use}; print('redis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
