"""Refreshes beside everything else, and the order at the end: nothing arms a switch after its disarm."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from adapters.budget import HeldBack
from adapters.lane import PushedAside
from risk_daemon.engine.decision import RefreshDeadMan
from risk_daemon.errors import VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.events import DeadManAnswered, DeadManDisarmed
from risk_daemon.runtime.dead_men import DeadMen
from risk_daemon.runtime.tasks import Tasks
from tests.unit.oms.fakes import LoopClock
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

REFRESH = RefreshDeadMan("kraken", 60.0, 10.0)


class FakeSwitch:
    """A venue's own switch. takes_s: so long a call is under way before the venue acts on it, and it always does."""

    dead_men = ()

    def __init__(self) -> None:
        self.takes_s = 0.1
        self.armed_s: float | None = None
        self.calls: list[tuple[float, frozenset[str], bool]] = []
        self.errors: list[VenueError] = []
        self.query_error: VenueError | None = None
        self.disarms = 0

    async def arm_dead_men(self, timeout_s: float, symbols: Collection[str], *, urgent: bool) -> tuple[str, ...]:
        self.calls.append((timeout_s, frozenset(symbols), urgent))
        await self._act(timeout_s)
        return ("",)

    async def disarm_dead_men(self) -> None:
        self.disarms += 1
        await self._act(None)

    async def are_dead_men_armed(self) -> bool | None:
        if self.query_error is not None:
            raise self.query_error
        return self.armed_s is not None

    async def _act(self, armed_s: float | None) -> None:
        """Once it has left it arrives, whether or not anybody still waits for the answer."""
        arrived = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            self.armed_s = armed_s
            if not arrived.done():
                arrived.set_result(None)

        if self.errors:
            raise self.errors.pop(0)
        asyncio.get_running_loop().call_later(self.takes_s, arrive)
        await arrived


class Shell:
    def __init__(self) -> None:
        self.switch = FakeSwitch()
        self.told: list[Any] = []
        adapters: Any = {"kraken": self.switch, "binance": object()}
        self.tasks = Tasks(lambda: None)
        self.dead_men = DeadMen(
            adapters, LoopClock(), self.tasks, emit=self.told.append, symbols=lambda venue: {f"orders of {venue}"}
        )


async def test_a_refresh_holds_nobody_up_and_its_outcome_is_an_event() -> None:
    shell = Shell()
    requested_mono = LoopClock().now().mono
    shell.dead_men.refresh(REFRESH)
    assert shell.told == []
    await pass_time(1.0)
    assert shell.told == [DeadManAnswered(venue="kraken", requested_mono=requested_mono, armed=("",), was_armed=False)]
    assert shell.switch.calls == [(60.0, frozenset({"orders of kraken"}), False)]


async def test_it_is_asked_before_the_first_time_only() -> None:
    shell = Shell()
    shell.switch.armed_s = 5.0
    for _ in range(2):
        shell.dead_men.refresh(REFRESH)
        await pass_time(1.0)
    assert [event.was_armed for event in shell.told] == [True, True]


async def test_one_that_can_not_be_asked_is_armed_all_the_same() -> None:
    shell = Shell()
    shell.switch.query_error = VenueUnavailable("503")
    shell.dead_men.refresh(REFRESH)
    await pass_time(1.0)
    assert shell.told[0].was_armed is None
    assert shell.switch.armed_s == 60.0


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (VenueRejected("denied"), {"error": "denied"}),
        (VenueUnavailable("429", 7.0), {"error": "429", "retry_after_s": 7.0}),
        (PushedAside("a sweep"), {"error": "a sweep", "is_held_back": True}),
    ],
)
async def test_a_failure_is_an_event_too(error: VenueError, facts: dict[str, Any]) -> None:
    shell = Shell()
    shell.switch.errors = [error]
    shell.dead_men.refresh(REFRESH)
    await pass_time(1.0)
    assert shell.told == [DeadManAnswered(venue="kraken", requested_mono=shell.told[0].requested_mono, **facts)]


async def test_nobody_waits_for_longer_than_the_action_says() -> None:
    shell = Shell()
    shell.switch.takes_s = 100.0
    shell.dead_men.refresh(REFRESH)
    await pass_time(10.5)
    assert shell.told[0].error == "no answer within 10 s"


async def test_a_venue_that_has_none_is_left_alone() -> None:
    shell = Shell()
    shell.dead_men.refresh(RefreshDeadMan("binance", 60.0, 10.0))
    await pass_time(1.0)
    assert shell.told == []


# --- the end ---------------------------------------------------------------------------------------


async def armed() -> Shell:
    shell = Shell()
    shell.dead_men.refresh(REFRESH)
    await pass_time(1.0)
    return shell


async def test_the_disarm_leaves_after_the_refresh_that_is_under_way() -> None:
    shell = await armed()
    shell.switch.takes_s = 5.0
    shell.dead_men.refresh(REFRESH)
    await pass_time(0.1)
    shell.switch.takes_s = 0.1
    done = await shell.dead_men.disarm(5.0)
    assert done == [DeadManDisarmed("kraken")]
    await pass_time(100.0)
    assert shell.switch.armed_s is None


async def test_no_refresh_begins_after_the_end() -> None:
    shell = await armed()
    disarming = asyncio.ensure_future(shell.dead_men.disarm(5.0))
    await asyncio.sleep(0)
    shell.dead_men.refresh(REFRESH)
    await disarming
    await pass_time(100.0)
    assert shell.switch.armed_s is None


async def test_what_was_never_armed_is_not_disarmed() -> None:
    shell = Shell()
    assert await shell.dead_men.disarm(5.0) == []
    assert shell.switch.disarms == 0


@pytest.mark.parametrize(
    ("error", "is_certain"),
    [(VenueUnavailable("reset"), False), (VenueRejected("denied"), True), (HeldBack("no room"), True)],
)
async def test_a_refresh_without_an_answer_leaves_a_doubt(error: VenueError, is_certain: bool) -> None:
    shell = await armed()
    shell.switch.errors = [error]
    shell.dead_men.refresh(REFRESH)
    await pass_time(1.0)
    assert await shell.dead_men.disarm(5.0) == [DeadManDisarmed("kraken", is_certain=is_certain)]


async def test_a_disarm_is_tried_again_until_its_time_is_over() -> None:
    shell = await armed()
    shell.switch.errors = [VenueUnavailable("503")] * 3
    assert await shell.dead_men.disarm(5.0) == [DeadManDisarmed("kraken")]
    shell.switch.errors = [VenueUnavailable("503")] * 99
    assert await shell.dead_men.disarm(5.0) == [DeadManDisarmed("kraken", "503", is_certain=False)]
