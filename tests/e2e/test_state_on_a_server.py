"""The whole process with its state on a server: what is shut, what trips all the same, what outlives the machine."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import time
from decimal import Decimal

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for
from tests.postgres import Database
from tests.standby import pair

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}


def stored_in(address: str, endpoint: str) -> str:
    return f'{kraken_config(endpoint, **QUICK)}\n[state]\nstore = "{address}"\n'


def peak_in(documents: dict[str, str]) -> Decimal:
    """The highest equity that is written down there; 0: none is."""
    peaks = json.loads(documents.get("baselines", '{"peaks": []}'))["peaks"]
    return max((Decimal(value) for _, value in peaks), default=Decimal(0))


def here(daemon) -> dict[str, str]:
    """The documents in its directory."""
    with sqlite3.connect(daemon.state / "state.db") as connection:
        return dict(connection.execute("SELECT key, body FROM document"))


@pytest.mark.long
def test_a_trip_takes_no_longer_while_the_server_is_frozen(documented_kraken, daemon_for, own_postgres):
    own = Database(own_postgres)
    daemon = daemon_for(stored_in(own.address, documented_kraken.endpoint), KEYS)
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


@pytest.mark.long
def test_a_new_machine_goes_on_from_the_server_and_nothing_is_lost(
    documented_kraken, daemon_for, own_postgres, tmp_path
):
    own = Database(own_postgres, has_tables=False)
    daemon = daemon_for(stored_in(own.address, documented_kraken.endpoint), KEYS)
    made = daemon.command("migrate")
    assert made.returncode == 0, made.stderr
    assert "migrated 0001_state" in made.stdout
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=ORDER)
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(listing="empty_result")
    documented_kraken.post(price={"BTC": 42000})
    trip_id = daemon.wait_for("circuit_breaker_triggered")["trip_id"]
    wait_for(lambda: trip_id in own.documents().get("lock", ""), "the latch on the server")
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    own_postgres.kill()
    shutil.rmtree(daemon.state)
    own_postgres.start()
    before = own.documents()

    anew = daemon.command("init", "--yes")
    assert anew.returncode == 78, anew.stderr
    assert "go on from it with `init --from-store`" in " ".join(anew.stderr.split())
    early = daemon.command("init", "--from-store", "--yes")
    own.is_left_alone()
    done = daemon.command("init", "--from-store", "--yes")
    assert (early.returncode, done.returncode) == (78, 0), early.stderr + done.stderr
    assert "stop it there" in early.stderr
    assert f"Trip {trip_id} is not proven" in " ".join(done.stdout.split())
    documented_kraken.post(listing="ok")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert documented_kraken.get()["open"] == {}
    assert daemon.of("venue_proven")[-1]["trip_id"] == trip_id
    assert before.keys() <= own.documents().keys() | {"log_anchor", "log_removed"}

    again = daemon.command("reset", "--reason", "looked at it", "--rebaseline", "current", "--yes")
    assert again.returncode == 0, again.stderr
    daemon.start()
    wait_for(lambda: daemon.risk().get("lock", {}).get("cause") == "manual_halt", lambda: f"a halt: {daemon.risk()}")
    released = daemon.command("release", "--everything", "--reason", "looked at the accounts")
    assert released.returncode == 0, released.stderr
    daemon.wait_open()


@pytest.mark.long
def test_a_standby_that_is_promoted_is_gone_on_with_and_its_older_state_is_not_believed(documented_kraken, daemon_for):
    with pair() as servers:
        daemon = daemon_for(stored_in(servers.address, documented_kraken.endpoint), KEYS)
        assert daemon.command("init", "--yes").returncode == 0
        documented_kraken.post(order=ORDER)
        daemon.start()
        daemon.wait_open()
        first = wait_for(lambda: peak_in(servers.on_standby.documents()), "the state on the standby")
        asyncio.run(servers.standby.stop_receiving())
        documented_kraken.post(price={"BTC": 51000})
        wait_for(lambda: peak_in(servers.on_primary.documents()) > first, "what the standby does not hear of")
        second = peak_in(here(daemon))

        servers.primary.kill()
        daemon.wait_for("store_unwritable")
        wait_for(lambda: daemon.risk()["locked"] is True, "a shut gate")
        documented_kraken.post(price={"BTC": 52000})
        wait_for(lambda: peak_in(here(daemon)) > second, "what no server hears of")
        before, name = servers.standby.visits(servers.on_primary.name), servers.on_primary.name
        wait_for(lambda: servers.standby.visits(name) >= before + 3, "looks at a standby")
        assert peak_in(servers.on_standby.documents()) == first
        assert daemon.risk()["locked"] is True
        assert daemon.of("store_writable") == []

        servers.standby.promote()
        daemon.wait_for("store_behind")
        daemon.wait_for("store_writable")
        daemon.wait_open()
        assert peak_in(here(daemon)) > second, "what is older there was not believed"
        wait_for(lambda: peak_in(servers.on_standby.documents()) == peak_in(here(daemon)), "all of it there")
        documented_kraken.post(price={"BTC": 42000})
        assert daemon.exit_code() == 1, daemon.output()
        trip_id = daemon.of("circuit_breaker_triggered")[0]["trip_id"]
        assert trip_id in servers.on_standby.documents()["lock"]
        assert documented_kraken.get()["open"] == {}
