"""The agent of the examples as it is run: a real process, a real broker, and a simulated venue with orders."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import harness
from tests.kafka import Broker

AGENT = harness.ROOT / "examples" / "protector_agent.py"
_SPEC = importlib.util.spec_from_file_location("protector_agent", AGENT)
assert _SPEC is not None
assert _SPEC.loader is not None
protector_agent = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(protector_agent)
DONE = "done.json"


class Agent:
    """One group, run as often as it is started. Its words of all runs are in one file."""

    def __init__(self, directory: Path, broker: Broker, venue: harness.Venue, group: str = "desk") -> None:
        self.done = directory / DONE
        self._said = directory / "said.txt"
        self._command = [
            sys.executable, str(AGENT), "--bootstrap", broker.address, "--endpoint", venue.endpoint,
            "--group", group, "--done", str(self.done),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._said.open("ab") as file:
            self._process = subprocess.Popen(self._command, cwd=harness.ROOT, stdout=file, stderr=file)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        return self._said.read_text()

    def wait_for(self, words: str, count: int = 1) -> None:
        def look() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.said()
            return self.said().count(words) >= count

        harness.wait_for(look, lambda: f"{words!r} x {count}; it said {self.said()}")


@pytest.fixture
def venue(simulate: Callable[[str], harness.Venue]) -> harness.Venue:
    return simulate("kraken")


@pytest.fixture
def agent(tmp_path: Path, broker: Broker, venue: harness.Venue) -> Iterator[Agent]:
    one = Agent(tmp_path, broker, venue)
    one.start()
    one.wait_for("listening for The3PercentFreeze")
    yield one
    one.kill()


def place(venue: harness.Venue, count: int) -> None:
    """So many orders are open."""
    venue.post("/order", symbol="BTC/USDT", side="buy", type="limit", price="40000", quantity="0.001", count=count)


def opened(venue: harness.Venue) -> int:
    return int(venue.get("/state")["open_order_count"])


def trip(trip_id: str, **facts: Any) -> bytes:
    whole = {
        "format": 1, "event_type": "The3PercentFreeze", "trip_id": trip_id, "action": "CANCEL_ALL_OPEN_ORDERS",
        "urgency": "high", "timestamp": datetime.now(UTC).isoformat(), "equity_loss": "300", "loss_ratio": "0.03",
        "currency": "USDT", "reason": "too much",
    }  # fmt: skip
    return json.dumps({**whole, **facts}).encode()


def test_it_cancels_everything_and_a_repeat_cancels_nothing_more(
    agent: Agent, broker: Broker, venue: harness.Venue
) -> None:
    place(venue, 3)
    broker.put(trip("trip-1"), "trip-1")
    agent.wait_for("done: 'trip-1': 3 orders were cancelled, and none is open")
    assert opened(venue) == 0
    assert "lost '300' 'USDT': 'too much'" in agent.said()
    place(venue, 2)
    broker.put(trip("trip-1"), "trip-1")
    agent.wait_for("done already: 'trip-1'")
    assert opened(venue) == 2
    broker.put(trip("trip-2", equity_loss=None), "trip-2")
    agent.wait_for("done: 'trip-2': 2 orders were cancelled")
    assert "lost an unknown amount" in agent.said()
    assert json.loads(agent.done.read_text()) == ["trip-1", "trip-2"]


LATER = (datetime.now(UTC) + timedelta(days=400)).isoformat()
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is no JSON"),
    "garbage": (b"\xff\xfe\x00trip", "it is no JSON"),
    "nested": (b"[" * 100_000, "it is no JSON"),
    "a list": (b"[1]", "it is no JSON object"),
    "another event": (
        trip("t", event_type="Lunch"),
        "its event type is 'Lunch', and this agent hears The3PercentFreeze",
    ),
    "another action": (trip("t", action="BUY"), "its action is 'BUY'"),
    "no trip": (trip(""), "it names no trip"),
    "no time": (trip("t", timestamp=7), "it has no timestamp"),
    "no zone": (trip("t", timestamp="2026-11-22T10:00:00"), "it has no timestamp"),
    "the future": (trip("t", timestamp=LATER), "s from the future"),
}


@pytest.mark.long
def test_what_no_guard_said_is_passed_over_with_a_sentence(agent: Agent, broker: Broker, venue: harness.Venue) -> None:
    place(venue, 1)
    for number, (case, (body, sentence)) in enumerate(REFUSED.items(), 1):
        before = agent.said().count(sentence)
        broker.put(body, "k")
        agent.wait_for("passed over: ", number)
        assert agent.said().count(sentence) == before + 1, case
    assert opened(venue) == 1
    broker.put(trip("trip-1"), "trip-1")
    agent.wait_for("done: 'trip-1': 1 orders were cancelled")


@pytest.mark.long
def test_what_came_while_it_was_away_is_done_when_it_is_back(
    agent: Agent, broker: Broker, venue: harness.Venue
) -> None:
    broker.put(trip("trip-1"), "trip-1")
    agent.wait_for("done: 'trip-1'")
    agent.kill()
    place(venue, 2)
    broker.put(trip("trip-2"), "trip-2")
    agent.start()
    agent.wait_for("done: 'trip-2': 2 orders were cancelled")
    assert agent.said().count("'trip-1'") == 2, "told and done, and not heard again"


@pytest.mark.long
def test_killed_in_the_middle_it_begins_where_it_was(agent: Agent, broker: Broker, venue: harness.Venue) -> None:
    """Nothing is committed before the orders are gone."""
    place(venue, 2)
    venue.post("/fault", how="html", target="open_orders")  # which ccxt takes for an empty list
    broker.put(trip("trip-1"), "trip-1")
    agent.wait_for("NOT DONE, it is tried again", 2)
    agent.kill()
    assert json.loads(agent.done.read_text()) == []
    assert opened(venue) == 2
    venue.delete("/fault")
    agent.start()
    agent.wait_for("done: 'trip-1': 2 orders were cancelled")
    assert opened(venue) == 0


@pytest.mark.long
def test_a_group_that_is_new_does_nothing_for_what_was_before_it(
    tmp_path: Path, broker: Broker, venue: harness.Venue
) -> None:
    place(venue, 1)
    broker.put(trip("trip-0"), "trip-0")
    one = Agent(tmp_path, broker, venue)
    try:
        one.start()
        one.wait_for("listening")
        broker.put(trip("trip-1"), "trip-1")
        one.wait_for("done: 'trip-1'")
        assert "trip-0" not in one.said()
    finally:
        one.kill()


@pytest.mark.long
def test_a_memory_that_is_spoilt_is_said_and_the_trip_done_once_more(
    tmp_path: Path, broker: Broker, venue: harness.Venue
) -> None:
    one = Agent(tmp_path, broker, venue)
    one.done.write_text("{")
    try:
        one.start()
        one.wait_for("listening")
        assert "can't be read" in one.said()
        broker.put(trip("trip-1"), "trip-1")
        one.wait_for("done: 'trip-1'")
    finally:
        one.kill()
    assert json.loads(one.done.read_text()) == ["trip-1"]


@pytest.mark.long
def test_a_broker_that_is_away_is_waited_for(agent: Agent, broker: Broker, venue: harness.Venue) -> None:
    place(venue, 1)
    broker.shut()
    agent.kill()
    agent.start()
    agent.wait_for("the broker can't be heard")
    broker.open()
    agent.wait_for("listening", 2)
    broker.put(trip("trip-1"), "trip-1")
    agent.wait_for("done: 'trip-1': 1 orders were cancelled")


@pytest.mark.long
def test_a_place_that_the_broker_forgot_is_no_first_start(tmp_path: Path, broker: Broker, venue: harness.Venue) -> None:
    """Brokers forget the places of a group that was away for some days, and trips may have come meanwhile."""
    place(venue, 2)
    broker.put(trip("trip-0"), "trip-0")
    broker.put(trip("trip-1"), "trip-1")
    one = Agent(tmp_path, broker, venue)
    one.done.write_text('["trip-0"]')
    try:
        one.start()
        one.wait_for("done: 'trip-1': 2 orders were cancelled")
        one.wait_for("done already: 'trip-0'")
    finally:
        one.kill()


@pytest.mark.long
def test_an_agent_that_heard_of_no_trip_yet_was_there_before(
    tmp_path: Path, broker: Broker, venue: harness.Venue
) -> None:
    first = Agent(tmp_path, broker, venue)
    first.start()
    first.wait_for("listening")
    first.kill()
    place(venue, 1)
    broker.put(trip("trip-1"), "trip-1")
    again = Agent(tmp_path, broker, venue, group="a place that is not there any more")
    try:
        again.start()
        again.wait_for("done: 'trip-1': 1 orders were cancelled")
    finally:
        again.kill()


def parsed(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    monkeypatch.setattr(sys, "argv", ["agent", "--bootstrap", "127.0.0.1:1", *words])
    arguments: argparse.Namespace = protector_agent.parse()
    return arguments


def test_each_group_has_a_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agents in one folder: what one has done for its account says nothing of the other's."""
    one, two = (parsed(monkeypatch, "--group", group).done for group in ("desk-1", "../desk/2"))
    assert (str(one), str(two)) == ("protector-done-desk-1.json", "protector-done-..%2Fdesk%2F2.json")
    assert parsed(monkeypatch, "--done", "mine.json").done == Path("mine.json")


class Odd:
    """A consumer that fails in a way that the library does not speak of, and whose end hangs."""

    starts = 0

    async def start(self) -> None:
        Odd.starts += 1
        if Odd.starts > 2:
            raise asyncio.CancelledError
        raise ValueError("an odd answer")

    async def stop(self) -> None:
        await asyncio.Event().wait()


def test_no_failure_ends_it_and_none_is_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(protector_agent, "consumer_of", lambda _: Odd())
    monkeypatch.setattr(protector_agent, "STOP_WITHIN_S", 0.01)
    monkeypatch.setattr(protector_agent, "PAUSES_S", (0.0,))
    arguments = parsed(monkeypatch, "--endpoint", "http://127.0.0.1:1", "--done", str(tmp_path / DONE))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asyncio.wait_for(protector_agent.listen(arguments), 10.0))
    said = capsys.readouterr().out
    assert said.count("NOT LISTENING, it is tried again: ValueError: an odd answer") == 2
