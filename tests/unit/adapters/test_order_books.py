"""Listings walked to their end, or refused; cancels as wide as the venue has them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import SPOT_MARKETS, ScopeKind
from adapters.cancel_plans import (
    EACH,
    Cancel,
    CancelBy,
    Listing,
    OrderFields,
    ScopePlan,
    Windows,
    after_last,
    by_cursor,
    by_id,
    by_market,
    by_number,
    own_scope,
)
from adapters.lane import Urgency, current_urgency, travelling
from adapters.order_books import AHEAD_S, MOST_PAGES, OrderBooks, rows_at
from risk_daemon.errors import ConfigError, MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.account import OrderSide, OrderStatus
from risk_daemon.model.events import Order

PRICED = OrderFields(order_id="id", symbol="sym", whole="all", price=("p", "limit"), trigger_price=("stop",))
FIELDS = OrderFields(
    order_id="id",
    symbol="sym",
    client_order_id=("cid",),
    quantity="qty",
    filled="done",
    reduces=lambda row: bool(row.get("r")),
)
SINGLE = Cancel(call="cancel", by=CancelBy.ORDER, names=by_id("id", "sym"))
NOW_MS = 1_700_000_000_000


class Client:
    """Answers `list` by a function of the params, and notes every call."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any] = lambda _: []) -> None:
        self.answer = answer
        spot = {"id": "BTCUSDT", "symbol": "BTC/USDT", "spot": True}
        self.markets = {"BTC/USDT": spot}
        self.markets_by_id = {"BTCUSDT": [{"id": "BTCUSDT", "symbol": "BTC/USDT:USDT", "spot": False}, spot]}
        self.calls: list[tuple[str, Any, Urgency]] = []
        self.options: dict[str, Any] = {}

    def milliseconds(self) -> int:
        return NOW_MS

    def __getattr__(self, name: str) -> Any:
        async def call(params: Any) -> Any:
            self.calls.append((name, params, current_urgency()))
            return self.answer(params)

        return call


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": str(number), "sym": "BTCUSDT", "side": "BUY", "type": "limit", "qty": "3", "done": "1", **fields}


def plan(cancels: Sequence[Cancel] = (SINGLE,), **listing: Any) -> ScopePlan:
    listed = Listing(**{"call": "list", "fields": FIELDS, **listing})
    return own_scope("plain", SPOT_MARKETS, ScopeKind.PLAIN, listing=listed, cancels=cancels, single=SINGLE)


def order(number: int, symbol: str = "BTC/USDT") -> Order:
    return Order(venue="v", scope="plain", order_id=str(number), symbol=symbol, side=OrderSide.BUY, order_type="limit")


async def listed(client: Client, **listing: Any) -> tuple[Order, ...]:
    return await OrderBooks("v", client).listed(plan(**listing))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"all": "3", "p": "0", "limit": "10.5", "stop": 9}, ("3", "10.5", "9")),
        ({"all": 3, "p": "-1"}, ("3", None, None)),
        ({"all": "odd", "p": "market", "stop": []}, (None, None, None)),
        ({"all": "NaN", "p": None, "limit": {}, "stop": "inf"}, (None, None, None)),
        ({"all": "0", "p": True, "stop": "9" * 40}, (None, None, None)),
    ],
)
async def test_an_odd_price_or_quantity_is_none_and_the_order_is_listed(
    fields: dict[str, Any], told: tuple[str | None, ...]
) -> None:
    client = Client(lambda _: [{"id": "1", "sym": "BTCUSDT", **fields}])
    (order,) = await OrderBooks("v", client).listed(plan(fields=PRICED))
    numbers = [None if text is None else Decimal(text) for text in told]
    assert [order.quantity, order.price, order.trigger_price] == numbers
    assert order.status is OrderStatus.OPEN


async def test_a_row_is_an_order() -> None:
    (first,) = await listed(Client(lambda _: [row(7, cid="bot", r=1)]), spot=True)
    assert (first.order_id, first.symbol, first.side, first.client_order_id) == ("7", "BTC/USDT", OrderSide.BUY, "bot")
    assert (first.remaining, first.reduce_only, first.scope) == (Decimal(2), True, "plain")


async def test_one_name_may_be_of_two_markets() -> None:
    (first,) = await listed(Client(lambda _: [row(7)]), spot=False)
    assert first.symbol == "BTC/USDT:USDT"


async def test_a_market_that_is_not_listed_keeps_the_venues_name() -> None:
    (first,) = await listed(Client(lambda _: [row(7, sym="GONEUSDT")]))
    assert first.symbol == "GONEUSDT"


@pytest.mark.parametrize(
    "reply",
    [None, {}, {"list": None}, {"list": {}}, {"list": [1]}, {"list": [row(1), None]}, "x", [], {"list": "x"}],
)
async def test_what_holds_no_rows_is_no_listing(reply: Any) -> None:
    with pytest.raises(MalformedReply):
        await listed(Client(lambda _: reply), at=("list",))


@pytest.mark.parametrize("field", ["id", "sym"])
@pytest.mark.parametrize("value", [None, "", 0, True, 1.5, [], {}])
async def test_a_row_without_an_id_or_symbol_spoils_the_listing(field: str, value: Any) -> None:
    with pytest.raises(MalformedReply):
        await listed(Client(lambda _: [row(1), row(2) | {field: value}]))


async def test_a_number_may_be_an_id() -> None:
    assert [found.order_id for found in await listed(Client(lambda _: [row(1, id=12)]))] == ["12"]


async def test_a_quantity_that_is_no_number_spoils_the_listing() -> None:
    with pytest.raises(MalformedReply):
        await listed(Client(lambda _: [row(1, qty="NaN")]))


async def test_a_row_of_another_category_is_no_answer() -> None:
    agrees = {"kind": frozenset({"spot"})}
    assert await listed(Client(lambda _: [row(1, kind="spot")]), agrees=agrees)
    for kind in ("linear", None):
        with pytest.raises(MalformedReply, match="another listing"):
            await listed(Client(lambda _, kind=kind: [row(1, kind=kind)]), agrees=agrees)  # type: ignore[misc]


def pages_by_cursor(params: dict[str, Any]) -> Any:
    at = int(params.get("cursor", 0))
    return {"list": [row(at * 2 + 1), row(at * 2 + 2)], "next": str(at + 1) if at < 2 else ""}


def pages_by_number(params: dict[str, Any]) -> Any:
    page = int(params.get("page", 1))
    return {"list": [row(page * 2), row(page * 2 + 1)][: 2 if page < 3 else 1]}


def pages_after_last(params: dict[str, Any]) -> Any:
    last = int(params.get("after", 0))
    return {"list": [row(number) for number in range(last + 1, min(last + 3, 6))]}


@pytest.mark.parametrize(
    ("answer", "next_page", "rows"),
    [
        (pages_by_cursor, by_cursor("cursor", "next"), 6),
        (pages_by_number, by_number("page", 2), 5),
        (pages_after_last, after_last("after", "id", 2), 5),
    ],
)
async def test_every_page_is_read(answer: Any, next_page: Any, rows: int) -> None:
    found = await listed(Client(answer), at=("list",), next_page=next_page, page_rows=2)
    assert len({each.order_id for each in found}) == len(found) == rows


async def test_a_page_that_comes_twice_is_no_listing() -> None:
    with pytest.raises(MalformedReply, match="second time"):
        await listed(Client(lambda _: {"list": [row(1)], "next": "x"}), at=("list",), next_page=by_cursor("c", "next"))


async def test_two_markets_may_use_one_id() -> None:
    """On binance each market counts its own orders."""
    rows = [row(1), {**row(1), "sym": "OTHER"}]
    found = await listed(Client(lambda _: rows))
    assert [(order.order_id, order.symbol) for order in found] == [("1", found[0].symbol), ("1", "OTHER")]


async def test_a_listing_that_grows_without_end_is_none() -> None:
    client = Client(
        lambda params: {"list": [row(int(params.get("c", 0)) + 1)], "next": str(int(params.get("c", 0)) + 1)}
    )
    with pytest.raises(MalformedReply, match="does not come to an end"):
        await listed(client, at=("list",), next_page=by_cursor("c", "next"))
    assert len(client.calls) == MOST_PAGES


async def test_a_full_page_of_orders_that_stay_may_hide_others() -> None:
    with pytest.raises(VenueUnavailable, match="may hide others"):
        await listed(Client(lambda _: [row(1, r=1), row(2, r=1)]), page_rows=2)
    assert len(await listed(Client(lambda _: [row(1, r=1), row(2)]), page_rows=2)) == 2, "cancelled, it shows the rest"


async def test_windows_are_walked_back_as_far_as_the_venue_goes() -> None:
    day_ms = 86_400_000
    newest_ms = NOW_MS + int(AHEAD_S * 1000)
    rows = {number: newest_ms - number * day_ms for number in (0, 7, 8, 20, 30)}

    def answer(params: dict[str, Any]) -> Any:
        return [row(number + 1) for number, at in rows.items() if params["from"] <= at <= params["to"]]

    client = Client(answer)
    windows = Windows(start="from", end="to", span_s=7 * 86_400, back_s=30 * 86_400)
    assert len(await listed(client, windows=windows)) == 5, "an order on an edge is in two windows, and one order"
    asked = [(params["from"], params["to"]) for _, params, _ in client.calls]
    assert asked[0] == (newest_ms - 7 * day_ms, newest_ms), "our clock may be behind the venue's"
    assert asked[-1][0] == NOW_MS - 30 * day_ms
    assert all(earlier[1] == later[0] for later, earlier in itertools.pairwise(asked))


async def test_windows_are_of_the_venues_time() -> None:
    """A clock that is hours behind signs well by the venue's, and would hide what was placed since."""
    placed_ms = NOW_MS + 7_200_000
    client = Client(lambda params: [row(1)] if params["from"] <= placed_ms <= params["to"] else [])
    client.options["timeDifference"] = -7_200_000
    windows = Windows(start="from", end="to", span_s=86_400, back_s=86_400)
    assert len(await listed(client, windows=windows)) == 1


def counting(client: Client, number: int | None) -> OrderBooks:
    async def count(counted: str) -> int | None:
        assert counted == "plain"
        return number

    return OrderBooks("venue", client, counts=count)


async def test_a_listing_of_none_is_not_whole_while_the_venue_counts_some() -> None:
    counted = plan(counted="plain")
    with pytest.raises(VenueUnavailable, match="counts 2 orders and shows 0"):
        await counting(Client(), 2).listed(counted)
    with pytest.raises(VenueUnavailable, match="counts 2 orders and shows 1"):
        await counting(Client(lambda _: [row(1, r=1)]), 2).listed(counted)
    assert len(await counting(Client(lambda _: [row(1)]), 2).listed(counted)) == 1, "cancelled, it shows the rest"
    assert await counting(Client(), 0).listed(counted) == ()
    assert await counting(Client(), None).listed(counted) == (), "nobody counts"


async def test_what_is_counted_is_looked_for_no_further_back_than_it_takes() -> None:
    windows = Windows(start="from", end="to", span_s=86_400, back_s=30 * 86_400)
    newest = Client(lambda params: [row(1)] if params["to"] > NOW_MS else [])
    assert len(await counting(newest, 1).listed(plan(windows=windows, counted="plain"))) == 1
    assert len(newest.calls) == 1
    oldest = Client(lambda params: [row(1)] if params["from"] == NOW_MS - 30 * 86_400_000 else [])
    assert len(await counting(oldest, 1).listed(plan(windows=windows, counted="plain"))) == 1
    assert len(oldest.calls) == 31


async def test_a_narrow_cancel_is_spared_until_the_wide_one_has_failed() -> None:
    wide = Cancel(call="everything", by=CancelBy.ALL)
    narrow = Cancel(call="market", by=CancelBy.SYMBOL, names=by_market("sym"), spares=lambda o: o.order_type == "limit")
    client = Client()
    books, swept = OrderBooks("venue", client), plan((wide, narrow))
    await books.cancel(swept, [order(1), replace(order(2, "ETH/USDT"), order_type="stop")])
    assert [call[:2] for call in client.calls] == [("everything", {}), ("market", {"sym": "ETH/USDT"})]
    client.calls.clear()
    await books.cancel(swept, [order(1), order(3, "SOL/USDT")])
    assert [call[:2] for call in client.calls] == [("everything", {}), ("market", {"sym": "BTCUSDT"})]


async def test_parts_are_asked_for_one_by_one() -> None:
    async def parts(each: str) -> list[dict[str, str]]:
        assert each == "isolated pairs"
        return [{"symbol": "A"}, {"symbol": "B"}]

    client = Client(lambda params: [row(1 if params["symbol"] == "A" else 2)])
    books = OrderBooks("v", client, parts)
    assert len(await books.listed(plan(each="isolated pairs", params={"isolated": "TRUE"}))) == 2
    assert [params for _, params, _ in client.calls] == [{"isolated": "TRUE", "symbol": part} for part in "AB"]


# --- cancelling --------------------------------------------------------------------------------------


async def sent(cancels: Sequence[Cancel], orders: Sequence[Order], urgency: Urgency = Urgency.SWEEP) -> list[Any]:
    client = Client()
    with travelling(urgency):
        await OrderBooks("v", client).cancel(plan(cancels), orders)
    return client.calls


async def test_the_widest_cancel_is_sent_for_each_kind() -> None:
    everything = [Cancel(call="all", by=CancelBy.ALL, params={"f": kind}) for kind in ("a", "b")]
    assert [params for _, params, _ in await sent(everything, [])] == [{"f": "a"}, {"f": "b"}]


async def test_a_market_is_named_once_by_the_venues_own_name() -> None:
    by_symbol = [Cancel(call="all", by=CancelBy.SYMBOL, names=by_market("sym"))]
    orders = [order(1), order(2), order(3, "GONEUSDT")]
    assert [params for _, params, _ in await sent(by_symbol, orders)] == [{"sym": "BTCUSDT"}, {"sym": "GONEUSDT"}]
    assert await sent(by_symbol, []) == []


async def test_ids_go_in_batches_of_one_market_or_of_any() -> None:
    def ids(orders: Any) -> Any:
        return [each.order_id for each in orders]

    orders = [order(1), order(2), order(3), order(4, "GONE")]
    apart = [Cancel(call="batch", by=CancelBy.BATCH, names=ids, rows=2)]
    assert [body for _, body, _ in await sent(apart, orders)] == [["1", "2"], ["3"], ["4"]]
    mixed = [Cancel(call="batch", by=CancelBy.BATCH, names=ids, rows=3, mixes=True)]
    assert [body for _, body, _ in await sent(mixed, orders)] == [["1", "2", "3"], ["4"]]


async def test_single_cancels_keep_the_venues_pace_and_wide_ones_do_not() -> None:
    assert [urgency for *_, urgency in await sent([SINGLE], [order(1)])] == [Urgency.PACED]
    assert [urgency for *_, urgency in await sent([SINGLE], [order(1)], Urgency.ORDINARY)] == [Urgency.ORDINARY]
    wide = Cancel(call="all", by=CancelBy.ALL)
    assert [urgency for *_, urgency in await sent([wide], [order(1)])] == [Urgency.SWEEP]


async def test_a_success_that_names_a_refusal_is_a_refusal_and_the_others_are_sent() -> None:
    client = Client(lambda params: {"ok": params.get("id") != "1"})
    refuses = Cancel(
        call="cancel",
        by=CancelBy.ORDER,
        names=by_id("id"),
        refused=lambda reply: None if reply["ok"] else "not that one",
    )
    with pytest.raises(VenueRejected, match="not that one"):
        await OrderBooks("v", client).cancel(plan([refuses]), [order(1), order(2)])
    assert len(client.calls) == 2


async def test_an_order_that_is_gone_is_no_failure() -> None:
    client = Client()

    def gone(_: Any) -> Any:
        raise VenueRejected("Unknown order sent.")

    client.answer = gone
    await OrderBooks("v", client).cancel(plan(), [order(1)])


async def test_one_order_is_cancelled_by_its_own_call() -> None:
    client = Client()
    await OrderBooks("v", client).cancel_one(plan([Cancel(call="all", by=CancelBy.ALL)]), order(5))
    assert [(name, params) for name, params, _ in client.calls] == [("cancel", {"id": "5", "sym": "BTCUSDT"})]


def test_a_scope_that_could_not_be_swept_is_refused() -> None:
    listing = Listing(call="list", fields=FIELDS)
    wide = Cancel(call="all", by=CancelBy.ALL)
    for cancels in ([], [wide]):
        with pytest.raises(ConfigError, match="no cancel"):
            own_scope("plain", SPOT_MARKETS, ScopeKind.PLAIN, listing=listing, cancels=cancels)


def test_rows_may_stand_in_groups() -> None:
    reply = {"data": [{"rows": [{"a": 1}]}, {"rows": []}, {"rows": [{"a": 2}]}]}
    assert rows_at(reply, ("data", EACH, "rows")) == [{"a": 1}, {"a": 2}]
    assert rows_at({"data": []}, ("data", EACH, "rows")) == []


@pytest.mark.parametrize("data", [None, {}, [{}], [{"rows": None}], [{"rows": [1]}], [[]], [{"rows": []}, 1]])
def test_a_group_that_is_none_is_no_listing(data: object) -> None:
    with pytest.raises(MalformedReply):
        rows_at({"data": data}, ("data", EACH, "rows"))


def test_rows_may_stand_at_the_top() -> None:
    assert rows_at([{"a": 1}], ()) == [{"a": 1}]
