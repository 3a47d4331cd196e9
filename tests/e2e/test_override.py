"""Wardens at their page, in a real browser and by keyboard alone, with the daemon running and stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.asking import App, Asking
from tests.e2e.browser import Person, browsing
from tests.e2e.harness import Daemon

pytestmark = pytest.mark.long

CONFIG = """
[portfolio]
initial_capital = 6000
[baselines]
peak_hold = "1s"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""


@pytest.fixture
def browser() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


class Desk:
    """A daemon, its wardens, and whoever is at the terminal."""

    def __init__(self, daemon: Daemon, browser: Any) -> None:
        self.daemon = daemon
        self._browser = browser
        self.people: dict[str, tuple[Person, App]] = {}
        self._asking: list[Asking] = []

    def ask(self, *words: str) -> Asking:
        self._asking.append(Asking(self.daemon, *words))
        return self._asking[-1]

    def enrol(self, name: str, by: str | None = None) -> None:
        """At the terminal and on the page; `by` agrees first."""
        asking = self.ask("warden", "enroll", name)
        if by is not None:
            self.agree(asking, by)
        person = Person(self._browser, name)
        person.opens(asking.address, asking.code)
        person.waits_for_focus("first")
        app = App(asking.secret)
        person.keys(app.code())
        person.waits_to_read("is a warden from now on")
        assert asking.ends() == 0, asking.said
        self.people[name] = (person, app)

    def agree(self, asking: Asking, name: str) -> Person:
        """Code, name, one-time code, passkey: with nothing but keys."""
        person, app = self.people[name]
        person.opens(asking.address, asking.code)
        if person.page.locator("#warden option").count() > 1:
            person.waits_for_focus("warden")
            person.keys(name[:3], then="Tab")
        assert person.focused() == "otp"
        person.keys(app.code())
        return person

    def close(self) -> None:
        for asking in self._asking:
            asking.stop()
        troubles = [trouble for person, _ in self.people.values() for trouble in person.troubles]
        assert troubles == []


@pytest.fixture
def desk_of(daemon_for: Callable[..., Daemon], browser: Any) -> Iterator[Callable[[str], Desk]]:
    desks: list[Desk] = []

    def make(config: str = CONFIG) -> Desk:
        desks.append(Desk(daemon_for(config, {}), browser))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def state(daemon: Daemon) -> str:
    return str(daemon.risk().get("state"))


def test_enrol_trip_and_reset_with_the_daemon_stopped(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of()
    daemon = desk.daemon.start()
    daemon.wait_open()
    desk.enrol("alice")
    assert daemon.command("halt", "--reason", "enough").returncode == 0
    assert daemon.exit_code() == 1

    reset = desk.ask("reset", "--reason", "looked at it", "--rebaseline", "keep", "--yes")
    person = desk.agree(reset, "alice")
    person.waits_to_read("Done: reset")
    facts = person.reads("#facts")
    assert reset.ends() == 0, reset.said
    assert "halted by" in facts
    assert "Open orders on kraken" in facts
    assert "The gate opens" in person.reads("#changes")
    assert daemon.of("override_granted")[-1]["who"] == "alice"
    [ended] = daemon.of("circuit_breaker_reset")
    assert ended["operator"].startswith("alice (asked by uid:")
    daemon.start()
    daemon.wait_open()
    assert daemon.command("verify-log").returncode == 0
