"""What losses are measured from, when BalanceEx lacks the USDT (6,000 of 10,000) once, or twice in a row."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
SHORT = [pytest.param([1], id="once"), pytest.param([1, 1], id="twice"), pytest.param([0, 1, 1], id="twice-later")]
FREEZE = '[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\n'


def auto(venue, daemon_for, extra: str = "") -> Daemon:
    return daemon_for(kraken_config(venue.endpoint, capital='"auto"', **QUICK) + extra, KEYS)


def risk(daemon: Daemon) -> dict:
    return json.loads((daemon.state / "risk.json").read_text())


def reset_current(daemon: Daemon) -> None:
    done = daemon.command("reset", "--reason", "looked at it", "--rebaseline", "current", "--yes")
    assert done.returncode == 0, done.stderr


def assert_measured_from(daemon: Daemon, venue, capital: float, fatal_btc: int) -> None:
    """The daemon runs and is open; a loss of more than 5 % of `capital` trips it."""
    assert float(risk(daemon)["initial_capital"]) == pytest.approx(capital, rel=0.001)
    venue.post(price={"BTC": fatal_btc})
    assert daemon.exit_code() == 1, daemon.output()
    assert daemon.of("breaker_tripped")[-1]["breaker"] == "capital_loss"


@pytest.mark.parametrize("short", SHORT)
def test_a_short_reply_at_init_is_no_capital(documented_kraken, daemon_for, short):
    daemon = auto(documented_kraken, daemon_for)
    documented_kraken.post(short=short)
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    assert "10,000" in init.stdout
    assert "reading 3: " in init.stderr
    daemon.start()
    daemon.wait_open()
    assert_measured_from(daemon, documented_kraken, 10_000, 42_000)


def test_init_refuses_readings_that_do_not_agree(documented_kraken, daemon_for):
    daemon = auto(documented_kraken, daemon_for)
    documented_kraken.post(short=[0, 1] * 60)
    init = daemon.command("init", "--yes")
    assert init.returncode == 75, init.stdout
    assert "do not agree" in init.stderr
    assert not (daemon.state / "state.db").exists()
    documented_kraken.post(short=[])
    assert daemon.command("init", "--yes").returncode == 0


@pytest.mark.parametrize("short", SHORT)
def test_a_short_reply_after_a_reset_is_no_capital(documented_kraken, daemon_for, short):
    """The reset of a stopped daemon: its own reading may be short, and those of the next start."""
    daemon = auto(documented_kraken, daemon_for)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(price={"BTC": 42_000})
    assert daemon.exit_code() == 1, daemon.output()
    documented_kraken.post(short=short)
    reset_current(daemon)
    documented_kraken.post(short=short)
    daemon.start()
    daemon.wait_open()
    assert_measured_from(daemon, documented_kraken, 9_360, 35_000)


@pytest.mark.parametrize("short", SHORT)
def test_a_short_reply_after_a_reset_of_a_running_daemon_is_no_capital(documented_kraken, daemon_for, short):
    daemon = auto(documented_kraken, daemon_for, FREEZE)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(price={"BTC": 45_500})
    daemon.wait_for("sweep_finished")
    documented_kraken.post(short=short)
    reset_current(daemon)
    daemon.wait_open()
    assert not documented_kraken.get()["short"]
    assert daemon.command("status").returncode == 0
    assert_measured_from(daemon, documented_kraken, 9_640, 39_000)


def test_what_was_booked_before_init_is_no_flow_of_the_first_run(documented_kraken, daemon_for):
    """It is in the balances that `init` reads; the first run lists the ledger from an hour before."""
    daemon = auto(documented_kraken, daemon_for)
    daemon.config.write_text(daemon.config.read_text().replace('flow_wait = "60s"', 'flow_wait = "2s"'))
    documented_kraken.post(entry={"type": "deposit", "asset": "USDT", "amount": 600, "effect": True})
    assert daemon.command("init", "--yes").returncode == 0
    known = json.loads(_document(daemon, "flows"))["kraken"]["seen"]
    assert len(known) == 1
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(entry={"type": "deposit", "asset": "USDT", "amount": 1000, "effect": True})
    daemon.wait_for("flow_detected")
    wait_for(lambda: float(risk(daemon)["initial_capital"]) > 10_601, "the later flow in the capital")
    assert [float(flow["value"]) for flow in daemon.of("flow_detected")] == [1000]
    assert float(risk(daemon)["initial_capital"]) == pytest.approx(11_600, rel=0.001)


def _document(daemon: Daemon, key: str) -> str:
    with closing(sqlite3.connect(daemon.state / "state.db")) as connection:
        [(body,)] = connection.execute("SELECT body FROM document WHERE key = ?", (key,))
    return body
