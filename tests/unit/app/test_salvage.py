"""What is used of a configuration that is refused: whole venues, the times of a sweep, the place of the state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from risk_daemon.app.in_force import in_force
from risk_daemon.app.salvage import Salvaged, salvage
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.sqlite import SqliteStore

VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nendpoint = "http://127.0.0.1:1"\n'
CAPITAL = "[portfolio]\ninitial_capital = 10000\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def of(config: Path, text: str) -> Salvaged:
    config.write_text(text)
    return salvage(config)


def test_a_pipe_is_not_waited_for(config: Path) -> None:
    os.mkfifo(config)
    assert salvage(config) == Salvaged(config.parent / "var")


@pytest.mark.parametrize(
    "wrong",
    [
        '[circuit_breaker]\nloss_threshold = "500%"\nsettle = "7s"\n',
        '[circuit_breaker]\nloss_treshold = "5%"\nsettle = "7s"\n',
        '[circuit_breaker]\nloss_threshold = "2%"\nsettle = "7s"\n',
        '[breakers.drawdown]\nlimit = "0%"\n[circuit_breaker]\nsettle = "7s"\n',
        '[circuit_breaker]\nsettle = "7s"\n[api]\nlisten = "0.0.0.0:1"\n',
        '[circuit_breaker]\nsettle = "7s"\n[nonsense]\n',
        '[circuit_breaker]\nsettle = "7s"\ncancel_deadline = "5s"\n',
    ],
)
def test_a_limit_that_is_refused_takes_no_venue_with_it(config: Path, wrong: str) -> None:
    found = of(config, CAPITAL + wrong + VENUE + '[state]\ndir = "here"\n')
    assert found.left_out == {}
    assert found.settings is not None
    assert found.settings.venues["kraken"].endpoint == "http://127.0.0.1:1"
    assert found.settings.circuit_breaker.settle == 7
    assert found.settings.portfolio.initial_capital == 10000
    assert found.settings.state.dir == found.state_dir == config.parent / "here"


@pytest.mark.parametrize("wrong", ['endpont = "http://127.0.0.1:1"', "sandbox = 1", 'api_key = "secret-of-mine"'])
def test_a_venue_is_taken_whole_or_not_at_all(config: Path, wrong: str) -> None:
    """Half a table would be another account."""
    found = of(config, CAPITAL + VENUE + f'[venues.other]\nexchange = "kraken"\nmarkets = ["spot"]\n{wrong}\n')
    assert found.settings is not None
    assert found.settings.venues.keys() == {"kraken"}
    assert found.left_out.keys() == {"other"}
    assert "secret-of-mine" not in str(found)


CHANNEL = '[alerts.channels.{}]\nkind = "webhook"\nurl = "https://hooks.example.org/{}"\n'


def test_whoever_is_told_is_told_by_a_refused_file_too(config: Path) -> None:
    """The channels that can be used, and their words; the others by name."""
    text = '[circuit_breaker]\nloss_threshold = "500%"\n[alerts]\nstrategy_name = "grid"\nrate = -1\n'
    bad = '[alerts.channels.mail]\nkind = "email"\npassword = "secret-of-mine"\n'
    found = of(config, CAPITAL + VENUE + text + CHANNEL.format("a", "a") + bad + CHANNEL.format("A", "b"))
    assert found.settings is not None
    assert found.settings.alerts.channels.keys() == {"a"}
    assert (found.settings.alerts.strategy_name, found.settings.alerts.rate) == ("grid", 10)
    assert found.channels_left_out.keys() == {"mail", "A"}
    assert "secret-of-mine" not in str(found)


@pytest.mark.parametrize(
    ("table", "bootstrap"),
    [('bootstrap = "kafka:9092"', "kafka:9092"), ('bootstrap = "kafka:9092"\ntopics = "a"', None), ("", None)],
    ids=["right", "mistyped", "empty"],
)
def test_the_broadcast_is_taken_whole_or_not_at_all(config: Path, table: str, bootstrap: str | None) -> None:
    wrong = '[circuit_breaker]\nloss_threshold = "500%"\n'
    found = of(config, CAPITAL + VENUE + wrong + f"[broadcast.kafka]\n{table}\n")
    assert found.settings is not None
    kafka = found.settings.broadcast.kafka
    assert (None if kafka is None else kafka.bootstrap) == bootstrap


@pytest.mark.parametrize("alerts", ["alerts = 5\n", "[alerts]\nchannels = 5\n", "[alerts.channels]\nphone = 5\n"])
def test_alerts_that_say_nothing_take_nothing_else_with_them(config: Path, alerts: str) -> None:
    found = of(config, alerts + CAPITAL + VENUE)
    assert found.settings is not None
    assert found.settings.alerts.channels == {}


@pytest.mark.parametrize("venues", ["", '[venues.kraken]\nexchange = "kraken"\nendpont = "typo"\n'])
async def test_where_the_file_has_no_venue_those_that_were_guarded_are_taken(config: Path, venues: str) -> None:
    guarded = of(config, CAPITAL + VENUE).settings
    assert guarded is not None
    guarded.state.dir.mkdir()
    store = SqliteStore.open(Paths(guarded.state.dir).database, create=True)
    await store.save(in_force(guarded))
    await store.close()
    found = of(config, CAPITAL + venues)
    assert found.settings is not None
    assert found.settings.venues == guarded.venues


@pytest.mark.parametrize("text", [CAPITAL, "venues = 5\n", '[venues.kraken]\nexchange = "kraken"\n', ""])
def test_without_a_venue_there_is_only_the_place(config: Path, text: str) -> None:
    found = of(config, text)
    assert found.settings is None
    assert found.state_dir == config.parent / "var"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[portfolio\n[state]\ndir = "here"\n', "here"),
        ("[state]\n# where\ndir = 'there'\n[oops", "there"),
        ('[oops\n[state]\nstore = "sqlite"\n[venues.dir]\ndir = "no"\n', "var"),
        ("[oops", "var"),
    ],
)
def test_what_is_no_toml_still_says_where_the_state_is(config: Path, text: str, place: str) -> None:
    assert of(config, text) == Salvaged(config.parent / place)


def test_no_file_at_all(config: Path) -> None:
    assert salvage(config) == Salvaged(config.parent / "var")


PEERS = '[guard]\nname = "a"\npeers = ["b"]\n'
LOCKS = '[state]\nlocks = ["file", "redis://127.0.0.1:1/0"]\n'
REFUSED = "[nonsense]\n"


def meet(found: Salvaged) -> tuple[tuple[str, ...], int]:
    """Which peers are told, and how many locks that bots elsewhere read are written."""
    assert found.settings is not None
    return found.settings.guard.peers, len(found.settings.state.redis_locks)


def test_peers_and_the_locks_of_others_are_kept_for_what_is_proven_waits_for_them(config: Path) -> None:
    assert meet(of(config, CAPITAL + VENUE + PEERS + LOCKS + REFUSED)) == (("b",), 1)
    assert meet(of(config, CAPITAL + VENUE + LOCKS + REFUSED)) == ((), 1)
    assert meet(of(config, CAPITAL + VENUE + REFUSED)) == ((), 0)


@pytest.mark.parametrize("wrong", [PEERS.replace("peers", "pears") + LOCKS, PEERS + LOCKS.replace("redis:", "redos:")])
async def test_peers_that_can_not_be_read_are_those_of_before(config: Path, wrong: str) -> None:
    before = of(config, CAPITAL + VENUE + PEERS + LOCKS).settings
    assert before is not None
    state = Paths(config.parent / "var")
    state.root.mkdir()
    store = SqliteStore.open(state.database, create=True)
    await store.save(in_force(before))
    await store.close()
    assert meet(of(config, CAPITAL + VENUE + wrong)) == (("b",), 1)
    assert meet(of(config, CAPITAL + VENUE + REFUSED)) == ((), 0), "that they were taken out can be read"
