"""What is said on a venue's socket, without the socket.

A subscription is asked for and must be answered: taken or refused. Refusals often name nothing, so one thing
is asked at a time, and an answer belongs to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from adapters.dialect import Dialect
from risk_daemon.model.account import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A message that the venue must answer.

    key: what its answers are known by. kind, names: the stream that it is for, and what of it is subscribed to;
    no names: it only comes before that, such as signing in.
    """

    key: str
    kind: Kind
    names: frozenset[str]
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Taken:
    """The venue's yes. key: to what; None: to what was asked last. names: of these; None: of all."""

    key: str | None = None
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue's no, and why; key and names as in `Taken`."""

    reason: str
    key: str | None = None
    names: frozenset[str] | None = None


Said = Kind | tuple[Kind, ...] | Taken | Refused | None
"""What a message is: a frame of a stream or of several, an answer, or only a sign of life."""


class Wire(Protocol):
    """One connection's talk: a new value for each, because what was said on the last one holds no more.

    url: where it is dialled. silent_after_s: for how long the venue is never silent, once something is subscribed to.
    """

    url: str
    silent_after_s: float

    def ask(self, kind: Kind, names: frozenset[str]) -> Ask | None:
        """The next thing to say, so that these names of a stream come to be subscribed to; None: they come unasked."""
        ...

    def hear(self, message: Mapping[str, Any]) -> Said:
        """What a message is. Raises a VenueError if it ends the connection."""
        ...


class ReadsBytes(Wire, Protocol):
    """A wire whose venue sends frames that are no text."""

    def decode(self, frame: bytes) -> Mapping[str, Any]:
        """The message of a frame. Raises MalformedReply if it is none."""
        ...


@runtime_checkable
class Pinging(Protocol):
    """What a wire has besides, where the venue ends a connection that only listens, whatever pings the protocol has.

    ping: what is sent each `ping_every_s`. pong: its answer, where that is a word and no JSON; "" where it is.
    """

    ping_every_s: float
    ping: str
    pong: str


@runtime_checkable
class Keyed(Protocol):
    """What a wire has besides, where whoever knows its url hears the account. key: never to be written."""

    key: str


class SocketDialect(Dialect, Protocol):
    """A dialect whose streams come over sockets of our own."""

    def line_of(self, kind: Kind) -> str | tuple[str, ...]:
        """Which of the venue's connections carries this stream; all of them, where it takes several."""
        ...

    async def open_wire(self, line: str) -> Wire:
        """What is said on a new connection of this name. Raises a VenueError if what it takes can't be had."""
        ...

    def stream_began(self, kind: Kind) -> None:
        """A new connection: what was seen on the last one says nothing about this one."""
        ...

    def is_confirming(self, kind: Kind) -> bool:
        """Whether silence of this stream means that nothing changed: it gave a snapshot and shows every change."""
        ...
