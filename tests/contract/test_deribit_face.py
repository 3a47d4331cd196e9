"""The simulated deribit against the unmodified ccxt client, and a sweep, a close and a settlement on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import pytest
import pytest_asyncio
from venue_process import Sim, client_of, within

from adapters.base import Market
from adapters.simulated.server import VenueServer
from risk_daemon.errors import MalformedReply
from tests.cards.card import Table, dealt
from tests.cards.kinds.deribit import VENUE

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module")]

D = Decimal
PERP, INVERSE, DATED, OPTION = "BTC/USDC:USDC", "BTC/USD:BTC", "ETH/USD:ETH-310328", "BTC/USD:BTC-310328-50000-C"


@pytest_asyncio.fixture(loop_scope="module")
async def sim() -> AsyncIterator[Sim]:
    server = VenueServer("deribit")
    await server.start()
    http, client = aiohttp.ClientSession(), client_of("deribit", server.endpoint)
    await client.load_markets()
    yield Sim(server, http, client)
    await asyncio.gather(http.close(), client.close())
    await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def table() -> AsyncIterator[Table]:
    async with dealt(VENUE) as table:
        yield table


# --- the unmodified client -----------------------------------------------------------------------


async def test_markets_read_as_what_they_are(sim: Sim) -> None:
    markets = sim.client.markets
    assert (markets[PERP]["linear"], markets[PERP]["swap"], markets[PERP]["id"]) == (True, True, "BTC_USDC-PERPETUAL")
    assert (markets[INVERSE]["inverse"], markets[INVERSE]["contractSize"]) == (True, 10)
    assert (markets[DATED]["future"], markets[DATED]["id"]) == (True, "ETH-28MAR31")
    assert (markets[OPTION]["option"], markets[OPTION]["strike"]) == (True, 50_000)
    assert (markets["USDC/USDT"]["spot"], markets["USDC/USDT"]["id"]) == (True, "USDC_USDT")


async def test_orders_are_placed_listed_and_cancelled(sim: Sim) -> None:
    plain = await sim.client.create_order(INVERSE, "limit", "buy", 100, 50_000, {"label": "bot-1"})
    stop = await sim.client.create_order(PERP, "stop_market", "sell", 0.1, None, {"stopLossPrice": 50_000})
    option = await sim.client.create_order(OPTION, "limit", "buy", 1, 0.001)
    assert (plain["status"], plain["amount"], plain["side"]) == ("open", 100, "buy")
    bare = (await sim.client.private_get_get_open_orders())["result"]
    assert {row["order_id"] for row in bare} == {plain["id"], stop["id"], option["id"]}, "all kinds, all currencies"
    triggers = (await sim.client.private_get_get_open_orders({"type": "trigger_all"}))["result"]
    assert [(row["order_id"], row["order_type"], row["order_state"]) for row in triggers] == [
        (stop["id"], "stop_market", "untriggered")
    ]
    of_btc = await sim.client.fetch_open_orders(None, None, None, {"currency": "BTC"})
    assert {row["id"] for row in of_btc} == {plain["id"], option["id"]}, "what ccxt lists is one currency"
    gone = await sim.client.cancel_order(plain["id"])
    assert gone["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await sim.client.cancel_order(plain["id"])
    assert int((await sim.client.private_get_cancel_all())["result"]) == 2
    assert (await sim.state())["open_order_count"] == 0


async def test_money_and_positions_as_ccxt_reads_them(sim: Sim) -> None:
    await sim.post("position", symbol=INVERSE, quantity="600", entry="50000")
    await sim.post("price", symbol=INVERSE, price="60000")
    await sim.post("balance", asset="BTC", amount="1.5")
    (position,) = await sim.client.fetch_positions()
    assert (position["side"], position["symbol"]) == ("long", INVERSE)
    assert position["unrealizedPnl"] == pytest.approx(600 * (1 / 50_000 - 1 / 60_000))
    balance = await sim.client.fetch_balance({"code": "BTC"})
    assert balance["BTC"]["total"] == pytest.approx(1.502), "ccxt's is the equity"
    ticker = await sim.client.fetch_ticker(INVERSE)
    assert (ticker["markPrice"], ticker["symbol"]) == (60_000, INVERSE)


async def test_the_log_leads_from_page_to_page(sim: Sim) -> None:
    for _ in range(5):
        await sim.post("flow", asset="ETH", amount="2")
    query: dict[str, Any] = {"currency": "ETH", "start_timestamp": 0, "end_timestamp": 1 << 50, "count": 2}
    changes: list[float] = []
    for _ in range(3):
        page = (await sim.client.private_get_get_transaction_log(query))["result"]
        changes += [float(row["change"]) for row in page["logs"]]
        query["continuation"] = page["continuation"]
    assert changes == [2.0] * 5
    assert page["continuation"] is None


async def test_what_is_signed_wrong_or_long_ago_is_refused(sim: Sim) -> None:
    wrong: tuple[dict[str, Any], ...] = ({"api_key": "other"}, {"secret": "other"})
    for options in wrong:
        client = client_of("deribit", sim.server.endpoint, **options)
        with pytest.raises(ccxt.AuthenticationError, match="13004"):
            await client.private_get_get_positions()
        await client.close()
    await sim.post("clock", skew_s=61)
    with pytest.raises(ccxt.AuthenticationError, match="13009"):
        await sim.client.private_get_get_positions()
    await sim.post("key", read_only=True)
    await sim.post("clock", skew_s=0)
    with pytest.raises(ccxt.PermissionDenied):
        await sim.client.private_get_cancel_all()


async def test_streams_of_the_unmodified_client(sim: Sim) -> None:
    ticker = await within(sim.client.watch_ticker(PERP))
    assert ticker["symbol"] == PERP
    await sim.post("price", symbol=PERP, price="51000")
    assert (await within(sim.client.watch_ticker(PERP)))["info"]["mark_price"] in (51_000, "51000.0")


# --- the guard on it -----------------------------------------------------------------------------


async def test_orders_in_options_and_pairs_are_swept_too(table: Table) -> None:
    for symbol in (PERP, INVERSE, DATED, OPTION, "BTC/USDC"):
        table.plain(symbol)
    assert len(await table.listed()) == 5
    assert (await table.sweep()).proven
    assert not table.open_ids


async def test_a_settlement_changes_nothing_of_what_an_account_is_worth(table: Table) -> None:
    """A long of 3 BTC from 50,000 at 60,000: its profit becomes cash, and counts from there."""

    async def worth() -> Decimal:
        amounts = (await table.adapter.read_balances()).amounts
        (position,) = (await table.adapter.read_positions()).positions
        return amounts["USDC"] + position.quantity * (table.mark(PERP) - position.entry)

    table.admin("balance", asset="USDC", amount="1000")
    table.admin("price", symbol=PERP, price="60000")
    table.admin("position", symbol=PERP, quantity="3", entry="50000")
    assert await worth() == 31_000
    table.admin("switch", switch="settlement", value="now")
    assert (await table.adapter.read_balances()).amounts["USDC"] == 31_000
    assert await worth() == 31_000
    table.admin("price", symbol=PERP, price="59000")
    assert await worth() == 28_000


async def test_what_was_realised_since_the_settlement_is_held(table: Table) -> None:
    table.admin("balance", asset="USDC", amount="1000")
    table.admin("funding", symbol=PERP, amount="-7.5")
    rows = (await table.adapter._client.privateGetGetAccountSummaries())["result"]["summaries"]  # type: ignore[attr-defined]
    (cash,) = [row["balance"] for row in rows if row["currency"] == "USDC"]
    assert cash == 1000
    assert (await table.adapter.read_balances()).amounts["USDC"] == D("992.5")


async def test_a_position_is_closed_by_an_order_that_names_itself(table: Table) -> None:
    table.admin("position", symbol=INVERSE, quantity="-600", entry="50000")
    (position,) = (await table.adapter.read_positions()).positions
    await table.adapter.close_position(position, D(600), label="trip")  # type: ignore[attr-defined]
    assert (await table.adapter.read_positions()).positions == ()
    (fill,) = table.server.exchange.fills
    assert fill.order.draft.reduce_only
    assert str(fill.order.draft.client_order_id).startswith("trip")
    assert table.adapter.lot(INVERSE).step == 10  # type: ignore[attr-defined]


async def test_a_position_in_an_option_is_no_empty_list(table: Table) -> None:
    table.admin("position", symbol=OPTION, quantity="1", entry="0.05")
    with pytest.raises(MalformedReply, match="only futures"):
        await table.adapter.read_positions()


async def test_either_market_alone_covers_all_orders() -> None:
    assert {Market.SPOT, Market.PERP} == VENUE.markets
    async with dealt(VENUE) as table:
        (scope,) = table.adapter.scopes
        assert scope.markets == VENUE.markets
