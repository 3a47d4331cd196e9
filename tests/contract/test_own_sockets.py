"""Sockets of our own against the venues that speak Kraken's wire: what goes wrong is told, and is over with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from connected import MARKETS, SYMBOLS, Venue, connected

from adapters import connection, socket_streams
from adapters.connection import Connection
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.model import Refused
from adapters.simulated.wire.kraken_ws import KrakenSession
from adapters.simulated.wire.krakenfutures_ws import KrakenFuturesSession
from risk_daemon.errors import MalformedReply, VenueError, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Kind
from risk_daemon.model.events import Input, OrdersSeen, PricesSeen

DEADLINE_S = 5.0
SESSIONS: dict[str, type[Any]] = {"kraken": KrakenSession, "krakenfutures": KrakenFuturesSession}


@pytest_asyncio.fixture(params=sorted(MARKETS))
async def venue(request: pytest.FixtureRequest) -> AsyncIterator[Venue]:
    async with connected(request.param) as venue:
        await venue.adapter.read_prices(frozenset({"BTC", "ETH"}))
        yield venue


async def within(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await awaitable


async def until_lost(venue: Venue, kind: Kind) -> VenueError:
    """How a stream ends."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await venue.adapter.next_frame(kind)
    except VenueError as error:
        return error


def kinds(venue: Venue) -> list[Kind]:
    return sorted(venue.adapter.capabilities.stream_kinds)


async def begin(venue: Venue) -> None:
    """Every stream has shown its first frame."""
    venue.place(type="limit", price="90000", client_order_id="bot-1")
    for kind in kinds(venue):
        await within(venue.adapter.next_frame(kind))


def lines(venue: Venue) -> dict[str, Connection]:
    adapter: Any = venue.adapter
    return dict(adapter._streams._lines)


def orders_in(inputs: Sequence[Input]) -> set[str | None]:
    return {order.client_order_id for seen in inputs if isinstance(seen, OrdersSeen) for order in seen.orders}


async def shows(venue: Venue, kind: Kind, value: Decimal | str) -> None:
    """Wait until a stream of prices has this price, one of orders an order of this client id."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            inputs = await venue.adapter.next_frame(kind)
            prices = {price.value for seen in inputs if isinstance(seen, PricesSeen) for price in seen.prices}
            if value in prices or value in orders_in(inputs):
                return


# --- one task a socket -------------------------------------------------------------------------------


async def test_one_task_a_socket_and_no_more_sockets_than_the_venue_has(venue: Venue) -> None:
    await begin(venue)
    assert len(lines(venue)) == (2 if venue.kind == "kraken" else 1)
    assert venue.server.state()["open_sockets"] == len(lines(venue))
    client: Any = venue.adapter
    assert client._client.clients == {}, "none of ccxt's"


async def test_closing_leaves_no_task_and_no_socket(venue: Venue) -> None:
    await begin(venue)
    tasks = [line.task for line in lines(venue).values()]
    await venue.adapter.close()
    assert all(task.done() for task in tasks)
    async with asyncio.timeout(DEADLINE_S):
        while venue.server.state()["open_sockets"]:  # noqa: ASYNC110 - the server sets no event of ours
            await asyncio.sleep(0)


# --- ends --------------------------------------------------------------------------------------------

CODES: dict[int, tuple[type[VenueError], str]] = {
    1000: (VenueUnavailable, "it was done"),
    1001: (VenueUnavailable, "it goes away"),
    1008: (VenueRejected, "against its policy"),
    1011: (VenueUnavailable, "an error inside"),
    1012: (VenueUnavailable, "it restarts"),
    1013: (VenueUnavailable, "try again later"),
    4321: (VenueUnavailable, "a code of its own"),
}


@pytest.mark.parametrize("code", CODES)
async def test_every_stream_of_a_closed_socket_is_told_with_its_code(venue: Venue, code: int) -> None:
    await begin(venue)
    venue.admin("socket", action="close", code=code)
    kind_of_error, meaning = CODES[code]
    for kind in kinds(venue):
        error = await until_lost(venue, kind)
        assert type(error) is kind_of_error
        assert str(error) == f"the venue ended the socket with {code}, {meaning}: as was asked"


@pytest.mark.parametrize(
    ("action", "kind_of_error"),
    [("drop", VenueUnavailable), ("half", VenueUnavailable), ("garbage", MalformedReply)],
)
async def test_a_socket_cut_or_spoilt_is_told_to_each_of_its_streams(
    venue: Venue, action: str, kind_of_error: type[VenueError]
) -> None:
    await begin(venue)
    venue.admin("socket", action=action)
    for kind in kinds(venue):
        assert type(await until_lost(venue, kind)) is kind_of_error


@pytest.mark.parametrize("frame", ["[1]", "5", '"text"', "null", '{"channel": ', "\x00", '{"feed": NaN}'])
async def test_text_that_is_no_message_ends_the_socket(venue: Venue, frame: str) -> None:
    await begin(venue)
    for socket in venue.server._sockets:
        socket.send(frame)
    assert type(await until_lost(venue, Kind.BALANCES)) is MalformedReply


async def test_bytes_are_no_message(venue: Venue) -> None:
    await begin(venue)
    for socket in venue.server._sockets:
        await socket.ws.send_bytes(b"{}")
    assert type(await until_lost(venue, Kind.BALANCES)) is MalformedReply


async def test_a_frame_longer_than_any_honest_one_ends_the_socket(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_FRAME_BYTES", 100_000)
    await begin(venue)
    for socket in venue.server._sockets:
        socket.send(json.dumps({"channel": "x" * 200_000}))
    error = await until_lost(venue, Kind.BALANCES)
    assert type(error) is MalformedReply
    assert "1009" in str(error)


async def test_no_word_of_a_spoilt_frame_gives_a_secret_away(venue: Venue) -> None:
    await begin(venue)
    for socket in venue.server._sockets:
        socket.send(f"{API_SECRET} {API_KEY}")
    error = str(await until_lost(venue, Kind.BALANCES))
    assert API_SECRET not in error
    assert API_KEY not in error


# --- after the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["drop", "close", "garbage"])
async def test_a_reconnect_subscribes_to_all_of_it_again(venue: Venue, action: str) -> None:
    await begin(venue)
    venue.admin("socket", action=action)
    for kind in kinds(venue):
        await until_lost(venue, kind)
        assert venue.adapter.heartbeat_mono(kind) is None
    for kind in kinds(venue):
        await within(venue.adapter.next_frame(kind))
    venue.admin("price", asset="BTC", price="43210")
    await shows(venue, Kind.PRICES, Decimal(43210))
    venue.admin("price", asset="ETH", price="2345")
    await shows(venue, Kind.PRICES, Decimal(2345))
    venue.place(type="limit", price="91000", client_order_id="bot-2")
    await shows(venue, Kind.ORDERS, "bot-2")


async def test_what_came_before_the_end_and_was_not_read_is_void(venue: Venue) -> None:
    await begin(venue)
    venue.admin("price", asset="BTC", price="43210")
    adapter: Any = venue.adapter
    async with asyncio.timeout(DEADLINE_S):
        while not adapter._streams._streams[Kind.PRICES].frames:  # noqa: ASYNC110 - nobody is to read it
            await asyncio.sleep(0)
    venue.admin("socket", action="drop")
    await within(asyncio.wait({_price_line(venue).task}))
    with pytest.raises(VenueUnavailable):
        await within(venue.adapter.next_frame(Kind.PRICES))


def _price_line(venue: Venue) -> Connection:
    return lines(venue)["publicV2" if venue.kind == "kraken" else "ws"]


async def test_a_lost_stream_vouches_for_nothing_until_its_new_snapshot(venue: Venue) -> None:
    await begin(venue)
    assert venue.adapter.heartbeat_mono(Kind.BALANCES) is not None
    venue.admin("socket", action="silent")
    venue.admin("socket", action="drop")
    await until_lost(venue, Kind.BALANCES)
    reading = asyncio.ensure_future(venue.adapter.next_frame(Kind.BALANCES))
    async with asyncio.timeout(DEADLINE_S):
        while venue.server.state()["open_sockets"] == 0:  # noqa: ASYNC110 - the server sets no event of ours
            await asyncio.sleep(0)
    assert venue.adapter.heartbeat_mono(Kind.BALANCES) is None
    reading.cancel()
    await asyncio.wait({reading})


# --- refusals ----------------------------------------------------------------------------------------


def refuse(monkeypatch: pytest.MonkeyPatch, kind: str, feed: str) -> list[str]:
    """The venue refuses this subscription in its own words; gives the subscriptions that it was asked for."""
    subscribe = SESSIONS[kind]._subscribe
    asked: list[str] = []

    def kraken(session: Any, envelope: dict[str, Any], params: dict[str, Any], now: float) -> list[Any]:
        asked.append(params["channel"])
        if params["channel"] == feed:
            return [envelope | {"success": False, "error": "EGeneral:Permission denied"}]
        return list(subscribe(session, envelope, params, now))

    def krakenfutures(session: Any, message: dict[str, Any], name: str, now: float) -> list[Any]:
        asked.append(name)
        if name == feed:
            return [{"event": "alert", "message": "Permission denied"}]
        return list(subscribe(session, message, name, now))

    monkeypatch.setattr(SESSIONS[kind], "_subscribe", {"kraken": kraken, "krakenfutures": krakenfutures}[kind])
    return asked


ORDERS_FEED = {"kraken": "executions", "krakenfutures": "open_orders"}


async def test_a_refused_subscription_is_told_to_its_stream_and_to_no_other(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, venue.kind, ORDERS_FEED[venue.kind])
    others = [kind for kind in kinds(venue) if kind is not Kind.ORDERS]
    reading = {kind: asyncio.ensure_future(venue.adapter.next_frame(kind)) for kind in kinds(venue)}
    with pytest.raises(VenueRejected, match="Permission denied"):
        await within(reading[Kind.ORDERS])
    for kind in others:
        await within(reading[kind])
    venue.admin("price", asset="BTC", price="43210")
    await shows(venue, Kind.PRICES, Decimal(43210))


async def test_a_refused_subscription_is_asked_for_again_by_the_next_read(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refuse(monkeypatch, venue.kind, ORDERS_FEED[venue.kind])
    for _ in range(3):
        with pytest.raises(VenueRejected):
            await within(venue.adapter.next_frame(Kind.ORDERS))
    assert asked.count(ORDERS_FEED[venue.kind]) == 3
    monkeypatch.undo()
    venue.place(type="limit", price="90000", client_order_id="bot-1")
    await shows(venue, Kind.ORDERS, "bot-1")


async def test_an_instrument_that_is_not_streamed_takes_no_other_along(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols = {"kraken": "ETH/USDT", "krakenfutures": "ETH/USD:USD"}
    listed = venue.server.exchange.instrument

    def instrument(name: str) -> Any:
        found = listed(name)
        if found.symbol == symbols[venue.kind]:
            raise _refused(name)
        return found

    monkeypatch.setattr(venue.server.exchange, "instrument", instrument)
    venue.admin("price", symbol=SYMBOLS[venue.kind], price="43210")
    await shows(venue, Kind.PRICES, Decimal(43210))
    assert venue.adapter.heartbeat_mono(Kind.PRICES) is None, "it does not vouch for what it does not show"


def _refused(name: str) -> Exception:
    return Refused("invalid", f"no {name}")


async def test_when_no_instrument_is_streamed_it_is_told(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    def instrument(name: str) -> Any:
        raise _refused(name)

    monkeypatch.setattr(venue.server.exchange, "instrument", instrument)
    with pytest.raises(VenueRejected, match="refused"):
        await within(venue.adapter.next_frame(Kind.PRICES))


async def test_a_subscription_without_an_answer_is_told(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(SESSIONS[venue.kind], "_subscribe", lambda *_: [])
    with pytest.raises(VenueUnavailable, match="no answer to the subscription"):
        await within(venue.adapter.next_frame(Kind.ORDERS))


# --- signing in --------------------------------------------------------------------------------------


async def test_each_connection_of_kraken_has_a_token_of_its_own() -> None:
    async with connected("kraken") as venue:
        tokens: Any = venue.server.face
        await within(venue.adapter.next_frame(Kind.BALANCES))
        venue.admin("socket", action="drop")
        await until_lost(venue, Kind.BALANCES)
        tokens.tokens.update(dict.fromkeys(tokens.tokens, 0.0))  # all run out meanwhile
        await within(venue.adapter.next_frame(Kind.BALANCES))
        assert len(tokens.tokens) == 2


async def test_a_token_that_ran_out_is_replaced_with_the_connection() -> None:
    async with connected("kraken") as venue:
        tokens: Any = venue.server.face
        venue.place(type="limit", price="90000", client_order_id="bot-1")
        await within(venue.adapter.next_frame(Kind.BALANCES))
        tokens.tokens.update(dict.fromkeys(tokens.tokens, 0.0))
        with pytest.raises(VenueUnavailable, match="token has run out"):
            await within(venue.adapter.next_frame(Kind.ORDERS))
        assert type(await until_lost(venue, Kind.BALANCES)) is VenueUnavailable
        await shows(venue, Kind.ORDERS, "bot-1")
        await within(venue.adapter.next_frame(Kind.BALANCES))


async def test_a_token_that_is_never_taken_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected("kraken") as venue:
        monkeypatch.setattr(KrakenSession, "_subscribe", _no_session)
        with pytest.raises(VenueRejected, match="Invalid session"):
            await within(venue.adapter.next_frame(Kind.BALANCES))


def _no_session(_: Any, envelope: dict[str, Any], *__: Any) -> list[Any]:
    return [envelope | {"success": False, "error": "ESession:Invalid session"}]


@pytest.mark.parametrize(
    ("how", "kind_of_error"), [("html", MalformedReply), ("empty_object", MalformedReply), ("503", VenueUnavailable)]
)
async def test_without_a_token_nothing_is_dialled(how: str, kind_of_error: type[VenueError]) -> None:
    async with connected("kraken") as venue:
        venue.admin("fault", how=how, target="token", count=1)
        with pytest.raises(kind_of_error):
            await within(venue.adapter.next_frame(Kind.BALANCES))
        assert "ws" not in venue.server.calls
        await within(venue.adapter.next_frame(Kind.BALANCES))


async def test_a_challenge_that_is_refused_leaves_the_prices() -> None:
    async with connected("krakenfutures") as venue:
        await venue.adapter.read_prices(frozenset({"BTC"}))
        venue.server.face.key.api_key = "another"
        with pytest.raises(VenueRejected, match="Invalid API key"):
            await within(venue.adapter.next_frame(Kind.BALANCES))
        await within(venue.adapter.next_frame(Kind.PRICES))


async def test_each_connection_of_krakenfutures_signs_the_challenge_of_its_own() -> None:
    async with connected("krakenfutures") as venue:
        for _ in range(3):
            await within(venue.adapter.next_frame(Kind.BALANCES))
            venue.admin("socket", action="close", code=1012)
            await until_lost(venue, Kind.BALANCES)


# --- silence -----------------------------------------------------------------------------------------


async def test_silence_is_told(venue: Venue) -> None:
    await begin(venue)
    for line in lines(venue).values():
        wire: Any = line._wire
        wire.silent_after_s = 0.05
        line._watch_silence()
    venue.admin("socket", action="silent")
    for kind in kinds(venue):
        error = await until_lost(venue, kind)
        assert type(error) is VenueUnavailable
        assert "said nothing for" in str(error)


async def test_a_server_that_answers_no_ping_is_told(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(connection, "PONG_WITHIN_S", 0.05)
    await begin(venue)
    venue.admin("socket", action="frozen")
    error = await until_lost(venue, Kind.BALANCES)
    assert type(error) is VenueUnavailable
    assert "we ended the socket with 1011" in str(error)


# --- floods ------------------------------------------------------------------------------------------


async def test_of_a_flood_no_frame_is_lost(venue: Venue) -> None:
    await begin(venue)
    prices = [Decimal(40_000 + number) for number in range(3_000)]
    for price in prices:
        venue.admin("price", symbol=SYMBOLS[venue.kind], price=str(price))
    seen: list[Decimal] = []
    async with asyncio.timeout(4 * DEADLINE_S):
        while not seen or seen[-1] != prices[-1]:
            for reading in await venue.adapter.next_frame(Kind.PRICES):
                assert isinstance(reading, PricesSeen)
                seen += [price.value for price in reading.prices if price.value in prices]
    assert seen == sorted(seen), "and they are in order"


async def test_a_flood_that_nobody_reads_has_an_end(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin(venue)
    monkeypatch.setattr(socket_streams, "MAX_UNREAD", 100)
    for number in range(300):
        venue.admin("price", symbol=SYMBOLS[venue.kind], price=str(40_000 + number))
    line = _price_line(venue)
    await within(asyncio.wait({line.task}))
    with pytest.raises(VenueUnavailable, match="nobody has read"):
        await within(venue.adapter.next_frame(Kind.PRICES))
    await within(venue.adapter.next_frame(Kind.PRICES))


# --- dialling ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "kind_of_error"),
    [("401", VenueRejected), ("403", VenueRejected), ("429", VenueUnavailable), ("503", VenueUnavailable)],
)
async def test_a_dial_that_is_refused_says_why(venue: Venue, how: str, kind_of_error: type[VenueError]) -> None:
    venue.admin("fault", how=how, target="ws", count=1, retry_after_s=7)
    with pytest.raises(kind_of_error, match=how) as raised:
        await within(venue.adapter.next_frame(Kind.BALANCES))
    if isinstance(raised.value, VenueUnavailable):
        assert raised.value.retry_after_s == 7
    await within(venue.adapter.next_frame(Kind.BALANCES))


async def test_a_dial_that_hangs_has_an_end(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DIAL_WITHIN_S", 0.05)
    venue.admin("fault", how="hang", target="ws", count=1)
    with pytest.raises(VenueUnavailable):
        await within(venue.adapter.next_frame(Kind.BALANCES))
