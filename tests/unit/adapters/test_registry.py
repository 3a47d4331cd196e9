"""A venue is one value in one registry: registered twice, or half, it is refused at import by a sentence."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest

from adapters import venues
from adapters.base import PERP_MARKETS, SPOT_MARKETS
from adapters.cancel_plans import CancelBy, scope
from adapters.envelopes import is_a
from adapters.registry import VENUES, by_exchange, venue_of
from adapters.venue import Venue, Wallet
from risk_daemon.errors import ConfigError

SPOT = scope("spot", SPOT_MARKETS, CancelBy.ALL)
PERP = scope("perp", PERP_MARKETS, CancelBy.ALL)
OBJECT = is_a(dict)


def dialect(*_: Any) -> Any:
    pytest.fail("it was made")


def test_every_venue_that_has_a_file_is_registered() -> None:
    modules = [
        importlib.import_module(f"adapters.venues.{found.name}") for found in pkgutil.iter_modules(venues.__path__)
    ]
    found = {module.__name__.rpartition(".")[2]: module.VENUE for module in modules if hasattr(module, "VENUE")}
    assert found == dict(VENUES), "each under the name of its file"


def test_an_exchange_without_a_file_is_what_ccxt_says() -> None:
    assert venue_of("gate") == Venue(exchange="gate")


def test_registered_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="'okx' is registered twice"):
        by_exchange(VENUES["okx"], VENUES["mexc"], Venue(exchange="okx"))


@pytest.mark.parametrize(
    ("half", "reason"),
    [
        ({"exchange": ""}, "has no name"),
        ({"dialect": dialect, "replies": {"": OBJECT}}, "no scopes"),
        ({"dialect": dialect, "scopes": (SPOT,)}, "no replies"),
        ({"dialect": dialect, "scopes": (SPOT,), "replies": {"orders": OBJECT}}, 'lack the row ""'),
        ({"scopes": ()}, "has no scope"),
        ({"scopes": (SPOT, PERP, SPOT)}, "two scopes named 'spot'"),
        ({"scopes": (SPOT, PERP)}, "no wallet"),
        ({"lane_width": 0}, "lets no call through"),
        ({"burst_s": -1.0}, "behind the pace"),
    ],
)
def test_half_a_venue_is_refused(half: dict[str, Any], reason: str) -> None:
    whole = {"exchange": "x", "wallet": None if reason == "no wallet" else Wallet(("rows",), "asset", "amount")}
    with pytest.raises(ConfigError, match=reason):
        Venue(**{**whole, **half})


def test_a_whole_one_is_taken() -> None:
    whole = Venue(exchange="x", dialect=dialect, scopes=(SPOT, PERP), replies={"": OBJECT})
    assert by_exchange(whole) == {"x": whole}


def test_where_a_nonce_must_rise_and_where_nobody_knows_calls_go_one_by_one() -> None:
    assert venue_of("gate").lane_width == 1
    assert {name for name, venue in VENUES.items() if venue.lane_width == 1} == {"kraken", "krakenfutures"}
