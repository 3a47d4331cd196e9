"""krakenfutures' wallets and account log in the venue's JSON.

Three kinds of wallet: cash (holding), flex (multi-collateral, valued in USD), and one of each
inverse contract's coin. Profit stands beside a wallet until it is realised.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, LedgerRow
from adapters.simulated.wire import krakenfutures_markets as markets
from adapters.simulated.wire.base import iso, text

_LEDGER_WORDS = {
    "trade": "futures trade",
    "position": "futures trade",
    "funding": "funding rate change",
    "deposit": "cross-exchange transfer",
    "withdrawal": "cross-exchange transfer",
    "transfer": "cross-exchange transfer",
}


def accounts(exchange: Exchange) -> dict[str, Any]:
    """Every wallet by the venue's name."""
    found: dict[str, Any] = {"cash": _cash_account(exchange), markets.FLEX: flex_account(exchange)}
    for name, wallet in exchange.wallets.items():
        if name.startswith("fi_"):
            found[name] = _margin_account(exchange, name, wallet)
    return found


def flex_account(exchange: Exchange) -> dict[str, Any]:
    """The multi-collateral wallet: quantities, and their value in USD; profit stands beside it."""
    wallet = exchange.wallets.get(markets.FLEX, {})
    values = {code: amount * exchange.asset_prices.get(code, ZERO) for code, amount in wallet.items()}
    balance, pnl = sum(values.values(), ZERO), sum(profits(exchange, wallet=markets.FLEX), ZERO)
    currencies = {
        markets.wire_asset(code): {
            "quantity": float(amount),
            "value": float(values[code]),
            "collateral": float(values[code]),
            "available": float(amount),
        }
        for code, amount in wallet.items()
    }
    return {
        "type": "multiCollateralMarginAccount",
        "currencies": currencies,
        "balanceValue": float(balance),
        "portfolioValue": float(balance + pnl),
        "collateralValue": float(balance),
        "initialMargin": 0.0,
        "initialMarginWithOrders": 0.0,
        "maintenanceMargin": 0.0,
        "pnl": float(pnl),
        "unrealizedFunding": 0.0,
        "totalUnrealized": float(pnl),
        "totalUnrealizedAsMargin": float(pnl),
        "marginEquity": float(balance + pnl),
        "availableMargin": float(balance + pnl),
    }


def profits(exchange: Exchange, *, wallet: str) -> list[Decimal]:
    """Unrealised profit of each position that settles in `wallet`."""
    return [
        exchange.instruments[held.symbol].profit(held.quantity, held.entry, exchange.quotes[held.symbol].mark)
        for held in exchange.positions.values()
        if exchange.instruments[held.symbol].wallet == wallet
    ]


def log_rows(exchange: Exchange, row: LedgerRow) -> list[dict[str, Any]]:
    """What the account log has for one row: the wallet's entry, and for a trade the position's before it."""
    contract = None if row.symbol is None else exchange.instruments[row.symbol].wire_id.lower()
    price = None if row.price is None else float(row.price)
    is_trade = row.sizes is not None
    entry: dict[str, Any] = {
        "asset": markets.wire_asset(row.asset).lower(),
        "booking_uid": str(uuid.UUID(int=2 * row.number)),
        "collateral": None,
        "contract": contract,
        "conversion_spread_percentage": None,
        "date": iso(row.wall),
        "execution": str(uuid.UUID(int=row.ref)) if is_trade else None,
        "fee": float(row.fee),
        "funding_rate": None,
        "id": 2 * row.number,
        "info": _LEDGER_WORDS.get(row.kind, row.kind),
        "liquidation_fee": None,
        "margin_account": row.wallet,
        "mark_price": price,
        "new_average_entry_price": None,
        "new_balance": float(row.balance),
        "old_average_entry_price": None,
        "old_balance": float(row.balance - row.amount),
        "realized_funding": float(row.amount) if row.kind == "funding" else None,
        "realized_pnl": float(row.amount + row.fee) if is_trade else None,
        "trade_price": price,
    }
    if row.sizes is None:
        return [entry]
    before, after = row.sizes
    size = {"asset": contract, "old_balance": float(before), "new_balance": float(after), "id": 2 * row.number - 1}
    return [entry | size | {"booking_uid": str(uuid.UUID(int=2 * row.number - 1)), "fee": None}, entry]


def transfer_row(row: LedgerRow) -> dict[str, Any]:
    """One row of the transfers."""
    return {
        "receivedTime": iso(row.wall),
        "completedTime": iso(row.wall),
        "status": "processed",
        "transfer_id": str(uuid.UUID(int=row.number)),
        "transaction_id": None,
        "targetAddress": None,
        "transferType": "deposit" if row.amount > 0 else "withdrawal",
        "currency": markets.wire_asset(row.asset).lower(),
        "amount": float(row.amount),
    }


def _cash_account(exchange: Exchange) -> dict[str, Any]:
    cash = exchange.wallets.get("cash", {})
    balances = {markets.wire_asset(code).lower(): text(cash.get(code, ZERO)) for code in markets.COLLATERAL}
    return {"balances": balances, "type": "cashAccount"}


def _margin_account(exchange: Exchange, name: str, wallet: Mapping[str, Decimal]) -> dict[str, Any]:
    code, balance = next(iter(wallet.items()))
    pnl = sum(profits(exchange, wallet=name), ZERO)
    value = float(balance + pnl)
    nothing = {"im": 0.0, "mm": 0.0, "lt": 0.0, "tt": 0.0}
    return {
        "auxiliary": {"usd": 0.0, "pv": value, "pnl": float(pnl), "af": value, "funding": 0.0},
        "marginRequirements": nothing,
        "triggerEstimates": nothing,
        "balances": {markets.wire_asset(code).lower(): text(balance)},
        "currency": markets.wire_asset(code).lower(),
        "type": "marginAccount",
    }
