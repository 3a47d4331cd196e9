"""The wallets of a simulated account and its book: every change of a wallet is a row, unless it is told not to be.

Pure, like the exchange that stands on it: time is an argument, and what is due later waits in the agenda.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from adapters.simulated.model import ZERO, BalanceChanged, LedgerRow, Notice

NO_ROW = "none"
"""The kind of a change that no book shows: money that vanishes unexplained."""

_PLACES = Decimal(1).scaleb(-10)


@dataclass(frozen=True, slots=True)
class Late:
    """How much later than it happens a change shows in the balance and in the book; whether in the balance at all."""

    balance_s: float = 0.0
    ledger_s: float = 0.0
    has_effect: bool = True


ON_TIME = Late()


def fixed(amount: Decimal) -> Decimal:
    """No finer than a venue writes it, so that book and balance agree to the last digit."""
    exponent = amount.as_tuple().exponent
    return amount if not isinstance(exponent, int) or exponent >= -10 else amount.quantize(_PLACES)


class Accounts:
    """Wallets, the book, and the agenda. wallet: the one meant when none is named."""

    def __init__(self, wallet: str) -> None:
        self.wallet = wallet
        self.wallets: dict[str, dict[str, Decimal]] = {wallet: {}}
        self.debts: dict[str, dict[str, Decimal]] = {}
        self.ledger: list[LedgerRow] = []
        self.flows: list[LedgerRow] = []
        self._notices: list[Notice] = []
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._counters = {"order": 0, "row": 0, "ref": 0, "fill": 0, "agenda": 0}

    def take_notices(self) -> list[Notice]:
        """What changed since the last call, in order: what sockets push."""
        notices, self._notices = self._notices, []
        return notices

    def total(self, asset: str, wallet: str | None = None) -> Decimal:
        """Free and held together."""
        return self.wallets.get(wallet or self.wallet, {}).get(asset, ZERO)

    def set_balance(
        self,
        asset: str,
        amount: Decimal,
        now: float,
        *,
        wallet: str | None = None,
        kind: str = "trade",
        late: Late = ON_TIME,
    ) -> None:
        """Make a balance `amount`. The book shows the difference as `kind`, or not at all (NO_ROW); it is no flow."""
        wallet = wallet or self.wallet
        row = self._row(kind, wallet, asset, amount - self.total(asset, wallet), self._next("ref"), now)
        self._book((row,), now, late)

    def flow(
        self,
        asset: str,
        amount: Decimal,
        now: float,
        *,
        kind: str | None = None,
        wallet: str | None = None,
        fee: Decimal = ZERO,
        late: Late = ON_TIME,
    ) -> LedgerRow:
        """A deposit (+) or withdrawal (-), or a `transfer`. Without effect it is one that was cancelled.

        fee: on top of what leaves, or off what arrives.
        """
        kind = kind or ("deposit" if amount > 0 else "withdrawal")
        row = self._row(kind, wallet or self.wallet, asset, amount - fee, self._next("ref"), now)
        row = replace(row, fee=fee)
        self.flows.append(row)
        self._book((row,), now, late)
        return row

    def transfer(self, asset: str, amount: Decimal, now: float, *, source: str, target: str) -> None:
        """Between two wallets of this account: two rows of one event."""
        ref = self._next("ref")
        left = self._row("transfer", source, asset, -amount, ref, now)
        arrived = self._row("transfer", target, asset, amount, ref, now)
        self.flows.extend((left, arrived))
        self._book((left, arrived), now)

    def owed(self, asset: str, wallet: str | None = None) -> Decimal:
        """What was borrowed of an asset and not given back. It lies in the wallet, too."""
        return self.debts.get(wallet or self.wallet, {}).get(asset, ZERO)

    def borrow(self, asset: str, amount: Decimal, now: float, *, wallet: str | None = None) -> None:
        """Take (or give back, below zero) a loan: the wallet and the debt change by the same."""
        wallet = wallet or self.wallet
        self.debts.setdefault(wallet, {})[asset] = self.owed(asset, wallet) + amount
        self._book((self._row("borrow", wallet, asset, amount, self._next("ref"), now),), now)

    def _row(self, kind: str, wallet: str, asset: str, amount: Decimal, ref: int, now: float) -> LedgerRow:
        amount = fixed(amount)
        return LedgerRow(self._next("row"), ref, now, kind, wallet, asset, amount, self.total(asset, wallet) + amount)

    def _book(self, rows: tuple[LedgerRow, ...], now: float, late: Late = ON_TIME) -> None:
        if late.has_effect:
            self._later(now, late.balance_s, lambda _: self._apply(rows))
        listed = tuple(row for row in rows if row.kind != NO_ROW)
        self._later(now, late.ledger_s, lambda _: self._list(listed, late))

    def _list(self, rows: tuple[LedgerRow, ...], late: Late) -> None:
        """Rows are numbered in the order in which they are written."""
        is_late = late.ledger_s > 0
        self.ledger.extend(replace(row, number=self._next("row")) if is_late else row for row in rows)

    def _apply(self, rows: tuple[LedgerRow, ...]) -> None:
        moved = tuple(row for row in rows if row.amount or row.sizes is None)
        for row in moved:
            wallet = self.wallets.setdefault(row.wallet, {})
            wallet[row.asset] = wallet.get(row.asset, ZERO) + row.amount
        fresh = tuple(replace(row, balance=self.total(row.asset, row.wallet)) for row in moved)
        if fresh:
            self._notices.append(BalanceChanged(fresh))

    def _later(self, now: float, delay_s: float, action: Callable[[float], None]) -> None:
        if delay_s <= 0:
            action(now)
        else:
            heapq.heappush(self._agenda, (now + delay_s, self._next("agenda"), action))

    def _next(self, counter: str) -> int:
        self._counters[counter] += 1
        return self._counters[counter]
