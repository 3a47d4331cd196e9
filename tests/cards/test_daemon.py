"""CARD-40 to CARD-42: what the whole daemon makes of a venue, as processes over sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.simulated import API_KEY, API_PASSPHRASE, API_SECRET
from tests.cards.card import CardVenue
from tests.cards.conftest import KINDS
from tests.e2e import harness
from tests.e2e.harness import Daemon, Venue, wait_for

pytestmark = pytest.mark.long

D = Decimal
MONEY = D(5000)

CONFIG = """
[portfolio]
initial_capital = {capital}
[circuit_breaker]
settle = "200ms"
order_flight = "300ms"
[data]
reconcile_every = "5s"
call_timeout = "3s"
[baselines]
peak_hold = "1s"
flow_wait = "20s"
[venues.{kind}]
exchange = "{kind}"
markets = [{markets}]
endpoint = "{endpoint}"
"""

Guard = Callable[[CardVenue], tuple[Venue, Daemon]]


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A simulated venue with 5,000 USDT and nothing else, and a daemon that guards it with an open gate."""
    venues: list[Venue] = []
    daemons: list[Daemon] = []

    def start(kind: CardVenue) -> tuple[Venue, Daemon]:
        venue = harness.simulated(kind.kind)
        venues.append(venue)
        for name, wallet in venue.get("/state")["wallets"].items():
            for asset in wallet:
                venue.post("/balance", asset=asset, amount="0", wallet=name, kind="none")
        venue.post("/balance", asset="USDT", amount=str(MONEY), wallet=money_wallet(kind), kind="none")
        markets = ", ".join(f'"{market.value}"' for market in sorted(kind.markets))
        config = CONFIG.format(kind=kind.kind, markets=markets, endpoint=venue.endpoint, capital=MONEY)
        daemon = Daemon(tmp_path, config, {kind.kind: (API_KEY, API_SECRET, API_PASSPHRASE)})
        daemons.append(daemon)
        made = daemon.command("init", "--yes")
        assert made.returncode == 0, made.stderr
        daemon.start()
        daemon.wait_open()
        return venue, daemon

    yield start
    for daemon in daemons:
        daemon.close()
    for venue in venues:
        venue.kill()


def money_wallet(kind: CardVenue) -> str | None:
    return kind.wallet


def equity(daemon: Daemon) -> Decimal:
    found = [event for event in daemon.of("portfolio_update") if event.get("equity") is not None]
    return D(found[-1]["equity"]) if found else D(-1)


def holds_no_loss(daemon: Daemon) -> None:
    told = {"warning_triggered", "circuit_breaker_triggered", "breaker_tripped"} & set(daemon.names())
    assert not told, daemon.events()[-20:]
    trusted = [event for event in daemon.of("portfolio_update") if event["trusted"]]
    assert all(abs(event["loss_ratio"]) < 0.001 for event in trusted), [event["loss_ratio"] for event in trusted]


def place(venue: Venue, kind: CardVenue) -> None:
    state: Mapping[str, Any] = {"side": "sell", "type": "limit", "price": "10000000", "quantity": "1"}
    venue.post("/order", symbol=kind.symbols[0], **state)


FLOWING = [kind for kind in KINDS.values() if kind.asset == "USDT"]
"""Coins move with their price: what flows of them is in CARD-25."""

PERPS = [kind for kind in FLOWING if kind.perp is not None]


@pytest.mark.parametrize("kind", PERPS, ids=lambda kind: kind.kind)
def test_card_40_a_position_opened_after_the_start_is_judged_by_price_alone(kind: CardVenue, guard: Guard) -> None:
    """Worth 60 % of the account; the price falls by 11 %: 6.6 % are gone."""
    venue, daemon = guard(kind)
    place(venue, kind)
    venue.post("/price", symbol=kind.perp, price="60000")
    size = contracts(kind, MONEY * D("0.6") / 60_000)
    venue.post("/position", symbol=kind.perp, quantity=str(size), entry="60000")
    wait_for(lambda: venue.get("/state")["calls"].get("positions", {}).get("count", 0) >= 3, "positions that are read")
    venue.post("/price", symbol=kind.perp, price=str(60_000 * D("0.89")))
    assert daemon.exit_code() == 1, daemon.output()
    assert daemon.of("circuit_breaker_triggered")
    assert venue.get("/state")["open_order_count"] == 0


def contracts(kind: CardVenue, base: Decimal) -> Decimal:
    """How many contracts are so much of the underlying; margin positions are counted in it."""
    from adapters.simulated.scenarios import build
    from adapters.simulated.wire.base import Key

    instrument = build(kind.kind, Key(API_KEY, API_SECRET), 0.0).exchange.instrument(str(kind.perp))
    return (base / instrument.contract_size).quantize(D("0.0001"))


ORDERS_OF_ARRIVAL = ({}, {"delay_ledger_ms": 1200}, {"delay_balance_ms": 1200})
"""Holdings and book at once, holdings first, book first."""


class Flows:
    """What flowed so far, and whether the daemon has seen it as that."""

    def __init__(self, venue: Venue, daemon: Daemon, kind: CardVenue) -> None:
        self.venue, self.daemon = venue, daemon
        self.wallet = {"wallet": kind.wallet} if kind.wallet else {}
        self.worth, self.seen = MONEY, 0

    def moves(self, amount: Decimal) -> None:
        """Wait until so much has flowed, and trading goes on."""
        self.worth, self.seen = self.worth + amount, self.seen + 1
        wait_for(
            lambda: equity(self.daemon) == self.worth and len(self.daemon.of("flow_detected")) >= self.seen,
            f"a flow of {amount}, {self.worth} in all; {self.daemon.events()[-8:]}",
        )
        self.daemon.wait_open()

    def flows(self, amount: Decimal, **delay: Any) -> None:
        self.venue.post("/flow", asset="USDT", amount=str(amount), **self.wallet, **delay)
        self.moves(amount)


@pytest.mark.parametrize("kind", FLOWING, ids=lambda kind: kind.kind)
def test_card_41_flows_move_no_ratio_and_a_real_loss_after_them_trips(kind: CardVenue, guard: Guard) -> None:
    """Deposits, withdrawals of half, a transfer: whichever of holdings and book tells of it first."""
    venue, daemon = guard(kind)
    place(venue, kind)
    account = Flows(venue, daemon, kind)
    for delay in ORDERS_OF_ARRIVAL:
        account.flows(D(1000), **delay)
        account.flows(-(account.worth / 2).quantize(D("0.01")), **delay)
    if kind.outside is not None:
        source, target = kind.outside
        venue.post("/transfer", asset="USDT", amount="200", source=source, target=target)
        account.moves(D(-200))
    holds_no_loss(daemon)
    left = (account.worth * D("0.93")).quantize(D("0.01"))
    venue.post("/balance", asset="USDT", amount=str(left), kind="trade", **account.wallet)
    assert daemon.exit_code(within_s=60) == 1, daemon.output()
    assert daemon.of("circuit_breaker_triggered")
    assert venue.get("/state")["open_order_count"] == 0
