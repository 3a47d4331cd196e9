"""What losses are measured from: initial capital, peak, start of day, start of week.

A baseline is never taken from one reading. A peak is the lowest `low` over `peak_hold_s` or longer, in a
stretch that contains REST reads, so one wild tick never becomes a peak. Capital and starts are the median by
time over `peak_hold_s`, while the readings of the accounts agree (agreement.py): one that is wild, up or down,
never hides a loss. A flow rescales all of them together, so it moves no loss ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from math import isfinite
from typing import Any

from risk_daemon.baselines.fund_start import FundStart
from risk_daemon.baselines.hold_window import HoldWindow
from risk_daemon.baselines.median_window import MedianWindow
from risk_daemon.baselines.peaks import Peaks
from risk_daemon.baselines.period_start import PeriodStart
from risk_daemon.baselines.trading_day import TradingDay
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import ONE, ZERO, finite, fixed, plain

# A trade's second row may be awaited for so long without the stretch being broken.
DOUBT_MAY_LAST_S = 1.0

# The last sure value is worked out anew so many times in `peak_hold_s`.
MEDIANS_A_HOLD = 50


@dataclass(frozen=True, slots=True)
class BaselineSettings:
    """initial_capital: None takes the first baseline.

    lookback_days: the longest that a rule looks back for its peak; None remembers peaks for ever.
    """

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


class Baselines:
    """The baselines, in the reference currency. None where there is none yet.

    began_wall: when the first equity ever was seen; flows from before that lie behind us.
    """

    def __init__(self, settings: BaselineSettings | None = None) -> None:
        self.settings = settings or BaselineSettings()
        self.capital = self.settings.initial_capital
        self.began_wall: float | None = None
        self.calendar = TradingDay(self.settings.reset_at, self.settings.timezone)
        self._window = HoldWindow(self.settings.peak_hold_s)
        self._sure_window = MedianWindow(self.settings.peak_hold_s)
        self._unsure_since_mono: float | None = None
        self._is_sure = False
        self._taken_mono = float("-inf")
        self._minute: int | None = None
        self._peaks = Peaks(self.settings.lookback_days)
        self._day = PeriodStart(self.calendar.key)
        self._week = PeriodStart(self.calendar.week_key)
        self._emptied_at: Decimal | None = None
        self.fund = FundStart()

    def reconfigure(self, settings: BaselineSettings) -> None:
        """Look back so far from now on. Whatever else is in the settings is to be as it was."""
        self.settings = settings
        self._peaks.look_back(settings.lookback_days)

    # --- what is asked -----------------------------------------------------------------------------

    @property
    def peak(self) -> Decimal | None:
        """The highest baseline value within the longest lookback."""
        return self._peaks.highest()

    def peak_within(self, lookback_days: float | None, now: Instant) -> Decimal | None:
        """The highest baseline value of the last days; None days: of all that is remembered."""
        return self.peak if lookback_days is None else self._peaks.within(lookback_days, now)

    def peak_until_mono(self, lookback_days: float | None, now: Instant) -> float:
        """Until when time alone leaves `peak_within` as it is, in seconds of `mono`."""
        return float("inf") if lookback_days is None else self._peaks.until_mono(lookback_days, now)

    def figures(self) -> tuple[object, ...]:
        """All that losses are measured from, for telling whether anything of it changed. Costs next to nothing."""
        day, week = self._day, self._week
        return (self.capital, self._emptied_at, day.value, day.money, week.value, week.money, self._peaks.entries)

    @property
    def start_of_day(self) -> Decimal | None:
        """The last sure equity before the running day began, net of flows since."""
        return self._day.value

    @property
    def start_of_week(self) -> Decimal | None:
        """The last sure equity before the running week began, net of flows since."""
        return self._week.value

    @property
    def day(self) -> str | None:
        """The key of the running day, as `2026-11-20`."""
        return self._day.name

    @property
    def is_day_settled(self) -> bool:
        """Whether the running day has a start that nothing will change any more."""
        return self._day.value is not None and not self._day.is_provisional

    def waiting(self) -> tuple[str, ...]:
        """What is still to be taken, in words."""
        provisional = {"start of day": self._day.is_provisional, "start of week": self._week.is_provisional}
        missing = {"initial capital": self.capital is None, "peak": self.peak is None, **provisional}
        return tuple(name for name, is_missing in missing.items() if is_missing)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is still to be taken."""
        is_provisional = self._day.is_provisional or self._week.is_provisional or self.fund.is_waiting
        return is_provisional or self.capital is None or not self._peaks.entries

    @property
    def is_emptied(self) -> bool:
        """Whether a flow took out all there was: nothing to lose until one brings something in."""
        return self._emptied_at is not None

    def loss_ratio(self, equity: Decimal) -> Decimal | None:
        """(capital - equity) / capital; positive is a loss. None without capital."""
        return self._ratio(self.capital, equity)

    def drawdown_ratio(
        self, equity: Decimal, lookback_days: float | None = None, now: Instant | None = None
    ) -> Decimal | None:
        """(peak - equity) / peak, not below 0. None without a peak. Without `now`, of the longest lookback."""
        ratio = self._ratio(self.peak if now is None else self.peak_within(lookback_days, now), equity)
        return None if ratio is None else max(ZERO, ratio)

    def daily_loss_ratio(self, equity: Decimal) -> Decimal | None:
        """(start of day - equity) / start of day. None without one."""
        return self._ratio(self.start_of_day, equity)

    def daily_loss(self, equity: Decimal) -> Decimal | None:
        """Start of day plus flows since - equity, in the reference currency. None without one."""
        return self._loss(self._day.money, equity)

    def weekly_loss_ratio(self, equity: Decimal) -> Decimal | None:
        """(start of week - equity) / start of week. None without one."""
        return self._ratio(self.start_of_week, equity)

    def weekly_loss(self, equity: Decimal) -> Decimal | None:
        """Start of week plus flows since - equity, in the reference currency. None without one."""
        return self._loss(self._week.money, equity)

    def _loss(self, paid_in: Decimal | None, equity: Decimal) -> Decimal | None:
        return None if paid_in is None else fixed(paid_in - equity)

    def _ratio(self, base: Decimal | None, equity: Decimal) -> Decimal | None:
        """Rounded to QUANTUM, so that exactly at the limit is exact after any number of rescalings."""
        if base is None:
            return None
        if self._emptied_at is not None:
            return ONE if equity < -self.settings.empty_below else ZERO
        return fixed((base - equity) / base) if base > 0 else ONE

    # --- what is seen ------------------------------------------------------------------------------

    def observe(self, low: Decimal, now: Instant, *, trusted: bool, rest_mono: float | None, agreed: bool) -> bool:
        """Take the equity's `low` in. Returns whether a baseline changed (and wants to be persisted).

        rest_mono: when the oldest of the REST reads that still count was begun; None if there is none.
        agreed: whether the last readings of the accounts say the same, for as long as they must.
        """
        if self.began_wall is None:
            self.began_wall = now.wall
        changed = int(now.wall // 60) != self._minute and self.turn(now)
        self._window.add(now.mono, low)
        if trusted:
            self._unsure_since_mono = None
            self._sure_window.add(now.mono, low)
        else:
            self._note_doubt(now.mono)
        self._is_sure = trusted and agreed and rest_mono is not None
        lowest = self._window.lowest(now.mono, rest_mono) if agreed or self._peaks.entries else None
        if lowest is not None and self._is_filled(lowest):
            changed = self._peaks.add(lowest, now) or changed
        if now.mono - self._taken_mono >= self.settings.peak_hold_s / MEDIANS_A_HOLD or self.is_waiting:
            changed = self._take_sure(now) or changed
        return changed

    def turn(self, now: Instant) -> bool:
        """Look once a minute whether a day or a week began. What held until now is the last word of the old one.

        Returns whether a baseline changed.
        """
        minute = int(now.wall // 60)
        if minute == self._minute:
            return False
        self._minute = minute
        is_taken = self._take_sure(now)
        is_new_day, is_new_week = self._day.turn(now), self._week.turn(now)
        return is_taken or is_new_day or is_new_week

    def begin_anew(self) -> None:
        """The accounts hold something else now: what was sure before says nothing of what is."""
        self._sure_window.clear()

    def rescale(
        self,
        before: Decimal,
        after: Decimal,
        *,
        is_past: bool = False,
        is_late: bool = False,
    ) -> None:
        """A flow took the equity from `before` to `after`: move every baseline but the fund's start by after / before.

        is_past: more has moved since; where that emptied the account, this flow came before the emptying.
        is_late: it counted as loss or gain meanwhile; a peak that a deposit made knows of it already.
        """
        nothing = self.settings.empty_below
        self._day.pay(after - before)
        self._week.pay(after - before)
        if self._emptied_at is not None and is_past and min(before, after) > nothing:
            self._scale(after / before)
        elif is_late and after > before > nothing:
            self._scale(after / before, peaks_below=after)
        elif self._emptied_at is not None:
            if after > nothing:
                self._refill(after)
        elif before > nothing and abs(after) <= nothing:
            self._emptied_at = before
            self._clear_windows()
        elif before > nothing and after > nothing:
            self._scale(after / before)
        else:
            self._shift(after - before)
        if is_late:  # what was sure meanwhile had it in it, and what was sure before had not
            self._clear_windows()

    def forget(self) -> None:
        """A reset with `current`: there are no baselines until readings that agree give them anew.

        What was lost in a fund stays lost: the others' budgets rest on it.
        """
        self.capital = self._emptied_at = None
        self._is_sure = False
        self._day.forget()
        self._week.forget()
        self._peaks.clear()
        self._clear_windows()

    # --- inside ------------------------------------------------------------------------------------

    def _note_doubt(self, mono: float) -> None:
        """Capital and start of day may not be taken from the low end of a doubt: they would be too low."""
        if self._unsure_since_mono is None:
            self._unsure_since_mono = mono
        if mono - self._unsure_since_mono > DOUBT_MAY_LAST_S:
            self._sure_window.clear()

    def _take_sure(self, now: Instant) -> bool:
        """What is known for certain is the last word of its day, and gives what is missing yet."""
        equity = self._sure_window.median(now.mono) if self._is_sure else None
        if equity is None or not self._is_filled(equity):
            return False
        self._taken_mono = now.mono
        is_first = self.capital is None
        self.capital = equity if self.capital is None else self.capital
        since_wall = now.wall - self.settings.peak_hold_s
        is_start = self.fund.settle(equity, since_wall)
        return any((self._day.settle(equity, now), self._week.settle(equity, now), is_start)) or is_first

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

    def _scale(self, factor: Decimal, *, peaks_below: Decimal | None = None) -> None:
        self.capital = None if self.capital is None else self.capital * factor
        self._day.map(lambda value: value * factor)
        self._week.map(lambda value: value * factor)
        self._peaks.map(lambda value: value * factor if peaks_below is None or value < peaks_below else value)
        self._window.rescale(factor)
        self._sure_window.rescale(factor)

    def _clear_windows(self) -> None:
        self._window.clear()
        self._sure_window.clear()

    def _shift(self, amount: Decimal) -> None:
        self.capital = None if self.capital is None else self.capital + amount
        self._day.map(lambda value: value + amount)
        self._week.map(lambda value: value + amount)
        self._peaks.map(lambda value: value + amount)
        self._clear_windows()

    # --- across restarts ---------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        return {
            "capital": _text(self.capital),
            "began_wall": self.began_wall,
            "day": self._day.snapshot(),
            "week": self._week.snapshot(),
            "peaks": self._peaks.snapshot(),
            "emptied_at": _text(self._emptied_at),
            "fund": self.fund.snapshot(),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        self.capital = _number(data["capital"])
        self.began_wall = data["began_wall"]
        self._day.restore(data["day"])
        self._week.restore(data["week"])
        self._peaks.restore(data["peaks"])
        self._emptied_at = _number(data["emptied_at"])
        self.fund.restore(data.get("fund"))


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else finite(text)
