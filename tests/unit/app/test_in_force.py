"""What a state was guarded by last: who may loosen that, and what a trip is finished with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.app.composition import account
from risk_daemon.app.findings import Finding, Level
from risk_daemon.app.in_force import (
    CONFIGURATION,
    LooserConfiguration,
    compared,
    finishing_settings,
    in_force,
    keep,
    limits_of,
    looser_than_before,
    refuse_looser,
    wardens_enrolled,
)
from risk_daemon.config.load import Settings
from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ExitCode
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.sqlite import SqliteStore

NOBODY = '{"format": 1, "wardens": [], "rules": null}'
ALICE = '{"format": 1, "wardens": [{"name": "alice"}], "rules": null}'


def configured(directory: Path, **circuit_breaker: str) -> Settings:
    rows = "\n".join(f"{key} = {value}" for key, value in circuit_breaker.items())
    (directory / "config.toml").write_text(
        f"[portfolio]\ninitial_capital = 10000\n[circuit_breaker]\n{rows}\n"
        '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
    )
    return load_config(directory / "config.toml")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "var").mkdir()
    return Paths(tmp_path / "var")


def enrol(paths: Paths, text: str = ALICE) -> None:
    (paths.root / "wardens.json").write_text(text)


async def kept(paths: Paths, documents: Mapping[str, Any]) -> Mapping[str, Any]:
    store = SqliteStore.open(paths.database, create=True)
    await store.save(documents)
    found = await store.load()
    await store.close()
    return found


# --- who is enrolled ---------------------------------------------------------------------------------


def test_without_a_list_and_with_an_empty_one_nobody_is_enrolled(paths: Paths) -> None:
    assert not wardens_enrolled(paths)
    enrol(paths, NOBODY)
    assert not wardens_enrolled(paths)


@pytest.mark.parametrize("text", [ALICE, "", "{", "[]", "{}", '{"wardens": {}}', '{"wardens": null}', "[" * 100_000])
def test_a_list_that_is_not_plainly_empty_counts_as_somebody(paths: Paths, text: str) -> None:
    enrol(paths, text)
    assert wardens_enrolled(paths)


def test_a_list_that_can_not_be_read_counts_as_somebody(paths: Paths) -> None:
    (paths.root / "wardens.json").mkdir()
    assert wardens_enrolled(paths)


@pytest.mark.parametrize("text", [None, NOBODY])
async def test_a_list_that_is_gone_while_the_store_remembers_somebody_counts_as_somebody(
    paths: Paths, tmp_path: Path, text: str | None
) -> None:
    documents = await kept(paths, {**in_force(configured(tmp_path)), "wardens": {"guarded": True}})
    if text is not None:
        enrol(paths, text)
    assert wardens_enrolled(paths)
    with pytest.raises(LooserConfiguration):
        refuse_looser(configured(tmp_path, loss_threshold='"10%"'), paths, documents)


def test_limits_are_said_as_they_are_written(tmp_path: Path) -> None:
    said = limits_of(configured(tmp_path, loss_threshold='"50%"'))
    assert said[:2] == ("circuit_breaker.loss_threshold = 50%", "circuit_breaker.action = trip")
    assert "breakers.blind.trip_after = never" in said


# --- refusing ----------------------------------------------------------------------------------------


def test_looser_is_refused_once_a_warden_is_enrolled_and_says_which(paths: Paths, tmp_path: Path) -> None:
    before = in_force(configured(tmp_path))
    looser = configured(tmp_path, loss_threshold='"10%"', settle='"1s"')
    refuse_looser(looser, paths, before)
    enrol(paths)
    with pytest.raises(LooserConfiguration) as refused:
        refuse_looser(looser, paths, before)
    assert refused.value.exit_code is ExitCode.REFUSED
    assert "(circuit_breaker.loss_threshold 5 % -> 10 %; circuit_breaker.settle 2 s -> 1 s)" in str(refused.value)
    assert "config.toml" in str(refused.value)


def test_a_store_that_was_read_is_believed_that_there_are_wardens(paths: Paths, tmp_path: Path) -> None:
    """Their list is gone, and the store can't be looked into a second time."""
    before = {**in_force(configured(tmp_path)), "wardens": {"guarded": True}}
    with pytest.raises(LooserConfiguration):
        refuse_looser(configured(tmp_path, loss_threshold='"10%"'), paths, before)


def test_tightening_needs_nobody(paths: Paths, tmp_path: Path) -> None:
    before = in_force(configured(tmp_path))
    enrol(paths)
    refuse_looser(configured(tmp_path, loss_threshold='"4%"'), paths, before)
    refuse_looser(configured(tmp_path), paths, before)


@pytest.mark.parametrize("document", [None, {}, {"settings": None}, {"settings": "all"}])
def test_where_it_is_not_known_what_was_in_force_it_is_refused(paths: Paths, tmp_path: Path, document: Any) -> None:
    settings, documents = configured(tmp_path), {} if document is None else {CONFIGURATION: document}
    refuse_looser(settings, paths, documents)
    assert looser_than_before(settings, documents) is None
    enrol(paths)
    with pytest.raises(LooserConfiguration, match="not known"):
        refuse_looser(settings, paths, documents)


async def test_what_is_kept_is_what_ran_last(paths: Paths, tmp_path: Path) -> None:
    """Step by step nobody gets back: 5 %, then 4 %, and 5 % is looser."""
    store = SqliteStore.open(paths.database, create=True)
    settings = configured(tmp_path)
    await keep(settings, store, {})
    assert await store.load() == in_force(settings)
    tighter = configured(tmp_path, loss_threshold='"4%"')
    await keep(tighter, store, await store.load())
    assert looser_than_before(settings, await store.load()) == ("circuit_breaker.loss_threshold 4 % -> 5 %",)
    await store.close()


async def test_what_can_not_be_kept_keeps_nobody_from_guarding(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SqliteStore.open(paths.database, create=True)
    store._connection.execute("PRAGMA query_only = ON")
    await keep(configured(tmp_path), store, {})
    await store.close()
    assert "configuration_save_failed" in capsys.readouterr().out


# --- finishing ---------------------------------------------------------------------------------------


async def test_a_trip_is_finished_as_strictly_as_it_would_have_been(paths: Paths, tmp_path: Path) -> None:
    await kept(paths, in_force(configured(tmp_path, order_flight='"7s"')))
    looser = configured(tmp_path, protective_orders='"keep"', order_flight='"1s"', cancel_deadline='"3s"')
    assert finishing_settings(looser, paths) is looser
    enrol(paths)
    finishing = finishing_settings(looser, paths)
    assert finishing.circuit_breaker.protective_orders == "cancel"
    assert finishing.circuit_breaker.order_flight == 7.0
    assert finishing.circuit_breaker.cancel_deadline == 300.0
    assert finishing.file == looser.file


async def test_a_trip_is_finished_with_the_times_of_before(paths: Paths, tmp_path: Path) -> None:
    """No call is ever answered within the time of a file that was refused."""
    before = in_force(configured(tmp_path))
    before[CONFIGURATION]["settings"]["data"]["call_timeout"] = "7s"
    await kept(paths, before)
    enrol(paths)
    assert finishing_settings(configured(tmp_path), paths).data.call_timeout == 7.0


async def test_a_market_that_was_taken_out_is_swept_all_the_same(paths: Paths, tmp_path: Path) -> None:
    before = in_force(configured(tmp_path))
    before[CONFIGURATION]["settings"]["venues"]["kraken"]["markets"] = ["spot", "margin"]
    await kept(paths, before)
    enrol(paths)
    assert finishing_settings(configured(tmp_path), paths).venues["kraken"].markets == ("spot", "margin")


async def test_whoever_heard_of_it_before_does_now(paths: Paths, tmp_path: Path) -> None:
    before = in_force(configured(tmp_path))
    before[CONFIGURATION]["settings"]["alerts"]["channels"] = {"pager": {"kind": "apprise"}}
    await kept(paths, before)
    enrol(paths)
    assert set(finishing_settings(configured(tmp_path), paths).alerts.channels) == {"pager"}


async def test_where_no_channel_can_be_read_any_more_those_that_were_are_used(paths: Paths, tmp_path: Path) -> None:
    """Wardens or not: a trip is never finished in silence for a typo."""
    before = in_force(configured(tmp_path))
    before[CONFIGURATION]["settings"]["alerts"]["channels"] = {"pager": {"kind": "apprise"}}
    await kept(paths, before)
    finishing = finishing_settings(configured(tmp_path, protective_orders='"keep"'), paths)
    assert set(finishing.alerts.channels) == {"pager"}
    assert finishing.circuit_breaker.protective_orders == "keep"


@pytest.mark.parametrize("is_guarded", [True, False])
async def test_what_was_broadcast_before_is_so_though_the_file_has_no_broker_any_more(
    paths: Paths, tmp_path: Path, is_guarded: bool
) -> None:
    before = in_force(configured(tmp_path))
    before[CONFIGURATION]["settings"]["broadcast"] = {"kafka": {"bootstrap": "kafka:9092"}}
    await kept(paths, before)
    if is_guarded:
        enrol(paths)
    kafka = finishing_settings(configured(tmp_path), paths).broadcast.kafka
    assert kafka is not None
    assert kafka.bootstrap == "kafka:9092"


@pytest.mark.parametrize("is_guarded", [True, False])
@pytest.mark.parametrize(("accounts", "is_swept"), [({"okx": "1"}, True), ({"kraken": "1"}, False), (None, False)])
async def test_a_venue_of_the_trip_that_was_taken_out_is_swept_as_it_was(
    paths: Paths, tmp_path: Path, is_guarded: bool, accounts: Any, is_swept: bool
) -> None:
    before: dict[str, Any] = in_force(configured(tmp_path))
    before[CONFIGURATION]["settings"]["venues"]["okx"] = {"exchange": "okx", "markets": ["perp"]}
    await kept(paths, before if accounts is None else {**before, IDENTITY: {"accounts": accounts}})
    if is_guarded:
        enrol(paths)
    venues = finishing_settings(configured(tmp_path), paths).venues
    assert ("okx" in venues) is is_swept
    assert "kraken" in venues
    if is_swept:
        assert venues["okx"].markets == ("perp",)


async def test_a_venue_under_another_name_is_not_swept_twice(paths: Paths, tmp_path: Path) -> None:
    settings = configured(tmp_path)
    before: dict[str, Any] = in_force(settings)
    before[CONFIGURATION]["settings"]["venues"]["main"] = {"exchange": "kraken", "markets": ["spot"]}
    await kept(paths, {**before, IDENTITY: {"accounts": {"main": account(settings, "kraken")}}})
    assert finishing_settings(settings, paths).venues.keys() == {"kraken"}


@pytest.mark.parametrize("settings", [None, {}, {"circuit_breaker": {"settle": 5}, "venues": {"kraken": {"a": 1}}}])
async def test_what_is_not_known_is_finished_by_the_defaults(paths: Paths, tmp_path: Path, settings: Any) -> None:
    await kept(paths, {CONFIGURATION: {"settings": settings}})
    enrol(paths)
    finishing = finishing_settings(configured(tmp_path, protective_orders='"keep"'), paths)
    assert finishing.circuit_breaker.protective_orders == "cancel"
    assert finishing.venues["kraken"].markets == ("spot",)


async def test_what_is_tighter_is_finished_as_it_is_now(paths: Paths, tmp_path: Path) -> None:
    await kept(paths, in_force(configured(tmp_path)))
    enrol(paths)
    tighter = configured(tmp_path, loss_threshold='"4%"')
    assert finishing_settings(tighter, paths) is tighter


# --- check -------------------------------------------------------------------------------------------


async def test_check_says_it_before_a_start_does(paths: Paths, tmp_path: Path) -> None:
    def said(settings: Settings) -> list[tuple[Level, ExitCode]]:
        findings: list[Finding] = list(compared(settings))
        assert all("loss_threshold 5 % -> 6 %" in finding.sentence for finding in findings)
        return [(finding.level, finding.exit_code) for finding in findings]

    await kept(paths, in_force(configured(tmp_path)))
    assert said(configured(tmp_path)) == []
    looser = configured(tmp_path, loss_threshold='"6%"')
    assert said(looser) == [(Level.NOTE, ExitCode.STOPPED)]
    enrol(paths)
    assert said(looser) == [(Level.PROBLEM, ExitCode.REFUSED)]
    assert said(configured(tmp_path)) == []


def test_check_without_a_state_to_be_seen(paths: Paths, tmp_path: Path) -> None:
    assert list(compared(configured(tmp_path))) == []
    enrol(paths)
    (found,) = compared(configured(tmp_path))
    assert found.level is Level.WARNING


def test_what_is_kept_is_json(tmp_path: Path) -> None:
    document = in_force(configured(tmp_path))
    assert json.loads(json.dumps(document)) == document
