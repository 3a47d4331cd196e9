"""kill -9 at the worst moment, start again, start once more, reset."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import suppress

import pytest

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}


def order(volume=0.01):
    return {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": volume, "price": 30000}


@pytest.fixture
def killed(documented_kraken, daemon_for):
    """A daemon killed right after `circuit_breaker_triggered`, while its listings were answered with garbage."""
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=order())
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(listing="empty_result")
    documented_kraken.post(price={"BTC": 42000})
    daemon.wait_for("circuit_breaker_triggered")
    daemon.signal(signal.SIGKILL)
    assert daemon.exit_code() == -signal.SIGKILL
    return documented_kraken, daemon


def reset(daemon, rebaseline):
    return daemon.command("reset", "--reason", "looked at it", "--rebaseline", rebaseline, "--yes")


@pytest.mark.long
def test_resumes_proves_and_then_leaves_new_orders_alone(killed):
    venue, daemon = killed
    trip_id = daemon.of("circuit_breaker_triggered")[0]["trip_id"]
    assert reset(daemon, "current").returncode != 0, "a reset before the proof must be refused"
    venue.post(order=order())
    daemon.start()
    daemon.wait_for("sweep_started", count=2)
    assert reset(daemon, "current").returncode != 0, "a reset before the proof must be refused"
    venue.post(listing="ok")
    assert daemon.exit_code() == 1, daemon.output()
    assert venue.get()["open"] == {}
    assert daemon.of("venue_proven")[-1]["trip_id"] == trip_id

    venue.post(order=order(0.02))
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert len(venue.get()["open"]) == 1, "an order placed since the proof is a person's"
    assert "reset" in daemon.output()

    assert reset(daemon, "keep").returncode != 0, "kept baselines would breach at once"
    done = reset(daemon, "current")
    assert done.returncode == 0, done.stderr
    assert len(venue.get()["open"]) == 1
    daemon.start()
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0, daemon.output()
    assert len(venue.get()["open"]) == 1
    assert daemon.command("verify-log").returncode == 0


def test_a_damaged_log_does_not_keep_an_unproven_trip_from_being_finished(killed):
    venue, daemon = killed
    venue.post(listing="ok")
    log = daemon.state / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-40] + b"garbage" * 5 + b"\n")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert venue.get()["open"] == {}
    assert list(daemon.state.glob("events.jsonl.damaged-*"))
    assert daemon.command("verify-log").returncode == 78, (
        "the new one lacks what was set aside, until that is explained"
    )
    assert daemon.command("verify-log", "--explained", "set aside").returncode == 0


def test_sigterm_cancels_nothing_and_exits_0(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=order())
    daemon.start()
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    assert len(documented_kraken.get()["open"]) == 1
    assert daemon.of("system_shutdown")[-1]["exit_code"] == 0


def test_sigterm_during_a_trip_exits_4(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(listing="hang")
    documented_kraken.post(price={"BTC": 42000})
    daemon.wait_for("sweep_started")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 4, daemon.output()


def test_a_halt_by_an_operator_trips(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    documented_kraken.post(order=order())
    daemon.start()
    daemon.wait_open()
    halt = daemon.command("halt", "--reason", "flash crash")
    assert halt.returncode == 0, halt.stderr
    assert daemon.exit_code() == 1, daemon.output()
    assert daemon.of("manual_halt")[0]["reason"] == "flash crash"
    wait_for(lambda: documented_kraken.get()["open"] == {}, "an empty book")
    told = last_known(daemon)
    assert (told["lock"]["proven"], told["venues"]["kraken"]["proven"]) == (True, True)

    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    again = last_known(daemon)
    assert again["time"] > told["time"]
    for kept in ("since", "proven_at", "trip_id", "proven"):
        assert again["lock"][kept] == told["lock"][kept], kept
    assert again["last_sweep"] == told["last_sweep"]
    assert again["venues"]["kraken"]["proven"] is True


def last_known(daemon):
    return json.loads(daemon.command("status", "--json").stdout)["last_known"]


def test_cancel_all_works_with_no_daemon(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    documented_kraken.post(order=order())
    done = daemon.command("cancel-all")
    assert done.returncode == 0, done.stderr
    assert documented_kraken.get()["open"] == {}


def test_a_service_manager_that_reads_nothing_keeps_no_trip_from_its_proof(documented_kraken, daemon_for, tmp_path):
    """systemd may hang, or stand still for ever after an error of its own: its socket fills up within seconds."""
    path = tmp_path / "notify"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as us,
    ):
        deaf.bind(str(path))
        us.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                us.sendto(b"X=1", str(path))
        daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
        assert daemon.command("init", "--yes").returncode == 0
        daemon.start(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="10000000")
        daemon.wait_open()
        documented_kraken.post(price={"BTC": 43000})
        assert daemon.exit_code() == 1, daemon.output()
