"""A daemon, a Redis, and a bot that has nothing else, each a process of its own."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DOCS_KEY, ROOT, Daemon, docs_secret, kraken_config, wait_for
from tests.locks_world import KEY
from tests.redis_server import VERSIONS, RedisServer

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
BOT = ROOT / "tests" / "e2e" / "redis_bot.py"
LEASE_S = 2.0
SLACK_S = 0.5


class Bot:
    """What it says, in its order."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen([sys.executable, str(BOT), url], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.last: dict[str, Any] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))

    def says(self, is_open: bool, within_s: float = 60.0) -> dict[str, Any]:
        """Its next change, which must be to that."""
        self.last = self._said.get(timeout=within_s)
        assert self.last["open"] is is_open, self.last
        return self.last

    def has_said_nothing(self) -> bool:
        return self._said.empty() and self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=VERSIONS)
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path / "redis", request.param)
    yield made
    made.kill()


@pytest.fixture
def bot(redis_server: RedisServer) -> Iterator[Bot]:
    made = Bot(redis_server.url)
    yield made
    made.end()


@pytest.fixture
def daemon(documented_kraken: Any, daemon_for: Callable[..., Daemon], redis_server: RedisServer) -> Daemon:
    locks = f'[state]\nlocks = ["file", "{redis_server.url}"]\n'
    made = daemon_for(kraken_config(documented_kraken.endpoint) + locks, KEYS)
    assert made.command("init", "--yes").returncode == 0
    return made


def word(server: RedisServer) -> dict[str, Any]:
    return json.loads(server.ask("GET", KEY) or "{}")


@pytest.mark.long
def test_halts_ends_and_restarts_reach_a_bot_elsewhere(daemon: Daemon, redis_server: RedisServer, bot: Bot) -> None:
    redis_server.start("--appendonly", "yes")
    bot.says(False)
    daemon.start()
    daemon.wait_open()
    bot.says(True, within_s=5.0)

    began = time.monotonic()
    halting = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon", "halt", "--reason", "drill", "--config", str(daemon.config)],
        env=daemon.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = bot.says(False, within_s=10.0)
    assert halting.wait(30) == 0
    shut = time.monotonic()
    assert said["mono"] <= shut + SLACK_S, "when the halt is confirmed, it is there"
    assert said["reason"] == "manual_halt"
    assert began < said["mono"]
    assert word(redis_server)["cause"] == "manual_halt"
    assert redis_server.ask("PTTL", KEY) == -1
    assert daemon.exit_code() == 1
    assert word(redis_server)["trip_id"] == daemon.of("circuit_breaker_triggered")[0]["trip_id"]
    redis_server.kill()
    redis_server.start("--appendonly", "yes")
    assert word(redis_server)["cause"] == "manual_halt", "remembered by both"
    assert bot.has_said_nothing()


@pytest.mark.long
def test_a_guard_that_is_killed_or_stopped_is_a_shut_gate_within_a_lease(
    daemon: Daemon, redis_server: RedisServer, bot: Bot
) -> None:
    redis_server.start()
    bot.says(False)
    daemon.start()
    daemon.wait_open()
    bot.says(True, within_s=5.0)

    daemon.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    assert bot.says(False, within_s=LEASE_S + 10.0)["mono"] - stopped <= LEASE_S + SLACK_S
    wait_for(lambda: time.monotonic() - stopped > 3 * LEASE_S, "three leases")
    assert bot.has_said_nothing()
    daemon.signal(signal.SIGCONT)
    bot.says(True)

    daemon.signal(signal.SIGKILL)
    killed = time.monotonic()
    assert bot.says(False, within_s=LEASE_S + 10.0)["mono"] - killed <= LEASE_S + SLACK_S
    daemon.exit_code()
    daemon.start()
    daemon.wait_open()
    bot.says(True)


@pytest.mark.long
def test_without_redis_the_guard_guards_and_says_so_and_writes_when_it_comes(
    daemon: Daemon, redis_server: RedisServer, bot: Bot
) -> None:
    checked = daemon.command("check")
    assert checked.returncode == 0, checked.stdout
    assert "bots that ask there are refused until it can be written" in " ".join(checked.stdout.split())
    bot.says(False)
    daemon.start()
    daemon.wait_open()
    told = daemon.wait_for("lock_unwritable")
    assert told["lock"] == redis_server.url
    status = " ".join(daemon.command("status").stdout.split())
    assert f"Lock {redis_server.url} CAN'T BE WRITTEN" in status
    assert daemon.risk()["locked"] is False, "whoever has the map or HTTP trades on"

    redis_server.start()
    bot.says(True, within_s=10.0)
    daemon.wait_for("lock_writable")

    redis_server.kill()
    bot.says(False, within_s=5.0)
    redis_server.start()
    bot.says(True, within_s=10.0)
    redis_server.ask("FLUSHALL")
    wait_for(lambda: word(redis_server).get("locked") is False, "the gate, said again", within_s=10.0)
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    wait_for(lambda: word(redis_server)["locked"], "a shut gate")
