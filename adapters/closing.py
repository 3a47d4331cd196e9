"""Closing a position by ccxt's unified calls: what sizes its market takes, and the order that can only reduce it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapters.base import Lot
from adapters.dialect import SHORT_LEG, market_symbol
from adapters.venue import Venue
from risk_daemon.errors import MalformedReply, VenueRejected
from risk_daemon.model.account import Position
from risk_daemon.model.clock import Clock
from risk_daemon.model.units import finite, plain

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NUMBER_LENGTH = 6
_DAY_MS = 86_400_000
_DECIMAL_PLACES, _TICK_SIZE = 2, 4  # ccxt's precision modes; the third counts digits, which is no step


class OrderIds:
    """Client order ids that name what the order is for: the end of a label, and when it was sent.

    Letters and digits only, which every venue takes; no two are the same, also over a restart.
    """

    def __init__(self, length: int, clock: Clock) -> None:
        self._length = length
        self._clock = clock
        self._last_ms = 0

    def next(self, label: str) -> str:
        """The id of the next order."""
        self._last_ms = max(int(self._clock.now().wall * 1000), self._last_ms + 1)
        words = "".join(letter for letter in label if letter.isascii() and letter.isalnum())
        return words[max(0, len(words) - self._length + _NUMBER_LENGTH) :] + _number(self._last_ms % _DAY_MS)


def _number(value: int) -> str:
    digits = ""
    for _ in range(_NUMBER_LENGTH):
        value, digit = divmod(value, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def lot_of(client: Any, venue: Venue, symbol: str) -> Lot:
    """What sizes orders in the market of a position have, as ccxt lists them. Raises a VenueError if it does not.

    So it does for a position on margin where it is not known how one is closed: any other order in a spot market
    trades the holding, and leaves the position as it is.
    """
    market = (client.markets or {}).get(market_symbol(symbol))
    if not market:
        raise VenueRejected(f"{symbol} is not in the market list (any more): it can't be closed here")
    if market.get("spot") is True and not venue.closes_margin:
        raise VenueRejected(f"{symbol} is a position on margin, which can't be closed here: close it at the venue")
    try:
        step = _step(client, market)
        floors, ceilings = _limits(market, "min"), _limits(market, "max")
        return Lot(step=step, smallest=max((step, *floors)), largest=min(ceilings, default=None))
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedReply(f"the market list does not say what sizes {symbol} is traded in: {error}") from None


def _step(client: Any, market: Any) -> Decimal:
    precision = finite(market["precision"]["amount"])
    if client.precisionMode == _TICK_SIZE:
        return precision
    if client.precisionMode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(precision))
    raise ValueError("its precision is no step")


def _limits(market: Any, end: str) -> list[Decimal]:
    """Of orders and of market orders, where these have one of their own; 0 is none."""
    rows = [market["limits"].get(kind) or {} for kind in ("amount", "market")]
    return [limit for row in rows if row.get(end) is not None and (limit := finite(row[end])) > 0]


async def send(client: Any, venue: Venue, position: Position, quantity: Decimal, order_id: str) -> None:
    """One market order against the position. The size goes out as text: no float ever holds it."""
    side = "sell" if position.quantity > 0 else "buy"
    params = venue.leg_params if await _is_hedged(client, position.symbol) else venue.reduce_params
    await client.create_order(
        market_symbol(position.symbol),
        "market",
        side,
        plain(quantity),
        None,
        {**params, "clientOrderId": order_id},
    )


async def _is_hedged(client: Any, symbol: str) -> bool:
    """Whether the account holds a long and a short apart: by its positions, or by the venue's word where it says."""
    if symbol.endswith(SHORT_LEG):
        return True
    if client.has.get("fetchPositionMode") is not True:
        return False
    return (await client.fetch_position_mode(symbol)).get("hedged") is True
