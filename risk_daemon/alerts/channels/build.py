"""From a channel's settings to the channel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
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
from risk_daemon.alerts.channels.trying import said
from risk_daemon.alerts.channels.webhook import WebhookChannel
from risk_daemon.alerts.outbound import Names
from risk_daemon.alerts.threads import Threads
from risk_daemon.errors import ConfigError
from risk_daemon.model.clock import Clock

OPENED_WITHIN_S = 10.0

Build = Callable[[AnySettings, Clock], Channel]


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


async def all_opened(
    channels: Sequence[AnySettings], clock: Clock, build: Build, within_s: float = OPENED_WITHIN_S
) -> tuple[dict[str, Channel], dict[str, str]]:
    """Each by its name, and by name why the others can't be used, whatever was wrong with them.

    All at once, on threads: Apprise alone takes a second to load, and the guard's turns must not wait for it.
    """
    good: dict[str, Channel] = {}
    bad: dict[str, str] = {}

    async def open_one(one: AnySettings) -> None:
        try:
            async with asyncio.timeout(within_s):
                good[one.name] = await Threads(f"alerts-open-{one.name}").run(build, one, clock)
        except Exception as error:  # a library that is broken is a channel that is
            bad[one.name] = why_not(one, error)

    await asyncio.gather(*map(open_one, channels))
    return good, bad


def why_not(settings: AnySettings, error: Exception) -> str:
    """In words of ours, or in those of a library without the channel's secrets."""
    if isinstance(error, ConfigError):
        return str(error)
    secrets = [getattr(settings, name, "") for name in ("url", "secret", "password")]
    hidden = [*secrets, *(word for secret in secrets for word in re.split(r"[/@:?&=\s]+", secret))]
    return f"{settings.name}: it can't be opened: {said(f'{type(error).__name__}: {error}', hidden)}"
