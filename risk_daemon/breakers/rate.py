"""Too many deeds in a sliding window: it trips by counting, and clears as they age out.

In the daemon the deeds of all bots are in the evaluation context. In a program of one's own the rule counts for
itself, and its state goes by its clock.

    scope "bot"    counted for each bot; a veto holds against its orders only
    scope "venue"  counted for each venue; a veto holds against its orders only
    scope "all"    counted together; a veto holds against everybody

Beside a scope there may be a limit over everything. One bot or venue counts for half of it at most, so that none
of them stops the others by itself, and some of them together do.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Unpack

from risk_daemon.breakers.base import (
    Action,
    BaseCircuitBreaker,
    BreakerState,
    Calm,
    Common,
    EvaluationContext,
    Standing,
    Verdict,
)
from risk_daemon.gate.activity import COUNT_MAX, KEEP_S, Activity, Pair
from risk_daemon.gate.restraints import Restraint
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Instant
from risk_daemon.model.units import finite

# Of nobody that could be stopped by itself: what it does concerns everybody.
EVERYBODY: Pair = (None, None)


class Scope(StrEnum):
    """What is counted together."""

    BOT = "bot"
    VENUE = "venue"
    ALL = "all"


class RateCircuitBreaker(BaseCircuitBreaker):
    """Breaches with more than `limit` in the last `window_s` seconds, of any one party of its scope.

    total: a limit over all parties together, where one party counts for half of it at most; None: there is none.
    Raises ValueError for a limit or window out of range, and for warnings that would never come before the limit.
    """

    needs_confirmation = False
    noun = ""

    def __init__(
        self,
        breaker_type: CircuitBreakerType,
        limit: int,
        window_s: float,
        scope: Scope | str = Scope.ALL,
        total: int | None = None,
        /,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(breaker_type, **common)
        self.limit = _whole(self.noun, limit)
        self.scope = Scope(scope)
        self.total = None if total is None or self.scope is Scope.ALL else _whole(f"{self.noun}_total", total)
        self.window_s = float(finite(window_s))
        if not 0 < self.window_s <= KEEP_S:
            raise ValueError(f"a window lies between 0 and {KEEP_S:.0f} s, {window_s} s does not")
        if any(not 0 < level <= self.limit for level in self.warnings):
            raise ValueError(f"a warning lies above zero and not above the limit of {self.limit}")
        self._limits = {f"max_{self.noun}": self.limit, "window_s": self.window_s}
        if self.scope is not Scope.ALL:
            self._limits |= {"scope": self.scope.value, f"max_{self.noun}_total": self.total}
        self._own: Activity | None = None
        self._own_trip: Standing | None = None

    @property
    def state(self) -> BreakerState:
        """Of now: in a program, time alone may have changed it."""
        self.refresh()
        return super().state

    def refresh(self) -> None:
        """Move a program's own state by its clock. What the daemon's verdicts say is not touched."""
        if self._own is None:
            return
        now, standing = self._clock.now(), self.standing
        is_used_up = self._is_used_up(self._own, now)
        if is_used_up and standing.state is BreakerState.NORMAL:
            verdict = self._judge(self._own, now)
            self._trip(verdict.reason, **verdict.observed)
            self._own_trip = self.standing
        elif not is_used_up and standing is self._own_trip and self.ends_by_itself:
            self.standing = Standing()

    def evaluate(self, context: EvaluationContext, now: Instant) -> Verdict:
        return self._judge(context.activity, now)

    def party(self, pair: Pair) -> Pair:
        """Who a deed of this bot on this venue counts for."""
        bot, venue = pair
        if self.scope is Scope.ALL:
            return EVERYBODY
        return self._bot_party(bot, venue) if self.scope is Scope.BOT else self._venue_party(bot, venue)

    def _bot_party(self, bot: str | None, venue: str | None) -> Pair:
        return (bot, None)

    def _venue_party(self, bot: str | None, venue: str | None) -> Pair:
        return (None, venue)

    def _judge(self, activity: Activity, now: Instant) -> Verdict:
        """The verdict on what is in `activity`."""
        raise NotImplementedError

    def _in_all(self, counts: Mapping[Pair, int]) -> int | None:
        """How many count against the limit over everything; None where there is none."""
        if self.total is None:
            return None
        share = max(1, self.total // 2)
        return sum(count if party == EVERYBODY else min(count, share) for party, count in counts.items())

    def _judged(self, own: Mapping[Pair, int], others: Mapping[Pair, int], observed: dict[str, Any]) -> Verdict:
        """The verdict on counts by party: what counts against the party itself, and against everybody."""
        worst = max(own.values(), default=0)
        in_all = self._in_all(others)
        held = {party: count for party, count in own.items() if count > self.limit}
        is_total = in_all is not None and self.total is not None and in_all > self.total
        if is_total:
            observed = observed | {f"{self.noun}_in_all": in_all}
        elif held and EVERYBODY not in held:
            observed = observed | {"held": [_held(party, count) for party, count in sorted(held.items(), key=str)]}
        named = max(own, key=lambda party: (own[party], str(party)), default=EVERYBODY)
        reason = self._sentence(named, worst, observed)
        if is_total:
            reason = f"{in_all} {self.noun} in all in {self.window_s:g} s, limit {self.total}; {reason}"
        return self._verdict(worst, reason, observed, is_breached=bool(held) or is_total)

    def _sentence(self, party: Pair, count: int, observed: Mapping[str, Any]) -> str:
        return f"{count} {self.noun}{whose(party)} in {self.window_s:g} s"

    def restraints(self, allows_reducing: bool) -> tuple[Restraint, ...]:
        """A veto holds against those who went too far; a lock, or where everybody did, against all."""
        held = self.standing.details.get("held")
        if not isinstance(held, list) or self.standing.action > Action.VETO:
            return super().restraints(allows_reducing)
        details, limits = self.standing.details, self.standing.limits
        return tuple(
            Restraint(
                self.cause,
                f"{row['count']} {self.noun}{whose((row['bot'], row['venue']))} in {self.window_s:g} s,"
                f" limit {self.limit}",
                details,
                limits,
                allows_reducing,
                venue=row["venue"],
                bot=row["bot"],
            )
            for row in held
        )

    def settle(self, verdict: Verdict) -> bool:
        """As ever; and whoever is held besides those who were is told of too."""
        before = _who(self.standing) if self.is_tripped else None
        moved = super().settle(verdict)
        return moved or (before is not None and self.is_tripped and not _who(self.standing) <= before)

    def _is_used_up(self, activity: Activity, now: Instant) -> bool:
        """Whether a program must stop here."""
        return self._judge(activity, now).breached

    def _verdict(
        self, count: int, reason: str, observed: dict[str, Any], *, is_breached: bool | None = None
    ) -> Verdict:
        is_breached = count > self.limit if is_breached is None else is_breached
        reached = [level for level in self.warnings if count >= level]
        return Verdict(
            breaker=self.name,
            breaker_type=self.breaker_type,
            action=self.action,
            breached=is_breached,
            suspected=is_breached,
            warning=max(reached, default=None),
            cleared=not reached,
            reason=f"{reason}, limit {self.limit}",
            observed=observed,
            limits=self._limits,
            calm=None if is_breached or reached else Calm(),  # without new deeds there are but fewer
        )

    def _program(self) -> Activity:
        """What a program records in."""
        if self._own is None:
            self._own = Activity()
        return self._own

    def _clear_conditions(self) -> None:
        self._own = None


def whose(party: Pair) -> str:
    """Whose deeds they are, in words."""
    bot, venue = party
    return (f" of bot {bot}" if bot else "") + (f" on {venue}" if venue else "")


def _held(party: Pair, count: int) -> dict[str, Any]:
    return {"bot": party[0], "venue": party[1], "count": count}


def _who(standing: Standing) -> frozenset[Pair]:
    """Whom a veto holds against; everybody, where it does not say."""
    held = standing.details.get("held")
    return frozenset((row["bot"], row["venue"]) for row in held) if isinstance(held, list) else frozenset({EVERYBODY})


def _whole(noun: str, limit: int) -> int:
    number = None if isinstance(limit, bool | float | str | Decimal) else operator.index(limit)
    if number is None or not 0 < number < COUNT_MAX:
        raise ValueError(f"max_{noun} is {limit!r}: write a whole number above zero and below {COUNT_MAX}")
    return number
