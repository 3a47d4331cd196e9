"""Where a server keeps the state, the guard tells it of each account through the day, beside everything else."""

from __future__ import annotations

from contextlib import AsyncExitStack

from risk_daemon.app.composition import account
from risk_daemon.app.noting import Noter
from risk_daemon.config.credentials import store_password
from risk_daemon.config.settings import Settings
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.snapshot_writer import SnapshotSettings, SnapshotWriter
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.snapshot_place import SnapshotPlace
from risk_daemon.state.store.snapshots import Account


def keep_snapshots(settings: Settings, daemon: Daemon, stack: AsyncExitStack) -> None:
    """From now on until the end of the daemon, or of `stack`. Nothing where there is no server.

    Raises ConfigError where the server's client is not installed, or its password can't be read.
    """
    server = settings.state.server
    if server is None:
        return
    link = PostgresLink(server, store_password())
    accounts, guard, parts = accounts_of(settings), settings.guard.name, daemon.parts
    of = SnapshotSettings(
        guard=guard,
        accounts=accounts,
        moves_by=settings.portfolio.dust_below,
        keep_s=settings.state.keep_snapshots,
    )
    place = SnapshotPlace(link, guard, accounts, settings.guard.group if settings.guard.peers else None)
    noter = Noter(daemon.write_down)
    writer = SnapshotWriter(parts.engine, parts.clock, place, of, noter.note)

    async def end() -> None:
        await writer.close()
        await noter.flushed()

    daemon.subscribe(writer.heard)
    daemon.before_last_words(end)
    stack.push_async_callback(writer.close)
    writer.start()


def accounts_of(settings: Settings) -> list[Account]:
    """Those of the configuration. Raises ConfigError for missing credentials."""
    return [
        Account(venue=name, exchange=venue.exchange, fingerprint=account(settings, name))
        for name, venue in settings.venues.items()
    ]
