"""Which instruments of a venue are needed to value assets in the reference currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from risk_daemon.model.account import HUBS
from risk_daemon.model.units import finite

Pairs = Mapping[frozenset[str], str]


def spot_pairs(markets: Iterable[Mapping[str, Any]]) -> Pairs:
    """{base, quote} -> symbol of every spot market that trades."""
    return {
        frozenset({market["base"], market["quote"]}): market["symbol"]
        for market in markets
        if market.get("spot") and market.get("active") is not False and market["base"] != market["quote"]
    }


def needed_symbols(assets: Iterable[str], reference: str, pairs: Pairs) -> frozenset[str]:
    """The symbols that lead each asset to `reference`, directly or through a hub, and the hubs' own rates."""
    hubs = [hub for hub in HUBS if hub != reference]
    symbols = {pairs.get(frozenset({hub, reference})) for hub in hubs}
    symbols.update(_first_pair(asset, [reference, *hubs], pairs) for asset in assets if asset != reference)
    return frozenset(symbol for symbol in symbols if symbol is not None)


def _first_pair(asset: str, targets: Iterable[str], pairs: Pairs) -> str | None:
    found = (pairs.get(frozenset({asset, target})) for target in targets if target != asset)
    return next((symbol for symbol in found if symbol is not None), None)


def mid(bid: object, ask: object) -> Decimal | None:
    """(bid + ask) / 2; None when a side is missing, not positive, or they are crossed. NaN raises ValueError."""
    if bid is None or ask is None:
        return None
    low, high = finite(bid), finite(ask)
    if low <= 0 or high <= 0 or low > high:
        return None
    return (low + high) / 2
