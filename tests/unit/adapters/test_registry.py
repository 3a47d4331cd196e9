"""A venue is one value in one registry: registered twice, or half, it is refused at import by a sentence."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import pytest

from adapters import venues
from adapters.base import PERP_MARKETS, SPOT_MARKETS, ScopeKind
from adapters.budget import Pool
from adapters.cancel_plans import Cancel, CancelBy, Listing, OrderFields, Parts, ScopePlan, own_scope, scope
from adapters.envelopes import is_a
from adapters.registry import VENUES, by_exchange, check_files, venue_of
from adapters.venue import Venue, Wallet
from risk_daemon.errors import ConfigError
from tests.unit.adapters import WITHOUT_A_FILE

SPOT = scope("spot", SPOT_MARKETS, CancelBy.ALL)
PERP = scope("perp", PERP_MARKETS, CancelBy.ALL)
OBJECT = is_a(dict)


def dialect(*_: Any) -> Any:
    pytest.fail("it was made")


def own(name: str, **listing: Any) -> ScopePlan:
    cancel = Cancel(call="cancel", by=CancelBy.ORDER)
    return own_scope(
        name,
        SPOT_MARKETS,
        ScopeKind.PLAIN,
        listing=Listing(call="list", fields=OrderFields(), **listing),
        cancels=[cancel],
    )


def file_of(name: str, venue: object) -> ModuleType:
    module = ModuleType(f"adapters.venues.{name}")
    module.VENUE = venue  # type: ignore[attr-defined]
    return module


def test_every_venue_that_has_a_file_is_registered() -> None:
    modules = [
        importlib.import_module(f"adapters.venues.{found.name}") for found in pkgutil.iter_modules(venues.__path__)
    ]
    found = {module.__name__.rpartition(".")[2]: module.VENUE for module in modules if hasattr(module, "VENUE")}
    assert found == dict(VENUES), "each under the name of its file"


def test_an_exchange_without_a_file_is_what_ccxt_says() -> None:
    assert WITHOUT_A_FILE not in VENUES
    assert venue_of(WITHOUT_A_FILE) == Venue(exchange=WITHOUT_A_FILE)


def test_registered_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="'okx' is registered twice"):
        by_exchange(venues.okx, venues.mexc, venues.okx)


def test_a_file_of_another_name_than_its_exchange_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"x\.py is of 'y'"):
        by_exchange(file_of("x", Venue(exchange="y")))


@pytest.mark.parametrize("value", [None, {"exchange": "x"}])
def test_a_file_without_a_venue_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"x\.py is registered and has no VENUE"):
        by_exchange(file_of("x", value))


def test_a_file_that_nobody_registered_is_refused() -> None:
    """By ccxt's unified calls alone its triggered orders would be listed by nobody."""
    check_files(["kraken", "kraken_book", "kraken_wire", "okx"], ["kraken", "okx"])
    with pytest.raises(ConfigError, match=r"krakenfutures\.py is of no registered venue"):
        check_files(["kraken", "krakenfutures", "okx"], ["kraken", "okx"])


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
        ({"scopes": (own("spot", each="pairs"),)}, "listings by pairs, and nothing that tells"),
        ({"scopes": (own("spot", counted="orders"),)}, "listings by orders, and nothing that tells"),
        ({"dialect": dialect, "scopes": (SPOT,), "replies": {"": "an object"}}, "no check"),
        ({"pools": (Pool(15.0, 0.0),)}, "never falls"),
        ({"pools": (Pool(6.0, 0.3, for_urgent=3.0, for_sweep=3.0),)}, "leaves nothing"),
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
    assert by_exchange(file_of("x", whole)) == {"x": whole}


def test_parts_that_a_call_tells_need_no_dialect() -> None:
    parts = {"pairs": Parts(call="pairs", reads=list)}
    assert Venue(exchange="x", scopes=(own("spot", each="pairs"),), parts=parts).parts == parts


def test_where_a_nonce_must_rise_and_where_nobody_knows_calls_go_one_by_one() -> None:
    assert venue_of(WITHOUT_A_FILE).lane_width == 1
    assert {name for name, venue in VENUES.items() if venue.lane_width == 1} == {"kraken", "krakenfutures"}
