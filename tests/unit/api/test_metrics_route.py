"""Who may scrape, who may look, and in which form it comes: asked through a server on a socket."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from risk_daemon.api.routes import ROUTES
from risk_daemon.auth.tokens import Role
from risk_daemon.errors import InvariantError
from tests.api_world import ORDER, ApiWorld, serving
from tests.metrics_world import samples_of, value

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
LOOKS = ["/api/v1/state", "/api/v1/history", "/api/v1/alerts", "/metrics"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(tmp_path) as world:
        yield world


async def test_a_viewer_is_told_everything_and_who_was_turned_away(world: ApiWorld) -> None:
    await world.tcp("GET", "/metrics", token=world.viewer + "x")
    reply = await world.tcp("GET", "/metrics", token=world.viewer)
    told = samples_of(reply.raw.decode())
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert reply.headers["Cache-Control"] == "no-store"
    assert value(told, "equity") == 5_000.0
    assert value(told, "turned_away_total", why="failed_login") == 1.0
    assert value(told, "gate_checks_total", answer="allowed") == 3.0


async def test_nobody_else_is(world: ApiWorld) -> None:
    assert (await world.tcp("GET", "/metrics")).status == 401
    assert (await world.tcp("GET", "/metrics", token=world.bot)).status == 403
    assert (await world.tcp("GET", "/metrics", token=world.operator)).status == 200
    assert (await world.socket("GET", "/metrics")).status == 200


async def test_openmetrics_gzip_and_head(world: ApiWorld) -> None:
    plain = {"Accept-Encoding": "identity"}
    asked = await world.tcp("GET", "/metrics", token=world.viewer, headers=OPENMETRICS | plain)
    head = await world.tcp("HEAD", "/metrics", token=world.viewer, headers=plain)
    zipped = await world.tcp(
        "GET", "/metrics", token=world.viewer, headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    )
    assert asked.type == "application/openmetrics-text"
    assert asked.raw.endswith(b"# EOF\n")
    assert (head.status, head.raw, head.type) == (200, b"", "text/plain")
    assert int(head.headers["Content-Length"]) > 5_000
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.raw).startswith(b"# HELP risk_daemon_equity")


async def test_a_scrape_that_fails_is_no_scrape_of_zeros(world: ApiWorld) -> None:
    world.control.error = InvariantError("a bug")
    reply = await world.tcp("GET", "/metrics", token=world.viewer)
    assert (reply.status, reply.type) == (500, "application/problem+json")


# --- what else a viewer may ------------------------------------------------------------------------------


async def test_a_viewer_looks(world: ApiWorld) -> None:
    assert {path: (await world.tcp("GET", path, token=world.viewer)).status for path in LOOKS} == dict.fromkeys(
        LOOKS, 200
    )
    assert (await world.tcp("HEAD", "/api/v1/events", token=world.viewer)).status == 200


async def test_and_nothing_else(world: ApiWorld) -> None:
    others = [route for route in ROUTES if route.roles and route.path not in (*LOOKS, "/api/v1/events")]
    assert len(others) > 12
    for route in others:
        body = ORDER if route.path.endswith("/check") else {"reason": "x"} if route.body is not None else None
        reply = await world.tcp(route.method, route.path, body, token=world.viewer)
        assert reply.status == 403, route.path
    assert world.control.nothing_happened()


async def test_a_viewers_token_on_the_socket_is_still_a_viewers(world: ApiWorld) -> None:
    bearer = {"Authorization": f"Bearer {world.viewer}"}
    assert (await world.socket("GET", "/api/v1/state", headers=bearer)).status == 200
    assert (await world.socket("POST", "/api/v1/halt", {"reason": "x"}, headers=bearer)).status == 403
    assert (
        await world.socket("POST", "/api/v1/reset", {"reason": "x", "rebaseline": "keep"}, headers=bearer)
    ).status == 403
    assert world.control.nothing_happened()


def test_only_looking_is_a_viewers_business() -> None:
    assert {route.path for route in ROUTES if Role.VIEWER in route.roles} == {*LOOKS, "/api/v1/events"}
    assert all(route.method == "GET" and not route.is_local for route in ROUTES if Role.VIEWER in route.roles)
