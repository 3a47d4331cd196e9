"""Winners lend to losers: who asks, who gives, and that it comes to an end."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from risk_daemon.fund.escrow import Escrow, step
from risk_daemon.fund.lending import asked, offered
from risk_daemon.fund.membership import found, join
from risk_daemon.fund.messages import Ask, Give, LossUnknown
from tests.unit.fund.fund import CHARTER, LIMIT, NOWHERE, TERMS, Site, lost, row, two


def test_who_has_less_than_half_asks_for_three_quarters() -> None:
    _, _, b = two()
    assert asked(step(b, lost(200))[0]) is None
    assert asked(step(b, lost(201))[0]) == Ask(Decimal(101))
    assert asked(step(b, lost(201, 300))[0]) == Ask(Decimal(101)), "what is surely lost"
    assert asked(step(b, LossUnknown())[0]) is None


def test_who_does_not_see_asks_nobody_and_takes_no_wish_back() -> None:
    """After a start, or with a venue gone, a loss is an interval for some seconds: others keep their headroom."""
    site, _, b = two()
    assert asked(step(b, lost(-2_000, 2_000))[0]) is None
    b = site.tell(site.tell(b, lost(300)), Ask(Decimal(200)))
    assert asked(step(b, lost(-2_000, 2_000))[0]) is None
    assert asked(step(b, lost(0))[0]) == Ask(Decimal(0))


def test_who_has_enough_again_takes_its_wish_back() -> None:
    site, _, b = two()
    b = site.tell(site.tell(b, lost(300)), Ask(Decimal(200)))
    assert asked(b) is None
    assert asked(step(b, lost(302))[0]) is None, "a little more is no news"
    assert asked(step(b, lost(310))[0]) == Ask(Decimal(210))
    assert asked(step(b, lost(100))[0]) == Ask(Decimal(0))


def test_a_newcomer_asks_for_all_that_it_wants() -> None:
    site, _, _ = two()
    c = site.run(*join(row("c", wants=Decimal(200)), site.read, **TERMS))
    assert asked(c) == Ask(Decimal(200))


def test_who_can_spare_it_gives_and_keeps_three_quarters() -> None:
    site, a, b = two()
    b = site.tell(site.tell(b, lost(300)), Ask(Decimal(200)))
    a = site.hear(a)
    assert offered(a) == Give(to="b", amount=Decimal(200))
    assert offered(step(a, lost(250))[0]) == Give(to="b", amount=Decimal(50))
    assert offered(step(a, lost(300))[0]) is None
    assert offered(step(a, LossUnknown())[0]) is None


def test_nothing_is_given_again_before_it_was_taken() -> None:
    site, a, b = two()
    b = site.tell(site.tell(b, lost(300)), Ask(Decimal(200)))
    a = site.hear(a)
    a = site.tell(a, Give(to="b", amount=Decimal(10)))
    assert offered(a) is None
    b = site.hear(b)
    assert offered(site.hear(a)) == Give(to="b", amount=Decimal(190))


def test_the_neediest_is_served_first() -> None:
    site, a, b = two()
    c = site.run(*join(row("c", wants=Decimal(200)), site.read, **TERMS))
    b = site.hear(b)
    b = site.tell(site.tell(b, lost(300)), Ask(Decimal(200)))
    c = site.tell(site.hear(c), Ask(Decimal(200)))
    assert offered(site.hear(a)) == Give(to="c", amount=Decimal(200))


def test_nobody_lends_after_a_trip() -> None:
    site, a, b = two()
    b = site.tell(site.tell(b, lost(300)), Ask(Decimal(200)))
    b = site.tell(b, lost(400))
    assert offered(site.hear(a)) is None


def fund_of(losses: list[Decimal]) -> tuple[Site, list[Escrow]]:
    """Members who want equal parts of four fifths of the limit, with what each has lost."""
    site, wants = Site(), Decimal(800 // len(losses))
    members = [site.run(*found(CHARTER, row("a", wants=wants), NOWHERE))]
    for name in "bcdef"[: len(losses) - 1]:
        members.append(site.run(*join(row(name, wants=wants), site.read, **TERMS)))
    return site, [site.tell(site.hear(one), lost(str(loss))) for one, loss in zip(members, losses, strict=True)]


@pytest.mark.parametrize("seed", range(40))
def test_with_losses_that_stand_still_it_ends_and_nobody_is_worse_off_than_it_lets_itself_be(seed: int) -> None:
    rng = random.Random(seed)
    losses = [Decimal(rng.randint(-300, 90)) for _ in range(rng.randint(2, 5))]
    site, members = fund_of(losses)
    gifts: list[tuple[str, str]] = []
    for turn in range(100):
        before = site.writes
        for at, member in enumerate(members):
            state = site.hear(member)
            ask = asked(state)
            state = state if ask is None else site.tell(state, ask)
            give = offered(state)
            if give is not None:
                gifts.append((state.name, give.to))
                state = site.tell(state, give)
            members[at] = state
        if site.writes == before and turn > 1:
            break
    else:
        pytest.fail("they give for ever")
    assert sum(member.budget for member in members) == LIMIT
    assert not site.trips
    assert len(gifts) <= 4 * len(members)
    assert not {(giver, receiver) for giver, receiver in gifts} & {(receiver, giver) for giver, receiver in gifts}
    for member in members:
        assert member.headroom is not None
        assert member.headroom >= member.wanted.wants / 2
