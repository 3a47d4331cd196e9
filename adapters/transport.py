"""How a request leaves and its answer comes in, below ccxt: one session a client.

No redirect is followed, of a call or of a socket: it would take the key along to another host. Bodies
are bounded, however well they are packed. Connections outlive the pause between two readings and names
the day's slow resolver, so that the first cancel pays neither a handshake nor a look-up.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp

from risk_daemon.errors import MalformedReply

KEEP_ALIVE_S = 75.0
"""Above the reading interval, where aiohttp's own 15 s equal it."""

DNS_CACHE_S = 300
MAX_BODY_BYTES = 64 * 2**20
"""The longest honest answer, a list of all markets, has some 20 MB."""


class BoundedResponse(aiohttp.ClientResponse):
    """A response whose text is not read further than MAX_BODY_BYTES, unpacked."""

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """The body. Raises MalformedReply if it is too long."""
        body = bytearray()
        async for chunk in self.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                self.close()
                raise MalformedReply(f"the answer is longer than {MAX_BODY_BYTES} bytes")
        return body.decode(encoding or "utf-8", errors)


class Session:
    """An aiohttp session as ccxt uses it, that answers a redirect with the redirect itself."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def get(self, url: Any, **options: Any) -> Any:
        return self._request("GET", url, options)

    def post(self, url: Any, **options: Any) -> Any:
        return self._request("POST", url, options)

    def put(self, url: Any, **options: Any) -> Any:
        return self._request("PUT", url, options)

    def patch(self, url: Any, **options: Any) -> Any:
        return self._request("PATCH", url, options)

    def delete(self, url: Any, **options: Any) -> Any:
        return self._request("DELETE", url, options)

    def _request(self, method: str, url: Any, options: dict[str, Any]) -> Any:
        return self._session.request(method, url, **{**options, "allow_redirects": False})

    def ws_connect(self, *args: Any, **options: Any) -> Any:
        """Dial a socket; a redirect raises MalformedReply before anything leaves for the other address."""
        return self._session.ws_connect(*args, **options)

    @property
    def headers(self) -> Mapping[str, str]:
        return self._session.headers

    @property
    def cookie_jar(self) -> aiohttp.abc.AbstractCookieJar:
        return self._session.cookie_jar

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def close(self) -> None:
        await self._session.close()


def open_connector(context: ssl.SSLContext | bool, local_address: str | None = None) -> aiohttp.TCPConnector:
    """Connections of one client. local_address: the one of this machine's that they leave from."""
    return aiohttp.TCPConnector(
        local_addr=None if local_address is None else (local_address, 0),
        ssl=context,
        family=socket.AF_UNSPEC,
        happy_eyeballs_delay=0,
        keepalive_timeout=KEEP_ALIVE_S,
        ttl_dns_cache=DNS_CACHE_S,
    )


def open_session(connector: aiohttp.TCPConnector, *, trust_env: bool) -> Session:
    """A session over `connector`."""
    refusing = aiohttp.TraceConfig()
    refusing.on_request_redirect.append(_refuse)
    return Session(
        aiohttp.ClientSession(
            connector=connector, trust_env=trust_env, response_class=BoundedResponse, trace_configs=[refusing]
        )
    )


async def _refuse(_: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams) -> None:
    params.response.close()
    raise MalformedReply(f"{params.url.host}{params.url.path} sends us elsewhere, where nothing of ours goes")
