"""A hummingbot strategy that asks the gate before each order. Written for StrategyV2Base, as of 2026-09.

Copy this file to hummingbot's `scripts/`, install risk-daemon into its environment (only `risk_daemon.client` is
imported) and adjust the settings of GuardedStrategy. In hummingbot, `create --v2-config hummingbot_script` makes
`conf/scripts/guarded.yml`, and `start --v2 guarded.yml` runs it. For a strategy of your own, put AsksTheGate before
StrategyV2Base: what its controllers' executors send goes by `buy` and `sell` of the strategy too.

An order is asked about when the strategy sends it; hummingbot's connector sends it on a moment later, behind its own
rate limiter. What a controller sends to a connector itself, such as a swap through a gateway, is not seen here. An
executor whose order was refused waits for an id that never fills, until its own time limit.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from risk_daemon.client import TradingGate

if TYPE_CHECKING:
    StrategyV2Base: Any = object
    StrategyV2ConfigBase: Any = object
else:
    try:
        from hummingbot.strategy.strategy_v2_base import StrategyV2Base, StrategyV2ConfigBase
    except ImportError:  # so that it can be looked at, and tested, without hummingbot
        StrategyV2Base = StrategyV2ConfigBase = object

LOG = logging.getLogger(__name__)
NOT_SENT = ""


class AsksTheGate:
    """Before StrategyV2Base in the bases of a strategy: `buy` and `sell` send only what the gate allows.

    risk_venues: connector -> its name in the daemon's configuration. risk_symbols: (connector, trading pair) -> ccxt's
    symbol, for what `ccxt_symbol` gets wrong.
    """

    risk_state_dir: str
    risk_url: str | None = None
    risk_token_file: str | None = None
    risk_venues: Mapping[str, str] = {}
    risk_symbols: Mapping[tuple[str, str], str] = {}
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
                symbol=self.risk_symbols.get((connector_name, trading_pair))
                or ccxt_symbol(connector_name, trading_pair),
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


def ccxt_symbol(connector_name: str, trading_pair: str) -> str:
    """`BTC-USDT` as ccxt has it: `BTC/USDT`, on a perpetual connector `BTC/USDT:USDT`; settled in the coin for USD."""
    base, _, quote = trading_pair.partition("-")
    if not connector_name.endswith(("_perpetual", "_perpetual_testnet")):
        return f"{base}/{quote}"
    return f"{base}/{quote}:{base if quote == 'USD' else quote}"


class GuardedConfig(StrategyV2ConfigBase):
    """What hummingbot asks for before it starts the strategy: here the markets only."""

    script_file_name: str = os.path.basename(__file__)

    def update_markets(self, markets: Any) -> Any:
        """hummingbot's."""
        return markets.add_or_update("kraken", "BTC-USDT")


class GuardedStrategy(AsksTheGate, StrategyV2Base):
    """Buys a little a tick below the market while the gate is open."""

    risk_state_dir = "/var/lib/risk-daemon"
    risk_url = "http://127.0.0.1:8787"
    risk_token_file = "/etc/hummingbot/risk.token"
    risk_venues = {"binance_perpetual": "binanceusdm"}  # noqa: RUF012 - as hummingbot wants it

    def on_tick(self) -> None:
        """hummingbot's, once a second."""
        if not self.get_active_orders("kraken"):
            price = self.connectors["kraken"].get_mid_price("BTC-USDT") * Decimal("0.99")
            self.buy("kraken", "BTC-USDT", Decimal("0.0001"), _limit(), price)


def _limit() -> Any:
    from hummingbot.core.data_type.common import OrderType

    return OrderType.LIMIT
