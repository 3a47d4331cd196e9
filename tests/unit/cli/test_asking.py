"""What is said at the terminal while wardens are asked, and that only `done` is a success."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.cli import asking, remote
from risk_daemon.errors import UsageError

SOCKET = Path("/nowhere/risk-daemon.sock")
ASKED = {
    "attempt": "a1",
    "address": "http://localhost:8787/override",
    "code": "ABCD-2345-WXYZ",
    "needed": 2,
    "lasts_s": 600.0,
    "uri": None,
}
VIEW = {"attempt": "a1", "needed": 2, "given": [], "stage": "agree", "enrolls": None, "end": None}
DONE = {"granted": True, "done": True, "told": "reset"}


class Script:
    """A daemon that answers one view after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *views: Any) -> None:
        self.views = list(views)
        self.asked: list[tuple[str, str, Any]] = []
        monkeypatch.setattr(remote, "request", self)
        monkeypatch.setattr(asking, "_EVERY_S", 0.0)

    def __call__(self, path: Path, method: str, target: str, body: Any = None, **_: Any) -> remote.Answer:
        self.asked.append((method, target, body))
        if method == "POST":
            return remote.Answer(200, {"accepted": True})
        view = self.views.pop(0)
        if isinstance(view, BaseException):
            raise view
        return remote.Answer(200, view)


def asks() -> Mapping[str, Any]:
    return asking.done_or_asked(SOCKET, remote.Answer(202, ASKED))


def test_what_was_done_at_once_needs_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch)
    assert asking.done_or_asked(SOCKET, remote.Answer(200, {"accepted": True})) == {"accepted": True}
    assert script.asked == []
    with pytest.raises(UsageError, match="not now"):
        asking.done_or_asked(SOCKET, remote.Answer(409, {"detail": "not now"}))


def test_it_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one, both = {**VIEW, "given": ["alice"]}, {**VIEW, "given": ["alice", "bob"]}
    Script(monkeypatch, VIEW, VIEW, one, one, {**both, "stage": "ended", "end": DONE})
    assert asks() == {"accepted": True, "reason": "reset", "agreed": ["alice", "bob"]}
    shown = capsys.readouterr()

    assert shown.out == "", "the result alone is on standard output"
    assert "2 wardens must agree, within 10 minutes" in shown.err
    assert "code ABCD-2345-WXYZ" in shown.err
    assert "http://localhost:8787/override#ABCD-2345-WXYZ" in shown.err
    assert shown.err.count("1 of 2 agreed: alice") == 1
    assert "2 of 2 agreed: alice, bob" in shown.err


@pytest.mark.parametrize(
    "end",
    [
        {"granted": False, "done": False, "told": "ten minutes are over"},
        {"granted": True, "done": False, "told": "not every cancel is proven"},
        {"granted": True, "done": "true", "told": "odd"},
    ],
)
def test_anything_but_done_is_an_error(end: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, {**VIEW, "stage": "ended", "end": end})
    with pytest.raises(UsageError, match="not done: "):
        asks()


def test_another_attempt_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, {**VIEW, "attempt": "a2", "stage": "ended", "end": DONE})
    with pytest.raises(UsageError, match="another attempt"):
        asks()


def test_a_daemon_that_ends_meanwhile_has_confirmed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, VIEW, remote.NotConfirmed("no answer"))
    with pytest.raises(remote.NotConfirmed):
        asks()


def test_ctrl_c_withdraws(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, KeyboardInterrupt())
    with pytest.raises(UsageError, match="withdrawn"):
        asks()
    assert script.asked[-1] == ("POST", "/api/v1/override/withdraw", {"attempt": "a1"})


def test_a_new_warden_gets_a_qr_code_and_the_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "otpauth://totp/risk-daemon:alice?secret=JBSWY3DPEHPK3PXP&issuer=risk-daemon"
    asking.Told().opened({**ASKED, "uri": uri, "needed": 0})
    told = capsys.readouterr().err
    assert "or type its secret: JBSWY3DPEHPK3PXP\n" in told
    assert "\u2588" in told or "\u2580" in told
    assert "The new warden goes on" in told
