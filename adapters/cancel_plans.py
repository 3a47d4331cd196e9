"""How each venue's open orders are listed and cancelled, as data.

A scope is a slice that one listing shows whole. A venue that splits its orders (plain and trigger,
linear and inverse, one settle coin and another) has one scope for each, because an order that no
listing shows is an order that no proof covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market, OrderScope
from risk_daemon.errors import ConfigError

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class CancelBy(Enum):
    """The widest cancel that reaches a whole scope."""

    ALL = "one call for the scope"
    SYMBOL = "one call for each symbol in the listing"
    BATCH = "the ids of the listing, many to a call"
    ORDER = "the ids of the listing, one to a call"


@dataclass(frozen=True, slots=True)
class ScopePlan:
    """One scope: the params of its listing and of its cancels.

    page_rows: the most rows a listing can show; None if it is never cut off.
    cancels: the params of each cancel that must be sent; more than one where order kinds differ.
    """

    scope: OrderScope
    cancel_by: CancelBy
    listing: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    cancels: tuple[Mapping[str, Any], ...] = (NO_PARAMS,)
    page_rows: int | None = None
    batch_rows: int = 20


@dataclass(frozen=True, slots=True)
class CancelPlan:
    """All scopes of an exchange, whatever markets are configured, and client options they depend on."""

    scopes: tuple[ScopePlan, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)


def _scope(
    name: str, markets: frozenset[Market], cancel_by: CancelBy, *cancels: Mapping[str, Any], **rest: Any
) -> ScopePlan:
    return ScopePlan(OrderScope(name, markets), cancel_by, cancels=cancels or (NO_PARAMS,), **rest)


_BINANCE_OPTIONS = {
    "fetchOpenOrders": {"warnWithoutSymbol": False},
    "warnOnFetchOpenOrdersWithoutSymbol": False,
    # Without these a key that lacks wallet permission cannot even load markets.
    "fetchCurrencies": False,
    "fetchMargins": False,
}

_BYBIT_SPOT_FILTERS = ("Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
"""Cancel-all takes one kind at a time; the listing shows all of them."""

_ONLY_SPOT_MARKETS = {"fetchMarkets": {"types": ["spot"]}}
"""Else ccxt loads the lists of futures as well, from hosts that may be blocked where spot is not."""


def _okx_algo(order_types: str, markets: frozenset[Market] = SPOT_MARKETS | PERP_MARKETS) -> ScopePlan:
    """Algo orders are listed by their type; only conditional and oco may be asked for together."""
    params = MappingProxyType({"trigger": True, "ordType": order_types})
    return _scope(
        f"algo {order_types}",
        markets,
        CancelBy.BATCH,
        params,
        listing=params,
        page_rows=100,
        batch_rows=10,
    )


PLANS: Mapping[str, CancelPlan] = MappingProxyType(
    {
        # OpenOrders shows spot and margin, plain and trigger; CancelAll reaches the whole account.
        "kraken": CancelPlan((_scope("account", SPOT_MARKETS, CancelBy.ALL),)),
        # openorders shows triggers too; cancelallorders without a symbol reaches them.
        "krakenfutures": CancelPlan((_scope("account", PERP_MARKETS, CancelBy.ALL),)),
        "binance": CancelPlan(
            (
                _scope("spot", frozenset({Market.SPOT}), CancelBy.SYMBOL, {"type": "spot"}, listing={"type": "spot"}),
                _scope(
                    "cross margin",
                    frozenset({Market.MARGIN}),
                    CancelBy.SYMBOL,
                    {"marginMode": "cross"},
                    listing={"marginMode": "cross"},
                ),
            ),
            MappingProxyType({**_BINANCE_OPTIONS, **_ONLY_SPOT_MARKETS}),
        ),
        "binanceusdm": CancelPlan(
            (
                _scope("plain", PERP_MARKETS, CancelBy.SYMBOL),
                _scope("conditional", PERP_MARKETS, CancelBy.SYMBOL, {"trigger": True}, listing={"trigger": True}),
            ),
            MappingProxyType(_BINANCE_OPTIONS),
        ),
        # Spot only: its futures are listed by settle coin, and an inverse contract may settle in any coin.
        "bybit": CancelPlan(
            (
                _scope(
                    "spot",
                    SPOT_MARKETS,
                    CancelBy.ALL,
                    *({"category": "spot", "orderFilter": kind} for kind in _BYBIT_SPOT_FILTERS),
                    listing={"category": "spot"},
                    page_rows=50,
                ),
            )
        ),
        "okx": CancelPlan(
            (
                _scope("plain", SPOT_MARKETS | PERP_MARKETS, CancelBy.BATCH, page_rows=100, batch_rows=20),
                *map(_okx_algo, ("conditional,oco", "trigger", "move_order_stop", "iceberg", "smart_iceberg", "twap")),
                _okx_algo("chase", PERP_MARKETS),
            )
        ),
        "mexc": CancelPlan(
            (_scope("spot", frozenset({Market.SPOT}), CancelBy.ORDER, {"type": "spot"}, listing={"type": "spot"}),)
        ),
    }
)


def plan_for(exchange: str, markets: frozenset[Market], has: Mapping[str, Any]) -> tuple[ScopePlan, ...]:
    """Every scope of the configured markets. Raises ConfigError, naming what is missing, if some can't be covered."""
    scopes = PLANS[exchange].scopes if exchange in PLANS else _generic_scopes(exchange, markets, has)
    wanted = tuple(plan for plan in scopes if plan.scope.markets & markets)
    covered = frozenset[Market]().union(*(plan.scope.markets for plan in wanted))
    if not markets <= covered:
        missing = ", ".join(sorted(markets - covered))
        raise ConfigError(
            f"{exchange} has no cancel plan for the {missing} market: its orders could not be proven gone"
        )
    return wanted


def client_options(exchange: str) -> dict[str, Any]:
    """Options of the ccxt client that the exchange's plan depends on."""
    plan = PLANS.get(exchange)
    return dict(plan.options) if plan is not None else {}


def _generic_scopes(exchange: str, markets: frozenset[Market], has: Mapping[str, Any]) -> tuple[ScopePlan, ...]:
    """One scope a market type, from what ccxt says the exchange can do. Trigger orders elsewhere are not covered."""
    if has.get("fetchOpenOrders") is not True:
        raise ConfigError(f"{exchange} lacks fetchOpenOrders: its orders could not be proven gone")
    cancel_by = _widest_cancel(exchange, has)
    kinds = (("spot", SPOT_MARKETS, "spot"), ("perp", PERP_MARKETS, "swap"))
    return tuple(
        _scope(name, covers, cancel_by, {"type": kind}, listing={"type": kind})
        for name, covers, kind in kinds
        if covers & markets
    )


def _widest_cancel(exchange: str, has: Mapping[str, Any]) -> CancelBy:
    """By symbol rather than all at once: several venues refuse the cancel of everything without one."""
    for capability, cancel_by in (
        ("cancelAllOrders", CancelBy.SYMBOL),
        ("cancelOrders", CancelBy.BATCH),
        ("cancelOrder", CancelBy.ORDER),
    ):
        if has.get(capability) is True:
            return cancel_by
    raise ConfigError(f"{exchange} lacks cancelAllOrders, cancelOrders and cancelOrder: nothing could be cancelled")
