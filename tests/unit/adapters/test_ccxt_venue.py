"""The adapter without a venue: what is refused, what is hidden, what other exchanges get."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Market, ScopeKind, VenueAdapter
from adapters.cancel_plans import Cancel, CancelBy, Listing, OrderFields, ScopePlan, by_id, own_scope, plan_for
from adapters.conversion import mid, needed_symbols, spot_pairs
from adapters.generic import GenericDialect, parse_unified_balance, parse_unified_position, parse_wallet
from adapters.guarded import _RECORD
from adapters.registry import VENUES, build_adapter, venue_of
from adapters.venue import Venue, VenueSettings, Wallet
from risk_daemon.config.settings import Data
from risk_daemon.errors import ConfigError, MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import Kind, Order, Price
from tests.unit.adapters import WITHOUT_A_FILE

SPOT = frozenset({Market.SPOT})
PERP = frozenset({Market.PERP})


def _settings(exchange: str, markets: frozenset[Market] = SPOT, **rest: Any) -> VenueSettings:
    return VenueSettings("v", exchange, markets, api_key="KEY-1", secret="SECRET-1", password="PASS-1", **rest)


async def test_an_adapter_is_built_for_any_exchange_that_can_do_what_is_required() -> None:
    for exchange in ("kraken", "binance", "bybit", "mexc", "bitget", WITHOUT_A_FILE):
        adapter = build_adapter(_settings(exchange, allow_unproven=True), ManualClock())
        assert isinstance(adapter, VenueAdapter)
        assert adapter.scopes
    assert any("shape seen at connect" in note for note in adapter.capabilities.notes)


async def test_an_exchange_of_which_nothing_can_be_proven_is_armed_only_on_the_users_word() -> None:
    with pytest.raises(ConfigError, match=r"bitvavo is not provable: .* `allow_unproven = true` in \[venues.v\]"):
        build_adapter(_settings(WITHOUT_A_FILE), ManualClock())
    can = build_adapter(_settings(WITHOUT_A_FILE, allow_unproven=True), ManualClock()).capabilities
    assert not can.is_provable
    assert can.unprovable
    assert build_adapter(_settings("kraken"), ManualClock()).capabilities.is_provable


@pytest.mark.parametrize("exchange", VENUES)
async def test_ccxt_can_do_what_each_registered_venue_takes_for_granted(exchange: str) -> None:
    scopes = venue_of(exchange).scopes or ()
    markets = frozenset[Market]().union(*(plan.scope.markets for plan in scopes)) or PERP
    adapter = build_adapter(_settings(exchange, markets, allow_unproven=True), ManualClock())
    assert {scope.name for scope in adapter.scopes} == ({plan.scope.name for plan in scopes} or {"perp"})


async def test_flows_that_ccxt_can_not_list_are_refused_and_not_promised() -> None:
    client = FakeClient()
    client.has = {"fetchWithdrawals": True}
    with pytest.raises(ConfigError, match="lacks fetchDeposits"):
        _generic(client, WITH_FLOWS)


@pytest.mark.parametrize("exchange", ["bitmex", "nosuchexchange", "Exchange", "__name__"])
async def test_an_exchange_that_ccxt_does_not_have_is_refused(exchange: str) -> None:
    with pytest.raises(ConfigError, match="ids come and go between its releases"):
        build_adapter(_settings(exchange), ManualClock())


async def test_a_perp_market_without_a_known_wallet_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="excludes unrealised profit"):
        build_adapter(_settings(WITHOUT_A_FILE, PERP), ManualClock())


async def test_a_testnet_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no testnet"):
        build_adapter(_settings("kraken", sandbox=True), ManualClock())


async def test_the_endpoint_wins_over_the_testnet() -> None:
    adapter: Any = build_adapter(
        _settings("krakenfutures", PERP, sandbox=True, endpoint="http://127.0.0.1:9"), ManualClock()
    )
    addresses = [url for url in adapter._client.urls["api"].values() if isinstance(url, str)]
    assert all(url.startswith(("http://127.0.0.1:9/", "ws://127.0.0.1:9/")) for url in addresses)
    assert "ws://127.0.0.1:9/demo-futures.kraken.com/ws/v1" in addresses


def test_secrets_are_in_no_representation() -> None:
    settings = _settings("kraken")
    for secret in settings.secrets:
        assert secret not in repr(settings)
        assert secret not in settings.fingerprint
    assert _settings("kraken").fingerprint == settings.fingerprint
    assert _settings("binance").fingerprint != settings.fingerprint


async def test_a_time_follows_a_clock_that_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter: Any = build_adapter(_settings("binanceusdm", PERP), ManualClock())
    times = iter([1000, 1000, 500])
    monkeypatch.setattr(adapter._client, "milliseconds", lambda: next(times))
    assert [adapter._client.nonce() for _ in range(3)] == [1000, 1000, 500]


async def test_nonces_rise_even_within_one_millisecond_and_when_the_clock_goes_back() -> None:
    adapter: Any = build_adapter(_settings("kraken"), ManualClock())
    clock = iter([1000, 1000, 990, 2000])
    adapter._client.milliseconds = lambda: next(clock)
    assert [adapter._client.nonce() for _ in range(4)] == [1000, 1001, 1002, 2000]


def test_ccxt_is_not_imported_before_an_adapter_is_built() -> None:
    modules = "adapters.base, adapters.registry, adapters.venue, adapters.ccxt_venue, adapters.streams"
    program = f"import sys, {modules}; assert 'ccxt' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


# --- which instruments -------------------------------------------------------------------------------


def _market(symbol: str, **rest: Any) -> dict[str, Any]:
    base, quote = symbol.split("/")
    return {"symbol": symbol, "base": base, "quote": quote, "spot": True, "active": True} | rest


PAIRS = spot_pairs(
    [
        _market("BTC/USDT"),
        _market("USDT/USD"),
        _market("SOL/USD"),
        _market("DOT/BTC"),
        _market("EUR/USD"),
        _market("ETH/USDT", active=False),
        _market("ETH/BTC"),
    ]
)


def test_each_asset_gets_a_way_to_the_reference_and_the_hubs_their_rates() -> None:
    assert needed_symbols({"SOL", "DOT", "USDT", "NOPE"}, "USDT", PAIRS) == {
        "SOL/USD",
        "DOT/BTC",
        "USDT/USD",
        "BTC/USDT",
    }


def test_a_market_that_does_not_trade_leads_nowhere() -> None:
    assert "ETH/BTC" in needed_symbols({"ETH"}, "USDT", PAIRS)


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (1, 3, 2),
        ("1", "1", 1),
        (0, 1, None),
        (1, 0, None),
        (-1, 1, None),
        (3, 1, None),
        (None, 1, None),
        (1, None, None),
    ],
)
def test_a_mid_needs_a_sound_bid_and_ask(bid: Any, ask: Any, expected: int | None) -> None:
    assert mid(bid, ask) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize("bad", ["NaN", float("inf"), "x"])
def test_a_quote_that_is_no_number_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError):
        mid(1, bad)


# --- exchanges without a dialect of their own --------------------------------------------------------


class FakeClient:
    """ccxt's unified face: answers are set, calls are written down, raw replies are recorded as the guard does."""

    rateLimit = 50  # noqa: N815 - ccxt's name

    def __init__(self, **answers: Any) -> None:
        self.has = dict.fromkeys(("watchBalance", "fetchDeposits", "fetchWithdrawals"), True)
        self.markets = {"BTC/USDT": _market("BTC/USDT")}
        self.tickers: dict[str, Any] = {}
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any) -> Any:
            self.calls.append((name, args))
            answer = self.answers.get(name)
            if isinstance(answer, Exception):
                raise answer
            parsed, raw = answer if isinstance(answer, tuple) else (answer, answer)
            record = _RECORD.get()
            if record is not None:
                record.append(raw)
            return parsed

        return call


def _wallet(exchange: str) -> Wallet:
    wallet = venue_of(exchange).wallet
    assert wallet is not None
    return wallet


# One of which nothing is known but where its deposits land.
WITH_FLOWS = Venue(exchange="bitget", deposits_reach_spot=True)


def _generic(
    client: FakeClient, exchange: str | Venue = WITHOUT_A_FILE, markets: frozenset[Market] = SPOT
) -> GenericDialect:
    venue = venue_of(exchange) if isinstance(exchange, str) else exchange
    dialect = GenericDialect("v", venue, markets, "USDT", client)
    dialect.may_learn = True  # as while it connects
    return dialect


def _row(order_id: str, symbol: str = "BTC/USDT", **rest: Any) -> dict[str, Any]:
    return {"id": order_id, "symbol": symbol, "side": "buy", "type": "limit", "remaining": 1.0} | rest


def _order(order_id: str, symbol: str = "BTC/USDT") -> Order:
    return Order(venue="v", scope="spot", order_id=order_id, symbol=symbol, side="buy", order_type="limit")


(PLAN,) = plan_for(WITHOUT_A_FILE, None, SPOT, {"fetchOpenOrders": True, "cancelAllOrders": True})


async def test_a_listing_must_have_as_many_rows_as_were_read() -> None:
    client = FakeClient(fetch_open_orders=([_row("1")], [{"id": "1"}, {"id": "2"}]))
    with pytest.raises(MalformedReply, match="more orders than could be read"):
        await _generic(client).orders(PLAN)


@pytest.mark.parametrize("raw", [{}, {"message": "maintenance"}, {"data": None}])
async def test_an_empty_listing_needs_a_list_in_the_reply(raw: Any) -> None:
    with pytest.raises(MalformedReply):
        await _generic(FakeClient(fetch_open_orders=([], raw))).orders(PLAN)


async def test_a_listing_must_keep_the_shape_that_it_had_at_connect() -> None:
    client = FakeClient(fetch_open_orders=([], {"code": "0", "data": []}))
    dialect = _generic(client)
    assert await dialect.orders(PLAN) == ()
    for raw in ({"code": "50001", "data": []}, [], {"data": []}):
        client.answers["fetch_open_orders"] = ([], raw)
        with pytest.raises(MalformedReply):
            await dialect.orders(PLAN)


async def test_a_listing_that_nothing_was_asked_for_is_none() -> None:
    class Silent(FakeClient):
        async def fetch_open_orders(self, *args: Any) -> list[Any]:
            return []

    with pytest.raises(MalformedReply, match="nothing was asked"):
        await _generic(Silent()).orders(PLAN)


async def test_a_full_page_of_protective_orders_proves_nothing() -> None:
    plan = ScopePlan(PLAN.scope, CancelBy.ALL, page_rows=2)
    rows = [_row("1", reduceOnly=True), _row("2", reduceOnly=True)]
    with pytest.raises(VenueUnavailable, match="full page"):
        await _generic(FakeClient(fetch_open_orders=rows)).orders(plan)
    assert len(await _generic(FakeClient(fetch_open_orders=rows[:1])).orders(plan)) == 1


@pytest.mark.parametrize(
    ("cancel_by", "expected"),
    [
        (CancelBy.ALL, [("cancel_all_orders", (None, {}))]),
        (CancelBy.SYMBOL, [("cancel_all_orders", ("BTC/USDT", {})), ("cancel_all_orders", ("ETH/USDT", {}))]),
        (
            CancelBy.BATCH,
            [
                ("cancel_orders", (["1", "2"], "BTC/USDT", {})),
                ("cancel_orders", (["3"], "BTC/USDT", {})),
                ("cancel_orders", (["4"], "ETH/USDT", {})),
            ],
        ),
        (
            CancelBy.ORDER,
            [
                ("cancel_order", ("1", "BTC/USDT", {})),
                ("cancel_order", ("2", "BTC/USDT", {})),
                ("cancel_order", ("3", "BTC/USDT", {})),
                ("cancel_order", ("4", "ETH/USDT", {})),
            ],
        ),
    ],
)
async def test_cancels_reach_every_order_of_the_listing(cancel_by: CancelBy, expected: list[Any]) -> None:
    client = FakeClient()
    orders = [_order("1"), _order("2"), _order("3"), _order("4", "ETH/USDT")]
    await _generic(client).cancel(ScopePlan(PLAN.scope, cancel_by, batch_rows=2), orders)
    assert client.calls == expected


async def test_one_failed_cancel_does_not_stop_the_others() -> None:
    client = FakeClient(cancel_order=VenueUnavailable("busy"))
    with pytest.raises(VenueUnavailable, match="busy"):
        await _generic(client).cancel(ScopePlan(PLAN.scope, CancelBy.ORDER), [_order("1"), _order("2")])
    assert len(client.calls) == 2


async def test_cancels_do_not_wait_for_each_other() -> None:
    all_three = asyncio.Barrier(3)

    class Slow(FakeClient):
        async def cancel_all_orders(self, symbol: str, params: Any) -> None:
            self.calls.append(("cancel_all_orders", (symbol,)))
            await all_three.wait()

    client = Slow()
    orders = [_order(str(number), f"{asset}/USDT") for number, asset in enumerate(("BTC", "ETH", "SOL"))]
    async with asyncio.timeout(1):
        await _generic(client).cancel(ScopePlan(PLAN.scope, CancelBy.SYMBOL), orders)
    assert [args[0] for _, args in client.calls] == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]


async def test_an_order_that_is_gone_is_no_failure() -> None:
    client = FakeClient(cancel_order=VenueUnavailable("OrderNotFound x"))
    await _generic(client).cancel(ScopePlan(PLAN.scope, CancelBy.ORDER), [_order("1")])
    refused = FakeClient(cancel_order=VenueRejected("no permission"))
    with pytest.raises(VenueRejected):
        await _generic(refused).cancel(ScopePlan(PLAN.scope, CancelBy.ORDER), [_order("1")])


async def test_a_spot_balance_is_the_total_minus_debt() -> None:
    balance = {"total": {"BTC": 1.5, "USDT": 10.0}, "debt": {"USDT": 4.0}}
    amounts = await _generic(FakeClient(fetch_balance=(balance, {"balances": [1]}))).balances()
    assert amounts == {"BTC": Decimal("1.5"), "USDT": Decimal(6)}


@pytest.mark.parametrize("balance", [{}, {"total": {}}, {"total": {"BTC": None}}, {"total": {"BTC": float("nan")}}])
async def test_a_balance_without_amounts_is_not_a_loss_of_all(balance: Any) -> None:
    with pytest.raises(MalformedReply):
        await _generic(FakeClient(fetch_balance=(balance, {"x": 1}))).balances()


def test_a_derivatives_wallet_is_read_without_unrealised_profit() -> None:
    reply = {
        "assets": [{"asset": "USDT", "walletBalance": "9450", "marginBalance": "9250", "unrealizedProfit": "-200"}]
    }
    flat = Wallet(("assets",), "asset", "walletBalance")
    assert parse_wallet(flat, reply) == {"USDT": Decimal(9450)}
    for rows in (None, {}, [{"asset": "USDT"}], [{"asset": "USDT", "walletBalance": ""}]):
        with pytest.raises(MalformedReply):
            parse_wallet(flat, {"assets": rows})


def test_unified_rows_that_lack_something_are_refused() -> None:
    contract = {"symbol": "BTC/USDT:USDT", "settle": "USDT", "contractSize": 0.001, "inverse": False, "spot": False}
    swap = _market("BTC/USDT") | contract
    markets = {swap["symbol"]: swap}
    row = {"symbol": "BTC/USDT:USDT", "contracts": 5.0, "side": "short", "entryPrice": 60000.0}
    position = parse_unified_position(row, markets)
    assert position is not None
    assert (position.quantity, position.contract_size) == (Decimal(-5), Decimal("0.001"))
    assert parse_unified_position(row | {"contracts": 0.0, "side": None}, markets) is None
    for odd in ({"entryPrice": None}, {"side": None}, {"contracts": None}, {"symbol": "X/Y:Y"}):
        with pytest.raises(MalformedReply):
            parse_unified_position(row | odd, markets)
    with pytest.raises(MalformedReply):
        parse_unified_balance({"free": {}})


async def test_prices_come_from_the_tickers_that_are_sound() -> None:
    client = FakeClient(fetch_tickers={"BTC/USDT": {"bid": 99.0, "ask": 101.0}})
    assert await _generic(client).prices(frozenset({"BTC"})) == (Price("BTC/USDT", "BTC", "USDT", Decimal(100)),)
    client.answers["fetch_tickers"] = {"BTC/USDT": {"bid": None, "ask": 101.0}}
    assert await _generic(client).prices(frozenset({"BTC"})) == ()


async def test_flows_are_settled_deposits_and_withdrawals() -> None:
    def row(number: int, amount: float, status: str = "ok") -> dict[str, Any]:
        return {"id": str(number), "currency": "USDT", "amount": amount, "status": status, "timestamp": 5000}

    client = FakeClient(fetch_deposits=[row(1, 10.0), row(2, 5.0, "pending")], fetch_withdrawals=[row(1, 3.0)])
    book = await _generic(client, WITH_FLOWS).book(0.0, 10.0)
    flows = book.flows
    assert book.trades is None
    assert [(flow.flow_id, flow.amount) for flow in flows] == [
        ("deposit:1", Decimal(10)),
        ("withdrawal:1", Decimal(-3)),
    ]


async def test_flows_are_asked_for_month_by_month() -> None:
    client = FakeClient(fetch_deposits=[], fetch_withdrawals=[])
    await _generic(client, WITH_FLOWS).book(0.0, 100 * 86_400.0)
    starts = [args[1] for name, args in client.calls if name == "fetch_deposits"]
    assert starts == [days * 86_400_000 for days in (0, 25, 50, 75)]


async def test_a_full_page_of_flows_is_followed_by_the_next() -> None:
    class Paged(FakeClient):
        async def fetch_deposits(self, code: None, since_ms: int, limit: int) -> list[Any]:
            first = since_ms // 1000
            rows = range(first, min(first + limit, 250))
            return [
                {"id": str(n), "currency": "USDT", "amount": 1.0, "status": "ok", "timestamp": n * 1000} for n in rows
            ]

    flows = (await _generic(Paged(fetch_withdrawals=[]), WITH_FLOWS).book(0.0, 300.0)).flows
    assert len(flows) == 250


@pytest.mark.parametrize(("exchange", "markets"), [(WITHOUT_A_FILE, SPOT), ("okx", SPOT)])
async def test_a_venue_without_a_ledger_says_so_and_raises(exchange: str, markets: frozenset[Market]) -> None:
    dialect = _generic(FakeClient(), exchange, markets)
    assert not dialect.has_flows
    assert any("ledger" in note for note in dialect.notes)
    with pytest.raises(VenueUnavailable):
        await dialect.book(0.0, 1.0)


def test_account_streams_are_only_signs() -> None:
    dialect = _generic(FakeClient())
    assert dialect.read_frames(Kind.BALANCES, [{"total": {"BTC": 1}}], 1.0) == ()


async def test_connections_outlive_the_pause_between_two_readings() -> None:
    adapter: Any = build_adapter(_settings("kraken"), ManualClock())
    adapter._client.open()
    connector = adapter._client.tcp_connector
    assert connector._keepalive_timeout >= 2 * Data().reconcile_every
    assert connector._cached_hosts._timestamps is not None, "names are kept"
    adapter._client.timeout_on_exit = 0
    await adapter.close()


async def test_a_venue_by_data_alone_is_listed_and_cancelled_by_its_own_calls() -> None:
    class Raw(FakeClient):
        def __init__(self) -> None:
            super().__init__()
            self.markets_by_id: dict[str, Any] = {}
            self.sent: list[Any] = []

        async def privateGetOrders(self, params: Any) -> Any:  # noqa: N802 - ccxt's names
            return [{"id": "7", "symbol": "BTCUSDT", "side": "buy", "type": "limit"}]

        async def privateDeleteOrders(self, params: Any) -> Any:  # noqa: N802
            self.sent.append(params)
            return {}

    cancel = Cancel(call="privateDeleteOrders", by=CancelBy.ORDER, names=by_id("id"))
    listing = Listing(call="privateGetOrders", fields=OrderFields(order_id="id"))
    plan = own_scope("spot", SPOT, ScopeKind.PLAIN, listing=listing, cancels=[cancel])
    client = Raw()
    dialect = _generic(client)
    (order,) = await dialect.orders(plan)
    assert (order.order_id, order.symbol) == ("7", "BTCUSDT")
    await dialect.cancel(plan, [order])
    await dialect.cancel_one(plan, order)
    assert client.sent == [{"id": "7"}, {"id": "7"}]
