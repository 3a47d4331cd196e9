"""The drill as a user runs it, on venues that obey and on one that does not; and the dry run on a live account."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.errors import UsageError
from risk_daemon.rehearsal import demo, drill
from risk_daemon.rehearsal.rehearsal import PARTS, Desk, Rehearsal
from tests.e2e.harness import Venue, simulated
from tests.receivers.http import status
from tests.receivers.webhook import SECRET, WebhookReceiver

TIMEOUT_S = 240
QUICK = demo.config_of().replace("[circuit_breaker]", '[circuit_breaker]\nsettle = "200ms"\norder_flight = "300ms"')
STEPS = {
    "baseline",
    "breach",
    "gate",
    "books.kraken",
    "books.krakenfutures",
    "exit",
    "log",
    "lock.file",
    "lock.gate",
    "lock.bots",
    "restart",
    "reset",
    "guarding_again",
}


def written(directory: Path, text: str = QUICK) -> Path:
    file = directory / "config.toml"
    file.write_text(text)
    return file


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    file = written(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon", "simulate-breach", "--config", str(file), "--json"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["passed"] is True
    assert set(found["steps"]) == STEPS
    phases = found["phases"]
    assert 0 <= phases["gate_shut_s"] <= phases["first_cancel_s"] <= phases["last_venue_proven_s"]
    assert phases["last_venue_proven_s"] <= phases["joint_proof_s"]
    assert names_in(tmp_path) == ["config.toml"], "the real state is never made"


def by_history(directory: Path, day: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon", "simulate-breach", "--history", day, "--json"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=written(directory).parent,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.mark.long
def test_a_real_crash_trips_and_ends_with_1(tmp_path: Path) -> None:
    code, found = by_history(tmp_path, "2025-02")
    assert (code, found["passed"]) == (0, True)
    assert set(found["steps"]) == STEPS
    assert found["steps"]["exit"].startswith("exit code 1")


@pytest.mark.long
def test_a_calm_day_trips_nothing_and_says_so(tmp_path: Path) -> None:
    code, found = by_history(tmp_path, "2024-06-calm")
    assert (code, found["failed"]) == (4, ["breach"])
    assert "2024-06-calm trips nothing" in found["steps"]["breach"]
    assert set(found["steps"]) == {"baseline", "breach"}
    assert names_in(tmp_path) == ["config.toml"], "there is nothing to look into"


def with_channels(*found: WebhookReceiver) -> str:
    tables = (
        f'[alerts.channels.c{number}]\nkind = "webhook"\nurl = "{one.url}"\nallow = ["127.0.0.1"]\n'
        for number, one in enumerate(found)
    )
    return QUICK + "".join(tables)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[WebhookReceiver, WebhookReceiver]]:
    """Receivers whose channels are c0 and c1; the second is out of order."""
    for number in (0, 1):
        monkeypatch.setenv(f"RISK_DAEMON_ALERTS_C{number}_SECRET", SECRET)
    with WebhookReceiver() as good, WebhookReceiver() as bad:
        bad.answering = status(404, "gone")
        yield good, bad


@pytest.mark.long
async def test_people_are_told_that_it_is_a_drill_and_a_channel_that_does_not_deliver_fails_it(
    tmp_path: Path, two: tuple[WebhookReceiver, WebhookReceiver]
) -> None:
    found = await drill.simulate_breach(load_config(written(tmp_path, with_channels(*two))))
    assert found["failed"] == ["alerts.c1"]
    assert found["steps"]["alerts.c0"].startswith("told of the trip: 204")
    assert found["steps"]["alerts.c1"].startswith("FAILED: told of the trip: 404")
    assert found["trip_id"] in two[0].ids
    assert {body["strategy_name"] for body in two[0].alerts} == {"risk-daemon (drill)"}


async def test_the_dry_run_sends_a_test_through_every_channel_unless_it_is_told_not_to(
    tmp_path: Path, two: tuple[WebhookReceiver, WebhookReceiver]
) -> None:
    settings = load_config(written(tmp_path, with_channels(*two)))
    found = await drill.simulate_breach(settings, dry_run=True)
    assert found["failed"] == ["alerts.c1"]
    assert [body["event_type"] for body in two[0].alerts] == ["test"]
    silent = await drill.simulate_breach(settings, dry_run=True, with_alerts=False)
    assert silent["passed"] is True
    assert len(two[0].requests) == len(two[1].requests) == 1


async def test_a_venue_that_does_not_cancel_fails_the_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that did not happen are not called passed, and what was left behind is kept."""

    def set_up_and_break(desk: Desk) -> None:
        set_up(desk)
        if desk.venue == "kraken":
            desk.call("POST", "fault", {"how": "ack_without_cancel"})

    set_up = Desk.set_up
    monkeypatch.setattr(Desk, "set_up", set_up_and_break)
    text = QUICK.replace("[circuit_breaker]", '[circuit_breaker]\ncancel_deadline = "2s"')
    found = await drill.simulate_breach(load_config(written(tmp_path, text)))
    assert found["passed"] is False
    assert found["failed"] == ["books.kraken", "exit"]
    assert found["phases"]["joint_proof_s"] is None
    assert "reset" not in found["steps"]
    assert (Path(found["state_kept_in"]) / "state" / "events.jsonl").exists()


async def test_it_never_plays_on_a_live_venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rehearsal, "play", None)
    live = QUICK.replace('markets = ["perp"]\nsimulated = true', 'markets = ["perp"]\nsandbox = true')
    with pytest.raises(UsageError, match=r"not done on live venues \(krakenfutures\)"):
        await drill.simulate_breach(load_config(written(tmp_path, live)))


# --- the dry run -------------------------------------------------------------------------------------


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Venue]:
    """A live account, as far as the daemon can tell: reached by an endpoint, with keys."""
    venue = simulated("kraken")
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_API_KEY", API_KEY)
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_SECRET", API_SECRET)
    for order in PARTS["kraken"].orders:
        venue.post("/order", **order)
    yield venue
    venue.kill()


def live_settings(directory: Path, venue: Venue) -> Settings:
    text = QUICK[: QUICK.index("[venues.krakenfutures]")].replace("simulated = true", f'endpoint = "{venue.endpoint}"')
    return load_config(written(directory, text))


async def test_a_dry_run_reads_everything_and_cancels_nothing(account: Venue, tmp_path: Path) -> None:
    found = await drill.simulate_breach(live_settings(tmp_path, account), dry_run=True)
    truth = account.get("/state")
    assert found["passed"] is True, found
    assert "would be cancelled: account 4" in found["steps"]["orders.kraken"]
    assert "equity 6000 USDT" in found["steps"]["value"]
    assert {"connect_read_value", "kraken.connect", "kraken.list_account_first"} <= set(found["seconds"])
    assert truth["open_order_count"] == 4
    assert "cancel" not in truth["calls"]
    assert names_in(tmp_path) == ["config.toml"]


@pytest.mark.parametrize("how", ["html", "empty_object", "500"])
async def test_a_dry_run_believes_no_odd_listing(account: Venue, tmp_path: Path, how: str) -> None:
    account.post("/fault", how=how, target="open_orders")
    found = await drill.simulate_breach(live_settings(tmp_path, account), dry_run=True)
    assert found["passed"] is False
    assert "orders.kraken" in found["failed"]


async def test_a_dry_run_says_what_can_not_be_valued(account: Venue, tmp_path: Path) -> None:
    account.post("/fault", how="html", target="balances")
    found = await drill.simulate_breach(live_settings(tmp_path, account), dry_run=True)
    assert found["passed"] is False
    assert "value" in found["failed"]
