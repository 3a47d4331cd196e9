"""bybit's wallets and positions: what is held, what of it is owed, and what stands open.

Borrowed money lies in `walletBalance`; `equity` is without it, and with unrealised profit. A coin of which there
is nothing has no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from adapters.simulated.accounts import fixed
from adapters.simulated.exchange import Exchange
from adapters.simulated.faults import Call
from adapters.simulated.model import ZERO, HeldPosition, Instrument
from adapters.simulated.wire import bybit_markets as markets
from adapters.simulated.wire.base import Request, Route, milliseconds, text
from adapters.simulated.wire.bybit_words import POSITION_INDEX, page, refused

MEMBER = "1448939"
FUND = "FUND"
_LEVERAGE = Decimal(10)


class Account:
    """What the account of an exchange holds."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v5/account/wallet-balance"): Route(Call.BALANCES, self._balance),
            ("GET", "/v5/asset/transfer/query-account-coins-balance"): Route(Call.BALANCES, self._coins),
            ("GET", "/v5/position/list"): Route(Call.POSITIONS, self._positions),
        }

    # --- wallets ---------------------------------------------------------------------------------------

    def _balance(self, _: Request, form: dict[str, Any]) -> Any:
        if form.get("accountType") != markets.UNIFIED:
            raise refused(10001, "accountType only support UNIFIED.")
        wanted = str(form.get("coin") or "")
        coins = [coin for coin in self._held() if not wanted or coin in wanted.split(",")]
        return {"list": [self.wallet(coins)]}

    def wallet(self, coins: Iterable[str]) -> dict[str, Any]:
        """The unified wallet with the rows of some coins, as both the call and the stream have it."""
        rows = [self._coin(coin) for coin in coins]
        usd = self.exchange.asset_prices
        held, owed = self.exchange.wallets[markets.UNIFIED], self.exchange.debts.get(markets.UNIFIED, {})
        wallet = sum((amount * usd.get(coin, ZERO) for coin, amount in held.items()), ZERO)
        debt = sum((amount * usd.get(coin, ZERO) for coin, amount in owed.items()), ZERO)
        profit = sum((self._profit(coin) * usd.get(coin, ZERO) for coin in self._held()), ZERO)
        return {
            "accountType": markets.UNIFIED,
            "accountLTV": "",
            "accountIMRate": "0",
            "accountMMRate": "0",
            "totalEquity": text(wallet - debt + profit),
            "totalWalletBalance": text(wallet),
            "totalMarginBalance": text(wallet - debt + profit),
            "totalAvailableBalance": text(wallet - debt + profit),
            "totalPerpUPL": text(profit),
            "totalInitialMargin": "0",
            "totalMaintenanceMargin": "0",
            "coin": rows,
        }

    def _held(self) -> list[str]:
        """The coins that have a row."""
        owed = self.exchange.debts.get(markets.UNIFIED, {})
        settled = [self._instrument(held).settle or "" for held in self.exchange.positions.values()]
        names = dict.fromkeys((*self.exchange.wallets[markets.UNIFIED], *owed, *settled))
        total = self.exchange.total
        return [name for name in names if total(name) or owed.get(name) or name in settled]

    def _coin(self, coin: str) -> dict[str, Any]:
        total, owed, profit = self.exchange.total(coin), self.exchange.owed(coin), self._profit(coin)
        equity = total - owed + profit
        return {
            "coin": coin,
            "equity": text(equity),
            "usdValue": text(equity * self.exchange.asset_prices.get(coin, ZERO)),
            "walletBalance": text(total),
            "locked": text(self.exchange.held().get(coin, ZERO)),
            "spotHedgingQty": "0",
            "spotBorrow": text(owed),
            "borrowAmount": text(owed),
            "accruedInterest": "0",
            "totalOrderIM": "0",
            "totalPositionIM": "0",
            "totalPositionMM": "0",
            "unrealisedPnl": text(profit),
            "cumRealisedPnl": "0",
            "bonus": "0",
            "availableToWithdraw": "",
            "availableToBorrow": "",
            "marginCollateral": True,
            "collateralSwitch": True,
        }

    def _coins(self, _: Request, form: dict[str, Any]) -> Any:
        """One wallet, named by its type; the unified one only for coins that are named."""
        kind, wanted = str(form.get("accountType", "")), str(form.get("coin") or "")
        if kind not in (markets.UNIFIED, FUND) or (kind == markets.UNIFIED and not wanted):
            raise refused(10001, "params error: accountType or coin is invalid")
        wallet = self.exchange.wallets.get(kind, {})
        rows = [
            {"coin": coin, "transferBalance": text(amount), "walletBalance": text(amount), "bonus": ""}
            for coin, amount in wallet.items()
            if (amount if not wanted else coin in wanted.split(","))
        ]
        return {"memberId": MEMBER, "accountType": kind, "balance": rows}

    def _profit(self, coin: str) -> Decimal:
        found = (held for held in self.exchange.positions.values() if self._instrument(held).settle == coin)
        return sum(map(self._unrealised, found), ZERO)

    # --- positions -------------------------------------------------------------------------------------

    def _positions(self, _: Request, form: dict[str, Any]) -> Any:
        of = markets.wanted_category(form, "linear", "inverse", "option")
        if of == "linear" and not form.get("symbol") and not form.get("settleCoin"):
            raise refused(10001, "params error: symbol and settleCoin can't be both empty")
        if form.get("symbol"):
            instrument = markets.named(self.exchange, of, form["symbol"])
            return {"category": of, "nextPageCursor": "", "list": self.rows(instrument)}
        coin = form.get("settleCoin")
        found = [
            held
            for held in self.exchange.positions.values()
            if markets.category(self._instrument(held)) == of and coin in (None, "", self._instrument(held).settle)
        ]
        shown, cursor = page(found, form, _key, most=200, ends=True)
        return {
            "category": of,
            "nextPageCursor": cursor,
            "list": [self._row(self._instrument(held), held) for held in shown],
        }

    def rows(self, instrument: Instrument) -> list[dict[str, Any]]:
        """Whatever there is of one instrument: at least an empty row."""
        found = [held for held in self.exchange.positions.values() if held.symbol == instrument.symbol]
        return [self._row(instrument, held) for held in found] or [self._row(instrument, None)]

    def _row(self, instrument: Instrument, held: HeldPosition | None) -> dict[str, Any]:
        mark = self.exchange.quotes[instrument.symbol].mark
        size = ZERO if held is None else abs(held.quantity)
        value = fixed(size * instrument.worth(held.entry)) if held is not None else ZERO
        at = "" if held is None else str(milliseconds(held.opened_wall))
        return {
            "positionIdx": 0 if held is None else POSITION_INDEX[held.side],
            "riskId": 1,
            "riskLimitValue": "2000000",
            "symbol": instrument.wire_id,
            "side": "" if held is None else "Buy" if held.quantity > 0 else "Sell",
            "size": text(size),
            "avgPrice": "0" if held is None else text(held.entry),
            "positionValue": text(value) if held is not None else "",
            "tradeMode": 0,
            "autoAddMargin": 0,
            "positionStatus": "Normal",
            "leverage": text(_LEVERAGE),
            "markPrice": text(mark),
            "liqPrice": "",
            "bustPrice": "",
            "positionMM": text(fixed(value / 200)),
            "positionIM": text(fixed(value / _LEVERAGE)),
            "positionBalance": "0",
            "takeProfit": "",
            "stopLoss": "",
            "trailingStop": "0",
            "sessionAvgPrice": text(held.entry) if held is not None and instrument.settle == "USDC" else "",
            "unrealisedPnl": "0" if held is None else text(self._unrealised(held)),
            "curRealisedPnl": "0",
            "cumRealisedPnl": "0",
            "adlRankIndicator": 2,
            "isReduceOnly": False,
            "mmrSysUpdatedTime": "",
            "leverageSysUpdatedTime": "",
            "createdTime": at,
            "updatedTime": at,
            "seq": 57236 if held is not None else -1,
        }

    def _unrealised(self, held: HeldPosition) -> Decimal:
        mark = self.exchange.quotes[held.symbol].mark
        return fixed(self._instrument(held).profit(held.quantity, held.entry, mark))

    def _instrument(self, held: HeldPosition) -> Instrument:
        return self.exchange.instruments[held.symbol]


def _key(held: HeldPosition) -> tuple[int, str]:
    return milliseconds(held.opened_wall), f"{held.symbol} {held.side}"
