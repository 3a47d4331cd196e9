"""What all members have lost together, as an interval that silence widens.

The fast way: a loss spread so that nobody reaches a budget trips the fund all the same, while members hear of each
other. Where they don't, the budgets hold without it (`escrow`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from risk_daemon.fund.ledger import Books, total
from risk_daemon.model.units import EXACT, ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a member said of itself, in money.

    member: its seat. capital: what its losses are measured from, flows added.
    low, high: between these is its equity. gross: what of it prices could move, without signs.
    sequence: counts its readings. age_s: how old this one was when it was heard, by clocks that belong together: the
    member's own, and the stream's; heard_mono: by the listener's. No machine's date counts.
    """

    member: str
    sequence: int
    capital: Decimal
    low: Decimal
    high: Decimal
    gross: Decimal
    age_s: float
    heard_mono: float

    @property
    def is_sound(self) -> bool:
        """Whether it can be: everything else is not heard at all."""
        amounts = (self.capital, self.low, self.high, self.gross)
        return all(amount.is_finite() for amount in amounts) and self.low <= self.high and 0 <= self.age_s < 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """limit: money. fresh_s: how long a reading is believed as it is. band: how far one that is older may be off, as
    a part of its gross. hold_s: how long a breach must be one before it counts."""

    limit: Decimal
    fresh_s: float
    band: Decimal
    hold_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the members' losses come to. least, most: between these; None: not known at all.

    is_breached: surely at the limit. is_undecided: it may be, so no orders. silent: whose reading is old or missing.
    """

    least: Decimal | None
    most: Decimal | None
    is_breached: bool
    is_undecided: bool
    silent: tuple[str, ...]


UNKNOWN = Verdict(least=None, most=None, is_breached=False, is_undecided=True, silent=())


def heard(readings: Mapping[str, Reading], new: Reading) -> Mapping[str, Reading]:
    """With a new reading. One that came late or twice, or makes no sense, changes nothing.

    A member that was started anew counts on where it stopped: its sequence is durable.
    """
    known = readings.get(new.member)
    if not new.is_sound or (known is not None and new.sequence <= known.sequence):
        return readings
    return {**readings, new.member: new}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A breach that is to be confirmed. sequences: the readings that it was first seen by, by member."""

    since_mono: float
    sequences: Mapping[str, int]


def confirmed(
    verdict: Verdict, question: Question | None, readings: Mapping[str, Reading], terms: Terms, now_mono: float
) -> tuple[Verdict, Question | None]:
    """A breach counts once it has held for `terms.hold_s`, and everybody who speaks has spoken again: one bad tick of
    one member's prices must not stop all. Until then it may be one."""
    if not verdict.is_breached:
        return verdict, None
    if question is None:
        sequences = {member: reading.sequence for member, reading in readings.items()}
        question = Question(since_mono=now_mono, sequences=sequences)
    is_same = any(
        reading.sequence == question.sequences.get(member) and _is_fresh(reading, terms, now_mono)
        for member, reading in readings.items()
    )
    if not is_same and now_mono - question.since_mono >= terms.hold_s:
        return verdict, question
    return replace(verdict, is_breached=False, is_undecided=True), question


def judge_fund(books: Books, readings: Mapping[str, Reading], terms: Terms, now_mono: float) -> Verdict:
    """What the members that the ledger names have lost together. readings: by seat."""
    members = (row.seat for row in books.rows.values() if row.is_funded and not row.has_left)
    return judge(readings, members, books.spent, terms, now_mono)


def judge(
    readings: Mapping[str, Reading], members: Iterable[str], spent: Decimal, terms: Terms, now_mono: float
) -> Verdict:
    """members: all that are funded and have not left. spent: what those had lost who have left."""
    known = {member: readings.get(member) for member in sorted(members)}
    silent = tuple(
        name for name, reading in known.items() if reading is None or not _is_fresh(reading, terms, now_mono)
    )
    losses = [_loss(reading, terms, now_mono) for reading in known.values() if reading is not None]
    if len(losses) < len(known):
        return Verdict(least=None, most=None, is_breached=False, is_undecided=True, silent=silent)
    least = total((spent, *(loss[0] for loss in losses)))
    most = total((spent, *(loss[1] for loss in losses)))
    is_breached = least >= terms.limit
    is_undecided = most >= terms.limit > least
    return Verdict(least=least, most=most, is_breached=is_breached, is_undecided=is_undecided, silent=silent)


def _is_fresh(reading: Reading, terms: Terms, now_mono: float) -> bool:
    age_s = reading.age_s + (now_mono - reading.heard_mono)
    return 0 <= age_s <= terms.fresh_s


def _loss(reading: Reading, terms: Terms, now_mono: float) -> tuple[Decimal, Decimal]:
    """The least and the most that it can be."""
    is_fresh = _is_fresh(reading, terms, now_mono)
    doubt = (
        ZERO if is_fresh else EXACT.multiply(terms.band, max(abs(reading.gross), abs(reading.high), abs(reading.low)))
    )
    least = EXACT.subtract(reading.capital, EXACT.add(reading.high, doubt))
    most = EXACT.subtract(reading.capital, EXACT.subtract(reading.low, doubt))
    return least, most
