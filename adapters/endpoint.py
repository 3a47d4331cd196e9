"""Sends a ccxt client to a local server instead of the exchange.

Every address of the client becomes `<endpoint>/<original host><original path>`, so one server can
stand for several hosts and still see which one was meant. Keys travel in clear text on such a
connection, so only this machine is allowed.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

_PLAIN = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}


def check_loopback(endpoint: str) -> str:
    """`endpoint` without a trailing slash. Raises ValueError unless it is http on this machine."""
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError(f"{endpoint!r} is not an endpoint: write http://127.0.0.1:9001")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{endpoint!r} must have neither user, query nor fragment")
    if not _is_loopback(parts.hostname):
        raise ValueError(f"{endpoint!r} is not on this machine: an endpoint must be a loopback address")
    return endpoint.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def rewrite(url: str, endpoint: str) -> str:
    """`url` at `endpoint`; text that is no web address is returned as it is."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _PLAIN:
        return url
    return f"{_PLAIN[scheme]}{check_loopback(endpoint).removeprefix('http')}/{rest}"


def rewrite_all(urls: Any, endpoint: str) -> Any:
    """The same nested dicts and lists with every address in them rewritten."""
    if isinstance(urls, str):
        return rewrite(urls, endpoint)
    if isinstance(urls, dict):
        return {key: rewrite_all(value, endpoint) for key, value in urls.items()}
    if isinstance(urls, list):
        return [rewrite_all(value, endpoint) for value in urls]
    return urls
