"""What an earlier process left, on disks that are slow, broken or mended later. On virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.alerts.earlier import AGAIN_AFTER_S, Earlier, Turns
from risk_daemon.alerts.outbox import KeptFile
from risk_daemon.errors import StateError
from risk_daemon.model.event_names import EventName, RiskEvent
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

LOST = RiskEvent(EventName.VENUE_LOST)


@dataclass
class Disk:
    """answers: set, unless it hangs. log: raised, or read."""

    path: Path
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    log: Exception | Turns = field(default_factory=lambda: Turns(turns=[([LOST], 1.0)]))
    told: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def opened(self) -> Earlier:
        file = KeptFile(self.path, dict, self.run)
        self.earlier = Earlier(file, self.run, self.read_log, take=self.take, tell=self.tell, lost=self.lost.append)
        return self.earlier

    async def run(self, job: Callable[..., Any], /, *args: Any) -> Any:
        await self.answers.wait()
        return job(*args)

    async def read_log(self, seq: int) -> Turns:
        self.asked.append(seq)
        if isinstance(self.log, Exception):
            raise self.log
        return self.log

    def take(self, document: Mapping[str, Any]) -> None:
        self.earlier.cursor = document["cursor"]

    def tell(self, _records: Sequence[RiskEvent], wall: float) -> None:
        self.told.append(wall)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "alerts.json").write_text(json.dumps({"cursor": 5}))
    disk = Disk(tmp_path / "alerts.json")
    disk.answers.set()
    return disk


async def test_the_log_is_told_from_where_it_was_left(disk: Disk) -> None:
    earlier = disk.opened()
    await earlier.look()
    assert (earlier.is_found, disk.asked, disk.told, disk.lost) == (True, [5], [1.0], [])


async def test_the_first_process_of_all_tells_nothing_of_old(disk: Disk) -> None:
    disk.path.unlink()
    earlier = disk.opened()
    await earlier.look()
    assert (earlier.is_found, disk.asked, disk.lost) == (True, [], [])


@pytest.mark.parametrize("error", [StateError("no entry"), OSError("broken"), KeyError("?"), TimeoutError()])
async def test_a_log_that_can_not_be_read_is_told_and_read_again(disk: Disk, error: Exception) -> None:
    disk.log = error
    earlier, found = disk.opened(), list[int]()
    with capture_logs() as logs:
        await earlier.look()
        await earlier.look()
    assert [log["event"] for log in logs] == ["alerts_not_caught_up"] * 2
    assert (earlier.is_restored, earlier.is_caught_up, len(disk.lost)) == (True, False, 1)
    assert "is not told yet" in disk.lost[0]
    disk.log = Turns(turns=[([LOST], 2.0)], left_out="some are missing")
    again = asyncio.create_task(earlier.look_again(lambda: found.append(1)))
    await pass_time(AGAIN_AFTER_S + 1.0)
    assert (earlier.is_found, disk.told, found, disk.lost[1:]) == (True, [2.0], [1], ["some are missing"])
    assert again.done()


async def test_a_disk_that_does_not_answer_holds_up_nobody_and_is_asked_once(disk: Disk) -> None:
    disk.answers.clear()
    earlier, found = disk.opened(), list[int]()
    since = asyncio.get_running_loop().time()
    with capture_logs():
        await earlier.look()
    assert asyncio.get_running_loop().time() - since == pytest.approx(2.0)
    assert (earlier.is_restored, disk.asked, len(disk.lost)) == (False, [], 1)
    again = asyncio.create_task(earlier.look_again(lambda: found.append(1)))
    await pass_time(AGAIN_AFTER_S + 1.0)
    disk.answers.set()
    await pass_time(2.0)
    assert (earlier.is_found, disk.asked, disk.told, found) == (True, [5], [1.0], [1])
    assert again.done()


@pytest.mark.parametrize("content", ["{", '{"cursor": 1, "other": 1}'])
async def test_after_a_file_that_is_spoilt_the_log_is_read_from_its_beginning(disk: Disk, content: str) -> None:
    disk.path.write_text(content)
    earlier = disk.opened()

    def refuse(document: Mapping[str, Any]) -> None:
        raise KeyError("owed")

    earlier._take = refuse
    with capture_logs():
        await earlier.look()
    assert (earlier.is_found, disk.asked, disk.told) == (True, [0], [1.0])
    assert "is lost" in disk.lost[0]
    assert disk.path.with_name("alerts.json.damaged").exists()


async def test_nobody_waits_for_a_file_that_can_not_be_set_aside(disk: Disk) -> None:
    earlier = disk.opened()

    def refuse(document: Mapping[str, Any]) -> None:
        disk.answers.clear()
        raise ValueError("?")

    earlier._take = refuse
    since = asyncio.get_running_loop().time()
    with capture_logs():
        await earlier.look()
    assert asyncio.get_running_loop().time() - since == pytest.approx(2.0)
    assert (earlier.is_restored, disk.asked) == (True, [0])
    disk.answers.set()
    earlier.close()
