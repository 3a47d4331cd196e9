"""Events into the log: in order, without waiting, and shouted where they can't be."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.runtime.event_writer import EventWriter
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.log_anchor import ANCHOR
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import ANCHORED, FakeJournal, FakeStore
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

NAMES = (EventName.MANUAL_HALT, EventName.SWEEP_STARTED, EventName.SWEEP_FINISHED)


async def test_events_are_written_in_the_order_they_were_given() -> None:
    journal = FakeJournal()
    writer, now = EventWriter(journal, Tasks(lambda: None)), LoopClock().now()
    await writer.written(1.0)
    for name in NAMES:
        writer.write([RiskEvent(name)], now, durable=name is NAMES[0])
    await writer.written(1.0)
    assert journal.written == [(NAMES[0].value, True), (NAMES[1].value, False), (NAMES[2].value, False)]


async def test_a_log_that_hangs_keeps_nobody() -> None:
    journal = FakeJournal()
    journal.hangs = True
    writer, began = EventWriter(journal, Tasks(lambda: None)), LoopClock().now()
    writer.write([RiskEvent(NAMES[0])], began, durable=True)
    writer.write([RiskEvent(NAMES[1])], began, durable=True)
    await writer.written(2.0)
    assert LoopClock().now().mono - began.mono == pytest.approx(2.0)
    assert journal.written == []


async def test_what_can_t_be_written_is_shouted_by_name_and_the_next_are_written() -> None:
    journal = FakeJournal()
    journal.breaks()
    tasks = Tasks(lambda: None)
    writer, now = EventWriter(journal, tasks), LoopClock().now()
    with capture_logs() as logs:
        writer.write([RiskEvent(NAMES[0]), RiskEvent(NAMES[1])], now, durable=True)
        await writer.written(1.0)
    [line] = logs
    assert (line["event"], line["log_level"], line["events"]) == (
        "event_log_failed", "critical", [NAMES[0].value, NAMES[1].value],
    )  # fmt: skip
    journal.error = None
    writer.write([RiskEvent(NAMES[2])], now, durable=False)
    await writer.written(1.0)
    await pass_time(0.01)
    assert journal.written == [(NAMES[2].value, False)]
    assert tasks.failure is None


async def test_where_the_log_ends_is_kept() -> None:
    store = FakeStore()
    await EventWriter(FakeJournal(), Tasks(lambda: None)).anchor(store, LoopClock().now(), 1.0)
    assert store.documents == {ANCHOR: ANCHORED}


@pytest.mark.parametrize(("hangs", "why"), [(False, "no space left on device"), (True, "the disk does not answer")])
async def test_an_end_that_can_t_be_kept_is_told(hangs: bool, why: str) -> None:
    journal, store = FakeJournal(), FakeStore()
    journal.breaks()
    journal.hangs = hangs
    with capture_logs() as logs:
        await EventWriter(journal, Tasks(lambda: None)).anchor(store, LoopClock().now(), 1.0)
    assert [(line["event"], line["error"]) for line in logs] == [("log_not_anchored", why)]
    assert store.documents == {}
