"""Two witnesses of every row: its stream, which comes early, and REST, which is the truth on a schedule.

A row is a holding, a position or a price. REST contradicts the stream where its answer lies outside everything
that the stream said from `settle_s` before the request until the reply. Of two that differ, one that says again
what both had said before tells the past, and the other has news:

    REST repeats      the stream stays in force, as long as it goes on talking
    else              the row is in question: it counts as the interval between the two, whoever was in force
                      stays; the second read in a row that contradicts is right, and the stream's rows of that
                      kind are set aside until two reads don't contradict them
    stream is silent  REST takes over at once; a stream that comes back to what it said before is in question
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

from risk_daemon.model.events import Source

T = TypeVar("T")

NEVER = float("-inf")

# Words of a stream this close together are kept as their lowest and highest: memory is bounded, whatever its pace.
STRETCH_S = 0.25
# A reply that takes longer than this is compared with less than all that was said since it was asked for.
KEEP_S = 15.0
# So far REST may be behind a stream without being doubted. Frozen, it may be so for ever.
BEHIND_S = 1.0
# A stream that is set aside and says nothing of a row for so long contradicts nothing.
SILENT_S = 15.0
# Superseded answers of REST that are remembered: a stream that says one of them again has no news.
EARLIER = 4
# Reads that must contradict, and then not contradict.
READS = 2


@dataclass(frozen=True, slots=True)
class Terms:
    """tolerance: what is closer than this part of it is the same. settle_s: how far apart two rows of a trade come."""

    tolerance: Decimal
    settle_s: float

    def same(self, one: Decimal, other: Decimal) -> bool:
        return one == other or abs(one - other) <= self.tolerance * max(abs(one), abs(other))


class Heard(StrEnum):
    """What became of one answer of REST."""

    TAKEN = "taken"  # it is in force
    KEPT = "kept"  # the stream says so too, and has spoken since
    PASSED = "passed"  # the stream said so too, and has moved on since
    BEHIND = "behind"  # REST repeats what the stream has moved away from
    CONTRADICTED = "contradicted"  # the row is in question
    OVERRULED = "overruled"  # it is in force, against a stream that is set aside
    OLD = "old"  # asked for before the last one: it says nothing


_ASKING = frozenset({Heard.PASSED, Heard.BEHIND, Heard.CONTRADICTED, Heard.OVERRULED})


@dataclass(slots=True)
class _Stretch:
    """Words that came within STRETCH_S. The last one stands until the next stretch."""

    start_mono: float
    low: Decimal
    high: Decimal
    last: Decimal

    def add(self, word: Decimal) -> None:
        self.last = word
        if word < self.low:
            self.low = word
        elif word > self.high:
            self.high = word


class _Words:
    """What a stream said of a row lately. Every word costs the same."""

    __slots__ = ("_stretches", "mono")

    def __init__(self) -> None:
        self._stretches: deque[_Stretch] = deque()
        self.mono = NEVER

    def __bool__(self) -> bool:
        return bool(self._stretches)

    @property
    def last(self) -> Decimal:
        return self._stretches[-1].last

    def add(self, word: Decimal, mono: float) -> None:
        self.mono = mono
        stretches = self._stretches
        if stretches:
            newest = stretches[-1]
            if word == newest.last:
                return
            if mono - newest.start_mono < STRETCH_S:
                newest.add(word)
                return
            while len(stretches) > 1 and stretches[1].start_mono < mono - KEEP_S:
                stretches.popleft()
        stretches.append(_Stretch(mono, word, word, word))

    def cover(self, value: Decimal, since_mono: float, terms: Terms) -> bool:
        """Whether `value` lies within what was said since then, and what stood at that moment."""
        for stretch in reversed(self._stretches):
            is_over = stretch.start_mono + STRETCH_S <= since_mono
            low, high = (stretch.last, stretch.last) if is_over else (stretch.low, stretch.high)
            if low <= value <= high or terms.same(value, low) or terms.same(value, high):
                return True
            if stretch.start_mono <= since_mono:
                return False
        return False

    def clear(self) -> None:
        self._stretches.clear()


class Row(Generic[T]):
    """The witnesses of one row. Values are compared by a number; `other` is what comes with it.

    value, mono: what is in force, and the moment it is evidence about. other: while the row is in question, what
    the witness that is not in force says.
    """

    __slots__ = (
        "_against",
        "_agreed",
        "_asked_mono",
        "_by_rest",
        "_denied",
        "_earlier",
        "_rest",
        "_words",
        "is_doubted",
        "is_obeyed",
        "mono",
        "other",
        "value",
    )

    def __init__(self, value: Decimal | None = None) -> None:
        self.value = value
        self.mono = NEVER
        self.other: T | None = None
        self.is_doubted = False
        self.is_obeyed = True
        self._words = _Words()
        self._rest: Decimal | None = None
        self._agreed: Decimal | None = None
        self._earlier: deque[Decimal] | None = None
        self._denied: Decimal | None = None
        self._asked_mono = NEVER
        self._by_rest = False
        self._against = 0

    # --- the stream --------------------------------------------------------------------------------

    def hear(self, value: Decimal, other: T, mono: float, terms: Terms, *, is_aside: bool) -> bool:
        """A word of the stream. True if it is in force now."""
        if mono < self.mono:
            return False
        if not self._words and self.value is not None:
            self._words.add(self.value, NEVER)  # what it did not object to
        self._words.add(value, mono)
        if is_aside or (self._denied is not None and not self.is_doubted and self._comes_back(value, other, terms)):
            return False
        if self.is_doubted:
            if self._rest is not None and terms.same(value, self._rest):
                self._settle()
            elif self._by_rest and not (self.value is not None and terms.same(value, self.value)):
                self.other = other
                return False
        self.value, self.mono, self._by_rest = value, mono, False
        return True

    def _comes_back(self, value: Decimal, other: T, terms: Terms) -> bool:
        """Whether a stream that REST took over from is nearer to what it said before than to REST: in question."""
        rest, denied = self._rest, self._denied
        if rest is None or denied is None or terms.same(value, rest) or abs(value - rest) <= abs(value - denied):
            self._denied = None
            return False
        self._by_rest = True  # what stays in force is what REST said
        self._doubt(other)
        return True

    def forget_stream(self) -> None:
        """The connection is gone: what it said stands no more."""
        self._words.clear()

    # --- REST --------------------------------------------------------------------------------------

    def answer(self, value: Decimal, other: T, asked_mono: float, terms: Terms, *, is_aside: bool) -> Heard:
        """What REST says, asked for at `asked_mono`."""
        if asked_mono < self._asked_mono:
            return Heard.OLD
        self._asked_mono = asked_mono
        self._supersede(value, terms)
        if not self._words:  # a stream that is gone was later all the same: ask again
            return self._take(value, asked_mono) if asked_mono >= self.mono else Heard.PASSED
        words, since_mono = self._words, asked_mono - terms.settle_s
        agrees, is_silent = words.cover(value, since_mono, terms), words.mono < since_mono
        if is_aside:
            self.is_obeyed = agrees or asked_mono - words.mono > SILENT_S
            self._denied = None if agrees else words.last
            return self._take(value, asked_mono)
        if agrees:
            return self._agree(value, asked_mono, terms)
        if is_silent and not self._against:
            self._denied = self._denied if value == self._agreed and self._has_news(terms) else words.last
            return self._take(value, asked_mono)
        is_behind = value == self._agreed or words.cover(value, since_mono - BEHIND_S, terms)
        if is_behind and not self._against and self._has_news(terms):
            return Heard.BEHIND
        if self._by_rest and not self.is_doubted and self.value is not None and terms.same(value, self.value):
            return self._take(value, asked_mono)  # the stream was overruled, and has said nothing since
        return self._contradict(value, other, asked_mono)

    def _supersede(self, value: Decimal, terms: Terms) -> None:
        if self._rest is not None and not terms.same(value, self._rest):
            if self._earlier is None:
                self._earlier = deque(maxlen=EARLIER)
            self._earlier.append(self._rest)
        self._rest = value

    def _agree(self, value: Decimal, asked_mono: float, terms: Terms) -> Heard:
        self._denied = None
        if terms.same(value, self._words.last):  # said by the stream itself, not only what it found
            self._agreed = value
        if asked_mono >= self.mono:
            return self._take(value, asked_mono)
        self._settle()
        is_told = self.value is not None and terms.same(value, self.value)
        return Heard.KEPT if is_told else Heard.PASSED

    def _has_news(self, terms: Terms) -> bool:
        """Whether the stream's word is none that REST has given up."""
        return not any(terms.same(self._words.last, answer) for answer in self._earlier or ())

    def _contradict(self, value: Decimal, other: T, asked_mono: float) -> Heard:
        self._against += 1
        if self._against < READS:
            self._doubt(other)
            return Heard.CONTRADICTED
        self._denied = self._words.last
        self._take(value, asked_mono)
        return Heard.OVERRULED

    # --- both --------------------------------------------------------------------------------------

    def _doubt(self, other: T) -> None:
        self._against, self.is_doubted, self.other = max(1, self._against), True, other

    def _settle(self) -> None:
        self._against, self.is_doubted, self.other = 0, False, None

    def _take(self, value: Decimal, asked_mono: float) -> Heard:
        self._settle()
        self.value, self.mono, self._by_rest = value, asked_mono, True
        return Heard.TAKEN


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one frame or reading showed. asks: REST should be read again. overruled: rows that REST proved wrong."""

    asks: bool = False
    overruled: tuple[str, ...] = ()


NOTHING_FOUND = Comparison()


class Witnesses(Generic[T]):
    """All rows of one kind of a venue. After the rows of a frame comes `close`.

    doubted: the rows in question. is_aside: the stream was wrong, and is not believed.
    """

    def __init__(self, terms: Terms) -> None:
        self.rows: dict[str, Row[T]] = {}
        self.doubted: set[str] = set()
        self.is_aside = False
        self._terms = terms
        self._calm_reads = 0
        self._asks = False
        self._is_refuted = False
        self._is_obeyed = True
        self._overruled: list[str] = []

    @property
    def is_sure(self) -> bool:
        """Whether nothing stands against the stream: then it vouches for what it did not change."""
        return not (self.doubted or self.is_aside)

    @property
    def is_refuted(self) -> bool:
        """Whether the reading that is being taken in has put a row in question."""
        return self._is_refuted

    def row(self, name: str, value: Decimal | None) -> Row[T]:
        """The row; a new one has `value` in force."""
        row = self.rows.get(name)
        if row is None:
            row = self.rows[name] = Row(value)
        return row

    def hear(self, name: str, row: Row[T], value: Decimal, other: T, mono: float) -> bool:
        """A word of the stream. True if it is in force now."""
        taken = row.hear(value, other, mono, self._terms, is_aside=self.is_aside)
        if row.is_doubted or self.doubted:
            self._note_doubt(name, row)
        return taken

    def answer(self, name: str, row: Row[T], value: Decimal, other: T, asked_mono: float) -> Heard:
        """What REST says."""
        heard = row.answer(value, other, asked_mono, self._terms, is_aside=self.is_aside)
        if heard is Heard.OVERRULED:
            self._overruled.append(name)
        self._is_refuted = self._is_refuted or heard is Heard.CONTRADICTED
        self._asks = self._asks or heard in _ASKING
        self._is_obeyed = self._is_obeyed and row.is_obeyed
        self._note_doubt(name, row)
        return heard

    def close(self, source: Source) -> Comparison:
        """The frame is taken in whole."""
        if source is Source.STREAM:
            finding, self._asks = Comparison(asks=True) if self._asks else NOTHING_FOUND, False
            return finding
        if self._overruled:
            self.is_aside, self._calm_reads = True, 0
        elif self.is_aside:
            self._calm_reads = self._calm_reads + 1 if self._is_obeyed else 0
            self.is_aside = self._calm_reads < READS
        finding = Comparison(self._asks or self.is_aside, tuple(self._overruled))
        self._asks, self._is_refuted, self._is_obeyed, self._overruled = False, False, True, []
        return finding

    def forget_stream(self) -> None:
        """The connection is gone."""
        for row in self.rows.values():
            row.forget_stream()

    def _note_doubt(self, name: str, row: Row[T]) -> None:
        if not row.is_doubted:
            self.doubted.discard(name)
        elif name not in self.doubted:
            self.doubted.add(name)
            self._asks = True
