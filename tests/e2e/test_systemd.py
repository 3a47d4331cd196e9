"""What systemd hears: READY once there is a baseline, then the watchdog from the evaluation loop, then STOPPING."""

from __future__ import annotations

import signal
import socket

from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config, wait_for

KEYS = {"kraken": (DOCS_KEY, docs_secret())}


def test_ready_watchdog_status_and_stopping(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.directory / "notify"))
        manager.settimeout(30)
        heard: list[str] = []

        def hear(mark: str) -> bool:
            heard.append(manager.recv(4096).decode())
            return mark in heard[-1]

        documented_kraken.post(balances="html")
        daemon.start(NOTIFY_SOCKET=str(daemon.directory / "notify"))
        wait_for(lambda: hear("WATCHDOG=1"), "a sign of life without a baseline")
        assert not any("READY=1" in message for message in heard), "no baseline, no READY"
        documented_kraken.post(balances="ok")
        wait_for(lambda: hear("READY=1"), "READY with a baseline")
        wait_for(lambda: hear("gate open"), "a status that says so")
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: hear("STOPPING=1"), "STOPPING")
    assert daemon.exit_code() == 0
