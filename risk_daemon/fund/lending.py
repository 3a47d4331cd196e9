"""How winners lend to losers: who asks for headroom, and who gives how much.

A member that has less than half of the headroom it was set up with asks for what brings it back to three quarters.
Whoever has more than three quarters of its own gives from above that, and never below. So giving makes nobody ask,
and with losses that stand still a few gifts end it: nothing goes to and fro.
"""

from __future__ import annotations

from decimal import Decimal

from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.ledger import Row
from risk_daemon.fund.messages import Ask, Give
from risk_daemon.model.units import EXACT, ZERO, fixed

ASKS_BELOW = Decimal("0.5")
FILLED = Decimal("0.75")
# What is less than that of a share is not worth a gift.
LEAST = Decimal("0.01")


def asked(state: Escrow) -> Ask | None:
    """What this member should ask for from now on; None: what it asks for stands.

    By what is surely lost: who does not see for a while, as after a start, lacks knowledge and no headroom.
    """
    row, loss = state.wanted, state.loss
    if not state.is_guarding:
        lacks = ZERO if row.has_left or row.is_funded else row.wants
    elif loss is None:
        return None
    else:
        lacks = _lacks(row, EXACT.subtract(state.budget, loss.least))
        if not lacks and _lacks(row, EXACT.subtract(state.budget, loss.most)):
            return None
    if row.asks and lacks and abs(lacks - row.asks) < _part(row.wants, LEAST):
        return None
    return None if lacks == row.asks else Ask(lacks)


def _lacks(row: Row, headroom: Decimal) -> Decimal:
    if headroom >= _part(row.wants, ASKS_BELOW):
        return ZERO
    return fixed(EXACT.subtract(_part(row.wants, FILLED), headroom))


def offered(state: Escrow) -> Give | None:
    """What this member should give now, as the ledger was when it was read last: to whom lacks most of what it wants,
    and only once what it gave before was taken."""
    headroom, books, row = state.headroom, state.books, state.wanted
    if headroom is None or books is None or state.why_still is not None or not state.is_guarding:
        return None
    spare = EXACT.subtract(headroom, _part(row.wants, FILLED))
    in_need = [
        other
        for other in books.rows.values()
        if other.asks
        and other.seat != state.seat
        and not other.has_left
        and other.trip is None
        and row.given.get(other.seat, ZERO) <= other.taken.get(state.seat, ZERO)
    ]
    if not in_need:
        return None
    neediest = max(in_need, key=lambda other: (EXACT.divide(other.asks, max(other.wants, other.asks)), other.seat))
    amount = fixed(min(neediest.asks, spare))
    return Give(to=neediest.member, amount=amount) if amount >= _part(neediest.wants, LEAST) and amount > 0 else None


def _part(amount: Decimal, part: Decimal) -> Decimal:
    return EXACT.multiply(amount, part)
