"""`risk-daemon migrate`: bring the state of an older version forward, here and on the server that it is mirrored to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from risk_daemon.cli.common import CONFIG, ConfigFile, app, load, run_to_end
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, RecordError, StateError

if TYPE_CHECKING:
    from risk_daemon.state.store.postgres_url import PostgresUrl


@app.command()
def migrate(config: ConfigFile = CONFIG) -> ExitCode:
    """Bring the state directory, and the tables on a server, to this version's format. Nothing is traded or cancelled.

    Refused while a daemon runs here. A copy of the old state.db is kept beside it; a lock stays a lock, and a trip that
    is not proven is finished by the next `run`. Doing it again does no harm.
    """
    root, has_server = locate(config).state, _has_server(config)
    if not has_server or (root / "state.db").exists():
        _migrate_here(root)
    if has_server:
        _migrate_servers(config)
    return ExitCode.STOPPED


def _migrate_here(root: Path) -> None:
    from risk_daemon.state import migrate as migrating

    done = migrating.migrate(root)
    if not done.steps:
        typer.echo(f"{root}: nothing to do, the state is of this version's format")
    else:
        typer.echo(f"{root}: migrated {', '.join(done.steps)}; the state as it was is in {done.copy}")
    if done.locked:
        typer.echo("Trading is locked, as before: `risk-daemon run` goes on where it was.")


def _has_server(config: Path) -> bool:
    """Of a file that may be broken elsewhere: what is here can be migrated all the same."""
    from risk_daemon.config.load import read_table
    from risk_daemon.config.state import SQLITE
    from risk_daemon.state.store.postgres_url import SCHEMES

    tables = read_table(config)
    store, ledger = _in(tables, "state", "store"), _in(tables, "fund", "ledger")
    return store not in (None, SQLITE) or (isinstance(ledger, str) and ledger.partition(":")[0] in SCHEMES)


def _in(tables: Mapping[str, Any], table: str, key: str) -> Any:
    inner = tables.get(table)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _migrate_servers(config: Path) -> None:
    """That of the state, and that of a fund's ledger where it is another one. Raises ConfigError, StateError."""
    from risk_daemon.state.store.postgres_url import PostgresUrl

    settings = load(config)
    urls = (settings.state.server, settings.ledger_address)
    for url in dict.fromkeys(url for url in urls if isinstance(url, PostgresUrl)):
        _migrate_server(url)


def _migrate_server(url: PostgresUrl) -> None:
    """Raises ConfigError, StateError."""
    from risk_daemon.config.credentials import store_password
    from risk_daemon.state.store import postgres_schema

    try:
        done = run_to_end(postgres_schema.migrate(url, store_password()))
    except RecordError as error:
        raise StateError(f"the tables on the server were not migrated: {error}") from error
    what = f"migrated {', '.join(done)}" if done else "nothing to do, the tables are this version's"
    typer.echo(f"PostgreSQL at {url.where}: {what}")
