"""What the guard itself can't reach: told once an outage, and counted as an error like those that bots report.

A venue that is gone takes all its readings with it: an outage counts once as `connection` and once as
`data_feed`, however many readings it concerns and however often they are tried again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from risk_daemon.model.events import (
    ErrorKind,
    Kind,
    ListingFailed,
    OrdersListed,
    VenueConnected,
    VenueLost,
)

# What is lost: of which venue, which readings (None: the venue itself), and by which way they come.
_Loss = tuple[str, Kind | None, str]
_REST, _STREAM, _LISTING = "rest", "stream", "listing of "


@dataclass(frozen=True, slots=True)
class Told:
    """is_new: nobody was told of it yet. counts_as: the error that it is for the rates; None: it is part of another."""

    is_new: bool
    counts_as: ErrorKind | None = None


class Outages:
    """What is lost now."""

    def __init__(self) -> None:
        self._lost: set[_Loss] = set()

    def lost(self, event: VenueLost | ListingFailed) -> Told:
        """Something stopped answering."""
        if isinstance(event, ListingFailed):
            loss: _Loss = (event.venue, Kind.ORDERS, _LISTING + event.scope)
        else:
            loss = (event.venue, event.kind, _STREAM if event.is_stream and event.kind is not None else _REST)
        if loss in self._lost:
            return Told(is_new=False)
        is_first = not any(_error_kind(other) is _error_kind(loss) for other in self._lost if other[0] == event.venue)
        self._lost.add(loss)
        return Told(is_new=True, counts_as=_error_kind(loss) if is_first else None)

    def read(self, venue: str, kind: Kind) -> bool:
        """A reading over REST was answered. True where it was lost until now."""
        loss = (venue, kind, _REST)
        was_lost = loss in self._lost
        self._lost.discard(loss)
        return was_lost

    def has_lost(self, venue: str, kinds: Collection[Kind]) -> bool:
        """Whether of these readings, which must be some, none is answered over REST."""
        return bool(kinds) and all((venue, kind, _REST) in self._lost for kind in kinds)

    def found(self, event: VenueConnected) -> None:
        """A stream is back, or the venue and all that is read of it; what lists orders says itself when it is."""
        if event.kind is not None:
            self._lost.discard((event.venue, event.kind, _STREAM))
            return
        self._lost = {loss for loss in self._lost if (loss[0], loss[2]) != (event.venue, _REST)}

    def listed(self, event: OrdersListed) -> None:
        """The open orders of a scope can be listed again."""
        self._lost.discard((event.venue, Kind.ORDERS, _LISTING + event.scope))


def _error_kind(loss: _Loss) -> ErrorKind:
    return ErrorKind.CONNECTION if loss[1] is None else ErrorKind.DATA_FEED
