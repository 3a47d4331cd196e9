"""What the tests of the source documents share: a guarded world in round numbers, and the files a reader sees."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from risk_daemon.breakers import BaseCircuitBreaker
from risk_daemon.breakers.capital_loss import CapitalLossSettings
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.gate.restraints import OrderAnswer, OrderRequest
from risk_daemon.model.clock import ManualClock, SystemClock
from risk_daemon.model.events import EventName, RiskEvent
from risk_daemon.runtime.status import status_of
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.memory_map import MemoryMap
from risk_daemon.state.risk_file import RiskFile
from tests.core_world import World, amounts, engine_settings, with_

ROOT = Path(__file__).resolve().parents[2]
CAPITAL = Decimal(10_000)
LEAST_CONFIG = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""

# So far away that only the rule under test answers.
OUT_OF_THE_WAY = CapitalLossSettings(limit=Decimal("0.99"), warnings=())


def guarded(*rules: BaseCircuitBreaker, clock: ManualClock | None = None, **settings: Any) -> World:
    """10,000 USDT on two venues, half of it BTC at 50,000; baselines are taken, the gate is open.

    Each engine, after a restart as well, gets copies of `rules` that have seen nothing.
    """
    chosen = {"capital_loss": OUT_OF_THE_WAY, **settings}
    world = World(with_(engine_settings(), **chosen), clock, rules=lambda: deepcopy(rules))
    world.holdings["spot"] = amounts(BTC="0.1")
    world.sweeps_take_s = 3.0
    world.start()
    world.run(20.0)
    assert world.gate == "open"
    return world


def lose(world: World, ratio: str) -> None:
    """Let the price fall until `ratio` of the 10,000 is lost, and let it be confirmed."""
    world.stream_price("BTC/USDT", Decimal(50_000) - Decimal(ratio) * 100_000)
    world.run(1.0)


def order(**changes: Any) -> OrderRequest:
    """A small buy of a bot called alice."""
    fields: dict[str, Any] = {
        "venue": "spot",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": Decimal("0.01"),
        "price": Decimal(50_000),
        "bot": "alice",
    }
    return OrderRequest(**(fields | changes))


def ask(world: World, **changes: Any) -> OrderAnswer:
    return world.engine.check_order(order(**changes), world.clock.now())


def why(answer: OrderAnswer) -> str | None:
    """The veto's reason, None if the order may be sent."""
    return None if answer.veto is None else str(answer.veto.veto_reason)


def first(world: World, name: EventName) -> RiskEvent:
    """The first record of that name. Raises IndexError where there is none."""
    return world.records(name)[0]


def publish(world: World, directory: Path) -> dict[str, Any]:
    """Write the gate and `risk.json` as the daemon has them now; returns what is in the file."""
    now, gate = SystemClock().now(), world.engine.gate
    record = LockRecord(gate.locked, str(gate.cause or ""), gate.trip_id, gate.since_wall or 0.0, gate.until_wall)
    MemoryMap(directory / "gate.bin").write(record, now)
    document = status_of(world.engine, world.clock.now(), {}).document()
    RiskFile(directory / "risk.json").write(document, now, force=True)
    return document


def settings_of(text: str, directory: Path) -> Settings:
    """The configuration in `text`, loaded from a file. Raises ConfigError."""
    file = directory / "config.toml"
    file.write_text(text)
    return load_config(file)


def with_tables(tables: str) -> str:
    """The least configuration there is, and `tables`."""
    return LEAST_CONFIG + tables


profile = partial(Path.joinpath, ROOT / "examples" / "profiles")
