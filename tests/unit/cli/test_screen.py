"""The screen of `top`, headless, over a real socket: it follows the daemon, and halts only by a typed word."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Label, Sparkline, Static

from risk_daemon.cli.screen import Look, Screen, halted
from risk_daemon.config.place import Place
from risk_daemon.model.events import HaltRequested
from risk_daemon.model.status import State
from tests.api_world import ApiWorld

NEAREST = {"rule": "daily_loss", "action": "trip", "loss": "150", "limit": "400", "equity": "9600", "left": "250"}
CALM: dict[str, Any] = {
    "time": "2026-11-21T12:00:00.000+00:00",
    "state": "ACTIVE",
    "locked": False,
    "trusted": True,
    "equity": "9850",
    "reference_currency": "USDT",
    "distances": [NEAREST],
    "breakers": {"daily_loss": "NORMAL"},
    "circuit_breaker": {"state": "ACTIVE", "locked": False, "active": False, "max_portfolio_dd_nav_pct": 0.1},
    "portfolio_dd_pct": 0.032,
    "recent": {"orders": [], "fills": None, "errors": [], "vetoes": []},
}


def document(**fields: Any) -> dict[str, Any]:
    return State.shown({**CALM, **fields}).document()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    world = ApiWorld(tmp_path)
    world.control.document = document()
    world.control.points = [{"equity": "9900"}, {"equity": "9850"}]
    await world.server.start()
    yield world
    await world.server.stop()


def screen(world: ApiWorld) -> Screen:
    return Screen(Place(world.path.parent, world.path), every_s=3600.0)


async def looked(pilot: Pilot[None]) -> None:
    """Until what was asked is drawn."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def text(app: Any, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).render())


def cells(app: Any, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [[str(cell) for cell in table.get_row_at(number)] for number in range(table.row_count)]


async def test_it_shows_how_things_stand_with_the_distance_first(world: ApiWorld) -> None:
    app = screen(world)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        assert text(app, "banner") == "ACTIVE  gate open  DD: 3.2% (limit 10%) - circuit OK  12:00:00 UTC"
        assert app.query_one("#banner").has_class("good")
        assert text(app, "distance") == "250.00 USDT may still be lost: daily_loss trips at 9,600.00 USDT"
        assert cells(app, "limits") == [["daily_loss", "NORMAL", "150.00", "400.00", "250.00"]]
        assert list(app.query_one("#equity", Sparkline).data or ()) == [9900.0, 9850.0, 9850.0]
        assert text(app, "range") == "Equity of the last 24 hours: 9,850.00 to 9,900.00"


@pytest.mark.parametrize("points", [[], ["9850"], ["9850", "9850.001"]])
async def test_a_curve_that_says_nothing_is_not_shown_until_it_falls(world: ApiWorld, points: list[str]) -> None:
    """In a trip soon after a start, the past is one level line, and the loss is what moved since."""
    world.control.points = [{"equity": point} for point in points]
    app = screen(world)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        assert not app.query_one("#range").display
        assert not app.query_one("#equity").display
        world.control.document = document(state="TRIGGERED", locked=True, equity="9400")
        await pilot.press("r")
        await looked(pilot)
        assert app.query_one("#range").display is bool(points)
        if points:
            assert text(app, "range") == "Equity of the last 24 hours: 9,400.00 to 9,850.00"
        world.control.document = document(state="TRIGGERED", locked=True, equity=None)
        await pilot.press("r")
        await looked(pilot)
        assert not app.query_one("#range").display


async def test_the_curve_ends_with_the_fall_that_ended_the_daemon(world: ApiWorld) -> None:
    app = screen(world)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        fallen = State.shown(document(state="TRIGGERED", locked=True, equity="9400"))
        app._draw(Look(state=fallen, absent="nobody answers", age_s=1.0))
        assert list(app.query_one("#equity", Sparkline).data or ())[-1] == 9400.0
        assert text(app, "range") == "Equity of the last 24 hours: 9,400.00 to 9,900.00"


async def test_what_changes_is_drawn_at_the_next_look(world: ApiWorld) -> None:
    app = screen(world)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        lock = {"cause": "capital_loss", "reason": "loss of 6 %", "trip_id": "t-1", "proven": False}
        world.control.document = document(state="TRIGGERED", locked=True, lock=lock)
        await pilot.press("r")
        await looked(pilot)
        assert text(app, "banner").startswith("TRIGGERED  gate SHUT")
        assert app.query_one("#banner").has_class("bad")
        assert "loss of 6 %" in text(app, "said")
        assert "not proven yet" in text(app, "said")


async def test_in_a_trip_it_says_which_since_when_and_when_all_orders_were_gone(world: ApiWorld) -> None:
    since, proven_at = "2026-11-21T11:00:00.000+00:00", "2026-11-21T11:00:06.000+00:00"
    lock = {"cause": "capital_loss", "reason": "loss of 6 %", "trip_id": "t-1", "proven": True, "since": since}
    world.control.document = document(state="TRIGGERED", locked=True, lock={**lock, "proven_at": proven_at})
    app = screen(world)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        said = text(app, "said").splitlines()
    assert "Trip: t-1" in said
    assert any(one.startswith("Since: 2026-11-21 ") for one in said)
    assert "All orders gone: proven at 2026-11-21 11:00:06 UTC, 6.0 s after the trip" in said


async def test_without_a_daemon_it_tells_nobody_to_leave_it_running(tmp_path: Path) -> None:
    lock = {"cause": "capital_loss", "reason": "loss of 6 %", "trip_id": "t-1", "proven": False}
    (tmp_path / "risk.json").write_text(json.dumps(document(state="TRIGGERED", locked=True, lock=lock)))
    app = Screen(Place(tmp_path, tmp_path / "s.sock"), every_s=3600.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        assert "`risk-daemon run` goes on with them" in text(app, "said")
        assert "leave it running" not in text(app, "said")


async def test_one_bot_that_is_refused_is_said_though_the_gate_is_open(world: ApiWorld) -> None:
    world.control.document = document(restraints=[{"cause": "manual_halt", "reason": "it floods", "bot": "evil"}])
    app = screen(world)
    async with app.run_test() as pilot:
        await looked(pilot)
        assert text(app, "said") == "evil is refused: it floods"
        assert app.query_one("#banner").has_class("warned")


async def test_a_lock_that_bots_elsewhere_are_refused_by_is_said_though_the_gate_is_open(world: ApiWorld) -> None:
    lock = {"name": "redis://db:6379/0", "written_s": 9.0, "failing_s": 8.0, "reason": "it did not answer in time"}
    world.control.document = document(locks=[lock])
    app = screen(world)
    async with app.run_test() as pilot:
        await looked(pilot)
        assert "Lock redis://db:6379/0 CAN'T BE WRITTEN for 8.0 s" in text(app, "said")
        assert app.query_one("#banner").has_class("warned")
        assert cells(app, "locks")[0][:2] == ["redis://db:6379/0", "NO"]


async def test_who_opens_of_several_guards_is_said(world: ApiWorld) -> None:
    there = {"name": "b", "heard": True, "here": True, "cause": None, "reason": None}
    guards = {"name": "a", "opens": "a", "epoch": 3, "since": None, "answered_s": 0.2, "reason": None, "peers": [there]}
    world.control.document = document(guards=guards)
    app = screen(world)
    async with app.run_test() as pilot:
        await looked(pilot)
        assert "This guard has the right to open, epoch 3." in text(app, "figures")
        assert "Guard b is there, and holds nothing." in text(app, "figures")


async def test_none_and_not_known_are_two_things(world: ApiWorld) -> None:
    app = screen(world)
    async with app.run_test() as pilot:
        await looked(pilot)
        assert cells(app, "fills")[0][0] == "not known"
        assert cells(app, "errors")[0][0] == "none"


async def test_a_number_shows_its_table_and_the_cursor_stays_where_it_was(world: ApiWorld) -> None:
    fills = [
        {"time_wall": float(number), "venue": "v", "symbol": "S", "side": "buy", "quantity": "1", "price": "2"}
        for number in range(5)
    ]
    world.control.document = document(recent={"fills": fills})
    app = screen(world)
    async with app.run_test(size=(120, 40)) as pilot:
        await looked(pilot)
        await pilot.press("6", "down", "down")
        assert app.focused is app.query_one("#fills")
        world.control.document = document(recent={"fills": fills[1:]})
        await pilot.press("r")
        await looked(pilot)
        assert app.query_one("#fills", DataTable).cursor_row == 2


async def test_without_a_daemon_it_says_so_with_what_is_last_known(tmp_path: Path) -> None:
    (tmp_path / "risk.json").write_text(json.dumps(document(equity="9000")))
    os.utime(tmp_path / "risk.json", (0, 0))
    app = Screen(Place(tmp_path, tmp_path / "s.sock"), every_s=3600.0)
    async with app.run_test() as pilot:
        await looked(pilot)
        assert text(app, "banner").startswith("DAEMON NOT RUNNING")
        assert "last known" in text(app, "banner")
        assert "ACTIVE, DD: 3.2%" in text(app, "banner")
        assert text(app, "distance") == "", "nothing may be lost until anything: nothing is guarded"
        assert app.query_one("#banner").has_class("bad"), "an open gate of then is no open gate"
        assert "9,000.00" in text(app, "figures")
        await pilot.press("q")


async def test_nothing_is_known_where_there_is_not_even_a_file(tmp_path: Path) -> None:
    app = Screen(Place(tmp_path, tmp_path / "s.sock"), every_s=3600.0)
    async with app.run_test() as pilot:
        await looked(pilot)
        assert text(app, "distance") == ""
        assert cells(app, "positions")[0][0] == "not known"


async def typed(pilot: Pilot[None], reason: str, word: str) -> None:
    """By keyboard alone."""
    await pilot.press("h")
    await pilot.pause()
    pilot.app.screen.query_one("#reason", Input).value = reason
    await pilot.press("enter")
    pilot.app.screen.query_one("#word", Input).value = word
    await pilot.press("enter")
    await pilot.pause()
    await looked(pilot)


async def test_the_typed_word_halts_with_the_reason(world: ApiWorld) -> None:
    app = screen(world)
    async with app.run_test() as pilot:
        await looked(pilot)
        await typed(pilot, "a drill\x07", "HALT")
    [event] = world.control.events
    assert isinstance(event, HaltRequested)
    assert event.reason == "a drill"


@pytest.mark.parametrize(
    ("reason", "word", "sentence"),
    [("a drill", "HALF", "Nothing was halted: that is not HALT."), ("", "HALT", "Nothing was halted: say why.")],
)
async def test_a_slip_of_the_finger_halts_nothing(world: ApiWorld, reason: str, word: str, sentence: str) -> None:
    app = screen(world)
    async with app.run_test() as pilot:
        await looked(pilot)
        await typed(pilot, reason, word)
        if not reason:
            await pilot.press("enter")
        assert str(app.screen.query_one("#hint", Label).render()) == sentence
        await pilot.press("escape")
    assert world.control.nothing_happened()


async def test_a_halt_that_nobody_took_is_not_called_one(world: ApiWorld, tmp_path: Path) -> None:
    told, is_done = halted(Place(tmp_path, tmp_path / "nobody.sock"), "x")
    assert (told.startswith("NOT HALTED: no daemon"), is_done) == (True, False)
