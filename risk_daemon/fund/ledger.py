"""The record that a fund's members share: its charter, and one row a member, each written by its owner alone.

A row says in all what its member has given to each other one and has taken from each, since the fund was founded.
These sums only grow. So a record that comes twice, late, out of order or from yesterday's backup says nothing that its
reader does not know already, and whoever takes the larger of two sums is right.

The limit is minted once, for the founder, and from then on it only moves:

    budget = minted + everything taken - everything given

What can be taken was published, what is published was durable first, and what is durable has lowered its giver before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

from risk_daemon.model.units import EXACT, ZERO, finite, fixed, plain

FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", re.ASCII)
_SEAT = re.compile(NAME.pattern + r"\.[0-9a-f]{8,32}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z0-9]{1,20}", re.ASCII)
_TEXT_MAX = 200
_COUNT_MAX = 10**15
LARGEST = 8 * 2**20
"""Bytes of a record, as JSON: what is larger is none."""

JsonObject = Mapping[str, Any]


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their exact sum, whatever the thread's context is."""
    whole = ZERO
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """What a fund is, for as long as it is. limit: money in `currency`. founder: the seat of its first member.

    founding: a random text that names this founding: a fund of the same name that was founded again is another one.
    before: the foundings that this one came after, the oldest first, each with the trip that ended it; None: all left.
    """

    fund: str
    founding: str
    founder: str
    currency: str
    limit: Decimal
    before: tuple[tuple[str, str | None], ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "fund": self.fund,
            "founding": self.founding,
            "founder": self.founder,
            "currency": self.currency,
            "limit": plain(self.limit),
            "before": dict(self.before),
        }

    @classmethod
    def of(cls, document: object) -> Charter:
        """Raises ValueError for what is no charter."""
        found = _table(document, "the charter", _CHARTER_KEYS)
        limit = _amount(found["limit"], "the charter's limit")
        if limit == 0:
            raise ValueError("the charter's limit is zero")
        if not isinstance(found["currency"], str) or _CURRENCY.fullmatch(found["currency"]) is None:
            raise ValueError("the charter's currency is no asset")
        return cls(
            fund=_name(found["fund"], "the charter's fund"),
            founding=_text(found["founding"], "the charter's founding"),
            founder=_seat(found["founder"], "the charter's founder"),
            currency=found["currency"],
            limit=limit,
            before=tuple(
                (_text(founding, "a founding before"), None if trip is None else _text(trip, "a trip before"))
                for founding, trip in _mapping(found["before"], "the foundings before").items()
            ),
        )


_CHARTER_KEYS = tuple(Charter(fund="", founding="", founder="", currency="", limit=ZERO).document())


@dataclass(frozen=True, kw_only=True)
class Row:
    """One member, by its own hand. Amounts are money, none below zero; only a budget may be: a winner's that has lent.

    seat: the name with a random ending, so that whoever joins under a name that was there before is another member.
    place: names the state that its document is kept in: a copy of it elsewhere is not this member. incarnation: counts
    the places it had, sequence its changes. accounts: fingerprints of what it guards. given, taken: in all, by seat.
    wants: the headroom it was set up with, asks: how much it lacks now.
    trip: the id of the trip that ended the fund. has_left: what budget it keeps covers what it has lost for good.
    """

    seat: str
    place: str
    accounts: tuple[str, ...]
    incarnation: int = 1
    sequence: int = 0
    minted: Decimal = ZERO
    wants: Decimal = ZERO
    asks: Decimal = ZERO
    given: Mapping[str, Decimal] = field(default_factory=dict)
    taken: Mapping[str, Decimal] = field(default_factory=dict)
    trip: str | None = None
    has_left: bool = False

    @property
    def member(self) -> str:
        """Its name, as people call it."""
        return self.seat.partition(".")[0]

    @cached_property
    def budget(self) -> Decimal:
        """How much this member may lose before it trips the fund."""
        got, gave = total((self.minted, *self.taken.values())), total(self.given.values())
        return EXACT.subtract(got, gave)

    @property
    def order(self) -> tuple[int, int]:
        """Of two rows of one member the later one has the larger."""
        return self.incarnation, self.sequence

    @property
    def is_funded(self) -> bool:
        """Whether it ever had a budget. Until then it guards nothing for the fund, and may not trade."""
        return bool(self.minted or any(self.taken.values()))

    def next(self, **changes: Any) -> Row:
        """The row that comes after this one."""
        return replace(self, sequence=self.sequence + 1, **changes)

    def document(self) -> dict[str, Any]:
        return {
            "seat": self.seat,
            "place": self.place,
            "accounts": list(self.accounts),
            "incarnation": self.incarnation,
            "sequence": self.sequence,
            "minted": plain(self.minted),
            "wants": plain(self.wants),
            "asks": plain(self.asks),
            "given": {name: plain(amount) for name, amount in self.given.items()},
            "taken": {name: plain(amount) for name, amount in self.taken.items()},
            "trip": self.trip,
            "has_left": self.has_left,
        }

    @classmethod
    def of(cls, document: object) -> Row:
        """Raises ValueError for what is no row."""
        found = _table(document, "a row", _ROW_KEYS)
        seat = _seat(found["seat"], "a row's seat")
        which = f"the row of {seat}"
        trip = found["trip"]
        return cls(
            seat=seat,
            place=_text(found["place"], f"the place in {which}"),
            accounts=_accounts(found["accounts"], which),
            incarnation=_count(found["incarnation"], f"the incarnation in {which}"),
            sequence=_count(found["sequence"], f"the sequence in {which}"),
            minted=_amount(found["minted"], f"what was minted in {which}"),
            wants=_amount(found["wants"], f"what is wanted in {which}"),
            asks=_amount(found["asks"], f"what is asked in {which}"),
            given=_amounts(found["given"], seat, f"what was given in {which}"),
            taken=_amounts(found["taken"], seat, f"what was taken in {which}"),
            trip=None if trip is None else _text(trip, f"the trip in {which}"),
            has_left=_flag(found["has_left"], which),
        )


_ROW_KEYS = tuple(Row(seat="a", place="", accounts=()).document())


@dataclass(frozen=True, slots=True)
class Books:
    """All that the shared record says: the charter, and the rows by seat."""

    charter: Charter
    rows: Mapping[str, Row] = field(default_factory=dict)

    def with_row(self, row: Row) -> Books:
        """The same with another row of that seat."""
        return Books(self.charter, {**self.rows, row.seat: row})

    def find(self, member: str) -> Row | None:
        """The row of that name. None: there is none, or by a restored record there are two."""
        rows = [row for row in self.rows.values() if row.member == member]
        return rows[0] if len(rows) == 1 else None

    def wrong(self) -> Iterator[str]:
        """What can't be, in sentences: then nobody raises anything by it. A record that was restored from an older
        one looks so until those whose rows are old have written again."""
        charter = self.charter
        for row in self.rows.values():
            if row.minted and (row.seat != charter.founder or row.minted != charter.limit):
                yield f"{row.member} says that {plain(row.minted)} was minted for it: only the founder's limit is"
            for giver, amount in row.taken.items():
                given = self.rows[giver].given.get(row.seat, ZERO) if giver in self.rows else ZERO
                if amount > given:
                    yield (
                        f"{row.member} took {plain(amount)} from {giver}, whose row says that it gave {plain(given)}:"
                        " the record is older than its members"
                    )
        budgets = total(row.budget for row in self.rows.values())
        if budgets > charter.limit:
            yield f"the budgets sum to {plain(budgets)}, above the fund's limit of {plain(charter.limit)}"

    @property
    def trip(self) -> str | None:
        """The id of the trip that ended the fund: of several, as after a partition, the first by the alphabet."""
        return min((row.trip for row in self.rows.values() if row.trip is not None), default=None)

    @property
    def spent(self) -> Decimal:
        """What those who have left had lost."""
        return total(row.budget for row in self.rows.values() if row.has_left)

    def document(self) -> dict[str, Any]:
        rows = {name: row.document() for name, row in self.rows.items()}
        return {"format": FORMAT, "charter": self.charter.document(), "rows": rows}

    @classmethod
    def of(cls, document: object) -> Books:
        """Raises ValueError, with a sentence, for what is no fund's record, or one of another version."""
        check_format(document, "the fund's record")
        found = _table(document, "the fund's record", ("format", "charter", "rows"))
        rows = {name: Row.of(row) for name, row in _mapping(found["rows"], "the rows of the fund's record").items()}
        astray = next((seat for seat, row in rows.items() if seat != row.seat), None)
        if astray is not None:
            raise ValueError(f"the row {str(astray)[:60]!r} of the fund's record is that of {rows[astray].seat}")
        return cls(Charter.of(found["charter"]), rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRead:
    """What a ledger holds; for a member also the event that it was read, as after each publication, taken or not.

    revision: names this state of it, never used twice; None where nothing is there. document: whatever is.
    """

    revision: str | None
    document: object


class Ledger(Protocol):
    """Where the shared record is: one document with a revision, on an engine that compares and sets."""

    async def read(self) -> LedgerRead:
        """What is there now. Raises RecordError where that can't be said: nothing there is an answer, none is not."""
        ...

    async def compare_and_set(self, revision: str | None, document: JsonObject) -> bool:
        """Put `document` there if the revision is still this one; False: it was another.

        Raises RecordError where it is not known whether it was put there.
        """
        ...


# --- reading what may be anything --------------------------------------------------------------------


def check_format(document: object, what: str) -> None:
    """Raises ValueError for what is not of this version."""
    form = _mapping(document, what).get("format")
    if form != FORMAT or isinstance(form, bool):
        raise ValueError(f"{what} is of format {str(form)[:20]!r}, and this version knows {FORMAT}")


def _mapping(value: object, what: str) -> Mapping[Any, Any]:
    match value:
        case Mapping():
            return value
    raise ValueError(f"{what}: {str(value)[:60]!r} is no table")


def _table(document: object, what: str, keys: tuple[str, ...]) -> Mapping[Any, Any]:
    """A table of these keys and no others: one that is not known may mean anything."""
    table = _mapping(document, what)
    if set(table) != set(keys):
        odd = sorted(str(key)[:40] for key in set(table) ^ set(keys))
        raise ValueError(f"{what} has keys too many or too few: {', '.join(odd)[:200]}")
    return table


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or NAME.fullmatch(value) is None:
        raise ValueError(f"{what} is no name: {str(value)[:60]!r}")
    return value


def _seat(value: object, what: str) -> str:
    if not isinstance(value, str) or _SEAT.fullmatch(value) is None:
        raise ValueError(f"{what} is no seat: {str(value)[:60]!r}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or len(value) > _TEXT_MAX or not value.isprintable():
        raise ValueError(f"{what} is no text: {str(value)[:60]!r}")
    return value


def _count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _COUNT_MAX:
        raise ValueError(f"{what} is no count: {str(value)[:60]!r}")
    return value


def _flag(value: object, which: str) -> bool:
    match value:
        case bool():
            return value
    raise ValueError(f"{which} does not say whether it has left")


def _accounts(value: object, which: str) -> tuple[str, ...]:
    match value:
        case list():
            return tuple(_text(account, f"an account in {which}") for account in value)
    raise ValueError(f"the accounts in {which} are no list")


def _amount(value: object, what: str) -> Decimal:
    """Amounts are written as texts: what went through a float may have changed on its way."""
    match value:
        case str():
            try:
                amount = finite(value)
            except ValueError as error:
                raise ValueError(f"{what} is no amount: {error}") from None
            if amount >= 0 and amount == fixed(amount):
                return amount
    raise ValueError(f"{what} is no amount: {str(value)[:60]!r}")


def _amounts(value: object, seat: str, what: str) -> dict[str, Decimal]:
    amounts = {_seat(name, what): _amount(amount, what) for name, amount in _mapping(value, what).items()}
    if seat in amounts:
        raise ValueError(f"{what} names the member itself")
    return amounts
