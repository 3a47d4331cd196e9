"""Every change of an amount is one row of the book, net of its fee: a flow, or profit or loss."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.dialect import Book
from adapters.lane import Urgency, travelling
from adapters.venues import kraken_book, krakenfutures_book
from risk_daemon.errors import MalformedReply, VenueUnavailable
from risk_daemon.model.events import Flow


def _amounts(rows: tuple[Flow, ...]) -> list[tuple[str, str, Decimal]]:
    return [(row.flow_id, row.asset, row.amount) for row in rows]


# --- kraken ------------------------------------------------------------------------------------------


def _kraken_row(kind: str, amount: str, fee: str = "0", asset: str = "ZUSD", **rest: Any) -> dict[str, Any]:
    return {"type": kind, "amount": amount, "fee": fee, "asset": asset, "time": 5.0, "refid": "R1"} | rest


def _kraken_book(ledger: dict[str, Any]) -> Book:
    return kraken_book.split(kraken_book.parse_rows("k", ledger))


def test_kraken_what_came_or_went_is_a_flow_net_of_its_fee() -> None:
    book = _kraken_book(
        {
            "L1": _kraken_row("withdrawal", "-100", "2", time=9.0),
            "L2": _kraken_row("deposit", "50"),
            "L3": _kraken_row("transfer", "-1", asset="XXBT", time=1.0),
            "L4": _kraken_row("transfer", "1", asset="XBT.F", time=1.5),
        }
    )
    assert _amounts(book.flows) == [
        ("L3", "BTC", Decimal(-1)),
        ("L4", "BTC", Decimal(1)),
        ("L2", "USD", Decimal(50)),
        ("L1", "USD", Decimal(-102)),
    ]
    assert book.trades == ()


@pytest.mark.parametrize(
    "kind", ["trade", "margin", "rollover", "settled", "staking", "earn", "dividend", "spend", "receive", "conversion"]
)
def test_kraken_everything_else_is_profit_or_loss(kind: str) -> None:
    book = _kraken_book({"L1": _kraken_row(kind, "-7", "0.5")})
    assert book == Book(
        (), (Flow(flow_id="L1", venue="k", asset="USD", amount=Decimal("-7.5"), wall=5.0, kind=kind, group="R1"),)
    )


def test_kraken_a_type_that_nobody_knows_yet_is_no_flow() -> None:
    book = _kraken_book({"L1": _kraken_row("moonshot", "-7")})
    assert book.flows == ()
    assert book.trades is not None
    assert len(book.trades) == 1


def test_kraken_the_legs_of_a_trade_share_its_group() -> None:
    legs = {"L1": _kraken_row("trade", "-100", "0.26"), "L2": _kraken_row("trade", "0.002", asset="XXBT")}
    other = {"L3": _kraken_row("trade", "1", refid="R2")}
    trades = _kraken_book(legs | other).trades or ()
    assert {row.flow_id: row.group for row in trades} == {"L1": "R1", "L2": "R1", "L3": "R2"}


def test_kraken_fee_credits_are_no_money_in_the_book_as_in_the_balances() -> None:
    assert _kraken_book({"L1": _kraken_row("trade", "-3", asset="KFEE")}) == Book((), ())


@pytest.mark.parametrize("change", [{"amount": "NaN"}, {"fee": None}, {"asset": ""}, {"time": "soon"}])
def test_kraken_an_odd_row_refuses_the_listing(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        _kraken_book({"L1": _kraken_row("trade", "1"), "L2": _kraken_row("trade", "1") | change})


# --- krakenfutures -----------------------------------------------------------------------------------


def _log_row(number: int, info: str, old: float, new: float, **rest: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "info": info,
        "asset": "usdt",
        "contract": None,
        "execution": None,
        "booking_uid": f"B{number}",
    }
    return row | {"old_balance": old, "new_balance": new, "date": "2026-08-11T19:55:24.251Z"} | rest


def _futures_book(*rows: dict[str, Any]) -> Book:
    return krakenfutures_book.split(krakenfutures_book.parse_rows("f", rows))


def test_futures_flows_are_transfers_and_moves_between_own_wallets_cancel_out() -> None:
    book = _futures_book(
        _log_row(1, "cross-exchange transfer", 100.0, 350.0),
        _log_row(2, "transfer", 350.0, 250.0, margin_account="cash"),
        _log_row(3, "transfer", 0.0, 100.0, margin_account="flex"),
    )
    assert _amounts(book.flows) == [
        ("1", "USDT", Decimal(250)),
        ("2", "USDT", Decimal(-100)),
        ("3", "USDT", Decimal(100)),
    ]
    assert book.trades == ()
    assert book.flows[0].wall == pytest.approx(1786478124.251)


@pytest.mark.parametrize(
    "info",
    ["futures trade", "futures liquidation", "funding rate change", "interest payment", "conversion", "settlement"],
)
def test_futures_everything_else_is_profit_or_loss(info: str) -> None:
    book = _futures_book(_log_row(9, info, 0.0077, 0, asset="usd", fee=0.0035, realized_pnl=-0.0042))
    assert book.flows == ()
    assert _amounts(book.trades or ()) == [("9", "USD", Decimal("-0.0077"))], "pnl and fee are in the balance already"


def test_futures_the_size_of_a_position_is_no_money() -> None:
    trade = {"contract": "pf_dogeusd", "execution": "E1"}
    book = _futures_book(
        _log_row(1, "futures trade", 10, 9.5, asset="usd", **trade),
        _log_row(2, "futures trade", 0, 5000, asset="pf_dogeusd", **trade),
        _log_row(3, "futures trade", 0, 12, asset="FI_XBTUSD_261225", contract="fi_xbtusd_261225"),
        _log_row(4, "kfee applied", 5, 4, asset="kfee"),
    )
    assert [(row.flow_id, row.group) for row in book.trades or ()] == [("1", "E1")]


@pytest.mark.parametrize("change", [{"new_balance": None}, {"old_balance": "NaN"}, {"asset": None}, {"info": ""}])
def test_futures_an_odd_row_refuses_the_listing(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        _futures_book(_log_row(1, "transfer", 0, 1) | change)


# --- reading no row twice ----------------------------------------------------------------------------


class Ledger:
    """Kraken's ledger: newest first, 50 a page, `start` exclusive, with a count."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        self.fails_at: int | None = None
        self.on_call: Any = None

    def add(self, kind: str, time: float, count: int = 1) -> None:
        for _ in range(count):
            self.rows.append((f"L{len(self.rows):05d}", _kraken_row(kind, "-1", time=time)))

    async def ask(self, query: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(query)
        if self.on_call is not None:
            self.on_call(len(self.asked))
        if self.fails_at == len(self.asked):
            raise VenueUnavailable("EAPI:Rate limit exceeded")
        found = [
            (row_id, row)
            for row_id, row in sorted(self.rows, key=lambda item: (item[1]["time"], item[0]), reverse=True)
            if row["time"] > query["start"] and query["type"] in ("all", row["type"])
        ]
        offset = query.get("ofs", 0)
        return {"ledger": dict(found[offset : offset + 50]), "count": len(found)}

    def new_calls(self) -> list[str]:
        asked, self.asked = self.asked, []
        return [query["type"] for query in asked]


def _busy_hour() -> tuple[Ledger, kraken_book.LedgerReader]:
    ledger = Ledger()
    for second in range(1500):
        ledger.add("trade", 1000.0 + second)
        if second in (10, 700, 1480):
            ledger.add("withdrawal", 1000.5 + second)
    ledger.add("credit", 1100.0)
    return ledger, kraken_book.LedgerReader("k", ledger.ask)


def _ids(book: Book) -> tuple[int, int]:
    assert book.trades is not None
    return len(book.flows), len(book.trades)


async def test_kraken_the_first_listing_of_a_busy_hour_asks_for_flows_by_their_types() -> None:
    ledger, reader = _busy_hour()
    assert _ids(await reader.read(900.0)) == (3, 49)
    assert ledger.new_calls() == ["all", "deposit", "withdrawal", "transfer"]
    with travelling(Urgency.URGENT):
        assert _ids(await reader.read(900.0)) == (3, 49)
    assert ledger.new_calls() == ["all"], "what is rare waits for a listing that is not urgent"
    assert _ids(await reader.read(900.0)) == (4, 49)
    assert ledger.new_calls() == ["adjustment", "credit", "all"]


async def test_kraken_after_that_one_page_is_enough_and_flows_are_still_complete() -> None:
    ledger, reader = _busy_hour()
    await reader.read(900.0)
    await reader.read(900.0)
    ledger.new_calls()
    ledger.add("trade", 2600.0, 20)
    ledger.add("withdrawal", 2601.0)
    assert _ids(await reader.read(901.0)) == (5, 69)
    assert ledger.new_calls() == ["all"]


async def test_kraken_a_listing_that_was_cut_short_goes_on_where_it_stood() -> None:
    ledger, reader = _busy_hour()
    ledger.fails_at = 4
    with pytest.raises(VenueUnavailable):
        await reader.read(900.0)
    ledger.new_calls()
    ledger.fails_at = None
    assert _ids(await reader.read(900.0)) == (4, 49)
    assert ledger.new_calls() == ["transfer", "adjustment", "credit", "all"]


async def test_kraken_a_short_ledger_is_walked_page_by_page() -> None:
    ledger = Ledger()
    ledger.add("trade", 1000.0, 120)
    ledger.add("deposit", 999.0)
    reader = kraken_book.LedgerReader("k", ledger.ask)
    assert _ids(await reader.read(0.0)) == (1, 120)
    assert ledger.new_calls() == ["all"] * 3


@pytest.mark.parametrize("kind", ["withdrawal", "trade"])
async def test_kraken_a_row_that_comes_late_among_known_ones_is_found_by_the_count(kind: str) -> None:
    ledger = Ledger()
    for second in range(150):
        ledger.add("trade", 1000.0 + second)
    reader = kraken_book.LedgerReader("k", ledger.ask)
    await reader.read(0.0)
    ledger.add(kind, 1000.5)
    book = await reader.read(0.0)
    assert len((*book.flows, *(book.trades or ()))) == 151


async def test_kraken_pages_that_shift_while_they_are_read_leave_nothing_out() -> None:
    ledger = Ledger()
    ledger.add("deposit", 1000.0, 130)

    def write(call: int) -> None:
        if call == 2:
            ledger.add("deposit", 1001.0, 3)

    ledger.on_call = write
    reader = kraken_book.LedgerReader("k", ledger.ask)
    first = {flow.flow_id for flow in (await reader.read(0.0)).flows}
    assert {row_id for row_id, _ in ledger.rows[:130]} <= first
    assert len((await reader.read(0.0)).flows) == 133


@pytest.mark.parametrize("counted", [3, 0])
async def test_kraken_a_ledger_that_does_not_add_up_is_refused(counted: int) -> None:
    async def ask(_: dict[str, Any]) -> dict[str, Any]:
        return {"ledger": {"L1": _kraken_row("deposit", "1")}, "count": counted}

    with pytest.raises(MalformedReply):
        await kraken_book.LedgerReader("k", ask).read(0.0)


async def test_kraken_what_is_older_than_the_time_asked_for_is_forgotten_and_can_be_asked_for_again() -> None:
    _, reader = _busy_hour()
    await reader.read(900.0)
    assert _ids(await reader.read(9_000.0)) == (0, 0)
    assert len((await reader.read(900.0)).flows) == 3


class AccountLog:
    """Kraken Futures' account log, with what its calls cost."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.cost = 0

    def add(self, info: str, count: int = 1) -> None:
        for _ in range(count):
            self.rows.append(_log_row(len(self.rows) + 1, info, 1, 0))

    async def ask(self, query: dict[str, Any]) -> list[Any]:
        self.cost += 1 if query["count"] <= 25 else 3 if query["count"] <= 1000 else 6
        found = [
            row
            for row in self.rows
            if query.get("from", 0) <= row["id"] <= query.get("to", 10**9)
            and query.get("info", row["info"]) == row["info"]
        ]
        return (found if query["sort"] == "asc" else found[::-1])[: query["count"]]

    def spent(self) -> int:
        cost, self.cost = self.cost, 0
        return cost


async def test_futures_only_what_is_new_is_read_again() -> None:
    log = AccountLog()
    reader = krakenfutures_book.LogReader("f", log.ask)
    log.add("transfer")
    log.add("futures trade", 3000)
    assert _ids(await reader.read(0.0)) == (1, 3000)
    assert log.spent() == 10
    log.add("transfer")
    log.add("futures trade", 20)
    assert _ids(await reader.read(0.0)) == (2, 3020)
    assert log.spent() == 1
    log.add("futures trade", 500)
    assert _ids(await reader.read(0.0)) == (2, 3520)
    assert log.spent() == 4


async def test_futures_of_a_log_that_is_too_long_all_flows_are_read_by_their_types() -> None:
    log = AccountLog()
    reader = krakenfutures_book.LogReader("f", log.ask)
    log.add("cross-exchange transfer", 3)
    log.add("futures trade", 7000)
    book = await reader.read(0.0)
    assert (len(book.flows), len(book.trades or ())) == (3, 6025)
    log.spent()
    log.add("transfer")
    log.add("funding rate change", 7000)
    assert len((await reader.read(0.0)).flows) == 4


async def test_futures_an_empty_log_costs_one_of_the_pool() -> None:
    log = AccountLog()
    reader = krakenfutures_book.LogReader("f", log.ask)
    for _ in range(3):
        assert await reader.read(0.0) == Book((), ())
        assert log.spent() == 1
    log.add("transfer")
    assert len((await reader.read(0.0)).flows) == 1
