"""mexc's own words: ids, books, sides, states, and where a thing lies."""

from __future__ import annotations

import zlib

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import TRIGGER_TYPES, HeldPosition, OpenOrder, OrderDraft

SPOT_WALLET = "spot"
CONTRACT_WALLET = "contract"
LEVERAGE = 20

_FIRST_ORDER = 739_114_860_879_000_000
_BOOKS = {
    "perp_plain": "limit",
    "perp_trigger": "plan",
    "perp_plan": "plan",
    "perp_stop": "stop",
    "perp_track": "track",
}
_SIDES = {("buy", False): 1, ("buy", True): 2, ("sell", False): 3, ("sell", True): 4}
_MEANINGS = {number: words for words, number in _SIDES.items()}
_ACCOUNTS = {SPOT_WALLET: "SPOT", CONTRACT_WALLET: "FUTURES"}


def order_number(number: int) -> str:
    """The id of the n-th order. Spot ids have letters before them on the venue; these have none."""
    return str(_FIRST_ORDER + number)


def book_of(order: OpenOrder) -> str:
    """The contract book that holds an order (limit, plan, stop or track), or `spot`."""
    if order.draft.order_type == "trailing_stop" and order.kind == "perp_trigger":
        return "track"
    return _BOOKS.get(order.kind, "spot")


def is_conditional(draft: OrderDraft) -> bool:
    """It waits for a price; on spot the venue calls it a stop limit."""
    return draft.order_type in TRIGGER_TYPES


def side_number(draft: OrderDraft) -> int:
    """1 open long, 2 close short, 3 open short, 4 close long."""
    closes = (draft.side, draft.position_side) in (("buy", "short"), ("sell", "long"))
    return _SIDES[draft.side, draft.reduce_only or closes]


def side_meant(number: int) -> tuple[str, bool] | None:
    """The side and whether it only reduces, of a number; None for one that the venue does not know."""
    return _MEANINGS.get(number)


def leg_meant(number: int) -> str:
    """The position that a side belongs to, where an account may hold a long and a short of one contract."""
    return "long" if number in (1, 4) else "short"


def position_id(position: HeldPosition) -> int:
    """Long and short of a contract are two positions."""
    return zlib.crc32(f"{position.symbol}{position.quantity > 0}".encode())


def positions_of(exchange: Exchange, symbol: str) -> list[HeldPosition]:
    """The legs of one contract."""
    return [held for held in exchange.positions.values() if held.symbol == symbol]


def account_word(wallet: str) -> str:
    """SPOT or FUTURES."""
    return _ACCOUNTS.get(wallet, "SPOT")
