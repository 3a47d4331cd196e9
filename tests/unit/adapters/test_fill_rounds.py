"""When executions are asked for, and that nothing comes of a failure but a line in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.base import Capabilities
from adapters.fill_rounds import BACK_S, EVERY_S, RETRY_S, FillRounds
from adapters.lane import PushedAside
from risk_daemon.errors import VenueRejected, VenueUnavailable
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import BalancesSeen, FillsSeen, Input, PositionsSeen, Source

pytestmark = pytest.mark.looptime
SEEN = FillsSeen("v", 0.0, Source.REST, ())
START_WALL = 1_000_000.0


class LoopClock:
    def now(self) -> Instant:
        mono = asyncio.get_running_loop().time()
        return Instant(mono, START_WALL + mono)


class Adapter:
    """Answers with what lies ready, else with no fills."""

    name = "v"

    def __init__(self, *, streams_fills: bool = False) -> None:
        self.capabilities = Capabilities(streams_fills=streams_fills)
        self.answers: list[Exception | Callable[[], Awaitable[Any]]] = []
        self.asked: list[tuple[float, float]] = []

    async def read_fills(self, since_wall: float) -> FillsSeen:
        self.asked.append((asyncio.get_running_loop().time(), since_wall))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            await answer()
        return SEEN


class Rounds:
    """Rounds that run until the test ends."""

    def __init__(self, adapter: Any) -> None:
        self.told: list[Input] = []
        self.may_list = True
        self.adapter = adapter
        self.rounds = FillRounds(
            adapter, self.told.append, LoopClock(), call_timeout_s=5.0, may_list=lambda: self.may_list
        )

    async def run(self, seconds: float) -> None:
        if not hasattr(self, "task"):
            self.task = asyncio.create_task(self.rounds.run())
        await asyncio.sleep(seconds)
        if self.task.done():
            await self.task

    def times(self) -> list[float]:
        return [round(mono, 3) for mono, _ in self.adapter.asked]


def balances(amount: int) -> BalancesSeen:
    return BalancesSeen("v", 0.0, Source.REST, {"BTC": Decimal(amount)}, complete=True)


async def test_it_asks_once_after_connecting_for_a_day_back() -> None:
    rounds = Rounds(Adapter())
    await rounds.run(EVERY_S * 5)
    assert rounds.adapter.asked == [(0.0, START_WALL - BACK_S)]
    assert rounds.told == [SEEN]


async def test_a_reading_that_differs_calls_for_a_look_but_not_within_a_minute() -> None:
    rounds = Rounds(Adapter())
    rounds.rounds.noticed(balances(1))
    await rounds.run(1.0)
    for amount in (1, 2, 3):
        rounds.rounds.noticed(balances(amount))
    await rounds.run(EVERY_S * 4)
    assert rounds.times() == [0.0, EVERY_S]
    rounds.rounds.noticed(balances(3))
    rounds.rounds.noticed(PositionsSeen("v", 0.0, Source.REST, (), complete=True))
    await rounds.run(EVERY_S)
    assert len(rounds.times()) == 2


async def test_where_the_stream_tells_only_its_beginning_calls_for_a_look() -> None:
    rounds = Rounds(Adapter(streams_fills=True))
    for amount in (1, 2, 3):
        rounds.rounds.noticed(balances(amount))
    await rounds.run(EVERY_S * 2)
    assert rounds.times() == [0.0]
    rounds.rounds.want()
    await rounds.run(EVERY_S * 2)
    assert len(rounds.times()) == 2


async def test_it_keeps_quiet_while_a_sweep_lists() -> None:
    rounds = Rounds(Adapter())
    rounds.may_list = False
    await rounds.run(RETRY_S * 3 + 1)
    assert not rounds.times()
    rounds.may_list = True
    await rounds.run(RETRY_S)
    assert len(rounds.times()) == 1


async def test_what_was_pushed_aside_is_asked_again_soon() -> None:
    rounds = Rounds(Adapter())
    rounds.adapter.answers = [PushedAside("aside")]
    with capture_logs() as logs:
        await rounds.run(RETRY_S * 2)
    assert rounds.times() == [0.0, RETRY_S]
    assert not logs


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    "answer", [VenueUnavailable("503"), VenueRejected("no permission"), RuntimeError("a bug"), KeyError("x"), hang]
)
async def test_a_failure_is_logged_once_and_asked_again_ever_later(answer: Any) -> None:
    rounds = Rounds(Adapter())
    rounds.adapter.answers = [answer] * 20
    with capture_logs() as logs:
        await rounds.run(86_400.0)
    assert [(line["event"], line["venue"]) for line in logs] == [("fills_not_listed", "v")]
    pauses = [after - before for before, after in zip(rounds.times(), rounds.times()[1:], strict=False)]
    assert pauses[0] == pytest.approx(EVERY_S * 2, abs=6)
    assert pauses[10] == pytest.approx(3_600.0, abs=6)
    assert rounds.told == [SEEN], "when it is back, that is told"


async def test_an_adapter_that_cannot_is_left_alone() -> None:
    rounds = Rounds(object())
    await rounds.run(EVERY_S)
    assert rounds.task.done()
