"""Every market of every exchange is covered by a scope, or refused at start with a sentence."""

import pytest

from adapters.base import Market
from adapters.cancel_plans import CancelBy, ScopePlan
from adapters.cancel_plans import plan_for as plan_for_scopes
from adapters.registry import venue_of
from risk_daemon.errors import ConfigError
from tests.unit.adapters import WITHOUT_A_FILE

SPOT, MARGIN, PERP = (frozenset({market}) for market in (Market.SPOT, Market.MARGIN, Market.PERP))
EVERYTHING = {"fetchOpenOrders": True, "cancelAllOrders": True, "cancelOrders": True, "cancelOrder": True}


def plan_for(exchange: str, markets: frozenset[Market], has: dict[str, object]) -> tuple[ScopePlan, ...]:
    return plan_for_scopes(exchange, venue_of(exchange).scopes, markets, has)


def test_kraken_has_one_scope_for_the_whole_account() -> None:
    for markets in (SPOT, MARGIN, SPOT | MARGIN):
        (plan,) = plan_for("kraken", markets, EVERYTHING)
        assert plan.cancel_by is CancelBy.ALL
        assert plan.page_rows is None


def test_krakenfutures_has_one_scope_for_the_whole_account() -> None:
    (plan,) = plan_for("krakenfutures", PERP, EVERYTHING)
    assert plan.cancel_by is CancelBy.ALL


@pytest.mark.parametrize(
    ("exchange", "markets"),
    [("kraken", PERP), ("kraken", SPOT | PERP), ("krakenfutures", SPOT), ("binanceusdm", SPOT)],
)
def test_a_market_without_a_scope_is_refused(exchange: str, markets: frozenset[Market]) -> None:
    with pytest.raises(ConfigError, match=f"{exchange} has no cancel plan for the"):
        plan_for(exchange, markets, EVERYTHING)


@pytest.mark.parametrize(("exchange", "first"), [("binanceusdm", ["strategies"]), ("binancecoinm", [])])
def test_binances_futures_have_two_books_and_what_may_fill_them_comes_first(exchange: str, first: list[str]) -> None:
    plans = plan_for(exchange, PERP, EVERYTHING)
    assert [plan.scope.name for plan in plans] == [*first, "conditional", "plain"]
    assert [plan.cancel_by for plan in plans[-2:]] == [CancelBy.SYMBOL, CancelBy.SYMBOL]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((), CancelBy.SYMBOL),
        (("cancelAllOrders",), CancelBy.BATCH),
        (("cancelAllOrders", "cancelOrders"), CancelBy.ORDER),
    ],
)
def test_another_exchange_gets_the_widest_cancel_that_it_has(missing: tuple[str, ...], expected: CancelBy) -> None:
    has = EVERYTHING | dict.fromkeys(missing, False)
    (spot, perp) = plan_for(WITHOUT_A_FILE, SPOT | PERP, has)
    assert spot.cancel_by is perp.cancel_by is expected
    assert (spot.listing, perp.listing) == ({"type": "spot"}, {"type": "swap"})


@pytest.mark.parametrize(
    ("missing", "word"),
    [(("fetchOpenOrders",), "fetchOpenOrders"), (("cancelAllOrders", "cancelOrders", "cancelOrder"), "cancelOrder")],
)
@pytest.mark.parametrize("value", [False, None, "emulated"])
def test_an_exchange_that_lacks_what_is_required_is_refused_by_name(
    missing: tuple[str, ...], word: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=f"lacks.*{word}"):
        plan_for(WITHOUT_A_FILE, SPOT, EVERYTHING | dict.fromkeys(missing, value))
