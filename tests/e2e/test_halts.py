"""A halt of one venue or one bot: what its command confirmed is in force after any end of the daemon."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from risk_daemon.cli import remote
from risk_daemon.client import DaemonGate
from risk_daemon.config.place import locate
from risk_daemon.errors import RiskDaemonError
from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
ORDER = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "45000"}
ENDS = [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGKILL, id="SIGKILL")]


class Halted:
    """A running daemon with two bots, and ways to halt one of them or the venue."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        assert daemon.command("init", "--yes").returncode == 0
        self.tokens = {name: self._token(name) for name in ("alice", "bob")}
        daemon.start()
        daemon.wait_open()

    def _token(self, name: str) -> str:
        made = self.daemon.command("token", "create", "--role", "bot", "--name", name)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip().splitlines()[-1]

    @property
    def socket(self) -> Path:
        return locate(self.daemon.config).socket

    def end(self, how: signal.Signals) -> None:
        self.daemon.signal(how)
        assert self.daemon.exit_code() == (0 if how is signal.SIGTERM else -how)

    def restart(self) -> None:
        """What the last run left in risk.json is not to be taken for the new one's word."""
        (self.daemon.state / "risk.json").unlink()
        self.daemon.start()
        self.daemon.wait_open()

    def vetoes(self) -> dict[str, str | None]:
        """What each bot is told: None is a yes."""
        addresses = [event["address"] for event in self.daemon.of("api_listening")]
        url = "http://" + next(address for address in reversed(addresses) if not address.startswith("unix:"))
        answers = {name: DaemonGate(url, secret).check(**ORDER) for name, secret in self.tokens.items()}
        return {name: None if answer.allowed else answer.veto_reason for name, answer in answers.items()}

    def are_listed(self) -> list[tuple[str | None, str | None]]:
        status = remote.request(self.socket, "GET", "/api/v1/state").body
        return [(halt["venue"], halt["bot"]) for halt in status["halts"]]

    def asks_for_halt(self, *scope: str) -> subprocess.Popen[str]:
        """`risk-daemon halt`, not yet at its end."""
        words = [sys.executable, "-m", "risk_daemon", "halt", *scope, "--reason", "odd", "--config"]
        return subprocess.Popen(
            [*words, str(self.daemon.config)],
            env=self.daemon.environment,
            cwd=self.daemon.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def busy_store(self) -> Iterator[sqlite3.Connection]:
        """Nobody else can write the state meanwhile: a halt waits, and then is not confirmed."""
        connection = sqlite3.connect(self.daemon.state / "state.db", isolation_level=None, timeout=10.0)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
        finally:
            connection.close()


@pytest.fixture
def halted(documented_kraken, daemon_for) -> Halted:
    return Halted(daemon_for(kraken_config(documented_kraken.endpoint), KEYS))


@pytest.mark.parametrize("how", ENDS)
def test_what_was_confirmed_is_in_force_after_an_end_at_once(halted, how):
    halt = halted.daemon.command("halt", "--bot", "alice", "--reason", "odd")
    halted.end(how)
    assert halt.returncode == 0, halt.stderr
    halted.restart()
    assert halted.vetoes() == {"alice": "manual_halt", "bob": None}
    halt = halted.daemon.command("halt", "--venue", "kraken", "--reason", "odd")
    halted.end(how)
    assert halt.returncode == 0, halt.stderr
    halted.restart()
    assert halted.vetoes() == {"alice": "manual_halt", "bob": "manual_halt"}
    assert halted.are_listed() == [(None, "alice"), ("kraken", None)]
    release = halted.daemon.command("release", "--venue", "kraken", "--reason", "seen")
    halted.end(how)
    assert release.returncode == 0, release.stderr
    halted.restart()
    assert halted.vetoes() == {"alice": "manual_halt", "bob": None}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("scope", [("--venue", "kraken"), ("--bot", "alice")], ids=["venue", "bot"])
def test_what_is_waiting_while_the_daemon_ends_is_in_force_or_was_not_confirmed(halted, how, scope):
    """The store takes nothing for as long as the daemon lives: what the command says must not be yes."""
    with halted.busy_store():
        asking = halted.asks_for_halt(*scope)
        halted.daemon.wait_for("manual_halt")
        halted.end(how)
        out, errors = asking.communicate(timeout=30)
    assert asking.returncode == 78, out
    assert "Halted" not in out
    assert any(words in errors for words in ("not confirmed", "could not be saved")), errors
    halted.restart()
    assert halted.are_listed() == []


@pytest.mark.parametrize("how", ENDS)
def test_the_store_answers_just_before_the_end(halted, how):
    """The wait is over in the moment of the signal: whichever comes first, a yes is a yes."""
    with halted.busy_store() as connection:
        asking = halted.asks_for_halt("--venue", "kraken")
        halted.daemon.wait_for("manual_halt")
        connection.execute("ROLLBACK")
        halted.end(how)
        out, errors = asking.communicate(timeout=30)
    halted.restart()
    if asking.returncode == 0:
        assert halted.are_listed() == [("kraken", None)], (out, errors)
    else:
        assert asking.returncode == 78, (out, errors)


def test_killed_at_any_moment_of_the_command(halted):
    """From before it is heard until after its answer: whatever was answered, it must not be too much."""
    for milliseconds in (0, 4, 12, 60):
        said: list[bool] = []
        asking = threading.Thread(target=lambda said=said: said.append(_confirmed(halted.socket)))
        asking.start()
        deadline = time.monotonic() + milliseconds / 1_000
        wait_for(lambda deadline=deadline: time.monotonic() >= deadline, "the moment")
        halted.end(signal.SIGKILL)
        asking.join(30)
        halted.restart()
        assert (None, "alice") in halted.are_listed() or said == [False]
        released = halted.daemon.command("release", "--bot", "alice", "--reason", "again")
        assert released.returncode == 0 or "no such halt" in released.stderr


def _confirmed(socket: Path) -> bool:
    try:
        answer = remote.request(socket, "POST", "/api/v1/halt", {"reason": "odd", "bot": "alice"})
    except RiskDaemonError:
        return False
    assert answer.ok or answer.status == 503, json.dumps(dict(answer.body))
    return answer.ok


def test_a_daemon_that_is_stopping_says_so(halted):
    """Its last save waits for the store: what is asked meanwhile is refused, and not left without an answer."""
    with halted.busy_store():
        halted.daemon.signal(signal.SIGTERM)
        wait_for(lambda: "system_shutdown" in halted.daemon.names(), "the last words")
        late = remote.request(halted.socket, "POST", "/api/v1/halt", {"reason": "odd", "venue": "kraken"})
        assert late.status == 503
        assert "stopping" in late.detail
    assert halted.daemon.exit_code() == 0
