"""A venue's own switch: it cancels orders by itself when nobody refreshes it in time.

What each can do is data of the venue; `docs/venues.md` has the table. It covers what is said here and nothing else: a
proof never rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from adapters.base import Market
from risk_daemon.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMan:
    """One switch. A venue with several markets may have several.

    call: the method of ccxt's client that arms it. params: (timeout in seconds, the venue's name of a market or "") ->
    its parameters; of 0 seconds they disarm. least_s, most_s: the timeouts that the venue takes. by_market: one switch
    a market, armed for those that have orders. shared: a second owner would overwrite it. covers, leaves: what it
    cancels and what not, as a sentence; what the documentation is silent about stands in `leaves` as unknown.
    query: the call that tells whether it is armed, if there is one; armed: reads its reply. says: whether the
    reply to `call` itself tells that it is armed; None: it does not say.
    """

    call: str
    params: Callable[[float, str], Mapping[str, Any]]
    markets: frozenset[Market]
    least_s: float
    most_s: float
    covers: str
    leaves: str
    by_market: bool = False
    shared: bool = True
    query: str | None = None
    armed: Callable[[Any], bool] = field(default=lambda _: True)
    says: Callable[[Any], bool | None] = field(default=lambda _: None)

    def check(self, timeout_s: float) -> None:
        """Raises ConfigError for a timeout that the venue does not take."""
        if not self.least_s <= timeout_s <= self.most_s:
            raise ConfigError(f"dead_man.timeout: this venue takes {self.least_s:g} to {self.most_s:g} s")


def switches_of(dead_men: Iterable[DeadMan], markets: Collection[Market]) -> tuple[DeadMan, ...]:
    """Those that cover some of these markets."""
    return tuple(one for one in dead_men if one.markets.intersection(markets))


@runtime_checkable
class CancelsByItself(Protocol):
    """An adapter whose venue may have switches. A call raises a VenueError where it has no proven answer."""

    @property
    def dead_men(self) -> Sequence[DeadMan]:
        """The switches of the configured markets; none where the venue has none."""
        ...

    async def arm_dead_men(self, timeout_s: float, symbols: Collection[str], *, urgent: bool) -> tuple[str, ...]:
        """Arm or refresh them all. Those by market: of these symbols, and disarmed where they were armed before.

        Returns what is armed now: symbols, or "" for the account. urgent: it takes the place of what is under way.
        """
        ...

    async def disarm_dead_men(self) -> None:
        """Disarm all that were armed."""
        ...

    async def are_dead_men_armed(self) -> bool | None:
        """What the venue says of it. None: it can't be asked."""
        ...
