"""The broadcast in the running service: what the daemon writes down into what other programs hear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from risk_daemon.app.composition import Opened
from risk_daemon.app.noting import Noter
from risk_daemon.broadcast.kafka import KafkaLine, KafkaSettings, refuse_unusable
from risk_daemon.broadcast.message import Message, Voice
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.broadcast.relay import Relay
from risk_daemon.config.credentials import KAFKA
from risk_daemon.config.load import Settings, kafka_password
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.model.event_names import RiskEvent
from risk_daemon.state.store.base import JsonObject, Store

_LOG = structlog.get_logger(__name__)
# A trip is sent when it begins: at the end only a broker that hangs is still waited for.
_LAST_S = 2.0

Write = Callable[[RiskEvent], Awaitable[None]]


def kafka_settings(settings: Settings) -> KafkaSettings | None:
    """None: nothing is broadcast. Raises ConfigError for a password that is missing."""
    table = settings.broadcast.kafka
    if table is None:
        return None
    password = kafka_password(settings)
    return KafkaSettings(
        bootstrap=table.bootstrap,
        topic=table.topic,
        security_protocol=table.security_protocol,
        sasl_mechanism=table.sasl_mechanism,
        username=table.username,
        password=None if password is None else password.get_secret_value(),
        ca_file="" if table.ca_file is None else str(table.ca_file),
    )


def usable_settings(settings: Settings) -> KafkaSettings | None:
    """As `kafka_settings`. Raises ConfigError for what could never reach a broker, whatever is wrong with it."""
    kafka = kafka_settings(settings)
    if kafka is not None:
        try:
            refuse_unusable(kafka)
        except ConfigError as error:
            raise ConfigError(f"{settings.file}: {KAFKA}: {error}") from None
    return kafka


def voice_of(settings: Settings) -> Voice:
    """How this guard's messages sound. Raises ConfigError where nothing is broadcast."""
    table = settings.broadcast.kafka
    if table is None:
        raise ConfigError(f"{settings.file}: there is no table [{KAFKA}], so nothing is broadcast: add it.")
    return Voice(
        event_type=table.event_type,
        currency=settings.portfolio.reference_currency,
        guard=settings.alerts.strategy_name,
    )


def of_trip(trip: Trip) -> Message:
    """What is known of a trip that another process opened."""
    return Message(
        trip_id=trip.trip_id,
        wall=trip.since_wall,
        rule=trip.breaker,
        reason=trip.reason,
        is_freeze=trip.began_as_freeze,
        until_wall=trip.until_wall,
    )


class Kept:
    """The outbox of a state. What can't be saved is saved with whatever is saved next; a repeat does no harm."""

    def __init__(self, outbox: Outbox, store: Store) -> None:
        self._outbox = outbox
        self._store = store

    async def __call__(self) -> None:
        try:
            await self._store.save({BROADCAST: self._outbox.document()})
        except RecordError as error:
            _LOG.error("broadcast_not_kept", error=str(error), effect="after a restart it is sent once more")


class Broadcaster:
    """Owes what trips and freezes say, from the first turn on; nothing where there is no table [broadcast.kafka].

    The guard waits for nothing of it but a moment at its end.
    """

    def __init__(self, settings: Settings, opened: Opened) -> None:
        self._settings = settings
        self._opened = opened
        self._outbox = Outbox()
        self._relay: Relay | None = None
        self._noter: Noter | None = None
        if settings.broadcast.kafka is None:
            self._tell_left()
            return
        self._outbox.restore(_document(opened))
        trip = opened.engine.trip
        if trip is not None:
            self._outbox.put(of_trip(trip))

    def _tell_left(self) -> None:
        left = _document(self._opened).get("owed")
        if left:
            _LOG.error("broadcast_owed", count=len(left), hint=f"there is no table [{KAFKA}] any more: nobody hears it")

    @property
    def documents(self) -> dict[str, Callable[[], JsonObject]]:
        """What is to be saved with the latch."""
        return {} if self._settings.broadcast.kafka is None else {BROADCAST: self._outbox.document}

    def heard(self, records: Sequence[RiskEvent], wall: float) -> None:
        """All that is written down. It must not raise, for it is in the guard's own turn."""
        if self._settings.broadcast.kafka is None:
            return
        try:
            if self._outbox.hear(records, wall) and self._relay is not None:
                self._relay.nudge()
        except Exception as error:
            _LOG.critical("broadcast_lost", error=repr(error), events=[str(record.name) for record in records])

    def prepare(self, write: Write, *, takes_what_it_gets: bool) -> None:
        """Have all ready to send; nothing is connected yet. write: see Noter.

        Raises ConfigError for what could never reach a broker. takes_what_it_gets: a trip is to be finished: that is
        shouted instead, and what is owed is kept.
        """
        try:
            kafka = kafka_settings(self._settings) if takes_what_it_gets else usable_settings(self._settings)
        except ConfigError as error:
            if not takes_what_it_gets:
                raise
            _LOG.critical("broadcast_left_out", error=str(error))
            return
        if kafka is None:
            return
        self._noter = noter = Noter(write)
        line, voice, clock = KafkaLine(kafka), voice_of(self._settings), self._opened.site.clock
        keep = Kept(self._outbox, self._opened.store)
        self._relay = Relay(line, self._outbox, voice, clock, keep=keep, told=noter.note)

    def begin(self) -> None:
        """Send, from the loop's next turn on."""
        if self._relay is not None:
            self._relay.start()

    async def flushed(self, within_s: float) -> None:
        """Wait until all that is owed was tried, but no longer."""
        if self._relay is not None and not await self._relay.flushed(min(within_s, _LAST_S)):
            hint = "the next start sends it, `risk-daemon watch` too, or `risk-daemon broadcast --send`"
            _LOG.error("broadcast_owed", count=len(self._outbox.owed()), hint=hint)

    async def aclose(self) -> None:
        """Stop sending. What is still owed is kept for the next process."""
        if self._relay is not None:
            await self._relay.aclose()
        if self._noter is not None:
            await self._noter.written()


def _document(opened: Opened) -> JsonObject:
    found = opened.documents.get(BROADCAST)
    return found if isinstance(found, dict) else {}
