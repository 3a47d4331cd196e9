"""okx's trading account in its JSON: balances and positions.

The wallet of the exchange is what one owns; of it the venue shows apart what is margin of isolated positions (`isoEq`)
and what was given to trading bots (`stgyEq`): neither is in `cashBal`, so that `cashBal` falls when a position is
opened and nothing is lost. `eq = cashBal + upl + isoEq + stgyEq`. A loan makes `cashBal` negative, and `liab` says
what is owed: it is no second debt. That a loan which lies in cash is not shown at all is a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import ZERO, HeldPosition, Instrument
from adapters.simulated.wire.base import milliseconds, text
from adapters.simulated.wire.okx_books import TRADING_BOTS, invested
from adapters.simulated.wire.okx_markets import FUNDING, LEVERAGE, TRADING, asset_prices, inst_type
from adapters.simulated.wire.okx_words import blank

_EMPTY_DETAIL = """
accAvgPx clSpotInUseAmt fixedBal imr maxLoan maxSpotInUse mgnRatio mmr notionalLever openAvgPx rewardBal smtSyncEq
spotBal spotInUseAmt spotIsoBal spotUpl spotUplRatio totalPnl totalPnlRatio twap
"""
_EMPTY_POSITION = """
adl availPos baseBal baseBorrowed baseInterest bePx bizRefId bizRefType deltaBS deltaPA gammaBS gammaPA idxPx
interest last liab liabCcy liqPx liqPenalty margin mgnRatio optVal pendingCloseOrdLiabVal posCcy quoteBal
quoteBorrowed quoteInterest spotInUseAmt spotInUseCcy thetaBS thetaPA tradeId usdPx vegaBS vegaPA
"""
_FIRST_POSITION_ID = 3_070_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class _Apart:
    """Of one coin: what lies outside its cash, and the profits that stand beside it."""

    margin: Decimal = ZERO
    isolated_profit: Decimal = ZERO
    cross_profit: Decimal = ZERO
    strategies: Decimal = ZERO


def balance(exchange: Exchange, now: float, only: Iterable[str] = ()) -> dict[str, Any]:
    """The one row of `account/balance`. only: these coins (on sockets, those that changed)."""
    wallet, wanted = exchange.wallets.get(TRADING, {}), set(only)
    held = exchange.held()
    coins = {*wallet, *map(settled_in, _instruments(exchange))}
    details = [_detail(exchange, coin, held.get(coin, ZERO), now) for coin in sorted(coins)]
    shown = [row for row in details if row["cashBal"] != "0" or row["eq"] != "0"]
    total = sum((Decimal(row["eqUsd"]) for row in shown), ZERO)
    return {
        "uTime": _stamp(now),
        "totalEq": text(total),
        "adjEq": "",
        "availEq": "",
        "borrowFroz": "",
        "imr": "",
        "isoEq": text(sum((Decimal(row["isoEq"]) for row in shown), ZERO)),
        "mgnRatio": "",
        "mmr": "",
        "notionalUsd": "",
        "notionalUsdForBorrow": "",
        "notionalUsdForFutures": "",
        "notionalUsdForOption": "",
        "notionalUsdForSwap": "",
        "ordFroz": "",
        "upl": "",
        "details": [row for row in shown if not wanted or row["ccy"] in wanted],
    }


def funding_rows(exchange: Exchange, only: Iterable[str] = ()) -> list[dict[str, Any]]:
    """`asset/balances`: coins of the funding wallet, those above zero."""
    wallet, wanted = exchange.wallets.get(FUNDING, {}), set(only)
    return [
        {"ccy": coin, "bal": text(amount), "availBal": text(amount), "frozenBal": "0"}
        for coin, amount in wallet.items()
        if amount > 0 and (not wanted or coin in wanted)
    ]


def position_rows(exchange: Exchange, now: float) -> list[dict[str, Any]]:
    """`account/positions`: those that are not flat."""
    return [position_row(exchange, held, now) for held in exchange.positions.values()]


def position_row(exchange: Exchange, held: HeldPosition, now: float) -> dict[str, Any]:
    """One position; in a spot pair it is of type MARGIN."""
    instrument, mark = exchange.instruments[held.symbol], exchange.quotes[held.symbol].mark
    is_margin = instrument.settle is None
    size = abs(held.quantity) if held.side else held.quantity
    worth = abs(held.quantity) * instrument.worth(mark)
    usd = worth * asset_prices().get(settled_in(instrument), ZERO)
    profit = instrument.profit(held.quantity, held.entry, mark)
    margin = _margin(instrument, held)
    row: dict[str, Any] = {
        "instType": "MARGIN" if is_margin else inst_type(instrument),
        "instId": instrument.wire_id,
        "mgnMode": "isolated" if held.isolated else "cross",
        "posId": _position_id(exchange, held),
        "posSide": held.side or "net",
        "pos": text(size),
        "ccy": settled_in(instrument),
        "avgPx": text(held.entry),
        "markPx": text(mark),
        "upl": text(profit),
        "uplRatio": text(profit / margin if margin else ZERO, 6),
        "lever": str(LEVERAGE),
        "imr": "" if held.isolated else text(worth / LEVERAGE),
        "mmr": text(worth / 100),
        "notionalUsd": text(usd),
        "realizedPnl": "0",
        "pnl": "0",
        "fee": "0",
        "fundingFee": "0",
        "closeOrderAlgo": [],
        "cTime": _stamp(held.opened_wall),
        "uTime": _stamp(held.opened_wall),
    }
    if held.isolated:
        row["margin"] = text(margin)
    if is_margin:
        row |= _borrowed(instrument, held)
    return blank(_EMPTY_POSITION) | {"pTime": _stamp(now)} | row


def flat_row(exchange: Exchange, symbol: str, leg: str, now: float) -> dict[str, Any]:
    """A position that is no more, as sockets tell it."""
    held = HeldPosition(symbol, ZERO, exchange.quotes[symbol].mark, now, leg)
    return position_row(exchange, held, now) | {"pos": "0", "avgPx": "", "upl": "0", "posCcy": "", "notionalUsd": ""}


def settled_in(instrument: Instrument) -> str:
    """The coin of a position's profit."""
    return instrument.settle or instrument.quote


def _instruments(exchange: Exchange) -> list[Instrument]:
    return [exchange.instruments[held.symbol] for held in exchange.positions.values()]


def _detail(exchange: Exchange, coin: str, held: Decimal, now: float) -> dict[str, Any]:
    apart = _apart(exchange, coin)
    owned = exchange.total(coin, TRADING) - exchange.owed(coin, TRADING)
    cash = owned - apart.margin - apart.strategies
    isolated = apart.margin + apart.isolated_profit
    equity = cash + apart.cross_profit + isolated + apart.strategies
    free, debt = max(ZERO, cash - held), max(ZERO, -cash)
    row = {
        "ccy": coin,
        "eq": text(equity.normalize() if equity == 0 else equity),
        "eqUsd": text(equity * exchange.asset_prices.get(coin, ZERO)),
        "disEq": text(equity * exchange.asset_prices.get(coin, ZERO)),
        "cashBal": text(ZERO if cash == 0 else cash),
        "availBal": text(free),
        "availEq": text(max(ZERO, free + apart.cross_profit)),
        "frozenBal": text(held + apart.strategies),
        "ordFrozen": text(held),
        "isoEq": text(isolated),
        "isoUpl": text(apart.isolated_profit),
        "isoLiab": "0",
        "upl": text(apart.cross_profit),
        "uplLiab": "0",
        "stgyEq": text(apart.strategies),
        "liab": text(debt),
        "crossLiab": text(debt),
        "interest": "0",
        "borrowFroz": "0",
        "spotCopyTradingEq": "0",
        "collateralEnabled": False,
        "uTime": _stamp(now),
    }
    return blank(_EMPTY_DETAIL) | row


def _apart(exchange: Exchange, coin: str) -> _Apart:
    margin = isolated = cross = ZERO
    for held in exchange.positions.values():
        instrument = exchange.instruments[held.symbol]
        if settled_in(instrument) != coin:
            continue
        profit = instrument.profit(held.quantity, held.entry, exchange.quotes[held.symbol].mark)
        if held.isolated:
            margin, isolated = margin + _margin(instrument, held), isolated + profit
        else:
            cross += profit
    bots = exchange.strategies(*TRADING_BOTS)
    given = (invested(exchange, bot) for bot in bots if settled_in(exchange.instruments[bot.draft.symbol]) == coin)
    return _Apart(margin, isolated, cross, sum(given, ZERO))


def _borrowed(instrument: Instrument, held: HeldPosition) -> dict[str, str]:
    """Of a margin position: what it holds (`pos`, above zero, in `posCcy`), and what it owes for that (below zero)."""
    worth = abs(held.quantity) * held.entry
    if held.quantity > 0:
        held_coin, owed = (held.quantity, instrument.base), (worth, instrument.quote)
    else:
        held_coin, owed = (worth, instrument.quote), (-held.quantity, instrument.base)
    return {"pos": text(held_coin[0]), "posCcy": held_coin[1], "liab": text(-owed[0]), "liabCcy": owed[1]}


def _position_id(exchange: Exchange, held: HeldPosition) -> str:
    """One for each instrument, leg and margin mode."""
    place = list(exchange.instruments).index(held.symbol)
    return str(_FIRST_POSITION_ID + 10 * place + ("", "long", "short").index(held.side) + (5 if held.isolated else 0))


def _margin(instrument: Instrument, held: HeldPosition) -> Decimal:
    return abs(held.quantity) * instrument.worth(held.entry) / LEVERAGE if held.quantity else ZERO


def _stamp(wall: float) -> str:
    return str(milliseconds(wall))
