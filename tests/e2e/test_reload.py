"""A running daemon takes another configuration whole, or refuses it whole; what is stricter acts at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
DRAWDOWN = '\n[breakers.drawdown]\nlimit = "{}"\naction = "trip"\n'


def edit(daemon: Daemon, old: str, new: str) -> None:
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new))


def kept(daemon: Daemon) -> dict[str, object]:
    """The settings that the event log says are in force, by key, as the last change has them."""
    found: dict[str, object] = {}
    for line in daemon.of("configuration_reloaded"):
        found |= {row["key"]: row["new"] for row in line["changes"]}
    return found


@pytest.mark.long
def test_a_stricter_limit_by_sighup_trips_and_a_looser_one_takes_a_warden(documented_kraken, daemon_for):
    config = kraken_config(documented_kraken.endpoint, loss_threshold='"50%"') + DRAWDOWN.format("30%")
    daemon = daemon_for(config, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()

    edit(daemon, '"30%"', '"40%"')
    daemon.signal(signal.SIGHUP)
    loosened = daemon.wait_for("configuration_reloaded")
    assert loosened["looser"] == ["drawdown 30 % -> 40 %"]
    (daemon.state / "wardens.json").write_text('{"format": 1, "wardens": [{"name": "alice"}]}')
    edit(daemon, '"40%"', '"45%"')
    refused = daemon.command("reload")
    assert refused.returncode == 78, refused
    assert "drawdown 40 % -> 45 %" in refused.stderr
    assert "stays in force" in refused.stderr
    daemon.wait_for("reload_refused")
    daemon.signal(signal.SIGHUP)
    assert "drawdown 40 % -> 45 %" in daemon.wait_for("reload_refused", 2)["reason"]

    edit(daemon, '"45%"', '"20%"')
    checked = daemon.command("reload", "--check", "--json")
    assert checked.returncode == 0, checked
    planned = json.loads(checked.stdout)
    assert (planned["taken"], planned["looser"], planned["acts_at_once"]) == (False, [], [])
    assert planned["changes"] == [{"key": "breakers.drawdown.limit", "old": "40 %", "new": "20 %"}]
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("configuration_reloaded", 2)
    assert daemon.risk()["locked"] is False
    assert kept(daemon) == {"breakers.drawdown.limit": "20 %"}

    documented_kraken.post(price={"BTC": 22_000})
    assert daemon.exit_code() == 1, daemon.output()
    (trip,) = daemon.of("circuit_breaker_triggered")
    assert trip["breaker"] == "drawdown"
    assert 0.2 in trip["limits"].values()


@pytest.mark.long
def test_killed_right_after_it_the_next_start_has_what_was_taken(documented_kraken, daemon_for):
    """What is stricter is not lost, and what is looser than that does not slip in behind the wardens."""
    config = kraken_config(documented_kraken.endpoint, loss_threshold='"50%"') + DRAWDOWN.format("30%")
    daemon = daemon_for(config, KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    (daemon.state / "wardens.json").write_text('{"format": 1, "wardens": [{"name": "alice"}]}')
    edit(daemon, '"30%"', '"20%"')
    taken = daemon.command("reload", "--yes")
    assert taken.returncode == 0, taken
    assert "breakers.drawdown.limit" in taken.stdout
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    edit(daemon, '"20%"', '"25%"')
    daemon.start()
    assert daemon.exit_code() == 78, daemon.output()
    assert "drawdown 20 % -> 25 %" in daemon.output()
    edit(daemon, '"25%"', '"20%"')
    daemon.start()
    wait_for(lambda: daemon.is_running() and daemon.risk().get("locked") is False, daemon.output)


@pytest.mark.long
def test_a_pipe_in_place_of_the_file_is_refused_each_time_and_costs_nothing(documented_kraken, daemon_for):
    """Opened and waited for, each would have kept a thread for good."""
    daemon = daemon_for(kraken_config(documented_kraken.endpoint, loss_threshold='"50%"'), KEYS)
    assert daemon.command("init", "--yes").returncode == 0
    daemon.start()
    daemon.wait_open()
    text = daemon.config.read_text()
    daemon.config.unlink()
    os.mkfifo(daemon.config)
    asked = daemon.command("reload")
    assert (asked.returncode, "it is no regular file" in asked.stderr) == (78, True), asked
    threads = thread_count(daemon)
    for count in (1, 2, 3):
        daemon.signal(signal.SIGHUP)
        assert "it is no regular file" in daemon.wait_for("reload_refused", count)["reason"]
    wait_for(lambda: thread_count(daemon) <= threads, daemon.output)
    daemon.config.unlink()
    daemon.config.write_text(text.replace('"50%"', '"40%"'))
    taken = daemon.command("reload", "--yes")
    assert taken.returncode == 0, taken


def thread_count(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir()))
