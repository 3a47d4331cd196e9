"""What ends the process, and with which code; the gate is shut whatever it was."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from risk_daemon import __main__ as entry
from risk_daemon.client import TradingGate
from tests.e2e.harness import DOCS_KEY, docs_secret, kraken_config

KEYS = {"kraken": (DOCS_KEY, docs_secret())}

PLANT_IN_ENGINE = """
import os
def plant():
    from risk_daemon.engine.engine import Engine
    process, fuse = Engine.process, os.environ["PLANTED_FUSE"]
    def broken(self, event, now):
        if os.path.exists(fuse):
            raise ZeroDivisionError("planted")
        return process(self, event, now)
    Engine.process = broken
import sys, importlib.abc
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "risk_daemon.app.service":
            sys.meta_path.remove(self)
            plant()
        return None
sys.meta_path.insert(0, Finder())
"""

PLANT_IN_IMPORT = """
import os, sys, importlib.abc
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["PLANTED_MODULE"]:
            raise ImportError("planted")
        return None
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def daemon(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    return daemon


def plant(daemon, code):
    folder = daemon.directory / "planted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


def test_an_exception_in_the_engine_exits_70_with_the_lock_shut(daemon):
    fuse = daemon.directory / "fuse"
    daemon.start(**plant(daemon, PLANT_IN_ENGINE), PLANTED_FUSE=str(fuse))
    daemon.wait_open()
    gate = TradingGate(daemon.state)
    assert gate.is_open()
    fuse.touch()
    assert daemon.exit_code() == 70, daemon.output()
    assert not gate.is_open()
    assert "planted" in daemon.output()


MODULES = (
    "risk_daemon.errors", "risk_daemon.cli", "risk_daemon.config.load", "risk_daemon.engine.engine",
    "risk_daemon.app.service", "oms.proof", "adapters.venues.kraken", "ccxt.pro", "structlog", "aiohttp",
    "websockets",
)  # fmt: skip


@pytest.mark.long
def test_an_import_error_exits_70_with_the_lock_shut(daemon):
    environment = plant(daemon, PLANT_IN_IMPORT)
    for module in MODULES:
        daemon.start(**environment, PLANTED_MODULE=module)
        assert daemon.exit_code() == 70, (module, daemon.output())
        assert not TradingGate(daemon.state).is_open(), module


@pytest.fixture
def refused(daemon_for):
    """What is refused for its configuration never gets as far as its state, or a venue."""
    return daemon_for(kraken_config("http://127.0.0.1:9"), KEYS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[circuit_breaker]", "[circuit_breaker]\nlos_threshold = 0.05"), "los_threshold"),
        (("[circuit_breaker]", "[circuit_breaker]\nloss_threshold = 5"), "loss_threshold"),
        (("[circuit_breaker]", '[circuit_breaker]\nwarning_threshold = "9%"'), "warning_threshold"),
        (('exchange = "kraken"', 'exchange = "krakn"'), "krakn"),
        (('"spot"', '"spot"]\napi_key = ["x"'), "api_key"),
        (("127.0.0.1", "10.0.0.1"), "endpoint"),
    ],
)
def test_a_typo_exits_78_and_starts_nothing(refused, change, said, monkeypatch, capsys):
    """The command in this process: that 78 reaches the shell is seen with a missing file."""
    refused.config.write_text(refused.config.read_text().replace(*change))
    monkeypatch.setattr(os, "environ", refused.environment)
    monkeypatch.setattr(sys, "argv", ["risk-daemon", "run", "--config", str(refused.config)])
    assert entry.main() == 78
    assert said in capsys.readouterr().err
    assert not refused.state.exists()


def test_a_missing_config_exits_78(refused):
    refused.config.unlink()
    refused.start()
    assert refused.exit_code() == 78
    assert "config.toml" in refused.output()


def test_a_first_run_without_init_exits_78_with_the_hint(documented_kraken, daemon_for):
    daemon = daemon_for(kraken_config(documented_kraken.endpoint), KEYS)
    daemon.start()
    assert daemon.exit_code() == 78
    assert "risk-daemon init" in daemon.output()


def test_the_state_of_another_account_exits_78(daemon):
    daemon.environment["RISK_DAEMON_KRAKEN_API_KEY"] = "another"
    daemon.start()
    assert daemon.exit_code() == 78
    assert "another account" in daemon.output()


@pytest.mark.long
def test_a_torn_last_line_is_tolerated_and_said(daemon):
    events = daemon.state / "events.jsonl"
    daemon.start()
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    with events.open("ab") as file:
        file.write(b'{"seq":99,"time":"2026-')
    daemon.start()
    daemon.wait_for("venue_connected", count=2)
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0, daemon.output()
    assert "event_log_torn" in daemon.output()
    assert daemon.command("verify-log").returncode == 0


@pytest.mark.long
def test_a_corrupt_event_log_exits_78_and_verify_log_names_the_line(daemon):
    events = daemon.state / "events.jsonl"
    daemon.start()
    daemon.wait_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
    lines = events.read_bytes().split(b"\n")
    lines[-2] = lines[-2].replace(b'"exit_code":0', b'"exit_code":1')
    events.write_bytes(b"\n".join(lines))
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert "events.jsonl" in daemon.output()
    verified = daemon.command("verify-log")
    assert verified.returncode == 78
    assert f"{len(lines) - 1}" in verified.stdout + verified.stderr


def test_an_unwritable_state_directory_exits_78(documented_kraken, daemon_for):
    config = kraken_config(documented_kraken.endpoint) + '[state]\ndir = "/proc/nowhere"\n'
    daemon = daemon_for(config, KEYS)
    init = daemon.command("init", "--yes")
    assert init.returncode == 78
    assert "/proc/nowhere" in init.stderr
    daemon.start()
    assert daemon.exit_code() == 78


def test_a_second_daemon_on_the_same_state_is_refused_and_harms_nothing(daemon):
    daemon.start()
    daemon.wait_open()
    second = daemon.command("run")
    assert second.returncode == 78
    assert "owns this state directory" in second.stderr
    assert TradingGate(daemon.state).is_open()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0
