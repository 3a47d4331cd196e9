"""The demo as a user runs it, and what it says when the proof is not there."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon.cli.render import console
from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ExitCode
from risk_daemon.rehearsal import demo
from risk_daemon.rehearsal.rehearsal import Rehearsal, in_time

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 240
IMPATIENT = """
settle = "200ms"
order_flight = "300ms"
cancel_deadline = "3s"
"""


@pytest.fixture(scope="module")
def shown() -> subprocess.CompletedProcess[str]:
    """One run of the example, its output in a pipe as in a log."""
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "circuit_breaker_demo.py")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def test_it_ends_with_one(shown: subprocess.CompletedProcess[str]) -> None:
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert "exit code 1" in shown.stdout


def test_the_four_losses_with_their_states(shown: subprocess.CompletedProcess[str]) -> None:
    rows = re.findall(r"^ +(-\d\.\d\d %) +([\d,.]+) USDT .* (\S+)$", shown.stdout, re.MULTILINE)
    assert rows == [
        ("-2.00 %", "9,800.00", "safe"),
        ("-3.50 %", "9,650.00", "WARNING"),
        ("-4.20 %", "9,580.00", "danger"),
        ("-5.50 %", "9,450.00", "TRIGGERED"),
    ]


def test_every_order_is_cancelled_in_the_exchanges_own_books(shown: subprocess.CompletedProcess[str]) -> None:
    assert re.search(r"kraken +0 open, 4 of 4 cancelled, 0 filled", shown.stdout)
    assert re.search(r"krakenfutures +0 open, 3 of 3 cancelled, 0 filled", shown.stdout)
    assert len(re.findall(r": cancelled (buy|sell) ", shown.stdout)) == 7
    assert "(spot trigger)" in shown.stdout
    assert "(perp trigger)" in shown.stdout


def test_the_result(shown: subprocess.CompletedProcess[str]) -> None:
    for label, value in (
        ("Initial capital", "10,000.00 USDT"),
        ("Final equity", "9,450.00 USDT"),
        ("Loss", "550.00 USDT (-5.50 %)"),
        ("Orders cancelled on kraken", "4"),
        ("Orders cancelled on krakenfutures", "3"),
    ):
        assert re.search(rf"^ *{re.escape(label)} +{re.escape(value)} *$", shown.stdout, re.MULTILINE), label


def test_the_phases_come_in_their_order(shown: subprocess.CompletedProcess[str]) -> None:
    labels = ("Fatal price to gate shut", "... to first cancel", "... to kraken proven", "... to joint proof")
    times = [re.search(rf"{re.escape(label)} +([\d.]+) s", shown.stdout) for label in labels]
    seconds = [float(found[1]) for found in times if found is not None]
    assert len(seconds) == len(labels)
    assert seconds == sorted(seconds)


def test_a_log_gets_no_control_characters(shown: subprocess.CompletedProcess[str]) -> None:
    assert "\x1b" not in shown.stdout
    assert shown.stderr == ""


async def test_an_exchange_that_does_not_cancel_is_not_a_success(tmp_path: Path) -> None:
    """It answers every cancel with yes and does nothing: no proof, so no exit code 1."""
    file = tmp_path / "config.toml"
    file.write_text(demo.config_of().replace("[circuit_breaker]", "[circuit_breaker]" + IMPATIENT))
    rehearsal = Rehearsal(load_config(file))
    output = io.StringIO()
    show = demo.Show(rehearsal, console(output))

    async def tell() -> None:
        ready = rehearsal.expect(lambda decision: not decision.gate.locked)
        told = show.tell()
        await in_time(ready)
        rehearsal.desks["kraken"].call("POST", "fault", {"how": "ack_without_cancel"})
        await told

    code = await rehearsal.play(tell)
    ended = demo.judge(code, show.equity, show.steps[-1].equity, rehearsal.books)
    show.result(code, ended)
    assert ended is ExitCode.TRIGGERED_UNPROVEN
    assert rehearsal.books["kraken"].open_orders == {"spot_plain": 3, "spot_trigger": 1}
    assert rehearsal.books["krakenfutures"].is_empty
    assert "NOT as it must be" in output.getvalue()
