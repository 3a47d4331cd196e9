"""An asset was bought that has no price: what it cost is not lost, it may still be there.

The asset itself counts nothing. What the same venue paid around the purchase is its cover: equity may
be higher by that much, until the asset has a price or is sold. Two rows of one trade may come in
either order, within LEGS_WITHIN_S.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from risk_daemon.units import ZERO

LEGS_WITHIN_S = 2.0


class Covers:
    """The covers of one venue, in the reference currency."""

    def __init__(self) -> None:
        self._by_asset: dict[str, Decimal] = {}
        self._recent: deque[tuple[float, Decimal]] = deque()
        self._bought: str | None = None
        self._bought_mono = float("-inf")
        self._settled = ZERO

    @property
    def total(self) -> Decimal:
        return sum(self._by_asset.values(), ZERO)

    def bought(self, asset: str, mono: float) -> None:
        """More of an asset without a price is held. What was paid shortly before, or will be soon, paid for it."""
        self._forget(mono)
        if self._bought not in (None, asset):
            self._close()
        if self._bought is None:
            self._settled = self._by_asset.get(asset, ZERO)
        self._bought, self._bought_mono = asset, mono

    def moved(self, amount: Decimal, mono: float) -> Decimal:
        """The venue's priced holdings changed by `amount`. Returns the part of it that a cover takes over."""
        if amount:
            self._recent.append((mono, amount))
        self._forget(mono)
        if self._bought is None:
            return ZERO
        before = self._by_asset.get(self._bought, ZERO)
        after = max(ZERO, self._settled - sum((moved for _, moved in self._recent), ZERO))
        self._by_asset[self._bought] = after
        return after - before

    def sold(self, asset: str, left: Decimal) -> Decimal:
        """Of a covered asset only the part `left` (0 to 1) is still held. Returns what is covered no more."""
        before = self._by_asset.get(asset, ZERO)
        if not before:
            return ZERO
        after = before * left
        if after:
            self._by_asset[asset] = after
        else:
            del self._by_asset[asset]
        if self._bought == asset:
            self._close()
        return before - after

    def priced(self, asset: str) -> None:
        """The asset has a price now and covers itself."""
        self.sold(asset, ZERO)

    def snapshot(self) -> dict[str, Decimal]:
        return {asset: amount for asset, amount in self._by_asset.items() if amount}

    def restore(self, covers: Mapping[str, Decimal]) -> None:
        self._by_asset = dict(covers)

    def _forget(self, mono: float) -> None:
        """Let go of what is too old to be the other row of a trade."""
        if mono - self._bought_mono > LEGS_WITHIN_S:
            self._bought = None
        while self._recent and mono - self._recent[0][0] > LEGS_WITHIN_S:
            _, amount = self._recent.popleft()
            self._settled -= amount

    def _close(self) -> None:
        self._bought = None
        self._recent.clear()
