"""The wardens' page over HTTP: for a browser of this very page, and for nothing else that can reach the port."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from risk_daemon.api.app import ControlServer
from risk_daemon.api.override_page import OverridePage
from risk_daemon.auth.tokens import FILE_NAME, Role, TokenStore
from tests.api_world import FakeControl
from tests.override_world import OverrideWorld
from tests.unit.api.test_app import tls_context


@dataclass
class Said:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


class Pages:
    """A daemon's listener with the page on it, and a client that may pretend anything."""

    def __init__(self, directory: Path) -> None:
        self.world = OverrideWorld(directory, "alice", "bob")
        self.control = FakeControl()
        self.tokens = TokenStore.open(directory / FILE_NAME)
        page = OverridePage(self.world.desk, "localhost", self.world.clock)
        self.server = ControlServer(
            self.control, directory / "s.sock", listen="127.0.0.1:0", tokens=self.tokens, page=page
        )

    @property
    def port(self) -> int:
        return int(self.server.addresses[0].rpartition(":")[2])

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> Said:
        """As the page's own script would, unless headers say otherwise; None leaves one out."""
        mine = {"Host": f"localhost:{self.port}"} | ({"Origin": self.origin} if method == "POST" else {})
        headers = {name: value for name, value in {**mine, **more.pop("headers", {})}.items() if value is not None}
        given = {"json": body} if body is not None else more
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **given) as reply,
        ):
            return Said(reply.status, reply.headers, await reply.text())

    async def look(self, code: str, **more: Any) -> Said:
        return await self.ask("POST", "/override/look", {"code": code}, **more)

    async def agree(self, opened: Any, name: str, **more: Any) -> Said:
        """Through the page, with what `name`'s device signs for this origin."""
        of = {"code": opened.code, "attempt": opened.attempt, "warden": name}
        options = await self.ask("POST", "/override/challenge", of)
        assert options.status == 200, options.text
        person = self.world.people[name]
        credential = person.device.get(options.body, self.origin)
        said = {**of, "otp": self.world.otp(name), "credential": credential, **more}
        return await self.ask("POST", "/override/agree", said)


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    pages = Pages(tmp_path)
    await pages.server.start()
    yield pages
    await pages.server.stop()


async def test_the_page_and_its_files_are_there_and_locked_down(pages: Pages) -> None:
    for path, kind in (("", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        said = await pages.ask("GET", f"/override{path}")
        assert (said.status, said.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
        policy = said.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert said.headers["Cache-Control"] == "no-store"
        assert said.headers["Referrer-Policy"] == "no-referrer"


async def test_nothing_on_the_page_is_inline(pages: Pages) -> None:
    """The policy would forbid it, and a page that works in no browser is noticed too late."""
    text = (await pages.ask("GET", "/override")).text
    for inline in ("<style", "style=", "onclick", "onsubmit", "javascript:", "http://", "https://"):
        assert inline not in text
    assert text.count("<script") == text.count('<script src="/override/page.js"') == 1


async def test_a_warden_agrees(pages: Pages) -> None:
    opened = await pages.world.open(facts=(("Trip", "t1"),))
    seen = await pages.look(opened.code)
    done = await pages.agree(opened, "bob")

    assert opened.address == f"{pages.origin}/override"
    assert (seen.status, seen.body["facts"]) == (200, [["Trip", "t1"]])
    assert (done.status, done.body["end"]["done"]) == (200, True)
    assert pages.world.done == ["bob"]


async def test_the_page_is_only_where_it_says_it_is(pages: Pages) -> None:
    """A name that was rebound to this machine has another Host, and so has the bare address."""
    opened = await pages.world.open()
    hosts = ("127.0.0.1", "evil.example", f"evil.example:{pages.port}", f"127.0.0.1:{pages.port}", "localhost", "")
    for host in (*hosts, f"localhost:{pages.port + 1}", f"localhost:{pages.port}.evil.example"):
        for said in (
            await pages.ask("GET", "/override", headers={"Host": host}),
            await pages.look(opened.code, headers={"Host": host}),
        ):
            assert said.status == 421, host
            assert pages.origin in said.body["detail"]


async def test_other_web_sites_can_t_make_a_browser_ask(pages: Pages) -> None:
    opened = await pages.world.open()
    origins = ("null", "https://evil.example", "http://localhost:1", f"http://127.0.0.1:{pages.port}", None, "")
    for origin in (*origins, f"https://localhost:{pages.port}", f"{pages.origin}.evil.example"):
        assert (await pages.look(opened.code, headers={"Origin": origin})).status == 403, origin
    for site in ("cross-site", "same-site", "none"):
        assert (await pages.look(opened.code, headers={"Sec-Fetch-Site": site})).status == 403
    assert (await pages.look(opened.code, headers={"Sec-Fetch-Site": "same-origin"})).status == 200


async def test_a_form_of_another_site_is_no_json(pages: Pages) -> None:
    opened = await pages.world.open()
    data = json.dumps({"code": opened.code})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        said = await pages.ask("POST", "/override/look", data=data, headers={"Content-Type": kind})
        assert said.status == 415


async def test_no_question_is_asked_by_get(pages: Pages) -> None:
    opened = await pages.world.open()
    for question in ("look", "challenge", "agree", "registration", "enroll"):
        assert (await pages.ask("GET", f"/override/{question}?code={opened.code}")).status == 405
    assert (await pages.ask("POST", "/override", {})).status == 405
    assert (await pages.ask("OPTIONS", "/override/agree")).status == 405


async def test_a_token_opens_nothing_here(pages: Pages) -> None:
    for role in (Role.BOT, Role.OPERATOR):
        token = pages.tokens.create(role, role.value)
        said = await pages.look("AAAA-AAAA-AAAA", headers={"Authorization": f"Bearer {token}"})
        assert said.status == 403


async def test_a_browser_is_let_in_to_nothing_else(pages: Pages) -> None:
    token = pages.tokens.create(Role.OPERATOR, "carol")
    for path in ("/api/v1/reset", "/api/v1/halt", "/overridex"):
        said = await pages.ask("POST", path, {"reason": "x"}, headers={"Authorization": f"Bearer {token}"})
        assert said.status == 403, path
    assert pages.control.nothing_happened()


async def test_whoever_guesses_codes_must_wait_and_fails_for_nobody(pages: Pages) -> None:
    opened = await pages.world.open()
    statuses = [(await pages.look(f"AAAA-AAAA-AA{number:02}")).status for number in range(40)]

    assert statuses.count(403) == 30
    assert statuses.count(429) == 10
    assert pages.world.store.read().failed_walls == ()
    assert (await pages.look(opened.code)).status == 200, "a good code always passes"
    assert pages.world.events == []


@pytest.mark.parametrize(
    ("question", "body", "status"),
    [
        ("look", {}, 422),
        ("look", {"code": 7}, 422),
        ("look", {"code": "A" * 65}, 422),
        ("look", {"code": "x", "more": 1}, 422),
        ("look", [], 400),
        ("agree", {"code": "x", "attempt": "x", "warden": "alice", "otp": "1", "credential": "x"}, 422),
        ("agree", {"code": "x", "attempt": "x", "warden": "alice", "otp": 123456, "credential": {}}, 422),
        ("agree", {"code": "x", "attempt": "x", "warden": None, "otp": "1", "credential": {}}, 422),
        ("nothing", {}, 404),
    ],
)
async def test_what_is_sent_is_looked_at_closely(pages: Pages, question: str, body: Any, status: int) -> None:
    said = await pages.ask("POST", f"/override/{question}", body)
    assert (said.status, said.headers["Content-Type"]) == (status, "application/problem+json")


async def test_more_than_a_body_holds_is_refused(pages: Pages) -> None:
    said = await pages.ask("POST", "/override/look", {"code": "x" * 70_000})
    assert said.status == 413


async def test_refusals_are_sentences_and_nothing_is_done(pages: Pages) -> None:
    opened = await pages.world.open()
    wrong = await pages.agree(opened, "alice", otp="12345")
    odd = await pages.agree(opened, "alice", credential={"id": []})
    late = await pages.agree(opened, "alice", attempt="0" * 32)

    assert [said.status for said in (wrong, odd, late)] == [409, 409, 409]
    assert wrong.body["detail"] == "this one-time code is wrong"
    assert "passkey is refused" in odd.body["detail"]
    assert "another attempt" in late.body["detail"]
    assert pages.world.done == []
    assert len(pages.world.events) == 3, "each is told"


async def test_a_register_that_can_t_be_read_is_503(pages: Pages) -> None:
    opened = await pages.world.open()
    pages.world.store.path.write_text("{}")
    assert (await pages.look(opened.code)).status == 503


async def test_a_bug_grants_nothing(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_code: str) -> None:
        raise ZeroDivisionError

    opened = await pages.world.open()
    monkeypatch.setattr(pages.world.desk, "look", fail)
    said = await pages.look(opened.code)
    assert (said.status, said.body["detail"]) == (500, "a bug of the daemon: nothing was agreed to")


async def test_every_answer_ends_its_connection(pages: Pages) -> None:
    """A browser's idle connections would sit on a stranger's seats."""
    for said in (await pages.ask("GET", "/override"), await pages.look("x")):
        assert said.headers["Connection"] == "close"


async def test_over_tls_it_is_another_origin_under_the_configured_name(tmp_path: Path) -> None:
    world = OverrideWorld(tmp_path)
    page = OverridePage(world.desk, "guard.example.org", world.clock)
    server = ControlServer(
        FakeControl(), tmp_path / "s.sock", listen="127.0.0.1:0", tls=tls_context(tmp_path), page=page
    )
    await server.start()
    address = server.addresses[0]
    port = address.rpartition(":")[2]
    trusts = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    trusts.check_hostname = False
    statuses = []
    async with aiohttp.ClientSession() as session:
        for host in (f"guard.example.org:{port}", f"localhost:{port}"):
            url = f"https://{address}/override"
            async with session.get(url, headers={"Host": host}, ssl=trusts) as reply:
                statuses.append(reply.status)
    await server.stop()
    assert statuses == [200, 421]
    assert world.desk.site is not None
    assert (world.desk.site.host, world.desk.site.origin) == ("guard.example.org", f"https://guard.example.org:{port}")
