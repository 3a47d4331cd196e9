"""A real daemon on a Kraken that counts calls as its documentation says, with a busy ledger."""

from __future__ import annotations

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
STARTER = {"limit": 15, "decay": 0.33}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
REFUSED = "EAPI:Rate limit exceeded"
TRADES_AN_HOUR = 750  # two rows each


@pytest.fixture
def daemon(documented_kraken, daemon_for):
    """A day of trading behind it, and `init` long ago: the counter has come down since."""
    trade = {"pair": "BTC/USDT", "side": "buy", "volume": 0.000001, "price": 50000}
    documented_kraken.post(trade=trade | {"count": TRADES_AN_HOUR, "ago": 3600})
    config = kraken_config(documented_kraken.endpoint, **QUICK)
    config = config.replace('reconcile_every = "3s"', 'reconcile_every = "15s"').replace('"3s"', '"10s"')
    daemon = daemon_for(config, KEYS)
    documented_kraken.post(counter=STARTER)
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    assert documented_kraken.get()["calls"].get(REFUSED, 0) == 0, "init asks for too much"
    documented_kraken.post(counter=STARTER)
    daemon.start()
    daemon.wait_open()
    return daemon


def test_a_withdrawal_is_a_flow_and_no_call_is_refused(documented_kraken, daemon):
    documented_kraken.post(entry={"type": "withdrawal", "asset": "USDT", "amount": -600})
    flow = daemon.wait_for("flow_detected")
    assert float(flow["value"]) == -600
    daemon.wait_open()
    assert not {"circuit_breaker_triggered", "warning_triggered"} & set(daemon.names())
    wait_for(lambda: abs(daemon.of("portfolio_update")[-1]["loss_ratio"]) < 0.001, "no loss")
    calls = documented_kraken.get()["calls"]
    assert calls.get(REFUSED, 0) == 0, calls
    assert calls["Ledgers"] < 25, calls


def test_the_sweep_of_a_loss_finds_room(documented_kraken, daemon):
    documented_kraken.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000})
    documented_kraken.post(price={"BTC": 42000})
    assert daemon.exit_code() == 1, daemon.output()
    truth = documented_kraken.get()
    assert truth["open"] == {}
    assert truth["calls"].get(REFUSED, 0) == 0, truth["calls"]
