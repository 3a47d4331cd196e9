"""The table of routes: what there is, who may, what is sent and what is answered. All else follows from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from risk_daemon.api import handlers, models, orders, streams
from risk_daemon.api.handlers import Call
from risk_daemon.auth.tokens import Role
from risk_daemon.model.status import State

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    answers: what is not the same for many routes, by status. body: the model of what is sent, None for nothing;
    read: reads it as the model would, but quicker; may_be_empty: no body at all stands for an empty object.
    rate: the name of a rate in Limits. roles: who may, empty where nobody is asked for a token. is_local: only over
    the Unix socket. other_types: in which a good answer may come besides `content_type`.
    """

    path: str
    summary: str
    handler: Callable[[Call], Awaitable[web.StreamResponse]]
    answers: Mapping[HTTPStatus, Any]
    body: Any = None
    _: KW_ONLY
    method: str
    rate: str
    roles: frozenset[Role] = frozenset()
    is_local: bool = False
    may_be_empty: bool = False
    read: Callable[[dict[str, Any]], Any] | None = None
    content_type: str = JSON
    other_types: tuple[str, ...] = ()


_OPERATORS = frozenset({Role.OPERATOR})
_READERS = frozenset({Role.OPERATOR, Role.VIEWER})
_BOTS = frozenset({Role.BOT})

_open = partial(Route, method="GET", rate="anybody")
_read = partial(Route, method="GET", rate="reads", roles=_READERS)
_stream = partial(_read, content_type=streams.EVENT_STREAM)
_check = partial(Route, method="POST", rate="checks", roles=_BOTS | _OPERATORS, read=orders.read)
_report = partial(Route, method="POST", rate="reports", roles=_BOTS)
_command = partial(Route, method="POST", rate="commands", roles=_OPERATORS)
_local = partial(_command, is_local=True)
_look = partial(_read, roles=_OPERATORS, is_local=True)


def _ok(model: Any) -> Mapping[HTTPStatus, Any]:
    return {HTTPStatus.OK: model}


_LEASED = {HTTPStatus.OK: models.Lease, HTTPStatus.LOCKED: models.Vetoed}
_TAKEN = {HTTPStatus.ACCEPTED: models.Taken}
_DONE = {HTTPStatus.OK: models.Commanded, HTTPStatus.CONFLICT: models.NotCommanded}
_GUARDED = {**_DONE, HTTPStatus.ACCEPTED: models.Asked}
_ASKED = {HTTPStatus.ACCEPTED: models.Asked, HTTPStatus.CONFLICT: models.Problem}
_RELOADED = {HTTPStatus.OK: models.Reloaded, HTTPStatus.CONFLICT: models.NotCommanded}
_CLOSED = {HTTPStatus.OK: models.Closed, HTTPStatus.CONFLICT: models.NotCommanded}
_HEARD = {HTTPStatus.OK: models.Acknowledged, HTTPStatus.CONFLICT: models.Problem}
_ATTEMPTED = {HTTPStatus.OK: models.Attempted, HTTPStatus.NOT_FOUND: models.Problem}
_WITHDRAWN = {HTTPStatus.OK: models.Withdrawn, HTTPStatus.CONFLICT: models.Problem}
_SWEPT = {HTTPStatus.OK: models.Swept, HTTPStatus.CONFLICT: models.NotCommanded}


ROUTES: tuple[Route, ...] = (
    _open("/livez", "Does the evaluation loop turn?", handlers.livez, _ok(models.Alive)),
    _open("/readyz", "Is the baseline complete?", handlers.readyz, _ok(models.Ready)),
    _open("/openapi.json", "This document.", handlers.openapi, _ok(models.Document)),
    _read("/api/v1/state", "How things stand.", handlers.state, _ok(State)),
    _read("/api/v1/history", "Equity, a point a minute.", streams.history, _ok(models.History)),
    _read(
        "/metrics",
        "How things stand, for Prometheus.",
        handlers.metrics,
        _ok(str),
        content_type="text/plain",
        other_types=("application/openmetrics-text",),
    ),
    _stream("/api/v1/events", "Every event from now on.", streams.events, _ok(models.Event)),
    _read("/api/v1/alerts", "Who is told, and what came of it.", handlers.alerts, _ok(models.Alerts)),
    _check("/api/v1/orders/check", "May this order be sent?", handlers.check_order, _LEASED, models.OrderCheck),
    _report("/api/v1/orders/report", "What became of an order.", handlers.report, _TAKEN, models.OrderReport),
    _command("/api/v1/halt", "Stop everything, one venue or one bot.", handlers.halt, _DONE, models.Halt),
    _command(
        "/api/v1/alerts/ack",
        "Somebody has heard of the trip.",
        handlers.acknowledge,
        _HEARD,
        models.Acknowledge,
        may_be_empty=True,
    ),
    _local(
        "/api/v1/alerts/test",
        "Send a test through the channels.",
        handlers.test_alerts,
        _ok(models.AlertsTested),
        models.TestAlerts,
        may_be_empty=True,
    ),
    _local("/api/v1/release", "End the halt of a venue or a bot.", handlers.release, _GUARDED, models.Release),
    _local("/api/v1/reset", "End a trip.", handlers.reset, _GUARDED, models.Reset),
    _local("/api/v1/disable", "Watch without acting, for a time.", handlers.disable, _GUARDED, models.Disable),
    _local("/api/v1/enable", "Act again.", handlers.enable, _DONE, models.Enable, may_be_empty=True),
    _local(
        "/api/v1/reload", "Read the configuration again.", handlers.reload, _RELOADED, models.Reload, may_be_empty=True
    ),
    _local(
        "/api/v1/fund/transfer",
        "Give another member of the fund headroom.",
        handlers.fund_transfer,
        _DONE,
        models.FundTransfer,
    ),
    _look("/api/v1/override", "How the last attempt of wardens stands.", handlers.override, _ATTEMPTED),
    _local("/api/v1/override/withdraw", "End the attempt.", handlers.withdraw_override, _WITHDRAWN, models.Withdraw),
    _local("/api/v1/wardens/enroll", "Make somebody a warden.", handlers.enroll, _ASKED, models.EnrollWarden),
    _local("/api/v1/wardens/revoke", "Make a warden none.", handlers.revoke, _ASKED, models.RevokeWarden),
    _local(
        "/api/v1/wardens/break-glass", "All keys are lost.", handlers.break_glass, _ok(models.Glass), models.BreakGlass
    ),
    _local(
        "/api/v1/cancel-all",
        "Cancel every open order.",
        handlers.cancel_all,
        _SWEPT,
        models.CancelAll,
        may_be_empty=True,
    ),
    _local(
        "/api/v1/close-positions",
        "Cancel every open order and close every position.",
        handlers.close_positions,
        _CLOSED,
        models.ClosePositions,
        may_be_empty=True,
    ),
)
