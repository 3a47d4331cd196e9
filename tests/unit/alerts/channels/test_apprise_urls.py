"""Apprise, to a receiver of its JSON and to a face of PagerDuty."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from risk_daemon.alerts.alert import Severity
from risk_daemon.alerts.channels.base import AppriseSettings
from risk_daemon.errors import ConfigError
from tests.receivers.apprise_faces import AppriseJson, PagerDuty, Slack
from tests.receivers.http import hanging, status
from tests.unit.alerts.channels.worlds import ODD, PAYLOAD, TRIP, channel_of, told

HEADLINE = "CRITICAL momentum: Drawdown reached 10.2 % of 10 %: everything is cancelled."


@pytest.fixture
def receiver() -> Iterator[AppriseJson]:
    with AppriseJson() as receiver:
        yield receiver


def settings_of(receiver: AppriseJson, **changed: Any) -> AppriseSettings:
    return replace(AppriseSettings(name="chat", url=receiver.apprise_url, allow=("127.0.0.1",)), **changed)


@pytest.mark.parametrize(
    ("severity", "kind"), [(Severity.INFO, "info"), (Severity.WARNING, "warning"), (Severity.CRITICAL, "failure")]
)
async def test_the_service_has_the_whole_alert(receiver: AppriseJson, severity: Severity, kind: str) -> None:
    assert (await told(settings_of(receiver), replace(TRIP, severity=severity))).delivered
    (request,) = receiver.taken
    assert request.content["type"] == kind
    assert request.content["title"].endswith("everything is cancelled.")
    assert "observed: 0.102" in request.content["message"]


async def test_pagerduty_opens_an_incident() -> None:
    with PagerDuty() as face, face.called():
        attempted = await told(AppriseSettings(name="pager", url=face.apprise_url))
        assert attempted.delivered, attempted
        (request,) = face.taken
    assert request.content["payload"]["severity"] == "critical"
    assert HEADLINE in request.content["payload"]["summary"]


async def test_slack_has_it_in_its_channel() -> None:
    with Slack() as face, face.called():
        attempted = await told(AppriseSettings(name="chat", url=face.apprise_url))
        assert attempted.delivered, attempted
        (request,) = face.taken
    assert HEADLINE in request.body.decode()
    assert "observed: 0.102" in request.body.decode()


async def test_whatever_a_venue_said_arrives_and_no_longer_than_the_service_takes() -> None:
    with PagerDuty() as face, face.called():
        attempted = await told(AppriseSettings(name="pager", url=face.apprise_url), ODD)
        assert attempted.delivered, attempted
        (request,) = face.taken
    assert "half ? [2J x" in request.content["payload"]["summary"]
    assert len(request.content["payload"]["summary"]) <= 1_024


async def test_a_warning_just_before_holds_no_trip_back() -> None:
    """PagerDuty's plugin waits 5.5 s between two messages of one Apprise."""
    with PagerDuty() as face, face.called():
        async with channel_of(AppriseSettings(name="pager", url=face.apprise_url)) as channel:
            before = time.monotonic()
            await channel.send(replace(TRIP, severity=Severity.WARNING, alert_id="run.7"), PAYLOAD)
            await channel.send(TRIP, PAYLOAD)
            took = time.monotonic() - before
        assert len(face.taken) == 2
    assert took < 5.0


async def test_a_no_is_no_delivery_and_says_why(receiver: AppriseJson) -> None:
    receiver.answering = status(500)
    attempted = await told(settings_of(receiver))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "apprise")
    assert "error=500" in attempted.answer


async def test_a_redirect_is_not_followed_whatever_the_url_says(receiver: AppriseJson) -> None:
    with AppriseJson() as elsewhere:
        receiver.answering = status(307, Location=elsewhere.url)
        attempted = await told(settings_of(receiver, url=f"{receiver.apprise_url}?redirect=yes"))
        assert not attempted.delivered
        assert elsewhere.requests == []


async def test_a_service_that_hangs_is_given_up(receiver: AppriseJson) -> None:
    receiver.answering = hanging
    attempted = await told(settings_of(receiver, timeout_s=0.3))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, True, "timeout")


@pytest.mark.parametrize("allow", [(), ("hooks.example.org",)])
async def test_this_machine_is_not_called_unless_it_is_named(receiver: AppriseJson, allow: tuple[str, ...]) -> None:
    attempted = await told(settings_of(receiver, allow=allow))
    assert (attempted.delivered, attempted.may_retry, attempted.status) == (False, False, "disallowed")
    assert receiver.requests == []


async def test_a_name_that_leads_to_this_machine_is_not_called(receiver: AppriseJson) -> None:
    attempted = await told(settings_of(receiver, url=f"json://localhost:{receiver.port}/", allow=()))
    assert (attempted.status, receiver.requests) == ("disallowed", [])


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    attempted = await told(AppriseSettings(name="chat", url=f"json://127.0.0.1:{port}/", allow=("127.0.0.1",)))
    assert (attempted.delivered, attempted.may_retry) == (False, True)


async def test_no_token_of_the_url_is_written_down(receiver: AppriseJson) -> None:
    receiver.answering = status(500)
    attempted = await told(settings_of(receiver, url=f"{receiver.apprise_url}token-of-a-test?x=y"))
    assert not attempted.delivered
    assert "token-of-a-test" not in attempted.answer


def test_a_failure_writes_nothing_of_its_own_on_stderr(receiver: AppriseJson) -> None:
    receiver.answering = status(500)
    program = (
        "import asyncio\n"
        "from risk_daemon.alerts.channels.base import AppriseSettings\n"
        "from tests.unit.alerts.channels.worlds import told\n"
        f"settings = AppriseSettings(name='chat', url={receiver.apprise_url!r}, allow=('127.0.0.1',))\n"
        "print(asyncio.run(told(settings)).status)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("apprise\n", "")


@pytest.mark.parametrize("url", ["", "hush", "nosuchservice://hush", "pagerduty://", "http://127.0.0.1/hush"])
async def test_a_url_that_apprise_does_not_know_is_refused(receiver: AppriseJson, url: str) -> None:
    with pytest.raises(ConfigError, match="chat:") as refusal:
        await told(settings_of(receiver, url=url))
    assert "hush" not in str(refusal.value)


async def test_without_the_extra_it_is_said_how_to_get_it(
    receiver: AppriseJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match="pip install"):
        await told(settings_of(receiver))
