"""What a member says of itself and hears of the others: what trips by the sum, what shuts, and what is only told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.fund import escrow
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.messages import Actions, SumRead, TripFund
from risk_daemon.fund.sum import Reading
from risk_daemon.model.events import EventName, Input, Noted, ReadingsWanted
from risk_daemon.runtime.fund_status import MemberSettings
from risk_daemon.runtime.fund_sum import FUND_RUNS, FundSum, SumPorts, Worth, runs_of
from risk_daemon.state.fund.readings import Heard
from tests.unit.fund.fund import Site, two
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import FakeStore
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

A, B = "a.00000001", "b.00000001"
CAPITAL = Decimal(10_000)
SETTINGS = MemberSettings(fund="alpha", member="a", limit="1000 USDT", currency="USDT")
UNCONFIRMED = replace(SETTINGS, confirm=False)


class SharedPlace:
    """What was said, in order, by a clock that is the loop's."""

    def __init__(self) -> None:
        self.words: list[tuple[float, Reading]] = []

    def of(self, seat: str) -> list[Reading]:
        return [reading for _, reading in self.words if reading.member == seat]


class Ear:
    """A member's way to it. error: every call fails with it; hangs: none ends."""

    def __init__(self, place: SharedPlace) -> None:
        self.place = place
        self.error: Exception | None = None
        self.hangs = False
        self.refused: tuple[str, ...] = ()
        self._read = 0

    async def say(self, reading: Reading, _now_mono: float) -> None:
        await self._answer()
        self.place.words.append((asyncio.get_running_loop().time(), reading))

    async def hear(self, now_mono: float) -> Heard:
        await self._answer()
        words, self._read = self.place.words[self._read :], len(self.place.words)
        now = asyncio.get_running_loop().time()
        heard = tuple(replace(one, age_s=one.age_s + now - at, heard_mono=now_mono) for at, one in words)
        return Heard(readings=heard, refused=self.refused)

    async def aclose(self) -> None: ...

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


class Member:
    """Its part in the sum, as it runs."""

    def __init__(self, state: Escrow, place: SharedPlace, settings: MemberSettings, runs: int = 0) -> None:
        self.state, self.ear, self.clock = state, Ear(place), LoopClock()
        self.store = FakeStore()
        self.low: Decimal | None = CAPITAL
        self.high = CAPITAL
        self.told: list[Input] = []
        self.said: dict[str, str | None] = {}
        self.actions: Actions = ()
        self.sum = FundSum(
            self.ear,
            settings,
            self.clock,
            SumPorts(
                state=lambda: self.state,
                worth=self.worth,
                take=self.take,
                emit=self.told.append,
                save=self.store.save,
                tell=self.said.__setitem__,
            ),
            runs=runs,
        )
        self.task = asyncio.get_running_loop().create_task(self.sum.run())

    def worth(self) -> Worth | None:
        if self.low is None:
            return None
        return Worth(capital=CAPITAL, low=self.low, high=self.high, gross=CAPITAL, mono=self.clock.now().mono)

    def loses(self, amount: int) -> None:
        self.low = self.high = CAPITAL - amount
        self.sum.saw(self.low)

    def take(self, event: SumRead) -> None:
        self.state, actions = escrow.step(self.state, event)
        self.actions += actions

    @property
    def trips(self) -> list[TripFund]:
        return [action for action in self.actions if isinstance(action, TripFund)]

    def notes(self, name: EventName) -> list[Mapping[str, Any]]:
        return [note.event.fields for note in self.told if isinstance(note, Noted) and note.event.name is name]

    async def ends(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


class Pair:
    """Members a and b of a fund with a limit of 1,000: budgets of 600 and 400."""

    def __init__(self, settings: MemberSettings = SETTINGS) -> None:
        self.place = SharedPlace()
        site: Site
        site, a, b = two()
        self.settings = settings
        self.site = site
        self.a, self.b = Member(a, self.place, settings), Member(site.hear(b), self.place, settings)

    async def end(self) -> None:
        for member in (self.a, self.b):
            await member.ends()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    await made.end()


async def test_each_hears_all_and_knows_the_sum(pair: Pair) -> None:
    pair.a.loses(100)
    pair.b.low = CAPITAL - 250
    await pass_time(2.5)
    for member in (pair.a, pair.b):
        verdict = member.state.sum
        assert verdict is not None
        assert (verdict.least, verdict.most, verdict.silent) == (100, 350, ())
        assert not member.state.is_sum_undecided
        assert member.said == dict.fromkeys(("readings told", "readings heard", "garbage", "sum"))


async def test_a_sum_at_the_limit_trips_all_who_see_it_under_one_id(pair: Pair) -> None:
    await pass_time(2.0)
    pair.a.loses(650)
    pair.b.loses(350)
    await pass_time(1.3)
    assert pair.a.trips == []
    assert not pair.a.state.may_trade
    assert ReadingsWanted() in pair.a.told
    assert pair.a.notes(EventName.BREACH_CONFIRMING) == [
        {"breaker": "fund alpha", "by_holdings": False, "lost_by_all": "1000", "limit": "1000"}
    ]
    await pass_time(4.0)
    assert (
        pair.a.trips
        == pair.b.trips
        == [TripFund("alpha-f00d", "all members have lost 1000 together, of a limit of 1000")]
    )


async def test_one_bad_tick_of_one_member_trips_nobody(pair: Pair) -> None:
    await pass_time(2.0)
    pair.b.loses(5_000)
    await pass_time(1.5)
    assert pair.a.state.is_sum_undecided
    pair.b.loses(0)
    await pass_time(4.0)
    assert pair.a.trips == pair.b.trips == []
    assert not pair.a.state.is_sum_undecided


async def test_without_confirmation_it_trips_as_soon_as_it_is_seen() -> None:
    pair = Pair(UNCONFIRMED)
    await pass_time(2.0)
    pair.b.loses(1_000)
    await pass_time(1.2)
    assert len(pair.a.trips) == len(pair.b.trips) == 1
    await pair.end()


async def test_what_moves_by_a_tenth_of_the_headroom_is_said_at_once(pair: Pair) -> None:
    await pass_time(2.05)
    said = len(pair.place.of(B))
    pair.b.loses(39)
    await pass_time(0.15)
    assert len(pair.place.of(B)) == said
    pair.b.loses(41)
    await pass_time(0.15)
    assert len(pair.place.of(B)) == said + 1
    assert pair.place.of(B)[-1].low == CAPITAL - 41


async def test_a_fall_is_not_told_at_every_price(pair: Pair) -> None:
    await pass_time(2.0)
    said = len(pair.place.of(B))
    for lost in range(1, 101):
        pair.b.loses(lost * 3)
        await pass_time(0.01)
    assert 2 < len(pair.place.of(B)) - said <= 11


# --- silence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (RecordError("the disk is full"), "the disk is full"),
        (ValueError("?"), "the server gave an odd answer: ValueError: ?"),
        (None, "the server does not answer"),
    ],
    ids=["error", "odd", "hangs"],
)
async def test_a_place_that_fails_is_told_and_shuts_nothing(pair: Pair, fault: Exception | None, said: str) -> None:
    await pass_time(2.0)
    pair.a.ear.error, pair.a.ear.hangs = fault, fault is None
    await pass_time(30.0)
    verdict = pair.a.state.sum
    assert verdict is not None
    assert verdict.silent == (B,), "it knows of itself"
    assert verdict.is_undecided
    assert not pair.a.state.is_sum_undecided
    assert pair.a.said["readings heard"] == f"the other members of the fund can't be heard: {said}"
    assert pair.a.notes(EventName.FUND_MEMBER_SILENT) == [], "it hears nobody, which says nothing of them"
    pair.a.ear.error, pair.a.ear.hangs = None, False
    await pass_time(4.0)
    assert pair.a.state.sum is not None
    assert pair.a.state.sum.silent == ()
    assert pair.a.said["readings heard"] is None


async def test_a_member_that_is_silent_for_long_is_told_once_and_when_it_is_back(pair: Pair) -> None:
    await pass_time(2.0)
    await pair.b.ends()
    await pass_time(15.0)
    assert pair.a.notes(EventName.FUND_MEMBER_SILENT) == []
    await pass_time(15.0)
    assert pair.a.notes(EventName.FUND_MEMBER_SILENT) == [{"fund": "alpha", "member": "b"}]
    pair.b = Member(pair.b.state, pair.place, SETTINGS, runs=1)
    await pass_time(3.0)
    assert pair.a.notes(EventName.FUND_MEMBER_HEARD) == [{"fund": "alpha", "member": "b"}]
    assert len(pair.a.notes(EventName.FUND_MEMBER_SILENT)) == 1


async def test_after_the_fund_tripped_silence_is_no_news(pair: Pair) -> None:
    await pass_time(2.0)
    pair.a.state = pair.site.hear(pair.site.tell(pair.a.state, escrow.LossRead(least=CAPITAL, most=CAPITAL)))
    await pair.b.ends()
    await pass_time(60.0)
    assert pair.a.notes(EventName.FUND_MEMBER_SILENT) == []


async def test_who_does_not_know_its_worth_says_nothing_and_counts_as_silent(pair: Pair) -> None:
    await pass_time(2.0)
    said = len(pair.place.of(A))
    pair.a.low = None
    await pass_time(8.0)
    assert len(pair.place.of(A)) == said
    for member in (pair.a, pair.b):
        assert member.state.sum is not None
        assert member.state.sum.silent == (A,)


async def test_garbage_is_told_in_a_sentence(pair: Pair) -> None:
    pair.a.ear.refused = ("what was said is no reading of a member: x", "another one")
    await pass_time(1.5)
    assert pair.a.said["garbage"] == "what was said is no reading of a member: x: it was not heard"
    pair.a.ear.refused = ()
    await pass_time(1.5)
    assert pair.a.said["garbage"] is None


async def test_what_can_not_be_reckoned_shuts_the_gate_and_is_told(pair: Pair) -> None:
    await pass_time(2.0)
    pair.a.high = Decimal("sNaN")
    await pass_time(1.5)
    assert pair.a.state.is_sum_undecided
    assert "can't be reckoned" in str(pair.a.said["sum"])
    pair.a.high = CAPITAL
    await pass_time(1.5)
    assert not pair.a.state.is_sum_undecided
    assert pair.a.said["sum"] is None


async def test_strangers_are_not_remembered(pair: Pair) -> None:
    """A stream full of seats that nobody has fills no memory."""
    await pass_time(2.0)
    for number in range(500):
        await pair.b.ear.say(replace(pair.place.of(B)[-1], member=f"z.{number:08x}"), 0.0)
    await pass_time(2.0)
    assert set(pair.a.sum._heard) == {A, B}


# --- restarts ----------------------------------------------------------------------------------------


async def test_a_restart_is_heard_because_its_number_is_durable(pair: Pair) -> None:
    await pass_time(20.0)
    last = pair.place.of(B)[-1].sequence
    await pair.b.ends()
    again = Member(pair.b.state, pair.place, SETTINGS, runs=runs_of(pair.b.store.documents))
    await pass_time(1.5)
    assert pair.place.of(B)[-1].sequence > last
    assert again.store.documents == {FUND_RUNS: {"runs": 2}}
    await again.ends()


async def test_another_incarnation_is_later_than_all_runs_of_the_one_before(pair: Pair) -> None:
    await pass_time(1.0)
    wanted = pair.b.state.wanted
    adopted = replace(pair.b.state, wanted=replace(wanted, incarnation=2), kept=replace(wanted, incarnation=2))
    before = Member(pair.b.state, pair.place, SETTINGS, runs=2**31 - 2)
    await pass_time(1.5)
    last = pair.place.of(B)[-1].sequence
    await before.ends()
    await pair.b.ends()
    after = Member(adopted, pair.place, SETTINGS)
    await pass_time(1.5)
    assert pair.place.of(B)[-1].sequence > last
    await after.ends()


@pytest.mark.parametrize("hangs", [False, True])
async def test_nothing_is_said_before_its_number_is_on_disk(pair: Pair, hangs: bool) -> None:
    await pair.b.ends()
    pair.place.words.clear()
    again = Member(pair.b.state, pair.place, SETTINGS, runs=4)
    again.store.hangs, again.store.error = hangs, None if hangs else RecordError("full")
    await pass_time(5.0)
    assert pair.place.of(B) == []
    assert "can't be told" in str(again.said["readings told"])
    assert again.state.sum is not None, "it hears and judges all the same"
    await again.ends()


async def test_a_disk_that_is_well_again_lets_it_speak(pair: Pair) -> None:
    await pair.b.ends()
    again = Member(pair.b.state, pair.place, SETTINGS, runs=4)
    again.store.breaks()
    await pass_time(3.0)
    again.store.error = None
    await pass_time(2.0)
    assert pair.place.of(B)[-1].sequence >> 32 == (1 << 32) + 5
    await again.ends()


@pytest.mark.parametrize("odd", [None, "3", -1, True, 2**31, 1.0])
def test_a_number_of_starts_that_is_none_is_refused(odd: object) -> None:
    assert runs_of({}) == 0
    assert runs_of({FUND_RUNS: {"runs": 7}}) == 7
    with pytest.raises(ValueError, match="no number of starts"):
        runs_of({FUND_RUNS: {"runs": odd}})
