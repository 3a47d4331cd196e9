"""What really is: the equity of all accounts and the loss, from the exchanges' own books.

Independent of the product: no books, flows or baselines of its own are asked. A flow moves the capital
in the ratio it moves the equity, as `design` says, at the moment it reaches the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from risk_daemon.model.units import ZERO
from tests.simulated.venue import SimVenue

# How far the guard's figures may honestly be from the truth: prices move between a flow and its listing.
MARGIN = Decimal("0.012")
_AUTO_SLACK = Decimal("0.005")


class Truth:
    """capital None: what the guard chooses (`auto`), if the equity ever was such.

    capitals: what the loss may be measured from. There is more than one where a flow came so close to
    the guard's first picture that it may lie before or behind it.
    """

    def __init__(self, venues: Iterable[SimVenue], capital: Decimal | None, limit: Decimal) -> None:
        self._venues = list(venues)
        self._limit = limit
        self._in_flight: dict[int, tuple[str, Decimal]] = {}
        self._flights = 0
        self.capitals = [] if capital is None else [capital]
        self.history: list[tuple[float, Decimal]] = []
        self.breached_since: float | None = None
        self.lowest = self.highest = self.equity()

    def equity(self) -> Decimal:
        worth = sum((venue.equity() for venue in self._venues), Decimal(0))
        price = self._venues[0].price
        return worth + sum((price(asset) * amount for asset, amount in self._in_flight.values()), Decimal(0))

    def losses(self, equity: Decimal) -> tuple[Decimal, Decimal]:
        """The loss at this equity, at least and at most."""
        losses = [1 - equity / capital for capital in self.capitals]
        return min(losses, default=ZERO), max(losses, default=ZERO)

    def note(self, true: float) -> None:
        """Something moved."""
        equity = self.equity()
        self.lowest, self.highest = min(self.lowest, equity), max(self.highest, equity)
        least, most = self.losses(equity)
        self.history.append((true, most))
        if least < self._limit + MARGIN:
            self.breached_since = None
        elif self.breached_since is None:
            self.breached_since = true

    def start_over(self, capital: Decimal | None, true: float) -> None:
        """The guard knows nothing any more: all flows so far lie behind it."""
        self.capitals = [] if capital is None else [capital]
        self.note(true)

    def adopt_capital(self, capital: Decimal, true: float) -> bool:
        """The guard chose its `auto` capital. False if the equity never was such."""
        self.capitals = [capital]
        self.note(true)
        return self.lowest * (1 - _AUTO_SLACK) <= capital <= self.highest * (1 + _AUTO_SLACK)

    def flowed(self, value: Decimal, true: float, *, counts: bool | None) -> None:
        """A flow of `value` has just reached an account. counts: whether it moves the capital; None: it may."""
        after = self.equity()
        moved = [capital * after / (after - value) for capital in self.capitals]
        if counts is not False:
            self.capitals = moved if counts else self.capitals + moved
        self.note(true)

    def take_off(self, asset: str, amount: Decimal) -> int:
        """Something left one account or form and is on its way to another. Returns its number."""
        self._flights += 1
        self._in_flight[self._flights] = (asset, amount)
        return self._flights

    def land(self, flight: int) -> None:
        del self._in_flight[flight]

    def worst_since(self, true: float) -> Decimal:
        """The greatest loss at any moment since then."""
        worst = Decimal(-1)
        for at, loss in reversed(self.history):
            worst = max(worst, loss)
            if at <= true:
                break
        return worst

    def could_have_breached(self, since_true: float) -> bool:
        return self.worst_since(since_true) >= self._limit - MARGIN
