"""What `fund status` says: this guard's own document and the ledger as it is read now. Nothing is written or locked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.app.fund_desk import fund_of
from risk_daemon.app.fund_ledger import OpenLedger, ledger_of
from risk_daemon.app.fund_place import place_of
from risk_daemon.config.settings import Settings
from risk_daemon.errors import RecordError, StateError
from risk_daemon.fund.ledger import Books, Charter, Row
from risk_daemon.fund.membership import kept_in
from risk_daemon.model.units import plain
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.sqlite import peek_documents

Document = dict[str, Any]


async def fund_view(settings: Settings) -> Document:
    """JSON-able: `fund`, `member`, `limit` as configured, `own` and `ledger`, each with its `error`. ConfigError."""
    fund = fund_of(settings)
    ledger = ledger_of(settings)
    try:
        shared = await _shared(ledger, fund.member)
    finally:
        await ledger.aclose()
    return {
        "fund": fund.name,
        "member": fund.member,
        "limit": str(fund.limit),
        "currency": settings.portfolio.reference_currency,
        "own": _own(settings),
        "ledger": shared,
    }


def _own(settings: Settings) -> Document:
    """joined false: there is no document. error: why it says nothing, or is not to be acted on."""
    root = settings.state.dir
    document = kept_in(peek_documents(Paths(root).database))
    if document is None:
        return {"joined": False, "error": None}
    try:
        charter, row = Charter.of(document.get("charter")), Row.of(document.get("row"))
        place = place_of(root)
    except (ValueError, StateError) as error:
        return {"joined": True, "error": str(error)}
    moved = f"it was made at {row.place}, and this is {place}: this state was moved or copied"
    return {
        "joined": True,
        "error": None if row.place == place else moved,
        "founding": charter.founding,
        "place": place,
        "seat": row.seat,
        **_row(row),
    }


async def _shared(ledger: OpenLedger, member: str) -> Document:
    """error: why nothing is known of it. wrong: what in it can't be. founding null: there is no fund."""
    nothing: Document = {
        "where": ledger.where,
        "error": None,
        "founding": None,
        "trip_id": None,
        "wrong": [],
        "members": [],
    }
    try:
        read = await ledger.read()
        books = None if read.document is None else Books.of(read.document)
    except (RecordError, ValueError) as error:
        return {**nothing, "error": str(error)}
    if books is None:
        return nothing
    charter = books.charter
    return {
        **nothing,
        "founding": charter.founding,
        "limit": plain(charter.limit),
        "currency": charter.currency,
        "trip_id": books.trip,
        "spent": plain(books.spent),
        "wrong": list(books.wrong()),
        "members": [_row(row) for row in sorted(books.rows.values(), key=lambda row: row.seat)],
    }


def _row(row: Row) -> Document:
    return {
        "name": row.member,
        "budget": plain(row.budget),
        "wants": plain(row.wants),
        "asks": plain(row.asks),
        "is_funded": row.is_funded,
        "trip_id": row.trip,
        "has_left": row.has_left,
    }


def is_known(document: Mapping[str, Any]) -> bool:
    """Whether the ledger could be read and nothing in it or here is in the way."""
    return document["ledger"]["error"] is None and document["own"]["error"] is None
