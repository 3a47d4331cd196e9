"""What `check` says of the server that the state is mirrored to: whether the gate would stay shut for it."""

from __future__ import annotations

from risk_daemon.app.composition import accounts, capital_text
from risk_daemon.app.findings import Finding, Level
from risk_daemon.app.store import on_server
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode, RecordError
from risk_daemon.state.directory import differences, identity
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.postgres import PostgresStore

_SUBJECT = "store"


async def store_findings(settings: Settings) -> list[Finding]:
    """Nothing where there is no server. Nothing is written there."""
    url = settings.state.server
    if url is None:
        return []
    try:
        remote = on_server(settings, url)
    except ConfigError as error:
        return [_problem(str(error))]
    try:
        return [await _seen(settings, remote)]
    except RecordError as error:
        return [_problem(f"THE GATE WOULD STAY SHUT: {error}")]
    finally:
        await remote.close()


async def _seen(settings: Settings, remote: PostgresStore) -> Finding:
    """Raises RecordError."""
    name, head = settings.guard.name, await remote.head()
    if head is None:
        return Finding(
            Level.OK, _SUBJECT, f"{remote.where}: it has nothing of guard {name}; the next run brings it all"
        )
    there = (await remote.identity()).get(IDENTITY)
    different = _differences(settings, dict(there or {}))
    if there is not None and different:
        return _problem(f"THE GATE WOULD STAY SHUT: guard {name} there guards other accounts ({'; '.join(different)})")
    return Finding(Level.OK, _SUBJECT, f"{remote.where}: it has save {head.revision} of guard {name}")


def _differences(settings: Settings, there: dict[str, object]) -> list[str]:
    """None where keys are missing, which is told elsewhere."""
    try:
        return differences(there, identity(accounts(settings), capital_text(settings)))
    except ConfigError:
        return []


def _problem(sentence: str) -> Finding:
    return Finding(Level.PROBLEM, _SUBJECT, sentence, ExitCode.REFUSED)
