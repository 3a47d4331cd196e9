"""A venue's own count of our calls, kept along with it so that it never has to refuse one.

Some venues have a counter that each call lifts and time lowers; others count what came within the last seconds, and
there twice as much would be asked for at first by who believes in a counter that falls meanwhile.

Exchanges count what a key asks, and refuse what goes above; some for longer the more is asked
meanwhile. So what is asked at leisure leaves half of it to ordinary readings, these leave room for the refresh of a
switch and for what confirms a breach, and these for the sweep, which is never held back: a cancel that is refused costs
less than one that is not sent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from adapters.base import BudgetLevel
from adapters.lane import PushedAside, Urgency
from risk_daemon.model.clock import Clock

PATIENCE_S: Mapping[Urgency, float] = {
    Urgency.LEISURE: 0.0,
    Urgency.ORDINARY: 2.0,
    Urgency.REFRESH: 2.0,
    Urgency.URGENT: 7.0,
}
"""A call that would wait longer gives its turn up: an ordinary one before it runs into its caller's time limit."""


STRICT_PATIENCE_S = 4.0
"""How long a sweep's listing waits for room where the venue would refuse it: the next look comes sooner than that."""

SHORTEST_WAIT_S = 0.001
TRAVEL_S = 0.1
"""One call may be under way for so much longer than the next: to the venue they are that much closer together."""

ASKS_AGAIN_WITHIN_S = 5.0
"""Who was held back and did not ask again for so long has no place in the queue any more."""


class HeldBack(PushedAside):
    """The venue's limit leaves no room for this call yet. Nothing is wrong with the venue: ask again."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A counter of the venue: calls add their cost, and it falls by `decay_per_s`; above `ceiling` it refuses.

    within_s: it does not fall, but counts what came in the last so many seconds, see `Pool.window`.
    endpoints: which signed calls it counts; None: all that no pool before it does. costs: of a call, by the
    last word of its path, `default` for others. by_count: the costs of one that pays for the rows that it
    may give: (rows, cost) upwards. for_urgent, for_sweep: what ordinary calls leave to urgent ones, and
    both to the sweep. public: it counts calls without a signature as well. header: where a reply tells what is used.
    window_s: the venue counts anew with each minute, say, of the clock: what is full stays full until the next begins.
    strict: the sweep waits for room as well. Of listings alone: one that is refused proves nothing and is asked again
    at once, and so are those of all scopes after the cancel that goes out unseen for it, which leads to more refusals.
    """

    ceiling: float
    decay_per_s: float
    for_urgent: float = 0.0
    for_sweep: float = 0.0
    endpoints: frozenset[str] | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    default: float = 1.0
    by_count: Sequence[tuple[int, float]] = ()
    public: bool = False
    header: str | None = None
    window_s: float = 0.0
    narrow: Mapping[str, float] = field(default_factory=dict)
    strict: bool = False
    within_s: float = 0.0

    @classmethod
    def window(cls, ceiling: float, within_s: float, **more: Any) -> Self:
        """A count of calls of which no `within_s` seconds, whenever they begin, may have more than `ceiling`."""
        return cls(ceiling, ceiling / within_s, within_s=within_s, **more)

    def cost(self, endpoint: str, params: Mapping[str, Any]) -> float:
        """What a call adds."""
        if (narrow := next((cost for name, cost in self.narrow.items() if name in params), None)) is not None:
            return narrow
        if self.by_count and "count" in params:
            return next((cost for rows, cost in self.by_count if int(params["count"]) <= rows), self.by_count[-1][1])
        return self.costs.get(endpoint, self.default)

    @property
    def name(self) -> str:
        """For people: the first of its endpoints and how many there are besides, or that it is of all others."""
        if self.endpoints is None:
            return "others"
        first, *more = sorted(self.endpoints)
        return f"{first} +{len(more)}" if more else first

    def room(self, urgency: Urgency) -> float:
        """How high a call of this urgency may lift the counter."""
        if urgency in (Urgency.SWEEP, Urgency.PACED, Urgency.OVERDUE):
            return self.ceiling if self.strict else float("inf")
        if urgency is Urgency.LEISURE:
            return (self.ceiling - self.for_sweep - self.for_urgent) / 2
        return self.ceiling - self.for_sweep - (self.for_urgent if urgency is Urgency.ORDINARY else 0.0)


class _Level(Protocol):
    """How much of a counter is used. Times are seconds of a clock that never jumps."""

    def at(self, mono: float) -> float:
        """How much it is then."""
        ...

    def set(self, level: float, mono: float) -> None:
        """Have it so much: calls were sent, or the venue tells."""
        ...

    def falls_in_s(self, by: float, mono: float) -> float:
        """How long it takes until it is that much lower, if nothing comes."""
        ...


class _Falling:
    """A level that time lowers."""

    def __init__(self, decay_per_s: float, mono: float) -> None:
        self._decay_per_s = decay_per_s
        self._level, self._mono = 0.0, mono

    def at(self, mono: float) -> float:
        self._level = max(0.0, self._level - (mono - self._mono) * self._decay_per_s)
        self._mono = mono
        return self._level

    def set(self, level: float, mono: float) -> None:
        self._level, self._mono = level, mono

    def falls_in_s(self, by: float, _mono: float) -> float:
        return by / self._decay_per_s


class _Sliding:
    """What came within the last seconds: each goes as a whole, and not before all of its time is over."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s + TRAVEL_S
        self._came: deque[tuple[float, float]] = deque()  # when it ends to count, what it costs

    def at(self, mono: float) -> float:
        while self._came and self._came[0][0] <= mono:
            self._came.popleft()
        return sum(cost for _, cost in self._came)

    def set(self, level: float, mono: float) -> None:
        more = level - self.at(mono)
        if more < 0:
            self._came.clear()
            more = level
        if more > 0:
            self._came.append((mono + self._within_s, more))

    def falls_in_s(self, by: float, mono: float) -> float:
        """Of more than there is: after as many times `within_s` as it takes."""
        left, there = by, self.at(mono)
        if left > there > 0:
            return self._within_s * math.ceil(left / there)
        for ends_mono, cost in self._came:
            left -= cost
            if left <= 0:
                return ends_mono - mono
        return self._within_s


@dataclass(slots=True)
class _Held:
    """An ordinary call that was held back: since when, when it last asked, and what it costs."""

    since_mono: float
    asked_mono: float
    cost: float


class _Counter:
    """One pool's level as the venue must have it.

    Ordinary calls take turns: what was held back first goes first, or the cheap ones would leave the costly one
    no room for ever.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self.pool = pool
        self._clock = clock
        mono = clock.now().mono
        self._level: _Level = _Sliding(pool.within_s) if pool.within_s else _Falling(pool.decay_per_s, mono)
        self._looked_mono = self._full_until_mono = mono
        self._held: dict[str, _Held] = {}

    def ahead(self, endpoint: str) -> float:
        """What the calls cost that wait longer than this one."""
        now_mono, own = self._clock.now().mono, self._held.get(endpoint)
        self._held = {e: h for e, h in self._held.items() if now_mono - h.asked_mono <= ASKS_AGAIN_WITHIN_S}
        since_mono = now_mono if own is None else own.since_mono
        others = (held for name, held in self._held.items() if name != endpoint)
        return sum(held.cost for held in others if held.since_mono < since_mono)

    def hold(self, endpoint: str, cost: float) -> None:
        """The call asks again later, and keeps its place until then."""
        now_mono = self._clock.now().mono
        held = self._held.setdefault(endpoint, _Held(now_mono, now_mono, cost))
        held.asked_mono = now_mono

    def let_go(self, endpoint: str) -> None:
        """The call leaves now."""
        self._held.pop(endpoint, None)

    def level(self) -> float:
        now_mono = self._clock.now().mono
        if self._looked_mono < self._full_until_mono <= now_mono:
            self._level.set(0.0, now_mono)
        self._looked_mono = now_mono
        return self._level.at(now_mono)

    def set(self, level: float) -> None:
        self.level()
        self._level.set(level, self._looked_mono)

    def told(self, level: float) -> None:
        """The venue's own figure."""
        self.set(min(level, self.pool.ceiling))
        if level >= self.pool.ceiling and self.pool.window_s:
            now = self._clock.now()
            self._full_until_mono = now.mono + self.pool.window_s - now.wall % self.pool.window_s

    def wait_s(self, cost: float, urgency: Urgency) -> float:
        room = self.pool.room(urgency)
        if not cost or room == float("inf"):
            return 0.0
        over = self.level() + cost - room
        full_s = self._full_until_mono - self._looked_mono
        return max(0.0, full_s, 0.0 if over <= 0 else self._level.falls_in_s(over, self._looked_mono))


class Budget:
    """What a key may still ask of a venue. Without pools it holds nothing back."""

    def __init__(self, pools: Sequence[Pool], clock: Clock) -> None:
        self._counters = [_Counter(pool, clock) for pool in pools]

    def levels(self) -> tuple[BudgetLevel, ...]:
        """How full each counter is."""
        return tuple(BudgetLevel(one.pool.name, one.level(), one.pool.ceiling) for one in self._counters)

    def covers(self, endpoint: str, *, public: bool = False) -> bool:
        """Whether a counter of the venue is known for calls of this endpoint."""
        counter = self._counter(endpoint)
        return counter is not None and (counter.pool.public or not public)

    def heard(self, headers: Mapping[str, str]) -> None:
        """What a reply tells of the counters: others may ask by the same key or from the same address."""
        by_name = {name.lower(): value for name, value in headers.items()}
        for counter in self._counters:
            told = by_name.get(counter.pool.header.lower()) if counter.pool.header is not None else None
            if told is not None and told.isdigit():
                counter.told(float(told))

    async def spend(self, endpoint: str, params: Mapping[str, Any], urgency: Urgency) -> None:
        """Return when the call may leave. Raises HeldBack if that would take too long."""
        counter = self._counter(endpoint)
        if counter is None:
            return
        cost = counter.pool.cost(endpoint, params)
        is_ordinary = bool(cost) and urgency is Urgency.ORDINARY
        waits = bool(cost) and urgency in (Urgency.LEISURE, Urgency.ORDINARY)
        while (wait_s := counter.wait_s(cost + (counter.ahead(endpoint) if waits else 0.0), urgency)) > 0:
            if wait_s > PATIENCE_S.get(urgency, STRICT_PATIENCE_S):
                if is_ordinary:
                    counter.hold(endpoint, cost)
                raise HeldBack(f"the venue's call limit leaves no room for {wait_s:.0f} s")
            await asyncio.sleep(max(wait_s, SHORTEST_WAIT_S))
        counter.let_go(endpoint)
        counter.set(min(counter.level() + cost, counter.pool.ceiling))

    def refused(self, endpoint: str) -> None:
        """The venue says that its counter is full, whoever has filled it."""
        counter = self._counter(endpoint)
        if counter is not None:
            counter.told(counter.pool.ceiling)

    def _counter(self, endpoint: str) -> _Counter | None:
        named = (c for c in self._counters if c.pool.endpoints is None or endpoint in c.pool.endpoints)
        return next(named, None)
