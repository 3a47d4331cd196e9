"""A watch goes on by the last good configuration where that of today is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from risk_daemon.app.watch_settings import KEPT, keep, watch_settings
from risk_daemon.errors import ConfigError

GOOD = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
    '[state]\ndir = "state"\n[alerts.channels.oncall]\nkind = "webhook"\nurl = "https://hooks.example.org/x"\n'
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(GOOD)
    (tmp_path / "state" / "watch").mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("typo", "is_given"),
    [
        *(("[portfolio\n" + GOOD, is_given) for is_given in (True, False)),
        *((GOOD.replace("markets", "market"), is_given) for is_given in (True, False)),
        ("", True),  # where its own directory is stood in the file
    ],
)
def test_a_typing_error_silences_no_watch(config: Path, typo: str, is_given: bool) -> None:
    directory = config.parent / "own" if is_given else None
    (config.parent / "own").mkdir()
    first = watch_settings(config, directory)
    assert first.refusal is None
    keep(config, first.directory)
    config.write_text(typo)
    then = watch_settings(config, directory)
    assert (then.settings, then.directory) == (first.settings, first.directory)
    assert then.settings.file == config
    assert str(config) in str(then.refusal)


def test_the_first_one_must_be_good(config: Path) -> None:
    config.write_text("[")
    with pytest.raises(ConfigError, match="not valid TOML"):
        watch_settings(config, None)


def test_what_was_kept_and_is_refused_by_now_is_no_help(config: Path) -> None:
    (config.parent / "state" / "watch" / KEPT).write_text("[portfolio]\nunknown = 1\n")
    config.write_text(GOOD + "[odd]\n")
    with pytest.raises(ConfigError, match="odd"):
        watch_settings(config, None)


def test_it_is_kept_for_its_owner_alone_and_a_full_disk_keeps_nobody_from_watching(config: Path) -> None:
    keep(config, config.parent / "state")
    assert stat.S_IMODE((config.parent / "state" / KEPT).stat().st_mode) == 0o600
    keep(config, config.parent / "nowhere")
