"""Loosening a limit in config.toml takes a warden, once one is enrolled; tightening it takes nobody."""

from __future__ import annotations

import signal

from risk_daemon.client import TradingGate
from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
DRAWDOWN = '\n[breakers.drawdown]\nlimit = "{}"\n'


def set_limit(daemon: Daemon, old: str, new: str) -> None:
    daemon.config.write_text(daemon.config.read_text().replace(DRAWDOWN.format(old), DRAWDOWN.format(new)))


def guards(daemon: Daemon) -> None:
    daemon.start()
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0, daemon.output()


def refuses(daemon: Daemon, told: str) -> None:
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert told in daemon.output()
    assert not TradingGate(daemon.state).is_open()


def test_loosening_takes_a_warden_and_tightening_takes_nobody(documented_kraken, daemon_for):
    config = kraken_config(documented_kraken.endpoint, loss_threshold='"50%"') + DRAWDOWN.format("10%")
    daemon = daemon_for(config, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    set_limit(daemon, "10%", "15%")
    guards(daemon)
    (loaded,) = daemon.of("configuration_loaded")
    assert loaded["looser"] == ["drawdown 10 % -> 15 %"]
    (daemon.state / "wardens.json").write_text('{"format": 1, "wardens": [{"name": "alice"}]}')
    set_limit(daemon, "15%", "20%")
    refuses(daemon, "drawdown 15 % -> 20 %")
    set_limit(daemon, "20%", "12%")
    guards(daemon)
    set_limit(daemon, "12%", "15%")
    refuses(daemon, "drawdown 12 % -> 15 %")
    checked = daemon.command("check")
    assert checked.returncode == 78
    assert "drawdown 12 % -> 15 %" in " ".join(checked.stdout.split())
