"""What `check` says of alerts: who hears, and who would not. Servers are real."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.app.alert_findings import alert_findings
from risk_daemon.app.findings import Level
from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ExitCode
from tests.receivers.webhook import SECRET, WebhookReceiver

BASE = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
)
LOCAL = 'allow = ["127.0.0.1"]\n'


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    for name in ("A", "B"):
        monkeypatch.setenv(f"RISK_DAEMON_ALERTS_{name}_SECRET", SECRET)


def hook(name: str, url: str, *more: str) -> str:
    return f'[alerts.channels.{name}]\nkind = "webhook"\nurl = "{url}"\n{LOCAL}' + "".join(f"{row}\n" for row in more)


async def found(tmp_path: Path, *tables: str) -> dict[Level, list[str]]:
    """By level, each as `subject: sentence`."""
    path = tmp_path / "config.toml"
    path.write_text(BASE + "".join(tables))
    told: dict[Level, list[str]] = {level: [] for level in Level}
    for finding in await alert_findings(load_config(path)):
        told[finding.level].append(f"{finding.subject}: {finding.sentence}")
        assert (finding.exit_code is ExitCode.REFUSED) is (finding.level is Level.PROBLEM)
    return told


async def test_without_a_channel_nobody_is_told(tmp_path: Path) -> None:
    told = await found(tmp_path)
    assert told[Level.WARNING] == ["alerts: OFF: nobody is told when something happens; see docs/alerts.md"]


async def test_who_is_there_is_connected_to_and_sent_nothing(tmp_path: Path) -> None:
    with WebhookReceiver() as one:
        told = await found(tmp_path, hook("a", one.url, "escalation = true"))
        assert told[Level.OK] == ["a: webhook, warning and above; its server takes connections"]
        assert (told[Level.WARNING], told[Level.PROBLEM], told[Level.NOTE]) == ([], [], [])
        assert one.requests == []


async def test_who_is_not_there_is_named(tmp_path: Path) -> None:
    with WebhookReceiver() as one:
        url = one.url
        one.shut()
        told = await found(tmp_path, hook("a", url))
    (why,) = told[Level.WARNING]
    assert why.startswith("a: this channel would not be heard now: 127.0.0.1:")


async def test_what_may_not_be_called_or_has_no_secret_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RISK_DAEMON_ALERTS_B_SECRET")
    elsewhere = hook("a", "https://hooks.example.org/x")
    told = await found(tmp_path, elsewhere, hook("b", "http://127.0.0.1:1/"))
    assert "a: " in told[Level.PROBLEM][0]
    assert "hooks.example.org is not in allow" in told[Level.PROBLEM][0]
    assert "its secret is missing" in told[Level.PROBLEM][1]


async def test_a_channel_that_leaves_trips_out_is_named(tmp_path: Path) -> None:
    only = 'events = ["venue_lost"]'
    with WebhookReceiver() as one:
        told = await found(tmp_path, hook("a", one.url, only), hook("b", one.url))
        assert told[Level.WARNING] == ["a: this channel would not hear of a trip: its events leave it out"]
        told = await found(tmp_path, hook("a", one.url, only), hook("b", one.url, only, "escalation = true"))
        assert told[Level.WARNING][0] == "alerts: NOBODY HEARS OF A TRIP: the events of every channel leave it out"
        assert "b: this channel hears of a trip only when nobody acknowledges it" in told[Level.NOTE]


async def test_heartbeats_that_go_nowhere_are_named(tmp_path: Path) -> None:
    with WebhookReceiver() as one:
        beating = '[alerts]\nheartbeat_every = "1m"\n'
        told = await found(tmp_path, beating, hook("a", one.url))
        assert told[Level.WARNING] == ["alerts: a heartbeat every 60s goes to nobody: no channel has heartbeat = true"]
        told = await found(tmp_path, hook("a", one.url, "heartbeat = true"))
        assert told[Level.WARNING] == ['alerts: heartbeat = true does nothing: heartbeat_every is "off"']
