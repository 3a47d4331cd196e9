"""Founding, joining, starting again, being adopted: who is let in, and who is refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.errors import StateError, UsageError
from risk_daemon.fund.escrow import step
from risk_daemon.fund.ledger import Books, LedgerRead, Row
from risk_daemon.fund.membership import FUND, adopt, check_replaceable, claim, found, join, kept_in, restore
from risk_daemon.fund.messages import Durable, Give, Leave, MakeDurable, Publish, TripFund
from tests.unit.fund.fund import CHARTER, NOWHERE, TERMS, Site, lost, refusal, row, two

B = "b.00000001"


def test_the_limit_is_minted_once_the_ledger_has_the_founding() -> None:
    a, [write] = found(CHARTER, row("a"), NOWHERE)
    assert isinstance(write, MakeDurable)
    a, [publish] = step(a, Durable(write.sequence))
    assert isinstance(publish, Publish)
    assert (publish.revision, a.budget) == (None, 0)
    a, [write] = step(a, LedgerRead(revision="1", document=publish.document))
    assert isinstance(write, MakeDurable)
    assert a.budget == 0
    a, _ = step(a, Durable(write.sequence))
    assert (a.budget, a.is_guarding) == (1_000, True)


def test_of_two_who_found_at_once_one_is_refused_and_has_nothing() -> None:
    first = Site()
    first.run(*found(CHARTER, row("a"), NOWHERE))
    other = replace(CHARTER, founding="beef", founder="b.00000002")
    b, _ = found(other, row("b", 2), NOWHERE)
    b, _ = step(b, Durable(1))
    b, actions = step(b, first.read)
    assert "founded by a.00000001 as f00d" in refusal(actions)
    assert (b.budget, b.may_trade) == (0, False)


@pytest.mark.parametrize(
    ("who", "read", "said"),
    [
        (row("a"), LedgerRead(revision="1", document={}), "is not empty"),
        (row("b"), NOWHERE, "can't found a fund for a.00000001"),
        (row("a", wants=Decimal(1_001)), NOWHERE, "above the fund's limit of 1000"),
    ],
)
def test_a_founding_that_is_refused(who: Row, read: LedgerRead, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        found(CHARTER, who, read)


@pytest.mark.parametrize(
    ("who", "terms", "said"),
    [
        (row("c", wants=Decimal(201)), {}, "the budgets would sum to 1001, above the fund's limit of 1000"),
        (row("b", 2), {}, "has or had a member 'b'"),
        (row("c", wants=Decimal(1), accounts=("x", "account b")), {}, "b guards the account account b already"),
        (row("c", wants=Decimal(1)), {"fund": "beta"}, "of the fund 'alpha' with a limit of 1000 USDT, not of 'beta'"),
        (row("c", wants=Decimal(1)), {"limit": Decimal(900)}, "not of 'alpha' with 900 USDT"),
        (row("c", wants=Decimal(1)), {"currency": "USDC"}, "with 1000 USDC"),
    ],
)
def test_a_joining_that_is_refused(who: Row, terms: dict[str, Any], said: str) -> None:
    site, _, _ = two()
    with pytest.raises(UsageError, match=said):
        join(who, site.read, **{**TERMS, **terms})
    join(row("c", wants=Decimal(200)), site.read, **TERMS)


def test_nobody_joins_what_is_not_there_or_has_tripped() -> None:
    with pytest.raises(UsageError, match="holds no fund 'alpha'"):
        join(row("c"), NOWHERE, **TERMS)
    with pytest.raises(UsageError, match="nothing was joined"):
        join(row("c"), LedgerRead(revision="1", document={}), **TERMS)
    site, _, b = two()
    site.tell(b, lost(500))
    with pytest.raises(UsageError, match="has tripped"):
        join(row("c", wants=Decimal(1)), site.read, **TERMS)


# --- starting again ----------------------------------------------------------------------------------


def test_a_start_goes_by_what_was_durable() -> None:
    _, a, _ = two()
    a, [write] = step(a, Give(to="b", amount=Decimal(100)))
    assert isinstance(write, MakeDurable)
    before, _ = restore(json.loads(json.dumps(a.document(a.kept))), "place a")
    after, _ = restore(json.loads(json.dumps(write.document)), "place a")
    assert (before.budget, after.budget) == (600, 500)


def test_a_state_that_was_copied_or_moved_is_not_acted_on() -> None:
    _, a, _ = two()
    with pytest.raises(StateError, match="a's budget in alpha is kept at place a, and this is place z"):
        restore(a.document(a.kept), "place z")


@pytest.mark.parametrize("key", ["format", "charter", "row"])
@pytest.mark.parametrize("value", [None, {}, 2, "x"])
def test_a_damaged_document_is_refused(key: str, value: Any) -> None:
    _, a, _ = two()
    with pytest.raises(StateError, match="does not know how much it may lose"):
        restore({**a.document(a.kept), key: value}, "place a")


# --- adopting ----------------------------------------------------------------------------------------


def adopted(site: Site, member: str, place: str, own: Row | None = None) -> Any:
    incarnation, publish = claim(site.read, member, place, own)
    assert publish.revision == site.read.revision
    site.read = LedgerRead(revision="claimed", document=publish.document)
    return site.run(*adopt(site.read, member, place, incarnation))


def test_a_member_is_adopted_with_the_budget_it_had() -> None:
    site, a, b = two()
    new = adopted(site, "b", "new place")
    assert (new.budget, new.kept.place, new.kept.incarnation) == (400, "new place", 2)
    assert site.tell(new, lost(0)).may_trade
    old = site.hear(b)
    assert "b is at new place now" in str(old.superseded)
    a = site.tell(site.hear(a), Give(to="b", amount=Decimal(50)))
    assert (site.hear(new).budget, site.hear(old).budget) == (450, 400)


def test_what_the_old_machine_still_had_under_way_comes_too_late() -> None:
    site, a, b = two()
    b, [write] = step(b, Give(to="a", amount=Decimal(100)))
    assert isinstance(write, MakeDurable)
    b, [late] = step(b, Durable(write.sequence))
    assert isinstance(late, Publish)
    new = adopted(site, "b", "new place")
    assert late.revision != site.read.revision
    assert (new.budget, site.hear(a).budget) == (400, 600), "nobody heard of the gift: there is none"


def test_a_claim_that_came_after_it_knows_of_it() -> None:
    site, a, b = two()
    b = site.tell(b, Give(to="a", amount=Decimal(100)))
    a = site.hear(a)
    assert (a.budget, adopted(site, "b", "new place").budget) == (700, 300)


def test_what_others_took_counts_where_the_ledger_forgot_the_gift() -> None:
    site, a, b = two()
    old = b.kept
    b = site.tell(b, Give(to="a", amount=Decimal(100)))
    a = site.hear(a)
    assert a.books is not None
    assert a.kept.taken
    forgetful = Books(CHARTER, {**a.books.rows, a.seat: a.kept, B: old})
    site.read = LedgerRead(revision="r", document=forgetful.document())
    assert adopted(site, "b", "new place").budget == 300


def test_what_is_left_of_the_old_state_counts() -> None:
    site, _, b = two()
    b, _ = step(b, Give(to="a", amount=Decimal(100)))
    assert adopted(site, "b", "place b", b.wanted).budget == 300


def test_an_adoption_that_is_refused() -> None:
    site, _, _ = two()
    with pytest.raises(UsageError, match="no one member 'z'"):
        claim(site.read, "z", "here")
    with pytest.raises(UsageError, match="nothing was adopted"):
        claim(NOWHERE, "b", "here")
    with pytest.raises(UsageError, match="was not claimed for here"):
        adopt(site.read, "b", "here", 2)


# --- founded anew ------------------------------------------------------------------------------------

AGAIN = replace(CHARTER, founding="beef", founder="a.00000002", limit=Decimal(2_000))


def tripped() -> tuple[Site, Any, Any]:
    """b has lost its budget, and a has not heard of it."""
    site, a, b = two()
    return site, a, site.tell(b, lost(500))


def anew(site: Site) -> Any:
    return site.run(*found(AGAIN, row("a", 2), site.read, anew=True))


def test_a_fund_that_has_tripped_is_founded_anew_with_its_limit_minted_once() -> None:
    site, _, b = tripped()
    new = anew(site)
    books = Books.of(json.loads(json.dumps(site.read.document)))
    assert (new.budget, list(books.rows)) == (2_000, ["a.00000002"])
    assert books.charter.before == (("f00d", b.wanted.trip),)
    assert new.charter == books.charter


def test_a_fund_that_all_have_left_is_founded_anew() -> None:
    site, a, b = two()
    site.tell(b, Leave(to="a", loss=Decimal(0), is_proven=True))
    with pytest.raises(UsageError, match="has not tripped, and a has not left it"):
        anew(site)
    site.tell(site.hear(a), Leave(to=None, loss=Decimal(0), is_proven=True))
    assert anew(site).budget == 2_000
    assert Books.of(site.read.document).charter.before == (("f00d", None),)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (NOWHERE, "no fund 'alpha' that could be founded anew"),
        (LedgerRead(revision="1", document={"format": 2}), "nothing was founded"),
        (LedgerRead(revision="1", document=Books(CHARTER).document()), "it is not over"),
    ],
)
def test_what_is_not_over_is_not_founded_anew(read: LedgerRead, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        found(AGAIN, row("a", 2), read, anew=True)


def test_who_has_not_heard_of_the_trip_hears_it_from_the_later_founding_and_overwrites_nothing() -> None:
    site, a, b = tripped()
    new = anew(site)
    before = site.read
    a = site.hear(a)
    assert (a.wanted.trip, a.kept.trip, a.may_trade, a.is_over) == (b.wanted.trip, b.wanted.trip, False, True)
    assert any(row.trip == b.wanted.trip for row in a.books.rows.values()), "as told to all"
    assert site.read == before
    for state in (a, b):
        state = site.hear(site.hear(state))
        assert "was founded anew, as beef by a.00000002" in str(state.superseded)
        assert not site.tell(state, lost(0)).may_trade
        assert refusal(step(state, Give(to="b", amount=Decimal(1)))[1])
    assert site.read == before
    restarted, actions = restore(json.loads(json.dumps(a.document(a.kept))), "place a")
    assert [action.trip_id for action in actions if isinstance(action, TripFund)] == [b.wanted.trip]
    assert site.hear(site.run(restarted, actions)).is_over
    assert site.read == before
    assert site.tell(new, lost(0)).may_trade


def test_who_was_told_of_a_later_founding_after_a_second_one_hears_it_all_the_same() -> None:
    site, a, b = tripped()
    site.tell(anew(site), lost(2_000))
    third = replace(CHARTER, founding="cafe", founder="a.00000003")
    site.run(*found(third, row("a", 3), site.read, anew=True))
    assert site.hear(a).wanted.trip == b.wanted.trip


def test_a_member_that_left_hears_nothing_of_it_but_that_it_is_over() -> None:
    site, a, b = two()
    b = site.tell(b, Leave(to="a", loss=Decimal(0), is_proven=True))
    site.tell(site.hear(a), lost(1_000))
    anew(site)
    b = site.hear(b)
    assert (b.is_over, b.wanted.trip, b.may_trade) == (True, None, False)


def test_a_charter_of_another_fund_ends_nothing() -> None:
    _, a, _ = two()
    other = replace(CHARTER, fund="beta", founding="beef", before=(("f00d", "trip"),))
    after, actions = step(a, LedgerRead(revision="1", document=Books(other).document()))
    assert "nothing was changed" in refusal(actions)
    assert (after.kept, after.is_over, after.wanted.trip) == (a.kept, False, None)


# --- what a new document may replace -----------------------------------------------------------------


def kept(state: Any) -> Any:
    return json.loads(json.dumps(state.document(state.kept)))


def test_a_state_without_a_document_or_with_an_empty_one_is_of_no_fund() -> None:
    assert (kept_in({}), kept_in({FUND: {}}), kept_in({FUND: {"a": 1}})) == (None, None, {"a": 1})
    check_replaceable(None, NOWHERE)


def test_a_member_that_is_one_is_not_replaced() -> None:
    site, a, b = two()
    for state, read in ((a, site.read), (b, site.read), (b, NOWHERE)):
        with pytest.raises(UsageError, match="of alpha already"):
            check_replaceable(kept(state), read)
    joined, _ = join(row("c", wants=Decimal(1)), site.read, **TERMS)
    new = site.run(*join(row("c", wants=Decimal(1)), site.read, **TERMS))
    with pytest.raises(UsageError, match="this guard is c of alpha already"):
        check_replaceable(kept(new), site.read)
    assert joined.seat == new.seat


def test_whoever_never_got_anywhere_left_or_tripped_is_replaced() -> None:
    b, _ = found(replace(CHARTER, founding="beef", founder="b.00000002"), row("b", 2), NOWHERE)
    b, _ = step(b, Durable(1))
    check_replaceable(kept(b), NOWHERE)
    site, a, b = two()
    b = site.tell(b, Leave(to="a", loss=Decimal(0), is_proven=True))
    check_replaceable(kept(b), site.read)
    site, a, b = tripped()
    check_replaceable(kept(b), site.read)
    with pytest.raises(UsageError, match="start it once"):
        check_replaceable(kept(a), site.read)
    anew(site)
    with pytest.raises(UsageError, match="start it once"):
        check_replaceable(kept(a), site.read)
    check_replaceable(kept(site.hear(a)), site.read)


def test_a_founding_that_was_emptied_and_founded_by_hand_is_replaced() -> None:
    _, a, _ = two()
    check_replaceable(kept(a), LedgerRead(revision="1", document=Books(AGAIN).document()))


@pytest.mark.parametrize("document", [{"format": 1}, {"charter": CHARTER.document(), "row": {}}])
def test_a_document_that_is_damaged_is_not_replaced(document: Any) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        check_replaceable(document, NOWHERE)


def test_by_a_ledger_that_makes_no_sense_nothing_is_replaced() -> None:
    _, a, _ = two()
    with pytest.raises(UsageError, match="nothing was changed"):
        check_replaceable(kept(a), LedgerRead(revision="1", document={}))


def test_a_ratio_is_compared_with_nothing() -> None:
    site, _, _ = two()
    join(row("c", wants=Decimal(1)), site.read, **{**TERMS, "limit": None})
