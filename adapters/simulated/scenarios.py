"""Which venues can be simulated, and how their accounts look at the start.

The default accounts hold 10,000 USDT together, have prices and no orders.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import binance_markets, kraken_markets, krakenfutures_markets
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.binance import SpotFace
from adapters.simulated.wire.binance_wallets import ISOLATED, SpotAndMargin
from adapters.simulated.wire.kraken import KrakenFace
from adapters.simulated.wire.kraken_names import venue_id
from adapters.simulated.wire.krakenfutures import KrakenFuturesFace, order_uid


def kraken(key: Key, now: float, *, funded: bool = True) -> Face:
    """Spot and margin: 6,000 USDT."""
    exchange = Exchange(
        kraken_markets.pairs(),
        kraken_markets.prices(),
        asset_prices={code: asset.usd for code, asset in kraken_markets.assets().items()},
        order_id=lambda number: venue_id("O", number),
    )
    if funded:
        exchange.flow("USDT", Decimal(6000), now)
    return _settled(KrakenFace(exchange, key))


def krakenfutures(key: Key, now: float, *, funded: bool = True) -> Face:
    """Futures: 4,000 USDT in the multi-collateral wallet."""
    exchange = Exchange(
        krakenfutures_markets.instruments(),
        krakenfutures_markets.prices(),
        asset_prices=krakenfutures_markets.asset_prices(),
        wallet=krakenfutures_markets.FLEX,
        order_id=order_uid,
    )
    if funded:
        exchange.flow("USDT", Decimal(4000), now)
    return _settled(KrakenFuturesFace(exchange, key))


def binance(key: Key, now: float, *, funded: bool = True) -> Face:
    """Spot and margin: 5,000 USDT in the spot wallet; one isolated pair is enabled and empty."""
    exchange = SpotAndMargin(
        binance_markets.pairs(),
        binance_markets.prices(),
        asset_prices=binance_markets.asset_prices(),
        order_id=lambda number: str(1_000_000 + number),
    )
    exchange.wallets[ISOLATED + "BTCUSDT"] = {}
    if funded:
        exchange.flow("USDT", Decimal(5000), now)
    return _settled(SpotFace(exchange, key))


KINDS: dict[str, Callable[..., Face]] = {"binance": binance, "kraken": kraken, "krakenfutures": krakenfutures}

# What was deposited before the story begins is older than anything a client asks for.
FUNDED_BEFORE_S = 30 * 86_400.0


def build(kind: str, key: Key, now: float, *, funded: bool = True) -> Face:
    """A venue of `kind` with its default account, or an empty one. Raises ValueError for an unknown kind."""
    maker = KINDS.get(kind)
    if maker is None:
        raise ValueError(f"{kind!r} can't be simulated; known are {', '.join(sorted(KINDS))}")
    return maker(key, now - FUNDED_BEFORE_S, funded=funded)


def _settled(face: Face) -> Face:
    face.exchange.take_notices()
    return face
