from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import looptime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oms import OrderManager, SweepResult
from oms.calls import Failure, Pace, Signal, ask, failure_of, wait_for_event
from oms.results import VenueVerdict
from oms.telling import AT_ONCE, FIRST_STEADY_S, LONGEST_STEADY_S, RoundTelling, Telling
from risk_daemon.errors import MalformedReply, VenueRejected, VenueUnavailable
from tests.unit.oms.fakes import (
    IGNORES_CANCELLATION_S,
    PERP,
    SPOT,
    TRIGGER,
    FakeVenue,
    LoopClock,
    answering,
    hang,
    hang_and_ignore_cancellation,
    raising,
)
from tests.virtual import pass_time


@pytest.mark.looptime
class TestAsk:
    async def test_gives_the_answer(self) -> None:
        assert await ask(answering(7), 1.0) == 7

    @pytest.mark.parametrize("fault", [hang, hang_and_ignore_cancellation])
    async def test_returns_when_the_time_is_over(self, fault: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        answer = await ask(fault, 3.0)
        assert answer == Failure("no answer within 3 s")
        assert loop.time() == pytest.approx(3.0)
        await asyncio.sleep(IGNORES_CANCELLATION_S)

    async def test_cancels_the_call_that_ran_out_of_time(self) -> None:
        ended = asyncio.Event()

        async def call() -> None:
            try:
                await pass_time(60)
            finally:
                ended.set()

        await ask(call, 1.0)
        await ended.wait()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0)

    async def test_cancels_the_call_when_its_caller_is_cancelled(self) -> None:
        ended = asyncio.Event()

        async def call() -> None:
            try:
                await pass_time(60)
            finally:
                ended.set()

        caller = asyncio.create_task(ask(call, 30.0))
        await pass_time(1.0)
        caller.cancel()
        await ended.wait()
        assert caller.cancelled()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0)

    async def test_an_exception_becomes_a_value(self) -> None:
        assert await ask(raising(KeyError("open")), 1.0) == Failure("KeyError: 'open'")

    async def test_a_call_that_raises_before_it_awaits(self) -> None:
        def call() -> Awaitable[None]:
            raise TypeError("not callable")

        assert await ask(call, 1.0) == Failure("TypeError: not callable")

    async def test_a_call_that_is_cancelled_inside_the_client(self) -> None:
        assert await ask(raising(asyncio.CancelledError()), 1.0) == Failure("the call was cancelled")  # type: ignore[arg-type]


class TestFailureOf:
    def test_takes_the_first_line_and_cuts_it(self) -> None:
        assert failure_of(MalformedReply("HTML\n<html>")).reason == "MalformedReply: HTML"
        assert len(failure_of(MalformedReply("x" * 5000)).reason) == 200
        assert failure_of(TimeoutError()).reason == "TimeoutError"

    @pytest.mark.parametrize(
        ("wish", "heard"), [(3.0, 3.0), (None, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (float("inf"), 0.0)]
    )
    def test_hears_a_sane_retry_after(self, wish: float | None, heard: float) -> None:
        assert failure_of(VenueUnavailable("429", retry_after_s=wish)).retry_after_s == heard

    def test_other_errors_wish_nothing(self) -> None:
        assert failure_of(VenueRejected("no")).retry_after_s == 0.0


class TestPace:
    def test_doubles_up_to_five_seconds_and_forgets_after_a_good_look(self) -> None:
        pace, pauses = Pace(), []
        for _ in range(7):
            pace.struck(100.0)
            pauses.append(pace.resume_mono - 100.0)
        assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
        pace.quiet()
        assert pace.resume_mono < 0
        pace.struck(100.0)
        assert pace.resume_mono == 100.25

    def test_new_orders_are_looked_after_at_once_but_not_in_a_tight_loop(self) -> None:
        pace = Pace()
        pace.found_new(100.0)
        assert pace.resume_mono < 100.0
        pace.found_new(100.0)
        assert pace.resume_mono == 100.25


@pytest.mark.looptime
class TestSignal:
    async def test_wakes_who_took_the_event_before_it_fired(self) -> None:
        signal = Signal()
        taken = signal.next()
        signal.fire()
        await wait_for_event(taken, 60.0)
        assert asyncio.get_running_loop().time() == 0.0

    async def test_the_next_event_waits_for_the_next_firing(self) -> None:
        signal = Signal()
        signal.fire()
        await wait_for_event(signal.next(), 5.0)
        assert asyncio.get_running_loop().time() == pytest.approx(5.0)


class TestTelling:
    def test_the_first_changes_are_told_at_once(self) -> None:
        telling = Telling()
        assert [telling.changed(state, 0.0) for state in ("HTML", "", "HTML")] == [1, 1, 1]
        assert telling.changed("HTML", 1000.0) == 0

    def test_what_flaps_is_told_when_it_has_been_steady_and_with_a_count(self) -> None:
        telling = Telling()
        told = [telling.changed("" if number % 2 else "HTML", number / 4) for number in range(400)]
        assert [count for count in told if count] == [1] * AT_ONCE
        assert telling.changed("", 99.75 + FIRST_STEADY_S - 0.1) == 0
        assert telling.changed("", 99.75 + FIRST_STEADY_S) == 400 - AT_ONCE

    def test_it_is_told_ever_more_seldom(self) -> None:
        telling, now, told_at = Telling(), 0.0, []
        for number in range(2000):
            now += LONGEST_STEADY_S / 64
            if telling.changed(str(number // 64), now):
                told_at.append(now)
        gaps = [later - at for at, later in itertools.pairwise(told_at[AT_ONCE:])]
        assert len(told_at) < AT_ONCE + 8
        assert gaps == sorted(gaps)

    def test_the_rest_is_told_at_the_end(self) -> None:
        telling = Telling()
        for number in range(10):
            telling.changed(str(number), 0.0)
        assert telling.rest() == 10 - AT_ONCE
        assert telling.rest() == 0


class TestRoundTelling:
    def test_a_sweep_that_goes_well_has_none_and_then_never_two_at_once(self) -> None:
        telling = RoundTelling(100.0)
        told = [at for at in range(1000) if telling.is_due(at, 100.0 + at / 10)]
        assert told[0] == FIRST_STEADY_S * 10
        assert {later - at for at, later in itertools.pairwise(told)} == {FIRST_STEADY_S * 10}

    def test_what_stays_as_it_was_is_told_ever_more_seldom_but_for_ever(self) -> None:
        telling = RoundTelling(0.0)
        told = [at for at in range(400) if telling.is_due("hangs", float(at))]
        assert told == [5, 15, 35, 75, 135, 195, 255, 315, 375]
        assert telling.is_due("answers", 400.0)
        assert not telling.is_due("answers", 409.0)
        assert telling.is_due("answers", 410.0)


class TestResult:
    def verdict(self, proven: bool) -> VenueVerdict:
        reason = None if proven else "spot: no answer"
        return VenueVerdict("a", proven, 2, (), (), reason, 0.0, None, ("spot",))

    def test_says_why_it_is_not_proven(self) -> None:
        assert SweepResult("t", True, 1.0, {"a": self.verdict(True)}).unproven_reason is None
        assert SweepResult("t", False, 1.0, {"a": self.verdict(False)}).unproven_reason == "a: spot: no answer"
        assert SweepResult("t", False, 1.0, {"a": self.verdict(True)}).unproven_reason == (
            "the joint round did not end in time"
        )

    def test_adds_the_cancelled_orders_up(self) -> None:
        venues = {"a": self.verdict(True), "b": self.verdict(True)}
        assert SweepResult("t", True, 1.0, venues).cancelled == 4


FAULTS_END_S = 60.0
LOCK_AGED_S = 6.0
FAULTS = (hang, raising(TypeError("odd")), raising(MalformedReply("HTML")), answering([]), answering("<html>"))


class Trouble:
    """Random venues, faults and bots from one seed. Bots obey the lock: nothing new once it has aged."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.venues = [self.venue(f"v{number}") for number in range(self.random.randint(1, 3))]

    def venue(self, name: str) -> FakeVenue:
        scopes = self.random.sample((SPOT, TRIGGER, PERP), self.random.randint(1, 3))
        latency_s = self.random.choice((0.0, 0.05, 1.0, 3.0))
        return FakeVenue(name, *scopes, latency_s=latency_s, by_id=self.random.random() < 0.5)

    async def bot(self, venue: FakeVenue) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < LOCK_AGED_S - 0.001:
            venue.place(self.random.choice(venue.scopes).name, bot=venue.name)
            await asyncio.sleep(self.random.uniform(0.0, LOCK_AGED_S - 0.002 - loop.time()) + 0.0005)

    async def faults(self, venue: FakeVenue) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < FAULTS_END_S:
            scope = self.random.choice(venue.scopes).name
            faults: dict[str, Any] = self.random.choice((venue.on_list, venue.on_cancel))
            faults[scope] = self.random.choice(FAULTS)
            venue.acknowledges_only = self.random.random() < 0.3
            await asyncio.sleep(self.random.expovariate(0.2))
            faults.pop(scope, None)
            await asyncio.sleep(self.random.expovariate(0.2))
        venue.acknowledges_only = False

    async def run(self) -> tuple[SweepResult, int]:
        manager = OrderManager(clock=LoopClock())
        for venue in self.venues:
            for scope in venue.scopes:
                add = manager.add_perp_adapter if scope is PERP else manager.add_spot_adapter
                add(venue)
        lives = [asyncio.create_task(life(v)) for v in self.venues for life in (self.bot, self.faults)]
        result = await manager.cancel_all_orders()
        left_open = sum(len(venue.open_orders) for venue in self.venues)
        for task in lives:
            task.cancel()
        await asyncio.wait(lives)
        return result, left_open


@given(st.integers(0, 2**32))
@example(2_991)  # a look fails between the end of the joint round and the end of the sweep
@settings(max_examples=60, deadline=None)
def test_whatever_the_venues_do_a_proof_means_that_nothing_is_open(seed: int) -> None:
    """And once the trouble is over, there is a proof: being stuck for ever is no safety."""
    loop = looptime.new_event_loop()
    try:
        result, left_open = loop.run_until_complete(Trouble(seed).run())
    finally:
        loop.close()
    assert result.proven, f"seed {seed}: {result.unproven_reason}"
    assert left_open == 0, f"seed {seed}"
