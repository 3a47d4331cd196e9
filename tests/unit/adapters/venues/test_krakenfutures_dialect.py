"""Kraken Futures' raw rows, read exactly or refused whole."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.venues import krakenfutures_dialect as krakenfutures
from risk_daemon.errors import MalformedReply
from risk_daemon.model.account import OrderSide
from risk_daemon.model.events import Order, Position, Price

PF = {
    "id": "PF_XBTUSD",
    "symbol": "BTC/USD:USD",
    "base": "BTC",
    "quote": "USD",
    "settle": "USD",
    "contractSize": 1.0,
    "inverse": False,
    "swap": True,
}
PI = {
    "id": "PI_XBTUSD",
    "symbol": "BTC/USD:BTC",
    "base": "BTC",
    "quote": "USD",
    "settle": "BTC",
    "contractSize": 1.0,
    "inverse": True,
    "swap": True,
}
MARKETS = {market["id"].lower(): market for market in (PF, PI)}

ACCOUNTS: dict[str, Any] = {
    "cash": {"type": "cashAccount", "balances": {"xbt": "0.5", "usd": "10"}},
    "fi_xbtusd": {
        "type": "marginAccount",
        "balances": {"xbt": "0.25", "pi_xbtusd": "5000", "FI_XBTUSD_261225": "3"},
        "auxiliary": {"pv": "0.9", "pnl": "0.65"},
    },
    "flex": {
        "type": "multiCollateralMarginAccount",
        "currencies": {"USDT": {"quantity": "1000", "value": "999.5"}, "USD": {"quantity": "1", "value": "1"}},
        "pnl": "77",
        "portfolioValue": "1077",
    },
}


def test_wallets_add_up_without_unrealised_profit_and_without_contracts() -> None:
    assert krakenfutures.parse_balances({"accounts": ACCOUNTS}) == {
        "BTC": Decimal("0.75"),
        "USD": Decimal(11),
        "USDT": Decimal(1000),
    }


@pytest.mark.parametrize(
    "account",
    [
        {"type": "somethingNew", "balances": {"xbt": "1"}},
        {"balances": {"xbt": "1"}},
        {"type": "cashAccount", "balances": {"xbt": "NaN"}},
        {"type": "cashAccount", "balances": {"xbt": None}},
        {"type": "multiCollateralMarginAccount", "currencies": {"USDT": {"value": "1"}}},
    ],
)
def test_an_odd_account_refuses_all(account: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        krakenfutures.parse_balances({"accounts": ACCOUNTS | {"other": account}})


def test_the_account_says_what_its_collateral_is_worth() -> None:
    assert krakenfutures.parse_implied_prices({"accounts": ACCOUNTS}) == {"USDT": Decimal("0.9995")}


def _row(**changes: Any) -> dict[str, Any]:
    return {"symbol": "PF_XBTUSD", "side": "long", "size": "0.5", "price": "60000"} | changes


def test_linear_and_inverse_positions() -> None:
    rows = [_row(), _row(symbol="pi_xbtusd", side="short", size="100")]
    linear, inverse = krakenfutures.parse_positions({"openPositions": rows}, MARKETS)
    assert linear == Position(
        symbol="BTC/USD:USD",
        quantity=Decimal("0.5"),
        entry=Decimal(60000),
        settle="USD",
        underlying="BTC",
        contract_size=Decimal("1.0"),
        inverse=False,
    )
    assert inverse == Position(
        symbol="BTC/USD:BTC",
        quantity=Decimal(-100),
        entry=Decimal(60000),
        settle="BTC",
        underlying="BTC",
        contract_size=Decimal("1.0"),
        inverse=True,
    )


@pytest.mark.parametrize(
    "changes",
    [{"symbol": "PF_NOPEUSD"}, {"side": "both"}, {"size": "NaN"}, {"price": None}, {"price": "0"}, {"size": "-1"}],
)
def test_an_odd_position_refuses_all(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        krakenfutures.parse_positions({"openPositions": [_row(), _row(**changes)]}, MARKETS)


def test_orders_of_every_kind() -> None:
    rows = [
        {
            "order_id": "1",
            "symbol": "PF_XBTUSD",
            "side": "buy",
            "orderType": "lmt",
            "unfilledSize": 2,
            "cliOrdId": "bot",
            "reduceOnly": False,
        },
        {
            "order_id": "2",
            "symbol": "PF_NEWUSD",
            "side": "sell",
            "orderType": "stop",
            "unfilledSize": 1,
            "reduceOnly": True,
        },
    ]
    assert krakenfutures.parse_orders("f", "account", {"openOrders": rows}, MARKETS) == (
        Order(
            venue="f",
            scope="account",
            order_id="1",
            symbol="BTC/USD:USD",
            side="buy",
            order_type="lmt",
            client_order_id="bot",
            reduce_only=False,
            remaining=Decimal(2),
            quantity=Decimal(2),
        ),
        Order(
            venue="f",
            scope="account",
            order_id="2",
            symbol="PF_NEWUSD",
            side="sell",
            order_type="stop",
            client_order_id=None,
            reduce_only=True,
            remaining=Decimal(1),
            quantity=Decimal(1),
        ),
    )


def test_an_order_without_an_id_refuses_the_listing() -> None:
    with pytest.raises(MalformedReply):
        krakenfutures.parse_orders("f", "account", {"openOrders": [{"symbol": "PF_XBTUSD", "side": "buy"}]}, MARKETS)


TICKERS = [
    {"symbol": "PF_XBTUSD", "markPrice": "60010", "indexPrice": "60000"},
    {"symbol": "PI_XBTUSD", "markPrice": "60020", "indexPrice": 60001},
    {"symbol": "in_xbtusd", "last": "1"},
    {"symbol": "PF_ODDUSD", "markPrice": "NaN"},
]


def test_marks_are_of_the_positions_asked_for_and_value_only_them() -> None:
    symbols = frozenset({"BTC/USD:BTC"})
    assert krakenfutures.parse_marks(TICKERS, symbols, MARKETS) == {
        "BTC/USD:BTC": Price("BTC/USD:BTC", "BTC", "USD", Decimal(60020), converts=False)
    }
    with pytest.raises(MalformedReply):
        krakenfutures.parse_marks([{"symbol": "PI_XBTUSD", "markPrice": "NaN"}], symbols, MARKETS)
    assert krakenfutures.parse_marks([{"symbol": "PI_XBTUSD", "markPrice": "0"}], symbols, MARKETS) == {}


def test_an_index_is_an_exchange_rate_to_the_dollar() -> None:
    prices = krakenfutures.parse_index_prices(TICKERS[:1], frozenset({"BTC"}), MARKETS)
    assert prices == {"BTC": Price("BTC/USD", "BTC", "USD", Decimal(60000))}
    assert krakenfutures.parse_index_prices(TICKERS, frozenset({"ETH"}), MARKETS) == {}


def test_a_balance_frame_is_reduced_to_its_wallets() -> None:
    frame = {
        "holding": {"USD": 5.0},
        "futures": {"F-ETH:EUR": {"unit": "EUR", "balance": 1.0, "pnl": 3.0, "portfolio_value": 4.0}},
        "flex_futures": {"currencies": {"USDT": {"quantity": 7.0, "value": 6.9}}, "pnl": 12.0},
    }
    moved = frame | {"flex_futures": {"currencies": {"USDT": {"quantity": 7.0, "value": 6.8}}, "pnl": -9.0}}
    assert krakenfutures.wallet_fingerprint(frame) == {
        "cash USD": Decimal("5.0"),
        "F-ETH:EUR EUR": Decimal("1.0"),
        "flex USDT": Decimal("7.0"),
    }
    assert krakenfutures.wallet_fingerprint(moved) == krakenfutures.wallet_fingerprint(frame)


def _positions(balance: float, entry: float = 60000.0, pnl: float = 0.0) -> dict[str, Any]:
    return {
        "feed": "open_positions",
        "positions": [{"instrument": "PF_XBTUSD", "balance": balance, "entry_price": entry, "pnl": pnl}],
    }


def test_only_a_changed_position_is_a_sign_to_read() -> None:
    dialect = krakenfutures.KrakenFuturesDialect("f", client=None)
    kind = krakenfutures.Kind.POSITIONS
    dialect.stream_began(kind)
    assert not dialect.is_confirming(kind)
    assert dialect.read_frames(kind, [_positions(1.0)], 1.0) == ()
    assert dialect.is_confirming(kind)
    assert dialect.read_frames(kind, [_positions(1.0, pnl=5.0), _positions(1.0, pnl=6.0)], 2.0) is None
    assert dialect.read_frames(kind, [_positions(0.5)], 3.0) == ()
    assert dialect.read_frames(kind, [{"feed": "open_positions", "positions": []}], 4.0) == ()
    dialect.stream_began(kind)
    assert not dialect.is_confirming(kind)


def test_a_streamed_order_of_an_unheard_direction_is_an_order() -> None:
    row = {"instrument": "PF_XBTUSD", "order_id": "1", "type": "limit", "direction": 2, "reduce_only": True}
    told = krakenfutures.parse_order_frames(
        "f", "account", [{"feed": "open_orders_snapshot", "orders": [row]}], MARKETS
    )
    assert [(order.order_id, order.side) for order in told.open] == [("1", OrderSide.UNTOLD)]


def test_streamed_orders() -> None:
    row = {
        "instrument": "PF_XBTUSD",
        "order_id": "1",
        "direction": 1,
        "type": "limit",
        "cli_ord_id": "bot",
        "reduce_only": True,
    }
    frames = [
        {"feed": "open_orders_snapshot", "orders": [row, row | {"order_id": "2", "direction": 0}]},
        {"feed": "open_orders", "order_id": "2", "is_cancel": True},
    ]
    told = krakenfutures.parse_order_frames("f", "account", frames, MARKETS)
    assert told.open == (
        Order(
            venue="f",
            scope="account",
            order_id="1",
            symbol="BTC/USD:USD",
            side="sell",
            order_type="limit",
            client_order_id="bot",
            reduce_only=True,
        ),
    )
    assert [order.order_id for order in told.ended] == ["2"]
