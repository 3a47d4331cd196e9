"""The gate in Redis, when something goes wrong with the server, the network, or a process: it is never open when it
should not be, and it opens again by itself when the guard says so. docs/scale.md has the table.

A watcher asks all the time; what a test claims is claimed of every look.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from risk_daemon.client import TradingGate
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.state.board.base import Known, Standing
from risk_daemon.state.board.redis import RedisBoard
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.redis import SILENCE_MS, RedisLock
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.lock.redis_record import LEASE_MS as LONGEST_LEASE_MS
from risk_daemon.state.redis_client import CLOSE_WITHIN_S, redis_client
from tests.board_servers import until as until_true
from tests.locks_world import CLOCK, KEY, LEASE_MS, OPEN, TRIPPED, Guard, Watcher, gate_of, lock_of, until
from tests.names import NAME, name
from tests.proxy import Proxy
from tests.receivers.certificates import Certificates, made_in
from tests.redis_server import VERSIONS, RedisServer

LEASE_S = LEASE_MS / 1000
LONG_S = LONGEST_LEASE_MS / 1000
# What lies between the end of a lease by the server's clock and a look that began before it.
SLACK_S = 0.3
CLEAR = Standing(locked=False, guarded=("kraken",))


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path / "redis", request.param).start()
    yield made
    made.kill()


@pytest.fixture
def other(server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """A second server of the same version."""
    made = RedisServer(tmp_path / "other", server.version).start()
    yield made
    made.kill()


@asynccontextmanager
async def open_gate(server: RedisServer, **more: Any) -> AsyncIterator[tuple[Guard, Watcher]]:
    """A guard that says open and a bot that sees it, both at work."""
    guard, watcher = Guard(lock_of(server, **more)), Watcher(gate_of(server))
    await guard.say(OPEN)
    async with guard.guarding(), watcher:
        await until(lambda: watcher.opens, "an open gate")
        yield guard, watcher


async def stays_shut(watcher: Watcher, seconds: float, since: float) -> None:
    """No look that began after `since` was told yes, until `seconds` from now are over; and there were looks."""
    ends, asked = time.monotonic() + seconds, watcher.asked
    await until(lambda: time.monotonic() > ends and watcher.asked > asked + 3, "looks")
    assert not watcher.opened_after(since)


def ttl_ms(server: RedisServer) -> int:
    return int(server.ask("PTTL", KEY))


# --- the server --------------------------------------------------------------------------------------


async def test_killed_and_back_without_data_it_is_shut_until_the_guard_says_so(server: RedisServer) -> None:
    async with open_gate(server) as (guard, watcher):
        server.kill()
        died = time.monotonic()
        await stays_shut(watcher, LEASE_S, died)
        assert guard.errors
        server.start()
        assert await until(lambda: watcher.opened_after(died), "the gate open again", within_s=5.0)


async def test_back_with_an_open_from_before_it_is_shut(server: RedisServer) -> None:
    guard, gate = Guard(lock_of(server, lease_ms=LONGEST_LEASE_MS)), gate_of(server)
    await guard.say(OPEN)
    assert gate.is_open()
    server.ask("SAVE")
    server.kill()
    server.start()
    assert not gate.is_open()
    assert 0 < ttl_ms(server) <= LONGEST_LEASE_MS, "the record is there, and would count"
    assert not gate_of(server).is_open()
    await guard.lock.aclose()


async def test_a_lock_that_the_server_forgot_is_said_again(server: RedisServer) -> None:
    async with open_gate(server, lease_ms=LONGEST_LEASE_MS) as (guard, watcher):
        server.ask("SAVE")
        await guard.say(TRIPPED)
        shut = time.monotonic()
        server.kill()
        server.start()
        await until(lambda: watcher.gate.reason() == "capital_loss", "the lock, said again")
        await stays_shut(watcher, LEASE_S, shut)


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", f"DEL {KEY}", f"DEL {KEY}:writer"])
async def test_emptied_it_opens_again_by_the_guard_alone(server: RedisServer, command: str) -> None:
    async with open_gate(server) as (guard, watcher):
        server.ask(*command.split())
        emptied = time.monotonic()
        await until(lambda: watcher.opened_after(emptied), "the gate open again", within_s=5.0)
        await guard.say(TRIPPED)
        shut = time.monotonic()
        server.ask(*command.split())
        await until(lambda: watcher.gate.reason() == "capital_loss", "the lock, said again")
        await stays_shut(watcher, LEASE_S, shut)


async def test_swapped_back_an_old_open_ends_with_its_lease(server: RedisServer) -> None:
    """The one command that brings back what was; no record can know of that, but it runs out all the same."""
    async with open_gate(server) as (guard, watcher):
        server.ask("SWAPDB", 0, 1)
        await guard.say(TRIPPED)
        shut = time.monotonic()
        server.ask("SWAPDB", 0, 1)
        await until(lambda: watcher.gate.reason() == "capital_loss", "the lock, said again")
        await stays_shut(watcher, LEASE_S, shut + LEASE_S)


async def test_emptied_without_a_guard_it_stays_shut(server: RedisServer) -> None:
    guard, gate = Guard(lock_of(server, lease_ms=LONGEST_LEASE_MS)), gate_of(server)
    await guard.say(OPEN)
    assert gate.is_open()
    server.ask("FLUSHALL")
    assert (gate.is_open(), gate.reason()) == (False, "locked")
    await guard.lock.aclose()


async def test_stopped_it_is_shut_and_after_it_goes_on_only_the_guard_opens(server: RedisServer) -> None:
    async with open_gate(server) as (guard, watcher):
        server.pause()
        paused = time.monotonic()
        locking = asyncio.create_task(guard.say(TRIPPED))
        await stays_shut(watcher, 2 * LEASE_S, paused)
        server.resume()
        await locking
        await until(lambda: watcher.gate.reason() == "capital_loss", "the lock")
        await stays_shut(watcher, LEASE_S, paused)
        await guard.say(OPEN)
        assert await until(lambda: watcher.opened_after(paused), "the gate open again")


@pytest.mark.parametrize("command", ["CLIENT PAUSE 600 ALL", "DEBUG SLEEP 0.6", "CLIENT KILL TYPE normal SKIPME yes"])
async def test_a_server_that_is_slow_keeps_a_bot_waiting_no_longer_than_it_said(
    server: RedisServer, command: str
) -> None:
    async with open_gate(server):
        hasty = gate_of(server, redis_timeout_s=0.05)
        await until(hasty.is_open, "an open gate")
        asking = asyncio.create_task(asyncio.to_thread(server.ask, *command.split()))
        ends, took = time.monotonic() + 1.0, []
        while time.monotonic() < ends:
            began = time.monotonic()
            await asyncio.to_thread(hasty.is_open)
            took.append(time.monotonic() - began)
        await asking
        assert max(took) < 0.05 + SLACK_S
        await until(hasty.is_open, "the gate open again", within_s=5.0)


async def test_out_of_memory_it_takes_a_lock_and_no_open(server: RedisServer) -> None:
    async with open_gate(server) as (guard, watcher):
        server.ask("CONFIG", "SET", "maxmemory", "1")
        await until(lambda: guard.errors, "a refusal")
        assert "maxmemory" in guard.errors[0]
        await until(lambda: ttl_ms(server) == -2, "the end of the lease")
        await guard.say(TRIPPED)
        assert json.loads(server.ask("GET", KEY))["cause"] == "capital_loss"
        await guard.say(OPEN)
        shut = time.monotonic()
        await stays_shut(watcher, LEASE_S, shut)
        server.ask("CONFIG", "SET", "maxmemory", "0")
        assert await until(lambda: watcher.opened_after(shut), "the gate open again")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_lock_is_kept_over_the_guards_end_and_a_restart_of_the_server(tmp_path: Path, version: str) -> None:
    """000-19: a freeze is remembered, with its end, by a server that keeps what it is told."""
    server = RedisServer(tmp_path, version).start("--appendonly", "yes")
    try:
        guard = Guard(lock_of(server))
        await guard.say(OPEN)
        await guard.say(TRIPPED)
        await guard.lock.aclose()
        server.kill()
        server.start("--appendonly", "yes")
        answer = gate_of(server).peek()
        told = (answer.allowed, answer.veto_reason, answer.trip_id, answer.locked_until)
        assert told == (False, "capital_loss", "trip-1", "2025-11-20T12:00:00.000000Z")
        assert ttl_ms(server) == -1
    finally:
        server.kill()


# --- replicas ----------------------------------------------------------------------------------------


async def test_a_replica_says_nothing(server: RedisServer, other: RedisServer) -> None:
    other.follow(server)
    async with open_gate(server):
        await until(lambda: ttl_ms(other) > 0, "the record at the replica")
        gate = gate_of(other)
        assert not gate.is_open()
        assert "it is no master" in gate.peek().detail


async def test_a_master_that_becomes_a_replica_is_not_believed_any_more(
    server: RedisServer, other: RedisServer
) -> None:
    async with open_gate(server) as (guard, watcher):
        server.ask("REPLICAOF", "127.0.0.1", other.port)
        demoted = time.monotonic()
        await stays_shut(watcher, 2 * LEASE_S, demoted)
        assert guard.errors
        server.ask("REPLICAOF", "NO", "ONE")
        assert await until(lambda: watcher.opened_after(demoted), "the gate open again")


async def test_promoted_without_the_last_lock_it_is_shut(server: RedisServer, other: RedisServer) -> None:
    """The failover that loses a write: the replica has the open, and the lock after it never came."""
    guard, proxy = Guard(lock_of(server, lease_ms=LONGEST_LEASE_MS)), Proxy(server.port)
    async with proxy.running(), Watcher(gate_of(other)) as watcher:
        other.ask("REPLICAOF", "127.0.0.1", proxy.port)
        await until(lambda: other.ask("ROLE")[3] == "connected", "a replica in step")
        await guard.say(OPEN)
        await until(lambda: ttl_ms(other) > 0, "the record at the replica")
        proxy.is_deaf = True
        await guard.say(TRIPPED)
        server.kill()
        other.ask("REPLICAOF", "NO", "ONE")
        assert not gate_of(other).is_open()
        record = other.ask("GET", KEY)
        assert record is None or json.loads(record)["locked"] is False, "the lock was lost"
        assert await until(lambda: ttl_ms(other) == -2, "the end of the lease")
        assert watcher.opens == []
    await guard.lock.aclose()
    moved = Guard(lock_of(other))
    await moved.say(TRIPPED)
    assert gate_of(other).reason() == "capital_loss"
    await moved.lock.aclose()


# --- what stands there -------------------------------------------------------------------------------

ODD = {
    "nothing": "",
    "no JSON": "open",
    "no object": "[]",
    "deep": "[" * 6_000,
    "long": json.dumps({"locked": False, "cause": "x" * 10_000}),
}
ODD_FIELDS: dict[str, Any] = {
    "another format": {"format": 2},
    "another group": {"group": "fund"},
    "another guard": {"guard": "b"},
    "no peers": {"peers": None},
    "odd peers": {"peers": [1]},
    "a word for no": {"locked": "false"},
    "0 for no": {"locked": 0},
    "another server": {"server": "0" * 40},
    "no server": {"server": None},
    "no process": {"run": ""},
    "a number that is none": {"seq": "7"},
    "true for a number": {"seq": True},
    "a lease that is none": {"lease_ms": None},
    "a lease of nothing": {"lease_ms": 0},
    "no moment": {"said_us": None},
    "no cause": {"cause": None},
    "no since": {"since_wall": None},
}


@pytest.mark.parametrize("what", sorted(ODD))
async def test_garbage_is_locked(server: RedisServer, what: str) -> None:
    server.ask("SET", KEY, ODD[what], "PX", 1_000)
    assert (gate_of(server).is_open(), gate_of(server).reason()) == (False, "locked")


@pytest.mark.parametrize("command", ["RPUSH {0} open", "HSET {0} locked false", "SADD {0} open"])
async def test_another_type_is_locked(server: RedisServer, command: str) -> None:
    server.ask(*command.format(KEY).split())
    server.ask("PEXPIRE", KEY, 1_000)
    gate = gate_of(server)
    assert not gate.is_open()
    assert "WRONGTYPE" in gate.peek().detail


@pytest.mark.parametrize("what", [*sorted(ODD_FIELDS), "the future", "the past"])
async def test_an_odd_record_is_locked(server: RedisServer, what: str) -> None:
    guard, gate = Guard(lock_of(server, lease_ms=LONGEST_LEASE_MS)), gate_of(server)
    await guard.say(OPEN)
    record = json.loads(server.ask("GET", KEY))
    server.ask("SET", KEY, json.dumps(record), "PX", 1_500)
    assert gate.is_open(), "as it was"
    moments = {"the future": 3_600_000_000, "the past": -int(LONG_S * 1e6)}
    odd = {"said_us": record["said_us"] + moments[what]} if what in moments else ODD_FIELDS[what]
    server.ask("SET", KEY, json.dumps(record | odd), "PX", 1_500)
    assert not gate.is_open()
    await guard.lock.aclose()


@pytest.mark.parametrize("command", [f"PERSIST {KEY}", f"PEXPIRE {KEY} {LONGEST_LEASE_MS + 500}"])
async def test_an_open_without_an_end_or_with_a_late_one_is_locked(server: RedisServer, command: str) -> None:
    guard, gate = Guard(lock_of(server, lease_ms=LONGEST_LEASE_MS)), gate_of(server)
    await guard.say(OPEN)
    assert gate.is_open()
    server.ask(*command.split())
    assert not gate.is_open()
    await guard.lock.aclose()


async def test_the_gates_of_others_are_not_ours(server: RedisServer) -> None:
    guards = [Guard(lock_of(server, **named)) for named in ({"group": "fund"}, {"guard": "b"})]
    for guard in guards:
        await guard.say(OPEN)
    assert gate_of(server, group="fund").is_open()
    assert gate_of(server, guards=("b",)).is_open()
    assert not gate_of(server).is_open()
    server.ask("COPY", "risk-daemon:fund:gate:main", KEY)
    server.ask("PEXPIRE", KEY, LEASE_MS)
    assert not gate_of(server).is_open()
    for guard in guards:
        await guard.lock.aclose()


# --- who may -----------------------------------------------------------------------------------------


async def test_with_a_wrong_password_nothing_is_written_and_nothing_is_open(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "requirepass", "right")
    for password in (None, "wrong"):
        guard = Guard(lock_of(server, password=password))
        await guard.say(OPEN)
        assert len(guard.errors) == 1
        assert not gate_of(server, redis_password=password).is_open()
        await guard.lock.aclose()
    guard = Guard(lock_of(server, password="right"))
    await guard.say(OPEN)
    assert gate_of(server, redis_password="right").is_open()
    assert not gate_of(server, redis_password="wrong").is_open()
    await guard.lock.aclose()


BOT_RULES = "+@connection +multi +exec +role +info +time +getrange +pttl ~risk-daemon:*"
GUARD_RULES = (
    "+@connection +eval +time +info +role +get +set +del +hset +hmget +pttl +sadd +smembers ~risk-daemon:main:*"
)


async def test_a_bot_may_read_and_not_write_by_the_rules_of_the_page(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "bot", "on", ">bots", *BOT_RULES.split())
    server.ask("ACL", "SETUSER", "guard", "on", ">guards", *GUARD_RULES.split())
    url = f"redis://{{}}@127.0.0.1:{server.port}/0"
    guard = Guard(RedisLock(RedisAddress.of(url.format("guard")), password="guards"))
    await guard.say(TRIPPED)
    await guard.say(OPEN)
    assert guard.errors == []
    gate = TradingGate(redis=url.format("bot"), redis_password="bots", redis_timeout_s=1.0)
    assert gate.is_open(), gate.peek().detail
    with server.client(username="bot", password="bots") as client, pytest.raises(NoPermissionError):
        client.set(KEY, "open")
    await guard.lock.aclose()
    meddler = Guard(RedisLock(RedisAddress.of(url.format("bot")), password="bots"))
    await meddler.say(TRIPPED)
    assert len(meddler.errors) == 1
    assert gate.is_open()
    await meddler.lock.aclose()


async def test_guards_meet_on_a_board_by_the_rules_of_the_page_and_a_bot_does_not(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "bot", "on", ">bots", *BOT_RULES.split())
    server.ask("ACL", "SETUSER", "guard", "on", ">guards", *GUARD_RULES.split())
    a, b, bot = (
        RedisBoard(
            redis_client(RedisAddress.of(f"redis://{user}@127.0.0.1:{server.port}/0"), f"{user}s", 1.0),
            place="redis",
            group="main",
            name=name,
            run="1",
            others=[other],
        )
        for user, name, other in (("guard", "a", "b"), ("guard", "b", "a"), ("bot", "a", "b"))
    )
    said = Standing(locked=True, cause="manual_halt", reason="night", trip_id="trip-1", guarded=("kraken",))
    await a.exchange(said, Known(), wants=False)

    async def is_ours() -> bool:
        return (await b.exchange(CLEAR, Known(), wants=True)).is_ours

    await until_true(is_ours)
    server.ask("DEL", "risk-daemon:main:board:holder")
    assert not await is_ours(), "settles, which its user may have it do"
    assert (await b.exchange(CLEAR, Known(), wants=False)).others == {"a": None}
    assert (await a.exchange(said, Known(), wants=False)).others == {"b": CLEAR}
    assert (await b.exchange(CLEAR, Known(), wants=False)).others == {"a": said}
    with pytest.raises(RecordError, match="permission"):
        await bot.exchange(said, Known(), wants=False)
    for board in (a, b, bot):
        await board.close()


# --- the network, and processes that are late ----------------------------------------------------------


async def test_an_open_that_was_held_up_never_lands_on_a_later_lock(server: RedisServer) -> None:
    proxy = Proxy(server.port)
    async with proxy.running():
        guard, gate = Guard(lock_of(server, port=proxy.port, lease_ms=LONGEST_LEASE_MS)), gate_of(server)
        await guard.say(TRIPPED)
        proxy.hold = b'"locked":false'
        opening = asyncio.create_task(guard.say(OPEN))
        await proxy.held.wait()
        proxy.hold = None
        await guard.say(TRIPPED)
        proxy.release.set()
        await opening
        assert gate.reason() == "capital_loss"
        assert ttl_ms(server) == -1
        await guard.lock.aclose()


@pytest.mark.parametrize("loses", [True, False])
async def test_an_open_that_was_held_up_lands_on_no_server_that_was_emptied(server: RedisServer, loses: bool) -> None:
    proxy = Proxy(server.port)
    async with proxy.running():
        guard, gate = Guard(lock_of(server, port=proxy.port, lease_ms=LONGEST_LEASE_MS)), gate_of(server)
        await guard.say(TRIPPED)
        proxy.hold = b'"locked":false'
        opening = asyncio.create_task(guard.lock._say(OPEN, CLOCK.now()))
        guard.lock._record = OPEN
        await proxy.held.wait()
        proxy.is_deaf = loses  # of what follows: the guard does not hear that it came too late, and does nothing more
        guard.lock._record = TRIPPED
        server.ask("FLUSHALL")
        proxy.is_deaf = False
        proxy.release.set()
        with pytest.raises(RecordError, match="emptied"):
            await opening
        assert not gate.is_open()
        assert server.ask("GET", KEY) is None
        await guard.lock.aclose()


async def test_an_open_that_was_held_up_for_longer_than_its_lease_is_none(server: RedisServer) -> None:
    """As of a process that was stopped after it had asked for the time, and goes on 30 s later."""
    proxy = Proxy(server.port)
    async with proxy.running():
        guard = Guard(lock_of(server, port=proxy.port))
        await guard.say(TRIPPED)
        proxy.hold = b'"locked":false'
        opening = asyncio.create_task(guard.say(OPEN))
        await proxy.held.wait()
        held = time.monotonic()
        await until(lambda: time.monotonic() - held > LEASE_S, "the end of the lease")
        proxy.release.set()
        await opening
        assert guard.errors
        assert "later than its lease" in guard.errors[0]
        assert gate_of(server).reason() == "capital_loss"
        await guard.lock.aclose()


@pytest.mark.parametrize("ago_s", [30.0, LEASE_S + 0.001, -0.001, -30.0])
async def test_an_open_of_another_moment_is_not_even_sent(server: RedisServer, ago_s: float) -> None:
    lock = lock_of(server)
    now = CLOCK.now()
    with pytest.raises(RecordError, match="later than its lease"):
        await lock.write(OPEN, Instant(now.mono - ago_s, now.wall) if ago_s > 0 else Instant(now.mono + 1.0, now.wall))
    assert server.ask("GET", KEY) is None
    await lock.aclose()


async def test_what_the_way_takes_is_taken_from_the_lease(server: RedisServer) -> None:
    proxy = Proxy(server.port)
    async with proxy.running():
        guard = Guard(lock_of(server, port=proxy.port, lease_ms=LONGEST_LEASE_MS))
        await guard.say(TRIPPED)
        proxy.delay_s = 0.2
        began = time.monotonic()
        await guard.say(OPEN)
        took_s = time.monotonic() - began
        assert guard.errors == []
        assert 0 < ttl_ms(server) <= LONGEST_LEASE_MS - 200
        assert took_s >= 0.4
        await guard.lock.aclose()


async def test_a_slow_way_to_the_bot_is_a_no_in_time(server: RedisServer) -> None:
    proxy = Proxy(server.port)
    async with proxy.running(), open_gate(server):
        gate = gate_of(server, port=proxy.port, redis_timeout_s=0.1)
        assert await until(gate.is_open, "an open gate")
        proxy.delay_s = 0.2
        for _ in range(5):
            began = time.monotonic()
            assert not await asyncio.to_thread(gate.is_open)
            assert time.monotonic() - began < 0.1 + SLACK_S
        proxy.delay_s = 0.0
        assert await until(gate.is_open, "the gate open again", within_s=5.0)


async def test_a_cut_shuts_within_a_lease_whichever_side_it_is_on(server: RedisServer) -> None:
    proxy = Proxy(server.port)
    async with proxy.running():
        guard, watcher = Guard(lock_of(server, port=proxy.port)), Watcher(gate_of(server))
        await guard.say(OPEN)
        async with guard.guarding(), watcher:
            await until(lambda: watcher.opens, "an open gate")
            proxy.is_deaf = True
            cut = time.monotonic()
            await until(lambda: guard.errors, "a failure")
            await stays_shut(watcher, LEASE_S, cut + LEASE_S + SLACK_S)
            proxy.is_deaf = False
            assert await until(lambda: watcher.opened_after(cut + LEASE_S + SLACK_S), "the gate open again")


async def test_a_server_whose_clock_stands_still_is_believed_for_no_longer_than_a_lease(server: RedisServer) -> None:
    """It repeats one answer for ever: an open that is fresh, by its own clock."""
    proxy = Proxy(server.port)
    async with proxy.running(), open_gate(server, lease_ms=LONGEST_LEASE_MS):
        gate = gate_of(server, port=proxy.port)
        assert await asyncio.to_thread(gate.is_open)
        proxy.repeats = proxy.last_answer
        repeated = time.monotonic()
        assert await asyncio.to_thread(gate.is_open)
        await until(lambda: not gate.is_open(), "the end of it", within_s=LONG_S + SLACK_S)
        assert time.monotonic() - repeated > LONG_S / 2
        assert "has not said open again" in (await gate.apeek()).detail
        proxy.repeats = None
        assert await until(gate.is_open, "the gate open again")


async def test_over_tls_only_a_server_that_is_trusted_is_asked(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates, proxy = made_in(tmp_path), Proxy(server.port)
    async with proxy.running(certificates.server()):
        address = f"rediss://127.0.0.1:{proxy.port}/0"

        async def said(gate: TradingGate) -> tuple[list[str], bool, str]:
            guard = Guard(RedisLock(RedisAddress.of(address)))
            await guard.say(OPEN)
            await guard.lock.aclose()
            await gate.apeek()  # the first look has to shake hands
            answer = await gate.apeek()
            return guard.errors, answer.allowed, answer.detail

        gate = TradingGate(redis=address, redis_timeout_s=1.0)
        errors, is_open, detail = await said(gate)
        assert (len(errors), is_open) == (1, False)
        assert "CERTIFICATE_VERIFY_FAILED" in errors[0]
        assert "CERTIFICATE_VERIFY_FAILED" in detail
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
        trusting = TradingGate(redis=address, redis_timeout_s=1.0, ca_file=certificates.authority)
        assert await said(trusting) == ([], True, "")
        plain = TradingGate(redis=f"rediss://127.0.0.1:{server.port}/0", redis_timeout_s=1.0)
        assert not plain.is_open()


@pytest.mark.parametrize("host", ["localhost", NAME])
async def test_over_tls_the_server_proves_its_name_whatever_its_address_is(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    certificates = made_in(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    async with over_tls(server, certificates) as (address, _):
        lock = RedisLock(replace(address, host=host))
        with name():
            if host == NAME:
                with pytest.raises(RecordError, match="Hostname mismatch"):
                    await lock.write(TRIPPED, CLOCK.now())
            else:
                await lock.write(TRIPPED, CLOCK.now())
        await lock.aclose()


@asynccontextmanager
async def over_tls(server: RedisServer, certificates: Certificates) -> AsyncIterator[tuple[RedisAddress, Proxy]]:
    """An address with TLS, and the way there: deaf, it takes what is said and passes on nothing, not even the end."""
    tls = Proxy(server.port)
    async with tls.running(certificates.server()):
        way = Proxy(tls.port)
        async with way.running():
            yield RedisAddress.of(f"rediss://127.0.0.1:{way.port}/0"), way


async def test_a_server_behind_tls_that_falls_silent_ends_neither_the_guard_nor_holds_it_up(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = made_in(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    async with over_tls(server, certificates) as (address, way):
        lock = RedisLock(address)
        await asyncio.gather(*(lock.write(TRIPPED, CLOCK.now()) for _ in range(4)))  # so there are idle connections
        way.is_deaf = True
        with pytest.raises(RecordError):
            await lock.write(TRIPPED, CLOCK.now())
        way.is_deaf = False
        await asyncio.gather(*(lock.write(TRIPPED, CLOCK.now()) for _ in range(4)))
        way.is_deaf = True
        began = time.monotonic()
        await lock.aclose()
        assert time.monotonic() - began < CLOSE_WITHIN_S + SLACK_S


async def test_a_board_behind_tls_that_falls_silent_is_closed_all_the_same(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = made_in(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    async with over_tls(server, certificates) as (address, way):
        client = redis_client(address, None, 0.9)
        board = RedisBoard(client, place="redis", group="main", name="a", run="1", others=())
        await board.exchange(CLEAR, Known(), wants=False)
        way.is_deaf = True
        began = time.monotonic()
        await board.close()
        assert time.monotonic() - began < CLOSE_WITHIN_S + SLACK_S


# --- two processes by one name, two guards of a group ---------------------------------------------------


async def test_of_two_processes_by_one_name_either_locks(server: RedisServer) -> None:
    async with open_gate(server) as (_, watcher):
        second = Guard(lock_of(server))
        await second.say(OPEN)
        assert "another process writes the gate" in second.errors[0]
        await second.say(LockRecord(True, "daily_loss"))
        shut = time.monotonic()
        async with second.guarding():
            await stays_shut(watcher, (SILENCE_MS / 1000) + LEASE_S, shut)
        ended = time.monotonic()
        assert await until(lambda: watcher.opened_after(ended), "the first alone again", within_s=10.0)


async def test_the_next_process_takes_over_when_the_last_is_silent(server: RedisServer) -> None:
    dead, next_one, gate = Guard(lock_of(server)), Guard(lock_of(server)), gate_of(server)
    await dead.say(OPEN)
    await dead.lock.aclose()
    await next_one.say(LockRecord(True, "starting"))
    assert gate.reason() == "starting"
    began = time.monotonic()
    async with next_one.guarding():
        await next_one.say(OPEN)
        assert await until(gate.is_open, "the gate of the next")
    assert time.monotonic() - began >= SILENCE_MS / 1000 - 0.5
    woken = Guard(dead.lock)
    await woken.say(OPEN)
    assert woken.errors, "the old one is asleep no more, and has lost it"
    await dead.lock.aclose()


async def test_of_two_guards_of_a_group_either_locks_and_one_opens(server: RedisServer) -> None:
    gate = gate_of(server, guards=("a", "b"))
    one = Guard(lock_of(server, guard="a", peers=("b",), lease_ms=LONGEST_LEASE_MS))
    two = Guard(lock_of(server, guard="b", peers=("a",), lease_ms=LONGEST_LEASE_MS))
    assert not gate.is_open()
    await one.say(OPEN)
    assert gate.is_open(), gate.peek().detail
    for cause in ("starting", "locked", "elsewhere"):
        await two.say(LockRecord(True, cause))
        assert gate.is_open(), f"b only stands aside: {cause}"
    await two.say(LockRecord(True, "locked", "trip-1"))
    assert not gate.is_open()
    await two.say(LockRecord(True, "daily_loss", None, 5.0, 9e9))
    assert not gate.is_open()
    await two.say(TRIPPED)
    assert gate.reason() == "capital_loss"
    await one.say(OPEN)
    assert not gate.is_open()
    await two.say(OPEN)
    assert gate.is_open()
    key = "risk-daemon:main:gate:b"
    server.ask("DEL", key)
    assert gate.is_open(), "one says nothing"
    server.ask("SET", key, "")
    assert not gate.is_open()
    server.ask("DEL", key)
    server.ask("RPUSH", key, "open")
    assert not gate.is_open()
    for guard in (one, two):
        await guard.lock.aclose()


async def test_of_guards_that_are_no_peers_each_must_say_open(server: RedisServer) -> None:
    gate = gate_of(server, guards=("a", "b"))
    one, two = (Guard(lock_of(server, guard=name, lease_ms=LONGEST_LEASE_MS)) for name in "ab")
    await one.say(OPEN)
    assert "guard b of main does not say open" in gate.peek().detail
    await two.say(LockRecord(True, "starting"))
    assert gate.reason() == "starting"
    await two.say(OPEN)
    assert gate.is_open(), gate.peek().detail
    for guard in (one, two):
        await guard.lock.aclose()


async def test_of_several_servers_every_one_must_say_open(server: RedisServer, other: RedisServer) -> None:
    gate = gate_of(server, redis=[server.url, other.url])
    guards = [Guard(lock_of(one, lease_ms=LONGEST_LEASE_MS)) for one in (server, other)]
    await guards[0].say(OPEN)
    assert not gate.is_open()
    await guards[1].say(OPEN)
    assert gate.is_open(), gate.peek().detail
    await guards[0].say(TRIPPED)
    assert gate.reason() == "capital_loss"
    await guards[0].say(OPEN)
    other.kill()
    assert not gate.is_open()
    for guard in guards:
        await guard.lock.aclose()
