"""Real days through the engine, by the command; and the page of them all says the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from risk_daemon import cli
from risk_daemon.errors import ExitCode
from risk_daemon.replay import days
from tests.seeds.common import ROOT

PAGE = (ROOT / "docs" / "history.md").read_text()


def row_of(day: str, profile: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What `--markdown` says, which is on the page as it stands."""
    assert cli.main(["replay", day, "--profile", profile, "--markdown"]) is ExitCode.STOPPED
    written = capsys.readouterr().out
    _, told, _, _, row = [line for line in written.partition("\n## ")[2].splitlines() if line]
    section = PAGE.partition(f"\n## {day}")[2].partition("\n## ")[0]
    assert told in section, "stale: make history"
    assert row in section, "stale: make history"
    return [cell.strip() for cell in row.split("|")[1:-1]]


def test_002_48_a_real_crash_trips(capsys: pytest.CaptureFixture[str]) -> None:
    row = row_of("2025-02-tariff-crash", "moderate", capsys)
    assert row == ["moderate", "02 Feb 16:31:30", "", "02 Feb 17:35:30", "daily_loss", "9,491", "1,346", "151"]


def test_002_48_a_real_calm_day_trips_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """By the tightest profile."""
    name, _, *stopped = row_of("2024-06-calm", "conservative", capsys)
    assert (name, stopped) == ("conservative", [""] * 6)


def test_002_48_every_profile_is_on_the_page_for_every_day() -> None:
    sections = {part.split("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
    assert list(sections) == list(days.days())
    for day, section in sections.items():
        assert [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][2:] == list(
            days.profiles()
        ), day
    calm = sections["2024-06-calm"]
    assert all(line.split("|")[3:-1] == ["  "] * 6 for line in calm.splitlines()[-6:]), "nothing freezes or trips"


def test_002_48_a_warning_comes_before_every_stop_on_the_page() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if re.match(r"\| [a-z0-9-]+ \| \d", line)]
    stopped = [
        (moment(warned), moment(stop)) for _, warned, *stops, _, _, _, _ in rows for stop in stops if stop.strip()
    ]
    assert len(stopped) > 25
    assert all(warned <= stop for warned, stop in stopped)


def moment(cell: str) -> datetime:
    """Of no year; none of the days is at the turn of one."""
    return datetime.strptime(f"{cell.strip()} 2000", "%d %b %H:%M:%S %Y").replace(tzinfo=UTC)
