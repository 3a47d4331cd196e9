"""What a simulated Binance account tells of money that came, went and moved.

There is no ledger of spot and margin: deposits, withdrawals, transfers, distributions, loans and trades each have a
listing of their own, with a window and a page of their own (wallet, margin, sub-account, simple earn references).
The account is a sub-account (`subUserHistory`), unless it is said to be a master (`universalTransfer`); each is
refused what the other is told. Guessed: by which code; a window that is too long is -1127; what `assetDividend` calls
a rebate or interest; how far back it reaches without a time. Left out: dust, convert, pay, fiat, mining.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import LedgerRow, Refused
from adapters.simulated.wire.base import decimal, milliseconds, text
from adapters.simulated.wire.binance_common import refusal, wanted, whole
from adapters.simulated.wire.binance_wallets import CROSS, EARN, FUNDING, ISOLATED, SPOT, page

_DAY_MS = 86_400_000
_WALLETS = {
    SPOT: "MAIN",
    CROSS: "MARGIN",
    FUNDING: "FUNDING",
    "um": "UMFUTURE",
    "cm": "CMFUTURE",
    "option": "OPTION",
    "pm": "PM",
}
_PLACES = {SPOT: "SPOT", CROSS: "CROSS_MARGIN", FUNDING: "FUNDING", "um": "FUTURES", "cm": "COIN_FUTURES"}
_GIFTS = {"airdrop": "Airdrop", "rebate": "Commission rebate", "interest": "Flexible"}
_TRANSFER_DAYS = 180
_MASTER, SUB_EMAIL = "master@test.com", "sub@test.com"
_MOST_ROWS = 1000


def _window(
    form: Mapping[str, Any], wall: float, days: float, longest: float, default: float | None = None
) -> Callable[[LedgerRow], bool]:
    """The rows between `startTime` and `endTime`. days: how far back without them. Raises Refused if it is too long.

    default: how long it is with one of the two; as long as without them, unless said.
    """
    start, end = whole(form, "startTime"), whole(form, "endTime")
    width = int((days if default is None else default) * _DAY_MS)
    last = end if end is not None else milliseconds(wall)
    first = start if start is not None else last - (int(days * _DAY_MS) if end is None else width)
    if last - first > longest * _DAY_MS:
        raise refusal(-1127, f"More than {longest * 24:.0f} hours between startTime and endTime.")
    return lambda row: first <= milliseconds(row.wall) <= last


def _rows(exchange: Exchange, kinds: tuple[str, ...], fits: Callable[[LedgerRow], bool]) -> list[LedgerRow]:
    """Newest first."""
    found = [row for row in exchange.ledger if row.kind in kinds and fits(row)]
    return sorted(found, key=lambda row: (row.wall, row.number), reverse=True)


def _cut(rows: list[Any], form: Mapping[str, Any], default: int, largest: int) -> list[Any]:
    offset, limit = whole(form, "offset", 0) or 0, whole(form, "limit", default) or default
    return rows[offset : offset + min(limit, largest)]


def _utc(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S")


def tran_id(row: LedgerRow) -> int:
    """Rows of one event share it."""
    return 11_000_000_000 + row.ref


# --- from and to the outside ---------------------------------------------------------------------------


def deposits(exchange: Exchange, form: Mapping[str, Any], wall: float) -> list[dict[str, Any]]:
    """`capital/deposit/hisrec`: the last 90 days, and never more at once."""
    rows = _rows(exchange, ("deposit",), _window(form, wall, 90, 90))
    listed = [_deposit(row) for row in rows if form.get("coin", row.asset) == row.asset]
    return _cut([row for row in listed if str(form.get("status", 1)) == "1"], form, _MOST_ROWS, _MOST_ROWS)


def _deposit(row: LedgerRow) -> dict[str, Any]:
    return {
        "id": str(769_800_519_366_000_000 + row.number),
        "amount": text(row.amount),
        "coin": row.asset,
        "network": "ETH",
        "status": 1,
        "address": "0x0000000000000000000000000000000000000001",
        "addressTag": "",
        "txId": f"0x{row.number:064x}",
        "insertTime": milliseconds(row.wall),
        "completeTime": milliseconds(row.wall),
        "transferType": 0,
        "confirmTimes": "6/6",
        "unlockConfirm": 0,
        "walletType": 1 if row.wallet == FUNDING else 0,
        "travelRuleStatus": 0,
    }


def withdrawals(exchange: Exchange, form: Mapping[str, Any], wall: float) -> list[dict[str, Any]]:
    """`capital/withdraw/history`: the same windows, but times are text. The fee comes on top of the amount."""
    rows = _rows(exchange, ("withdrawal",), _window(form, wall, 90, 90))
    listed = [_withdrawal(row) for row in rows if form.get("coin", row.asset) == row.asset]
    return _cut([row for row in listed if str(form.get("status", 6)) == "6"], form, _MOST_ROWS, _MOST_ROWS)


def _withdrawal(row: LedgerRow) -> dict[str, Any]:
    return {
        "id": f"{row.number:032x}",
        "amount": text(-row.amount - row.fee),
        "transactionFee": text(row.fee),
        "coin": row.asset,
        "status": 6,
        "address": "0x0000000000000000000000000000000000000002",
        "txId": f"0x{row.number:064x}",
        "applyTime": _utc(row.wall),
        "network": "ETH",
        "transferType": 0,
        "info": "",
        "confirmNo": 6,
        "walletType": 1 if row.wallet == FUNDING else 0,
        "txKey": "",
        "completeTime": _utc(row.wall),
    }


def dividends(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """`asset/assetDividend`: airdrops, rebates, interest earned. Twenty rows unless more are asked for."""
    rows = _rows(exchange, tuple(_GIFTS), _window(form, wall, _TRANSFER_DAYS, _TRANSFER_DAYS))
    listed = [
        {
            "id": 1_637_000_000 + row.number,
            "amount": text(abs(row.amount), 8),
            "asset": row.asset,
            "divTime": milliseconds(row.wall),
            "enInfo": _GIFTS[row.kind],
            "tranId": tran_id(row),
            "direction": 1 if row.amount > 0 else -1,
        }
        for row in rows
        if form.get("asset", row.asset) == row.asset
    ]
    return {"rows": _cut(listed, form, 20, 500), "total": len(listed)}


# --- between accounts and wallets ----------------------------------------------------------------------


def sub_transfers(exchange: Exchange, form: Mapping[str, Any], wall: float) -> list[dict[str, Any]]:
    """`sub-account/transfer/subUserHistory`: without a type only what went out (2), of the last 30 days."""
    kind = whole(form, "type", 2)
    rows = _rows(exchange, ("sub_transfer",), _window(form, wall, 30, 10_000))
    listed = [
        {
            "counterParty": "master",
            "email": _MASTER,
            "type": 1 if row.amount > 0 else 2,
            "asset": row.asset,
            "qty": text(abs(row.amount)),
            "fromAccountType": "SPOT",
            "toAccountType": "SPOT",
            "status": "SUCCESS",
            "tranId": tran_id(row),
            "time": milliseconds(row.wall),
        }
        for row in rows
        if form.get("asset", row.asset) == row.asset and (row.amount > 0) == (kind == 1)
    ]
    return _cut(listed, form, 500, 500)


def master_transfers(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """`sub-account/universalTransfer`: seven days; what the master sent, unless `fromEmail` names a sub-account."""
    if form.get("fromEmail") and form.get("toEmail"):
        raise refusal(-1106, "Parameter 'toEmail' sent when not required.")
    rows = _rows(exchange, ("sub_transfer",), _window(form, wall, 7, 7))
    comes = form.get("fromEmail", _MASTER) != _MASTER or form.get("toEmail") == _MASTER
    me, other = _MASTER, SUB_EMAIL
    listed = [
        {
            "tranId": tran_id(row),
            "fromEmail": other if comes else me,
            "toEmail": me if comes else other,
            "asset": row.asset,
            "amount": text(abs(row.amount)),
            "createTimeStamp": milliseconds(row.wall),
            "fromAccountType": "SPOT",
            "toAccountType": "SPOT",
            "status": "SUCCESS",
            "clientTranId": f"sim{row.ref}",
        }
        for row in rows
        if (row.amount > 0) == comes
    ]
    size, number = min(whole(form, "limit", 500) or 500, 500), whole(form, "page", 1) or 1
    return {"result": listed[(number - 1) * size : number * size], "totalCount": len(listed)}


def _ends(exchange: Exchange, row: LedgerRow) -> tuple[str, str]:
    """The wallets a transfer left and reached. One without another half is with the futures' wallet."""
    other = next((r.wallet for r in exchange.ledger if r.ref == row.ref and r.wallet != row.wallet), "um")
    return (row.wallet, other) if row.amount < 0 else (other, row.wallet)


def _moves(exchange: Exchange, fits: Callable[[LedgerRow], bool]) -> list[tuple[LedgerRow, str, str]]:
    """Each transfer once, with where it left and where it went."""
    once = {row.ref: row for row in _rows(exchange, ("transfer",), fits)}
    return [(row, *_ends(exchange, row)) for row in once.values()]


def universal_transfers(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """`asset/transfer`: one direction a call, seven days unless asked for more, six months at most."""
    wanted(form, "type")
    source, target = _named(form)
    fits = _window(form, wall, 7, _TRANSFER_DAYS, default=_TRANSFER_DAYS)
    listed = [
        {
            "asset": row.asset,
            "amount": text(abs(row.amount)),
            "type": form["type"],
            "status": "CONFIRMED",
            "tranId": tran_id(row),
            "timestamp": milliseconds(row.wall),
        }
        for row, left, reached in _moves(exchange, fits)
        if (left, reached) == (source, target)
    ]
    return {"total": len(listed), "rows": page(listed, form, 10)}


def move(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """POST `asset/transfer`. Raises Refused."""
    source, target = _named(form)
    asset, amount = wanted(form, "asset"), decimal(form, "amount")
    if amount is None or amount <= 0 or exchange.total(asset, source) < amount:
        raise Refused("insufficient_funds", f"not enough {asset} in {source}")
    exchange.transfer(asset, amount, wall, source=source, target=target)
    return {"tranId": tran_id(exchange.ledger[-1])}


def _named(form: Mapping[str, Any]) -> tuple[str, str]:
    """The wallets that `type` names: `MAIN_UMFUTURE`, and with a symbol `MARGIN_ISOLATEDMARGIN`. Raises Refused."""
    source, _, target = wanted(form, "type").replace("PORTFOLIO_MARGIN", "PM").partition("_")
    return _wallet(form, source, "fromSymbol"), _wallet(form, target, "toSymbol")


def _wallet(form: Mapping[str, Any], name: str, symbol: str) -> str:
    if name == "ISOLATEDMARGIN":
        return ISOLATED + wanted(form, symbol)
    found = next((wallet for wallet, word in _WALLETS.items() if word == name), None)
    if found is None:
        raise refusal(-1130, "Data sent for parameter 'type' is not valid.")
    return found


def margin_transfers(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """`margin/transfer`: of the cross wallet, or of `isolatedSymbol`: seven days, thirty at most."""
    wallet = ISOLATED + str(form["isolatedSymbol"]) if form.get("isolatedSymbol") else CROSS
    fits = _window(form, wall, 7, 30)
    listed = [
        {
            "amount": text(abs(row.amount), 8),
            "asset": row.asset,
            "status": "CONFIRMED",
            "timestamp": milliseconds(row.wall),
            "txId": tran_id(row),
            "type": "ROLL_IN" if reached == wallet else "ROLL_OUT",
            "transFrom": _place(left),
            "transTo": _place(reached),
        }
        for row, left, reached in _moves(exchange, fits)
        if wallet in (left, reached) and form.get("asset", row.asset) == row.asset
    ]
    listed = [row for row in listed if form.get("type", row["type"]) == row["type"]]
    return {"rows": page(listed, form, 10), "total": len(listed)}


def _place(wallet: str) -> str:
    return "ISOLATED_MARGIN" if wallet.startswith(ISOLATED) else _PLACES.get(wallet, wallet.upper())


def loans(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """`margin/borrow-repay`: `BORROW` or `REPAY`, of seven days; of thirty where an asset is named."""
    kind = wanted(form, "type").upper()
    wallet = ISOLATED + str(form["isolatedSymbol"]) if form.get("isolatedSymbol") else CROSS
    rows = _rows(exchange, ("borrow",), _window(form, wall, 7, 30 if form.get("asset") else 7))
    listed = [
        {
            "type": "MANUAL",
            "isolatedSymbol": form.get("isolatedSymbol", ""),
            "amount": text(abs(row.amount), 8),
            "asset": row.asset,
            "interest": "0.00000000",
            "principal": text(abs(row.amount), 8),
            "status": "CONFIRMED",
            "timestamp": milliseconds(row.wall),
            "txId": tran_id(row),
        }
        for row in rows
        if row.wallet == wallet and (row.amount > 0) == (kind == "BORROW") and form.get("asset", row.asset) == row.asset
    ]
    return {"rows": page(listed, form, 10), "total": len(listed)}


def earn_moves(exchange: Exchange, form: Mapping[str, Any], wall: float, *, in_: bool) -> dict[str, Any]:
    """Subscriptions to flexible earn, or redemptions: 30 days unless asked for more, three months at most."""
    listed = [
        {
            "amount": text(abs(row.amount), 8),
            "asset": row.asset,
            "time": milliseconds(row.wall),
            "productId": f"{row.asset}001",
            "status": "SUCCESS",
        }
        | ({"purchaseId": row.ref, "sourceAccount": "SPOT"} if in_ else {"redeemId": row.ref, "destAccount": "SPOT"})
        for row, left, reached in _moves(exchange, _window(form, wall, 30, 93))
        if (reached if in_ else left) == EARN and form.get("asset", row.asset) == row.asset
    ]
    return {"rows": page(listed, form, 10), "total": len(listed)}
