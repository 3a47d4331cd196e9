"""A guard that can't list or can't cancel is none: the gate is shut, it is said, and it ends by itself.

Everything through the commands, on real processes.
"""

from __future__ import annotations

import json

import pytest

from risk_daemon.client import TradingGate
from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
VETO_AFTER_S = 6.0
QUICK = '[breakers.blind]\nwarn_after = "5s"\nveto_after = "6s"\n'


def config(endpoint: str, keys: dict) -> str:
    text = kraken_config(endpoint) + QUICK
    return text if keys is KEYS else text.replace("initial_capital = 10000", "initial_capital = 6000")


def started(venue, daemon_for, keys=KEYS) -> Daemon:
    daemon = daemon_for(config(venue.endpoint, keys), keys)
    made = daemon.command("init", "--yes")
    assert made.returncode == 0, made.stderr
    daemon.start()
    daemon.wait_open()
    return daemon


@pytest.fixture
def simulated_keys() -> dict[str, tuple[str, str]]:
    from adapters.simulated import API_KEY, API_SECRET

    return {"kraken": (API_KEY, API_SECRET)}


def cause(daemon: Daemon) -> str | None:
    return json.loads((daemon.state / "risk.json").read_text())["lock"]["cause"]


def test_every_call_refused_while_the_streams_go_on_shuts_the_gate_until_it_is_healed(
    simulate, daemon_for, simulated_keys
):
    """The guard's key is taken off the list of addresses: balances still come over the socket."""
    venue = simulate("kraken")
    daemon = started(venue, daemon_for, simulated_keys)
    gate = TradingGate(daemon.state)
    assert gate.is_open()
    assert "listed" in daemon.command("status").stdout
    venue.post("/fault", how="401")
    begun = daemon.wait_for("unlistable_started", within_s=VETO_AFTER_S + 10)
    assert begun["venue"] == "kraken"
    assert begun["refused"] is True
    wait_for(lambda: not gate.is_open(), "a shut gate", within_s=2.0)
    wait_for(lambda: cause(daemon) == "unlistable:kraken", "the cause in risk.json")
    told = daemon.command("status").stdout
    assert "new orders are locked out" in told
    assert "NOT LISTED" in told
    assert "401" in told
    assert "unlistable:kraken" in told
    assert not daemon.of("circuit_breaker_triggered")
    venue.delete("/fault")
    daemon.wait_for("unlistable_ended", within_s=30.0)
    daemon.wait_open()
    assert gate.is_open()
    assert "NOT LISTED" not in daemon.command("status").stdout


def test_listings_that_fail_without_a_refusal_shut_the_gate_after_a_while(documented_kraken, daemon_for):
    """Only the listing is broken: a page instead of an answer."""
    daemon = started(documented_kraken, daemon_for)
    gate = TradingGate(daemon.state)
    documented_kraken.post(listing="html")
    wait_for(lambda: [lost for lost in daemon.of("venue_lost") if lost["kind"] == "orders"], "the lost listing")
    begun = daemon.wait_for("unlistable_started", within_s=VETO_AFTER_S + 10)
    assert begun["refused"] is False
    wait_for(lambda: not gate.is_open(), "a shut gate", within_s=2.0)
    assert gate.reason() == "unlistable:kraken"
    documented_kraken.post(listing="ok")
    daemon.wait_for("unlistable_ended")
    wait_for(gate.is_open, "an open gate")


def test_a_key_that_is_revoked_is_found_within_one_reading(documented_kraken, daemon_for):
    daemon = started(documented_kraken, daemon_for)
    gate = TradingGate(daemon.state)
    listings = documented_kraken.get()["calls"]["OpenOrders"]
    documented_kraken.post(key="revoked")
    begun = daemon.wait_for("unlistable_started")
    assert "Invalid key" in begun["reason"]
    wait_for(lambda: not gate.is_open(), "a shut gate", within_s=2.0)
    assert documented_kraken.get()["calls"]["OpenOrders"] == listings, "the first refused listing was enough"
    documented_kraken.post(key="ok")
    wait_for(gate.is_open, "an open gate")


@pytest.mark.parametrize("kind", ["documented", "simulated"])
def test_a_key_that_may_only_read_is_found_at_the_start_and_is_a_problem_in_check(
    kind, documented_kraken, simulate, daemon_for, simulated_keys
):
    venue = documented_kraken if kind == "documented" else simulate("kraken")
    keys = KEYS if kind == "documented" else simulated_keys
    daemon = daemon_for(config(venue.endpoint, keys), keys)
    checked = daemon.command("check")
    assert checked.returncode == 0, checked.stdout
    assert "the key may cancel orders" in checked.stdout
    assert daemon.command("init", "--yes").returncode == 0
    if kind == "documented":
        venue.post(key="read_only")
    else:
        venue.post("/fault", how="read_only_key")
    checked = daemon.command("check")
    assert checked.returncode == 78
    assert "PROBLEM  kraken: the key may not cancel orders" in checked.stdout
    daemon.start()
    begun = daemon.wait_for("unlistable_started")
    assert "may not cancel" in begun["reason"]
    wait_for(lambda: "CAN'T CANCEL" in daemon.command("status").stdout, "the state of the key in status")
    assert not TradingGate(daemon.state).is_open()
    assert not daemon.of("circuit_breaker_triggered")
    if kind == "documented":
        venue.post(key="ok")
    else:
        venue.delete("/fault")
    daemon.wait_for("unlistable_ended")
    daemon.wait_open()
    assert TradingGate(daemon.state).is_open()


def test_a_key_that_is_made_read_only_later_is_found_within_one_reading(documented_kraken, daemon_for):
    """Every listing works on: only the asking tells. It cancels nothing."""
    documented_kraken.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 40000})
    daemon = started(documented_kraken, daemon_for)
    gate = TradingGate(daemon.state)
    listings = documented_kraken.get()["calls"]["OpenOrders"]
    documented_kraken.post(key="read_only")
    begun = daemon.wait_for("unlistable_started")
    assert "may not cancel" in begun["reason"]
    wait_for(lambda: not gate.is_open(), "a shut gate", within_s=2.0)
    truth = documented_kraken.get()
    assert truth["calls"]["OpenOrders"] <= listings + 2
    assert len(truth["open"]) == 1
    assert "CancelAll" not in truth["calls"]
    documented_kraken.post(key="ok")
    wait_for(gate.is_open, "an open gate")
    assert daemon.is_running()
