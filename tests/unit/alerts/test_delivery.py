"""How one channel is tried: at once, again with growing pauses, a trip behind nothing. On virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from risk_daemon.alerts.alert import Alert
from risk_daemon.alerts.attempts import Attempt
from risk_daemon.alerts.channels.base import Attempted, delivered, later, refused
from risk_daemon.alerts.delivery import Deliverer, DeliverySettings, going_on
from risk_daemon.alerts.outbox import Outbox, lane_of
from tests.unit.alerts.scripted import Scripted, alert, trip
from tests.unit.oms.fakes import LoopClock
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

FAILED = later("503")


@dataclass
class Line:
    """A deliverer at work, and what it told. put: owe it, and say so."""

    channel: Scripted
    outbox: Outbox
    deliverer: Deliverer
    told: list[Attempt] = field(default_factory=list)

    def put(self, *alerts: Alert) -> None:
        for one in alerts:
            self.outbox.put(self.channel.name, one)
            self.deliverer.nudge(lane_of(one))

    @property
    def owed(self) -> list[str]:
        return [one.alert_id for one in self.outbox.owed(self.channel.name)]


@asynccontextmanager
async def line(
    *answers: Attempted | Exception | None,
    settings: DeliverySettings | None = None,
    timeout_s: float = 10.0,
    jitter: Callable[[], float] = lambda: 1.0,
) -> AsyncIterator[Line]:
    channel, outbox, told = Scripted("a", *answers), Outbox(["a"]), list[Attempt]()
    deliverer = Deliverer(
        channel,
        outbox,
        LoopClock(),
        settings or DeliverySettings(),
        payload=lambda one: one.payload("s"),
        told=told.append,
        timeout_s=timeout_s,
        jitter=jitter,
    )
    deliverer.start()
    try:
        yield Line(channel, outbox, deliverer, told)
    finally:
        await deliverer.close()
        assert channel.is_closed


async def test_an_alert_leaves_at_once_and_is_settled() -> None:
    async with line() as one:
        since = asyncio.get_running_loop().time()
        one.put(alert("1"))
        await pass_time(0.01)
        assert (one.channel.tried, one.channel.at, one.owed) == (["1"], [since], [])
        assert [(attempt.number, attempt.is_last, attempt.outcome.status) for attempt in one.told] == [(1, True, "204")]


async def test_what_time_may_heal_is_tried_again_with_growing_pauses() -> None:
    async with line(FAILED, FAILED, FAILED, FAILED, delivered("204")) as one:
        one.put(alert("1"))
        await pass_time(60.0)
        pauses = [later - sooner for sooner, later in zip(one.channel.at, one.channel.at[1:], strict=False)]
        assert pauses == pytest.approx([0.5, 1.0, 2.0, 4.0])
        assert [(attempt.number, attempt.is_last) for attempt in one.told][-2:] == [(4, False), (5, True)]
        assert one.owed == []


async def test_a_receiver_may_wish_for_a_longer_pause_within_bounds() -> None:
    async with line(later("429", retry_after_s=20.0), later("429", retry_after_s=9_999.0), delivered("204")) as one:
        one.put(alert("1"))
        await pass_time(200.0)
        since = one.channel.at[0]
        assert [at - since for at in one.channel.at] == pytest.approx([0.0, 20.0, 80.0])


async def test_a_trip_waits_for_no_receiver_longer_than_ten_seconds() -> None:
    async with line(later("429", retry_after_s=9_999.0)) as one:
        one.put(trip("t"))
        await pass_time(101.0)
        assert len(one.channel.tried) == 11


async def test_what_will_never_be_taken_is_given_up_at_once() -> None:
    async with line(refused("401")) as one:
        one.put(alert("1"))
        await pass_time(100.0)
        assert (one.channel.tried, one.owed, one.told[0].is_last) == (["1"], [], True)


async def test_a_trip_does_not_wait_behind_a_warning_that_hangs() -> None:
    async with line(None, delivered("204")) as one:
        one.put(alert("1"))
        await pass_time(0.1)
        since = asyncio.get_running_loop().time()
        one.put(trip("t"))
        await pass_time(0.01)
        assert (one.channel.tried, one.channel.at[1]) == (["1", "t"], since)
        assert one.owed == ["1"]


async def test_another_trip_ends_the_pause_after_one_that_failed() -> None:
    async with line(FAILED, FAILED, FAILED, FAILED, delivered("204")) as one:
        one.put(trip("t"))
        await pass_time(4.0)
        assert len(one.channel.tried) == 4
        one.put(trip("u"))
        await pass_time(0.01)
        assert len(one.channel.tried) == 6, "it got through, and so did what had failed"
        assert one.owed == []


async def test_a_new_trip_does_not_wait_behind_an_older_one_that_hangs() -> None:
    async with line(None, FAILED, delivered("204")) as one:
        one.put(trip("freeze"))
        await pass_time(1.0)
        since = asyncio.get_running_loop().time()
        one.put(trip("t"))
        await pass_time(0.01)
        assert (one.channel.tried, one.channel.at[1]) == (["freeze", "t"], since)
        await pass_time(10.9)
        assert one.channel.tried == ["freeze", "t"], "one that failed has its turn after it"
        await pass_time(10.0)
        assert sorted(one.channel.tried) == ["freeze", "freeze", "t", "t"]
        assert one.owed == []


async def test_none_is_sent_twice_at_once_and_all_of_them_end_with_the_channel() -> None:
    async with line(None) as one:
        one.put(trip("t"), trip("u"))
        await pass_time(1.0)
        one.put(trip("v"))
        one.deliverer.nudge_all()
        await pass_time(1.0)
        assert one.channel.tried == ["t", "u", "v"]
        assert not one.deliverer.has_tried
    assert one.owed == ["t", "u", "v"]


async def test_a_channel_that_hangs_or_breaks_its_word_is_ended_and_tried_again() -> None:
    async with line(None, RuntimeError("a bug"), delivered("204"), timeout_s=3.0) as one:
        one.put(alert("1"))
        await pass_time(10.0)
        assert [attempt.outcome.status for attempt in one.told] == ["timeout", "RuntimeError", "204"]
        assert one.told[0].seconds == pytest.approx(5.0)


async def test_one_that_is_refused_again_and_again_does_not_keep_the_others() -> None:
    async with line(FAILED, delivered("204"), FAILED) as one:
        one.put(alert("poison"), alert("2"))
        await pass_time(1.0)
        assert one.channel.tried[:2] == ["poison", "2"]
        assert one.owed == ["poison"]


async def test_old_news_is_given_up_and_a_trip_never_is() -> None:
    async with line(FAILED, settings=DeliverySettings(give_up_after_s=100.0)) as one:
        now_wall = LoopClock().now().wall
        one.put(alert("1", wall=now_wall), trip("t", wall=now_wall))
        await pass_time(1_000.0)
        assert one.owed == ["t"]
        assert [attempt.alert.alert_id for attempt in one.told if attempt.is_last] == ["1"]


async def test_it_has_tried_everything_once_it_pauses() -> None:
    async with line(None, later("x"), timeout_s=1.0) as one:
        assert one.deliverer.has_tried
        one.put(alert("1"))
        await pass_time(0.5)
        assert not one.deliverer.has_tried
        await pass_time(2.6)
        assert one.deliverer.has_tried
        assert one.owed == ["1"]


async def test_pauses_differ_between_channels() -> None:
    async with line(FAILED, jitter=lambda: 0.5) as one:
        one.put(alert("1"))
        await pass_time(0.3)
        assert len(one.channel.tried) == 2


async def test_a_bug_is_shouted_and_the_work_goes_on() -> None:
    done = 0

    async def work() -> None:
        nonlocal done
        done += 1
        if done < 3:
            raise RuntimeError("a bug")
        await asyncio.Event().wait()

    with capture_logs() as logs:
        task = asyncio.create_task(going_on(work, "work"))
        await pass_time(10.0)
    assert (done, [log["event"] for log in logs]) == (3, ["alert_task_failed"] * 2)
    task.cancel()
