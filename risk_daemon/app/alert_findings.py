"""What `check` says of alerts: who would be told, and which channels would not be heard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from risk_daemon.alerts.alert import Severity
from risk_daemon.alerts.channels.base import AnySettings, AppriseSettings, EmailSettings
from risk_daemon.alerts.outbound import Names, refusal_of_addresses
from risk_daemon.alerts.routing import Router
from risk_daemon.alerts.threads import Busy, Threads
from risk_daemon.app.alerts import channels_of
from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.load import Settings
from risk_daemon.config.notation import seconds_text
from risk_daemon.errors import ExitCode
from risk_daemon.model.event_names import EventName

_CONNECT_WITHIN_S = 5.0


async def alert_findings(settings: Settings) -> list[Finding]:
    """Everything. Each channel's server is connected to, and nothing is sent."""
    if not settings.alerts.channels:
        return [Finding(Level.WARNING, "alerts", "OFF: nobody is told when something happens; see docs/alerts.md")]
    channels = channels_of(settings)
    refused = [Finding(Level.PROBLEM, name, why, ExitCode.REFUSED) for name, why in channels.unusable.items()]
    reached = await asyncio.gather(*(_reached(one) for one in channels.usable))
    return [*refused, *reached, *_who_hears(settings, channels.usable), *_told_by_time(settings)]


def _who_hears(settings: Settings, channels: tuple[AnySettings, ...]) -> Iterator[Finding]:
    hearers = Router(channels).hearers(EventName.CIRCUIT_BREAKER_TRIGGERED, Severity.CRITICAL)
    if not hearers:
        yield Finding(Level.WARNING, "alerts", "NOBODY HEARS OF A TRIP: the events of every channel leave it out")
    for one in channels:
        if one.name not in hearers and not one.escalation:
            yield Finding(Level.WARNING, one.name, "this channel would not hear of a trip: its events leave it out")
        elif one.name not in hearers:
            yield Finding(Level.NOTE, one.name, "this channel hears of a trip only when nobody acknowledges it")


def _told_by_time(settings: Settings) -> Iterator[Finding]:
    table, channels = settings.alerts, settings.alerts.channels.values()
    if table.escalate_after is None or not any(one.escalation for one in channels):
        yield Finding(Level.NOTE, "alerts", "nobody else is called when nobody acknowledges a trip: no escalation")
    if table.heartbeat_every is not None and not any(one.heartbeat for one in channels):
        every = seconds_text(table.heartbeat_every)
        yield Finding(
            Level.WARNING, "alerts", f"a heartbeat every {every} goes to nobody: no channel has heartbeat = true"
        )
    if table.heartbeat_every is None and any(one.heartbeat for one in channels):
        yield Finding(Level.WARNING, "alerts", 'heartbeat = true does nothing: heartbeat_every is "off"')


# --- is anybody there? -------------------------------------------------------------------------------


class _Server(NamedTuple):
    host: str
    port: int
    allow: tuple[str, ...]


def _server(one: AnySettings) -> _Server | None:
    """Where a channel's alerts go; None where only its library knows."""
    if isinstance(one, AppriseSettings):
        return None
    if isinstance(one, EmailSettings):
        return _Server(one.host, one.port, (one.host,))
    parts = urlsplit(one.url)
    return _Server(parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443), one.allow)


async def _reached(one: AnySettings) -> Finding:
    server = _server(one)
    hears = f"{one.kind}, {one.severity} and above"
    if server is None:
        return Finding(Level.NOTE, one.name, f"{hears}; `risk-daemon alerts test {one.name}` says whether it is heard")
    why = await _why_not(server)
    if why is not None:
        return Finding(Level.WARNING, one.name, f"this channel would not be heard now: {why}")
    return Finding(Level.OK, one.name, f"{hears}; its server takes connections")


async def _why_not(server: _Server) -> str | None:
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            addresses = await Names(Threads("check"))(server.host)
            refusal = refusal_of_addresses(server.host, addresses, server.allow)
            if refusal is None:
                _, writer = await asyncio.open_connection(addresses[0], server.port)
                writer.close()
    except TimeoutError:
        return f"{server.host} gave no answer within {_CONNECT_WITHIN_S:g} s"
    except (OSError, Busy) as error:
        return f"{server.host}:{server.port}: {error}"
    return refusal
