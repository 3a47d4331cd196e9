"""What the documents say can be done, can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from risk_daemon.cli import app
from risk_daemon.errors import ExitCode
from risk_daemon.event_log import EventLog
from risk_daemon.events import EventName, RiskEvent

ROOT = Path(__file__).resolve().parents[2]
README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "operations.md"
DOCUMENTS = (
    README,
    OPERATIONS,
    ROOT / "CHANGELOG.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("semantics", "configuration", "bots", "api", "library")),
)
COMMANDS = set(typer.main.get_command(app).commands)


@pytest.mark.parametrize("document", [README, OPERATIONS], ids=lambda path: path.name)
def test_every_command_named_exists(document: Path) -> None:
    text = document.read_text()
    named = set(re.findall(r"(?:bin/|`)risk-daemon ([a-z][a-z-]+)", text))
    named |= set(re.findall(r"(?:^|`)guard ([a-z][a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= COMMANDS


@pytest.mark.parametrize("document", [README, OPERATIONS], ids=lambda path: path.name)
def test_the_exit_codes_are_all_there(document: Path) -> None:
    rows = re.findall(r"^\| (\d+) \|", document.read_text(), re.MULTILINE)
    assert [int(code) for code in rows] == [int(code) for code in ExitCode]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    linked = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    rooms = re.findall(r"`((?:risk_daemon|adapters|oms|tests|docs|deploy|examples)/[^` ]*)`", text)
    for path in [document.parent / link for link in linked] + [ROOT / room for room in rooms]:
        assert path.exists(), path


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README.read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_the_five_lines_verify_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"```python\n(import hashlib.*?)```", OPERATIONS.read_text(), re.DOTALL)
    assert found is not None
    log = EventLog.open(tmp_path / "events.jsonl")
    for number in range(3):
        log.append(RiskEvent(EventName.PORTFOLIO_UPDATE, {"equity": str(number)}), 1.0)
    log.close()
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(found[1], names)
    assert names["prev"] == log.head
    (tmp_path / "events.jsonl").write_text((tmp_path / "events.jsonl").read_text().replace('"1"', '"7"'))
    with pytest.raises(AssertionError):
        exec(found[1], {})
