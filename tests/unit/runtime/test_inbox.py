"""One queue: bounded, nothing lost, stream frames of one kind merged row by row."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from risk_daemon.errors import InvariantError, Stopping
from risk_daemon.model.events import (
    BalancesSeen,
    EnableRequested,
    Kind,
    PricesSeen,
    Source,
    StreamConfirmed,
    Tick,
    VenueConnected,
)
from risk_daemon.runtime.inbox import Command, Inbox
from tests.core_world import amounts, price

pytestmark = pytest.mark.looptime


def prices(mono: float, source: Source = Source.STREAM, **rows: object) -> PricesSeen:
    return PricesSeen("spot", mono, source, tuple(price(f"{base}/USDT", value) for base, value in rows.items()))


def balances(mono: float, *, complete: bool = False, **rows: object) -> BalancesSeen:
    return BalancesSeen("spot", mono, Source.STREAM, amounts(**rows), complete=complete)


def taken(inbox: Inbox) -> list[Any]:
    return [inbox.take() for _ in range(len(inbox))]


def test_events_come_out_in_their_order() -> None:
    inbox = Inbox()
    events = [VenueConnected("spot"), Tick(), VenueConnected("perp")]
    for event in events:
        inbox.put(event)
    assert taken(inbox) == events
    assert inbox.take() is None


def test_unread_prices_are_merged_and_the_newest_row_wins() -> None:
    inbox = Inbox()
    inbox.put(prices(1.0, BTC=50_000, ETH=3_000))
    inbox.put(Tick())
    inbox.put(prices(2.0, BTC=49_000))
    merged, tick = taken(inbox)
    assert {row.symbol: row.value for row in merged.prices} == {"BTC/USDT": 49_000, "ETH/USDT": 3_000}
    assert merged.requested_mono == 2.0
    assert isinstance(tick, Tick)


def test_unread_balances_are_merged_but_never_with_a_whole_picture() -> None:
    inbox = Inbox()
    inbox.put(balances(1.0, USDT=1, BTC=2))
    inbox.put(balances(2.0, USDT=3))
    inbox.put(balances(3.0, complete=True, USDT=4))
    merged, whole = taken(inbox)
    assert merged.amounts == {"USDT": Decimal(3), "BTC": Decimal(2)}
    assert whole.amounts == {"USDT": Decimal(4)}


def test_of_confirmations_the_newest_is_enough_for_each_kind() -> None:
    inbox = Inbox()
    inbox.put(StreamConfirmed("spot", Kind.PRICES, 1.0))
    inbox.put(StreamConfirmed("spot", Kind.BALANCES, 1.5))
    inbox.put(StreamConfirmed("spot", Kind.PRICES, 2.0))
    assert taken(inbox) == [StreamConfirmed("spot", Kind.PRICES, 2.0), StreamConfirmed("spot", Kind.BALANCES, 1.5)]


def test_what_rest_says_is_never_merged_and_nothing_into_what_was_taken() -> None:
    inbox = Inbox()
    inbox.put(prices(1.0, Source.REST, BTC=1))
    inbox.put(prices(2.0, Source.REST, BTC=2))
    assert len(taken(inbox)) == 2
    inbox.put(prices(3.0, BTC=3))
    inbox.take()
    inbox.put(prices(4.0, BTC=4))
    assert len(inbox) == 1


def test_a_full_inbox_is_a_bug_and_not_a_loss() -> None:
    inbox = Inbox(capacity=2)
    inbox.put(Tick())
    inbox.put(prices(1.0, BTC=1))
    inbox.put(prices(2.0, BTC=2))
    with pytest.raises(InvariantError, match="2 events are waiting"):
        inbox.put(Tick())
    assert len(inbox) == 2


async def test_waiting_ends_with_an_event_a_nudge_or_its_time() -> None:
    inbox, loop = Inbox(), asyncio.get_running_loop()
    began = loop.time()
    await inbox.wait(5.0)
    assert loop.time() - began == 5.0
    loop.call_later(1.0, inbox.put, Tick())
    await inbox.wait(5.0)
    assert loop.time() - began == 6.0
    inbox.take()
    loop.call_later(1.0, inbox.nudge)
    await inbox.wait(5.0)
    assert loop.time() - began == 7.0
    assert inbox.take() is None


async def test_a_command_is_told_once_and_nobody_need_listen_any_more() -> None:
    first, second = (Command(EnableRequested("anna"), asyncio.get_running_loop().create_future()) for _ in range(2))
    assert first != second, "two alike commands are two"
    first.refuse(Stopping("no"))
    with pytest.raises(Stopping):
        await first.decision
    second.decision.cancel()
    decision: Any = object()
    second.answer(decision)
    second.refuse(Stopping("no"))
    assert second.decision.cancelled()
