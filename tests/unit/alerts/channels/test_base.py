"""Settings keep their secrets to themselves, and a record of a try stays short."""

from __future__ import annotations

import pytest

from risk_daemon.alerts.channels.base import (
    AnySettings,
    AppriseSettings,
    EmailSettings,
    SmsSettings,
    WebhookSettings,
    delivered,
    later,
    refused,
)

SETTINGS: tuple[AnySettings, ...] = (
    WebhookSettings(name="hook", url="https://example.org/hush", secret="hush"),
    EmailSettings(
        name="mail", host="example.org", password="hush", sender="a@example.org", recipients=("b@example.org",)
    ),
    SmsSettings(name="sms", account_sid="AC1", password="hush", sender="+1", recipients=("+2",)),
    AppriseSettings(name="pager", url="pagerduty://hush@hush"),
)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.kind)
def test_no_secret_is_shown(settings: AnySettings) -> None:
    assert settings.name in repr(settings)
    assert "hush" not in repr(settings)


def test_the_beginning_of_an_answer_is_kept() -> None:
    long = "x" * 1_000
    assert [len(tell("500", long).answer) for tell in (delivered, later, refused)] == [200, 200, 200]


def test_only_what_time_may_heal_is_tried_again() -> None:
    assert [(tried.delivered, tried.may_retry) for tried in (delivered("204"), later("503"), refused("404"))] == [
        (True, False),
        (False, True),
        (False, False),
    ]
