"""What is known to be open, so that a sweep can count what its first cancel removes."""

from __future__ import annotations

from risk_daemon.model.events import Order, OrdersListed, OrdersSeen
from risk_daemon.runtime.open_orders import KEPT, OpenOrders


def order(order_id: object, scope: str = "plain") -> Order:
    return Order(
        venue="kraken",
        scope=scope,
        order_id=str(order_id),
        client_order_id=None,
        symbol="BTC/USDT",
        side="buy",
        order_type="limit",
    )


def seen(*orders: Order, ended: tuple[Order, ...] = ()) -> OrdersSeen:
    return OrdersSeen("kraken", 1.0, orders, ended=ended)


def listed(scope: str, *orders: Order) -> OrdersListed:
    return OrdersListed("kraken", scope, 1.0, orders)


def ids(known: OpenOrders, venue: str = "kraken") -> list[str]:
    return [one.order_id for one in known.of(venue)]


def test_nothing_is_known_of_a_venue_that_told_nothing() -> None:
    assert OpenOrders().of("kraken") == ()


def test_streams_add_to_what_was_listed_once_each() -> None:
    known = OpenOrders()
    known.listed(listed("plain", order(1)))
    known.listed(listed("trigger", order(2, "trigger")))
    known.seen(seen(order(3), order(1)))
    assert ids(known) == ["1", "2", "3"]
    assert known.of("other") == ()


def test_what_ended_leaves_it_whoever_told_of_it() -> None:
    known = OpenOrders()
    known.listed(listed("plain", order(1), order(2)))
    known.seen(seen(order(3), order(4), ended=(order(1), order(4), order("never seen"))))
    assert ids(known) == ["2", "3"]


def test_a_listing_speaks_for_its_scope_and_for_all_that_streams_told() -> None:
    known = OpenOrders()
    known.listed(listed("plain", order(1)))
    known.listed(listed("trigger", order(2, "trigger")))
    known.seen(seen(order(3)))
    known.listed(listed("plain"))
    assert ids(known) == ["2"]


def test_what_was_swept_is_not_counted_again() -> None:
    known = OpenOrders()
    known.listed(listed("plain", order(1)))
    known.listed(listed("trigger", order(2, "trigger")))
    known.seen(seen(order(3)))
    known.swept("kraken")
    assert ids(known) == []
    known.listed(listed("plain"))
    assert ids(known) == [], "what the other scope held before the sweep does not come back"


def test_a_stream_that_never_ends_an_order_fills_no_memory() -> None:
    known = OpenOrders()
    known.seen(seen(*map(order, range(KEPT))))
    known.seen(seen(order("new")))
    assert len(known.of("kraken")) == KEPT
    assert ids(known)[0] == "1"
    assert ids(known)[-1] == "new"


def test_counts_are_by_scope_and_what_only_a_stream_told_of_is_apart() -> None:
    known = OpenOrders()
    assert known.counts() == {}
    known.listed(listed("plain", order(1), order(2)))
    known.listed(listed("trigger"))
    known.seen(seen(order(2), order(3), order(4), ended=(order(1),)))
    assert known.counts() == {"kraken": {"plain": 1, "trigger": 0, "stream": 2}}
    known.listed(listed("plain", order(3)))
    assert known.counts() == {"kraken": {"plain": 1, "trigger": 0}}
    known.swept("kraken")
    assert (known.counts(), known.count("kraken")) == ({"kraken": {}}, 0), "nothing is open after a proof"
