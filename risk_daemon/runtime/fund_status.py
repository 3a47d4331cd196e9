"""How a member of a fund stands, in words and as a record; and why it may not trade."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.ledger import Row
from risk_daemon.fund.sum import Verdict
from risk_daemon.model.others_status import FundMemberStatus, FundStatus, FundSumStatus
from risk_daemon.model.units import plain

NOT_JOINED = "this guard has not joined the fund yet: `risk-daemon fund join`, or `found` for the first member"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """limit: as it is configured. confirm: whether a lost budget is read again first, for `confirm_within_s`.

    Seconds: every_s, within_s: between readings of the ledger, and for one call. lease_s: for so long the gate may stay
    open without a word from here. give_within_s: for a gift to be published. fresh_s: how long what another member said
    is believed as it is; band: how far it may be off from then on, as a part of what prices could move.
    """

    fund: str
    member: str
    limit: str
    currency: str
    confirm: bool = True
    confirm_within_s: float = 2.0
    every_s: float = 1.0
    within_s: float = 1.0
    lease_s: float = 3.0
    give_within_s: float = 5.0
    fresh_s: float = 5.0
    band: Decimal = Decimal("0.2")


def why_not(state: Escrow | None, *, is_confirming: bool) -> str | None:
    """Why a member may not trade; None: it may. state None: it has not joined."""
    if state is None:
        return NOT_JOINED
    if state.why_still is not None:
        return state.why_still
    if not state.is_guarding:
        return "it has no budget yet: another member must give it some (`risk-daemon fund transfer`)"
    if is_confirming:
        return "the budget may be lost, and that is being confirmed"
    if state.may_trade:
        return None
    if state.loss is None:
        return "what was lost since it got its budget is not known yet"
    if state.loss.most >= state.budget:
        return f"up to {plain(state.loss.most)} of a budget of {plain(state.budget)} may be lost"
    return "what all members have lost together may be the fund's limit"


def fund_status(
    settings: MemberSettings,
    state: Escrow | None,
    *,
    why_not: str | None,
    is_told: bool,
    ledger_error: str | None,
    read_s: float | None,
) -> FundStatus:
    """The whole of it. is_told: whether the ledger has the trip, if there is one."""
    if state is None:
        known: dict[str, Any] = dict.fromkeys(_KNOWN)
        limit = settings.limit
    else:
        known, limit = _known(state, is_told), f"{plain(state.charter.limit)} {state.charter.currency}"
    return FundStatus(
        name=settings.fund,
        member=settings.member,
        limit=limit,
        currency=settings.currency,
        is_joined=state is not None,
        may_trade=why_not is None,
        why_not=why_not,
        ledger_error=ledger_error,
        read_s=read_s,
        members=() if state is None else _rows(state),
        total=None if state is None or state.sum is None else _sum(state.sum),
        **known,
    )


_KNOWN = ("budget", "least", "most", "headroom", "asks", "trip_id", "told", "why_still")


def _known(state: Escrow, is_told: bool) -> dict[str, Any]:
    loss, headroom, trip = state.loss, state.headroom, state.wanted.trip
    return {
        "budget": plain(state.budget),
        "least": None if loss is None else plain(loss.least),
        "most": None if loss is None else plain(loss.most),
        "headroom": None if headroom is None else plain(headroom),
        "asks": plain(state.wanted.asks),
        "trip_id": trip,
        "told": None if trip is None else is_told,
        "why_still": state.why_still,
    }


def _rows(state: Escrow) -> tuple[FundMemberStatus, ...]:
    rows = () if state.books is None else state.books.rows.values()
    return tuple(map(_row, sorted(rows, key=lambda row: row.seat)))


def _sum(verdict: Verdict) -> FundSumStatus:
    least, most = verdict.least, verdict.most
    return FundSumStatus(
        least=None if least is None else plain(least),
        most=None if most is None else plain(most),
        is_breached=verdict.is_breached,
        is_undecided=verdict.is_undecided,
        silent=tuple(seat.partition(".")[0] for seat in verdict.silent),
    )


def _row(row: Row) -> FundMemberStatus:
    return FundMemberStatus(
        name=row.member,
        budget=plain(row.budget),
        wants=plain(row.wants),
        asks=plain(row.asks),
        trip_id=row.trip,
        has_left=row.has_left,
    )
