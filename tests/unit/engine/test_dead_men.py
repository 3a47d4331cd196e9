"""When a switch is refreshed, and what is told of it: moments in, actions and records out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from risk_daemon.engine.dead_men import DeadMen
from risk_daemon.engine.decision import RefreshDeadMan, Turn
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.settings import DeadManSettings, EngineSettings
from risk_daemon.errors import InvariantError
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import DeadManAnswered, DeadManDisarmed, EventName, Tick, VenueConnected
from risk_daemon.portfolio.manager import PortfolioSettings
from tests.core_world import SPOT

SWITCH = DeadManSettings(timeout_s=60.0, covers="all orders", leaves="positions")
WALL = 1_000_000.0


class Watch:
    """One switch of a venue, looked at every 0.2 s. answer: what comes of a refresh, by the moment it is asked."""

    def __init__(self, answer: Callable[[float], dict[str, Any] | None], settings: DeadManSettings = SWITCH) -> None:
        self.dead_men = DeadMen({"kraken": settings})
        self.answer = answer
        self.is_connected = True
        self.asked: list[tuple[float, bool]] = []
        self.records: list[Any] = []
        self.now_mono = 0.0

    def turn(self) -> Turn:
        return Turn(Instant(self.now_mono, WALL + self.now_mono), 1)

    def run(self, until_s: float) -> Watch:
        while self.now_mono < until_s:
            turn = self.turn()
            self.dead_men.look({"kraken": self.is_connected}, turn)
            for action in turn.actions:
                assert isinstance(action, RefreshDeadMan)
                self.asked.append((round(self.now_mono, 1), action.urgent))
                facts = self.answer(self.now_mono)
                if facts is not None:
                    event = DeadManAnswered(venue="kraken", requested_mono=self.now_mono, **facts)
                    self.dead_men.take(event, turn)
            self.records += turn.records
            self.now_mono = round(self.now_mono + 0.2, 1)
        return self

    @property
    def told(self) -> list[str]:
        return [record.name.value for record in self.records]


def good(_: float) -> dict[str, Any]:
    return {"armed": ("",)}


def failing(after: float, until: float, **facts: Any) -> Callable[[float], dict[str, Any]]:
    return lambda now: {"error": "503", **facts} if after <= now < until else good(now)


@pytest.mark.parametrize(
    ("answer", "until_s", "asked"),
    [
        (good, 61, [0, 15, 30, 45, 60]),
        # Sooner and sooner again after a failure, doubling up to a sixteenth of its time.
        (failing(15, 16), 40, [0, 15, 15.6, 16.6, 31.6]),
        (failing(15, 99), 32, [0, 15, 15.6, 16.6, 18.6, 22.4, 26.2, 30]),
        (failing(15, 16, retry_after_s=9.0), 40, [0, 15, 24, 39]),
        # Nobody asks twice at a time.
        (lambda now: None, 99, [0]),
    ],
)
def test_when_it_is_asked_for(
    answer: Callable[[float], dict[str, Any] | None], until_s: float, asked: list[float]
) -> None:
    assert [moment for moment, _ in Watch(answer).run(until_s).asked] == asked


@pytest.mark.parametrize("since", [0, 15])
def test_it_is_urgent_once_half_of_its_time_is_over(since: float) -> None:
    """One that was never armed is late as soon as the others."""
    watch = Watch(failing(since, 99)).run(58)
    assert next(moment for moment, is_urgent in watch.asked if is_urgent) == pytest.approx(32, abs=2.1)
    assert all(is_urgent is (moment > 30) for moment, is_urgent in watch.asked)
    assert watch.asked[-1][0] > 54, "to the last"


def test_a_long_time_is_no_reason_to_try_again_late() -> None:
    settings = DeadManSettings(timeout_s=86_400.0, covers="", leaves="")
    watch = Watch(failing(0, 9_999), settings).run(200)
    moments = [moment for moment, _ in watch.asked]
    longest = max(later - sooner for sooner, later in pairwise(moments))
    assert longest == pytest.approx(30, abs=0.3)


@pytest.mark.parametrize(("timeout_s", "every_s", "within_s"), [(60, 15, 10), (10, 2.5, 2.5), (86_400, 21_600, 10)])
def test_a_quarter_of_its_time_and_no_try_longer_than_that(timeout_s: float, every_s: float, within_s: float) -> None:
    settings = DeadManSettings(timeout_s=timeout_s, covers="", leaves="")
    assert settings.refresh_every_s == every_s
    turn = Turn(Instant(0.0, WALL), 1)
    DeadMen({"kraken": settings}).look({"kraken": True}, turn)
    assert turn.actions == [RefreshDeadMan("kraken", timeout_s, within_s)]


def test_nothing_is_armed_before_the_venue_was_reached_and_a_lost_one_is_tried_on() -> None:
    watch = Watch(good)
    watch.is_connected = False
    assert watch.run(20).asked == []
    watch.is_connected = True
    watch.run(21)
    watch.is_connected = False
    assert [moment for moment, _ in watch.run(60).asked] == [20, 35, 50]


def test_it_is_told_once_what_it_covers_and_leaves() -> None:
    watch = Watch(good).run(100)
    (armed,) = watch.records
    assert armed.name is EventName.DEAD_MAN_ARMED
    assert armed.fields == {
        "venue": "kraken", "markets": [], "until_wall": WALL + 60.0, "timeout_s": 60.0, "covers": "all orders",
        "leaves": "positions", "was_armed": None, "may_have_fired": False,
    }  # fmt: skip


def test_an_outage_is_told_once_and_so_is_its_end() -> None:
    watch = Watch(failing(15, 40)).run(100)
    assert watch.told == ["dead_man_armed", "dead_man_refused", "dead_man_armed"]
    _, refused, again = watch.records
    assert (refused.fields["reason"], refused.fields["until_wall"]) == ("503", WALL + 60.0)
    assert again.fields["may_have_fired"] is False


def test_after_its_time_it_will_have_fired_and_that_is_told() -> None:
    watch = Watch(failing(15, 62)).run(100)
    assert watch.told == ["dead_man_armed", "dead_man_refused", "dead_man_armed"]
    assert watch.records[-1].fields["may_have_fired"] is True


def test_a_guard_that_stood_still_tells_it_too() -> None:
    watch = Watch(good).run(1)
    watch.now_mono = 70.0
    watch.run(71)
    assert watch.told == ["dead_man_armed", "dead_man_armed"]
    assert watch.records[-1].fields["may_have_fired"] is True


@pytest.mark.parametrize(("until", "told"), [(30, []), (40, ["dead_man_refused", "dead_man_armed"])])
def test_to_be_held_back_is_no_outage_before_it_is_late(until: float, told: list[str]) -> None:
    watch = Watch(failing(15, until, is_held_back=True)).run(60)
    assert watch.told == ["dead_man_armed", *told]


def test_one_that_is_armed_for_no_market_is_not_told_of_and_fires_never() -> None:
    watch = Watch(lambda now: {"armed": ("BTC/USDT:USDT",) if now > 10 else ()})
    watch.run(10)
    assert watch.told == []
    view = watch.dead_men.view("kraken")
    assert view is not None
    assert (view.armed, view.fires_mono) == ((), None)
    assert watch.run(20).records[0].fields["markets"] == ["BTC/USDT:USDT"]


@pytest.mark.parametrize(
    ("event", "name", "armed"),
    [
        (DeadManDisarmed("kraken"), "dead_man_disarmed", ()),
        (DeadManDisarmed("kraken", is_certain=False), "dead_man_disarmed", ()),
        (DeadManDisarmed("kraken", "503"), "dead_man_refused", ("",)),
    ],
)
def test_the_end(event: DeadManDisarmed, name: str, armed: tuple[str, ...]) -> None:
    watch = Watch(good).run(1)
    record, view = watch.dead_men.disarmed(event, watch.turn().now), watch.dead_men.view("kraken")
    assert record.name == name
    assert view is not None
    assert view.armed == armed
    assert ("note" in record.fields) is (not event.is_certain and event.error is None)
    assert record.fields["covers"] == "all orders"
    if event.error is not None:
        assert record.fields["until_wall"] == WALL + 60.0
        assert "could not be disarmed: 503" in record.fields["reason"]


def test_a_venue_without_one_has_no_view() -> None:
    assert Watch(good).dead_men.view("okx") is None


# --- in the engine -----------------------------------------------------------------------------------


def engine() -> Engine:
    portfolio = PortfolioSettings(expected={"kraken": SPOT})
    return Engine(EngineSettings(portfolio=portfolio, dead_men={"kraken": SWITCH}))


def at(mono: float) -> Instant:
    return Instant(mono, WALL + mono)


def test_only_time_that_passes_asks_for_a_refresh() -> None:
    guard = engine()
    assert guard.process(Tick(), at(0)).actions == ()
    assert guard.process(VenueConnected("kraken"), at(1)).actions == ()
    assert RefreshDeadMan("kraken", 60.0, 10.0) in guard.process(Tick(), at(2)).actions
    guard.process(DeadManAnswered(venue="kraken", requested_mono=2, armed=("",)), at(3))
    view = guard.dead_men.view("kraken")
    assert view is not None
    assert view.fires_mono == 62.0


def test_a_refused_arming_is_no_reason_to_shut_the_gate() -> None:
    guard = engine()
    guard.process(VenueConnected("kraken"), at(1))
    before = guard.restraints
    guard.process(Tick(), at(2))
    refused = guard.process(DeadManAnswered(venue="kraken", requested_mono=2, error="denied"), at(3))
    assert [record.name for record in refused.records] == [EventName.DEAD_MAN_REFUSED]
    assert guard.restraints == before


def test_a_turn_that_does_not_come_to_its_end_puts_no_switch_off(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, asked = engine(), []
    guard.process(VenueConnected("kraken"), at(1))
    monkeypatch.setattr(guard.dead_men, "look", lambda *_: asked.append(1))

    def fails(*_: object) -> None:
        raise InvariantError("planted")

    monkeypatch.setattr(guard, "_evaluate", fails)
    with pytest.raises(InvariantError):
        guard.process(Tick(), at(2))
    assert asked == []
