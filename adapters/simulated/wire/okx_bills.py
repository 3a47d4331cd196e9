"""okx's books of money: bills of the trading account, bills of the funding account, deposits and withdrawals.

Deposits land in the funding account; the trading account's money moves by transfers alone. A deposit that the
simulated account got straight into its trading wallet is therefore shown as what it would have been: a deposit, a
transfer, and a bill of each account. All lists have the newest first, a hundred to a page, and reach back only so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, LedgerRow
from adapters.simulated.wire.base import decimal, milliseconds, text
from adapters.simulated.wire.okx_desk import page
from adapters.simulated.wire.okx_markets import FUNDING, TRADING, inst_type

_DAY_S = 86_400.0
BILLS_S = 7 * _DAY_S
ARCHIVE_S = 92 * _DAY_S
FUNDING_BILLS_S = 30 * _DAY_S
HISTORY_LAG_S = 30.0
_FIRST_ID = 623_950_854_533_513_000
_ALWAYS = 10 * 366 * _DAY_S
_MOVED = frozenset({"deposit", "withdrawal", "transfer", "sub_transfer", "rebate", "airdrop"})
# type and subType of a trading bill, where money came in, and where it went out.
_BILL_TYPES = {
    "trade": (("2", "1"), ("2", "2")),
    "position": (("2", "5"), ("2", "6")),
    "funding": (("8", "174"), ("8", "173")),
    "interest": (("7", "9"), ("7", "9")),
    "borrow": (("16", "16"), ("22", "22")),
}
# type of a funding bill, in and out. Those of rebates, airdrops and interest are guesses.
_FUNDING_TYPES = {
    "deposit": ("1", "1"),
    "withdrawal": ("13", "2"),
    "transfer": ("130", "131"),
    "sub_transfer": ("21", "20"),
    "rebate": ("68", "68"),
    "airdrop": ("28", "28"),
    "interest": ("48", "48"),
}


def trading_bills(exchange: Exchange, form: Mapping[str, Any], now: float, reach_s: float) -> list[dict[str, Any]]:
    """`account/bills` and `account/bills-archive`: paged by id; `begin` and `end` are times."""
    rows = (_bill(exchange, row) for row in _within(exchange, TRADING, now, reach_s))
    begin, end = decimal(form, "begin"), decimal(form, "end")
    kept = (
        row
        for row in rows
        if (begin is None or Decimal(row["ts"]) >= begin) and (end is None or Decimal(row["ts"]) <= end)
    )
    return page(kept, form, "billId", ("instType", "instId", "ccy", "mgnMode", "type", "subType"))


def funding_bills(
    exchange: Exchange, form: Mapping[str, Any], now: float, reach_s: float = FUNDING_BILLS_S, lag_s: float = 0.0
) -> list[dict[str, Any]]:
    """`asset/bills` and `asset/bills-history`: paged by time."""
    own = [_funding_bill(row) for row in _within(exchange, FUNDING, now - lag_s, reach_s)]
    passed = [
        bill
        for row in _within(exchange, TRADING, now - lag_s, reach_s)
        if row.kind in ("deposit", "withdrawal")
        for bill in _passed_through(row)
    ]
    newest_first = sorted(own + passed, key=lambda bill: bill["billId"], reverse=True)
    return page(newest_first, form, "ts", ("ccy", "type"))


def deposits(exchange: Exchange, form: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """`asset/deposit-history`: paged by time."""
    return _history(exchange, form, now, "deposit", _deposit)


def withdrawals(exchange: Exchange, form: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """`asset/withdrawal-history`: paged by time."""
    return _history(exchange, form, now, "withdrawal", _withdrawal)


def _history(
    exchange: Exchange,
    form: Mapping[str, Any],
    now: float,
    kind: str,
    written: Callable[[LedgerRow], dict[str, Any]],
) -> list[dict[str, Any]]:
    rows = (row for wallet in (FUNDING, TRADING) for row in _within(exchange, wallet, now, _ALWAYS))
    return page(map(written, (row for row in rows if row.kind == kind)), form, "ts", ("ccy", "state", "txId"))


def _within(exchange: Exchange, wallet: str, now: float, reach_s: float) -> Iterable[LedgerRow]:
    return (row for row in exchange.ledger if row.wallet == wallet and now - reach_s <= row.wall <= now)


def _bill(exchange: Exchange, row: LedgerRow) -> dict[str, Any]:
    """One change of one coin of the trading account; `from` and `to` are 6 (funding) and 18 (trading)."""
    is_in = row.amount >= 0
    kind, sub_kind = _types(row)
    instrument = None if row.symbol is None else exchange.instruments[row.symbol]
    from_to = (("6", "18") if is_in else ("18", "6")) if row.kind in _MOVED else ("", "")
    size = ZERO if row.sizes is None else abs(row.sizes[1] - row.sizes[0])
    return {
        "billId": str(_FIRST_ID + row.number),
        "ccy": row.asset,
        "balChg": text(row.amount),
        "bal": text(row.balance),
        "posBalChg": "0",
        "posBal": "0",
        "type": kind,
        "subType": sub_kind,
        "sz": text(size or abs(row.amount)),
        "px": "" if row.price is None else text(row.price),
        "pnl": text(row.amount + row.fee) if row.kind == "position" else "0",
        "fee": text(-row.fee) if row.fee else "0",
        "interest": "0",
        "from": from_to[0],
        "to": from_to[1],
        "instType": "" if instrument is None else inst_type(instrument),
        "instId": "" if instrument is None else instrument.wire_id,
        "mgnMode": "" if instrument is None else "cross",
        "ordId": "",
        "clOrdId": "",
        "tradeId": "",
        "execType": "",
        "notes": "" if row.kind not in _MOVED else "From Funding Account" if is_in else "To Funding Account",
        "tag": "",
        "ts": _stamp(row),
        "fillTime": "",
    }


def _types(row: LedgerRow) -> tuple[str, str]:
    into, out = _BILL_TYPES.get(row.kind, (("1", "11"), ("1", "12")))
    return into if row.amount >= 0 else out


def _funding_bill(row: LedgerRow) -> dict[str, Any]:
    into, out = _FUNDING_TYPES.get(row.kind, ("1", "2"))
    kind = into if row.amount >= 0 else out
    return _written(row, str(_FIRST_ID + row.number), kind, row.amount, row.balance)


def _passed_through(row: LedgerRow) -> list[dict[str, Any]]:
    """The two bills of money that only passed through: what came in went on to the trading account, and back."""
    arrived, left = ("1", "131") if row.amount >= 0 else ("130", "2")
    first = _written(row, f"{_FIRST_ID + row.number}1", arrived, abs(row.amount), abs(row.amount))
    return [first, _written(row, f"{_FIRST_ID + row.number}2", left, -abs(row.amount), ZERO)]


def _written(row: LedgerRow, bill_id: str, kind: str, amount: Decimal, balance: Decimal) -> dict[str, Any]:
    return {
        "billId": bill_id,
        "ccy": row.asset,
        "clientId": "",
        "balChg": text(amount),
        "bal": text(balance),
        "type": kind,
        "notes": "",
        "ts": _stamp(row),
    }


def _deposit(row: LedgerRow) -> dict[str, Any]:
    return {
        "ccy": row.asset,
        "chain": f"{row.asset}-Chain",
        "amt": text(row.amount),
        "from": "",
        "to": "TAddress",
        "txId": f"0xd{row.number}",
        "ts": _stamp(row),
        "state": "2",
        "depId": str(4_703_879 + row.number),
        "actualDepBlkConfirm": "30",
        "areaCodeFrom": "",
        "fromWdId": "",
    }


def _withdrawal(row: LedgerRow) -> dict[str, Any]:
    return {
        "ccy": row.asset,
        "chain": f"{row.asset}-Chain",
        "amt": text(abs(row.amount + row.fee)),
        "fee": text(row.fee),
        "feeCcy": row.asset,
        "from": "",
        "to": "TAddress",
        "txId": f"0xw{row.number}",
        "ts": _stamp(row),
        "state": "2",
        "wdId": str(4_703_879 + row.number),
        "clientId": "",
        "nonTradableAsset": False,
        "note": "",
    }


def _stamp(row: LedgerRow) -> str:
    return str(milliseconds(row.wall))
