"""docs/venues.md is what the command writes, and the command tells of each exchange what the data says."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters import recording
from risk_daemon import __main__ as entry

ROOT = Path(__file__).parents[2]
CONFIG = """
[portfolio]
initial_capital = 6000
[venues.k]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def risk_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command in this process, in a directory."""

    def run(*arguments: str, command: str = "venues", cwd: Path = ROOT) -> Ended:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["risk-daemon", command, *arguments])
        code = entry.main()
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    return run


def test_the_page_is_as_the_command_writes_it(risk_daemon: Callable[..., Ended]) -> None:
    written = risk_daemon("--markdown")
    assert written.returncode == 0, written.stderr
    page = (ROOT / "docs" / "venues.md").read_text()
    assert page == written.stdout, "stale: risk-daemon venues --markdown > docs/venues.md"


def test_one_exchange_is_told_in_full(risk_daemon: Callable[..., Ended]) -> None:
    (sheet,) = json.loads(risk_daemon("kraken", "--json").stdout)["venues"]
    assert (sheet["standing"], [scope["name"] for scope in sheet["scopes"]]) == ("provable", ["account"])


def test_an_exchange_that_nobody_knows_is_refused_with_a_sentence(risk_daemon: Callable[..., Ended]) -> None:
    refused = risk_daemon("nosuchexchange")
    assert refused.returncode == 78
    assert "is not an exchange that ccxt knows" in refused.stderr


def test_a_venue_is_recorded_by_the_command_and_never_over_an_older_recording(
    tmp_path: Path, risk_daemon: Callable[..., Ended]
) -> None:
    config = (
        '[portfolio]\ninitial_capital = 6000\n[venues.k]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
    )
    (tmp_path / "config.toml").write_text(config)
    recorded = risk_daemon("k", command="record-venue", cwd=tmp_path)
    assert recorded.returncode == 0, recorded.stderr
    found = recording.read(tmp_path / "k.recording.gz")
    assert found.exchange == "kraken"
    assert {"/0/private/OpenOrders", "/0/private/BalanceEx", "/0/private/Ledgers"} <= {
        call.path for call in found.calls
    }
    assert f"{len(found.calls)} answers" in recorded.stdout
    again = risk_daemon("k", command="record-venue", cwd=tmp_path)
    assert again.returncode == 78
    assert "is there already" in again.stderr
    strange = risk_daemon("x", command="record-venue", cwd=tmp_path)
    assert strange.returncode == 78
    assert "is not a venue of" in strange.stderr
