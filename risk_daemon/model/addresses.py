"""Addresses: of this machine, of a listener, of a Unix socket."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

_HOST_PORT = re.compile(r"^(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})$")
_ADDRESS_BYTES = 107  # what fits into sockaddr_un, the closing zero left out


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, without asking a name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_loopback(endpoint: str) -> None:
    """Raise ValueError unless `endpoint` is an http URL of this machine: 127.0.0.0/8, ::1 or localhost.

    Anything else would send signed requests to a stranger.
    """
    remedy = 'write a loopback address such as "http://127.0.0.1:9001"'
    try:
        parts = urlsplit(endpoint)
        host, port, user = parts.hostname, parts.port, parts.username
    except ValueError:
        raise ValueError(f"it is not a URL: {remedy}") from None
    if parts.scheme != "http" or not host or user is not None:
        raise ValueError(f"it is not an http URL without a user name: {remedy}")
    if not is_loopback(host):
        raise ValueError(f"{host} is not this machine: {remedy}, or take it out for the exchange itself")
    if port == 0 or parts.query or parts.fragment:
        raise ValueError(f"it has no usable port, or a query: {remedy}")


def host_and_port(address: str) -> tuple[str, int]:
    """`127.0.0.1:8787` or `[::1]:8787` in two parts. Raises ValueError."""
    match = _HOST_PORT.match(address)
    if match is None or int(match.group(2)) > 65_535:
        raise ValueError(f'{address!r} is not an address: write "127.0.0.1:8787"')
    return match.group(1).strip("[]"), int(match.group(2))


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address of a Unix socket that fits into the kernel's limit, however long `path` is. Raises OSError."""
    if len(os.fsencode(path)) <= _ADDRESS_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
