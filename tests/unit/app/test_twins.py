"""Peers, as `check` names them; two guards as processes are in e2e/test_twins.py."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.app.twins import (
    Claim,
    Visit,
    claimed,
    guarded_by,
    meet_peers,
    meet_peers_that_can_be_met,
    peer_findings,
    visit,
)
from risk_daemon.config.load import Settings, load
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import CircuitBreakerError, ConfigError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import ResetRequested
from risk_daemon.state.board.base import LEASE_S, Answer, Known, Standing
from risk_daemon.state.board.redis import RedisBoard
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from tests.board_servers import until
from tests.core_world import engine_settings, with_
from tests.redis_server import RedisServer
from tests.unit.config.files import PORTFOLIO, SIMULATED, write


def settings(tmp_path: Path, store: str, more: str = "") -> Settings:
    return load(write(tmp_path, PORTFOLIO, SIMULATED, f'[state]\nstore = "{store}"\n{more}'))


def test_peers_are_named_with_the_place_where_they_meet(tmp_path: Path) -> None:
    peers = '[guard]\nname = "a"\npeers = ["b"]\n'
    finding, blind, guarded = peer_findings(settings(tmp_path, "postgresql://guard@127.0.0.1/risk", peers))
    assert "a and b heed each other" in finding.sentence
    assert "state.store" in finding.sentence
    assert "while one of them runs and is blind" in blind.sentence
    assert "only where b guards no more than it does: kraken (kraken, simulated, spot);" in guarded.sentence
    assert peer_findings(settings(tmp_path, "sqlite")) == []


def test_what_a_guard_guards_is_each_market_by_the_name_of_its_venue_and_where_that_is(tmp_path: Path) -> None:
    venues = """
[venues.main]
exchange = "binance"
markets = ["spot", "margin"]
[venues.practice]
exchange = "kraken"
markets = ["spot"]
sandbox = true
[venues.here]
exchange = "binanceusdm"
markets = ["perp"]
endpoint = "http://127.0.0.1:8000"
"""
    assert guarded_by(load(write(tmp_path, PORTFOLIO, venues))) == (
        "here (binanceusdm, endpoint, perp)",
        "main (binance, live, margin)",
        "main (binance, live, spot)",
        "practice (kraken, sandbox, spot)",
    )


async def test_without_the_client_a_start_is_refused_and_a_trip_is_finished_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    of_a = settings(tmp_path, "postgresql://guard@127.0.0.1/risk", '[guard]\nname = "a"\npeers = ["b"]\n')
    left_to: list[Any] = []
    daemon: Any = SimpleNamespace(parts=None, leave_switches_to=left_to.append)
    async with AsyncExitStack() as stack:
        with pytest.raises(ConfigError, match="extra `postgres`"):
            meet_peers(of_a, daemon, stack)
        with capture_logs() as logs:
            meet_peers_that_can_be_met(of_a, daemon, stack)
    assert [(line["event"], line["log_level"]) for line in logs] == [("peers_left_out", "critical")]
    assert [whom() for whom in left_to] == ["its peers, who can't be met"]


def test_a_switch_of_the_account_is_said_to_be_shared(tmp_path: Path) -> None:
    peers = '[guard]\nname = "a"\npeers = ["b"]\n[venues.kraken.dead_man]\ntimeout = "60s"\nexclusive = true\n'
    *_, shared = peer_findings(settings(tmp_path, "postgresql://guard@127.0.0.1/risk", peers))
    assert "kraken is shared with b" in shared.sentence


# --- commands beside a board ---------------------------------------------------------------------------

TRIPPED = {
    "trip_id": "trip-1",
    "breaker": "capital_loss",
    "cause": "capital_loss",
    "reason": "lost 5 %",
    "since_wall": 5.0,
    "proven": True,
    "is_freeze": False,
}
OPEN = Standing(locked=False, guarded=("kraken (kraken, simulated, spot)",))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path / "redis").start()
    yield made
    made.kill()


@pytest.fixture
async def b(server: RedisServer) -> AsyncIterator[RedisBoard]:
    """What guard b says and hears."""
    client = redis_client(RedisAddress.of(f"{server.url}"), None, 0.9)
    made = RedisBoard(client, place="redis", group="main", name="b", run="b1", others=["a"])
    yield made
    await made.close()


def of_a(tmp_path: Path, server: RedisServer) -> Settings:
    peers = f'[guard]\nname = "a"\npeers = ["b"]\n[state]\nlocks = ["file", "{server.url}"]\n'
    return load(write(tmp_path, PORTFOLIO, SIMULATED, peers))


def tripped_engine() -> Engine:
    """Of guard a, as a command finds it: its trip is proven."""
    engine = Engine(with_(engine_settings(), leases=frozenset({"twin"})))
    engine.restore({"latch": TRIPPED, "board": {"epoch": 5, "words": 50}}, SystemClock().now())
    return engine


async def holds(board: RedisBoard) -> Answer:
    """Ask until the epoch is held."""
    found: list[Answer] = []

    async def is_ours() -> bool:
        found.append(await board.exchange(OPEN, Known(epoch=5, words=50), wants=True))
        return found[-1].is_ours

    await until(is_ours)
    return found[-1]


RESET = ResetRequested(reason="looked", operator="anna", rebaseline="current")


async def test_a_command_says_what_holds_hears_who_opens_and_says_when_it_is_over(
    tmp_path: Path, server: RedisServer, b: RedisBoard
) -> None:
    engine, clock = tripped_engine(), SystemClock()
    await holds(b)
    async with visit(of_a(tmp_path, server), clock) as peers:
        assert isinstance(peers, Visit)
        await peers.look(engine)
        board = engine.outside.board
        assert board is not None
        assert (board.holder, board.epoch, board.is_told_locked, board.why_not) == ("b", 6, True, None)
        assert [(one.name, one.is_here) for one in board.peers] == [("b", True)]
        heard = await b.exchange(OPEN, Known(), wants=True)
        said = heard.others["a"]
        assert said is not None
        assert (said.locked, said.trip_id, said.is_here) == (True, "trip-1", False)
        answer = engine.process(RESET, clock.now()).answer
        assert answer is not None
        assert answer.accepted, answer.reason
        assert await peers.tell(engine) is None
    said = (await b.exchange(OPEN, Known(), wants=True)).others["a"]
    assert said is not None
    assert not said.locked


async def test_a_command_that_reaches_no_board_resets_nothing_and_says_why(tmp_path: Path, server: RedisServer) -> None:
    engine, clock, settings_of_a = tripped_engine(), SystemClock(), of_a(tmp_path, server)
    server.kill()
    async with visit(settings_of_a, clock) as peers:
        assert peers is not None
        assert "the board does not answer" in (await peers.tell(engine) or "")
        board = await peers.seen(engine)
    engine.process(board, clock.now())
    refusal = engine.why_not(RESET, clock.now()) or ""
    assert refusal.startswith("what the other guards do is not known: redis://127.0.0.1")
    assert engine.outside.snapshot() == {"epoch": 5, "words": 50}


async def test_a_board_that_is_gone_for_good_is_refused_with_the_way_out(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("risk_daemon.app.twins._PATIENCE_S", 0.5)
    engine, clock = tripped_engine(), SystemClock()
    server.kill()
    async with visit(of_a(tmp_path, server), clock) as peers:
        assert peers is not None
        await peers.look(engine)
    assert "take [guard] peers out of the file" in (engine.why_not(RESET, clock.now()) or "")


async def test_positions_are_closed_where_new_orders_are_let_through(
    tmp_path: Path, server: RedisServer, b: RedisBoard
) -> None:
    here = of_a(tmp_path, server)
    async with claimed(here, None) as claim:  # on a board that nobody made yet: it settles first
        assert claim is not None
        assert claim.why_lost is None
        answer = await b.exchange(OPEN, Known(), wants=True)
        assert (answer.is_ours, answer.holder, answer.others) == (False, "a", {"a": None})
    await holds(b)
    with pytest.raises(CircuitBreakerError, match="guard b has the right to open: close them there"):
        async with claimed(here, None):
            pass
    await b.exchange(OPEN, Known(), wants=False)
    async with claimed(here, None):
        pass
    server.kill()
    with pytest.raises(CircuitBreakerError, match="what the others do is not known"):
        async with claimed(here, None):
            pass


async def test_a_board_that_forgot_who_opens_is_no_leave_to_close_positions(
    tmp_path: Path, server: RedisServer, b: RedisBoard
) -> None:
    """Guard b may open by the lease that it has: nobody else acts before that is over."""
    await holds(b)
    server.ask("FLUSHALL")
    began_mono = SystemClock().now().mono
    async with claimed(of_a(tmp_path, server), None):
        assert SystemClock().now().mono - began_mono >= LEASE_S


async def test_a_claim_that_is_lost_says_so(tmp_path: Path, server: RedisServer, b: RedisBoard) -> None:
    async with claimed(of_a(tmp_path, server), None) as claim:
        assert claim is not None
        await b.exchange(OPEN, Known(epoch=99), wants=False)  # one that knows of more: the board was restored
        await until(lambda: lost(claim))
        assert "it settles" in (claim.why_lost or "")
        server.kill()
        await until(lambda: lost(claim, "does not answer"))


async def test_a_claim_is_renewed_while_it_is_held(tmp_path: Path, server: RedisServer, b: RedisBoard) -> None:
    settings_of_a = of_a(tmp_path, server)
    async with claimed(settings_of_a, None) as claim:
        assert claim is not None
        until_mono = SystemClock().now().mono + LEASE_S + 0.5

        async def outlives_its_first_lease() -> bool:
            assert not (await b.exchange(OPEN, Known(), wants=True)).is_ours
            assert claim.why_lost is None
            return SystemClock().now().mono > until_mono

        await until(outlives_its_first_lease)


async def lost(claim: Claim, why: str = "") -> bool:
    return claim.why_lost is not None and why in claim.why_lost


async def test_a_guard_alone_asks_nobody(tmp_path: Path) -> None:
    alone = settings(tmp_path, "sqlite")
    async with claimed(alone, None) as claim:
        assert claim is None
    async with visit(alone, SystemClock()) as peers:
        assert peers is None
