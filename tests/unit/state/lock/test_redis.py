"""The writer of the gate in Redis: when it speaks, and what it says. Faults: contract/test_redis_faults.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.model.clock import Instant
from risk_daemon.state.lock import redis as redis_lock
from risk_daemon.state.lock.base import LockStore
from risk_daemon.state.lock.redis import RedisLock, require_redis
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.lock.redis_record import LEASE_MS, Given
from tests.locks_world import CLOCK, KEY, OPEN, TRIPPED
from tests.names import NAME, name
from tests.redis_server import RedisServer, free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path).start()
    yield made
    made.kill()


def of(server: RedisServer) -> RedisLock:
    return RedisLock(RedisAddress.of(server.url))


def later(now: Instant, seconds: float) -> Instant:
    return Instant(now.mono + seconds, now.wall + seconds)


def seq(server: RedisServer) -> int:
    return int(server.ask("HGET", f"{KEY}:writer", "seq"))


async def test_it_is_a_lock_store(server: RedisServer) -> None:
    lock = of(server)
    store: LockStore = lock
    assert store.name == server.url
    await store.write(TRIPPED, CLOCK.now())
    record = json.loads(server.ask("GET", KEY))
    assert {name: record[name] for name in ("format", "peers", "cause", "trip_id", "until_wall")} == {
        "format": 1, "peers": [], "cause": "capital_loss", "trip_id": "trip-1", "until_wall": 1_763_640_000.0,
    }  # fmt: skip
    assert server.ask("PTTL", KEY) == -1
    await lock.aclose()


@pytest.mark.parametrize("record", [OPEN, TRIPPED], ids=["open", "locked"])
async def test_it_says_both_words_again_at_a_third_of_the_lease(server: RedisServer, record: object) -> None:
    lock, now = of(server), CLOCK.now()
    assert not await lock.refresh(now), "nothing was said yet"
    await lock.write(record, now)  # type: ignore[arg-type]
    said = seq(server)
    assert not await lock.refresh(later(now, LEASE_MS / 3000 - 0.01))
    assert seq(server) == said
    if record is TRIPPED:
        assert await lock.refresh(later(now, LEASE_MS / 3000))
        assert seq(server) == said + 1
    await lock.aclose()


async def test_a_first_open_locks_before_it_opens(server: RedisServer) -> None:
    lock = of(server)
    await lock.write(OPEN, CLOCK.now())
    assert seq(server) == 3, "it tried, it locked, it opened"
    assert 0 < server.ask("PTTL", KEY) <= LEASE_MS
    await lock.aclose()


async def test_what_was_not_taken_is_said_again_at_the_next_turn(server: RedisServer) -> None:
    lock, now = of(server), CLOCK.now()
    server.kill()
    with pytest.raises(RecordError, match=f"{server.url}: the lock could not be written"):
        await lock.write(TRIPPED, now)
    with pytest.raises(RecordError):
        await lock.refresh(later(now, 0.01))
    server.start()
    assert await lock.refresh(later(now, 0.02))
    assert json.loads(server.ask("GET", KEY))["cause"] == "capital_loss"
    await lock.aclose()


async def test_an_odd_answer_is_no_success(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_lock, "_SAY", "return 'OK'")
    lock = of(server)
    for record in (OPEN, TRIPPED):
        with pytest.raises(RecordError, match="OK"):
            await lock.write(record, CLOCK.now())
    await lock.aclose()


@pytest.mark.parametrize("record", [OPEN, TRIPPED], ids=["open", "locked"])
async def test_the_second_of_two_at_once_is_the_last_word(server: RedisServer, record: object) -> None:
    import asyncio

    lock = of(server)
    await lock.write(TRIPPED, CLOCK.now())
    first = OPEN if record is TRIPPED else TRIPPED
    for _ in range(20):
        now = CLOCK.now()
        await asyncio.gather(lock.write(first, now), lock.write(record, now))  # type: ignore[arg-type]
        assert json.loads(server.ask("GET", KEY))["locked"] is (record is TRIPPED)
    await lock.aclose()


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "done"),
        ({"server": "0" * 40}, "moved"),
        ({"said_us": 10_000_000}, "slow"),
        ({"said_us": -LEASE_MS * 1_000}, "slow"),
        ({"lease_ms": 0}, "slow"),
    ],
)
async def test_the_server_refuses_an_open_of_another_server_or_moment(
    server: RedisServer, change: dict[str, object], verdict: str
) -> None:
    """said_us: how much later than the server's clock, in us."""
    lock = of(server)
    await lock.write(TRIPPED, CLOCK.now())
    said_us, run_id = await lock._time_and_server()
    given = {"server": run_id, "lease_ms": LEASE_MS, **change, "said_us": said_us + int(str(change.get("said_us", 0)))}
    said = await lock._put(OPEN, Given(run=lock._run, seq=lock._seq + 1, **given))  # type: ignore[arg-type]
    assert (said, json.loads(server.ask("GET", KEY))["locked"]) == (verdict, verdict != "done")
    await lock.aclose()


async def test_a_probe_says_what_is_there_and_writes_nothing(server: RedisServer, tmp_path: Path) -> None:
    lock = of(server)
    assert await lock.probe() == f"Redis {server.version} answers; guard main of group main"
    assert server.ask("DBSIZE") == 0
    master = RedisServer(tmp_path / "master").start()
    server.follow(master)
    with pytest.raises(RecordError, match="at a master only"):
        await lock.probe()
    master.kill()
    server.kill()
    with pytest.raises(RecordError, match=server.url):
        await lock.probe()
    await lock.aclose()


async def test_a_name_server_that_hangs_takes_one_thread_and_no_more(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = RedisLock(RedisAddress.of(f"redis://{NAME}:{server.port}/0"))
    with name(hangs=True) as found:
        for _ in range(3):
            with pytest.raises(RecordError):
                await lock.write(TRIPPED, CLOCK.now())
        assert found.threads == [f"look-up {NAME}"]
        found.answers.set()
        monkeypatch.setattr(redis_lock, "_TIMEOUT_S", 5.0)
        await lock.write(TRIPPED, CLOCK.now())
        assert json.loads(server.ask("GET", KEY))["cause"] == "capital_loss"
        await lock.aclose()


async def test_a_name_that_leads_nowhere_is_looked_up_again(server: RedisServer) -> None:
    lock = RedisLock(RedisAddress.of(f"redis://{NAME}:{server.port}/0"))
    with name(error=OSError("no such name")) as asked:
        for _ in range(2):
            with pytest.raises(RecordError, match="no such name"):
                await lock.write(OPEN, CLOCK.now())
    assert len(asked.threads) == 2
    with name():
        await lock.write(OPEN, CLOCK.now())
        assert server.ask("PTTL", KEY) > 0
        await lock.aclose()


async def test_nobody_there(tmp_path: Path) -> None:
    lock = RedisLock(RedisAddress.of(f"redis://127.0.0.1:{free_port()}"))
    with pytest.raises(RecordError, match="could not be written"):
        await lock.write(OPEN, CLOCK.now())
    await lock.aclose()
    await lock.aclose()


def test_without_the_library_it_is_said_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_redis("config.toml: state.locks")
    monkeypatch.setattr(redis_lock, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"state.locks: .* the extra \"redis\""):
        require_redis("config.toml: state.locks")
