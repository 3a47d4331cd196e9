"""Seats for connections: strangers and each role have their own, and an idle one makes room for who comes next.

So nobody keeps anybody else out by opening connections: strangers are many or few, callers with a token never compete
with them, nor one role with the other. Where a room is full, whoever holds most of it loses what is idle the longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from risk_daemon.api.limits import Limits
from risk_daemon.auth.tokens import Role


class Room(Enum):
    """Who sits together."""

    STRANGERS = auto()
    BOTS = auto()
    OPERATORS = auto()
    VIEWERS = auto()
    PAGES = auto()


_ROOMS = {Role.BOT: Room.BOTS, Role.VIEWER: Room.VIEWERS}


def room_of(role: Role) -> Room:
    """The room of a caller who is known."""
    return _ROOMS.get(role, Room.OPERATORS)


@dataclass(slots=True, eq=False)
class Seat:
    """One connection's. whose: its address, or its caller's name. used: the higher, the later."""

    whose: str
    is_busy: Callable[[], bool]
    hang_up: Callable[[], None]
    room: Room = Room.STRANGERS
    used: int = 0


@dataclass(slots=True)
class Seats:
    """All of one listener."""

    limits: Limits
    _taken: dict[Room, set[Seat]] = field(default_factory=lambda: {room: set() for room in Room})
    _uses: int = 0

    def come(self, seat: Seat) -> Seat | None:
        """A stranger sits down. Who has to go for it: there is always somebody."""
        leaver = self._who_goes(Room.STRANGERS, busy_too=True)
        if leaver is not None:
            self.leave(leaver)
        self._sit(seat, Room.STRANGERS)
        return leaver

    def use(self, seat: Seat) -> None:
        """Somebody asks again."""
        self._uses += 1
        seat.used = self._uses

    def move(self, seat: Seat, room: Room, whose: str) -> tuple[bool, Seat | None]:
        """Whether a caller, known by now, has a seat of its own; and who has to go for it."""
        leaver = None if seat.room is room else self._who_goes(room, busy_too=False)
        if leaver is None and seat.room is not room and self._is_full(room):
            return False, None
        if leaver is not None:
            self.leave(leaver)
        self.leave(seat)
        seat.whose = whose
        self._sit(seat, room)
        return True, leaver

    def leave(self, seat: Seat) -> None:
        """A second call does nothing."""
        self._taken[seat.room].discard(seat)

    def _sit(self, seat: Seat, room: Room) -> None:
        seat.room = room
        self._taken[room].add(seat)
        self.use(seat)

    def _is_full(self, room: Room) -> bool:
        limits = self.limits
        seats = {
            Room.STRANGERS: limits.strangers,
            Room.BOTS: limits.bots,
            Room.OPERATORS: limits.operators,
            Room.VIEWERS: limits.viewers,
            Room.PAGES: limits.pages_open,
        }
        return len(self._taken[room]) >= seats[room]

    def _who_goes(self, room: Room, *, busy_too: bool) -> Seat | None:
        """None where a seat is free, or, without `busy_too`, where everybody is busy."""
        if not self._is_full(room):
            return None
        taken = self._taken[room]
        held = Counter(seat.whose for seat in taken)
        idle = [seat for seat in taken if not seat.is_busy()]
        of = idle or (list(taken) if busy_too else [])
        return min(of, key=lambda seat: (-held[seat.whose], seat.used), default=None)
