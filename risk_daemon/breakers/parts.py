"""Rules about parts of the portfolio: each part is judged by itself, and the worst one is told of.

A part whose worth can't be known is undecided: it may have lost anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Unpack

from risk_daemon.breakers.base import (
    BaseCircuitBreaker,
    Calm,
    Common,
    EvaluationContext,
    Verdict,
)
from risk_daemon.breakers.loss import LossLimit
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant


class PartLoss(NamedTuple):
    """Loss of one part in the limit's unit: what it surely lost, what it likely did, what it may have lost at most."""

    name: tuple[str, ...]
    least: Decimal
    likely: Decimal
    most: Decimal


class UnknownPart(NamedTuple):
    """A part whose loss can't be known. is_seen: it was known before, so that it may hide a loss."""

    name: tuple[str, ...]
    is_seen: bool


class PartsCircuitBreaker(BaseCircuitBreaker):
    """Breaches if any part lost the limit or more, whichever way the unknowns fall.

    part, since: what a part is called, and what its loss is measured from. fields: names of what makes its name.
    calm: how long it stands that no part lost much; None where prices alone move the parts.
    """

    part, since = "", ""
    is_sure = False
    calm: ClassVar[Calm | None] = None
    fields: tuple[str, ...] = ()

    def __init__(self, breaker_type: CircuitBreakerType, limit: LossLimit, /, **common: Unpack[Common]) -> None:
        super().__init__(breaker_type, **common)
        self.limit = limit
        key = f"max_{breaker_type.value}"
        self._limits = {f"{key}_pct" if limit.is_ratio else key: limit.fact(limit.size)}
        self._none = Verdict(
            breaker=self.name,
            breaker_type=breaker_type,
            action=self.action,
            reason=f"no {self.part}",
            limits=self._limits,
            calm=Calm(),
        )

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        parts = list(self._parts(context))
        if not parts:
            return self._none
        known = [part for part in parts if type(part) is PartLoss]
        worst = max(known, key=_by_loss, default=None)
        if worst is not None and len(known) == len(parts) and max(known, key=_by_most).most < self.limit.lowest:
            name, kind, action, observed = self.name, self.breaker_type, self.action, self._observed(worst)
            return Verdict(
                breaker=name,
                breaker_type=kind,
                action=action,
                observed=observed,
                limits=self._limits,
                calm=self.calm,
            )
        return self._doubtful(worst, known, [part for part in parts if isinstance(part, UnknownPart)])

    def _doubtful(self, worst: PartLoss | None, known: list[PartLoss], unknown: list[UnknownPart]) -> Verdict:
        """Where something is reached, or not known."""
        hidden = next((part for part in unknown if part.is_seen), None)
        limit = self.limit.size
        is_breached = worst is not None and worst.least >= limit
        return Verdict(
            breaker=self.name,
            breaker_type=self.breaker_type,
            action=self.action,
            breached=is_breached,
            suspected=is_breached,
            undecided=not is_breached and (hidden is not None or any(part.most >= limit for part in known)),
            warning=None if worst is None else self.limit.warning(worst.least),
            cleared=not unknown and all(self.limit.is_clear(part.most) for part in known),
            reason=self._reason_for(worst, hidden),
            observed={} if worst is None else self._observed(worst),
            limits=self._limits,
        )

    def _parts(self, context: EvaluationContext) -> Iterable[PartLoss | UnknownPart]:
        """Every part that this rule looks at."""
        raise NotImplementedError

    def _observed(self, worst: PartLoss) -> Mapping[str, Any]:
        observed: dict[str, Any] = dict(zip(self.fields, worst.name, strict=True))
        observed["loss_ratio" if self.limit.is_ratio else "loss"] = self.limit.fact(worst.likely)
        return observed

    def _reason_for(self, worst: PartLoss | None, hidden: UnknownPart | None) -> str:
        told = []
        if worst is not None:
            loss = self.limit.text_of(worst.likely)
            told.append(f"loss of {loss} of {self.part} {' '.join(worst.name)} {self.since}, limit {self.limit.text}")
        if hidden is not None:
            told.append(f"the loss of {self.part} {' '.join(hidden.name)} is not known")
        return "; ".join(told) or f"nothing is known of any {self.part}"


_by_loss = attrgetter("least", "likely")
_by_most = attrgetter("most")
