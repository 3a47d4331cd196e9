"""Locks on other machines: made of the configuration, looked at by `check`, and never a reason not to finish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from risk_daemon.app import locks
from risk_daemon.app.composition import longest_lease_s, order_manager
from risk_daemon.app.findings import Level
from risk_daemon.app.locks import lock_findings, remote_locks, remote_locks_that_can_be_had
from risk_daemon.config.load import Settings, load
from risk_daemon.engine.peers_told import TOLD_WITHIN_S
from risk_daemon.errors import ConfigError, ExitCode
from risk_daemon.model.clock import ManualClock, SystemClock
from risk_daemon.state.board.base import LEASE_S as BOARD_LEASE_S
from risk_daemon.state.lock import redis as redis_lock
from risk_daemon.state.lock.file import FileLock, read
from risk_daemon.state.lock.redis_record import LEASE_MS
from risk_daemon.state.worker import inline
from tests.locks_world import CLOCK, OPEN, gate_of
from tests.redis_server import RedisServer, free_port
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path / "redis").start()
    yield made
    made.kill()


def settings(tmp_path: Path, *urls: str, guard: str = "") -> Settings:
    rows = ", ".join(f'"{one}"' for one in ("file", *urls))
    return load(write(tmp_path, PORTFOLIO, SIMULATED, f"[state]\nlocks = [{rows}]\n{guard}"))


def test_without_any_nothing_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_lock, "find_spec", lambda _name: None)
    assert remote_locks(settings(tmp_path), SystemClock()) == ()


async def test_they_write_by_the_guards_name_with_the_password(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ask("CONFIG", "SET", "requirepass", "hunter2")
    monkeypatch.setenv("RISK_DAEMON_STATE_LOCKS_PASSWORD", "wrong")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "state.locks.password").write_text("hunter2\n")
    named = settings(tmp_path, server.url, guard='[guard]\nname = "a"\ngroup = "fund"\n')
    [lock] = remote_locks(named, CLOCK)
    await lock.write(OPEN, CLOCK.now())
    assert gate_of(server, redis_password="hunter2", group="fund", guards=("a",)).is_open()
    await lock.aclose()


def test_no_proof_is_made_before_the_longest_lease_of_any_lock_is_over(tmp_path: Path) -> None:
    """A bot that can reach Redis while the guard can't may read open for as long as that lasts."""
    local, elsewhere = settings(tmp_path), settings(tmp_path, "redis://127.0.0.1")
    assert (longest_lease_s(local), longest_lease_s(elsewhere)) == (1.0, LEASE_MS / 1000)
    with_a_peer = settings(tmp_path, "redis://127.0.0.1", guard='[guard]\npeers = ["b"]\n')
    assert longest_lease_s(with_a_peer) == LEASE_MS / 1000 + TOLD_WITHIN_S + BOARD_LEASE_S
    (tmp_path / "b").mkdir()
    config = '[guard]\npeers = ["b"]\n[state]\nstore = "postgresql://guard@127.0.0.1/risk"\nlocks = ["file"]\n'
    met_in_postgresql = load(write(tmp_path / "b", PORTFOLIO, SIMULATED, config))
    assert longest_lease_s(met_in_postgresql) == longest_lease_s(with_a_peer), "the peer may have a lock in Redis"
    for given in (local, elsewhere, with_a_peer, met_in_postgresql):
        manager = order_manager(given, {}, CLOCK)
        assert manager._lease_s == longest_lease_s(given)


async def test_where_the_disk_takes_no_lock_the_file_says_open_no_longer_than_the_proof_waits(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "lock.json"
    await FileLock(path, run=inline).write(OPEN, clock.now())
    assert not read(path, clock).locked
    clock.advance(longest_lease_s(settings(tmp_path)) + 0.001)
    assert read(path, clock).locked


def test_what_keeps_the_guard_from_starting_keeps_no_trip_from_being_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_lock, "find_spec", lambda _name: None)
    given = settings(tmp_path, "redis://127.0.0.1")
    with pytest.raises(ConfigError, match="extra"):
        remote_locks(given, CLOCK)
    with capture_logs() as logs:
        assert remote_locks_that_can_be_had(given, CLOCK) == ()
    assert [(line["event"], line["log_level"]) for line in logs] == [("locks_left_out", "critical")]


async def test_check_says_what_is_there(tmp_path: Path, server: RedisServer) -> None:
    gone = f"redis://127.0.0.1:{free_port()}"
    good, bad = await lock_findings(settings(tmp_path, server.url, gone), CLOCK)
    assert (good.level, good.subject) == (Level.OK, server.url)
    assert good.sentence.startswith("Redis ")
    assert (bad.level, bad.subject, bad.exit_code) == (Level.WARNING, f"{gone}/0", ExitCode.STOPPED)
    assert "bots that ask there are refused" in bad.sentence
    assert await lock_findings(settings(tmp_path), CLOCK) == []


async def test_check_says_what_others_could_read(tmp_path: Path) -> None:
    found = await lock_findings(settings(tmp_path, "redis://redis.invalid"), CLOCK)
    assert [one.level for one in found] == [Level.WARNING, Level.WARNING]
    assert "not encrypted" in found[1].sentence


async def test_check_refuses_what_the_start_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_lock, "find_spec", lambda _name: None)
    [found] = await lock_findings(settings(tmp_path, "redis://127.0.0.1"), CLOCK)
    assert (found.level, found.exit_code) == (Level.PROBLEM, ExitCode.REFUSED)
    assert locks.Level is Level
