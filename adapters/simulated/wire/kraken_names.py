"""kraken's own spellings: ids, assets, kinds of ledger rows."""

from __future__ import annotations

from adapters.simulated.model import LedgerRow
from adapters.simulated.wire import kraken_markets

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LEDGER_KINDS = {"position": "margin", "funding": "rollover"}


def venue_id(prefix: str, number: int) -> str:
    """The n-th id of a kind in the venue's style, such as `OAAAAA-AAAAA-AAAABA`."""
    digits = []
    for _ in range(15):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    letters = "".join(reversed(digits))
    return f"{prefix}{letters[:5]}-{letters[5:10]}-{letters[10:]}A"


def wire_asset(code: str) -> str:
    """The venue's id of an asset."""
    known = kraken_markets.assets().get(code)
    return code if known is None else known.wire_id


def ledger_kind(row: LedgerRow) -> str:
    """The venue's word for a kind of ledger row."""
    return _LEDGER_KINDS.get(row.kind, row.kind)
