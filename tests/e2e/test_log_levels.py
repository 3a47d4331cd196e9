"""The lines of a running guard, as systemd and a person at a terminal get them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}


def ready(venue, daemon_for) -> Daemon:
    daemon = daemon_for(kraken_config(venue.endpoint), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    return daemon


def test_a_trip_is_critical_in_the_journal(documented_kraken, daemon_for):
    """`journalctl -p crit` shows it: systemd takes the priority from the line."""
    daemon = ready(documented_kraken, daemon_for)
    path = daemon.directory / "stderr1.txt"
    path.touch()
    status = path.stat()
    daemon.start(JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    daemon.wait_open()
    documented_kraken.post(price={"BTC": 43000})
    assert daemon.exit_code() == 1, daemon.output()
    lines = daemon.output().splitlines()
    assert all(line.startswith("<") and line[2] == ">" for line in lines), lines
    priorities = {json.loads(line[3:])["event"]: int(line[1]) for line in lines}
    assert priorities["circuit_breaker_triggered"] == 2
    assert priorities["breaker_tripped"] <= 3
    assert priorities["system_shutdown"] == 2
    assert priorities["venue_connected"] == 6


def test_on_a_terminal_a_person_hears_when_the_gate_opens_and_where_it_listens(documented_kraken, daemon_for):
    daemon = ready(documented_kraken, daemon_for)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon", "run", "--config", str(daemon.config)],
        env=daemon.environment,
        cwd=daemon.directory,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = bytearray()

    def hears(words: str) -> bool:
        if words.encode() not in said:
            try:
                said.extend(os.read(ours, 4096))
            except OSError:
                assert words.encode() in said, said.decode()
        return words.encode() in said

    try:
        wait_for(lambda: hears("guarding kraken; bots ask at http://127.0.0.1:"), "where it listens")
        wait_for(lambda: hears("Ctrl-C"), "how it ends")
        wait_for(lambda: hears("the gate is OPEN"), "the open gate")
        documented_kraken.post(key="revoked")
        wait_for(lambda: hears("the gate is SHUT (unlistable:kraken)"), "the shut gate")
        process.send_signal(signal.SIGINT)
        wait_for(lambda: process.poll() is not None, "its end")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
