"""The reading that a baseline is made of: all of it or none, and every reason for none is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from adapters.base import Capabilities, OrderScope, VenueAdapter
from risk_daemon.app import composition
from risk_daemon.app import init as initialising
from risk_daemon.app.composition import Site, engine_settings
from risk_daemon.app.init import read_everything
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.engine.engine import Engine
from risk_daemon.errors import ConfigError, StartUnavailable, VenueRejected, VenueUnavailable
from risk_daemon.model.events import BalancesSeen, PricesSeen, Source

NAMES = ("first", "second", "third")
BASE = "[portfolio]\ninitial_capital = 10000\n"


class Venue:
    """A spot account with 100 USDT and no ledger. planted: the error that a call ends with, by its name."""

    scopes: Sequence[OrderScope] = ()
    capabilities = Capabilities(has_flows=False, has_positions=False)

    def __init__(self, name: str, **planted: Exception) -> None:
        self.name, self.planted = name, planted
        self.asked: list[str] = []

    def _ask(self, call: str) -> None:
        self.asked.append(call)
        if call in self.planted:
            raise self.planted[call]

    async def connect(self) -> None:
        self._ask("connect")

    async def read_balances(self, *, urgent: bool = False) -> BalancesSeen:
        self._ask("balances")
        return BalancesSeen(self.name, 1.0, Source.REST, {"USDT": Decimal(100)}, complete=True)

    async def read_prices(self, assets: frozenset[str], *, urgent: bool = False) -> PricesSeen:
        self._ask("prices")
        return PricesSeen(self.name, 1.0, Source.REST, ())


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Three live venues. Nobody has put their keys anywhere."""
    for name in NAMES:
        for part in ("API_KEY", "SECRET"):
            monkeypatch.delenv(f"RISK_DAEMON_{name.upper()}_{part}", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    venues = "".join(f'[venues.{name}]\nexchange = "kraken"\nmarkets = ["spot"]\n' for name in NAMES)
    (tmp_path / "config.toml").write_text(BASE + venues)
    return load_config(tmp_path / "config.toml")


@pytest.fixture
def read(settings: Settings) -> Callable[..., object]:
    async def read_these(*venues: Venue) -> Engine:
        site = Site(settings)
        site.adapters |= {venue.name: cast(VenueAdapter, venue) for venue in venues}
        engine = Engine(engine_settings(settings, site.adapters))
        await read_everything(settings, site, engine, {})
        return engine

    return read_these


async def test_everything_that_answers_is_read(read: Callable[..., object]) -> None:
    engine = await read(*map(Venue, NAMES))  # type: ignore[misc]

    assert engine.portfolio.equity == 300


async def test_every_venue_that_can_not_be_read_is_named_with_its_reason(read: Callable[..., object]) -> None:
    first = Venue("first", connect=VenueUnavailable("no route"))
    second = Venue("second")
    third = Venue("third", balances=VenueRejected("the key may not read"), prices=VenueUnavailable("never asked"))

    with pytest.raises(StartUnavailable) as caught:
        await read(first, second, third)  # type: ignore[misc]
    assert str(caught.value).splitlines() == [
        "first: it can't be read: no route",
        "third: it can't be read: the key may not read",
    ]
    assert second.asked == ["connect", "balances", "prices"]


@pytest.mark.parametrize("call", ["connect", "balances", "prices"])
@pytest.mark.parametrize("broken", NAMES)
async def test_one_that_fails_anywhere_is_no_reading(call: str, broken: str, read: Callable[..., object]) -> None:
    venues = [Venue(name, **({call: TimeoutError()} if name == broken else {})) for name in NAMES]

    with pytest.raises(StartUnavailable, match=f"^{broken}: it can't be read: no answer in time$"):
        await read(*venues)  # type: ignore[misc]


async def test_a_bug_is_not_taken_for_a_venue_that_does_not_answer(read: Callable[..., object]) -> None:
    with pytest.raises(ZeroDivisionError):
        await read(Venue("first", balances=ZeroDivisionError()), Venue("second"))  # type: ignore[misc]


async def test_every_key_that_is_missing_is_named_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DAEMON_SECOND_API_KEY", "key")
    missing = ["FIRST_API_KEY", "FIRST_SECRET", "SECOND_SECRET", "THIRD_API_KEY", "THIRD_SECRET"]

    with pytest.raises(ConfigError) as of_init:
        await initialising.prepare_init(settings)
    with pytest.raises(ConfigError) as of_state:
        composition.accounts(settings)
    for told in (str(of_init.value), str(of_state.value)):
        assert [told.count(f"RISK_DAEMON_{name}") for name in missing] == [1] * len(missing)
        assert told.count("RISK_DAEMON_") == len(missing)
        assert len(told.splitlines()) == len(NAMES)


async def test_what_is_no_matter_of_the_configuration_is_not_gathered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_settings: Settings, _venue: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(composition, "credentials", broken)
    with pytest.raises(ZeroDivisionError):
        async with Site(settings):
            pytest.fail("a site with a bug in it was entered")
