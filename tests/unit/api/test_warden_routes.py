"""What is asked about wardens at the terminal: over the socket, by those the kernel names, and by no token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.api.app import ControlServer
from risk_daemon.auth.desk import Opened
from risk_daemon.auth.override import OverrideRefused
from risk_daemon.errors import StateError, UsageError
from tests.api_world import ApiWorld
from tests.unit.api.test_app import ME

OPENED = Opened(attempt="a" * 32, address="http://localhost:1/override", code="A-B", needed=1, lasts_s=600.0)
VIEW = {
    "attempt": "a" * 32,
    "purpose": "reset",
    "stage": "agree",
    "needed": 2,
    "given": ["x"],
    "left_s": 9,
    "end": None,
}


@dataclass
class FakeWardens:
    """Remembers what it was asked."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    view: Mapping[str, Any] | None = None

    def _note(self, *asked: Any) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append(asked)

    async def enroll(self, name: str, asked_by: str) -> Opened:
        self._note("enroll", name, asked_by)
        return OPENED

    async def revoke(self, name: str, reason: str, asked_by: str) -> Opened:
        self._note("revoke", name, reason, asked_by)
        return OPENED

    async def break_glass(self, asked_by: str, sentence: str, *, is_root: bool) -> Mapping[str, Any]:
        self._note("break", asked_by, sentence, is_root)
        return {"begun": True, "done": False, "due": "2026-11-20T12:00:00Z"}

    async def stop_break_glass(self, asked_by: str) -> Mapping[str, Any]:
        self._note("stop", asked_by)
        return {"begun": False, "done": False, "due": None}

    async def progress(self) -> Mapping[str, Any] | None:
        return self.view

    async def withdraw(self, attempt: str, who: str) -> None:
        self._note("withdraw", attempt, who)


class World(ApiWorld):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.wardens = FakeWardens()
        self.server = ControlServer(
            self.control, self.path, listen="127.0.0.1:0", tokens=self.tokens, wardens=self.wardens
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.server.start()
    yield world
    await world.server.stop()


ASKED = [
    ("wardens/enroll", {"name": "dave"}, 202, ("enroll", "dave", ME)),
    ("wardens/revoke", {"name": "dave", "reason": "left"}, 202, ("revoke", "dave", "left", ME)),
    ("wardens/break-glass", {"sentence": "lost"}, 200, ("break", ME, "lost", ME.startswith("uid:0 "))),
    ("wardens/break-glass", {"stop": True}, 200, ("stop", ME)),
    ("override/withdraw", {"attempt": "a" * 32}, 200, ("withdraw", "a" * 32, ME)),
]


@pytest.mark.parametrize(("target", "body", "status", "asked"), ASKED)
async def test_the_socket_asks(world: World, target: str, body: object, status: int, asked: tuple[Any, ...]) -> None:
    reply = await world.socket("POST", f"/api/v1/{target}", body)
    assert (reply.status, world.wardens.asked) == (status, [asked])
    if status == 202:
        assert reply.body == OPENED.document()


@pytest.mark.parametrize(("target", "body"), [(target, body) for target, body, _, _ in ASKED])
async def test_no_token_asks_over_any_way(world: World, target: str, body: object) -> None:
    for token in (world.operator, world.bot):
        bearer = {"Authorization": f"Bearer {token}"}
        for reply in (
            await world.tcp("POST", f"/api/v1/{target}", body, token=token),
            await world.socket("POST", f"/api/v1/{target}", body, headers=bearer),
        ):
            assert reply.status == 403
    assert (await world.tcp("POST", f"/api/v1/{target}", body)).status == 401
    assert world.wardens.asked == []


async def test_no_token_sees_how_far_an_attempt_is(world: World) -> None:
    world.wardens.view = VIEW
    assert (await world.tcp("GET", "/api/v1/override", token=world.operator)).status == 403
    assert (await world.tcp("GET", "/api/v1/override")).status == 401


async def test_how_far_an_attempt_is(world: World) -> None:
    assert (await world.socket("GET", "/api/v1/override")).status == 404
    world.wardens.view = VIEW
    assert (await world.socket("GET", "/api/v1/override")).body == VIEW


@pytest.mark.parametrize(
    ("error", "status"),
    [(OverrideRefused("locked"), 409), (UsageError("no such"), 400), (StateError("can't be read"), 503)],
)
async def test_a_refusal_is_told(world: World, error: Exception, status: int) -> None:
    world.wardens.error = error
    reply = await world.socket("POST", "/api/v1/wardens/enroll", {"name": "dave"})
    assert (reply.status, reply.body["detail"]) == (status, str(error))


@pytest.mark.parametrize("target", ["reset", "disable", "release"])
async def test_a_command_for_which_wardens_are_asked_is_202_and_not_200(world: World, target: str) -> None:
    bodies = {
        "reset": {"reason": "x", "rebaseline": "keep"},
        "disable": {"reason": "x", "for_s": 60},
        "release": {"reason": "x", "bot": "grid-1"},
    }
    world.control.answer = {"accepted": False, "asked": OPENED.document()}
    reply = await world.socket("POST", f"/api/v1/{target}", bodies[target])
    assert (reply.status, reply.body) == (202, OPENED.document())


async def test_a_daemon_that_asks_no_wardens_says_so(tmp_path: Path) -> None:
    world = ApiWorld(tmp_path)
    await world.server.start()
    assert (await world.socket("POST", "/api/v1/wardens/enroll", {"name": "dave"})).status == 503
    await world.server.stop()
