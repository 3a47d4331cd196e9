"""The commands: what they ask of the daemon or do without one, what they print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib import import_module, metadata
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer

from oms.flat import ClosedLeg
from oms.results import CloseResult, SweepResult, VenueClosed, VenueVerdict
from risk_daemon import cli
from risk_daemon.auth.tokens import Role, TokenStore
from risk_daemon.cli import remote
from risk_daemon.errors import (
    CircuitBreakerError,
    ConfigError,
    ExitCode,
    RiskDaemonError,
    StartUnavailable,
    StateError,
    UsageError,
    VenueUnavailable,
)
from risk_daemon.model.events import EventName, Position, RiskEvent
from risk_daemon.state import event_log
from risk_daemon.state.files import utc_text
from risk_daemon.state.log_pieces import closed_pieces

VENUE = '[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\n'
STATE = {
    "state": "WARNING",
    "started": True,
    "locked": False,
    "equity": "9650.00",
    "trusted": True,
    "initial_capital": "10000",
    "loss_ratio": 0.035,
    "drawdown_ratio": 0.04,
    "portfolio_dd_pct": 0.04,
    "warning_threshold": 0.03,
    "loss_threshold": 0.05,
    "venues": {},
}


COMMANDS = (
    "run", "init", "demo", "check", "status", "check-drawdown", "halt", "release", "reset", "disable", "enable",
    "cancel-all", "close-positions", "simulate-breach", "simulate-venue", "tail", "verify-log", "token",
    "convert-risk-limits", "convert-alert-env", "migrate", "venues", "record-venue", "alerts", "watch", "broadcast",
    "warden", "top", "install-service", "example-config", "reload", "replay", "fund",
)  # fmt: skip
TOKEN_COMMANDS = ("create", "list", "revoke")
FUND_COMMANDS = ("found", "join", "adopt", "transfer", "leave", "status")
WARDEN_COMMANDS = ("enroll", "list", "revoke", "accept-configuration", "break-glass")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, made the working directory."""
    (tmp_path / "config.toml").write_text(f"[portfolio]\ninitial_capital = 10000\n{VENUE}simulated = true\n")
    (tmp_path / "var").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class FakeDaemon:
    """Answers every request; `answer` is an Answer or an error."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answer: remote.Answer | Exception = remote.Answer(200, {"accepted": True, "trip_id": "t1"})

    def __call__(
        self, path: Path, method: str, target: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 5.0
    ) -> remote.Answer:
        self.asked.append((method, target, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def daemon(place: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    fake = FakeDaemon()
    monkeypatch.setattr(remote, "request", fake)
    return fake


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    """Puts a stand-in for a module of the project in place."""

    def put(name: str, **members: Any) -> SimpleNamespace:
        room, _, last = f"risk_daemon.{name}".rpartition(".")
        stand_in = ModuleType(f"{room}.{last}")
        stand_in.__dict__.update(members)
        monkeypatch.setitem(sys.modules, f"{room}.{last}", stand_in)
        monkeypatch.setattr(import_module(room), last, stand_in, raising=False)
        return SimpleNamespace(**members)

    return put


def returning(value: Any, calls: list[Any] | None = None) -> Callable[..., Any]:
    """An async function that notes its arguments and returns, or raises, `value`."""

    async def call(*arguments: Any, **named: Any) -> Any:
        if calls is not None:
            calls.append((arguments, named))
        if isinstance(value, BaseException):
            raise value
        return value

    return call


# --- run, init, demo -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [ExitCode.STOPPED, ExitCode.TRIGGERED_AND_PROVEN, ExitCode.TRIGGERED_UNPROVEN])
def test_run_ends_as_the_daemon_ends(code: ExitCode, place: Path, module: Callable[..., Any]) -> None:
    calls: list[Any] = []
    module("app.service", run=returning(code, calls))

    assert cli.main(["run"]) is code
    assert calls[0][0][0].state.dir == place / "var"


def test_an_interrupt_that_the_daemon_did_not_answer_claims_no_proof(place: Path, module: Callable[..., Any]) -> None:
    module("app.service", run=returning(KeyboardInterrupt()))

    assert cli.main(["run"]) is ExitCode.TRIGGERED_UNPROVEN


def test_demo_ends_as_its_daemon_ends(module: Callable[..., Any]) -> None:
    module("rehearsal.demo", run=returning(ExitCode.TRIGGERED_AND_PROVEN))

    assert cli.main(["demo"]) is ExitCode.TRIGGERED_AND_PROVEN


def init_report(**changes: Any) -> SimpleNamespace:
    values = {
        "equity": Decimal("9900"),
        "capital": Decimal("10000"),
        "difference_ratio": Decimal("-0.01"),
        "venues": [("kraken", Decimal("9900"))],
        "warnings": ("no ledger",),
        "state_dir": Path("/srv/risk"),
        "reference": "USDT",
        "inventories": (),
    }
    return SimpleNamespace(**{**values, **changes})


def test_init_shows_and_sets_up(place: Path, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[Any] = []
    report = init_report()
    module("app.init", prepare_init=returning(report), init=returning(None, calls))

    assert cli.main(["init", "--yes"]) is ExitCode.STOPPED
    assert calls[0][0][1] is report
    out = capsys.readouterr().out
    assert "9,900.00" in out
    assert "-1.00 %" in out
    assert "Warning: no ledger" in out


@pytest.mark.parametrize("difference", ["0.0251", "-0.0251"])
def test_init_refuses_a_difference_over_half_the_limit(
    difference: str, place: Path, module: Callable[..., Any]
) -> None:
    calls: list[Any] = []
    report = init_report(difference_ratio=Decimal(difference))
    module("app.init", prepare_init=returning(report), init=returning(None, calls))

    with pytest.raises(UsageError, match=r"differs from initial_capital by 2\.51 %.*--accept"):
        cli.main(["init", "--yes"])
    assert calls == []
    assert cli.main(["init", "--yes", "--accept"]) is ExitCode.STOPPED
    assert len(calls) == 1


def test_init_asks_and_takes_no_for_an_answer(
    place: Path, module: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    module("app.init", prepare_init=returning(init_report(capital=None)), init=returning(None, calls))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda *a, **k: "init")

    with pytest.raises(UsageError, match="not confirmed"):
        cli.main(["init"])
    assert calls == []


def test_init_without_a_venue_is_unavailable(place: Path, module: Callable[..., Any]) -> None:
    module("app.init", prepare_init=returning(VenueUnavailable("kraken: no answer")))

    with pytest.raises(StartUnavailable, match="kraken: no answer"):
        cli.main(["init", "--yes"])


# --- a running daemon ------------------------------------------------------------------------------


def test_status_of_a_running_daemon(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.answer = remote.Answer(200, STATE)

    assert cli.main(["status"]) is ExitCode.STOPPED
    out = capsys.readouterr().out
    assert "WARNING" in out
    assert "9,650.00" in out
    assert "NOT RUNNING" not in out


def test_status_says_since_when_in_the_time_of_this_place(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    since = time.time() - 12 * 60 - 5
    lock = {"cause": "capital_loss", "trip_id": "t1", "since": utc_text(since), "until": utc_text(since + 7 * 3600)}
    daemon.answer = remote.Answer(200, {**STATE, "state": "TRIGGERED", "locked": True, "lock": lock})

    assert cli.main(["status"]) is ExitCode.STOPPED
    out = " ".join(capsys.readouterr().out.split())
    assert f"Since {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(since))}, 12 min ago" in out
    assert f"Until {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(since + 7 * 3600))}, in 7 h" in out


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ({"standing": None, "channels": {}}, "NOBODY WAS TOLD of trip t1"),
        ({"standing": None, "channels": {"oncall": {}}}, "Who was told of trip t1 is not known"),
        ({}, "Who was told of trip t1 is not known"),
        ({"standing": {"trip_id": "t1", "told": 3}, "channels": {}}, "told 3 times, NOBODY HAS ACKNOWLEDGED IT"),
        ({"standing": {"trip_id": "t1", "told": 3, "acknowledged_by": "ann"}}, "told 3 times, acknowledged by ann."),
        ({"standing": {"trip_id": "t0", "told": 3, "acknowledged_by": "ann"}}, "Who was told of trip t1 is not known"),
    ],
)
def test_status_says_in_a_trip_who_was_told(
    alerts: Mapping[str, Any],
    said: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tripped = {**STATE, "state": "TRIGGERED", "locked": True, "lock": {"cause": "capital_loss", "trip_id": "t1"}}
    bodies = {"/api/v1/state": tripped, "/api/v1/alerts": alerts}
    monkeypatch.setattr(remote, "request", lambda path, method, target: remote.Answer(200, bodies[target]))
    assert cli.main(["status"]) is ExitCode.STOPPED
    assert said in " ".join(capsys.readouterr().out.split())


def test_status_without_a_daemon_says_who_was_told_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tripped = {**STATE, "state": "TRIGGERED", "lock": {"cause": "capital_loss", "trip_id": "t1"}}
    (place / "var" / "risk.json").write_text(json.dumps(tripped))
    assert cli.main(["status"]) is ExitCode.REFUSED
    assert "NOBODY WAS TOLD of trip t1" in capsys.readouterr().out
    (place / "var" / "alerts.json").write_text("{")
    assert cli.main(["status"]) is ExitCode.REFUSED


def test_status_for_programs(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.answer = remote.Answer(200, {**STATE, "long": "x" * 300})

    assert cli.main(["status", "--json"]) is ExitCode.STOPPED
    assert json.loads(capsys.readouterr().out) == {"running": True, **STATE, "long": "x" * 300}


def test_status_without_a_daemon_is_never_taken_for_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "var" / "risk.json").write_text(json.dumps(STATE))

    assert cli.main(["status"]) is ExitCode.REFUSED
    out = capsys.readouterr().out
    assert out.startswith("DAEMON NOT RUNNING")
    assert "Last known values" in out
    assert "9,650.00" in out


def test_status_without_a_daemon_for_programs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "var" / "risk.json").write_text(json.dumps(STATE))

    assert cli.main(["status", "--json"]) is ExitCode.REFUSED
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["last_known"]) == (False, STATE)
    assert told["age_s"] >= 0
    assert "equity" not in told


def test_status_without_anything(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) is ExitCode.REFUSED
    assert "Nothing is known" in capsys.readouterr().out


def test_status_of_a_daemon_that_does_not_answer(daemon: FakeDaemon) -> None:
    daemon.answer = remote.NotConfirmed("no answer")

    with pytest.raises(remote.NotConfirmed):
        cli.main(["status"])


def test_check_drawdown(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.answer = remote.Answer(200, STATE)

    assert cli.main(["check-drawdown"]) is ExitCode.STOPPED
    out = capsys.readouterr().out
    assert "3.50 % (limit 5.00 %)" in out
    assert "4.00 % (no rule for it is on)" in out

    daemon.answer = remote.Answer(200, {**STATE, "circuit_breaker": {"max_portfolio_dd_nav_pct": 0.1}})
    cli.main(["check-drawdown"])
    assert "4.00 % (limit 10.00 %)" in capsys.readouterr().out

    daemon.answer = remote.Answer(200, {**STATE, "daily_loss_ratio": 0.0125})
    cli.main(["check-drawdown"])
    assert "Loss since the start of the day  1.25 %" in capsys.readouterr().out

    cli.main(["check-drawdown", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["loss_ratio"], told["drawdown_ratio"], told["time"]) == (0.035, 0.04, None)


RULES = {
    "daily_loss": {"breaker_type": "daily_loss", "limits": {"max_daily_loss_pct": 0.03}},
    "night": {"breaker_type": "daily_loss", "limits": {"max_daily_loss": "400"}},
    "venue_loss": {"breaker_type": "venue_loss", "limits": {"max_venue_loss_pct": 0.1}, "venue": None},
    "wild": {"breaker_type": "venue_loss", "limits": {"max_venue_loss": "50.5"}, "venue": "mexc"},
}
VENUES = {"kraken": {"equity": "6000", "daily_loss_ratio": 0.012}, "mexc": {"equity": None, "daily_loss_ratio": None}}


def test_check_drawdown_of_the_day(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.answer = remote.Answer(200, {**STATE, "daily_loss_ratio": 0.0305, "daily_loss": "305"})
    cli.main(["check-drawdown"])
    assert "Loss since the start of the day  3.05 % (no rule for it is on)" in capsys.readouterr().out

    state = {**STATE, "daily_loss_ratio": 0.0305, "daily_loss": "305", "rules": RULES, "reference_currency": "USDT"}
    daemon.answer = remote.Answer(200, state)
    cli.main(["check-drawdown"])
    assert "the day  3.05 % (limit 3.00 %, night: limit 400.00 USDT)" in capsys.readouterr().out
    cli.main(["check-drawdown", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["daily_loss_ratio"], told["daily_loss"], told["rules"]) == (0.0305, "305", RULES)


def test_check_drawdown_of_venues(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.answer = remote.Answer(
        200, {**STATE, "rules": RULES, "venues": VENUES, "reference_currency": "USDT", "daily_loss_ratio": 0.0}
    )
    cli.main(["check-drawdown"])
    out = " ".join(capsys.readouterr().out.split())
    assert "Loss of the day on kraken 1.20 % (limit 10.00 %)" in out
    assert "Loss of the day on mexc unknown (limit 10.00 %, wild: limit 50.50 USDT)" in out

    assert cli.main(["check-drawdown", "--venue", "kraken"]) is ExitCode.STOPPED
    out = capsys.readouterr().out
    assert "Loss of the day on kraken  1.20 % (limit 10.00 %)" in out
    assert "mexc" not in out
    assert "initial capital" not in out
    cli.main(["check-drawdown", "--venue", "kraken", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["venues"] == {"kraken": VENUES["kraken"]}
    assert "loss_ratio" not in told
    with pytest.raises(UsageError, match="there is no venue 'kraken2': one of kraken, mexc"):
        cli.main(["check-drawdown", "--venue", "kraken2"])


def test_halt_reaches_the_daemon(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["halt", "--reason", "fat finger"]) is ExitCode.STOPPED
    assert daemon.asked == [("POST", "/api/v1/halt", {"reason": "fat finger"})]
    assert "Trip t1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "heard"),
    [("a\nb\tc", "a b c"), ("", "no reason was given"), ("\x1b", "no reason was given"), ("x" * 2_000, "x" * 1_000)],
)
def test_no_halt_fails_for_its_words(said: str, heard: str, daemon: FakeDaemon) -> None:
    assert cli.main(["halt", "--reason", said]) is ExitCode.STOPPED
    assert daemon.asked == [("POST", "/api/v1/halt", {"reason": heard})]


@pytest.mark.parametrize("error", [remote.DaemonAbsent("nobody"), remote.NotConfirmed("no answer")])
def test_a_halt_nobody_heard_is_refused(daemon: FakeDaemon, error: RiskDaemonError) -> None:
    daemon.answer = error

    with pytest.raises(RiskDaemonError) as caught:
        cli.main(["halt", "--reason", "x"])
    assert caught.value.exit_code == ExitCode.REFUSED
    if isinstance(error, remote.DaemonAbsent):
        assert "risk-daemon cancel-all" in str(caught.value)


def test_a_refused_halt_is_a_sentence(daemon: FakeDaemon) -> None:
    daemon.answer = remote.Answer(409, {"detail": "already halted"})

    with pytest.raises(UsageError, match="already halted"):
        cli.main(["halt", "--reason", "x"])


def test_halt_needs_no_valid_configuration(daemon: FakeDaemon, place: Path) -> None:
    (place / "config.toml").write_text("[circuit_breaker]\nloss_threshold = 5\n")

    assert cli.main(["halt", "--reason", "x"]) is ExitCode.STOPPED


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        (["--venue", "kraken"], {"venue": "kraken"}),
        (["--bot", "maker"], {"bot": "maker"}),
    ],
)
def test_a_halt_of_one_venue_or_bot_and_its_end(
    options: list[str], scope: dict[str, str], daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.answer = remote.Answer(200, {"accepted": True, "reason": "its new orders are vetoed", "trip_id": None})

    assert cli.main(["halt", "--reason", "x", *options]) is ExitCode.STOPPED
    assert "risk-daemon release" in capsys.readouterr().out
    assert cli.main(["release", "--reason", "y", *options]) is ExitCode.STOPPED
    assert "Released" in capsys.readouterr().out
    assert daemon.asked == [
        ("POST", "/api/v1/halt", {"reason": "x", **scope}),
        ("POST", "/api/v1/release", {"reason": "y", **scope}),
    ]


@pytest.mark.parametrize("command", ["halt", "release"])
def test_a_venue_or_a_bot_and_not_both(command: str, daemon: FakeDaemon) -> None:
    with pytest.raises(UsageError, match="not both"):
        cli.main([command, "--reason", "x", "--venue", "kraken", "--bot", "maker"])
    assert daemon.asked == []


@pytest.mark.parametrize("options", [[], ["--everything", "--venue", "kraken"]])
def test_a_release_names_one_scope_and_a_trip_is_ended_by_a_reset(options: list[str], daemon: FakeDaemon) -> None:
    with pytest.raises(UsageError, match="`reset`"):
        cli.main(["release", "--reason", "x", *options])
    assert daemon.asked == []


def test_the_halt_that_a_state_from_a_server_begins_with_is_released_by_its_word(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.answer = remote.Answer(200, {"accepted": True, "reason": "everything is released", "trip_id": None})
    assert cli.main(["release", "--reason", "y", "--everything"]) is ExitCode.STOPPED
    assert "Released: everything." in capsys.readouterr().out
    assert daemon.asked == [("POST", "/api/v1/release", {"reason": "y", "everything": True})]


def test_a_refused_release_is_a_sentence(daemon: FakeDaemon) -> None:
    daemon.answer = remote.Answer(409, {"detail": "no such halt is in force"})

    with pytest.raises(UsageError, match="no such halt"):
        cli.main(["release", "--reason", "x", "--venue", "kraken"])


# --- disable, enable -------------------------------------------------------------------------------


def test_disable_for_a_time_and_enable(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["disable", "--for", "10m", "--reason", "move", "--yes"]) is ExitCode.STOPPED
    assert cli.main(["enable"]) is ExitCode.STOPPED
    assert daemon.asked == [
        ("POST", "/api/v1/disable", {"for_s": 600.0, "reason": "move"}),
        ("POST", "/api/v1/enable", {}),
    ]
    out = capsys.readouterr().out
    assert "Disabled for 10m" in out
    assert "limits act again" in out


@pytest.mark.parametrize("duration", ["10", "", "-5m", "0s", "for ever", "10 minutes"])
def test_a_disable_without_an_end_is_refused(duration: str, daemon: FakeDaemon) -> None:
    with pytest.raises(UsageError, match="--for"):
        cli.main(["disable", "--for", duration, "--reason", "x", "--yes"])
    assert daemon.asked == []


@pytest.mark.parametrize(("typed", "asked"), [("DISABLE", 1), ("disable", 0), ("", 0), ("RESET", 0)])
def test_disable_is_typed_out(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, typed: str, asked: int) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda *a, **k: typed)
    if asked:
        assert cli.main(["disable", "--for", "1h", "--reason", "x"]) is ExitCode.STOPPED
    else:
        with pytest.raises(UsageError, match="not confirmed"):
            cli.main(["disable", "--for", "1h", "--reason", "x"])
    assert len(daemon.asked) == asked


@pytest.mark.parametrize(
    "arguments",
    ["release --reason x --venue kraken", "disable --for 1m --reason x --yes", "enable", "halt --reason x --bot b"],
)
def test_what_needs_a_daemon_says_so(arguments: str, daemon: FakeDaemon) -> None:
    daemon.answer = remote.DaemonAbsent("no daemon is running at x")

    with pytest.raises(UsageError, match="no daemon is running at x") as caught:
        cli.main(arguments.split())
    assert "cancel-all" not in str(caught.value)


# --- tokens ----------------------------------------------------------------------------------------


def created(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert cli.main(["token", "create", *options]) is ExitCode.STOPPED
    return capsys.readouterr().out


def test_a_token_is_the_last_line_alone_and_lets_in(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = created(capsys, "--role", "bot", "--name", "maker").splitlines()[-1]

    assert " " not in text
    principal = TokenStore.open(place / "var" / "tokens.json").authenticate(text)
    assert principal is not None
    assert (principal.name, principal.role) == ("maker", Role.BOT)
    assert text not in (place / "var" / "tokens.json").read_text()


def test_tokens_are_listed_without_their_text_and_revoked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = created(capsys, "--role", "operator", "--name", "desk").splitlines()[-1]

    assert cli.main(["token", "list"]) is ExitCode.STOPPED
    listed = capsys.readouterr().out
    assert "desk" in listed
    assert "operator" in listed
    assert text not in listed
    assert cli.main(["token", "revoke", "desk"]) is ExitCode.STOPPED
    assert TokenStore.open(place / "var" / "tokens.json").authenticate(text) is None
    with pytest.raises(UsageError, match="no token called 'desk'"):
        cli.main(["token", "revoke", "desk"])


def test_a_token_without_a_name_gets_a_free_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [json.loads(created(capsys, "--role", role, "--json"))["name"] for role in ("bot", "bot", "operator")]

    assert names == ["bot-1", "bot-2", "operator-1"]
    with pytest.raises(UsageError, match="bot-1"):
        cli.main(["token", "create", "--role", "bot", "--name", "bot-1"])


def test_tokens_may_be_made_before_the_first_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "var").rmdir()

    assert cli.main(["token", "list"]) is ExitCode.STOPPED
    assert not (place / "var").exists()
    with pytest.raises(UsageError):
        cli.main(["token", "revoke", "x"])
    assert created(capsys, "--role", "bot")
    assert (place / "var").stat().st_mode & 0o777 == 0o700


def test_a_warden_gets_no_token(place: Path) -> None:
    with pytest.raises(UsageError, match="'bot', 'operator'"):
        cli.main(["token", "create", "--role", "warden", "--name", "x"])


@pytest.mark.parametrize("command", ["status", "reload", "check", "run", "tail", "halt --reason x"])
def test_no_command_waits_for_a_configuration_that_is_a_pipe(command: str, place: Path) -> None:
    (place / "config.toml").unlink()
    os.mkfifo(place / "config.toml")
    with pytest.raises(ConfigError, match=r"it can't be read \(it is no regular file\)"):
        cli.main(command.split())


def test_tokens_need_no_valid_configuration(place: Path) -> None:
    (place / "config.toml").write_text("[circuit_breaker]\nloss_threshold = 5\n")

    assert cli.main(["token", "list"]) is ExitCode.STOPPED


# --- reset -----------------------------------------------------------------------------------------


RESET = ["reset", "--reason", "found it", "--rebaseline", "current"]


def test_reset_of_a_running_daemon(daemon: FakeDaemon) -> None:
    assert cli.main([*RESET, "--yes"]) is ExitCode.STOPPED
    assert daemon.asked == [("POST", "/api/v1/reset", {"reason": "found it", "rebaseline": "current"})]


def test_a_reset_tells_what_another_guard_still_holds(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    still = "guard b still holds: manual_halt: [night]. Nothing opens before that ends there too: reset it there"
    daemon.answer = remote.Answer(200, {"accepted": True, "reason": f"reset; baselines: current. {still}"})
    assert cli.main([*RESET, "--yes"]) is ExitCode.STOPPED
    assert still in " ".join(capsys.readouterr().out.split())


def test_reset_without_a_terminal_needs_yes(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    with pytest.raises(UsageError, match="--yes"):
        cli.main(RESET)
    assert daemon.asked == []


@pytest.mark.parametrize(("typed", "asked"), [("RESET", 1), ("reset", 0), ("", 0), ("y", 0)])
def test_reset_is_typed_out(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, typed: str, asked: int) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda *a, **k: typed)
    if asked:
        assert cli.main(RESET) is ExitCode.STOPPED
    else:
        with pytest.raises(UsageError, match="not confirmed"):
            cli.main(RESET)
    bodies = [body for _, _, body in daemon.asked]
    assert [body.get("dry_run", False) for body in bodies] == [True, False][: 1 + asked]


WOULD_TRIP = "with the kept baselines it would trigger again at once: drawdown would trip (drawdown of 9 %, limit 8 %)"


def never_asked(*_: Any, **__: Any) -> str:
    raise AssertionError("a person was asked for a word that is of no use")


def test_a_reset_in_vain_is_refused_before_anybody_is_asked(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", never_asked)
    daemon.answer = remote.Answer(409, {"detail": WOULD_TRIP, "accepted": False})
    with pytest.raises(UsageError, match=r"drawdown would trip \(drawdown of 9 %"):
        cli.main(RESET)
    assert [body["dry_run"] for _, _, body in daemon.asked] == [True]
    assert capsys.readouterr().out == ""


def test_a_reset_in_vain_with_the_daemon_stopped_is_refused_before_anybody_is_asked(
    place: Path, module: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", never_asked)
    calls: list[Any] = []
    module("app.reset", reset_stopped=returning({"accepted": False, "reason": WOULD_TRIP}, calls))
    with pytest.raises(UsageError, match="not reset: with the kept baselines it would trigger again"):
        cli.main(RESET)
    assert [named["dry_run"] for _, named in calls] == [True]


def test_reset_with_the_daemon_stopped_looks_first_and_is_then_typed_out(
    place: Path, module: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda *a, **k: "RESET")
    calls: list[Any] = []
    module("app.reset", reset_stopped=returning({"accepted": True}, calls))
    assert cli.main(RESET) is ExitCode.STOPPED
    assert [named["dry_run"] for _, named in calls] == [True, False]


def test_reset_with_the_daemon_stopped(
    place: Path, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    module("app.reset", reset_stopped=returning({"accepted": True}, calls))

    assert cli.main([*RESET, "--yes"]) is ExitCode.STOPPED
    named = calls[0][1]
    assert (named["reason"], named["rebaseline"]) == ("found it", "current")
    assert named["operator"].startswith("uid:")
    assert "when the daemon runs again" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer", [{"accepted": False, "reason": "kraken is unproven"}, {}, {"accepted": 1}, CircuitBreakerError("no")]
)
def test_a_refused_reset_is_not_a_reset(answer: Any, place: Path, module: Callable[..., Any]) -> None:
    module("app.reset", reset_stopped=returning(answer))

    with pytest.raises(UsageError, match="not reset"):
        cli.main([*RESET, "--yes"])


def test_a_reset_the_daemon_did_not_confirm_is_not_tried_again_alone(
    daemon: FakeDaemon, module: Callable[..., Any]
) -> None:
    calls: list[Any] = []
    module("app.reset", reset_stopped=returning({"accepted": True}, calls))
    daemon.answer = remote.NotConfirmed("no answer")

    with pytest.raises(remote.NotConfirmed):
        cli.main([*RESET, "--yes"])
    assert calls == []


def test_what_was_typed_before_the_question_is_no_answer() -> None:
    """Whoever waits for a command types ahead: a word that was meant for another question resets nothing."""
    ours, theirs = os.openpty()
    os.write(ours, b"RESET\n")
    asks = "from risk_daemon.cli.common import confirm; confirm('RESET', False, 'Bots may trade.')"
    with subprocess.Popen(
        [sys.executable, "-c", asks], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as asking:
        assert asking.stdout is not None
        assert asking.stderr is not None
        said = b""
        while b"Type RESET to go on" not in said:
            piece = asking.stdout.read(1)
            assert piece, asking.stderr.read()
            said += piece
        os.write(ours, b"no\n")
        assert b"not confirmed, nothing was changed" in asking.stderr.read()
    os.close(ours)
    os.close(theirs)
    assert asking.returncode != 0


# --- cancel-all ------------------------------------------------------------------------------------


def swept(proven: Any) -> SweepResult:
    verdict = VenueVerdict(
        venue="kraken",
        proven=proven,
        cancelled=3,
        replaced=(),
        kept=(),
        unproven_reason=None if proven is True else "HTML",
        first_cancel_s=0.1,
        proven_s=None,
        scopes=("spot",),
    )
    return SweepResult(trip_id="t", proven=proven, elapsed_s=2.5, venues={"kraken": verdict})


@pytest.mark.parametrize(("proven", "code"), [(True, 0), (False, 4), (None, 4), ("yes", 4), (1, 4)])
def test_cancel_all_alone_ends_with_0_only_if_proven(
    proven: object, code: int, place: Path, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    module("app.cancel", cancel_all=returning(swept(proven), calls))

    assert cli.main(["cancel-all", "--venue", "kraken", "--market", "perp"]) == code
    assert (calls[0][1]["venue"], calls[0][1]["market"]) == ("kraken", "perp")
    assert ("NOT PROVEN" in capsys.readouterr().out) is (code == 4)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (remote.Answer(200, {"proven": True}), 0),
        (remote.Answer(200, {"proven": False}), 4),
        (remote.Answer(200, {}), 4),
        (remote.Answer(500, {"detail": "a bug"}), 4),
        (remote.NotConfirmed("no answer"), 4),
    ],
)
def test_cancel_all_by_the_daemon_ends_with_0_only_if_proven(
    answer: remote.Answer | Exception, code: int, daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.answer = answer

    assert cli.main(["cancel-all", "--json"]) == code
    assert json.loads(capsys.readouterr().out).get("proven") in (True, False, None)
    assert daemon.asked == [("POST", "/api/v1/cancel-all", {"venue": None, "market": None})]


def test_cancel_all_that_the_daemon_refused_is_a_sentence(daemon: FakeDaemon) -> None:
    daemon.answer = remote.Answer(400, {"detail": "there is no venue 'x'"})

    with pytest.raises(UsageError, match="there is no venue"):
        cli.main(["cancel-all", "--venue", "x"])


def test_cancel_all_of_an_unknown_venue_is_refused(place: Path, module: Callable[..., Any]) -> None:
    module("app.cancel", cancel_all=returning(swept(True)))

    with pytest.raises(UsageError, match="no venue 'krakn': one of kraken"):
        cli.main(["cancel-all", "--venue", "krakn"])


def test_a_venue_out_of_reach_is_not_proven(place: Path, module: Callable[..., Any]) -> None:
    module("app.cancel", cancel_all=returning(VenueUnavailable("no answer")))

    assert cli.main(["cancel-all"]) is ExitCode.TRIGGERED_UNPROVEN


def test_state_of_another_owner_is_refused(place: Path, module: Callable[..., Any]) -> None:
    module("app.cancel", cancel_all=returning(StateError("another risk-daemon owns this")))

    with pytest.raises(StateError):
        cli.main(["cancel-all"])


# --- alerts ----------------------------------------------------------------------------------------

STANDING = {"trip_id": "t1", "summary": "TRIPPED by drawdown.", "told": 3, "acknowledged_by": None}
ATTEMPT = {
    "time": "2026-11-20T11:00:00.000000Z",
    "channel": "oncall",
    "event": "circuit_breaker_triggered",
    "attempt": 2,
    "delivered": False,
    "status": "503",
    "answer": "come back later",
}


def test_alerts_shows_the_trip_the_channels_and_what_came_of_it(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    oncall = {"kind": "webhook", "severity": "warning", "owed": 2, "failures": 4}
    daemon.answer = remote.Answer(200, {"standing": STANDING, "channels": {"oncall": oncall}, "attempts": [ATTEMPT]})
    assert cli.main(["alerts"]) == ExitCode.STOPPED
    told = capsys.readouterr().out
    assert "t1: TRIPPED by drawdown." in told
    assert "told 3 times; NOBODY HAS ACKNOWLEDGED IT" in told
    assert "oncall: webhook, warning and above, 2 not delivered yet, FAILED 4 times in a row" in told
    assert "come back later" in told
    assert daemon.asked == [("GET", "/api/v1/alerts", None)]


def test_alerts_with_no_channel_says_that_nobody_is_told(
    daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.answer = remote.Answer(200, {"standing": None, "channels": {}, "attempts": []})
    assert cli.main(["alerts"]) == ExitCode.STOPPED
    assert "nobody is told" in capsys.readouterr().out


def test_alerts_without_a_daemon_are_what_the_last_run_left(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["alerts", "--json"]) == ExitCode.STOPPED
    nothing = {"running": False, "standing": None, "channels": {}, "attempts": []}
    assert json.loads(capsys.readouterr().out) == nothing

    standing = {"alert": {"trip_id": "t1", "summary": "TRIPPED."}, "number": 3, "who": "ann"}
    kept = {"outbox": {"owed": {"oncall": ["t1"]}}, "routing": {"standing": standing}}
    (place / "var" / "alerts.json").write_text(json.dumps(kept))
    (place / "var" / "alerts.jsonl").write_text(json.dumps(ATTEMPT) + "\n")
    assert cli.main(["alerts", "--json"]) == ExitCode.STOPPED
    assert json.loads(capsys.readouterr().out) == {
        "running": False,
        "standing": {"trip_id": "t1", "summary": "TRIPPED.", "told": 3, "acknowledged_by": "ann"},
        "channels": {"oncall": {"owed": 1}},
        "attempts": [ATTEMPT],
    }
    assert cli.main(["alerts"]) == ExitCode.STOPPED
    told = capsys.readouterr().out
    assert "DAEMON NOT RUNNING" in told
    assert "acknowledged by ann" in told

    (place / "var" / "alerts.json").write_text("{}")
    with pytest.raises(StateError, match="what is known of alerts can't be read"):
        cli.main(["alerts"])


@pytest.mark.parametrize(("words", "body"), [([], {}), (["t1"], {"trip_id": "t1"})])
def test_ack_by_the_daemon(
    daemon: FakeDaemon, words: list[str], body: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["alerts", "ack", *words]) == ExitCode.STOPPED
    assert daemon.asked == [("POST", "/api/v1/alerts/ack", body)]
    assert "Acknowledged: t1." in capsys.readouterr().out
    daemon.answer = remote.Answer(409, {"detail": "there is no such trip"})
    with pytest.raises(UsageError, match="no such trip"):
        cli.main(["alerts", "ack"])


def test_ack_without_a_daemon(place: Path, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[Any] = []
    module("app.acknowledge", acknowledge_stopped=returning("t1", calls))
    assert cli.main(["alerts", "ack", "--json"]) == ExitCode.STOPPED
    assert json.loads(capsys.readouterr().out) == {"accepted": True, "trip_id": "t1"}
    assert calls


@pytest.mark.parametrize(
    ("delivered", "code"), [({"a": True}, ExitCode.STOPPED), ({"a": True, "b": False}, ExitCode.REFUSED), ({}, 78)]
)
def test_a_test_ends_with_0_only_if_everybody_got_it(
    daemon: FakeDaemon, delivered: dict[str, bool], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = {name: {"delivered": good, "status": "x", "answer": "y"} for name, good in delivered.items()}
    daemon.answer = remote.Answer(200, {"channels": tried})
    assert cli.main(["alerts", "test"]) == code
    told = capsys.readouterr().out
    assert told.count("NOT DELIVERED") == list(delivered.values()).count(False)
    assert daemon.asked == [("POST", "/api/v1/alerts/test", {})]


def test_a_test_of_a_channel_that_is_not_there(place: Path) -> None:
    with pytest.raises(UsageError, match="there is no channel 'x': one of none"):
        cli.main(["alerts", "test", "x"])


# --- close-positions -------------------------------------------------------------------------------


def closed(flat: Any) -> CloseResult:
    position = Position(symbol="BTC/USD", quantity=Decimal("0.00007"), entry=Decimal(1), settle="USD", underlying="BTC")
    leg = ClosedLeg(position=position, size=Decimal("1.50007"), residual=Decimal("0.00007"))
    reason = None if flat is True else "market suspended"
    venue = VenueClosed(venue="kraken", flat=flat, legs=(leg,), reason=reason)
    return CloseResult(
        trip_id="t",
        flat=flat,
        elapsed_s=2.5,
        venues={"kraken": venue},
        sweep=swept(True),
        remaining={"BTC": Decimal(2)},
    )


@pytest.mark.parametrize(("flat", "code"), [(True, 0), (False, 4), (None, 4), ("yes", 4), (1, 4)])
def test_close_positions_alone_ends_with_0_only_if_flat(
    flat: object, code: int, place: Path, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    module("app.close", close_positions=returning(closed(flat), calls))

    assert cli.main(["close-positions", "--venue", "kraken", "--yes"]) == code
    assert calls[0][1]["venue"] == "kraken"
    told = capsys.readouterr().out
    assert ("NOT FLAT" in told) is (code == 4)
    assert "long BTC/USD: 1.5 closed" in told
    assert ("0.00007 left: too small to be ordered" in told) is (code == 0)
    assert "2 BTC is still held: spot is not sold" in told


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (remote.Answer(200, {"flat": True}), 0),
        (remote.Answer(200, {"flat": False}), 4),
        (remote.Answer(200, {}), 4),
        (remote.Answer(500, {"detail": "a bug"}), 4),
        (remote.NotConfirmed("no answer"), 4),
    ],
)
def test_close_positions_by_the_daemon_ends_with_0_only_if_flat(
    answer: remote.Answer | Exception, code: int, daemon: FakeDaemon
) -> None:
    daemon.answer = answer

    assert cli.main(["close-positions", "--yes", "--json"]) == code
    assert daemon.asked == [("POST", "/api/v1/close-positions", {"venue": None})]


def test_close_positions_asks_first_and_says_what_it_does(daemon: FakeDaemon) -> None:
    with pytest.raises(UsageError, match="closed by market orders, at whatever price"):
        cli.main(["close-positions"])
    assert daemon.asked == []


def test_close_positions_that_the_daemon_refused_is_a_sentence(daemon: FakeDaemon) -> None:
    daemon.answer = remote.Answer(409, {"detail": "a trip is being finished"})

    with pytest.raises(UsageError, match="a trip is being finished"):
        cli.main(["close-positions", "--yes"])


def test_close_positions_of_an_unknown_venue_or_out_of_reach(place: Path, module: Callable[..., Any]) -> None:
    module("app.close", close_positions=returning(VenueUnavailable("no answer")))

    with pytest.raises(UsageError, match="no venue 'krakn': one of kraken"):
        cli.main(["close-positions", "--yes", "--venue", "krakn"])
    assert cli.main(["close-positions", "--yes"]) is ExitCode.TRIGGERED_UNPROVEN


# --- drills, the log -------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "code"), [({"passed": True, "lock_s": 0.1}, 0), ({"passed": False}, 4), ({}, 4)])
def test_a_drill(document: dict[str, Any], code: int, place: Path, module: Callable[..., Any]) -> None:
    module("rehearsal.drill", simulate_breach=returning(document))

    assert cli.main(["simulate-breach"]) == code


@pytest.mark.parametrize("as_json", [False, True])
def test_a_drill_tells_each_step_as_it_goes(
    as_json: bool, place: Path, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    async def drilled(_: Any, *, dry_run: bool, with_alerts: bool, crash: Any, progress: Any) -> dict[str, Any]:
        assert with_alerts is not as_json
        assert crash is None
        if progress is not None:
            progress({"event": "step_passed", "step": "baseline", "found": "gate open"})
        return {"passed": True}

    module("rehearsal.drill", simulate_breach=drilled)
    words = ["--json", "--no-alerts"] if as_json else []
    assert cli.main(["simulate-breach", *words]) is ExitCode.STOPPED
    assert ("baseline: gate open" in capsys.readouterr().err) is not as_json


def test_a_drill_by_history_is_by_that_day(place: Path, module: Callable[..., Any]) -> None:
    calls: list[Any] = []
    module("rehearsal.drill", simulate_breach=returning({"passed": True}, calls))
    assert cli.main(["simulate-breach", "--history", "2024-04"]) is ExitCode.STOPPED
    crash = calls[0][1]["crash"]
    assert (crash.name, crash.symbol) == ("2024-04-weekend-crash", "FILUSDT")
    for words, sentence in ((("nosuch",), "no such day"), (("2024-04", "--dry-run"), "give one of them")):
        with pytest.raises(UsageError, match=sentence):
            cli.main(["simulate-breach", "--history", *words])


def test_a_simulated_venue_says_its_keys_wherever_that_goes() -> None:
    command = [sys.executable, "-m", "risk_daemon", "simulate-venue", "kraken", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as venue:
        assert venue.stdout is not None
        json.loads(venue.stdout.readline())
        venue.terminate()
        _, told = venue.communicate(timeout=60)
    assert "export RISK_DAEMON_KRAKEN_API_KEY=" in told


def test_a_drill_on_live_venues_is_refused(place: Path, module: Callable[..., Any]) -> None:
    module("rehearsal.drill", simulate_breach=returning({"passed": True}))
    (place / "config.toml").write_text(f"[portfolio]\ninitial_capital = 1\n{VENUE}")

    with pytest.raises(UsageError, match=r"live venues \(kraken\)"):
        cli.main(["simulate-breach"])


def test_a_venue_that_can_t_be_simulated_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate-venue", "nowhere", "--port", "0"]) is ExitCode.REFUSED
    assert "nowhere" in capsys.readouterr().err


@pytest.fixture
def log(place: Path) -> Path:
    path = place / "var" / "events.jsonl"
    writer = event_log.EventLog.open(path)
    for number in range(30):
        writer.append(RiskEvent(EventName.PORTFOLIO_UPDATE, {"equity": f"{number}", "loss_ratio": None}), 1.7e9)
    writer.append(RiskEvent(EventName.CIRCUIT_BREAKER_TRIGGERED, {"loss_ratio": 0.06}), 1.7e9)
    writer.close()
    return path


def test_tail_for_people(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tail", "-n", "2"]) is ExitCode.STOPPED
    first, second = capsys.readouterr().out.splitlines()
    assert "portfolio_update" in first
    assert "equity=29" in first
    assert "loss_ratio=unknown" in first
    assert "circuit_breaker_triggered" in second
    assert "loss_ratio=0.06" in second


def test_tail_for_programs_is_the_log_itself(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["tail", "-n", "100", "--json"])

    assert capsys.readouterr().out == log.read_text()


def test_tail_of_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["tail", "-n", "0"])

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("lines", [0, 3])
def test_tail_goes_on_without_a_gap_or_a_repetition(
    lines: int, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over cuts of the log, one and several between two looks."""

    def write(count: int, max_bytes: int) -> None:
        writer = event_log.EventLog.open(log, max_bytes)
        for _ in range(count):
            writer.append(RiskEvent(EventName.SYSTEM_SHUTDOWN, {}), 1.7e9)
        writer.close()

    def interrupted() -> None:
        raise KeyboardInterrupt

    steps = [lambda: write(1, 1_000_000), lambda: write(3, 1_000_000), lambda: write(4, 1), interrupted]
    real = event_log.follow
    follow = lambda path, after: real(path, after=after, sleep=lambda _: steps.pop(0)())  # noqa: E731
    monkeypatch.setattr(event_log, "follow", follow)
    assert cli.main(["tail", "-f", "-n", str(lines), "--json"]) is ExitCode.STOPPED
    told = [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()]
    assert told == list(range(32 - lines, 40))
    assert len(closed_pieces(log)) == 4


def test_tail_ends_when_nobody_reads_any_more(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(path: Path, after: event_log.Follower) -> Any:
        yield next(event_log.read_log(path))
        pytest.fail("went on for nobody")

    def gone(*arguments: Any) -> None:
        arguments[0].quiet = True

    monkeypatch.setattr(event_log, "follow", follow)
    monkeypatch.setattr(cli.logs, "print_lines", gone)
    assert cli.main(["tail", "-f"]) is ExitCode.STOPPED


@pytest.mark.parametrize("command", ["tail", "verify-log"])
@pytest.mark.parametrize("state", ["empty", "missing", "a file"])
def test_before_the_first_run_there_is_no_log(command: str, state: str, place: Path) -> None:
    if state != "empty":
        (place / "var").rmdir()
    if state == "a file":
        (place / "var").write_text("")

    with pytest.raises(StateError) as caught:
        cli.main([command])
    path = place / "var" / "events.jsonl"
    assert str(caught.value) == f"{path}: there is no event log yet: `risk-daemon run` begins it"


@pytest.mark.parametrize("command", [["tail"], ["tail", "-f"], ["verify-log"]])
def test_a_log_that_may_not_be_read(command: list[str], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **named: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(StateError, match="Permission denied") as caught:
        cli.main(command)
    assert "the daemon's user, or root" in str(caught.value)


def test_following_a_log_that_is_not_there_waits_and_says_so(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(event_log, "follow", lambda path, after: iter(()))

    assert cli.main(["tail", "-f"]) is ExitCode.STOPPED
    assert "there is no event log yet" in capsys.readouterr().err


def test_a_whole_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify-log"]) is ExitCode.STOPPED
    assert "31 lines, the chain is whole" in capsys.readouterr().out


def test_a_changed_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text(log.read_text().replace('"equity":"7"', '"equity":"8"'))

    with pytest.raises(StateError, match="line 8 was changed"):
        cli.main(["verify-log"])
    assert cli.main(["verify-log", "--json"]) is ExitCode.REFUSED
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["lines"]) == (False, 7)


# --- the command line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["frobnicate"], ["run", "--bogus"], ["halt"], ["reset", "--reason", "x"], ["tail", "-n", "-1"],
     ["reset", "--reason", "x", "--rebaseline", "forget"], ["cancel-all", "--market", "margin"]],
)  # fmt: skip
def test_a_wrong_command_line_is_a_sentence(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        cli.main(arguments)
    assert "\n" not in str(caught.value)


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = list(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]

    assert set(names) == set(COMMANDS)
    for name in names:
        assert cli.main([name, "--help"]) is ExitCode.STOPPED
        assert name in capsys.readouterr().out


def every_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[str, str]]:
    """The help of everything there is, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    for command in (
        "",
        *COMMANDS,
        *(f"token {name}" for name in TOKEN_COMMANDS),
        *(f"warden {name}" for name in WARDEN_COMMANDS),
        *(f"fund {name}" for name in FUND_COMMANDS),
    ):
        assert cli.main([*command.split(), "--help"]) is ExitCode.STOPPED
        yield command, capsys.readouterr().out


def test_no_flag_asks_for_a_value(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for command, text in every_help(monkeypatch, capsys):
        assert "--help" in text, command
        assert "bool" not in text, command


def test_help_breaks_its_lines_only_where_they_are_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, text in every_help(monkeypatch, capsys):
        lines = [line.strip() for line in text.partition("\u256d")[0].splitlines()]
        for line, following in pairwise(lines):
            is_list = following[:1].isdigit() or following.startswith("risk-daemon ")
            is_inside = line and following and not is_list
            assert not is_inside or len(f"{line} {following.split()[0]}") > 78, f"{command}: {line}"


def test_the_help_of_run_has_a_line_for_every_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    cli.main(["run", "--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [int(words[0]) for words in lines if words and words[0].isdigit()] == [int(code) for code in ExitCode]


# --- completion ------------------------------------------------------------------------------------

COMPLETED = """
. <(risk-daemon --show-completion) || exit 3
complete_line() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _risk_daemon_completion risk-daemon
    echo "${COMPREPLY[*]}"
}
complete_line risk-daemon che
complete_line risk-daemon token ''
complete_line risk-daemon reset --re
complete_line risk-daemon cancel-all --market ''
risk-daemon --install-completion > "$HOME/said" && ls -A "$HOME"
"""


def test_a_shell_completes_commands_and_options(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "risk-daemon"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m risk_daemon "$@"\n')
    program.chmod(0o755)
    (home := tmp_path / "home").mkdir()
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(home)}
    done = subprocess.run(["bash", "-c", COMPLETED], env=environment, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["check-drawdown", "check"], ["create", "list", "revoke"], ["--reason", "--rebaseline"], ["spot", "perp"],
        [".bash_completions"], [".bashrc"], ["said"],
    ]  # fmt: skip


def test_a_question_of_a_shell_never_stands_in_for_a_command(
    place: Path, monkeypatch: pytest.MonkeyPatch, module: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable may be left over in an environment: what was asked for is done all the same."""
    monkeypatch.setenv("_RISK_DAEMON_COMPLETE", "complete_bash")
    module("app.service", run=returning(ExitCode.TRIGGERED_AND_PROVEN))

    assert cli.main(["run"]) is ExitCode.TRIGGERED_AND_PROVEN


def test_a_shell_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RISK_DAEMON_COMPLETE", "complete_nosuchshell")

    assert cli.main([]) is ExitCode.REFUSED


def test_no_command_at_all_is_refused_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) is ExitCode.REFUSED
    assert "cancel-all" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) is ExitCode.STOPPED
    assert capsys.readouterr().out == f"risk-daemon {metadata.version('risk-daemon')}\n"


def test_the_version_of_a_source_tree(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert cli.main(["--version"]) is ExitCode.STOPPED
    assert "not installed" in capsys.readouterr().out


def test_groups_of_commands_without_one_are_refused_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["token"]) is ExitCode.REFUSED
    assert "revoke" in capsys.readouterr().out


@pytest.mark.parametrize("command", TOKEN_COMMANDS)
def test_every_command_of_a_group_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["token", command, "--help"]) is ExitCode.STOPPED
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    ["status", "halt --reason x", "release --reason x --bot b", "disable --for 1m --reason x --yes", "enable",
     "check-drawdown", "verify-log", "tail", "--help", "--version", "token create --role bot", "token list",
     "token revoke x", "convert-risk-limits none.json"],
)  # fmt: skip
def test_what_must_answer_at_once_loads_nothing_heavy(arguments: str, place: Path) -> None:
    program = (
        "import sys; from risk_daemon.__main__ import main; sys.argv[1:] = sys.argv[1].split(); main();"
        "heavy = ('ccxt', 'aiohttp', 'risk_daemon.config.load', 'risk_daemon.engine.engine', 'uvloop');"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, arguments], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stderr.splitlines()[-1] == "[]"
