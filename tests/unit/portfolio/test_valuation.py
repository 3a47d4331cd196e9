from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from risk_daemon.errors import InvariantError
from risk_daemon.portfolio.valuation import Sums, Valuation

BAND = Decimal("0.2")


def sums(value: object, doubt: object = 0) -> Sums:
    amount = Decimal(str(value))
    return Sums(amount, abs(amount), Decimal(str(doubt)))


def tree() -> Valuation:
    found = Valuation("USDT", BAND)
    found.set_rate("BTC", "USDT", Decimal(50_000), stale=False)
    found.set_rate("ETH", "BTC", Decimal("0.05"), stale=False)
    return found


def test_sums_climb_to_the_root() -> None:
    found = tree()
    found.add("USDT", sums(100))
    found.add("ETH", sums(2))
    assert found.root == (5_100, 5_100, 0)
    assert found.rate_to_reference("ETH") == 2_500


def test_a_stale_rate_puts_everything_below_it_in_doubt() -> None:
    found = tree()
    found.add("ETH", sums(2))
    found.set_rate("BTC", "USDT", Decimal(50_000), stale=True)
    assert found.root == (5_000, 5_000, 1_000)
    assert found.is_stale("ETH")
    assert not found.is_stale("USDT")


def test_the_doubt_of_a_component_climbs_too_and_is_not_added_to_a_stale_rates() -> None:
    found = tree()
    found.add("BTC", sums(1, "0.2"))
    assert found.root.doubt == 10_000
    found.set_rate("BTC", "USDT", Decimal(50_000), stale=True)
    assert found.root.doubt == 10_000


def test_a_short_and_a_long_cancel_in_value_but_not_in_doubt() -> None:
    found = tree()
    found.add("BTC", sums(1))
    found.add("BTC", sums(-1))
    found.set_rate("BTC", "USDT", Decimal(50_000), stale=True)
    assert found.root == (0, 100_000, 20_000)


def test_an_asset_without_a_rate_counts_nothing() -> None:
    found = tree()
    found.add("NEW", sums(7))
    assert found.root.value == 0
    assert not found.is_priced("NEW")
    found.set_rate("NEW", "ETH", Decimal(2), stale=False)
    assert found.root.value == 35_000


def test_hanging_elsewhere_leaves_nothing_behind() -> None:
    found = tree()
    found.add("ETH", sums(2))
    found.set_rate("ETH", "USDT", Decimal(3_000), stale=False)
    assert found.root.value == 6_000
    found.set_rate("BTC", "USDT", Decimal(1), stale=True)
    assert found.root == (6_000, 6_000, 0)


def test_the_reference_currency_has_no_rate() -> None:
    with pytest.raises(InvariantError):
        tree().set_rate("USDT", "BTC", Decimal(1), stale=False)


def test_sums_are_exact_whatever_the_callers_precision() -> None:
    found = tree()
    with localcontext() as context:
        context.prec = 6
        found.add("USDT", sums("123456789012345678.123456789012"))
        found.add("USDT", sums("0.000000000001"))
    assert found.root.value == Decimal("123456789012345678.123456789013")
