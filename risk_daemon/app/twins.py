"""Where the guards of the same accounts meet, as the configuration names it."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack

import structlog

from risk_daemon.app.findings import Finding, Level
from risk_daemon.config.credentials import lock_password, store_password
from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.twin import Twin, TwinSettings
from risk_daemon.state.board.base import Board

_CALL_WITHIN_S = 0.9
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
        TwinSettings(name=settings.guard.name),
        parts.clock,
        restraints=lambda: parts.engine.restraints,
        emit=parts.inbox.put,
    )
    daemon.subscribe(twin.heard)
    stack.push_async_callback(twin.aclose)
    twin.start()


def meet_peers_that_can_be_met(settings: Settings, daemon: Daemon, stack: AsyncExitStack) -> None:
    """Where a trip is to be finished, they hear of it too; and not to be able to tell them is no reason not to."""
    try:
        meet_peers(settings, daemon, stack)
    except ConfigError as error:
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
    return [Finding(Level.NOTE, "guard.peers", sentence)]
