"""Limits of single orders: what they count, what they can't know, and in which order they speak."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.errors import InvariantError
from risk_daemon.gate import pretrade
from risk_daemon.gate.pretrade import PreTrade, PreTradeSettings, notional
from risk_daemon.gate.restraints import Cause, OrderRequest, Veto, severity
from risk_daemon.state.files import json_text

D = Decimal
MARKET, ONE = D(50_000), D(1)


def order(**changes: Any) -> OrderRequest:
    return replace(OrderRequest("kraken", "BTC/USDT", "buy", D("0.1"), price=D(50_000), bot="alpha"), **changes)


def limits(**settings: Any) -> PreTrade:
    return PreTrade(PreTradeSettings(**settings))


def judged(
    limit: PreTrade, wanted: OrderRequest, now: float = 0.0, price: Decimal | None = MARKET, rate: Decimal | None = ONE
) -> str | None:
    veto = limit.check(wanted, now, price=price, reference_rate=rate)
    return None if veto is None else str(veto.veto_reason)


def send(limit: PreTrade, wanted: OrderRequest, now: float) -> str | None:
    """As the gate does it: asked, and remembered if it got its lease."""
    reason = judged(limit, wanted, now)
    if reason is None:
        limit.took(wanted, now)
    return reason


def test_nothing_is_limited_unless_it_is_asked_for() -> None:
    limit = limits()
    wanted = order(quantity=D("1e30"), price=D("1e30"))
    for _ in range(3):
        assert judged(limit, wanted, price=None, rate=None) is None
        limit.took(wanted, 0.0)


@pytest.mark.parametrize("name", PreTradeSettings.__dataclass_fields__)
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_that_would_limit_nothing_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}: a limit is above zero"):
        PreTradeSettings(**{name: value})


# --- notional ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 5_000),
        ({"price": D(40_000)}, 4_000),  # it rests, and pays its own price
        ({"price": D(60_000)}, 6_000),
        ({"side": "sell", "price": D(1)}, 5_000),  # it gets the market's price, not its own
        ({"side": "sell", "price": D(60_000)}, 6_000),
        ({"order_type": "market", "price": None}, 5_000),
        ({"order_type": "stop_loss", "price": D(40_000)}, 5_000),  # whatever that price means
        ({"order_type": "stop_loss", "price": D(60_000)}, 6_000),
        ({"contract_size": D("0.01")}, 50),
        ({"inverse": True, "quantity": D(300), "contract_size": D(10)}, 3_000),
        ({"inverse": True, "quantity": D(300), "contract_size": D(10), "price": None}, 3_000),
        ({"price": D(0), "order_type": "limit"}, 5_000),  # no price at all
    ],
)
def test_what_an_order_may_come_to(changes: dict[str, Any], expected: int) -> None:
    assert notional(order(**changes), MARKET, D(1)) == expected
    assert notional(order(**changes), MARKET, D("0.5")) == D(expected) / 2
    assert judged(limits(max_notional=D(expected)), order(**changes)) is None
    assert judged(limits(max_notional=D(expected) - D("1e-9")), order(**changes)) == "max_notional"


@pytest.mark.parametrize("changes", [{"price": D(1)}, {"side": "sell"}, {"order_type": "market", "price": None}])
def test_an_unknown_rate_is_never_a_pass(changes: dict[str, Any]) -> None:
    limit = limits(max_notional=D("1e30"))
    assert judged(limit, order(**changes), rate=None) == "price_unknown"
    assert judged(limit, order(inverse=True, **changes), rate=None) == "price_unknown"


@pytest.mark.parametrize(
    ("changes", "needs_market"),
    [
        ({}, False),
        ({"inverse": True, "order_type": "market", "price": None}, False),
        ({"side": "sell"}, True),
        ({"order_type": "market", "price": None}, True),
        ({"order_type": "stop_loss"}, True),
        ({"order_type": "limit", "price": None}, True),
        ({"side": "BUY"}, True),  # not our word for it: nothing is assumed
    ],
)
def test_an_unknown_price_is_a_veto_where_it_is_needed(changes: dict[str, Any], needs_market: bool) -> None:
    reason = judged(limits(max_notional=D("1e30")), order(**changes), price=None)
    assert reason == ("price_unknown" if needs_market else None)


@pytest.mark.parametrize("odd", [D(0), D(-1), D("NaN"), D("Infinity")])
def test_an_odd_price_is_an_unknown_one(odd: Decimal) -> None:
    limit = limits(max_notional=D("1e30"), price_collar=D("0.9"))
    assert judged(limit, order(), price=odd) == "price_unknown"
    assert judged(limit, order(), rate=odd) == "price_unknown"


def test_what_is_missing_is_named() -> None:
    limit = limits(max_notional=D(1), price_collar=D("0.1"))
    veto = limit.check(order(side="sell"), 0.0, price=None, reference_rate=None)
    assert veto == Veto(
        Cause.PRICE_UNKNOWN,
        "not known or too old: the price of BTC/USDT on kraken and the rate of its quote asset; "
        "without it max_notional and price_collar can't be judged",
        {"market_price": None, "reference_rate": None},
        {"max_notional": "1", "price_collar": 0.1},
    )
    only_rate = limits(max_notional=D(1)).check(order(), 0.0, price=None, reference_rate=None)
    assert only_rate is not None
    assert only_rate.reason.startswith("not known or too old: the rate of its quote asset; without it max_notional ")
    only_price = limits(price_collar=D("0.1")).check(order(), 0.0, price=None, reference_rate=None)
    assert only_price is not None
    assert only_price.reason.startswith(
        "not known or too old: the price of BTC/USDT on kraken; without it price_collar"
    )


@pytest.mark.parametrize("size", [{"quantity": D(0)}, {"quantity": D(-1)}, {"contract_size": D(0)}])
def test_an_order_without_a_size_is_a_bug(size: dict[str, Any]) -> None:
    for limit in (limits(), limits(max_notional=D(1))):
        with pytest.raises(InvariantError, match="above zero"):
            judged(limit, order(**size))


# --- quantity and collar -------------------------------------------------------------------------------


def test_the_quantity_counts_in_the_venues_own_unit() -> None:
    limit = limits(max_quantity=D(5))
    assert judged(limit, order(quantity=D(5), contract_size=D(100)), price=None, rate=None) is None
    veto = limit.check(order(quantity=D("5.01")), 0.0, price=None, reference_rate=None)
    assert veto is not None
    assert (veto.veto_reason, veto.observed, veto.limits) == (
        "max_quantity",
        {"quantity": "5.01"},
        {"max_quantity": "5"},
    )


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (47_500, None),
        (52_500, None),
        ("47499.99", "price_collar"),
        ("52500.01", "price_collar"),
        ("0.01", "price_collar"),
        (0, "price_collar"),
    ],
)
def test_the_collar_holds_both_ways_for_both_sides(side: str, price: object, reason: str | None) -> None:
    assert judged(limits(price_collar=D("0.05")), order(side=side, price=D(str(price))), rate=None) == reason


def test_a_market_order_has_no_price_to_judge() -> None:
    assert judged(limits(price_collar=D("0.05")), order(order_type="market", price=None), price=None, rate=None) is None


def test_the_collar_says_how_far() -> None:
    veto = limits(price_collar=D("0.05")).check(order(price=D(45_000)), 0.0, price=MARKET, reference_rate=None)
    assert veto is not None
    assert veto.reason == "the price 45000 is 10.00 % from the market's 50000, more than the 5.00 % of price_collar"
    assert veto.observed == {"price": "45000", "market_price": "50000", "deviation": -0.1}
    assert veto.limits == {"price_collar": 0.05}


# --- duplicates ----------------------------------------------------------------------------------------


def test_the_same_order_within_the_window_is_a_duplicate() -> None:
    limit = limits(duplicate_window_s=2.0)
    assert send(limit, order(), 0.0) is None
    assert send(limit, order(quantity=D("0.10")), 1.999) == "duplicate_order"
    assert send(limit, order(), 2.0) is None
    veto = limit.check(order(), 2.5, price=None, reference_rate=None)
    assert veto is not None
    assert (veto.observed, veto.limits) == ({"age_s": 0.5}, {"duplicate_window_s": 2.0})


@pytest.mark.parametrize(
    "change",
    [
        {"bot": "beta"},
        {"bot": None},
        {"venue": "binance"},
        {"symbol": "ETH/USDT"},
        {"side": "sell"},
        {"order_type": "market"},
        {"quantity": D("0.11")},
        {"price": D(50_001)},
        {"price": None},
    ],
)
def test_whatever_differs_is_another_order(change: dict[str, Any]) -> None:
    limit = limits(duplicate_window_s=2.0)
    assert send(limit, order(), 0.0) is None
    assert send(limit, order(**change), 0.0) is None


def test_another_id_makes_no_other_order_but_the_same_id_is_the_same() -> None:
    limit = limits(duplicate_window_s=2.0)
    assert send(limit, order(client_order_id="1"), 0.0) is None
    assert send(limit, order(client_order_id="2"), 0.1) == "duplicate_order"
    assert send(limit, order(client_order_id="1", price=D(1)), 0.1) == "duplicate_order"
    assert send(limit, order(client_order_id="1", price=D(1), bot="beta"), 0.1) is None
    assert send(limit, order(client_order_id="1", price=D(1), venue="binance"), 0.1) is None
    assert send(limit, order(client_order_id="", price=D(2)), 0.1) is None
    assert send(limit, order(client_order_id="", price=D(3)), 0.1) is None


def test_hammering_neither_prolongs_the_window_nor_opens_it() -> None:
    limit = limits(duplicate_window_s=1.0)
    passed = [tick for tick in range(50) if send(limit, order(), tick * 0.125) is None]
    assert passed == [0, 8, 16, 24, 32, 40, 48]


def test_what_got_no_lease_is_no_first_of_two() -> None:
    limit = limits(duplicate_window_s=1.0)
    assert judged(limit, order(), 0.0) is None
    assert judged(limit, order(), 0.1) is None


def test_memory_is_bounded_and_a_full_one_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrade, "TRACES_MAX", 10)
    limit = limits(duplicate_window_s=60.0)
    answers = [send(limit, order(price=D(number + 1)), 0.0) for number in range(12)]
    assert answers == [None] * 10 + ["duplicate_order"] * 2
    assert send(limit, order(price=D(99)), 60.0) is None


# --- pace ----------------------------------------------------------------------------------------------


def test_each_bot_has_its_own_second() -> None:
    limit = limits(max_orders_per_second_per_bot=2)
    assert [send(limit, order(), at) for at in (0.0, 0.5, 0.9)] == [None, None, "bot_order_rate"]
    assert send(limit, order(bot="beta"), 0.9) is None
    assert send(limit, order(), 1.0) is None  # the first is a second ago
    assert send(limit, order(), 1.4) == "bot_order_rate"
    assert send(limit, order(), 1.5) is None


def test_bots_without_a_name_share_one() -> None:
    limit = limits(max_orders_per_second_per_bot=2)
    nameless = [order(bot=None, symbol=symbol) for symbol in ("A/USDT", "B/USDT", "C/USDT")]
    assert [send(limit, each, 0.0) for each in nameless] == [None, None, "bot_order_rate"]
    veto = limit.check(order(bot=None), 0.0, price=None, reference_rate=None)
    assert veto is not None
    assert veto.reason == "bots without a name had 2 orders within a second, and max_orders_per_second_per_bot is 2"
    assert send(limit, order(), 0.0) is None


def test_refused_orders_count_for_no_pace() -> None:
    limit = limits(max_orders_per_second_per_bot=1)
    assert send(limit, order(), 0.0) is None
    assert [send(limit, order(), 0.9) for _ in range(100)] == ["bot_order_rate"] * 100
    assert send(limit, order(), 1.0) is None


def test_nothing_is_left_of_bots_that_are_silent() -> None:
    rates = pretrade.BotRates()
    for number in range(1000):
        rates.add(f"bot{number}", number * 10.0)
    assert len(rates._taken) == len(rates._counts) == 1


# --- together ------------------------------------------------------------------------------------------


def test_the_first_in_the_order_of_severity_is_the_one_given() -> None:
    settings = PreTradeSettings(D(100), D("0.01"), D("0.05"), 10.0, 1)
    limit = PreTrade(settings)
    bad = order(price=D(60_000))
    limit.took(bad, 0.0)
    given_up: dict[str, Any] = {}
    answers = [judged(limit, bad, price=None)]
    for name in ("max_notional", "max_quantity", "price_collar", "duplicate_window_s", "max_orders_per_second_per_bot"):
        rest = PreTrade(replace(settings, **given_up))
        rest.took(bad, 0.0)
        answers.append(judged(rest, bad))
        given_up[name] = None
    assert answers == [
        "price_unknown",
        "max_notional",
        "max_quantity",
        "price_collar",
        "duplicate_order",
        "bot_order_rate",
    ]
    assert [severity(str(answer)) for answer in answers] == sorted(severity(str(answer)) for answer in answers)


positive = st.decimals("1e-30", "1e30", allow_nan=False, allow_infinity=False)
maybe = st.none() | positive


@given(
    quantity=positive,
    size=positive,
    price=maybe,
    market=maybe,
    rate=maybe,
    side=st.sampled_from(["buy", "sell"]),
    kind=st.sampled_from(["limit", "market", "stop"]),
    inverse=st.booleans(),
    limit=positive,
)
def test_any_order_gets_an_answer_that_json_can_say(
    quantity: Decimal,
    size: Decimal,
    price: Decimal | None,
    market: Decimal | None,
    rate: Decimal | None,
    side: str,
    kind: str,
    inverse: bool,
    limit: Decimal,
) -> None:
    settings = PreTradeSettings(limit, limit, limit, 1.0, 1)
    wanted = OrderRequest("kraken", "X", side, quantity, kind, price, contract_size=size, inverse=inverse)
    judge = PreTrade(settings)
    judge.took(wanted, 0.0)
    veto = judge.check(wanted, 0.5, price=market, reference_rate=rate)
    assert veto is not None  # it is a duplicate at the least
    json_text({"observed": veto.observed, "limits": veto.limits})
    if rate is None or (price is not None and market is None):
        assert veto.veto_reason == "price_unknown"


@given(quantity=positive, price=maybe, market=positive, rate=positive, side=st.sampled_from(["buy", "sell"]))
def test_no_order_that_trades_for_more_than_the_limit_passes(
    quantity: Decimal, price: Decimal | None, market: Decimal, rate: Decimal, side: str
) -> None:
    """What a matching engine would make of it at `market`, now or when the market comes to its price."""
    wanted = OrderRequest("kraken", "X", side, quantity, "limit" if price else "market", price)
    if price is None or (side == "sell" and price <= market) or (side == "buy" and price >= market):
        trades_at = market
    else:
        trades_at = price
    worth = quantity * trades_at * rate
    judge = limits(max_notional=worth * D("0.999999"))
    assert judged(judge, wanted, price=market, rate=rate) == "max_notional"
