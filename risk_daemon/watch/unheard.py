"""Lines that somebody wrote into the event log while no guard ran: wardens asked, glass broken, a trip acknowledged or
reset. Pure.

A guard tells of its own. A command without one tries to, and may have no channel; so they are told from here as well,
with the ids that `decide` gives them everywhere: whoever has one of them knows the other for the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from risk_daemon.model.clock import Instant
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.event_log import RESERVED
from risk_daemon.watch.troubles import Line

WAITS_S = 10.0  # until a guard that ran has told of it, or is known to be down
RECENT_S = 3_600.0  # what is younger is told after a restart of the watch, too

_OVERRIDES = frozenset(
    {
        EventName.OVERRIDE_ASKED,
        EventName.OVERRIDE_GRANTED,
        EventName.OVERRIDE_REFUSED,
        EventName.BREAK_GLASS_BEGUN,
        EventName.BREAK_GLASS_ENDED,
    }
)
_TOLD = _OVERRIDES | {EventName.ALERT_ACKNOWLEDGED, EventName.CIRCUIT_BREAKER_RESET}

Turn = tuple[float, list[RiskEvent]]


@dataclass(slots=True)
class Unheard:
    """What was written, until it is known whether a guard ran that told of it."""

    _waiting: list[tuple[float, Line]] = field(default_factory=list)
    _has_looked: bool = False

    def take(self, lines: Sequence[Line], now: Instant, *, is_down: bool, is_running: bool) -> list[Turn]:
        """What to tell after this look: what was written at one moment together, and when that was."""
        self._waiting += [(now.mono, line) for line in lines if self._is_wanted(line, now)]
        self._has_looked = True
        if is_running:
            self._waiting = [(since, line) for since, line in self._waiting if now.mono - since < WAITS_S]
        if not is_down:
            return []
        told, self._waiting = [line for _, line in self._waiting], []
        return [(wall, list(map(_record, turn))) for wall, turn in groupby(told, key=lambda line: line.wall)]

    def _is_wanted(self, line: Line, now: Instant) -> bool:
        """Of what is older than this process, overrides alone: a reset that is told late would end a later trip."""
        if self._has_looked:
            return line.event in _TOLD
        return line.event in _OVERRIDES and abs(now.wall - line.wall) <= RECENT_S


def _record(line: Line) -> RiskEvent:
    return RiskEvent(EventName(line.event), {key: line.fields[key] for key in line.fields.keys() - RESERVED})
