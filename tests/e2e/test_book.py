"""Falls at constant prices, by what the venue's own book says, over real sockets: no flow is a loss, no loss a flow."""

from __future__ import annotations

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
LOST_BY_TRADE = {"pair": "BTC/USDT", "side": "buy", "volume": 0.05, "price": 65000}  # 750 of 10,000


@pytest.fixture
def guarded(documented_kraken, daemon_for):
    """The venue, and how to have it guarded: `guarded(flow_wait)` gives the daemon, set up but not started."""

    def guard(flow_wait="60s"):
        daemon = daemon_for(kraken_config(documented_kraken.endpoint, flow_wait=flow_wait, **QUICK), KEYS)
        init = daemon.command("init", "--yes")
        assert init.returncode == 0, init.stderr
        return daemon

    return guard


def started(daemon):
    daemon.start()
    daemon.wait_open()
    return daemon


def loss(daemon):
    return daemon.of("portfolio_update")[-1]["loss_ratio"]


def wait_for_calls(venue, name, more):
    """Until a call was answered so many times more."""
    before = venue.get()["calls"].get(name, 0)
    wait_for(lambda: venue.get()["calls"].get(name, 0) >= before + more, f"{more} more {name}")


@pytest.mark.parametrize("amount", [600, -600])
def test_what_flowed_before_init_is_history(documented_kraken, guarded, amount):
    documented_kraken.post(balance={"USDT": 6000 - amount}, ledger=False)
    kind = "deposit" if amount > 0 else "withdrawal"
    documented_kraken.post(entry={"type": kind, "asset": "USDT", "amount": amount, "effect": True})
    daemon = started(guarded("4s"))
    wait_for_calls(documented_kraken, "BalanceEx", 4)  # `flow_wait` is over by then
    assert not daemon.of("flow_detected")
    assert abs(loss(daemon)) < 0.001
    documented_kraken.post(trade=LOST_BY_TRADE)
    assert daemon.exit_code(20.0) == 1, daemon.output()


def test_a_row_from_before_init_that_is_seen_late_moves_nothing_and_is_told(documented_kraken, guarded):
    documented_kraken.post(balance={"USDT": 6600}, ledger=False)
    documented_kraken.post(entry={"type": "withdrawal", "asset": "USDT", "amount": -600, "listed": 20.0})
    daemon = started(guarded("6s"))
    daemon.wait_for("flow_unmatched", within_s=90.0)
    assert not daemon.of("flow_detected")
    assert abs(loss(daemon)) < 0.001
    documented_kraken.post(trade=LOST_BY_TRADE)
    assert daemon.exit_code(20.0) == 1, daemon.output()


def test_a_traded_loss_trips_at_once(documented_kraken, guarded):
    daemon = started(guarded())
    documented_kraken.post(trade=LOST_BY_TRADE)
    assert daemon.exit_code(20.0) == 1, daemon.output()
    [triggered] = daemon.of("circuit_breaker_triggered")
    assert triggered["breaker"] == "capital_loss"


def test_half_of_the_account_missing_from_two_readings_is_no_loss(documented_kraken, guarded):
    daemon = started(guarded())
    documented_kraken.post(short=[1, 1, 1])
    daemon.wait_for("breach_confirming")
    wait_for(lambda: not documented_kraken.get()["short"], "the short replies to be given")
    daemon.wait_open()
    assert not daemon.of("circuit_breaker_triggered")


def test_what_is_gone_for_good_and_nobody_explains_is_lost_after_flow_wait(documented_kraken, guarded):
    daemon = started(guarded("8s"))
    documented_kraken.post(balance={"USDT": 5200}, ledger=False)
    confirming = daemon.wait_for("breach_confirming")
    triggered = daemon.wait_for("circuit_breaker_triggered")
    assert triggered["seq"] > confirming["seq"]
    assert daemon.exit_code() == 1, daemon.output()


def test_a_withdrawal_whose_row_comes_20_s_late_trips_nothing(documented_kraken, guarded):
    daemon = started(guarded())
    documented_kraken.post(entry={"type": "withdrawal", "asset": "USDT", "amount": -800, "listed": 20.0})
    daemon.wait_for("breach_confirming")
    flow = daemon.wait_for("flow_detected", within_s=60.0)
    assert float(flow["value"]) == -800
    daemon.wait_open()
    wait_for(lambda: abs(loss(daemon)) < 0.001, "no loss")
    assert not daemon.of("circuit_breaker_triggered")


@pytest.mark.parametrize("amount", [5000, -5000])
def test_a_row_that_no_holding_ever_shows_is_told_and_left_out(documented_kraken, guarded, amount):
    kind = "deposit" if amount > 0 else "withdrawal"
    daemon = started(guarded("4s"))
    documented_kraken.post(entry={"type": kind, "asset": "USDT", "amount": amount, "effect": False})
    row = daemon.wait_for("flow_unmatched", within_s=90.0)
    assert float(row["amount"]) == amount
    assert abs(loss(daemon)) < 0.001
    documented_kraken.post(trade=LOST_BY_TRADE)
    assert daemon.exit_code(20.0) == 1, daemon.output()


def test_a_loss_and_half_withdrawn_half_a_second_later_is_a_loss_of_the_whole(documented_kraken, guarded):
    daemon = started(guarded())
    documented_kraken.post(trade={"pair": "BTC/USDT", "side": "buy", "volume": 0.02, "price": 63000})  # 260 lost
    documented_kraken.post(entry={"type": "withdrawal", "asset": "USDT", "amount": -4500})
    flow = daemon.wait_for("flow_detected")
    assert float(flow["value"]) == -4500
    wait_for(lambda: abs(loss(daemon) - 0.026) < 0.0005, "a loss of 2.6 %")
    daemon.wait_open()
    assert not daemon.of("circuit_breaker_triggered")


def test_an_airdrop_without_a_price_never_blinds_and_hides_no_loss(documented_kraken, guarded):
    daemon = started(guarded("4s"))
    documented_kraken.post(entry={"type": "transfer", "asset": "SPAM", "amount": 1000000})
    told = daemon.wait_for("asset_unpriced")
    assert told["asset"] == "SPAM"
    daemon.wait_open()
    assert not daemon.of("blind_started")
    documented_kraken.post(entry={"type": "transfer", "asset": "SCAM", "amount": 1000000})
    documented_kraken.post(trade=LOST_BY_TRADE)
    assert daemon.exit_code(20.0) == 1, daemon.output()
