"""What a simulated mexc tells of money that came and went: deposits, withdrawals, transfers, trades, funding.

There is no ledger: every sort has a list of its own, with windows of its own. A deposit has no id, a withdrawal's
`amount` includes its fee, and a transfer between spot and contract is listed only by the direction that was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, Fill, LedgerRow
from adapters.simulated.wire.base import Request, Route, decimal, milliseconds, text
from adapters.simulated.wire.mexc_names import CONTRACT_WALLET, SPOT_WALLET, account_word, side_number
from adapters.simulated.wire.mexc_rules import no
from adapters.simulated.wire.mexc_ws import deal_id

DAY_MS = 86_400_000
_HISTORY_MS = 90 * DAY_MS
_TRANSFER_HISTORY_MS = 180 * DAY_MS
_WINDOW_MS = 7 * DAY_MS
_SUCCESS_IN, _SUCCESS_OUT = 5, 7


class Flows:
    """The lists. `exchange` is the account; rows stand here when they stand in its book, which may be late."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def routes(self) -> dict[tuple[str, str], Route]:
        handlers: dict[str, Callable[[Request, dict[str, Any]], Any]] = {
            "/api/v3/capital/deposit/hisrec": self._deposits,
            "/api/v3/capital/withdraw/history": self._withdrawals,
            "/api/v3/capital/transfer": self._transfers,
            "/api/v3/capital/transfer/internal": self._to_other_users,
            "/api/v3/capital/sub-account/universalTransfer": self._sub_transfers,
            "/api/v1/private/account/transfer_record": self._contract_transfers,
            "/api/v1/private/position/funding_records": self._funding,
        }
        deals = "/api/v1/private/order/list/order_deals"
        fills: dict[str, Callable[[Request, dict[str, Any]], Any]] = {
            "/api/v3/myTrades": self._spot_trades,
            deals: self._contract_trades,
            f"{deals}/v3": self._contract_trades,
        }
        kinds = ((Call.LEDGER, handlers), (Call.FILLS, fills))
        return {("GET", path): Route(call, handler) for call, table in kinds for path, handler in table.items()}

    def _fill_of(self, row: LedgerRow) -> Fill | None:
        """The execution that a row is of, if it is an order's."""
        fills = (fill for fill in reversed(self.exchange.fills) if fill.order.draft.symbol == row.symbol)
        return next((fill for fill in fills if (fill.wall, fill.price) == (row.wall, row.price)), None)

    def _rows(self, *kinds: str, wallet: str | None = None) -> list[LedgerRow]:
        """Newest first."""
        rows = [row for row in self.exchange.ledger if row.kind in kinds and wallet in (None, row.wallet)]
        return sorted(rows, key=lambda row: (row.wall, row.number), reverse=True)

    # --- deposits and withdrawals ------------------------------------------------------------------------

    def _deposits(self, request: Request, form: dict[str, Any]) -> Any:
        rows = _within(self._rows("deposit"), _window(request, form))
        return [_deposit(row) for row in _of_coin(rows, form)[: _limit(form, 1000)]]

    def _withdrawals(self, request: Request, form: dict[str, Any]) -> Any:
        rows = _within(self._rows("withdrawal"), _window(request, form))
        return [_withdrawal(row) for row in _of_coin(rows, form)[: _limit(form, 1000)]]

    # --- transfers ---------------------------------------------------------------------------------------

    def _transfers(self, request: Request, form: dict[str, Any]) -> Any:
        asked = _accounts(form)
        window = _window(request, form, span_ms=_TRANSFER_HISTORY_MS, back_ms=_TRANSFER_HISTORY_MS)
        rows = [row for row in _within(self._moves(), window) if _direction(row) == asked]
        page, size = _page(form, "page", "size", most=100)
        listed = [_transfer(row) for row in rows[page * size : (page + 1) * size]]
        return {"rows": listed, "total": len(rows)}

    def _moves(self) -> list[LedgerRow]:
        """One row of each transfer: where both wallets tell of it, the spot wallet's."""
        found: dict[int, LedgerRow] = {}
        for row in self._rows("transfer"):
            if row.ref not in found or row.wallet == SPOT_WALLET:
                found[row.ref] = row
        return list(found.values())

    def _contract_transfers(self, _: Request, form: dict[str, Any]) -> Any:
        rows = [
            row for row in self._rows("transfer", wallet=CONTRACT_WALLET) if form.get("currency") in (None, row.asset)
        ]
        page, size = _page(form, "page_num", "page_size", most=100)
        listed = [
            {
                "id": 303_381_000 + row.number,
                "txid": f"{row.ref:032x}",
                "currency": row.asset,
                "amount": float(abs(row.amount)),
                "type": "IN" if row.amount > 0 else "OUT",
                "state": "SUCCESS",
                "createTime": milliseconds(row.wall),
                "updateTime": milliseconds(row.wall),
            }
            for row in rows[page * size : (page + 1) * size]
        ]
        pages = -(-len(rows) // size)
        return {
            "pageSize": size,
            "totalCount": len(rows),
            "totalPage": pages,
            "currentPage": page + 1,
            "resultList": listed,
        }

    def _sub_transfers(self, request: Request, form: dict[str, Any]) -> Any:
        """Between this account and its sub-accounts, in one direction of account types."""
        source, target = _accounts(form)
        window = _window(request, form, span_ms=_TRANSFER_HISTORY_MS, back_ms=_TRANSFER_HISTORY_MS)
        rows = [
            row
            for row in _within(self._rows("sub_transfer"), window)
            if account_word(row.wallet) == (source if row.amount < 0 else target)
        ]
        page, size = _page(form, "page", "limit", most=500)
        return [
            {
                "tranId": f"{row.ref:032x}",
                "fromAccount": "" if row.amount < 0 else "sub",
                "toAccount": "sub" if row.amount < 0 else "",
                "clientTranId": "",
                "asset": row.asset,
                "amount": text(abs(row.amount)),
                "fromAccountType": source,
                "toAccountType": target,
                "fromSymbol": "",
                "toSymbol": "",
                "status": "SUCCESS",
                "timestamp": milliseconds(row.wall),
            }
            for row in rows[page * size : (page + 1) * size]
        ]

    def _to_other_users(self, _: Request, __: dict[str, Any]) -> Any:
        return {"page": 1, "totalRecords": 0, "totalPageNum": 0, "data": []}

    # --- trades and funding ------------------------------------------------------------------------------

    def _spot_trades(self, request: Request, form: dict[str, Any]) -> Any:
        """Of one pair; the last month, and no more than 1000."""
        pair = self.exchange.instrument(str(form.get("symbol", "")))
        window = _window(request, form, span_ms=30 * DAY_MS, back_ms=30 * DAY_MS, default_ms=30 * DAY_MS)
        legs: dict[int, dict[str, LedgerRow]] = {}
        for row in _within(self._rows("trade", wallet=SPOT_WALLET), window):
            legs.setdefault(row.ref, {})[row.asset] = row
        pairs = [
            (found[pair.base], found[pair.quote]) for found in legs.values() if {pair.base, pair.quote} == set(found)
        ]
        shown = pairs[: _limit(form, 1000)]
        return [_spot_trade(pair.wire_id, base, quote, self._fill_of(base)) for base, quote in shown]

    def _contract_trades(self, _: Request, form: dict[str, Any]) -> Any:
        page, size = _page(form, "page_num", "page_size", most=100)
        rows = [row for row in self._rows("position") if row.sizes is not None and _is_recent(row, form)]
        return [self._contract_trade(row) for row in rows[page * size : (page + 1) * size]]

    def _contract_trade(self, row: LedgerRow) -> dict[str, Any]:
        (before, after), fill = row.sizes or (ZERO, ZERO), self._fill_of(row)
        return {
            "id": str(row.number if fill is None else fill.fill_id),
            "symbol": self.exchange.instrument(row.symbol or "").wire_id,
            "side": (1 if after > before else 3) if fill is None else side_number(fill.order.draft),
            "vol": float(abs(after - before)),
            "price": float(row.price or 0),
            "fee": float(row.fee),
            "feeCurrency": row.asset,
            "profit": float(row.amount + row.fee),
            "isTaker": True,
            "taker": True,
            "positionMode": 1,
            "category": 1,
            "orderId": "0" if fill is None else fill.order.order_id,
            "timestamp": milliseconds(row.wall),
        }

    def _funding(self, _: Request, form: dict[str, Any]) -> Any:
        rows = [row for row in self._rows("funding") if _is_recent(row, form)]
        page, size = _page(form, "page_num", "page_size", most=100)
        listed = [
            {
                "id": row.number,
                "symbol": self.exchange.instrument(row.symbol or "").wire_id,
                "positionType": 1,
                "positionValue": 0,
                "funding": float(row.amount),
                "rate": 0.0001,
                "settleTime": milliseconds(row.wall),
            }
            for row in rows[page * size : (page + 1) * size]
        ]
        pages = -(-len(rows) // size)
        return {
            "pageSize": size,
            "totalCount": len(rows),
            "totalPage": pages,
            "currentPage": page + 1,
            "resultList": listed,
        }


def _window(
    request: Request,
    form: Mapping[str, Any],
    *,
    span_ms: int = _WINDOW_MS,
    back_ms: int = _HISTORY_MS,
    default_ms: int = _WINDOW_MS,
) -> tuple[Decimal, Decimal]:
    """From when until when: the last seven days unless asked. A longer span is refused, and so is what is too old."""
    now = milliseconds(request.wall)
    end = decimal(form, "endTime") or Decimal(now)
    start = decimal(form, "startTime")
    start = end - default_ms if start is None else start
    if start < now - back_ms - 60_000:
        raise no(400, f"The start time cannot be earlier than {back_ms // DAY_MS} days")
    if end - start > span_ms:
        raise no(400, "The time range is too long")
    return start, end


def _within(rows: Sequence[LedgerRow], window: tuple[Decimal, Decimal]) -> list[LedgerRow]:
    return [row for row in rows if window[0] <= milliseconds(row.wall) <= window[1]]


def _is_recent(row: LedgerRow, form: Mapping[str, Any]) -> bool:
    start, end, stamp = decimal(form, "start_time"), decimal(form, "end_time"), milliseconds(row.wall)
    return (start is None or stamp >= start) and (end is None or stamp <= end)


def _of_coin(rows: list[LedgerRow], form: Mapping[str, Any]) -> list[LedgerRow]:
    wanted = str(form.get("coin", "")).partition("-")[0]
    return [row for row in rows if wanted in ("", row.asset)]


def _limit(form: Mapping[str, Any], most: int) -> int:
    return min(int(decimal(form, "limit") or most), most)


def _page(form: Mapping[str, Any], page: str, size: str, *, most: int, usual: int = 10) -> tuple[int, int]:
    """Which page, counted from 0, and how long one is."""
    number, length = decimal(form, page) or Decimal(1), decimal(form, size) or Decimal(usual)
    return max(0, int(number) - 1), max(1, min(int(length), most))


def _accounts(form: Mapping[str, Any]) -> tuple[str, str]:
    words = str(form.get("fromAccountType", "")), str(form.get("toAccountType", ""))
    if not set(words) <= {"SPOT", "FUTURES"}:
        raise no(700004, "Mandatory parameter 'fromAccountType' or 'toAccountType' was not sent")
    return words


def _direction(row: LedgerRow) -> tuple[str, str]:
    here = account_word(row.wallet)
    there = account_word(CONTRACT_WALLET if row.wallet == SPOT_WALLET else SPOT_WALLET)
    return (there, here) if row.amount > 0 else (here, there)


def _deposit(row: LedgerRow) -> dict[str, Any]:
    return {
        "amount": text(row.amount),
        "coin": f"{row.asset}-TRX",
        "network": "TRX",
        "status": _SUCCESS_IN,
        "address": "TXmade0up",
        "txId": f"{row.ref:064x}:0",
        "insertTime": milliseconds(row.wall),
        "updateTime": milliseconds(row.wall),
        "unlockConfirm": "10",
        "confirmTimes": "20",
        "memo": "",
    }


def _withdrawal(row: LedgerRow) -> dict[str, Any]:
    return {
        "id": f"{row.ref:032x}",
        "txId": f"0x{row.ref:064x}:0",
        "coin": f"{row.asset}-TRX",
        "network": "TRX",
        "address": "TXmade0up",
        "amount": text(-row.amount),
        "transferType": 0,
        "status": _SUCCESS_OUT,
        "transactionFee": text(row.fee),
        "confirmNo": None,
        "applyTime": milliseconds(row.wall),
        "updateTime": milliseconds(row.wall),
        "remark": "",
        "memo": "",
        "transHash": f"0x{row.ref:064x}",
        "coinId": "",
        "vcoinId": "",
    }


def _transfer(row: LedgerRow) -> dict[str, Any]:
    source, target = _direction(row)
    return {
        "tranId": f"{row.ref:032x}",
        "clientTranId": "",
        "asset": row.asset,
        "amount": text(abs(row.amount)),
        "fromAccountType": source,
        "toAccountType": target,
        "fromSymbol": "",
        "toSymbol": "",
        "status": "SUCCESS",
        "timestamp": milliseconds(row.wall),
    }


def _spot_trade(symbol: str, base: LedgerRow, quote: LedgerRow, fill: Fill | None) -> dict[str, Any]:
    paid = quote.amount + quote.fee
    return {
        "symbol": symbol,
        "id": f"{base.ref}X1" if fill is None else deal_id(fill),
        "orderId": str(base.ref) if fill is None else fill.order.order_id,
        "orderListId": -1,
        "price": text(abs(paid / base.amount)),
        "qty": text(abs(base.amount)),
        "quoteQty": text(abs(paid)),
        "commission": text(quote.fee),
        "commissionAsset": quote.asset,
        "time": milliseconds(base.wall),
        "isBuyer": base.amount > 0,
        "isMaker": False,
        "isBestMatch": True,
        "isSelfTrade": False,
        "clientOrderId": None,
    }
