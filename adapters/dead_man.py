"""A venue's own switch: it cancels orders by itself when nobody refreshes it in time.

What each can do is data of the venue; `docs/venues.md` has the table. It covers what is said here and nothing else: a
proof never rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Market
from risk_daemon.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMan:
    """One switch. A venue with several markets may have several.

    call: the method of ccxt's client that arms it. params: (timeout in seconds, the venue's name of a market or "") ->
    its parameters; of 0 seconds they disarm. least_s, most_s: the timeouts that the venue takes. by_market: one switch
    a market, armed for those that have orders. shared: a second owner would overwrite it. covers, leaves: what it
    cancels and what not, as a sentence; what the documentation is silent about stands in `leaves` as unknown.
    query: the call that tells whether it is armed, if there is one.
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

    def check(self, timeout_s: float) -> None:
        """Raises ConfigError for a timeout that the venue does not take."""
        if not self.least_s <= timeout_s <= self.most_s:
            raise ConfigError(f"dead_man.timeout: this venue takes {self.least_s:g} to {self.most_s:g} s")
