"""The wallets of a simulated Binance account: spot, cross margin, an isolated one for each pair, funding, earn.

Orders of spot exchange what lies in the spot wallet, orders on margin what lies in the cross wallet or in that of
their pair. Orders of a list share one book: `oco-7` for both legs of the list 7, `oto-8` for a working order and
those that wait for it. Replies after developers.binance.com (account, margin, wallet, simple earn). Left out:
interest that accrues, and what other products hold (`um`, `cm`, `option` are names only).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, Fill, OpenOrder, OrderDraft
from adapters.simulated.wire.base import milliseconds, text
from adapters.simulated.wire.binance_common import refusal, whole

SPOT, CROSS, FUNDING, EARN, LOCKED = "spot", "cross", "funding", "earn", "locked"
ISOLATED = "isolated:"
EARN_PREFIX = "LD"
"""What lies in flexible earn stands in the spot account, too, under this prefix."""

_NO_DEBT = Decimal(999)
_MOST_SYMBOLS = 5
_EARN_PAGE, _LARGEST_PAGE = 10, 100
# wallet, and what the overview of all wallets calls it.
_OVERVIEW = {
    SPOT: "Spot",
    FUNDING: "Funding",
    CROSS: "Cross Margin",
    ISOLATED: "Isolated Margin",
    "um": "USDⓈ-M Futures",
    "cm": "COIN-M Futures",
    EARN: "Earn",
    "option": "Options",
    "bots": "Trading Bots",
    "copy": "Copy Trading",
}


class SpotAndMargin(Exchange):
    """An account whose margin orders trade with margin wallets, and whose orders may hang together in lists."""

    def wallet_of(self, draft: OrderDraft) -> str | None:
        if not draft.leveraged:
            return SPOT
        return ISOLATED + self.instruments[draft.symbol].wire_id if draft.isolated else CROSS

    def holds(self, order: OpenOrder) -> bool:
        """Every order does, triggers too; of a list, its first."""
        return not is_listed(order) or self.legs(order.draft.book)[0] is order

    def legs(self, book: str) -> list[OpenOrder]:
        """What rests of a list, in the order in which it was placed."""
        return [order for order in self.orders.values() if order.draft.book == book]

    def is_pending(self, order: OpenOrder) -> bool:
        """Does it wait for the working order of its list?"""
        book = order.draft.book
        return book.startswith(("oto-", "opo-")) and self.legs(book)[0] is not order

    def fill(self, order_id: str, now: float, *, quantity: Decimal | None = None) -> Fill:
        book = self.find(order_id).draft.book
        fill = super().fill(order_id, now, quantity=quantity)
        if book.startswith("oco-"):
            others = tuple(leg for leg in self.legs(book) if leg.order_id != fill.order.order_id)
            super()._cancel(others, now, "oco")
        return fill

    def _cancel(self, orders: tuple[OpenOrder, ...], now: float, how: str) -> None:
        """Whoever cancels one leg cancels its list."""
        legs = [leg for order in orders if is_listed(order) for leg in self.legs(order.draft.book)]
        super()._cancel(tuple(dict.fromkeys((*orders, *legs))), now, how)


def is_listed(order: OpenOrder) -> bool:
    """Is it a leg of an order list?"""
    return order.draft.book.partition("-")[2].isdigit()


def list_id(order: OpenOrder) -> int:
    """The number of its list; -1 if it is in none."""
    return int(order.draft.book.partition("-")[2]) if is_listed(order) else -1


def free_and_locked(exchange: Exchange, wallet: str, asset: str) -> tuple[Decimal, Decimal]:
    """What may be used, and what resting orders keep back."""
    locked = exchange.held(wallet).get(asset, ZERO)
    return exchange.total(asset, wallet) - locked, locked


def spot_account(exchange: Exchange, form: Mapping[str, Any], wall: float) -> dict[str, Any]:
    """`api/v3/account`: every asset there is, with zeros unless they are not wanted."""
    held, wallet = exchange.held(SPOT), exchange.wallets.get(SPOT, {})
    rows = [
        {
            "asset": asset,
            "free": text(wallet.get(asset, ZERO) - held.get(asset, ZERO), 8),
            "locked": text(held.get(asset, ZERO), 8),
        }
        for asset in dict.fromkeys((*exchange.asset_prices, *wallet))
        if str(form.get("omitZeroBalances")).lower() != "true" or wallet.get(asset)
    ]
    earning = exchange.wallets.get(EARN, {}).items()
    rows += [{"asset": EARN_PREFIX + a, "free": text(total, 8), "locked": text(ZERO, 8)} for a, total in earning]
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.0", "seller": "0.0"},
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": milliseconds(wall),
        "accountType": "SPOT",
        "balances": rows,
        "permissions": ["SPOT", "MARGIN"],
        "uid": 354937868,
    }


def cross_account(exchange: Exchange) -> dict[str, Any]:
    """`margin/account`: every asset that can be borrowed, with zeros."""
    assets, debts, net = _totals(exchange, [CROSS])
    known = dict.fromkeys((*exchange.asset_prices, *exchange.wallets.get(CROSS, {}), *exchange.debts.get(CROSS, {})))
    return {
        "created": True,
        "borrowEnabled": True,
        "marginLevel": text(assets / debts if debts else _NO_DEBT, 8),
        "collateralMarginLevel": text(assets / debts if debts else _NO_DEBT, 8),
        "totalAssetOfBtc": text(assets, 8),
        "totalLiabilityOfBtc": text(debts, 8),
        "totalNetAssetOfBtc": text(net, 8),
        "TotalCollateralValueInUSDT": text(net * exchange.asset_prices["BTC"], 8),
        "totalOpenOrderLossInUSDT": "0",
        "tradeEnabled": True,
        "transferInEnabled": True,
        "transferOutEnabled": True,
        "accountType": "MARGIN_1",
        "userAssets": [_borrowing(exchange, CROSS, asset) for asset in known],
    }


def isolated_pairs(exchange: Exchange) -> list[str]:
    """The pairs that have a wallet of their own: where there was money, a debt or an order once, it stays enabled."""
    named = [*exchange.wallets, *exchange.debts]
    ended = [gone.order for gone in exchange.cancelled] + [fill.order for fill in exchange.fills]
    named += [str(exchange.wallet_of(order.draft)) for order in (*exchange.orders.values(), *ended)]
    return [name.removeprefix(ISOLATED) for name in dict.fromkeys(named) if name.startswith(ISOLATED)]


def isolated_account(exchange: Exchange, form: Mapping[str, Any]) -> dict[str, Any]:
    """`margin/isolated/account`: of the pairs that are asked for, five at most, or of all that are enabled."""
    wanted = [name for name in str(form.get("symbols", "")).split(",") if name]
    if len(wanted) > _MOST_SYMBOLS:
        raise refusal(-1105, "Parameter 'symbols' was too long.")
    rows = [_isolated(exchange, name) for name in isolated_pairs(exchange) if not wanted or name in wanted]
    if wanted:
        return {"assets": rows}
    assets, debts, net = _totals(exchange, [ISOLATED + name for name in isolated_pairs(exchange)])
    sums = {"totalAssetOfBtc": assets, "totalLiabilityOfBtc": debts, "totalNetAssetOfBtc": net}
    return {"assets": rows} | {name: text(value, 8) for name, value in sums.items()}


def _isolated(exchange: Exchange, name: str) -> dict[str, Any]:
    pair, wallet = exchange.instrument(name), ISOLATED + name
    assets, debts, _ = _totals(exchange, [wallet])
    extra = {"borrowEnabled": True, "repayEnabled": True}
    legs = {
        "baseAsset": extra | _borrowing(exchange, wallet, pair.base),
        "quoteAsset": extra | _borrowing(exchange, wallet, pair.quote),
    }
    return legs | {
        "symbol": name,
        "isolatedCreated": True,
        "enabled": True,
        "marginLevel": text(assets / debts if debts else _NO_DEBT, 8),
        "marginLevelStatus": "EXCESSIVE",
        "marginRatio": "10.00000000",
        "indexPrice": text(exchange.quotes[pair.symbol].mark, 8),
        "liquidatePrice": "0.00000000",
        "liquidateRate": "0.00000000",
        "tradeEnabled": True,
    }


def _borrowing(exchange: Exchange, wallet: str, asset: str) -> dict[str, str]:
    free, locked = free_and_locked(exchange, wallet, asset)
    debt = exchange.owed(asset, wallet)
    return {
        "asset": asset,
        "borrowed": text(debt, 8),
        "free": text(free, 8),
        "interest": text(ZERO, 8),
        "locked": text(locked, 8),
        "netAsset": text(free + locked - debt, 8),
    }


def funding(exchange: Exchange, form: Mapping[str, Any]) -> list[dict[str, str]]:
    """`asset/get-funding-asset`: what is there, and no zeros."""
    zeros = {"locked": "0", "freeze": "0", "withdrawing": "0", "btcValuation": "0"}
    wallet = exchange.wallets.get(FUNDING, {})
    return [
        {"asset": asset, "free": text(total)} | zeros
        for asset, total in wallet.items()
        if total and form.get("asset", asset) == asset
    ]


def earn_positions(exchange: Exchange, form: Mapping[str, Any]) -> dict[str, Any]:
    """`simple-earn/flexible/position`: ten a page unless more are asked for, a hundred at most."""
    rows = [
        {
            "totalAmount": text(total, 8),
            "tierAnnualPercentageRate": {},
            "latestAnnualPercentageRate": "0.02599895",
            "asset": asset,
            "canRedeem": True,
            "collateralAmount": "0",
            "productId": f"{asset}001",
            "yesterdayRealTimeRewards": "0",
            "cumulativeBonusRewards": "0",
            "cumulativeRealTimeRewards": "0",
            "cumulativeTotalRewards": "0",
            "autoSubscribe": False,
        }
        for asset, total in exchange.wallets.get(EARN, {}).items()
        if total and form.get("asset", asset) == asset
    ]
    return {"rows": page(rows, form, _EARN_PAGE), "total": len(rows)}


def locked_positions(exchange: Exchange, form: Mapping[str, Any]) -> dict[str, Any]:
    """`simple-earn/locked/position`: in pages like the flexible ones."""
    rows = [
        {
            "positionId": number,
            "projectId": f"{asset}*90",
            "asset": asset,
            "amount": text(total, 8),
            "purchaseTime": 1646182276000,
            "duration": "90",
            "accrualDays": "4",
            "rewardAsset": asset,
            "canRedeemEarly": True,
            "type": "NORMAL",
            "status": "HOLDING",
        }
        for number, (asset, total) in enumerate(exchange.wallets.get(LOCKED, {}).items(), 123_123)
        if total and form.get("asset", asset) == asset
    ]
    return {"rows": page(rows, form, _EARN_PAGE), "total": len(rows)}


def page(rows: list[Any], form: Mapping[str, Any], default: int, largest: int = _LARGEST_PAGE) -> list[Any]:
    """The page `current`, counted from one, of `size` rows."""
    size, number = whole(form, "size", default) or default, whole(form, "current", 1) or 1
    size = min(size, largest)
    return rows[(number - 1) * size : number * size]


def overview(exchange: Exchange) -> list[dict[str, Any]]:
    """`asset/wallet/balance`: what each wallet is worth in BTC."""
    return [
        {"activate": True, "balance": text(_totals(exchange, _named(exchange, wallet))[2], 8), "walletName": name}
        for wallet, name in _OVERVIEW.items()
    ]


def _named(exchange: Exchange, wallet: str) -> list[str]:
    return [name for name in exchange.wallets if name == wallet or (wallet == ISOLATED and name.startswith(wallet))]


def _totals(exchange: Exchange, wallets: Iterable[str]) -> tuple[Decimal, Decimal, Decimal]:
    """What they hold, what is owed, and the difference, in BTC."""
    names = list(wallets)
    held = sum((_btc(exchange, exchange.wallets.get(name, {})) for name in names), ZERO)
    owed = sum((_btc(exchange, exchange.debts.get(name, {})) for name in names), ZERO)
    return held, owed, held - owed


def _btc(exchange: Exchange, amounts: Mapping[str, Decimal]) -> Decimal:
    prices = exchange.asset_prices
    return sum((amount * prices.get(asset, ZERO) for asset, amount in amounts.items()), ZERO) / prices["BTC"]
