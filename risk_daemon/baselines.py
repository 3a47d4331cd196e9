"""What losses are measured from: initial capital, peak, start of day.

A baseline is never taken from one reading: it is the lowest `low` over `peak_hold_s` or longer, in a
stretch that contains REST reads, so one wild tick never becomes a peak. A flow rescales all of them
together, so it moves no loss ratio. Days are named by the wall clock and only move forward; how long a
peak is remembered is measured on the monotonic clock, so a clock jump neither forgets nor invents one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

from risk_daemon.clock import Instant
from risk_daemon.units import ONE, ZERO, finite, fixed, plain

PEAK_BUCKET_S = 3600.0
START_OF_DAY_MAX_AGE_S = 600.0

# A stretch with a gap of more than this is no stretch: the machine slept.
GAP_S = 60.0

# A trade's second row may be awaited for so long without the stretch being broken.
DOUBT_MAY_LAST_S = 1.0


@dataclass(frozen=True, slots=True)
class BaselineSettings:
    """initial_capital: None takes the first baseline. lookback_days: None remembers peaks for ever."""

    initial_capital: Decimal | None = None
    lookback_days: float | None = 30.0
    reset_at: time = time(0, 0)
    timezone: str = "UTC"
    peak_hold_s: float = 10.0
    empty_below: Decimal = ONE


@dataclass(frozen=True, slots=True)
class PortfolioDDState:
    """Drawdown from the highest of a history of net asset values. `current_dd_pct` is a ratio (0.032 = 3.2 %)."""

    current_dd_pct: float
    peak_nav_usd: float
    latest_nav_usd: float


def get_portfolio_dd_state(nav_history: Sequence[float | None]) -> PortfolioDDState | None:
    """Drawdown of the last sample from the highest one.

    None for an empty history, without a positive sample, or if the last sample is None or not finite.
    A last sample of zero or below counts in full. Formula: (peak - latest) / peak.
    """
    samples = [float(nav) for nav in nav_history if nav is not None and isfinite(nav)]
    if not samples or max(samples) <= 0:
        return None
    latest = nav_history[-1]
    if latest is None or not isfinite(latest):
        return None
    peak = max(samples)
    return PortfolioDDState((peak - float(latest)) / peak, peak, float(latest))


class _HoldWindow:
    """The lowest value over the last `hold_s` seconds or longer, once there is that much of it.

    An entry (mono, value): since `mono`, nothing was lower than `value`.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._since_mono = self._last_mono = float("inf")
        self._minima: deque[tuple[float, Decimal]] = deque()

    def add(self, mono: float, value: Decimal) -> None:
        if mono - self._last_mono > GAP_S:
            self.clear()
        self._last_mono, self._since_mono = mono, min(mono, self._since_mono)
        start = mono
        while self._minima and self._minima[-1][1] > value:
            start = self._minima.pop()[0]
        if not self._minima or self._adds_something(start, value):
            self._minima.append((start, value))

    def lowest(self, now_mono: float, rest_mono: float | None) -> Decimal | None:
        """The lowest since `rest_mono`, but over `hold_s` at least. None until there is that much, and a REST read."""
        edge = min(now_mono - self._hold_s, now_mono if rest_mono is None else rest_mono)
        while len(self._minima) > 1 and self._minima[1][0] <= edge:
            self._minima.popleft()
        is_full = self._since_mono <= now_mono - self._hold_s
        return self._minima[0][1] if is_full and rest_mono is not None else None

    def _adds_something(self, start: float, value: Decimal) -> bool:
        """An equal value does not, and a rise within a hundredth of the window is left out to keep it small."""
        last_start, last = self._minima[-1]
        return value != last and start - last_start >= self._hold_s / 100

    def rescale(self, factor: Decimal) -> None:
        self._minima = deque((mono, value * factor) for mono, value in self._minima)

    def clear(self) -> None:
        self._since_mono = self._last_mono = float("inf")
        self._minima.clear()


class Baselines:
    """The three baselines, in the reference currency. None where there is none yet.

    began_wall: when the first equity ever was seen; flows from before that lie behind us.
    """

    def __init__(self, settings: BaselineSettings | None = None) -> None:
        self.settings = settings or BaselineSettings()
        self.capital = self.settings.initial_capital
        self.start_of_day: Decimal | None = None
        self.began_wall: float | None = None
        self._zone = ZoneInfo(self.settings.timezone)
        self._window = _HoldWindow(self.settings.peak_hold_s)
        self._sure_window = _HoldWindow(self.settings.peak_hold_s)
        self._unsure_since_mono: float | None = None
        self._peaks: deque[tuple[float, Decimal]] = deque()
        self._day: str | None = None
        self._looked_at_minute: int | None = None
        self._day_is_provisional = False
        self._last: tuple[Decimal, float] | None = None
        self._origin: Instant | None = None
        self._emptied_at: Decimal | None = None

    # --- what is asked -----------------------------------------------------------------------------

    @property
    def peak(self) -> Decimal | None:
        """The highest baseline value within the lookback."""
        return self._peaks[0][1] if self._peaks else None

    @property
    def day(self) -> str | None:
        """The key of the running day, as `2026-11-20`."""
        return self._day

    @property
    def is_emptied(self) -> bool:
        """Whether a flow took out all there was: nothing to lose until one brings something in."""
        return self._emptied_at is not None

    def loss_ratio(self, equity: Decimal) -> Decimal | None:
        """(capital - equity) / capital; positive is a loss. None without capital."""
        return self._ratio(self.capital, equity)

    def drawdown_ratio(self, equity: Decimal) -> Decimal | None:
        """(peak - equity) / peak, not below 0. None without a peak."""
        ratio = self._ratio(self.peak, equity)
        return None if ratio is None else max(ZERO, ratio)

    def daily_loss_ratio(self, equity: Decimal) -> Decimal | None:
        """(start of day - equity) / start of day. None without one."""
        return self._ratio(self.start_of_day, equity)

    def _ratio(self, base: Decimal | None, equity: Decimal) -> Decimal | None:
        """Rounded to QUANTUM, so that exactly at the limit is exact after any number of rescalings."""
        if base is None:
            return None
        if self._emptied_at is not None:
            return ONE if equity < -self.settings.empty_below else ZERO
        return fixed((base - equity) / base) if base > 0 else ONE

    # --- what is seen ------------------------------------------------------------------------------

    def observe(self, low: Decimal, now: Instant, *, trusted: bool, rest_mono: float | None) -> bool:
        """Take the equity's `low` in. Returns whether a baseline changed (and wants to be persisted).

        rest_mono: when the oldest of the REST reads that still count was begun; None if there is none.
        """
        if self.began_wall is None:
            self.began_wall = now.wall
        self._window.add(now.mono, low)
        self._note_trust(low, now.mono, trusted=trusted)
        changed = self._turn_day(now)
        lowest, sure = self._window.lowest(now.mono, rest_mono), self._sure_window.lowest(now.mono, rest_mono)
        if lowest is not None and self._is_filled(lowest):
            changed = self._raise_peak(lowest, now) or changed
        if sure is not None and trusted and self._is_filled(sure):
            changed = self._take_sure(sure, now) or changed
        return changed

    def rescale(self, before: Decimal, after: Decimal) -> None:
        """A flow took the equity from `before` to `after`: move every baseline by after / before."""
        nothing = self.settings.empty_below
        if self._emptied_at is not None:
            if after > nothing:
                self._refill(after)
        elif before > nothing and abs(after) <= nothing:
            self._emptied_at = before
            self._clear_windows()
        elif before > nothing and after > nothing:
            self._scale(after / before)
        else:
            self._shift(after - before)

    def forget(self) -> None:
        """A reset with `current`: there are no baselines until the next trusted equity gives them anew."""
        self.capital = self.start_of_day = self._last = self._emptied_at = None
        self._day_is_provisional = True
        self._peaks.clear()
        self._clear_windows()

    # --- inside ------------------------------------------------------------------------------------

    def _note_trust(self, low: Decimal, mono: float, *, trusted: bool) -> None:
        """Capital and start of day may not be taken from the low end of a doubt: they would be too low."""
        if trusted:
            self._unsure_since_mono = None
            self._sure_window.add(mono, low)
            return
        if self._unsure_since_mono is None:
            self._unsure_since_mono = mono
        if mono - self._unsure_since_mono > DOUBT_MAY_LAST_S:
            self._sure_window.clear()

    def _take_sure(self, equity: Decimal, now: Instant) -> bool:
        """What is known for certain is the last word of its day, and gives what is missing yet."""
        is_first = self.capital is None
        self.capital = equity if self.capital is None else self.capital
        self._last = (equity, now.wall)
        return self._settle_day(equity) or is_first

    def _is_filled(self, candidate: Decimal) -> bool:
        """Whether there is anything to measure. Money that comes without a ledger row fills an emptied account, too."""
        is_something = candidate > self.settings.empty_below
        if self._emptied_at is not None and is_something:
            self._refill(candidate)
        return is_something or (self._emptied_at is None and self.capital is not None)

    def _refill(self, after: Decimal) -> None:
        if self._emptied_at is not None:
            before, self._emptied_at = self._emptied_at, None
            self._scale(after / before)
            self._clear_windows()

    def _scale(self, factor: Decimal) -> None:
        self._map(lambda value: value * factor)
        self._window.rescale(factor)
        self._sure_window.rescale(factor)

    def _clear_windows(self) -> None:
        self._window.clear()
        self._sure_window.clear()

    def _shift(self, amount: Decimal) -> None:
        self._map(lambda value: value + amount)
        self._clear_windows()

    def _map(self, change: Callable[[Decimal], Decimal]) -> None:
        self.capital = None if self.capital is None else change(self.capital)
        self.start_of_day = None if self.start_of_day is None else change(self.start_of_day)
        self._peaks = deque((at, change(value)) for at, value in self._peaks)
        self._last = None if self._last is None else (change(self._last[0]), self._last[1])

    def _steady(self, now: Instant) -> float:
        """Wall seconds that don't jump: the wall clock when we started, plus what passed since."""
        if self._origin is None:
            self._origin = now
        return self._origin.wall + (now.mono - self._origin.mono)

    def _raise_peak(self, candidate: Decimal, now: Instant) -> bool:
        """Keep what may yet be the highest: the peak, and lower ones after it, one an hour at most."""
        before = self.peak
        bucket = self._forget_old_peaks(now)
        while self._peaks and self._peaks[-1][1] <= candidate:
            self._peaks.pop()
        if not self._peaks or (bucket is not None and self._peaks[-1][0] != bucket):
            self._peaks.append((bucket or 0.0, candidate))
        return self.peak != before

    def _forget_old_peaks(self, now: Instant) -> float | None:
        """The end of the running hour; None where peaks are remembered for ever."""
        if self.settings.lookback_days is None:
            return None
        steady = self._steady(now)
        oldest = steady - self.settings.lookback_days * 86400
        while self._peaks and self._peaks[0][0] < oldest:
            self._peaks.popleft()
        return steady - steady % PEAK_BUCKET_S + PEAK_BUCKET_S

    def _day_key(self, wall: float) -> str:
        reset = timedelta(hours=self.settings.reset_at.hour, minutes=self.settings.reset_at.minute)
        local = datetime.fromtimestamp(wall, UTC).astimezone(self._zone)
        return (local.replace(tzinfo=None) - reset).date().isoformat()

    def _turn_day(self, now: Instant) -> bool:
        minute = int(now.wall // 60)
        if minute == self._looked_at_minute:
            return False
        self._looked_at_minute, key = minute, self._day_key(now.wall)
        if self._day is not None and key <= self._day:
            return False
        self._day = key
        if self._last is None:
            self._day_is_provisional = True
            return True
        self.start_of_day = self._last[0]
        self._day_is_provisional = now.wall - self._last[1] > START_OF_DAY_MAX_AGE_S
        return True

    def _settle_day(self, candidate: Decimal) -> bool:
        """The first trusted value of a day whose start we did not see: the higher of it and the last before."""
        if not self._day_is_provisional:
            return False
        self._day_is_provisional = False
        self.start_of_day = candidate if self.start_of_day is None else max(self.start_of_day, candidate)
        return True

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        return {
            "capital": _text(self.capital),
            "start_of_day": _text(self.start_of_day),
            "began_wall": self.began_wall,
            "day": self._day,
            "day_is_provisional": self._day_is_provisional,
            "last": None if self._last is None else [plain(self._last[0]), self._last[1]],
            "peaks": [[at, plain(value)] for at, value in self._peaks],
            "emptied_at": _text(self._emptied_at),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        self.capital = _number(data["capital"])
        self.start_of_day = _number(data["start_of_day"])
        self.began_wall = data["began_wall"]
        self._day = data["day"]
        self._day_is_provisional = data["day_is_provisional"]
        self._last = None if data["last"] is None else (finite(data["last"][0]), data["last"][1])
        self._peaks = deque((at, finite(value)) for at, value in data["peaks"])
        self._emptied_at = _number(data["emptied_at"])


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else finite(text)
