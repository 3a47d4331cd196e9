"""Which venues can be simulated, and how their accounts look at the start.

The default accounts hold 10,000 USDT together, have prices and no orders.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from adapters.simulated.exchange import Exchange
from adapters.simulated.wire import kraken_markets, krakenfutures_markets, mexc_markets, mexc_names
from adapters.simulated.wire.base import Face, Key
from adapters.simulated.wire.kraken import KrakenFace
from adapters.simulated.wire.kraken_names import venue_id
from adapters.simulated.wire.krakenfutures import KrakenFuturesFace, order_uid
from adapters.simulated.wire.mexc import MexcFace


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


def mexc(key: Key, now: float, *, funded: bool = True) -> Face:
    """Spot: 6,000 USDT; perpetual contracts: 4,000 USDT in a wallet of their own."""
    exchange = Exchange(
        mexc_markets.instruments(),
        mexc_markets.prices(),
        asset_prices=mexc_markets.asset_prices(),
        wallet=mexc_names.SPOT_WALLET,
        order_id=mexc_names.order_number,
    )
    if funded:
        exchange.flow("USDT", Decimal(10_000), now)
        exchange.transfer("USDT", Decimal(4000), now, source=mexc_names.SPOT_WALLET, target=mexc_names.CONTRACT_WALLET)
    return _settled(MexcFace(exchange, key))


KINDS: dict[str, Callable[..., Face]] = {"kraken": kraken, "krakenfutures": krakenfutures, "mexc": mexc}

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
