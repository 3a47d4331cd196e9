"""Incremental equals full re-valuation, for any sequence of readings, silences and restarts."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.model.events import (
    BalancesSeen,
    Kind,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
    StreamConfirmed,
)
from risk_daemon.model.units import fixed
from risk_daemon.portfolio.manager import Equity, PortfolioManager, PortfolioSettings

VENUES = ("kraken", "futures")
KINDS = frozenset({Kind.BALANCES, Kind.POSITIONS, Kind.PRICES})
ASSETS = ("USDT", "USD", "BTC", "ETH", "AAA", "NONE", "SKIP")
PAIRS = (("BTC", "USDT"), ("BTC", "USD"), ("ETH", "BTC"), ("USDT", "USD"), ("AAA", "ETH"), ("AAA", "USD"))
BAND = Decimal("0.2")
STALE_S = {Kind.BALANCES: 45.0, Kind.POSITIONS: 45.0, Kind.PRICES: 30.0}

venues = st.sampled_from(VENUES)
sources = st.sampled_from(list(Source))
late = st.sampled_from([0.0, 0.0, 3.0, 20.0])
money = st.decimals(min_value=-1_000, max_value=1_000, places=4)
prices = st.decimals(min_value=Decimal("0.01"), max_value=1_000, places=4)
rows = st.dictionaries(st.sampled_from(ASSETS), money, min_size=1, max_size=3)
positions = st.lists(
    st.builds(
        Position,
        symbol=st.sampled_from(["BTC:USDT", "BTC:BTC"]),
        quantity=money,
        entry=prices,
        settle=st.sampled_from(["USDT", "BTC"]),
        underlying=st.just("BTC"),
        contract_size=st.sampled_from([Decimal(1), Decimal("0.001")]),
        inverse=st.booleans(),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda position: position.symbol,
)
steps = st.one_of(
    st.tuples(st.just("balances"), venues, sources, late, rows, st.booleans()),
    st.tuples(st.just("positions"), venues, sources, late, positions, st.booleans()),
    st.tuples(st.just("price"), venues, sources, late, st.sampled_from(PAIRS), prices),
    st.tuples(st.just("mark"), venues, sources, late, st.sampled_from(["BTC:USDT", "BTC:BTC"]), prices),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 10.0, 31.0, 50.0])),
    st.tuples(st.just("alive"), venues, st.sampled_from(sorted(KINDS))),
    st.tuples(st.just("lost"), venues),
)


def portfolio() -> PortfolioManager:
    expected = dict.fromkeys(VENUES, KINDS)
    return PortfolioManager(10_000, "USDT", PortfolioSettings(expected=expected, ignore_assets=frozenset({"SKIP"})))


def components(book: PortfolioManager, now: float) -> Iterator[tuple[str, Decimal, Decimal, Decimal]]:
    """Asset, value, gross and doubt of everything held. Which of two witnesses is in force is not its matter."""
    for venue in book.venues():
        stale = {kind: is_stale(book, venue, kind, now) for kind in (Kind.BALANCES, Kind.POSITIONS)}
        for asset, amount in book.amounts(venue).items():
            yield asset, amount, abs(amount), abs(amount) * BAND if stale[Kind.BALANCES] else Decimal(0)
        for position in book.positions(venue):
            yield position_component(book, venue, position, stale[Kind.POSITIONS])
        yield from questions(book, venue)


def position_component(
    book: PortfolioManager, venue: str, position: Position, stale: bool
) -> tuple[str, Decimal, Decimal, Decimal]:
    quote = book.prices.mark(venue, position.symbol)
    mark = position.entry if quote is None else quote.value
    pnl, notional = profit(position, mark)
    doubt = notional * BAND if stale or quote is None or quote.is_stale else Decimal(0)
    if quote is not None and quote.other is not None:
        doubt += abs(profit(position, quote.other)[0] - pnl)
    return position.settle, pnl, notional, doubt


def profit(position: Position, mark: Decimal) -> tuple[Decimal, Decimal]:
    """And notional."""
    size = position.quantity * position.contract_size
    pnl = size * (1 / position.entry - 1 / mark) if position.inverse else size * (mark - position.entry)
    return pnl, abs(size) / mark if position.inverse else abs(size) * mark


def questions(book: PortfolioManager, venue: str) -> Iterator[tuple[str, Decimal, Decimal, Decimal]]:
    """While stream and REST differ on a row, it may be worth either. A position's is taken when it is asked."""
    account = book._accounts[venue]
    for kind, name in account.doubted():
        if kind is Kind.BALANCES:
            other = account._held.rows[name].other
            assert other is not None
            yield name, Decimal(0), Decimal(0), abs(book.amounts(venue).get(name, Decimal(0)) - other)
        elif (kind, name) in account._questions:
            asset, doubt = account._questions[kind, name]
            yield asset, Decimal(0), Decimal(0), doubt


def is_stale(book: PortfolioManager, venue: str, kind: Kind, now: float) -> bool:
    age = book.age_s(venue, kind, now)
    return age is None or age > STALE_S[kind]


def revalued(book: PortfolioManager, now: float) -> tuple[Decimal, Decimal]:
    """Value and doubt of the whole, asset by asset along the present paths. Unpriced assets count nothing."""
    below: dict[str, list[tuple[Decimal, Decimal, Decimal]]] = {}
    for asset, *sums in components(book, now):
        below.setdefault(asset, []).append((sums[0], sums[1], sums[2]))
    children: dict[str, list[str]] = {}
    for asset in {*ASSETS, "USDC"} - {"USDT"}:
        step = book.prices.step(asset)
        if step is not None:
            children.setdefault(step.parent, []).append(asset)

    def total(asset: str) -> tuple[Decimal, Decimal, Decimal]:
        parts = below.get(asset, [])
        value, gross, doubt = (sum((part[n] for part in parts), Decimal(0)) for n in range(3))
        for child in children.get(asset, []):
            step = book.prices.step(child)
            assert step is not None
            v, g, d = total(child)
            value, gross = value + v * step.rate, gross + g * step.rate
            doubt += g * step.rate * BAND if step.stale else d * step.rate
            doubt += (g + d) * step.doubt
        return value, gross, doubt

    value, _, doubt = total("USDT")
    return value, doubt


def close(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= Decimal("0.000001") * max(1, abs(other))


OPENING: list[tuple[object, ...]] = [
    ("balances", "kraken", Source.REST, 0.0, {"USDT": Decimal(500), "BTC": Decimal(2), "AAA": Decimal(-30)}, True),
    ("balances", "futures", Source.REST, 0.0, {"USDT": Decimal(70), "ETH": Decimal(9), "USD": Decimal(8)}, True),
    (
        "positions",
        "futures",
        Source.REST,
        0.0,
        [Position(symbol="BTC:USDT", quantity=Decimal(5), entry=Decimal(90), settle="USDT", underlying="BTC")],
        True,
    ),
    ("mark", "futures", Source.STREAM, 0.0, "BTC:USDT", Decimal(95)),
    *(("price", "kraken", Source.REST, 0.0, pair, Decimal(7)) for pair in PAIRS),
]


@settings(deadline=None, max_examples=200)
@given(st.lists(steps, min_size=5, max_size=30), st.integers(0, 29), st.booleans())
def test_incremental_equals_full_revaluation(
    history: list[tuple[object, ...]], restart_at: int, is_opened: bool
) -> None:
    book, now = portfolio(), 1_000.0
    for index, step in enumerate([*OPENING, *history] if is_opened else history):
        match step:
            case ("wait", float(seconds)):
                now += seconds
                book.refresh(now)
            case ("balances", str(venue), Source() as source, float(age), dict(amounts), bool(complete)):
                book.apply(BalancesSeen(venue, now - age, source, amounts, complete))
            case ("positions", str(venue), Source() as source, float(age), list(listed), bool(complete)):
                book.apply(PositionsSeen(venue, now - age, source, tuple(listed), complete))
            case ("price", str(venue), Source() as source, float(age), (str(base), str(quote)), Decimal() as value):
                row = Price(f"{base}/{quote}", base, quote, value)
                book.apply(PricesSeen(venue, now - age, source, (row,)))
            case ("mark", str(venue), Source() as source, float(age), str(symbol), Decimal() as value):
                row = Price(symbol, "BTC", "USDT", value, converts=False)
                book.apply(PricesSeen(venue, now - age, source, (row,)))
            case ("alive", str(venue), Kind() as kind):
                book.apply(StreamConfirmed(venue, kind, now))
            case ("lost", str(venue)):
                book.stream_lost(venue, None)
        book.refresh(now)
        interval, (value, doubt) = book.interval(), revalued(book, now)
        assert close(book.equity, value)
        assert close(interval.value - interval.low, doubt)
        assert interval.high - interval.value >= interval.value - interval.low
        assert close(book.unrealized_pnl() + sum((holdings(book, venue) for venue in VENUES), Decimal(0)), value)
        if index == restart_at:
            check_restart(book)


def holdings(book: PortfolioManager, venue: str) -> Decimal:
    return sum((amount * (book.rate(asset) or 0) for asset, amount in book.amounts(venue).items()), Decimal(0))


def check_restart(book: PortfolioManager) -> None:
    """The picture of the last run is the same picture, in doubt. Questions are asked anew."""
    again = portfolio()
    again.restore(book.snapshot())
    assert again.snapshot() == book.snapshot()
    assert close(again.equity, book.equity)
    before, after = book.interval(), again.interval()
    is_open = book.prices.doubted() or any(book._accounts[venue].doubted() for venue in book.venues())
    assert is_open or after.high - after.low >= before.high - before.low - Decimal("0.000001")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(venues, rows), min_size=1, max_size=12))
def test_what_moved_at_constant_prices_is_what_the_equity_moved(frames: list[tuple[str, dict[str, Decimal]]]) -> None:
    book = portfolio()
    for base, quote in PAIRS:
        book.update_price(base, 3, quote, venue="kraken")
    for venue in VENUES:
        book.apply(BalancesSeen(venue, 0.0, Source.REST, {}, complete=True))
    for mono, (venue, amounts) in enumerate(frames):
        before = book.interval()
        change = book.apply(BalancesSeen(venue, mono * 10.0, Source.STREAM, amounts, complete=False))
        after: Equity = book.interval()
        assert close(change.moved, fixed(after.value - before.value))
