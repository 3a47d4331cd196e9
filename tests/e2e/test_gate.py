"""The gate as bots meet it: under load, when the daemon is killed, when its files are touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from risk_daemon.client import DaemonGate, TradingGate
from tests.e2e.harness import DOCS_KEY, ROOT, Daemon, docs_secret, kraken_config, wait_for
from tests.metrics_world import Samples, samples_of, value

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
ASKER = ROOT / "tests" / "e2e" / "gate_asker.py"
RATE_PER_S = 2_000
PROCESSES = 4


def started(venue, daemon_for, extra: str = "", **circuit_breaker: str) -> Daemon:
    daemon = daemon_for(kraken_config(venue.endpoint, **circuit_breaker) + extra, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    return daemon


def token(daemon: Daemon, role: str = "bot", name: str = "alice") -> str:
    made = daemon.command("token", "create", "--role", role, "--name", name)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip().splitlines()[-1]


def url(daemon: Daemon) -> str:
    addresses = [event["address"] for event in daemon.of("api_listening")]
    return "http://" + next(address for address in reversed(addresses) if not address.startswith("unix:"))


def asking(daemon: Daemon, rate_per_s: float, seconds: float, name: str) -> subprocess.Popen[str]:
    words = [sys.executable, str(ASKER), url(daemon), token(daemon, name=name), str(rate_per_s), str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_not_one_200_after_the_lock_and_every_veto_is_a_line(documented_kraken, daemon_for):
    daemon = started(documented_kraken, daemon_for)
    bots = [asking(daemon, RATE_PER_S / PROCESSES, 60.0, f"bot{number}") for number in range(PROCESSES)]
    assert [bot.stdout.readline() for bot in bots] == ["asking\n"] * PROCESSES
    documented_kraken.post(price={"BTC": 43000})
    answers = [json.loads(bot.communicate(timeout=90)[0]) for bot in bots]
    assert all(bot.returncode == 0 for bot in bots)
    assert daemon.exit_code() == 1, daemon.output()
    triggered = daemon.of("circuit_breaker_triggered")[0]
    confirming = daemon.of("breach_confirming")[0]
    assert sum(answer["allowed"] for answer in answers) > 0
    assert sum(answer["vetoed"] for answer in answers) > 0
    assert max(answer["last_allowed_wall"] for answer in answers) <= _wall(confirming) + 0.001
    assert _wall(confirming) <= _wall(triggered)
    lines = [json.loads(line) for line in (daemon.state / "risk_vetoes.jsonl").read_text().splitlines()]
    assert len(lines) == sum(answer["vetoed"] for answer in answers)
    assert sum(event["count"] for event in daemon.of("order_vetoed")) == len(lines)
    assert {line["bot"] for line in lines} == {f"bot{number}" for number in range(PROCESSES)}
    assert {line["veto_reason"] for line in lines} <= {"confirming", "capital_loss"}


def _wall(event: dict) -> float:
    from datetime import datetime

    return datetime.fromisoformat(event["time"]).timestamp()


def test_every_veto_of_the_memory_map_is_a_line(documented_kraken, daemon_for):
    """A drawdown that vetoes, asked about the documented way: the map says no, and nobody asks over HTTP."""
    drawdown = '[breakers.drawdown]\nlimit = "5%"\naction = "veto"\n'
    daemon = started(documented_kraken, daemon_for, drawdown, loss_threshold='"50%"')
    gate = TradingGate(daemon.state, url=url(daemon), token=token(daemon))
    wait_for(lambda: _risk(daemon)["portfolio_dd_pct"] is not None, "a peak")
    documented_kraken.post(price={"BTC": 43000})
    wait_for(lambda: gate.reason() == "portfolio_dd_circuit", "the veto")
    order = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "43000"}
    answers = [gate.check(**order) for _ in range(5)]
    assert {answer.veto_reason for answer in answers} == {"portfolio_dd_circuit"}
    vetoes = daemon.state / "risk_vetoes.jsonl"
    wait_for(lambda: len(vetoes.read_text().splitlines()) == 5, "five lines")
    lines = [json.loads(line) for line in vetoes.read_text().splitlines()]
    assert {(line["bot"], line["symbol"], line["veto_reason"]) for line in lines} == {
        ("alice", "BTC/USDT", "portfolio_dd_circuit")
    }
    assert all(line["observed"]["current_dd_pct"] >= 0.05 for line in lines)
    assert {line["limits"]["max_portfolio_dd_nav_pct"] for line in lines} == {0.05}
    wait_for(lambda: sum(event["count"] for event in daemon.of("order_vetoed")) == 5, "the summary of five")
    told = scraped(daemon)
    assert value(told, "gate_map_vetoes_total", reason="portfolio_dd_circuit") == 5.0
    assert value(told, "restraint", cause="portfolio_dd_circuit", venue="", bot="") == 1.0
    assert value(told, "rule_used_ratio", breaker="drawdown", action="veto") > 1.0
    assert value(told, "gate_lease_seconds") == 0.0
    assert value(told, "venue_data_age_seconds", venue="kraken", kind="balances") < 60.0
    assert {dict(labels)["venue"] for name, labels in told if name == "risk_daemon_open_orders"} == {"kraken"}
    assert value(told, "call_budget_ceiling", venue="kraken", pool="others") == 15.0
    assert value(told, "decision_seconds_count") > 10
    assert value(told, "events_total", event="order_vetoed") >= 1.0


def scraped(daemon: Daemon) -> Samples:
    """As Prometheus does it."""
    bearer = {"Authorization": f"Bearer {token(daemon, 'viewer', 'prometheus')}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url(daemon)}/metrics", headers=bearer), timeout=10) as reply:
        return samples_of(reply.read().decode())


def _risk(daemon: Daemon) -> dict:
    return json.loads((daemon.state / "risk.json").read_text())


@pytest.mark.long
def test_a_bot_refuses_within_its_lease_when_the_daemon_is_killed_and_goes_on_after(documented_kraken, daemon_for):
    daemon = started(documented_kraken, daemon_for)
    secret = token(daemon)
    gate = TradingGate(daemon.state, url=url(daemon), token=secret)
    order = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "49000"}
    answer = gate.check(**order)
    assert answer.allowed
    assert answer.is_valid()
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    wait_for(lambda: not gate.is_open(), "a shut gate", within_s=2.0)
    assert not gate.check(**order).allowed
    wait_for(lambda: not answer.is_valid(), "the end of the lease", within_s=2.0)
    daemon.start()
    daemon.wait_open()
    wait_for(gate.is_open, "an open gate")
    again = TradingGate(daemon.state, url=url(daemon), token=secret).check(**order)
    assert again.allowed


@pytest.mark.long
def test_a_lock_file_removed_by_hand_is_still_locked(documented_kraken, daemon_for):
    daemon = started(documented_kraken, daemon_for)
    gate = TradingGate(daemon.state)
    assert gate.is_open()
    documented_kraken.post(price={"BTC": 43000})
    assert daemon.exit_code() == 1
    assert (gate.is_open(), gate.reason()) == (False, "capital_loss")
    for name in ("gate.bin", "lock.json"):
        (daemon.state / name).unlink()
    assert not gate.is_open()
    daemon.start()
    assert daemon.exit_code() == 1, "still latched: the store knows"
    assert not TradingGate(daemon.state).is_open()


def truncated(path: Path) -> None:
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(path.stat().st_size))
    os.replace(other, path)


def forged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(48)
        file.write(b"SHUT")


def removed(path: Path) -> None:
    path.unlink()


BOT = """
import sys
from risk_daemon.client import TradingGate
gate, told = TradingGate(sys.argv[1]), None
while True:
    answer = gate.is_open()
    if answer is not told:
        told = answer
        print(answer, flush=True)
"""


@pytest.fixture
def bot_and_daemon(documented_kraken, daemon_for):
    """A bot that asks as fast as it can, and says whenever the answer changes."""
    daemon = started(documented_kraken, daemon_for)
    with subprocess.Popen([sys.executable, "-c", BOT, str(daemon.state)], stdout=subprocess.PIPE, text=True) as bot:
        assert bot.stdout.readline() == "True\n"
        yield bot, daemon, documented_kraken
        bot.kill()


def test_whatever_is_done_to_its_file_is_mended_and_kills_neither_daemon_nor_bot(bot_and_daemon):
    bot, daemon, venue = bot_and_daemon
    path = daemon.state / "gate.bin"
    for number, harm in enumerate((truncated, replaced, forged, removed, truncated), start=1):
        harm(path)
        wait_for(lambda count=number: daemon.output().count('"gate_changed"') == count, f"what was {harm.__name__}")
        wait_for(lambda: TradingGate(daemon.state).is_open(), "an open gate")
        assert bot.poll() is None, f"the bot ended with {bot.poll()}"
        assert daemon.is_running(), daemon.output()
    venue.post(price={"BTC": 43000})
    assert daemon.exit_code() == 1, daemon.output()
    while bot.stdout.readline() != "False\n":
        assert bot.poll() is None
    assert TradingGate(daemon.state).reason() == "capital_loss"


def test_a_shut_gate_forged_open_is_shut_again(bot_and_daemon):
    _, daemon, venue = bot_and_daemon
    venue.post(listing="empty_result")
    venue.post(price={"BTC": 43000})
    daemon.wait_for("sweep_started")
    with (daemon.state / "gate.bin").open("r+b") as file:
        file.seek(48)
        file.write(b"OPEN")
    wait_for(lambda: "gate_changed" in daemon.output(), "the forgery in the journal")
    gate = TradingGate(daemon.state)
    assert (gate.is_open(), gate.reason()) == (False, "capital_loss")
    assert daemon.is_running()


def test_another_process_sees_the_lock_at_once(documented_kraken, daemon_for):
    """The gate is shut in memory in the turn of the breach: whoever sees the event sees the lock."""
    daemon = started(documented_kraken, daemon_for)
    gate = TradingGate(daemon.state)
    documented_kraken.post(price={"BTC": 43000})
    wait_for(lambda: daemon.of("breach_confirming"), "the breach in the log")
    assert not gate.is_open()
    assert daemon.exit_code() == 1


@pytest.mark.long
def test_a_freeze_stays_up_with_its_end_in_the_lock(documented_kraken, daemon_for):
    zen = '[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\n'
    daemon = started(documented_kraken, daemon_for, zen)
    secret = token(daemon)
    wait_for(lambda: json.loads((daemon.state / "risk.json").read_text())["locked"] is False, "an open gate")
    documented_kraken.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 40000})
    documented_kraken.post(price={"BTC": 45500})
    daemon.wait_for("sweep_finished")
    assert documented_kraken.get()["open"] == {}
    order = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "45000"}
    answer = DaemonGate(url(daemon), secret).check(**order)
    assert not answer.allowed
    assert answer.veto_reason == "daily_loss"
    assert answer.locked_until is not None
    assert answer.locked_until.endswith(("+00:00", "Z"))
    assert daemon.is_running()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    daemon.start()
    daemon.wait_for("api_listening", 4)
    wait_for(lambda: _answers(daemon, secret, order) == "daily_loss", "the freeze goes on after a restart")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0


def _answers(daemon: Daemon, secret: str, order: dict) -> str:
    return DaemonGate(url(daemon), secret).check(**order).veto_reason


@pytest.mark.long
def test_token_files_are_for_their_owner_only(documented_kraken, daemon_for):
    daemon = started(documented_kraken, daemon_for)
    secret = token(daemon)
    kept = Path(daemon.state / "tokens.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert secret not in kept.read_text()
