"""Founding a fund, joining one, taking a member over: by hand, while no guard runs on this state.

A document is written here before anything is published, as a guard does it, and taken back where the ledger turns out
to be another one's. Where it is not known what became of it, it stays: the same command goes on with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.app.alerting_stopped import telling
from risk_daemon.app.composition import accounts, is_simulated, open_journal, own_state
from risk_daemon.app.fund_ledger import OpenLedger, ledger_of
from risk_daemon.app.fund_place import place_of
from risk_daemon.app.override_stopped import Told, are_wardens_enrolled, followed, page_of, writes_to
from risk_daemon.auth.override import Purpose
from risk_daemon.baselines.fund_start import FundStart
from risk_daemon.config.fund import Fund
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, RecordError, StateError, StateOwned, UsageError
from risk_daemon.fund import membership
from risk_daemon.fund.escrow import Escrow, step
from risk_daemon.fund.ledger import Books, Charter, LedgerRead, Row
from risk_daemon.fund.membership import FUND, check_replaceable, kept_in
from risk_daemon.fund.messages import Actions, Durable, Event, Leave, MakeDurable, Publish, Refuse, Tell, TripFund
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.units import EXACT, fixed, plain
from risk_daemon.runtime.ports import Journal
from risk_daemon.state.directory import StateDir
from risk_daemon.state.latch import refuse_unproven
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.sqlite import SqliteStore

WITHIN_S = 30.0
_AGAIN_S = 0.2
_CLAIMS = 10

Say = Callable[[str], None]
Begin = Callable[[LedgerRead], tuple[Escrow, Actions]]


class Unfinished(UsageError):
    """It is not known what became of it: nothing is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """change: for wardens. begin: how the member begins by what the ledger holds, or why not. claims: the member that
    the ledger must know to be here before."""

    name: str
    change: str
    begin: Begin
    claims: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody at the terminal wants. say: how it goes; told: hears where wardens are asked."""

    operator: str
    reason: str
    say: Say
    told: Told | None = None


def fund_of(settings: Settings) -> Fund:
    """Raises ConfigError where there is none."""
    if settings.fund is None:
        raise ConfigError(f"{settings.file}: fund: there is none: add the table [fund].")
    return settings.fund


def limit_of(settings: Settings, capital: Decimal | None) -> Decimal:
    """The fund's limit in money. capital: what a ratio is of. Raises UsageError."""
    limit = fund_of(settings).limit
    if limit.money is not None:
        if capital is not None:
            raise UsageError(f"the limit is {limit} already, so there is nothing to reckon from a capital")
        return fixed(limit.money)
    if capital is None or limit.ratio is None:
        raise UsageError(
            f"the limit is {limit} of the capital that the fund begins with, of all members together: give it as"
            " --capital AMOUNT"
        )
    return fixed(EXACT.multiply(limit.ratio, capital))


# --- the commands ------------------------------------------------------------------------------------


async def found(settings: Settings, order: Order, *, capital: Decimal | None, anew: bool) -> Escrow:
    """A new fund, with this guard as its first member. Raises UsageError, StateError, ConfigError."""
    limit = limit_of(settings, capital)
    async with desk_of(settings) as desk:
        row, currency = desk.new_row(), settings.portfolio.reference_currency
        charter = Charter(
            fund=desk.fund.name, founding=secrets.token_hex(8), founder=row.seat, currency=currency, limit=limit
        )

        def begin(read: LedgerRead) -> tuple[Escrow, Actions]:
            begun = desk.unfinished_founding(read)
            if begun is not None:
                return begun
            check_replaceable(desk.document, read)
            return membership.found(charter, row, read, anew=anew)

        change = f"The members of fund {charter.fund} may lose {plain(limit)} {currency} together from now on."
        return await desk.done_by(order, Deed(name="founded", change=change, begin=begin))


async def join(settings: Settings, order: Order) -> Escrow:
    """This guard as a member of the fund that is there. Raises UsageError, StateError, ConfigError."""
    fund = fund_of(settings)
    limit = None if fund.limit.money is None else fixed(fund.limit.money)
    async with desk_of(settings) as desk:
        row, currency = desk.new_row(), settings.portfolio.reference_currency

        def begin(read: LedgerRead) -> tuple[Escrow, Actions]:
            check_replaceable(desk.document, read)
            return membership.join(row, read, fund=fund.name, currency=currency, limit=limit)

        change = (
            f"{fund.member} is a member of fund {fund.name}, and may lose what the others give it of their budgets."
        )
        return await desk.done_by(order, Deed(name="joined", change=change, begin=begin))


async def adopt(settings: Settings, order: Order, *, member: str) -> Escrow:
    """The member `member`, whose guard elsewhere is gone for good, as this guard. Raises as `join` does."""
    fund = fund_of(settings)
    if fund.member != member:
        raise UsageError(f"{settings.file} calls this guard {fund.member}: to adopt {member} here, mend fund.member")
    async with desk_of(settings) as desk:
        own = desk.own_row()

        def begin(read: LedgerRead) -> tuple[Escrow, Actions]:
            known = desk.books(read).find(member)
            if known is not None and sorted(known.accounts) != sorted(desk.accounts):
                raise UsageError(f"{member} guards other accounts than this guard: it can't be adopted here")
            if own is None or known is None or own.seat != known.seat:
                check_replaceable(desk.document, read)
            if known is not None and known.is_funded and not desk.knows_start(read, known):
                raise UsageError(
                    f"this state does not know what {member} has lost since it got its budget, and a loss that is"
                    " forgotten could be made twice: adopt it on the state that it had (init --from-store, or a backup)"
                )
            incarnation, claimed = membership.claim(read, member, desk.place, own)
            return membership.adopt(
                LedgerRead(revision=None, document=claimed.document), member, desk.place, incarnation
            )

        change = f"{member} of fund {fund.name} is here from now on: its guard elsewhere must never run again."
        return await desk.done_by(order, Deed(name="adopted", change=change, begin=begin, claims=member))


# --- the desk ----------------------------------------------------------------------------------------


class Desk:
    """A state that is ours for now, and the ledger."""

    def __init__(
        self,
        settings: Settings,
        state_dir: StateDir,
        store: SqliteStore,
        documents: Mapping[str, Any],
        ledger: OpenLedger,
    ) -> None:
        self.settings = settings
        self.fund = fund_of(settings)
        self.place = place_of(state_dir.paths.root)
        self.documents = documents
        self.document = kept_in(documents)
        self.paths = state_dir.paths
        self._store = store
        self._ledger = ledger

    @property
    def accounts(self) -> tuple[str, ...]:
        """A simulated venue is this guard's own, and no other has it."""
        venues = self.settings.venues
        found = accounts(self.settings).items()
        return tuple(sorted(f"{key} at {self.place}" if venues[name].simulated else key for name, key in found))

    def new_row(self) -> Row:
        """A member that is new."""
        seat = f"{self.fund.member}.{secrets.token_hex(4)}"
        return Row(seat=seat, place=self.place, accounts=self.accounts, wants=fixed(self.fund.budget))

    def own_row(self) -> Row | None:
        """What the state says of this member, if it can be read."""
        try:
            return None if self.document is None else Row.of(self.document.get("row"))
        except ValueError:
            return None

    def knows_start(self, read: LedgerRead, row: Row) -> bool:
        """Whether what the loss of that seat is measured from is in this state."""
        start = FundStart()
        try:
            start.restore(self.documents.get("baselines", {}).get("fund"))
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        return start.of(self.books(read).charter.founding, row.seat) is not None

    def unfinished_founding(self, read: LedgerRead) -> tuple[Escrow, Actions] | None:
        """A founding that the ledger has, and whose founder has no budget yet: to be gone on with."""
        document, own = self.document, self.own_row()
        if document is None or own is None or own.is_funded or own.member != self.fund.member or read.document is None:
            return None
        books = self.books(read)
        if books.charter.founder != own.seat or own.seat not in books.rows:
            return None
        return membership.restore(document, self.place)

    def books(self, read: LedgerRead) -> Books:
        """Raises UsageError."""
        try:
            return Books.of(read.document)
        except ValueError as error:
            where = self._ledger.where
            raise UsageError(f"{where}: there is no fund {self.fund.name!r} that can be read: {error}") from None

    async def read(self) -> LedgerRead:
        """Raises UsageError where it does not answer: nothing was changed yet."""
        try:
            return await self._ledger.read()
        except RecordError as error:
            raise UsageError(f"{error}: nothing was changed") from error

    # --- carrying it out ---------------------------------------------------------------------------

    async def done_by(self, order: Order, deed: Deed) -> Escrow:
        """Do it; where wardens are enrolled, once they agree. What would be refused is refused before that."""
        deed.begin(await self.read())
        async with AsyncExitStack() as stack:
            journal = await open_journal(self.paths, self._store, self.documents)
            stack.push_async_callback(journal.close)
            log = await stack.enter_async_context(telling(self.settings, journal))
            if are_wardens_enrolled(self.settings):
                state = await self._by_wardens(order, deed, log)
            else:
                state = await self._done(order, deed, log, order.operator)
            await self._store.save({ANCHOR: journal.anchor()})
            return state

    async def left(self, order: Order, event: Leave) -> Escrow:
        """Out of the fund. No warden is asked: the budgets of all sum to no more than before."""
        document = self.document or {}
        async with AsyncExitStack() as stack:
            journal = await open_journal(self.paths, self._store, self.documents)
            stack.push_async_callback(journal.close)
            log = await stack.enter_async_context(telling(self.settings, journal))
            carrying = _Carrying(self._store, self._ledger, order.say, None)
            state = await carrying.out(*membership.restore(document, self.place))
            state = await carrying.out(*step(state, event))
            await self._note(order, "left", log, order.operator, state)
            await self._store.save({ANCHOR: journal.anchor()})
            return state

    async def _by_wardens(self, order: Order, deed: Deed, journal: Journal) -> Escrow:
        if order.told is None:
            raise UsageError("wardens must agree, and there is nobody to tell where")
        became: list[Escrow] = []

        async def carry_out(by: str) -> tuple[bool, str]:
            try:
                became.append(await self._done(order, deed, journal, f"{by} (asked by {order.operator})"))
            except UsageError as error:
                return False, str(error)
            return True, f"{self.fund.member} has {deed.name}"

        async with page_of(self.settings, writes_to(journal)) as desk:
            opened = await desk.open(
                Purpose.FUND,
                asked_by=order.operator,
                reason=order.reason,
                carry_out=carry_out,
                facts=(("Fund", self.fund.name), ("Member", self.fund.member), ("Ledger", self._ledger.where)),
                changes=(deed.change,),
            )
            end = (await followed(desk, opened, order.told))["end"]
        if not became:
            raise UsageError(f"nothing was changed: {end['told']}")
        return became[0]

    async def _done(self, order: Order, deed: Deed, journal: Journal, operator: str) -> Escrow:
        try:
            state = await self._carried_out(order, deed)
        except Unfinished:
            raise
        except UsageError:
            await self._store.save({FUND: self.document or {}})
            raise
        await self._note(order, deed.name, journal, operator, state)
        return state

    async def _note(self, order: Order, deed: str, journal: Journal, operator: str, state: Escrow) -> None:
        facts = {"deed": deed, "fund": self.fund.name, "member": self.fund.member, "budget": plain(state.budget)}
        event = RiskEvent(EventName.FUND_MEMBERSHIP, {**facts, "operator": operator, "reason": order.reason})
        await journal.append([event], SystemClock().now().wall, durable=True)

    async def _carried_out(self, order: Order, deed: Deed) -> Escrow:
        if deed.claims is None:
            begun = deed.begin(await self.read())
            return await _Carrying(self._store, self._ledger, order.say, deed.begin).out(*begun)
        incarnation = await self._claimed(deed.claims)
        begun = membership.adopt(await self.read(), deed.claims, self.place, incarnation)
        return await _Carrying(self._store, self._ledger, order.say, None).out(*begun)

    async def _claimed(self, member: str) -> int:
        """The incarnation that the ledger knows to be here. Raises UsageError."""
        own = self.own_row()
        for _ in range(_CLAIMS):
            incarnation, publish = membership.claim(await self.read(), member, self.place, own)
            try:
                await self._ledger.compare_and_set(publish.revision, publish.document)
            except RecordError:
                await asyncio.sleep(_AGAIN_S)
            row = self.books(await self.read()).find(member)
            if row is not None and (row.place, row.incarnation) == (self.place, incarnation):
                return incarnation
        raise UsageError(f"{self._ledger.where}: it does not take the claim of {member}: try again")


class _Carrying:
    """Carries out what follows from a beginning, until it is durable here and in the ledger.

    begin: whether it would still be let in, by what the ledger holds now; None: it is in it already.
    """

    def __init__(self, store: SqliteStore, ledger: OpenLedger, say: Say, begin: Begin | None) -> None:
        self._store = store
        self._ledger = ledger
        self._say = say
        self._begin = begin
        self._clock = SystemClock()
        self._may_be_there = False
        self._until_mono = self._clock.now().mono + WITHIN_S

    async def out(self, state: Escrow, actions: Actions) -> Escrow:
        """Raises UsageError where it was refused, Unfinished where that is not known, StateError."""
        waiting = deque(actions)
        while True:
            while waiting:
                event = await self._done(state, waiting.popleft())
                if event is not None:
                    state, more = step(state, event)
                    waiting.extend(more)
            if _is_whole(state):
                return state
            await self._pause("the ledger does not have it yet")
            state, more = step(state, await self._read())
            waiting.extend(more)

    async def _done(self, state: Escrow, action: Any) -> Event | None:
        match action:
            case MakeDurable(sequence, document):
                await self._save(document)
                return Durable(sequence)
            case Publish(revision, document):
                self._check_let_in(state)
                await self._publish(revision, document)
                return await self._read()
            case Refuse(reason) if self._may_be_there:
                raise Unfinished(
                    f"{reason}, and it may hold what was begun here: look at it, and give the command again"
                )
            case Refuse(reason):
                raise UsageError(reason)
            case TripFund(trip_id, reason):
                raise UsageError(f"{reason} ({trip_id})")
            case Tell(what):
                self._say(what)
        return None

    async def _publish(self, revision: str | None, document: Mapping[str, Any]) -> None:
        """Whatever comes of it: it is read next."""
        try:
            self._may_be_there |= await self._ledger.compare_and_set(revision, document)
        except RecordError as error:
            self._may_be_there = True
            self._say(str(error))
            await self._pause(str(error))

    async def _save(self, document: Mapping[str, Any]) -> None:
        try:
            await self._store.save({FUND: document})
        except RecordError as error:
            raise StateError(f"{error}: give the same command again") from error

    def _check_let_in(self, state: Escrow) -> None:
        """Others may have joined since: two at once are not let in for what is there once. Raises UsageError."""
        books = state.books
        is_new = self._begin is not None and (books is None or state.seat not in books.rows)
        if is_new and self._begin is not None and books is not None and state.revision is not None and books.rows:
            self._begin(LedgerRead(revision=state.revision, document=books.document()))

    async def _read(self) -> LedgerRead:
        while True:
            try:
                return await self._ledger.read()
            except RecordError as error:
                await self._pause(str(error))

    async def _pause(self, why: str) -> None:
        """Raises Unfinished when the time is over."""
        if self._clock.now().mono >= self._until_mono:
            raise Unfinished(f"{why}: it is begun and durable here, and not finished: give the same command again")
        await asyncio.sleep(_AGAIN_S)


def _is_whole(state: Escrow) -> bool:
    """Durable, published, and as it was read back; a founder with its limit."""
    if state.books is None or state.wanted != state.kept or state.books.rows.get(state.seat) != state.kept:
        return False
    return state.kept.is_funded or state.charter.founder != state.seat


@asynccontextmanager
async def desk_of(settings: Settings) -> AsyncIterator[Desk]:
    """Raises StateError, ConfigError: also while a guard runs here, or a trip is to be finished."""
    async with AsyncExitStack() as stack:
        ledger = ledger_of(settings)
        stack.push_async_callback(ledger.aclose)
        create = is_simulated(settings) and not are_wardens_enrolled(settings)
        try:
            state_dir = stack.enter_context(own_state(settings, create=create))
        except StateOwned as error:
            raise StateOwned(f"{error}: stop the guard first") from None
        store = SqliteStore.open(state_dir.paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        refuse_unproven(state_dir.paths, documents, SystemClock().now())
        yield Desk(settings, state_dir, store, documents, ledger)
