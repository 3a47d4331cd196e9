"""The pure core of a simulated venue: the same calls at the same times end in the same state."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from adapters.simulated.accounts import Late
from adapters.simulated.exchange import Exchange
from adapters.simulated.model import (
    BalanceChanged,
    Bot,
    Depth,
    Instrument,
    Notice,
    OrderCancelled,
    OrderDraft,
    OrderFilled,
    OrderOpened,
    OrderTriggered,
    PositionChanged,
    PriceChanged,
    Refused,
)
from adapters.simulated.truth import state

D = Decimal
NOW = 1_700_000_000.0
SPOT = Instrument("BTC/USD", "XXBTZUSD", "BTC", "USD", names=("XBTUSD",))
PERP = Instrument("BTC/USD:USD", "PF_XBTUSD", "BTC", "USD", settle="USD", wallet="spot")
INVERSE = Instrument("BTC/USD:BTC", "PI_XBTUSD", "BTC", "USD", settle="BTC", inverse=True, wallet="fi_xbtusd")
BUY = OrderDraft("BTC/USD", "buy", "limit", D("0.1"), D(50_000), client_order_id="bot-1")
STOP = OrderDraft("BTC/USD:USD", "sell", "stop_loss", D(1), trigger_price=D(45_000), reduce_only=True)


@pytest.fixture
def exchange() -> Exchange:
    prices = {instrument.symbol: D(60_000) for instrument in (SPOT, PERP, INVERSE)}
    exchange = Exchange((SPOT, PERP, INVERSE), prices, asset_prices={"BTC": D(60_000)})
    exchange.set_balance("USD", D(10_000), NOW)
    exchange.take_notices()
    return exchange


def kinds(notices: list[Notice]) -> list[type]:
    return [type(notice) for notice in notices]


def test_a_price_moves_the_quote_and_nothing_else(exchange: Exchange) -> None:
    exchange.place(BUY, NOW)
    exchange.set_position("BTC/USD:USD", D(1), D(60_000), NOW)
    before = {name: dict(wallet) for name, wallet in exchange.wallets.items()}
    exchange.take_notices()
    exchange.set_price("xbtusd", D(40_000))
    quote = exchange.quotes["BTC/USD"]
    assert ((quote.bid + quote.ask) / 2, quote.mark) == (D(40_000), D(40_000))
    assert exchange.quotes["BTC/USD:USD"].mark == D(60_000)
    assert (exchange.wallets, len(exchange.orders)) == (before, 1)
    assert exchange.take_notices() == [PriceChanged("BTC/USD")]


def test_an_assets_price_moves_its_instruments_by_the_same_ratio(exchange: Exchange) -> None:
    exchange.set_price("BTC/USD:USD", D(60_600))
    exchange.set_asset_price("BTC", D(30_000))
    assert exchange.quotes["BTC/USD"].mark == D(30_000)
    assert exchange.quotes["BTC/USD:USD"].mark == D(30_300)


def test_resting_spot_order_holds_what_it_would_give(exchange: Exchange) -> None:
    order, fill = exchange.place(BUY, NOW)
    assert (order.kind, fill, exchange.held()) == ("spot_plain", None, {"USD": D(5000)})
    exchange.place(BUY, NOW)
    with pytest.raises(Refused) as refused:
        exchange.place(BUY, NOW)
    assert refused.value.code == "insufficient_funds"
    exchange.cancel("bot-1", NOW)
    assert exchange.held() == {"USD": D(5000)}


def test_market_order_trades_at_the_touch(exchange: Exchange) -> None:
    order, fill = exchange.place(OrderDraft("BTC/USD", "buy", "market", D("0.1")), NOW)
    assert fill is not None
    assert (fill.price, order.remaining) == (D("60003"), 0)
    assert (exchange.total("BTC"), exchange.total("USD")) == (D("0.1"), D("3999.7"))
    assert kinds(exchange.take_notices()) == [OrderFilled, BalanceChanged]


def test_crossing_limit_order_fills_and_an_unchecked_one_rests(exchange: Exchange) -> None:
    crossing = OrderDraft("BTC/USD", "buy", "limit", D("0.1"), D(70_000))
    _, fill = exchange.place(crossing, NOW)
    assert fill is not None
    resting, none = exchange.place(crossing, NOW, checked=False)
    assert none is None
    assert list(exchange.orders) == [resting.order_id]


def test_fill_of_a_resting_order_in_parts(exchange: Exchange) -> None:
    order, _ = exchange.place(BUY, NOW)
    exchange.fill(order.order_id, NOW, quantity=D("0.04"))
    assert exchange.orders[order.order_id].remaining == D("0.06")
    exchange.fill(order.order_id, NOW)
    assert exchange.orders == {}
    assert (exchange.total("BTC"), exchange.total("USD")) == (D("0.1"), D(5000))


@pytest.mark.parametrize(
    ("instrument", "wallet", "asset", "profit"),
    [(PERP, "spot", "USD", D(-1000)), (INVERSE, "fi_xbtusd", "BTC", D(1) / 60_000 - D(1) / 59_000)],
)
def test_closing_realises_profit_into_the_wallet_of_the_instrument(
    exchange: Exchange, instrument: Instrument, wallet: str, asset: str, profit: Decimal
) -> None:
    exchange.set_position(instrument.symbol, D(1), D(60_000), NOW)
    exchange.set_price(instrument.symbol, D(59_000) / (1 - D("0.00005")))  # the bid is 59,000
    before = exchange.total(asset, wallet)
    exchange.place(OrderDraft(instrument.symbol, "sell", "market", D(5), reduce_only=True), NOW)
    assert exchange.positions == {}
    assert float(exchange.total(asset, wallet) - before) == pytest.approx(float(profit), abs=1e-10)


def test_buying_back_a_short_realises_the_fall_as_profit(exchange: Exchange) -> None:
    exchange.set_position(PERP.symbol, D(-2), D(60_000), NOW)
    exchange.set_price(PERP.symbol, D(59_000) / (1 + D("0.00005")))  # the ask is 59,000
    exchange.place(OrderDraft(PERP.symbol, "buy", "market", D(1), reduce_only=True), NOW)
    assert exchange.positions[PERP.symbol].quantity == -1
    assert float(exchange.total("USD")) == pytest.approx(11_000)


def test_position_averages_when_it_grows_and_flips_at_the_price(exchange: Exchange) -> None:
    symbol = PERP.symbol
    exchange.place(OrderDraft(symbol, "buy", "limit", D(1), D(50_000)), NOW)
    exchange.place(OrderDraft(symbol, "buy", "limit", D(3), D(54_000)), NOW)
    for order_id in list(exchange.orders):
        exchange.fill(order_id, NOW)
    assert (exchange.positions[symbol].quantity, exchange.positions[symbol].entry) == (D(4), D(53_000))
    usd = exchange.total("USD")
    order, _ = exchange.place(OrderDraft(symbol, "sell", "limit", D(5), D(61_000)), NOW)
    exchange.fill(order.order_id, NOW)
    assert (exchange.positions[symbol].quantity, exchange.positions[symbol].entry) == (D(-1), D(61_000))
    assert exchange.total("USD") - usd == 4 * 8000


def test_reduce_only_needs_a_position_to_reduce(exchange: Exchange) -> None:
    with pytest.raises(Refused) as refused:
        exchange.place(STOP, NOW)
    assert refused.value.code == "would_not_reduce"
    exchange.set_position(PERP.symbol, D("0.5"), D(60_000), NOW)
    order, _ = exchange.place(STOP, NOW)
    assert (order.kind, order.draft.quantity) == ("perp_trigger", D("0.5"))


def test_a_long_and_a_short_of_one_instrument(exchange: Exchange) -> None:
    exchange.set_position("BTC/USD:USD", D(2), D(60_000), NOW, side="long")
    exchange.set_position("BTC/USD:USD", D(-1), D(60_000), NOW, side="short")
    sell = OrderDraft("BTC/USD:USD", "sell", "market", D(1))
    exchange.place(replace(sell, position_side="long"), NOW)
    exchange.place(replace(sell, position_side="short"), NOW)
    assert exchange.hedged
    assert {key: held.quantity for key, held in exchange.positions.items()} == {
        "BTC/USD:USD long": D(1),
        "BTC/USD:USD short": D(-2),
    }


@pytest.mark.parametrize("gap_s", [0.0, 5.0])
def test_a_triggered_order_leaves_its_book_for_the_plain_one(exchange: Exchange, gap_s: float) -> None:
    stop, _ = exchange.place(replace(STOP, order_type="stop_loss_limit", price=D(44_000)), NOW, checked=False)
    exchange.take_notices()
    exchange.trigger(stop.order_id, NOW, gap_s=gap_s)
    assert [order.kind for order in exchange.orders.values()] == ([] if gap_s else ["perp_plain"])
    exchange.advance(NOW + 5)
    (plain,) = exchange.orders.values()
    assert (plain.kind, plain.draft.price, plain.order_id != stop.order_id) == ("perp_plain", D(44_000), True)
    assert exchange.take_notices()[-1] == OrderTriggered(stop, plain.order_id)


def test_a_stop_that_closes_a_position_closes_what_it_is_by_then(exchange: Exchange) -> None:
    stop, _ = exchange.place(replace(STOP, close_position=True), NOW, checked=False)
    exchange.set_position("BTC/USD:USD", D(3), D(60_000), NOW)
    exchange.trigger(stop.order_id, NOW)
    assert (exchange.positions, exchange.orders) == ({}, {})


def test_cancel_all_of_one_instrument_then_of_all(exchange: Exchange) -> None:
    exchange.place(BUY, NOW)
    exchange.place(STOP, NOW, checked=False)
    assert [order.draft.symbol for order in exchange.cancel_all(NOW, symbol="BTC/USD")] == ["BTC/USD"]
    assert len(exchange.cancel_all(NOW + 1)) == 1
    assert [(gone.how, gone.wall) for gone in exchange.cancelled] == [("cancel_all", NOW), ("cancel_all", NOW + 1)]
    with pytest.raises(Refused, match="no open order"):
        exchange.cancel("order-1", NOW)


def test_ignored_cancels_are_answered_and_not_done(exchange: Exchange) -> None:
    order, _ = exchange.place(BUY, NOW)
    exchange.ignore_cancels = True
    assert exchange.cancel_all(NOW) == (order,)
    assert exchange.cancel(order.order_id, NOW) == order
    assert (list(exchange.orders), exchange.cancelled) == ([order.order_id], [])


def test_dead_mans_switch_fires_once_unless_fed(exchange: Exchange) -> None:
    exchange.place(BUY, NOW)
    exchange.arm_dead_man(60, NOW)
    exchange.arm_dead_man(60, NOW + 30)
    exchange.advance(NOW + 89)
    assert len(exchange.orders) == 1
    exchange.advance(NOW + 91)
    assert [(gone.how, gone.wall) for gone in exchange.cancelled] == [("dead_man", NOW + 90)]
    exchange.arm_dead_man(60, NOW + 100)
    assert exchange.arm_dead_man(0, NOW + 110) is None
    assert exchange.next_due() is None


@pytest.mark.parametrize("late", ["balance", "ledger"])
def test_a_flow_may_be_seen_in_one_place_first(exchange: Exchange, late: str) -> None:
    rows = len(exchange.ledger)
    exchange.flow("USD", D(-100), NOW, late=Late(**{f"{late}_s": 5.0}))
    seen = (exchange.total("USD") == 9900, len(exchange.ledger) == rows + 1)
    assert seen == ((False, True) if late == "balance" else (True, False))
    assert exchange.next_due() == NOW + 5
    exchange.advance(NOW + 5)
    assert (exchange.total("USD"), len(exchange.ledger)) == (D(9900), rows + 1)
    assert [(row.kind, row.wall) for row in exchange.flows] == [("withdrawal", NOW)]


def test_rows_of_a_trade_apart_and_together(exchange: Exchange) -> None:
    exchange.trade("BTC/USD", "buy", D("0.1"), D(60_000), NOW, rows_apart_s=0.2)
    assert (exchange.total("USD"), exchange.total("BTC")) == (D(4000), D(0))
    exchange.advance(NOW + 0.2)
    assert exchange.total("BTC") == D("0.1")
    assert kinds(exchange.take_notices()) == [BalanceChanged, BalanceChanged]
    exchange.trade("BTC/USD", "sell", D("0.1"), D(60_000), NOW + 1)
    (notice,) = exchange.take_notices()
    assert isinstance(notice, BalanceChanged)
    assert [(row.asset, row.amount, row.balance) for row in notice.rows] == [
        ("BTC", D("-0.1"), D(0)),
        ("USD", D(6000), D(10_000)),
    ]
    assert len({row.ref for row in exchange.ledger}) == 3


def test_bot_places_on_time_until_stopped(exchange: Exchange) -> None:
    exchange.start_bot(Bot("grid", BUY, 0.5, "grid"), NOW)
    exchange.advance(NOW + 1.7)
    assert [order.draft.client_order_id for order in exchange.orders.values()] == [
        "grid-1",
        "grid-2",
        "grid-3",
        "grid-4",
    ]
    exchange.stop_bots()
    exchange.advance(NOW + 10)
    assert len(exchange.orders) == 4
    with pytest.raises(Refused, match="no bot"):
        exchange.stop_bots("grid")


@pytest.mark.parametrize(
    "draft",
    [
        OrderDraft("BTC/USD", "hold", "limit", D(1), D(1)),
        OrderDraft("BTC/USD", "buy", "iceberg", D(1), D(1)),
        OrderDraft("BTC/USD", "buy", "limit", D(0), D(1)),
        OrderDraft("BTC/USD", "buy", "limit", D(1)),
        OrderDraft("BTC/USD", "buy", "stop_loss", D(1)),
        OrderDraft("DOGE/USD", "buy", "limit", D(1), D(1)),
    ],
)
def test_senseless_orders_are_refused_and_leave_nothing(exchange: Exchange, draft: OrderDraft) -> None:
    with pytest.raises(Refused):
        exchange.place(draft, NOW, checked=False)
    assert (exchange.orders, exchange.take_notices()) == ({}, [])


def test_notices_tell_the_life_of_an_order(exchange: Exchange) -> None:
    order, _ = exchange.place(STOP, NOW, checked=False)
    exchange.fill(order.order_id, NOW)
    exchange.place(BUY, NOW)
    exchange.cancel_all(NOW, how="admin")
    assert kinds(exchange.take_notices()) == [
        OrderOpened,
        OrderFilled,
        PositionChanged,
        OrderOpened,
        OrderCancelled,
    ]


def test_state_is_json_and_the_same_for_the_same_story() -> None:
    def story() -> str:
        exchange = Exchange((SPOT, PERP), {"BTC/USD": D(60_000), "BTC/USD:USD": D(60_000)})
        exchange.flow("USD", D(10_000), NOW)
        exchange.place(BUY, NOW)
        exchange.start_bot(Bot("b", BUY, 0.25, "b"), NOW)
        exchange.arm_dead_man(1, NOW)
        exchange.advance(NOW + 2)
        return json.dumps(state(exchange))

    told = json.loads(story())
    assert story() == story()
    assert (told["holdings"]["USD"]["total"], len(told["cancelled_orders"])) == ("10000", 5)
    assert told["open_orders"]["spot_plain"][0]["client_order_id"] == "b-5"


@pytest.mark.parametrize("rests", [False, True])
def test_a_thin_market_executes_a_market_order_in_part(exchange: Exchange, rests: bool) -> None:
    exchange.set_balance("BTC", Decimal(3), NOW)
    exchange.depths["BTC/USD"] = Depth(Decimal(1), rests, count=1)
    order, fill = exchange.place(OrderDraft("BTC/USD", "sell", "market", Decimal(2)), NOW)
    assert fill is not None
    assert (fill.quantity, order.remaining) == (1, 1)
    assert (order.order_id in exchange.orders) is rests
    _, whole = exchange.place(OrderDraft("BTC/USD", "sell", "market", Decimal(1)), NOW)
    assert whole is not None
    assert whole.quantity == 1, "one order only"


def test_a_market_without_depth_only_acknowledges(exchange: Exchange) -> None:
    exchange.depths["BTC/USD"] = Depth(Decimal(0))
    exchange.set_balance("BTC", Decimal(3), NOW)
    order, fill = exchange.place(OrderDraft("BTC/USD", "sell", "market", Decimal(2)), NOW)
    assert fill is None
    assert order.order_id not in exchange.orders
