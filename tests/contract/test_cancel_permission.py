"""Whether a key may cancel, asked of servers through the real client: nothing is cancelled, nothing is guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters import cancel_probes
from adapters.base import CancelPermission, Market
from adapters.ccxt_venue import CcxtVenue
from adapters.registry import venue_of
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from adapters.venue import VenueSettings
from risk_daemon.errors import VenueError, VenueRejected
from risk_daemon.model.clock import SystemClock

KINDS = {"kraken": Market.SPOT, "krakenfutures": Market.PERP}


@asynccontextmanager
async def account(kind: str) -> AsyncIterator[tuple[VenueServer, CcxtVenue]]:
    server = VenueServer(kind)
    await server.start()
    settings = VenueSettings(
        kind, kind, frozenset({KINDS[kind]}), endpoint=server.endpoint, api_key=API_KEY, secret=API_SECRET
    )
    venue = CcxtVenue(venue_of(kind), settings, SystemClock())
    try:
        await venue.connect()
        yield server, venue
    finally:
        await venue.close()
        await server.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_that_may_cancel_says_so_and_cancels_nothing(kind: str) -> None:
    async with account(kind) as (server, venue):
        symbol = next(iter(server.exchange.instruments))
        server.admin.handle("POST", "order", {"symbol": symbol, "quantity": "1", "price": "1"}, 0.0)
        before = dict(server.exchange.orders)
        assert await venue.cancel_permission() == CancelPermission(True)
        assert server.exchange.orders == before
        assert before


@pytest.mark.parametrize("how", ["read_only_key", "revoked_key"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_that_may_not_is_told_from_one_that_may(kind: str, how: str) -> None:
    async with account(kind) as (server, venue):
        server.faults.add({"how": how})
        permission = await venue.cancel_permission()
        assert permission.may_cancel is False
        assert permission.reason
        if how == "read_only_key":
            assert await venue.list_orders(venue.scopes[0], urgent=False)
        server.faults.heal()
        assert (await venue.cancel_permission()).may_cancel is True


@pytest.mark.parametrize("how", ["html", "500", "429", "403", "empty_body", "truncated"])
async def test_an_answer_that_is_none_says_nothing_of_the_key(how: str) -> None:
    async with account("kraken") as (server, venue):
        server.faults.add({"how": how, "target": "cancel"})
        with pytest.raises(VenueError):
            await venue.cancel_permission()


@pytest.mark.parametrize(
    "words", ["This account may not place or cancel orders.", "This action is disabled on this account."]
)
async def test_an_account_that_may_cancel_nothing_is_told_as_a_key_that_may_not(words: str) -> None:
    """Binance says both by the code that also says that the order is not there."""

    class Client:
        async def privateDeleteOrder(self, _: Any) -> None:  # noqa: N802 - ccxt's name
            raise VenueRejected(
                f'DELETE api.binance.com/api/v3/order answered 400: {{"code": -2011, "msg": "{words}"}}'
            )

    assert (await cancel_probes.ask(venue_of("binance").probe, Client())).may_cancel is False


@pytest.mark.parametrize("words", ["Api key info invalid", "Your api key has expired."])
async def test_a_key_that_is_good_no_more_may_not_cancel(words: str) -> None:
    class Client:
        async def spotPrivateDeleteOrder(self, _: Any) -> None:  # noqa: N802 - ccxt's name
            raise VenueRejected(f'DELETE api.mexc.com/api/v3/order answered 400: {{"code": 10072, "msg": "{words}"}}')

    assert (await cancel_probes.ask(venue_of("mexc").probe, Client())).may_cancel is False


def test_every_venue_without_a_row_is_not_known() -> None:
    import asyncio

    unasked: Callable[..., Any] = lambda *_: pytest.fail("it was asked")  # noqa: E731
    assert asyncio.run(cancel_probes.ask(venue_of("bitvavo").probe, unasked)).may_cancel is None
