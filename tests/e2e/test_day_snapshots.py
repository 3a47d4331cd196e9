"""A guard tells a real PostgreSQL of its account through the day, and the loss of the day is asked there without it."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for
from tests.postgres import Database

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
DAILY = '[breakers.daily_loss]\nlimit = "4%"\naction = "veto"\n'

pytestmark = pytest.mark.long


def guarded(documented_kraken, daemon_for, address):
    config = kraken_config(documented_kraken.endpoint) + f'{DAILY}[state]\nstore = "{address}"\n'
    daemon = daemon_for(config, KEYS)
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    daemon.start()
    daemon.wait_open()
    return daemon


def worths(database):
    rows = database.execute("SELECT current_equity AS worth FROM daily_pnl_snapshots ORDER BY snapshot_time")
    return [float(row["worth"]) for row in rows]


def asked(daemon):
    done = daemon.command("check-drawdown", "--store", "--json")
    return done.returncode, json.loads(done.stdout)


def test_through_the_day_on_a_trip_and_when_the_guard_is_gone(documented_kraken, daemon_for, postgres):
    database = Database(postgres)
    daemon = guarded(documented_kraken, daemon_for, database.address)
    wait_for(lambda: worths(database), "a first snapshot")
    code, loss = asked(daemon)
    assert (code, loss["known"], loss["daily_loss_ratio"], loss["limit"]) == (0, True, 0.0, 0.04)
    documented_kraken.post(price={"BTC": 45500})  # 6,000 + 0.08 x 45,500 = 9,640: -3.6 %
    wait_for(lambda: worths(database)[-1] == 9_640, "what moved, within ten seconds", within_s=15)
    documented_kraken.post(price={"BTC": 43000})  # 9,440: -5.6 %
    assert daemon.exit_code() == 1, daemon.output()
    assert worths(database)[-1] == 9_440
    code, loss = asked(daemon)
    assert (code, loss["known"], loss["breached"], loss["daily_loss"]) == (0, True, True, "560")
    assert loss["daily_loss_ratio"] == pytest.approx(0.056)
    [account] = loss["accounts"]
    assert (account["guard"], account["venue"], account["equity"]) == ("main", "kraken", "9440")
    database.execute("UPDATE daily_pnl_snapshots SET snapshot_time = snapshot_time - interval '10 minutes'")
    code, loss = asked(daemon)
    assert (code, loss["known"], loss["daily_loss_ratio"]) == (78, False, None)
    assert "is its guard running" in loss["unknown"][0]


def test_a_server_that_stands_still_delays_no_trip_and_makes_no_loss_smaller(
    documented_kraken, daemon_for, own_postgres
):
    database = Database(own_postgres)
    daemon = guarded(documented_kraken, daemon_for, database.address)
    wait_for(lambda: worths(database), "a first snapshot")
    own_postgres.freeze()
    documented_kraken.post(price={"BTC": 49500})
    daemon.wait_for("snapshots_unwritable", within_s=30)
    documented_kraken.post(price={"BTC": 43000})
    daemon.wait_for("circuit_breaker_triggered")
    began = time.monotonic()
    assert daemon.exit_code() == 1, daemon.output()
    assert time.monotonic() - began < 20
    code, loss = asked(daemon)
    assert (code, loss["known"], loss["daily_loss_ratio"]) == (78, False, None)
    assert "does not answer" in loss["unknown"][0]
