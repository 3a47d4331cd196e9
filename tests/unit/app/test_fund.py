"""A guard as a member of its fund, at a start: which state and configuration belong together, and what `check` says."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from risk_daemon.app import fund_place
from risk_daemon.app.findings import Level
from risk_daemon.app.fund import fund_findings, meet_fund, meet_fund_that_can_be_met, member_of
from risk_daemon.app.fund_place import place_of
from risk_daemon.config.load import load
from risk_daemon.config.settings import Settings
from risk_daemon.engine.fund_debt import FundDebt
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import ConfigError, ExitCode, StateError
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.membership import FUND
from risk_daemon.fund.messages import TripFund
from risk_daemon.model.events import FundTold, Input
from risk_daemon.runtime.member import MemberPorts
from tests.unit.config.files import PORTFOLIO, SIMULATED, write
from tests.unit.fund.fund import two

TABLE = '[fund]\nname = "alpha"\nlimit = "1000 USDT"\nmember = "b"\nbudget = "400 USDT"\n'
LEDGER = 'ledger = "redis://127.0.0.1:6379/0"\n'


@pytest.fixture(autouse=True)
def _machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "machine-id"
    file.write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    monkeypatch.setattr(fund_place, "MACHINE_ID", file)


def settings(directory: Path, fund: str | None = TABLE + LEDGER, portfolio: str = PORTFOLIO) -> Settings:
    state = f'[state]\ndir = "{directory / "state"}"\n'
    (directory / "state").mkdir(exist_ok=True)
    return load(write(directory, portfolio, *([] if fund is None else [fund]), state, SIMULATED))


def document(directory: Path, **changes: Any) -> dict[str, Any]:
    """Of member b, with a budget of 400, in this state directory."""
    _, _, b = two()
    (directory / "state").mkdir(exist_ok=True)
    row = replace(b.kept, place=place_of(directory / "state"), **changes)
    made: dict[str, Any] = json.loads(json.dumps(b.document(row)))
    return {FUND: made}


# --- what belongs together -----------------------------------------------------------------------------


def test_a_member_is_restored_where_everything_fits_and_without_a_document_there_is_none(tmp_path: Path) -> None:
    of_b = settings(tmp_path)
    begun = member_of(of_b, document(tmp_path))
    assert begun is not None
    assert begun[0].budget == 400
    assert member_of(of_b, {}) is None
    ratio = settings(tmp_path, TABLE.replace("1000 USDT", "5%") + LEDGER)
    assert member_of(ratio, document(tmp_path)) is not None, "what a ratio came to was said when the fund was founded"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('member = "b"', 'member = "c"', "it says c of alpha, and this state is b of alpha"),
        ('name = "alpha"', 'name = "beta"', "it says b of beta"),
        ("1000 USDT", "2000 USDT", "the limit is 2000 USDT, and alpha was founded with 1000 USDT"),
    ],
)
def test_a_configuration_of_another_member_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        member_of(settings(tmp_path, TABLE.replace(old, new) + LEDGER), document(tmp_path))


def test_a_member_without_its_table_is_refused_until_it_has_left(tmp_path: Path) -> None:
    bare = settings(tmp_path, None)
    with pytest.raises(ConfigError, match="put \\[fund\\] back"):
        member_of(bare, document(tmp_path))
    assert member_of(bare, document(tmp_path, has_left=True)) is None


def test_a_state_of_another_place_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    moved = document(tmp_path)
    moved[FUND]["row"]["place"] = "machine-0.state-0"
    with pytest.raises(StateError, match="this state was moved or copied"):
        member_of(settings(tmp_path), moved)
    with pytest.raises(StateError, match="does not know how much it may lose"):
        member_of(settings(tmp_path), {FUND: {"format": 1}})


def test_a_trip_of_the_fund_that_stands_is_known_again_where_the_document_was_not_written_any_more(
    tmp_path: Path,
) -> None:
    _, _, b = two()
    stands = Trip(b.trip_id, "fund alpha", "b has lost 400", 1.0, 1.0, cause="fund")
    begun = member_of(settings(tmp_path), document(tmp_path), stands)
    assert begun is not None
    state, actions = begun
    assert state.wanted.trip == b.trip_id
    assert any(isinstance(action, TripFund) for action in actions)
    own = replace(stands, trip_id="trip-1", cause="capital_loss")
    begun = member_of(settings(tmp_path), document(tmp_path), own)
    assert begun is not None
    assert begun[0].wanted.trip is None


# --- at a start ----------------------------------------------------------------------------------------


class Guard:
    """What a start has opened, as far as a fund needs it."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self.told: list[Input] = []
        self.debt = FundDebt()
        self.debt.restore(documents)
        engine = SimpleNamespace(
            trip=None,
            debt=self.debt,
            baselines=SimpleNamespace(fund=SimpleNamespace(of=lambda founding, seat: None)),
            books=SimpleNamespace(are_read_since=lambda mono: False),
        )
        self.opened: Any = SimpleNamespace(engine=engine, documents=documents, store=SimpleNamespace(save=None))
        self.daemon: Any = SimpleNamespace(
            parts=SimpleNamespace(inbox=SimpleNamespace(put=self.told.append), clock=None),
            save=None,
            member=None,
            subscribe=self.told.append,
        )


async def test_where_nobody_can_tell_the_fund_of_its_trip_the_engine_hears_that(tmp_path: Path) -> None:
    tripped = document(tmp_path, trip="alpha-f00d")
    guard = Guard(tripped)
    async with AsyncExitStack() as stack:
        with capture_logs() as logs:
            meet_fund_that_can_be_met(settings(tmp_path, None), guard.opened, guard.daemon, stack)
    assert [(line["event"], line["log_level"]) for line in logs] == [("fund_left_out", "critical")]
    (told,) = guard.told
    assert isinstance(told, FundTold)
    assert told.trip_id == "alpha-f00d"
    assert "put [fund] back" in str(told.error)


async def test_while_a_trip_is_finished_nothing_is_taken_for_a_start_and_so_nothing_can_be_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Baselines are not restored then: one that is taken now says that nothing was lost."""
    made: list[MemberPorts] = []

    def member(_ledger: object, _settings: object, _clock: object, ports: MemberPorts, **_: object) -> Any:
        made.append(ports)
        return SimpleNamespace(heard=None, aclose=_nothing, start=lambda: None)

    monkeypatch.setattr("risk_daemon.app.fund.Member", member)
    guard = Guard(document(tmp_path))
    guard.opened.engine.baselines.fund.of = lambda founding, seat: Decimal(9_000)
    guard.opened.engine.books.portfolio = SimpleNamespace(gross=Decimal(0))
    guard.daemon.save = _kept
    async with AsyncExitStack() as stack:
        meet_fund_that_can_be_met(settings(tmp_path), guard.opened, guard.daemon, stack)
        meet_fund(settings(tmp_path), guard.opened, guard.daemon, stack)
    finishing, guarding = made
    assert finishing.start("f00d", "b.00000001") is None
    assert await finishing.keep() is False
    assert guarding.start("f00d", "b.00000001") == 9_000
    assert await guarding.keep() is True


async def _nothing() -> None:
    """Closed."""


async def _kept() -> bool:
    return True


async def test_without_a_fund_there_is_nothing_to_meet(tmp_path: Path) -> None:
    guard = Guard({})
    async with AsyncExitStack() as stack:
        assert meet_fund(settings(tmp_path, None), guard.opened, guard.daemon, stack) is None
    assert guard.told == []


@pytest.mark.parametrize(("before", "is_heard"), [(("alpha-old",), True), ((), False)])
async def test_a_trip_that_is_owed_to_an_earlier_founding_was_heard_or_can_t_be_told(
    tmp_path: Path, before: tuple[str, ...], is_heard: bool
) -> None:
    made = document(tmp_path)
    made[FUND]["charter"]["before"] = {f"old-{number}": trip for number, trip in enumerate(before)}
    guard = Guard({**made, "latch": {"cause": "fund", "trip_id": "alpha-old"}})
    broken = settings(tmp_path, TABLE + 'ledger = "postgresql://guard@127.0.0.1:1/risk"\n')
    async with AsyncExitStack() as stack:
        meet_fund_that_can_be_met(broken, guard.opened, guard.daemon, stack)
    (told,) = (event for event in guard.told if isinstance(event, FundTold))
    assert (told.error is None) is is_heard


# --- what `check` says -----------------------------------------------------------------------------------


def test_check_says_that_a_guard_has_not_joined_and_nothing_without_a_fund(tmp_path: Path) -> None:
    [found] = fund_findings(settings(tmp_path))
    assert found.level is Level.WARNING
    assert "b has not joined alpha: `risk-daemon fund join`" in found.sentence
    assert fund_findings(settings(tmp_path, None)) == []


def said(monkeypatch: pytest.MonkeyPatch, of: Settings, documents: dict[str, Any]) -> tuple[Level, ExitCode, str]:
    monkeypatch.setattr("risk_daemon.app.fund.peek_documents", lambda path: documents)
    [found] = fund_findings(of)
    return found.level, found.exit_code, found.sentence


def test_check_says_what_a_member_may_lose_why_nothing_opens_and_what_a_start_is_refused_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_b = settings(tmp_path)
    level, _, sentence = said(monkeypatch, of_b, document(tmp_path))
    assert (level, sentence.partition(";")[0]) == (
        Level.OK,
        "b of alpha may lose 400 USDT before all members trip",
    )
    level, _, sentence = said(monkeypatch, of_b, document(tmp_path, trip="alpha-f00d"))
    assert (level, sentence.partition(";")[0]) == (
        Level.WARNING,
        "nothing opens: the fund has tripped (alpha-f00d)",
    )
    level, code, sentence = said(monkeypatch, settings(tmp_path, None), document(tmp_path))
    assert (level, code) == (Level.PROBLEM, ExitCode.REFUSED)
    assert "put [fund] back" in sentence


def test_a_member_is_restored_as_one_that_guards(tmp_path: Path) -> None:
    begun = member_of(settings(tmp_path), document(tmp_path))
    assert begun is not None
    state: Escrow = begun[0]
    assert state.is_guarding
    assert not state.may_trade, "nothing is known of its loss yet"
