"""`check` says what is off, missing or not covered, and ends with 0 only if the guard would work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.base import Capabilities, Market, OrderListing, OrderScope, VenueAdapter
from risk_daemon import check as checking
from risk_daemon import config
from risk_daemon.check import CheckReport, Level
from risk_daemon.clock import ManualClock
from risk_daemon.errors import ExitCode, MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.events import (
    BalancesSeen,
    FlowsListed,
    Kind,
    Order,
    Position,
    PositionsSeen,
    Price,
    PricesSeen,
    Source,
)

BASE = "[portfolio]\ninitial_capital = 10000\n"
VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot", "perp"]\n'
LONG = Position("BTC/USDT:USDT", Decimal("0.5"), Decimal(100), "USDT", "BTC")
STOP = Order("kraken", "perp plain", "1", "BTC/USDT:USDT", "sell", "stop", reduce_only=True)


class FakeVenue:
    """A venue that answers, except where an error is planted: method name -> error."""

    def __init__(self, name: str = "kraken", **planted: Exception) -> None:
        self.name = name
        self.markets = frozenset({Market.SPOT, Market.PERP})
        self.capabilities = Capabilities(frozenset({Kind.BALANCES, Kind.PRICES}))
        self.scopes: Sequence[OrderScope] = (
            OrderScope("spot plain", frozenset({Market.SPOT})),
            OrderScope("perp plain", frozenset({Market.PERP})),
        )
        self.amounts = {"USDT": Decimal(1000), "BTC": Decimal(1), "DUST": Decimal(0)}
        self.positions: tuple[Position, ...] = ()
        self.prices: tuple[Price, ...] = (Price("BTC/USDT", "BTC", "USDT", Decimal(100)),)
        self.orders: dict[str, tuple[Order, ...]] = {}
        self.planted = planted
        self.asked_for: frozenset[str] = frozenset()
        self.since = 0.0

    def _maybe(self, method: str) -> None:
        if method in self.planted:
            raise self.planted[method]

    async def connect(self) -> None:
        self._maybe("connect")

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
        self._maybe("balances")
        return BalancesSeen(self.name, 1.0, Source.REST, self.amounts, complete=True)

    async def read_positions(self, *, urgent: bool = False) -> PositionsSeen:
        self._maybe("positions")
        return PositionsSeen(self.name, 1.0, Source.REST, self.positions, complete=True)

    async def read_prices(self, assets: frozenset[str], *, urgent: bool = False) -> PricesSeen:
        self._maybe("prices")
        self.asked_for = assets
        return PricesSeen(self.name, 1.0, Source.REST, self.prices)

    async def read_flows(self, since_wall: float, *, urgent: bool = False) -> FlowsListed:
        self._maybe("flows")
        self.since = since_wall
        return FlowsListed(self.name, 1.0, ())

    async def list_orders(self, scope: OrderScope) -> OrderListing:
        self._maybe("orders")
        return OrderListing(self.name, scope.name, 1.0, self.orders.get(scope.name, ()))


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., config.Settings]:
    for name in config.unknown_environment(config.Settings.model_validate(
        {"portfolio": {"initial_capital": 1}, "venues": {"x": {"exchange": "x", "markets": ["spot"]}}}
    )):  # fmt: skip
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    def load_text(*parts: str) -> config.Settings:
        (tmp_path / "config.toml").write_text("\n".join(parts or (BASE, VENUE, "simulated = true")))
        return config.load(tmp_path / "config.toml")

    return load_text


def look(settings: config.Settings, *venues: FakeVenue, explain: bool = False) -> CheckReport:
    fakes = {venue.name: venue for venue in venues}

    @asynccontextmanager
    async def open_venue(settings: config.Settings, name: str) -> AsyncIterator[VenueAdapter]:
        yield cast(VenueAdapter, fakes[name])

    return asyncio.run(checking.check(settings, explain, open_venue=open_venue))


def told(report: CheckReport, level: Level) -> list[str]:
    return [f"{finding.subject}: {finding.sentence}" for finding in report.findings if finding.level == level]


def test_a_venue_that_answers_everything_is_fine(load: Callable[..., config.Settings]) -> None:
    venue = FakeVenue()
    venue.orders["spot plain"] = (STOP, STOP)
    report = look(load(), venue)

    assert report.exit_code == ExitCode.STOPPED
    assert told(report, Level.PROBLEM) == []
    assert told(report, Level.OK) == ["kraken: reached; open orders by scope: spot plain 2, perp plain 0"]
    assert venue.asked_for == {"USDT", "BTC"}


def test_rules_that_are_off_are_said_aloud(load: Callable[..., config.Settings]) -> None:
    warnings = told(look(load(), FakeVenue()), Level.WARNING)

    assert any(line.startswith("drawdown: OFF") for line in warnings)
    assert any(line.startswith("daily_loss: OFF") for line in warnings)
    assert not any(line.startswith("warnings: OFF") for line in warnings)


def test_warnings_that_are_off_are_said_aloud(load: Callable[..., config.Settings]) -> None:
    settings = load(BASE, '[circuit_breaker]\nwarning_threshold = "off"', VENUE, "simulated = true")

    assert any("warnings: OFF" in line for line in told(look(settings, FakeVenue()), Level.WARNING))


def test_a_variable_that_changes_nothing_is_named(
    load: Callable[..., config.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_DAEMON_LOSS_THRESHOLD", "50%")

    assert any("RISK_DAEMON_LOSS_THRESHOLD" in line for line in told(look(load(), FakeVenue()), Level.WARNING))


def test_missing_credentials_are_refused(load: Callable[..., config.Settings]) -> None:
    report = look(load(BASE, VENUE), FakeVenue())

    assert report.exit_code == ExitCode.REFUSED
    assert "its api_key is missing" in told(report, Level.PROBLEM)[0]


def test_credentials_that_are_there_are_not_printed(
    load: Callable[..., config.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_API_KEY", "hunter2")
    monkeypatch.setenv("RISK_DAEMON_KRAKEN_SECRET", "hunter2")
    report = look(load(BASE, VENUE), FakeVenue())

    assert "kraken: credentials found" in told(report, Level.OK)
    assert "hunter2" not in json.dumps(report.document())


@pytest.mark.parametrize("part", ["connect", "balances", "positions", "prices", "orders", "flows"])
@pytest.mark.parametrize(
    ("error", "code"),
    [(VenueUnavailable("no answer"), 75), (MalformedReply("HTML"), 75), (VenueRejected("bad key"), 78)],
)
def test_what_a_venue_does_not_answer_is_a_problem(
    part: str, error: Exception, code: int, load: Callable[..., config.Settings]
) -> None:
    report = look(load(), FakeVenue(**{part: error}))

    assert report.exit_code == code
    assert any(str(error) in line for line in told(report, Level.PROBLEM))


async def test_a_venue_that_never_answers_is_a_problem(load: Callable[..., config.Settings]) -> None:
    class Silent(FakeVenue):
        async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
            await asyncio.Event().wait()
            raise AssertionError

    settings = load(BASE, '[data]\ncall_timeout = "10ms"', VENUE, "simulated = true")
    probe = await checking.probe(cast(VenueAdapter, Silent()), settings)

    assert probe.balances is None
    assert [(what, str(error)) for what, error in probe.failures] == [("balances", "no answer within 0.01 s")]


async def test_a_day_of_flows_is_asked_for(load: Callable[..., config.Settings]) -> None:
    venue = FakeVenue()
    await checking.probe(cast(VenueAdapter, venue), load(), ManualClock(wall=1_000_000.0))

    assert venue.since == 1_000_000.0 - 86_400


def test_a_venue_that_can_t_be_opened_is_a_problem(load: Callable[..., config.Settings]) -> None:
    @asynccontextmanager
    async def open_venue(settings: config.Settings, name: str) -> AsyncIterator[VenueAdapter]:
        raise VenueUnavailable("the simulated venue did not start")
        yield

    report = asyncio.run(checking.check(load(), False, open_venue=open_venue))
    assert report.exit_code == ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START


def test_venues_that_were_not_asked_are_not_called_fine(load: Callable[..., config.Settings]) -> None:
    report = asyncio.run(checking.check(load(), False))

    assert "venues: they were not asked" in told(report, Level.WARNING)


def test_an_asset_without_a_price_is_refused(load: Callable[..., config.Settings]) -> None:
    venue = FakeVenue()
    venue.amounts["OBSCURE"] = Decimal(1)
    report = look(load(), venue)

    assert report.exit_code == ExitCode.REFUSED
    assert "kraken: OBSCURE has no price path to USDT" in told(report, Level.PROBLEM)[0]


def test_a_price_of_another_venue_or_over_two_steps_will_do(load: Callable[..., config.Settings]) -> None:
    first, second = FakeVenue(), FakeVenue("other")
    first.amounts["OBSCURE"] = Decimal(1)
    second.prices = (Price("OBSCURE/BTC", "OBSCURE", "BTC", Decimal(2)),)
    second.amounts = {}
    other = VENUE.replace("kraken]", "other]") + "simulated = true\n"

    assert told(look(load(BASE, VENUE, "simulated = true", other), first, second), Level.PROBLEM) == []


@pytest.mark.parametrize("extra", ['ignore_assets = ["OBSCURE"]', "[prices.pegs]\nOBSCURE = 1"])
def test_an_asset_that_is_ignored_or_pegged_needs_no_price(extra: str, load: Callable[..., config.Settings]) -> None:
    venue = FakeVenue()
    venue.amounts["OBSCURE"] = Decimal(1)

    assert told(look(load(BASE, extra, VENUE, "simulated = true"), venue), Level.PROBLEM) == []


@pytest.mark.parametrize(("protective", "named"), [("cancel", True), ("keep", False)])
def test_positions_that_would_stand_without_a_stop_are_named(
    protective: str, named: bool, load: Callable[..., config.Settings]
) -> None:
    venue = FakeVenue()
    venue.positions, venue.orders["perp plain"] = (LONG,), (STOP,)
    settings = load(BASE, f'[circuit_breaker]\nprotective_orders = "{protective}"', VENUE, "simulated = true")

    warnings = told(look(settings, venue), Level.WARNING)
    assert any("BTC/USDT:USDT (0.5) would stand without a stop" in line for line in warnings) is named


def test_a_position_that_never_had_a_stop_is_named_even_if_stops_are_kept(load: Callable[..., config.Settings]) -> None:
    venue = FakeVenue()
    venue.positions = (LONG,)
    settings = load(BASE, '[circuit_breaker]\nprotective_orders = "keep"', VENUE, "simulated = true")

    assert any("without a stop" in line for line in told(look(settings, venue), Level.WARNING))


def test_what_a_venue_lacks_is_said(load: Callable[..., config.Settings]) -> None:
    venue = FakeVenue(flows=VenueRejected("never asked"), positions=VenueRejected("never asked"))
    venue.capabilities = Capabilities(frozenset(), has_flows=False, has_positions=False, notes=("polls only",))
    report = look(load(), venue)

    assert report.exit_code == ExitCode.STOPPED
    assert any("no ledger" in line for line in told(report, Level.WARNING))
    notes = told(report, Level.NOTE)
    assert "kraken: polls only" in notes
    assert any("no stream of balances and prices" in line for line in notes)


# --- sentences -------------------------------------------------------------------------------------


def test_the_explanation_names_the_numbers(load: Callable[..., config.Settings]) -> None:
    report = look(load(), FakeVenue(), explain=True)
    text = "\n".join(report.explanations)

    assert "At a loss of 3.00 % (9700 USDT left of 10000) a warning is given" in text
    assert "At a loss of 5.00 % (9500 USDT left of 10000) the gate is shut" in text
    assert "exits with 1" in text
    assert "not proven within 300 s" in text
    assert "It never trips." in text
    assert look(load(), FakeVenue()).explanations == ()


def test_the_explanation_follows_the_configuration(load: Callable[..., config.Settings]) -> None:
    settings = load(
        BASE.replace("10000", '"auto"'),
        '[circuit_breaker]\nconfirm = false\nprotective_orders = "keep"',
        '[breakers.blind]\ntrip_after = "10m"',
        VENUE,
        "simulated = true",
    )
    text = "\n".join(checking.explanations(settings))

    assert "5.00 % of the first equity seen" in text
    assert "one wild tick is enough" in text
    assert "After 600 s it counts as a breach." in text
    assert "reduce-only orders of open positions stay" in text


def test_the_document_is_json(load: Callable[..., config.Settings]) -> None:
    document: dict[str, Any] = look(load(), FakeVenue(), explain=True).document()

    assert json.loads(json.dumps(document)) == document
    assert document["ok"] is True
    assert document["effective"]["venues"]["kraken"]["simulated"] is True
