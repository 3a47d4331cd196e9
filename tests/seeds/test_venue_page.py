"""docs/venues.md is what the command writes, and the command tells of each exchange what the data says."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def risk_daemon(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "risk_daemon", "venues", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


def test_the_page_is_as_the_command_writes_it() -> None:
    written = risk_daemon("--markdown")
    assert written.returncode == 0, written.stderr
    page = (ROOT / "docs" / "venues.md").read_text()
    assert page == written.stdout, "stale: risk-daemon venues --markdown > docs/venues.md"


def test_one_exchange_is_told_in_full() -> None:
    (sheet,) = json.loads(risk_daemon("kraken", "--json").stdout)["venues"]
    assert (sheet["standing"], [scope["name"] for scope in sheet["scopes"]]) == ("provable", ["account"])


def test_an_exchange_that_nobody_knows_is_refused_with_a_sentence() -> None:
    refused = risk_daemon("nosuchexchange")
    assert refused.returncode == 78
    assert "is not an exchange that ccxt knows" in refused.stderr
