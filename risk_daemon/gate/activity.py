"""What the bots did: orders and errors, each counted once, in sliding windows.

The same order may be told of several times: a bot asks the gate, reports that it sent it, and the venue's own
stream shows it. It is recognised by its ids, or by venue, symbol and side where one of the tellers gave no id
that the other knows. In doubt it is counted once more: too many orders seen is the harmless mistake.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from risk_daemon.model.events import ErrorKind

KEEP_S = 3600.0

# More than that in a window is not told apart; no limit may be as high.
COUNT_MAX = 100_000

# Two tellings without an id in common are of one order only if they come so close together: a lease, and the order's
# way to the venue. What comes later counts again, or leases that nobody used would hide orders that nobody asked for.
SAME_ORDER_WITHIN_S = 6.0

_CANDIDATES_MAX = 128
_IDS_MAX = 50_000
_DEEDS_MAX = 10_000
# (venue, kind of id, id), and (venue, symbol, side).
_Id = tuple[str | None, str, str | None]
_Deed = tuple[str, str, str]

# Whose deed it was: (bot, venue), each None where it is not known.
Pair = tuple[str | None, str | None]

_NO_ERRORS: Mapping[Pair, Mapping[ErrorKind, int]] = {}


class Teller(StrEnum):
    """Who tells of an order. Each asking at the gate is an order of its own; the others may repeat themselves."""

    GATE = "gate"
    BOT = "bot"
    VENUE = "venue"


class _Times:
    """Moments in rising order, as many as may be asked for."""

    def __init__(self) -> None:
        self._monos: list[float] = []
        self._prune_at = 256

    def add(self, mono: float) -> None:
        insort(self._monos, mono)
        if len(self._monos) >= self._prune_at:
            newest = self._monos[-1]
            del self._monos[: bisect_right(self._monos, newest - KEEP_S)]
            del self._monos[:-COUNT_MAX]
            self._prune_at = max(256, 2 * len(self._monos))

    def all(self) -> tuple[float, ...]:
        """Every moment that is remembered."""
        return tuple(self._monos)

    def remove(self, mono: float) -> None:
        """Take one moment out again, if it is still there."""
        index = bisect_right(self._monos, mono) - 1
        if index >= 0 and self._monos[index] == mono:
            del self._monos[index]

    def count(self, now_mono: float, window_s: float) -> int:
        """How many are younger than the window; one that is just as old has left it."""
        if not self._monos or self._monos[-1] <= now_mono - window_s:
            return 0
        return len(self._monos) - bisect_right(self._monos, now_mono - window_s)


@dataclass(slots=True)
class _Order:
    """An order and what was told of it. A teller that gave no name goes by the kinds of ids it gave."""

    mono: float
    bot: str | None
    order_id: str | None
    client_order_id: str | None
    venue: str | None = None
    tellers: set[str | tuple[bool, bool]] = field(default_factory=set)

    def may_be(self, told: _Order) -> bool:
        """Whether nothing says that they are two. Bots use their own ids again: who told of it tells of another."""
        is_another = _differ(self.order_id, told.order_id) or _differ(self.bot, told.bot)
        return not is_another and not self.tellers & told.tellers

    def has_no_id_of(self, told: _Order) -> bool:
        """Whether there is no id that both know."""
        return not (
            (self.order_id is not None and told.order_id is not None)
            or (self.client_order_id is not None and told.client_order_id is not None)
        )

    def learn(self, told: _Order) -> None:
        """Take in what another telling of it adds."""
        self.order_id = self.order_id or told.order_id
        self.client_order_id = self.client_order_id or told.client_order_id
        self.tellers |= told.tellers


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


class _KnownOrders:
    """Recognises an order that was told of before."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[_Id, _Order] = OrderedDict()
        self._by_deed: dict[_Deed, deque[_Order]] = {}

    def find(self, told: _Order, venue: str | None, deed: _Deed | None) -> _Order | None:
        """The order that `told` is about, if it is known."""
        known = self._by_id.get((venue, "order", told.order_id))
        if known is not None and not _differ(known.bot, told.bot):
            return known
        known = self._by_id.get((venue, "client", told.client_order_id))
        if known is not None and known.may_be(told):
            return known
        return None if deed is None else self._find_by_deed(told, deed)

    def remember(self, order: _Order, venue: str | None, deed: _Deed | None = None) -> None:
        """Know it by its ids, and if it is new, by what it does."""
        for kind, value in (("order", order.order_id), ("client", order.client_order_id)):
            if value is not None:
                self._by_id[venue, kind, value] = order
                self._by_id.move_to_end((venue, kind, value))
        while len(self._by_id) > _IDS_MAX:
            self._by_id.popitem(last=False)
        if deed is not None:
            self._by_deed.setdefault(deed, deque(maxlen=_CANDIDATES_MAX)).append(order)
        if len(self._by_deed) > _DEEDS_MAX:
            del self._by_deed[next(iter(self._by_deed))]

    def _find_by_deed(self, told: _Order, deed: _Deed) -> _Order | None:
        candidates = self._by_deed.get(deed, deque())
        while candidates and candidates[0].mono <= told.mono - SAME_ORDER_WITHIN_S:
            candidates.popleft()
        return next((known for known in candidates if known.may_be(told) and known.has_no_id_of(told)), None)


class Activity:
    """Times are seconds of `Instant.mono`; windows lie before `now_mono` and may be up to `KEEP_S` long."""

    def __init__(self) -> None:
        self._orders = _Times()
        self._orders_of: dict[Pair, _Times] = {}
        self._shown_of: dict[Pair, _Times] = {}
        self._set_aside: frozenset[str] = frozenset()
        self._known = _KnownOrders()
        self._errors: dict[Pair, dict[ErrorKind, _Times]] = {}
        self._last_error_mono = float("-inf")

    def record_order(
        self,
        now_mono: float,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        side: str | None = None,
        order_id: str | None = None,
        client_order_id: str | None = None,
        bot: str | None = None,
        teller: Teller | None = None,
    ) -> bool:
        """Count an order, unless it was counted before. Returns whether it was new.

        teller: who says so, where that is known; it tells two orders of one teller from two tellings of one.
        """
        told = _Order(now_mono, bot, order_id or None, client_order_id or None, venue)
        told.tellers.add(teller or (bool(order_id), bool(client_order_id)))
        deed = None if venue is None or symbol is None or side is None else (venue, symbol, side)
        known = None if teller is Teller.GATE else self._known.find(told, venue, deed)
        if known is not None:
            was_shown = Teller.VENUE in known.tellers
            known.learn(told)
            self._known.remember(known, venue)
            self._name_bot(known, bot, was_shown=was_shown)
            if Teller.VENUE in known.tellers and not was_shown:
                _times(self._shown_of, (known.bot, known.venue)).add(known.mono)
            return False
        self._known.remember(told, venue, deed)
        self._orders.add(now_mono)
        _times(self._orders_of, (bot, venue)).add(now_mono)
        if teller is Teller.VENUE:
            _times(self._shown_of, (bot, venue)).add(now_mono)
        return True

    def know_order(
        self, venue: str | None = None, *, order_id: str | None = None, client_order_id: str | None = None
    ) -> None:
        """An order that was sent before anybody counted: it is not counted, now or when it is told of again."""
        self._known.remember(_Order(float("-inf"), None, order_id or None, client_order_id or None), venue)

    def record_error(
        self, now_mono: float, kind: ErrorKind = ErrorKind.BROKER, *, bot: str | None = None, venue: str | None = None
    ) -> None:
        """Count an error, unless it was to be expected."""
        if kind is ErrorKind.EXPECTED:
            return
        self._errors.setdefault((bot, venue), {}).setdefault(kind, _Times()).add(now_mono)
        self._last_error_mono = max(now_mono, self._last_error_mono)

    def order_count(self, now_mono: float, window_s: float, bot: str | None = None) -> int:
        """Orders in the window; of one bot only where it is named. Raises ValueError for a window that is too long."""
        _check_window(window_s)
        if bot is None:
            return self._orders.count(now_mono, window_s)
        return sum(times.count(now_mono, window_s) for pair, times in self._orders_of.items() if pair[0] == bot)

    def order_counts(self, now_mono: float, window_s: float, *, for_others: bool = False) -> Mapping[Pair, int]:
        """Orders in the window by (bot, venue). Raises ValueError for a window that is too long.

        for_others: what may count against somebody else too: of a bot that was set aside only what a venue showed.
        """
        _check_window(window_s)
        aside = self._set_aside if for_others else frozenset()
        told = {pair: times for pair, times in self._orders_of.items() if pair[0] not in aside}
        told |= {pair: times for pair, times in self._shown_of.items() if pair[0] in aside}
        return {pair: count for pair, times in told.items() if (count := times.count(now_mono, window_s))}

    def error_counts(
        self, now_mono: float, window_s: float, *, for_others: bool = False
    ) -> Mapping[Pair, Mapping[ErrorKind, int]]:
        """Errors in the window by (bot, venue) and kind. Raises ValueError for a window that is too long.

        for_others: what may count against somebody else too: nothing that a bot says that was set aside.
        """
        _check_window(window_s)
        if self._last_error_mono <= now_mono - window_s:
            return _NO_ERRORS
        counted = {
            pair: {kind: count for kind, times in kinds.items() if (count := times.count(now_mono, window_s))}
            for pair, kinds in self._errors.items()
            if not (for_others and pair[0] in self._set_aside)
        }
        return {pair: kinds for pair, kinds in counted.items() if kinds}

    def set_aside(self, bots: frozenset[str]) -> None:
        """What these bots say counts against nobody but themselves; what a venue shows of them does."""
        self._set_aside = bots

    def forget(self, bot: str) -> None:
        """Nothing that this bot said is believed any more; what a venue showed of it stays counted, as nobody's."""
        for pair in [pair for pair in self._errors if pair[0] == bot]:
            del self._errors[pair]
        for pair in [pair for pair in self._orders_of if pair[0] == bot]:
            shown = self._shown_of.pop(pair, _Times())
            for mono in self._orders_of.pop(pair).all():
                self._orders.remove(mono)
            for mono in shown.all():
                self._orders.add(mono)
                for counted in (self._orders_of, self._shown_of):
                    _times(counted, (None, pair[1])).add(mono)

    def _name_bot(self, known: _Order, bot: str | None, *, was_shown: bool) -> None:
        """Whose order it was turns out only now."""
        if bot is None or known.bot is not None:
            return
        known.bot = bot
        _times(self._orders_of, (None, known.venue)).remove(known.mono)
        _times(self._orders_of, (bot, known.venue)).add(known.mono)
        if was_shown:
            _times(self._shown_of, (None, known.venue)).remove(known.mono)
            _times(self._shown_of, (bot, known.venue)).add(known.mono)


def _times(counted: dict[Pair, _Times], pair: Pair) -> _Times:
    return counted.setdefault(pair, _Times())


def _check_window(window_s: float) -> None:
    if window_s > KEEP_S:
        raise ValueError(f"orders and errors are kept for {KEEP_S:.0f} s, not for {window_s} s")
