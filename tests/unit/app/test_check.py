"""`check` says what is off, missing or not covered, and ends with 0 only if the guard would work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.base import Capabilities, KeyPowers, Lot, Market, OrderListing, OrderScope, VenueAdapter
from risk_daemon.app import check as checking
from risk_daemon.app.check import CheckReport, Level
from risk_daemon.app.explain import explanations
from risk_daemon.auth.wardens import Rules, WardenStore
from risk_daemon.config.load import load as load_config
from risk_daemon.config.load import unknown_environment
from risk_daemon.config.registry import RULES
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ExitCode, MalformedReply, VenueRejected, VenueUnavailable
from risk_daemon.model.account import Instrument
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import (
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
from tests.unit.auth.test_wardens import warden

BASE = "[portfolio]\ninitial_capital = 10000\n"
VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot", "perp"]\n'
LONG = Position(symbol="BTC/USDT:USDT", quantity=Decimal("0.5"), entry=Decimal(100), settle="USDT", underlying="BTC")
STOP = Order(
    venue="kraken",
    scope="perp plain",
    order_id="1",
    symbol="BTC/USDT:USDT",
    side="sell",
    order_type="stop",
    reduce_only=True,
)


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

    def instrument(self, symbol: str) -> Instrument | None:
        return Instrument()

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
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    for name in unknown_environment(Settings.model_validate(
        {"portfolio": {"initial_capital": 1}, "venues": {"x": {"exchange": "x", "markets": ["spot"]}}}
    )):  # fmt: skip
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    def load_text(*parts: str) -> Settings:
        (tmp_path / "config.toml").write_text("\n".join(parts or (BASE, VENUE, "simulated = true")))
        return load_config(tmp_path / "config.toml")

    return load_text


def look(settings: Settings, *venues: FakeVenue, explain: bool = False) -> CheckReport:
    fakes = {venue.name: venue for venue in venues}

    @asynccontextmanager
    async def open_venue(settings: Settings, name: str) -> AsyncIterator[VenueAdapter]:
        yield cast(VenueAdapter, fakes[name])

    return asyncio.run(checking.check(settings, explain, open_venue=open_venue))


def told(report: CheckReport, level: Level) -> list[str]:
    return [f"{finding.subject}: {finding.sentence}" for finding in report.findings if finding.level == level]


def test_a_venue_that_answers_everything_is_fine(load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    venue.orders["spot plain"] = (STOP, STOP)
    report = look(load(), venue)

    assert report.exit_code == ExitCode.STOPPED
    assert told(report, Level.PROBLEM) == []
    assert told(report, Level.OK) == ["kraken: reached; open orders by scope: spot plain 2, perp plain 0"]
    assert venue.asked_for == {"USDT", "BTC"}


def test_rules_that_are_off_are_said_aloud(load: Callable[..., Settings]) -> None:
    report = look(load(), FakeVenue())
    warnings = told(report, Level.WARNING)

    assert any(line.startswith("drawdown: OFF: nothing stops a loss from the highest worth") for line in warnings)
    assert any(line.startswith("daily_loss: OFF: nothing stops a loss within a day") for line in warnings)
    assert not any(line.startswith("warnings: OFF") for line in warnings)
    others = ", ".join(rule for rule in RULES if rule not in ("drawdown", "daily_loss"))
    assert others.startswith("weekly_loss, venue_loss")
    assert f"breakers: off: {others}; a table [breakers.NAME] turns a rule on" in told(report, Level.NOTE)


def test_rules_that_are_on_are_not(load: Callable[..., Settings]) -> None:
    rules = '[breakers.a]\nrule = "drawdown"\n[breakers.daily_loss]\n[breakers.order_rate]'
    report = look(load(BASE, rules, VENUE, "simulated = true"), FakeVenue())

    assert [line.partition(": OFF")[0] for line in told(report, Level.WARNING) if "OFF" in line] == ["alerts"]
    off = next(line for line in told(report, Level.NOTE) if line.startswith("breakers: off"))
    assert "order_rate" not in off


@pytest.mark.parametrize(
    ("spans", "gaps"),
    [
        (["08:00-20:00"], "OFF from 20:00 to 08:00 UTC:"),
        (["22:00-06:00"], "OFF from 06:00 to 22:00 UTC:"),
        (["08:00-20:00", "20:00-08:00"], None),
        (["08:00-20:00", None], None),
        (["08:00-12:00", "11:00-20:00"], "OFF from 20:00 to 08:00 UTC:"),
        (["08:00-12:00", "13:00-00:00"], "OFF from 00:00 to 08:00 UTC and from 12:00 to 13:00 UTC:"),
        (["00:00-23:59"], "OFF from 23:59 to 00:00 UTC:"),
    ],
)
def test_hours_without_a_drawdown_rule_are_said_aloud(
    spans: list[str | None], gaps: str | None, load: Callable[..., Settings]
) -> None:
    tables = [
        f'[breakers.r{number}]\nrule = "drawdown"\n' + (f'active_hours = "{span}"' if span else "")
        for number, span in enumerate(spans)
    ]
    report = look(load(BASE, "[breakers.daily_loss]", *tables, VENUE, "simulated = true"), FakeVenue())

    off = [line for line in told(report, Level.WARNING) if "OFF" in line and "alerts" not in line]
    assert (off[0].removeprefix("drawdown: ")[: len(gaps)] if off and gaps else None) == gaps
    assert bool(off) is (gaps is not None)


@pytest.mark.parametrize(
    ("rule", "later"),
    [
        ("drawdown]\nlimit = '10%'", "10%"),
        ("drawdown]\nlimit = '5%'", None),
        ("daily_loss]\nlimit = '600 USDT'", "600 USDT"),
        ("daily_loss]\nlimit = '500 USDT'", None),
        ("weekly_loss]\nlimit = '6%'", "6%"),
        ("position_loss]\nlimit = '90%'", None),
    ],
)
def test_a_limit_behind_the_one_that_is_always_on_is_said(
    rule: str, later: str | None, load: Callable[..., Settings]
) -> None:
    report = look(load(BASE, f"[breakers.{rule}", VENUE, "simulated = true"), FakeVenue())

    said = [line for line in told(report, Level.NOTE) if "comes before its limit" in line]
    assert len(said) == (0 if later is None else 1)
    assert later is None or f"loss_threshold (5%) comes before its limit ({later})" in said[0]


def test_an_own_rule_is_loaded_as_at_the_start(load: Callable[..., Settings]) -> None:
    missing = '[breakers.mine]\nclass = "no_such_module_of_mine:Rule"'
    report = look(load(BASE, missing, VENUE, "simulated = true"), FakeVenue())

    assert report.exit_code == ExitCode.REFUSED
    assert "breakers.mine: no_such_module_of_mine:Rule can't be imported" in told(report, Level.PROBLEM)[0]


def test_a_certificate_that_can_t_be_used_is_a_problem(load: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    api = '[api]\nlisten = "0.0.0.0:0"\ntls_certificate = "x.pem"\ntls_key = "x.pem"'
    report = look(load(BASE, api, VENUE, "simulated = true"), FakeVenue())

    assert report.exit_code == ExitCode.REFUSED
    assert any("api.tls_certificate: it can't be used with tls_key" in line for line in told(report, Level.PROBLEM))
    assert "api: 0.0.0.0:0 is reachable from elsewhere, over TLS" in told(report, Level.WARNING)


def test_warnings_that_are_off_are_said_aloud(load: Callable[..., Settings]) -> None:
    settings = load(BASE, '[circuit_breaker]\nwarning_threshold = "off"', VENUE, "simulated = true")

    assert any("warnings: OFF" in line for line in told(look(settings, FakeVenue()), Level.WARNING))


def test_who_may_resume_is_said(load: Callable[..., Settings]) -> None:
    settings = load(BASE, "[warden]\nquorum = 2", VENUE, "simulated = true")
    assert any("no warden is enrolled" in line for line in told(look(settings, FakeVenue()), Level.WARNING))
    settings.state.dir.mkdir(parents=True, exist_ok=True)
    store = WardenStore.beside(settings.state.dir)
    store.change(lambda register: register.enrolled(warden("alice"), Rules()))
    report = look(settings, FakeVenue())
    assert any("2 wardens must agree and 1 are enrolled" in line for line in told(report, Level.WARNING))
    elsewhere = replace(warden("bob"), passkey=replace(warden("bob").passkey, host="guard.example.org"))
    store.change(lambda register: register.enrolled(elsewhere, Rules()))
    report = look(settings, FakeVenue())
    assert "warden: 2 of 2 must agree to a reset" in told(report, Level.OK)
    assert any("made for guard.example.org" in line for line in told(report, Level.WARNING))
    store.path.write_text("")
    report = look(settings, FakeVenue())
    assert any("nothing is resumed" in line for line in told(report, Level.PROBLEM))
    assert report.exit_code is ExitCode.REFUSED


def test_a_variable_that_changes_nothing_is_named(
    load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_DAEMON_LOSS_THRESHOLD", "50%")

    assert any("RISK_DAEMON_LOSS_THRESHOLD" in line for line in told(look(load(), FakeVenue()), Level.WARNING))


def test_missing_credentials_are_refused(load: Callable[..., Settings]) -> None:
    settings = load(BASE, VENUE)
    report = asyncio.run(checking.check(settings, False, open_venue=checking.open_venue))

    assert report.exit_code == ExitCode.REFUSED
    (problem,) = told(report, Level.PROBLEM)
    assert "its api_key and secret are missing" in problem, "both at once, and once"
    assert "RISK_DAEMON_KRAKEN_SECRET" in problem


def test_credentials_that_are_there_are_not_printed(
    load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
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
    part: str, error: Exception, code: int, load: Callable[..., Settings]
) -> None:
    report = look(load(), FakeVenue(**{part: error}))

    assert report.exit_code == code
    assert any(str(error) in line for line in told(report, Level.PROBLEM))


async def test_a_venue_that_never_answers_is_a_problem(load: Callable[..., Settings]) -> None:
    class Silent(FakeVenue):
        async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
            await asyncio.Event().wait()
            raise AssertionError

    settings = load(BASE, '[data]\ncall_timeout = "10ms"', VENUE, "simulated = true")
    probe = await checking.probe(cast(VenueAdapter, Silent()), settings)

    assert probe.balances is None
    assert [(what, str(error)) for what, error in probe.failures] == [("balances", "no answer within 0.01 s")]


async def test_a_day_of_flows_is_asked_for(load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    await checking.probe(cast(VenueAdapter, venue), load(), ManualClock(wall=1_000_000.0))

    assert venue.since == 1_000_000.0 - 86_400


def test_a_venue_that_can_t_be_opened_is_a_problem(load: Callable[..., Settings]) -> None:
    @asynccontextmanager
    async def open_venue(settings: Settings, name: str) -> AsyncIterator[VenueAdapter]:
        raise VenueUnavailable("the simulated venue did not start")
        yield

    report = asyncio.run(checking.check(load(), False, open_venue=open_venue))
    assert report.exit_code == ExitCode.VENUE_UNAVAILABLE_AT_FIRST_START


def test_venues_that_were_not_asked_are_not_called_fine(load: Callable[..., Settings]) -> None:
    report = asyncio.run(checking.check(load(), False))

    assert "venues: they were not asked" in told(report, Level.WARNING)


def test_an_asset_without_a_price_is_refused(load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    venue.amounts["OBSCURE"] = Decimal(1)
    report = look(load(), venue)

    assert report.exit_code == ExitCode.REFUSED
    assert "kraken: OBSCURE has no price path to USDT" in told(report, Level.PROBLEM)[0]


def test_a_price_of_another_venue_or_over_two_steps_will_do(load: Callable[..., Settings]) -> None:
    first, second = FakeVenue(), FakeVenue("other")
    first.amounts["OBSCURE"] = Decimal(1)
    second.prices = (Price("OBSCURE/BTC", "OBSCURE", "BTC", Decimal(2)),)
    second.amounts = {}
    other = VENUE.replace("kraken]", "other]") + "simulated = true\n"

    assert told(look(load(BASE, VENUE, "simulated = true", other), first, second), Level.PROBLEM) == []


@pytest.mark.parametrize("extra", ['ignore_assets = ["OBSCURE"]', "[prices.pegs]\nOBSCURE = 1"])
def test_an_asset_that_is_ignored_or_pegged_needs_no_price(extra: str, load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    venue.amounts["OBSCURE"] = Decimal(1)

    assert told(look(load(BASE, extra, VENUE, "simulated = true"), venue), Level.PROBLEM) == []


@pytest.mark.parametrize(("protective", "named"), [("cancel", True), ("keep", False)])
def test_positions_that_would_stand_without_a_stop_are_named(
    protective: str, named: bool, load: Callable[..., Settings]
) -> None:
    venue = FakeVenue()
    venue.positions, venue.orders["perp plain"] = (LONG,), (STOP,)
    settings = load(BASE, f'[circuit_breaker]\nprotective_orders = "{protective}"', VENUE, "simulated = true")

    warnings = told(look(settings, venue), Level.WARNING)
    assert any("BTC/USDT:USDT (0.5) would stand without a stop" in line for line in warnings) is named


def test_a_position_that_never_had_a_stop_is_named_even_if_stops_are_kept(load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    venue.positions = (LONG,)
    settings = load(BASE, '[circuit_breaker]\nprotective_orders = "keep"', VENUE, "simulated = true")

    assert any("without a stop" in line for line in told(look(settings, venue), Level.WARNING))


def test_a_book_without_trades_is_said(load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    assert any(
        "its book tells of deposits and withdrawals only" in line for line in told(look(load(), venue), Level.NOTE)
    )


def test_what_a_venue_lacks_is_said(load: Callable[..., Settings]) -> None:
    venue = FakeVenue(flows=VenueRejected("never asked"), positions=VenueRejected("never asked"))
    venue.capabilities = Capabilities(frozenset(), has_flows=False, has_positions=False, notes=("polls only",))
    report = look(load(), venue)

    assert report.exit_code == ExitCode.STOPPED
    assert any("no ledger" in line for line in told(report, Level.WARNING))
    notes = told(report, Level.NOTE)
    assert "kraken: polls only" in notes
    assert any("no stream of balances and prices" in line for line in notes)


# --- the whole -------------------------------------------------------------------------------------


def test_sentences_only_where_asked_for(load: Callable[..., Settings]) -> None:
    assert look(load(), FakeVenue(), explain=True).explanations == explanations(load())
    assert look(load(), FakeVenue()).explanations == ()


def test_the_document_is_json(load: Callable[..., Settings]) -> None:
    document: dict[str, Any] = look(load(), FakeVenue(), explain=True).document()

    assert json.loads(json.dumps(document)) == document
    assert document["ok"] is True
    assert document["effective"]["venues"]["kraken"]["simulated"] is True


@pytest.mark.parametrize(
    ("powers", "level", "sentence"),
    [
        (None, Level.NOTE, "does not tell what else the key may do"),
        (KeyPowers(may_withdraw=True), Level.WARNING, "THE KEY MAY WITHDRAW"),
        (KeyPowers(may_withdraw=False), Level.OK, "the key may not withdraw"),
        (KeyPowers(may_read=True), Level.NOTE, "whether the key may withdraw is not told"),
        (KeyPowers(may_withdraw=False, is_bound=False), Level.WARNING, "good from any address"),
    ],
)
def test_what_the_key_may_do_is_told(
    load: Callable[..., Settings], powers: KeyPowers | None, level: Level, sentence: str
) -> None:
    class Tells(FakeVenue):
        async def audit_key(self) -> KeyPowers | None:
            return powers

    report = look(load(), Tells())
    assert any(sentence in line for line in told(report, level))
    assert report.exit_code == ExitCode.STOPPED, "a person decides"


def test_an_audit_that_fails_is_a_failure(load: Callable[..., Settings]) -> None:
    class Silent(FakeVenue):
        async def audit_key(self) -> KeyPowers | None:
            raise MalformedReply("html")

    assert any("what the key may do failed" in line for line in told(look(load(), Silent()), Level.PROBLEM))


def test_what_no_proof_covers_is_told(load: Callable[..., Settings]) -> None:
    venue = FakeVenue()
    venue.capabilities = Capabilities(unprovable=("grid bots: no call lists them",))
    assert "kraken: a proof does not cover: grid bots: no call lists them" in told(look(load(), venue), Level.WARNING)


class ClosingVenue(FakeVenue):
    """One whose positions can be closed, in steps of 0.1."""

    def lot(self, symbol: str) -> Lot:
        self._maybe("lot")
        return Lot(step=Decimal("0.1"), smallest=Decimal("0.1"))

    async def close_position(self, position: Position, quantity: Decimal, *, label: str) -> None:
        raise AssertionError("check closed a position")


def closing_report(load: Callable[..., Settings], venue: FakeVenue, quantity: str) -> CheckReport:
    venue.positions = (replace(LONG, quantity=Decimal(quantity)),)
    return look(load(BASE, "[circuit_breaker]\nauto_close_positions = true", VENUE, "simulated = true"), venue)


@pytest.mark.parametrize(
    ("quantity", "sentence"),
    [
        ("0.5", "a trip would close the position BTC/USDT:USDT (0.5), at whatever price a market order finds"),
        ("-0.57", "(-0.57), at whatever price a market order finds; 0.07 would be left, too small to be ordered"),
        ("0.05", "a trip would leave the position BTC/USDT:USDT (0.05): it is too small to be ordered"),
    ],
)
def test_which_positions_a_trip_would_close_and_what_it_would_leave(
    quantity: str, sentence: str, load: Callable[..., Settings]
) -> None:
    report = closing_report(load, ClosingVenue(), quantity)

    lines = [finding.sentence for finding in report.findings]
    assert any(sentence in line for line in lines), lines
    assert "closing would leave 1 BTC (kraken): spot is not sold" in lines
    assert not any("without a stop" in line for line in lines)


@pytest.mark.parametrize(
    ("venue", "reason"),
    [(FakeVenue(), "this adapter can't close"), (ClosingVenue(lot=VenueRejected("delisted")), "delisted")],
)
def test_a_position_that_a_trip_could_not_close_is_named(
    venue: FakeVenue, reason: str, load: Callable[..., Settings]
) -> None:
    warnings = told(closing_report(load, venue, "1"), Level.WARNING)

    assert any("could not close the position BTC/USDT:USDT (1)" in line and reason in line for line in warnings)
