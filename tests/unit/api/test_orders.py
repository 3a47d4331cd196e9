"""May this order be sent? What is asked exactly, what is answered, and everything that is no question."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from risk_daemon.api import orders
from risk_daemon.api.models import OrderCheck
from risk_daemon.api.problems import Refused
from risk_daemon.gate.restraints import OrderRequest, Veto
from risk_daemon.model.events import ErrorKind, ErrorReported, OrderReported
from tests.api_world import ORDER, WALL, ApiWorld, serving

CHECK, REPORT = "/api/v1/orders/check", "/api/v1/orders/report"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(tmp_path) as world:
        yield world


async def test_an_allowed_order_gets_a_lease(world: ApiWorld) -> None:
    replies = [await world.check() for _ in range(2)]

    first, second = (reply.body for reply in replies)
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].type == "application/json"
    assert first.pop("lease_id") != second.pop("lease_id")
    assert first == {
        "allowed": True,
        "time": "2026-11-20T14:58:01.250000Z",
        "time_wall": WALL,
        "valid_for_ms": 1000,
    }


async def test_the_gate_is_asked_for_exactly_that_order(world: ApiWorld) -> None:
    await world.check({**ORDER, "client_order_id": "abc", "reduce_only": True})
    inverse = {"venue": "krakenfutures", "symbol": "BTC/USD:BTC", "side": "sell", "quantity": 3, "type": "market"}
    await world.check(inverse)

    assert world.control.orders == [
        OrderRequest(
            "kraken", "BTC/USDT", "buy", Decimal("0.1"), "limit", Decimal(60000), True, "abc", "grid-1", Decimal(1)
        ),
        OrderRequest(
            "krakenfutures",
            "BTC/USD:BTC",
            "sell",
            Decimal(3),
            "market",
            bot="grid-1",
            contract_size=Decimal(10),
            inverse=True,
        ),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.1", "0.1"),
        ('"0.1"', "0.1"),
        ("1", "1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1e-8", "0.00000001"),
        ('"1E3"', "1000"),
        ('".5"', "0.5"),
        ('"5."', "5"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.123456789012345678901234567890123456789", "0.123456789012345678901234567890123456789"),
    ],
)
async def test_numbers_are_read_as_they_are_written(world: ApiWorld, text: str, number: str) -> None:
    body = json.dumps({**ORDER, "quantity": "N"}).replace('"N"', text)
    reply = await world.check(data=body.encode())

    assert (reply.status, world.control.orders[0].quantity) == (200, Decimal(number))


async def test_the_price_of_a_market_order_is_not_looked_at(world: ApiWorld) -> None:
    await world.check({**ORDER, "type": "market"})
    await world.check({**ORDER, "type": "stop_market", "price": None})

    assert [(order.order_type, order.price) for order in world.control.orders] == [
        ("market", None),
        ("stop_market", None),
    ]


# --- no --------------------------------------------------------------------------------------------


async def test_a_veto_says_why(world: ApiWorld) -> None:
    observed, limits = {"current_dd_pct": 0.11, "peak_nav_usd": Decimal("10000.0")}, {"max_portfolio_dd_nav_pct": 0.1}
    world.control.veto = Veto("portfolio_dd_circuit", "11 % below the peak", observed, limits, "t1", WALL + 60)
    reply = await world.check()

    assert (reply.status, reply.type) == (423, "application/problem+json")
    assert reply.body == {
        "type": "about:blank",
        "title": "Locked",
        "status": 423,
        "detail": "11 % below the peak",
        "veto_reason": "portfolio_dd_circuit",
        "observed": {"current_dd_pct": 0.11, "peak_nav_usd": "10000"},
        "limits": {"max_portfolio_dd_nav_pct": 0.1},
        "trip_id": "t1",
        "locked_until": "2026-11-20T14:59:01.250000Z",
        "time": "2026-11-20T14:58:01.250000Z",
        "time_wall": WALL,
    }


async def test_what_a_veto_does_not_know_is_null(world: ApiWorld) -> None:
    world.control.veto = Veto("starting", "the picture is not complete")
    body = (await world.check()).body

    assert (body["trip_id"], body["locked_until"], body["observed"], body["limits"]) == (None, None, {}, {})


async def test_a_veto_s_facts_can_t_pass_for_the_problem_itself(world: ApiWorld) -> None:
    world.control.answer = {"accepted": False, "reason": "no", "status": 200, "title": "OK", "type": "x"}
    body = (await world.socket("POST", "/api/v1/halt", {"reason": "x"})).body

    assert (body["status"], body["title"], body["type"]) == (409, "Conflict", "about:blank")


async def test_a_daemon_that_does_not_evaluate_gives_no_answer(world: ApiWorld) -> None:
    world.control.good = False

    assert [(await world.check()).status, (await world.check(token=world.operator)).status] == [503, 503]
    assert (await world.tcp("POST", REPORT, {"kind": "rejected"}, token=world.bot)).status == 503
    assert world.control.nothing_happened()


@pytest.mark.parametrize("wall", [float("nan"), float("inf"), 1e300])
async def test_an_answer_without_a_time_is_none(world: ApiWorld, wall: float) -> None:
    world.control.wall = wall

    assert (await world.check()).status == 500
    world.control.veto = Veto("locked", "no")
    assert (await world.check()).status == 500


async def test_a_gate_that_fails_opens_nothing(world: ApiWorld) -> None:
    world.control.error = RuntimeError("secret")
    reply = await world.check()

    assert (reply.status, reply.type) == (500, "application/problem+json")
    assert b"secret" not in reply.raw


# --- bad input -------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"quantity": 0}, "quantity must be above zero"),
    ({"quantity": "0.000"}, "quantity must be above zero"),
    ({"quantity": -1}, "quantity must be above zero"),
    ({"quantity": "-1"}, "quantity must be a plain decimal number above zero"),
    ({"quantity": "+1"}, "quantity must be a plain decimal number"),
    ({"quantity": "NaN"}, "quantity must be a plain decimal number"),
    ({"quantity": "Infinity"}, "quantity must be a plain decimal number"),
    ({"quantity": "1e999"}, "quantity must be a plain decimal number"),
    ({"quantity": "1e31"}, "out of any range"),
    ({"quantity": "9e30"}, "out of any range"),
    ({"quantity": 10**40}, "out of any range"),
    ({"quantity": "1e-31"}, "out of any range"),
    ({"quantity": "1" * 81}, "quantity must be a plain decimal number"),
    ({"quantity": ""}, "quantity must be a plain decimal number"),
    ({"quantity": " 1"}, "quantity must be a plain decimal number"),
    ({"quantity": "1\n"}, "quantity must be a plain decimal number"),
    ({"quantity": "1,5"}, "quantity must be a plain decimal number"),
    ({"quantity": "0x10"}, "quantity must be a plain decimal number"),
    ({"quantity": "1_000"}, "quantity must be a plain decimal number"),
    ({"quantity": "١"}, "quantity must be a plain decimal number"),
    ({"quantity": True}, "quantity must be a number"),
    ({"quantity": None}, "quantity must be a number"),
    ({"quantity": [1]}, "quantity must be a number"),
    ({"quantity": {"a": 1}}, "quantity must be a number"),
    ({"price": 0}, "price must be above zero"),
    ({"price": False}, "price must be a number"),
    ({"price": "x"}, "price must be a plain decimal number"),
    ({"price": None}, "limit order without a price"),
    ({"side": "BUY"}, "side: input should be 'buy' or 'sell'"),
    ({"side": None}, "side"),
    ({"side": ["buy"]}, "side"),
    ({"type": ""}, "type"),
    ({"type": "a b"}, "type"),
    ({"type": None}, "type"),
    ({"type": 5}, "type"),
    ({"reduce_only": None}, "reduce_only"),
    ({"reduce_only": "true"}, "reduce_only"),
    ({"reduce_only": 1}, "reduce_only"),
    ({"venue": "krakn"}, "the venue krakn is not known"),
    ({"venue": ""}, "venue"),
    ({"venue": 5}, "venue"),
    ({"venue": ["kraken"]}, "venue"),
    ({"venue": "k" * 129}, "venue"),
    ({"symbol": "BTC/EUR"}, "the symbol BTC/EUR on kraken is not known"),
    ({"symbol": "\u0000"}, "symbol"),
    ({"symbol": "\ud800"}, "symbol"),
    ({"symbol": None}, "symbol"),
    ({"client_order_id": ""}, "client_order_id"),
    ({"client_order_id": 5}, "client_order_id"),
    ({"client_order_id": "x" * 257}, "client_order_id"),
    ({"client_order_id": "a\u001bb"}, "client_order_id"),
    ({"amount": 1}, "amount is not known"),
    ({"x" * 500: 1}, "is not known"),
    ({"\ud800": 1}, "unicode"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
async def test_an_order_that_makes_no_sense_is_refused(world: ApiWorld, change: dict[str, Any], sentence: str) -> None:
    reply = await world.check({**ORDER, **change})

    assert (reply.status, reply.type) == (422, "application/problem+json")
    assert sentence in reply.body["detail"]
    assert len(reply.body["detail"]) < 300
    assert world.control.nothing_happened()


@pytest.mark.parametrize("name", ["venue", "symbol", "side", "quantity"])
async def test_what_is_missing_is_named(world: ApiWorld, name: str) -> None:
    reply = await world.check({key: value for key, value in ORDER.items() if key != name})

    assert (reply.status, reply.body["detail"]) == (422, f"{name} is missing")


async def test_several_mistakes_are_told_at_once(world: ApiWorld) -> None:
    detail = (await world.check({"side": "up", "x": 1, "y": 1, "z": 1})).body["detail"]

    assert detail.startswith("venue is missing; symbol is missing; side: input should be 'buy' or 'sell'; ")
    assert detail.endswith("; and more")


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(),
    st.text(max_size=5),
    st.sampled_from(["buy", "sell", "limit", "market", "stop_limit", "kraken", "BTC/USDT", "1", "0.5", "1e5", "-1"]),
    st.lists(st.integers(), max_size=2),
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "venue": st.sampled_from(["kraken", "é", "", "a\tb"]) | values,
        "symbol": st.sampled_from(["BTC/USDT", "a b"]) | values,
        "side": st.sampled_from(["buy", "sell"]) | values,
        "type": st.sampled_from(["limit", "market", "stop"]) | values,
        "quantity": st.sampled_from(["0.1", 1, Decimal("1.5")]) | values,
        "price": st.sampled_from(["60000", 60000, None]) | values,
        "reduce_only": st.booleans() | values,
        "client_order_id": st.sampled_from(["abc", None]) | values,
        "other": values,
    },
)


@given(documents)
def test_reading_by_hand_is_reading_by_the_model(document: dict[str, Any]) -> None:
    try:
        model = TypeAdapter(OrderCheck).validate_python(document)
    except ValueError:
        with pytest.raises(Refused):
            orders.read(document)
        return

    assert orders.read(document) == tuple(getattr(model, name) for name in orders.Order._fields)


def test_an_ordinary_order_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "_ADAPTER", None)

    assert orders.read(dict(ORDER)).price == Decimal(60000)


# --- reports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (
            {"kind": "sent", "venue": "kraken", "symbol": "BTC/USDT", "side": "buy"},
            OrderReported("kraken", "BTC/USDT", "buy", "grid-1"),
        ),
        (
            {"kind": "sent", "venue": "kraken", "symbol": "NEW/USDT", "side": "sell", "order_id": "O1"}
            | {"client_order_id": "c1"},
            OrderReported("kraken", "NEW/USDT", "sell", "grid-1", "O1", "c1"),
        ),
        ({"kind": "rejected"}, ErrorReported(ErrorKind.ORDER_REJECTED, "grid-1")),
        (
            {"kind": "rejected", "error_kind": "order_rejected", "venue": "kraken", "detail": "post only"},
            ErrorReported(ErrorKind.ORDER_REJECTED, "grid-1", "kraken", "post only"),
        ),
        *(({"kind": "error", "error_kind": kind.value}, ErrorReported(kind, "grid-1")) for kind in ErrorKind),
    ],
)
async def test_a_report_becomes_an_event(world: ApiWorld, body: object, event: object) -> None:
    reply = await world.tcp("POST", REPORT, body, token=world.bot)

    assert (reply.status, reply.body) == (202, {"accepted": True})
    assert world.control.reports == [event]


async def test_a_veto_of_the_map_is_told(world: ApiWorld) -> None:
    told = {"kind": "vetoed", "veto_reason": "daily_loss", "detail": "why", "ago_s": 1.5, "untold": 3}
    assert (await world.tcp("POST", REPORT, told | {"order": dict(ORDER)}, token=world.bot)).status == 202
    assert (await world.tcp("POST", REPORT, {"kind": "vetoed", "veto_reason": "blind"}, token=world.bot)).status == 202
    no_price = {name: value for name, value in ORDER.items() if name != "price"}
    odd = {"kind": "vetoed", "veto_reason": "blind", "order": no_price}
    assert (await world.tcp("POST", REPORT, odd, token=world.bot)).status == 202, "refused, whatever it was"
    (order, veto, bot, *rest), nothing, _ = world.control.vetoed_reports
    assert (order.venue, order.symbol, order.bot, order.price) == ("kraken", "BTC/USDT", "grid-1", Decimal(60000))
    assert (veto.veto_reason, veto.reason, bot, rest) == ("daily_loss", "why", "grid-1", [1.5, 3])
    assert (nothing[0], nothing[2:]) == (None, ("grid-1", 0.0, 0))
    assert not world.control.orders, "it takes no place in the order rate"


async def test_an_error_counts_whatever_its_words_are(world: ApiWorld) -> None:
    body = json.dumps({"kind": "rejected", "detail": " a\nb\u001b[31m\ud800 " + "x" * 5_000})
    reply = await world.tcp("POST", REPORT, token=world.bot, data=body.encode())

    assert reply.status == 202
    report = world.control.reports[0]
    assert isinstance(report, ErrorReported)
    assert report.detail.startswith("a b [31m? x")
    assert len(report.detail) <= 1_000


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "kind is missing"),
        ({"kind": "lost"}, "kind must be one of 'sent', 'rejected', 'error', 'vetoed'"),
        ({"kind": 5}, "kind must be one of"),
        ({"kind": "sent", "venue": "kraken", "symbol": "BTC/USDT"}, "side is missing"),
        ({"kind": "sent", "venue": "krakn", "symbol": "BTC/USDT", "side": "buy"}, "the venue krakn is not known"),
        ({"kind": "sent", "venue": "kraken", "symbol": "BTC/USDT", "side": "buy", "bot": "other"}, "bot is not known"),
        ({"kind": "error"}, "error_kind is missing"),
        ({"kind": "error", "error_kind": "bad luck"}, "error_kind"),
        ({"kind": "error", "error_kind": None}, "error_kind"),
        ({"kind": "rejected", "error_kind": "expected"}, "error_kind"),
        ({"kind": "rejected", "venue": "krakn"}, "the venue krakn is not known"),
        ({"kind": "rejected", "detail": 5}, "detail must be a text"),
        ({"kind": "vetoed"}, "veto_reason is missing"),
        ({"kind": "vetoed", "veto_reason": "blind", "ago_s": -1}, "ago_s must be 0 to"),
        ({"kind": "vetoed", "veto_reason": "blind", "untold": -1}, "untold"),
        ({"kind": "vetoed", "veto_reason": "blind", "order": {"venue": "kraken"}}, "is missing"),
        ({"kind": "vetoed", "veto_reason": "blind", "order": ORDER | {"venue": "krakn"}}, "krakn is not known"),
    ],
)
async def test_a_wrong_report_is_refused(world: ApiWorld, body: object, sentence: str) -> None:
    reply = await world.tcp("POST", REPORT, body, token=world.bot)

    assert reply.status == 422
    assert sentence in reply.body["detail"]
    assert world.control.nothing_happened()
