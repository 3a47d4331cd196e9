"""One row, two witnesses: who is in force after which words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from risk_daemon.model.events import Source
from risk_daemon.portfolio.witnesses import KEEP_S, SILENT_S, STRETCH_S, Heard, Row, Terms, Witnesses

TERMS = Terms(Decimal("0.005"), 0.25)
AT = 1_000.0


class Case:
    """A row that holds 100, as stream and REST have both said."""

    def __init__(self) -> None:
        self.row: Row[Decimal] = Row()
        self.said(100, AT - 20.0)
        assert self.told(100, AT - 10.0) is Heard.TAKEN

    def said(self, value: object, mono: float, *, is_aside: bool = False) -> bool:
        number = Decimal(str(value))
        return self.row.hear(number, number, mono, TERMS, is_aside=is_aside)

    def told(self, value: object, asked_mono: float, *, is_aside: bool = False) -> Heard:
        number = Decimal(str(value))
        return self.row.answer(number, number, asked_mono, TERMS, is_aside=is_aside)

    @property
    def found(self) -> tuple[Decimal | None, Decimal | None]:
        return self.row.value, self.row.other


def test_two_reads_in_a_row_overrule() -> None:
    case = Case()
    case.said(100, AT)
    assert case.told(90, AT - 0.1) is Heard.CONTRADICTED
    assert case.found == (100, 90)
    case.said(100, AT + 0.1)
    assert case.told(90, AT + 0.05) is Heard.OVERRULED
    assert case.found == (90, None)


def test_a_read_that_agrees_in_between_starts_the_count_anew() -> None:
    case = Case()
    case.said(100, AT)
    assert case.told(90, AT) is Heard.CONTRADICTED
    case.said(100, AT + 1)
    assert case.told(100, AT + 1) is Heard.TAKEN
    case.said(100, AT + 2)
    assert case.told(91, AT + 2) is Heard.CONTRADICTED


@pytest.mark.parametrize(("value", "heard"), [("99.6", Heard.TAKEN), ("99.4", Heard.CONTRADICTED)])
def test_half_a_percent_is_no_difference_between_prices(value: str, heard: Heard) -> None:
    case = Case()
    case.said(100, AT)
    assert case.told(value, AT) is heard


def test_what_was_said_from_settle_s_before_the_request_counts() -> None:
    """And what stood at that moment."""
    case = Case()
    case.said(90, AT)
    assert case.told(100, AT + 0.2) is Heard.TAKEN
    case = Case()
    case.said(90, AT)
    case.said(80, AT + 1.0)
    assert case.told(90, AT + 1.2) is Heard.TAKEN


def test_the_stream_that_has_spoken_since_the_request_stays() -> None:
    case = Case()
    case.said(101, AT + 0.1)
    case.said(102, AT + 0.2)
    assert case.told(101, AT) is Heard.PASSED
    assert case.told(102, AT + 0.15) is Heard.KEPT
    assert case.found == (102, None)


def test_an_older_answer_says_nothing() -> None:
    case = Case()
    assert case.told(90, AT) is Heard.TAKEN
    assert case.told(100, AT - 1) is Heard.OLD
    assert case.found == (90, None)


def test_a_frozen_rest_repeats_what_both_had_said() -> None:
    case = Case()
    for step in range(100):
        case.said(90 - step % 3, AT + 0.05 * step)
        assert case.told(100, AT + 0.05 * step) in (Heard.BEHIND, Heard.TAKEN) if step < 30 else Heard.BEHIND
    assert case.row.value is not None
    assert case.row.value <= 90


def test_a_stream_that_goes_back_to_what_rest_has_given_up_has_no_news() -> None:
    case = Case()
    case.said(90, AT)
    assert case.told(90, AT + 1) is Heard.TAKEN
    case.said(100, AT + 2)
    case.said(100, AT + 3)
    assert case.told(90, AT + 3.1) is Heard.CONTRADICTED
    case.said(100, AT + 4)
    assert case.told(90, AT + 4.1) is Heard.OVERRULED


def test_a_silent_stream_that_comes_back_to_its_past_is_in_question() -> None:
    case = Case()
    assert case.told(90, AT) is Heard.TAKEN
    assert not case.said(98, AT + 1)  # nearer to what it said than to what REST says
    assert case.found == (90, 98)
    assert case.told(90, AT + 1.1) is Heard.OVERRULED


def test_a_silent_stream_that_has_news_is_heard() -> None:
    case = Case()
    assert case.told(90, AT) is Heard.TAKEN
    assert case.said(88, AT + 1)
    assert case.found == (88, None)


def test_what_a_lost_stream_said_stands_no_more() -> None:
    case = Case()
    case.said(100, AT)
    case.row.forget_stream()
    assert case.told(90, AT) is Heard.TAKEN


def test_memory_is_bounded() -> None:
    case = Case()
    for step in range(20_000):
        case.said(100 + step % 7, AT + step / 100)
    assert len(case.row._words._stretches) <= KEEP_S / STRETCH_S + 2


# --- a kind of a venue -----------------------------------------------------------------------------


class Kind:
    """Rows `a` and `b`, both 100."""

    def __init__(self) -> None:
        self.all: Witnesses[Decimal] = Witnesses(TERMS)
        self.said(AT - 20.0, a=100, b=100)
        self.told(AT - 10.0, a=100, b=100)

    def said(self, mono: float, **rows: int) -> object:
        for name, value in rows.items():
            self.all.hear(name, self.all.row(name, None), Decimal(value), Decimal(value), mono)
        return self.all.close(Source.STREAM)

    def told(self, mono: float, **rows: int) -> object:
        for name, value in rows.items():
            self.all.answer(name, self.all.row(name, None), Decimal(value), Decimal(value), mono)
        return self.all.close(Source.REST)

    def overrule(self) -> None:
        for mono in (AT, AT + 1):
            self.said(mono, a=100, b=100)
            self.told(mono, a=90, b=100)
        assert self.all.is_aside


def test_one_row_that_is_overruled_sets_the_kind_aside() -> None:
    kind = Kind()
    kind.overrule()
    kind.said(AT + 2, b=120)
    assert kind.all.rows["b"].value == 100


def test_two_reads_without_a_contradiction_end_it() -> None:
    kind = Kind()
    kind.overrule()
    for mono, told, aside in ((AT + 2, 90, True), (AT + 3, 80, True), (AT + 4, 90, True), (AT + 5, 90, False)):
        kind.said(mono, a=90, b=100)
        kind.told(mono, a=told, b=100)
        assert kind.all.is_aside is aside
    kind.said(AT + 6, b=120)
    assert kind.all.rows["b"].value == 120


def test_a_row_that_the_stream_says_nothing_of_holds_nobody_up() -> None:
    kind = Kind()
    kind.overrule()
    for step in (1, 2):
        kind.told(AT + SILENT_S + 1 + step, a=90, b=100)
    assert not kind.all.is_aside


def test_a_stream_vouches_for_nothing_while_it_is_in_question_or_aside() -> None:
    kind = Kind()
    assert kind.all.is_sure
    kind.said(AT, a=100)
    kind.told(AT, a=90)
    assert kind.all.doubted == {"a"}
    assert not kind.all.is_sure
    kind.told(AT + 0.1, a=90)
    assert not kind.all.doubted
    assert not kind.all.is_sure


def test_what_rest_said_before_the_stream_spoke_was_not_said_by_the_stream() -> None:
    """A restart: REST first, then a stream that repeats the past; a read that came between the two proves nothing."""
    row: Row[Decimal] = Row()
    row.answer(Decimal(90), Decimal(90), AT, TERMS, is_aside=False)
    row.hear(Decimal(100), Decimal(100), AT + 0.1, TERMS, is_aside=False)
    row.answer(Decimal(90), Decimal(90), AT + 0.1, TERMS, is_aside=False)
    for step in (2, 3):
        row.hear(Decimal(100), Decimal(100), AT + step, TERMS, is_aside=False)
        row.answer(Decimal(90), Decimal(90), AT + step, TERMS, is_aside=False)
    assert (row.value, row.other) == (90, None)
