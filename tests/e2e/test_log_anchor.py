"""A log that lost its end, or all of itself, is found: by `verify-log` and by the next start."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.state.event_log import EventLog
from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}


@pytest.fixture
def daemon(documented_kraken, daemon_for) -> Daemon:
    made: Daemon = daemon_for(kraken_config(documented_kraken.endpoint, settle='"0.1s"'), KEYS)
    assert made.command("init", "--yes").returncode == 0
    return made


def tripped(daemon: Daemon) -> Path:
    """The log after a halt that ended as it should."""
    daemon.start().wait_open()
    assert daemon.command("halt", "--reason", "to be hidden").returncode == 0
    assert daemon.exit_code() == 1
    assert verdict(daemon) == (0, "")
    return daemon.state / "events.jsonl"


def verdict(daemon: Daemon) -> tuple[int, str]:
    """The code and the problem that `verify-log` tells."""
    done = daemon.command("verify-log", "--json")
    return done.returncode, json.loads(done.stdout)["problem"] or ""


def cut_the_trip(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-4]))


def write_anew(path: Path) -> None:
    """As many lines, and every hash right."""
    count = len(path.read_bytes().splitlines())
    path.unlink()
    log = EventLog.open(path)
    for _ in range(count + 5):
        log.append(RiskEvent(EventName.CONFIGURATION_LOADED, {}), 1_795_186_681.0)
    log.close()


@pytest.mark.parametrize(
    ("damage", "says"),
    [(cut_the_trip, "4 more were written"), (Path.unlink, "the event log is gone, and"), (write_anew, "another log")],
)
def test_what_is_missing_is_found_at_once_and_after_the_next_start(
    daemon: Daemon, damage: Callable[[Path], None], says: str
) -> None:
    damage(tripped(daemon))
    found = daemon.command("verify-log")
    assert (found.returncode, says in found.stderr) == (78, True), found.stderr
    daemon.start()
    assert daemon.exit_code() == 1, "still triggered: a log that was cut keeps nobody from anything"
    assert "event_log_cut" in daemon.output()
    assert len(daemon.of("log_cut")) == 1
    code, problem = verdict(daemon)
    assert (code, problem.startswith("the log was cut before: 20")) == (78, True), problem
    assert daemon.command("verify-log", "--explained", "a drill").returncode == 0
    assert verdict(daemon) == (0, "")
    daemon.start()
    assert daemon.exit_code() == 1
    assert len(daemon.of("log_cut")) == 1, "told once"


def test_a_cut_log_does_not_keep_an_unproven_trip_from_its_end(daemon: Daemon, documented_kraken) -> None:
    daemon.start().wait_open()
    documented_kraken.post(listing="html")
    assert daemon.command("halt", "--reason", "x").returncode == 0
    daemon.wait_for("sweep_started")
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 4
    (daemon.state / "events.jsonl").unlink()
    documented_kraken.post(listing="ok")
    daemon.start()
    assert daemon.exit_code() == 1
    assert "event_log_cut" in daemon.output()


def test_a_kill_and_a_torn_line_are_no_cut(daemon: Daemon) -> None:
    """While it runs, after kill -9 at any moment, and with half a line at the end."""
    daemon.start().wait_open()
    wait_for(lambda: anchored(daemon) > 0, "an anchor of the running daemon")
    assert verdict(daemon) == (0, "")
    assert daemon.command("token", "create", "--role", "bot", "--name", "grid").returncode == 0
    daemon.wait_for("token_created")
    for _ in range(2):
        daemon.signal(signal.SIGKILL)
        daemon.exit_code()
        with (daemon.state / "events.jsonl").open("ab") as log:
            log.write(b'{"seq":')
        assert verdict(daemon) == (0, "")
        daemon.start().wait_open()
        assert daemon.of("log_cut") == []
    assert verdict(daemon) == (0, "")
    assert len(daemon.of("token_created")) == 1, "told once, by the guard that ran"
    daemon.wait_for("gate_opened", 2)


def anchored(daemon: Daemon) -> int:
    document = json.loads(daemon.command("verify-log", "--json").stdout)
    return 0 if document["anchor"] is None else int(document["anchor"]["seq"])


def test_the_proof_and_the_journal_hold_it_too(daemon: Daemon) -> None:
    tripped(daemon)
    last = daemon.events()[-1]
    assert last["event"] == "system_shutdown"
    assert last["hash"] in daemon.output(), "outside the state directory as well"
    document = json.loads(daemon.command("verify-log", "--json").stdout)
    assert document["anchor"] == {"seq": last["seq"], "hash": last["hash"]}


def test_a_log_without_a_state_beside_it_says_what_is_not_known(daemon: Daemon) -> None:
    tripped(daemon)
    for file in daemon.state.glob("state.db*"):
        file.unlink()
    done = daemon.command("verify-log")
    assert (done.returncode, "whether lines are missing at its end is not known" in done.stdout) == (0, True)
