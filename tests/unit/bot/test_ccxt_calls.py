"""Names and arguments of ccxt's calls: which of them send orders, and which orders."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import ccxt
import ccxt.async_support
import pytest

from risk_daemon.bot.ccxt_calls import closing_orders, orders_of, sending_endpoints, sends_orders


@pytest.mark.parametrize(
    "name",
    [
        "create_order",
        "createOrder",
        "create_orders",
        "create_order_ws",
        "createOrdersWs",
        "create_limit_buy_order",
        "create_market_sell_order_ws",
        "createMarketBuyOrderWithCost",
        "create_stop_limit_order",
        "create_trigger_order",
        "create_trailing_percent_order",
        "create_order_with_take_profit_and_stop_loss",
        "createOrderWithTakeProfitAndStopLossWs",
        "create_reduce_only_order",
        "edit_order",
        "editOrderWs",
        "edit_orders",
        "edit_limit_buy_order",
        "edit_order_with_client_order_id",
        "create_spot_order",
        "create_convert_trade",
        "close_position",
        "closeAllPositions",
    ],
)
def test_these_send_orders(name: str) -> None:
    assert sends_orders(name)


@pytest.mark.parametrize(
    "name",
    [
        "cancel_order",
        "cancel_all_orders",
        "cancelAllOrdersAfter",
        "cancel_orders_for_symbols",
        "fetch_order",
        "fetchOpenOrders",
        "create_order_request",
        "createOrdersRequest",
        "edit_order_request",
        "create_deposit_address",
        "create_expired_option_market",
        "parse_order",
        "safe_order",
        "order",
        "watch_orders",
    ],
)
def test_these_do_not(name: str) -> None:
    assert not sends_orders(name)


def fields(name: str, /, **given: Any) -> dict[str, Any]:
    (order,) = orders_of(name, given, "v")
    return {key: value for key, value in order.fields.items() if value not in (None, False)}


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("create_order", {"type": "limit", "side": "buy", "price": 5}, {"type": "limit", "side": "buy", "price": 5}),
        ("create_order", {"type": "market", "side": "buy", "price": 5}, {"type": "market", "side": "buy"}),
        ("create_order", {"type": "MARKET", "side": "buy", "price": 5}, {"type": "MARKET", "side": "buy"}),
        ("create_limit_buy_order", {"price": 5}, {"type": "limit", "side": "buy", "price": 5}),
        ("createMarketSellOrderWs", {}, {"type": "market", "side": "sell"}),
        ("create_stop_limit_order", {"side": "sell", "price": 5}, {"type": "limit", "side": "sell", "price": 5}),
        ("create_twap_order", {"side": "sell", "duration": 60}, {"type": "market", "side": "sell"}),
        ("create_order", {"params": {"reduceOnly": True}}, {"type": "market", "reduce_only": True}),
        ("create_order", {"params": {"reduceOnly": "true"}}, {"type": "market"}),
        ("create_reduce_only_order", {"type": "limit"}, {"type": "limit", "reduce_only": True}),
        ("create_order", {"params": {"clientOrderId": "a"}}, {"type": "market", "client_order_id": "a"}),
        ("create_order", {"params": {"clOrdId": 7}}, {"type": "market", "client_order_id": "7"}),
        ("edit_order_with_client_order_id", {"clientOrderId": "b"}, {"type": "market", "client_order_id": "b"}),
    ],
)  # fmt: skip
def test_what_a_call_would_send(name: str, given: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fields(name, symbol="A/B", amount=2, **given)
    assert found == {"venue": "v", "symbol": "A/B", "quantity": 2, **expected}


def test_orders_by_their_cost() -> None:
    (order,) = orders_of("createMarketBuyOrderWithCost", {"symbol": "A/B", "cost": 100}, "v")
    assert (order.cost, order.fields["quantity"], order.fields["side"]) == (100, None, "buy")
    (order,) = orders_of("create_order", {"symbol": "A/B", "amount": 1, "params": {"cost": 50}}, "v")
    assert (order.cost, order.fields["quantity"]) == (50, 1)
    (order,) = orders_of("create_order", {"symbol": "A/B", "amount": 1, "params": {"quoteOrderQty": 60}}, "v")
    assert order.cost == 60


def test_many_orders_in_one_call() -> None:
    rows = [{"symbol": "A/B", "side": "buy", "amount": 1}, {"symbol": "C/D", "side": "sell", "amount": 2}, "odd"]
    found = orders_of("create_orders", {"orders": rows}, "v")
    assert [order.fields["symbol"] for order in found] == ["A/B", "C/D", None]
    assert orders_of("create_orders", {"orders": []}, "v") == []


def test_a_conversion_sells_one_asset_for_another() -> None:
    assert fields("create_convert_trade", id="q", fromCode="BTC", toCode="USDT", amount=1) == {
        "venue": "v",
        "symbol": "BTC/USDT",
        "side": "sell",
        "type": "market",
        "quantity": 1,
    }


def test_closing_is_reducing() -> None:
    rows = [
        {"symbol": "A", "side": "long", "contracts": 2},
        {"symbol": "B", "side": "short", "contracts": -3},
        {"symbol": "C", "side": "long", "contracts": 0},
        {"symbol": "D"},
        None,
    ]
    found = [order.fields for order in closing_orders(rows, "v")]
    assert [(row["symbol"], row["side"], row["quantity"], row["reduce_only"]) for row in found] == [
        ("A", "sell", 2, True),
        ("B", "buy", 3, True),
    ]


# --- the venue's own endpoints ---------------------------------------------------------------------


def paths(exchange: type) -> set[str]:
    return {path for path, _, _ in sending_endpoints(exchange).known}


@pytest.mark.parametrize("package", [ccxt, ccxt.async_support])
def test_endpoints_that_only_send_orders_are_known(package: Any) -> None:
    assert {"AddOrder", "AddOrderBatch", "AmendOrder"} <= paths(package.kraken)
    assert "sendorder" in paths(package.krakenfutures)
    assert "v5/order/create" in paths(package.bybit)
    assert ("order", ("private",), "POST") in sending_endpoints(package.binance).known
    assert "trade/order" in paths(package.okx)
    assert "buy" in paths(package.deribit)


@pytest.mark.parametrize("exchange", [ccxt.kraken, ccxt.krakenfutures, ccxt.bybit, ccxt.binance, ccxt.okx])
def test_reads_and_cancels_are_not_among_them(exchange: type) -> None:
    found = paths(exchange) - {"order/cancelReplace"}  # this one sends a new order in place of the old
    assert not [path for path in found if "cancel" in path.lower() or "open" in path.lower()]


def test_an_endpoint_for_everything_is_not_among_them() -> None:
    assert sending_endpoints(ccxt.hyperliquid) == sending_endpoints(ccxt.dydx)
    assert paths(ccxt.hyperliquid) == set()


def test_endpoints_that_ccxt_has_no_method_for_go_by_their_paths() -> None:
    likely = {name: {path for path, _, _ in sending_endpoints(getattr(ccxt, name)).likely} for name in ccxt.exchanges}
    assert likely["kraken"] == {"EditOrder"}
    assert {"algo/futures/newOrderTwap", "convert/limit/placeOrder"} <= likely["binance"]
    assert not [path for found in likely.values() for path in found if "cancel" in path.lower()]


def test_a_bots_own_method_makes_no_endpoint_harmless() -> None:
    class Bot(ccxt.kraken):
        def quick(self) -> Any:
            return self.privatePostAddOrder({})

    assert sending_endpoints(Bot) == sending_endpoints(ccxt.kraken)


def test_nearly_every_exchange_has_them() -> None:
    """Where ccxt changes its ways of naming, this is seen here and not by a bot."""
    without = {name for name in ccxt.exchanges if not sending_endpoints(getattr(ccxt, name)).known}
    assert without <= {"dydx", "hyperliquid", "lighter", "nado"}


def test_importing_it_does_not_import_ccxt() -> None:
    program = "import sys, risk_daemon.guarded_exchange; print('ccxt' in sys.modules, 'aiohttp' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.split() == ["False", "False"]
