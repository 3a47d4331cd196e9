"""`risk-daemon migrate`: bring the state of an older version forward."""

from __future__ import annotations

import typer

from risk_daemon.cli.common import CONFIG, ConfigFile, app
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode


@app.command()
def migrate(config: ConfigFile = CONFIG) -> ExitCode:
    """Bring the state directory of an older version to this one's format. Nothing is traded or cancelled.

    Refused while a daemon runs. A copy of the old state.db is kept beside it; a lock stays a lock, and a trip that
    is not proven is finished by the next `run`. Doing it again does no harm.
    """
    root = locate(config).state
    from risk_daemon.state import migrate as migrating

    done = migrating.migrate(root)
    if not done.steps:
        typer.echo(f"{root}: nothing to do, the state is of this version's format")
    else:
        typer.echo(f"{root}: migrated {', '.join(done.steps)}; the state as it was is in {done.copy}")
    if done.locked:
        typer.echo("Trading is locked, as before: `risk-daemon run` goes on where it was.")
    return ExitCode.STOPPED
