"""From settings to a channel."""

from __future__ import annotations

import pytest

from risk_daemon.alerts.channels.apprise_urls import AppriseChannel
from risk_daemon.alerts.channels.base import AnySettings, AppriseSettings, EmailSettings, SmsSettings, WebhookSettings
from risk_daemon.alerts.channels.build import opened
from risk_daemon.alerts.channels.email import EmailChannel
from risk_daemon.alerts.channels.sms import SmsChannel
from risk_daemon.alerts.channels.webhook import WebhookChannel
from risk_daemon.model.clock import ManualClock
from tests.receivers.webhook import SECRET

MAIL = EmailSettings(name="mail", host="example.org", sender="a@example.org", recipients=("b@example.org",))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (WebhookSettings(name="hook", url="https://example.org/", secret=SECRET), WebhookChannel),
        (MAIL, EmailChannel),
        (SmsSettings(name="sms", account_sid="AC1", password="x", sender="+1", recipients=("+2",)), SmsChannel),
        (AppriseSettings(name="chat", url="json://example.org/"), AppriseChannel),
    ],
)
async def test_each_kind_has_its_channel(settings: AnySettings, kind: type) -> None:
    channel = opened(settings, ManualClock())
    assert isinstance(channel, kind)
    assert channel.name == settings.name
    await channel.close()
    await channel.close()
