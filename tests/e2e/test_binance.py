"""Binance through the commands, against a server written from its documentation."""

from __future__ import annotations

import sys
from decimal import Decimal

import pytest

from tests.e2e.harness import ROOT, Venue

pytestmark = pytest.mark.long

KEY, SECRET = "docs-key", "binance-as-its-documentation-has-it"


@pytest.fixture
def documented_binance():
    script = ROOT / "tests" / "e2e" / "venues" / "binance_from_docs.py"
    venue = Venue([sys.executable, str(script), "--port", "0"], "/control")
    yield venue
    venue.kill()


def config(exchange, market, endpoint, capital):
    return f"""
[portfolio]
initial_capital = {capital}
[data]
reconcile_every = "1s"
[venues.{exchange}]
exchange = "{exchange}"
markets = ["{market}"]
endpoint = "{endpoint}"
"""


def test_an_open_position_has_its_mark_from_where_the_venue_has_it(documented_binance, daemon_for):
    daemon = daemon_for(
        config("binanceusdm", "perp", documented_binance.endpoint, 10000), {"binanceusdm": (KEY, SECRET)}
    )
    documented_binance.post(marks={"BTCUSDT": 55000})
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    daemon.start()
    assert Decimal(daemon.wait_for("portfolio_update")["equity"]) == 10100, "10,000 and 0.02 x 5,000"
    daemon.wait_open()
    documented_binance.post(marks={"BTCUSDT": 15000})
    assert daemon.exit_code() == 1, daemon.output()


def test_a_spot_account_asks_nothing_of_the_hosts_of_futures(documented_binance, daemon_for):
    daemon = daemon_for(config("binance", "spot", documented_binance.endpoint, 10000), {"binance": (KEY, SECRET)})
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    calls = documented_binance.get()["calls"]
    assert {path.split("/")[0] for path in calls} == {"api.binance.com"}
    wallets = {"asset/get-funding-asset", "simple-earn/flexible/position", "simple-earn/locked/position"}
    books = {"algo/spot/openOrders", "convert/limit/queryOpenOrders"}
    flows = {"capital/deposit/hisrec", "capital/withdraw/history", "asset/transfer", "asset/assetDividend"}
    flows |= {"sub-account/transfer/subUserHistory", "margin/isolated/account"}
    asked = {path.removeprefix("api.binance.com/") for path in calls}
    spot = {f"api/v3/{name}" for name in ("time", "exchangeInfo", "account", "openOrders", "ticker/bookTicker")}
    assert asked - {"sapi/v1/account/apiRestrictions"} == spot | {f"sapi/v1/{name}" for name in wallets | books | flows}
