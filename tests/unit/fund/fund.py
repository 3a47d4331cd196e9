"""A fund of two members for the tests: a founder with everything, and whoever joins it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from risk_daemon.fund.escrow import Escrow, step
from risk_daemon.fund.ledger import Charter, LedgerRead, Row
from risk_daemon.fund.membership import found, join
from risk_daemon.fund.messages import (
    Actions,
    Durable,
    Event,
    Give,
    LossRead,
    MakeDurable,
    Publish,
    Refuse,
    Tell,
    TripFund,
)

LIMIT = Decimal(1_000)
CHARTER = Charter(fund="alpha", founding="f00d", founder="a.00000001", currency="USDT", limit=LIMIT)
TERMS: dict[str, Any] = {"fund": "alpha", "currency": "USDT", "limit": LIMIT}
NOWHERE = LedgerRead(revision=None, document=None)


def row(name: str, number: int = 1, **changes: Any) -> Row:
    given = {"place": f"place {name}", "accounts": (f"account {name}",), "wants": Decimal(400), **changes}
    return Row(seat=f"{name}.{number:08x}", **given)


def lost(least: int | str, most: int | str | None = None) -> LossRead:
    return LossRead(least=Decimal(least), most=Decimal(least if most is None else most))


class Site:
    """A ledger that takes everything in its order, and disks that do: what is not about faults goes through here."""

    def __init__(self) -> None:
        self.read = NOWHERE
        self.writes = 0
        self.trips: list[TripFund] = []
        self.said: list[str] = []

    def run(self, state: Escrow, actions: Actions) -> Escrow:
        """Carry out what is to be done, and what follows from it, until nothing does."""
        waiting = list(actions)
        while waiting:
            action = waiting.pop(0)
            match action:
                case MakeDurable(sequence):
                    state, more = step(state, Durable(sequence))
                case Publish(revision, document):
                    if revision == self.read.revision:
                        self.writes += 1
                        self.read = LedgerRead(revision=str(self.writes), document=document)
                    state, more = step(state, self.read)
                case TripFund():
                    self.trips.append(action)
                    more = ()
                case Refuse(reason) | Tell(reason):
                    self.said.append(reason)
                    more = ()
            waiting.extend(more)
        return state

    def tell(self, state: Escrow, event: Event) -> Escrow:
        return self.run(*step(state, event))

    def hear(self, state: Escrow) -> Escrow:
        return self.tell(state, self.read)


def two(budget: int = 400) -> tuple[Site, Escrow, Escrow]:
    """Members a and b with their budgets, b's as given."""
    site = Site()
    a = site.tell(site.run(*found(CHARTER, row("a"), NOWHERE)), lost(0))
    b = site.run(*join(row("b"), site.read, **TERMS))
    a = site.tell(site.hear(a), Give(to="b", amount=Decimal(budget)))
    b = site.tell(site.hear(b), lost(0))
    return site, site.hear(a), b


def refusal(actions: Actions) -> str:
    """The one sentence that everything came to."""
    [action] = actions
    match action:
        case Refuse(reason):
            return reason
    raise TypeError(f"{action} is no refusal")
