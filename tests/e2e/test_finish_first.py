"""A trip that is not proven is finished first, whatever refuses the start: orders gone, proven, exit 1."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable

import pytest

from risk_daemon.client import TradingGate
from tests.e2e.harness import DOCS_KEY, ROOT, Daemon, Venue, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"', "cancel_deadline": '"20s"'}
ORDER = {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000}


@pytest.fixture
def killed(documented_kraken, daemon_for) -> tuple[Venue, Daemon]:
    """A daemon killed in a trip, while no listing could be read and an order was open."""
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    shutil.copytree(daemon.state, daemon.directory / "copy")
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(listing="empty_result")
    documented_kraken.post(price={"BTC": 42000})
    daemon.wait_for("sweep_started")
    wait_for(lambda: trip_of(daemon) != "None", "a lock file that names the trip")
    daemon.signal(signal.SIGKILL)
    assert daemon.exit_code() == -signal.SIGKILL
    documented_kraken.post(order=ORDER)
    documented_kraken.post(listing="ok")
    return documented_kraken, daemon


def rewrite(daemon: Daemon, old: str, new: str) -> None:
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new, 1))


def trip_of(daemon: Daemon) -> str:
    return str(json.loads((daemon.state / "lock.json").read_text())["trip_id"])


def finished(venue: Venue, daemon: Daemon, trip_id: str, told: str) -> None:
    """The next start empties the venue under the old trip's id, tells what is in its way, and ends with 1."""
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert venue.get()["open"] == {}
    assert daemon.of("venue_proven")[-1]["trip_id"] == trip_id
    assert daemon.of("system_shutdown")[-1]["exit_code"] == 1
    assert told in daemon.output()
    assert not TradingGate(daemon.state).is_open()


def refused_from_now_on(venue: Venue, daemon: Daemon, told: str) -> None:
    """What was proven stays so: the start is refused, and what a person places is left alone."""
    venue.post(order=ORDER)
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert told in daemon.output()
    assert len(venue.get()["open"]) == 1
    assert not TradingGate(daemon.state).is_open()


# --- the configuration and the machine ---------------------------------------------------------------


def test_the_port_of_the_api_is_taken(killed):
    venue, daemon = killed
    with socket.create_server(("127.0.0.1", 0)) as taken:
        rewrite(daemon, "127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}")
        finished(venue, daemon, trip_of(daemon), "can't be listened on")
        refused_from_now_on(venue, daemon, "can't be listened on")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("initial_capital = 10000", "initial_capital = 12000", "initial_capital is 12000, was 10000"),
        ("[circuit_breaker]", '[circuit_breaker]\nloss_threshold = "500%"', "loss_threshold"),
        ("[circuit_breaker]", "[circuit_breaker]\nloss_treshold = 0.05", "loss_treshold"),
        (
            'listen = "127.0.0.1:0"',
            'listen = "127.0.0.1:0"\ntls_certificate = "gone.pem"\ntls_key = "gone.key"',
            "gone.pem",
        ),
    ],
)
def test_a_setting_that_is_refused(killed, old, new, told):
    venue, daemon = killed
    rewrite(daemon, old, new)
    finished(venue, daemon, trip_of(daemon), told)
    refused_from_now_on(venue, daemon, told)


def test_a_limit_that_was_changed(killed):
    """Nothing is in the way: limits are no part of the state."""
    venue, daemon = killed
    rewrite(daemon, "[circuit_breaker]", '[circuit_breaker]\nloss_threshold = "50%"')
    finished(venue, daemon, trip_of(daemon), "system_shutdown")


def test_a_looser_configuration_that_no_warden_consented_to(killed):
    """What is refused is not used for the sweep either: the order goes although the file would keep it by now."""
    venue, daemon = killed
    (daemon.state / "wardens.json").write_text('{"format": 1, "wardens": [{"name": "alice"}]}')
    rewrite(daemon, "[circuit_breaker]", '[circuit_breaker]\nprotective_orders = "keep"\nloss_threshold = "50%"')
    finished(venue, daemon, trip_of(daemon), "loss_threshold 5 % -> 50 %")
    refused_from_now_on(venue, daemon, "have the wardens agree")


def test_another_key_of_the_account(killed):
    venue, daemon = killed
    venue.post(api_key="another-key")
    daemon.environment["RISK_DAEMON_KRAKEN_API_KEY"] = "another-key"
    finished(venue, daemon, trip_of(daemon), "kraken is another account")
    refused_from_now_on(venue, daemon, "kraken is another account")


def test_a_venue_that_is_new(killed, simulate):
    venue, daemon = killed
    other = simulate("krakenfutures")
    table = f'[venues.more]\nexchange = "krakenfutures"\nmarkets = ["perp"]\nendpoint = "{other.endpoint}"\n'
    rewrite(daemon, "[venues.kraken]", table + "[venues.kraken]")
    from adapters.simulated import API_KEY, API_SECRET

    daemon.environment |= {"RISK_DAEMON_MORE_API_KEY": API_KEY, "RISK_DAEMON_MORE_SECRET": API_SECRET}
    finished(venue, daemon, trip_of(daemon), "more is new")


def test_a_new_venue_without_keys_is_not_waited_for(killed):
    venue, daemon = killed
    rewrite(daemon, "[venues.kraken]", '[venues.more]\nexchange = "binance"\nmarkets = ["spot"]\n[venues.kraken]')
    finished(venue, daemon, trip_of(daemon), "venues.more: its api_key and secret are missing")


def test_a_venue_that_was_renamed(killed):
    venue, daemon = killed
    rewrite(daemon, "[venues.kraken]", "[venues.main]")
    daemon.environment |= {"RISK_DAEMON_MAIN_API_KEY": DOCS_KEY, "RISK_DAEMON_MAIN_SECRET": docs_secret()}
    finished(venue, daemon, trip_of(daemon), "main is new; kraken is gone")


def taken_out(venue: Venue, daemon: Daemon, simulate) -> None:
    """Another venue in the place of the trip's."""
    other = simulate("kraken")
    table = '[venues.{}]\nexchange = "kraken"\nmarkets = ["spot"]\nendpoint = "{}"'
    rewrite(daemon, table.format("kraken", venue.endpoint), table.format("other", other.endpoint))
    from adapters.simulated import API_KEY, API_SECRET

    daemon.environment |= {"RISK_DAEMON_OTHER_API_KEY": API_KEY, "RISK_DAEMON_OTHER_SECRET": API_SECRET}


def test_a_venue_that_was_taken_out_is_swept_as_it_was(killed, simulate):
    venue, daemon = killed
    taken_out(venue, daemon, simulate)
    finished(venue, daemon, trip_of(daemon), "kraken is gone")


def test_the_only_venue_that_was_taken_out_is_swept_as_it_was(killed):
    venue, daemon = killed
    table = f'[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nendpoint = "{venue.endpoint}"'
    rewrite(daemon, table, "")
    finished(venue, daemon, trip_of(daemon), "venues")


def test_a_venue_that_is_gone_with_its_keys_keeps_it_unproven_by_name(killed, simulate):
    venue, daemon = killed
    rewrite(daemon, 'cancel_deadline = "20s"', 'cancel_deadline = "3s"')
    taken_out(venue, daemon, simulate)
    del daemon.environment["RISK_DAEMON_KRAKEN_SECRET"]
    for _ in range(2):
        daemon.start()
        assert daemon.exit_code() == 4, daemon.output()
        told = [event["reason"] for event in daemon.of("venue_unproven") if event["venue"] == "kraken"]
        assert "venues.kraken: its secret is missing" in told[-1]


def test_no_venue_at_all_is_refused_and_names_the_trip(killed):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    del daemon.environment["RISK_DAEMON_KRAKEN_SECRET"]
    for name in ("gate.bin", "lock.json"):
        (daemon.state / name).unlink()
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert f"Trip {trip_id} is not proven" in daemon.output()
    assert "ORDERS MAY BE OPEN" in daemon.output()
    assert json.loads((daemon.state / "lock.json").read_text())["trip_id"] == trip_id
    assert len(venue.get()["open"]) == 1


def test_a_file_that_says_nothing_is_refused_and_names_the_trip(killed):
    _, daemon = killed
    trip_id = trip_of(daemon)
    rewrite(daemon, "[portfolio]", "[portfolio")
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert trip_id in daemon.output()
    assert "not valid TOML" in daemon.output()
    assert "ORDERS MAY BE OPEN" in daemon.output()
    assert not TradingGate(daemon.state).is_open()


# --- the state ---------------------------------------------------------------------------------------


def truncate(daemon: Daemon) -> None:
    path = daemon.state / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(path.read_bytes()[:6000])


def empty(daemon: Daemon) -> None:
    for path in daemon.state.glob("state.db*"):
        path.write_bytes(b"")


def delete(daemon: Daemon) -> None:
    for path in daemon.state.glob("state.db*"):
        path.unlink()


def garble(daemon: Daemon) -> None:
    for path in daemon.state.glob("state.db*"):
        path.write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize("harm", [truncate, empty, delete, garble])
def test_a_state_that_is_lost_is_set_aside_and_a_reset_starts_over(killed, harm: Callable[[Daemon], None]):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    harm(daemon)
    finished(venue, daemon, trip_id, "state.db")
    if harm is not delete:
        assert list(daemon.state.glob("state.db.aside-1")), "what was there is kept"
    refused_from_now_on(venue, daemon, f"the state was lost while trip {trip_id} was not proven")
    assert daemon.command("init", "--yes").returncode == 78
    assert daemon.command("reset", "--reason", "x", "--rebaseline", "keep", "--yes").returncode == 78
    done = daemon.command("reset", "--reason", "looked", "--rebaseline", "current", "--yes")
    assert done.returncode == 0, done.stderr
    daemon.start()
    daemon.wait_open()


def put_back(daemon: Daemon) -> None:
    delete(daemon)
    for path in (daemon.directory / "copy").glob("state.db*"):
        shutil.copy(path, daemon.state)


def lose_the_locks(daemon: Daemon) -> None:
    for name in ("gate.bin", "lock.json"):
        (daemon.state / name).unlink()


def lose_the_log(daemon: Daemon) -> None:
    (daemon.state / "events.jsonl").unlink()


@pytest.mark.parametrize("lost", [None, lose_the_locks, lose_the_log])
def test_an_older_state_with_any_witness_beside_it(killed, lost: Callable[[Daemon], None] | None):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    put_back(daemon)
    if lost is not None:
        lost(daemon)
    finished(venue, daemon, trip_id, "system_shutdown")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert "still_triggered" in daemon.output()


@pytest.mark.parametrize("lost", [lose_the_locks, lose_the_log])
def test_no_state_and_one_witness(killed, lost: Callable[[Daemon], None]):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    delete(daemon)
    lost(daemon)
    finished(venue, daemon, trip_id, "state.db")


def test_a_log_that_is_deleted(killed):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    lose_the_log(daemon)
    finished(venue, daemon, trip_id, "system_shutdown")


def test_a_damaged_log_beside_a_refusal(killed):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    log = daemon.state / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-40] + b"garbage" * 5 + b"\n")
    rewrite(daemon, "initial_capital = 10000", "initial_capital = 12000")
    finished(venue, daemon, trip_id, "event_log_set_aside")


def test_what_is_remembered_of_the_accounts_is_left_as_it_is(killed):
    venue, daemon = killed
    before = documents(daemon)
    rewrite(daemon, "initial_capital = 10000", "initial_capital = 12000")
    finished(venue, daemon, trip_of(daemon), "initial_capital")
    after = documents(daemon)
    # Killed between the log's line and the state's, the lock of before may not be there yet.
    assert before.pop("lock").get("proven", False) is False
    assert after.pop("lock")["proven"] is True
    assert after == before


def documents(daemon: Daemon) -> dict:
    with sqlite3.connect(daemon.state / "state.db") as connection:
        return {key: json.loads(body) for key, body in connection.execute("SELECT key, body FROM document")}


def test_killed_while_finishing(killed):
    """kill -9 in the finishing, with the state set aside already; the next start goes on."""
    venue, daemon = killed
    trip_id = trip_of(daemon)
    garble(daemon)
    venue.post(listing="empty_result")
    for number in (2, 3):
        daemon.start()
        daemon.wait_for("sweep_started", count=number)
        daemon.signal(signal.SIGKILL)
        assert daemon.exit_code() == -signal.SIGKILL
    venue.post(listing="ok")
    finished(venue, daemon, trip_id, "the state was lost")
    refused_from_now_on(venue, daemon, "the state was lost")


# --- init and a first start --------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [lose_the_locks, lose_the_log])
def test_init_refuses_while_a_witness_tells_of_the_trip(killed, lost: Callable[[Daemon], None]):
    venue, daemon = killed
    trip_id = trip_of(daemon)
    delete(daemon)
    lost(daemon)
    done = daemon.command("init", "--yes")
    assert done.returncode == 78
    assert trip_id in done.stderr
    assert not (daemon.state / "state.db").exists()
    finished(venue, daemon, trip_id, "state.db")


def test_a_first_start_of_simulated_venues_refuses_what_a_witness_tells_of(daemon_for):
    daemon = daemon_for(
        '[portfolio]\ninitial_capital = "auto"\n[circuit_breaker]\nsettle = "300ms"\norder_flight = "500ms"\n'
        '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n',
        {},
    )
    daemon.start()
    daemon.wait_open()
    assert daemon.command("halt", "--reason", "enough").returncode == 0
    assert daemon.exit_code() == 1, daemon.output()
    delete(daemon)
    lose_the_locks(daemon)
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert "which nobody has reset" in daemon.output()


def test_a_refusal_without_a_trip_is_a_refusal(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    daemon.start()
    assert daemon.exit_code() == 78
    assert "finishing" not in daemon.output()
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=ORDER)
    rewrite(daemon, "initial_capital = 10000", "initial_capital = 12000")
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert len(documented_kraken.get()["open"]) == 1


def test_the_gate_stays_shut_while_it_is_finished(killed):
    venue, daemon = killed
    venue.post(listing="empty_result")
    rewrite(daemon, "initial_capital = 10000", "initial_capital = 12000")
    gate = TradingGate(daemon.state)
    daemon.start()
    daemon.wait_for("sweep_started", count=2)
    assert (gate.is_open(), gate.reason()) == (False, "capital_loss")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 4, daemon.output()
    venue.post(listing="ok")
    wait_for(lambda: not gate.is_open(), "a shut gate")
    finished(venue, daemon, trip_of(daemon), "initial_capital")


def test_a_state_of_format_2_is_finished_before_it_is_migrated(daemon_for):
    daemon = daemon_for(
        '[portfolio]\ninitial_capital = "auto"\n[circuit_breaker]\nsettle = "300ms"\norder_flight = "500ms"\n'
        '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n',
        {},
    )
    daemon.state.mkdir(mode=0o700)
    with sqlite3.connect(daemon.state / "state.db") as connection:
        connection.executescript((ROOT / "tests" / "fixtures" / "format-2-unproven.sql").read_text())
    trip_id = documents(daemon)["lock"]["trip_id"]
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert daemon.of("venue_proven")[-1]["trip_id"] == trip_id
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert "is of format 2, this risk-daemon writes 3: run `risk-daemon migrate`" in daemon.output()
    done = daemon.command("migrate")
    assert done.returncode == 0, done.stderr
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert "still_triggered" in daemon.output()
