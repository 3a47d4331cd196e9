"""A guard as a member of a fund: what it heeds and tells, when it may trade, and what no failure makes it forget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.engine.decision import Decision
from risk_daemon.engine.states import CircuitBreakerState
from risk_daemon.errors import RecordError
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.ledger import Books, JsonObject, LedgerRead
from risk_daemon.fund.membership import FUND, restore
from risk_daemon.fund.messages import Give
from risk_daemon.gate.restraints import GateState
from risk_daemon.model.events import (
    EventName,
    FundBegan,
    FundTold,
    Input,
    LeaseSeen,
    Noted,
    ReadingsWanted,
    Tick,
    TrippedElsewhere,
)
from risk_daemon.portfolio.manager import Equity
from risk_daemon.runtime.member import Member, MemberPorts, MemberSettings
from tests.unit.fund.fund import LIMIT, Site, lost, two
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import FakeStore
from tests.unit.runtime.test_fund_sum import Ear, SharedPlace
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

START = Decimal(10_000)
SETTINGS = MemberSettings(fund="alpha", member="b", limit="1000 USDT", currency="USDT", confirm=False)
CONFIRMING = replace(SETTINGS, confirm=True, confirm_within_s=2.0)


class SharedLedger:
    """What both members read. error: every call fails with it; None in `answers`: no call ends."""

    def __init__(self, read: LedgerRead) -> None:
        self.now = read
        self.error: Exception | None = None
        self.hangs = False
        self.loses_race = False
        self.writes = 0

    async def read(self) -> LedgerRead:
        await self._answer()
        return self.now

    async def compare_and_set(self, revision: str | None, document: JsonObject) -> bool:
        await self._answer()
        if revision != self.now.revision or self.loses_race:
            return False
        self.writes += 1
        self.put(json.loads(json.dumps(document)))
        return True

    def put(self, document: object) -> None:
        self.now = LedgerRead(revision=f"w{self.writes}-{id(document)}", document=document)

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    @property
    def books(self) -> Books:
        return Books.of(self.now.document)


class Guard:
    """Member b of a fund of two, as it is started with its document: a budget of 400, and nothing lost."""

    def __init__(self, settings: MemberSettings = SETTINGS, *, joined: bool = True, kept: bool = True) -> None:
        site, self.a, b = two()
        self.site: Site = site
        self.b: Escrow = b
        self.ledger = SharedLedger(site.read)
        self.place = SharedPlace()
        self.store = FakeStore()
        self.told: list[Input] = []
        self.start: Decimal | None = START
        self.keeps = True
        self.kept = 0
        self.read_mono = float("-inf")
        self.equity: Equity | None = worth(10_000)
        self.clock = LoopClock()
        document = json.loads(json.dumps(b.document(b.kept)))
        self.member = Member(
            self.ledger,
            settings,
            self.clock,
            MemberPorts(
                save=self.store.save,
                keep=self._keep,
                emit=self.told.append,
                start=lambda founding, seat: self.start if (founding, seat) == ("f00d", "b.00000001") else None,
                is_read_since=lambda mono: self.read_mono >= mono,
                gross=lambda: Decimal(20_000),
            ),
            begun=restore(document, "place b") if joined else None,
            keeps_start=kept,
            readings=Ear(self.place),
        )

    async def _keep(self) -> bool:
        self.kept += 1
        return self.keeps

    async def runs(self, seconds: float) -> None:
        """The engine looks five times a second."""
        for _ in range(round(seconds / 0.2)):
            self.sees(self.equity)
            await pass_time(0.2)

    def sees(self, equity: Equity | None, *, persist: bool = False) -> None:
        self.equity = equity
        active, gate = CircuitBreakerState.ACTIVE, GateState(locked=False)
        turn = Decision(1, self.clock.now(), Tick(), (), active, active, gate, (), (), equity, None, persist)
        self.member.heard(turn)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    def notes(self, name: EventName) -> list[Mapping[str, Any]]:
        return [note.event.fields for note in self.of(Noted) if note.event.name is name]

    @property
    def may_open(self) -> bool:
        lease = self.of(LeaseSeen)[-1]
        return lease.until_mono is not None and lease.until_mono > self.clock.now().mono

    @property
    def why(self) -> str:
        return str(self.of(LeaseSeen)[-1].reason)

    @property
    def on_disk(self) -> Mapping[str, Any]:
        row: Mapping[str, Any] = self.store.documents[FUND]["row"]
        return row

    def hear_from_a(self, amount: int = 0) -> None:
        """Member a, elsewhere, does its part with what the ledger has."""
        self.site.read = self.ledger.now
        self.a = self.site.hear(self.site.tell(self.a, lost(0)))
        if amount:
            self.a = self.site.hear(self.site.tell(self.a, Give(to="b", amount=Decimal(amount))))
        self.ledger.now = self.site.read


def worth(value: object, doubt: int = 0) -> Equity:
    amount = Decimal(str(value))
    return Equity(amount, amount - doubt, amount + doubt)


async def started(*args: Any, **options: Any) -> Guard:
    guard = Guard(*args, **options)
    guard.member.start()
    await guard.runs(1.0)
    return guard


# --- the gate ----------------------------------------------------------------------------------------


async def test_a_member_with_a_budget_that_is_surely_not_lost_may_trade_and_says_what_it_began() -> None:
    guard = await started()
    assert guard.may_open
    assert guard.of(FundBegan) == [FundBegan("f00d", "b.00000001")]
    await guard.runs(2.0)
    assert guard.may_open
    assert len(guard.of(FundBegan)) == 1
    await guard.member.aclose()


async def test_the_leave_runs_out_where_the_engine_says_nothing_any_more() -> None:
    guard = await started()
    await pass_time(SETTINGS.lease_s * 2 + 1)
    assert not guard.may_open
    await guard.runs(1.2)
    assert guard.may_open
    await guard.member.aclose()


async def test_who_has_not_joined_may_not_trade_and_is_told_how() -> None:
    guard = await started(joined=False)
    assert not guard.may_open
    assert "risk-daemon fund join" in guard.why
    assert guard.member.view().is_joined is False
    assert await guard.member.give("a", Decimal(1)) == guard.why
    await guard.member.aclose()


async def test_a_loss_that_is_not_known_shuts_the_gate_and_is_no_loss_of_nothing() -> None:
    guard = await started()
    guard.sees(None)
    assert not guard.may_open
    assert "not known" in guard.why
    assert guard.member.view().most is None
    guard.sees(worth(10_000))
    assert guard.may_open
    guard.start = None
    guard.sees(worth(10_000), persist=True)
    assert not guard.may_open
    await guard.member.aclose()


async def test_a_loss_that_may_be_the_budget_shuts_the_gate_and_trips_nothing() -> None:
    guard = await started()
    guard.sees(worth(9_700, doubt=100))
    assert not guard.may_open
    assert "up to 400 of a budget of 400 may be lost" in guard.why
    assert guard.of(TrippedElsewhere) == []
    guard.sees(worth(9_701, doubt=100))
    assert guard.may_open
    await guard.member.aclose()


async def test_a_start_that_a_crash_would_forget_counts_only_once_it_is_saved() -> None:
    guard = Guard(kept=False)
    guard.keeps = False
    guard.member.start()
    await guard.runs(3.0)
    assert guard.kept >= 2
    assert not guard.may_open
    guard.keeps = True
    await guard.runs(1.4)
    assert guard.may_open
    kept = guard.kept
    await guard.runs(2.0)
    assert guard.kept == kept
    await guard.member.aclose()


# --- trips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["none", "ledger", "disk", "both"])
async def test_at_its_budget_it_trips_at_once_whatever_fails(trouble: str) -> None:
    guard = await started()
    guard.ledger.hangs = trouble in ("ledger", "both")
    guard.store.hangs = trouble in ("disk", "both")
    guard.sees(worth(9_600))
    (trip,) = guard.of(TrippedElsewhere)
    assert (trip.by, trip.cause) == ("fund alpha", "fund")
    assert "b has lost 400 of a budget of 400" in trip.reason
    assert not guard.may_open
    await guard.runs(3.0)
    is_told = trouble in ("none", "disk")
    assert [told.trip_id for told in guard.of(FundTold)] == ([trip.trip_id] if is_told else [])
    assert guard.member.view().told is is_told
    guard.ledger.hangs = guard.store.hangs = False
    await guard.runs(3.0)
    assert guard.ledger.books.trip == trip.trip_id
    assert [told.trip_id for told in guard.of(FundTold)] == [trip.trip_id]
    await guard.member.aclose()


async def test_a_trip_of_another_member_is_joined_under_its_id() -> None:
    guard = await started()
    guard.site.read = guard.ledger.now
    guard.a = guard.site.tell(guard.a, lost(5_000))
    guard.ledger.now = guard.site.read
    await guard.runs(1.2)
    (trip,) = guard.of(TrippedElsewhere)
    assert trip.trip_id == guard.a.wanted.trip
    assert guard.of(FundTold) == [FundTold(trip.trip_id)]
    assert not guard.may_open
    await guard.member.aclose()


async def test_one_bad_price_trips_nothing_and_one_that_stays_does() -> None:
    guard = await started(CONFIRMING)
    guard.sees(worth(9_000))
    assert not guard.may_open
    assert guard.of(ReadingsWanted)
    assert guard.of(TrippedElsewhere) == []
    guard.sees(worth(10_000))
    assert guard.may_open
    assert guard.notes(EventName.PHANTOM_BREACH)
    guard.sees(worth(9_000))
    guard.read_mono = guard.clock.now().mono
    guard.sees(worth(9_000))
    assert len(guard.of(TrippedElsewhere)) == 1
    await guard.member.aclose()


async def test_readings_that_never_come_confirm_it_by_the_deadline() -> None:
    guard = await started(CONFIRMING)
    guard.equity = worth(9_000)
    await guard.runs(1.6)
    assert guard.of(TrippedElsewhere) == []
    await guard.runs(1.0)
    assert len(guard.of(TrippedElsewhere)) == 1
    await guard.member.aclose()


# --- headroom ----------------------------------------------------------------------------------------


async def test_a_gift_is_durable_and_published_when_it_is_said_to_be() -> None:
    guard = await started()
    assert await guard.member.give("a", Decimal(100)) is None
    assert guard.on_disk["given"] == {"a.00000001": "100"}
    assert guard.ledger.books.rows["b.00000001"].given == {"a.00000001": Decimal(100)}
    assert guard.member.view().budget == "300"
    assert guard.notes(EventName.FUND_BUDGET_CHANGED)[-1]["budget"] == "300"
    await guard.member.aclose()


async def test_what_is_refused_changes_nothing_and_says_why() -> None:
    guard = await started()
    assert "can spare less than 400" in str(await guard.member.give("a", Decimal(400)))
    assert "no other member 'c'" in str(await guard.member.give("c", Decimal(1)))
    guard.ledger.error = RecordError("the server is gone")
    await guard.runs(1.2)
    assert "the server is gone" in str(await guard.member.give("a", Decimal(1)))
    assert guard.member.view().budget == "400"
    await guard.member.aclose()


async def test_a_gift_that_the_ledger_does_not_take_is_lower_here_all_the_same_and_is_said_to_wait() -> None:
    guard = await started()
    guard.ledger.loses_race = True
    said = await guard.member.give("a", Decimal(100))
    assert "taken from b's budget" in str(said)
    assert guard.member.view().budget == "300"
    guard.ledger.loses_race = False
    await guard.runs(2.0)
    assert guard.ledger.books.rows["b.00000001"].given == {"a.00000001": Decimal(100)}
    await guard.member.aclose()


async def test_what_is_given_is_taken_once_it_is_on_disk() -> None:
    guard = await started()
    guard.store.hangs = True
    guard.hear_from_a(amount=100)
    await guard.runs(2.0)
    assert guard.member.view().budget == "400"
    assert "does not answer" in guard.notes(EventName.FUND_NOTICE)[-1]["message"]
    assert guard.may_open, "the lower budget holds"
    await guard.member.aclose()

    guard = await started()
    guard.store.breaks()
    guard.hear_from_a(amount=100)
    await guard.runs(2.0)
    assert guard.member.view().budget == "400"
    guard.store.error = None
    await guard.runs(2.5)
    assert guard.member.view().budget == "500"
    assert guard.on_disk["taken"] == {"a.00000001": "500"}
    await guard.member.aclose()


async def test_a_member_that_has_lost_more_than_half_asks_and_is_lent_to() -> None:
    guard = await started()
    guard.equity = worth(9_700)
    await guard.runs(2.5)
    assert guard.ledger.books.rows["b.00000001"].asks == 200
    assert guard.member.view().asks == "200"
    await guard.member.aclose()


# --- the ledger --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [RecordError("gone"), RecursionError(), AttributeError("get"), OSError(), "hangs", "garbage", "empty"]
)
async def test_a_ledger_that_answers_nothing_or_nonsense_shuts_nothing_and_raises_nothing(trouble: object) -> None:
    guard = await started()
    match trouble:
        case Exception():
            guard.ledger.error = trouble
        case "hangs":
            guard.ledger.hangs = True
        case "garbage":
            guard.ledger.put({"format": 1, "rows": "all"})
        case _:
            guard.ledger.now = LedgerRead(revision=None, document=None)
    await guard.runs(5.0)
    assert guard.may_open
    assert guard.member.view().budget == "400"
    lost_ones = guard.notes(EventName.FUND_LEDGER_LOST)
    assert len(lost_ones) == (0 if trouble == "empty" else 1)
    if trouble == "empty":
        assert guard.ledger.books.rows["b.00000001"].budget == 400, "it is written again"
    guard.sees(worth(9_600))
    assert len(guard.of(TrippedElsewhere)) == 1
    await guard.member.aclose()


async def test_a_ledger_that_is_back_is_told_and_read_again() -> None:
    guard = await started()
    guard.ledger.error = RecordError("gone")
    await guard.runs(2.0)
    assert guard.member.view().ledger_error == "gone"
    guard.ledger.error = None
    await guard.runs(2.0)
    assert guard.member.view().ledger_error is None
    assert len(guard.notes(EventName.FUND_LEDGER_FOUND)) == 1
    await guard.member.aclose()


async def test_how_it_stands_is_told_whole() -> None:
    guard = await started()
    view = guard.member.view()
    assert (view.name, view.member, view.limit, view.budget) == ("alpha", "b", "1000 USDT", "400")
    assert (view.least, view.most, view.headroom, view.may_trade, view.why_not) == ("0", "0", "400", True, None)
    assert [(one.name, one.budget) for one in view.members] == [("a", "600"), ("b", "400")]
    assert sum(Decimal(str(one.budget)) for one in view.members) == LIMIT
    await guard.member.aclose()


# --- what the others are told ------------------------------------------------------------------------


async def test_the_others_are_told_what_it_began_with_and_what_it_is_worth() -> None:
    guard = await started()
    await guard.runs(2.0)
    said = guard.place.of("b.00000001")[-1]
    assert (said.capital, said.low, said.high, said.gross) == (START, 10_000, 10_000, 20_000)
    assert len(guard.place.of("b.00000001")) >= 3
    await guard.member.aclose()


async def test_what_may_be_anything_is_not_told_and_what_is_nearly_known_is() -> None:
    """An interval of +-20 % in the sum would shut the gates of all, for the seconds that a start takes."""
    guard = await started()
    guard.sees(worth(10_000, doubt=2_000))
    await pass_time(0.5)
    said = len(guard.place.of("b.00000001"))
    for _ in range(20):
        guard.sees(worth(10_000, doubt=2_000))
        await pass_time(0.2)
    assert len(guard.place.of("b.00000001")) == said
    assert not guard.may_open
    guard.sees(worth(9_601, doubt=2))
    await guard.runs(2.0)
    assert guard.place.of("b.00000001")[-1].low == 9_599, "its budget of 400 may be lost, by what is nearly known"
    assert not guard.may_open
    await guard.member.aclose()


async def test_nothing_is_told_before_what_it_is_measured_from_would_survive_a_crash() -> None:
    guard = Guard(kept=False)
    guard.keeps = False
    guard.member.start()
    await guard.runs(3.0)
    assert guard.place.words == []
    guard.keeps = True
    await guard.runs(3.0)
    assert guard.place.of("b.00000001")
    await guard.member.aclose()
