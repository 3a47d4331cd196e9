"""What a futures key asks of api.binance.com (/sapi): its permissions, transfers, strategies, the list of coins.

After developers.binance.com: wallet, and algo trading (futures). A strategy (TWAP, VP) is a parent that the venue runs:
it is in no book of orders, places children in the plain one, and outlives every cancel of them.
Left out: deposits and withdrawals, which reach the spot or funding wallet and never a futures one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import Bot, LedgerRow
from adapters.simulated.wire import binanceusdm_markets as markets
from adapters.simulated.wire.base import Key, Request, milliseconds, text
from adapters.simulated.wire.binance_common import Endpoint, refusal, wanted, whole
from adapters.simulated.wire.binanceusdm_rows import Half

SAPI_HOST = "api.binance.com"
_WALLETS = {"spot": "MAIN", "funding": "FUNDING", "cross": "MARGIN", "um": "UMFUTURE", "cm": "CMFUTURE"}
_TRANSFER_DAYS_MS = 7 * 86_400_000
_PAGE, _LARGEST_PAGE = 10, 100
_FIRST_ALGO_ID = 14_511


class Asked(Protocol):
    """The face that is asked."""

    exchange: Exchange
    key: Key
    half: Half


def sapi_endpoints(face: Asked) -> dict[tuple[str, str], Endpoint]:
    """The endpoints by method and path."""
    wallet, strategies = _Wallet(face), _Strategies(face)
    algo = "/sapi/v1/algo/futures"
    return {
        ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(Call.OTHER, wallet.restrictions),
        ("GET", "/sapi/v1/asset/transfer"): Endpoint(Call.LEDGER, wallet.transfers),
        ("GET", "/sapi/v1/capital/config/getall"): Endpoint(Call.MARKETS, lambda _, __: _coins(), weight=10),
        ("GET", "/sapi/v1/margin/allPairs"): Endpoint(Call.MARKETS, lambda _, __: [], private=False, keyed=True),
        ("GET", "/sapi/v1/system/status"): Endpoint(Call.OTHER, lambda _, __: {"status": 0, "msg": "normal"}, False),
        ("GET", f"{algo}/openOrders"): Endpoint(Call.OPEN_ORDERS, strategies.open),
        ("DELETE", f"{algo}/order"): Endpoint(Call.CANCEL, strategies.stop),
    }


class _Wallet:
    def __init__(self, face: Asked) -> None:
        self._face = face

    def restrictions(self, _: Request, __: Mapping[str, Any]) -> Any:
        key = self._face.key
        return {
            "ipRestrict": bool(key.bound_to),
            "createTime": 1698645219000,
            "enableReading": True,
            "enableWithdrawals": key.may_withdraw,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": True,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": False,
            "enablePortfolioMarginTrading": False,
        }

    def transfers(self, request: Request, form: Mapping[str, Any]) -> Any:
        """One direction between two wallets; the last seven days unless a start is given; newest first."""
        direction, now = wanted(form, "type"), milliseconds(request.wall)
        start = whole(form, "startTime", now - _TRANSFER_DAYS_MS) or 0
        end = whole(form, "endTime", now) or now
        size = min(whole(form, "size", _PAGE) or _PAGE, _LARGEST_PAGE)
        first = ((whole(form, "current", 1) or 1) - 1) * size
        found = [
            _transfer(row, direction)
            for row in sorted(self._face.exchange.flows, key=lambda row: (row.wall, row.number), reverse=True)
            if start <= milliseconds(row.wall) <= end and self._direction(row) == direction
        ]
        return {"total": len(found), "rows": found[first : first + size]}

    def _direction(self, row: LedgerRow) -> str:
        """Of a row of the futures wallet; where no other wallet is named it is the spot wallet."""
        if row.wallet != self._face.half.wallet or row.kind not in ("deposit", "withdrawal", "transfer"):
            return ""
        others = (other.wallet for other in self._face.exchange.flows if other.ref == row.ref and other is not row)
        other, own = _WALLETS.get(next(others, "spot"), "MAIN"), self._face.half.moves
        return f"{other}_{own}" if row.amount > 0 else f"{own}_{other}"


class _Strategies:
    """The venue knows a strategy by a number of its own."""

    def __init__(self, face: Asked) -> None:
        self._face = face
        self._ids: dict[str, int] = {}

    def open(self, request: Request, _: Mapping[str, Any]) -> Any:
        bots = self._face.exchange.strategies()
        return {"total": len(bots), "orders": [self._row(bot, request.wall) for bot in bots]}

    def stop(self, request: Request, form: Mapping[str, Any]) -> Any:
        number = whole(form, "algoId")
        running = {self._id(bot): bot.bot_id for bot in self._face.exchange.strategies()}
        if number not in running:
            raise refusal(-20124, "Invalid algo id or it has been completed.")
        self._face.exchange.stop_strategy(running[number], request.wall)
        return {"algoId": number, "success": True, "code": 0, "msg": "OK"}

    def _id(self, bot: Bot) -> int:
        return self._ids.setdefault(bot.bot_id, _FIRST_ALGO_ID + len(self._ids))

    def _row(self, bot: Bot, wall: float) -> dict[str, Any]:
        draft = bot.draft
        return {
            "algoId": self._id(bot),
            "symbol": self._face.exchange.instrument(draft.symbol).wire_id,
            "side": draft.side.upper(),
            "positionSide": draft.position_side.upper() or "BOTH",
            "totalQty": text(draft.quantity * 100),
            "executedQty": "0.000",
            "executedAmt": "0.00000000",
            "avgPrice": "0.00",
            "clientAlgoId": bot.bot_id,
            "bookTime": milliseconds(bot.began_wall),
            "endTime": milliseconds(wall) + 3_600_000,
            "algoStatus": "WORKING",
            "algoType": bot.strategy.upper(),
            "urgency": "LOW",
        }


def _transfer(row: LedgerRow, direction: str) -> dict[str, Any]:
    return {
        "asset": row.asset,
        "amount": text(abs(row.amount)),
        "type": direction,
        "status": "CONFIRMED",
        "tranId": 9_689_000_000 + row.ref,
        "timestamp": milliseconds(row.wall),
    }


@cache
def _coins() -> bytes:
    nothing = dict.fromkeys(("free", "locked", "freeze", "withdrawing", "ipoing", "ipoable", "storage"), "0")
    rows = [
        {
            "coin": code,
            "name": code,
            "depositAllEnable": True,
            "withdrawAllEnable": True,
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
            **nothing,
        }
        for code in markets.asset_prices()
        if code != "USD"
    ]
    return json.dumps(rows).encode()
