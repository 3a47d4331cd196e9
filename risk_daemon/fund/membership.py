"""How a member begins: it founds a fund, joins one, is started again, or is adopted by another machine."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from risk_daemon.errors import StateError, UsageError
from risk_daemon.fund.escrow import Escrow, larger, settled, taken_from
from risk_daemon.fund.ledger import Books, Charter, JsonObject, LedgerRead, Row, check_format, total
from risk_daemon.fund.messages import Actions, Publish, TripFund
from risk_daemon.model.units import plain

# The key of the member's document in the state, and by whom a guard must be let for its gate to open.
FUND = "fund"


def found(charter: Charter, row: Row, read: LedgerRead, *, anew: bool = False) -> tuple[Escrow, Actions]:
    """A new fund, by its first member. Raises UsageError where the ledger holds one already, or anything.

    The limit is minted once the ledger holds the charter: of two who found at once, one is refused.
    anew: in the place of a fund that has tripped, or whose members have all left; raises where it is neither.
    """
    if anew:
        charter = replace(charter, before=_ended(charter.fund, read))
    elif read.document is not None:
        raise UsageError(f"the ledger of {charter.fund!r} is not empty: join the fund that is there")
    if row.seat != charter.founder:
        raise UsageError(f"{row.seat} can't found a fund for {charter.founder}")
    if row.wants > charter.limit:
        raise UsageError(f"a budget of {plain(row.wants)} is above the fund's limit of {plain(charter.limit)}")
    return settled(_new(charter, row, Books(charter), read.revision))


def _ended(fund: str, read: LedgerRead) -> tuple[tuple[str, str | None], ...]:
    """The foundings of a fund that is over, with what ended each. Raises UsageError while it is not."""
    if read.document is None:
        raise UsageError(f"the ledger holds no fund {fund!r} that could be founded anew: found it")
    try:
        books = Books.of(read.document)
    except ValueError as error:
        raise UsageError(f"{error}: nothing was founded") from None
    still = sorted(row.member for row in books.rows.values() if not row.has_left)
    if books.trip is None and (still or not books.rows):
        raise UsageError(
            f"{fund} has not tripped, and {', '.join(still) or 'nobody'} has not left it: it is not over, so it is not"
            " founded anew"
        )
    return *books.charter.before, (books.charter.founding, books.trip)


def join(row: Row, read: LedgerRead, *, fund: str, currency: str, limit: Decimal | None) -> tuple[Escrow, Actions]:
    """A new member, with a budget of nothing until another one gives. Raises UsageError, with a sentence.

    limit: as this member has it; None: a ratio, which only the founding turns into money.
    """
    if read.document is None:
        raise UsageError(f"the ledger holds no fund {fund!r}: found it, with its first member")
    try:
        books = Books.of(read.document)
    except ValueError as error:
        raise UsageError(f"{error}: nothing was joined") from None
    charter = books.charter
    wanted = charter.limit if limit is None else limit
    if (charter.fund, charter.currency, charter.limit) != (fund, currency, wanted):
        raise UsageError(
            f"the ledger is of the fund {charter.fund!r} with a limit of {plain(charter.limit)} {charter.currency}, not"
            f" of {fund!r} with {plain(wanted)} {currency}"
        )
    if books.trip is not None:
        raise UsageError(f"{fund} has tripped ({books.trip}): it is to be founded again first")
    if any(other.member == row.member for other in books.rows.values()):
        raise UsageError(f"{fund} has or had a member {row.member!r}: take another name")
    for other in books.rows.values():
        shared = sorted(set(other.accounts) & set(row.accounts))
        if shared and not other.has_left:
            raise UsageError(f"{other.member} guards the account {shared[0]} already: its loss would count twice")
    wants = total((row.wants, *(other.wants for other in books.rows.values() if not other.has_left)))
    if wants > charter.limit:
        raise UsageError(
            f"with {plain(row.wants)} for {row.member} the budgets would sum to {plain(wants)}, above the fund's limit"
            f" of {plain(charter.limit)}"
        )
    return settled(_new(charter, row, books, read.revision))


def restore(document: JsonObject, place: str) -> tuple[Escrow, Actions]:
    """A member as its durable document says. Raises StateError for one that is damaged, or was made elsewhere:
    acted on in two places at once, a budget would be there twice."""
    try:
        check_format(document, "the fund's document in the state")
        charter, row = Charter.of(document.get("charter")), Row.of(document.get("row"))
    except ValueError as error:
        raise StateError(f"{error}: this guard does not know how much it may lose") from None
    if row.place != place:
        raise StateError(
            f"this state was moved or copied: {row.member}'s budget in {charter.fund} is kept at {row.place}, and this"
            f" is {place}. Once that one is gone for good, adopt the member here"
        )
    state, actions = settled(Escrow(charter=charter, kept=row, wanted=row))
    tripped = () if row.trip is None else (TripFund(row.trip, "the fund tripped before this start"),)
    return state, (*tripped, *actions)


def claim(read: LedgerRead, member: str, place: str, own: Row | None = None) -> tuple[int, Publish]:
    """Before `adopt`: the member `member` for another place, where somebody says that its process is gone for good.

    own: what is left of its document, if anything is. Gives the incarnation that is claimed, and what the ledger must
    have taken before anything is written here: what the old process still had under way comes too late from then on.
    Raises UsageError.
    """
    books, row = _books_with(read, member)
    known = row if own is None or own.seat != row.seat else own
    merged = replace(
        row,
        place=place,
        incarnation=max(row.incarnation, known.incarnation) + 1,
        sequence=max(row.sequence, known.sequence) + 1,
        minted=max(row.minted, known.minted),
        taken=larger(row.taken, known.taken),
        given=larger(row.given, known.given, taken_from(row.seat, books)),
        trip=row.trip or known.trip,
        has_left=row.has_left or known.has_left,
    )
    return merged.incarnation, Publish(read.revision, books.with_row(merged).document())


def adopt(read: LedgerRead, member: str, place: str, incarnation: int) -> tuple[Escrow, Actions]:
    """The member that was claimed, once the ledger says so. Raises UsageError where it says something else."""
    books, row = _books_with(read, member)
    if (row.place, row.incarnation) != (place, incarnation):
        raise UsageError(f"{member} is at {row.place}, and was not claimed for {place}: claim it again")
    return settled(_new(books.charter, row.next(), books, read.revision))


def _books_with(read: LedgerRead, member: str) -> tuple[Books, Row]:
    try:
        books = Books.of(read.document)
    except ValueError as error:
        raise UsageError(f"{error}: nothing was adopted") from None
    row = books.find(member)
    if row is None:
        raise UsageError(f"the ledger has no one member {member!r}")
    return books, row


def _new(charter: Charter, row: Row, books: Books, revision: str | None) -> Escrow:
    nothing = Row(seat=row.seat, place=row.place, accounts=row.accounts)
    wanted = row if row.sequence else row.next()
    return Escrow(charter=charter, kept=nothing, wanted=wanted, books=books, revision=revision)


# --- what the state has already ----------------------------------------------------------------------


def kept_in(documents: JsonObject) -> JsonObject | None:
    """The member's document among those of a state. None: this guard is of no fund."""
    return documents.get(FUND) or None


def check_replaceable(document: JsonObject | None, read: LedgerRead) -> None:
    """Raises UsageError unless a new document may take the place of this one: it never had a budget, it has left, or
    its founding is over, by what it or the ledger says. One that can't be read is nobody's to replace but by hand."""
    if document is None:
        return
    try:
        charter, row = Charter.of(document.get("charter")), Row.of(document.get("row"))
    except ValueError as error:
        raise UsageError(f"{error}: what this guard may lose is in a document that can't be read") from None
    try:
        books = None if read.document is None else Books.of(read.document)
    except ValueError as error:
        raise UsageError(f"{error}: nothing was changed") from None
    if row.trip is not None or row.has_left:
        return
    is_another = books is not None and books.charter.fund == charter.fund and books.charter != charter
    trip = _trip_of(charter, books)
    if trip is not None and row.is_funded:
        raise UsageError(
            f"{charter.fund} tripped ({trip}) and this guard has not heard of it: start it once (risk-daemon run), so"
            " that it stops here as well"
        )
    is_unknown = not row.is_funded and (books is None or row.seat not in books.rows)
    if not (is_another or is_unknown):
        raise UsageError(f"this guard is {row.member} of {charter.fund} already: see `risk-daemon fund status`")


def _trip_of(charter: Charter, books: Books | None) -> str | None:
    """What ended that founding, by what the ledger says."""
    if books is None or books.charter.fund != charter.fund:
        return None
    return books.trip if books.charter == charter else dict(books.charter.before).get(charter.founding)
