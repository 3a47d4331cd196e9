"""Help for tests that talk to a simulated venue: the unmodified ccxt client on rewritten URLs, and its admin face."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt.pro

from adapters.simulated import API_KEY, API_SECRET
from adapters.simulated.server import VenueServer

DEADLINE_S = 5.0
POLL_S = 0.005
QUIET_POLLS = 6


def rewritten(value: Any, endpoint: str) -> Any:
    """Every URL of a nested `urls` value on `endpoint`, the original host as the first part of its path."""
    if isinstance(value, dict):
        return {key: rewritten(inner, endpoint) for key, inner in value.items()}
    match = re.match(r"(https?|wss?)://(.*)", value)
    assert match is not None
    scheme = "ws" if match[1].startswith("ws") else "http"
    return f"{scheme}://{endpoint.removeprefix('http://')}/{match[2]}"


def client_of(
    kind: str, endpoint: str, *, api_key: str = API_KEY, secret: str = API_SECRET, timeout_ms: int = 5000
) -> Any:
    """ccxt's own client of a venue, talking to `endpoint`."""
    options = {"apiKey": api_key, "secret": secret, "enableRateLimit": False, "timeout": timeout_ms}
    client = getattr(ccxt.pro, kind)(options)
    client.urls["api"] = rewritten(client.urls["api"], endpoint)
    return client


class Sim:
    """A simulated venue, its admin face, and one ccxt client."""

    def __init__(self, server: VenueServer, http: aiohttp.ClientSession, client: Any) -> None:
        self.server, self.http, self.client = server, http, client

    async def post(self, name: str, **body: Any) -> dict[str, Any]:
        return await self.call("POST", name, body)

    async def delete(self, name: str, **body: Any) -> dict[str, Any]:
        return await self.call("DELETE", name, body)

    async def state(self) -> dict[str, Any]:
        return await self.call("GET", "state", {})

    async def call(self, method: str, name: str, body: Any, *, status: int = 200) -> dict[str, Any]:
        async with self.http.request(method, f"{self.server.endpoint}/_sim/{name}", json=body) as reply:
            answer: dict[str, Any] = await reply.json()
            assert reply.status == status, answer
            return answer


async def within(awaitable: Awaitable[Any], deadline_s: float = DEADLINE_S) -> Any:
    """The result, or a TimeoutError that fails the test."""
    return await asyncio.wait_for(awaitable, deadline_s)


async def until(condition: Callable[[], Awaitable[bool]], deadline_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < end, "the condition never held"
        await asyncio.sleep(0.005)


async def until_subscribed(server: VenueServer, sockets: int = 1) -> None:
    """Until so many sockets are open, and what their clients had to say is said."""
    heard, still = -1, 0
    end = time.monotonic() + DEADLINE_S
    while still < QUIET_POLLS:
        assert time.monotonic() < end, "the clients never came to an end"
        still = still + 1 if heard == server.frames_heard and len(server._sockets) >= sockets else 0
        heard = server.frames_heard
        await asyncio.sleep(POLL_S)
