"""What a member of a fund has lost: from its equity and what that is measured from, and confirmed before it trips."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from risk_daemon.engine.confirmation import Confirmation, ConfirmationSettings, Evidence, Judgement, judge
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.messages import LossRead, LossUnknown
from risk_daemon.model.events import EventName, Input, Noted, ReadingsWanted, RiskEvent
from risk_daemon.model.units import EXACT, plain
from risk_daemon.portfolio.manager import Equity
from risk_daemon.runtime.fund_status import MemberSettings


class FundLoss:
    """is_read_since: whether every account and price was read over REST, begun at that `mono` or later."""

    def __init__(
        self, settings: MemberSettings, emit: Callable[[Input], None], is_read_since: Callable[[float], bool]
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._is_read_since = is_read_since
        self._question: Confirmation | None = None

    @property
    def is_confirming(self) -> bool:
        """Whether the budget seems to be lost, and that is being read again."""
        return self._question is not None

    def read(
        self, state: Escrow, start: Decimal | None, equity: Equity | None, now_mono: float, *, by_prices: bool
    ) -> LossRead | LossUnknown:
        """What was lost, never less than is known. by_prices: prices were the last thing to change."""
        if start is None or equity is None:
            return LossUnknown()
        read = LossRead(least=EXACT.subtract(start, equity.high), most=EXACT.subtract(start, equity.low))
        is_judged = state.is_guarding and state.wanted.trip is None
        if not is_judged or not self._settings.confirm:
            self._question = None
            return read
        return self._confirmed(state, read, now_mono, by_prices)

    def _confirmed(self, state: Escrow, read: LossRead, now_mono: float, by_prices: bool) -> LossRead | LossUnknown:
        """One bad tick of a price must not stop a whole fund: a lost budget is read again as a rule's limit is, and
        meanwhile the loss is not known, which shuts the gate."""
        breached, question = read.least >= state.budget, self._question
        if question is None:
            if not breached:
                return read
            self._question = Confirmation(now_mono, breached)
            self._note(EventName.BREACH_CONFIRMING, state, read, by_holdings=False)
            self._emit(ReadingsWanted())
            return LossUnknown()
        evidence = Evidence(
            breached=breached,
            suspected=False,
            clear=read.most < state.budget,
            by_prices=by_prices,
            all_read=self._is_read_since(question.since_mono),
        )
        within = ConfirmationSettings(within_s=self._settings.confirm_within_s)
        finding, self._question = judge(question, evidence, now_mono, within)
        if finding is Judgement.READ_AGAIN:
            self._emit(ReadingsWanted())
        if finding in (Judgement.WAIT, Judgement.READ_AGAIN):
            return LossUnknown()
        self._question = None
        if finding is Judgement.DISPROVED:
            self._note(EventName.PHANTOM_BREACH, state, read, waited_s=now_mono - question.since_mono)
        return read

    def _note(self, name: EventName, state: Escrow, read: LossRead, **facts: object) -> None:
        observed = {"lost": plain(read.least), "lost_at_most": plain(read.most), "budget": plain(state.budget)}
        self._emit(Noted(RiskEvent(name, {"breaker": f"fund {self._settings.fund}", **facts, **observed})))
