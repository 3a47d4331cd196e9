"""Time passing, and what people want."""

from __future__ import annotations

from dataclasses import dataclass

from risk_daemon.model.event_names import RiskEvent

TWIN = "twin"
"""Who lets this guard open where it has peers."""


@dataclass(frozen=True, slots=True)
class Started:
    """The process is up and has loaded its state; the first input of every run."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. Nothing else happened."""


@dataclass(frozen=True, slots=True)
class StoreChecked:
    """A save ended: `error` says why it failed, None that it is durable. What can't be remembered locks."""

    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSeen:
    """Whether `by` (a twin, a fund) lets this guard open its gate: until `until_mono`; None: it does not, and why.

    epoch: of the right to open, where it has one.
    """

    by: str
    until_mono: float | None
    reason: str = ""
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrippedElsewhere:
    """A trip of another guard, which is this one's too, under the same id. by: whose. cause: what its gate gives."""

    trip_id: str
    by: str
    cause: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingTold:
    """The place where peers meet has taken in, by `mono`, what holds here: they heed it within its lease.

    locked: whether anything holds for them, also once this guard is heard of no more. trip_id: by which trip, where it
    is one and no freeze.
    """

    locked: bool
    trip_id: str | None
    mono: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSeen:
    """What another guard of the same accounts said last where they meet.

    is_heard: whether it said anything since that place knows of itself. is_here: it spoke within a lease, and did not
    take its leave. locked, cause, reason: what holds there for all.
    """

    name: str
    is_heard: bool
    is_here: bool = False
    locked: bool = False
    cause: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSeen:
    """How all guards of the same accounts stand: asked at `asked_mono`, it counts until `until_mono`.

    name: of this guard. epoch, words: the highest known there, of the right to open and of all that was said.
    holder: which guard has that right; empty: none. is_told_locked: it was told there that this one keeps all shut.
    why_not: why nothing can be told from it; None: it can.
    """

    name: str
    asked_mono: float
    until_mono: float
    epoch: int
    words: int
    holder: str
    is_told_locked: bool
    peers: tuple[PeerSeen, ...]
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class FundBegan:
    """This guard got its first budget in the fund of that founding, under that seat: its loss there counts from now
    on. The same names again say nothing new."""

    founding: str
    seat: str


@dataclass(frozen=True, slots=True)
class FundTold:
    """The fund's ledger has the trip `trip_id`, as it was read. error: nobody can tell it in this run, and why."""

    trip_id: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ReadingsWanted:
    """Somebody beside the engine doubts what is known: accounts and prices are to be read now."""


@dataclass(frozen=True, slots=True)
class HaltRequested:
    """An operator's halt of everything; where a venue or a bot is named, a veto for its orders only."""

    reason: str
    operator: str
    venue: str | None = None
    bot: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The end of the halt of one venue or one bot. since_wall: only of the one that began then."""

    reason: str
    operator: str
    venue: str | None = None
    bot: str | None = None
    since_wall: float | None = None


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """A warden's reset. rebaseline: `keep` the baselines, or take the `current` equity. trip_id: only of that trip."""

    reason: str
    operator: str
    rebaseline: str
    trip_id: str | None = None


@dataclass(frozen=True, slots=True)
class DisableRequested:
    """A warden's order to watch without acting, for a stated time."""

    duration_s: float
    reason: str
    operator: str


@dataclass(frozen=True, slots=True)
class EnableRequested:
    """End of a disable, by a person or by its time."""

    operator: str


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """Other settings. What they are only the engine knows: see engine/reconfiguration.py."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that happened beside the engine, and is to be written down like what it decides."""

    event: RiskEvent
