"""What the dialects of venues with calls of their own have in common: their orders are data, their streams are signs.

A dialect of such a venue says how its balances, positions, prices and book are read. What its orders are listed and
cancelled by stands in its scopes; account streams only say that something changed, and REST tells what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS
from adapters.cancel_plans import ScopePlan
from adapters.conversion import needed_symbols, spot_pairs
from adapters.dialect import ACCOUNT
from adapters.order_books import OrderBooks
from adapters.venue import VenueSettings
from risk_daemon.errors import MalformedReply
from risk_daemon.model.events import Kind, Order

Market = Mapping[str, Any]
"""A market as ccxt lists it."""


class OwnDialect:
    """The common part. `client` is a guarded ccxt client with its markets loaded once it is asked anything.

    notes: what is weaker here than a user would expect, one sentence each.
    """

    stream_kinds: frozenset[Kind] = frozenset({Kind.BALANCES, Kind.PRICES, Kind.ORDERS})
    has_flows = True
    ledger_lag_s = 2.0

    def __init__(self, account: VenueSettings, client: Any) -> None:
        self._venue = account.name
        self._client = client
        self._settings = account
        self.has_positions = bool(account.markets & PERP_MARKETS)
        self.notes: tuple[str, ...] = ()
        self._books = OrderBooks(account.name, client, self.parts, self.count)
        self._position_symbols: frozenset[str] = frozenset()
        self._price_symbols: frozenset[str] = frozenset()
        self._seen: dict[Kind, set[str]] = {}

    @property
    def has_spot(self) -> bool:
        return bool(self._settings.markets & SPOT_MARKETS)

    # --- orders ----------------------------------------------------------------------------------

    async def parts(self, each: str) -> Sequence[Mapping[str, Any]]:
        """What a plan's `each` stands for now: the params of one call a part. Raises a VenueError."""
        raise MalformedReply(f"this dialect does not know its {each}")

    async def count(self, counted: str) -> int | None:
        """How many orders the venue counts, by the name of a plan's `counted`; None: it would not tell."""
        raise MalformedReply(f"this dialect does not count its {counted}")

    async def orders(self, plan: ScopePlan) -> tuple[Order, ...]:
        return await self._books.listed(plan)

    async def cancel(self, plan: ScopePlan, orders: Sequence[Order]) -> None:
        await self._books.cancel(plan, orders)

    async def cancel_one(self, plan: ScopePlan, order: Order) -> None:
        await self._books.cancel_one(plan, order)

    def learning(self) -> AbstractContextManager[None]:
        return nullcontext()  # a table says what replies look like

    # --- markets ---------------------------------------------------------------------------------

    def market_of(self, market_id: str, *, spot: bool) -> Market | None:
        """The market of the venue's own name for it; None if it is not listed (any more)."""
        known = (self._client.markets_by_id or {}).get(market_id, ())
        return next((market for market in known if (market.get("spot") is True) is spot), None)

    def pairs_for(self, assets: frozenset[str]) -> frozenset[str]:
        """The spot pairs whose prices value these assets in the reference currency."""
        pairs = spot_pairs(self._client.markets.values())
        return frozenset(needed_symbols(assets, self._settings.reference_currency, pairs))

    # --- streams ---------------------------------------------------------------------------------

    def watched(self, kind: Kind) -> frozenset[str]:
        return self._price_symbols if kind is Kind.PRICES else ACCOUNT

    def stream_began(self, kind: Kind) -> None:
        self._seen[kind] = set()

    def is_confirming(self, kind: Kind) -> bool:
        """Prices, once each of them came. A silent account stream vouches for nothing: it gave no snapshot."""
        return kind is Kind.PRICES and bool(self._price_symbols) and self._price_symbols <= self._seen.get(kind, set())
