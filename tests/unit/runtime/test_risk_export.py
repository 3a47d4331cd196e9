"""`risk.json` as the daemon keeps it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from risk_daemon.model.status import Status
from risk_daemon.runtime.risk_export import RiskExport
from risk_daemon.runtime.tasks import Tasks
from tests.unit.oms.fakes import LoopClock
from tests.unit.runtime.fakes import FakeWriter
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

STATUS = Status.shown({"state": "ACTIVE", "equity": "9400.00"})


async def test_it_is_written_when_it_is_due() -> None:
    writer, tasks = FakeWriter(every_s=1.0), Tasks(lambda: None)
    export = RiskExport(writer, lambda: STATUS, tasks)
    for _ in range(11):
        export.write_if_due(LoopClock().now())
        await pass_time(0.2)
    assert writer.documents == [STATUS.document()] * 3


async def test_a_file_that_can_t_be_written_is_told_and_ends_nothing() -> None:
    writer, tasks = FakeWriter(), Tasks(lambda: None)
    writer.breaks()
    export = RiskExport(writer, lambda: STATUS, tasks)
    with capture_logs() as logs:
        export.write_if_due(LoopClock().now())
        await pass_time(0.01)
    assert [(line["event"], line["error"]) for line in logs] == [("risk_file_failed", "no space left on device")]
    assert tasks.failure is None


async def test_without_a_file_nobody_asks_how_things_stand() -> None:
    asked: list[int] = []

    def status() -> Status:
        asked.append(1)
        return STATUS

    export = RiskExport(None, status, Tasks(lambda: None))
    export.write_if_due(LoopClock().now())
    await export.write(STATUS, LoopClock().now())
    assert asked == []
