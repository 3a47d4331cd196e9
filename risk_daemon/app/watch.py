"""`risk-daemon watch`: a process beside the guard, without the keys of any exchange, that tells what the guard can't.

It reads the state directory and writes into one of its own. The channels are those of [alerts] in the same file.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import structlog

from risk_daemon.alerts.alert import Alert, Severity
from risk_daemon.alerts.manager import AlertManager
from risk_daemon.app.alerts import alert_settings, channels_of, failure
from risk_daemon.app.watch_broadcast import WatchBroadcast
from risk_daemon.app.watch_settings import keep, watch_settings
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode, StateError
from risk_daemon.model.clock import Clock, Instant, SystemClock
from risk_daemon.model.event_names import EventName
from risk_daemon.runtime.systemd import ServiceManager
from risk_daemon.state.directory import StateDir
from risk_daemon.watch.eyes import Eyes
from risk_daemon.watch.troubles import Seen, Trouble, Watcher
from risk_daemon.watch.unheard import Unheard

EVERY_S = 0.5
_LOOK_WITHIN_S = 3.0
_LAST_ALERTS_S = 5.0
_NOTHING = Seen(stamp_age_s=None, is_visible=False, is_legible=False, risk_age_s=None, lines=None, free_bytes=None)
_LOG = structlog.get_logger(__name__)


async def watch(config: Path, directory: Path | None) -> ExitCode:
    """Look until told to stop. directory: for what this process keeps. Raises ConfigError, StateError."""
    clock, found = SystemClock(), watch_settings(config, directory)
    settings = found.settings
    async with AsyncExitStack() as stack:
        _own(found.directory, stack)
        alerts = await _open_alerts(settings, found.directory, clock, stack)
        if found.refusal is None:
            keep(config, found.directory)
        else:
            _tell_refused(alerts, found.refusal, clock)
        broadcast = await WatchBroadcast.open(settings, found.directory, clock)
        if broadcast is not None:
            stack.push_async_callback(broadcast.aclose)
        lookout = Lookout(settings.state.dir, alerts, clock, ServiceManager(), broadcast)
        with _told_to_stop() as stopped:
            await lookout.look_until(stopped)
        await alerts.flushed(_LAST_ALERTS_S)
    return ExitCode.STOPPED


def _own(directory: Path, stack: AsyncExitStack) -> None:
    """Two at once would owe each other's alerts. Raises StateError."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"{directory}: nothing can be kept there ({error.strerror}): name another place with --directory"
        ) from error
    stack.enter_context(StateDir.take(directory))


async def _open_alerts(settings: Settings, directory: Path, clock: Clock, stack: AsyncExitStack) -> AlertManager:
    """Every channel that can be used. Raises ConfigError where there is none: nobody would be told."""
    found = channels_of(settings)
    if not found.usable:
        reasons = "; ".join(found.unusable.values()) or "add a table [alerts.channels.NAME]"
        raise ConfigError(f"{settings.file}: alerts: nobody would be told of anything: {reasons}")
    told = alert_settings(settings)
    # A heartbeat says that the guard is alive, and only the guard knows.
    told = replace(told, routing=replace(told.routing, heartbeat_every_s=None))
    alerts = AlertManager(
        found.usable, told, directory=directory, clock=clock, absent=found.absent, takes_what_it_gets=True
    )
    stack.push_async_callback(alerts.aclose)
    await alerts.start()
    return alerts


def _tell_refused(alerts: AlertManager, refusal: str, clock: Clock) -> None:
    told = f"The configuration is refused, no guard would start with it: {refusal} The watch goes by the last good one."
    alert = failure(Trouble.CONFIGURATION_REFUSED, told, clock.now().wall)
    _say(alert)
    alerts.send(alert)


@contextmanager
def _told_to_stop() -> Iterator[asyncio.Event]:
    """Set by SIGTERM and SIGINT, while this lasts."""
    loop, stopped, signals = asyncio.get_running_loop(), asyncio.Event(), (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class Lookout:
    """Looks at one guard again and again, and passes on what is wrong. notify: as sd_notify(3)."""

    def __init__(
        self,
        state_dir: Path,
        alerts: AlertManager,
        clock: Clock,
        notify: Callable[[str], None],
        broadcast: WatchBroadcast | None = None,
    ) -> None:
        self._eyes = Eyes(state_dir)
        self._alerts = alerts
        self._clock = clock
        self._notify = notify
        self._broadcast = broadcast
        self._watcher = Watcher(clock.now())
        self._unheard = Unheard()
        self._looking: asyncio.Future[Seen] | None = None
        self._has_looked = False

    @property
    def standing(self) -> tuple[Trouble, ...]:
        """What is wrong with the guard, as far as it was told."""
        return self._watcher.standing

    async def look_until(self, stopped: asyncio.Event) -> None:
        """The watchdog of systemd is fed by looks alone."""
        self._notify("READY=1")
        while not stopped.is_set():
            await self.look()
            wrong = ", ".join(self.standing) or "nothing is wrong"
            self._notify(f"WATCHDOG=1\nSTATUS={wrong}")
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stopped.wait()
        self._notify("STOPPING=1")

    async def look(self) -> None:
        """Once, and tell what came of it."""
        seen, now = await self._seen(), self._clock.now()
        standing = self._alerts.standing_trip
        if standing is not None and seen.is_legible and seen.trip_id != standing and not self._has_looked:
            self._alerts.tell_nothing_stands()  # it ended while nobody looked
        self._has_looked = self._has_looked or seen.is_legible
        for alert in self._watcher.look(seen, now):
            _say(alert)
            if alert.event != EventName.CIRCUIT_BREAKER_TRIGGERED or alert.trip_id != self._alerts.standing_trip:
                self._alerts.send(alert)  # a trip that is repeated already is known, and perhaps acknowledged
        self._tell_unheard(seen, now)
        if self._broadcast is not None:
            self._broadcast.look(seen, now, is_down=self._watcher.is_down)
        for line in seen.lines or ():
            if line.event == EventName.ALERT_ACKNOWLEDGED:
                self._alerts.acknowledge(str(line.fields.get("trip_id")), str(line.fields.get("operator")))

    def _tell_unheard(self, seen: Seen, now: Instant) -> None:
        """By the ids of the log: what an earlier process told already is left out."""
        is_down, is_running = self._watcher.is_down, self._watcher.is_running
        for wall, records in self._unheard.take(seen.lines or (), now, is_down=is_down, is_running=is_running):
            _LOG.critical("written_without_a_guard", events=[str(record.name) for record in records])
            self._alerts.tell(records, wall)

    async def _seen(self) -> Seen:
        """A disk that does not answer shows nothing, and keeps nobody from being told so."""
        if self._looking is None:
            self._looking = asyncio.ensure_future(asyncio.to_thread(lambda: self._eyes.look(self._clock.now())))
        await asyncio.wait({self._looking}, timeout=_LOOK_WITHIN_S)
        if not self._looking.done():
            return _NOTHING
        looked, self._looking = self._looking, None
        return looked.result()


def _say(alert: Alert) -> None:
    """To the journal, whoever else hears of it."""
    say = _LOG.critical if alert.severity is Severity.CRITICAL else _LOG.warning
    say(alert.event, summary=alert.summary, trip_id=alert.trip_id, **alert.details)
