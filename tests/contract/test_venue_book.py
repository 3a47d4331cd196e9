"""A venue's book against its balances, over real sockets: every change of an amount is one row of it."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import pytest
import pytest_asyncio
from connected import Venue, connected

from risk_daemon.model.events import FlowsListed

SEEDS = range(6)
STEPS = 60
PERPS = ("PF_XBTUSD", "PF_ETHUSD", "PI_XBTUSD")
SPOTS = ("BTC/USDT", "ETH/USDT", "BTC/USD")


@pytest_asyncio.fixture(params=["kraken", "krakenfutures"])
async def venue(request: pytest.FixtureRequest) -> AsyncIterator[Venue]:
    async with connected(request.param) as venue:
        yield venue


def _told(listed: FlowsListed) -> Counter[str]:
    """The book's sum of each asset."""
    assert listed.trades is not None
    sums: Counter[str] = Counter()
    for row in (*listed.flows, *listed.trades):
        sums[row.asset] += row.amount  # type: ignore[assignment]
    return sums


def _change(before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> dict[str, Decimal]:
    changes = {asset: after.get(asset, Decimal(0)) - before.get(asset, Decimal(0)) for asset in {*before, *after}}
    return {asset: change for asset, change in changes.items() if change}


def _step(venue: Venue, chance: random.Random) -> None:
    """Something that happens to an account."""
    amount = str(round(chance.uniform(0.001, 2), chance.randint(0, 9)) + 0.001)
    symbol = chance.choice(SPOTS if venue.kind == "kraken" else PERPS)
    side = chance.choice(["buy", "sell"])
    happening = chance.randrange(6)
    if happening == 0:
        venue.admin("flow", asset=chance.choice(["USDT", "BTC"]), amount=f"-{amount}", fee="0.000123")
    elif happening == 1:
        venue.admin("flow", asset="USD", amount=amount, kind=chance.choice(["deposit", "transfer"]))
    elif happening == 2:
        venue.admin("price", symbol=symbol, price=str(round(chance.uniform(1000, 70_000), 5)))
    elif happening == 3:
        venue.admin("funding", symbol="PF_XBTUSD" if venue.kind == "krakenfutures" else "BTC/USDT", amount=f"-{amount}")
    elif happening == 4 and venue.kind == "kraken":
        venue.admin("trade", symbol=symbol, side=side, quantity=amount, fee="0.0031415926")
    else:
        placed = venue.admin("order", symbol=symbol, side=side, quantity=amount, price="54321.12345")
        venue.admin("fill", order_id=placed["order_id"])


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_anything_the_rows_add_up_to_the_change_of_the_balances(venue: Venue, seed: int) -> None:
    chance = random.Random(seed)
    venue.admin("fees", ratio="0.0026")
    began = venue.server._now() - 60
    known = {row.flow_id for row in (await venue.adapter.read_flows(began)).flows}
    before = (await venue.adapter.read_balances()).amounts
    for _ in range(STEPS):
        _step(venue, chance)
    after = (await venue.adapter.read_balances()).amounts
    listed = await venue.adapter.read_flows(began)
    assert not known & {row.flow_id for row in (*listed.flows, *(listed.trades or ()))}
    assert {asset: amount for asset, amount in _told(listed).items() if amount} == _change(before, after)
    assert len({row.flow_id for row in (*listed.flows, *(listed.trades or ()))}) >= STEPS // 3


async def test_the_rows_of_one_trade_are_one_group(venue: Venue) -> None:
    began = venue.server._now() - 60
    if venue.kind == "kraken":
        venue.admin("trade", symbol="BTC/USDT", side="buy", quantity="0.01", price="60000", fee="1.56")
        venue.admin("trade", symbol="BTC/USDT", side="sell", quantity="0.01", price="60000", fee="1.56")
    else:
        venue.admin("fees", ratio="0.0005")
        for side in ("buy", "sell"):
            order = venue.admin("order", symbol="PF_XBTUSD", side=side, quantity="0.01", price="60000")
            venue.admin("fill", order_id=order["order_id"])
    trades = (await venue.adapter.read_flows(began)).trades or ()
    groups = Counter(row.group for row in trades)
    assert len(groups) == 2
    assert set(groups.values()) == ({2} if venue.kind == "kraken" else {1})
    net = sum(row.amount for row in trades if row.asset in {"USDT", "USD"})
    assert net == (Decimal("-3.12") if venue.kind == "kraken" else Decimal("-0.6"))


async def test_money_that_vanishes_unexplained_has_no_row(venue: Venue) -> None:
    began = venue.server._now() - 60
    before = (await venue.adapter.read_balances()).amounts["USDT"]
    venue.admin("balance", asset="USDT", amount=str(before - 600), kind="none")
    listed = await venue.adapter.read_flows(began)
    assert (await venue.adapter.read_balances()).amounts["USDT"] == before - 600
    assert (listed.flows, listed.trades) == ((), ())


async def test_a_row_that_no_holding_shows(venue: Venue) -> None:
    began = venue.server._now() - 60
    before = (await venue.adapter.read_balances()).amounts["USDT"]
    venue.admin("flow", asset="USDT", amount="-600", effect=False)
    assert (await venue.adapter.read_balances()).amounts["USDT"] == before
    (flow,) = (await venue.adapter.read_flows(began)).flows
    assert flow.amount == -600


@pytest.mark.parametrize("name", ["flow", "balance", "trade"])
async def test_book_and_balance_may_learn_of_it_apart(venue: Venue, name: str) -> None:
    if (venue.kind, name) == ("krakenfutures", "trade"):
        pytest.skip("trades of its contracts are made by orders")
    began = venue.server._now() - 60
    before = (await venue.adapter.read_balances()).amounts["USDT"]
    bodies = {
        "flow": {"asset": "USDT", "amount": "-100"},
        "balance": {"asset": "USDT", "amount": str(before - 100)},
        "trade": {"symbol": "BTC/USDT", "side": "buy", "quantity": "0.01", "price": "10000"},
    }
    venue.admin(name, **bodies[name], delay_ledger_ms=3_600_000)
    assert (await venue.adapter.read_balances()).amounts["USDT"] == before - 100
    assert _told(await venue.adapter.read_flows(began))["USDT"] == 0
    late = bodies[name] | {"delay_balance_ms": 3_600_000}
    venue.admin(name, **(late | {"amount": str(before - 200)} if name == "balance" else late))
    assert (await venue.adapter.read_balances()).amounts["USDT"] == before - 100
    assert _told(await venue.adapter.read_flows(began))["USDT"] == -100
