"""Kraken Futures' book, the account log: every change of every wallet, and of every position beside it.

https://docs.kraken.com/api-reference/account-history/get-account-log
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from adapters.dialect import Book, number, optional_text, text
from risk_daemon.events import Flow

FLOW_TYPES = frozenset({"transfer", "subaccount transfer", "cross-exchange transfer", "admin transfer"})
"""Entries that move money in or out. A move between own wallets is a pair that adds up to zero.

All others are profit or loss: trades, liquidations, assignments, funding, interest, settlements,
conversions from one currency of the account to another, taxes, and entries that are new.
"""

NOT_MONEY = frozenset({"KFEE"})
_NAMES = {"XBT": "BTC", "XDG": "DOGE"}


def asset_code(raw: str) -> str:
    """`xbt` is BTC."""
    return _NAMES.get(raw.upper(), raw.upper())


def is_contract(raw: str) -> bool:
    """Whether the name of an asset is that of a contract: accounts and log list positions among the currencies."""
    return "_" in raw


def parse_rows(venue: str, rows: Iterable[Mapping[str, Any]]) -> tuple[Flow, ...]:
    """account-log: each entry of a wallet as its change, in the order given.

    A trade is two entries: one has the wallet's balance before and after, one the position's size. The
    first has profit, funding and fees in it already. The documentation does not say with how many
    digits balances are written; they are taken as they stand. Entries of one execution or booking are
    one group.
    """
    return tuple(
        Flow(
            str(row["id"]),
            venue,
            asset_code(text(row, "asset")),
            number(row, "new_balance") - number(row, "old_balance"),
            datetime.fromisoformat(text(row, "date")).timestamp(),
            text(row, "info"),
            optional_text(row, "execution", "booking_uid") or "",
        )
        for row in rows
        if not is_contract(text(row, "asset")) and asset_code(row["asset"]) not in NOT_MONEY
    )


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss."""
    listed = tuple(rows)
    flows = tuple(row for row in listed if row.kind in FLOW_TYPES)
    return Book(flows, tuple(row for row in listed if row.kind not in FLOW_TYPES))
