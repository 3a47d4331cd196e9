"""A start while another process has the state directory: it waits its turn where a trip is not proven, else it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from risk_daemon.app import service
from risk_daemon.app.owner import in_turn
from risk_daemon.config.load import load
from risk_daemon.errors import ExitCode, OwnedMidTrip, StateError, StateOwned
from risk_daemon.model.clock import SystemClock
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.latch import LATCH, latch_document
from risk_daemon.state.store.sqlite import SqliteStore
from tests.unit.app.test_finish import CONFIG

TRIP = {"trip_id": "trip-1", "breaker": "drawdown", "reason": "too much", "since_wall": 2.0, "proven": False}


async def left(root: Path, *, proven: bool | None) -> Paths:
    """proven None: without a trip."""
    directory = StateDir.open(root, accounts={"kraken": "0" * 16}, initial_capital="10000", create=True)
    directory.close()
    store = SqliteStore.open(directory.paths.database)
    latch = None if proven is None else {**TRIP, "proven": proven}
    await store.save({LATCH: latch_document(latch, SystemClock().now())})
    await store.close()
    return directory.paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "var"


class Start:
    """Takes the directory, as a guard that starts."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.refused = asyncio.Event()

    async def __call__(self) -> str:
        try:
            with StateDir.take(self._root):
                return "begun"
        except StateOwned:
            self.refused.set()
            raise


async def test_a_guard_that_finds_a_trip_waits_for_the_command_that_has_the_directory(root: Path) -> None:
    await left(root, proven=False)
    start = Start(root)
    with StateDir.take(root):
        starting = asyncio.ensure_future(in_turn(root, start))
        await start.refused.wait()
        assert not (await asyncio.wait({starting}, timeout=0.3))[0], "it waits"
    assert await asyncio.wait_for(starting, 10.0) == "begun"


@pytest.mark.parametrize("proven", [None, True])
async def test_without_a_trip_to_finish_it_ends_at_once(root: Path, proven: bool | None) -> None:
    await left(root, proven=proven)
    with StateDir.take(root), pytest.raises(StateOwned) as caught:
        await asyncio.wait_for(in_turn(root, Start(root)), 5.0)
    assert caught.value.exit_code is ExitCode.REFUSED


async def test_an_owner_that_never_ends_does_not_end_the_trying(root: Path) -> None:
    """A service manager tries again after 4, and never after 78."""
    await left(root, proven=False)
    with StateDir.take(root), pytest.raises(OwnedMidTrip, match="trip-1 is not proven: ORDERS MAY BE OPEN") as caught:
        await in_turn(root, Start(root), within_s=0.3)
    assert caught.value.exit_code is ExitCode.TRIGGERED_UNPROVEN
    unit = (Path(__file__).parents[3] / "deploy" / "risk-daemon.service").read_text()
    (prevented,) = [line.split("=")[1].split() for line in unit.splitlines() if line.startswith("RestartPrevent")]
    assert str(int(caught.value.exit_code)) not in prevented


async def test_another_refusal_is_not_tried_again(root: Path) -> None:
    await left(root, proven=False)
    tries = []

    async def refused() -> None:
        tries.append(1)
        raise StateError("of other accounts")

    with pytest.raises(StateError, match="of other accounts"):
        await in_turn(root, refused)
    assert len(tries) == 1


@pytest.mark.parametrize("refusal", [None, StateError("the file is refused")], ids=["run", "a file that is refused"])
async def test_both_ways_to_finish_a_trip_wait(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, refusal: Exception | None
) -> None:
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_API_KEY", "key")
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_SECRET", "c2VjcmV0")
    (tmp_path / "config.toml").write_text(CONFIG)
    settings = load(tmp_path / "config.toml")
    assert settings.state.dir == root
    await left(root, proven=False)
    work = service.run(settings) if refusal is None else service.finish_unproven(settings, refusal)
    with StateDir.take(root):
        starting = asyncio.ensure_future(work)
        assert not (await asyncio.wait({starting}, timeout=2.0))[0], "it waits"
        starting.cancel()
        await asyncio.wait({starting})
