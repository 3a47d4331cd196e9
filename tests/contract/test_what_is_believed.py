"""What is no listing is never taken for one, over real sockets: and nothing of ours leaves for another host."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from connected import MARKETS, Venue, without_pauses

from adapters import transport
from adapters.base import Market
from adapters.registry import build_adapter
from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer
from adapters.venue import VenueSettings
from risk_daemon.errors import MalformedReply, VenueError
from risk_daemon.model.clock import SystemClock
from risk_daemon.model.events import Kind

DEADLINE_S = 5.0
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

LISTINGS = {"kraken": "OpenOrders", "krakenfutures": "openorders"}
EMPTY = {
    "kraken": {"error": [], "result": {"open": {}}},
    "krakenfutures": {"result": "success", "openOrders": [], "serverTime": "2026-01-01T00:00:00.000Z"},
}


@dataclass
class Front:
    """Stands before a venue and passes everything on, but for what it answers itself."""

    inner: str = ""
    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[web.Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        for part, answer in self.answers.items():
            if part in request.path:
                return await answer(request)
        async with aiohttp.ClientSession() as http:
            kept = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
            body, url = await request.read(), f"{self.inner}{request.raw_path}"
            async with http.request(request.method, url, data=body, headers=kept) as reply:
                return web.Response(status=reply.status, body=await reply.read(), content_type="application/json")


@asynccontextmanager
async def listening(front: Front, host: str = "127.0.0.1") -> AsyncIterator[Front]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    front.port = int(runner.addresses[0][1])
    yield front
    await runner.cleanup()


async def _nothing(_: web.Request) -> web.StreamResponse:
    return web.json_response(EMPTY["kraken"])


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[Front]:
    """Another host, that would answer with an empty listing."""
    async with listening(Front(answers={"/": _nothing}), "127.0.0.2") as front:
        yield front


@dataclass
class Fronted:
    """A venue with an open order, seen through a front."""

    venue: Venue
    front: Front

    def answer(self, part: str, answer: Answer) -> None:
        self.front.answers[part] = answer

    def says(
        self, body: bytes | str, status: int = 200, content_type: str = "application/json", **headers: str
    ) -> None:
        """The front answers the listing of orders like this."""
        raw = body.encode() if isinstance(body, str) else body

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=raw, headers={"Content-Type": content_type} | headers)

        self.answer(LISTINGS[self.venue.kind], answer)

    async def refuses_the_listing(self, kind: type[VenueError] = VenueError, match: str | None = None) -> None:
        with pytest.raises(kind, match=match) as raised:
            async with asyncio.timeout(DEADLINE_S):
                await self.venue.adapter.list_orders(self.venue.scope)
        assert API_SECRET not in str(raised.value)
        self.front.answers.clear()
        assert len((await self.venue.adapter.list_orders(self.venue.scope)).orders) == 1


@pytest_asyncio.fixture(params=sorted(MARKETS))
async def fronted(request: pytest.FixtureRequest) -> AsyncIterator[Fronted]:
    kind: str = request.param
    server = VenueServer(kind)
    await server.start()
    async with listening(Front(server.endpoint)) as front:
        endpoint = f"http://127.0.0.1:{front.port}"
        settings = VenueSettings(kind, kind, MARKETS[kind], endpoint, api_key=API_KEY, secret=API_SECRET)
        adapter = build_adapter(settings, SystemClock())
        without_pauses(adapter)
        await adapter.connect()
        venue = Venue(kind, server, adapter, settings)
        venue.place(type="limit", price="90000")
        yield Fronted(venue, front)
        await adapter.close()
    await server.stop()


def _says_empty(kind: str, **beside: object) -> str:
    """An empty listing with something beside it, where the rows are."""
    reply = json.loads(json.dumps(EMPTY[kind]))
    (reply["result"] if kind == "kraken" else reply).update(beside)
    return json.dumps(reply)


async def test_an_honest_empty_listing_is_believed(fronted: Fronted) -> None:
    fronted.says(_says_empty(fronted.venue.kind))
    assert (await fronted.venue.adapter.list_orders(fronted.venue.scope)).orders == ()


# --- redirects ---------------------------------------------------------------------------------------


async def test_no_redirect_is_followed_and_no_header_leaves(fronted: Fronted, elsewhere: Front) -> None:
    for status in (301, 302, 303, 307, 308):
        fronted.says("", status, Location=f"http://127.0.0.2:{elsewhere.port}/0/private/OpenOrders")
        await fronted.refuses_the_listing()
    assert elsewhere.seen == []


async def test_no_redirect_of_any_other_call_either(fronted: Fronted, elsewhere: Front) -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"http://127.0.0.2:{elsewhere.port}/")

    fronted.answer("/", away)
    adapter, scope = fronted.venue.adapter, fronted.venue.scope
    calls = [
        adapter.read_balances,
        adapter.read_positions,
        lambda: adapter.read_prices(frozenset({"BTC"})),
        lambda: adapter.read_flows(0.0),
        lambda: adapter.list_orders(scope),
        lambda: adapter.cancel_orders(scope, ()),
    ]
    for call in calls:
        with pytest.raises(VenueError):
            await call()
    assert elsewhere.seen == []


async def test_no_redirect_within_the_same_host(fronted: Fronted) -> None:
    fronted.says("", 302, Location="/other")
    seen = len(fronted.front.seen)
    await fronted.refuses_the_listing()
    assert [request.path for request in fronted.front.seen[seen:] if request.path == "/other"] == []


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_socket_is_not_redirected(fronted: Fronted, elsewhere: Front, scheme: str) -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"{scheme}://127.0.0.2:{elsewhere.port}/")

    fronted.answer("/ws" if fronted.venue.kind == "krakenfutures" else "ws-auth.kraken.com", away)
    with pytest.raises(MalformedReply, match="sends us elsewhere"):
        async with asyncio.timeout(DEADLINE_S):
            await fronted.venue.adapter.next_frame(Kind.BALANCES)
    assert elsewhere.seen == []


# --- status and type ---------------------------------------------------------------------------------


async def test_only_status_200_is_an_answer(fronted: Fronted) -> None:
    for status in (201, 202, 203, 206):
        fronted.says(_says_empty(fronted.venue.kind), status)
        await fronted.refuses_the_listing()


async def test_what_calls_itself_html_is_no_answer(fronted: Fronted) -> None:
    fronted.says(_says_empty(fronted.venue.kind), content_type="text/html; charset=utf-8")
    await fronted.refuses_the_listing(MalformedReply, "HTML")


# --- what it says of itself --------------------------------------------------------------------------


CONTRADICTIONS: list[dict[str, object]] = [
    {"count": 3},
    {"total": "1"},
    {"count": "many"},
    {"cursor": "abc"},
    {"next_cursor": "abc"},
    {"next": "/page/2"},
    {"pending": True},
    {"hasMore": True},
]
AGREEING: list[dict[str, object]] = [{"count": 0}, {"total": "0"}, {"cursor": ""}, {"next": None}, {"pending": False}]


async def test_a_listing_that_contradicts_itself_is_none(fronted: Fronted) -> None:
    for beside in CONTRADICTIONS:
        fronted.says(_says_empty(fronted.venue.kind, **beside))
        await fronted.refuses_the_listing(MalformedReply)


async def test_one_that_agrees_with_itself_is(fronted: Fronted) -> None:
    for beside in AGREEING:
        fronted.says(_says_empty(fronted.venue.kind, **beside))
        assert (await fronted.venue.adapter.list_orders(fronted.venue.scope)).orders == ()


async def test_of_two_equal_keys_none_is_believed(fronted: Fronted) -> None:
    empty = _says_empty(fronted.venue.kind)
    rows = (
        '"open": {"O1": {"descr": {}}}, "open"' if fronted.venue.kind == "kraken" else '"openOrders": [1], "openOrders"'
    )
    name = '"open"' if fronted.venue.kind == "kraken" else '"openOrders"'
    fronted.says(empty.replace(name, rows))
    await fronted.refuses_the_listing(MalformedReply, "twice")


async def test_text_behind_the_answer_refuses_it(fronted: Fronted) -> None:
    for tail in ("{}", " null", ","):
        fronted.says(_says_empty(fronted.venue.kind) + tail)
        await fronted.refuses_the_listing(MalformedReply)


async def test_a_bomb_is_read_no_further_than_the_longest_answer(
    fronted: Fronted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 100_000)
    bomb = gzip.compress(_says_empty(fronted.venue.kind).encode() + b" " * 10_000_000)
    fronted.says(bomb, **{"Content-Encoding": "gzip"})
    with pytest.raises(MalformedReply, match="longer"):
        await fronted.venue.adapter.list_orders(fronted.venue.scope)


class WhoCalls(VenueServer):
    """Notes from which addresses it is called."""

    def __init__(self) -> None:
        super().__init__("kraken")
        self.peers: list[tuple[bool, str | None]] = []

    async def _serve_venue(self, http: web.Request) -> web.StreamResponse:
        self.peers.append(("Upgrade" in http.headers, http.remote))
        return await super()._serve_venue(http)


@pytest.mark.parametrize("address", [None, "127.0.0.7"])
async def test_calls_and_sockets_leave_from_the_address_that_was_named(address: str | None) -> None:
    """Exchanges that count calls by address count those of a bot beside us as well."""
    server = WhoCalls()
    await server.start()
    keys = {"api_key": API_KEY, "secret": API_SECRET}
    markets = frozenset({Market.SPOT})
    settings = VenueSettings("kraken", "kraken", markets, server.endpoint, local_address=address, **keys)
    adapter = build_adapter(settings, SystemClock())
    without_pauses(adapter)
    await adapter.connect()
    async with asyncio.timeout(5):
        await adapter.next_frame(Kind.BALANCES)
    await adapter.close()
    await server.stop()
    assert {is_socket for is_socket, _ in server.peers} == {True, False}
    assert {peer for _, peer in server.peers} == {address or "127.0.0.1"}
