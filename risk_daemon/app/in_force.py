"""The configuration that a state was guarded by last. Once a warden is enrolled, none that is looser starts.

It is kept in the store beside what losses are measured from, and follows each start that is not refused: step by
step, nobody who is no warden gets past it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError

from risk_daemon.app.composition import account
from risk_daemon.app.findings import Finding, Level
from risk_daemon.app.finish import venues_owed
from risk_daemon.auth.remembered import says_guarded
from risk_daemon.config.alerts import Alerts
from risk_daemon.config.broadcast import Broadcast
from risk_daemon.config.load import Settings, effective
from risk_daemon.config.loosening import loosened
from risk_daemon.config.notation import Table
from risk_daemon.config.settings import CircuitBreaker, Data, Venue
from risk_daemon.errors import ConfigError, ExitCode, RecordError
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.base import JsonObject, Store
from risk_daemon.state.store.sqlite import peek_documents

CONFIGURATION = "configuration"
_LOG = structlog.get_logger(__name__)
_T = TypeVar("_T", bound=Table)


class LooserConfiguration(ConfigError):
    """It is looser than what the state was guarded by last, and a warden is enrolled."""


def in_force(settings: Settings) -> dict[str, JsonObject]:
    """The document that says what guards a state from now on."""
    return {CONFIGURATION: {"settings": effective(settings)}}


def limits_of(settings: Settings) -> tuple[str, ...]:
    """What trips, each as it is written in the file, defaults included."""
    found = effective(settings)
    tables = {f"breakers.{name}": table for name, table in found["breakers"].items()}
    tables = {"circuit_breaker": found["circuit_breaker"], **tables}
    keys = ("loss_threshold", "limit", "trip_after", "action")
    return tuple(f"{name}.{key} = {table[key]}" for name, table in tables.items() for key in keys if key in table)


def looser_than_before(settings: Settings, documents: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What is looser than what was in force, by the documents of the store; None where they don't say what was."""
    known = _known(documents)
    return None if known is None else loosened(known, effective(settings))


def refuse_looser(settings: Settings, paths: Paths, documents: Mapping[str, Any]) -> None:
    """Raises LooserConfiguration, with what is looser, where only a warden may allow it."""
    if not wardens_enrolled(paths) and not says_guarded(documents):
        return
    looser = looser_than_before(settings, documents)
    if looser is None or looser:
        raise LooserConfiguration(refusal(settings, looser))


def refusal(settings: Settings, looser: tuple[str, ...] | None) -> str:
    """Why it is refused, and what to do."""
    if looser is None:
        why = "it may be looser than the configuration that was in force before, which is not known here"
    else:
        why = f"it is looser than the configuration that was in force before ({'; '.join(looser)})"
    remedy = "put that one back, or have the wardens agree to this one (`risk-daemon warden accept-configuration`)."
    return f"{settings.file}: {why}: {remedy}"


def compared(settings: Settings) -> Iterator[Finding]:
    """What `check` says of it, by the state that is there."""
    paths = Paths(settings.state.dir)
    documents, is_guarded = peek_documents(paths.database), wardens_enrolled(paths)
    looser = looser_than_before(settings, documents)
    if is_guarded and not documents:
        yield Finding(Level.WARNING, "configuration", "whether it is looser than before can't be seen from here")
    elif is_guarded and (looser is None or looser):
        yield Finding(Level.PROBLEM, "configuration", refusal(settings, looser), ExitCode.REFUSED)
    elif looser:
        yield Finding(Level.NOTE, "configuration", f"it is looser than what was in force: {'; '.join(looser)}")


def finishing_settings(settings: Settings, paths: Paths) -> Settings:
    """For a trip that is finished before a refusal: what is looser than a warden allowed is not used for it either.

    Then it is swept as it was set before, and whoever was told before is told now. Where nothing is known of that, it
    is swept by the defaults, which keep no order. Whoever is a warden: a venue of the trip that the file has no more is
    swept as it was, and where no channel or no broadcast can be read any more, what was there is used. Never raises.
    """
    documents = peek_documents(paths.database)
    known = _known(documents) or {}
    taken_out = _taken_out(settings, paths, documents)
    before: dict[str, Any] = {"venues": {**settings.venues, **taken_out}} if taken_out else {}
    if not settings.alerts.channels and _tables(known, "alerts").get("channels"):
        before["alerts"] = _as_it_was(Alerts, known["alerts"], settings.alerts)
    if settings.broadcast.kafka is None and _tables(known, "broadcast").get("kafka"):
        before["broadcast"] = _as_it_was(Broadcast, known.get("broadcast"), settings.broadcast)
    if wardens_enrolled(paths) and looser_than_before(settings, documents) != ():
        tables = _tables(known, "venues")
        venues = {name: _as_it_was(Venue, tables.get(name), venue) for name, venue in settings.venues.items()}
        before = {
            "circuit_breaker": _as_it_was(CircuitBreaker, known.get("circuit_breaker"), CircuitBreaker()),
            "alerts": _as_it_was(Alerts, known.get("alerts"), settings.alerts),
            "broadcast": _as_it_was(Broadcast, known.get("broadcast"), settings.broadcast),
            "data": _as_it_was(Data, known.get("data"), Data()),
            "venues": {**venues, **taken_out},
        }
    return settings.model_copy(update=before) if before else settings


def tables_before(paths: Paths) -> Mapping[str, Any]:
    """The configuration that the state was guarded by last; empty where it is not known. Never raises."""
    return _known(peek_documents(paths.database)) or {}


def _taken_out(settings: Settings, paths: Paths, documents: Mapping[str, Any]) -> dict[str, Venue]:
    """Venues that the trip owes and the file has no more, as they were. One under another name is still there."""
    owed, present = venues_owed(paths, documents), set()
    for name in settings.venues:
        with suppress(ConfigError):
            present.add(account(settings, name))
    found = {}
    for name, table in _tables(_known(documents) or {}, "venues").items():
        if name in owed and name not in settings.venues and owed[name] not in present:
            with suppress(ValidationError):
                found[name] = Venue.model_validate(table)
    return found


def _tables(known: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = known.get(name)
    return found if isinstance(found, Mapping) else {}


def _as_it_was(kind: type[_T], table: Any, otherwise: _T) -> _T:
    try:
        return kind.model_validate(table)
    except ValidationError:
        return otherwise


async def keep(settings: Settings, store: Store, documents: Mapping[str, Any]) -> None:
    """Remember what is in force. What can't be saved is shouted, and keeps nobody from guarding."""
    wanted = in_force(settings)
    if documents.get(CONFIGURATION) == wanted[CONFIGURATION]:
        return
    try:
        await store.save(wanted)
    except RecordError as error:
        _LOG.critical("configuration_save_failed", error=str(error))


def _known(documents: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = documents.get(CONFIGURATION)
    settings = found.get("settings") if isinstance(found, Mapping) else None
    return settings if isinstance(settings, Mapping) else None


def wardens_enrolled(paths: Paths) -> bool:
    """Whether anybody is. A list that can't be read, or says something odd, is not "nobody".

    Nor is one that is gone, or empty, while the store remembers somebody.
    """
    try:
        found = json.loads((paths.root / "wardens.json").read_bytes())
    except FileNotFoundError:
        found = {"wardens": []}
    except (OSError, ValueError, RecursionError):
        return True
    is_empty = isinstance(found, dict) and found.get("wardens") == []
    return not is_empty or says_guarded(peek_documents(paths.database))
