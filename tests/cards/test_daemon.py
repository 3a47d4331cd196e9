"""CARD-40 to CARD-44: what the whole daemon makes of a venue, as processes over sockets."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.registry import venue_of
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
auto_close_positions = {closes}
{breaker}
[data]
reconcile_every = "5s"
call_timeout = "3s"
[baselines]
peak_hold = "1s"
flow_wait = "{flow_wait}"
"""

TABLE = """
[venues.{kind}]
exchange = "{kind}"
markets = [{markets}]
endpoint = "{endpoint}"
"""

Guard = Callable[..., tuple[Venue, Daemon]]


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """A simulated venue with 5,000 USDT and nothing else, and a daemon that guards it with an open gate."""
    venues: list[Venue] = []
    daemons: list[Daemon] = []

    def start(
        kind: CardVenue,
        *,
        more: str = "",
        breaker: str = "",
        closes: str = "false",
        flow_wait: str = "20s",
        before: Callable[[Venue], None] = lambda _: None,
    ) -> tuple[Venue, Daemon]:
        venue = harness.simulated(kind.kind)
        venues.append(venue)
        leave_nothing_but_money(venue, kind)
        before(venue)
        asked = CONFIG.format(capital=MONEY, breaker=breaker, closes=closes, flow_wait=flow_wait)
        config = asked + table(kind, venue) + more
        daemons.append(started(tmp_path, config, [kind]))
        return venue, daemons[-1]

    yield start
    for daemon in daemons:
        daemon.close()
    for venue in venues:
        venue.kill()


def leave_nothing_but_money(venue: Venue, kind: CardVenue) -> None:
    for name, wallet in venue.get("/state")["wallets"].items():
        for asset in wallet:
            venue.post("/balance", asset=asset, amount="0", wallet=name, kind="none")
    venue.post("/balance", asset="USDT", amount=str(MONEY), wallet=kind.wallet, kind="none")


def table(kind: CardVenue, venue: Venue) -> str:
    """The venue in a configuration."""
    markets = ", ".join(f'"{market.value}"' for market in sorted(kind.markets))
    return TABLE.format(kind=kind.kind, markets=markets, endpoint=venue.endpoint)


def started(directory: Path, config: str, kinds: Iterable[CardVenue]) -> Daemon:
    """A daemon that guards these with an open gate."""
    daemon = Daemon(directory, config, {kind.kind: (API_KEY, API_SECRET, API_PASSPHRASE) for kind in kinds})
    try:
        made = daemon.command("init", "--yes")
        assert made.returncode == 0, made.stderr
        daemon.start()
        daemon.wait_open()
    except BaseException:
        daemon.close()
        raise
    return daemon


def equity(daemon: Daemon) -> Decimal:
    found = [event for event in daemon.of("portfolio_update") if event.get("equity") is not None]
    return D(found[-1]["equity"]) if found else D(-1)


def holds_no_loss(daemon: Daemon, *, but: frozenset[str] = frozenset()) -> None:
    """No rule was tripped, `but` these: no trusted equity shows a loss."""
    told = {"warning_triggered", "circuit_breaker_triggered"} & set(daemon.names())
    assert not told, daemon.events()[-20:]
    assert {event["breaker"] for event in daemon.of("breaker_tripped")} <= but, daemon.events()[-20:]
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


BY_THE_MINUTE = frozenset({"binance"})
"""Venues whose book may be asked so and so often a minute: what flows then may wait for the next one, unseen."""

MINUTE_S, SOON_S = 60, 20


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
            lambda: f"a flow of {amount}, {self.worth} in all; {self.daemon.events()[-8:]}",
            within_s=MINUTE_S + 30,
        )
        self.daemon.wait_open()

    def flows(self, amount: Decimal, **delay: Any) -> None:
        self.venue.post("/flow", asset="USDT", amount=str(amount), **self.wallet, **delay)
        self.moves(amount)


@pytest.mark.parametrize("kind", FLOWING, ids=lambda kind: kind.kind)
def test_card_41_flows_move_no_ratio_and_a_real_loss_after_them_trips(kind: CardVenue, guard: Guard) -> None:
    """Deposits, withdrawals of half, a transfer: whichever of holdings and book tells of it first."""
    by_the_minute = kind.kind in BY_THE_MINUTE
    venue, daemon = guard(kind, flow_wait=f"{MINUTE_S if by_the_minute else SOON_S}s")
    place(venue, kind)
    account = Flows(venue, daemon, kind)
    for delay in ORDERS_OF_ARRIVAL:
        account.flows(D(1000), **delay)
        account.flows(-(account.worth / 2).quantize(D("0.01")), **delay)
    if kind.outside is not None:
        source, target = kind.outside
        venue.post("/transfer", asset="USDT", amount="200", source=source, target=target)
        account.moves(D(-200))
    holds_no_loss(daemon, but=frozenset({"blind"}) if by_the_minute else frozenset())
    left = (account.worth * D("0.93")).quantize(D("0.01"))
    venue.post("/balance", asset="USDT", amount=str(left), kind="trade", **account.wallet)
    assert daemon.exit_code(within_s=2 * MINUTE_S) == 1, daemon.output()
    assert daemon.of("circuit_breaker_triggered")
    assert venue.get("/state")["open_order_count"] == 0


RUNNING = [(kind, name) for kind in KINDS.values() for name in (*kind.strategies[:1], *kind.hidden[:1])]


@pytest.mark.parametrize(("kind", "strategy"), RUNNING, ids=lambda part: getattr(part, "kind", part))
def test_card_42_while_a_strategy_of_the_venues_own_lives_the_daemon_does_not_end_with_one(
    kind: CardVenue, strategy: str, guard: Guard
) -> None:
    """It places an order every second. Where no call lists it, the record names what no listing shows."""
    venue, daemon = guard(kind, breaker='cancel_deadline = "6s"')
    order = {"side": "sell", "type": "limit", "price": str(mark(kind, kind.symbols[0]) * 2), "quantity": "1"}
    venue.post("/bot", symbol=kind.symbols[0], every_ms=1000, strategy=strategy, prefix="s", **order)
    is_hidden = strategy in kind.hidden
    if not is_hidden:
        venue.post("/fault", how="ack_without_cancel", target="cancel")
    halted = daemon.command("halt", "--reason", "card 42")
    assert halted.returncode == 0, halted.stderr
    assert daemon.exit_code() == 4, daemon.output()
    finished = daemon.of("sweep_finished")[-1]
    assert finished["proven"] is False
    told = [what for what in finished.get("unprovable", ()) if what.startswith(f"{kind.kind}: ")]
    assert told or not is_hidden
    if is_hidden:
        return
    venue.delete("/fault")
    daemon.start()
    assert daemon.exit_code() == 1, daemon.output()
    assert venue.get("/state")["bots"] == []
    assert venue.get("/state")["open_order_count"] == 0


SWITCHED = [kind for kind in KINDS.values() if venue_of(kind.kind).dead_men]
TIMEOUT_S = 20


@pytest.mark.parametrize("kind", SWITCHED, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("ends_by", [signal.SIGKILL, signal.SIGTERM])
def test_card_43_the_venues_switch_fires_for_a_dead_guard_and_not_after_a_clean_stop(
    kind: CardVenue, ends_by: signal.Signals, guard: Guard
) -> None:
    switch = f'[venues.{kind.kind}.dead_man]\ntimeout = "{TIMEOUT_S}s"\nexclusive = true'
    venue, daemon = guard(kind, more=switch, before=lambda venue: place(venue, kind))
    daemon.wait_for("dead_man_armed")
    wait_for(lambda: venue.get("/state")["dead_man_due_wall"] is not None, "an armed switch")
    daemon.signal(ends_by)
    assert daemon.exit_code() == (0 if ends_by is signal.SIGTERM else -ends_by), daemon.output()
    assert venue.get("/state")["open_order_count"] == 1
    venue.post("/clock", skew_s=2 * TIMEOUT_S)
    if ends_by is signal.SIGTERM:
        assert venue.get("/state")["dead_man_due_wall"] is None
        assert venue.get("/state")["cancelled_orders"] == []
        return
    wait_for(lambda: venue.get("/state")["open_order_count"] == 0, "the switch")
    assert [gone["how"] for gone in venue.get("/state")["cancelled_orders"]] == ["dead_man"]


@pytest.mark.parametrize("kind", PERPS, ids=lambda kind: kind.kind)
def test_card_44_positions_are_closed_and_never_flipped(kind: CardVenue, guard: Guard) -> None:
    """A linear long in two fills, and an inverse short where there is one."""
    held = {str(kind.perp): "2"} | ({kind.inverse: "-30"} if kind.inverse is not None else {})

    def hold(venue: Venue) -> None:
        place(venue, kind)
        for symbol, quantity in held.items():
            venue.post("/position", symbol=symbol, quantity=quantity, entry=str(mark(kind, symbol)))
        venue.post("/depth", symbol=kind.perp, quantity="1", count=1)

    pegs = "".join(f"\n{asset} = {price}" for asset, price in kind.pegs.items())
    venue, daemon = guard(kind, closes="true", before=hold, more=f"[prices.pegs]{pegs}")
    halted = daemon.command("halt", "--reason", "card 44")
    assert halted.returncode == 0, halted.stderr
    assert daemon.exit_code() == 1, daemon.output()
    state = venue.get("/state")
    assert state["positions"] == {}, daemon.events()[-5:]
    fills = [(fill["symbol"], fill["side"], D(fill["fill_quantity"])) for fill in state["fills"]]
    for symbol, quantity in held.items():
        side = "sell" if D(quantity) > 0 else "buy"
        assert {one[1] for one in fills if one[0] == symbol} == {side}
        assert sum(one[2] for one in fills if one[0] == symbol) == abs(D(quantity))
    assert state["open_order_count"] == 0


def mark(kind: CardVenue, symbol: str) -> Decimal:
    from adapters.simulated.scenarios import build
    from adapters.simulated.wire.base import Key

    exchange = build(kind.kind, Key(API_KEY, API_SECRET), 0.0).exchange
    return exchange.quotes[exchange.instrument(symbol).symbol].mark
