"""Which changes of a venue's state are told, and which rounds, so that what flaps or lasts does not fill the log."""

from __future__ import annotations

import math

AT_ONCE = 3
"""So many changes of one sweep are told the moment they happen."""

FIRST_STEADY_S = 5.0
LONGEST_STEADY_S = 60.0
"""After that a state is told when it has lasted a while, each time twice as long, with the changes it stands for."""


class Telling:
    """What was told of one venue in one sweep. A state is any text; the same text is the same state."""

    def __init__(self) -> None:
        self.state: str | None = None
        self._since_mono = -math.inf
        self._free = AT_ONCE
        self._steady_s = FIRST_STEADY_S
        self._untold = 0

    def changed(self, state: str, now_mono: float) -> int:
        """Take the state as it is now. How many changes to tell of with it; 0: keep silent."""
        if state != self.state:
            self.state, self._since_mono = state, now_mono
            self._untold += 1
        if not self._untold:
            return 0
        if self._free:
            self._free -= 1
        elif now_mono - self._since_mono >= self._steady_s:
            self._steady_s = min(2 * self._steady_s, LONGEST_STEADY_S)
        else:
            return 0
        return self.rest()

    def rest(self) -> int:
        """How many changes nobody was told of; they count as told from now on."""
        untold, self._untold = self._untold, 0
        return untold


class RoundTelling:
    """Which rounds over a venue's scopes are told: none of a sweep that goes well, and never two within a few seconds.

    What one came to that is new is told FIRST_STEADY_S after the line before; what stays as it was also is, each time
    twice as long after it: whoever reads the log sees that it is still being worked on.
    """

    def __init__(self, started_mono: float) -> None:
        self._told_mono = started_mono
        self._told: object = None
        self._silent_s = FIRST_STEADY_S

    def is_due(self, outcome: object, now_mono: float) -> bool:
        """Take what a round came to. Whether to tell it."""
        waited_s, is_new = now_mono - self._told_mono, outcome != self._told
        if waited_s < (FIRST_STEADY_S if is_new else self._silent_s):
            return False
        self._silent_s = 2 * FIRST_STEADY_S if is_new else min(2 * self._silent_s, LONGEST_STEADY_S)
        self._told, self._told_mono = outcome, now_mono
        return True
