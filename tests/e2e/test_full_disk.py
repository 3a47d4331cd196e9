"""The whole process with its state on a server whose disk is full to the last byte: shut, trips, forgets nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.namespaces import needed
from tests.postgres import Database, Server

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}
DISK_MB = 120


@pytest.fixture
def small() -> Iterator[Server]:
    """A server on a small disk, whose log takes room when it is written, and not before."""
    settings = ("wal_init_zero = off", "wal_recycle = off")
    with needed(lambda: Server(disk_mb=DISK_MB, settings=settings)) as server:
        yield server.start()


def here(daemon: Daemon) -> dict[str, object]:
    with sqlite3.connect(daemon.state / "state.db") as connection:
        return {key: json.loads(body) for key, body in connection.execute("SELECT key, body FROM document")}


def there(database: Database) -> dict[str, object]:
    return {key: json.loads(body) for key, body in database.documents().items()}


def fills_up(database: Database) -> None:
    """Not a byte is left, neither on the disk nor in the piece of the log that is being written."""
    disk = database.server.disk
    assert disk is not None
    database.execute("SELECT pg_switch_wal()")
    disk.fill()


def takes_no_write(database: Database) -> bool:
    """Be it that it refuses, or that nobody is there any more."""
    try:
        database.execute("CREATE TABLE something AS SELECT 1")
    except Exception:  # of the server, of the client or of the network
        return True
    return False


def comes_back(server: Server) -> None:
    """As its operator does: room, and the server again where it gave up."""
    assert server.disk is not None
    server.disk.make_room()
    server.kill()
    server.start()


@pytest.mark.long
def test_a_full_disk_shuts_and_a_trip_goes_on_and_nothing_is_lost(documented_kraken, daemon_for, small):
    database = Database(small)
    store = f'\n[state]\nstore = "{database.address}"\n'
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK) + store, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=ORDER)
    daemon.start()
    daemon.wait_open()

    fills_up(database)
    told = daemon.wait_for("store_unwritable")
    wait_for(lambda: daemon.risk().get("locked") is True, "a shut gate")
    assert takes_no_write(database)
    assert "PostgreSQL" in told["error"]
    comes_back(small)
    daemon.wait_for("store_writable")
    daemon.wait_open()
    assert not daemon.of("store_behind"), "the server had what it had acknowledged"

    fills_up(database)
    documented_kraken.post(price={"BTC": 42000})
    trip_id = daemon.wait_for("circuit_breaker_triggered")["trip_id"]
    assert daemon.exit_code() == 1, daemon.output()
    assert documented_kraken.get()["open"] == {}
    assert here(daemon)["lock"]["trip_id"] == trip_id
    assert takes_no_write(database)
    comes_back(small)
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert there(database) == here(daemon)
