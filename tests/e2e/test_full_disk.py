"""The whole process with its state on a server whose disk is full to the last byte: shut, trips, forgets nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator

import pytest

from risk_daemon.client import TradingGate
from tests.answers import Answers, asked
from tests.e2e.harness import DOCS_KEY, Daemon, Venue, docs_secret, kraken_config, wait_for
from tests.namespaces import needed
from tests.postgres import Database, Server

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}
DISK_MB = 120
FULL_FOR_S = 10.0
"""For so long it stays full once the gate is shut: several saves, and longer than every lease."""

CLOSED_WITHIN_S = 0.25


@pytest.fixture
def small() -> Iterator[Server]:
    """A server on a small disk."""
    with needed(lambda: Server(disk_mb=DISK_MB, settings=Server.ROOM_WHEN_WRITTEN)) as server:
        yield server.start()


def here(daemon: Daemon) -> dict[str, object]:
    with sqlite3.connect(daemon.state / "state.db") as connection:
        return {key: json.loads(body) for key, body in connection.execute("SELECT key, body FROM document")}


def there(database: Database) -> dict[str, object]:
    return {key: json.loads(body) for key, body in database.documents().items()}


def stays_shut(gate: Answers, since: float, until: float) -> None:
    """Not for a moment was it open from when it was first found shut after `since`."""
    shut = gate.first_shut(since, until)
    assert shut is not None
    opened = gate.last_open(shut, until)
    assert opened is None, f"found open {opened - shut:.2f} s after it was shut"
    assert len(gate.between(shut, until)) > 1, "nobody looked"


@pytest.mark.long
def test_a_full_disk_shuts_and_a_trip_goes_on_and_nothing_is_lost(documented_kraken, daemon_for, small):
    database = Database(small)
    store = f'\n[state]\nstore = "{database.address}"\n'
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK) + store, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=ORDER)
    daemon.start()
    daemon.wait_open()

    with asked(TradingGate(daemon.state).is_open) as gate:
        wait_for(gate.now, "an open gate")
        _is_shut_while_it_is_full(daemon, database, gate)
        _trips_while_it_is_full(daemon, database, gate, documented_kraken)
    assert there(database) == here(daemon)


def _is_shut_while_it_is_full(daemon: Daemon, database: Database, gate: Answers) -> None:
    began = time.monotonic()
    database.server.fill_up()
    told = daemon.wait_for("store_unwritable")
    wait_for(lambda: daemon.risk().get("locked") is True, "a shut gate")
    assert "PostgreSQL" in told["error"]
    shut = wait_for(lambda: gate.first_shut(began, time.monotonic()), "a shut gate for bots")
    wait_for(lambda: gate.last_at() > shut + FULL_FOR_S, "the time to pass")
    stays_shut(gate, began, time.monotonic())
    database.server.come_back()
    daemon.wait_for("store_writable")
    wait_for(gate.now, "an open gate")
    assert not daemon.of("store_behind"), "the server had what it had acknowledged"


def _trips_while_it_is_full(daemon: Daemon, database: Database, gate: Answers, venue: Venue) -> None:
    database.server.fill_up()
    lost = time.monotonic()
    venue.post(price={"BTC": 42000})
    trip_id = daemon.wait_for("circuit_breaker_triggered")["trip_id"]
    assert daemon.exit_code() == 1, daemon.output()
    assert venue.get()["open"] == {}
    assert here(daemon)["lock"]["trip_id"] == trip_id
    shut = gate.first_shut(lost, time.monotonic())
    assert shut is not None
    assert shut - lost <= CLOSED_WITHIN_S, "a loss shuts at once"
    database.server.come_back()
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    stays_shut(gate, lost, time.monotonic())
