"""The loss of the day over all accounts, as the store on a server has it: no daemon needs to run for that."""

from __future__ import annotations

from risk_daemon.config.credentials import store_password
from risk_daemon.config.settings import Settings
from risk_daemon.errors import RecordError, UsageError
from risk_daemon.model.clock import Clock, SystemClock
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.snapshot_place import with_tables
from risk_daemon.state.store.snapshots import Connection, DayLoss, loss_of_day


async def day_loss_in_store(settings: Settings, clock: Clock | None = None) -> DayLoss:
    """Asks the server of `[state] store`. One that can't be asked makes the loss unknown, with the reason.

    Every venue of this configuration must be among the accounts. Raises UsageError where no server is configured,
    ConfigError without its client or for a password that can't be read.
    """
    server = settings.state.server
    if server is None:
        raise UsageError('--store asks a server: [state] store is "sqlite", write the address of one there')
    expected = [(settings.guard.name, venue) for venue in settings.venues]
    link = PostgresLink(server, store_password())

    async def ask(connection: Connection) -> DayLoss:
        return await loss_of_day(connection, (clock or SystemClock()).now().wall, expected=expected)

    try:
        return await link.run(with_tables(ask))
    except RecordError as error:
        return DayLoss(unknown=(str(error),), accounts=())
    finally:
        await link.close()
