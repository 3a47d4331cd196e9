"""`init`, as a person runs it: what it shows before it asks, and why it can't."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adapters.simulated import API_KEY, API_SECRET

KEYS = {"kraken": (API_KEY, API_SECRET), "krakenfutures": (API_KEY, API_SECRET)}


def config(spot, perp, peak_hold: str = "1s") -> str:
    return f"""
[portfolio]
initial_capital = 10000
[baselines]
peak_hold = "{peak_hold}"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "{spot.endpoint}"
[venues.krakenfutures]
exchange = "krakenfutures"
markets = ["perp"]
endpoint = "{perp.endpoint}"
"""


@pytest.fixture
def pair(simulate):
    """0.03 BTC at 100,000 and 3,000 USDT, two orders; 4,000 USDT, a position that gained 100, one order."""
    spot, perp = simulate("kraken"), simulate("krakenfutures")
    for quote in ("USD", "USDT"):
        spot.post("/price", symbol=f"BTC/{quote}", price="100000")
    perp.post("/price", asset="BTC", price="100000")
    spot.post("/balance", asset="BTC", amount="0.03")
    spot.post("/balance", asset="USDT", amount="3000")
    spot.post("/order", symbol="BTC/USD", side="buy", type="limit", quantity="0.001", price="50000", count=2)
    perp.post("/position", symbol="PF_XBTUSD", quantity="0.01", entry="90000")
    perp.post("/order", symbol="PF_XBTUSD", side="buy", type="limit", quantity="0.001", price="50000")
    return spot, perp


def rows(text: str, venue: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.split()[:1] == [venue]]


def test_what_the_accounts_hold_is_shown_before_the_question(pair, daemon_for):
    daemon = daemon_for(config(*pair), KEYS)
    shown = daemon.command("init")
    assert shown.returncode == 78, "without a terminal and --yes nothing is set up"
    assert not daemon.state.exists()
    assert rows(shown.stdout, "kraken") == [
        ["kraken", "6,000.00"],
        ["kraken", "BTC", "0.03", "3,000.00"],
        ["kraken", "USDT", "3000", "3,000.00"],
        ["kraken", "account", "2"],
    ]
    assert rows(shown.stdout, "krakenfutures") == [
        ["krakenfutures", "4,100.00"],
        ["krakenfutures", "USDT", "4000", "4,000.00"],
        ["krakenfutures", "BTC/USD:USD", "0.01", "100000", "100.00"],
        ["krakenfutures", "account", "1"],
    ]
    assert [line.split()[-1] for line in shown.stdout.splitlines() if line.startswith("Equity")] == ["10,100.00"]


def test_orders_that_can_not_be_listed_are_not_none_and_stop_nothing(pair, daemon_for):
    """They were listed while connecting; then the venue stops listing, before they are counted."""
    spot, _ = pair
    daemon = daemon_for(config(*pair, peak_hold="3s"), KEYS)
    init = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon", "init", "--yes", "--config", str(daemon.config)],
        env=daemon.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert init.stderr is not None
    told = init.stderr.readline()
    assert "everything was read once" in told, told + init.stderr.read()
    spot.post("/fault", how="403", target="open_orders")
    shown, errors = init.communicate(timeout=60)
    assert init.returncode == 0, errors
    assert ["kraken", "account", "NOT", "LISTED"] in rows(shown, "kraken")
    assert any(line.startswith("Orders of kraken, account: ") and "403" in line for line in shown.splitlines()), shown
    assert ["krakenfutures", "account", "1"] in rows(shown, "krakenfutures")


def test_every_venue_that_can_not_be_read_is_named(pair, daemon_for):
    spot, perp = pair
    daemon = daemon_for(config(*pair), KEYS)
    spot.post("/fault", how="revoked_key")
    perp.kill()
    init = daemon.command("init", "--yes")
    assert init.returncode == 75, init.stderr
    assert "kraken: it can't be read: " in init.stderr
    assert "krakenfutures: it can't be read: " in init.stderr
    assert not daemon.state.exists()


def test_every_key_that_is_missing_is_named_once(pair, daemon_for):
    daemon = daemon_for(config(*pair), {})
    init = daemon.command("init", "--yes")
    assert init.returncode == 78, init.stderr
    for venue in ("KRAKEN", "KRAKENFUTURES"):
        for part in ("API_KEY", "SECRET"):
            assert init.stderr.count(f"RISK_DAEMON_{venue}_{part}") == 1, init.stderr
