"""This guard as a member of its fund, at a start: what is refused, and the member beside the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import structlog

from risk_daemon.app.composition import Opened
from risk_daemon.app.findings import Finding, Level
from risk_daemon.app.fund_ledger import ledger_of
from risk_daemon.app.fund_place import place_of
from risk_daemon.app.fund_readings import readings_of
from risk_daemon.config.fund import Fund
from risk_daemon.config.load import Settings
from risk_daemon.engine.engine import Engine
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, ExitCode, StateError
from risk_daemon.fund.escrow import Escrow, trip_stands
from risk_daemon.fund.membership import FUND, kept_in, restore
from risk_daemon.fund.messages import Actions
from risk_daemon.model.events import FundTold, Input
from risk_daemon.model.units import plain
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.fund_status import MemberSettings
from risk_daemon.runtime.fund_sum import runs_of
from risk_daemon.runtime.member import Member, MemberPorts
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.base import JsonObject
from risk_daemon.state.store.sqlite import peek_documents

_LOG = structlog.get_logger(__name__)


def meet_fund(settings: Settings, opened: Opened, daemon: Daemon, stack: AsyncExitStack) -> Member | None:
    """From now on the gate waits for the fund's leave, and a trip of the fund is this guard's; None without a fund.

    Raises ConfigError, StateError where the state is of another member, or of one at another place.
    """
    begun = member_of(settings, opened.documents, opened.engine.trip)
    if settings.fund is None:
        return None
    _settle_debt(opened.engine, begun, daemon.parts.inbox.put)
    engine, parts, ledger = opened.engine, daemon.parts, ledger_of(settings)
    stack.push_async_callback(ledger.aclose)
    readings = None if begun is None else readings_of(settings, begun[0].charter.founding)
    if readings is not None:
        stack.push_async_callback(readings.aclose)
    ports = MemberPorts(
        save=opened.store.save,
        keep=daemon.save,
        emit=parts.inbox.put,
        start=engine.baselines.fund.of,
        is_read_since=engine.books.are_read_since,
        gross=lambda: engine.books.portfolio.gross,
    )
    member = Member(
        ledger,
        member_settings(settings, settings.fund),
        parts.clock,
        ports,
        begun=begun,
        keeps_start=begun is not None and _is_start_kept(engine, begun[0]),
        readings=readings,
        runs=_runs_in(opened.documents),
    )
    daemon.member = member
    daemon.subscribe(member.heard)
    stack.push_async_callback(member.aclose)
    member.start()
    return member


def _runs_in(documents: Mapping[str, JsonObject]) -> int:
    """Raises StateError: a member that counts anew is not heard by the others."""
    try:
        return runs_of(documents)
    except ValueError as error:
        raise StateError(f"{error}: the fund's other members would not hear this one") from None


def meet_fund_that_can_be_met(settings: Settings, opened: Opened, daemon: Daemon, stack: AsyncExitStack) -> None:
    """Where a trip is to be finished, the fund hears of it too. Where it can't, the trip is finished all the same, and
    the end is not called proven: the others may not know."""
    try:
        if meet_fund(settings, opened, daemon, stack) is not None:
            return
        error = f"{settings.file}: there is no table [fund]"
    except (ConfigError, StateError) as refusal:
        error = str(refusal)
    trip_id = opened.engine.debt.trip_id
    if trip_id is not None:
        _LOG.critical("fund_left_out", trip_id=trip_id, error=error, effect="it is not told of this trip")
        daemon.parts.inbox.put(FundTold(trip_id, error=error))


def _settle_debt(engine: Engine, begun: tuple[Escrow, Actions] | None, emit: Callable[[Input], None]) -> None:
    """A trip that is owed to a fund that this state is not of any more: a fund is founded anew once it has heard of
    the last one's trip, and of any other one nobody here can tell."""
    owed, state = engine.debt.trip_id, None if begun is None else begun[0]
    if owed is None or (state is not None and state.wanted.trip == owed):
        return
    was_heard = state is not None and owed in (trip for _, trip in state.charter.before)
    emit(FundTold(owed, error=None if was_heard else "this state is no member of the fund that tripped"))


def member_settings(settings: Settings, fund: Fund) -> MemberSettings:
    """What a member is told."""
    breaker = settings.circuit_breaker
    return MemberSettings(
        fund=fund.name,
        member=fund.member,
        limit=str(fund.limit),
        currency=settings.portfolio.reference_currency,
        confirm=breaker.confirm,
        confirm_within_s=breaker.confirm_within,
        band=settings.data.stale_band,
    )


def member_of(
    settings: Settings, documents: Mapping[str, JsonObject], trip: Trip | None = None
) -> tuple[Escrow, Actions] | None:
    """The member that a state is, and what is to be done about it; None: it is of no fund, or has left it.

    trip: what stands here; where it is the fund's, its document may not know of it yet. Raises ConfigError where the
    configuration is not of that member, StateError for a document that is damaged, or was made at another place.
    """
    document = kept_in(documents)
    if document is None:
        return None
    state, actions = restore(document, place_of(settings.state.dir))
    if state.wanted.has_left and settings.fund is None:
        return None
    for sentence in _not_of(settings, state):
        raise ConfigError(f"{settings.file}: fund: {sentence}")
    if trip is not None and trip.trip_id == state.trip_id and state.wanted.trip is None:
        state, more = trip_stands(state, trip.reason)
        actions = (*actions, *more)
    return state, actions


def _not_of(settings: Settings, state: Escrow) -> list[str]:
    """Why a configuration is not that of the member that a state is."""
    fund, charter = settings.fund, state.charter
    if fund is None:
        member = f"{state.name} of the fund {charter.fund}"
        return [f"this state is {member}, and others rely on that: put [fund] back, or `risk-daemon fund leave` first"]
    is_other = (fund.name, fund.member) != (charter.fund, state.name)
    found = (
        [f"it says {fund.member} of {fund.name}, and this state is {state.name} of {charter.fund}"] if is_other else []
    )
    currency = settings.portfolio.reference_currency
    if currency != charter.currency:
        found.append(f"the reference currency is {currency}, and {charter.fund} counts in {charter.currency}")
    if fund.limit.money is not None and fund.limit.money != charter.limit:
        theirs = f"{plain(charter.limit)} {charter.currency}"
        found.append(f"the limit is {fund.limit}, and {charter.fund} was founded with {theirs}")
    return found


def _is_start_kept(engine: Engine, state: Escrow) -> bool:
    return engine.baselines.fund.of(state.charter.founding, state.seat) is not None


def fund_findings(settings: Settings) -> list[Finding]:
    """What `check` says of it, by the file and by what is on the disk."""
    documents: Mapping[str, Any] = peek_documents(Paths(settings.state.dir).database)
    try:
        begun = member_of(settings, documents)
    except (ConfigError, StateError) as error:
        return [Finding(Level.PROBLEM, FUND, str(error), ExitCode.REFUSED)]
    fund = settings.fund
    if fund is None:
        return []
    place = f"the ledger is at {settings.ledger_address}"
    if begun is None:
        said = f"{fund.member} has not joined {fund.name}: `risk-daemon fund join`, and until then the gate stays shut"
        return [Finding(Level.WARNING, FUND, f"{said}; {place}")]
    state, _ = begun
    why = state.why_still
    if why is not None:
        return [Finding(Level.WARNING, FUND, f"nothing opens: {why}; {place}")]
    budget = f"{plain(state.budget)} {state.charter.currency}"
    return [Finding(Level.OK, FUND, f"{fund.member} of {fund.name} may lose {budget} before all members trip; {place}")]
