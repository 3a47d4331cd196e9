"""Whatever venues say and whenever they fall silent: the path taken is the best there is, and it ends."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise, permutations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from risk_daemon.model.account import HUBS
from risk_daemon.model.events import Price, PricesSeen, Source
from risk_daemon.model.units import EXACT
from risk_daemon.portfolio.prices import PriceBook

PAIRS = (
    ("BTC", "USDT"),
    ("BTC", "USD"),
    ("ETH", "BTC"),
    ("ETH", "USDC"),
    ("USDC", "USD"),
    ("USDT", "USD"),
    ("USDC", "USDT"),
    ("AAA", "BTC"),
    ("AAA", "USD"),
    ("BBB", "ETH"),
    ("USDT", "CCC"),
)
VENUES = ("kraken", "binance")
STALE_S = 30.0

gives = st.tuples(
    st.just("give"),
    st.sampled_from(VENUES),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.0, 6.0]),
    st.integers(1, 9),
    st.booleans(),
)
waits = st.tuples(st.just("wait"), st.sampled_from([5.0, 20.0, 31.0]))
lives = st.tuples(st.just("alive"), st.sampled_from(VENUES))
losses = st.tuples(st.just("lost"), st.sampled_from(VENUES))


@dataclass
class Row:
    value: Decimal
    given: float
    confirmed: float
    streamed: bool
    stale: bool = False


class Model:
    """The same rules without any bookkeeping: everything is looked for anew each time."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, tuple[str, str]], Row] = {}

    def give(self, venue: str, pair: tuple[str, str], value: Decimal, at: float, streamed: bool) -> None:
        old = self.rows.get((venue, pair))
        if old is None:
            self.rows[venue, pair] = Row(value, at, at, streamed)
        elif at >= old.given:
            self.rows[venue, pair] = Row(value, at, max(at, old.confirmed), streamed or old.streamed)

    def alive(self, venue: str, now: float) -> None:
        for (of, _), row in self.rows.items():
            if of == venue and row.streamed and not row.stale:
                row.confirmed = now

    def lost(self, venue: str) -> None:
        for (of, _), row in self.rows.items():
            row.streamed = row.streamed and of != venue

    def tick(self, now: float) -> None:
        for row in self.rows.values():
            row.stale = row.stale or now - row.confirmed > STALE_S

    def doubt(self, one: str, other: str) -> float | None:
        """-inf for a pair that is fresh in one direction, else the age of the best; None without one."""
        rows = [row for (_, pair), row in self.rows.items() if set(pair) == {one, other}]
        return min((-row.confirmed if row.stale else float("-inf") for row in rows), default=None)

    def best(self, asset: str) -> tuple[float, int] | None:
        costs = []
        between = [hub for hub in HUBS if hub not in ("USDT", asset)]
        for length in range(len(between) + 1):
            for middle in permutations(between, length):
                way = (asset, *middle, "USDT")
                doubts = [self.doubt(one, other) for one, other in pairwise(way)]
                if None not in doubts:
                    costs.append((max(d for d in doubts if d is not None), len(way) - 1))
        return min(costs, default=None)


def taken(book: PriceBook, model: Model, asset: str) -> tuple[float, int] | None:
    doubt, steps, at = float("-inf"), 0, asset
    while at != "USDT":
        step = book.step(at)
        if step is None:
            assert at == asset
            return None
        edge = model.doubt(at, step.parent)
        assert edge is not None
        assert step.stale is (edge > float("-inf"))
        doubt, steps, at = max(doubt, edge), steps + 1, step.parent
        assert steps <= len(HUBS) + 1, "the path does not end"
    return doubt, steps


def check_value(book: PriceBook, model: Model, asset: str) -> None:
    """The rate is one that some venue gave for that pair, and one that is known as well as any."""
    step = book.step(asset)
    if step is not None:
        best = model.doubt(asset, step.parent)
        values = [
            row.value if pair[0] == asset else EXACT.divide(Decimal(1), row.value)
            for (_, pair), row in model.rows.items()
            if set(pair) == {asset, step.parent} and (-row.confirmed if row.stale else float("-inf")) == best
        ]
        assert step.rate in values


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(PAIRS), min_size=1, max_size=5, unique=True),
    st.lists(st.one_of(gives, gives, waits, lives, losses), max_size=30),
)
@example(
    [("BTC", "USDT")], [("give", "kraken", 0, 0.0, 8, True), ("lost", "kraken"), ("give", "kraken", 0, 6.0, 2, False)]
)
def test_the_path_taken_is_the_best_there_is(pairs: list[tuple[str, str]], steps: list[tuple[object, ...]]) -> None:
    book, model, now = PriceBook("USDT", price_stale_s=STALE_S), Model(), 1_000.0
    for step in steps:
        match step:
            case ("give", str(venue), int(index), float(late), int(value), bool(streamed)):
                source = Source.STREAM if streamed else Source.REST
                base, quote = pairs[index % len(pairs)]
                late = 0.0 if streamed else late
                price = Price(f"{base}/{quote}", base, quote, Decimal(value))
                book.apply(PricesSeen(venue, now - late, source, (price,)))
                if book.doubted() or book.found(venue).overruled:
                    return  # where stream and REST differ, other properties hold: test_witnesses_properties
                model.give(venue, (base, quote), price.value, now - late, streamed)
            case ("alive", str(venue)):
                book.confirm_stream(venue, now)
                model.alive(venue, now)
            case ("lost", str(venue)):
                book.stream_lost(venue)
                model.lost(venue)
            case ("wait", float(seconds)):
                now += seconds
                book.expire(now)
                model.tick(now)
        for asset in ("BTC", "ETH", "USD", "USDC", "AAA", "BBB", "CCC"):
            assert taken(book, model, asset) == model.best(asset), asset
            check_value(book, model, asset)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(PAIRS), min_size=1, max_size=60))
def test_what_is_watched_for_expiry_does_not_grow_with_the_number_of_updates(pairs: list[tuple[str, str]]) -> None:
    book, now = PriceBook("USDT", price_stale_s=STALE_S), 1_000.0
    for index, (base, quote) in enumerate(pairs * 5):
        now += 7.0
        price = Price(f"{base}/{quote}", base, quote, Decimal(index % 3 + 1))
        book.apply(PricesSeen("kraken", now, Source.STREAM, (price,)))
        book.expire(now)
        assert len(book._quotes._expiries) <= len(PAIRS)
