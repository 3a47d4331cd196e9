"""A member's budget: how much it may lose before it trips the fund, and how headroom moves without ever being twice.

The budgets of all members never sum above the fund's limit, so a fund that has lost its limit has a member that has
lost its budget, and that one trips by itself: no message is needed, and no network can be in the way.

Headroom moves giver first: what it gives lowers the budget it goes by at once, is then made durable, and only then
published; the receiver goes by it once its own row is durable. Whatever is lost on the way is missing from the sum.
A member's own document goes before the shared record: that one may be late, or restored from an older one.

Every step is a function of a state and an event. After a crash the state is what was durable: `membership.restore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from risk_daemon.fund.ledger import FORMAT, Books, Charter, LedgerRead, Row, total
from risk_daemon.fund.messages import (
    Action,
    Actions,
    Ask,
    Durable,
    Event,
    Give,
    Leave,
    LossRead,
    LossUnknown,
    MakeDurable,
    Publish,
    Refuse,
    SumRead,
    Tell,
    TripFund,
    WriteFailed,
)
from risk_daemon.fund.sum import Verdict
from risk_daemon.model.units import EXACT, ZERO, fixed, plain

# --- the state ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrow:
    """One member, as its process sees it.

    kept: the row that is durable, wanted: the one that shall be, writing: the one that is being written.
    books, revision: what the ledger held when it was read last; books None: not read since the start.
    published: revision and row of the last publication that nothing was heard of since.
    sum: what all members have lost together, as it was judged last; None: it was not.
    superseded: why this process is not the member any more, if so: it guards on, gives nothing and takes nothing.
    rival: the ledger, as it was read last, is that of another founding of this fund, if so: the limit is there twice.
    is_over: the ledger is that of a later founding, which knows how this one ended: nothing is published any more.
    """

    charter: Charter
    kept: Row
    wanted: Row
    writing: Row | None = None
    books: Books | None = None
    revision: str | None = None
    published: tuple[str | None, Row] | None = None
    loss: LossRead | None = None
    sum: Verdict | None = None
    superseded: str | None = None
    rival: str | None = None
    is_over: bool = False
    told: str | None = None

    @property
    def name(self) -> str:
        return self.wanted.member

    @property
    def seat(self) -> str:
        return self.wanted.seat

    @property
    def budget(self) -> Decimal:
        """What this member goes by: what lowers it counts at once, what raises it once it is durable."""
        return min(self.kept.budget, self.wanted.budget)

    @property
    def is_guarding(self) -> bool:
        """Whether its loss is judged. One that has no budget yet may not trade; one that has left is no member."""
        return self.kept.is_funded and not self.wanted.has_left

    @property
    def is_breached(self) -> bool:
        """Whether it has surely lost its budget; at exactly that it has."""
        return self.is_guarding and self.loss is not None and self.loss.least >= self.budget

    @property
    def is_undecided(self) -> bool:
        """Whether it may have lost its budget, by what is not known: then the gate is shut."""
        if not self.is_guarding or self.is_breached:
            return False
        return self.loss is None or self.loss.most >= self.budget

    @property
    def headroom(self) -> Decimal | None:
        """How much may surely still be lost before the fund trips. None: not known."""
        return None if self.loss is None else EXACT.subtract(self.budget, self.loss.most)

    @property
    def is_sum_undecided(self) -> bool:
        """Whether all members together may have lost the limit, and each of them was heard just now; or have, as it
        looks. Who is silent makes the sum undecided too, and shuts no gate: the budgets hold without it."""
        if self.sum is None or not self.sum.is_undecided:
            return False
        return not self.sum.silent or (self.sum.least is not None and self.sum.least >= self.charter.limit)

    @property
    def may_trade(self) -> bool:
        """What the fund says of the gate."""
        is_stopped = self.wanted.trip is not None or self.superseded is not None or self.rival is not None
        is_open_question = self.is_undecided or self.is_sum_undecided
        return self.is_guarding and not is_stopped and not self.is_breached and not is_open_question

    @property
    def trip_id(self) -> str:
        """Of the trip that ends this fund: a founding trips once, and all members under the same id, also those who
        trip before they have heard of each other."""
        return f"{self.charter.fund}-{self.charter.founding[:16]}"

    @property
    def why_still(self) -> str | None:
        """Why no headroom moves to or from here, if so."""
        if self.superseded is not None or self.rival is not None:
            return self.superseded or self.rival
        if self.wanted.trip is not None:
            return f"the fund has tripped ({self.wanted.trip})"
        return f"{self.name} has left the fund" if self.wanted.has_left else None

    def document(self, row: Row) -> dict[str, Any]:
        """What is made durable."""
        return {"format": FORMAT, "charter": self.charter.document(), "row": row.document()}


# --- one event ---------------------------------------------------------------------------------------


def step(state: Escrow, event: Event) -> tuple[Escrow, Actions]:
    """What follows from an event. What is refused changes nothing and says why."""
    match event:
        case LossRead():
            return _lost(state, event)
        case LossUnknown():
            return settled(replace(state, loss=None))
        case SumRead(verdict):
            return _summed(state, verdict)
        case LedgerRead():
            return _read(state, event)
        case Durable(sequence):
            written = state.writing
            if written is None or written.sequence != sequence:
                return state, ()
            return settled(replace(state, kept=written, writing=None))
        case WriteFailed(sequence):
            written = state.writing
            if written is None or written.sequence != sequence:
                return state, ()
            return replace(state, writing=None), ()
        case Ask(amount):
            is_moot = state.books is None or state.why_still is not None or fixed(amount) == state.wanted.asks
            return (state, ()) if is_moot or amount < 0 else settled(_with(state, asks=fixed(amount)))
        case Give():
            return _give(state, event)
        case Leave():
            return _leave(state, event)


def _lost(state: Escrow, event: LossRead) -> tuple[Escrow, Actions]:
    """What makes no sense says nothing, not even that it is as it was."""
    if not (event.least.is_finite() and event.most.is_finite()) or event.least > event.most:
        after, actions = settled(replace(state, loss=None))
        return after, (Refuse(f"a loss from {event.least} to {event.most} is none: it is not known"), *actions)
    return settled(replace(state, loss=event))


def _summed(state: Escrow, verdict: Verdict) -> tuple[Escrow, Actions]:
    """A sum surely at the limit trips, wherever the single losses are."""
    state = replace(state, sum=verdict)
    if not (verdict.is_breached and state.is_guarding) or state.wanted.trip is not None:
        return settled(state)
    least = ZERO if verdict.least is None else verdict.least
    return _tripped(
        state,
        state.trip_id,
        f"all members have lost {plain(least)} together, of a limit of {plain(state.charter.limit)}",
    )


def _give(state: Escrow, event: Give) -> tuple[Escrow, Actions]:
    receiver = _receiver(state, event.to)
    refused = state.why_still or _why_not_so_much(state, event.amount)
    if receiver is None or refused is not None:
        return state, (Refuse(refused or _no_receiver(event.to)),)
    return settled(_lowered(state, receiver, event.amount))


def _why_not_so_much(state: Escrow, amount: Decimal) -> str | None:
    if amount <= 0 or amount != fixed(amount):
        return f"{amount} is no amount to give"
    headroom = state.headroom
    if headroom is None:
        return f"it is not known what {state.name} has lost, so not what it can spare"
    if amount >= headroom:
        return f"{state.name} can spare less than {plain(headroom)}, or it would trip the fund itself"
    return None


def _receiver(state: Escrow, to: str) -> Row | None:
    """Another member that may be given something, as the ledger was when it was read last."""
    row = None if state.books is None else state.books.find(to)
    return None if row is None or row.seat == state.seat or row.has_left else row


def _no_receiver(to: str) -> str:
    return f"the ledger, as it was read last, has no other member {to!r} that could be given anything"


def _leave(state: Escrow, event: Leave) -> tuple[Escrow, Actions]:
    """What it has lost stays with it: the others' budgets are what the fund may still lose."""
    receiver = None if event.to is None else _receiver(state, event.to)
    refused = state.why_still or _why_not_leave(state, event)
    if event.to is not None and receiver is None:
        refused = refused or _no_receiver(event.to)
    if refused is not None:
        return state, (Refuse(refused),)
    if receiver is not None and state.is_guarding:
        state = _lowered(state, receiver, _spare_of_a_leaver(state, event.loss))
    return settled(_with(state, has_left=True, asks=ZERO))


def _why_not_leave(state: Escrow, event: Leave) -> str | None:
    if state.wanted != state.kept:
        return f"a change of {state.name}'s budget is being written: try again"
    if not event.is_proven:
        return f"{state.name}'s accounts are not proven empty and flat: it keeps its budget"
    if state.is_guarding and _spare_of_a_leaver(state, event.loss) <= 0:
        return f"{state.name} has lost its budget: that is a trip"
    return None


def _spare_of_a_leaver(state: Escrow, loss: Decimal) -> Decimal:
    return EXACT.subtract(state.budget, fixed(loss))


def _lowered(state: Escrow, to: Row, amount: Decimal) -> Escrow:
    given = state.wanted.given
    return _with(state, given={**given, to.seat: EXACT.add(given.get(to.seat, ZERO), amount)})


def _read(state: Escrow, event: LedgerRead) -> tuple[Escrow, Actions]:
    try:
        books = Books(state.charter) if event.document is None else Books.of(event.document)
    except ValueError as error:
        return state, (Refuse(f"{error}: nothing was changed by it"),)
    if _is_of_before(books.charter, state.charter):
        books = Books(state.charter)  # an older copy: what was said since is said again, as to a ledger that forgot all
    theirs = books.charter
    ended = dict(theirs.before) if theirs.fund == state.charter.fund else {}
    if state.charter.founding in ended:
        return _over(state, theirs, ended[state.charter.founding])
    if theirs != state.charter:
        sentence = (
            f"the ledger is that of {theirs.fund!r}, founded by {theirs.founder} as {theirs.founding}, and"
            f" {state.name} is of {state.charter.fund!r}, founded as {state.charter.founding}"
        )
        rival = sentence if _is_rival(theirs, state.charter) else state.rival
        return replace(state, rival=rival), (Refuse(f"{sentence}: nothing was changed"),)
    superseded = state.superseded or _superseded_by(state, books)
    state = replace(state, books=books, revision=event.revision, published=None, superseded=superseded, rival=None)
    state = _given_as_known(state, books)
    if state.wanted.trip is None and books.trip is not None and not state.wanted.has_left:
        by = ", ".join(sorted(row.member for row in books.rows.values() if row.trip is not None))
        return _tripped(state, books.trip, f"{by} tripped the fund")
    if state.why_still is not None:
        return settled(state)
    return _taken(state, books)


def _is_rival(theirs: Charter, ours: Charter) -> bool:
    """Whether the same fund was founded twice, by people who knew nothing of each other: then its limit is there
    twice, and which of the two counts nobody can tell here."""
    return theirs.fund == ours.fund and theirs.founding != ours.founding


def _is_of_before(theirs: Charter, ours: Charter) -> bool:
    """Whether that founding is over, as ours came after it: who is still of it hears so by our record in its place."""
    return theirs.fund == ours.fund and theirs.founding in dict(ours.before)


def _over(state: Escrow, later: Charter, trip: str | None) -> tuple[Escrow, Actions]:
    """The fund was founded anew, which is done once it has tripped or all have left: who did not hear of that, hears
    it now. Of this founding the ledger says its end and nothing else."""
    if state.is_over:
        return settled(state)
    sentence = (
        f"{later.fund} was founded anew, as {later.founding} by {later.founder}: join it once this guard is stopped"
    )
    after = replace(state, superseded=sentence, is_over=True, published=None)
    if trip is None or state.wanted.trip is not None or state.wanted.has_left:
        after, actions = settled(after)
    else:
        after, actions = _tripped(after, trip, "the fund had tripped before it was founded anew")
    return replace(after, books=Books(state.charter, {after.seat: after.wanted})), actions


def _given_as_known(state: Escrow, books: Books) -> Escrow:
    """What it has given by anybody's word: a state that forgot it, as from a backup, remembers."""
    mine = books.rows.get(state.seat)
    given = larger(state.wanted.given, {} if mine is None else mine.given, taken_from(state.seat, books))
    return state if given == state.wanted.given else _with(state, given=given)


def _superseded_by(state: Escrow, books: Books) -> str | None:
    """The ledger's row of this name must be one that this very state has published."""
    theirs, mine = books.rows.get(state.seat), state.wanted
    if theirs is None:
        return None
    if theirs.place != mine.place and theirs.incarnation >= mine.incarnation:
        return f"{state.name} is at {theirs.place} now, not at {mine.place}: this guard is not that member"
    theirs = replace(theirs, trip=None)  # a trip does not wait to be counted
    is_another = any(theirs.order == own.order and theirs != replace(own, trip=None) for own in (state.kept, mine))
    if theirs.order > mine.order or is_another:
        return f"this state is older than what {state.name} has published: it was restored, adopt the member here"
    return None


def _taken(state: Escrow, books: Books) -> tuple[Escrow, Actions]:
    """What others have given it, each sum as it is in all: twice the same is once."""
    wrong = next(books.with_row(state.wanted).wrong(), None)
    if wrong is not None:
        is_news = wrong != state.told
        after, actions = settled(replace(state, told=wrong))
        return after, (*actions, Tell(f"{wrong}. Nobody is given more until it is put right")) if is_news else actions
    offered = {row.seat: row.given.get(state.seat, ZERO) for row in books.rows.values() if row.seat != state.seat}
    taken, minted = _credited(state.wanted.taken, offered), _minted(state, books)
    if taken != state.wanted.taken or minted != state.wanted.minted:
        gained = EXACT.subtract(total(taken.values()), total(state.wanted.taken.values()))
        asks = max(ZERO, EXACT.subtract(state.wanted.asks, gained))
        state = _with(state, taken=taken, minted=minted, asks=asks)
    return settled(replace(state, told=None))


def _credited(taken: Mapping[str, Decimal], offered: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return larger(taken, offered)


def _minted(state: Escrow, books: Books) -> Decimal:
    """The limit, for the founder, once the ledger has its founding and no other one."""
    is_founder = state.charter.founder == state.seat and state.seat in books.rows
    return state.charter.limit if is_founder else state.wanted.minted


# --- what follows from every state -------------------------------------------------------------------


def settled(state: Escrow) -> tuple[Escrow, Actions]:
    """A state, with everything under way that it lacks: a trip first."""
    if state.is_breached and state.wanted.trip is None:
        least = state.loss.least if state.loss else ZERO
        reason = f"{state.name} has lost {plain(least)} of a budget of {plain(state.budget)}"
        return _tripped(state, state.trip_id, reason)
    actions: list[Action] = []
    if state.wanted != state.kept and state.writing is None:
        state = replace(state, writing=state.wanted)
        actions.append(MakeDurable(state.wanted.sequence, state.document(state.wanted)))
    books, durable = state.books, _row_to_publish(state)
    if books is not None and durable is not None:
        state = replace(state, published=(state.revision, durable))
        actions.append(Publish(state.revision, books.with_row(durable).document()))
    return state, tuple(actions)


def _row_to_publish(state: Escrow) -> Row | None:
    """What is durable, and only that, where the ledger has another one. Not while something newer is being written:
    the ledger may just have said what this row does not know yet. A trip waits for no disk, and for nobody's leave."""
    row, books, trip = state.kept, state.books, state.wanted.trip
    if books is None or not row.sequence or state.is_over:
        return None
    published = books.rows.get(row.seat)
    if row != state.wanted or state.superseded is not None:
        known = published or row
        row = known if known.trip is not None else replace(known, trip=trip)
        if trip is None:
            return None
    is_under_way = state.published == (state.revision, row)
    return None if is_under_way or published == row else row


def _tripped(state: Escrow, trip_id: str, reason: str) -> tuple[Escrow, Actions]:
    after, actions = settled(_with(state, trip=trip_id))
    return after, (TripFund(trip_id, reason), *actions)


def trip_stands(state: Escrow, reason: str) -> tuple[Escrow, Actions]:
    """This guard stands tripped for the fund, and its document was not written any more: it is known again."""
    return _tripped(state, state.trip_id, reason)


def _with(state: Escrow, **changes: Any) -> Escrow:
    return replace(state, wanted=state.wanted.next(**changes))


def larger(*sums: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """By seat the largest of several sums that only grow."""
    largest: dict[str, Decimal] = {}
    for one in sums:
        for name, amount in one.items():
            if amount > largest.get(name, ZERO):
                largest[name] = amount
    return largest


def taken_from(seat: str, books: Books) -> dict[str, Decimal]:
    """What the others' rows say that they have taken from that seat."""
    return {row.seat: row.taken.get(seat, ZERO) for row in books.rows.values() if row.seat != seat}
