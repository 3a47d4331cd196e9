"""What stands on each simulated venue when a rehearsal begins: money, a risk that moves with one asset, and orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

ASSET = "BTC"
START_PRICE = Decimal(60_000)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How an account of one kind is set up from its default money.

    markets: as the configuration names them. money: what the account is worth at START_PRICE, in USDT. symbol: the
    instrument that carries the risk. quantity: how much of ASSET that is. setup: admin requests (path, body). orders:
    bodies of resting orders, plain and trigger.
    """

    markets: tuple[str, ...]
    money: Decimal
    symbol: str
    quantity: Decimal
    setup: tuple[tuple[str, Body], ...]
    orders: tuple[Body, ...]
    told: str


def _order(symbol: str, side: str, quantity: str, **prices: str) -> dict[str, Any]:
    kind = {"type": "stop_loss"} if "trigger_price" in prices else {"type": "limit"}
    return {"symbol": symbol, "side": side, "quantity": quantity, **kind, **prices}


def _spot(markets: tuple[str, ...], money: int, quantity: str) -> Part:
    """Some of the money in the asset, and orders around it."""
    pair = f"{ASSET}/USDT"
    bought = {"symbol": pair, "side": "buy", "quantity": quantity, "price": str(START_PRICE)}
    return Part(
        markets=markets,
        money=Decimal(money),
        symbol=pair,
        quantity=Decimal(quantity),
        setup=(("trade", bought),),
        orders=(
            _order(pair, "buy", "0.02", price="48000"),
            _order(pair, "sell", "0.02", price="66000"),
            _order("ETH/USDT", "buy", "0.3", price="2400"),
            _order(pair, "sell", "0.03", trigger_price="45000"),
        ),
        told=f"{money - Decimal(quantity) * START_PRICE:,.0f} USDT and {quantity} {ASSET}",
    )


def _perp(markets: tuple[str, ...], money: int, quantity: str, quote: str, *, contract: str = "1") -> Part:
    """A long position, and orders around it. contract: how much of the asset one contract is."""

    def contracts(amount: str) -> str:
        return format((Decimal(amount) / Decimal(contract)).normalize(), "f")

    symbol, other = f"{ASSET}/{quote}:{quote}", f"ETH/{quote}:{quote}"
    return Part(
        markets=markets,
        money=Decimal(money),
        symbol=symbol,
        quantity=Decimal(quantity),
        setup=(("position", {"symbol": symbol, "quantity": contracts(quantity), "entry": str(START_PRICE)}),),
        orders=(
            _order(symbol, "sell", contracts("0.02"), price="68000"),
            _order(other, "buy", contracts("0.5"), price="2500"),
            {**_order(symbol, "sell", contracts(quantity), trigger_price="45000"), "reduce_only": True},
        ),
        told=f"{money:,} USDT, long {quantity} {ASSET}",
    )


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "kraken": _spot(("spot",), 6000, "0.05"),
        "krakenfutures": _perp(("perp",), 4000, "0.05", "USD"),
        "binance": _spot(("spot", "margin"), 5000, "0.05"),
        "binanceusdm": _perp(("perp",), 4000, "0.05", "USDT"),
        "bybit": _perp(("spot", "perp"), 5000, "0.05", "USDT"),
        "okx": _perp(("spot", "margin", "perp"), 5000, "0.05", "USDT", contract="0.01"),
        "mexc": _perp(("spot", "perp"), 10_000, "0.1", "USDT", contract="0.0001"),
    }
)
