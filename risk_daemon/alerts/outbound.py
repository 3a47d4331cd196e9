"""May this address be called? What an operator's file names is called, and nothing else.

A URL that somebody smuggled into the configuration, or a name that somebody else answers for, must not make the
daemon knock at what only this machine reaches: a database, a router, the metadata of a cloud.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from risk_daemon.alerts.threads import Busy, Threads

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
LookUp = Callable[[str], Awaitable[tuple[str, ...]]]

# A resolver that is out is mostly silent, and a trip can't wait for it where the answer is known of last time.
_LOOK_UP_AGAIN_WITHIN_S = 0.5

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Disallowed(Exception):
    """It may not be called; the text says what to do. No OSError, which aiohttp would take for a failed look-up."""


# --- what may be called -----------------------------------------------------------------------------


def refusal_of_url(url: str, allow: Sequence[str]) -> str | None:
    """Why this URL may not be called, as far as that can be said without looking anything up. None: it may."""
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        return "its url can't be read"
    if parsed.scheme not in ("https", "http") or not host or port is None:
        return "its url must begin with https:// and a host"
    if parsed.user is not None or parsed.password is not None:
        return "its url has a user in it: put what is secret into the channel's credentials instead"
    if allow and not is_named(host, allow):
        return f"{host} is not in allow"
    if parsed.scheme == "http" and not is_named(host, allow):
        return f"http is neither private nor proof against change: use https, or name {host} in allow"
    return None if _address(host) is None else refusal_of_addresses(host, [host], allow)


def refusal_of_addresses(host: str, addresses: Sequence[str], allow: Sequence[str]) -> str | None:
    """Why a host with these addresses may not be called. One that is not public is enough, unless it is named."""
    if is_named(host, allow):
        return None
    for text in addresses:
        address = _address(text)
        if address is None or not is_public(address):
            return f"{host} is at {text}, which is no public address: if that is meant, name {host} in allow"
    return None


def is_named(host: str, allow: Sequence[str]) -> bool:
    """`hooks.example.org` names itself, `*.example.org` all below example.org."""
    return any(_matches(host, pattern.strip()) for pattern in allow)


# IETF's own (a cloud answers for its machines there), relays of 6to4, documentation (RFC 6890, 7526, 9637).
_NOBODYS = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))


def is_public(address: Ip) -> bool:
    """Whether anybody on the internet has this address; one that is wrapped in another counts as itself."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    # Python calls some of them global that nobody routes to a stranger.
    odd = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not odd and not any(address in network for network in _NOBODYS)


def _wrapped(address: Ip) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _address(text: str) -> Ip | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        below = _plain(pattern[2:])
        return bool(below) and _plain(host).endswith(f".{below}")
    return bool(_plain(host)) and _plain(host) == _plain(pattern)


def _plain(host: str) -> str:
    """As it is asked for, however it was written: letters of other alphabets too."""
    text = host.strip().rstrip(".").strip("[]")
    try:
        return (URL.build(scheme="https", host=text).raw_host or "").lower()
    except ValueError:
        return ""


# --- looking it up ----------------------------------------------------------------------------------


class Names:
    """Looks up names on threads of a channel's own. What was found last serves while a resolver is out of reach."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._last: dict[str, tuple[str, ...]] = {}

    async def __call__(self, host: str) -> tuple[str, ...]:
        """Its addresses, the resolver's favourite first. Raises OSError or Busy for one that was never found."""
        last = self._last.get(host)
        try:
            async with asyncio.timeout(None if last is None else _LOOK_UP_AGAIN_WITHIN_S):
                found = await self._threads.run(_addresses_of, host)
        except (OSError, Busy):  # a timeout is an OSError
            if last is None:
                raise
            return last
        self._last[host] = found
        return found


def _addresses_of(host: str) -> tuple[str, ...]:
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long
        raise OSError(f"{host} is no name of a host") from None
    return tuple(dict.fromkeys(str(row[4][0]) for row in rows))


class CheckedResolver(AbstractResolver):
    """Gives aiohttp only addresses that may be called, so that what was checked is what is connected to."""

    def __init__(self, allow: Sequence[str], look_up: LookUp) -> None:
        self._allow = tuple(allow)
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises Disallowed, or OSError for a name that isn't found."""
        addresses = await self._look_up(host)
        refusal = refusal_of_addresses(host, addresses, self._allow)
        if refusal is not None:
            raise Disallowed(refusal)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""
