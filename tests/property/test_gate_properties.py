"""Whatever holds: one veto an order, the strongest that concerns it, and nothing shuts more than it should."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.gate.restraints import (
    CAUSES,
    OrderRequest,
    Restraint,
    check_order,
    gate_of,
    severity,
    strongest_first,
)

VENUES = ("kraken", "binance")
BOTS = ("alpha", "beta")

known_causes = st.sampled_from(CAUSES)
causes = known_causes | st.sampled_from(["custom:mine", "custom:other"])
unknown_causes = st.text(max_size=12).filter(lambda text: text not in CAUSES and not text.startswith("custom:"))

venues = st.sampled_from(VENUES)
bots = st.sampled_from(BOTS)


def restraints(
    venue: st.SearchStrategy[str | None], bot: st.SearchStrategy[str | None]
) -> st.SearchStrategy[Restraint]:
    reasons = st.text(max_size=3)
    return st.builds(Restraint, causes, reasons, allows_reducing=st.booleans(), venue=venue, bot=bot)


of_all = restraints(st.none(), st.none())
of_some = restraints(venues, st.none()) | restraints(st.none(), bots) | restraints(venues, bots)
any_restraint = of_all | of_some
many = st.lists(any_restraint, max_size=8)
orders = st.builds(
    OrderRequest,
    venues,
    st.just("BTC/USDT"),
    st.sampled_from(["buy", "sell"]),
    st.just(Decimal(1)),
    bot=st.none() | bots,
)


def holds(restraint: Restraint, order: OrderRequest, is_reducing: bool) -> bool:
    """The same rule, said in another way."""
    if restraint.venue is not None and restraint.venue != order.venue:
        return False
    if restraint.bot is not None and restraint.bot != order.bot:
        return False
    return not (is_reducing and restraint.allows_reducing)


def rank(cause: str) -> tuple[int, int]:
    """The fixed order of severity, with rules of the user's own just before blind."""
    if cause.startswith("custom:"):
        return CAUSES.index("blind"), -1
    return CAUSES.index(cause), 0


@given(many, orders, st.booleans())
def test_one_veto_an_order_and_it_is_the_strongest_that_concerns_it(
    held: list[Restraint], order: OrderRequest, is_reducing: bool
) -> None:
    against = [restraint for restraint in held if holds(restraint, order, is_reducing)]
    veto = check_order(order, strongest_first(held), is_reducing=is_reducing)
    if not against:
        assert veto is None
        return
    strongest = min(against, key=lambda restraint: rank(restraint.cause))  # the first of equals
    assert veto is not None
    assert (veto.veto_reason, veto.reason) == (strongest.cause, strongest.reason)


@given(many, orders, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_they_come_in_changes_no_answers_severity(
    held: list[Restraint], order: OrderRequest, is_reducing: bool, random: Random
) -> None:
    shuffled = list(held)
    random.shuffle(shuffled)
    vetoes = [check_order(order, strongest_first(each), is_reducing=is_reducing) for each in (held, shuffled)]
    assert len({None if veto is None else severity(veto.veto_reason) for veto in vetoes}) == 1


@given(many, any_restraint, orders, st.booleans())
def test_more_restraints_never_let_more_through(
    held: list[Restraint], another: Restraint, order: OrderRequest, is_reducing: bool
) -> None:
    before = check_order(order, strongest_first(held), is_reducing=is_reducing)
    after = check_order(order, strongest_first([*held, another]), is_reducing=is_reducing)
    assert after is not None or before is None


@given(many)
def test_strongest_first_loses_nothing_and_sorts(held: list[Restraint]) -> None:
    ordered = strongest_first(held)
    assert sorted(map(id, ordered)) == sorted(map(id, held))
    assert [rank(restraint.cause) for restraint in ordered] == sorted(rank(restraint.cause) for restraint in held)


@given(st.lists(of_some, max_size=8))
def test_what_concerns_some_never_shuts_the_gate_for_all(held: list[Restraint]) -> None:
    assert not gate_of(strongest_first(held), 1.0).locked


@given(many)
def test_the_gate_is_shut_exactly_if_something_concerns_all(held: list[Restraint]) -> None:
    general = [restraint for restraint in held if restraint.venue is None and restraint.bot is None]
    gate = gate_of(strongest_first(held), 1.0)
    assert gate.locked == bool(general)
    expected = min((restraint.cause for restraint in general), key=rank, default=None)
    assert gate.cause == expected


@given(many, orders)
def test_a_gate_that_is_shut_for_all_lets_no_order_through(held: list[Restraint], order: OrderRequest) -> None:
    if gate_of(strongest_first(held), 1.0).locked:
        assert check_order(order, strongest_first(held)) is not None


@given(st.lists(restraints(st.none() | venues, bots), max_size=8), orders)
def test_an_order_without_a_bot_falls_under_no_bots_restraint(held: list[Restraint], order: OrderRequest) -> None:
    nameless = OrderRequest(order.venue, order.symbol, order.side, order.quantity, bot=None)
    assert check_order(nameless, strongest_first(held)) is None


@given(restraints(venues, st.none()), orders)
def test_an_order_without_a_bot_falls_under_its_venues_restraint(restraint: Restraint, order: OrderRequest) -> None:
    nameless = OrderRequest(order.venue, order.symbol, order.side, order.quantity, bot=None)
    assert (check_order(nameless, [restraint]) is not None) == (restraint.venue == nameless.venue)


@given(many, orders)
def test_reducing_helps_only_where_all_that_concerns_it_allows_it(held: list[Restraint], order: OrderRequest) -> None:
    stubborn = any(holds(restraint, order, False) and not restraint.allows_reducing for restraint in held)
    assert (check_order(order, strongest_first(held), is_reducing=True) is not None) == stubborn


@given(unknown_causes, causes)
def test_a_cause_that_nobody_knows_comes_first(unknown: str, known: str) -> None:
    assert severity(unknown) < severity(known)
    ordered = strongest_first([Restraint(known, ""), Restraint(unknown, "")])
    assert [restraint.cause for restraint in ordered] == [unknown, known]
