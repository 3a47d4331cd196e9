"""A hummingbot script that asks the gate before each order.

Copy this file to hummingbot's `scripts/`, install risk-daemon into its environment (only `risk_daemon.client` is
imported), adjust the four settings of GuardedScript, and start it with `start --script hummingbot_script.py`. For a
script of your own, put AsksTheGate before ScriptStrategyBase.

An order is asked about when the script sends it; hummingbot's connector sends it on a moment later, behind its own
rate limiter. What a controller or an executor sends does not come by `buy` and `sell`, and is not seen here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from risk_daemon.client import TradingGate

if TYPE_CHECKING:
    ScriptStrategyBase: Any = object
else:
    try:
        from hummingbot.strategy.script_strategy_base import ScriptStrategyBase
    except ImportError:  # so that it can be looked at, and tested, without hummingbot
        ScriptStrategyBase = object

LOG = logging.getLogger(__name__)
NOT_SENT = ""


class AsksTheGate:
    """Before ScriptStrategyBase in the bases of a script: `buy` and `sell` send only what the gate allows."""

    risk_state_dir: str
    risk_url: str | None = None
    risk_token_file: str | None = None
    risk_venues: Mapping[str, str] = {}  # connector -> its name in the daemon's configuration, where they differ
    _gate: TradingGate | None = None

    def buy(
        self, connector_name: str, trading_pair: str, amount: Decimal, order_type: Any, *args: Any, **kwargs: Any
    ) -> str:
        """The order's id, or NOT_SENT."""
        if not self._allows("buy", connector_name, trading_pair, amount, order_type, *args, **kwargs):
            return NOT_SENT
        parent: Any = super()
        return str(parent.buy(connector_name, trading_pair, amount, order_type, *args, **kwargs))

    def sell(
        self, connector_name: str, trading_pair: str, amount: Decimal, order_type: Any, *args: Any, **kwargs: Any
    ) -> str:
        """The order's id, or NOT_SENT."""
        if not self._allows("sell", connector_name, trading_pair, amount, order_type, *args, **kwargs):
            return NOT_SENT
        parent: Any = super()
        return str(parent.sell(connector_name, trading_pair, amount, order_type, *args, **kwargs))

    def _allows(
        self,
        side: str,
        connector_name: str,
        trading_pair: str,
        amount: Decimal,
        order_type: Any,
        price: Any = None,
        position_action: Any = None,
    ) -> bool:
        """The gate's answer. Whatever goes wrong is a no."""
        kind = str(getattr(order_type, "name", order_type)).lower()
        try:
            answer = self._risk_gate().check(
                venue=self.risk_venues.get(connector_name, connector_name),
                symbol=trading_pair.replace("-", "/"),
                side=side,
                type=kind,
                quantity=amount,
                price=None if kind == "market" else price,
                reduce_only=getattr(position_action, "name", position_action) == "CLOSE",
            )
        except Exception:
            LOG.exception("the gate can't be asked: no order")
            return False
        if not answer:
            LOG.warning("no %s of %s: %s (%s)", side, trading_pair, answer.veto_reason, answer.detail)
        return answer.is_valid()

    def _risk_gate(self) -> TradingGate:
        if self._gate is None:
            token = Path(self.risk_token_file).read_text().strip() if self.risk_token_file else None
            self._gate = TradingGate(self.risk_state_dir, self.risk_url, token, timeout_s=0.25)  # it blocks the ticks
        return self._gate


class GuardedScript(AsksTheGate, ScriptStrategyBase):
    """Buys a little a tick below the market while the gate is open."""

    risk_state_dir = "/var/lib/risk-daemon"
    risk_url = "http://127.0.0.1:8787"
    risk_token_file = "/etc/hummingbot/risk.token"
    markets = {"kraken": {"BTC-USDT"}}  # noqa: RUF012 - as hummingbot wants it

    def on_tick(self) -> None:
        """hummingbot's, once a second."""
        if not self.get_active_orders("kraken"):
            price = self.connectors["kraken"].get_mid_price("BTC-USDT") * Decimal("0.99")
            self.buy("kraken", "BTC-USDT", Decimal("0.0001"), _limit(), price)


def _limit() -> Any:
    from hummingbot.core.data_type.common import OrderType

    return OrderType.LIMIT
