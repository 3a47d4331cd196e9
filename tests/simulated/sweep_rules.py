"""What a sweep owes while a venue fails it: orders go, proofs come, and the log does not fill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from oms.calls import LONGEST_PAUSE_S
from oms.telling import AT_ONCE
from risk_daemon.engine.decision import Decision
from risk_daemon.errors import ExitCode
from risk_daemon.model.events import EventName
from tests.simulated.scenario import Call, Fault
from tests.simulated.venue import SimVenue

if TYPE_CHECKING:
    from tests.simulated.life import Life
    from tests.simulated.world import World

# A listing that fails like this fails quickly, and cancels of such a venue work.
_QUICK = frozenset({Fault.MALFORMED, Fault.REFUSED, Fault.LOST})
# The calls of a round, for each scope, in round trips; a slow one takes half as long again.
_CALLS = 6
_SLACK_S = 1.0
# Those told at once, some that lasted for a while, and the last word.
_MOST_LINES = AT_ONCE + 5
_TOLD = frozenset({EventName.VENUE_PROVEN, EventName.VENUE_UNPROVEN})
# What may keep even a good sweep from its proof.
_EXCUSES = frozenset({"sigterm", "disk", "lock"})


class SweepRules:
    """Part of the checker: `fail` takes a sentence."""

    def __init__(self, world: World, fail: Callable[[str], None]) -> None:
        self._world = world
        self._fail = fail
        self._since: dict[str, float] = {}
        self._lines: Counter[tuple[int, str]] = Counter()

    def second(self, life: Life | None) -> None:
        """No order stands longer than the longest pause and a round, while cancels work and listings fail."""
        now = self._world.timeline.true
        for venue in self._world.venues.values():
            if life is None or life.tripped_mono is None or not self._only_listings_fail(venue):
                self._since.pop(venue.name, None)
                continue
            since = self._since.setdefault(venue.name, now)
            limit_s = LONGEST_PAUSE_S + _CALLS * len(venue.scopes) * venue.spec.latency_s * 1.5 + _SLACK_S
            for order in venue.exchange.orders.values():
                stands_s = now - max(since, order.placed_wall)
                if stands_s > limit_s:
                    name = order.draft.client_order_id
                    self._fail(f"{venue.name}: {name} stands for {stands_s:.0f} s, though cancels work")

    def _only_listings_fail(self, venue: SimVenue) -> bool:
        health = venue.health
        is_blinded = health.trouble in _QUICK and health.troubled_calls == {Call.LIST}
        return is_blinded and not health.noise and not venue.spec.by_id

    def decided(self, decision: Decision, life: Life) -> None:
        """What flaps is told a few times, and then with a count."""
        for record in decision.records:
            if record.name in _TOLD:
                place = (life.number, str(record.fields["venue"]))
                self._lines[place] += 1
                if self._lines[place] > _MOST_LINES:
                    self._fail(f"{place[1]}: {self._lines[place]} lines about whether it is proven")

    def ended(self, code: ExitCode) -> None:
        """Who answers every second call can be proven by any deadline that settings allow."""
        scenario = self._world.scenario
        whats = {happening.what for happening in scenario.happenings}
        troubles = {h.args["fault"] for h in scenario.happenings if h.what == "trouble"}
        is_excused = bool(whats & _EXCUSES or scenario.noise or scenario.disk_noise or scenario.kills)
        if any(bot.reckless for bot in scenario.bots) or is_excused:
            return
        if code is ExitCode.TRIGGERED_UNPROVEN and troubles == {Fault.EVERY_SECOND}:
            self._fail("exit 4, though every second call was answered")
