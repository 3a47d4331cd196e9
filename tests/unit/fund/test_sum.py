"""What all have lost together: an interval, judged as losses are everywhere, and widened by silence."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.fund.membership import join
from risk_daemon.fund.messages import Give, Leave
from risk_daemon.fund.sum import Question, Reading, Terms, Verdict, confirmed, heard, judge, judge_fund
from tests.unit.fund.fund import TERMS as FUND
from tests.unit.fund.fund import row, two

TERMS = Terms(limit=Decimal(1_000), fresh_s=10.0, band=Decimal("0.2"))
HOUR_S = 3_600.0


def reading(member: str, low: int, high: int | None = None, **changes: Any) -> Reading:
    """Of a capital of 10,000."""
    given = {"sequence": 1, "capital": Decimal(10_000), "gross": Decimal(low), "age_s": 0.0, "heard_mono": 100.0}
    return Reading(member=member, low=Decimal(low), high=Decimal(low if high is None else high), **{**given, **changes})


def judged(*readings: Reading, members: str = "ab", spent: int = 0, now_mono: float = 105.0) -> Verdict:
    return judge({one.member: one for one in readings}, members, Decimal(spent), TERMS, now_mono)


def test_a_loss_spread_so_that_nobody_has_lost_much_breaches_at_exactly_the_limit() -> None:
    assert judged(reading("a", 9_500), reading("b", 9_500)).is_breached
    just_not = judged(reading("a", 9_500), reading("b", 9_501))
    assert (just_not.least, just_not.most) == (999, 999)
    assert (just_not.is_breached, just_not.is_undecided) == (False, False)


def test_what_one_wins_another_may_lose() -> None:
    assert judged(reading("a", 12_000), reading("b", 7_500)).least == 500
    assert judged(reading("a", 12_000), reading("b", 7_000)).is_breached


def test_a_limit_within_the_interval_is_undecided() -> None:
    verdict = judged(reading("a", 9_400, 9_600), reading("b", 9_500))
    assert (verdict.least, verdict.most) == (900, 1_100)
    assert (verdict.is_breached, verdict.is_undecided) == (False, True)
    assert judged(reading("a", 9_300, 9_400), reading("b", 9_500)).is_breached, "even at its best"


def test_silence_widens_and_is_named() -> None:
    readings = reading("a", 10_000), reading("b", 10_000)
    assert judged(*readings, now_mono=110.0).silent == ()
    late = judged(*readings, now_mono=110.1)
    assert late.silent == ("a", "b")
    assert (late.least, late.most, late.is_undecided) == (-4_000, 4_000, True)


def test_leverage_widens_by_what_prices_could_move() -> None:
    late = judged(reading("a", 10_000, gross=Decimal(50_000)), members="a", now_mono=200.0)
    assert late.most == 10_000


def test_a_crash_elsewhere_is_seen_through_one_silent_member() -> None:
    assert judged(reading("a", 10_000, age_s=60.0), reading("b", 6_000)).is_breached


def test_who_was_never_heard_is_not_nothing() -> None:
    verdict = judged(reading("a", 10_000))
    assert verdict == Verdict(least=None, most=None, is_breached=False, is_undecided=True, silent=("b",))


def test_a_stranger_does_not_count_and_what_left_does() -> None:
    assert judged(reading("a", 10_000), reading("z", 1), members="a").least == 0
    assert judged(reading("a", 9_600), members="a", spent=600).is_breached
    assert judged(reading("a", 9_600), members="a", spent=-600).least == -200


@pytest.mark.parametrize("age_s", [-HOUR_S, HOUR_S])
def test_a_clock_an_hour_off_makes_nobody_fresh_who_is_not(age_s: float) -> None:
    """What is told of an age can be wrong by an hour; then it is refused, or old."""
    assert heard({}, reading("a", 10_000, age_s=-HOUR_S)) == {}
    assert judged(reading("a", 10_000, age_s=age_s), members="a").silent == ("a",)
    assert judged(reading("a", 10_000), members="a", now_mono=100.0 + age_s).silent == ("a",)


def test_what_comes_late_twice_or_in_another_order_is_heard_once() -> None:
    first, second = reading("a", 1), reading("a", 2, sequence=2)
    assert heard(heard({}, second), first) == {"a": second}
    assert heard(heard(heard({}, first), second), second) == {"a": second}
    known = {"a": first}
    assert heard(known, replace(first, low=Decimal(0))) is known


@pytest.mark.parametrize(
    "odd",
    [
        reading("a", 5, 4),
        reading("a", 5, capital=Decimal("NaN")),
        reading("a", 5, gross=Decimal("Infinity")),
        reading("a", 5, age_s=float("nan")),
        reading("a", 5, age_s=float("inf")),
        replace(reading("a", 5), high=Decimal("Infinity")),
        replace(reading("a", 5), low=Decimal("sNaN")),
    ],
)
def test_what_makes_no_sense_is_not_heard(odd: Reading) -> None:
    known = {"a": reading("a", 7)}
    assert heard(known, odd) is known


# --- a breach in question ----------------------------------------------------------------------------


def seen(now_mono: float, question: Question | None, *readings: Reading) -> tuple[Verdict, Question | None]:
    known = {one.member: replace(one, heard_mono=now_mono) for one in readings}
    return confirmed(judge(known, known, Decimal(0), TERMS, now_mono), question, known, TERMS, now_mono)


def test_one_bad_tick_trips_nobody_and_shuts_meanwhile() -> None:
    verdict, question = seen(100.0, None, reading("a", 10_000), reading("b", 1))
    assert (verdict.is_breached, verdict.is_undecided) == (False, True)
    verdict, question = seen(101.0, question, reading("a", 10_000, sequence=2), reading("b", 9_999, sequence=2))
    assert (verdict.is_breached, verdict.is_undecided, question) == (False, False, None)


def test_a_breach_that_holds_counts_once_all_have_spoken_again() -> None:
    _, question = seen(100.0, None, reading("a", 10_000), reading("b", 1))
    later = reading("a", 10_000, sequence=2), reading("b", 1, sequence=2)
    assert not seen(101.9, question, *later)[0].is_breached, "not for long enough"
    assert not seen(109.0, question, later[0], reading("b", 1))[0].is_breached, "it is the same word of b still"
    verdict, question = seen(102.0, question, *later)
    assert verdict.is_breached
    assert seen(103.0, question, *later)[0].is_breached


def test_who_is_silent_holds_up_no_breach() -> None:
    """b's word is old, counts as wide as it may, and the limit is lost all the same."""
    readings = {"a": reading("a", 1_000, sequence=2, heard_mono=120.0), "b": reading("b", 10_000)}
    verdict = judge(readings, "ab", Decimal(0), TERMS, 120.0)
    assert (verdict.is_breached, verdict.silent) == (True, ("b",))
    question = Question(since_mono=110.0, sequences={"a": 1, "b": 1})
    assert confirmed(verdict, question, readings, TERMS, 120.0)[0].is_breached


def test_of_a_ledger_those_count_who_have_a_budget_and_those_who_left_with_what_they_lost() -> None:
    site, a, b = two()
    c = site.run(*join(row("c", wants=Decimal(100)), site.read, **FUND))
    a = site.hear(a)
    assert a.books is not None
    readings = {one.member: one for one in (reading(a.seat, 9_900), reading(b.seat, 9_950), reading(c.seat, 1))}
    assert judge_fund(a.books, readings, TERMS, 100.0).least == 150, "c has no budget yet"
    b = site.tell(b, Leave(to="a", loss=Decimal(70), is_proven=True))
    a = site.hear(a)
    assert judge_fund(a.books, readings, TERMS, 100.0).least == 170, "what b left with, whatever its last reading was"
    a = site.tell(a, Give(to="c", amount=Decimal(10)))
    c = site.hear(c)
    a = site.hear(a)
    del readings[c.seat]
    assert judge_fund(a.books, readings, TERMS, 100.0).silent == (c.seat,)


MONEY = st.integers(-20_000, 20_000)


@given(st.lists(st.tuples(MONEY, st.integers(0, 500), st.integers(0, 500), st.booleans()), min_size=1, max_size=6))
def test_the_truth_is_between_least_and_most(members: list[tuple[int, int, int, bool]]) -> None:
    """Whatever each equity is within its interval: surely breached means breached, and neither means not breached."""
    names = "abcdef"[: len(members)]
    readings = {
        name: reading(name, equity - below, equity + above, age_s=60.0 if is_old else 0.0)
        for name, (equity, below, above, is_old) in zip(names, members, strict=True)
    }
    lost = sum(10_000 - equity for equity, *_ in members)
    verdict = judge(readings, names, Decimal(0), TERMS, 100.0)
    assert verdict.least is not None
    assert verdict.most is not None
    assert verdict.least <= lost <= verdict.most
    if verdict.is_breached:
        assert lost >= TERMS.limit
    elif not verdict.is_undecided:
        assert lost < TERMS.limit
