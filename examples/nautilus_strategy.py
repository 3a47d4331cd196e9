"""A nautilus_trader strategy that asks the gate before each order. Written for nautilus_trader 1.221.

Put this file beside your strategy, install risk-daemon into its environment (only `risk_daemon.client` is imported),
and put the mixin before Strategy:

    from nautilus_strategy import AsksTheGate

    class MyStrategy(AsksTheGate, Strategy):
        risk_state_dir = "/var/lib/risk-daemon"
        risk_url = "http://127.0.0.1:8787"
        risk_token_file = "/etc/nautilus/risk.token"
        # venue in the daemon's configuration, ccxt's symbol
        risk_symbols = {"BTCUSDT.BINANCE": ("binance", "BTC/USDT")}

`submit_order`, `submit_order_list` and `modify_order` go through it, and with them what the strategy's own
`close_position` and `close_all_positions` send. A refused order is never sent: it stays INITIALIZED, and the log says
why. Cancels always pass. An instrument that is not in `risk_symbols` is refused. Not seen here: what an execution
algorithm makes of an order, and what another strategy sends. `make try-bots` runs this in the real nautilus_trader.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from risk_daemon.client import TradingGate


class AsksTheGate:
    """Before Strategy in the bases of a strategy: sends only what the gate allows."""

    risk_state_dir: str
    risk_url: str | None = None
    risk_token_file: str | None = None
    risk_symbols: Mapping[str, tuple[str, str]]
    _gate: TradingGate | None = None

    def submit_order(self, order: Any, *args: Any, **kwargs: Any) -> None:
        if self._allows(order):
            super().submit_order(order, *args, **kwargs)  # type: ignore[misc]

    def submit_order_list(self, order_list: Any, *args: Any, **kwargs: Any) -> None:
        """All or none: a bracket without its stop is worse than no order."""
        if all(self._allows(order) for order in order_list.orders):
            super().submit_order_list(order_list, *args, **kwargs)  # type: ignore[misc]

    def modify_order(self, order: Any, quantity: Any = None, price: Any = None, *args: Any, **kwargs: Any) -> None:
        """Asked about as the order that it would be."""
        if self._allows(order, quantity=quantity, price=price):
            super().modify_order(order, quantity, price, *args, **kwargs)  # type: ignore[misc]

    def _allows(self, order: Any, quantity: Any = None, price: Any = None) -> bool:
        """The gate's answer. Whatever goes wrong is a no."""
        log: Any = self.log  # type: ignore[attr-defined]
        try:
            venue, symbol = self.risk_symbols[str(order.instrument_id)]
            at = price or (order.price if order.has_price else None)
            answer = self._risk_gate().check(
                venue=venue,
                symbol=symbol,
                side=order.side_string(),
                type=order.type_string(),
                quantity=Decimal(str(quantity or order.quantity)),
                price=None if at is None else Decimal(str(at)),
                reduce_only=bool(order.is_reduce_only),
            )
        except Exception as error:
            log.error(  # noqa: TRY400 - nautilus has a logger of its own
                f"the gate can't be asked, no order: {error!r}"
            )
            return False
        if not answer:
            log.warning(f"no order for {order.instrument_id}: {answer.veto_reason} ({answer.detail})")
        return answer.is_valid()

    def _risk_gate(self) -> TradingGate:
        if self._gate is None:
            token = Path(self.risk_token_file).read_text().strip() if self.risk_token_file else None
            self._gate = TradingGate(self.risk_state_dir, self.risk_url, token)
        return self._gate
