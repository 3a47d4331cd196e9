"""Binance's listings of money that came, went and moved, as flows: whose they are, in which windows and pages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from adapters.venues.binance_book import DAY_S, MARGIN_WORDS, SPOT_WORDS, FlowReader
from risk_daemon.errors import MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Flow

NOW = 1_800_000_000.0
D = Decimal
Answer = Callable[[dict[str, Any]], Any]

DEPOSIT = {"id": "7", "amount": "0.5", "coin": "BNB", "status": 1, "insertTime": 1_000, "completeTime": 2_000}
WITHDRAWAL = {
    "id": "b6",
    "amount": "8.9",
    "transactionFee": "0.1",
    "coin": "USDT",
    "status": 6,
    "applyTime": "2027-01-15 08:00:00",
}


class Client:
    """Answers each call with nothing, unless it is told what."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def milliseconds(self) -> int:
        return int(NOW * 1000)

    def __getattr__(self, name: str) -> Any:
        async def call(query: dict[str, Any]) -> Any:
            self.asked.append((name, dict(query)))
            if name in self.answers:
                return self.answers[name](query)
            empty: dict[str, Any] = {
                "sapiGetSubAccountList": {"subAccounts": []},
                "sapiGetCapitalDepositHisrec": [],
                "sapiGetCapitalWithdrawHistory": [],
                "sapiGetSubAccountTransferSubUserHistory": [],
            }
            return empty.get(name, {"rows": [], "total": 0})

        return call

    def queries(self, name: str) -> list[dict[str, Any]]:
        return [query for asked, query in self.asked if asked == name]


async def read(client: Client, words: frozenset[str] = SPOT_WORDS, days: float = 1, pairs: tuple[str, ...] = ()) -> Any:
    return await FlowReader("v", words, client).read(NOW - days * DAY_S, pairs)


async def amounts(client: Client, words: frozenset[str] = SPOT_WORDS) -> list[Decimal]:
    return [flow.amount for flow in await read(client, words)]


def refuse(_: dict[str, Any]) -> Any:
    raise VenueRejected("-2015")


@pytest.mark.asyncio
async def test_a_deposit_counts_when_it_is_credited() -> None:
    rows = [DEPOSIT, DEPOSIT | {"id": "8", "status": 0}, DEPOSIT | {"id": "9", "status": 6, "walletType": 1}]
    found = await read(Client(sapiGetCapitalDepositHisrec=lambda _: rows))
    first = Flow(flow_id="deposit:7", venue="v", asset="BNB", amount=D("0.5"), wall=2.0, kind="deposit")
    assert [flow.flow_id for flow in found] == ["deposit:7", "deposit:9"]
    assert found[0] == first


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "moved"), [(6, True), (2, True), (4, True), (0, True), (1, False), (3, False), (5, False)]
)
async def test_a_withdrawal_counts_from_when_it_leaves(status: int, moved: bool) -> None:
    client = Client(sapiGetCapitalWithdrawHistory=lambda _: [WITHDRAWAL | {"status": status}])
    assert await amounts(client) == ([D("-9.0")] if moved else [])


@pytest.mark.asyncio
async def test_what_nobody_knows_of_a_withdrawal_is_no_answer() -> None:
    for odd in ({"status": 9}, {"walletType": 7}, {"applyTime": "yesterday"}, {"amount": "NaN"}, {"id": ""}):
        with pytest.raises(MalformedReply):
            await read(Client(sapiGetCapitalWithdrawHistory=lambda _, odd=odd: [WITHDRAWAL | odd]))


def transfers(**ways: str) -> Answer:
    """One transfer each way: {MAIN_UMFUTURE: amount}."""

    def answer(query: dict[str, Any]) -> Any:
        amount = ways.get(query["type"])
        row = {"asset": "USDT", "amount": amount, "type": query["type"], "status": "CONFIRMED", "timestamp": 3_000}
        rows = [row | {"tranId": hash(query["type"])}] if amount else []
        return {"rows": rows, "total": len(rows)}

    return answer


@pytest.mark.asyncio
async def test_a_transfer_counts_where_it_leaves_what_is_guarded() -> None:
    ways = {"MAIN_UMFUTURE": "5", "UMFUTURE_MAIN": "3", "MAIN_FUNDING": "7", "MAIN_MARGIN": "2", "MARGIN_CMFUTURE": "1"}
    client = Client(sapiGetAssetTransfer=transfers(**ways))
    assert sorted(await amounts(client)) == [-5, -2, 3], "spot and funding are one"
    assert sorted(await amounts(client, SPOT_WORDS | MARGIN_WORDS)) == [-5, -1, 3], "and with margin too"
    assert sorted(await amounts(client, MARGIN_WORDS)) == [-1, 2]
    assert {query["type"] for query in client.queries("sapiGetAssetTransfer")} >= ways.keys() - {"MAIN_FUNDING"}


@pytest.mark.asyncio
async def test_a_transfer_of_another_way_is_no_answer() -> None:
    row = {"asset": "USDT", "amount": "1", "type": "UMFUTURE_MAIN", "status": "CONFIRMED", "timestamp": 1, "tranId": 1}
    with pytest.raises(MalformedReply):
        await read(Client(sapiGetAssetTransfer=lambda _: {"rows": [row], "total": 1}))
    pending = Client(
        sapiGetAssetTransfer=lambda q: {"rows": [row | {"type": q["type"], "status": "PENDING"}], "total": 1}
    )
    assert await amounts(pending) == []


@pytest.mark.asyncio
async def test_between_spot_and_a_pairs_own_wallet() -> None:
    rows = [
        {"amount": "4", "asset": "BTC", "status": "CONFIRMED", "timestamp": 1, "txId": 1, "transFrom": "SPOT"}
        | {"transTo": "ISOLATED_MARGIN"},
        {"amount": "9", "asset": "BTC", "status": "CONFIRMED", "timestamp": 1, "txId": 2, "transFrom": "CROSS_MARGIN"}
        | {"transTo": "ISOLATED_MARGIN"},
    ]
    client = Client(sapiGetMarginTransfer=lambda _: {"rows": rows, "total": 2})
    assert [flow.amount for flow in await read(client, SPOT_WORDS, pairs=("BTCUSDT",))] == [-4]
    assert [flow.amount for flow in await read(client, MARGIN_WORDS, pairs=("BTCUSDT",))] == [4]
    assert await read(client, SPOT_WORDS | MARGIN_WORDS, pairs=("BTCUSDT",)) == ()


SUB = {"asset": "USDT", "qty": "2", "status": "SUCCESS", "tranId": 5, "time": 9_000} | {
    "fromAccountType": "SPOT",
    "toAccountType": "USDT_FUTURE",
}


@pytest.mark.asyncio
async def test_a_sub_account_is_told_both_ways_and_by_wallet() -> None:
    client = Client(sapiGetSubAccountList=refuse, sapiGetSubAccountTransferSubUserHistory=lambda _: [SUB])
    (flow,) = await read(client)
    assert (flow.flow_id, flow.amount) == ("sub_transfer:2:5", -2), "what came in came to another wallet"
    assert {query["type"] for query in client.queries("sapiGetSubAccountTransferSubUserHistory")} == {"1", "2"}


@pytest.mark.asyncio
async def test_a_master_account_is_told_what_it_sent_and_what_its_subs_sent_it() -> None:
    def told(query: dict[str, Any]) -> Any:
        row = {"asset": "USDT", "amount": "2", "status": "SUCCESS", "createTimeStamp": 9_000} | {
            "fromAccountType": "SPOT",
            "toAccountType": "SPOT",
        }
        if query.get("fromEmail") == "a":
            return {"result": [row | {"tranId": 1, "toEmail": "me"}, row | {"tranId": 2, "toEmail": "b"}]}
        if "fromEmail" in query:
            return {"result": []}
        return {"result": [row | {"tranId": 3, "toEmail": "b", "amount": "7"}, row | {"tranId": 4, "toEmail": "me"}]}

    subs = {"subAccounts": [{"email": "a"}, {"email": "b"}]}
    client = Client(sapiGetSubAccountList=lambda _: subs, sapiGetSubAccountUniversalTransfer=told)
    assert {flow.flow_id: flow.amount for flow in await read(client)} == {
        "sub_transfer:0:1": 2,
        "sub_transfer:0:3": -7,
    }


@pytest.mark.asyncio
async def test_who_is_refused_is_asked_once_and_what_fails_is_no_refusal() -> None:
    client = Client(sapiGetSubAccountList=refuse, sapiGetSubAccountTransferSubUserHistory=refuse)
    reader = FlowReader("v", SPOT_WORDS, client)
    await reader.read(NOW - DAY_S, ())
    asked = len(client.queries("sapiGetSubAccountList") + client.queries("sapiGetSubAccountTransferSubUserHistory"))
    await reader.read(NOW - DAY_S, ())
    assert asked == len(
        client.queries("sapiGetSubAccountList") + client.queries("sapiGetSubAccountTransferSubUserHistory")
    )

    client.answers["sapiGetCapitalWithdrawHistory"] = refuse
    with pytest.raises(VenueRejected):
        await reader.read(NOW - DAY_S, ())  # it was told before
    assert [note.partition(" are")[0] for note in reader.notes] == ["transfers between sub-accounts"]

    def fail(_: dict[str, Any]) -> Any:
        raise VenueUnavailable("503")

    for name in ("sapiGetSubAccountList", "sapiGetCapitalWithdrawHistory", "sapiGetAssetTransfer"):
        with pytest.raises(VenueUnavailable):
            await read(Client(**{name: fail}))
    with pytest.raises(VenueRejected):
        await read(Client(sapiGetAssetAssetDividend=refuse))


@pytest.mark.asyncio
async def test_gifts_go_either_way() -> None:
    row = {"id": 1, "amount": "3", "asset": "BNB", "divTime": 5_000, "direction": 1}
    rows = [row, row | {"id": 2, "direction": -1}]
    assert await amounts(Client(sapiGetAssetAssetDividend=lambda _: {"rows": rows, "total": 2})) == [3, -3]


@pytest.mark.asyncio
async def test_windows_go_back_as_far_as_is_asked() -> None:
    client = Client()
    await read(client, days=200)
    windows = client.queries("sapiGetCapitalDepositHisrec")
    assert [("endTime" in query) for query in windows] == [False, True, True], "the venue's clock says what is new"
    assert windows[-1]["startTime"] == int((NOW - 203 * DAY_S) * 1000)
    assert all(later["startTime"] == earlier["endTime"] for later, earlier in itertools.pairwise(windows))
    assert min(query["startTime"] for query in client.queries("sapiGetAssetTransfer")) == int(
        (NOW - 179 * DAY_S) * 1000
    )


@pytest.mark.asyncio
async def test_every_page_is_read() -> None:
    def deposits(query: dict[str, Any]) -> Any:
        offset = query.get("offset", 0)
        return [DEPOSIT | {"id": str(number)} for number in range(offset, min(offset + 1_000, 2_500))]

    def gifts(query: dict[str, Any]) -> Any:
        last = min(query.get("endTime", 1_200), 1_200)
        row = {"amount": "1", "asset": "BNB"}
        return {"rows": [row | {"id": n, "divTime": n} for n in range(last, max(last - 500, 0), -1)], "total": 1_200}

    found = await read(Client(sapiGetCapitalDepositHisrec=deposits, sapiGetAssetAssetDividend=gifts))
    assert sum(flow.kind == "deposit" for flow in found) == 2_500
    assert sum(flow.kind == "dividend" for flow in found) == 1_200


@pytest.mark.asyncio
async def test_a_page_that_repeats_is_no_end() -> None:
    rows = [DEPOSIT | {"id": str(number)} for number in range(1_000)]
    with pytest.raises(MalformedReply):
        await read(Client(sapiGetCapitalDepositHisrec=lambda _: rows))
    at_once = [{"amount": "1", "asset": "BNB", "id": n, "divTime": 7} for n in range(500)]
    with pytest.raises(MalformedReply):
        await read(Client(sapiGetAssetAssetDividend=lambda _: {"rows": at_once, "total": 900}))


@pytest.mark.asyncio
async def test_a_total_of_nothing_needs_no_list_and_anything_else_does() -> None:
    assert await read(Client(sapiGetAssetTransfer=lambda _: {"total": 0})) == ()
    for odd in ({"total": 3}, {}, {"rows": None, "total": None}, [], {"rows": [1], "total": 1}):
        with pytest.raises(MalformedReply):
            await read(Client(sapiGetAssetTransfer=lambda _, odd=odd: odd))
