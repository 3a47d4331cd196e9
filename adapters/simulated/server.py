"""A simulated venue as a server: HTTP, websockets and the admin face on one loopback port.

The first part of a path is the venue's own host name (`/api.kraken.com/0/private/OpenOrders`), so
one rewritten base URL serves every host of a venue. What is said is decided by a wire face, what
goes wrong by the fault book; this module only carries bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from adapters.simulated import API_KEY, API_SECRET, truth
from adapters.simulated.admin import Admin, BadRequest
from adapters.simulated.faults import GARBAGE, Answer, Call, Fault, FaultBook, How, spoil
from adapters.simulated.scenarios import build
from adapters.simulated.wire.base import Face, Key, Reply, Request, Session
from risk_daemon.model.clock import Clock, SystemClock

LOOPBACK = "127.0.0.1"


class _Socket:
    """One open websocket: its session, and the frames that wait to be written."""

    def __init__(self, session: Session, ws: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.session = session
        self.ws = ws
        self.frames: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.wrote = False
        self._transport = transport

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def halve(self) -> None:
        """The beginning of a frame of 100 bytes, and no more."""
        if self._transport is not None:
            self._transport.write(b'\x81\x64{"channel":')
            self._transport.close()

    def send(self, frame: str | bytes) -> None:
        self.wrote = True
        self.frames.put_nowait(frame)


class VenueServer:
    """One simulated venue.

    funded: start with the default account of the kind, else with an empty one. idle_s: how often a
    socket that has nothing to say shows a heartbeat. After `start`, `exchange` may be driven directly;
    call `publish` after a change so that sockets hear of it.
    """

    def __init__(
        self,
        kind: str,
        *,
        port: int = 0,
        clock: Clock | None = None,
        api_key: str = API_KEY,
        api_secret: str = API_SECRET,
        funded: bool = True,
        idle_s: float = 1.0,
    ) -> None:
        self._clock = clock or SystemClock()
        self._idle_s = idle_s
        self.skew_s = 0.0
        self.kind = kind
        self.port = port
        self.face: Face = build(kind, Key(api_key, api_secret), self._now(), funded=funded)
        self.exchange = self.face.exchange
        self.faults = FaultBook()
        actions = {"drop": self._drop, "half": self._halve, "garbage": self._garble}
        self.admin = Admin(
            self.exchange,
            self.faults,
            self.face.key,
            sockets=actions,
            close=self._close,
            skew=self._set_skew,
            switches=getattr(self.face, "switches", None),
        )
        self.calls: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, int] = {}
        self.frames_heard = 0
        self._earlier: dict[str, bytes] = {}
        self._sockets: set[_Socket] = set()
        self._closing: set[asyncio.Task[bool]] = set()
        self._runner: web.AppRunner | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._stopped = asyncio.Event()

    @property
    def endpoint(self) -> str:
        """The base URL that replaces a host: `http://127.0.0.1:9001`."""
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> int:
        """Listen; returns the port. Raises OSError if it is taken."""
        app = web.Application()
        app.router.add_route("*", "/_sim/{name:.*}", self._serve_admin)
        app.router.add_route("*", "/{host}/{path:.*}", self._serve_venue)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        self._on_beat()
        return self.port

    async def stop(self) -> None:
        """Stop listening and drop every connection. Idempotent."""
        self._stopped.set()
        for timer in (self._timer, self._beat):
            if timer is not None:
                timer.cancel()
        self._drop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def state(self) -> dict[str, Any]:
        """The venue's own truth, with calls counted and the faults that are on."""
        return truth.state(self.exchange) | {
            "kind": self.kind,
            "wall": self._now(),
            "calls": self.calls,
            "endpoints": self.endpoints,
            "faults": self.faults.active(),
            "open_sockets": len(self._sockets),
        }

    def publish(self) -> None:
        """Push what changed over the sockets, and plan for what is due next."""
        now = self._now()
        notices = self.exchange.take_notices()
        for socket in self._sockets if notices else ():
            self._send(socket, socket.session.notified(notices, now))
        self._plan(now)

    # --- time ------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock.now().wall + self.skew_s

    def _set_skew(self, skew_s: float) -> None:
        self.skew_s = skew_s

    def _advance(self) -> float:
        now = self._now()
        self.exchange.advance(now)
        return now

    def _plan(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self.exchange.next_due()
        if due is not None and not self._stopped.is_set():
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._on_due)

    def _on_due(self) -> None:
        self._advance()
        self.publish()

    def _on_beat(self) -> None:
        for socket in self._sockets:
            if not socket.wrote:
                self._send(socket, socket.session.idle(self._now()))
            socket.wrote = False
        self._beat = asyncio.get_running_loop().call_later(self._idle_s, self._on_beat)

    # --- HTTP ------------------------------------------------------------------------------------------

    async def _serve_admin(self, http: web.Request) -> web.Response:
        name = http.match_info["name"]
        now = self._advance()
        try:
            if (http.method, name) == ("GET", "state"):
                self.publish()
                return web.json_response(self.state())
            body = await _json_object(http)
            result = self.admin.handle(http.method, name, body, now)
        except BadRequest as error:
            return web.json_response({"error": str(error)}, status=400)
        self.publish()
        return web.json_response({"ok": True} | result)

    async def _serve_venue(self, http: web.Request) -> web.StreamResponse:
        host = http.match_info["host"]
        if host not in self.face.hosts:
            known = ", ".join(sorted(self.face.hosts))
            return web.json_response({"error": f"no host {host!r} here; known are {known}"}, status=404)
        path, _, query = http.raw_path.removeprefix(f"/{host}").partition("?")
        if http.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_socket(http, host, path)
        body = await http.text()
        request = Request(http.method, path, query, body, http.headers, self._advance(), host)
        return await self._deliver(http, self._answer(request))

    def _answer(self, request: Request) -> Answer:
        """What the caller gets, as the faults that are on leave it."""
        route = self.face.route(request.method, request.path)
        call = Call.OTHER if route is None else route.call
        self._count(call, request)
        fault = self.faults.take(call, request.path)
        if fault is not None and not fault.carried_out:
            return self._spoil(fault, b"", request.wall)
        self.exchange.ignore_cancels = fault is not None and fault.how is How.ACK_WITHOUT_CANCEL
        try:
            reply = self.face.answer(route, request)
        finally:
            self.exchange.ignore_cancels = False
        self.publish()
        honest = reply.encoded()
        earlier, self._earlier[request.path] = self._earlier.get(request.path, honest), honest
        if fault is None:
            return Answer(reply.status, honest, headers=reply.headers)
        return self._spoil(fault, earlier if fault.how is How.REPEATED else honest, request.wall)

    def _spoil(self, fault: Fault, honest: bytes, wall: float) -> Answer:
        error = self.face.error(self.face.key_errors.get(fault.how, fault.text), wall)
        reply = error if isinstance(error, Reply) else Reply(error)
        envelope = self.face.empty_envelope
        return spoil(fault, honest, empty_envelope=envelope, error=reply.encoded(), error_status=reply.status)

    def _count(self, call: Call, request: Request) -> None:
        counted = self.calls.setdefault(call, {"count": 0, "first_wall": request.wall})
        counted["count"] += 1
        counted["last_wall"] = request.wall
        endpoint = f"{request.method} {request.path}"
        self.endpoints[endpoint] = self.endpoints.get(endpoint, 0) + 1

    async def _deliver(self, http: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.delay_s > 0:
            await asyncio.sleep(answer.delay_s)
        if answer.hang:
            await self._stopped.wait()
        headers = {"Content-Type": answer.content_type, **dict(answer.headers)}
        if not answer.reset:
            return web.Response(status=answer.status, body=answer.body, headers=headers)
        response = web.StreamResponse(status=200, headers=headers | {"Content-Length": str(len(answer.body) + 1)})
        await response.prepare(http)
        await response.write(answer.body[: len(answer.body) // 2])
        _abort(http)
        return response

    # --- websockets ------------------------------------------------------------------------------------

    async def _serve_socket(self, http: web.Request, host: str, path: str) -> web.StreamResponse:
        self._count(Call.WS, Request("GET", f"/{host}{path}", "", "", {}, self._advance()))
        fault = self.faults.take(Call.WS, f"/{host}{path}")
        if fault is not None and fault.how is How.SOCKET_DROP:
            _abort(http)
            return web.Response()
        if fault is not None and fault.how is not How.SLOW:
            return await self._deliver(http, self._spoil(fault, b"", self._now()))
        if fault is not None:
            await asyncio.sleep(fault.delay_s)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(http)
        session = self.face.session(host, http.raw_path.removeprefix(f"/{host}"))
        socket = _Socket(session, ws, http.transport)
        self._sockets.add(socket)
        writer = asyncio.create_task(_write(ws, socket))
        try:
            self._send(socket, socket.session.opened(self._now()))
            await self._read(ws, socket)
        finally:
            self._sockets.discard(socket)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return ws

    async def _read(self, ws: web.WebSocketResponse, socket: _Socket) -> None:
        async for message in ws:
            self.frames_heard += 1
            if message.type is WSMsgType.TEXT:
                self._send(socket, socket.session.received(message.data, self._advance()))
                self.publish()
            elif message.type is WSMsgType.PING and not self._is_frozen():
                await ws.pong(message.data)

    def _is_frozen(self) -> bool:
        fault = self.faults.socket()
        return fault is not None and fault.how is How.SOCKET_FROZEN

    def _send(self, socket: _Socket, frames: Any) -> None:
        for frame in frames:
            spoilt = self.faults.spoil_frame(frame)
            if spoilt is not None:
                socket.send(spoilt)

    def _drop(self) -> None:
        for socket in list(self._sockets):
            socket.abort()

    def _halve(self) -> None:
        for socket in list(self._sockets):
            socket.halve()

    def _close(self, code: int) -> None:
        for socket in self._sockets:
            closing = asyncio.get_running_loop().create_task(socket.ws.close(code=code, message=b"as was asked"))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _garble(self) -> None:
        for socket in self._sockets:
            socket.send(GARBAGE)


async def _write(ws: web.WebSocketResponse, socket: _Socket) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            frame = await socket.frames.get()
            await (ws.send_bytes(frame) if isinstance(frame, bytes) else ws.send_str(frame))


async def _json_object(http: web.Request) -> dict[str, Any]:
    text = await http.text()
    try:
        body = json.loads(text) if text.strip() else dict(http.query)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    return body


def _abort(http: web.Request) -> None:
    if http.transport is not None:
        http.transport.abort()


# --- as a program --------------------------------------------------------------------------------------


def run(
    kind: str,
    port: int,
    *,
    exit_on_stdin_eof: bool = False,
    api_key: str = API_KEY,
    api_secret: str = API_SECRET,
    scenario: str | None = None,
) -> int:
    """Serve a venue until SIGTERM or SIGINT; returns the exit code.

    scenario: None for the default account, `empty`, or a JSON file `[{"path": "balance", "body": {...}}, ...]`
    of admin requests that are carried out on an empty account before listening.
    """
    try:
        serving = _serve(kind, port, exit_on_stdin_eof, api_key, api_secret, scenario)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serving)
    except (OSError, ValueError, BadRequest) as error:
        sys.stderr.write(f"the simulated venue can't start: {error}\n")
        return 1
    return 0


async def _serve(
    kind: str, port: int, exit_on_stdin_eof: bool, api_key: str, api_secret: str, scenario: str | None
) -> None:
    server = VenueServer(kind, port=port, api_key=api_key, api_secret=api_secret, funded=scenario is None)
    if scenario not in (None, "empty"):
        _play(server, Path(str(scenario)))
    await server.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if exit_on_stdin_eof:
        _watch_stdin(lambda: loop.call_soon_threadsafe(ended.set))
    line = {"event": "simulated_venue_listening", "kind": kind, "port": server.port, "endpoint": server.endpoint}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    await ended.wait()
    await server.stop()


def _play(server: VenueServer, scenario: Path) -> None:
    for step in json.loads(scenario.read_text()):
        if not isinstance(step, dict) or set(step) != {"path", "body"}:
            raise ValueError(f'a scenario is a list of {{"path": ..., "body": {{...}}}}, not {step!r}')
        server.admin.handle("POST", str(step["path"]), step["body"], SystemClock().now().wall)


def _watch_stdin(ended: Callable[[], object]) -> None:
    """Call `ended` when standard input closes: a parent that died, even by kill -9, closes it."""

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock would hold up the end of the program
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended first
            ended()

    threading.Thread(target=wait, daemon=True).start()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
