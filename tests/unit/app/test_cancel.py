"""Looking at what is open: a number, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from adapters.base import Market, OrderListing, OrderScope, VenueAdapter
from risk_daemon.app.cancel import look_at
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.events import Order


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    venue = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
    (tmp_path / "config.toml").write_text(f"[portfolio]\ninitial_capital = 10000\n{venue}")
    return load_config(tmp_path / "config.toml")


class Venue:
    """Two scopes with an order each, as long as `listing` does not raise."""

    name = "kraken"
    scopes = (OrderScope("plain", frozenset({Market.SPOT})), OrderScope("trigger", frozenset({Market.SPOT})))

    def __init__(self, listing: Callable[[], None]) -> None:
        self._listing = listing

    async def connect(self) -> None:
        return

    async def list_orders(self, scope: OrderScope, *, urgent: bool = True) -> OrderListing:
        self._listing()
        order = Order(
            venue=self.name, scope=scope.name, order_id="1", symbol="BTC/USDT", side="sell", order_type="limit"
        )
        return OrderListing(self.name, scope.name, 1.0, (order,))


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def test_open_orders_are_counted_over_all_scopes(settings: Settings) -> None:
    assert await look_at(settings, cast(VenueAdapter, Venue(lambda: None))) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [(VenueUnavailable("no route"), "unknown: no route"), (TimeoutError(), "unknown: no answer in time")],
)
async def test_what_cannot_be_listed_is_unknown_and_says_why(error: Exception, told: str, settings: Settings) -> None:
    assert await look_at(settings, cast(VenueAdapter, Venue(failing(error)))) == told
