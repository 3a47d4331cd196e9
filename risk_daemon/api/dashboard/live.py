"""What an open page hears: the news as they come, in bytes that all pages share.

Who reads slowly misses what is old by then and hears the newest; who does not read at all is hung up on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from aiohttp import web

from risk_daemon.api.dashboard.board import Board
from risk_daemon.api.dashboard.sessions import Session
from risk_daemon.api.limits import Limits
from risk_daemon.api.problems import Refused
from risk_daemon.model.clock import Clock

_LOG = structlog.get_logger(__name__)
_KEPT_BYTES = 128 * 1024
_HELLO = b"retry: 3000\n\n"
_OVER = b"event: over\ndata: this session is over\n\n"
_END = b"event: end\ndata: the daemon has ended\n\n"


async def stream(
    request: web.BaseRequest, session: Session, board: Board, limits: Limits, clock: Clock, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Until the reader goes, does not read, or may not any more. Raises Refused where too many do."""
    if board.readers >= limits.live_pages:
        hint = {"Retry-After": "15"}
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are live already", headers=hint)
    more = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers={**headers, **more})
    response.force_close()
    board.join()
    try:
        await _relay(request, response, session, board, limits, clock)
    except (ConnectionError, TimeoutError) as error:
        _LOG.debug("page_left", reason=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    finally:
        board.leave()
    return response


async def _relay(
    request: web.BaseRequest,
    response: web.StreamResponse,
    session: Session,
    board: Board,
    limits: Limits,
    clock: Clock,
) -> None:
    """Raises TimeoutError and ConnectionError."""

    async def write(data: bytes) -> None:
        async with asyncio.timeout(limits.write_within_s):
            await response.write(data)

    _keep_little(request)
    async with asyncio.timeout(limits.write_within_s):
        await response.prepare(request)
    await write(_HELLO)
    last = request.headers.get("Last-Event-ID") or str(request.rel_url.query.get("since", ""))
    since = board.since(last)
    while not session.is_over:
        block, since = board.block(since), max(since, board.version)
        await write(block)
        if board.is_closed:
            await write(_END)
            return
        session.used_mono = clock.now().mono
        await board.changed(since)
    await write(_OVER)


def _keep_little(request: web.BaseRequest) -> None:
    """The kernel would keep megabytes for who reads slowly; that is old news soon."""
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if peer is not None:
        with socket.socket(fileno=os.dup(peer.fileno())) as copy:  # event loops hand out sockets without setsockopt
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KEPT_BYTES)
