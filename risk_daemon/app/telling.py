"""What a running guard says on its standard error: every event at its level, and when the gate moves.

On a terminal a person reads it: then the gate is told in a sentence, with where the guard listens and how it ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO

import structlog

from risk_daemon.engine.decision import Decision, SetGate
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.event_names import EventName, Level, level_of

_LOG = structlog.get_logger(__name__)


def say_events(decision: Decision) -> None:
    """One line an event, and one when the gate moves."""
    say_records(decision)
    for gate in moved_gates(decision):
        level = Level.WARNING if gate.locked else Level.INFO
        getattr(_LOG, level.value)("gate", locked=gate.locked, cause=gate.cause)


def say_records(decision: Decision) -> None:
    """One line an event: beside a `Terminal`, which tells of the gate in a sentence."""
    for record in decision.records:
        if record.name is not EventName.PORTFOLIO_UPDATE:
            getattr(_LOG, level_of(record.name).value)(record.name.value, **record.fields)


def moved_gates(decision: Decision) -> Iterable[GateState]:
    """The gate as this decision leaves it; nothing where it stays."""
    return (action.gate for action in decision.actions if isinstance(action, SetGate))


class Terminal:
    """Sentences for whoever started the guard by hand."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def began(self, venues: Iterable[str], addresses: Sequence[str], *, is_tls: bool = False) -> None:
        """Once, when the API listens."""
        at = next((address for address in addresses if not address.startswith("unix:")), None)
        where = "its socket" if at is None else f"{'https' if is_tls else 'http'}://{at}"
        self._say(f"guarding {' and '.join(sorted(venues))}; bots ask at {where}.")
        self._say("Ctrl-C stops it and cancels nothing. The gate is shut until every account was read once.")

    def found_trip(self, trip_id: str, *, is_proven: bool) -> None:
        """Instead of `began`, where a trip stands: then nothing is guarded."""
        if is_proven:
            self._say(f"trip {trip_id} stands, and is proven: nothing is guarded. This start only looks, and ends.")
        else:
            self._say(f"trip {trip_id} is not proven: its cancels go on, and nothing else is guarded.")

    def heard(self, decision: Decision) -> None:
        """When the gate opens and shuts."""
        for gate in moved_gates(decision):
            if gate.locked:
                self._say(f"the gate is SHUT ({gate.cause}): new orders are refused; `risk-daemon status` says why.")
            else:
                self._say("the gate is OPEN: new orders are allowed.")

    def _say(self, sentence: str) -> None:
        self._out.write(f"risk-daemon: {sentence}\n")
        self._out.flush()


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def terminal() -> Terminal | None:
    """Where standard error is one."""
    return Terminal(sys.stderr) if sys.stderr.isatty() else None
