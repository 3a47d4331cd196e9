"""Where the guards of the same accounts meet, as the configuration names it."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.credentials import lock_password, store_password
from risk_daemon.config.load import Settings
from risk_daemon.config.settings import Venue
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.outside import BOARD, Outside
from risk_daemon.errors import CircuitBreakerError, ConfigError, RecordError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.model.events import BoardSeen
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.twin import Twin, TwinSettings, heeded, seen_of, standing_of
from risk_daemon.state.board.base import LEASE_S, Board, Known, said_as
from risk_daemon.state.directory import StateDir
from risk_daemon.state.store.sqlite import peek_documents

_CALL_WITHIN_S = 0.9
# How long a command asks again while the board settles: a lease, and what asking takes.
_PATIENCE_S = LEASE_S + 2.0
_PAUSE_S = 0.3
_LOG = structlog.get_logger(__name__)


def board_of(settings: Settings) -> Board:
    """PostgreSQL where there is one: it may replicate before it answers, and a Redis does not. Raises ConfigError."""
    guard, run = settings.guard, uuid.uuid4().hex
    if settings.state.server is not None:
        from risk_daemon.state.board.postgres import PostgresBoard
        from risk_daemon.state.store.postgres_link import PostgresLink

        link = PostgresLink(settings.state.server, store_password(), timeout_s=_CALL_WITHIN_S)
        return PostgresBoard(link, place=link.where, group=guard.group, name=guard.name, run=run, others=guard.peers)
    from risk_daemon.state.board.redis import RedisBoard
    from risk_daemon.state.lock.redis import require_redis
    from risk_daemon.state.redis_client import redis_client

    require_redis(f"{settings.file}: state.locks")
    address = settings.state.redis_locks[0]
    client = redis_client(address, lock_password(), _CALL_WITHIN_S)
    return RedisBoard(client, place=str(address), group=guard.group, name=guard.name, run=run, others=guard.peers)


def meet_peers(settings: Settings, daemon: Daemon, stack: AsyncExitStack) -> None:
    """From now on this guard hears the others, and they it; where it has peers. Raises ConfigError."""
    if not settings.guard.peers:
        return
    parts = daemon.parts
    twin = Twin(
        board_of(settings),
        _twin_settings(settings),
        parts.clock,
        restraints=lambda: parts.engine.restraints,
        emit=parts.inbox.put,
        known=_known_to(parts.engine),
    )
    daemon.subscribe(twin.heard)
    daemon.before_last_words(twin.leave)
    daemon.leave_switches_to(twin.left_to)
    stack.push_async_callback(twin.aclose)
    twin.start()


def _twin_settings(settings: Settings) -> TwinSettings:
    return TwinSettings(name=settings.guard.name, guarded=guarded_by(settings))


def guarded_by(settings: Settings) -> tuple[str, ...]:
    """The markets of the configuration, as peers hear of them. Nobody can tell by its own keys whose those of others
    are: so the name of a venue stands for its account.
    """
    return said_as(
        f"{name} ({venue.exchange}, {_place_of(venue)}, {market})"
        for name, venue in settings.venues.items()
        for market in venue.markets
    )


def _place_of(venue: Venue) -> str:
    if venue.simulated:
        return "simulated"
    if venue.endpoint is not None:
        return "endpoint"  # on its own machine: its port need not be that of the others
    return "sandbox" if venue.sandbox else "live"


def _known_to(engine: Engine) -> Known:
    return Known(**engine.outside.snapshot())


def meet_peers_that_can_be_met(settings: Settings, daemon: Daemon, stack: AsyncExitStack) -> None:
    """Where a trip is to be finished, they hear of it too; and not to be able to tell them is no reason not to."""
    try:
        meet_peers(settings, daemon, stack)
    except ConfigError as error:
        daemon.leave_switches_to(lambda: "its peers, who can't be met")
        _LOG.critical("peers_left_out", error=str(error), effect="they are not told of this trip")


def peer_findings(settings: Settings) -> list[Finding]:
    """Who must agree before anything opens."""
    if not settings.guard.peers:
        return []
    place = "state.store" if settings.state.server is not None else "the first Redis of state.locks"
    peers = ", ".join(settings.guard.peers)
    sentence = (
        f"{settings.guard.name} and {peers} heed each other and open one at a time; they meet in {place}, and while it"
        " does not answer nothing opens"
    )
    blind = (
        "while one of them runs and is blind, or vetoes by a rule, it keeps all others shut too; one that is down does"
        " not, unless a trip, a halt or a veto by a rule was its last word"
    )
    return [
        Finding(Level.NOTE, "guard.peers", sentence),
        Finding(Level.NOTE, "guard.peers", blind),
        Finding(Level.NOTE, "guard.peers", _what_is_guarded(settings, peers)),
        *_shared_switches(settings, peers),
    ]


def _what_is_guarded(settings: Settings, peers: str) -> str:
    return (
        f"this guard opens only where {peers} guards no more than it does: {', '.join(guarded_by(settings))}; a venue"
        " has the same name in each file, and after a change each guard is started with the new one"
    )


def _shared_switches(settings: Settings, peers: str) -> list[Finding]:
    """A venue's own switch is of the account: whoever refreshes it refreshes it for all, and only the last disarms."""
    armed = [name for name, venue in settings.venues.items() if venue.dead_man is not None]
    sentence = (
        f"the dead man's switch of {', '.join(armed)} is shared with {peers}: a guard that ends while another runs"
        " leaves it armed, and it fires unless the other has the same table"
    )
    return [Finding(Level.NOTE, "guard.peers", sentence)] if armed else []


# --- commands, while no guard of this name runs ------------------------------------------------------


class Visit:
    """A command's own words on the board. Nothing is said but what the state here says."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._board = board_of(settings)
        self._settings = _twin_settings(settings)
        self._clock = clock

    async def look(self, engine: Engine) -> None:
        """Tell what holds here, and have the engine know how the others stand; also that it can't be known, and why.

        Then with what is left to do where the board, or who held it, is gone for good.
        """
        until_mono = self._clock.now().mono + _PATIENCE_S
        while True:
            seen = await self.seen(engine)
            is_last = seen.why_not is None or self._clock.now().mono >= until_mono
            if is_last and seen.why_not is not None:
                seen = replace(seen, why_not=_with_the_way_out(seen.why_not))
            engine.process(seen, self._clock.now())
            if is_last:
                return
            await asyncio.sleep(_PAUSE_S)

    async def tell(self, engine: Engine) -> str | None:
        """Say what holds here now. Why nobody heard it; None: they heard."""
        return (await self.seen(engine)).why_not

    async def seen(self, engine: Engine) -> BoardSeen:
        """Say what holds here, and hear how the others stand."""
        asked, name = self._clock.now(), self._settings.name
        mine = standing_of(engine.restraints, asked.wall, self._settings.guarded, is_here=False)
        known = _known_to(engine)
        try:
            async with asyncio.timeout(self._settings.within_s):
                answer = await self._board.exchange(mine, known, wants=False)
        except (RecordError, TimeoutError) as error:
            return BoardSeen(
                name=name,
                asked_mono=asked.mono,
                until_mono=asked.mono + LEASE_S,
                epoch=known.epoch,
                words=known.words,
                holder="",
                is_told_locked=False,
                peers=(),
                why_not=str(error) or f"{self._board.place}: the board does not answer",
            )
        return seen_of(heeded(answer, self._settings.lease_s), mine, asked.mono, self._settings)

    async def aclose(self) -> None:
        await self._board.close()


@asynccontextmanager
async def visit(settings: Settings, clock: Clock) -> AsyncIterator[Visit | None]:
    """None where this guard has no peers. Raises ConfigError."""
    if not settings.guard.peers:
        yield None
        return
    visit = Visit(settings, clock)
    try:
        yield visit
    finally:
        await visit.aclose()


class Claim:
    """The right to open, which a command holds while it acts on the accounts by hand: then no guard opens meanwhile."""

    def __init__(self, settings: Settings, clock: Clock, known: Known) -> None:
        self._board = board_of(settings)
        self._settings = _twin_settings(settings)
        self._clock = clock
        self._known = known
        self._until_mono = -math.inf
        self._why = "it was not asked for yet"
        self._is_worth_asking = True

    @property
    def why_lost(self) -> str | None:
        """Why another guard may open now; None: none may."""
        return None if self._clock.now().mono < self._until_mono else self._why

    async def take(self) -> None:
        """Ask until it is held, or until that is known to be in vain. Raises CircuitBreakerError."""
        patient_until_mono = self._clock.now().mono + _PATIENCE_S
        while True:
            await self._ask()
            if (why := self.why_lost) is None:
                return
            if not self._is_worth_asking or self._clock.now().mono >= patient_until_mono:
                raise CircuitBreakerError(f"positions are closed by one guard at a time, and {why}")
            await asyncio.sleep(_PAUSE_S)

    async def renew(self) -> None:
        """Hold it, for ever."""
        while True:
            await asyncio.sleep(self._settings.every_s)
            await self._ask()

    async def _ask(self, *, wants: bool = True) -> None:
        asked_mono = self._clock.now().mono
        self._why, self._is_worth_asking = _LOST, False
        try:
            async with asyncio.timeout(self._settings.within_s):
                answer = await self._board.exchange(None, self._known, wants=wants)
        except (RecordError, TimeoutError) as error:
            why = str(error) or f"{self._board.place}: the board does not answer"
            self._why = f"{_UNKNOWN}: {_with_the_way_out(why)}"
            return
        self._known = Known(epoch=answer.epoch, words=answer.words, server=answer.server)
        seen = seen_of(answer, standing_of((), 0.0, self._settings.guarded), asked_mono, self._settings)
        self._until_mono = seen.until_mono if answer.is_ours else -math.inf
        if seen.why_not is not None:
            self._why, self._is_worth_asking = f"{_UNKNOWN}: {seen.why_not}", True
        elif answer.holder == self._settings.name:
            self._why, self._is_worth_asking = f"another process of guard {answer.holder} has the right to open", True
        elif answer.holder:
            self._why = f"guard {answer.holder} has the right to open: close them there, or stop it first"

    async def aclose(self) -> None:
        """Let go of it; where that is not heard, it ends by itself."""
        await self._ask(wants=False)
        await self._board.close()


@asynccontextmanager
async def claimed(settings: Settings, state: StateDir | None) -> AsyncIterator[Claim | None]:
    """While this lasts no other guard of these accounts opens, or it is told. None where this guard has no peers.

    state: what was known of the board; None: nothing is. Raises CircuitBreakerError where another guard opens, and
    where it is not known; ConfigError.
    """
    if not settings.guard.peers:
        yield None
        return
    claim = Claim(settings, SystemClock(), _known_by(state))
    try:
        await claim.take()
        renewing = asyncio.ensure_future(claim.renew())
        try:
            yield claim
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
    finally:
        await claim.aclose()


def _known_by(state: StateDir | None) -> Known:
    outside = Outside(())
    outside.restore(None if state is None else peek_documents(state.paths.database).get(BOARD))
    return Known(**outside.snapshot())


def _with_the_way_out(why: str) -> str:
    return f"{why.rstrip('.')}. {_ALONE}"


_LOST = "the right to open was lost meanwhile"
_UNKNOWN = "what the others do is not known"
_ALONE = "If no other guard acts on these accounts, take [guard] peers out of the file and say it again"
