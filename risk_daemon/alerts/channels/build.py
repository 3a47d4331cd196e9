"""From a channel's settings to the channel."""

from __future__ import annotations

from typing import assert_never

from risk_daemon.alerts.channels.apprise_urls import AppriseChannel
from risk_daemon.alerts.channels.base import (
    AnySettings,
    AppriseSettings,
    Channel,
    EmailSettings,
    SmsSettings,
    WebhookSettings,
)
from risk_daemon.alerts.channels.email import EmailChannel
from risk_daemon.alerts.channels.sms import SmsChannel
from risk_daemon.alerts.channels.webhook import WebhookChannel
from risk_daemon.alerts.outbound import Names
from risk_daemon.alerts.threads import Threads
from risk_daemon.model.clock import Clock


def opened(settings: AnySettings, clock: Clock) -> Channel:
    """Ready to send; nothing is connected yet. Raises ConfigError for settings that could never tell anybody.

    Each channel has threads of its own, so that one whose names are never found holds up no other.
    """
    threads = Threads(f"alerts-{settings.name}")
    look_up = Names(threads)
    match settings:
        case WebhookSettings():
            return WebhookChannel(settings, clock=clock, look_up=look_up)
        case EmailSettings():
            return EmailChannel(settings, look_up=look_up)
        case SmsSettings():
            return SmsChannel(settings, clock=clock, look_up=look_up)
        case AppriseSettings():
            return AppriseChannel(settings, threads=threads)
        case _:
            assert_never(settings)
