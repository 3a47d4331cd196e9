"""The whole process with its state on a server: what is shut, what trips all the same, what outlives the machine."""

from __future__ import annotations

import shutil
import signal
import time

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for
from tests.postgres import Database

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}


def stored_in(database: Database, endpoint: str) -> str:
    return f'{kraken_config(endpoint, **QUICK)}\n[state]\nstore = "{database.address}"\n'


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


@pytest.mark.long
def test_a_new_machine_goes_on_from_the_server_and_nothing_is_lost(
    documented_kraken, daemon_for, own_postgres, tmp_path
):
    own = Database(own_postgres, has_tables=False)
    daemon = daemon_for(stored_in(own, documented_kraken.endpoint), KEYS)
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
