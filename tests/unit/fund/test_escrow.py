"""One member, one event after another: what lowers counts at once, what raises only from disk, and what trips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from risk_daemon.fund.escrow import Escrow, step
from risk_daemon.fund.ledger import Books, LedgerRead
from risk_daemon.fund.membership import join, restore
from risk_daemon.fund.messages import (
    Ask,
    Durable,
    Give,
    Leave,
    LossUnknown,
    MakeDurable,
    Publish,
    SumRead,
    Tell,
    TripFund,
    WriteFailed,
)
from risk_daemon.fund.sum import Verdict
from tests.unit.fund.fund import CHARTER, TERMS, Site, lost, refusal, row, two

A, B = "a.00000001", "b.00000001"
HUNDRED = Decimal(100)


# --- a transfer, step by step ------------------------------------------------------------------------


def test_a_gift_is_lowered_then_durable_then_published_then_raised() -> None:
    site, a, b = two()
    a, actions = step(a, Give(to="b", amount=HUNDRED))
    [write] = actions
    assert isinstance(write, MakeDurable)
    assert (a.budget, a.kept.budget) == (500, 600), "it counts before it is on disk, and nobody else knows of it"
    assert write.document["row"]["given"] == {B: "500"}

    a, [publish] = step(a, Durable(write.sequence))
    assert isinstance(publish, Publish)
    assert (publish.revision, publish.document["rows"][A]["given"]) == (site.read.revision, {B: "500"})

    b, [write] = step(b, LedgerRead(revision="9", document=publish.document))
    assert isinstance(write, MakeDurable)
    assert b.budget == 400, "what raises it is not on disk"
    b, [publish] = step(b, Durable(write.sequence))
    assert b.budget == 500
    assert isinstance(publish, Publish)
    assert publish.document["rows"][B]["taken"] == {A: "500"}


def test_a_write_that_failed_is_tried_again_with_the_next_event_and_publishes_nothing() -> None:
    _, a, _ = two()
    a, [write] = step(a, Give(to="b", amount=HUNDRED))
    assert isinstance(write, MakeDurable)
    a, actions = step(a, WriteFailed(write.sequence))
    assert actions == ()
    a, [again] = step(a, lost(0))
    assert again == write
    assert a.budget == 500


def test_words_of_the_disk_that_nobody_waits_for_change_nothing() -> None:
    _, a, _ = two()
    assert step(a, Durable(a.kept.sequence)) == (a, ())
    a, [write] = step(a, Give(to="b", amount=HUNDRED))
    assert isinstance(write, MakeDurable)
    for event in (Durable(write.sequence - 1), Durable(write.sequence + 1), WriteFailed(write.sequence - 1)):
        assert step(a, event) == (a, ())


def test_while_one_row_is_written_the_next_waits() -> None:
    _, a, _ = two()
    a, [first] = step(a, Give(to="b", amount=HUNDRED))
    a, actions = step(a, Give(to="b", amount=HUNDRED))
    assert actions == ()
    assert a.budget == 400
    assert isinstance(first, MakeDurable)
    a, [second] = step(a, Durable(first.sequence))
    assert isinstance(second, MakeDurable), "nothing is published while something newer waits"
    a, [publish] = step(a, Durable(second.sequence))
    assert isinstance(publish, Publish)
    assert publish.document["rows"][A]["given"] == {B: "600"}


def test_records_that_come_late_twice_or_in_any_order_are_one() -> None:
    site, a, b = two()
    reads = [site.read]
    for _ in range(3):
        a = site.tell(a, Give(to="b", amount=Decimal(50)))
        reads.append(site.read)
    for order in permutations([*reads, reads[1]]):
        state, quiet = b, Site()
        for read in order:
            quiet.read = read
            state = quiet.hear(state)
        assert state.budget == 550


def test_a_publication_that_nothing_was_heard_of_is_made_again_only_once_the_ledger_was_read() -> None:
    site, a, _ = two()
    a, [write] = step(a, Give(to="b", amount=HUNDRED))
    assert isinstance(write, MakeDurable)
    a, [publish] = step(a, Durable(write.sequence))
    for _ in range(3):
        a, actions = step(a, lost(0))
        assert actions == ()
    a, [again] = step(a, site.read)
    assert again == publish


# --- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (Give(to="c", amount=HUNDRED), "no other member 'c'"),
        (Give(to="a", amount=HUNDRED), "no other member 'a'"),
        (Give(to="b", amount=Decimal(0)), "no amount to give"),
        (Give(to="b", amount=Decimal(-5)), "no amount to give"),
        (Give(to="b", amount=Decimal("1e-13")), "no amount to give"),
        (Give(to="b", amount=Decimal(600)), "can spare less than 600"),
    ],
)
def test_a_gift_that_can_not_be_is_refused(give: Give, said: str) -> None:
    _, a, _ = two()
    after, actions = step(a, give)
    assert after == a
    assert said in refusal(actions)


def test_nothing_is_given_by_who_does_not_know_its_loss() -> None:
    _, a, _ = two()
    a, _ = step(a, LossUnknown())
    after, actions = step(a, Give(to="b", amount=HUNDRED))
    assert after == a
    assert "not known what a has lost" in refusal(actions)


def test_what_may_be_lost_already_can_not_be_spared() -> None:
    _, a, _ = two()
    a, _ = step(a, lost(0, 550))
    assert "less than 50" in refusal(step(a, Give(to="b", amount=Decimal(50)))[1])
    a, _ = step(a, lost(-700, -600))
    a, _ = step(a, Give(to="b", amount=Decimal(1_100)))
    assert (a.budget, a.is_breached) == (-500, False), "a winner lends its gain too, and trips if it is gone"


def records(site: Site) -> Iterator[tuple[str, Any, str]]:
    whole = site.read.document
    assert isinstance(whole, dict)
    charter = whole["charter"]
    yield "nothing at all", [], "no table"
    yield "another version", {**whole, "format": 7}, "format '7'"
    yield "another fund", {**whole, "charter": {**charter, "fund": "beta"}}, "is that of 'beta'"
    yield "another founding", {**whole, "charter": {**charter, "founding": "x"}}, "founded as f00d"
    yield "another limit", {**whole, "charter": {**charter, "limit": "2000"}}, "nothing was changed"


@pytest.mark.parametrize("which", range(5))
def test_a_record_that_is_none_changes_nothing(which: int) -> None:
    site, a, _ = two()
    _, document, said = list(records(site))[which]
    after, actions = step(a, LedgerRead(revision="1000", document=document))
    assert replace(after, rival=None) == a
    assert said in refusal(actions)


def test_a_fund_that_was_founded_twice_opens_nowhere_until_it_is_known_which_one_counts() -> None:
    site, a, _ = two()
    a, _ = step(a, lost(0))
    assert a.may_trade
    found = {which: (document, said) for which, document, said in records(site)}
    for which in ("nothing at all", "another version", "another fund", "another limit"):
        assert step(a, LedgerRead(revision="1000", document=found[which][0]))[0].may_trade, which
    document, said = found["another founding"]
    after, _ = step(a, LedgerRead(revision="1000", document=document))
    assert (after.may_trade, after.is_guarding, after.budget) == (False, True, a.budget)
    assert said in str(after.why_still)
    assert "founded as f00d" in refusal(step(after, Give(to="b", amount=HUNDRED))[1])
    garbled, _ = step(after, LedgerRead(revision="1001", document=[]))
    assert not garbled.may_trade, "what can't be read says nothing else"
    _, actions = step(after, lost(600))
    assert any(isinstance(action, TripFund) for action in actions), "it goes on guarding"
    assert step(after, site.read)[0].may_trade


def test_of_an_older_copy_of_the_ledger_from_before_this_founding_nobody_of_that_one_trades_on() -> None:
    site, a, b = two()
    ended = ((a.charter.founding, "trip-7"),)
    later = replace(a, charter=replace(a.charter, founding="1a7e", before=ended), books=None, published=None)
    later, _ = step(later, lost(0))
    b, _ = step(b, lost(0))
    assert b.may_trade, "it does not know yet that its founding is over"
    later = site.hear(later)
    assert later.may_trade
    b = site.hear(b)
    assert not b.may_trade
    assert b.wanted.trip == "trip-7"
    assert "founded anew" in str(b.superseded)


def test_by_a_record_that_can_not_be_nobody_raises_and_people_are_told_once() -> None:
    site, a, b = two()
    a = site.tell(a, Give(to="b", amount=HUNDRED))
    assert a.books is not None
    forged = a.books.with_row(row("c", taken={A: HUNDRED}, sequence=1))
    read = LedgerRead(revision="50", document=forged.document())
    after, actions = step(b, read)
    assert after.budget == b.budget
    assert [type(action) for action in actions] == [Tell]
    again, actions = step(after, read)
    assert actions == ()
    assert step(again, site.read)[0].wanted.budget == 500


# --- what a restored ledger may say ------------------------------------------------------------------


def test_yesterday_s_ledger_gives_nothing_twice_and_is_put_right() -> None:
    site, a, b = two()
    yesterday = site.read
    a = site.tell(a, Give(to="b", amount=HUNDRED))
    b = site.hear(b)
    assert (a.budget, b.budget) == (500, 500)
    site.read = LedgerRead(revision="old", document=yesterday.document)
    b, a = site.hear(b), site.hear(a)
    assert (a.budget, b.budget) == (500, 500)
    assert Books.of(site.read.document).rows[A].given == {B: Decimal(500)}
    b = site.hear(b)
    assert Books.of(site.read.document).rows[B].taken == {A: Decimal(500)}
    assert b.budget == 500


def test_an_empty_ledger_is_filled_again_by_whoever_comes() -> None:
    site, a, b = two()
    site.read = LedgerRead(revision=None, document=None)
    b, a = site.hear(b), site.hear(a)
    b = site.hear(b)
    assert Books.of(site.read.document).rows.keys() == {A, B}
    assert (a.budget, b.budget) == (600, 400)


def test_a_state_from_a_backup_remembers_what_it_gave_and_says_so() -> None:
    site, a, _ = two()
    old = a
    for _ in range(2):
        a = site.tell(a, Give(to="b", amount=HUNDRED))
    state, _ = restore(old.document(old.kept), "place a")
    state = site.tell(site.tell(state, lost(0)), site.read)
    assert state.budget == 400
    assert "older than what a has published" in str(state.superseded)
    assert not state.may_trade
    assert "older than" in refusal(step(state, Give(to="b", amount=HUNDRED))[1])
    assert not [action for action in step(state, site.read)[1] if isinstance(action, Publish)]


def test_two_members_of_one_name_are_two_seats_and_only_the_right_one_is_given_to() -> None:
    """The ledger forgot b, and another b joined it: what the first one took is not there for the second."""
    site, a, b = two()
    assert a.books is not None
    forgetful = Books(CHARTER, {A: replace(a.kept, given={}, sequence=1)})
    other, _ = join(row("b", 2), LedgerRead(revision="1", document=forgetful.document()), **TERMS)
    site.read = LedgerRead(revision="old", document=forgetful.document())
    other = site.run(*step(other, Durable(1)))
    a, b, other = site.hear(a), site.hear(b), site.hear(other)
    assert (a.budget, b.budget, other.budget) == (600, 400, 0)
    assert "no other member 'b'" in refusal(step(site.hear(a), Give(to="b", amount=HUNDRED))[1])


def test_a_name_that_is_elsewhere_gives_and_takes_nothing() -> None:
    site, a, b = two()
    assert a.books is not None
    moved = a.books.with_row(replace(b.kept, place="elsewhere", incarnation=2, sequence=9))
    b, _ = step(b, LedgerRead(revision="77", document=moved.document()))
    assert b.superseded == "b is at elsewhere now, not at place b: this guard is not that member"
    assert not b.may_trade
    a = site.tell(a, Give(to="b", amount=HUNDRED))
    assert step(b, site.read)[0].wanted.taken == b.wanted.taken
    b, actions = step(b, lost(400))
    assert isinstance(actions[0], TripFund), "it trips all the same"


# --- trips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "trips"), [("399.999999999999", False), ("400", True), ("401", True)])
def test_at_its_budget_exactly_a_member_trips_the_fund(loss: str, trips: bool) -> None:
    _, _, b = two()
    b, actions = step(b, lost(loss))
    assert [type(action) for action in actions[:1]] == ([TripFund] if trips else [])
    assert b.may_trade is not trips


def test_a_trip_needs_no_ledger_and_no_disk_and_comes_first() -> None:
    site, _, b = two()
    state, _ = restore(b.document(b.kept), "place b")
    state, actions = step(state, lost(400))
    assert [type(action) for action in actions] == [TripFund, MakeDurable]
    state, actions = step(state, site.read)
    [publish] = actions
    assert isinstance(publish, Publish), "the ledger is told before the disk has answered"
    assert publish.document["rows"][B]["trip"] == state.wanted.trip


def test_one_member_trips_all_under_one_id_once() -> None:
    site, a, b = two()
    b = site.tell(b, lost(450))
    a = site.hear(a)
    assert {trip.trip_id for trip in site.trips} == {str(b.wanted.trip)}
    assert len(site.trips) == 2
    a, b = site.hear(a), site.hear(b)
    assert len(site.trips) == 2
    assert a.wanted.trip == b.wanted.trip
    assert "has tripped" in refusal(step(a, Give(to="b", amount=HUNDRED))[1])


def test_a_trip_is_told_again_after_a_restart() -> None:
    site, _, b = two()
    b = site.tell(b, lost(450))
    again, actions = restore(b.document(b.kept), "place b")
    assert actions == (TripFund(str(b.wanted.trip), "the fund tripped before this start"),)
    assert not again.may_trade
    assert site.trips


@pytest.mark.parametrize(("least", "most", "undecided"), [(0, 399, False), (0, 400, True), (399, 10_000, True)])
def test_a_loss_that_may_be_the_budget_shuts_the_gate(least: int, most: int, undecided: bool) -> None:
    _, _, b = two()
    b, actions = step(b, lost(least, most))
    assert actions == ()
    assert (b.is_undecided, b.may_trade) == (undecided, not undecided)


# --- the sum of all ----------------------------------------------------------------------------------


def summed(least: int | None, most: int | None = None, *, silent: tuple[str, ...] = ()) -> SumRead:
    most = least if most is None else most
    is_known = least is not None and most is not None
    return SumRead(
        Verdict(
            least=None if least is None else Decimal(least),
            most=None if most is None else Decimal(most),
            is_breached=is_known and least >= CHARTER.limit,
            is_undecided=not is_known or least < CHARTER.limit <= most,
            silent=silent,
        )
    )


@pytest.mark.parametrize(("least", "trips"), [(999, False), (1_000, True), (1_001, True)])
def test_a_sum_at_the_limit_exactly_trips_though_nobody_lost_a_budget(least: int, trips: bool) -> None:
    _, a, _ = two()
    a, actions = step(a, summed(least))
    assert [type(action) for action in actions] == ([TripFund, MakeDurable, Publish] if trips else [])
    assert a.may_trade is not trips
    if trips:
        assert actions[0] == TripFund("alpha-f00d", f"all members have lost {least} together, of a limit of 1000")
        assert step(a, summed(least))[1] == (), "once"


def test_all_who_see_the_sum_or_lose_a_budget_at_once_trip_under_one_id() -> None:
    _, a, b = two()
    a, [by_sum, *_] = step(a, summed(1_000))
    b, [by_budget, *_] = step(b, lost(400))
    assert isinstance(by_sum, TripFund)
    assert isinstance(by_budget, TripFund)
    assert by_sum.trip_id == by_budget.trip_id == a.wanted.trip == b.wanted.trip


def test_a_sum_that_may_be_the_limit_shuts_the_gate_until_it_is_known() -> None:
    _, a, _ = two()
    a, actions = step(a, summed(900, 1_000))
    assert (actions, a.may_trade) == ((), False)
    assert step(a, summed(900, 999))[0].may_trade


@pytest.mark.parametrize("silence", [summed(900, 1_000, silent=(B,)), summed(None, silent=(B,))])
def test_who_is_silent_shuts_no_gate_of_others(silence: SumRead) -> None:
    """Its budget holds without a word of it."""
    _, a, _ = two()
    a, actions = step(a, silence)
    assert (actions, a.may_trade) == ((), True)


def test_a_breach_in_question_shuts_the_gate_though_one_is_silent() -> None:
    _, a, _ = two()
    event = summed(1_000, 1_100, silent=(B,))
    in_question = replace(event.verdict, is_breached=False, is_undecided=True)
    a, actions = step(a, SumRead(in_question))
    assert (actions, a.may_trade) == ((), False)


def test_a_sum_that_is_lost_at_its_best_trips_though_one_is_silent() -> None:
    _, a, _ = two()
    assert isinstance(step(a, summed(1_000, 5_000, silent=(B,)))[1][0], TripFund)


def test_a_sum_trips_nobody_who_is_no_member_yet_or_no_more() -> None:
    site, a, b = two()
    c = site.run(*join(row("c", wants=HUNDRED), site.read, **TERMS))
    assert step(c, summed(2_000))[1] == ()
    b = site.tell(b, Leave(to="a", loss=Decimal(100), is_proven=True))
    assert step(b, summed(2_000))[1] == ()
    assert step(a, summed(2_000))[1] != ()


def test_an_unknown_loss_shuts_the_gate_and_so_does_a_start() -> None:
    _, _, b = two()
    assert b.may_trade
    assert not step(b, LossUnknown())[0].may_trade
    assert not restore(b.document(b.kept), "place b")[0].may_trade


@pytest.mark.parametrize("odd", [lost("NaN"), lost(0, "Infinity"), lost(5, 4), lost("-Infinity", 0)])
def test_a_loss_that_makes_no_sense_is_unknown(odd: Any) -> None:
    _, _, b = two()
    b, actions = step(b, odd)
    assert "it is not known" in refusal(actions)
    assert not b.may_trade


def test_a_member_without_a_budget_trips_nothing_and_may_not_trade() -> None:
    site, _, _ = two()
    c = site.run(*join(row("c", wants=HUNDRED), site.read, **TERMS))
    c, actions = step(c, lost(50))
    assert actions == ()
    assert not c.may_trade


# --- asking and leaving ------------------------------------------------------------------------------


def test_what_is_asked_is_published_and_shrinks_by_what_is_taken() -> None:
    site, a, b = two()
    assert step(b, Ask(Decimal(0))) == (b, ())
    assert step(b, Ask(Decimal(-1))) == (b, ())
    b = site.tell(b, Ask(Decimal(80)))
    a = site.hear(a)
    assert a.books is not None
    assert a.books.rows[B].asks == 80
    a = site.tell(a, Give(to="b", amount=Decimal(50)))
    b = site.hear(b)
    assert b.wanted.asks == 30


def leave(loss: int = 0, to: str | None = "a", *, is_proven: bool = True) -> Leave:
    return Leave(to=to, loss=Decimal(loss), is_proven=is_proven)


def test_whoever_leaves_keeps_what_it_lost_and_gives_the_rest() -> None:
    site, a, b = two()
    b = site.tell(site.tell(b, lost(150)), leave(150))
    a = site.hear(a)
    assert (b.budget, a.budget) == (150, 850)
    assert a.books is not None
    assert a.books.spent == 150
    b, actions = step(b, lost(10_000))
    assert actions == (), "it is no member any more"
    assert not b.may_trade
    assert "has left" in refusal(step(b, Give(to="a", amount=Decimal(1)))[1])
    assert "no other member" in refusal(step(a, Give(to="b", amount=Decimal(1)))[1])


def test_the_last_one_leaves_to_nobody() -> None:
    site, _, b = two()
    b = site.tell(b, leave(to=None))
    assert (b.budget, b.kept.has_left) == (400, True)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (leave(is_proven=False), "not proven empty and flat: it keeps its budget"),
        (leave(to="c"), "no other member 'c'"),
        (leave(400), "that is a trip"),
    ],
)
def test_leaving_is_refused(event: Leave, said: str) -> None:
    _, _, b = two()
    after, actions = step(b, event)
    assert after == b
    assert said in refusal(actions)


def test_nobody_leaves_while_its_budget_is_being_written() -> None:
    _, a, _ = two()
    a, _ = step(a, Give(to="b", amount=HUNDRED))
    assert "being written" in refusal(step(a, leave(to="b"))[1])


def test_a_state_is_only_what_its_events_make_it() -> None:
    """The same events, the same states: nothing in here looks anywhere else."""
    runs: list[Escrow] = []
    for _ in range(2):
        site, a, b = two()
        runs += [site.tell(a, Give(to="b", amount=HUNDRED)), site.tell(b, lost(12))]
    assert runs[:2] == runs[2:]
