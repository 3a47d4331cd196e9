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

from risk_daemon.events import ErrorKind

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

_NO_ERRORS: Mapping[tuple[str | None, str | None], Mapping[ErrorKind, int]] = {}


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
        self._orders_of_bot: dict[str, _Times] = {}
        self._known = _KnownOrders()
        self._errors: dict[tuple[str | None, str | None], dict[ErrorKind, _Times]] = {}
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
        told = _Order(now_mono, bot, order_id or None, client_order_id or None)
        told.tellers.add(teller or (bool(order_id), bool(client_order_id)))
        deed = None if venue is None or symbol is None or side is None else (venue, symbol, side)
        known = None if teller is Teller.GATE else self._known.find(told, venue, deed)
        if known is not None:
            known.learn(told)
            self._known.remember(known, venue)
            self._name_bot(known, bot)
            return False
        self._known.remember(told, venue, deed)
        self._orders.add(now_mono)
        if bot is not None:
            self._count_for(bot, now_mono)
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
        times = self._orders if bot is None else self._orders_of_bot.get(bot)
        return 0 if times is None else times.count(now_mono, window_s)

    def error_counts(
        self, now_mono: float, window_s: float
    ) -> Mapping[tuple[str | None, str | None], Mapping[ErrorKind, int]]:
        """Errors in the window by (bot, venue) and kind. Raises ValueError for a window that is too long."""
        _check_window(window_s)
        if self._last_error_mono <= now_mono - window_s:
            return _NO_ERRORS
        counted = {
            pair: {kind: count for kind, times in kinds.items() if (count := times.count(now_mono, window_s))}
            for pair, kinds in self._errors.items()
        }
        return {pair: kinds for pair, kinds in counted.items() if kinds}

    def _name_bot(self, known: _Order, bot: str | None) -> None:
        if bot is not None and known.bot is None:
            known.bot = bot
            self._count_for(bot, known.mono)

    def _count_for(self, bot: str, mono: float) -> None:
        self._orders_of_bot.setdefault(bot, _Times()).add(mono)


def _check_window(window_s: float) -> None:
    if window_s > KEEP_S:
        raise ValueError(f"orders and errors are kept for {KEEP_S:.0f} s, not for {window_s} s")
