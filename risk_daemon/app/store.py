"""The store that a guard works with: the one of its directory, and a server that everything is mirrored to.

What a server has may be later than what is here. It is taken over by the most restrictive of both: a lock, a halt, a
warden on either side stays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from risk_daemon.auth.remembered import WARDENS, says_guarded
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.config.credentials import store_password
from risk_daemon.config.settings import Settings
from risk_daemon.errors import RecordError, StateError
from risk_daemon.fund.ledger import Row
from risk_daemon.fund.membership import FUND
from risk_daemon.model.clock import Instant
from risk_daemon.model.events import EventName, Input, Noted, RiskEvent
from risk_daemon.runtime.persistence import HALTS
from risk_daemon.state.directory import LATCH, LOST, Paths
from risk_daemon.state.directory import latch as lock_of
from risk_daemon.state.latch import latch_of, trip_left
from risk_daemon.state.log_anchor import LOG_DOCUMENTS
from risk_daemon.state.store.base import JsonObject, Store
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.mirrored import MirroredStore, News
from risk_daemon.state.store.postgres import PostgresStore
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_schema import check
from risk_daemon.state.store.postgres_url import PostgresUrl
from risk_daemon.state.store.revised import RevisedState
from risk_daemon.state.store.sqlite import SqliteStore

Documents = Mapping[str, JsonObject]


def on_server(settings: Settings, url: PostgresUrl) -> PostgresStore:
    """This guard's state on the server. Raises ConfigError without the client, or for a credential that is none."""
    return PostgresStore(PostgresLink(url, store_password(), first=check), settings.guard.name)


async def open_store(settings: Settings, paths: Paths, now: Instant, stack: AsyncExitStack) -> Store:
    """The store, with the server met where there is one and it answers. Raises StateError, ConfigError.

    A trip that is not proven waits for no server.
    """
    local, url = SqliteStore.open(paths.database), settings.state.server
    if url is None:
        stack.push_async_callback(local.close)
        return local
    store = MirroredStore(local, RevisedState.open(paths.database), on_server(settings, url), merge=merged)
    stack.push_async_callback(store.close)
    latch = latch_of(await local.load(), now, trip_left(paths))
    try:
        await store.begin(may_take_over=latch is None or latch["proven"])
    except RecordError as error:
        raise StateError(str(error)) from error
    return store


def tell_of(store: Store, put: Callable[[Input], None]) -> None:
    """Have what becomes of the state on the server written down, and told."""
    if isinstance(store, MirroredStore):
        store.tell_news(lambda news: put(Noted(_event(news))))


def _event(news: News) -> RiskEvent:
    return RiskEvent(EventName(news.kind.value), {"message": news.message})


# --- two memories ------------------------------------------------------------------------------------


def merged(ours: Documents, theirs: Documents) -> dict[str, JsonObject]:
    """Theirs, which is later, with what is more restrictive in ours, and all that is still owed to anybody.

    Whose it is, ours says; and what is known of the event log: the log is on no server, so theirs may be of another
    machine's. That ours may be older is told by the taking over itself.
    """
    both: dict[str, JsonObject] = {key: body for key, body in theirs.items() if key not in LOG_DOCUMENTS}
    both |= {key: ours[key] for key in LOG_DOCUMENTS if key in ours}
    both[LATCH] = _stricter_latch(ours, theirs)
    if BROADCAST in ours:
        both[BROADCAST] = _all_owed(ours[BROADCAST], theirs.get(BROADCAST, {}))
    both[HALTS] = {"halts": _all_halts(ours.get(HALTS), theirs.get(HALTS))}
    if FUND in ours:
        both[FUND] = _later_member(ours[FUND], theirs.get(FUND))
    if IDENTITY in ours:
        both[IDENTITY] = ours[IDENTITY]
    if says_guarded(ours):
        both[WARDENS] = ours[WARDENS]
    if ours.get(LOST):
        both[LOST] = ours[LOST]
    return both


def _later_member(ours: JsonObject, theirs: JsonObject | None) -> JsonObject:
    """A budget that was given away must not come back, and a membership is not forgotten."""
    if theirs is None or _founding(ours) != _founding(theirs):
        return theirs or ours
    return theirs if _order(theirs) >= _order(ours) else ours


def _founding(document: JsonObject) -> object:
    charter = document.get("charter")
    return charter.get("founding") if isinstance(charter, Mapping) else None


def _order(document: JsonObject) -> tuple[int, ...]:
    """Of one that can't be read: the last of all, so it is found out."""
    try:
        return Row.of(document.get("row")).order
    except ValueError:
        return (sys.maxsize,)


def _stricter_latch(ours: Documents, theirs: Documents) -> JsonObject:
    """One that is not proven before one that is, that before none; of equals theirs. None that can be read locks."""
    return max((theirs, ours), key=_strictness).get(LATCH, {})


def _strictness(documents: Documents) -> int:
    if not lock_of(documents).locked:
        return 0
    return 1 if documents.get(LATCH, {}).get("proven") is True else 2


def _all_owed(ours: JsonObject, theirs: JsonObject) -> JsonObject:
    """What either owes and none of them has delivered."""
    outbox = Outbox()
    outbox.restore(ours)
    outbox.restore(theirs)
    return outbox.document()


def _all_halts(ours: JsonObject | None, theirs: JsonObject | None) -> list[Any]:
    """Of one scope, theirs."""
    found = {(halt.get("venue"), halt.get("bot")): halt for halt in (*halts_of(ours), *halts_of(theirs))}
    return list(found.values())


def halts_of(document: JsonObject | None) -> list[Any]:
    """Of the document that keeps them; none where it is not there or says something odd."""
    found = (document or {}).get("halts")
    return [halt for halt in found if isinstance(halt, Mapping)] if isinstance(found, list) else []
