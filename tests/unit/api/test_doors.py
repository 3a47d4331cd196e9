"""Who is let in over TCP: good tokens of the right role, from this machine, not too often, and no web page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from risk_daemon.api.doors import is_local_host
from risk_daemon.api.limits import Limits, Rate
from risk_daemon.model.events import HaltRequested
from tests.api_world import ORDER, ApiWorld, serving

PROTECTED = [
    ("GET", "/api/v1/state", None),
    ("GET", "/api/v1/history", None),
    ("GET", "/api/v1/events", None),
    ("POST", "/api/v1/orders/check", ORDER),
    ("POST", "/api/v1/orders/report", {"kind": "rejected"}),
    ("POST", "/api/v1/halt", {"reason": "x"}),
    ("POST", "/api/v1/release", {"reason": "x", "venue": "kraken"}),
    ("POST", "/api/v1/reset", {"reason": "x", "rebaseline": "keep"}),
    ("POST", "/api/v1/disable", {"reason": "x", "for_s": 60}),
    ("POST", "/api/v1/enable", {}),
    ("POST", "/api/v1/cancel-all", {}),
    ("POST", "/api/v1/close-positions", {}),
    ("POST", "/api/v1/fund/transfer", {"to": "b", "amount": "5"}),
    ("GET", "/api/v1/alerts", None),
    ("POST", "/api/v1/alerts/ack", {}),
    ("POST", "/api/v1/alerts/test", {}),
]
LOCAL = {"release", "reset", "disable", "enable", "cancel-all", "close-positions", "transfer", "test"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(tmp_path) as world:
        yield world


@pytest.mark.parametrize(("method", "target", "body"), PROTECTED)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Token {bot}", "{bot}", "Bearer {bot}x"]
)
async def test_nobody_has_no_effect(
    world: ApiWorld, method: str, target: str, body: object, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.format(bot=world.bot)}
    reply = await world.tcp(method, target, body, headers=headers)

    assert (reply.status, reply.type) == (401, "application/problem+json")
    assert reply.headers["WWW-Authenticate"].startswith('Bearer realm="risk-daemon"')
    assert world.control.nothing_happened()


@pytest.mark.parametrize(("method", "target", "body"), PROTECTED)
async def test_a_bot_may_only_ask_and_report(world: ApiWorld, method: str, target: str, body: object) -> None:
    reply = await world.tcp(method, target, body, token=world.bot)

    allowed = {"/api/v1/orders/check": 200, "/api/v1/orders/report": 202}
    assert reply.status == allowed.get(target, 403)
    assert world.control.nothing_happened() is (target not in allowed)


@pytest.mark.parametrize(("method", "target", "body"), PROTECTED)
async def test_an_operator_may_read_check_and_halt(world: ApiWorld, method: str, target: str, body: object) -> None:
    if target.endswith("/events"):
        return  # never ends: see test_api_streams
    reply = await world.tcp(method, target, body, token=world.operator)

    is_refused = target.rpartition("/")[2] in LOCAL | {"report"}
    assert reply.status == (403 if is_refused else 200)
    assert not is_refused or world.control.nothing_happened()


async def test_a_token_s_name_is_in_the_records(world: ApiWorld) -> None:
    await world.tcp("POST", "/api/v1/halt", {"reason": "x"}, token=world.operator)
    await world.check()
    await world.check(token=world.operator)

    assert world.control.events == [HaltRequested("x", "token:alice")]
    assert [order.bot for order in world.control.orders] == ["grid-1", None]


async def test_the_scheme_may_be_written_in_any_case(world: ApiWorld) -> None:
    assert (
        await world.tcp("GET", "/api/v1/state", headers={"Authorization": f"bearer {world.operator}"})
    ).status == 200


async def test_tokens_are_made_and_revoked_while_it_runs(world: ApiWorld) -> None:
    fresh = world.tokens.create("bot", "grid-2")
    assert [(await world.check(token=fresh)).status for _ in range(2)] == [200, 200]

    world.tokens.revoke("grid-2")
    assert (await world.check(token=fresh)).status == 401
    assert (await world.check()).status == 200


async def test_a_broken_token_file_lets_nobody_in_and_keeps_the_socket(world: ApiWorld, tmp_path: Path) -> None:
    assert (await world.check()).status == 200
    (tmp_path / "tokens.json").write_text("{")

    assert (await world.check()).status == 401
    assert (await world.socket("POST", "/api/v1/halt", {"reason": "x"})).status == 200


async def test_a_token_file_that_can_t_be_looked_at_lets_nobody_in(world: ApiWorld, tmp_path: Path) -> None:
    assert (await world.check()).status == 200
    (tmp_path / "tokens.json").unlink()
    (tmp_path / "tokens.json").symlink_to("tokens.json")  # a loop

    assert [(await world.check()).status for _ in range(2)] == [401, 401]


# --- web pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/livez", "/openapi.json", "/api/v1/state", "/nowhere"])
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://127.0.0.1"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}],
)
async def test_a_web_page_is_refused(world: ApiWorld, target: str, headers: dict[str, str]) -> None:
    reply = await world.tcp("GET", target, token=world.operator, headers=headers)

    assert (reply.status, reply.type) == (403, "application/problem+json")


async def test_no_answer_invites_web_pages(world: ApiWorld) -> None:
    for method, target in (("GET", "/livez"), ("OPTIONS", "/api/v1/halt"), ("GET", "/openapi.json")):
        headers = (await world.tcp(method, target)).headers
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8787", True),
        ("127.8.9.1:1", True),
        ("localhost", True),
        ("LocalHost:8787", True),
        ("[::1]", True),
        ("[::1]:8787", True),
        ("", False),
        ("evil.example", False),
        ("evil.example:8787", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1:evil", False),
        ("127.0.0.1@evil.example", False),
        ("[::2]:8787", False),
        ("[::1].evil.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_names_of_this_machine(host: str, is_local: bool) -> None:
    assert is_local_host(host) is is_local


# --- too often -------------------------------------------------------------------------------------

ONCE_AN_HOUR = Rate(1 / 3600, 2)


async def test_too_many_checks_wait_and_others_don_t(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(checks=ONCE_AN_HOUR)) as world:
        replies = [await world.check() for _ in range(3)]

        assert [reply.status for reply in replies] == [200, 200, 429]
        assert (replies[2].type, int(replies[2].headers["Retry-After"]) > 0) == ("application/problem+json", True)
        assert len(world.control.orders) == 2
        assert (await world.check(token=world.operator)).status == 200
        assert (await world.tcp("POST", "/api/v1/orders/report", {"kind": "rejected"}, token=world.bot)).status == 202


async def test_reading_too_often_keeps_nobody_from_a_halt(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(reads=ONCE_AN_HOUR)) as world:
        states = [(await world.tcp("GET", "/api/v1/state", token=world.operator)).status for _ in range(3)]

        assert states == [200, 200, 429]
        assert (await world.tcp("POST", "/api/v1/halt", {"reason": "x"}, token=world.operator)).status == 200


async def test_guessing_is_slowed_down_and_a_good_token_passes(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(failed_logins=ONCE_AN_HOUR)) as world:
        guesses = [await world.check(token="rdt_" + str(number) * 43) for number in range(4)]

        assert [reply.status for reply in guesses] == [401, 401, 429, 429]
        assert "Retry-After" in guesses[3].headers
        assert (await world.check()).status == 200


async def test_health_is_limited_by_address(tmp_path: Path) -> None:
    async with serving(tmp_path, Limits(anybody=ONCE_AN_HOUR)) as world:
        assert [(await world.tcp("GET", "/livez")).status for _ in range(3)] == [200, 200, 429]
        assert (await world.socket("GET", "/livez")).status == 200
