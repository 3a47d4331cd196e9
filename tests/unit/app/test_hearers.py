"""Alerts that are opened beside the guard: nothing is lost until then, and nothing of it holds up or ends the guard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from risk_daemon.app import service
from risk_daemon.app.alerts import failure
from risk_daemon.app.hearers import Hearers
from risk_daemon.errors import ConfigError, ExitCode
from risk_daemon.model.events import EventName, RiskEvent

HALT = RiskEvent(EventName.MANUAL_HALT, {"operator": "me", "reason": "drill"})
FAILED = failure("guard_failed", "It failed.", 2.0)


class Heard:
    """What alerts were told, in order."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def tell(self, records: Sequence[RiskEvent], wall: float) -> None:
        self.all.append((list(records), wall))

    def send(self, alert: Any) -> None:
        self.all.append(alert)

    async def flushed(self, within_s: float) -> bool:
        return True


def ending(code: ExitCode, turns: list[str]) -> Any:
    async def run() -> ExitCode:
        turns.append("first turn")
        await asyncio.sleep(0)
        turns.append("end")
        return code

    parts = SimpleNamespace(journal=SimpleNamespace(anchor=dict))
    return SimpleNamespace(run=run, stop=lambda: None, parts=parts)


async def test_what_comes_before_they_are_open_is_handed_over_in_order() -> None:
    async with Hearers() as hearers:
        heard = Heard()

        async def how(_: AsyncExitStack) -> Any:
            hearers.send(FAILED)
            return heard

        hearers.tell([HALT], 1.0)
        await hearers.open(how)
        hearers.tell([HALT], 3.0)
        assert heard.all == [([HALT], 1.0), FAILED, ([HALT], 3.0)]


async def test_where_nobody_is_told_nothing_is_kept() -> None:
    async with Hearers() as hearers:

        async def how(_: AsyncExitStack) -> None:
            return None

        await hearers.open(how)
        hearers.tell([HALT], 1.0)
        await hearers.flushed(0.0)
        assert hearers.alerts is None


async def test_the_guard_s_first_turn_comes_before_they_are_opened_and_their_end_closes_them() -> None:
    turns: list[str] = []
    async with Hearers() as hearers:
        heard = Heard()

        async def how(stack: AsyncExitStack) -> Any:
            turns.append("alerts")
            stack.callback(turns.append, "closed")
            return heard

        hearers.open_later(how)
        hearers.tell([HALT], 1.0)
        assert await service._guard(ending(ExitCode.TRIGGERED_AND_PROVEN, turns), hearers, None) == 1
        assert turns == ["first turn", "alerts", "end"]
        assert heard.all == [([HALT], 1.0)]
    assert turns[-1] == "closed"


@pytest.mark.parametrize("error", [TypeError("Apprise is another one"), ConfigError("no secret"), OSError(5, "disk")])
async def test_whatever_opening_them_comes_to_ends_no_sweep(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    turns: list[str] = []
    async with Hearers() as hearers:

        async def how(_: AsyncExitStack) -> None:
            raise error

        hearers.open_later(how)
        assert await service._guard(ending(ExitCode.TRIGGERED_AND_PROVEN, turns), hearers, None) == 1
        hearers.tell([HALT], 1.0)
    assert "alerts_not_opened" in capsys.readouterr().out


async def test_a_disk_that_hangs_while_they_are_opened_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_LAST_ALERTS_S", 0.01)
    turns: list[str] = []
    async with Hearers() as hearers:

        async def how(_: AsyncExitStack) -> None:
            await asyncio.get_running_loop().create_future()

        hearers.open_later(how)
        assert await service._guard(ending(ExitCode.TRIGGERED_AND_PROVEN, turns), hearers, None) == 1
    assert turns == ["first turn", "end"]


@pytest.mark.parametrize("trip", [None, SimpleNamespace(proven=True)])
async def test_an_ordinary_start_is_refused_for_a_channel_that_can_t_be_used(
    trip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "open_alerts", refusing)
    opened: Any = SimpleNamespace(engine=SimpleNamespace(trip=trip))
    async with Hearers() as hearers:
        with pytest.raises(ConfigError):
            await service._open_alerts(None, opened, hearers, GUARD)  # type: ignore[arg-type]


async def test_with_a_trip_that_is_not_proven_no_channel_refuses_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "open_alerts", refusing)
    opened: Any = SimpleNamespace(engine=SimpleNamespace(trip=SimpleNamespace(proven=False)))
    turns: list[str] = []
    async with Hearers() as hearers:
        await service._open_alerts(None, opened, hearers, GUARD)  # type: ignore[arg-type]
        assert await service._guard(ending(ExitCode.TRIGGERED_AND_PROVEN, turns), hearers, None) == 1
    assert turns == ["first turn", "end"]


GUARD: Any = SimpleNamespace(is_guarding=lambda: True, write_down=None)


async def refusing(*_: Any, **__: Any) -> None:
    raise ConfigError("no secret")


async def test_others_take_their_place_when_they_are_closed_and_hear_what_came_meanwhile() -> None:
    ends: list[str] = []
    async with Hearers() as hearers:
        first, second = Heard(), Heard()

        async def the_first(stack: AsyncExitStack) -> Any:
            stack.callback(ends.append, "the first")
            return first

        async def the_second(_: AsyncExitStack) -> Any:
            assert ends == ["the first"]
            hearers.send(FAILED)
            return second

        await hearers.open(the_first)
        await hearers.replace(the_second)
        hearers.tell([HALT], 3.0)
        assert first.all == []
        assert second.all == [FAILED, ([HALT], 3.0)]


async def test_nobody_takes_their_place_where_nobody_is_to_be_told() -> None:
    async with Hearers() as hearers:
        await hearers.open(no_alerts)
        await hearers.replace(no_alerts)
        hearers.tell([HALT], 1.0)
        assert hearers.alerts is None


async def no_alerts(_: AsyncExitStack) -> None:
    return None


async def test_what_is_broadcast_is_owed_before_alerts_are_told_and_waited_for_beside_them() -> None:
    turns: list[str] = []

    async def flushed(within_s: float) -> None:
        turns.append(f"flushed within {within_s:g} s")

    async def aclose() -> None:
        turns.append("closed")

    broadcaster: Any = SimpleNamespace(
        documents={"broadcast": dict},
        prepare=lambda write, takes_what_it_gets: turns.append("prepared"),
        begin=lambda: turns.append("begun"),
        heard=lambda records, wall: turns.append("owed"),
        flushed=flushed,
        aclose=aclose,
    )
    alerts: Any = SimpleNamespace(tell=lambda records, wall: turns.append("told"), flushed=Heard().flushed)

    async def how(_: AsyncExitStack) -> Any:
        return alerts

    async with Hearers(broadcaster) as hearers:
        assert hearers.documents == {"broadcast": dict}
        hearers.broadcast(flushed, takes_what_it_gets=False)  # type: ignore[arg-type]
        await hearers.open(how)
        hearers.begin()
        hearers.tell([HALT], 1.0)
        await hearers.flushed(5.0)
    assert turns == ["prepared", "begun", "owed", "told", "flushed within 5 s", "closed"]
