"""One of MEXC's two houses guarded alone: its wallet, its orders, its socket, and what goes to the other house."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from adapters.base import Market
from adapters.simulated.faults import Call
from risk_daemon.errors import VenueUnavailable
from risk_daemon.model.events import Kind
from tests.cards.card import DAY_S, Table, all_kinds, dealt, until

pytestmark = pytest.mark.long

D = Decimal
BOTH = all_kinds()["mexc"]
SPOT = dataclasses.replace(BOTH, markets=frozenset({Market.SPOT}), perp=None)
PERP = dataclasses.replace(BOTH, markets=frozenset({Market.PERP}))
PLAN = {"type": "stop_loss", "side": "sell", "quantity": "1", "trigger_price": "1", "book": "plan"}

AGAIN_S = 0.05


@pytest_asyncio.fixture
async def spot() -> AsyncIterator[Table]:
    async with dealt(SPOT) as table:
        yield table


@pytest_asyncio.fixture
async def perp() -> AsyncIterator[Table]:
    async with dealt(PERP) as table:
        yield table


def unlimited(table: Table) -> None:
    """So many calls are within no limit, and nobody here has the time to keep its pace."""
    table.server.face.limits.refusal = lambda *_: None  # type: ignore[attr-defined]


async def usdt(table: Table) -> Decimal:
    return (await table.adapter.read_balances()).amounts["USDT"]


async def flowed(table: Table) -> list[Decimal]:
    listed = await table.adapter.read_flows(table.server._now() - DAY_S)
    return [flow.amount for flow in listed.flows]


async def test_a_transfer_between_the_houses_counts_where_one_is_guarded(spot: Table, perp: Table) -> None:
    for table, sign in ((spot, -1), (perp, 1)):
        before = await usdt(table)
        table.admin("transfer", asset="USDT", amount="40", source="spot", target="contract")
        assert await usdt(table) == before + 40 * sign
        assert await flowed(table) == [40 * sign]
        table.admin("transfer", asset="USDT", amount="15", source="contract", target="spot")
        assert sorted(await flowed(table)) == sorted([D(40) * sign, D(-15) * sign])
        assert any("not guarded" in note for note in table.adapter.capabilities.notes)


async def test_each_house_sweeps_its_own(spot: Table, perp: Table) -> None:
    for table, left in ((spot, "BTC/USDT:USDT"), (perp, "SOL/USDT")):
        for symbol in ("BTC/USDT:USDT", "SOL/USDT"):
            table.plain(symbol)
            table.admin("order", symbol=symbol, **PLAN)
        assert (await table.sweep()).proven
        assert {order.draft.symbol for order in table.server.exchange.orders.values()} == {left}


async def test_what_survives_the_widest_cancel_is_named(spot: Table, perp: Table) -> None:
    for table, path, text in (
        (spot, "order/all", "700007 No permission to access the endpoint."),
        (perp, "cancel_all", "604 Sorry, this feature is under maintenance"),
    ):
        for symbol in table.venue.symbols:
            table.plain(symbol, count=3)
        table.conditional()
        table.fault("venue_error", path, text=text)
        assert (await table.sweep(deadline_s=5)).proven, path


async def test_a_key_is_asked_by_the_house_that_is_guarded(spot: Table, perp: Table) -> None:
    for table, path in ((spot, "DELETE /api/v3/order"), (perp, "POST /api/v1/private/trackorder/cancel")):
        adapter: Any = table.adapter
        assert (await adapter.cancel_permission()).may_cancel is True
        assert table.server.endpoints[path] == 1
        table.fault("read_only_key", Call.CANCEL)
        assert (await adapter.cancel_permission()).may_cancel is False


async def test_a_key_is_asked_by_both_houses_where_both_are_guarded() -> None:
    async with dealt(BOTH) as table:
        adapter: Any = table.adapter
        assert (await adapter.cancel_permission()).may_cancel is True
        table.fault("read_only_key", "trackorder/cancel")
        assert (await adapter.cancel_permission()).may_cancel is False


async def test_perps_alone_have_their_streams(perp: Table) -> None:
    perp.admin("position", symbol="BTC/USDT:USDT", quantity="3", entry="60000")
    await perp.adapter.read_positions()
    await perp.adapter.read_prices(frozenset({"USDT", "BTC"}))
    for kind in (Kind.PRICES, Kind.POSITIONS):
        waiting = asyncio.create_task(perp.adapter.next_frame(kind))
        async with asyncio.timeout(5):
            while not waiting.done():
                perp.admin("position", symbol="BTC/USDT:USDT", quantity="4", entry="60000")
                await asyncio.sleep(AGAIN_S)
        await waiting


async def test_orders_that_are_counted_and_not_shown_prove_nothing(perp: Table) -> None:
    """One that is older than any list goes back is seen by the count alone."""
    unlimited(perp)
    perp.admin("order", symbol="BTC/USDT:USDT", age_s=4_000 * DAY_S, **PLAN)
    plan = next(scope for scope in perp.adapter.scopes if scope.name == "plan")
    with pytest.raises(VenueUnavailable, match="counts 1 orders and shows 0"):
        await perp.adapter.list_orders(plan)
    assert (await perp.sweep()).proven, "the cancel of the whole book reaches it"
    assert not perp.open_ids


async def test_without_a_count_the_lists_are_walked_to_their_end(perp: Table) -> None:
    perp.admin("order", symbol="BTC/USDT:USDT", age_s=400 * DAY_S, **PLAN)
    perp.fault("venue_error", "open_order_total_count", text="511 You do not have access to the interface")
    unlimited(perp)
    plan = next(scope for scope in perp.adapter.scopes if scope.name == "plan")
    assert len((await perp.adapter.list_orders(plan)).orders) == 1
    assert perp.server.endpoints["GET /api/v1/private/planorder/list/orders"] > 40


async def test_a_listen_key_is_renewed_with_the_readings_and_its_end_is_told(spot: Table) -> None:
    adapter: Any = spot.adapter
    waiting = asyncio.create_task(adapter.next_frame(Kind.BALANCES))
    await until(lambda: adapter._dialect._listening is not None)
    listening = adapter._dialect._listening
    listening.kept_ms -= 30 * 60_000
    await adapter.read_balances()
    assert spot.server.endpoints["PUT /api/v3/userDataStream"] == 1
    assert not listening.wire.has_ended
    spot.server.face._spot.listen_keys.clear()  # type: ignore[attr-defined]
    listening.kept_ms -= 30 * 60_000
    await adapter.read_balances()
    assert listening.wire.has_ended
    waiting.cancel()
