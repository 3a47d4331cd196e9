"""When the venues' own switches are refreshed, and what is told of them.

A switch cancels a venue's orders by itself unless it is refreshed in time. It guards against the death of the guard, so
nothing but the guard's own thinking may put it off: a refresh is asked for at the end of a turn that looked at
everything, and where turns end, it fires. What it does is the venue's affair: it is no evidence for a proof, and one
that can't be armed is told and tried again, and shuts no gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.engine.decision import RefreshDeadMan, Turn
from risk_daemon.engine.settings import DeadManSettings
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import DeadManAnswered, DeadManDisarmed, EventName, RiskEvent

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManView:
    """How a switch stands. armed: the markets, "" for the account; empty: for none. fires_mono: unless it is refreshed.

    refreshed_mono: when it last was. reason: why the last refresh failed.
    """

    timeout_s: float
    armed: tuple[str, ...]
    fires_mono: float | None
    refreshed_mono: float | None
    reason: str | None


@dataclass(slots=True)
class _Switch:
    """One venue's. failures: in a row. is_out: the outage was told."""

    settings: DeadManSettings
    armed: tuple[str, ...] = ()
    is_asking: bool = False
    is_out: bool = False
    is_told: bool = False
    failures: int = 0
    due_mono: float = 0.0
    first_mono: float | None = None
    refreshed_mono: float | None = None
    reason: str | None = None

    @property
    def fires_mono(self) -> float | None:
        return self.refreshed_mono + self.settings.timeout_s if self.armed and self.refreshed_mono is not None else None

    def is_late(self, now_mono: float) -> bool:
        """Half of its time is over."""
        since = self.first_mono if self.refreshed_mono is None else self.refreshed_mono
        return since is not None and now_mono - since > self.settings.timeout_s / 2

    def refresh(self, venue: str, now_mono: float) -> RefreshDeadMan:
        """Ask for it now. One try takes no longer than the time to the next one."""
        self.is_asking = True
        self.first_mono = now_mono if self.first_mono is None else self.first_mono
        within_s = min(self.settings.call_timeout_s, self.settings.refresh_every_s)
        return RefreshDeadMan(venue, self.settings.timeout_s, within_s, urgent=self.is_late(now_mono))

    def refreshed(self, event: DeadManAnswered) -> None:
        self.armed, self.refreshed_mono = event.armed, event.requested_mono
        self.failures, self.reason, self.is_out = 0, None, False
        self.due_mono = event.requested_mono + self.settings.refresh_every_s

    def failed(self, event: DeadManAnswered, now_mono: float) -> None:
        self.failures, self.reason = self.failures + 1, event.error
        longest_s = min(_LONGEST_PAUSE_S, self.settings.refresh_every_s / 4)
        pause_s = min(longest_s, _FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 16))
        self.due_mono = now_mono + max(pause_s, event.retry_after_s)

    def facts(self, venue: str, now: Instant) -> dict[str, Any]:
        """until_wall: when it fires unless it is refreshed; None: it is not armed, or has fired already."""
        fires_mono, settings = self.fires_mono, self.settings
        is_ahead = fires_mono is not None and fires_mono > now.mono
        until_wall = now.wall + (fires_mono or 0.0) - now.mono if is_ahead else None
        told = {"timeout_s": settings.timeout_s, "covers": settings.covers, "leaves": settings.leaves}
        return {"venue": venue, "markets": [name for name in self.armed if name], "until_wall": until_wall, **told}


class DeadMen:
    """All of them."""

    def __init__(self, settings: Mapping[str, DeadManSettings]) -> None:
        self._switches = {venue: _Switch(switch) for venue, switch in settings.items()}

    def look(self, connected: Mapping[str, bool], turn: Turn) -> None:
        """Have refreshed what is due. A venue that was never reached has nothing to arm."""
        for venue, switch in self._switches.items():
            is_known = connected.get(venue, False) or switch.first_mono is not None
            if is_known and not switch.is_asking and turn.now.mono >= switch.due_mono:
                turn.act(switch.refresh(venue, turn.now.mono))

    def take(self, event: DeadManAnswered, turn: Turn) -> None:
        """What came of a refresh."""
        switch = self._switches.get(event.venue)
        if switch is None:
            return
        switch.is_asking = False
        if event.error is None:
            self._take_refreshed(switch, event, turn)
        else:
            self._take_failed(switch, event, turn)

    def _take_refreshed(self, switch: _Switch, event: DeadManAnswered, turn: Turn) -> None:
        """Told when it is armed the first time, and when it is again after an outage or a pause of the guard itself."""
        fires_mono, was_out = switch.fires_mono, switch.is_out
        may_have_fired = fires_mono is not None and event.requested_mono >= fires_mono
        switch.refreshed(event)
        if event.armed and (was_out or may_have_fired or not switch.is_told):
            switch.is_told = True
            facts = {"was_armed": event.was_armed, "may_have_fired": may_have_fired}
            turn.record(EventName.DEAD_MAN_ARMED, **switch.facts(event.venue, turn.now), **facts)

    def _take_failed(self, switch: _Switch, event: DeadManAnswered, turn: Turn) -> None:
        """Told once an outage. Having to wait for other calls is none before it gets late."""
        switch.failed(event, turn.now.mono)
        if switch.is_out or (event.is_held_back and not switch.is_late(turn.now.mono)):
            return
        switch.is_out = True
        turn.record(EventName.DEAD_MAN_REFUSED, **switch.facts(event.venue, turn.now), reason=event.error)

    def disarmed(self, event: DeadManDisarmed, now: Instant) -> RiskEvent:
        """What is to be written down of the end of a switch."""
        switch = self._switches[event.venue]
        if event.error is not None:
            facts = {**switch.facts(event.venue, now), "reason": f"it could not be disarmed: {event.error}"}
            return RiskEvent(EventName.DEAD_MAN_REFUSED, facts)
        switch.armed = ()
        facts = switch.facts(event.venue, now)
        if not event.is_certain:
            facts["note"] = "its last refresh was never answered: a venue that takes it late is armed by it once more"
        return RiskEvent(EventName.DEAD_MAN_DISARMED, facts)

    def view(self, venue: str) -> DeadManView | None:
        """How a venue's switch stands; None where none is configured."""
        switch = self._switches.get(venue)
        if switch is None:
            return None
        return DeadManView(
            timeout_s=switch.settings.timeout_s,
            armed=switch.armed,
            fires_mono=switch.fires_mono,
            refreshed_mono=switch.refreshed_mono,
            reason=switch.reason,
        )
