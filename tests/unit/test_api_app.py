"""The daemon's socket: who may use it, what it takes, and how it refuses."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from risk_daemon.api import app
from risk_daemon.control import operator_name
from risk_daemon.errors import CircuitBreakerError, RecordError, StateError, UsageError
from risk_daemon.events import HaltRequested, Input, ResetRequested

ME = operator_name(os.geteuid())


class FakeControl:
    """Takes every command, and remembers it."""

    def __init__(self) -> None:
        self.events: list[Input] = []
        self.sweeps: list[tuple[str | None, str | None]] = []
        self.answer: dict[str, Any] = {"accepted": True, "state": "TRIGGERED", "trip_id": "t1", "reason": ""}
        self.good = True
        self.error: Exception | None = None
        self.document: dict[str, Any] = {"state": "ACTIVE", "equity": "9400.00"}

    def state(self) -> Mapping[str, Any]:
        return self.document

    def is_ready(self) -> bool:
        return self.good

    def is_alive(self) -> bool:
        return self.good

    async def command(self, event: Input) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        self.events.append(event)
        return self.answer

    async def cancel_all(self, venue: str | None, market: str | None) -> Mapping[str, Any]:
        self.sweeps.append((venue, market))
        return {"proven": True}


class Client:
    """Talks to a server under test."""

    def __init__(self, control: FakeControl, path: Path) -> None:
        self.control, self.path = control, path

    async def __call__(self, method: str, target: str, body: object = None, data: bytes | None = None) -> Any:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.path))) as session,
            session.request(method, f"http://daemon{target}", json=body, data=data) as reply,
        ):
            return SimpleNamespace(
                status=reply.status, type=reply.content_type, headers=reply.headers, body=json.loads(await reply.read())
            )


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    control, path = FakeControl(), tmp_path / "s.sock"
    server = app.ControlServer(control, path)
    await server.start()
    yield Client(control, path)
    await server.stop()
    assert not path.exists()


async def test_state_is_what_the_daemon_says(client: Client) -> None:
    answer = await client("GET", "/api/v1/state")

    assert (answer.status, answer.type, answer.body) == (200, "application/json", client.control.document)


async def test_health(client: Client) -> None:
    assert [(await client("GET", path)).status for path in ("/livez", "/readyz")] == [200, 200]

    client.control.good = False
    assert [(await client("GET", path)).status for path in ("/livez", "/readyz")] == [503, 503]


@pytest.mark.parametrize(
    ("target", "body", "event"),
    [
        ("halt", {"reason": " fat finger "}, HaltRequested("fat finger", ME)),
        ("halt", {"reason": "x", "operator": "night desk"}, HaltRequested("x", f"{ME}, night desk")),
        ("reset", {"reason": "found it", "rebaseline": "keep"}, ResetRequested("found it", ME, "keep")),
        ("reset", {"reason": "found it", "rebaseline": "current"}, ResetRequested("found it", ME, "current")),
    ],
)
async def test_a_command_becomes_an_event(client: Client, target: str, body: object, event: Input) -> None:
    answer = await client("POST", f"/api/v1/{target}", body)

    assert (answer.status, answer.body) == (200, client.control.answer)
    assert client.control.events == [event]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("halt", None),
        ("halt", {}),
        ("halt", []),
        ("halt", {"reason": ""}),
        ("halt", {"reason": "  "}),
        ("halt", {"reason": 5}),
        ("halt", {"reason": "x" * 1001}),
        ("halt", {"reason": "x", "venue": "kraken"}),
        ("reset", {"reason": "x"}),
        ("reset", {"reason": "x", "rebaseline": "forget"}),
        ("reset", {"reason": "x", "rebaseline": ["keep"]}),
        ("cancel-all", {"market": "margin"}),
        ("cancel-all", {"venu": "kraken"}),
    ],
)
async def test_a_wrong_body_is_refused(client: Client, target: str, body: object) -> None:
    answer = await client("POST", f"/api/v1/{target}", body)

    assert (answer.status, answer.type, answer.body["status"]) == (400, "application/problem+json", 400)
    assert answer.body["detail"]
    assert client.control.events == []
    assert client.control.sweeps == []


async def test_what_is_not_json_is_refused(client: Client) -> None:
    assert (await client("POST", "/api/v1/halt", data=b"{")).status == 400
    assert (await client("POST", "/api/v1/halt", data=b"\xff\xfe\xfa")).status == 400
    assert client.control.events == []


async def test_a_body_that_is_too_long_is_refused(client: Client) -> None:
    answer = await client("POST", "/api/v1/halt", data=b" " * (65 * 1024))

    assert (answer.status, answer.type) == (413, "application/problem+json")


@pytest.mark.parametrize("accepted", [False, None, 1, "yes"])
async def test_what_the_engine_did_not_accept_is_a_conflict(client: Client, accepted: object) -> None:
    client.control.answer = {"accepted": accepted, "reason": "a venue is unproven", "state": "TRIGGERED"}
    answer = await client("POST", "/api/v1/reset", {"reason": "x", "rebaseline": "keep"})

    assert (answer.status, answer.body["detail"], answer.body["state"]) == (409, "a venue is unproven", "TRIGGERED")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CircuitBreakerError("no"), 409),
        (UsageError("no"), 400),
        (RecordError("disk full"), 503),
        (RuntimeError("boom"), 500),
    ],
)
async def test_a_failure_is_an_answer_of_the_same_form(client: Client, error: Exception, status: int) -> None:
    client.control.error = error
    answer = await client("POST", "/api/v1/halt", {"reason": "x"})

    assert (answer.status, answer.type) == (status, "application/problem+json")


async def test_unknown_paths_and_methods(client: Client) -> None:
    missing, wrong = await client("GET", "/nope"), await client("GET", "/api/v1/halt")

    assert (missing.status, missing.type) == (404, "application/problem+json")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")


async def test_nan_is_not_passed_on(client: Client) -> None:
    client.control.document = {"loss_ratio": float("nan")}

    assert (await client("GET", "/api/v1/state")).status == 500


async def test_a_sweep_passes_its_selection_on(client: Client) -> None:
    await client("POST", "/api/v1/cancel-all", {"venue": "kraken", "market": "perp"})
    await client("POST", "/api/v1/cancel-all", {"venue": None, "market": None})
    await client("POST", "/api/v1/cancel-all")

    assert client.control.sweeps == [("kraken", "perp"), (None, None), (None, None)]


# --- who asks --------------------------------------------------------------------------------------


async def test_another_user_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_peer_uid", lambda request: 4_242)
    answer = await client("POST", "/api/v1/halt", {"reason": "x"})

    assert (answer.status, answer.type) == (403, "application/problem+json")
    assert client.control.events == []


async def test_root_is_not_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_peer_uid", lambda request: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 4_242)

    assert (await client("POST", "/api/v1/halt", {"reason": "x"})).status == 200


async def test_a_caller_that_is_gone_is_nobody(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.BaseRequest, "transport", None)

    assert (await client("POST", "/api/v1/halt", {"reason": "x"})).status == 403
    assert client.control.events == []


def test_the_user_is_known_under_uvloop_too(tmp_path: Path) -> None:
    async def scenario() -> Any:
        control, path = FakeControl(), tmp_path / "s.sock"
        server = app.ControlServer(control, path)
        await server.start()
        answer = await Client(control, path)("POST", "/api/v1/halt", {"reason": "x"})
        await server.stop()
        return answer.status, control.events, path.exists()

    assert uvloop.run(scenario()) == (200, [HaltRequested("x", ME)], False)


# --- the socket ------------------------------------------------------------------------------------


async def test_the_socket_is_its_owner_s_only(client: Client) -> None:
    assert stat.S_IMODE(client.path.stat().st_mode) == 0o600


async def test_a_dead_daemon_s_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = app.ControlServer(FakeControl(), path)
    await server.start()

    assert (await Client(FakeControl(), path)("GET", "/livez")).status == 200
    await server.stop()


async def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    server = app.ControlServer(FakeControl(), path)

    with pytest.raises(StateError, match="this is not a socket"):
        await server.start()
    await server.stop()
    assert path.read_text() == "precious"


async def test_a_successor_s_socket_is_left(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    first, second = app.ControlServer(FakeControl(), path), app.ControlServer(FakeControl(), path)
    await first.start()
    await second.start()
    await first.stop()

    assert (await Client(FakeControl(), path)("GET", "/livez")).status == 200
    await second.stop()
    assert not path.exists()


async def test_a_directory_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    server = app.ControlServer(FakeControl(), tmp_path / "none" / "s.sock")

    with pytest.raises(StateError, match="the socket can't be made"):
        await server.start()
    await server.stop()
