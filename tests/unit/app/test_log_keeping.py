"""What retention removes is known to the state and the log before it is gone; what is missing else, a start tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app import log_keeping
from risk_daemon.app.composition import open_journal
from risk_daemon.app.log_keeping import LogKeeper, last_written
from risk_daemon.errors import RecordError
from risk_daemon.model.clock import ManualClock
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.event_log import EventLog, read_log, verify_log
from risk_daemon.state.journals import LogJournal
from risk_daemon.state.log_anchor import REMOVED, witness
from risk_daemon.state.log_lines import Link
from risk_daemon.state.log_pieces import closed_pieces
from risk_daemon.state.store.sqlite import SqliteStore
from tests.unit.state.log_writing import WALL, piece, write

DAY = 86_400.0


@dataclass
class Kept:
    """A state directory with a log of some days, and whoever keeps it."""

    paths: Paths
    store: SqliteStore
    journal: LogJournal
    clock: ManualClock
    may_remove: bool = True

    def keeper(self, keep_s: float = 10 * DAY) -> LogKeeper:
        return LogKeeper(
            self.paths.events,
            keep_s,
            self.journal,
            self.store,
            self.clock,
            last_wall=last_written(self.paths.events),
            may_remove=lambda: self.may_remove,
        )

    def verified(self) -> Any:
        known = witness(self.paths.database)
        assert known is not None
        assert known.anchor is not None
        return verify_log(self.paths.events, known.anchor.seq, known.anchor.hash, known.removed)

    def pieces(self) -> list[str]:
        return [one.name for one in closed_pieces(self.paths.events)]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    StateDir.open(tmp_path, accounts={"kraken": "x"}, initial_capital="1", create=True).close()
    paths = Paths(tmp_path)
    for day in range(4):
        write(paths.events, 6, wall=WALL + day * DAY)
    store = SqliteStore.open(paths.database)
    journal = await open_journal(paths, store, await store.load())
    kept = Kept(paths, store, journal, ManualClock(wall=WALL + 3 * DAY + 60))
    yield kept
    await kept.journal.close()
    await kept.store.close()


async def reopened(kept: Kept) -> None:
    """As the next start does."""
    await kept.journal.close()
    kept.journal = await open_journal(kept.paths, kept.store, dict(await kept.store.load()))


async def test_the_oldest_piece_goes_when_it_is_old_and_the_log_is_whole_without_it(kept: Kept) -> None:
    keeper = kept.keeper()
    await keeper.look()
    assert kept.pieces()[0] == "events.000001.jsonl", "nothing is old yet"
    kept.clock.advance(9 * DAY)
    await keeper.look()
    assert kept.pieces()[0] == "events.000002.jsonl"
    last = list(read_log(kept.paths.events))[-1]
    assert (last.event, last.fields["piece"], last.fields["last_line"]) == ("log_pruned", "events.000001.jsonl", 5)
    found = kept.verified()
    assert (found.ok, found.first) == (True, 6)
    assert found.problem is None
    await reopened(kept)
    assert "log_cut" not in [line.event for line in read_log(kept.paths.events)]


async def test_one_piece_a_look_and_never_the_last(kept: Kept) -> None:
    keeper = kept.keeper()
    kept.clock.advance(100 * DAY)
    left = []
    for _ in range(6):
        await keeper.look()
        left.append(len(kept.pieces()))
    assert left == [3, 2, 1, 1, 1, 1]
    assert kept.verified().ok


async def test_nothing_goes_while_old_lines_are_needed(kept: Kept) -> None:
    """While a trip stands, or alerts have not read what they missed."""
    keeper, kept.may_remove = kept.keeper(), False
    kept.clock.advance(100 * DAY)
    await keeper.look()
    assert len(kept.pieces()) == 4
    kept.may_remove = True
    await keeper.look()
    assert len(kept.pieces()) == 3


async def test_a_clock_that_jumps_ahead_removes_nothing(kept: Kept) -> None:
    keeper = kept.keeper(20 * DAY)
    kept.clock.jump(4_000 * DAY)
    await keeper.look()
    assert len(kept.pieces()) == 4
    late = kept.keeper(20 * DAY)  # a start with a clock that is ahead
    await late.look()
    assert len(kept.pieces()) == 4


@pytest.mark.parametrize("step", ["store", "journal", "remove"])
async def test_what_fails_removes_nothing_and_leaves_the_log_whole(
    kept: Kept, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does a kill: it is the same as never getting further."""

    def fails(*_: object, **__: object) -> Any:
        raise RecordError("planted")

    keeper = kept.keeper()
    kept.clock.advance(100 * DAY)
    with monkeypatch.context() as patch:
        if step == "store":
            patch.setattr(kept.store, "save", fails)
        elif step == "journal":
            patch.setattr(kept.journal, "append", fails)
        else:
            patch.setattr(log_keeping, "remove", fails)
        await keeper.look()
    assert len(kept.pieces()) == 4
    assert kept.verified().ok
    await reopened(kept)
    assert kept.verified().ok
    await kept.keeper().look()
    assert len(kept.pieces()) == 3
    assert kept.verified().ok


# --- what a start finds --------------------------------------------------------------------------------


async def cuts(kept: Kept) -> list[str]:
    known = witness(kept.paths.database)
    assert known is not None
    return [one.partition(": ")[2] for one in known.cuts]


async def test_the_first_piece_that_somebody_removed_is_told_once(kept: Kept) -> None:
    piece(kept.paths.events, 1).unlink()
    for _ in range(2):
        await reopened(kept)
        assert await cuts(kept) == [f"{kept.paths.events} begins with line 6, and retention removed none after line 0"]
    assert [line.event for line in read_log(kept.paths.events)].count("log_cut") == 1
    assert kept.verified().ok, "from now on that is where it begins: what was found stays in the state"


async def test_the_newest_piece_that_somebody_removed_is_told_once(kept: Kept) -> None:
    piece(kept.paths.events, 4).unlink()
    for _ in range(3):
        await reopened(kept)
        (told,) = await cuts(kept)
        assert "line 1 has seq 21 where 16 belongs, after events.000003.jsonl" in told
    assert not kept.verified().ok, "the chain stays broken there"


async def test_a_log_that_was_cut_at_both_ends_is_told_of_both(kept: Kept) -> None:
    piece(kept.paths.events, 1).unlink()
    kept.paths.events.unlink()
    await reopened(kept)
    (told,) = await cuts(kept)
    assert "ends after line 20, and 4 lines after it were on disk" in told
    assert "begins with line 6" in told


def forget_the_state(directory: Path) -> None:
    for file in directory.glob("state.db*"):
        file.unlink()


async def test_a_state_that_knows_of_no_log_takes_it_as_it_begins(kept: Kept, tmp_path: Path) -> None:
    piece(kept.paths.events, 1).unlink()
    await kept.store.close()
    forget_the_state(tmp_path)
    StateDir.open(tmp_path, accounts={"kraken": "x"}, initial_capital="1", create=True).close()
    kept.store = SqliteStore.open(kept.paths.database)
    await reopened(kept)
    assert await cuts(kept) == []
    assert (await kept.store.load())[REMOVED]["seq"] == 5
    await reopened(kept)
    assert await cuts(kept) == []


async def test_a_damaged_end_is_set_aside_piece_by_piece_where_a_trip_must_be_finished(kept: Kept) -> None:
    await kept.journal.close()
    kept.paths.events.write_bytes(b"<html>\n")
    last = piece(kept.paths.events, 4)
    last.write_bytes(last.read_bytes()[:-30] + b"\n")
    kept.journal = await open_journal(kept.paths, kept.store, dict(await kept.store.load()), must_open=True)
    assert len(list(kept.paths.root.glob("events*.damaged-*"))) == 2
    log = EventLog.open(kept.paths.events)
    assert log.seq == 16, "15 lines are left, and the cut is told"
    log.close()
    assert Link.of(list(read_log(kept.paths.events))[-1]).seq == 16
