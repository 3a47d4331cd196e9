"""What an attacker got through once: each with the fault that let it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess

import pytest

from risk_daemon.client import TradingGate
from tests.e2e.harness import DOCS_KEY, docs_secret, http, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}


@pytest.fixture
def daemon(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
    init = daemon.command("init", "--yes")
    assert init.returncode == 0, init.stderr
    return daemon


@pytest.mark.parametrize("amount", [5000, -3000])
def test_a_flow_between_init_and_the_first_run_is_a_flow(documented_kraken, daemon, amount):
    kind = "deposit" if amount > 0 else "withdrawal"
    documented_kraken.post(entry={"type": kind, "asset": "USDT", "amount": amount, "effect": True})
    daemon.start()
    flow = daemon.wait_for("flow_detected")
    assert float(flow["value"]) == amount
    daemon.wait_open()
    assert abs(daemon.of("portfolio_update")[-1]["loss_ratio"]) < 0.001
    documented_kraken.post(price={"BTC": 38000})  # 960 of 15,000 or of 7,000: -6.4 % or -13.7 %
    assert daemon.exit_code() == 1, daemon.output()


def trip(documented_kraken, daemon):
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(price={"BTC": 42000})
    assert daemon.exit_code() == 1, daemon.output()
    documented_kraken.post(price={"BTC": 50000})


def test_init_does_not_forget_a_trip_whose_state_is_gone(documented_kraken, daemon):
    trip(documented_kraken, daemon)
    for file in daemon.state.glob("state.db*"):
        file.unlink()
    for _ in range(2):
        init = daemon.command("init", "--yes")
        assert init.returncode == 78, init.stdout
        assert "trip" in init.stderr


def test_a_trip_that_only_the_lock_files_know_is_resumed(documented_kraken, daemon):
    kept = {file.name: file.read_bytes() for file in daemon.state.glob("state.db*")}
    trip(documented_kraken, daemon)
    for file in daemon.state.glob("state.db*"):
        file.unlink()
    for name, data in kept.items():
        (daemon.state / name).write_bytes(data)
    (daemon.state / "events.jsonl").unlink()  # it would tell of the proof
    documented_kraken.post(order={"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": 30000})
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert len(daemon.of("sweep_started")) == 1
    assert documented_kraken.get()["open"] == {}


@pytest.mark.parametrize("mode", ["huge", "odd"])
def test_an_absurd_number_is_unknown_and_no_bug(documented_kraken, daemon, mode):
    daemon.start()
    daemon.wait_open()
    documented_kraken.post(balances=mode)
    documented_kraken.post(price={"BTC": 42000})  # asks for all to be read again
    daemon.wait_for("venue_lost")
    documented_kraken.post(balances="ok")
    assert daemon.exit_code() == 1, daemon.output()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_shuts_the_gate_and_forgets_no_trip(documented_kraken, daemon):
    daemon.config.write_text(daemon.config.read_text().replace("[data]", 'cancel_deadline = "5s"\n[data]', 1))
    daemon.start()
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    kept = {file.name: file.read_bytes() for file in daemon.state.iterdir() if file.is_file()}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", str(daemon.state)], check=True)
    try:
        for name, data in kept.items():
            (daemon.state / name).write_bytes(data)
        daemon.start()
        gate = TradingGate(daemon.state)
        wait_for(gate.is_open, "an open gate")
        filler = daemon.state / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 1024)
        wait_for(lambda: not gate.is_open(), "a gate shut for want of a store")
        documented_kraken.post(price={"BTC": 42000})
        wait_for(lambda: gate.reason() == "capital_loss", "the trip")
        daemon.signal(signal.SIGKILL)
        daemon.exit_code()
        daemon.start()  # still full: whatever that ends with, the lock files must not forget
        assert daemon.exit_code() in (4, 70, 78), daemon.output()
        assert not gate.is_open()
        filler.unlink()
        documented_kraken.post(price={"BTC": 50000})
        daemon.start()
        assert daemon.exit_code() == 1, daemon.output()
    finally:
        daemon.close()
        subprocess.run(["umount", "-l", str(daemon.state)], check=True)


def test_300_half_open_connections_keep_neither_bot_nor_operator_out(daemon):
    """As one without a token made them: no byte, or half a header, and more as they are hung up on."""
    daemon.start()
    daemon.wait_open()
    address = daemon.of("api_listening")[0]["address"]
    host, _, port = address.rpartition(":")
    bot, operator = (
        daemon.command("token", "create", "--role", role).stdout.split()[-1] for role in ("bot", "operator")
    )
    gate = TradingGate(daemon.state, f"http://{address}", bot)
    order = {"venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "quantity": "0.001", "price": "49000"}
    with contextlib.ExitStack() as idle:
        for number in range(300):
            attacker = idle.enter_context(socket.create_connection((host, int(port))))
            attacker.sendall(b"" if number % 2 else b"GET /livez HTTP/1.1\r\nHost: loc")
            if number % 50 == 0:
                assert gate.check(**order), f"after {number} connections"
        assert gate.check(**order)
        told = json.loads(daemon.command("status", "--json").stdout)["turned_away"]
        assert told["crowded"] + told["silent"] >= 200
        stopped = http("POST", f"http://{address}/api/v1/halt", {"reason": "under attack"}, operator)
        assert stopped["accepted"] is True
        assert daemon.exit_code() == 1, daemon.output()
    assert "Traceback" not in daemon.output()
    assert "callers_turned_away" in daemon.output()
