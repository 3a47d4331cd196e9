"""What each route does, once it is known who asks and what the body says. One function a route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY

from risk_daemon.api import orders
from risk_daemon.api.doors import Caller, Door
from risk_daemon.api.feed import Subscription
from risk_daemon.api.limits import Limits
from risk_daemon.api.models import (
    Acknowledge,
    BreakGlass,
    CancelAll,
    ClosePositions,
    Disable,
    ErrorReport,
    FundTransfer,
    Halt,
    RejectedReport,
    Release,
    Reload,
    Reset,
    RevokeWarden,
    SentReport,
    TestAlerts,
    VetoedReport,
)
from risk_daemon.api.port import Control, Wardens
from risk_daemon.api.problems import COMMON_HEADERS, Refused, answer, encoded
from risk_daemon.api.tally import Tally
from risk_daemon.auth.desk import Opened
from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.gate.restraints import Veto
from risk_daemon.metrics.exposition import written
from risk_daemon.model.account import OrderSide
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import (
    DisableRequested,
    EnableRequested,
    ErrorKind,
    ErrorReported,
    HaltRequested,
    Input,
    OrderReported,
    ReleaseRequested,
    ResetRequested,
)

_TAKEN = b'{"accepted":true}'
_SILENT = "the daemon's evaluation loop does not turn: no answer means no"


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers work with, one for each door.

    document: `/openapi.json`. tally: of all doors. wardens: who may resume. listeners: who is reading events.
    """

    control: Control
    door: Door
    tokens: TokenStore
    clock: Clock
    limits: Limits
    document: bytes
    tally: Tally
    wardens: Wardens | None = None
    listeners: set[Subscription] = field(default_factory=set)


@dataclass(slots=True)
class Call:
    """One request. body: the route's model, validated; None where it has none. caller: None where nobody asks who."""

    request: web.BaseRequest
    services: Services
    caller: Caller | None
    body: Any

    @property
    def control(self) -> Control:
        return self.services.control

    @property
    def known_caller(self) -> Caller:
        """Raises Refused: a route that needs a caller has one, or does nothing."""
        if self.caller is None:
            raise Refused(HTTPStatus.FORBIDDEN, "it is not known who asks")
        return self.caller


# --- for anybody -----------------------------------------------------------------------------------


async def livez(call: Call) -> web.Response:
    return _health("alive", call.control.is_alive())


async def readyz(call: Call) -> web.Response:
    return _health("ready", call.control.is_ready())


async def openapi(call: Call) -> web.Response:
    return encoded(call.services.document)


def _health(name: str, is_good: bool) -> web.Response:
    if is_good is not True:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"not {name}")
    return answer({name: True})


# --- for bots --------------------------------------------------------------------------------------


async def check_order(call: Call) -> web.StreamResponse:
    if not call.control.is_alive():
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _SILENT)
    order = orders.order_request(call.body, call.known_caller, call.control)
    return orders.written(call.control.check_order(order))


async def report(call: Call) -> web.Response:
    if not call.control.is_alive():
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, _SILENT)
    if isinstance(call.body, VetoedReport):
        _vetoed(call.body, call)
        return encoded(_TAKEN, HTTPStatus.ACCEPTED)
    _check_venue(call.body.venue, call.control)
    call.control.report(_reported(call.body, call.known_caller.bot))
    return encoded(_TAKEN, HTTPStatus.ACCEPTED)


def _reported(body: SentReport | RejectedReport | ErrorReport, bot: str | None) -> OrderReported | ErrorReported:
    match body:
        case SentReport():
            side = OrderSide(body.side)
            return OrderReported(body.venue, body.symbol, side, bot, body.order_id, body.client_order_id)
        case RejectedReport():
            return ErrorReported(ErrorKind.ORDER_REJECTED, bot, body.venue, body.detail)
        case ErrorReport():
            return ErrorReported(body.error_kind, bot, body.venue, body.detail)


def _vetoed(body: VetoedReport, call: Call) -> None:
    order = None if body.order is None else orders.refused_order(body.order, call.known_caller.bot)
    _check_venue(None if order is None else order.venue, call.control)
    veto = Veto(body.veto_reason, body.detail)
    call.control.vetoed(order, veto, call.known_caller.bot, ago_s=body.ago_s, untold=body.untold)


def _check_venue(venue: str | None, control: Control) -> None:
    if venue is not None and venue not in control.venues():
        raise orders.unknown("venue", venue)


# --- for operators, and viewers where they only look ----------------------------------------------------


async def state(call: Call) -> web.Response:
    return answer({**call.control.state(), "turned_away": call.services.tally.document()})


async def metrics(call: Call) -> web.Response:
    """A body that is ready, as a scrape asks for it."""
    headers = call.request.headers
    reading = replace(call.control.reading(), turned_away=call.services.tally.document())
    scrape = await written(reading, accept=headers.get(ACCEPT, ""), accept_encoding=headers.get(ACCEPT_ENCODING, ""))
    coded = {} if scrape.encoding is None else {CONTENT_ENCODING: scrape.encoding}
    said = {**COMMON_HEADERS, CONTENT_TYPE: scrape.content_type, VARY: f"{ACCEPT}, {ACCEPT_ENCODING}", **coded}
    return web.Response(body=scrape.body, headers=said)


async def halt(call: Call) -> web.Response:
    """A halt that names nobody known would stop nobody, and look as if it had."""
    body: Halt = call.body
    _check_venue(body.venue, call.control)
    if body.bot is not None and call.services.tokens.knows(body.bot, Role.BOT) is False:
        raise orders.unknown("bot", body.bot)
    return await _command(call, HaltRequested(body.reason, _operator(call, body.operator), body.venue, body.bot))


async def release(call: Call) -> web.Response:
    body: Release = call.body
    return await _command(call, ReleaseRequested(body.reason, _operator(call, body.operator), body.venue, body.bot))


async def reset(call: Call) -> web.Response:
    """A dry run asks no warden: what would be refused is said before anybody is asked for anything."""
    body: Reset = call.body
    event = ResetRequested(body.reason, _operator(call), body.rebaseline)
    return _looked(call.control.why_not(event)) if body.dry_run else await _command(call, event)


async def disable(call: Call) -> web.Response:
    body: Disable = call.body
    return await _command(call, DisableRequested(body.for_s, body.reason, _operator(call)))


async def enable(call: Call) -> web.Response:
    return await _command(call, EnableRequested(_operator(call)))


async def cancel_all(call: Call) -> web.Response:
    body: CancelAll = call.body
    _check_venue(body.venue, call.control)
    return answer(await call.control.cancel_all(body.venue, body.market, _operator(call)))


async def close_positions(call: Call) -> web.Response:
    body: ClosePositions = call.body
    _check_venue(body.venue, call.control)
    return answer(await call.control.close_positions(body.venue, _operator(call)))


async def fund_transfer(call: Call) -> web.Response:
    """What is on its way and not yet told is a conflict too: the sentence says which."""
    body: FundTransfer = call.body
    said = await call.control.fund_transfer(body.to, body.amount, _operator(call))
    if said.get("accepted") is not True:
        raise Refused(HTTPStatus.CONFLICT, str(said.get("reason") or "refused"), {"accepted": False})
    return answer(said)


async def reload(call: Call) -> web.Response:
    """What is refused is a conflict between the file and what is in force, and changes nothing."""
    body: Reload = call.body
    said = await call.control.reload(_operator(call), dry_run=body.dry_run, acts=body.acts, digest=body.digest)
    if said.get("accepted") is not True:
        raise Refused(HTTPStatus.CONFLICT, str(said.get("reason") or "refused"), {"accepted": False})
    return answer(said)


async def alerts(call: Call) -> web.Response:
    return answer(call.control.alerts())


async def acknowledge(call: Call) -> web.Response:
    body: Acknowledge = call.body
    trip_id = call.control.acknowledge(body.trip_id, _operator(call))
    if trip_id is None:
        raise Refused(HTTPStatus.CONFLICT, "there is no such trip, or nobody is told of any")
    return answer({"accepted": True, "trip_id": trip_id})


async def test_alerts(call: Call) -> web.Response:
    body: TestAlerts = call.body
    if body.channel is not None and body.channel not in call.control.alerts()["channels"]:
        raise orders.unknown("channel", body.channel)
    return answer({"channels": await call.control.test_alerts(body.channel)})


# --- for those at the terminal, about wardens --------------------------------------------------------


async def override(call: Call) -> web.Response:
    progress = await _wardens(call).progress()
    if progress is None:
        raise Refused(HTTPStatus.NOT_FOUND, "no warden was asked for anything yet")
    return answer(progress)


async def withdraw_override(call: Call) -> web.Response:
    await _wardens(call).withdraw(call.body.attempt, call.known_caller.name)
    return answer({"accepted": True})


async def enroll(call: Call) -> web.Response:
    return _asked(await _wardens(call).enroll(call.body.name, call.known_caller.name))


async def revoke(call: Call) -> web.Response:
    body: RevokeWarden = call.body
    return _asked(await _wardens(call).revoke(body.name, body.reason, call.known_caller.name))


async def break_glass(call: Call) -> web.Response:
    body: BreakGlass = call.body
    who = call.known_caller
    if body.stop:
        return answer(await _wardens(call).stop_break_glass(who.name))
    return answer(await _wardens(call).break_glass(who.name, body.sentence, is_root=who.is_root))


def _wardens(call: Call) -> Wardens:
    if call.services.wardens is None:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this daemon asks no wardens")
    return call.services.wardens


def _asked(opened: Opened) -> web.Response:
    return answer(opened.document(), HTTPStatus.ACCEPTED)


# --- what commands have in common --------------------------------------------------------------------


async def _command(call: Call, event: Input) -> web.Response:
    said: Mapping[str, Any] = await call.control.command(event)
    if said.get("accepted") is True:
        return answer(said)
    if "asked" in said:
        return answer(said["asked"], HTTPStatus.ACCEPTED)
    raise Refused(HTTPStatus.CONFLICT, str(said.get("reason") or "refused"), {**said, "accepted": False})


def _looked(refusal: str | None) -> web.Response:
    if refusal is not None:
        raise Refused(HTTPStatus.CONFLICT, refusal, {"accepted": False})
    return answer({"accepted": True, "reason": "nothing was done yet: it would be accepted now"})


def _operator(call: Call, besides: str | None = None) -> str:
    name = call.known_caller.name
    return name if besides is None else f"{name}, {besides}"
