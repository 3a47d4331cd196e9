"""Whether the guard could do its work: list every venue's open orders, and cancel them.

A guard that can't is no guard, however well it sees: then new orders of everybody are refused, until a good
listing comes. What is refused (a key that was revoked, or may only read) holds at once, what merely fails
after `veto_after_s`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from risk_daemon.engine.decision import Turn
from risk_daemon.engine.settings import ListingSettings
from risk_daemon.gate.restraints import UNLISTABLE, Cause, Restraint
from risk_daemon.model.events import CancelChecked, EventName, ListingFailed, OrdersListed

NEVER = float("-inf")


@dataclass(slots=True)
class _Scope:
    """When a scope was last listed (by the time of the request), and since when that fails."""

    listed_mono: float | None = None
    failing_since_mono: float | None = None
    reason: str = ""
    is_refused: bool = False

    def missing_since_mono(self, every_s: float) -> float:
        """Since when a listing is wanting: the first that failed, or before it the moment when one was due."""
        known = [] if self.listed_mono is None else [self.listed_mono + every_s]
        known += [] if self.failing_since_mono is None else [self.failing_since_mono]
        return min(known, default=NEVER)


@dataclass(slots=True)
class _Venue:
    """What is known of one venue. problem: what the veto says while there is one."""

    every_s: float
    scopes: dict[str, _Scope]
    may_cancel: bool | None = None
    cancel_reason: str = ""
    problem: str | None = None
    since_mono: float = 0.0


@dataclass(frozen=True, slots=True)
class OrdersView:
    """How a venue's listings stand, for people. listed_mono: of the scope that was listed longest ago; None: never.

    reason: why a listing is wanting, or why nothing could be cancelled; None: nothing is.
    """

    listed_mono: float | None
    failing_since_mono: float | None = None
    reason: str | None = None
    may_cancel: bool | None = None


class ListingWatch:
    """Takes what listings bring, and says what follows from it for the gate. next_look_mono: when it must look."""

    def __init__(self, settings: ListingSettings) -> None:
        self._settings = settings
        self._venues = {
            venue: _Venue(settings.every_s.get(venue, settings.default_every_s), {name: _Scope() for name in names})
            for venue, names in settings.scopes.items()
        }
        self._paused_mono = NEVER
        self.next_look_mono = NEVER

    def reconfigure(self, settings: ListingSettings) -> None:
        """Other times, for the same scopes; what was listed is known as before."""
        self._settings, self.next_look_mono = settings, NEVER

    def take(self, event: OrdersListed | ListingFailed | CancelChecked) -> None:
        """The outcome of one listing, or of asking whether this key may cancel."""
        venue = self._venues.get(event.venue)
        if venue is None:
            return
        self.next_look_mono = NEVER
        if isinstance(event, CancelChecked):
            venue.may_cancel, venue.cancel_reason = event.may_cancel, event.reason
            return
        scope = venue.scopes.setdefault(event.scope, _Scope())
        if scope.listed_mono is not None and event.requested_mono < scope.listed_mono:
            return
        if isinstance(event, OrdersListed):
            venue.scopes[event.scope] = _Scope(event.requested_mono)
            return
        if scope.failing_since_mono is None:
            scope.failing_since_mono = event.requested_mono
        scope.reason, scope.is_refused = event.reason, scope.is_refused or event.is_refused

    def look(self, turn: Turn, *, is_sweeping: bool) -> None:
        """Tell what begins and ends. is_sweeping: the sweep lists now, and nobody else does."""
        now_mono = turn.now.mono
        if is_sweeping:
            self._paused_mono, self.next_look_mono = now_mono, NEVER
        if now_mono < self.next_look_mono:
            return
        self.next_look_mono = min(self._next_due(), default=float("inf"))
        for name, venue in self._venues.items():
            self._look_at(name, venue, turn)

    def _next_due(self) -> Iterable[float]:
        """When something becomes too old, or a sentence about it does."""
        for venue in self._venues.values():
            for scope in venue.scopes.values():
                yield self._missing_since_mono(venue, scope) + self._settings.veto_after_s

    def _missing_since_mono(self, venue: _Venue, scope: _Scope) -> float:
        return max(scope.missing_since_mono(venue.every_s), self._paused_mono)

    def _look_at(self, name: str, venue: _Venue, turn: Turn) -> None:
        before, venue.problem = venue.problem, self._problem(name, venue, turn.now.mono)
        if venue.problem is not None and before is None:
            venue.since_mono = turn.now.mono
            facts = {"refused": self._is_refused(venue), "may_cancel": venue.may_cancel}
            turn.record(EventName.UNLISTABLE_STARTED, venue=name, reason=venue.problem, **facts)
        if venue.problem is None and before is not None:
            turn.record(EventName.UNLISTABLE_ENDED, venue=name, lasted_s=round(turn.now.mono - venue.since_mono, 3))

    def _problem(self, name: str, venue: _Venue, now_mono: float) -> str | None:
        if venue.may_cancel is False:
            return f"the key of {name} may not cancel orders: {venue.cancel_reason}"
        for scope_name, scope in venue.scopes.items():
            if scope.is_refused:
                return f"the open orders of {name} can't be listed ({scope_name}): {scope.reason}"
        for scope_name, scope in venue.scopes.items():
            since_mono = self._missing_since_mono(venue, scope)
            if since_mono != NEVER and now_mono - since_mono >= self._settings.veto_after_s:
                why = scope.reason or "no listing came"
                after_s = self._settings.veto_after_s
                return f"the open orders of {name} ({scope_name}) were not listed for {after_s:g} s and more: {why}"
        return None

    @staticmethod
    def _is_refused(venue: _Venue) -> bool:
        return venue.may_cancel is False or any(scope.is_refused for scope in venue.scopes.values())

    def restraints(self, allows_reducing: bool) -> list[Restraint]:
        """What holds against new orders. Before the first listing of a run nobody knows, so nothing is allowed."""
        found = []
        for name, venue in self._venues.items():
            if venue.problem is not None:
                limits = {"veto_after_s": self._settings.veto_after_s}
                found.append(
                    Restraint(f"{UNLISTABLE}{name}", venue.problem, self._observed(venue), limits, allows_reducing)
                )
            elif any(scope.listed_mono is None for scope in venue.scopes.values()):
                found.append(Restraint(Cause.STARTING, f"the open orders of {name} are not listed yet"))
        return found

    def _observed(self, venue: _Venue) -> Mapping[str, Any]:
        return {
            "scopes": {
                name: {"listed": scope.listed_mono is not None, "reason": scope.reason or None}
                for name, scope in venue.scopes.items()
            },
            "may_cancel": venue.may_cancel,
        }

    def view(self, venue_name: str) -> OrdersView | None:
        """How the listings of a venue stand; None where nothing is known of its scopes."""
        venue = self._venues.get(venue_name)
        if venue is None or not venue.scopes:
            return None
        scopes = list(venue.scopes.values())
        listed = [scope.listed_mono for scope in scopes]
        failing = [scope for scope in scopes if scope.failing_since_mono is not None]
        first = min(failing, key=lambda scope: scope.failing_since_mono or 0.0, default=None)
        reason = venue.problem or (None if first is None else first.reason)
        return OrdersView(
            None if None in listed else min(mono for mono in listed if mono is not None),
            None if first is None else first.failing_since_mono,
            reason,
            venue.may_cancel,
        )
