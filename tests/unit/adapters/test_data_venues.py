"""Venues by data alone: each call stands at its documented address, and is read to its end or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import ccxt.async_support
import pytest

from adapters.base import Market, VenueAdapter
from adapters.cancel_plans import CancelBy, Named, ScopePlan
from adapters.envelopes import wrong_with
from adapters.generic import GenericDialect
from adapters.key_audit import KeyPowers
from adapters.registry import VENUES, build_adapter
from adapters.venue import Venue, VenueSettings
from adapters.venues import bitget, gate, kucoin
from risk_daemon.errors import ConfigError, MalformedReply, VenueRejected
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import Order

BY_DATA = ("bitget", "gate", "kucoin")

# Calls that a dialect gives to ccxt by itself.
ADDED = {
    "bybit": {
        "privateGetV5StrategyList",
        "privatePostV5StrategyStop",
        "privateGetV5SpreadOrderRealtime",
        "privatePostV5SpreadOrderCancel",
        "privatePostV5SpreadOrderCancelAll",
    },
    "deribit": {"own_key"},
}

# The venue's own names of its calls, from its documentation: {scope: (its list, its wide cancels, its cancel by id)}.
DOCUMENTED: dict[str, dict[str, tuple[str, tuple[str, ...], str]]] = {
    "bitget": {
        "plan": (
            "GET /api/v2/spot/trade/current-plan-order?limit=100",
            ("POST /api/v2/spot/trade/batch-cancel-plan-order {}",),
            'POST /api/v2/spot/trade/cancel-plan-order {"orderId":"7"}',
        ),
        "tpsl": (
            "GET /api/v2/spot/trade/unfilled-orders?limit=100&tpslType=tpsl",
            (),
            'POST /api/v2/spot/trade/cancel-order {"tpslType":"tpsl","orderId":"7","symbol":"M"}',
        ),
        "plain": (
            "GET /api/v2/spot/trade/unfilled-orders?limit=100&tpslType=normal",
            ('POST /api/v2/spot/trade/cancel-symbol-order {"symbol":"M"}',),
            'POST /api/v2/spot/trade/batch-cancel-order {"symbol":"M","orderList":[{"orderId":"7"}]}',
        ),
    },
    "gate": {
        "pov": ("GET /api/v4/spot/pov_orders?status=open&limit=100", (), "DELETE /api/v4/spot/pov_orders/7"),
        "triggers": (
            "GET /api/v4/spot/price_orders?status=open&account=normal&limit=100",
            ("DELETE /api/v4/spot/price_orders?account=normal",),
            "DELETE /api/v4/spot/price_orders/7",
        ),
        "plain": (
            "GET /api/v4/spot/open_orders?limit=100",
            ("DELETE /api/v4/spot/orders?account=spot",),
            'POST /api/v4/spot/cancel_batch_orders [{"currency_pair":"M","id":"7"}]',
        ),
    },
    "kucoin": {
        "oco": (
            "GET /api/v3/oco/orders?pageSize=500",
            ("DELETE /api/v3/oco/orders",),
            "DELETE /api/v3/oco/order/7",
        ),
        "stop": (
            "GET /api/v1/stop-order?tradeType=TRADE&pageSize=500",
            ("DELETE /api/v1/stop-order/cancel?tradeType=TRADE",),
            "DELETE /api/v1/stop-order/7",
        ),
        "plain": (
            "GET /api/v1/hf/orders/active",
            ("DELETE /api/v1/hf/orders/cancelAll",),
            "DELETE /api/v1/hf/orders/7?symbol=M",
        ),
    },
}
OTHERS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("bitget", "privateSpotGetV2SpotAccountInfo", {}, "GET /api/v2/spot/account/info"),
    ("gate", "privateUnifiedGetUnifiedMode", {}, "GET /api/v4/unified/unified_mode"),
    (
        "gate",
        "privateSpotPostCountdownCancelAll",
        {"timeout": 9},
        'POST /api/v4/spot/countdown_cancel_all {"timeout":9}',
    ),
    ("kucoin", "privateGetHfOrdersActiveSymbols", {}, "GET /api/v1/hf/orders/active/symbols"),
    (
        "kucoin",
        "privatePostHfOrdersDeadCancelAll",
        {"timeout": 9},
        'POST /api/v1/hf/orders/dead-cancel-all {"timeout":9}',
    ),
    ("kucoin", "privateGetHfOrdersDeadCancelAllQuery", {}, "GET /api/v1/hf/orders/dead-cancel-all/query"),
    ("kucoin", "privateGetUserApiKey", {}, "GET /api/v1/user/api-key"),
)


def asked(exchange: str, call: str, params: Any) -> str:
    """What ccxt would send."""
    seen: list[str] = []

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        seen.append(f"{method} /{url.split('/', 3)[3]}" + (f" {body}" if method == "POST" else ""))
        return {}

    async def ask() -> None:
        client = getattr(ccxt.async_support, exchange)({"apiKey": "k", "secret": "s", "password": "p"})
        client.fetch = fetch
        try:
            await getattr(client, call)(params)
        finally:
            await client.close()

    asyncio.run(ask())
    (one,) = seen
    return one


def calls_of(venue: Venue) -> set[str]:
    own = [plan.calls for plan in venue.scopes or () if plan.calls is not None]
    named = {
        call for calls in own for call in (calls.listing.call, calls.single.call, *(c.call for c in calls.cancels))
    }
    named |= {call for switch in venue.dead_men for call in (switch.call, switch.query) if call}
    named |= {one.call for one in (venue.probe, venue.perp_probe, venue.key_audit) if one is not None}
    return named | {parts.call for parts in venue.parts.values()}


@pytest.mark.parametrize("exchange", VENUES)
def test_ccxt_has_every_call_that_a_venue_names(exchange: str) -> None:
    client = getattr(ccxt.async_support, exchange)()
    lacking = {call for call in calls_of(VENUES[exchange]) if not callable(getattr(client, call, None))}
    assert lacking == ADDED.get(exchange, set())


def test_these_have_no_dialect_and_own_calls_for_every_scope() -> None:
    assert {name for name, venue in VENUES.items() if venue.dialect is None} == set(BY_DATA)
    for exchange in BY_DATA:
        venue = VENUES[exchange]
        assert [plan.scope.name for plan in venue.scopes or ()] == list(DOCUMENTED[exchange])
        assert all(plan.calls is not None for plan in venue.scopes or ())
        assert any("tried against no server" in sentence for sentence in venue.unprovable)


@pytest.mark.parametrize(("exchange", "name"), [(e, name) for e in BY_DATA for name in DOCUMENTED[e]])
def test_each_scope_is_listed_and_cancelled_by_what_is_documented(exchange: str, name: str) -> None:
    listed, wide, single = DOCUMENTED[exchange][name]
    calls = plan_of(exchange, name).calls
    assert calls is not None
    assert asked(exchange, calls.listing.call, dict(calls.listing.params)) == listed
    sent = tuple(
        asked(exchange, cancel.call, {**cancel.params, **cancel.names([Named(market_id="M")])})
        for cancel in calls.cancels
        if cancel.by in (CancelBy.ALL, CancelBy.SYMBOL)
    )
    assert sent == wide
    names = calls.single.names([Named(market_id="M", order_id="7")])
    body = names if isinstance(names, list) else {**calls.single.params, **names}
    assert asked(exchange, calls.single.call, body) == single


@pytest.mark.parametrize(("exchange", "call", "params", "sent"), OTHERS)
def test_what_else_is_asked_stands_where_it_is_documented(
    exchange: str, call: str, params: dict[str, Any], sent: str
) -> None:
    assert call in calls_of(VENUES[exchange])
    assert asked(exchange, call, params) == sent


@pytest.mark.parametrize("exchange", BY_DATA)
async def test_they_are_armed_for_spot_alone(exchange: str) -> None:
    def settings(market: Market) -> VenueSettings:
        return VenueSettings("v", exchange, frozenset({market}), api_key="K", secret="S", password="P")

    adapter = build_adapter(settings(Market.SPOT), ManualClock())
    assert isinstance(adapter, VenueAdapter)
    assert adapter.capabilities.unprovable == VENUES[exchange].unprovable
    for market in (Market.MARGIN, Market.PERP):
        with pytest.raises(ConfigError):
            build_adapter(settings(market), ManualClock())


# --- read to their end ---------------------------------------------------------------------------


def plan_of(exchange: str, name: str) -> ScopePlan:
    return next(plan for plan in VENUES[exchange].scopes or () if plan.scope.name == name)


class Client:
    """Answers each call from a list, and notes what was asked."""

    def __init__(self, **answers: Sequence[Any]) -> None:
        self.answers = {name: list(each) for name, each in answers.items()}
        self.seen: list[tuple[str, Any]] = []
        self.has: dict[str, Any] = {}
        spot = {"id": "M", "symbol": "A/B", "spot": True}
        self.markets = {"A/B": spot}
        self.markets_by_id = {"M": [{"id": "M", "symbol": "A/B:B", "spot": False}, spot]}

    def milliseconds(self) -> int:
        return 1_700_000_000_000

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        async def call(params: Any) -> Any:
            self.seen.append((name, params))
            return self.answers[name].pop(0)

        return call


async def listed(exchange: str, name: str, client: Client) -> tuple[Order, ...]:
    dialect = GenericDialect("v", VENUES[exchange], frozenset({Market.SPOT}), "USDT", client)
    return await dialect.orders(plan_of(exchange, name))


def _orders(count: int, start: int = 0, **rest: Any) -> list[dict[str, Any]]:
    return [{"orderId": f"o{start + i}", "symbol": "M", "side": "buy", **rest} for i in range(count)]


async def test_bitgets_lists_go_on_after_their_last_order() -> None:
    pages = [{"data": _orders(100, tpslType="normal")}, {"data": _orders(3, 100, tpslType="normal")}]
    client = Client(privateSpotGetV2SpotTradeUnfilledOrders=pages)
    orders = await listed("bitget", "plain", client)
    assert len(orders) == 103
    assert orders[0].symbol == "A/B"
    assert client.seen[1][1]["idLessThan"] == "o99"


async def test_orders_of_another_kind_are_another_listing() -> None:
    client = Client(privateSpotGetV2SpotTradeUnfilledOrders=[{"data": _orders(1, tpslType="normal")}])
    with pytest.raises(MalformedReply, match="another listing"):
        await listed("bitget", "tpsl", client)


async def test_bitgets_trigger_orders_go_on_while_it_says_so() -> None:
    pages = [
        {"data": {"nextFlag": True, "orderList": _orders(2)}},
        {"data": {"nextFlag": False, "orderList": _orders(1, 2)}},
    ]
    client = Client(privateSpotGetV2SpotTradeCurrentPlanOrder=pages)
    assert len(await listed("bitget", "plan", client)) == 3
    assert client.seen[1][1]["idLessThan"] == "o1"
    empty = Client(privateSpotGetV2SpotTradeCurrentPlanOrder=[{"data": {"nextFlag": True, "orderList": []}}])
    with pytest.raises(MalformedReply, match="says that there are more"):
        await listed("bitget", "plan", empty)


@pytest.mark.parametrize("data", [None, [], {}, {"orderList": None}, {"orderList": []}])
async def test_nothing_where_a_list_belongs_is_no_empty_list(data: Any) -> None:
    with pytest.raises(MalformedReply):
        await listed("bitget", "plan", Client(privateSpotGetV2SpotTradeCurrentPlanOrder=[{"data": data}]))


def _group(pair: str, count: int, start: int = 0) -> dict[str, Any]:
    rows = [
        {"id": f"{pair}{start + i}", "currency_pair": pair, "account": "spot", "side": "sell", "left": "1"}
        for i in range(count)
    ]
    return {"currency_pair": pair, "total": count, "orders": rows}


async def test_gates_orders_stand_in_groups_with_pages_of_their_own() -> None:
    client = Client(
        privateUnifiedGetUnifiedMode=[{"mode": "classic"}],
        privateSpotGetOpenOrders=[[_group("M", 100), _group("N", 2)], [_group("M", 5, 100), _group("N", 0)]],
    )
    orders = await listed("gate", "plain", client)
    assert len(orders) == 107
    assert [params.get("page") for name, params in client.seen if name == "privateSpotGetOpenOrders"] == [None, 2]
    assert all(params["account"] == "spot" for name, params in client.seen if name == "privateSpotGetOpenOrders")


@pytest.mark.parametrize("groups", [{}, [{"currency_pair": "M"}], [{"orders": None}], [[]]])
async def test_a_group_without_orders_is_no_listing(groups: Any) -> None:
    client = Client(privateUnifiedGetUnifiedMode=[{"mode": "classic"}], privateSpotGetOpenOrders=[groups])
    with pytest.raises(MalformedReply):
        await listed("gate", "plain", client)


@pytest.mark.parametrize(("total", "is_good"), [(0, True), (2, False), ("2", False)])
def test_a_pair_of_gate_whose_orders_are_counted_and_not_shown_is_no_listing(total: Any, is_good: bool) -> None:
    groups = [{"currency_pair": "M", "total": total, "orders": []}]
    wrong = wrong_with(VENUES["gate"].replies, "https://api.gateio.ws/api/v4/spot/open_orders", groups)
    assert (wrong is None) is is_good


@pytest.mark.parametrize("mode", ["multi_currency", "portfolio", "single_currency", "new"])
async def test_a_unified_account_of_gate_is_never_proven(mode: str) -> None:
    with pytest.raises(VenueRejected, match="is unified"):
        await listed("gate", "plain", Client(privateUnifiedGetUnifiedMode=[{"mode": mode}]))


async def test_gates_trigger_orders_go_on_by_an_offset() -> None:
    rows = [{"id": i + 1, "market": "M"} for i in range(101)]
    client = Client(privateSpotGetPriceOrders=[rows[:100], rows[100:]])
    assert len(await listed("gate", "triggers", client)) == 101
    assert client.seen[1][1]["offset"] == 100


def test_a_unified_account_of_kucoin_is_refused_with_its_balance() -> None:
    url = "https://api.kucoin.com/api/ua/v1/account/mode"
    replies = VENUES["kucoin"].replies
    assert wrong_with(replies, url, {"code": "200000", "data": {"selfAccountMode": "CLASSIC"}}) is None
    for mode in ("UNIFIED", "", None):
        assert wrong_with(replies, url, {"code": "200000", "data": {"selfAccountMode": mode}})


async def test_kucoins_orders_are_listed_symbol_by_symbol() -> None:
    row = {
        "id": "1",
        "symbol": "M",
        "tradeType": "TRADE",
        "side": "buy",
        "size": "2",
        "dealSize": "0.5",
        "active": True,
    }
    client = Client(
        privateGetHfOrdersActiveSymbols=[{"data": {"symbols": ["M", "N"]}}],
        privateGetHfOrdersActive=[{"data": [row]}, {"data": []}],
    )
    (order,) = await listed("kucoin", "plain", client)
    assert (order.symbol, str(order.remaining)) == ("A/B", "1.5")
    assert [params for _, params in client.seen] == [{}, {"symbol": "M"}, {"symbol": "N"}]


@pytest.mark.parametrize("data", [None, [], {}, {"symbols": None}, {"symbols": [""]}, {"symbols": [7]}])
async def test_symbols_that_are_not_told_are_not_none(data: Any) -> None:
    with pytest.raises(MalformedReply, match="no list of names"):
        await listed("kucoin", "plain", Client(privateGetHfOrdersActiveSymbols=[{"data": data}]))


async def test_symbols_that_are_counted_and_not_named_are_not_none() -> None:
    data = {"symbolSize": 1, "symbols": []}
    with pytest.raises(MalformedReply, match="are counted"):
        await listed("kucoin", "plain", Client(privateGetHfOrdersActiveSymbols=[{"data": data}]))


async def test_kucoins_pages_are_counted() -> None:
    def page(number: int, rows: list[Any], **rest: Any) -> dict[str, Any]:
        return {"data": {"currentPage": number, "totalNum": 3, "totalPage": 2, "items": rows} | rest}

    rows = [{"id": str(i), "symbol": "M", "tradeType": "TRADE"} for i in range(1, 4)]
    client = Client(privateGetStopOrder=[page(1, rows[:2]), page(2, rows[2:])])
    assert len(await listed("kucoin", "stop", client)) == 3
    assert client.seen[1][1]["currentPage"] == 2
    for wrong in (page(1, [], totalPage=1), page(1, [], totalPage=None), page(1, [], totalNum="0"), page(1, [])):
        with pytest.raises(MalformedReply):
            await listed("kucoin", "stop", Client(privateGetStopOrder=[wrong]))


async def test_an_oco_that_is_over_is_not_open() -> None:
    rows = [{"orderId": status, "symbol": "M", "status": status} for status in ("NEW", "TRIGGERED", "DONE", "CANCELED")]
    reply = {"data": {"totalNum": 4, "totalPage": 1, "items": rows}}
    orders = await listed("kucoin", "oco", Client(privateGetOcoOrders=[reply]))
    assert [order.order_id for order in orders] == ["NEW", "TRIGGERED"]


# --- refused all the same ------------------------------------------------------------------------


def refused(exchange: str, name: str, reply: Any, *, single: bool = False) -> str | None:
    calls = plan_of(exchange, name).calls
    assert calls is not None
    return (calls.single if single else calls.cancels[0]).refused(reply)


def test_a_success_that_holds_refusals_is_none() -> None:
    failed = {"data": {"successList": [], "failureList": [{"orderId": "1", "errorMsg": "failure"}]}}
    done = {"data": {"successList": [{"orderId": "1"}], "failureList": []}}
    for name, single in (("plan", False), ("plain", True)):
        assert refused("bitget", name, done, single=single) is None
        assert refused("bitget", name, failed, single=single)
        assert refused("bitget", name, {"data": None}, single=single)
    assert refused("bitget", "plan", {"data": {"result": "success"}}, single=True) is None
    assert refused("bitget", "plan", {"data": {"result": "failure"}}, single=True)
    assert refused("gate", "plain", []) is None
    assert refused("gate", "plain", [{"id": "1", "succeeded": True}]) is None
    assert refused("gate", "plain", [{"id": "1", "succeeded": False, "label": "ORDER_NOT_FOUND"}]) is None
    assert refused("gate", "plain", [{"id": "1", "succeeded": False, "label": "INTERNAL"}])
    assert refused("gate", "plain", {"message": "?"})
    assert refused("kucoin", "plain", {"data": {"succeedSymbols": ["M"], "failedSymbols": []}}) is None
    assert refused("kucoin", "plain", {"data": {"succeedSymbols": [], "failedSymbols": [{"symbol": "M"}]}})


# --- keys and switches ---------------------------------------------------------------------------


def test_bitget_tells_what_a_key_may_do() -> None:
    told = {"data": {"ips": "", "authorities": ["stow", "coor"]}}
    assert bitget.read_powers(told) == KeyPowers(may_read=True, may_cancel=True, may_withdraw=False, is_bound=False)
    told = {"data": {"ips": "192.0.2.1", "authorities": ["stor", "wwow"]}}
    assert bitget.read_powers(told) == KeyPowers(may_read=True, may_cancel=False, may_withdraw=True, is_bound=True)


def test_kucoin_tells_what_a_key_may_do() -> None:
    told = {"data": {"permission": "General, Spot", "ipWhitelist": "192.0.2.1"}}
    assert kucoin.read_powers(told) == KeyPowers(may_read=True, may_cancel=True, may_withdraw=False, is_bound=True)
    told = {"data": {"permission": "General,Transfer"}}
    assert kucoin.read_powers(told) == KeyPowers(may_read=True, may_cancel=False, may_withdraw=True, is_bound=False)


def test_a_word_that_nobody_knows_is_no_word_against_withdrawals() -> None:
    for permission in ("", "General,FlexTransfers"):
        assert kucoin.read_powers({"data": {"permission": permission}}).may_withdraw is None
    for words in ([], ["xyzw"]):
        assert bitget.read_powers({"data": {"authorities": words}}).may_withdraw is None


@pytest.mark.parametrize("reads", [bitget.read_powers, kucoin.read_powers])
@pytest.mark.parametrize("reply", [[], {}, {"data": None}, {"data": {}}, {"data": {"authorities": [1]}}])
def test_an_odd_word_on_a_key_is_refused(reads: Callable[[Any], KeyPowers], reply: Any) -> None:
    with pytest.raises(MalformedReply):
        reads(reply)


def test_the_switches_are_set_and_unset_as_documented() -> None:
    (of_kucoin,), (of_gate,) = VENUES["kucoin"].dead_men, VENUES["gate"].dead_men
    assert [of_kucoin.params(timeout_s, "") for timeout_s in (60.0, 0.0)] == [{"timeout": 60}, {"timeout": -1}]
    assert [of_gate.params(timeout_s, "") for timeout_s in (60.0, 0.0)] == [{"timeout": 60}, {"timeout": 0}]
    armed = {"data": {"timeout": 60, "symbols": "", "currentTime": 1, "triggerTime": 61}}
    assert of_kucoin.armed(armed)
    assert not any(map(of_kucoin.armed, ({"data": {}}, {"data": None}, {"data": {"timeout": -1}})))
    assert gate.VENUE.key_audit is None, "its keys are listed with stars in their names: which is ours is not told"
