"""The main job on a kraken account that was written from the exchange's documentation alone."""

from __future__ import annotations

import json
import signal

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

KEYS = {"kraken": (DOCS_KEY, docs_secret())}


def guarded(documented_kraken, daemon_for, **circuit_breaker):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **circuit_breaker), KEYS)
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    return daemon


def place_orders(venue):
    venue.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 40000})
    venue.post(order={"pair": "BTC/USDT", "side": "sell", "type": "stop-loss", "volume": 0.01, "price": 30000})


def in_order(names, wanted):
    at = -1
    for name in wanted:
        assert name in names[at + 1 :], f"{name} is missing after {names[: at + 1][-1:]}: {names}"
        at = names.index(name, at + 1)


def test_warns_trips_cancels_proves_and_exits_1(documented_kraken, daemon_for):
    daemon = guarded(documented_kraken, daemon_for)
    place_orders(documented_kraken)
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(price={"BTC": 45500})  # 6,000 + 0.08 x 45,500 = 9,640: -3.6 %
    assert daemon.wait_for("warning_triggered")["loss_ratio"] == 0.036
    documented_kraken.post(price={"BTC": 43000})  # 9,440: -5.6 %
    daemon.wait_for("circuit_breaker_triggered")
    assert daemon.exit_code() == 1, daemon.output()
    truth = documented_kraken.get()
    assert truth["open"] == {}
    assert len(truth["cancelled"]) == 2
    in_order(
        daemon.names(),
        ["warning_triggered", "circuit_breaker_triggered", "sweep_started", "venue_proven", "system_shutdown"],
    )
    assert daemon.of("venue_proven")[0]["cancelled"] == 2
    assert daemon.of("system_shutdown")[0]["exit_code"] == 1
    verified = daemon.command("verify-log")
    assert verified.returncode == 0, verified.stderr
    assert json.loads((daemon.state / "risk.json").read_text())["lock"]["cause"] == "capital_loss"


LISTING_MODES = ["html", "object", "empty_result", "list", "empty", "500", "hang"]
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}


def test_odd_listings_prove_nothing_until_they_heal(documented_kraken, daemon_for):
    daemon = guarded(documented_kraken, daemon_for, **QUICK)
    place_orders(documented_kraken)
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(listing=LISTING_MODES[0])
    documented_kraken.post(price={"BTC": 42000})
    daemon.wait_for("circuit_breaker_triggered")
    daemon.wait_for("venue_unproven")
    for mode in LISTING_MODES:
        documented_kraken.post(listing=mode)
        wait_for_more(documented_kraken, "OpenOrders", 1 if mode == "hang" else 2)
        assert daemon.is_running(), mode
        assert "venue_proven" not in daemon.names(), mode
    documented_kraken.post(listing="ok")
    assert daemon.exit_code() == 1, daemon.output()
    assert daemon.of("venue_proven")
    assert documented_kraken.get()["open"] == {}


@pytest.mark.long
def test_garbage_balances_trip_nothing_and_a_real_loss_after_them_does(documented_kraken, daemon_for):
    daemon = guarded(documented_kraken, daemon_for, **QUICK)
    daemon.start()
    daemon.wait_open()
    for mode in ("html", "object", "empty_result", "list", "empty"):
        documented_kraken.post(balances=mode)
        wait_for_more(documented_kraken, "BalanceEx", 2)
        assert daemon.is_running(), mode
        assert "circuit_breaker_triggered" not in daemon.names(), mode
    documented_kraken.post(balances="ok")
    documented_kraken.post(price={"BTC": 42000})
    assert daemon.exit_code() == 1, daemon.output()


def wait_for_more(venue, call, count):
    """Until the venue was asked that many times more."""
    asked = venue.get()["calls"].get(call, 0)
    wait_for(lambda: venue.get()["calls"].get(call, 0) >= asked + count, f"{count} more of {call}")


@pytest.mark.parametrize("ledger_first", [True, False])
@pytest.mark.parametrize("amount", [-5000, pytest.param(5000, marks=pytest.mark.long)])
def test_a_flow_of_half_the_equity_moves_no_ratio(documented_kraken, daemon_for, amount, ledger_first):
    daemon = guarded(documented_kraken, daemon_for, **QUICK)
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(price={"BTC": 48750})  # 9,900: -1 %
    wait_for(lambda: [e for e in daemon.of("portfolio_update") if e["loss_ratio"] == 0.01], "a loss of 1 %")
    kind = "deposit" if amount > 0 else "withdrawal"
    entry = {"type": kind, "asset": "USDT", "amount": amount, "effect": False}
    held = {"USDT": 6000 + amount}
    if ledger_first:
        documented_kraken.post(entry=entry)
        documented_kraken.post(balance=held, ledger=False)
    else:
        documented_kraken.post(balance=held, ledger=False)
        documented_kraken.post(entry=entry)
    flow = daemon.wait_for("flow_detected")
    assert float(flow["value"]) == amount
    wait_for(lambda: float(daemon.of("portfolio_update")[-1]["equity"]) == 9900 + amount, "the new equity")
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert all(abs(e["loss_ratio"]) <= 0.0101 for e in daemon.of("portfolio_update") if e["trusted"])
    assert not {"warning_triggered", "circuit_breaker_triggered"} & set(daemon.names())
