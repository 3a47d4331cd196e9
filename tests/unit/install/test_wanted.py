"""What a guard needs of the machine, and the places that are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from risk_daemon.config.load import load as load_config
from risk_daemon.errors import UsageError
from risk_daemon.install import wanted
from risk_daemon.install.units import Installation, Names

VENUES = """
[portfolio]
initial_capital = 10000
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
[venues.desk]
exchange = "okx"
markets = ["spot"]
[venues.paper]
exchange = "krakenfutures"
markets = ["perp"]
simulated = true
[alerts.channels.oncall]
kind = "webhook"
url = "https://hooks.example.org/risk"
"""


def wanted_of(root: Path, state: str = "/var/lib/risk-daemon", more: str = "") -> Installation:
    config = root / "etc" / "risk-daemon" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f'{VENUES}[state]\ndir = "{state}"\n{more}')
    return wanted.wanted(Names(), Path("/opt/x"), config, root)


def test_the_credentials_of_live_venues_and_channels_are_named(tmp_path: Path) -> None:
    """okx has a passphrase; a simulated venue has no keys."""
    found = wanted_of(tmp_path)
    assert found.keys == ("kraken.api_key", "kraken.secret", "desk.api_key", "desk.secret", "desk.password")
    assert found.secrets == ("alerts.oncall.secret",)
    assert wanted.simulated(load_config(tmp_path / "etc/risk-daemon/config.toml")) == ("paper",)


def test_a_passphrase_that_was_put_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc/risk-daemon/credentials").mkdir(parents=True)
    (tmp_path / "etc/risk-daemon/credentials/kraken.password").write_text("p")
    assert "kraken.password" in wanted_of(tmp_path).keys


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("/home/trader/state", "hidden"),
        ("/root/state", "hidden"),
        ("/tmp/state", "forgotten"),
        ("/run/guard", "forgotten"),
        ("/dev/shm/guard", "forgotten"),
        ("/etc/risk-daemon/var", "below /etc"),
        ("/srv/my guard", "spaces"),
        ("/srv/%i", "signs"),
    ],
)
def test_a_state_where_a_service_can_not_keep_it_is_refused(tmp_path: Path, state: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wanted_of(tmp_path, state)


def test_two_guards_on_one_port_are_refused_and_the_next_one_is_found(tmp_path: Path) -> None:
    other = tmp_path / "etc" / "risk-daemon-b" / "config.toml"
    other.parent.mkdir(parents=True)
    other.write_text("no table at all")
    assert wanted.free_port(Names(), tmp_path) == 8787
    other.write_text("")
    assert wanted.free_port(Names(), tmp_path) == 8788
    assert wanted.free_port(Names(instance="b"), tmp_path) == 8787
    with pytest.raises(UsageError, match="is taken by"):
        wanted_of(tmp_path)
    assert wanted_of(tmp_path, more='[api]\nlisten = "127.0.0.1:8788"\n').state == Path("/var/lib/risk-daemon")


def test_the_program_is_that_of_the_environment_that_runs() -> None:
    assert wanted.this_program() == Path(sys.prefix) / "bin" / "risk-daemon"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("bin/risk-daemon", "absolute"),
        ("/opt/my tools/risk-daemon", "spaces"),
        ("/nowhere/risk-daemon", "no such program"),
    ],
)
def test_a_program_that_can_not_be_named_is_refused(program: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wanted.check_program(Path(program))


def test_what_others_may_change_is_refused(tmp_path: Path) -> None:
    """The directory that it is in, and where a link to it leads. As another user, the directory is that user's."""
    place = tmp_path / "opt"
    place.mkdir(mode=0o755)
    place.chmod(0o777)
    with pytest.raises(UsageError, match="may change it"):
        wanted.check_safe(place)
    link = tmp_path / "link"
    link.symlink_to(place)
    with pytest.raises(UsageError, match="may change it"):
        wanted.check_safe(link)
    wanted.check_safe(Path("/usr/bin"))
    wanted.check_safe(Path("/tmp"))  # others may put things beside, and not take away


def test_a_program_that_a_service_does_not_see_is_refused(tmp_path: Path) -> None:
    """A temporary directory; wherever else tests are kept, it is not root's alone."""
    program = tmp_path / "risk-daemon"
    program.touch()
    with pytest.raises(UsageError, match=r"hidden from a service|may change it"):
        wanted.check_program(program)
