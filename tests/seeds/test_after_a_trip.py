"""What the documents tell people to do when it tripped, or did not: their commands, run as they stand.

docs/operations.md, "After a trip", and docs/configuration.md, "When it does not do what you thought". The venue is a
server that was written from the exchange's documentation; what systemd and sudo would do, two scripts do here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from risk_daemon.client import TradingGate
from risk_daemon.config.rules.drawdown import Drawdown
from risk_daemon.config.settings import Baselines
from risk_daemon.errors import ExitCode
from risk_daemon.gate.restraints import CAUSES, UNLISTABLE
from risk_daemon.model.events import ErrorKind, EventName
from tests.e2e import harness
from tests.seeds.common import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
KEYS = {"kraken": (harness.DOCS_KEY, harness.docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}


@pytest.fixture
def venue() -> Iterator[harness.Venue]:
    venue = harness.documented_kraken()
    yield venue
    venue.kill()


@pytest.fixture
def daemon(venue: harness.Venue, tmp_path: Path) -> Iterator[harness.Daemon]:
    """Guarding 6,000 USDT and 0.08 BTC at 50,000, with an order of a bot in the book."""
    daemon = harness.Daemon(tmp_path, harness.kraken_config(venue.endpoint, **QUICK), KEYS)
    venue.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000})
    yield daemon
    daemon.close()


def begin(daemon: harness.Daemon) -> None:
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    daemon.start()
    daemon.wait_open()


def section(page: str, heading: str) -> str:
    return re.split(r"^## ", page.split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands(text: str) -> list[str]:
    """The lines of its blocks."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines()]


# --- after a trip --------------------------------------------------------------------------------------

PLACES = {"/opt/risk-daemon/.venv/bin/risk-daemon": f"{shlex.quote(sys.executable)} -m risk_daemon"}


class Operator:
    """Types the page's lines into a shell, where `guard` is what the page says it is, with keys in files."""

    def __init__(self, daemon: harness.Daemon) -> None:
        self.daemon, self.room = daemon, daemon.directory / "operator"
        credentials = self.room / "credentials"
        credentials.mkdir(parents=True)
        for venue, (key, secret) in KEYS.items():
            (credentials / f"{venue}.api_key").write_text(key)
            (credentials / f"{venue}.secret").write_text(secret)
        self._script("sudo", 'test "$1 $2" = "-u risk-daemon" && shift 2 && exec "$@"')
        self._script("systemctl", f'echo "$@" >> {shlex.quote(str(self.room / "systemd"))}')
        found = re.search(r"^guard\(\) \{\n.*?^\}\n", OPERATIONS, re.DOTALL | re.MULTILINE)
        assert found is not None
        self.guard = found[0].replace("/etc/risk-daemon/credentials", str(credentials))
        for place, here in {**PLACES, "/etc/risk-daemon/config.toml": str(daemon.config)}.items():
            assert place in self.guard
            self.guard = self.guard.replace(place, here)

    def _script(self, name: str, body: str) -> None:
        (self.room / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.room / name).chmod(0o755)

    def types(self, line: str) -> subprocess.CompletedProcess[str]:
        """The line in a shell on a terminal, and RESET where that is asked for."""
        terminal, inside = os.openpty()
        environment = {k: v for k, v in self.daemon.environment.items() if not k.startswith("RISK_DAEMON_")}
        environment["PATH"] = f"{self.room}:{environment['PATH']}"
        words, answer = ["bash", "-c", self.guard + line], b"RESET\n"
        with (
            TemporaryFile() as errors,
            subprocess.Popen(
                words, stdin=inside, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=self.room, bufsize=0
            ) as asked,
        ):
            assert asked.stdout is not None
            too_long = threading.Timer(harness.WAIT_S, asked.kill)
            too_long.start()
            said = b""
            while piece := asked.stdout.read(4096):
                said += piece
                if b"Type RESET" in said and answer:  # what is typed before that is no answer
                    os.write(terminal, answer)
                    answer = b""
            code = asked.wait()
            too_long.cancel()
            errors.seek(0)
            told = errors.read().decode()
        os.close(terminal)
        os.close(inside)
        return subprocess.CompletedProcess(words, code, said.decode(), told)

    @property
    def asked_of_systemd(self) -> list[str]:
        file = self.room / "systemd"
        return file.read_text().splitlines() if file.exists() else []


@pytest.mark.long
def test_002_50_the_steps_after_a_trip_open_the_gate_again(venue: harness.Venue, daemon: harness.Daemon) -> None:
    begin(daemon)
    venue.post(price={"BTC": 42000})  # 9,360: -6.4 %
    assert daemon.exit_code() == ExitCode.TRIGGERED_AND_PROVEN, daemon.output()
    gate, operator = TradingGate(daemon.state), Operator(daemon)
    status, tail, reset, start, look = commands(section(OPERATIONS, "After a trip"))

    before = operator.types(status)
    assert before.returncode == ExitCode.REFUSED, "as the page says"
    assert "TRIGGERED" in before.stdout
    assert "6.40 %" in before.stdout
    told = operator.types(tail)
    assert told.returncode == 0, told.stderr
    for part in ("circuit_breaker_triggered", "0.064", "venue_proven", "kraken"):
        assert part in told.stdout
    assert venue.get()["open"] == {}
    assert not gate.is_open()

    vain = operator.types(reset.replace("current", "keep"))
    assert vain.returncode == ExitCode.REFUSED, vain
    assert "it would trigger again at once: capital_loss would trip (loss of 6.40 %" in vain.stderr
    assert vain.stdout == "", "nobody was asked for a word"
    assert daemon.of("circuit_breaker_reset") == []

    done = operator.types(reset)
    assert done.returncode == 0, done.stderr
    assert not gate.is_open(), "nobody guards yet"
    assert operator.types(start).returncode == 0
    assert operator.asked_of_systemd == ["start risk-daemon"]
    assert (ROOT / "deploy" / "risk-daemon.service").is_file()
    daemon.start()
    daemon.wait_open()
    assert gate.is_open()
    after = operator.types(look)
    assert after.returncode == 0, after.stderr
    assert "new orders are allowed" in after.stdout
    [fields] = daemon.of("circuit_breaker_reset")
    assert fields["reason"] in reset


# --- the three questions -------------------------------------------------------------------------------

RULES = """
[breakers.weekly_loss]
limit = "3%"
[breakers.drawdown]
limit = "5%"
[breakers.after_hours]
rule = "drawdown"
limit = "60%"
active_hours = "22:00-06:00"
"""
TRIPPED, DID_NOT, STAYS = "It tripped, and nothing seems wrong", "It did not trip", "It stays shut"


@dataclass(frozen=True)
class Answer:
    """A question's answer: the commands that it names, and all else that it calls by name."""

    commands: tuple[str, ...]
    names: frozenset[str]


def answers() -> dict[str, Answer]:
    text = section(CONFIGURATION, "When it does not do what you thought")
    found = {}
    for question, answer in re.findall(r"^\*\*(.+?)\.\*\* (.+?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE):
        spans = re.findall(r"`([^`]+)`", answer)
        words = tuple(span for span in spans if span.startswith("risk-daemon "))
        found[question] = Answer(words, frozenset(spans) - set(words))
    return found


def run(daemon: harness.Daemon, command: str) -> str:
    """What a command of the page says, typed in the daemon's directory."""
    program, *words = shlex.split(command)
    assert program == "risk-daemon"
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon", *words],
        env=daemon.environment,
        cwd=daemon.directory,
        capture_output=True,
        text=True,
        timeout=harness.WAIT_S,
        check=False,
    )
    return done.stdout


@pytest.mark.long
def test_004_46_the_commands_answer_the_three_questions(venue: harness.Venue, daemon: harness.Daemon) -> None:
    quiet = {"loss_threshold": '"50%"', "warning_threshold": '"off"', **QUICK}
    text = harness.kraken_config(venue.endpoint, **quiet) + RULES + '[api]\nlisten = "127.0.0.1:0"\n'
    daemon.config.write_text(text)
    begin(daemon)
    asked = answers()

    explain, status = asked[DID_NOT].commands
    venue.post(price={"BTC": 49000})  # 9,920: -0.8 %
    harness.wait_for(lambda: [e for e in daemon.of("portfolio_update") if e["loss_ratio"] == 0.008], "a loss")
    told = run(daemon, explain)
    for part in (
        "has lost 3 %",
        "is 5 % below its highest worth",
        "Between 22:00 and 06:00",
        "It trips",
        "(a veto)",
        "`weekly_loss`",
    ):
        assert part in told, f"{part} in {told}"
    told = run(daemon, status)
    assert re.search(r"Loss +0\.80 %", told), told
    assert re.search(r"To limit +.*49\.20 %", told), told

    why = asked[STAYS].commands[0]
    venue.post(price={"BTC": 46000})  # 9,680: -3.2 %, a veto
    daemon.wait_for("breaker_tripped")
    told = run(daemon, why)
    assert "weekly_loss" in told, told
    assert "locked out" in told
    venue.post(price={"BTC": 50000})
    daemon.wait_open()

    venue.post(price={"BTC": 42500})  # 9,400: -6 %
    assert daemon.exit_code() == ExitCode.TRIGGERED_AND_PROVEN, daemon.output()
    [tail] = asked[TRIPPED].commands
    tripped = [line for line in run(daemon, tail).splitlines() if "breaker_tripped" in line and "drawdown" in line]
    assert len(tripped) == 1, tripped
    assert "current_dd_pct" in tripped[0]
    assert "max_portfolio_dd_nav_pct" in tripped[0]
    told = run(daemon, why)
    assert "portfolio_dd_circuit" in told, told
    assert "risk-daemon reset" in told
    assert asked[STAYS].commands[1] == "risk-daemon reset"


def test_004_46_what_the_answers_call_by_name_is_called_so() -> None:
    """Events, reasons, kinds of errors, keys: one that is renamed here or there is found."""
    keys: Any = {*Drawdown.model_fields, *Baselines.model_fields}
    known = {EventName.BREAKER_TRIPPED, ErrorKind.EXPECTED, *CAUSES, f"{UNLISTABLE}VENUE"}
    asked = answers()
    assert set(asked) == {TRIPPED, DID_NOT, STAYS}
    assert asked[TRIPPED].names == {"breaker_tripped", "lookback_days", "reset_at", "timezone", "expected"}
    assert asked[DID_NOT].names == {"active_hours"}
    assert asked[STAYS].names == {"blind", "unlistable:VENUE", "starting", "status", "check"}
    commands = {"status", "check"}
    assert set().union(*(answer.names for answer in asked.values())) <= keys | known | commands
