"""A gate for tests: a real HTTP server of a few lines that keeps to the contract, or breaks it in any way.

Raw sockets, so that it can also say what no HTTP library would.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from risk_daemon.model.clock import SystemClock
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap

TOKEN = "bot-token-1"
CHECK, REPORT = "/api/v1/orders/check", "/api/v1/orders/report"
LEASE = {
    "allowed": True,
    "time": "2026-11-20T12:00:00.000000Z",
    "time_wall": 1795176000.0,
    "lease_id": "lease-1",
    "valid_for_ms": 1000,
}
VETO = {
    "type": "about:blank",
    "title": "Locked",
    "status": 423,
    "detail": "loss of 3.10 % of the day's start, limit 3.00 %",
    "veto_reason": "daily_loss",
    "observed": {"daily_loss_ratio": 0.031},
    "limits": {"max_daily_loss_pct": 0.03},
    "trip_id": "trip-7",
    "locked_until": "2026-11-21T00:00:00.000000Z",
    "time": "2026-11-20T12:00:00.000000Z",
    "time_wall": 1795176000.0,
}


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What goes over the wire, part by part; then the connection stays open, unless told otherwise."""

    parts: Iterable[bytes]
    close: bool = False


Behaviour = Callable[[Request], Answer]


def http(
    status: int, document: Any, content_type: str = "application/json", *headers: str, close: bool = False
) -> Answer:
    """A proper reply."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    if close:
        lines.append("Connection: close")
    return Answer(["\r\n".join(lines).encode() + b"\r\n\r\n" + body], close)


def veto(**changes: Any) -> Answer:
    return http(423, VETO | changes, "application/problem+json")


def lease(**changes: Any) -> Answer:
    return http(200, LEASE | changes)


@contextmanager
def beating(directory: Path) -> Iterator[MemoryMap]:
    """The memory map of a living daemon, open at first: stamped all the time, as its evaluation loop does."""
    lock, ended, clock = MemoryMap(directory / "gate.bin"), threading.Event(), SystemClock()
    lock.write(LockRecord(locked=False), clock.now())

    def beat() -> None:
        while not ended.wait(0.02):
            lock.stamp(clock.now())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    yield lock
    ended.set()
    thread.join()


@dataclass
class GateServer:
    """Open at first. `behave` answers checks, if set; all else is the contract."""

    is_open: bool = True
    veto: dict[str, Any] = field(default_factory=dict)
    behave: Behaviour | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> GateServer:
        gate = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                gate.connections += 1
                gate.serve(self)

        class Listener(socketserver.ThreadingTCPServer):
            request_queue_size = 128  # with five, some of many newcomers would wait a second

        self._server = Listener(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def checks(self) -> list[dict[str, Any]]:
        return [request.json() for request in self.requests if request.path == CHECK]

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [request.json() for request in self.requests if request.path == REPORT]

    def wait_for_reports(self, count: int, within_s: float = 5.0) -> list[dict[str, Any]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.reports) >= count, within_s), self.reports
        return self.reports

    def serve(self, connection: socketserver.StreamRequestHandler) -> None:
        """The requests of one connection, one after the other."""
        for request in _requests(connection):
            with self.changed:
                self.requests.append(request)
                self.changed.notify_all()
            answer = self._answer(request)
            try:
                for part in answer.parts:
                    connection.wfile.write(part)
                    connection.wfile.flush()
            except OSError:
                return
            if answer.close:
                return

    def _answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return http(401, {"status": 401, "detail": "no such token"}, "application/problem+json")
        if (request.method, request.path) == ("POST", REPORT):
            return http(202, {})
        if (request.method, request.path) != ("POST", CHECK):
            return http(404, {"status": 404, "detail": "nothing here"}, "application/problem+json")
        if self.behave is not None:
            return self.behave(request)
        return lease() if self.is_open else veto(**self.veto)


def _requests(connection: socketserver.StreamRequestHandler) -> Iterator[Request]:
    while True:
        try:
            first = connection.rfile.readline().decode("latin-1").split()
            if len(first) != 3:
                return
            headers = {}
            while (line := connection.rfile.readline().decode("latin-1").strip()) != "":
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            body = connection.rfile.read(int(headers.get("content-length", "0")))
        except OSError:
            return
        yield Request(first[0], first[1], headers, body)
