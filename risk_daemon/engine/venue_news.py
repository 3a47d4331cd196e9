"""What venues tell of themselves: whether they can be reached and listed, and what their keys may do."""

from __future__ import annotations

from risk_daemon.engine.books import Books
from risk_daemon.engine.decision import Turn
from risk_daemon.engine.listing_watch import ListingWatch
from risk_daemon.engine.outages import Outages
from risk_daemon.model.events import (
    BalancesSeen,
    CancelChecked,
    EventName,
    KeyAudited,
    Kind,
    ListingFailed,
    OrdersListed,
    PositionsSeen,
    PricesSeen,
    Source,
    VenueConnected,
    VenueLost,
)

_KINDS = {BalancesSeen: Kind.BALANCES, PositionsSeen: Kind.POSITIONS, PricesSeen: Kind.PRICES}
News = VenueConnected | VenueLost | OrdersListed | ListingFailed | CancelChecked | KeyAudited


class VenueNews:
    """Each thing is told once.

    connected: by venue. One that was never reached, or of which no reading is answered any more, is not; it is again
    with the first that is answered.
    """

    def __init__(self, books: Books, listing: ListingWatch) -> None:
        self.connected: dict[str, bool] = dict.fromkeys(books.settings.portfolio.expected, False)
        self._books = books
        self._listing = listing
        self._outages = Outages()
        self._keys: dict[str, KeyAudited] = {}
        self._silent: set[str] = set()

    def take_frame(self, event: BalancesSeen | PositionsSeen | PricesSeen, turn: Turn) -> None:
        """What was read over REST is answered: where nothing of the venue was before, it is back."""
        if event.source is not Source.REST:
            return
        if self._outages.read(event.venue, _KINDS[type(event)]) and event.venue in self._silent:
            self._back(event.venue, turn)

    def take(self, event: News, turn: Turn) -> None:
        match event:
            case VenueConnected():
                self._take_connected(event, turn)
            case VenueLost():
                self._take_lost(event, turn)
            case KeyAudited():
                self._take_key(event, turn)
            case OrdersListed() | ListingFailed() | CancelChecked():
                self._take_listing(event, turn)

    def _take_connected(self, event: VenueConnected, turn: Turn) -> None:
        self._outages.found(event)
        if event.kind is None and not self.connected.get(event.venue):
            self._back(event.venue, turn)

    def _back(self, venue: str, turn: Turn) -> None:
        self._silent.discard(venue)
        self.connected[venue] = True
        turn.record(EventName.VENUE_CONNECTED, venue=venue)

    def _take_lost(self, event: VenueLost, turn: Turn) -> None:
        if event.is_stream:
            self._books.portfolio.stream_lost(event.venue, event.kind)
        if event.kind is None:
            self.connected[event.venue] = False
        self._tell_of_outage(event, event.kind, turn)
        if self.connected.get(event.venue) and self._outages.has_lost(event.venue, self._readings(event.venue)):
            self.connected[event.venue] = False
            self._silent.add(event.venue)

    def _readings(self, venue: str) -> frozenset[Kind]:
        """What is read there in ordinary rounds; orders have a listing of their own, which a sweep takes over."""
        return self._books.settings.portfolio.expected.get(venue, frozenset())

    def _tell_of_outage(self, event: VenueLost | ListingFailed, kind: Kind | None, turn: Turn) -> None:
        told = self._outages.lost(event)
        if told.is_new:
            turn.record(EventName.VENUE_LOST, venue=event.venue, kind=kind, reason=event.reason)
        if told.counts_as is not None:
            self._books.activity.record_error(turn.now.mono, told.counts_as, venue=event.venue)

    def _take_listing(self, event: OrdersListed | ListingFailed | CancelChecked, turn: Turn) -> None:
        self._listing.take(event)
        if isinstance(event, OrdersListed):
            self._outages.listed(event)
        if isinstance(event, ListingFailed):
            self._tell_of_outage(event, Kind.ORDERS, turn)

    def _take_key(self, event: KeyAudited, turn: Turn) -> None:
        """Told once, and again when it changes: a key that can empty the account is none for a guard."""
        if self._keys.get(event.venue) == event:
            return
        self._keys[event.venue] = event
        facts = {"may_read": event.may_read, "may_cancel": event.may_cancel, "is_bound": event.is_bound}
        turn.record(EventName.KEY_AUDITED, venue=event.venue, may_withdraw=event.may_withdraw, **facts)
        if event.may_withdraw:
            turn.record(EventName.KEY_MAY_WITHDRAW, venue=event.venue, is_bound=event.is_bound)
