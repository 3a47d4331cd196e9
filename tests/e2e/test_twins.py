"""Two guards over one account, as processes, with a Redis between them: what any refuses all refuse, one opens."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from risk_daemon.client import TradingGate
from tests.e2e.harness import ROOT, Daemon, Venue, wait_for
from tests.redis_server import RedisServer

pytestmark = pytest.mark.long

VENUE = "binanceusdm"
KEY, SECRET = "docs-key", "binance-as-its-documentation-has-it"
TAKEOVER_S = 6.0
LEASE_S = 4.0


def config(redis: str, name: str, peer: str, endpoints: dict[str, str]) -> str:
    return f"""
[portfolio]
initial_capital = {10_000 * len(endpoints)}
[circuit_breaker]
cancel_deadline = "25s"
[data]
reconcile_every = "1s"
[guard]
name = "{name}"
peers = ["{peer}"]
[state]
locks = ["file", "{redis}"]
""" + "".join(
        f"""
[venues.{venue}]
exchange = "binanceusdm"
markets = ["perp"]
endpoint = "{endpoint}"
"""
        for venue, endpoint in endpoints.items()
    )


def a_venue() -> Venue:
    script = ROOT / "tests" / "e2e" / "venues" / "binance_from_docs.py"
    return Venue([sys.executable, str(script), "--port", "0"], "/control")


class Twins:
    """Guards a and b, the venue that both guard, and the Redis where they meet."""

    def __init__(self, directory: Path, more_at_a: dict[str, str] | None = None) -> None:
        self.venue = a_venue()
        self.redis = RedisServer(directory / "redis").start()
        both = {VENUE: self.venue.endpoint}
        endpoints = {"a": {**both, **(more_at_a or {})}, "b": both}
        self.guards = {name: self._guard(directory / name, name, endpoints[name]) for name in ("a", "b")}

    def _guard(self, directory: Path, name: str, endpoints: dict[str, str]) -> Daemon:
        directory.mkdir()
        peer = "b" if name == "a" else "a"
        keys = dict.fromkeys(endpoints, (KEY, SECRET))
        guard = Daemon(directory, config(self.redis.url, name, peer, endpoints), keys)
        init = guard.command("init", "--yes")
        assert init.returncode == 0, init.stderr
        return guard

    def __getitem__(self, name: str) -> Daemon:
        return self.guards[name]

    def open_ones(self) -> list[str]:
        """Whose gate a bot on that machine finds open now."""
        return [name for name, guard in self.guards.items() if TradingGate(guard.state).is_open()]

    def opens(self, name: str) -> str | None:
        """Who has the right to open, as one of them knows and tells."""
        found = json.loads((self.guards[name].state / "risk.json").read_text())["guards"]["opens"]
        return found if isinstance(found, str) else None

    def start(self) -> tuple[str, str]:
        """Both run; who opens, and who stands by."""
        for guard in self.guards.values():
            guard.start()
        wait_for(lambda: all(guard.of("opening_refused") for guard in self.guards.values()), self.told)
        wait_for(self.open_ones, self.told)
        holder = self.settled()
        return holder, "b" if holder == "a" else "a"

    def settled(self) -> str:
        (holder,) = wait_for(self.open_ones, self.told)
        return holder

    def told(self) -> str:
        return json.dumps({name: guard.events()[-8:] for name, guard in self.guards.items()}, indent=1)

    def watch(self, until: Callable[[], object], within_s: float) -> tuple[float, int]:
        """How long until it holds, and the most gates that were open at once meanwhile."""
        began, most = time.monotonic(), 0
        while not until():
            assert time.monotonic() - began < within_s, self.told()
            most = max(most, len(self.open_ones()))
        return time.monotonic() - began, most

    def close(self) -> None:
        for guard in self.guards.values():
            if guard.is_running():
                guard.signal(signal.SIGCONT)
            guard.close()
        self.redis.kill()
        self.venue.kill()


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    made = Twins(tmp_path)
    yield made
    made.close()


def test_one_opens_and_when_it_is_killed_the_other_does(twins: Twins) -> None:
    holder, other = twins.start()
    assert twins.open_ones() == [holder]
    twins[holder].signal(signal.SIGKILL)
    took_s, most = twins.watch(lambda: twins.open_ones() == [other], within_s=30.0)
    assert most <= 1
    assert took_s < TAKEOVER_S, took_s
    assert twins[other].wait_for("opening_allowed")["by"] == "twin"


def test_one_with_an_older_file_opens_neither_beside_the_other_nor_after_it(tmp_path: Path) -> None:
    """Guard a was given another venue. Bots go on there when it is killed, and b knows nothing of it."""
    second = a_venue()
    twins = Twins(tmp_path, more_at_a={"second": second.endpoint})
    try:
        twins["b"].start()
        twins["b"].wait_for("opening_refused")
        twins["a"].start()
        wait_for(lambda: twins.open_ones() == ["a"], twins.told)
        twins["a"].signal(signal.SIGKILL)
        gone_mono = time.monotonic()
        twins.watch(lambda: time.monotonic() - gone_mono > TAKEOVER_S + LEASE_S, within_s=30.0)
        assert twins.open_ones() == []
        assert not twins["b"].of("opening_allowed")
        shut = json.loads(twins["b"].command("status", "--json").stdout)["lock"]
        assert shut["cause"] == "elsewhere"
        assert "guard a guards other venues, which nobody would watch here: second (binanceusdm" in shut["reason"]
    finally:
        twins.close()
        second.kill()


def test_a_halt_of_the_one_that_stands_by_shuts_the_other_and_trips_it_too_under_one_id(twins: Twins) -> None:
    holder, other = twins.start()
    began = time.monotonic()
    halt = twins[other].command("halt", "--reason", "odd")
    assert halt.returncode == 0, halt.stderr
    wait_for(lambda: not twins.open_ones(), twins.told)
    shut_s = time.monotonic() - began
    codes = {name: guard.exit_code() for name, guard in twins.guards.items()}
    assert codes == {"a": 1, "b": 1}, twins.told()
    trips = {name: guard.of("circuit_breaker_triggered")[0] for name, guard in twins.guards.items()}
    assert trips["a"]["trip_id"] == trips["b"]["trip_id"]
    assert trips[holder]["breaker"] == f"guard {other}"
    assert shut_s < 10.0, "the command itself takes some seconds"


def test_a_crash_trips_both_and_each_proves_it(twins: Twins) -> None:
    twins.start()
    twins.venue.post(marks={"BTCUSDT": 15000})
    codes = {name: guard.exit_code() for name, guard in twins.guards.items()}
    assert codes == {"a": 1, "b": 1}, twins.told()
    assert all(guard.of("venue_proven") for guard in twins.guards.values())


def test_one_that_was_stopped_and_goes_on_does_not_open_while_the_other_does(twins: Twins) -> None:
    holder, other = twins.start()
    twins[holder].signal(signal.SIGSTOP)
    twins.watch(lambda: twins.open_ones() == [other], within_s=30.0)
    twins[holder].signal(signal.SIGCONT)
    seen = len(twins[holder].of("opening_refused"))

    def has_seen_it() -> bool:
        return len(twins[holder].of("opening_refused")) > seen

    _, most = twins.watch(has_seen_it, within_s=30.0)
    assert most <= 1
    assert twins.open_ones() == [other]


def test_without_redis_neither_opens_and_both_trip_and_nothing_is_proven_until_it_is_back(twins: Twins) -> None:
    twins.start()
    twins.redis.pause()
    shut_s, _ = twins.watch(lambda: not twins.open_ones(), within_s=30.0)
    assert shut_s < LEASE_S + 0.5, shut_s
    twins.redis.resume()
    twins.settled()
    twins.redis.kill()
    wait_for(lambda: not twins.open_ones(), twins.told)
    twins.venue.post(marks={"BTCUSDT": 15000})
    codes = {name: guard.exit_code() for name, guard in twins.guards.items()}
    assert codes == {"a": 4, "b": 4}, twins.told()
    assert all(guard.of("peers_untold") and guard.of("venue_proven") for guard in twins.guards.values())
    twins.redis.start()
    for guard in twins.guards.values():
        guard.start()
    codes = {name: guard.exit_code() for name, guard in twins.guards.items()}
    assert codes == {"a": 1, "b": 1}, twins.told()


def test_a_flushed_redis_opens_nothing_until_it_settled_and_both_were_heard_of(twins: Twins) -> None:
    holder, other = twins.start()
    twins[other].signal(signal.SIGKILL)
    twins[other].exit_code()
    twins.redis.ask("FLUSHALL")
    wait_for(lambda: not twins.open_ones(), twins.told)
    refused = twins[holder].wait_for("opening_refused", 2)
    assert f"guard {other} was not heard of since the board was made: start it once" in refused["reason"]
    twins[other].start()
    twins.settled()


def test_one_that_ends_well_hands_over_at_once(twins: Twins) -> None:
    """Two exchanges of the other are enough: it need not wait for the lease."""
    holder, other = twins.start()
    twins[holder].signal(signal.SIGTERM)
    took_s, most = twins.watch(lambda: twins.open_ones() == [other], within_s=30.0)
    assert most <= 1
    assert took_s < 3.0, took_s


def test_what_resumes_is_refused_where_the_other_opens_and_each_trip_is_reset_by_itself(twins: Twins) -> None:
    holder, other = twins.start()
    wait_for(lambda: twins.opens(other) == holder, twins.told)
    disable = ("disable", "--for", "10m", "--reason", "maintenance", "--yes")
    refused = twins[other].command(*disable)
    assert refused.returncode != 0
    assert f"guard {holder} has the right to open" in refused.stdout + refused.stderr
    closing = twins[other].command("close-positions", "--yes")
    assert closing.returncode != 0
    assert f"guard {holder} has the right to open" in closing.stdout + closing.stderr

    assert twins[other].command("halt", "--reason", "odd").returncode == 0
    codes = {name: guard.exit_code() for name, guard in twins.guards.items()}
    assert codes == {"a": 1, "b": 1}, twins.told()
    reset = ("reset", "--reason", "looked", "--rebaseline", "keep", "--yes")
    first = twins["a"].command(*reset)
    assert first.returncode == 0, first.stderr
    assert "guard b still holds: manual_halt" in first.stdout + first.stderr
    assert twins["a"].of("circuit_breaker_reset")[0]["epoch"] >= 1
    twins["a"].start()
    twins["a"].wait_for("opening_refused")
    assert twins.open_ones() == []
    second = twins["b"].command(*reset)
    assert second.returncode == 0, second.stderr
    assert "still holds" not in second.stdout + second.stderr
    wait_for(lambda: twins.open_ones() == ["a"], twins.told)
    twins["b"].start()
    assert twins["b"].wait_for("opening_refused")["reason"]
    assert twins.open_ones() == ["a"]


def test_without_redis_nothing_is_reset(twins: Twins) -> None:
    twins.start()
    assert twins["a"].command("halt", "--reason", "odd").returncode == 0
    codes = {name: guard.exit_code() for name, guard in twins.guards.items()}
    assert codes == {"a": 1, "b": 1}, twins.told()
    twins.redis.kill()
    reset = twins["a"].command("reset", "--reason", "looked", "--rebaseline", "keep", "--yes")
    assert reset.returncode != 0
    assert "what the other guards do is not known" in reset.stdout + reset.stderr
    closing = twins["a"].command("close-positions", "--yes")
    assert closing.returncode != 0
    assert "what the others do is not known" in closing.stdout + closing.stderr
