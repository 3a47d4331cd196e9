"""A daemon that runs takes another file: whole and durably, or not at all and with a sentence."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app import reload as reloading
from risk_daemon.app.composition import engine_settings
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.in_force import CONFIGURATION, in_force
from risk_daemon.app.reload import Reloader
from risk_daemon.app.rules import build_rules
from risk_daemon.config.load import load as load_config
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import ExitCode
from risk_daemon.model.events import (
    BalancesSeen,
    FlowsListed,
    HaltRequested,
    Input,
    PricesSeen,
    Source,
    VenueConnected,
)
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.state.directory import Paths
from risk_daemon.state.worker import inline
from tests.core_world import amounts, price
from tests.unit.runtime.fakes import FakeAdapter, Machine
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

FILE = """
[portfolio]
initial_capital = 10000
[circuit_breaker]
loss_threshold = "50%"
confirm = false
[breakers.drawdown]
limit = "20%"
action = "veto"
[breakers.order_rate]
max_orders = 10
max_orders_total = 100
[baselines]
peak_hold = "1s"
[venues.spot]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""


class Orders:
    """What the order manager is told."""

    def __init__(self, machine: Machine) -> None:
        self.told: list[Mapping[str, Any]] = []
        self.orders = machine.orders

    def reconfigure(self, **told: Any) -> None:
        self.told.append({**told, "swept": len(self.orders.asked)})


class Guard:
    """A daemon of one venue that runs on FILE, and what reloads it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "config.toml"
        self.file.write_text(FILE)
        self.paths = Paths(directory / "var")
        self.paths.root.mkdir()
        self.settings = load_config(self.file)
        adapter: Any = FakeAdapter()
        adapter.capabilities = SimpleNamespace(has_flows=True, has_positions=False, ledger_lag_s=0.0)
        adapter.scopes = ()
        engine = Engine(engine_settings(self.settings, {"spot": adapter}), build_rules(self.settings))
        self.machine = Machine(adapter=adapter, engine=engine)
        self.engine, self.store = engine, self.machine.store
        self.store.documents |= in_force(self.settings)
        self.orders = Orders(self.machine)
        self.machine.orders.reconfigure = self.orders.reconfigure  # type: ignore[attr-defined]
        self.daemon = Daemon(self.machine.parts)
        self.hearers = Hearers()
        opened: Any = SimpleNamespace(
            paths=self.paths, store=self.store, engine=engine, site=SimpleNamespace(adapters={"spot": adapter})
        )
        self.reloader = Reloader(self.daemon, self.settings, opened, self.hearers, aside=inline)
        self.on_a_thread = Reloader(self.daemon, self.settings, opened, self.hearers)

    def feel(self, *events: Input) -> None:
        for event in events:
            self.machine.inbox.put(event)

    async def open(self) -> None:
        """Read whole, and long enough for baselines."""
        self.feel(VenueConnected("spot"))
        for _ in range(8):
            self.read(50_000)
            await pass_time(0.5)
        assert not self.engine.gate.locked

    def read(self, btc: int) -> None:
        mono = self.machine.parts.clock.now().mono
        held = amounts(USDT=5_000, BTC="0.1")
        self.feel(
            PricesSeen("spot", mono, Source.REST, (price("BTC/USDT", btc),)),
            BalancesSeen("spot", mono, Source.REST, held, complete=True),
            FlowsListed("spot", mono, ()),
        )

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    async def reload(self, **how: Any) -> Mapping[str, Any]:
        return await self.reloader.reload("anna", **how)

    async def refusal(self, **how: Any) -> str:
        """The sentence; nothing of the file is in force, nor kept as if it were."""
        rules, settings = self.engine.manager.get_status(), self.engine.settings
        said = await self.reload(**how)
        assert (said["accepted"], said["taken"]) == (False, False)
        assert self.engine.settings is settings
        assert self.engine.manager.get_status().keys() == rules.keys()
        assert self.kept == in_force(self.reloader.settings)[CONFIGURATION]
        assert said["reason"].endswith("the configuration from before stays in force.")
        return str(said["reason"])

    @property
    def kept(self) -> Any:
        return self.store.documents[CONFIGURATION]

    def written(self, name: str) -> list[Mapping[str, Any]]:
        journal = self.machine.journal
        return [journal.fields[name]] if name in journal.fields else []


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Guard]:
    guard = Guard(directory)
    run = asyncio.get_running_loop().create_task(guard.daemon.run())
    await guard.open()
    try:
        yield guard
    finally:
        await guard.reloader.aclose()
        guard.daemon.stop()
        await run


# --- what is taken ---------------------------------------------------------------------------------------


async def test_a_file_is_taken_whole_kept_first_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as guard:
        kept_when_it_acts: list[Any] = []
        take = guard.engine._reconfigure

        def look_and_take(event: Any, turn: Any) -> Any:
            kept_when_it_acts.append(guard.kept)
            return take(event, turn)

        monkeypatch.setattr(guard.engine, "_reconfigure", look_and_take)
        guard.edit('"20%"', '"15%"')
        guard.edit("max_orders = 10", "max_orders = 5")
        guard.edit("confirm = false", 'confirm = false\nsettle = "3s"')
        said = await guard.reload()
        assert (said["accepted"], said["taken"]) == (True, True)
        assert said["changes"] == [
            {"key": "circuit_breaker.settle", "old": "2 s", "new": "3 s"},
            {"key": "breakers.drawdown.limit", "old": "20 %", "new": "15 %"},
            {"key": "breakers.order_rate.max_orders", "old": "10", "new": "5"},
        ]
        assert said["looser"] == ["circuit_breaker.settle 2 s -> 3 s"]
        assert guard.kept == in_force(load_config(guard.file))[CONFIGURATION]
        assert kept_when_it_acts == [guard.kept]
        assert [told["settle_s"] for told in guard.orders.told] == [3.0]
        await pass_time(0.1)
        [told] = guard.written("configuration_reloaded")
        assert (told["by"], told["changes"], told["looser"]) == ("anna", said["changes"], said["looser"])
        assert (await guard.reload())["changes"] == []


async def test_a_dry_run_says_it_all_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"15%"')
        said = await guard.reload(dry_run=True)
        assert (said["accepted"], said["taken"], len(said["changes"])) == (True, False, 1)
        assert guard.reloader.settings is guard.settings
        assert guard.kept == in_force(guard.settings)[CONFIGURATION]
        guard.edit('"15%"', '"16%"')
        assert "it changed since it was looked at" in await guard.refusal(digest=said["digest"])


async def test_the_service_manager_waits_while_it_lasts(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.machine.told.clear()
        await guard.reload()
        told = [line for line in guard.machine.told if not line.startswith("WATCHDOG")]
        assert [line.split("\n")[0] for line in told] == ["RELOADING=1", "READY=1"]
        assert told[0].split("\n")[1].removeprefix("MONOTONIC_USEC=").isdigit()
        guard.machine.told.clear()
        await guard.reload(dry_run=True)
        assert not [line for line in guard.machine.told if line.startswith("RELOADING")]


async def test_before_the_start_is_over_it_is_not_said_to_be(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    run = asyncio.get_running_loop().create_task(guard.daemon.run())
    await pass_time(0.1)
    guard.edit('"20%"', '"15%"')
    assert (await guard.reload())["taken"]
    assert not {"READY=1"} & set(guard.machine.told)
    guard.daemon.stop()
    await run


async def test_two_at_once_take_their_turns(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"15%"')
        first, second = await asyncio.gather(guard.reload(), guard.reload())
        assert [first["taken"], second["taken"]] == [True, False]
        assert second["changes"] == []


async def test_whoever_goes_away_leaves_it_to_its_end(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"15%"')
        asking = asyncio.get_running_loop().create_task(guard.reload())
        await pass_time(0.0)
        asking.cancel()
        await asyncio.wait({asking})
        await until(lambda: guard.reloader.settings is not guard.settings)
        assert guard.kept == in_force(load_config(guard.file))[CONFIGURATION]


async def until(condition: Callable[[], bool]) -> None:
    """Threads read the file: virtual time goes on beside them."""
    for _ in range(10_000):
        if condition():
            return
        await pass_time(0.001)
    raise AssertionError("in vain")


# --- a limit that is passed already --------------------------------------------------------------------------


async def test_a_limit_that_is_passed_is_confirmed_or_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.read(40_000)
        await pass_time(0.5)
        guard.edit('"20%"', '"5%"')
        planned = await guard.reload(dry_run=True)
        [passed] = planned["acts_at_once"]
        assert (passed["breaker"], passed["action"]) == ("drawdown", "veto")
        assert "passed already (drawdown: drawdown of 10.00 %" in await guard.refusal()
        assert not guard.engine.gate.locked
        assert (await guard.reload(acts=True))["taken"]
        assert guard.engine.gate.locked


async def test_by_a_signal_it_acts_at_once(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    run = asyncio.get_running_loop().create_task(guard.daemon.run())
    await guard.open()
    guard.read(40_000)
    await pass_time(0.5)
    guard.edit('loss_threshold = "50%"', 'loss_threshold = "8%"\norder_flight = "6s"')
    guard.reloader.by_signal()
    await until(lambda: guard.engine.trip is not None)
    await pass_time(0.1)
    assert len(guard.machine.orders.asked) == 1
    [told] = guard.orders.told
    assert (told["order_flight_s"], told["swept"]) == (6.0, 0)  # before the sweep that comes of it began
    assert guard.written("configuration_reloaded")[0]["by"] == "SIGHUP"
    guard.daemon.stop()
    assert await run is ExitCode.TRIGGERED_UNPROVEN


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("limit =", "limitt =", "breakers.drawdown.limitt: this key is not known"),
        ("limit =", "limit ", "it is not valid TOML"),
        ('"20%"', '"20"', "breakers.drawdown.limit"),
        ("simulated = true", "sandbox = true", "venues.spot.simulated, venues.spot.sandbox: they need a new start"),
        ("initial_capital = 10000", "initial_capital = 9000", "portfolio.initial_capital: it needs a new start"),
        ("[baselines]", '[venues.two]\nexchange = "okx"\nmarkets = ["spot"]\n[baselines]', "venues.two: it needs"),
        ("[baselines]", '[breakers.mine]\nclass = "no_such_module:Rule"\n[baselines]', "no_such_module:Rule can't be"),
        ("[baselines]", '[alerts.channels.x]\nkind = "webhook"\nurl = "https://h/"\n[baselines]', "alerts"),
    ],
)  # fmt: skip
async def test_what_can_t_be_taken_is_a_sentence_and_changes_nothing(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    async with running(tmp_path) as guard:
        guard.edit("max_orders = 10", "max_orders = 5")
        guard.edit(old, new)
        reason = await guard.refusal(acts=True)
        assert told in reason
        await pass_time(0.1)
        assert guard.written("reload_refused") == [{"by": "anna", "reason": reason}]
        assert await guard.refusal(dry_run=True) == reason


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.file.unlink()
        assert "there is no such file" in await guard.refusal()
        guard.file.mkdir()
        assert "it can't be read" in await guard.refusal()


async def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.file.unlink()
        os.mkfifo(guard.file)
        for _ in range(3):
            assert "it is no regular file" in await guard.refusal()
        guard.file.unlink()
        guard.file.write_text(FILE.replace('"20%"', '"15%"'))
        assert (await guard.reload())["taken"] is True


@pytest.mark.looptime(False)
async def test_a_disk_that_never_answers_takes_one_thread_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In real time: a thread has no other."""
    answers = threading.Event()

    def load_when_it_answers(path: Path) -> Any:
        answers.wait()
        return load_config(path)

    def hanging() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith(("reload", "asyncio_"))]

    guard, before = Guard(tmp_path), hanging()
    monkeypatch.setattr(reloading, "load", load_when_it_answers)
    monkeypatch.setattr(reloading, "_WITHIN_S", 0.2)
    said = await guard.on_a_thread.reload("anna", dry_run=True)
    assert "It took longer than 0.2 s" in said["reason"]
    for _ in range(5):
        said = await guard.on_a_thread.reload("anna", dry_run=True)
        assert "The file can't be looked at, earlier ones still hang" in said["reason"]
    assert hanging() == [*before, "reload"]
    answers.set()
    await until(lambda: hanging() == before)
    assert (await guard.on_a_thread.reload("anna", dry_run=True))["accepted"] is True


async def test_a_file_that_somebody_is_writing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"15%"')

        def load_slowly(path: Path) -> Any:
            settings = load_config(path)
            guard.edit('"15%"', '"14%"')
            return settings

        monkeypatch.setattr(reloading, "load", load_slowly)
        assert "it changed while it was read" in await guard.refusal()


async def test_looser_takes_a_warden_once_one_is_enrolled(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"30%"')
        assert (await guard.reload())["looser"] == ["drawdown 20 % -> 30 %"]
        (guard.paths.root / "wardens.json").write_text('{"format": 1, "wardens": [{"name": "alice"}]}')
        guard.edit('"30%"', '"35%"')
        reason = await guard.refusal(acts=True)
        assert "drawdown 30 % -> 35 %" in reason
        assert "warden accept-configuration" in reason
        guard.edit('"35%"', '"25%"')
        assert (await guard.reload())["taken"]
        # What the store says may be of a start whose save failed: what runs counts as well.
        guard.store.documents |= in_force(guard.settings)
        guard.store.documents[CONFIGURATION]["settings"]["breakers"]["drawdown"]["limit"] = "40%"
        guard.edit('"25%"', '"26%"')
        assert "drawdown 25 % -> 26 %" in (await guard.reload(dry_run=True))["reason"]


async def test_what_the_engine_refuses_is_refused_and_the_store_says_what_is_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as guard:
        guard.read(39_000)
        await pass_time(0.5)
        guard.edit('"20%"', '"10%"')
        assert (await guard.reload(acts=True))["taken"]
        guard.edit('"10%"', '"30%"')
        assert "no moment for that" in await guard.refusal()
        # Between the look and the turn of the engine something may have begun to hold.
        found = guard.engine.why_not_reload
        answers = iter([None])
        monkeypatch.setattr(guard.engine, "why_not_reload", lambda event: next(answers, found(event)))
        saves = len(guard.store.saves)
        assert "no moment for that" in await guard.refusal()
        assert [save for save in guard.store.saves[saves:] if CONFIGURATION in save] != []


async def test_what_can_t_be_kept_does_not_act(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"15%"')
        guard.store.breaks()
        assert "no space left on device" in await guard.refusal()


async def test_while_a_trip_is_finished_the_file_waits(tmp_path: Path) -> None:
    guard = Guard(tmp_path)
    run = asyncio.get_running_loop().create_task(guard.daemon.run())
    await guard.open()
    await guard.daemon.command(HaltRequested("drill", "anna"))
    guard.edit('"20%"', '"15%"')
    assert "a trip stands" in await guard.refusal()
    guard.daemon.stop()
    await run


async def test_a_daemon_that_has_ended_takes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as guard:
        guard.edit('"20%"', '"15%"')
        guard.daemon.stop()
        await until(lambda: not guard.daemon.is_alive())
        assert "the daemon is stopping" in await guard.refusal()
