"""Kraken's book, the ledger: every change of every balance, in its own rows.

https://docs.kraken.com/api-reference/account-data/get-ledgers-info
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.dialect import Book, number, text
from risk_daemon.events import Flow

FLOW_TYPES = frozenset({"deposit", "withdrawal", "transfer", "custodytransfer", "adjustment", "credit", "invite bonus"})
"""Ledger types that move money in or out. All others, and those that are new, are profit or loss."""

NOT_MONEY = frozenset({"KFEE"})

WALLET_SUFFIX = re.compile(r"\.(?:F|S|M|B|P|HOLD)$")
_BONDED_DAYS = re.compile(r"^([A-Z]{2,})\d{2}$")
_LEGACY_NAMES = {
    "XBT": "BTC",
    "XDG": "DOGE",
    "XXDG": "DOGE",
    "XXBT": "BTC",
    "XETH": "ETH",
    "XETC": "ETC",
    "XLTC": "LTC",
    "XMLN": "MLN",
    "XREP": "REP",
    "XXLM": "XLM",
    "XXMR": "XMR",
    "XXRP": "XRP",
    "XZEC": "ZEC",
    "ZAUD": "AUD",
    "ZCAD": "CAD",
    "ZEUR": "EUR",
    "ZGBP": "GBP",
    "ZJPY": "JPY",
    "ZUSD": "USD",
    "ETH2": "ETH",
}


def asset_code(raw: str) -> str:
    """One name for an asset, whichever wallet holds it: XXBT, XBT.F and XBT.M are all BTC."""
    name = WALLET_SUFFIX.sub("", raw)
    if name != raw:
        bonded = _BONDED_DAYS.match(name)
        name = bonded.group(1) if bonded else name
    return _LEGACY_NAMES.get(name, name)


def parse_rows(venue: str, ledger: Mapping[str, Mapping[str, Any]]) -> tuple[Flow, ...]:
    """Ledgers: each row as the change of its asset's amount, oldest first. What is no money is left out.

    The balance moves by amount - fee; both are in the row's asset. Moves between own wallets come in
    pairs of one group and cancel out. The documentation does not say whether drawing on a credit line
    writes rows of type `credit`; BalanceEx is read less `credit_used`, so such a row would be a deposit
    that no holding shows.
    """
    rows = (
        Flow(
            ledger_id,
            venue,
            asset_code(text(row, "asset")),
            number(row, "amount") - number(row, "fee"),
            float(number(row, "time")),
            text(row, "type"),
            str(row.get("refid") or ""),
        )
        for ledger_id, row in ledger.items()
    )
    return tuple(sorted((row for row in rows if row.asset not in NOT_MONEY), key=lambda row: (row.wall, row.flow_id)))


def split(rows: Iterable[Flow]) -> Book:
    """Rows as a book: what moved money in or out, and what is profit or loss."""
    listed = tuple(rows)
    flows = tuple(row for row in listed if row.kind in FLOW_TYPES)
    return Book(flows, tuple(row for row in listed if row.kind not in FLOW_TYPES))
