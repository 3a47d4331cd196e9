"""A jesse strategy that asks the gate before each order. Written for jesse 3.5.

Put this file where your strategies find it, install risk-daemon into jesse's environment (only `risk_daemon.client` is
imported), and put the mixin before Strategy:

    from jesse_strategy import AsksTheGate

    class MyStrategy(AsksTheGate, Strategy):
        risk_state_dir = "/var/lib/risk-daemon"
        risk_url = "http://127.0.0.1:8787"
        risk_token_file = "/etc/jesse/risk.token"
        risk_venue = "binanceusdm"              # its name in the daemon's configuration
        risk_symbol = "{base}/{quote}:{quote}"  # ccxt's for perpetuals; "{base}/{quote}" for spot

Every order of a strategy goes by the `api` of its broker, which jesse makes in `_init_objects`: entries, exits, stops,
and what `liquidate()` sends. A refused order is None, as jesse has it for one that was not sent; cancels always pass.
That is an inside of jesse's, so look at it after an upgrade: `make try-bots` runs this in the real one. Exits are asked
about as orders that only reduce, which the daemon may let pass. Not seen: liquidations by the exchange.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from risk_daemon.client import TradingGate

LOG = logging.getLogger(__name__)


class AsksTheGate:
    """Before Strategy in the bases of a strategy. Live and paper; in a backtest it asks as well."""

    risk_state_dir: str
    risk_url: str | None = None
    risk_token_file: str | None = None
    risk_venue: str
    risk_symbol: str = "{base}/{quote}:{quote}"

    def _init_objects(self) -> None:
        """jesse's: the broker is made here."""
        super()._init_objects()  # type: ignore[misc]
        token = Path(self.risk_token_file).read_text().strip() if self.risk_token_file else None
        gate = TradingGate(self.risk_state_dir, self.risk_url, token)
        broker: Any = self.broker  # type: ignore[attr-defined]
        broker.api = AskingApi(broker.api, gate, self.risk_venue, self.risk_symbol)


class AskingApi:
    """jesse's api of orders, behind the gate."""

    def __init__(self, api: Any, gate: TradingGate, venue: str, symbol: str) -> None:
        self._api, self._gate, self._venue, self._symbol = api, gate, venue, symbol

    def __getattr__(self, name: str) -> Any:
        """Whatever sends no order: cancels, drivers."""
        return getattr(self._api, name)

    def market_order(
        self, exchange: str, symbol: str, qty: float, price: float, side: str, reduce_only: bool, *more: Any
    ) -> Any:
        if not self._allows("market", symbol, qty, None, side, reduce_only):
            return None
        return self._api.market_order(exchange, symbol, qty, price, side, reduce_only, *more)

    def limit_order(
        self, exchange: str, symbol: str, qty: float, price: float, side: str, reduce_only: bool, *more: Any
    ) -> Any:
        if not self._allows("limit", symbol, qty, price, side, reduce_only):
            return None
        return self._api.limit_order(exchange, symbol, qty, price, side, reduce_only, *more)

    def stop_order(
        self, exchange: str, symbol: str, qty: float, price: float, side: str, reduce_only: bool, *more: Any
    ) -> Any:
        if not self._allows("stop", symbol, qty, price, side, reduce_only):
            return None
        return self._api.stop_order(exchange, symbol, qty, price, side, reduce_only, *more)

    def _allows(
        self, kind: str, symbol: str, quantity: float, price: float | None, side: str, reduce_only: bool
    ) -> bool:
        """The gate's answer. Whatever goes wrong is a no."""
        try:
            base, quote = symbol.split("-")
            answer = self._gate.check(
                venue=self._venue,
                symbol=self._symbol.format(base=base, quote=quote),
                side=side,
                type=kind,
                quantity=abs(float(quantity)),
                price=None if price is None else float(price),
                reduce_only=bool(reduce_only),
            )
        except Exception:
            LOG.exception("the gate can't be asked: no order")
            return False
        if not answer:
            LOG.warning("no order for %s: %s (%s)", symbol, answer.veto_reason, answer.detail)
        return answer.is_valid()
