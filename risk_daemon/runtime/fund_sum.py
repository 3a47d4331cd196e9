"""What all members of a fund have lost together: this one says how it stands, hears the others, and judges the sum.

About each second, and at once when its worth moved by a tenth of its headroom. The sum is beside the budgets, which
hold without it: a place that does not answer makes members silent, which is told and shuts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.errors import RecordError
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.messages import SumRead
from risk_daemon.fund.sum import UNKNOWN, Question, Reading, Terms, confirmed, heard, judge_fund
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import EventName, Input, Noted, ReadingsWanted, RiskEvent
from risk_daemon.model.units import EXACT, plain
from risk_daemon.runtime.fund_status import MemberSettings
from risk_daemon.state.fund.readings import Readings

FUND_RUNS = "fund_runs"
_MOVED = Decimal("0.1")
_LEAST_PAUSE_S = 0.1
# Who is restarted is silent for some seconds: that is nobody's business yet.
_TELL_SILENCE_AFTER_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What this member is worth, in money. capital: what its losses are measured from; gross: what prices could move.
    mono: when it was seen."""

    capital: Decimal
    low: Decimal
    high: Decimal
    gross: Decimal
    mono: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPorts:
    """What this needs of its member.

    state: the member, as it is now. worth: None while it is not known, or in question. take: what the sum is.
    save: the store's; it raises RecordError. tell: a sentence for people about something, None: that is over.
    """

    state: Callable[[], Escrow]
    worth: Callable[[], Worth | None]
    take: Callable[[SumRead], object]
    emit: Callable[[Input], None]
    save: Callable[[Mapping[str, Mapping[str, Any]]], Awaitable[None]]
    tell: Callable[[str, str | None], None]


def runs_of(documents: Mapping[str, Mapping[str, Any]]) -> int:
    """How many starts have said anything, by what is durable. Raises ValueError for what is no count."""
    runs = documents.get(FUND_RUNS, {"runs": 0}).get("runs")
    if isinstance(runs, bool) or not isinstance(runs, int) or not 0 <= runs < 2**31:
        raise ValueError(f"{FUND_RUNS}: {str(runs)[:40]!r} is no number of starts")
    return runs


class FundSum:
    """runs: how many starts have said anything before this one: its words are later than theirs."""

    def __init__(self, place: Readings, settings: MemberSettings, clock: Clock, ports: SumPorts, *, runs: int) -> None:
        self._place = place
        self._settings = settings
        self._clock = clock
        self._ports = ports
        self._run = runs + 1
        self._is_counted = False
        self._counting: asyncio.Future[None] | None = None
        self._count = 0
        self._own: Reading | None = None
        self._heard: Mapping[str, Reading] = {}
        self._floor: Decimal | None = None
        self._question: Question | None = None
        self._silent_since: dict[str, float] = {}
        self._told_silent: set[str] = set()
        self._errors: dict[str, str | None] = {}
        self._has_moved = asyncio.Event()

    def saw(self, low: Decimal) -> None:
        """The least that this member is worth now. One comparison."""
        if self._floor is not None and low < self._floor:
            self._floor = None
            self._has_moved.set()

    async def run(self) -> None:
        """For ever. Whatever a server answers, this outlives it."""
        try:
            while True:
                self._has_moved.clear()
                try:
                    await self._take_turn()
                except Exception as error:  # none is expected: what can't be reckoned may be the limit
                    self._ports.tell("sum", f"the sum of all members can't be reckoned: {_words(error)}")
                    self._ports.take(SumRead(UNKNOWN))
                await asyncio.sleep(_LEAST_PAUSE_S)
                await self._next_moment()
        finally:
            if self._counting is not None:
                self._counting.cancel()

    async def _take_turn(self) -> None:
        self._note_worth()
        await self._talk("told", self._say())
        await self._talk("heard", self._hear())
        self._judge()
        self._ports.tell("sum", None)

    async def _next_moment(self) -> None:
        try:
            async with asyncio.timeout(self._settings.every_s - _LEAST_PAUSE_S):
                await self._has_moved.wait()
        except TimeoutError:
            return

    async def _talk(self, what: str, call: Awaitable[None]) -> None:
        error: str | None = None
        try:
            async with asyncio.timeout(self._settings.within_s):
                await call
        except Exception as failure:  # whatever it is, it is tried again
            error = _words(failure)
        self._errors[what] = error
        sentence = None if error is None else f"the other members of the fund can't be {what}: {error}"
        self._ports.tell(f"readings {what}", sentence)

    # --- saying ------------------------------------------------------------------------------------

    def _note_worth(self) -> None:
        """The word that is next, by which this member counts here too, be it heard by others or not."""
        worth, state = self._ports.worth(), self._ports.state()
        if worth is None:
            return
        self._count += 1
        now_mono = self._clock.now().mono
        self._own = Reading(
            member=state.seat,
            # Nobody hears a word that is not later than the last one, so what comes first must outlive a restart.
            sequence=(state.wanted.incarnation << 64) + (self._run << 32) + self._count,
            capital=worth.capital,
            low=worth.low,
            high=worth.high,
            gross=worth.gross,
            age_s=max(0.0, now_mono - worth.mono),
            heard_mono=now_mono,
        )
        headroom = state.headroom
        moved = None if headroom is None or headroom <= 0 else EXACT.multiply(headroom, _MOVED)
        self._floor = None if moved is None else EXACT.subtract(worth.low, moved)

    async def _say(self) -> None:
        """Raises RecordError."""
        if not self._is_counted:
            await self._count_this_run()
        if self._own is not None and self._ports.worth() is not None:
            await self._place.say(self._own, self._own.heard_mono)

    async def _count_this_run(self) -> None:
        """A disk that hangs is waited for as long as it takes, some time at once. Raises RecordError."""
        if self._counting is None:
            self._counting = asyncio.ensure_future(self._ports.save({FUND_RUNS: {"runs": self._run}}))
        await asyncio.wait({self._counting})
        counting, self._counting = self._counting, None
        counting.result()
        self._is_counted = True

    # --- hearing -----------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Raises RecordError."""
        found = await self._place.hear(self._clock.now().mono)
        for reading in found.readings:
            self._heard = heard(self._heard, reading)
        self._ports.tell("garbage", f"{found.refused[0]}: it was not heard" if found.refused else None)

    def _judge(self) -> None:
        """By what was heard so far, as old as it is by now."""
        state, now_mono, settings = self._ports.state(), self._clock.now().mono, self._settings
        if state.books is None:
            return
        self._heard = {seat: reading for seat, reading in self._heard.items() if seat in state.books.rows}
        readings = self._heard if self._own is None else {**self._heard, state.seat: self._own}
        terms = Terms(limit=state.charter.limit, fresh_s=settings.fresh_s, band=settings.band)
        verdict = judge_fund(state.books, readings, terms, now_mono)
        if settings.confirm:
            was_asked = self._question is not None
            verdict, self._question = confirmed(verdict, self._question, readings, terms, now_mono)
            if self._question is not None and not was_asked and state.wanted.trip is None:
                self._ports.emit(ReadingsWanted())
                self._note(
                    EventName.BREACH_CONFIRMING,
                    breaker=f"fund {settings.fund}",
                    by_holdings=False,
                    lost_by_all="" if verdict.least is None else plain(verdict.least),
                    limit=plain(terms.limit),
                )
        self._ports.take(SumRead(verdict))
        self._tell_silence(state, verdict.silent, now_mono)

    # --- what is told ------------------------------------------------------------------------------

    def _tell_silence(self, state: Escrow, silent: tuple[str, ...], now_mono: float) -> None:
        """Of those who are silent for long, while this one hears anybody at all."""
        others = {seat for seat in silent if seat != state.seat}
        if self._errors.get("heard") is not None or state.why_still is not None:
            return
        self._silent_since = {seat: self._silent_since.get(seat, now_mono) for seat in others}
        for seat in sorted(others - self._told_silent):
            if now_mono - self._silent_since[seat] >= _TELL_SILENCE_AFTER_S:
                self._told_silent.add(seat)
                self._note(EventName.FUND_MEMBER_SILENT, fund=self._settings.fund, member=_name(seat))
        for seat in sorted(self._told_silent - others):
            self._told_silent.remove(seat)
            self._note(EventName.FUND_MEMBER_HEARD, fund=self._settings.fund, member=_name(seat))

    def _note(self, name: EventName, **fields: object) -> None:
        self._ports.emit(Noted(RiskEvent(name, fields)))


def _name(seat: str) -> str:
    return seat.partition(".")[0]


def _words(error: Exception) -> str:
    """For people."""
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    if isinstance(error, RecordError):
        return str(error)
    return f"the server gave an odd answer: {type(error).__name__}: {str(error)[:200]}"
