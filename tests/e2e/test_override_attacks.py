"""Trying to resume without being a warden: tokens, shells, replays, restarts. Nothing opens, and each try is told."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.api.routes import ROUTES
from risk_daemon.app.overrides import SENTENCE
from risk_daemon.auth.wardens import Rules, WardenStore
from risk_daemon.cli import remote
from risk_daemon.config.place import locate
from tests.e2e.asking import Asking
from tests.e2e.harness import DOCS_KEY, Daemon, Venue, docs_secret, kraken_config, wait_for
from tests.e2e.wardens import Page, Warden, glass, page_of, refusals, wait_for_refusal
from tests.receivers.webhook import SECRET, WebhookReceiver

pytestmark = pytest.mark.long

KEYS = {"kraken": (DOCS_KEY, docs_secret())}
QUICK = {"settle": '"300ms"', "order_flight": '"500ms"'}
FREEZE = '[breakers.daily_loss]\nlimit = "3%"\naction = "freeze"\n'
CHANNEL = '[alerts.channels.pager]\nkind = "webhook"\nurl = "{url}"\nallow = ["127.0.0.1"]\n'
NOBODY = 65_534
RESET = ("reset", "--reason", "looked at it", "--rebaseline", "keep", "--yes")


class Guard:
    """A daemon on a venue, and commands that are asked of wardens."""

    def __init__(self, venue: Venue, daemon: Daemon) -> None:
        self.venue = venue
        self.daemon = daemon
        self._asking: list[Asking] = []
        init = daemon.command("init", "--yes")
        assert init.returncode == 0, init.stderr

    def started(self) -> Guard:
        self.daemon.start()
        self.daemon.wait_open()
        return self

    def halted(self) -> Guard:
        """Down after a halt of everything."""
        assert self.daemon.command("halt", "--reason", "enough").returncode == 0
        assert self.daemon.exit_code() == 1
        return self

    def ask(self, *words: str) -> Asking:
        self._asking.append(Asking(self.daemon, *words))
        return self._asking[-1]

    def is_halted(self, bot: str) -> bool:
        status = remote.request(locate(self.daemon.config).socket, "GET", "/api/v1/state").body
        return any(halt["bot"] == bot for halt in status["halts"])

    def token(self, role: str, name: str) -> str:
        made = self.daemon.command("token", "create", "--role", role, "--name", name)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip().splitlines()[-1]

    def close(self) -> None:
        for asking in self._asking:
            asking.stop()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as found:
        yield found


def heard(receiver: WebhookReceiver, event: str) -> list[Mapping[str, Any]]:
    return [body for body in receiver.alerts if body["event_type"] == event]


@pytest.fixture
def guard_of(documented_kraken: Venue, daemon_for: Callable[..., Daemon]) -> Iterator[Callable[..., Guard]]:
    guards: list[Guard] = []

    def make(
        more: str = "", receiver: WebhookReceiver | None = None, baselines: str = "", **circuit_breaker: str
    ) -> Guard:
        """receiver: who is told."""
        told = "" if receiver is None else CHANNEL.format(url=receiver.url)
        config = kraken_config(documented_kraken.endpoint, **QUICK, **circuit_breaker) + more + told
        daemon = daemon_for(config.replace("[baselines]", f"[baselines]\n{baselines}"), KEYS)
        daemon.environment["RISK_DAEMON_ALERTS_PAGER_SECRET"] = SECRET
        guards.append(Guard(documented_kraken, daemon))
        return guards[-1]

    yield make
    for guard in guards:
        guard.close()


# --- the good way --------------------------------------------------------------------------------------


def test_two_wardens_end_a_freeze_and_one_does_not(guard_of: Callable[..., Guard]) -> None:
    """Several factors of several people: each a passkey that verifies its person, and a one-time code."""
    guard = guard_of(FREEZE + "[warden]\nquorum = 2\n")
    alice, daemon = Warden("alice").enrolled(guard.daemon), guard.daemon
    bob = Warden("bob").enrolled(daemon, alice)
    guard.started()
    guard.venue.post(price={"BTC": 45000})
    assert daemon.wait_for("circuit_breaker_triggered")["action"] == "freeze"
    wait_for(lambda: daemon.of("sweep_finished"), "the proof")
    reset = guard.ask("reset", "--reason", "a fat finger", "--rebaseline", "current", "--yes")
    page = page_of(reset)
    status, view = alice.agrees(page)
    assert (status, view["given"], view["stage"]) == (200, ["alice"], "agree")
    reset.waits_for("1 of 2 agreed: alice")
    assert daemon.of("circuit_breaker_reset") == []
    again, said = alice.agrees(page)
    assert (again, said["detail"]) == (409, "alice has agreed already")
    status, view = bob.agrees(page)
    assert (status, view["end"]["done"]) == (200, True), view
    assert reset.ends() == 0, reset.said
    assert daemon.wait_for("circuit_breaker_reset")["operator"].startswith("alice, bob (asked by uid:")
    assert daemon.wait_for("override_granted", 3)["who"] == "alice, bob"


def test_a_release_and_a_disable_need_a_warden_and_halting_needs_nobody(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of().started()
    alice = Warden("alice").put(guard.daemon)
    guard.token("bot", "grid")
    assert guard.daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
    release = guard.ask("release", "--bot", "grid", "--reason", "mended")
    page = page_of(release)
    assert [page.look()["facts"][0][0], page.look()["facts"][0][1][:11]] == ["Halt", "of bot grid"]
    assert guard.is_halted("grid")
    assert alice.agrees(page)[0] == 200
    assert release.ends() == 0, release.said
    assert not guard.is_halted("grid")
    disable = guard.ask("disable", "--for", "10m", "--reason", "upgrade", "--yes")
    page_of(disable)
    disable.process.send_signal(signal.SIGINT)
    assert disable.ends() == 78
    assert "withdrawn" in disable.said
    wait_for_refusal(guard.daemon, "withdrawn by uid:")
    assert guard.daemon.of("circuit_breaker_disabled") == []
    assert guard.daemon.command("halt", "--reason", "enough").returncode == 0
    assert guard.daemon.exit_code() == 1


def test_without_a_warden_local_root_can(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of().started().halted()
    reset = guard.daemon.command(*RESET)
    assert reset.returncode == 0, reset.stderr
    check = guard.daemon.command("check", "--json")
    said = [row["sentence"] for row in json.loads(check.stdout)["findings"] if row["subject"] == "warden"]
    assert any("no warden is enrolled" in sentence for sentence in said)


# --- who is no warden ----------------------------------------------------------------------------------


# What each route over the socket would have to be sent.
LOCAL: dict[str, dict[str, Any] | None] = {
    "/api/v1/reset": {"reason": "x", "rebaseline": "current"},
    "/api/v1/disable": {"reason": "x", "for_s": 3600},
    "/api/v1/reload": {},
    "/api/v1/release": {"reason": "x", "bot": "bot"},
    "/api/v1/enable": {},
    "/api/v1/fund/transfer": {"to": "mallory", "amount": "1"},
    "/api/v1/override": None,
    "/api/v1/override/withdraw": {"attempt": "0" * 32},
    "/api/v1/wardens/enroll": {"name": "mallory"},
    "/api/v1/wardens/revoke": {"name": "alice", "reason": "x"},
    "/api/v1/wardens/break-glass": {"sentence": SENTENCE},
    "/api/v1/alerts/test": {},
    "/api/v1/cancel-all": {},
    "/api/v1/close-positions": {},
}

QUESTIONS = {
    "look": (),
    "challenge": ("attempt", "warden"),
    "agree": ("attempt", "warden", "otp", "credential"),
    "registration": ("attempt",),
    "enroll": ("attempt", "otp", "credential"),
}


def test_no_token_resumes_anything_by_any_path(guard_of: Callable[..., Guard]) -> None:
    """Every route that only the socket has, and the page with the attempt's own code, by every role."""
    assert {route.path for route in ROUTES if route.is_local} == LOCAL.keys()
    guard = guard_of().started()
    Warden("alice").put(guard.daemon)
    tokens = [guard.token(role, role) for role in ("operator", "viewer", "bot")]
    assert guard.daemon.command("halt", "--bot", "bot", "--reason", "odd").returncode == 0
    address = next(row["address"] for row in guard.daemon.of("api_listening") if row["address"][:5] != "unix:")
    page = page_of(guard.ask("release", "--bot", "bot", "--reason", "mended"))
    shown = page.look()
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        for path, body in LOCAL.items():
            assert status_of(f"http://{address}{path}", body, headers) == 403, path
        given = {"attempt": shown["attempt"], "warden": "alice", "otp": "000000", "credential": {}}
        for question, keys in QUESTIONS.items():
            wanted = {key: given[key] for key in keys}
            url, own = f"{page.origin}/override/{question}", {**headers, "Origin": page.origin}
            assert status_of(url, {"code": "AAAA-AAAA-AAAA", **wanted}, own) == 403, "a guessed code"
            status = status_of(url, {"code": page.code, **wanted}, own)
            assert status == (200 if question in ("look", "challenge") else 409), f"{question} needs a passkey"
    assert (page.look()["stage"], page.look()["given"]) == ("agree", [])
    assert guard.is_halted("bot")
    assert list(WardenStore.beside(guard.daemon.state).read().wardens) == ["alice"]


def status_of(url: str, body: dict[str, Any] | None, headers: dict[str, str]) -> int:
    """What is answered; without a body it is a GET."""
    import urllib.error
    import urllib.request

    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_socket_s_own_words_are_no_consent(guard_of: Callable[..., Guard]) -> None:
    """Root with curl, saying that a warden agreed: the daemon takes nobody's word for it."""
    guard = guard_of().started()
    Warden("alice").put(guard.daemon)
    guard.token("bot", "grid")
    assert guard.daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
    place = locate(guard.daemon.config)
    for more in ({}, {"operator": "alice"}):
        said = remote.request(place.socket, "POST", "/api/v1/release", {"reason": "x", "bot": "grid", **more})
        assert said.status == 202
    for more in ({"granted": True}, {"wardens": ["alice"]}, {"code": "x"}):
        said = remote.request(place.socket, "POST", "/api/v1/release", {"reason": "x", "bot": "grid", **more})
        assert said.status == 422
    assert guard.is_halted("grid")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_s_shell_opens_nothing(documented_kraken: Venue) -> None:
    """The state directory lets bots of other users through, as the unit sets it up."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        daemon = Daemon(Path(place), kraken_config(documented_kraken.endpoint, **QUICK), KEYS)
        guard = Guard(documented_kraken, daemon).started()
        try:
            Warden("alice").put(daemon)
            daemon.state.chmod(0o711)
            guard.token("bot", "grid")
            assert daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
            release = guard.ask("release", "--bot", "grid", "--reason", "mended")
            page = page_of(release)
            tries = as_nobody(daemon, "grid")
            assert tries == dict.fromkeys(tries, "PermissionError"), tries
            assert len(tries) == 7
            guess = Page(f"{page.origin}/override", "AAAA-AAAA-AAAA")
            assert guess.ask("look")[0] == 403
            assert guard.is_halted("grid")
            assert list(WardenStore.beside(daemon.state).read().wardens) == ["alice"]
            assert page.look()["given"] == []
        finally:
            guard.close()
            daemon.close()


def as_nobody(daemon: Daemon, bot: str) -> dict[str, str]:
    """What comes of each way to resume, tried by another user of this machine: an error's name, or `done`."""
    place = locate(daemon.config)
    posts: dict[str, dict[str, Any]] = {
        "/api/v1/release": {"reason": "x", "bot": bot},
        "/api/v1/wardens/enroll": {"name": "mallory"},
        "/api/v1/wardens/break-glass": {"stop": True},
    }
    register = daemon.state / "wardens.json"

    def connect(target: str, body: dict[str, Any]) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(place.socket))
            line.sendall(f"POST {target} HTTP/1.1\r\n\r\n{json.dumps(body)}".encode())

    ways: dict[str, Callable[[], object]] = {path: partial(connect, path, body) for path, body in posts.items()}
    ways |= {
        "read": register.read_bytes,
        "write": lambda: register.write_text("{}"),
        "remove": register.unlink,
        "own": lambda: (daemon.state / "owner.lock").open("r+b"),
    }
    return in_another_user(ways)


def in_another_user(ways: Mapping[str, Callable[[], object]]) -> dict[str, str]:
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def work() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        theirs.send({name: outcome(way) for name, way in ways.items()})

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    assert ours.poll(30), "no answer"
    found: dict[str, str] = ours.recv()
    process.join(10)
    return found


def outcome(way: Callable[[], object]) -> str:
    try:
        way()
    except OSError as error:
        return type(error).__name__
    return "done"


# --- replays, halves, restarts -------------------------------------------------------------------------


def test_a_half_done_quorum_is_worth_nothing_after_a_restart(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of("[warden]\nquorum = 2\n")
    daemon = guard.daemon
    alice = Warden("alice").put(daemon)
    bob = Warden("bob").put(daemon, Rules(quorum=2))
    guard.started()
    guard.token("bot", "grid")
    assert daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
    release = guard.ask("release", "--bot", "grid", "--reason", "mended")
    page = page_of(release)
    assert alice.agrees(page)[0] == 200
    daemon.signal(signal.SIGKILL)
    daemon.exit_code()
    assert release.ends() == 78
    (daemon.state / "risk.json").unlink()
    guard.started()
    release = guard.ask("release", "--bot", "grid", "--reason", "mended")
    fresh = page_of(release)
    old = Page(f"{fresh.origin}/override", page.code)
    assert old.ask("look")[0] == 403
    status, view = bob.agrees(fresh)
    assert (status, view["given"]) == (200, ["bob"])
    assert guard.is_halted("grid")


def test_what_was_signed_once_counts_once_and_for_one_attempt(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of().started()
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    guard.token("bot", "grid")
    assert daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
    first = page_of(guard.ask("release", "--bot", "grid", "--reason", "mended"))
    nonce = first.look()["attempt"]
    _, options = first.ask("challenge", attempt=nonce, warden="alice")
    assert alice.app is not None
    given = {"warden": "alice", "otp": alice.app.wrong(), "credential": alice.device.get(options, first.origin)}
    assert first.ask("agree", attempt=nonce, **given)[0] == 409
    given["otp"] = alice.app.code()
    status, said = first.ask("agree", attempt=nonce, **given)
    assert (status, "not what was asked for" in said["detail"]) == (409, True)
    second = page_of(guard.ask("disable", "--for", "10m", "--reason", "x", "--yes"))
    wait_for_refusal(daemon, "another one was begun")
    for attempt in (nonce, second.look()["attempt"]):
        assert second.ask("agree", attempt=attempt, **given)[0] == 409
    assert first.ask("agree", attempt=nonce, **given)[0] == 403
    assert guard.is_halted("grid")
    assert daemon.of("circuit_breaker_disabled") == []
    assert len(refusals(daemon)) >= 4


def test_five_wrong_codes_lock_also_over_a_restart_and_are_told(
    guard_of: Callable[..., Guard], receiver: WebhookReceiver
) -> None:
    """With no daemon running: whoever hears alerts is told by the command itself."""
    guard = guard_of(receiver=receiver)
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    assert alice.app is not None
    guard.started().halted()
    for number in range(5):
        reset = guard.ask(*RESET)
        status, said = alice.agrees(page_of(reset), otp=alice.app.wrong())
        assert status == 409, said
        if number < 4:
            reset.process.send_signal(signal.SIGINT)
        assert reset.ends() == 78, reset.said
    told = [row for row in refusals(daemon) if row["who"] == "alice"]
    assert [row.get("failures") for row in told] == [1, 2, 3, 4, None]
    assert told[-1]["locked_until"]
    assert len(heard(receiver, "override_asked")) == 5
    (lock,) = [body for body in heard(receiver, "override_refused") if body["severity"] == "critical"]
    assert "Nobody can override anything until" in lock["summary"]
    late = daemon.command(*RESET)
    assert late.returncode == 78
    assert "too many attempts failed" in late.stderr
    assert daemon.start().exit_code() == 1
    assert "still_triggered" in daemon.output()


def test_a_trip_meanwhile_is_not_ended_by_what_was_agreed_before_it(guard_of: Callable[..., Guard]) -> None:
    """A freeze ends with its day while wardens are asked, and another one has taken its place when they agree."""
    day = datetime.now(UTC) + timedelta(seconds=100)  # forty seconds at least until it begins
    guard = guard_of(FREEZE, baselines=f'reset_at = "{day:%H:%M}"', loss_threshold='"60%"').started()
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    guard.venue.post(price={"BTC": 45000})
    first = daemon.wait_for("circuit_breaker_triggered")["trip_id"]
    wait_for(lambda: daemon.of("sweep_finished"), "the proof")
    reset = guard.ask("reset", "--reason", "a fat finger", "--rebaseline", "current", "--yes")
    page = page_of(reset)
    assert dict(page.look()["facts"])["Trip"] == first
    wait_for(lambda: daemon.of("freeze_expired"), "the end of the day", 180)
    guard.venue.post(price={"BTC": 40000})
    second = daemon.wait_for("circuit_breaker_triggered", count=2)["trip_id"]
    assert second != first
    status, view = alice.agrees(page)
    assert (status, view["end"]["granted"], view["end"]["done"]) == (200, True, False), view
    assert reset.ends() == 78
    assert daemon.of("circuit_breaker_reset") == []


def test_a_halt_meanwhile_is_not_ended_by_what_was_agreed_before_it(guard_of: Callable[..., Guard]) -> None:
    """The attempt is of one halt; the same bot is halted again by somebody else."""
    guard = guard_of().started()
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    guard.token("bot", "grid")
    assert daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
    release = guard.ask("release", "--bot", "grid", "--reason", "mended")
    page = page_of(release)
    assert daemon.command("halt", "--bot", "grid", "--reason", "worse").returncode == 0
    status, view = alice.agrees(page)
    assert (status, view["end"]["granted"], view["end"]["done"]) == (200, True, False)
    assert release.ends() == 78
    assert "another halt" in release.said
    assert guard.is_halted("grid")


# --- ways around ---------------------------------------------------------------------------------------


def test_a_register_that_was_spoilt_lets_nobody_resume(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of()
    Warden("alice").put(guard.daemon)
    guard.started().halted()
    for content in ("", "{}", '{"format": 1, "wardens": []}'):
        (guard.daemon.state / "wardens.json").write_text(content)
        reset = guard.daemon.command(*RESET)
        assert reset.returncode == 78
        assert "nothing is resumed" in reset.stderr
    assert guard.daemon.of("circuit_breaker_reset") == []


def test_a_register_that_is_gone_lets_nobody_resume(guard_of: Callable[..., Guard]) -> None:
    """Not by a restart, and not with another one in its place that says that nobody is enrolled."""
    guard = guard_of(loss_threshold='"5%"')
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    guard.started().halted()
    register = daemon.state / "wardens.json"
    kept = register.read_bytes()
    nobody = {
        "format": 1,
        "wardens": [],
        "failed_walls": [],
        "locked_until_wall": 0,
        "break_glass": None,
        "rules": None,
    }
    for content in (None, json.dumps(nobody)):
        register.unlink(missing_ok=True)
        if content is not None:
            register.write_text(content)
            register.chmod(0o600)
        reset = daemon.command(*RESET)
        assert reset.returncode == 78
        assert "it names none any more" in reset.stderr
    assert daemon.command("warden", "enroll", "mallory").returncode == 78
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('loss_threshold = "5%"', 'loss_threshold = "50%"'))
    assert daemon.start().exit_code() == 78, daemon.output()
    assert "loss_threshold" in daemon.output()
    daemon.config.write_text(text)
    register.write_bytes(kept)
    reset = guard.ask(*RESET)
    assert alice.agrees(page_of(reset))[0] == 200
    assert reset.ends() == 0, reset.said


def test_nobody_is_waited_for_while_a_trip_is_to_be_finished(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of(cancel_deadline='"3s"').started()
    guard.venue.post(listing="empty_result")
    assert guard.daemon.command("halt", "--reason", "enough").returncode == 0
    assert guard.daemon.exit_code() == 4
    refused = guard.daemon.command("warden", "enroll", "bob")
    assert (refused.returncode, "is not proven yet" in refused.stderr) == (78, True), refused.stderr
    guard.venue.post(listing="ok")
    guard.daemon.start()
    assert guard.daemon.exit_code() == 1


def test_a_new_state_in_the_place_of_the_old_one_needs_the_wardens(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of()
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    for file in daemon.state.glob("state.db*"):
        file.unlink()
    assert daemon.start().exit_code() == 78, "and run makes none"
    init = guard.ask("init", "--yes")
    status, view = alice.agrees(page_of(init))
    assert (status, view["purpose"], view["end"]["done"]) == (200, "init", True)
    assert init.ends() == 0, init.said
    guard.started()


def test_a_new_state_that_the_wardens_did_not_agree_to_is_none(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of()
    Warden("alice").put(guard.daemon)
    for file in guard.daemon.state.glob("state.db*"):
        file.unlink()
    init = guard.ask("init", "--yes")
    page_of(init)
    init.process.send_signal(signal.SIGINT)
    assert init.ends() == 78
    assert not (guard.daemon.state / "state.db").exists()


def test_fewer_wardens_in_the_file_are_not_fewer_before_they_agree(guard_of: Callable[..., Guard]) -> None:
    """Whoever may edit the configuration can't lower the quorum, nor the limits, by that alone."""
    guard = guard_of("[warden]\nquorum = 2\n", loss_threshold='"5%"')
    daemon = guard.daemon
    alice = Warden("alice").put(daemon)
    bob = Warden("bob").put(daemon, Rules(quorum=2))
    guard.started().halted()
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace("quorum = 2", "quorum = 1").replace('loss_threshold = "5%"', 'loss_threshold = "50%"')
    )
    reset = guard.ask(*RESET)
    page = page_of(reset)
    assert page.look()["needed"] == 2
    assert "loss_threshold 5 % -> 50 %" in " ".join(page.look()["changes"])
    for person in (alice, bob):
        assert person.agrees(page)[0] == 200
    assert reset.ends() == 0, reset.said
    assert daemon.start().exit_code() == 78
    assert "loss_threshold" in daemon.output()
    accept = guard.ask("warden", "accept-configuration", "--reason", "a calmer market")
    page = page_of(accept)
    changes = " ".join(page.look()["changes"])
    assert "quorum" in changes
    assert "50" in changes
    for person in (bob, alice):
        status, view = person.agrees(page)
        assert status == 200, view
    assert accept.ends() == 0, accept.said
    guard.started()
    rules = WardenStore.beside(daemon.state).read().rules
    assert rules is not None
    assert rules.quorum == 1


def test_a_file_that_nobody_knows_is_shown_before_a_reset_takes_it(guard_of: Callable[..., Guard]) -> None:
    """What was in force was lost with the state: the wardens see what is from now on."""
    guard = guard_of(loss_threshold='"5%"')
    daemon, alice = guard.daemon, Warden("alice").put(guard.daemon)
    guard.started().halted()
    with closing(sqlite3.connect(daemon.state / "state.db")) as connection, connection:
        assert connection.execute("DELETE FROM document WHERE key = 'configuration'").rowcount == 1
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('loss_threshold = "5%"', 'loss_threshold = "50%"'))
    reset = guard.ask(*RESET)
    page = page_of(reset)
    changes = " ".join(page.look()["changes"])
    assert "It is not known what was in force before" in changes
    assert "circuit_breaker.loss_threshold = 50%" in changes
    assert alice.agrees(page)[0] == 200
    assert reset.ends() == 0, reset.said
    guard.started()


def test_the_glass_is_told_waits_and_then_breaks(guard_of: Callable[..., Guard], receiver: WebhookReceiver) -> None:
    """All of it with no daemon running, as after a trip."""
    guard = guard_of('[warden]\nbreak_glass_after = "2s"\n', receiver)
    daemon = guard.daemon
    Warden("alice").put(daemon, Rules(break_glass_after_s=2.0))
    guard.started().halted()
    begun = glass(daemon)
    assert begun.returncode == 0, begun.stderr
    assert daemon.of("break_glass_begun")[-1]["outcome"] == "waiting"
    (told,) = heard(receiver, "break_glass_begun")
    assert told["severity"] == "critical"
    assert WardenStore.beside(daemon.state).read().is_guarded
    wait_for(lambda: glass(daemon).returncode == 0, "the end of the waiting")
    assert daemon.of("break_glass_ended")[-1]["outcome"] == "forgotten"
    (told,) = heard(receiver, "break_glass_ended")
    assert "forgotten" in told["summary"]
    reset = daemon.command(*RESET)
    assert reset.returncode == 0, reset.stderr
    assert len(heard(receiver, "circuit_breaker_reset")) == 1
