"""What is owed: trips in a lane of their own, nothing twice, and all of it there again after a restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.alerts.outbox import LANE_MAX, KeptFile, Lane, Outbox
from risk_daemon.alerts.routing import HEARTBEAT
from risk_daemon.state.worker import inline
from tests.unit.alerts.scripted import alert, trip
from tests.virtual import pass_time


def ids(outbox: Outbox, channel: str = "a") -> list[str]:
    return [one.alert_id for one in outbox.owed(channel)]


def test_a_trip_stands_in_a_lane_of_its_own() -> None:
    outbox = Outbox(["a"])
    assert outbox.put("a", alert("1"))
    assert outbox.put("a", trip("t"))
    first = [outbox.first("a", lane) for lane in Lane]
    assert [one and one.alert_id for one in first] == ["t", "1"]
    assert ids(outbox) == ["t", "1"]


def test_what_says_the_same_is_owed_once() -> None:
    outbox = Outbox(["a"])
    assert outbox.put("a", alert("1"))
    assert not outbox.put("a", alert("1"))
    assert outbox.put("a", trip("t"))
    assert not outbox.put("a", trip("t.2", "t")), "a repeat of what nobody got yet"
    assert outbox.put("a", trip("u"))
    assert outbox.put("a", alert("h1", event=HEARTBEAT))
    assert not outbox.put("a", alert("h2", event=HEARTBEAT))
    assert not outbox.put("nobody", alert("1"))
    assert ids(outbox) == ["t", "u", "1", "h1"]


def test_a_repeat_is_owed_again_once_the_first_is_settled() -> None:
    outbox = Outbox(["a"])
    outbox.put("a", trip("t"))
    outbox.settle("a", trip("t"))
    assert outbox.put("a", trip("t.2", "t"))


def test_a_full_lane_loses_its_oldest_and_counts_it_and_a_trip_still_fits() -> None:
    outbox = Outbox(["a"])
    for number in range(LANE_MAX + 3):
        outbox.put("a", alert(str(number)))
    assert outbox.put("a", trip("t"))
    assert (len(ids(outbox)), outbox.missed["a"]) == (LANE_MAX + 1, 3)
    assert ids(outbox)[:2] == ["t", "3"]


def test_what_is_postponed_lets_the_others_go_first() -> None:
    outbox = Outbox(["a"])
    for name in ("1", "2"):
        outbox.put("a", alert(name))
    outbox.postpone("a", alert("1"))
    assert ids(outbox) == ["2", "1"]
    outbox.postpone("a", alert("1"))
    assert ids(outbox) == ["2", "1"], "it is not the first any more"


def test_everything_is_there_again_and_waits_for_channels_that_are_gone() -> None:
    before = Outbox(["a", "b"])
    before.put("a", trip("t"))
    before.put("b", trip("t"))
    before.put("b", alert("old"))
    before.put("a", alert("1", details={"venue": "x"}))
    before.missed.update(a=2, b=3)
    document = json.loads(json.dumps(before.document()))
    assert list(document["alerts"]) == ["t", "1", "old"], "each once"
    after = Outbox(["a", "c"])
    with capture_logs() as logs:
        after.restore(document, lambda one: one.alert_id != "old")
    assert after.owed("a") == before.owed("a")
    assert (after.missed, ids(after, "c")) == ({"a": 2, "b": 3, "c": 0}, [])
    assert [log["channels"] for log in logs] == [["b"]]
    back = Outbox(["b"])
    back.restore(json.loads(json.dumps(after.document())))
    assert (ids(back, "b"), back.missed["b"]) == (["t"], 3)


@pytest.mark.parametrize("spoilt", [{}, {"alerts": {"t": {}}, "owed": {}, "missed": {}}, {"alerts": 1}])
def test_a_spoilt_document_is_refused(spoilt: dict[str, Any]) -> None:
    outbox = Outbox(["a"])
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        outbox.restore(spoilt)
    assert ids(outbox) == []


# --- the file --------------------------------------------------------------------------------------------


async def test_the_file_is_private_and_whole(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "alerts.json", lambda: {"x": 1}, inline)
    assert file.read() is None
    assert await file.save()
    assert file.read() == {"x": 1}
    assert oct((tmp_path / "alerts.json").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_a_damaged_file_is_told_and_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    with capture_logs() as logs:
        assert KeptFile(path, dict, inline).read() is None
    assert [log["event"] for log in logs] == ["alerts_not_restored"]
    assert (tmp_path / "alerts.json.damaged").read_bytes() == content
    assert not path.exists()


@pytest.mark.looptime
async def test_a_disk_that_takes_nothing_is_told_once_and_tried_again(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    file = KeptFile(directory / "alerts.json", lambda: {"x": 1}, inline)
    with capture_logs() as logs:
        assert not await file.save()
        assert not await file.save()
    assert [log["event"] for log in logs] == ["alerts_not_kept"]
    directory.mkdir()
    file.touch()
    keeping = asyncio.create_task(file.keep())
    await pass_time(2.0)
    assert file.read() == {"x": 1}
    keeping.cancel()
