"""Two guards over the same accounts: each says what holds for it, heeds the others, and opens only by the epoch.

Every second, and at once when the gate's cause changes, one exchange with the board. A lease counts from before it was
asked for, with a margin; where the board does not answer nothing is told, and the lease runs out by itself. One that is
let go of is over before the board is told: whether it took that in may never be known, and another may open by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from risk_daemon.engine.decision import Decision
from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import Cause, Restraint
from risk_daemon.model.clock import Clock
from risk_daemon.model.events import Input, LeaseSeen, StandingTold, TrippedElsewhere
from risk_daemon.state.board.base import LEASE_S, Answer, Board, Standing

TWIN = "twin"
_LOG = structlog.get_logger(__name__)

# What a clock may run slow, and what a write to the memory map or a turn that began may take.
_DRIFT = 0.02
_MARGIN_S = 0.5
# What holds for this process alone: it can't open, and another guard may.
_OWN_AFFAIRS = frozenset({Cause.STARTING, Cause.LOCKED, Cause.ELSEWHERE})


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSettings:
    """Seconds. every_s, within_s: between exchanges, and for one of them."""

    name: str
    every_s: float = 1.0
    within_s: float = 1.0
    lease_s: float = LEASE_S


def standing_of(restraints: Iterable[Restraint], since_wall: float) -> Standing:
    """What holds for all guards: a trip, a freeze, a halt or a veto of everybody; not what this process lacks."""
    for one in restraints:
        if not one.is_scoped and (one.trip_id is not None or one.cause not in _OWN_AFFAIRS):
            trip_id = one.trip_id if one.until_wall is None else None
            return Standing(locked=True, cause=one.cause, reason=one.reason, trip_id=trip_id, since_wall=since_wall)
    return Standing(locked=False, since_wall=since_wall)


def wants_to_open(restraints: Iterable[Restraint]) -> bool:
    """Whether nothing keeps this guard's gate shut but the others."""
    return all(one.is_scoped or one.cause == Cause.ELSEWHERE for one in restraints)


def lease_of(answer: Answer, asked_mono: float, settings: TwinSettings) -> LeaseSeen:
    """What the board's answer allows."""
    why_not = _why_not(answer, settings.name)
    if why_not is not None:
        return LeaseSeen(by=TWIN, until_mono=None, reason=why_not)
    until_mono = asked_mono + settings.lease_s * (1 - _DRIFT) - _MARGIN_S
    return LeaseSeen(by=TWIN, until_mono=until_mono, epoch=answer.epoch)


def trips_of(answer: Answer) -> list[TrippedElsewhere]:
    """The trips that hold for other guards."""
    return [
        TrippedElsewhere(trip_id=standing.trip_id, by=_named(name), cause=standing.cause, reason=standing.reason)
        for name, standing in answer.others.items()
        if standing is not None and standing.locked and standing.trip_id is not None
    ]


def _why_not(answer: Answer, name: str) -> str | None:
    if answer.is_taken:
        return f"another process stands as {_named(name)}: give each a name of its own ([guard] name)"
    for other, standing in answer.others.items():
        if standing is None:
            return f"{_named(other)} was not heard of since the board was made: start it once"
        if standing.locked:
            return f"{_named(other)} holds: {standing.cause}: {standing.reason}"
    # Whoever does not know of all guards can't know that all of them agree.
    for other, standing in sorted(answer.unnamed.items(), key=lambda item: (not item[1].locked, item[0])):
        unnamed = f"{_named(other)} is on the board and not in [guard] peers"
        return f"{unnamed}, and holds: {standing.cause}: {standing.reason}" if standing.locked else unnamed
    if answer.is_ours:
        return None
    if not answer.is_settled:
        return "the board is new, or was restored: it settles for some seconds"
    return f"{_named(answer.holder)} opens" if answer.holder else "nobody holds the right to open yet"


def _named(name: str) -> str:
    return f"guard {name}"


class Twin:
    """Runs between `start` and `aclose`. emit: takes what the board says to the engine.

    restraints: what holds against new orders here now, strongest first.
    """

    def __init__(
        self,
        board: Board,
        settings: TwinSettings,
        clock: Clock,
        *,
        restraints: Callable[[], Iterable[Restraint]],
        emit: Callable[[Input], None],
    ) -> None:
        self._board = board
        self._settings = settings
        self._clock = clock
        self._restraints = restraints
        self._emit = emit
        self._changed = asyncio.Event()
        self._said: Standing | None = None
        self._since_wall = 0.0
        self._epoch = 0
        self._may_open = False  # by what was emitted last
        self._error: str | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on the others hear of this guard, and it of them."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name=TWIN)

    def heard(self, _decision: Decision) -> None:
        """What holds may have changed: the others are told at once."""
        said = self._said
        if said is None or not _same(said, standing_of(self._restraints(), said.since_wall)):
            self._changed.set()

    async def aclose(self) -> None:
        """Say a last time what holds, and let go of the right to open."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        await self._exchange(leaving=True)
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
        mine = standing_of(restraints, asked.wall)
        if self._said is None or not _same(self._said, mine):
            self._since_wall = asked.wall
        self._said = mine = standing_of(restraints, self._since_wall)
        wants = wants_to_open(restraints) and not leaving
        if not wants:
            self._let_go()
        try:
            async with asyncio.timeout(self._settings.within_s):
                answer = await self._board.exchange(mine, wants=wants, known_epoch=self._epoch)
        except Exception as error:  # whatever a server answers: this task must outlive it, or nobody is heard any more
            words = str(error) if isinstance(error, RecordError) else f"{self._board.place}: {_words(error)}"
            self._note(words)
            return
        self._note(None)
        self._epoch = max(self._epoch, answer.epoch)
        if not leaving:
            if not answer.is_taken:
                told_mono = self._clock.now().mono
                self._emit(StandingTold(locked=mine.locked, trip_id=mine.trip_id, mono=told_mono))
            for trip in trips_of(answer):
                self._emit(trip)
            lease = lease_of(answer, asked.mono, self._settings)
            if wants or lease.until_mono is None:
                self._emit(lease)
                self._may_open = lease.until_mono is not None

    def _let_go(self) -> None:
        if self._may_open:
            self._emit(LeaseSeen(by=TWIN, until_mono=None, reason="it was let go of, for something holds here"))
        self._may_open = False

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
