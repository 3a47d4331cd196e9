"""`risk-daemon migrate` with a server: what was done there, and a sentence where it was not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from risk_daemon import cli
from risk_daemon.errors import ConfigError, ExitCode, StateError
from risk_daemon.state.directory import Paths, identity, set_up
from risk_daemon.state.store.postgres_schema import migrations
from risk_daemon.state.store.sqlite import connect
from tests.postgres import Database, Server

NAMES = ", ".join(migration.name for migration in migrations())


@pytest.fixture
def bare(postgres: Server) -> Database:
    return Database(postgres, has_tables=False)


def config(tmp_path: Path, store: str, more: str = "") -> str:
    file = tmp_path / "config.toml"
    file.write_text(
        '[portfolio]\ninitial_capital = "auto"\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
        f'simulated = true\n[state]\nstore = "{store}"\n{more}'
    )
    return str(file)


def has_state(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "var")
    paths.root.mkdir(mode=0o700)
    with closing(connect(paths.database, create=True)) as connection:
        set_up(paths, connection, identity({}, "auto"))


def test_tables_are_made_with_and_without_a_state_here(
    tmp_path: Path, bare: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config(tmp_path, bare.address)
    assert cli.main(["migrate", "--config", file]) is ExitCode.STOPPED
    assert f"/{bare.name}: migrated {NAMES}" in capsys.readouterr().out
    has_state(tmp_path)
    assert cli.main(["migrate", "--config", file]) is ExitCode.STOPPED
    told = capsys.readouterr().out
    assert "nothing to do, the state is of this version's format" in told
    assert "nothing to do, the tables are this version's" in told


def test_without_a_server_there_must_be_a_state(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="run `risk-daemon init`"):
        cli.main(["migrate", "--config", config(tmp_path, "sqlite")])


def test_what_is_here_is_migrated_whatever_is_wrong_with_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    has_state(tmp_path)
    with pytest.raises(StateError, match="the tables on the server were not migrated: PostgreSQL at"):
        cli.main(["migrate", "--config", config(tmp_path, "postgresql://guard@127.0.0.1:1/risk")])
    with pytest.raises(ConfigError, match="this key is not known"):
        cli.main(["migrate", "--config", config(tmp_path, "postgresql://guard@127.0.0.1:1/risk", "typo = 1\n")])
    assert capsys.readouterr().out.count("the state is of this version's format") == 2
