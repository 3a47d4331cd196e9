"""CARD-30 to CARD-36: streams, what goes wrong, the venue's clock, keys, and the pace of a sweep."""

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest

from adapters.simulated.faults import Call
from risk_daemon.errors import VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.events import Kind, OrdersSeen, PricesSeen
from tests.cards.card import CardVenue, Table, dealt

D = Decimal
AGAIN_S = 0.05
"""How often the other side does it again, until it is heard."""


async def next_of(table: Table, kind: Kind, within_s: float = 5.0) -> Any:
    async with asyncio.timeout(within_s):
        return await table.adapter.next_frame(kind)


async def test_card_30_streams_tell_at_once_that_something_changed(table: Table) -> None:
    adapter, kinds = table.adapter, table.adapter.capabilities.stream_kinds
    await adapter.read_balances()
    await adapter.read_positions()
    await adapter.read_prices(frozenset({"BTC", "USDT"}))
    if Kind.PRICES in kinds:
        first = await next_of(table, Kind.PRICES)
        table.admin("price", asset="BTC", price="40000")
        async with asyncio.timeout(5):
            seen: list[Any] = list(first)
            while not any(
                isinstance(each, PricesSeen) and any(39_900 < price.value < 40_100 for price in each.prices)
                for each in seen
            ):
                seen = list(await adapter.next_frame(Kind.PRICES))
    if Kind.BALANCES in kinds:
        waiting = asyncio.create_task(next_of(table, Kind.BALANCES))
        while not waiting.done():
            table.admin("flow", asset=table.venue.asset, amount="1", wallet=table.venue.wallet)
            await asyncio.sleep(AGAIN_S)
        await waiting
    if Kind.ORDERS in kinds and table.venue.streams_orders:
        waiting = asyncio.create_task(next_of(table, Kind.ORDERS))
        while not waiting.done():
            table.plain(client_order_id="bot-1")
            await asyncio.sleep(AGAIN_S)
        seen = list(await waiting)
        async with asyncio.timeout(5):
            while not any(isinstance(each, OrdersSeen) and each.orders for each in seen):
                table.plain(client_order_id="bot-1")
                seen = list(await adapter.next_frame(Kind.ORDERS))


async def test_card_31_every_trouble_is_told_for_what_it_is(table: Table) -> None:
    for name, trouble in table.venue.troubles.items():
        for target in (Call.OPEN_ORDERS, Call.BALANCES):
            table.fault("venue_error", target, text=trouble.text)
            with pytest.raises(VenueError) as caught:
                await (
                    table.adapter.read_balances()
                    if target is Call.BALANCES
                    else table.adapter.list_orders(table.adapter.scopes[0])
                )
            assert isinstance(caught.value, trouble.becomes), (name, caught.value)
            table.heal()


async def test_card_32_a_clock_that_is_off_by_a_minute_is_no_refusal(kind: CardVenue) -> None:
    """Either the venue's own clock is read, or it is asked again; nobody is told that the key is wrong."""
    for skew_s in (-60.0, 60.0):
        async with dealt(kind, connect=False) as table:
            table.admin("clock", skew_s=skew_s)
            try:
                await table.adapter.connect()
            except VenueUnavailable:
                continue
            except VenueRejected as error:
                pytest.fail(f"{skew_s}: {error}")
            table.plain()
            assert (await table.sweep()).proven


async def test_card_32_a_clock_that_is_set_while_the_guard_runs_keeps_nothing_from_being_cancelled(
    kind: CardVenue,
) -> None:
    for skew_s in (-120.0, 120.0):
        async with dealt(kind) as table:
            table.plain()
            table.admin("clock", skew_s=skew_s)
            assert (await table.sweep(deadline_s=10.0)).proven
            assert not table.open_ids


async def test_card_34_a_key_is_known_for_what_it_may(table: Table) -> None:
    permission = await table.adapter.cancel_permission()  # type: ignore[attr-defined]
    assert permission.may_cancel is not False
    table.fault("read_only_key", Call.CANCEL)
    denied = await table.adapter.cancel_permission()  # type: ignore[attr-defined]
    assert denied.may_cancel is (None if permission.may_cancel is None else False)
    table.heal()
    if not table.venue.key_tells:
        return
    for may in (True, False):
        table.admin("key", may_withdraw=may, bound_to="" if may else "127.0.0.1")
        powers = await table.adapter.audit_key()  # type: ignore[attr-defined]
        assert (powers.may_withdraw, powers.is_bound) == (may, not may)


async def test_card_36_thirty_markets_are_cancelled_side_by_side(table: Table) -> None:
    """50 ms a call, thirty calls: all cancels are done in less than half the time that they take one after another.

    Four calls' time, on a machine that does nothing else.
    """
    if not table.venue.thirty:
        pytest.skip("a nonce must rise there, or one call reaches everything")
    assert len(table.venue.thirty) == 30
    for symbol in table.venue.thirty:
        table.plain(symbol)
    table.fault("slow", "any", delay_ms=50)
    began = time.monotonic()
    result = await table.sweep()
    assert result.proven, result.unproven_reason
    gone = [row.wall for row in table.server.exchange.cancelled]
    took_s = max(gone) - (table.server._now() - (time.monotonic() - began))
    print(f"CARD-36 {table.venue.kind}: {took_s:.3f} s to the last cancel, {result.elapsed_s:.3f} s to the proof")  # noqa: T201
    assert took_s < 30 * 0.05 / 2, f"{took_s:.3f} s"
