"""The tree always says what adding everything up says."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.model.units import fixed
from risk_daemon.portfolio.valuation import Sums, Valuation

ASSETS = ("USDT", "BTC", "ETH", "AAA", "BBB")
BAND = Decimal("0.2")
numbers = st.decimals(min_value=-1_000_000, max_value=1_000_000, places=8)
rates = st.decimals(min_value=Decimal("0.000001"), max_value=100_000, places=6)
adds = st.tuples(st.just("add"), st.integers(0, 4), numbers, st.booleans())
# An asset may hang below one that stands before it only: what the price book's plan gives is a tree, too.
hangs = st.tuples(st.just("hang"), st.integers(1, 4), st.integers(0, 3), rates, st.booleans())
drops = st.tuples(st.just("drop"), st.integers(1, 4))


def added_up(components: dict[str, list[Sums]], rated: dict[str, tuple[str, Decimal, bool]], asset: str) -> Sums:
    value, gross, doubt = (sum((c[part] for c in components[asset]), Decimal(0)) for part in range(3))
    for child, (parent, rate, stale) in rated.items():
        if parent == asset:
            below = added_up(components, rated, child)
            lifted = fixed(below.gross * rate)
            value += fixed(below.value * rate)
            gross += lifted
            doubt += fixed(lifted * BAND) if stale else fixed(below.doubt * rate)
    return Sums(value, gross, doubt)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(adds, hangs, drops), max_size=40))
def test_incremental_equals_adding_everything_up(steps: list[tuple[object, ...]]) -> None:
    tree = Valuation("USDT", BAND)
    components: dict[str, list[Sums]] = {asset: [] for asset in ASSETS}
    rated: dict[str, tuple[str, Decimal, bool]] = {}
    for step in steps:
        match step:
            case ("add", int(index), Decimal() as amount, bool(is_doubtful)):
                change = Sums(amount, abs(amount), abs(amount) if is_doubtful else Decimal(0))
                components[ASSETS[index]].append(change)
                tree.add(ASSETS[index], change)
            case ("hang", int(index), int(above), Decimal() as rate, bool(stale)):
                asset, parent = ASSETS[index], ASSETS[min(above, index - 1)]
                rated[asset] = (parent, rate, stale)
                tree.set_rate(asset, parent, rate, stale=stale)
            case ("drop", int(index)):
                rated.pop(ASSETS[index], None)
                tree.set_rate(ASSETS[index], None, None, stale=False)
        assert tree.root == added_up(components, rated, "USDT")


@settings(deadline=None, max_examples=50)
@given(st.lists(numbers, min_size=1, max_size=20), rates)
def test_adding_and_taking_away_again_leaves_no_trace(amounts: list[Decimal], rate: Decimal) -> None:
    tree = Valuation("USDT", BAND)
    tree.set_rate("BTC", "USDT", rate, stale=False)
    for amount in amounts:
        tree.add("BTC", Sums(amount, abs(amount), Decimal(0)))
    for amount in amounts:
        tree.add("BTC", Sums(-amount, -abs(amount), Decimal(0)))
    assert tree.root == Sums(Decimal(0), Decimal(0), Decimal(0))
