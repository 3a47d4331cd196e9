"""From settings to a channel."""

from __future__ import annotations

import threading

import pytest

from risk_daemon.alerts.channels.apprise_urls import AppriseChannel
from risk_daemon.alerts.channels.base import (
    AnySettings,
    AppriseSettings,
    Channel,
    EmailSettings,
    SmsSettings,
    WebhookSettings,
)
from risk_daemon.alerts.channels.build import all_opened, opened
from risk_daemon.alerts.channels.email import EmailChannel
from risk_daemon.alerts.channels.sms import SmsChannel
from risk_daemon.alerts.channels.webhook import WebhookChannel
from risk_daemon.model.clock import Clock, ManualClock
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


async def test_whatever_one_raises_or_however_long_it_takes_the_others_are_there_and_no_secret_is_said() -> None:
    chat = AppriseSettings(name="chat", url="json://token-of-a-test@example.org/")
    hung, may_end = AppriseSettings(name="hung", url="json://example.org/"), threading.Event()

    def build(one: AnySettings, clock: Clock) -> Channel:
        if one is chat:
            raise TypeError(f"too old for {chat.url}")
        if one is hung:
            may_end.wait()
        return opened(one, clock)

    good, bad = await all_opened([chat, hung, MAIL], ManualClock(), build, within_s=0.5)
    may_end.set()
    assert list(good) == ["mail"]
    assert bad == {"chat": "chat: it can't be opened: TypeError: too old for ***", "hung": bad["hung"]}
    assert "TimeoutError" in bad["hung"]
    await good["mail"].close()
