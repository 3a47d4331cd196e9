"""Alerts in the running service: settings into channels, what the daemon writes down into what people are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import structlog

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.channels import build
from risk_daemon.alerts.channels.base import (
    AnySettings,
    AppriseSettings,
    Attempted,
    Channel,
    ChannelSettings,
    EmailSettings,
    Security,
    SmsSettings,
    WebhookSettings,
)
from risk_daemon.alerts.earlier import Turns
from risk_daemon.alerts.manager import AlertManager
from risk_daemon.alerts.outbound import refusal_of_url
from risk_daemon.alerts.routing import RoutingSettings
from risk_daemon.alerts.settings import AlertSettings
from risk_daemon.alerts.threads import Threads
from risk_daemon.app.composition import Opened
from risk_daemon.config.alerts import Apprise, Email, Sms, Webhook
from risk_daemon.config.load import Settings, channel_secrets, effective
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.runtime.ports import Journal
from risk_daemon.state.event_log import LogLine, lines_since

_LOG = structlog.get_logger(__name__)

_CATCH_UP_S = 24 * 3_600.0  # what is older is in the log, and no news
_CATCH_UP_BYTES = 16 * 1024 * 1024
_NEVER_OLD = ("break_glass_", "override_")
_TOO_LONG = "More was logged since an earlier run than can be read again: see the event log for what was not told."
_CONFIGURATION = "configuration"


# --- settings ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Channels:
    """Those that can be used, and by name why the others can't. absent: those others, for what they will owe."""

    usable: tuple[AnySettings, ...]
    unusable: Mapping[str, str]
    absent: tuple[tuple[ChannelSettings, str], ...]


def channels_of(settings: Settings) -> Channels:
    """Every channel, with its secrets. Nothing is called yet."""
    found = _channels(settings)
    good: list[AnySettings] = []
    bad: dict[str, str] = dict(found.unusable)
    for channel in found.usable:
        try:
            _opened(settings, channel, SystemClock())
        except ConfigError as error:
            bad[channel.name] = str(error)
        else:
            good.append(channel)
    return _sorted(settings, good, bad)


async def refuse_unusable(settings: Settings) -> None:
    """Raises ConfigError, a line each, for channels that could never tell anybody. Nothing is left open."""
    found = _channels(settings)
    good, bad = await build.all_opened(found.usable, SystemClock(), partial(_opened, settings))
    await asyncio.gather(*(channel.close() for channel in good.values()))
    refusals = {**found.unusable, **bad}
    if refusals:
        raise ConfigError("\n".join(refusals[name] for name in settings.alerts.channels if name in refusals))


def _sorted(settings: Settings, good: Sequence[AnySettings], bad: Mapping[str, str]) -> Channels:
    """As the file has them."""
    unusable = {name: bad[name] for name in settings.alerts.channels if name in bad}
    absent = tuple((ChannelSettings(**_common(settings, name)), why) for name, why in unusable.items())
    return Channels(tuple(good), unusable, absent)


def _channels(settings: Settings) -> Channels:
    """Those whose secrets are there; they are not opened."""
    good: list[AnySettings] = []
    bad: dict[str, str] = {}
    for name in settings.alerts.channels:
        try:
            good.append(_channel(settings, name))
        except ConfigError as error:
            bad[name] = str(error)
        except Exception as error:  # whatever it is, the other channels have nothing to do with it
            bad[name] = f"{settings.file}: alerts.channels.{name}: {type(error).__name__}: {error}"
    return _sorted(settings, good, bad)


def _opened(settings: Settings, channel: AnySettings, clock: Clock) -> Channel:
    """Raises ConfigError for a channel that could never tell anybody, whatever is wrong with it."""
    place = f"{settings.file}: alerts.channels.{channel.name}"
    try:
        opened = build.opened(channel, clock)
        webs = (channel,) if isinstance(channel, WebhookSettings | SmsSettings) else ()
        refusal = next((refusal_of_url(one.url, one.allow) for one in webs), None)
    except Exception as error:
        raise ConfigError(f"{place}: {build.why_not(channel, error)}") from None
    if refusal is not None:
        raise ConfigError(f"{place}: {refusal}.")
    return opened


def _common(settings: Settings, name: str) -> dict[str, Any]:
    table = settings.alerts.channels[name]
    return {
        "name": name,
        "severity": Severity(table.severity),
        "events": frozenset(table.events),
        "escalation": table.escalation,
        "heartbeat": table.heartbeat,
        "timeout_s": table.timeout,
    }


def _channel(settings: Settings, name: str) -> AnySettings:
    """Raises ConfigError for a secret that is missing."""
    table, secrets, common = settings.alerts.channels[name], channel_secrets(settings, name), _common(settings, name)
    match table:
        case Webhook():
            return WebhookSettings(
                **common,
                url=table.url or secrets["url"],
                secret=secrets["secret"],
                bearer=table.bearer,
                allow=table.allow,
                ca_file=_path_text(table.ca_file),
            )
        case Email():
            return EmailSettings(
                **common,
                host=table.host,
                port=table.port,
                security=Security(table.security),
                username=table.username,
                password=secrets.get("password", ""),
                sender=table.sender,
                recipients=table.recipients,
                ca_file=_path_text(table.ca_file),
            )
        case Sms():
            return SmsSettings(
                **common,
                account_sid=table.account_sid,
                password=secrets["password"],
                sender=table.sender,
                recipients=table.recipients,
                url=table.url,
                allow=table.allow,
            )
        case Apprise():
            return AppriseSettings(**common, url=secrets["url"], allow=table.allow)


def _path_text(path: Path | None) -> str:
    return "" if path is None else str(path)


def alert_settings(settings: Settings) -> AlertSettings:
    table = settings.alerts
    routing = RoutingSettings(
        rate=table.rate, escalate_after_s=table.escalate_after, heartbeat_every_s=table.heartbeat_every
    )
    return AlertSettings(strategy_name=table.strategy_name, routing=routing)


# --- the running service -----------------------------------------------------------------------------


async def open_alerts(
    settings: Settings,
    opened: Opened,
    stack: AsyncExitStack,
    *,
    takes_what_it_gets: bool,
    alive: Callable[[], bool] | None = None,
) -> AlertManager | None:
    """The alerts of this run, sending; what an earlier one logged and nobody got is among them. None: nobody is told.

    takes_what_it_gets: a channel that can't be used is shouted, and the others go on. Without it: raises ConfigError.
    alive: see AlertManager.
    """
    alerts = _alerts_of(settings, opened, takes_what_it_gets=takes_what_it_gets, alive=alive)
    if alerts is None:
        return None
    stack.push_async_callback(alerts.aclose)
    await alerts.start()
    return alerts


def _alerts_of(
    settings: Settings, opened: Opened, *, takes_what_it_gets: bool, alive: Callable[[], bool] | None
) -> AlertManager | None:
    """Not started. Nothing is opened and no disk is waited for but where secrets are read."""
    channels = _channels(settings)
    if channels.unusable and not takes_what_it_gets:
        raise ConfigError("\n".join(channels.unusable.values()))
    if not settings.alerts.channels:
        return None
    clock = opened.site.clock
    return AlertManager(
        channels.usable,
        alert_settings(settings),
        directory=opened.paths.root,
        clock=clock,
        record=Recorder(opened.journal),
        position=lambda: _position(opened.journal),
        read_log=PastLog(opened.paths.events, _position(opened.journal), clock).since,
        taken_up=lambda alerts: _tell_trip(alerts, opened.engine.trip),
        alive=alive,
        absent=channels.absent,
        takes_what_it_gets=takes_what_it_gets,
        build=partial(_opened, settings),
    )


async def test_alone(settings: Settings, channel: str | None) -> Mapping[str, Any]:
    """Send a test by this process, through all channels or one. What can't be used says why."""
    channels = channels_of(settings)
    wanted = [one for one in channels.usable if channel in (None, one.name)]
    refused = {name: why for name, why in channels.unusable.items() if channel in (None, name)}
    async with AlertManager(wanted, alert_settings(settings)) as alerts:
        tried = await alerts.test()
    unusable = {name: {"delivered": False, "status": "unusable", "answer": why} for name, why in refused.items()}
    return {**unusable, **tried_document(tried)}


def tried_document(tried: Mapping[str, Attempted]) -> dict[str, Any]:
    return {
        name: {"delivered": one.delivered, "status": one.status, "answer": one.answer} for name, one in tried.items()
    }


def _position(journal: Journal) -> int:
    return int(journal.anchor()["seq"])


def _tell_trip(alerts: AlertManager, trip: Trip | None) -> None:
    """A trip that an earlier process began, whether or not it could tell of it."""
    if trip is None:
        alerts.tell_nothing_stands()
        return
    alerts.tell_standing(trip.trip_id, trip.breaker, trip.reason, trip.since_wall)


def changed_settings(alerts: AlertManager, settings: Settings) -> tuple[str, ...]:
    """The keys that differ from the last start. They are remembered from now on."""
    now = effective(settings)
    before = alerts.memo.get(_CONFIGURATION)
    alerts.memo[_CONFIGURATION] = now
    return () if before is None else tuple(_changed(before, now))


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], at: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        old, new, name = before.get(key), now.get(key), f"{at}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _changed(old, new, f"{name}.")
        elif old != new:
            found.append(name)
    return found


class PastLog:
    """What stands in the log up to line `written`, where this process goes on."""

    def __init__(self, path: Path, written: int, clock: Clock) -> None:
        self._path = path
        self._written = written
        self._clock = clock
        self._threads = Threads("alerts log")

    async def since(self, seq: int) -> Turns:
        """The news behind line `seq`. Raises StateError, OSError, ValueError."""
        lines, is_cut = await self._threads.run(self._read, seq if seq <= self._written else 0)
        oldest_wall = self._clock.now().wall - _CATCH_UP_S
        wanted = [line for line in lines if line.seq <= self._written and _is_news(line, oldest_wall)]
        turns = [list(of_one) for _, of_one in groupby(wanted, key=lambda line: line.time)]
        told = [([one for one in map(_record, of_one) if one is not None], of_one[0].wall) for of_one in turns]
        return Turns(turns=told, left_out=_TOO_LONG if is_cut and lines and lines[0].wall >= oldest_wall else "")

    def _read(self, seq: int) -> tuple[list[LogLine], bool]:
        """On a thread. Whether the first of them are missing, for there are too many."""
        lines = lines_since(self._path, seq, _CATCH_UP_BYTES)
        return lines, bool(lines) and lines[0].seq > seq + 1


def _is_news(line: LogLine, oldest_wall: float) -> bool:
    """However old, that somebody took the wardens' place is told."""
    return line.wall >= oldest_wall or line.event.startswith(_NEVER_OLD)


def _record(line: LogLine) -> RiskEvent | None:
    try:
        return RiskEvent(EventName(line.event), line.fields)
    except ValueError:  # of another version
        return None


class Recorder:
    """Attempts into the event log, without waiting. What can't be written is in `alerts.jsonl`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writing: set[asyncio.Task[None]] = set()

    def __call__(self, event: RiskEvent, wall: float) -> None:
        task = asyncio.get_running_loop().create_task(self._append(event, wall), name="alert event")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _append(self, event: RiskEvent, wall: float) -> None:
        try:
            await self._journal.append([event], wall, durable=False)
        except RecordError as error:
            _LOG.error("event_log_failed", error=str(error), events=[str(event.name)])


class TellingJournal:
    """The event log, and people are told when it can't be written."""

    def __init__(self, journal: Journal, send: Callable[[Alert], None]) -> None:
        self._journal = journal
        self._send = send

    def anchor(self) -> Mapping[str, Any]:
        return self._journal.anchor()

    async def append(self, events: Sequence[RiskEvent], wall: float, *, durable: bool) -> None:
        try:
            await self._journal.append(events, wall, durable=durable)
        except RecordError as error:
            self._send(failure("event_log_failed", f"The event log can't be written: {error}", wall))
            raise


def failure(event: str, summary: str, wall: float) -> Alert:
    """What no line of the log stands for."""
    return Alert(alert_id=f"{event}-{wall:.6f}", event=event, severity=Severity.CRITICAL, summary=summary, wall=wall)
