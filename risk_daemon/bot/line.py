"""The line to the daemon: HTTP over kept-alive connections, in which nothing outlasts its deadline.

Loopback or TLS only, no redirects, no proxies, no compression. A connection on which anything went wrong is
dropped, and so is one that was made in another process: after a fork two would read each other's answers.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import json
import os
import queue
import re
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from risk_daemon.bot.answers import boot_ns
from risk_daemon.bot.contract import Reply

_MAX_BODY: Final = 64 * 1024
_MAX_IDLE: Final = 8
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=:-]{1,512}")
_LOCALHOST = ("127.0.0.1", "::1")


class NoReply(Exception):
    """Nothing that is an HTTP reply came back in time."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the clock that also counts a suspended machine's time."""

    at_ns: int

    @classmethod
    def within(cls, seconds: float) -> Deadline:
        return cls(boot_ns() + round(seconds * 1e9))

    def left_s(self) -> float:
        """Raises TimeoutError once it is over."""
        left_s = (self.at_ns - boot_ns()) / 1e9
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        return left_s


@dataclass(frozen=True, slots=True)
class Address:
    """Where the daemon is. prefix: what stands before every path. Raises ValueError for a URL that is not safe."""

    host: str
    port: int
    is_secure: bool
    prefix: str

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        host, is_secure = parts.hostname or "", parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise ValueError(f"{parts.scheme}://{host} is not an http or https URL without a user name")
        if parts.query or parts.fragment:
            raise ValueError(f"{host}: a URL of the daemon has no query and no fragment")
        if not is_secure and not _is_loopback(host):
            raise ValueError(f"{host} is not this machine: a token must not travel in the clear, use https")
        return cls(host, parts.port or (443 if is_secure else 80), is_secure, parts.path.rstrip("/"))


class Line:
    """To one daemon. Thread-safe. ca_file: certificates to trust instead of the system's. Raises ValueError."""

    def __init__(self, url: str, token: str | None, ca_file: str | os.PathLike[str] | None = None) -> None:
        self._address = Address.of(url)
        self._headers = {"Content-Type": "application/json"} | _authorization(token)
        self._tls = ssl.create_default_context(cafile=ca_file) if self._address.is_secure else None
        self._start()

    def _start(self) -> None:
        self._names = _Names(self._address.host, self._address.port)
        self._idle: deque[_Connection] = deque()
        self._owner = os.getpid()

    def post(self, path: str, document: Mapping[str, Any], deadline: Deadline) -> tuple[Reply, int]:
        """The reply, and the boot time (ns) just before the question was sent. Raises NoReply."""
        body = json.dumps(document, allow_nan=False).encode()
        try:
            connection = self._usable()
            if connection is not None:
                try:
                    return self._exchange(connection, path, body, deadline)
                except (http.client.RemoteDisconnected, ConnectionError):
                    deadline.left_s()  # closed while it lay idle: once more, on a new one
            return self._exchange(self._connect(deadline), path, body, deadline)
        except (OSError, http.client.HTTPException) as error:
            raise NoReply(f"{type(error).__name__}: {error}"[:200]) from error

    def close(self) -> None:
        """Drop the connections that lie idle."""
        while (connection := self._pop()) is not None:
            connection.close()

    def _exchange(self, connection: _Connection, path: str, body: bytes, deadline: Deadline) -> tuple[Reply, int]:
        try:
            asked_ns = boot_ns()
            reply, is_reusable = connection.exchange(self._address.prefix + path, body, self._headers, deadline)
        except BaseException:
            connection.close()
            raise
        if is_reusable and len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return reply, asked_ns

    def _usable(self) -> _Connection | None:
        """An idle connection that is still open and on which nothing waits to be read."""
        if self._owner != os.getpid():
            self.close()
            self._start()
        while (connection := self._pop()) is not None:
            if connection.is_quiet():
                return connection
            connection.close()
        return None

    def _pop(self) -> _Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self, deadline: Deadline) -> _Connection:
        """Raises OSError."""
        failure: OSError = OSError(f"{self._address.host} has no address")
        for host in self._names.addresses(deadline):
            try:
                plain = socket.create_connection((host, self._address.port), timeout=deadline.left_s())
            except OSError as error:
                failure = error
                continue
            try:
                return _Connection(self._address, self._secured(plain, deadline))
            except BaseException:
                plain.close()
                raise
        raise failure

    def _secured(self, plain: socket.socket, deadline: Deadline) -> socket.socket:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return plain
        plain.settimeout(deadline.left_s())
        return self._tls.wrap_socket(plain, server_hostname=self._address.host)


class _Connection:
    """One kept-alive connection."""

    def __init__(self, address: Address, opened: socket.socket) -> None:
        self._socket = _TimedSocket(opened)
        self._http = http.client.HTTPConnection(address.host, address.port)
        self._http.auto_open = 0
        self._http.sock = self._socket

    def exchange(self, path: str, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> tuple[Reply, bool]:
        """The reply, and whether the connection may be used again. Raises OSError or HTTPException."""
        self._socket.deadline = deadline
        self._http.request("POST", path, body, headers)
        with self._http.getresponse() as response:
            data = response.read(_MAX_BODY + 1)
            if len(data) > _MAX_BODY:
                raise http.client.HTTPException("the reply is too long")
            if not response.chunked and response.length != 0:
                raise http.client.HTTPException("the reply does not end where it says, or does not say")
            is_reusable = not response.will_close and response.isclosed()
            return Reply(response.status, response.headers.get_content_type(), data), is_reusable

    def is_quiet(self) -> bool:
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._http.close()
        self._socket.close()


class _TimedSocket:
    """What http.client needs of a socket, each wait bounded by one deadline for all: also a reply in drops ends."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self.deadline = Deadline(0)

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self.deadline.left_s())
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def receive(self, buffer: Any) -> int:
        self._socket.settimeout(self.deadline.left_s())
        return self._socket.recv_into(buffer)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


class _TimedReader(io.RawIOBase):
    """The reading end, for one reply. Closing it leaves the socket open."""

    def __init__(self, source: _TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.receive(buffer)


class _Names:
    """Addresses of the daemon's host. A name server is asked in a thread of its own, for it knows no deadline."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._is_asking = threading.Lock()

    def addresses(self, deadline: Deadline) -> tuple[str, ...]:
        """Raises OSError, TimeoutError included."""
        if self._host == "localhost":
            return _LOCALHOST
        if _is_ip(self._host):
            return (self._host,)
        if not self._is_asking.acquire(timeout=deadline.left_s()):
            raise TimeoutError(f"the name {self._host} is still being looked up")
        found: queue.SimpleQueue[tuple[str, ...] | OSError] = queue.SimpleQueue()
        threading.Thread(target=self._look_up, args=(found,), daemon=True, name="risk-gate-names").start()
        try:
            answer = found.get(timeout=deadline.left_s())
        except queue.Empty:
            raise TimeoutError(f"the name {self._host} was not found in time") from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _look_up(self, found: queue.SimpleQueue[tuple[str, ...] | OSError]) -> None:
        try:
            rows = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            found.put(tuple(dict.fromkeys(str(row[4][0]) for row in rows)))
        except OSError as error:
            found.put(error)
        except ValueError as error:  # a name that can't be encoded
            found.put(OSError(str(error)))
        finally:
            self._is_asking.release()


def _authorization(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    if _TOKEN.fullmatch(token) is None:
        raise ValueError("this is no token: it has characters that no token has")
    return {"Authorization": f"Bearer {token}"}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
