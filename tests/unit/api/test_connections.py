"""What comes before there is a request: garbage, slow and endless callers, too many of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from risk_daemon.api import connections, dispatch
from risk_daemon.api.limits import Limits, Rate
from tests.api_world import ORDER, ApiWorld, serving

SOON = 5.0
HEAD = "POST /api/v1/orders/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(
        tmp_path, Limits(header_within_s=0.1, first_within_s=0.1, body_within_s=0.1, linger_s=0.1)
    ) as world:
        yield world


def head(world: ApiWorld) -> str:
    return f"{HEAD}Authorization: Bearer {world.bot}\r\n"


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


def problem(said: bytes) -> dict[str, object]:
    header, _, body = said.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in header
    document: dict[str, object] = json.loads(body)
    return document


@pytest.mark.parametrize(
    "text",
    [
        "garbage\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 10_000 + "\r\n\r\n",
        "GET /" + "x" * 10_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_garbage_is_answered_as_a_problem_and_hung_up_on(world: ApiWorld, text: str) -> None:
    said = await asyncio.wait_for(world.raw(text), SOON)

    assert (status(said), problem(said)["status"]) == (400, 400)
    assert world.control.nothing_happened()


async def test_a_missing_host_is_refused(world: ApiWorld) -> None:
    assert status(await asyncio.wait_for(world.raw("GET /livez HTTP/1.1\r\n\r\n"), SOON)) == 400


@pytest.mark.parametrize("text", ["", "GET /livez HTTP/1.1\r\nHost: loc"])
async def test_a_slow_header_is_hung_up_on(world: ApiWorld, text: str) -> None:
    assert await asyncio.wait_for(world.raw(text), SOON) == b""


async def test_a_slow_body_is_refused(world: ApiWorld) -> None:
    said = await asyncio.wait_for(world.raw(f'{head(world)}Content-Length: 100\r\n\r\n{{"venue":'), SOON)

    assert (status(said), problem(said)["detail"]) == (408, "the body did not come within 0.1 s")
    assert world.control.nothing_happened()


async def test_who_waits_to_be_told_to_go_on_is_told(world: ApiWorld) -> None:
    body = json.dumps(ORDER).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(f"{head(world)}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)

    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), SOON)) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_a_body_that_says_it_is_too_large_is_not_read(world: ApiWorld) -> None:
    said = await asyncio.wait_for(world.raw(f"{head(world)}Content-Length: 10000000\r\n\r\n{{"), SOON)

    assert (status(said), problem(said)["detail"]) == (413, "the body is larger than 65536 bytes")


async def test_a_body_without_an_end_is_cut_off(world: ApiWorld) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(f"{head(world)}Transfer-Encoding: chunked\r\n\r\n".encode())
    sent = 0

    async def pour() -> None:
        nonlocal sent
        while True:
            writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
            sent += 0x1000
            await writer.drain()
            await asyncio.sleep(0)

    pouring = asyncio.ensure_future(pour())
    said = await asyncio.wait_for(reader.readuntil(b"}"), SOON)
    pouring.cancel()
    await asyncio.gather(pouring, return_exceptions=True)
    writer.transport.abort()

    assert (status(said), problem(said)["detail"]) == (413, "the body is larger than 65536 bytes")
    assert sent < 64 * 1024 * 1024
    assert world.control.nothing_happened()


async def test_a_large_body_is_refused_and_a_full_one_is_read(world: ApiWorld) -> None:
    assert (await world.check(data=b" " * (64 * 1024 + 1))).status == 413
    padded = json.dumps(ORDER).encode()

    assert (await world.check(data=padded + b" " * (64 * 1024 - len(padded)))).status == 200


async def test_a_broken_body_is_refused(world: ApiWorld) -> None:
    said = await asyncio.wait_for(world.raw(f"{head(world)}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"), SOON)

    assert status(said) == 400
    assert world.control.nothing_happened()


async def test_a_caller_who_goes_in_the_middle_is_nothing_special(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CapturingLogger()
    for module in (connections, dispatch):
        monkeypatch.setattr(module, "_LOG", told)
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(f'{head(world)}Content-Length: 100\r\n\r\n{{"venue":'.encode())
    await writer.drain()
    writer.transport.abort()

    assert (await world.check({})).status == 422
    assert world.control.nothing_happened()
    assert told.calls == []


async def test_answers_that_nobody_reads_are_not_piled_up(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(checks=Rate(1e6, 10**6))) as world:
        body = json.dumps(ORDER).encode()
        one = f"{head(world)}Content-Length: {len(body)}\r\n\r\n".encode() + body
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1)

        async def pour() -> None:
            while True:
                writer.write(one * 100)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(pour(), 30)
        assert reader is not None
        writer.transport.abort()


async def test_one_connection_takes_many_requests(world: ApiWorld) -> None:
    body = json.dumps(ORDER).encode()
    one = f"{head(world)}Content-Length: {len(body)}\r\n\r\n".encode() + body
    said = await asyncio.wait_for(world.raw(one * 3), SOON)

    assert said.count(b"HTTP/1.1 200 OK\r\n") == 3


@pytest.mark.parametrize(("version", "extra"), [("1.0", ""), ("1.0", "Connection: keep-alive\r\n")])
async def test_an_old_client_is_answered_and_hung_up_on(world: ApiWorld, version: str, extra: str) -> None:
    body = json.dumps(ORDER)
    text = head(world).replace("HTTP/1.1", f"HTTP/{version}") + f"{extra}Content-Length: {len(body)}\r\n\r\n{body}"
    said = await asyncio.wait_for(world.raw(text), SOON)

    assert status(said) == 200
    assert b"\r\nConnection: close\r\n" in said


async def test_a_client_may_ask_to_be_hung_up_on(world: ApiWorld) -> None:
    body = json.dumps(ORDER)
    said = await asyncio.wait_for(
        world.raw(f"{head(world)}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"), SOON
    )

    assert (status(said), b"\r\nConnection: close\r\n" in said) == (200, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        ("GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400),
        ("GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", 200),
        ("GET /livez?%00\x7f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400),
        ("GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400),
    ],
)
async def test_unusual_requests_are_answered(world: ApiWorld, text: str, expected: int) -> None:
    assert status(await asyncio.wait_for(world.raw(text), SOON)) == expected


# --- methods and paths -----------------------------------------------------------------------------


async def test_unknown_paths_and_methods(world: ApiWorld) -> None:
    missing = await world.tcp("GET", "/nope", token=world.operator)
    wrong = await world.tcp("GET", "/api/v1/halt", token=world.operator)

    assert (missing.status, missing.type) == (404, "application/problem+json")
    assert (wrong.status, wrong.type, wrong.headers["Allow"]) == (405, "application/problem+json", "POST, OPTIONS")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "QUERY"])
async def test_other_methods_are_refused(world: ApiWorld, method: str) -> None:
    reply = await world.tcp(method, "/api/v1/state", token=world.operator)

    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/", "/api/v1/override/challenge", "/api/v1/override/complete"])
async def test_what_comes_later_is_not_there(world: ApiWorld, path: str) -> None:
    for method in ("GET", "POST"):
        assert (await world.tcp(method, path, token=world.operator)).status == 404


@pytest.mark.parametrize(
    "path", ["/api/v1/state/", "//api/v1/state", "/API/v1/state", "/api/v1/%73tate", "/api/v1/../v1/halt/"]
)
async def test_paths_are_taken_literally(world: ApiWorld, path: str) -> None:
    said = await asyncio.wait_for(
        world.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), SOON
    )

    assert status(said) == 404


async def test_head_is_get_without_a_body(world: ApiWorld) -> None:
    head_reply = await world.tcp("HEAD", "/api/v1/state", token=world.operator)
    get = await world.tcp("GET", "/api/v1/state", token=world.operator)

    assert (head_reply.status, head_reply.raw) == (200, b"")
    assert head_reply.headers["Content-Length"] == get.headers["Content-Length"]
    assert (await world.tcp("HEAD", "/api/v1/state")).status == 401
    assert (await world.tcp("HEAD", "/api/v1/halt")).status == 405


async def test_options_say_what_is_possible(world: ApiWorld) -> None:
    reply = await world.tcp("OPTIONS", "/api/v1/orders/check")

    assert (reply.status, reply.raw, reply.headers["Allow"]) == (204, b"", "POST, OPTIONS")


async def test_a_query_changes_nothing(world: ApiWorld) -> None:
    assert (await world.tcp("GET", "/api/v1/state?token=x", token=world.operator)).status == 200
    assert (await world.tcp("GET", f"/api/v1/state?token={world.operator}")).status == 401
