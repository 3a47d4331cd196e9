"""One guard as a member of a fund: its loss goes into `fund/escrow.py`, and what follows from it is carried out.

A trip goes to the engine in the same moment; it waits for no disk and no ledger. What is to be durable and what is to
be published go their own ways, each tried again until it is done. About each second the ledger is read, headroom is
asked for or lent, and the leave to open is renewed: it runs out by itself where this task does not run any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import structlog

from risk_daemon.engine.decision import Decision
from risk_daemon.errors import RecordError
from risk_daemon.fund import escrow, lending
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.ledger import JsonObject, Ledger
from risk_daemon.fund.membership import FUND
from risk_daemon.fund.messages import (
    Actions,
    Durable,
    Event,
    Give,
    LossRead,
    MakeDurable,
    Publish,
    Refuse,
    Tell,
    TripFund,
    WriteFailed,
)
from risk_daemon.gate.restraints import Cause
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import (
    EventName,
    FundBegan,
    FundTold,
    Input,
    LeaseSeen,
    Noted,
    PricesSeen,
    RiskEvent,
    TrippedElsewhere,
)
from risk_daemon.model.others_status import FundStatus
from risk_daemon.model.units import EXACT, plain
from risk_daemon.portfolio.manager import Equity
from risk_daemon.runtime.fund_loss import FundLoss
from risk_daemon.runtime.fund_status import NOT_JOINED, MemberSettings, fund_status, why_not
from risk_daemon.runtime.fund_sum import FundSum, SumPorts, Worth
from risk_daemon.state.fund.readings import Readings

_LOG = structlog.get_logger(__name__)
_AFTER_LOST_RACE_S = 0.05
_CANCELS, _CANCEL_AGAIN_S = 10, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPorts:
    """What a member needs of its guard.

    save: the store's. keep: save what losses are measured from; False: it failed. emit: to the engine.
    start: what the loss in the fund is measured from, of that founding and seat; None: not taken yet.
    is_read_since: whether every account and price was read over REST, begun at that `mono` or later.
    gross: what of its worth prices could move.
    """

    save: Callable[[Mapping[str, JsonObject]], Awaitable[None]]
    keep: Callable[[], Awaitable[bool]]
    emit: Callable[[Input], None]
    start: Callable[[str, str], Decimal | None]
    is_read_since: Callable[[float], bool]
    gross: Callable[[], Decimal]


class Member:
    """Runs between `start` and `aclose`.

    begun: the member as its document says, and what is to be done about it (`membership.restore`); None: it has not
    joined. keeps_start: whether what its loss is measured from was read from the disk. readings: where members hear
    each other, if anywhere; runs: how many starts spoke there before this one (`fund_sum.runs_of`).
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: MemberSettings,
        clock: Clock,
        ports: MemberPorts,
        *,
        begun: tuple[Escrow, Actions] | None,
        keeps_start: bool = False,
        readings: Readings | None = None,
        runs: int = 0,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._ports = ports
        self._state: Escrow | None = None if begun is None else begun[0]
        self._begun: Actions = () if begun is None else begun[1]
        self._equity: Equity | None = None
        self._heard_mono = float("-inf")
        self._floor: Decimal | None = None
        self._is_judging = False
        self._loss = FundLoss(settings, ports.emit, ports.is_read_since)
        self._keeps_start = keeps_start
        self._began: tuple[str, str] | None = None
        self._to_write: MakeDurable | None = None
        self._to_publish: Publish | None = None
        self._has_to_write, self._has_to_say = asyncio.Event(), asyncio.Event()
        self._changed = asyncio.Condition()
        self._said: dict[str, str | None] = {}
        self._ledger_error: str | None = None
        self._read_mono: float | None = None
        self._told_trip: str | None = None
        self._budget: Decimal | None = None
        self._sum = None if readings is None or begun is None else self._summing(readings, begun[0], runs)
        self._running: tuple[asyncio.Task[None], ...] = ()

    def _summing(self, readings: Readings, begun: Escrow, runs: int) -> FundSum:
        ports = SumPorts(
            state=lambda: self._state or begun,
            worth=self._worth,
            take=self._step,
            emit=self._ports.emit,
            save=self._ports.save,
            tell=self._tell,
        )
        return FundSum(readings, self._settings, self._clock, ports, runs=runs)

    # --- life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """From now on the ledger is read and written, and the gate has this member's leave or not."""
        self._do(self._begun)
        self._follow()
        self._renew()
        loop = asyncio.get_running_loop()
        work = {"fund": self._talk(), "fund's document": self._write(), "fund's start": self._keep()}
        if self._sum is not None:
            work["fund's sum"] = self._sum.run()
        self._running = tuple(loop.create_task(job, name=name) for name, job in work.items())

    async def aclose(self) -> None:
        """End. What was not published yet is durable, or is found again by the next start."""
        running = set(self._running)
        for _ in range(_CANCELS):  # a library may swallow one, and the end is not to wait for it
            if not running:
                return
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)

    def heard(self, decision: Decision) -> None:
        """What the guard's accounts are worth now. While the budget is surely not lost, this is one comparison."""
        self._heard_mono, self._equity = decision.now.mono, decision.equity
        equity, floor = decision.equity, self._floor
        if not self._is_judging:
            return
        if self._sum is not None and equity is not None:
            self._sum.saw(equity.low)
        if floor is not None and equity is not None and equity.low > floor and not decision.persist:
            return  # with whatever moves what the loss is measured from there is something to persist
        self._look(decision.now.mono, by_prices=isinstance(decision.event, PricesSeen))

    @property
    def confirm_within_s(self) -> float:
        """How long a lost budget is in question at most, unless readings change it again."""
        return self._settings.confirm_within_s

    @property
    def is_confirming(self) -> bool:
        """Whether the budget seems to be lost, and that is being read again."""
        return self._loss.is_confirming

    # --- people ------------------------------------------------------------------------------------

    async def give(self, to: str, amount: Decimal) -> str | None:
        """Give headroom to another member. None once the gift is durable and published, else a sentence that says why
        not, or that it is on its way: what is given is lower here from the first moment, whatever becomes of it."""
        before = self._state
        if before is None:
            return NOT_JOINED
        if self._ledger_error is not None:
            return f"the fund's ledger does not answer ({self._ledger_error}): nothing was given"
        refusal = self._step(Give(to=to, amount=amount))
        if refusal is not None:
            return refusal
        goal = {} if self._state is None else self._state.wanted.given
        try:
            async with asyncio.timeout(self._settings.give_within_s), self._changed:
                await self._changed.wait_for(lambda: self._has_published(goal))
        except TimeoutError:
            return (
                f"{plain(amount)} are taken from {self._settings.member}'s budget, and {to} has them once the fund's"
                f" ledger has been told ({self._ledger_error or self._said.get('document') or 'it takes long'})"
            )
        return None

    def view(self) -> FundStatus:
        """How this member stands, for people and programs."""
        read_s = None if self._read_mono is None else self._clock.now().mono - self._read_mono
        return fund_status(
            self._settings,
            self._state,
            why_not=self._why_not(),
            is_told=self._told_trip is not None,
            ledger_error=self._ledger_error,
            read_s=read_s,
        )

    # --- losses ------------------------------------------------------------------------------------

    def _start(self) -> Decimal | None:
        state = self._state
        return None if state is None else self._ports.start(state.charter.founding, state.seat)

    def _look(self, now_mono: float, *, by_prices: bool = False, again: bool = False) -> None:
        """Tell the escrow what was lost, as it is known now. again: also that it is still not known, which has what
        failed tried anew."""
        state = self._state
        if state is None:
            return
        start = self._start() if self._keeps_start else None  # one that a crash would forget counts as none yet
        loss = self._loss.read(state, start, self._equity, now_mono, by_prices=by_prices)
        if again or state.loss is not None or isinstance(loss, LossRead):
            self._step(loss)

    def _worth(self) -> Worth | None:
        """What the others may be told: nothing while it is not known, or is being read again. Nor what may be anything,
        as in the seconds after a start: that would shut the gates of all, and here it is shut already."""
        state, equity, start = self._state, self._equity, self._start() if self._keeps_start else None
        if state is None or equity is None or start is None or not state.is_guarding or self._loss.is_confirming:
            return None
        if state.is_undecided and not equity.is_trusted:
            return None
        return Worth(capital=start, low=equity.low, high=equity.high, gross=self._ports.gross(), mono=self._heard_mono)

    async def _keep(self) -> None:
        """What the loss is measured from, once it is taken, must survive a crash before anything opens by it."""
        while not self._keeps_start:
            await asyncio.sleep(self._settings.every_s)
            if self._start() is not None:
                self._keeps_start = await self._ports.keep()
        self._look(self._clock.now().mono)

    # --- one event ---------------------------------------------------------------------------------

    def _step(self, event: Event) -> str | None:
        """Take it in, and have everything done that follows. A sentence where it was refused."""
        if self._state is None:
            return None
        self._state, actions = escrow.step(self._state, event)
        refusal = self._do(actions)
        self._follow()
        return refusal

    def _do(self, actions: Actions) -> str | None:
        """In their order. Nothing here waits: what does is done by the tasks."""
        refusal: str | None = None
        for action in actions:
            match action:
                case TripFund(trip_id, reason):
                    tripped = TrippedElsewhere(trip_id=trip_id, by=self._by, cause=Cause.FUND, reason=reason)
                    self._ports.emit(tripped)
                case MakeDurable():
                    self._to_write = action
                    self._has_to_write.set()
                case Publish():
                    self._to_publish = action
                    self._has_to_say.set()
                case Refuse(reason):
                    refusal = refusal or reason
                case Tell(what):
                    self._tell("books", what)
        return refusal

    def _follow(self) -> None:
        """What follows from the state as it is now: below which worth to look again, and whether the gate may open."""
        state = self._state
        if state is None:
            return
        self._is_judging = state.is_guarding and state.wanted.trip is None
        loss, names = state.loss, (state.charter.founding, state.seat)
        is_calm = loss is not None and loss.most < state.budget and self._is_judging and not self._loss.is_confirming
        start = self._start() if is_calm else None
        self._floor = None if start is None else EXACT.subtract(start, state.budget)
        if state.kept.is_funded and self._began != names:
            self._began = names
            self._ports.emit(FundBegan(founding=state.charter.founding, seat=state.seat))
        self._tell_budget(state)
        self._tell_told(state)
        why_not = self._why_not()
        if self._said.get("gate", "") != why_not:
            self._renew()

    def _renew(self) -> None:
        """The leave to open, or why there is none. Without a word from the engine itself nothing is renewed."""
        why_not = self._said["gate"] = self._why_not()
        if why_not is not None:
            self._ports.emit(LeaseSeen(by=FUND, until_mono=None, reason=why_not))
        elif self._clock.now().mono - self._heard_mono < self._settings.lease_s:
            until_mono = self._clock.now().mono + self._settings.lease_s
            self._ports.emit(LeaseSeen(by=FUND, until_mono=until_mono))

    def _why_not(self) -> str | None:
        """Why this member may not trade; None: it may."""
        return why_not(self._state, is_confirming=self._loss.is_confirming)

    @property
    def _by(self) -> str:
        return f"fund {self._settings.fund}"

    def _tell_budget(self, state: Escrow) -> None:
        before, self._budget = self._budget, state.budget
        if before is not None and before != state.budget:
            changed = {"before": plain(before), "budget": plain(state.budget)}
            self._note(EventName.FUND_BUDGET_CHANGED, fund=state.charter.fund, **changed)

    def _tell_told(self, state: Escrow) -> None:
        """Once the ledger has the trip, by anybody's row, as it was read: the others hear of it without this guard."""
        trip, books = state.wanted.trip, state.books
        if trip is None or self._told_trip == trip or books is None:
            return
        if any(row.trip == trip for row in books.rows.values()):
            self._told_trip = trip
            self._ports.emit(FundTold(trip_id=trip))

    # --- the disk ----------------------------------------------------------------------------------

    async def _write(self) -> None:
        """One after the other: a disk that hangs is waited for, and told of."""
        while True:
            await self._has_to_write.wait()
            self._has_to_write.clear()
            action, self._to_write = self._to_write, None
            if action is None:
                continue
            error = await self._saved(action)
            self._tell("document", None if error is None else f"the member's document can't be saved: {error}")
            self._step(Durable(action.sequence) if error is None else WriteFailed(action.sequence))
            await self._note_change()
            if error is not None:
                await asyncio.sleep(self._settings.every_s)
                self._look(self._clock.now().mono, again=True)

    async def _saved(self, action: MakeDurable) -> str | None:
        """Why it is not known to be on disk; None: it is."""
        saving = asyncio.ensure_future(self._ports.save({FUND: action.document}))
        try:
            await asyncio.wait({saving}, timeout=self._settings.within_s)
            if not saving.done():
                self._tell("document", "the member's document can't be saved: the store does not answer")
            await saving
        except asyncio.CancelledError:
            saving.cancel()
            raise
        except Exception as error:  # whatever it is, it is tried again
            return str(error) or type(error).__name__
        return None

    # --- the ledger --------------------------------------------------------------------------------

    async def _talk(self) -> None:
        while True:
            self._has_to_say.clear()
            self._look(self._clock.now().mono, again=True)
            await self._exchange()
            self._lend()
            self._renew()
            await self._note_change()
            await self._next_moment()

    async def _next_moment(self) -> None:
        """Until there is something to publish, or it is time. What failed waits for its time."""
        try:
            async with asyncio.timeout(self._settings.every_s):
                if self._ledger_error is None:
                    await self._has_to_say.wait()
                else:
                    await asyncio.sleep(self._settings.every_s)
        except TimeoutError:
            return

    async def _exchange(self) -> None:
        """Publish what there is, and read, whatever became of it: only what was read is believed."""
        publish, self._to_publish = self._to_publish, None
        error, was_lost = None, False
        try:
            if publish is not None:
                async with asyncio.timeout(self._settings.within_s):
                    was_lost = not await self._ledger.compare_and_set(publish.revision, publish.document)
        except Exception as failure:  # whatever a server answers: this task must outlive it
            error = _words(failure)
        try:
            async with asyncio.timeout(self._settings.within_s):
                read = await self._ledger.read()
        except Exception as failure:
            self._note_ledger(error or _words(failure))
            return
        refusal = self._step(read)
        self._note_ledger(refusal or error)
        if refusal is None:
            self._read_mono = self._clock.now().mono
        if was_lost:  # somebody else writes, too: not all of them at once again
            await asyncio.sleep(_AFTER_LOST_RACE_S)

    def _lend(self) -> None:
        """Ask for what is lacking, and lend what another one lacks."""
        for suggest in (lending.asked, lending.offered):
            event = None if self._state is None or self._ledger_error is not None else suggest(self._state)
            if event is not None:
                self._step(event)

    def _has_published(self, goal: Mapping[str, Decimal]) -> bool:
        """Whether the ledger, as it was read last, says that so much was given."""
        state = self._state
        row = None if state is None or state.books is None else state.books.rows.get(state.seat)
        return row is not None and all(row.given.get(seat, 0) >= amount for seat, amount in goal.items())

    async def _note_change(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- what is told ------------------------------------------------------------------------------

    def _note(self, name: EventName, **fields: object) -> None:
        self._ports.emit(Noted(RiskEvent(name, fields)))

    def _tell(self, about: str, what: str | None) -> None:
        """A sentence for people, once."""
        if self._said.get(about) != what:
            self._said[about] = what
            if what is not None:
                self._note(EventName.FUND_NOTICE, fund=self._settings.fund, message=what)

    def _note_ledger(self, error: str | None) -> None:
        """Told when it begins and ends."""
        before, self._ledger_error = self._ledger_error, error
        if error is not None and before is None:
            self._note(EventName.FUND_LEDGER_LOST, fund=self._settings.fund, error=error)
        elif error is None and before is not None:
            self._note(EventName.FUND_LEDGER_FOUND, fund=self._settings.fund)


def _words(error: Exception) -> str:
    """For people."""
    if isinstance(error, TimeoutError):
        return "the fund's ledger does not answer"
    if isinstance(error, RecordError):
        return str(error)
    return f"the fund's ledger gave an odd answer: {type(error).__name__}: {str(error)[:200]}"
