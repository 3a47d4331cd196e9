"""The whole process with its state on a server: what is shut, what trips all the same, what outlives the machine."""

from __future__ import annotations

import time

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.postgres import Database

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}


def stored_in(database: Database, endpoint: str) -> str:
    return f'{kraken_config(endpoint, **QUICK)}\n[state]\nstore = "{database.address}"\n'


def shut_by_the_store(daemon: Daemon) -> bool:
    return "the state can't be saved: PostgreSQL at" in daemon.command("status").stdout.replace("\n", " ")


@pytest.mark.long
def test_a_trip_takes_no_longer_while_the_server_is_frozen(documented_kraken, daemon_for, own_postgres):
    own = Database(own_postgres)
    daemon = daemon_for(stored_in(own, documented_kraken.endpoint), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=ORDER)
    own_postgres.kill()
    daemon.start()
    daemon.wait_for("store_unwritable")
    wait_for(lambda: daemon.risk().get("baseline") != "", "a first reading")
    assert daemon.risk().get("locked", True) is True
    own_postgres.start()
    daemon.wait_for("store_writable")
    daemon.wait_open()
    wait_for(lambda: "baselines" in own.documents(), "the state on the server")

    own_postgres.freeze()
    began = time.monotonic()
    daemon.wait_for("store_unwritable", count=2)
    assert time.monotonic() - began < 8, "the gate shuts within seconds"
    wait_for(lambda: daemon.risk().get("locked") is True, "a shut gate")
    status = " ".join(daemon.command("status").stdout.split())
    assert "PostgreSQL" in status, status
    documented_kraken.post(price={"BTC": 42000})
    daemon.wait_for("circuit_breaker_triggered")
    began = time.monotonic()
    assert daemon.exit_code() == 1, daemon.output()
    assert time.monotonic() - began < 10
    assert documented_kraken.get()["open"] == {}
