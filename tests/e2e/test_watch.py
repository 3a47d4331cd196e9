"""The second process tells within 10 s what the guard can't tell itself: whole processes, a real receiver."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.e2e.wardens import Warden, glass
from tests.receivers.http import status
from tests.receivers.webhook import SECRET, WebhookReceiver

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
WITHIN_S = 10.0
PLANT = """
import os, sys, importlib.abc
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "risk_daemon.app.service":
            sys.meta_path.remove(self)
            from risk_daemon.engine.engine import Engine
            process = Engine.process
            def broken(self, event, now):
                if os.path.exists(os.environ["PLANTED_FUSE"]):
                    raise ZeroDivisionError("planted")
                return process(self, event, now)
            Engine.process = broken
        return None
sys.meta_path.insert(0, Finder())
"""


class Watch:
    """`risk-daemon watch` beside a daemon, and who hears of it. It has no keys of any venue."""

    def __init__(self, daemon: Daemon, receiver: WebhookReceiver, directory: Path) -> None:
        self.receiver = receiver
        self.directory = directory
        self.log = (daemon.directory / "watch.txt").open("wb")
        kept = {key: text for key, text in daemon.environment.items() if "KRAKEN" not in key}
        options = ["--config", str(daemon.config), "--directory", str(directory)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "risk_daemon", "watch", *options],
            env=kept | {"RISK_DAEMON_ALERTS_PAGER_SECRET": SECRET},
            cwd=daemon.directory,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def told(self, event: str) -> list[Mapping[str, Any]]:
        return [body for body in self.receiver.alerts if body["event_type"] == event]

    def wait_told(self, event: str, since: float, is_so: Callable[[Mapping[str, Any]], bool] = bool) -> str:
        """The sentence of the first that fits, which must come within 10 s of `since` (monotonic)."""

        def found() -> list[Mapping[str, Any]]:
            return [body for body in self.told(event) if is_so(body)]

        body = wait_for(found, f"{event}; told was {[one['event_type'] for one in self.receiver.alerts]}")[0]
        took = next(request.at for request in self.receiver.taken if request.content == body)
        assert took - since <= WITHIN_S, f"{event} came after {took - since:.1f} s"
        return str(body["summary"])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()


def is_over(body: Mapping[str, Any]) -> bool:
    return body["details"].get("over") is True


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as found:
        yield found


@pytest.fixture
def watched(documented_kraken, daemon_for, receiver) -> Iterator[Callable[..., tuple[Daemon, Watch]]]:
    """A daemon that guards, and a watch that has looked at it."""
    with ExitStack() as stack:

        def begin(state: Path | None = None, environment: Mapping[str, str] | None = None, **breaker: str):
            config = kraken_config(documented_kraken.endpoint, **breaker) + (
                f'[alerts.channels.pager]\nkind = "webhook"\nurl = "{receiver.url}"\nallow = ["127.0.0.1"]\n'
            )
            daemon = daemon_for(config + (f'[state]\ndir = "{state}"\n' if state else ""), KEYS)
            daemon.environment["RISK_DAEMON_ALERTS_PAGER_SECRET"] = SECRET
            done = daemon.command("init", "--yes")
            assert done.returncode == 0, done.stderr
            daemon.start(**(environment or {}))
            risk = (state or daemon.state) / "risk.json"
            wait_for(lambda: b'"locked":false' in read_if_there(risk), "an open gate")
            watch = Watch(daemon, receiver, (state.parent if state else daemon.directory) / "watch")
            stack.callback(watch.close)
            wait_for(lambda: (watch.directory / "alerts.json").exists(), "a watch that looks")
            return daemon, watch

        yield begin


def read_if_there(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def monotonic_of(line: Mapping[str, Any]) -> float:
    """When a line was written, as `time.monotonic` has it."""
    return time.monotonic() - (time.time() - datetime.fromisoformat(line["time"]).timestamp())


def last_word(daemon: Daemon) -> float:
    return monotonic_of(daemon.of("system_shutdown")[-1])


# --- how a guard ends ----------------------------------------------------------------------------------


def test_kill_9_is_told_within_ten_seconds_and_that_it_is_back(watched):
    daemon, watch = watched()
    since = time.monotonic()
    daemon.signal(signal.SIGKILL)
    assert "it was killed, or it hangs" in watch.wait_told("guard_silent", since)
    assert daemon.exit_code() == -signal.SIGKILL
    daemon.start()
    wait_for(lambda: [body for body in watch.told("guard_silent") if is_over(body)], "that it is back")
    assert watch.process.poll() is None


@pytest.mark.long
def test_sigstop_is_told_within_ten_seconds(watched):
    daemon, watch = watched()
    since = time.monotonic()
    daemon.signal(signal.SIGSTOP)
    try:
        assert "hangs" in watch.wait_told("guard_silent", since)
    finally:
        daemon.signal(signal.SIGCONT)
    wait_for(lambda: [body for body in watch.told("guard_silent") if is_over(body)], "that it is back")


@pytest.mark.long
def test_exit_4_is_told_within_ten_seconds(watched, documented_kraken):
    daemon, watch = watched(settle='"300ms"', order_flight='"500ms"', cancel_deadline='"3s"')
    documented_kraken.post(listing="empty_result")
    documented_kraken.post(price={"BTC": 42000})
    assert daemon.exit_code() == 4, daemon.output()
    assert "ORDERS MAY BE OPEN" in watch.wait_told("guard_ended", last_word(daemon))
    (body,) = watch.told("guard_ended")
    assert body["trip_id"] == daemon.of("system_shutdown")[-1]["trip_id"]


@pytest.mark.long
def test_exit_70_is_told_within_ten_seconds(watched, tmp_path):
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sitecustomize.py").write_text(PLANT)
    fuse = tmp_path / "fuse"
    daemon, watch = watched(environment={"PYTHONPATH": str(tmp_path / "planted"), "PLANTED_FUSE": str(fuse)})
    since = time.monotonic()
    fuse.touch()
    assert daemon.exit_code() == 70, daemon.output()
    assert "exit code 70" in watch.wait_told("guard_ended", since)


@pytest.mark.long
def test_a_clean_stop_is_told_as_one(watched):
    daemon, watch = watched()
    since = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0, daemon.output()
    assert "was stopped (exit code 0)" in watch.wait_told("guard_silent", since)
    assert watch.told("guard_ended") == []


@pytest.mark.long
def test_a_start_that_is_refused_is_told_within_ten_seconds_and_again_by_a_watch_that_starts_then(watched, receiver):
    """A restart after an edit: the stop was a clean one, and the same file would keep the watch from starting."""
    daemon, watch = watched()
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0, daemon.output()
    daemon.config.write_text(daemon.config.read_text() + "[odd]\n")
    assert daemon.start().exit_code() == 78
    assert "REFUSED A START" in watch.wait_told("guard_ended", last_word(daemon))
    (body,) = watch.told("guard_ended")
    assert body["severity"] == "critical"
    assert "odd: this key is not known" in body["summary"]
    watch.close()
    again = Watch(daemon, receiver, watch.directory)
    try:
        wait_for(lambda: again.told("guard_configuration_refused"), "a watch with the last good configuration")
    finally:
        again.close()


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may break the glass")
def test_what_is_done_without_a_guard_by_whoever_has_no_channel_is_told_by_the_watch(watched):
    """The secrets of channels are the guard's and the watch's; a shell of root's has none."""
    daemon, watch = watched()
    Warden("alice").put(daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.exit_code() == 0, daemon.output()
    del daemon.environment["RISK_DAEMON_ALERTS_PAGER_SECRET"]
    done = glass(daemon)
    assert done.returncode == 0, done.stderr
    assert "its secret is missing" in done.stderr
    watch.wait_told("break_glass_begun", monotonic_of(daemon.of("break_glass_begun")[-1]))
    (body,) = watch.told("break_glass_begun")
    assert body["severity"] == "critical"


@pytest.mark.long
def test_a_loop_of_restarts_is_told(watched):
    daemon, watch = watched()
    for _ in range(2):
        daemon.signal(signal.SIGKILL)
        daemon.exit_code()
        started = len(daemon.of("configuration_loaded"))
        daemon.start()
        third = daemon.wait_for("configuration_loaded", started + 1)
    assert "again and again" in watch.wait_told("guard_restarting", monotonic_of(third))


@pytest.mark.long
def test_a_trip_is_gone_on_with_when_its_guard_has_ended_until_somebody_acknowledges_it(watched, documented_kraken):
    daemon, watch = watched(settle='"300ms"', order_flight='"500ms"')
    documented_kraken.post(price={"BTC": 42000})
    assert daemon.exit_code() == 1, daemon.output()

    def from_here() -> list[Mapping[str, Any]]:
        told = watch.told("circuit_breaker_triggered")
        return [body for body in told if body["details"].get("told_by") == "watch"]

    (body,) = wait_for(from_here, "the trip, from the watch", within_s=120)
    assert body["trip_id"] == daemon.of("circuit_breaker_triggered")[0]["trip_id"]
    assert "has ended since" in body["summary"]
    done = daemon.command("alerts", "ack")
    assert done.returncode == 0, done.stderr

    def who_heard() -> str | None:
        kept = json.loads((watch.directory / "alerts.json").read_text())
        return kept["routing"]["standing"]["who"]

    wait_for(who_heard, "the watch to know that somebody heard")


# --- what a guard can't tell -----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, with 160 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here: it takes root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_told_within_ten_seconds(watched, small_disk):
    """The watch keeps what it owes on the same disk: that must not keep it from telling."""
    daemon, watch = watched(state=small_disk / "var")
    since = time.monotonic()
    with (small_disk / "ballast").open("wb") as ballast:
        found = os.statvfs(small_disk)
        os.posix_fallocate(ballast.fileno(), 0, found.f_bavail * found.f_frsize)
    assert "is full" in watch.wait_told("disk_full", since)
    watch.wait_told("guard_not_writing", since)
    (small_disk / "ballast").unlink()
    wait_for(lambda: [body for body in watch.told("disk_full") if is_over(body)], "that there is room again")
    assert daemon.is_running()


@pytest.mark.long
def test_alerts_of_the_guard_that_fail_are_told_within_ten_seconds(watched, documented_kraken, receiver):
    daemon, watch = watched()
    receiver.answering = status(503)
    documented_kraken.post(price={"BTC": 46000})
    daemon.wait_for("alert_failed")
    since = time.monotonic()
    wait_for(lambda: "guard_alerts_failing" in (daemon.directory / "watch.txt").read_text(), "the watch to see it")
    assert time.monotonic() - since <= WITHIN_S
    receiver.answering = None
    wait_for(lambda: watch.told("guard_alerts_failing"), "that it is told")


# --- the process itself ----------------------------------------------------------------------------------
@pytest.mark.long
def test_two_watches_can_not_share_a_directory_and_a_stop_is_clean(watched):
    daemon, watch = watched()
    second = daemon.command("watch", "--directory", str(watch.directory))
    assert second.returncode == 78
    assert "owns this state directory" in second.stderr
    watch.process.terminate()
    assert watch.process.wait() == 0


def test_without_a_channel_nobody_would_be_told_so_it_is_refused(daemon_for):
    daemon = daemon_for(kraken_config("http://127.0.0.1:9"), {})
    (daemon.directory / "var").mkdir()
    done = daemon.command("watch")
    assert done.returncode == 78
    assert "add a table [alerts.channels.NAME]" in done.stderr
