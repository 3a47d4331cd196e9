"""`tail`, `verify-log` and what `token` leaves in the log, as typed, over the pieces of a log."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import cli
from risk_daemon.errors import ExitCode, StateError
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.state.directory import Paths, StateDir
from risk_daemon.state.event_log import EventLog, read_log
from risk_daemon.state.log_anchor import ANCHOR, REMOVED
from risk_daemon.state.log_pieces import closed_pieces
from risk_daemon.state.store.sqlite import connect, write_documents
from tests.unit.state.log_writing import WALL, piece, write

LINES = 27


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of six files, and a state that knows where it ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    (tmp_path / "config.toml").write_text("[portfolio]\ninitial_capital = 1\n")
    StateDir.open(tmp_path / "var", accounts={"kraken": "x"}, initial_capital="1", create=True).close()
    path = Paths(tmp_path / "var").events
    write(path, LINES)
    assert len(closed_pieces(path)) == 5
    know(path, ANCHOR, LINES)
    return path


def know(path: Path, document: str, seq: int) -> None:
    """The state is told of line `seq`."""
    digest = next(line.hash for line in read_log(path) if line.seq == seq)
    with closing(connect(path.with_name("state.db"))) as connection:
        write_documents(path.with_name("state.db"), connection, {document: {"seq": seq, "hash": digest}})


def told(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[ExitCode, dict[str, Any]]:
    code = cli.main([*command, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_tail_shows_lines_of_several_pieces(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["tail", "-n", "14", "--json"])
    found = [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]
    assert found == list(range(14, 28))


def test_tail_shows_the_gate_and_the_alerts(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EventLog.open(path)
    for name, fields in (
        (EventName.GATE_SHUT, {"cause": "blind", "trip_id": None}),
        (EventName.ALERT_SENT, {"channel": "oncall"}),
        (EventName.ALERT_FAILED, {"channel": "mail"}),
        (EventName.GATE_OPENED, {}),
    ):
        log.append(RiskEvent(name, fields), WALL)
    log.close()
    cli.main(["tail", "-n", "4"])
    shut, sent, failed, opened = capsys.readouterr().out.splitlines()
    assert "gate_shut  cause=blind" in shut
    assert "alert_sent  channel=oncall" in sent
    assert "alert_failed  channel=mail" in failed
    assert "gate_opened" in opened


def test_tail_leaves_out_what_there_is_none_of_and_says_what_is_not_known(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = EventLog.open(path)
    for name, fields in (
        (EventName.GATE_SHUT, {"cause": "starting", "trip_id": None}),
        (EventName.MANUAL_HALT, {"operator": "uid:0", "venue": "kraken", "bot": None}),
        (EventName.PORTFOLIO_UPDATE, {"equity": None}),
    ):
        log.append(RiskEvent(name, fields), WALL)
    log.close()
    cli.main(["tail", "-n", "3"])
    shut, halted, update = capsys.readouterr().out.splitlines()
    assert shut.endswith("gate_shut  cause=starting")
    assert halted.endswith("manual_halt  operator=uid:0  venue=kraken")
    assert update.endswith("portfolio_update  equity=unknown")


def test_a_whole_log_in_pieces(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify-log"]) is ExitCode.STOPPED
    assert capsys.readouterr().out == f"{path}: 27 lines in 6 pieces, the chain is whole.\n"
    code, document = told(capsys, "verify-log")
    assert (code, document["ok"], document["first"], document["pieces"]) == (ExitCode.STOPPED, True, 1, 6)


def test_what_retention_removed_is_said_and_no_problem(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    know(path, REMOVED, 10)
    piece(path, 1).unlink()
    piece(path, 2).unlink()
    assert cli.main(["verify-log"]) is ExitCode.STOPPED
    assert (
        "17 lines in 4 pieces, the chain is whole; retention removed those before line 11." in capsys.readouterr().out
    )


DAMAGES: dict[str, tuple[Callable[[Path], object], str | None, int | None, str]] = {
    "the first piece": (lambda p: piece(p, 1).unlink(), "events.000002.jsonl", 1, "retention did not remove them"),
    "a later piece": (lambda p: piece(p, 3).unlink(), "events.000004.jsonl", 1, "events.000003.jsonl is gone"),
    "the end": (lambda p: p.write_bytes(b""), None, None, "ends after line 25, and at least 2 more were written"),
    "a line": (
        lambda p: piece(p, 3).write_bytes(piece(p, 3).read_bytes().replace(b'"number":12', b'"number":13')),
        "events.000003.jsonl",
        3,
        "was changed after it was written",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_was_done_is_named_by_piece_and_line(path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    damage, where, line, says = DAMAGES[what]
    damage(path)
    with pytest.raises(StateError, match=says):
        cli.main(["verify-log"])
    code, document = told(capsys, "verify-log")
    assert (code, document["ok"]) == (ExitCode.REFUSED, False)
    assert (document["problem_piece"], document["problem_line"]) == (where, line)


def test_all_of_it_gone_beside_a_state_that_knows_of_it(path: Path) -> None:
    for file in (path, *closed_pieces(path)):
        file.unlink()
    with pytest.raises(StateError, match="the event log is gone, and 27 lines of it were on disk"):
        cli.main(["verify-log"])


def test_without_a_state_it_is_said_what_is_not_known(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in path.parent.glob("state.db*"):
        file.unlink()
    piece(path, 1).unlink()
    assert cli.main(["verify-log"]) is ExitCode.STOPPED
    assert "at its end, or before line 6, is not known: no state tells of them" in capsys.readouterr().out


# --- tokens ------------------------------------------------------------------------------------------


def changes(path: Path) -> list[tuple[str, str]]:
    return [(line.event, line.fields["name"]) for line in read_log(path) if line.event.startswith("token_")]


def test_a_token_that_is_made_and_revoked_has_its_lines_at_once(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
    cli.main(["token", "create", "--role", "operator", "--name", "desk"])
    text = capsys.readouterr().out.splitlines()[-1]
    cli.main(["token", "revoke", "desk"])
    cli.main(["token", "create", "--role", "bot", "--name", "grid"])
    assert changes(path) == [("token_created", "desk"), ("token_revoked", "desk"), ("token_created", "grid")]
    made = next(line for line in read_log(path) if line.event == "token_created")
    assert made.fields["operator"].startswith("uid:")
    assert (made.fields["role"], made.fields["from"]) == ("operator", "192.0.2.7")
    assert text not in path.read_text()
    assert cli.main(["verify-log"]) is ExitCode.STOPPED


def test_beside_a_guard_the_command_writes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The guard does: see test_token_telling."""
    with StateDir.take(path.parent):
        assert cli.main(["token", "create", "--role", "bot", "--name", "grid"]) is ExitCode.STOPPED
    assert changes(path) == []
    assert capsys.readouterr().err == ""


def test_a_log_that_can_not_be_written_keeps_nobody_from_revoking(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["token", "create", "--role", "bot", "--name", "grid"])
    path.write_bytes(b"<html>\n")
    assert cli.main(["token", "revoke", "grid"]) is ExitCode.STOPPED
    assert "the event log could not be written" in capsys.readouterr().err
