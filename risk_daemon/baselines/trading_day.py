"""Which trading day and week a moment belongs to, when they end, and hours of the day.

Days begin at `reset_at` in a time zone, on the days its clocks change as well. Days are named by the date
they began on; weeks by the Monday.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MINUTE_S = 60
_LONGEST_STEP_BACK_MIN = 180


class TradingDay:
    """A calendar of trading days. Raises what ZoneInfo raises for an unknown zone."""

    def __init__(self, reset_at: time = time(0, 0), timezone: str = "UTC") -> None:
        self._offset = timedelta(hours=reset_at.hour, minutes=reset_at.minute)
        self._zone = ZoneInfo(timezone)

    def key(self, wall: float) -> str:
        """The day of the moment `wall` (Unix seconds), as `2026-11-20`."""
        return self._date(wall).isoformat()

    def week_key(self, wall: float) -> str:
        """The Monday of the week of the moment `wall`, as `2026-11-16`."""
        day = self._date(wall)
        return (day - timedelta(days=day.weekday())).isoformat()

    def end_wall(self, wall: float) -> float:
        """When the day of the moment `wall` ends: the first whole minute that belongs to a later one."""
        today, first = self.key(wall), int(wall // _MINUTE_S)
        early = first
        late = early + 50 * 60  # no day is longer than that
        while late - early > 1:
            middle = (early + late) // 2
            if self.key(middle * _MINUTE_S) > today:
                late = middle
            else:
                early = middle
        # Where clocks are set back, the hour of the boundary comes twice: the first time counts.
        again = range(max(first + 1, late - _LONGEST_STEP_BACK_MIN), late)
        return float(next((m for m in again if self.key(m * _MINUTE_S) > today), late) * _MINUTE_S)

    def _date(self, wall: float) -> date:
        local = datetime.fromtimestamp(wall, UTC).astimezone(self._zone)
        return (local.replace(tzinfo=None) - self._offset).date()


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """A span of the day, in a time zone; over midnight where `end` is before `start`. `end` is not part of it."""

    start: time
    end: time
    timezone: str = "UTC"

    def contains(self, wall: float) -> bool:
        """Whether the moment `wall` (Unix seconds) lies in it."""
        moment = datetime.fromtimestamp(wall, UTC).astimezone(ZoneInfo(self.timezone)).time()
        if self.start <= self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end
