"""Which calls of a ccxt exchange send orders, and which orders: read from names and arguments, without ccxt.

`create_limit_buy_order(symbol, amount, price)` says by its name what `create_order(symbol, type, side, ...)` says by
its arguments. An order by its cost (`create_market_buy_order_with_cost`) has no quantity yet: it takes a price.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType
from typing import Any

CLOSING = ("close_position", "close_all_positions")
CONVERTING = "create_convert_trade"

_SENDING = re.compile(r"(create|edit)(_[a-z0-9]+)*_orders?(_with_[a-z_]+)?(_ws)?")
_PREPARING = re.compile(r"(create|edit)_\w*order")  # such as create_order_request, which sends nothing itself
_VERBS = "add|amend|create|edit|modify|new|place|replace|send|submit"
_SENDING_PATH = re.compile(
    rf"({_VERBS})[-_/]?[a-z]{{0,8}}[-_/]?orders?|orders?[-_/]?({_VERBS})$|(^|/)orders?(/(batch|oco|oto|sor|test))?$",
    re.IGNORECASE,
)
_HARMLESS_PATH = re.compile(r"cancel|close|delete|get|history|info|list$|open|query", re.IGNORECASE)
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_COSTS = ("cost", "quoteOrderQty")
_CLIENT_IDS = ("clientOrderId", "client_order_id", "newClientOrderId", "clOrdId", "cl_ord_id")

Endpoint = tuple[str, tuple[str, ...], str]


def snake(name: str) -> str:
    """`createOrderWs` as `create_order_ws`."""
    return _HUMPS.sub("_", name).lower()


def sends_orders(name: str) -> bool:
    """Whether a method of this name, in either spelling, sends or changes orders. Cancels and reads don't."""
    name = snake(name)
    return name in CLOSING or name == CONVERTING or _SENDING.fullmatch(name) is not None


# --- the orders in a call --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CalledOrder:
    """One order of a call, as far as its arguments tell: fields of a ProposedOrder, and a cost without a price."""

    fields: Mapping[str, Any]
    cost: Any = None


def orders_of(name: str, given: Mapping[str, Any], venue: str) -> list[CalledOrder]:
    """The orders of a call of `name` with the arguments `given`; not for those of CLOSING."""
    name = snake(name)
    if name == CONVERTING:
        given = {**given, "symbol": f"{given.get('fromCode')}/{given.get('toCode')}", "side": "sell", "type": "market"}
    rows = given.get("orders")
    if isinstance(rows, Sequence) and not isinstance(rows, str):
        return [_order(name, row if isinstance(row, Mapping) else {}, venue) for row in rows]
    return [_order(name, given, venue)]


def closing_orders(positions: object, venue: str) -> list[CalledOrder]:
    """What closing `positions` (ccxt's structures) sends: reduce-only market orders of their size."""
    rows = positions if isinstance(positions, Sequence) else [positions]
    held = [row for row in rows if isinstance(row, Mapping) and row.get("contracts")]
    return [
        CalledOrder(
            {
                "venue": venue,
                "symbol": row.get("symbol"),
                "side": "buy" if row.get("side") == "short" else "sell",
                "type": "market",
                "quantity": abs(row["contracts"]),
                "reduce_only": True,
            }
        )
        for row in held
    ]


def _order(name: str, given: Mapping[str, Any], venue: str) -> CalledOrder:
    words, params = name.split("_"), given.get("params")
    params = params if isinstance(params, Mapping) else {}
    order_type = given.get("type") or next((word for word in ("limit", "market") if word in words), "market")
    client_order_id = _first(params, _CLIENT_IDS) or given.get("clientOrderId")
    fields = {
        "venue": venue,
        "symbol": given.get("symbol"),
        "side": given.get("side") or next((word for word in ("buy", "sell") if word in words), None),
        "type": order_type,
        "quantity": given.get("amount"),
        "price": None if str(order_type).lower() == "market" else given.get("price"),
        "reduce_only": "reduce" in words or True in (params.get("reduceOnly"), params.get("reduce_only")),
        "client_order_id": None if client_order_id is None else str(client_order_id),
    }
    cost = given.get("cost")
    return CalledOrder(fields, _first(params, _COSTS) if cost is None else cost)


def _first(params: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((params[name] for name in names if params.get(name) is not None), None)


# --- the endpoints behind them ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendingEndpoints:
    """The venue's own endpoints that send orders.

    known: only those methods of ccxt use them which send orders. likely: no method of ccxt uses them, and their paths
    look like it. Endpoints that other calls use as well (hyperliquid has one for everything) are in neither.
    """

    known: frozenset[Endpoint]
    likely: frozenset[Endpoint]


@cache
def sending_endpoints(exchange: type) -> SendingEndpoints:
    """Those of `exchange`, read from ccxt's code."""
    endpoints = endpoint_names(exchange)
    sending: set[Endpoint] = set()
    others: set[Endpoint] = set()
    for name, function in _functions(exchange):
        used = endpoints.keys() & _names_in(function.__code__)
        is_sending = sends_orders(name) or _PREPARING.match(snake(name)) is not None
        (sending if is_sending else others).update(endpoints[name] for name in used)
    unused = set(endpoints.values()) - sending - others
    return SendingEndpoints(frozenset(sending - others), frozenset(filter(_looks_like_sending, unused)))


def _looks_like_sending(endpoint: Endpoint) -> bool:
    path, api, method = endpoint
    is_public = any("public" in word.lower() for word in api)
    if is_public or method in ("GET", "DELETE") or _HARMLESS_PATH.search(path):
        return False
    return _SENDING_PATH.search(path) is not None


@cache
def endpoint_names(exchange: type) -> Mapping[str, Endpoint]:
    """Every name under which a raw endpoint of `exchange` may be called, except where ccxt made an alias of it."""
    return {
        name: endpoint_of(entry.path, entry.api, entry.method)
        for base in exchange.__mro__
        for name, entry in vars(base).items()
        if type(entry).__name__ == "Entry" and hasattr(entry, "unbound_method")
    }


def endpoint_of(path: str, api: Any, method: str) -> Endpoint:
    """What ccxt's `request` is given, in one form."""
    return path, (api,) if isinstance(api, str) else tuple(api), method


def _functions(exchange: type) -> list[tuple[str, FunctionType]]:
    """ccxt's own: a bot's subclass that calls an endpoint doesn't make it harmless."""
    return [
        (name, function)
        for base in exchange.__mro__
        if base.__module__.partition(".")[0] == "ccxt"
        for name, function in vars(base).items()
        if isinstance(function, FunctionType) and name not in ("__init__", "describe")
    ]


def _names_in(code: CodeType) -> set[str]:
    """Attributes that the code asks for, by name or by text."""
    names = {*code.co_names, *(constant for constant in code.co_consts if isinstance(constant, str))}
    return names.union(*(_names_in(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
