"""Lines about what an operator does without a daemon: both, in order, durable; and never in anybody's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.app import deeds
from risk_daemon.app.deeds import on_record
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.event_names import EventName
from risk_daemon.state.directory import StateDir
from risk_daemon.state.event_log import read_log, verify_log

NAMES = (EventName.CANCEL_ALL_ASKED, EventName.CANCEL_ALL_FINISHED)
FACTS = {"operator": "ann", "venues": ["kraken"]}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    state = StateDir.open(tmp_path / "var", accounts={"kraken": "x"}, initial_capital="1", create=True)
    yield state
    state.close()


def lines(state: StateDir) -> list[tuple[str, dict[str, object]]]:
    return [(line.event, dict(line.fields)) for line in read_log(state.paths.events)]


async def test_who_asked_and_what_came_of_it(state: StateDir) -> None:
    async with on_record(state, *NAMES, FACTS) as deed:
        deed.ended({"outcome": {"proven": True}})
    assert lines(state) == [
        ("cancel_all_asked", FACTS),
        ("cancel_all_finished", {**FACTS, "outcome": {"proven": True}}),
    ]
    assert verify_log(state.paths.events).ok


async def test_what_fails_has_its_line_too_and_fails_as_it_did(state: StateDir) -> None:
    with pytest.raises(VenueUnavailable):
        async with on_record(state, *NAMES, FACTS):
            raise VenueUnavailable("no route")
    assert lines(state)[-1] == ("cancel_all_finished", {**FACTS, "reason": "no route"})


async def test_a_disk_that_hangs_holds_nothing_up(
    state: StateDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(deeds, "_write", lambda *_: hangs.wait())
    monkeypatch.setattr(deeds, "WAIT_S", 0.05)
    is_done = False
    async with on_record(state, *NAMES, FACTS):
        is_done = True
    hangs.set()
    assert is_done
    assert "the disk does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("is_there", [False, True])
async def test_what_can_not_be_written_is_shouted(
    is_there: bool, state: StateDir, capsys: pytest.CaptureFixture[str]
) -> None:
    state.paths.events.mkdir()
    async with on_record(state if is_there else None, *NAMES, FACTS) as deed:
        deed.ended({"outcome": {"proven": True}})
    told = capsys.readouterr().out
    assert "cancel_all_asked" in told
    assert "cancel_all_finished" in told
