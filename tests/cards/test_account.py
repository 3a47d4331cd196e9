"""CARD-20 to CARD-27: what an account holds, what its positions are, and what moved money in or out."""

from decimal import Decimal

import pytest

from adapters.base import VenueAdapter
from adapters.simulated.faults import Call
from risk_daemon.errors import VenueError
from risk_daemon.model.account import Flow
from tests.cards.card import DAY_S, CardVenue, Table, dealt

D = Decimal


async def amounts(adapter: VenueAdapter) -> dict[str, Decimal]:
    return {asset: amount for asset, amount in (await adapter.read_balances()).amounts.items() if amount}


async def flows(table: Table, days: float = 20.0) -> dict[str, Flow]:
    listed = await table.adapter.read_flows(table.server._now() - days * DAY_S)
    ids = [flow.flow_id for flow in listed.flows]
    assert len(ids) == len(set(ids)), "one row, one id"
    return {flow.flow_id: flow for flow in listed.flows}


def total(rows: dict[str, Flow], asset: str) -> Decimal:
    return sum((row.amount for row in rows.values() if row.asset == asset), D(0))


async def test_card_20_balances_are_complete_and_exact(table: Table) -> None:
    table.admin("balance", asset="USDT", amount="1234.56", wallet=table.venue.wallet)
    table.admin("balance", asset="BTC", amount="0.12345678", wallet=table.venue.wallet)
    held = await amounts(table.adapter)
    assert (held["USDT"], held["BTC"]) == (D("1234.56"), D("0.12345678"))
    for wallet in table.venue.neutral or ():
        table.admin("balance", asset="ETH", amount="3", wallet=wallet)
    assert (await amounts(table.adapter)).get("ETH", D(0)) == 3 * len(table.venue.neutral or ()), "each of them once"


async def test_card_21_debts_are_negative(table: Table) -> None:
    if table.venue.debt is None:
        pytest.skip("nothing can be borrowed there")
    asset, wallet = table.venue.debt
    before = (await amounts(table.adapter)).get(asset, D(0))
    table.admin("debt", asset=asset, amount="7", wallet=wallet)
    assert (await amounts(table.adapter)).get(asset, D(0)) == before, "what is borrowed is held and owed"
    table.admin("balance", asset=asset, amount="0", wallet=wallet)
    assert (await amounts(table.adapter))[asset] == -7 + before - (before if wallet == table.venue.wallet else 0)


async def test_card_22_positions_are_signed_and_have_their_marks(table: Table) -> None:
    for symbol, quantity in ((table.venue.perp, "3"), (table.venue.inverse, "-4")):
        if symbol is None:
            continue
        entry = table.mark(symbol)
        table.admin("position", symbol=symbol, quantity=quantity, entry=str(entry))
        positions = {row.symbol: row for row in (await table.adapter.read_positions()).positions}
        row, known = positions[symbol], table.server.exchange.instrument(symbol)
        assert (row.quantity, row.entry) == (D(quantity), entry)
        assert (row.inverse, row.contract_size) == (known.inverse, known.contract_size)
        assert row.settle == (known.settle or known.quote)
        table.admin("price", symbol=symbol, price=str(entry * D("0.9")))
        prices = {price.symbol: price for price in (await table.adapter.read_prices(frozenset({row.settle}))).prices}
        assert prices[symbol].value == pytest.approx(entry * D("0.9"), rel=D("1e-9"))


async def test_card_23_unrealised_profit_is_no_balance(table: Table) -> None:
    before = await amounts(table.adapter)
    for symbol in (table.venue.perp, table.venue.inverse):
        if symbol is not None:
            table.admin("position", symbol=symbol, quantity="2", entry=str(table.mark(symbol) / 2))
    assert await amounts(table.adapter) == before


async def test_card_24_a_long_and_a_short_of_one_market_are_two_positions(table: Table) -> None:
    if not table.venue.hedged:
        pytest.skip("an account there has one position a market")
    assert table.venue.perp is not None
    mark = table.mark(table.venue.perp)
    table.admin("position", symbol=table.venue.perp, quantity="2", entry=str(mark), side="long")
    table.admin("position", symbol=table.venue.perp, quantity="-2", entry=str(mark * 2), side="short")
    rows = (await table.adapter.read_positions()).positions
    assert sorted(row.quantity for row in rows) == [-2, 2]
    names = {row.symbol for row in rows}
    assert len(names) == 2
    priced = {price.symbol for price in (await table.adapter.read_prices(frozenset({"USDT"}))).prices}
    assert names <= priced, "each leg has its mark"


async def test_card_25_what_moves_money_is_a_flow_and_nothing_else_is(table: Table) -> None:
    asset, wallet = table.venue.asset, table.venue.wallet
    before, known = await amounts(table.adapter), await flows(table)
    table.admin("flow", asset=asset, amount="500", wallet=wallet)
    table.admin("flow", asset=asset, amount="-200", fee="1", wallet=wallet)
    for kind in table.venue.flow_kinds:
        table.admin("flow", asset=asset, amount="3", kind=kind, wallet=wallet)
    after, found = await amounts(table.adapter), await flows(table)
    new = {flow_id: found[flow_id] for flow_id in found.keys() - known.keys()}
    assert total(new, asset) == after[asset] - before[asset] == 500 - 201 + 3 * len(table.venue.flow_kinds)
    assert await flows(table) == found, "read again they are the same"
    table.admin("balance", asset=asset, amount=str(after[asset] - 50), wallet=wallet, kind="trade")
    assert await flows(table) == found, "a loss is no flow"


async def test_card_26_a_transfer_counts_where_it_leaves_the_account(table: Table) -> None:
    asset, known = table.venue.asset, await flows(table)
    if table.venue.neutral is not None:
        source, target = table.venue.neutral
        before = await amounts(table.adapter)
        table.admin("transfer", asset=asset, amount="40", source=source, target=target)
        assert await amounts(table.adapter) == before
        assert total(await flows(table), asset) == total(known, asset), "nothing came, nothing went"
    if table.venue.outside is not None:
        inside, outside = table.venue.outside
        before, known = await amounts(table.adapter), await flows(table)
        table.admin("transfer", asset=asset, amount="40", source=inside, target=outside)
        assert (await amounts(table.adapter))[asset] == before[asset] - 40
        assert total(await flows(table), asset) == total(known, asset) - 40
        table.admin("transfer", asset=asset, amount="15", source=outside, target=inside)
        assert total(await flows(table), asset) == total(known, asset) - 25


async def test_card_27_a_long_history_is_read_to_its_end(kind: CardVenue) -> None:
    """More rows than a page has, over more days than a window has."""
    async with dealt(kind, connect=False) as table:
        now = table.server._now()
        for day in range(40):
            for index in range(4):
                wall = now - (40 - day) * DAY_S + index * 600
                table.server.exchange.flow(kind.asset, D(1), wall, wallet=kind.wallet)
        await table.adapter.connect()
        found = await flows(table, days=45)
        assert sum(row.amount == 1 and row.asset == kind.asset for row in found.values()) == 160
        recent = await flows(table, days=3)
        assert recent.keys() <= found.keys()
        assert 8 <= len(recent) <= 16


@pytest.mark.parametrize("spoilt", ["NaN", "", "null", "x"])
async def test_card_33_a_number_that_is_none_spoils_the_whole_reply(table: Table, spoilt: str) -> None:
    """None is not 0, and one bad row is not left out."""
    table.admin("balance", asset="BTC", amount="1", wallet=table.venue.wallet)
    table.fault("replace", Call.BALANCES, field=table.venue.balance_field, text=spoilt or " ")
    with pytest.raises(VenueError):
        pytest.fail(str(await table.adapter.read_balances()))
    table.heal()
    if table.venue.perp is not None:
        table.admin("position", symbol=table.venue.perp, quantity="3", entry=str(table.mark(table.venue.perp)))
        table.fault("replace", Call.POSITIONS, field=table.venue.position_field, text=spoilt or " ")
        with pytest.raises(VenueError):
            pytest.fail(str(await table.adapter.read_positions()))
