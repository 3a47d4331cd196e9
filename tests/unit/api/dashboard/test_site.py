"""The operator's page over HTTP: who is let in, who is not, and what a form does."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from risk_daemon.api.app import ControlServer
from risk_daemon.api.limits import Limits, Rate
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from risk_daemon.errors import StateError
from risk_daemon.model.clock import ManualClock
from risk_daemon.model.events import HaltRequested
from tests.api_world import FakeControl
from tests.page_world import HOSTILE, PageWorld, document, hostile, page_world, tripped
from tests.unit.api.test_app import tls_context

EVERYTHING = ("/", "/log", "/page/live", "/page/state", "/page/rows", "/page/halt", "/page/ack")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PageWorld]:
    async with page_world(tmp_path) as world:
        yield world


# --- logging in --------------------------------------------------------------------------------------


async def test_a_token_pasted_once_is_a_session_that_no_script_can_read(world: PageWorld) -> None:
    browser = world.browser()
    assert "Log in" in (await browser.ask("GET", "/")).text
    said = await browser.logs_in(f"  {world.operator}\n")
    cookie = said.headers["Set-Cookie"]
    assert (said.status, said.headers["Location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert world.operator not in cookie
    page = await browser.ask("GET", "/")
    assert "alice, operator" in page.text
    assert world.operator not in page.text


async def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_only(world: PageWorld) -> None:
    browser = world.browser()
    headers = {"Host": "guard.example", "Origin": "https://guard.example"}
    said = await browser.ask("POST", "/login", {"token": world.operator}, headers=headers)
    assert said.status == 303
    assert "Secure" in said.headers["Set-Cookie"]


async def test_over_tls_the_cookie_has_a_name_that_only_this_host_can_set(tmp_path: Path) -> None:
    context = tls_context(tmp_path)
    tokens = TokenStore.open(tmp_path / FILE_NAME)
    token = tokens.create(Role.OPERATOR, "alice")
    server = ControlServer(
        FakeControl(), tmp_path / "s.sock", listen="127.0.0.1:0", tokens=tokens, tls=context, page_host="localhost"
    )
    await server.start()
    try:
        port = server.addresses[0].rpartition(":")[2]
        origin = f"https://localhost:{port}"
        async with aiohttp.ClientSession() as session:
            trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
            trusted.check_hostname = False
            reply = await session.post(
                f"{origin}/login", data={"token": token}, headers={"Origin": origin}, ssl=trusted, allow_redirects=False
            )
            cookie = reply.headers["Set-Cookie"]
    finally:
        await server.stop()
    assert cookie.startswith(f"__Host-risk-{port}=")
    assert "Secure" in cookie


@pytest.mark.parametrize("token", ["", "nonsense", "rdt_" + "x" * 43])
async def test_a_token_that_is_none_lets_nobody_in(world: PageWorld, token: str) -> None:
    browser = world.browser()
    said = await browser.logs_in(token)
    assert (said.status, browser.cookies) == (403, {})
    assert "This token is not valid." in said.text
    bearer = {"Authorization": f"Bearer {world.operator}"}
    assert '"failed_login":1' in (await browser.ask("GET", "/api/v1/state", headers=bearer)).text.replace(" ", "")


async def test_a_bot_s_token_is_for_the_api(world: PageWorld) -> None:
    browser = world.browser()
    said = await browser.logs_in(world.bot)
    assert (said.status, browser.cookies) == (403, {})
    assert "token of a bot" in said.text


async def test_who_fails_too_often_waits_and_a_good_token_still_passes(tmp_path: Path) -> None:
    async with page_world(tmp_path, Limits(failed_logins=Rate(0.01, 2))) as world:
        statuses = [(await world.browser().logs_in("guess")).status for _ in range(3)]
        assert statuses == [403, 403, 429]
        refused = await world.browser().ask("GET", "/api/v1/state", headers={"Authorization": "Bearer guess"})
        assert refused.status == 429  # one count for both doors
        assert (await world.browser().logs_in(world.operator)).status == 303


async def test_a_flood_of_strangers_keeps_nobody_with_a_token_out(tmp_path: Path) -> None:
    async with page_world(tmp_path, Limits(page_strangers=Rate(0.01, 2))) as world:
        asked = [(await world.browser().ask("GET", "/login")).status for _ in range(4)]
        assert asked == [200, 200, 429, 429]
        assert (await world.browser().logs_in(world.operator)).status == 303
        assert (await world.browser().ask("GET", "/livez")).status == 200


@pytest.mark.parametrize("path", EVERYTHING[2:5])
async def test_nothing_is_told_without_a_session(world: PageWorld, path: str) -> None:
    said = await world.browser().ask("GET", path, headers={"Accept": "application/json"})
    assert said.status == 403
    assert "9,680" not in said.text


async def test_logging_out_ends_it(world: PageWorld) -> None:
    browser = await world.logged_in()
    old = dict(browser.cookies)
    said = await browser.ask("POST", "/logout", {"csrf": await browser.csrf()})
    assert said.status == 303
    browser.cookies = old
    assert "9,680" not in (await browser.ask("GET", "/")).text


async def test_a_revoked_token_ends_its_sessions_at_once(world: PageWorld) -> None:
    browser = await world.logged_in()
    other = await world.logged_in(world.viewer)
    world.tokens.revoke("alice")
    assert (await browser.ask("GET", "/page/state")).status == 403
    assert (await other.ask("GET", "/page/state")).status == 200


async def test_a_session_ends_by_itself(tmp_path: Path) -> None:
    clock = ManualClock()
    async with page_world(tmp_path, clock=clock) as world:
        browser = await world.logged_in()
        clock.advance(3_500)
        assert (await browser.ask("GET", "/page/state")).status == 200
        clock.advance(3_700)
        assert (await browser.ask("GET", "/page/state")).status == 403


# --- who asks ----------------------------------------------------------------------------------------


async def test_every_answer_is_locked_down_and_kept_by_nobody(world: PageWorld) -> None:
    browser = await world.logged_in()
    for path in ("/", "/log", "/page/page.css", "/page/page.js", "/page/state", "/page/nothing"):
        headers = (await browser.ask("GET", path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.5:8787", "", "guard.example.evil", "localhost:x@evil"]
)
async def test_another_name_of_this_machine_is_another_site(world: PageWorld, host: str) -> None:
    browser = await world.logged_in()
    said = await browser.ask("GET", "/", headers={"Host": host})
    assert said.status in (400, 421)
    assert "9,680" not in said.text


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8787", "guard.example", "guard.example:443"])
async def test_a_tunnel_and_a_proxy_may_have_another_port(world: PageWorld, host: str) -> None:
    browser = await world.logged_in()
    assert "9,680.00" in (await browser.ask("GET", "/", headers={"Host": host})).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": None},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_another_site_can_send_no_form(world: PageWorld, headers: dict[str, Any]) -> None:
    """Not even with the cookie and the form's own secret."""
    browser = await world.logged_in()
    said = await browser.halts("all", "everything", headers=headers)
    assert said.status == 403
    assert world.control.events == []
    assert (await world.browser().ask("POST", "/login", {"token": world.operator}, headers=headers)).status == 403


@pytest.mark.parametrize("csrf", ["", "x" * 43, "\N{LATIN SMALL LETTER E WITH ACUTE}"])
async def test_a_form_without_its_secret_does_nothing(world: PageWorld, csrf: str) -> None:
    browser = await world.logged_in()
    form = {"csrf": csrf, "what": "all", "confirm": "everything", "reason": "x"}
    for path in ("/page/halt", "/page/ack", "/logout"):
        assert (await browser.ask("POST", path, form)).status == 403
    assert world.control.nothing_happened()
    assert (await browser.ask("GET", "/page/state")).status == 200


async def test_the_secret_of_another_session_is_none(world: PageWorld) -> None:
    mine, other = await world.logged_in(), await world.logged_in(world.viewer)
    form = {"csrf": await other.csrf() or "none", "what": "all", "confirm": "everything", "reason": "x"}
    assert (await mine.ask("POST", "/page/halt", form)).status == 403


async def test_the_api_still_refuses_web_pages(world: PageWorld) -> None:
    browser = await world.logged_in()
    for path in ("/api/v1/state", "/api/v1/halt"):
        headers = {"Origin": browser.origin, "Authorization": f"Bearer {world.operator}"}
        assert (await browser.ask("GET", path, headers=headers)).status == 403
    assert (await browser.ask("GET", "/api/v1/state")).status == 401  # a session is no token


async def test_what_is_no_form_and_what_is_too_much_is_refused(world: PageWorld) -> None:
    browser = await world.logged_in()
    for data, kind, status in (
        (b"{}", "application/json", 415),
        (b"csrf=1&csrf=2", "application/x-www-form-urlencoded", 400),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        ("a=\N{EURO SIGN}".encode(), "application/x-www-form-urlencoded", 400),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
    ):
        said = await browser.ask("POST", "/page/halt", data=data, headers={"Content-Type": kind})
        assert said.status == status
    assert world.control.nothing_happened()


async def test_other_methods_and_paths_are_refused(world: PageWorld) -> None:
    browser = await world.logged_in()
    assert (await browser.ask("DELETE", "/")).status == 405
    assert (await browser.ask("POST", "/page/state", {})).status == 405
    assert (await browser.ask("GET", "/page/nothing")).status == 404
    assert (await browser.ask("GET", "/nothing")).status == 404


# --- halting -----------------------------------------------------------------------------------------


async def test_everything_is_halted_when_that_is_typed(world: PageWorld) -> None:
    browser = await world.logged_in()
    said = await browser.halts("all", "everything", "prices look wrong")
    assert said.status == 200
    assert "Everything is halted" in said.text
    assert world.control.events == [HaltRequested("prices look wrong", "token:alice", None, None)]


@pytest.mark.parametrize(("what", "name"), [("venue:kraken", "kraken"), ("bot:grid-1", "grid-1")])
async def test_one_venue_or_bot_is_halted(world: PageWorld, what: str, name: str) -> None:
    browser = await world.logged_in()
    said = await browser.halts(what, name, headers={"Accept": "application/json"})
    assert said.status == 200
    assert f"{name} is halted" in said.text
    [event] = world.control.events
    assert isinstance(event, HaltRequested)
    assert name in (event.venue, event.bot)


@pytest.mark.parametrize(
    ("what", "confirm", "reason", "says"),
    [
        ("all", "evrything", "x", "is needed to confirm"),
        ("all", "", "x", "is needed to confirm"),
        ("all", "kraken", "x", "is needed to confirm"),
        ("venue:kraken", "everything", "x", "is needed to confirm"),
        ("venue:krakem", "krakem", "x", "there is no such venue"),
        ("bot:nobody", "nobody", "x", "there is no such bot"),
        ("bot:alice", "alice", "x", "there is no such bot"),
        ("all", "everything", "", "reason"),
        ("all", "everything", "   ", "reason"),
        ("", "everything", "x", "choose everything, a venue or a bot"),
        ("all:kraken", "kraken", "x", "choose everything, a venue or a bot"),
        ("venue:", "everything", "x", "choose everything, a venue or a bot"),
    ],
)
async def test_a_typo_halts_nothing_and_is_told(
    world: PageWorld, what: str, confirm: str, reason: str, says: str
) -> None:
    browser = await world.logged_in()
    said = await browser.halts(what, confirm, reason)
    assert said.status == 422
    assert "Nothing was halted: " in said.text
    assert says in said.text
    assert world.control.events == []


async def test_what_the_daemon_refuses_or_fails_at_is_told(world: PageWorld) -> None:
    browser = await world.logged_in()
    world.control.answer = {"accepted": False, "reason": "it is halted already"}
    said = await browser.halts("all", "everything")
    assert (said.status, "it is halted already" in said.text) == (409, True)
    csrf = await browser.csrf()
    world.control.error = StateError("the store is gone")
    form = {"csrf": csrf, "what": "all", "confirm": "everything", "reason": "x"}
    said = await browser.ask("POST", "/page/halt", form)
    assert (said.status, "the store is gone" in said.text) == (503, True)


async def test_a_viewer_sees_everything_and_can_do_nothing(world: PageWorld) -> None:
    browser = await world.logged_in(world.viewer)
    page = (await browser.ask("GET", "/")).text
    assert "9,680.00 USDT" in page
    assert 'action="/page/halt"' not in page
    assert 'action="/page/ack"' not in page
    assert "can do nothing" in page
    for path in ("/page/halt", "/page/ack"):
        form = {"csrf": await browser.csrf(), "what": "all", "confirm": "everything", "reason": "x"}
        said = await browser.ask("POST", path, form)
        assert (said.status, "a viewer can do nothing" in said.text) == (403, True)
    assert world.control.nothing_happened()


async def test_a_trip_is_acknowledged(world: PageWorld) -> None:
    browser = await world.logged_in()
    said = await browser.ask("POST", "/page/ack", {"csrf": await browser.csrf()})
    assert "Trip t1 is acknowledged." in said.text
    assert world.control.acknowledged == [(None, "token:alice")]
    world.control.trip_id = None
    said = await browser.ask("POST", "/page/ack", {"csrf": await browser.csrf()})
    assert (said.status, "no trip that waits" in said.text) == (409, True)


async def test_commands_are_as_rare_as_over_the_api(tmp_path: Path) -> None:
    async with page_world(tmp_path, Limits(commands=Rate(0.01, 1))) as world:
        browser = await world.logged_in()
        assert (await browser.halts("venue:kraken", "kraken")).status == 200
        assert (await browser.halts("venue:kraken", "kraken")).status == 429


# --- what is shown -----------------------------------------------------------------------------------


async def test_without_a_script_everything_is_there(world: PageWorld) -> None:
    page = (await (await world.logged_in()).ask("GET", "/")).text
    for words in (
        "174.00 USDT",
        "daily_loss",
        "9,680.00 USDT",
        "BTC/USD:BTC",
        "krakenfutures",
        "NORMAL",
        "<svg",
        "O1-QWERT",
        "EOrder:Insufficient funds",
        "60,000 is more than 50,000",
        "oncall",
    ):
        assert words in page
    assert "<noscript>" in page
    assert "style=" not in page
    assert re.search(r"<script[^>]*>[^<]", page) is None
    assert re.search(r"https?://", page) is None


async def test_a_page_that_reads_itself_again(world: PageWorld) -> None:
    browser = await world.logged_in()
    assert 'http-equiv="refresh"' not in (await browser.ask("GET", "/")).text
    assert '<noscript><meta http-equiv="refresh" content="10">' in (await browser.ask("GET", "/?refresh=1")).text


async def test_a_filter_works_without_a_script(world: PageWorld) -> None:
    browser = await world.logged_in()
    page = (await browser.ask("GET", "/?q=insufficient+KRAKEN")).text
    assert "EOrder:Insufficient funds" in page
    assert "no answer within 5 s" not in page
    assert "O1-QWERT" not in page


async def test_words_of_others_are_shown_and_never_run(world: PageWorld) -> None:
    world.control.document = hostile()
    world.event("manual_halt", reason=HOSTILE, operator=HOSTILE)
    browser = await world.logged_in()
    for path in ("/", f"/?q={'%3Cscript%3E'}", "/log", "/page/state", "/page/rows?since=0", "/log?q=%22%3E%3Cimg"):
        said = (await browser.ask("GET", path)).text
        assert "<img" not in said
        assert "<script>" not in said
        assert "\u202e" not in said
    assert "&lt;img src=x" in (await browser.ask("GET", "/")).text


async def test_a_state_that_fails_is_said_and_not_the_old_one_shown(tmp_path: Path) -> None:
    clock = ManualClock()
    async with page_world(tmp_path, clock=clock) as world:
        browser = await world.logged_in()
        assert '<dd class="value">9,680.00 USDT</dd>' in (await browser.ask("GET", "/")).text
        world.control.error = StateError("the store is gone")
        clock.advance(60)
        page = (await browser.ask("GET", "/")).text
        assert "how things stand can&#x27;t be told: the store is gone" in page
        assert '<dd class="value">9,680.00 USDT</dd>' not in page
        assert '<dd class="value"><span class="unknown">not known</span></dd>' in page


async def test_the_last_events_are_there_with_a_filter(world: PageWorld) -> None:
    browser = await world.logged_in()
    for number in range(1_500):
        world.event("venue_lost", venue="kraken", reason=f"number {number}")
        if number % 400 == 0:
            await browser.ask("GET", "/page/rows")
    await browser.ask("GET", "/page/rows")
    page = (await browser.ask("GET", "/log")).text
    assert page.count("<li>") == 1_000
    assert "Show all that are remembered" in page
    found = (await browser.ask("GET", "/log?q=number+1499")).text
    assert "1 of 1 events" in found


async def test_the_state_is_one_tripped_page(world: PageWorld) -> None:
    world.control.document = tripped()
    page = (await (await world.logged_in()).ask("GET", "/")).text
    assert 'data-tone="bad"' in page
    assert "CIRCUIT TRIPPED \N{EM DASH} DD 11.4% (limit 10%)" in page
    assert "until NAV recovers" not in page, "a trip stands until it is reset"
    assert "NOT proven" in page


async def test_without_a_page_there_is_none(tmp_path: Path) -> None:
    server = ControlServer(FakeControl(document=document()), tmp_path / "s.sock", listen="127.0.0.1:0")
    await server.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{server.addresses[0]}/") as reply:
            assert reply.status == 404
    finally:
        await server.stop()
