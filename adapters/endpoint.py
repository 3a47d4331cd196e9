"""Sends a ccxt client to a local server instead of the exchange.

Every address of the client becomes `<endpoint>/<original host><original path>`, so one server can
stand for several hosts and still see which one was meant. Keys travel in clear text on such a
connection, so only this machine is allowed.
"""

from __future__ import annotations

from typing import Any

from risk_daemon.model.addresses import check_loopback

_PLAIN = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}


def rewrite(url: str, endpoint: str) -> str:
    """`url` at `endpoint`; text that is no web address is returned as it is. Raises ValueError off this machine."""
    check_loopback(endpoint)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _PLAIN:
        return url
    return f"{_PLAIN[scheme]}{endpoint.rstrip('/').removeprefix('http')}/{rest}"


def rewrite_all(urls: Any, endpoint: str) -> Any:
    """The same nested dicts and lists with every address in them rewritten."""
    if isinstance(urls, str):
        return rewrite(urls, endpoint)
    if isinstance(urls, dict):
        return {key: rewrite_all(value, endpoint) for key, value in urls.items()}
    if isinstance(urls, list):
        return [rewrite_all(value, endpoint) for value in urls]
    return urls
