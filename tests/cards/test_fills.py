"""What was executed is told, by the stream and by a list."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from risk_daemon.model.account import Fill, OrderStatus
from risk_daemon.model.events import FillsSeen, Input, Kind, OrdersSeen, Source
from tests.cards.card import Table, until

D = Decimal
FEE = D("0.001")
AGAIN_S = 0.05


@dataclass
class Heard:
    """What the stream of orders has told so far."""

    inputs: list[Input] = field(default_factory=list)

    def fills_of(self, order_id: str) -> list[Fill]:
        told = [fill for seen in self.inputs if isinstance(seen, FillsSeen) for fill in seen.fills]
        return list({fill.fill_id: fill for fill in told if fill.order_id == order_id}.values())

    def statuses_of(self, order_id: str) -> list[OrderStatus]:
        told = [seen for seen in self.inputs if isinstance(seen, OrdersSeen)]
        rows = [order for seen in told for order in (*seen.orders, *seen.ended) if order.order_id == order_id]
        return list(dict.fromkeys(order.status for order in rows))


@asynccontextmanager
async def listening(table: Table) -> AsyncIterator[Heard]:
    """Reads the stream of orders, which has told of an order by the time it begins."""
    heard = Heard()

    async def listen() -> None:
        while True:
            heard.inputs += await table.adapter.next_frame(Kind.ORDERS)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listen())
        async with asyncio.timeout(5):
            while not heard.inputs:
                table.plain()
                await asyncio.sleep(AGAIN_S)
        yield heard
        task.cancel()


def buy(table: Table) -> tuple[str, Decimal]:
    """An order that rests, and its price."""
    symbol = table.venue.symbols[0]
    price = (table.mark(symbol) / 2).quantize(D("0.1"))
    return table.plain(symbol, side="buy", price=str(price), quantity="0.004", client_order_id="bot7")[0], price


def fill_in_two(table: Table, order_id: str) -> None:
    for _ in range(2):
        table.admin("fill", order_id=order_id, quantity="0.002")


def check_fills(table: Table, fills: list[Fill], order_id: str, price: Decimal, *, with_fee: bool = True) -> None:
    exchange = table.server.exchange
    executed = [fill for fill in exchange.fills if fill.order.order_id == order_id]
    assert len({fill.fill_id for fill in fills}) == len(executed) == 2
    for told, fill in zip(sorted(fills, key=lambda each: each.wall), executed, strict=True):
        assert (told.symbol, told.order_id, told.side.value) == (table.venue.symbols[0], order_id, "buy")
        assert (told.quantity, told.price) == (D("0.002"), price)
        assert abs(told.wall - fill.wall) < 1
        fee, asset = exchange.fee_of(fill)
        if with_fee:
            assert told.fee is not None
            assert fee > 0
            assert abs(told.fee - fee) <= max(fee / 100, D("1e-8"))  # some venues round it
            assert told.fee_asset == asset


async def test_an_order_that_is_executed_in_two_parts_shows_two_fills(table: Table) -> None:
    """By the stream, and the same ones by a list; open, then filled; with its quantity and prices."""
    adapter: Any = table.adapter
    table.admin("fees", ratio=str(FEE))
    async with listening(table) as heard:
        order_id, price = buy(table)
        await check_listed(table, order_id, price)
        await until(lambda: heard.statuses_of(order_id) == [OrderStatus.OPEN])
        fill_in_two(table, order_id)
        await until(lambda: heard.statuses_of(order_id)[-1] is OrderStatus.FILLED and len(heard.fills_of(order_id)) > 1)
        assert heard.statuses_of(order_id) == [OrderStatus.OPEN, OrderStatus.FILLED]
        check_fills(table, heard.fills_of(order_id), order_id, price)
        assert adapter.capabilities.streams_fills

        seen = await adapter.read_fills(table.server.exchange.fills[0].wall - 60)
        assert (seen.venue, seen.source) == (table.venue.kind, Source.REST)
        listed = [fill for fill in seen.fills if fill.order_id == order_id]
        assert {fill.fill_id for fill in listed} == {fill.fill_id for fill in heard.fills_of(order_id)}
        check_fills(table, listed, order_id, price, with_fee=table.venue.kind != "krakenfutures")


async def check_listed(table: Table, order_id: str, price: Decimal) -> None:
    """The order, and conditional ones beside it, as they are listed."""
    triggers = table.conditional()
    listed = {name: order for name, (_, order) in (await table.listed()).items()}
    order = listed[order_id]
    assert (order.quantity, order.remaining, order.price) == (D("0.004"), D("0.004"), price)
    assert order.status is OrderStatus.OPEN
    trigger_price = table.mark(table.venue.symbols[0]) / 2
    assert any(listed[name].trigger_price == trigger_price for name in triggers)
