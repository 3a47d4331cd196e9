"""The files of an installation as texts, and that deploy/ has the same ones."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from risk_daemon.errors import UsageError
from risk_daemon.install.units import (
    Installation,
    Names,
    example_config,
    files,
    first_config,
    is_as_written,
    marked,
)
from tests.deployed import EXAMPLE, ROOT, deployed


def texts(wanted: Installation) -> dict[str, str]:
    return {file.path.name: file.text for file in files(wanted)}


@pytest.mark.parametrize("path", deployed(), ids=lambda path: path.name)
def test_what_stands_in_deploy_is_what_the_command_writes(path: Path) -> None:
    """Else: `python -m tests.deployed`."""
    assert path.read_text() == deployed()[path].text
    assert bool(path.stat().st_mode & stat.S_IXUSR) == bool(deployed()[path].mode & stat.S_IXUSR)


def test_the_example_is_the_projects_own_config() -> None:
    """Else: `cp config.toml risk_daemon/install/templates/`."""
    assert example_config() == (ROOT / "config.toml").read_text()


def test_two_guards_share_nothing_but_the_pagers_script() -> None:
    one, other = (
        Installation(
            names=Names(instance=name), program=Path("/opt/x/bin/risk-daemon"), state=Names(instance=name).state
        )
        for name in ("", "fund-2")
    )
    assert {f.path for f in files(one)} & {f.path for f in files(other)} == {Path("/usr/local/sbin/risk-daemon-page")}
    guard, watch = texts(other)["risk-daemon@fund-2.service"], texts(other)["risk-daemon-watch@fund-2.service"]
    assert "User=risk-daemon-fund-2\n" in guard
    assert "StateDirectory=risk-daemon-fund-2\n" in guard
    assert "--config /etc/risk-daemon-fund-2/config.toml\n" in guard
    assert "risk-daemon-page-fund-2@$SERVICE_RESULT" in guard
    assert "User=risk-watch-fund-2\nGroup=risk-daemon-fund-2\n" in watch
    assert "StateDirectory=risk-daemon-watch-fund-2\n" in watch
    assert "BindsTo=risk-daemon@fund-2.service\n" in texts(other)["risk-daemon-bot-fund-2@.service"]
    assert "risk-daemon-page %i risk-daemon@fund-2\n" in texts(other)["risk-daemon-page-fund-2@.service"]
    alone = re.sub(r"risk-(daemon|watch)[\w-]*[@-]fund-2", "", "\n".join(texts(other).values()))
    assert not re.search(r"(/etc|/var/lib)/risk-daemon[/\s]", alone.replace("/etc/risk-daemon/page.env", ""))


@pytest.mark.parametrize(
    "name", ["A", "a b", "../x", "watch", "watch-2", "bot", "page", "x" * 20, "a--b", "-a", "a%i", "a\n"]
)
def test_a_name_that_could_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't be an instance"):
        Names(instance=name)


def test_nothing_is_left_to_fill_in() -> None:
    for name, text in texts(EXAMPLE).items():
        assert not re.search(r"@[A-Z_]+@", text), name
        assert "\n\n\n" not in text, name


def test_a_state_elsewhere_may_be_written_to_by_the_guard_alone() -> None:
    elsewhere = Installation(names=Names(), program=Path("/opt/x"), state=Path("/srv/guard"))
    having = [name for name, text in texts(elsewhere).items() if "\nReadWritePaths=/srv/guard\n" in text]
    assert having == ["risk-daemon.service"]
    assert not any(re.search(r"^ReadWritePaths=", text, re.MULTILINE) for text in texts(EXAMPLE).values())


def test_the_first_configuration_has_the_places_of_its_instance() -> None:
    text = first_config(Names(instance="b"), 8790)
    assert '\ndir = "/var/lib/risk-daemon-b"\n' in text
    assert '\nlisten = "127.0.0.1:8790"' in text


def test_a_change_by_hand_is_told_from_an_older_version() -> None:
    older = marked("[Unit]\nDescription=as an older version had it\n")
    assert is_as_written(older)
    assert not is_as_written(older.replace("older", "other"))
    assert not is_as_written(older + "# mine\n")
    assert not is_as_written("[Unit]\n")
