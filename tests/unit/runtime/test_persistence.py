"""What must survive the process: in order, again until it is so, and never waited for but at the end."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.baselines.equity_history import Sample
from risk_daemon.engine.decision import KeepSample, SaveHalts, SaveLatch
from risk_daemon.model.events import StoreChecked
from risk_daemon.portfolio.manager import Equity
from risk_daemon.runtime.persistence import Persistence
from risk_daemon.runtime.ports import DaemonSettings
from risk_daemon.runtime.tasks import Tasks
from risk_daemon.state.latch import LATCH
from risk_daemon.state.log_anchor import ANCHOR
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import ANCHORED, TRIP, FakeStore
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

SETTINGS = DaemonSettings(persist_every_s=5.0, check_store_every_s=15.0, call_timeout_s=10.0, retry_every_s=0.5)


class Saving:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.told: list[str | None] = []
        self.tasks = Tasks(lambda: None)
        self.number = 0
        self.persistence = Persistence(
            self.store, LoopClock(), SETTINGS, self.tasks, documents=self.documents, tell=self.hear
        )

    def documents(self) -> dict[str, Any]:
        self.number += 1
        return {"baselines": {"number": self.number}, ANCHOR: ANCHORED}

    def hear(self, event: StoreChecked) -> None:
        self.told.append(event.error)

    async def due(self) -> None:
        """A tick, and what it began."""
        self.persistence.save_if_due(LoopClock().now())
        await pass_time(0.01)


# --- documents -----------------------------------------------------------------------------------------


async def test_a_change_is_saved_soon_and_no_change_now_and_then() -> None:
    saving = Saving()
    await saving.due()
    assert len(saving.store.saves) == 1, "the first time at once: can it be done?"
    await pass_time(5.0)
    await saving.due()
    assert len(saving.store.saves) == 1
    saving.persistence.want()
    await saving.due()
    assert len(saving.store.saves) == 2
    await pass_time(14.0)
    await saving.due()
    assert len(saving.store.saves) == 2
    await pass_time(1.0)
    await saving.due()
    assert saving.store.documents["baselines"] == {"number": 3}


async def test_a_failure_is_shouted_told_once_and_tried_again_soon() -> None:
    saving = Saving()
    saving.store.breaks()
    with capture_logs() as logs:
        await saving.due()
        await pass_time(5.0)
        await saving.due()
    assert [line["event"] for line in logs] == ["state_save_failed", "state_save_failed"]
    assert saving.told == ["no space left on device"]
    saving.store.error = None
    await pass_time(5.0)
    await saving.due()
    assert saving.told == ["no space left on device", None]


async def test_what_keeps_it_from_a_second_place_is_told_without_a_save_and_shuts_nothing_else_up() -> None:
    saving = Saving()
    saving.store.trouble = "the server is gone"
    saving.persistence.look()
    saving.persistence.look()
    assert saving.told == ["the server is gone"]
    await saving.due()
    assert saving.told == ["the server is gone"], "a save here does not mend it"
    saving.store.breaks()
    await saving.persistence.save()
    saving.store.trouble, saving.store.error = None, None
    saving.persistence.look()
    assert saving.told == ["the server is gone", "no space left on device"], "there it is well, here it is not"
    await saving.persistence.save()
    assert saving.told[2:] == [None]


async def test_a_store_that_hangs_is_given_up_and_not_asked_twice_at_once() -> None:
    saving = Saving()
    saving.store.hangs = True
    await saving.due()
    saving.persistence.want()
    await pass_time(6.0)
    await saving.due()
    assert saving.number == 1
    await pass_time(4.0)
    assert saving.told == ["the store does not answer"]


async def test_what_is_no_fault_of_the_disk_is_a_bug() -> None:
    saving = Saving()
    saving.store.error = ZeroDivisionError("planted")
    with pytest.raises(ZeroDivisionError):
        await saving.persistence.save()
    assert saving.told == []


async def test_who_is_ended_while_saving_leaves_no_complaint_behind() -> None:
    saving, complaints = Saving(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    saving.store.hangs = True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(saving.persistence.save(), 1.0)
    assert complaints == []


# --- the latch -----------------------------------------------------------------------------------------


async def test_the_latch_is_saved_with_all_that_is_known_and_the_end_of_the_log() -> None:
    saving = Saving()
    assert await saving.persistence.latch_is_durable(0.0), "there is nothing to save"
    saving.persistence.save_latch(SaveLatch(TRIP))
    assert await saving.persistence.latch_is_durable(LoopClock().now().mono + 300.0)
    latch = saving.store.documents[LATCH]
    assert (latch["trip_id"], latch["proven"], latch["locked"], latch[ANCHOR]) == ("t-1", False, True, ANCHORED)
    assert saving.store.documents["baselines"] == {"number": 1}


async def test_latches_are_saved_in_the_order_of_the_trips() -> None:
    saving = Saving()
    saving.store.breaks()
    saving.persistence.save_latch(SaveLatch(TRIP))
    saving.persistence.save_latch(SaveLatch(None))
    await pass_time(2.0)
    saving.store.error = None
    await pass_time(2.0)
    assert [save[LATCH]["locked"] for save in saving.store.saves] == [True, False]


async def test_a_latch_is_tried_again_until_it_is_durable_and_the_end_waits_for_it() -> None:
    saving = Saving()
    saving.store.breaks()
    with capture_logs() as logs:
        saving.persistence.save_latch(SaveLatch(TRIP))
        asyncio.get_running_loop().call_later(3.1, setattr, saving.store, "error", None)
        assert await saving.persistence.latch_is_durable(LoopClock().now().mono + 300.0)
    assert {line["event"] for line in logs} == {"latch_save_failed"}
    assert len(logs) == 7


@pytest.mark.parametrize(("left_s", "waited_s"), [(20.0, 20.0), (-5.0, 0.5)])
async def test_the_end_waits_until_the_deadline_and_a_moment_in_any_case(left_s: float, waited_s: float) -> None:
    saving = Saving()
    saving.store.hangs = True
    saving.persistence.save_latch(SaveLatch(TRIP))
    began = LoopClock().now().mono
    assert not await saving.persistence.latch_is_durable(began + left_s)
    assert LoopClock().now().mono - began == pytest.approx(waited_s)


async def test_who_asked_waits_a_moment_for_the_latch() -> None:
    saving = Saving()
    await saving.persistence.latch_written()
    saving.store.hangs = True
    saving.persistence.save_latch(SaveLatch(TRIP))
    began = LoopClock().now().mono
    await saving.persistence.latch_written()
    assert LoopClock().now().mono - began == pytest.approx(10.0)


# --- halts and samples ---------------------------------------------------------------------------------


async def test_halts_are_on_disk_before_who_asked_is_told() -> None:
    saving = Saving()
    assert await saving.persistence.halts_are_durable()
    saving.persistence.save_halts(SaveHalts({"halts": [1]}))
    assert await saving.persistence.halts_are_durable()
    assert saving.store.documents["halts"] == {"halts": [1]}


@pytest.mark.parametrize(("hangs", "why"), [(False, "no space left on device"), (True, "the store does not answer")])
async def test_halts_that_would_be_forgotten_are_said_to_be(hangs: bool, why: str) -> None:
    saving = Saving()
    saving.store.breaks()
    saving.store.hangs = hangs
    with capture_logs() as logs:
        saving.persistence.save_halts(SaveHalts({"halts": []}))
        assert not await saving.persistence.halts_are_durable()
    assert [(line["event"], line["error"]) for line in logs] == [("halts_save_failed", why)]


async def test_a_lost_sample_is_a_gap_and_no_more() -> None:
    saving, sample = Saving(), Sample(60.0, Equity(Decimal(1), Decimal(1), Decimal(1)))
    saving.persistence.keep_sample(KeepSample(sample))
    await pass_time(0.01)
    assert saving.store.samples == [sample.document()]
    saving.store.breaks()
    with capture_logs() as logs:
        saving.persistence.keep_sample(KeepSample(sample))
        await pass_time(0.01)
    assert [line["event"] for line in logs] == ["sample_not_kept"]
    assert saving.tasks.failure is None
