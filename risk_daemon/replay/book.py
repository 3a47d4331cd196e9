"""What is held while the past goes by, and how it is valued: tables into tracks.

A curve of equity is held as one unit of an asset called EQUITY. Where it falls to zero or below, something is owed
besides, as no price does that.

Within a candle nobody knows what came first. It is read in the way that finds a loss rather than not: a quarter of its
time each for the open, then the better end for what is held (the high; of what is owed, the low), then the worse end,
then the close. So a peak comes before its trough, and everything that is held stands at its worst at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from risk_daemon.errors import UsageError
from risk_daemon.model.account import HUBS, Price, Source
from risk_daemon.model.readings import PricesSeen
from risk_daemon.model.units import EXACT, ONE, ZERO, finite
from risk_daemon.portfolio.manager import PortfolioManager, PortfolioSettings
from risk_daemon.replay.logs import LogCurve
from risk_daemon.replay.tables import Candle, Table
from risk_daemon.replay.track import Frame, Moves, Track, woven

EQUITY = "EQUITY"
VENUE = "replay"
HALF = Decimal("0.5")

Holdings = Mapping[str, Decimal]


def holdings_of(text: str) -> dict[str, Decimal]:
    """`FIL=1000,USDT=5000`; what is owed is below zero. Raises UsageError."""
    held: dict[str, Decimal] = {}
    for part in text.split(","):
        asset, is_there, amount = (word.strip() for word in part.partition("="))
        name = asset.upper()
        if not is_there or not name.isalnum() or name in held:
            raise UsageError(f'--holdings: write each asset once, such as "FIL=1000,USDT=5000"; {part!r} is not')
        try:
            held[name] = finite(amount)
        except ValueError as error:
            raise UsageError(f"--holdings: {name}: {error}") from None
    return held


# --- curves of equity ------------------------------------------------------------------------------


def equity_track(name: str, rows: Sequence[tuple[float, Decimal]], reference: str) -> Track:
    """A curve of equity from a table."""
    debt = debt_of(value for _, value in rows)
    moves = Moves(EQUITY.lower(), [(wall, _equity(value + debt, reference)) for wall, value in rows])
    return woven(name, [moves], _held(debt, reference))


def log_track(name: str, curve: LogCurve, reference: str) -> Track:
    """A curve of equity from a log."""
    known = [value for _, value in curve.rows if value is not None]
    debt = debt_of(known)
    frames = [
        Frame(wall, {EQUITY.lower(): None if value is None else _equity(value + debt, reference)})
        for wall, value in curve.rows
    ]
    return Track(
        name=name,
        frames=frames,
        until_wall=max(curve.seen_wall, frames[-1].wall),
        holdings=_held(debt, reference),
        usual_s=1.0,
        gaps=tuple(curve.gaps),
        logged=tuple(curve.logged),
    )


def debt_of(values: Iterable[Decimal]) -> Decimal:
    """What must be owed for a price above zero to stand for each of them."""
    lowest = min(values)
    return ZERO if lowest > 0 else ONE - lowest


def _held(debt: Decimal, reference: str) -> dict[str, Decimal]:
    return {EQUITY: ONE} | ({reference: -debt} if debt else {})


def _equity(value: Decimal, reference: str) -> Price:
    return Price(f"{EQUITY}/{reference}", EQUITY, reference, value)


# --- prices and candles ----------------------------------------------------------------------------


def market_track(name: str, table: Table, holdings: Holdings | None, capital: Decimal, reference: str) -> Track:
    """Prices or candles, and what is held. holdings None: the default book, worth `capital` at the start.

    Raises UsageError for what there is no price of.
    """
    first = _first_prices(table, reference)
    rates = _rates(first, reference)
    held = default_book(name, rates, capital, reference) if holdings is None else dict(holdings)
    missing = [asset for asset in held if asset != reference and rates.get(asset) is None]
    if missing:
        priced = ", ".join(asset for asset, rate in rates.items() if rate is not None) or "none"
        raise UsageError(f"{name}: there is no price of {', '.join(missing)} in {reference}; there is one of {priced}")
    priced_too = rates.keys() & held
    if not priced_too:
        raise UsageError(f"{name}: nothing is held that it has a price of ({', '.join(rates)})")
    moves = [_price_moves(asset, rows, reference) for asset, rows in table.prices.items() if asset in priced_too]
    moves += [_candle_moves(symbol, rows, held) for symbol, rows in table.candles.items()]
    return woven(name, moves, held, is_book=True)


def default_book(
    name: str, rates: Mapping[str, Decimal | None], capital: Decimal, reference: str
) -> dict[str, Decimal]:
    """Half of the capital in the reference currency, half in equal parts in everything else there is a price of."""
    priced = {asset: rate for asset, rate in rates.items() if rate is not None and asset != reference}
    if not priced:
        raise UsageError(f"{name}: nothing in it has a price in {reference}, the currency of the configuration")
    part = EXACT.divide(EXACT.multiply(capital, HALF), Decimal(len(priced)))
    return {reference: capital * HALF} | {asset: EXACT.divide(part, rate) for asset, rate in priced.items()}


def _first_prices(table: Table, reference: str) -> list[Price]:
    if table.candles:
        return [_pair(symbol, rows[0].open) for symbol, rows in table.candles.items()]
    return [_spot(asset, reference, rows[0][1]) for asset, rows in table.prices.items() if asset != reference]


def _rates(first: Sequence[Price], reference: str) -> dict[str, Decimal | None]:
    """What one of each asset is worth, by the same paths as in the daemon."""
    manager = PortfolioManager(reference=reference, settings=PortfolioSettings())
    manager.apply(PricesSeen(VENUE, 0.0, Source.REST, tuple(first)))
    assets = sorted({asset for price in first for asset in (price.base, price.quote)} - {reference})
    for asset in assets:
        manager.update_balance(asset, ONE, VENUE)
    return {asset: manager.rate(asset) for asset in assets}


def _spot(asset: str, reference: str, value: Decimal) -> Price:
    return Price(f"{asset}/{reference}", asset, reference, value)


def _pair(symbol: str, value: Decimal) -> Price:
    """`FILUSDT`, `FIL-USDT` or `FIL_USDT`. Raises UsageError for a symbol that names no currency to be paid in."""
    bare = symbol.replace("-", "").replace("_", "")
    for quote in sorted((*HUBS, "EUR"), key=len, reverse=True):
        if bare.endswith(quote) and len(bare) > len(quote):
            base = bare.removesuffix(quote)
            return Price(f"{base}/{quote}", base, quote, value)
    raise UsageError(f"the symbol {symbol} ends with none of {', '.join(HUBS)}: what is it paid in?")


def _price_moves(asset: str, rows: Sequence[tuple[float, Decimal]], reference: str) -> Moves:
    return Moves(asset, [(wall, _spot(asset, reference, value)) for wall, value in rows])


def _candle_moves(symbol: str, candles: Sequence[Candle], held: Holdings) -> Moves:
    """Four prices a candle, see above."""
    pair = _pair(symbol, candles[0].open)
    usual_s = Moves(symbol, [(candle.wall, pair) for candle in candles]).usual_s
    owed = held.get(pair.base, ZERO) < 0
    rows = []
    for candle in candles:
        better, worse = (candle.low, candle.high) if owed else (candle.high, candle.low)
        for quarter, value in enumerate((candle.open, better, worse, candle.close)):
            rows.append((candle.wall + quarter * usual_s / 4, _pair(symbol, value)))
    return Moves(pair.symbol, rows)
