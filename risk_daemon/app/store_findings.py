"""What `check` says of places that several guards share: the state on a server, and where peers meet."""

from __future__ import annotations

from risk_daemon.app.findings import Finding, Level
from risk_daemon.app.store import on_server
from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError, ExitCode, RecordError
from risk_daemon.state.store.lineage import Head
from risk_daemon.state.store.mirrored import ABSENT_AFTER_S

_SUBJECT = "state.store"


async def store_findings(settings: Settings) -> list[Finding]:
    """Whether the server answers, and what it has of this guard. Nothing is written."""
    url = settings.state.server
    if url is None:
        return []
    try:
        remote = on_server(settings, url)
    except ConfigError as error:
        return [Finding(Level.PROBLEM, _SUBJECT, str(error), ExitCode.REFUSED)]
    try:
        return [_of(settings.guard.name, remote.where, await remote.head())]
    except RecordError as error:
        sentence = f"{error}; until that is mended the guard guards with its gate shut"
        return [Finding(Level.WARNING, _SUBJECT, sentence)]
    finally:
        await remote.close()


def _of(name: str, where: str, head: Head | None) -> Finding:
    if head is None:
        return Finding(Level.OK, _SUBJECT, f"{where} answers, and has nothing of guard {name} yet")
    if head.unseen_s < ABSENT_AFTER_S:
        return Finding(Level.OK, _SUBJECT, f"{where} answers; guard {name} was there {head.unseen_s:.0f} s ago")
    return Finding(Level.OK, _SUBJECT, f"{where} answers, and has save {head.revision} of guard {name}")


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
