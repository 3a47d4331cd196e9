"""What an account holds, for a person to look at: unknown is never zero, and what failed is never none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import pytest

from adapters.base import Capabilities, Market, OrderListing, OrderScope, VenueAdapter
from risk_daemon.app.inventory import Holding, OpenOrders, OpenPosition, count_by_scope, take_inventory
from risk_daemon.errors import VenueRejected
from risk_daemon.model.events import BalancesSeen, Order, Position, PositionsSeen, Price, PricesSeen, Source
from risk_daemon.portfolio.manager import PortfolioManager, PortfolioSettings

ORDER = Order(venue="kraken", scope="plain", order_id="1", symbol="BTC/USDT", side="sell", order_type="limit")
LONG = Position(symbol="BTC/USDT:USDT", quantity=Decimal("0.5"), entry=Decimal(100), settle="USDT", underlying="BTC")
INVERSE = Position(
    symbol="BTC/USD:BTC",
    quantity=Decimal(-100),
    entry=Decimal(100),
    settle="BTC",
    underlying="BTC",
    contract_size=Decimal(10),
    inverse=True,
)


class Adapter:
    """A venue with two scopes. answers: orders by scope, or the error that listing it ends with; None: never."""

    name = "kraken"

    def __init__(
        self, *, has_positions: bool = True, answers: dict[str, Sequence[Order] | Exception | None] | None = None
    ) -> None:
        self.capabilities = Capabilities(has_positions=has_positions)
        self.scopes = (OrderScope("plain", frozenset({Market.SPOT})), OrderScope("trigger", frozenset({Market.SPOT})))
        self.answers = answers or {}

    async def list_orders(self, scope: OrderScope, *, urgent: bool = True) -> OrderListing:
        answer = self.answers[scope.name]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return OrderListing(self.name, scope.name, 1.0, tuple(answer or ()))


def adapter(**how: object) -> VenueAdapter:
    return cast(VenueAdapter, Adapter(**how))  # type: ignore[arg-type]


def portfolio(
    *, ignore_assets: Sequence[str] = (), positions: Sequence[Position] = (), **amounts: str
) -> PortfolioManager:
    """Holdings on kraken, and on another venue what must not be taken for them."""
    books = PortfolioManager(10_000, settings=PortfolioSettings(ignore_assets=frozenset(ignore_assets)))
    held = {asset: Decimal(amount) for asset, amount in amounts.items()}
    books.apply(BalancesSeen("kraken", 1.0, Source.REST, held, complete=True))
    books.apply(BalancesSeen("other", 1.0, Source.REST, {"USDT": Decimal(77)}, complete=True))
    books.apply(PositionsSeen("kraken", 1.0, Source.REST, tuple(positions), complete=True))
    return books


def price(books: PortfolioManager, symbol: str, value: int, *, converts: bool = True) -> None:
    base, quote = symbol.partition(":")[0].split("/")
    books.apply(PricesSeen("kraken", 1.0, Source.REST, (Price(symbol, base, quote, Decimal(value), converts),)))


def test_holdings_without_a_price_come_first_and_are_worth_nobody_knows_what() -> None:
    books = portfolio(USDT="1000", BTC="0.5", ABC="3", ETH="0")
    price(books, "BTC/USDT", 60_000)

    assert take_inventory(books, adapter()).holdings == (
        Holding(asset="ABC", amount=Decimal(3), worth=None),
        Holding(asset="BTC", amount=Decimal("0.5"), worth=Decimal(30_000)),
        Holding(asset="USDT", amount=Decimal(1000), worth=Decimal(1000)),
    )


def test_a_debt_stands_where_its_size_belongs() -> None:
    books = portfolio(USDT="-1000", EUR="500")
    price(books, "EUR/USDT", 1)

    assert [held.asset for held in take_inventory(books, adapter()).holdings] == ["USDT", "EUR"]


def test_a_position_with_its_mark_and_profit_in_the_reference_currency() -> None:
    books = portfolio(positions=[LONG, INVERSE], BTC="1")
    price(books, "BTC/USDT", 50)
    price(books, "BTC/USDT:USDT", 110, converts=False)
    price(books, "BTC/USD:BTC", 50, converts=False)
    found = take_inventory(books, adapter()).positions

    # Inverse: -100 contracts of 10 USD, from 100 to 50: -1000 x (1/100 - 1/50) BTC, at 50 USDT.
    assert found == (
        OpenPosition(position=LONG, mark=Decimal(110), pnl=Decimal(5)),
        OpenPosition(position=INVERSE, mark=Decimal(50), pnl=Decimal(500)),
    )


def test_a_profit_that_is_not_known_is_not_zero() -> None:
    unmarked, unpriced = portfolio(positions=[LONG]), portfolio(positions=[INVERSE])
    price(unpriced, "BTC/USD:BTC", 50, converts=False)
    ignored = portfolio(positions=[INVERSE], ignore_assets=["BTC"])
    price(ignored, "BTC/USD:BTC", 50, converts=False)
    price(ignored, "BTC/USDT", 50)

    for books, mark in ((unmarked, None), (unpriced, Decimal(50)), (ignored, Decimal(50))):
        (found,) = take_inventory(books, adapter()).positions or ()
        assert (found.mark, found.pnl) == (mark, None)


def test_positions_that_are_not_read_are_not_none() -> None:
    assert take_inventory(portfolio(), adapter()).positions == ()
    assert take_inventory(portfolio(), adapter(has_positions=False)).positions is None


@pytest.mark.parametrize(
    ("answer", "reason"), [(VenueRejected("the key may not"), "the key may not"), (None, "no answer within 0.01 s")]
)
async def test_a_scope_that_cannot_be_listed_says_why_and_hides_no_other(answer: Exception | None, reason: str) -> None:
    found = await count_by_scope(adapter(answers={"plain": answer, "trigger": [ORDER, ORDER]}), 0.01)

    assert found == (OpenOrders(scope="plain", count=None, reason=reason), OpenOrders(scope="trigger", count=2))


async def test_an_empty_scope_is_counted() -> None:
    found = await count_by_scope(adapter(answers={"plain": [], "trigger": [ORDER]}), 0.01)

    assert [orders.count for orders in found] == [0, 1]
