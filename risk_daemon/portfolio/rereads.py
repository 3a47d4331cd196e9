"""When to read again because stream and REST differ: at once, but within the venue's call budget."""

from __future__ import annotations

from risk_daemon.model.events import Kind

# The next read of a kind is asked for no sooner than this after the last; the gap doubles up to the longest, and
# from there on the reads on schedule are enough.
FIRST_GAP_S = 0.5
LONGEST_GAP_S = 8.0
# After so long without a question the first answer is wanted at once again.
CALM_S = 60.0

NEVER = float("-inf")


class Rereads:
    """By venue and kind: when it was last asked for, how long to wait now, and when it is due (`due`)."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, Kind], tuple[float, float]] = {}
        self.due: dict[tuple[str, Kind], float] = {}

    def want(self, venue: str, kind: Kind, now_mono: float) -> None:
        """Have it read as soon as the gap allows."""
        asked_mono, gap_s = self._asked.get((venue, kind), (NEVER, FIRST_GAP_S))
        if now_mono - asked_mono > CALM_S:
            asked_mono, gap_s = NEVER, FIRST_GAP_S
            self._asked.pop((venue, kind), None)
        if gap_s <= LONGEST_GAP_S and (venue, kind) not in self.due:
            self.due[venue, kind] = max(now_mono, asked_mono + gap_s)

    def take_due(self, now_mono: float) -> list[tuple[str, Kind]]:
        """What is to be read now; it counts as asked for."""
        due = [key for key, moment in self.due.items() if moment <= now_mono]
        for key in due:
            del self.due[key]
            _, gap_s = self._asked.get(key, (NEVER, FIRST_GAP_S / 2))
            self._asked[key] = (now_mono, 2 * gap_s)
        return due

    def next_due(self) -> float | None:
        """The next moment at which something is to be read."""
        return min(self.due.values()) if self.due else None
