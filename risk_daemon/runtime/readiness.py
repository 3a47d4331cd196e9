"""Whether the guard guards: its baseline is complete, or a trip is being finished."""

from __future__ import annotations

from risk_daemon.engine.engine import Engine
from risk_daemon.errors import StartUnavailable
from risk_daemon.model.clock import Instant


class Readiness:
    """Once ready, it stays so.

    gives_up_after_s: a first start that has no baseline by then ends; None: this start is not the first.
    """

    def __init__(self, engine: Engine, started_mono: float, gives_up_after_s: float | None) -> None:
        self._engine = engine
        self._started_mono = started_mono
        self._gives_up_after_s = gives_up_after_s
        self.is_ready = False

    def becomes_ready(self) -> bool:
        """Whether it is ready now, and was not before."""
        if self.is_ready or not (self._engine.has_baselines or self._engine.trip is not None):
            return False
        self.is_ready = True
        return True

    def give_up_if_late(self, now: Instant) -> None:
        """Raises StartUnavailable when the first start ever found no baseline in its time.

        A long `peak_hold` has its time, three times over, so that one wild reading ends nothing.
        """
        if self.is_ready or self._gives_up_after_s is None:
            return
        hold_s = self._engine.settings.baselines.peak_hold_s
        if now.mono - self._started_mono >= self._gives_up_after_s + 3 * hold_s:
            gaps = ", ".join(self._engine.missing())
            raise StartUnavailable(f"no baseline at the first start: still missing {gaps or 'a first baseline'}")
