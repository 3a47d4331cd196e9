"""A freqtrade strategy that asks the gate before each entry and exit.

Copy this file to freqtrade's `user_data/strategies/`, install risk-daemon into freqtrade's environment (only
`risk_daemon.client` is imported), and put the mixin before IStrategy:

    from freqtrade_confirm import AsksTheGate

    class MyStrategy(AsksTheGate, IStrategy):
        risk_state_dir = "/var/lib/risk-daemon"
        risk_url = "http://127.0.0.1:8787"
        risk_token_file = "/etc/freqtrade/risk.token"
        risk_venue = "kraken"                   # its name in the daemon's configuration

freqtrade takes an exception in these callbacks for a yes: nothing here raises. It does not call them for everything:
not for orders it replaces, for liquidations, nor for stops it places on the exchange. Additions to a position and
partial exits are asked about in `adjust_trade_position`, as orders at the rate freqtrade has at that moment; freqtrade
may round their amount, and takes the order's type from its own configuration. `make try-bots` runs this against the
real freqtrade.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from risk_daemon.client import GateAnswer, TradingGate

LOG = logging.getLogger(__name__)


class AsksTheGate:
    """Before IStrategy in the bases of a strategy. Live and dry run; a backtest has no gate to ask."""

    risk_state_dir: str
    risk_url: str | None = None
    risk_token_file: str | None = None
    risk_venue: str
    _gate: TradingGate | None = None

    def confirm_trade_entry(
        self, pair: str, order_type: str, amount: float, rate: float, *args: Any, side: str = "long", **kwargs: Any
    ) -> bool:
        """freqtrade's callback before an entry."""
        order = {"symbol": pair, "type": order_type, "quantity": amount, "price": rate}
        if not self._allows(**order, side="sell" if side == "short" else "buy"):
            return False
        inherited = _inherited(super(), "confirm_trade_entry", True)
        return bool(inherited(pair, order_type, amount, rate, *args, side=side, **kwargs))

    def confirm_trade_exit(
        self, pair: str, trade: Any, order_type: str, amount: float, rate: float, *args: Any, **kwargs: Any
    ) -> bool:
        """freqtrade's callback before an exit: an order that only reduces, which the daemon may let pass."""
        side = "buy" if getattr(trade, "is_short", False) else "sell"
        order = {"symbol": pair, "type": order_type, "quantity": amount, "price": rate}
        if not self._allows(**order, side=side, reduce_only=True):
            return False
        inherited = _inherited(super(), "confirm_trade_exit", True)
        return bool(inherited(pair, trade, order_type, amount, rate, *args, **kwargs))

    def adjust_trade_position(self, *args: Any, **kwargs: Any) -> Any:
        """freqtrade's callback that may add to a position or reduce it: the gate is asked for what is wanted."""
        wanted = _inherited(super(), "adjust_trade_position", None)(*args, **kwargs)
        stake = wanted[0] if isinstance(wanted, tuple) and wanted else wanted
        if not stake:
            return wanted
        try:
            order = _adjustment(stake, kwargs)
        except Exception:
            LOG.exception("what should be adjusted is not known: no order")
            return None
        return wanted if self._allows(**order) else None

    def _allows(self, **order: Any) -> bool:
        """The gate's answer. Whatever goes wrong is a no."""
        try:
            if str(order["type"]).lower() == "market":
                order["price"] = None
            answer: GateAnswer = self._risk_gate().check(venue=self.risk_venue, **order)
        except Exception:
            LOG.exception("the gate can't be asked: no order")
            return False
        if not answer:
            LOG.warning("no order for %s: %s (%s)", order["symbol"], answer.veto_reason, answer.detail)
        return answer.is_valid()

    def _risk_gate(self) -> TradingGate:
        if self._gate is None:
            token = Path(self.risk_token_file).read_text().strip() if self.risk_token_file else None
            self._gate = TradingGate(self.risk_state_dir, self.risk_url, token)
        return self._gate


def _adjustment(stake: float, told: Any) -> dict[str, Any]:
    """The order that freqtrade makes of a stake: more of the trade, or, below zero, a part of it less."""
    trade = told["trade"]
    enters, exits = ("sell", "buy") if trade.is_short else ("buy", "sell")
    if stake > 0:
        rate = told["current_entry_rate"]
        quantity = stake * (getattr(trade, "leverage", None) or 1.0) / rate
        return {"symbol": trade.pair, "side": enters, "type": "limit", "quantity": quantity, "price": rate}
    quantity = -stake * trade.amount / trade.stake_amount
    rate = told["current_exit_rate"]
    order = {"symbol": trade.pair, "side": exits, "type": "limit", "quantity": quantity, "price": rate}
    return order | {"reduce_only": True}


def _inherited(parent: Any, name: str, default: Any) -> Any:
    """The next strategy's callback; `default` where there is none."""
    return getattr(parent, name, lambda *_, **__: default)
