"""bybit's books of money: the transaction log of the unified wallet, and the records of what came, left and moved.

Each endpoint has a window of its own, and shows less than it has unless it is asked twice: by its default times,
its page, and for withdrawals its default of what left over a chain.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, LedgerRow
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Request, Route, milliseconds, text
from adapters.simulated.wire.bybit_account import FUND, MEMBER
from adapters.simulated.wire.bybit_words import DAY_S, page, refused, window

_MOVED = ("deposit", "withdrawal", "internal", "transfer", "sub_transfer")
_TYPES = {
    "trade": "TRADE",
    "position": "TRADE",
    "funding": "SETTLEMENT",
    "interest": "INTEREST",
    "airdrop": "AIRDROP",
    "rebate": "FEE_REFUND",
}
_OTHER_MEMBER = "592324"
_WEEK_S, _MONTH_S = 7 * DAY_S, 30 * DAY_S


class Flows:
    """Tells what happened to the money of an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v5/account/transaction-log"): Route(Call.LEDGER, self._log),
            ("GET", "/v5/asset/fundinghistory"): Route(Call.LEDGER, self._fund_log),
            ("GET", "/v5/asset/deposit/query-record"): Route(Call.LEDGER, self._deposits),
            ("GET", "/v5/asset/deposit/query-internal-record"): Route(Call.LEDGER, self._internal_deposits),
            ("GET", "/v5/asset/withdraw/query-record"): Route(Call.LEDGER, self._withdrawals),
            ("GET", "/v5/asset/transfer/query-inter-transfer-list"): Route(Call.LEDGER, self._transfers),
            ("GET", "/v5/asset/transfer/query-universal-transfer-list"): Route(Call.LEDGER, self._sub_transfers),
        }

    # --- logs ------------------------------------------------------------------------------------------

    def _log(self, request: Request, form: dict[str, Any]) -> Any:
        span = window(form, request.wall, unasked_s=DAY_S, most_s=_WEEK_S)
        rows = [
            row
            for row in self.exchange.ledger
            if row.wallet == markets.UNIFIED and _within(row, span) and self._is_asked_for(row, form)
        ]
        shown, cursor = page(rows, form, _key)
        return {"list": [self._log_row(row) for row in shown], "nextPageCursor": cursor}

    def _is_asked_for(self, row: LedgerRow, form: Mapping[str, Any]) -> bool:
        """Empty parameters ask for nothing."""
        told = {"currency": row.asset, "type": _type(row), "category": self._category(row)}
        return all(form.get(name) in (None, "", value) for name, value in told.items())

    def _log_row(self, row: LedgerRow) -> dict[str, str]:
        """Rows of one event share an id: it takes the currency and the change to tell them apart."""
        funding = row.amount if row.kind == "funding" else None
        flow = row.amount + row.fee - (funding or ZERO)
        instrument = self.exchange.instruments.get(row.symbol or "")
        name = "" if instrument is None else instrument.wire_id
        before, after = row.sizes or (ZERO, ZERO)
        return {
            "id": f"{_OTHER_MEMBER}_{name or row.asset}_{161_440_000_000 + row.ref}",
            "symbol": name,
            "category": self._category(row),
            "side": _side(row) if instrument is not None else "None",
            "transactionTime": str(milliseconds(row.wall)),
            "type": _type(row),
            "transSubType": "",
            "qty": text(abs(after - before) if row.sizes else row.amount),
            "size": text(after) if row.sizes else "0",
            "currency": row.asset,
            "tradePrice": "" if row.price is None else text(row.price),
            "funding": "" if funding is None else text(funding),
            "fee": text(row.fee),
            "cashFlow": text(flow),
            "change": text(row.amount),
            "cashBalance": text(row.balance),
            "feeRate": "0",
            "bonusChange": "",
            "tradeId": str(uuid.UUID(int=row.ref)) if row.kind in ("trade", "position") else "",
            "orderId": "",
            "orderLinkId": "",
            "extraFees": "",
        }

    def _category(self, row: LedgerRow) -> str:
        instrument = self.exchange.instruments.get(row.symbol or "")
        return "" if instrument is None else markets.category(instrument)

    def _fund_log(self, request: Request, form: dict[str, Any]) -> Any:
        """The funding wallet's; its times are in seconds, and stand both there or not at all."""
        asked = [form.get(name) for name in ("createTimeFrom", "createTimeTo")]
        if (asked[0] is None) != (asked[1] is None):
            raise refused(10001, "params error: createTimeFrom and createTimeTo belong together")
        times = {} if asked[0] is None else {"startTime": f"{asked[0]}000", "endTime": f"{asked[1]}999"}
        span = window(times, request.wall, unasked_s=_WEEK_S, most_s=_WEEK_S + 1)
        rows = [row for row in self.exchange.ledger if row.wallet == FUND and _within(row, span)]
        shown, cursor = page(rows, form, _key, rows_unasked=10, most=100, is_encoded=True)
        return {"list": [_fund_row(row) for row in shown], "nextPageCursor": cursor}

    # --- records ---------------------------------------------------------------------------------------

    def _deposits(self, request: Request, form: dict[str, Any]) -> Any:
        return self._records(request, form, _deposit_row, self._flows("deposit"))

    def _internal_deposits(self, request: Request, form: dict[str, Any]) -> Any:
        return self._records(request, form, _internal_row, [row for row in self._flows("internal") if row.amount > 0])

    def _withdrawals(self, request: Request, form: dict[str, Any]) -> Any:
        """Over a chain, unless others are asked for."""
        kinds = {"0": ("withdrawal",), "1": ("internal",), "2": ("withdrawal", "internal")}
        wanted = kinds.get(str(form.get("withdrawType") or "0"))
        if wanted is None:
            raise refused(10001, "params error: withdrawType is invalid")
        return self._records(request, form, _withdrawal_row, [row for row in self._flows(*wanted) if row.amount < 0])

    def _records(
        self,
        request: Request,
        form: Mapping[str, Any],
        row_of: Callable[[LedgerRow], dict[str, Any]],
        rows: Sequence[LedgerRow],
    ) -> dict[str, Any]:
        """Of the last thirty days, or of thirty others."""
        span = window(form, request.wall, unasked_s=_MONTH_S, most_s=_MONTH_S)
        found = [row for row in rows if _within(row, span) and form.get("coin") in (None, "", row.asset)]
        shown, cursor = page(found, form, _key, rows_unasked=50, is_encoded=True)
        return {"rows": [row_of(row) for row in shown], "nextPageCursor": cursor}

    def _transfers(self, request: Request, form: dict[str, Any]) -> Any:
        """Between wallets of the account: what left one has arrived in the other."""
        arrived = {row.ref: row.wallet for row in self._flows("transfer") if row.amount > 0}
        left = {row.ref: row.wallet for row in self._flows("transfer") if row.amount < 0}
        rows = [row for row in self._flows("transfer") if row.amount > 0 or row.ref not in arrived]

        def told(row: LedgerRow) -> dict[str, Any]:
            source = left.get(row.ref) or _other(row.wallet)
            target = arrived.get(row.ref) or _other(row.wallet)
            return _transfer_row(row, source, target) | {"transferId": f"selfTransfer_{uuid.UUID(int=row.ref)}"}

        return self._moves(request, form, told, rows)

    def _sub_transfers(self, request: Request, form: dict[str, Any]) -> Any:
        """Between this account and another of the same owner."""

        def told(row: LedgerRow) -> dict[str, Any]:
            members = (_OTHER_MEMBER, MEMBER) if row.amount > 0 else (MEMBER, _OTHER_MEMBER)
            named = {"transferId": f"universalTransfer_{uuid.UUID(int=row.ref)}"}
            named |= {"fromMemberId": members[0], "toMemberId": members[1]}
            return _transfer_row(row, row.wallet, row.wallet) | named

        return self._moves(request, form, told, self._flows("sub_transfer"))

    def _moves(
        self,
        request: Request,
        form: Mapping[str, Any],
        row_of: Callable[[LedgerRow], dict[str, Any]],
        rows: Sequence[LedgerRow],
    ) -> dict[str, Any]:
        """Of a week. Times are taken by the second."""
        start, end = window(form, request.wall, unasked_s=_WEEK_S, most_s=_WEEK_S)
        found = [row for row in rows if int(start) <= int(row.wall) <= int(end)]
        found = [row for row in found if form.get("coin") in (None, "", row.asset)]
        shown, cursor = page(found, form, _key, is_encoded=True)
        return {"list": [row_of(row) for row in shown], "nextPageCursor": cursor}

    def _flows(self, *kinds: str) -> list[LedgerRow]:
        return [row for row in self.exchange.flows if row.kind in kinds]


def _type(row: LedgerRow) -> str:
    if row.kind in _MOVED:
        return "TRANSFER_IN" if row.amount > 0 else "TRANSFER_OUT"
    if row.kind == "borrow":
        return "BORROW" if row.amount > 0 else "REPAY"
    return _TYPES.get(row.kind, row.kind.upper())


def _side(row: LedgerRow) -> str:
    if row.sizes is None:
        return "Buy" if row.amount > 0 else "Sell"
    return "Buy" if row.sizes[1] > row.sizes[0] else "Sell"


def _fund_row(row: LedgerRow) -> dict[str, str]:
    words = {"deposit": "Deposit", "withdrawal": "Withdraw", "transfer": "Transfer", "sub_transfer": "Transfer"}
    said = words.get(row.kind, row.kind.capitalize())
    return {
        "memberId": MEMBER,
        "currency": row.asset,
        "ioDirection": "I" if row.amount > 0 else "O",
        "txnAmt": text(abs(row.amount)),
        "afterAmt": text(row.balance),
        "createTime": str(int(row.wall)),
        "showBusiType": f"fundingAccountRecord{said}",
        "showBusiTypeEn": said,
        "description": f"fundingAccountRecord{said}",
        "descriptionEn": said,
    }


def _deposit_row(row: LedgerRow) -> dict[str, Any]:
    return {
        "id": str(160_000_000 + row.number),
        "coin": row.asset,
        "chain": "TRX",
        "amount": text(row.amount),
        "txID": uuid.UUID(int=row.ref).hex,
        "status": 3,
        "toAddress": "TDGYpm5zPacnEqKV34TJPuhJhHom9hcXAy",
        "tag": "",
        "depositFee": "",
        "successAt": str(milliseconds(row.wall)),
        "confirmations": "50",
        "txIndex": "0",
        "blockHash": uuid.UUID(int=row.ref).hex,
        "batchReleaseLimit": "-1",
        "depositType": "0",
        "fromAddress": "",
        "taxDepositRecordsId": "0",
        "taxStatus": 0,
    }


def _internal_row(row: LedgerRow) -> dict[str, Any]:
    """Its time is in seconds, unlike everybody else's."""
    return {
        "id": str(1000 + row.number),
        "type": 1,
        "coin": row.asset,
        "amount": text(row.amount),
        "status": 2,
        "address": "xxxx***@example.com",
        "createdTime": str(int(row.wall)),
        "fromMemberId": _OTHER_MEMBER,
        "txID": str(uuid.UUID(int=row.ref)),
        "complianceStatus": 0,
        "taxDepositRecordsId": "0",
        "taxStatus": 0,
    }


def _withdrawal_row(row: LedgerRow) -> dict[str, Any]:
    is_internal = row.kind == "internal"
    at = str(milliseconds(row.wall))
    return {
        "withdrawId": str(131_000_000 + row.number),
        "withdrawType": int(is_internal),
        "coin": row.asset,
        "chain": "" if is_internal else "ETH",
        "amount": text(abs(row.amount) - row.fee),
        "withdrawFee": text(row.fee),
        "txID": "" if is_internal else f"0x{uuid.UUID(int=row.ref).hex}",
        "status": "success",
        "toAddress": _OTHER_MEMBER if is_internal else "0xE3De6d711e0951d34777b5Cd93c827F822ee8514",
        "tag": "",
        "createTime": at,
        "updateTime": at,
        "fee": "",
        "tax": "",
        "taxRate": "",
        "taxType": "",
    }


def _transfer_row(row: LedgerRow, source: str, target: str) -> dict[str, Any]:
    return {
        "coin": row.asset,
        "amount": text(abs(row.amount)),
        "fromAccountType": source,
        "toAccountType": target,
        "timestamp": str(int(row.wall) * 1000),
        "status": "SUCCESS",
    }


def _other(wallet: str) -> str:
    return FUND if wallet == markets.UNIFIED else markets.UNIFIED


def _within(row: LedgerRow, span: tuple[float, float]) -> bool:
    """Times of a request are whole milliseconds."""
    return milliseconds(span[0]) <= milliseconds(row.wall) <= milliseconds(span[1])


def _key(row: LedgerRow) -> tuple[int, str]:
    return milliseconds(row.wall), f"{row.number:012d}"
