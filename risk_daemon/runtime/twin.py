"""Two guards over the same accounts: each says what holds for it, heeds the others, and opens only by the epoch.

Every second, and at once when the gate's cause changes, one exchange with the board. A lease counts from before it was
asked for, with a margin; where the board does not answer nothing is told, and the lease runs out by itself. One that is
let go of is over before the board is told: whether it took that in may never be known, and another may open by then.
What the peers know of a lock here is unsaid in the same way, before the board is told that it is over.

The board's clock ends leases, so it is held against this machine's: between two answers both must have gone the same
way. Where they did not, nothing is believed, and the board settles anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import structlog

from risk_daemon.engine.decision import Decision
from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import UNLISTABLE, Cause, Restraint
from risk_daemon.model.breaker_types import CircuitBreakerType
from risk_daemon.model.clock import Clock
from risk_daemon.model.commands import TWIN
from risk_daemon.model.events import BoardSeen, Input, LeaseSeen, PeerSeen, StandingTold, TrippedElsewhere
from risk_daemon.state.board.base import LEASE_S, Answer, Board, Known, Standing

_LOG = structlog.get_logger(__name__)

# What a clock may run slow, and what a write to the memory map or a turn that began may take.
_DRIFT = 0.02
_MARGIN_S = 0.5
# What holds for this process alone: it can't open, and another guard may.
_OWN_AFFAIRS = frozenset({Cause.STARTING, Cause.LOCKED, Cause.ELSEWHERE})
# By how much the clocks of two machines may differ between two answers, beside what the answers took.
_STEP_S = 0.5
_UNKNOWN = "its peers, of which nothing is known now"
_NAMED = 5  # markets in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSettings:
    """Seconds. every_s, within_s: between exchanges, and for one of them. guarded: see `Standing`."""

    name: str
    guarded: tuple[str, ...]
    every_s: float = 1.0
    within_s: float = 1.0
    lease_s: float = LEASE_S


def standing_of(
    restraints: Iterable[Restraint], since_wall: float, guarded: tuple[str, ...], *, is_here: bool = True
) -> Standing:
    """What holds for all guards: a trip, a freeze, a halt or a veto of everybody; not what this process lacks.

    That it is blind holds while it is here: a guard that is gone sees nothing either, and keeps nobody shut by that.
    guarded: see `Standing`.
    """
    holding = [one for one in restraints if not one.is_scoped and (_lasts(one) or one.cause not in _OWN_AFFAIRS)]
    if not holding:
        return Standing(locked=False, since_wall=since_wall, is_here=is_here, guarded=guarded)
    one = next((one for one in holding if not _is_of_sight(one)), holding[0])
    return Standing(
        locked=True,
        cause=one.cause,
        reason=one.reason,
        trip_id=one.trip_id if one.until_wall is None else None,
        since_wall=since_wall,
        is_here=is_here,
        while_here=_is_of_sight(one),
        guarded=guarded,
    )


def _lasts(one: Restraint) -> bool:
    return one.trip_id is not None


def _is_of_sight(one: Restraint) -> bool:
    """Whether it is only that this guard sees too little."""
    return not _lasts(one) and (one.cause == CircuitBreakerType.BLIND.cause or one.cause.startswith(UNLISTABLE))


def _stays(said: Standing) -> bool:
    """Whether it keeps the others shut also once nothing is heard of this guard any more."""
    return said.locked and not said.while_here


def wants_to_open(restraints: Iterable[Restraint]) -> bool:
    """Whether nothing keeps this guard's gate shut but the others."""
    return all(one.is_scoped or one.cause == Cause.ELSEWHERE for one in restraints)


def heeded(answer: Answer, lease_s: float) -> Answer:
    """The answer without what held only while a guard was here that is not here any more."""

    def now(name: str, said: Standing) -> Standing:
        if not said.while_here or _is_here(answer, name, said, lease_s):
            return said
        return replace(said, locked=False, cause="", reason="", while_here=False)

    others = {name: None if said is None else now(name, said) for name, said in answer.others.items()}
    return replace(answer, others=others, unnamed={name: now(name, said) for name, said in answer.unnamed.items()})


def _is_here(answer: Answer, name: str, said: Standing, lease_s: float) -> bool:
    return said.is_here and answer.said_s.get(name, 0.0) <= lease_s


def lease_of(answer: Answer, asked_mono: float, settings: TwinSettings) -> LeaseSeen:
    """What the board's answer allows."""
    why_not = _why_not(answer, settings)
    if why_not is not None:
        return LeaseSeen(by=TWIN, until_mono=None, reason=why_not)
    return LeaseSeen(by=TWIN, until_mono=_until_mono(asked_mono, settings), epoch=answer.epoch)


def _until_mono(asked_mono: float, settings: TwinSettings) -> float:
    return asked_mono + settings.lease_s * (1 - _DRIFT) - _MARGIN_S


def trips_of(answer: Answer, name: str) -> list[TrippedElsewhere]:
    """The trips that hold for other guards, or that another process told of under this one's name."""
    said = [*answer.others.items(), (f"{name}, another process", answer.before)]
    return [
        TrippedElsewhere(trip_id=standing.trip_id, by=_named(by), cause=standing.cause, reason=standing.reason)
        for by, standing in said
        if standing is not None and standing.locked and standing.trip_id is not None
    ]


def seen_of(answer: Answer, mine: Standing, asked_mono: float, settings: TwinSettings) -> BoardSeen:
    """How all stand by this answer, for who is asked to resume something, and for who looks."""
    why_not = None
    if answer.is_taken:
        why_not = f"another process stands as {_named(settings.name)}"
    elif not answer.is_settled:
        why_not = _UNSETTLED
    said_of = [*answer.others.items(), *answer.unnamed.items()]
    return BoardSeen(
        name=settings.name,
        asked_mono=asked_mono,
        until_mono=_until_mono(asked_mono, settings),
        epoch=answer.epoch,
        words=answer.words,
        holder=answer.holder,
        is_told_locked=mine.locked and not answer.is_taken,
        peers=tuple(_peer(answer, name, said, settings) for name, said in said_of),
        why_not=why_not,
    )


def _peer(answer: Answer, name: str, said: Standing | None, settings: TwinSettings) -> PeerSeen:
    if said is None:
        return PeerSeen(name=name, is_heard=False)
    is_here = _is_here(answer, name, said, settings.lease_s)
    return PeerSeen(name=name, is_heard=True, is_here=is_here, locked=said.locked, cause=said.cause, reason=said.reason)


_UNSETTLED = "the board is new, or was restored, or its clock was moved: it settles for some seconds"


def _why_not(answer: Answer, settings: TwinSettings) -> str | None:
    if answer.is_taken:
        return f"another process stands as {_named(settings.name)}: give each a name of its own ([guard] name)"
    for other, standing in answer.others.items():
        if standing is None:
            return f"{_named(other)} was not heard of since the board was made: start it once"
        if standing.locked:
            return f"{_named(other)} holds: {standing.cause}: {standing.reason}"
    if more := guarded_elsewhere(answer, settings.guarded):
        other, markets = next(iter(more.items()))
        return (
            f"{_named(other)} guards other venues, which nobody would watch here: {_some(markets)}. Give both the same"
            f" [venues] and start both; if {_named(other)} is gone for good, take it out of [guard] peers and off the"
            " board"
        )
    # Whoever does not know of all guards can't know that all of them agree.
    for other, standing in sorted(answer.unnamed.items(), key=lambda item: (not item[1].locked, item[0])):
        unnamed = f"{_named(other)} is on the board and not in [guard] peers"
        return f"{unnamed}, and holds: {standing.cause}: {standing.reason}" if standing.locked else unnamed
    if answer.is_ours:
        return None
    if not answer.is_settled:
        return _UNSETTLED
    return f"{_named(answer.holder)} opens" if answer.holder else "nobody holds the right to open yet"


def _named(name: str) -> str:
    return f"guard {name}"


def guarded_elsewhere(answer: Answer, guarded: Iterable[str]) -> dict[str, list[str]]:
    """What each other guard guards, or did when it was heard of last, beside `guarded`; of those that do."""
    here = set(guarded)
    more = {name: sorted(set(said.guarded) - here) for name, said in answer.others.items() if said is not None}
    return {name: markets for name, markets in more.items() if markets}


def _some(markets: list[str]) -> str:
    """For a sentence: the first of them."""
    named = ", ".join(markets[:_NAMED])
    return named if len(markets) <= _NAMED else f"{named} and {len(markets) - _NAMED} more"


class ClockWatch:
    """Whether the board's clock goes as this machine's does: between two answers, both by their own clocks."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None

    def was_moved(self, at_s: float, asked_mono: float, answered_mono: float) -> bool:
        """at_s: what the board's clock showed at some moment between the two of this machine's, in seconds."""
        last, self._last = self._last, (at_s, asked_mono, answered_mono)
        if last is None:
            return False
        at_before_s, asked_before, answered_before = last
        slack_s = _STEP_S + _DRIFT * (answered_mono - asked_before)
        went_s = at_s - at_before_s
        return not asked_mono - answered_before - slack_s <= went_s <= answered_mono - asked_before + slack_s


class Twin:
    """Runs between `start` and `aclose`. emit: takes what the board says to the engine.

    restraints: what holds against new orders here now, strongest first. known: what earlier runs knew of the board.
    """

    def __init__(
        self,
        board: Board,
        settings: TwinSettings,
        clock: Clock,
        *,
        restraints: Callable[[], Iterable[Restraint]],
        emit: Callable[[Input], None],
        known: Known,
    ) -> None:
        self._board = board
        self._settings = settings
        self._clock = clock
        self._restraints = restraints
        self._emit = emit
        self._changed = asyncio.Event()
        self._said: Standing | None = None
        self._since_wall = 0.0
        self._known = known
        self._watch = ClockWatch()
        self._has_left = False
        self._seen: BoardSeen | None = None
        self._left_to: str | None = _UNKNOWN
        self._may_open = False  # by what was emitted last
        self._is_told_locked = False  # the same
        self._guarded_elsewhere: dict[str, list[str]] = {}
        self._error: str | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on the others hear of this guard, and it of them."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name=TWIN)

    def heard(self, _decision: Decision) -> None:
        """What holds may have changed: the others are told at once."""
        said = self._said
        if said is None or not _same(said, self._standing(self._restraints(), said.since_wall)):
            self._changed.set()

    async def leave(self) -> None:
        """Say a last time what holds, and let go of the right to open: another guard need not wait for its end."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        await self._exchange(leaving=True)
        self._left_to = self._peers_here()

    def left_to(self) -> str | None:
        """Who else guarded these accounts when leave was taken, in words, also where that was not known; None: nobody.

        Of two that leave at one time the later one hears that the other has left.
        """
        return self._left_to

    def _peers_here(self) -> str | None:
        seen = self._seen
        if seen is None or seen.why_not is not None or self._clock.now().mono >= seen.until_mono:
            return _UNKNOWN
        return " and ".join(_named(one.name) for one in seen.peers if one.is_here) or None

    async def aclose(self) -> None:
        """Take leave, if that was not heard yet, and let go of the board."""
        if not self._has_left:
            await self.leave()
        await self._board.close()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            await self._exchange()
            await self._next_moment()

    async def _next_moment(self) -> None:
        """Until something changed here, or it is time."""
        try:
            async with asyncio.timeout(self._settings.every_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _exchange(self, *, leaving: bool = False) -> None:
        asked, restraints = self._clock.now(), tuple(self._restraints())
        mine = self._standing(restraints, asked.wall)
        if self._said is None or not _same(self._said, mine):
            self._since_wall = asked.wall
        self._said = mine = self._standing(restraints, self._since_wall, is_here=not leaving)
        # Who would leave markets of another unwatched opens never; so the epoch is for a guard that watches them all.
        wants = wants_to_open(restraints) and not leaving and not self._guarded_elsewhere
        if not wants:
            self._let_go()
        if not _stays(mine):
            self._unsay(asked.mono)
        try:
            async with asyncio.timeout(self._settings.within_s):
                answer = await self._board.exchange(mine, self._known, wants=wants)
        except Exception as error:  # whatever a server answers: this task must outlive it, or nobody is heard any more
            words = str(error) if isinstance(error, RecordError) else f"{self._board.place}: {_words(error)}"
            self._note(words)
            return
        self._note(None)
        answered_mono = self._clock.now().mono
        answer = heeded(self._judged(answer, asked.mono, answered_mono), self._settings.lease_s)
        self._seen, self._has_left = seen_of(answer, mine, asked.mono, self._settings), leaving
        if leaving:
            return
        self._note_guarded(guarded_elsewhere(answer, self._settings.guarded))
        if not answer.is_taken:
            self._is_told_locked = _stays(mine)
            self._emit(StandingTold(locked=_stays(mine), trip_id=mine.trip_id, mono=answered_mono))
        for trip in trips_of(answer, self._settings.name):
            self._emit(trip)
        self._emit(self._seen)
        lease = lease_of(answer, asked.mono, self._settings)
        if wants or lease.until_mono is None:
            self._emit(lease)
            self._may_open = lease.until_mono is not None

    def _standing(self, restraints: Iterable[Restraint], since_wall: float, *, is_here: bool = True) -> Standing:
        return standing_of(restraints, since_wall, self._settings.guarded, is_here=is_here)

    def _judged(self, answer: Answer, asked_mono: float, answered_mono: float) -> Answer:
        """What is known from now on. Where the board's clock was moved, it has not settled, and is told so at once."""
        doubts = self._watch.was_moved(answer.at_s, asked_mono, answered_mono)
        known = self._known
        self._known = Known(
            epoch=max(known.epoch, answer.epoch),
            words=max(known.words, answer.words),
            doubts=doubts,
            server=answer.server,
        )
        if not doubts:
            return answer
        _LOG.error(
            "board_doubted", place=self._board.place, effect="its clock was moved: nothing opens until it settled"
        )
        if not known.doubts:
            self._changed.set()
        return replace(answer, is_ours=False, is_settled=False, holder="")

    def _let_go(self) -> None:
        if self._may_open:
            self._emit(LeaseSeen(by=TWIN, until_mono=None, reason="it was let go of, for something holds here"))
        self._may_open = False

    def _unsay(self, asked_mono: float) -> None:
        """Before it is sent that nothing holds for good: what the peers were told is over, though no answer comes."""
        if self._is_told_locked:
            self._emit(StandingTold(locked=False, trip_id=None, mono=asked_mono))
        self._is_told_locked = False

    def _note_guarded(self, elsewhere: dict[str, list[str]]) -> None:
        """Told when it changes; and then the epoch is let go of, or asked for, at once."""
        if elsewhere == self._guarded_elsewhere:
            return
        self._guarded_elsewhere = elsewhere
        self._changed.set()
        if elsewhere:
            _LOG.error("peers_guard_more", only_there=elsewhere, effect="this guard never opens: give all one [venues]")
        else:
            _LOG.info("peers_guard_no_more_than_this", effect="this guard may open again")

    def _note(self, error: str | None) -> None:
        """Told when it begins and ends."""
        if error is not None and self._error is None:
            _LOG.error("board_lost", error=error, effect="nothing is opened until it answers")
        elif error is None and self._error is not None:
            _LOG.info("board_found", place=self._board.place)
        self._error = error


def _words(error: Exception) -> str:
    """For people."""
    if isinstance(error, TimeoutError):
        return "the board does not answer"
    return f"the board gave an odd answer: {type(error).__name__}: {str(error)[:200]}"


def _same(one: Standing, other: Standing) -> bool:
    return (one.locked, one.cause, one.trip_id) == (other.locked, other.cause, other.trip_id)
