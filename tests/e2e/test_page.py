"""The operator's page in a real browser: with a real daemon, and with states that a daemon is seldom in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.browser import browsing
from tests.e2e.harness import DOCS_KEY, Daemon, docs_secret, kraken_config, wait_for
from tests.page_world import HOSTILE, ThreadWorld, document, hostile, page_world_in_a_thread, tripped
from tests.receivers.webhook import SECRET, WebhookReceiver

CONFIG = """
[portfolio]
initial_capital = 6000
[baselines]
peak_hold = "1s"
[breakers.drawdown]
limit = "10%"
action = "veto"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadWorld]:
    """The daemon's own server, with a state that a test chooses."""
    with page_world_in_a_thread(tmp_path_factory.mktemp("page")) as world:
        yield world


class Visitor:
    """Somebody at a browser of their own. troubles: errors, breaches of the policy, requests to another host."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_context(**{"viewport": DESK, **options}).new_page()
        self.page.set_default_timeout(30_000)
        self.address = address
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.troubles.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.troubles.append(f"asked {request.url}")

    def logs_in(self, token: str) -> Visitor:
        """By keyboard: the field has the focus."""
        self.page.goto(self.address)
        wait_for(lambda: self.page.evaluate("document.activeElement.id") == "token", "the field to have the focus")
        self.page.keyboard.insert_text(token)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#now .state")
        return self

    def reads(self, at: str) -> str:
        return str(self.page.text_content(at) or "")

    def waits_to_read(self, words: str, at: str) -> None:
        wait_for(lambda: words in self.reads(at), lambda: f"{words!r} at {at}: {self.reads(at)!r}")

    def violations(self) -> list[str]:
        """What axe finds. Its script is run by the tester's hand and not by the page, so the policy stands."""
        axe = (files("axe_playwright_python") / "axe.min.js").read_text()
        self.page.evaluate(axe)
        found = self.page.evaluate("() => axe.run().then((r) => r.violations)")
        return [f"{one['id']}: {node['html'][:150]}" for one in found for node in one["nodes"]]

    def close(self) -> None:
        self.page.context.close()
        assert self.troubles == []


@pytest.fixture
def visit(browser: Any, shown: ThreadWorld) -> Iterator[Any]:
    visitors: list[Visitor] = []

    def make(state: dict[str, Any] | None = None, token: str | None = None, **options: Any) -> Visitor:
        shown.shows(document() if state is None else state)
        visitors.append(Visitor(browser, shown.world.address, **options))
        return visitors[-1].logs_in(token or shown.world.operator)

    yield make
    for visitor in visitors:
        visitor.close()


# --- with a daemon -----------------------------------------------------------------------------------


@pytest.mark.long
def test_a_day_at_the_page(browser: Any, tmp_path: Path) -> None:
    """Logged in, live within a second of a change, halted by keyboard, and the proof seen before the daemon's end."""
    daemon = Daemon(tmp_path, CONFIG, {})
    try:
        said = daemon.command("token", "create", "--role", "operator", "--name", "alice")
        for bot in BOTS:
            assert daemon.command("token", "create", "--role", "bot", "--name", bot).returncode == 0
        daemon.start().wait_open()
        visitor = Visitor(browser, address_of(daemon)).logs_in(said.stdout.split()[-1])
        page = visitor.page
        visitor.waits_to_read("live, ", "#live")
        assert "may still be lost before capital_loss trips" in visitor.reads("#now")
        assert "DD: 0.0% (limit 10%) - circuit OK" in visitor.reads("#now")

        late_ms = [self_told(daemon, visitor, bot, number) for number, bot in enumerate(BOTS, 1)]
        assert min(late_ms) < 1_000, late_ms

        by_keyboard(page, "all", "prices look wrong", "evrything")
        visitor.waits_to_read("Nothing was halted: 'evrything' was typed", "#halt-said")
        assert daemon.is_running()
        page.keyboard.press("Control+A")
        page.keyboard.type("everything")
        page.keyboard.press("Enter")
        visitor.waits_to_read("All orders are gone", "#now")
        visitor.waits_to_read("the daemon has ended", "#live")
        assert "nothing is guarded, and the gate is shut" in visitor.reads("#dead")
        assert "HALTED BY HAND" in visitor.reads("#now")
        assert "NOT KNOWN" not in visitor.reads("#now")
        assert daemon.exit_code() == 1
        assert daemon.of("circuit_breaker_triggered")[-1]["reason"] == "halted by token:alice: prices look wrong"
        visitor.close()
    finally:
        daemon.close()


@pytest.mark.long
def test_an_acknowledgement_by_command_is_on_the_open_page_and_in_its_events(
    browser: Any, documented_kraken: Any, daemon_for: Any
) -> None:
    """By the stream: nobody asks for the page again. The button goes, for there is nothing left to acknowledge."""
    quick = {"settle": '"300ms"', "order_flight": '"500ms"', "action": '"freeze"'}
    with WebhookReceiver() as receiver:
        channel = f'[alerts.channels.oncall]\nkind = "webhook"\nurl = "{receiver.url}"\nallow = ["127.0.0.1"]\n'
        config = kraken_config(documented_kraken.endpoint, **quick) + channel
        daemon = daemon_for(config, {"kraken": (DOCS_KEY, docs_secret())})
        daemon.environment |= {"RISK_DAEMON_ALERTS_ONCALL_SECRET": SECRET}
        assert daemon.command("init", "--yes").returncode == 0
        token = daemon.command("token", "create", "--role", "operator", "--name", "alice").stdout.split()[-1]
        daemon.start().wait_open()
        visitor = Visitor(browser, address_of(daemon)).logs_in(token)
        log = Visitor(browser, visitor.address).logs_in(token)
        log.page.goto(f"{log.address}log")
        documented_kraken.post(price={"BTC": 43000})
        visitor.waits_to_read("proven gone on all venues at ", "#now")
        assert " s after the trip" in visitor.reads("#now")
        visitor.waits_to_read("NOBODY HAS ACKNOWLEDGED IT", "#alerts")
        assert visitor.page.is_visible("#ack-form button")
        assert daemon.command("alerts", "ack").returncode == 0
        visitor.waits_to_read("acknowledged by uid:", "#alerts")
        visitor.page.wait_for_selector("#ack-form", state="hidden")
        log.waits_to_read("alert_acknowledged", "#log")
        log.close()
        visitor.close()


@pytest.mark.long
def test_nothing_can_be_pressed_once_the_guard_is_gone(browser: Any, tmp_path: Path) -> None:
    """It ended with its trip, and no channel is configured: who was told is said, and why the buttons do nothing."""
    daemon = Daemon(tmp_path, CONFIG, {})
    try:
        token = daemon.command("token", "create", "--role", "operator", "--name", "alice").stdout.split()[-1]
        daemon.start().wait_open()
        visitor = Visitor(browser, address_of(daemon)).logs_in(token)
        page = visitor.page
        visitor.waits_to_read("live, ", "#live")
        assert page.is_enabled("#halt-form button")
        assert page.is_hidden("#halt-form .gone")
        assert "No trip waits" in visitor.reads("#alerts")
        by_keyboard(page, "all", "drill", "everything")
        visitor.waits_to_read("NOBODY WAS TOLD of trip ", "#alerts")
        assert "No trip waits" not in visitor.reads("#alerts")
        assert daemon.exit_code() == 1
        visitor.waits_to_read("The guard has ended", "#dead")
        assert page.is_disabled("#halt-form button")
        assert page.is_disabled("#ack-form button")
        assert "The guard is gone, so nothing can be halted from here." in page.inner_text("#halt-form .gone")
        visitor.close()
    finally:
        daemon.close()


def address_of(daemon: Daemon) -> str:
    [address] = [row["address"] for row in daemon.of("api_listening") if not row["address"].startswith("unix:")]
    return f"http://localhost:{address.rpartition(':')[2]}/"


def self_told(daemon: Daemon, visitor: Visitor, bot: str, number: int) -> float:
    """How many milliseconds after it happened the open page showed it, with nobody asking for it."""
    visitor.page.evaluate(SEEN, bot)
    assert daemon.command("halt", "--bot", bot, "--reason", "odd").returncode == 0
    visitor.waits_to_read(f"{bot} is halted by", "#now")
    halted = daemon.wait_for("manual_halt", number)
    seen = visitor.page.evaluate("([bot, time]) => window.seen[bot] - Date.parse(time)", [bot, halted["time"]])
    return float(seen)


BOTS = ("one", "two", "three")
SEEN = """(bot) => {
  window.seen ||= {};
  const words = `${bot} is halted by`;
  const look = () => {
    if (document.getElementById('now').textContent.includes(words)) window.seen[bot] ||= Date.now();
  };
  new MutationObserver(look).observe(document.getElementById('now'), { childList: true, subtree: true });
}"""


def by_keyboard(page: Any, what: str, reason: str, confirm: str) -> None:
    """From the top of the page to the form and through it, with nothing but keys."""
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "halt-what":
            break
    assert page.evaluate("document.activeElement.id") == "halt-what"
    assert page.input_value("#halt-what") == what
    for text in (reason, confirm):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")


# --- what it looks like ------------------------------------------------------------------------------


def test_it_is_live_and_a_trip_is_said_aloud(visit: Any, shown: ThreadWorld) -> None:
    """The quick one: a browser, the page, its stream."""
    visitor = visit()
    visitor.waits_to_read("live, ", "#live")
    assert "174.00 USDT" in visitor.reads("#now .big")
    shown.shows(tripped())
    visitor.waits_to_read("NOT proven", "#now")
    visitor.waits_to_read("TRIGGERED", "#alarm")
    assert visitor.page.title() == "TRIGGERED - risk-daemon"
    assert visitor.page.get_attribute("body", "data-tone") == "bad"


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", [document, tripped], ids=["normal", "tripped"])
def test_axe_finds_nothing(visit: Any, scheme: str, state: Any) -> None:
    visitor = visit(state(), color_scheme=scheme)
    visitor.page.wait_for_selector("#chart-day svg")
    assert visitor.violations() == []


@pytest.mark.long
def test_axe_finds_nothing_at_the_door_nor_in_the_log(visit: Any, browser: Any, shown: ThreadWorld) -> None:
    stranger = Visitor(browser, shown.world.address)
    stranger.page.goto(stranger.address)
    assert stranger.violations() == []
    stranger.close()
    visitor = visit(color_scheme="dark")
    shown.does(lambda: shown.world.event("venue_lost", venue="kraken", reason="gone"))
    visitor.page.goto(f"{visitor.address}log")
    assert visitor.violations() == []


@pytest.mark.long
def test_light_and_dark_are_two(visit: Any) -> None:
    grounds = {
        scheme: visit(color_scheme=scheme).page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert grounds == {"light": "rgb(246, 247, 248)", "dark": "rgb(16, 20, 24)"}


@pytest.mark.long
@pytest.mark.parametrize("state", [document, tripped, hostile], ids=["normal", "tripped", "hostile"])
def test_a_phone_is_wide_enough(visit: Any, state: Any) -> None:
    page = visit(state(), viewport=PHONE).page
    page.wait_for_selector("#venues table")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.goto(f"{page.url}log")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


CUT = """() => [...document.querySelectorAll('.scroll')].filter((box) => box.offsetParent !== null &&
  (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1)).map((box) => box.id)"""
NEVER_CUT = {"scroll-how-far-each-limit-is", "scroll-circuit-breakers", "scroll-venues", "scroll-locks"}


@pytest.mark.long
@pytest.mark.parametrize("size", [DESK, {"width": 390, "height": 844}], ids=["desk", "phone"])
@pytest.mark.parametrize("state", [document, tripped], ids=["normal", "tripped"])
def test_what_is_looked_at_in_a_trip_is_never_cut_and_all_else_shows_that_it_scrolls(
    visit: Any, state: Any, size: Any
) -> None:
    many = {f"venue_loss_of_number_{n}": WORDY for n in range(16)}
    shown = state()
    page = visit({**shown, "rules": many, "breakers": dict.fromkeys(many, "NORMAL")}, viewport=size).page
    rows = page.locator("#breakers tbody tr")
    wait_for(lambda: rows.count() == 16, "every rule", 10.0)
    wait_for(lambda: not NEVER_CUT & set(page.evaluate(CUT)), f"tables that fit; cut are {page.evaluate(CUT)}", 10.0)
    cut = set(page.evaluate(CUT))
    assert cut or size is DESK
    for box in cut:
        assert len(set(page.evaluate(EDGE, box))) > 1, f"{box}: nothing says that it scrolls"
    assert "within 1 min, of each bot, more than 1,000 orders of all together" in rows.last.inner_text()


WORDY = {
    "breaker_type": "order_rate",
    "action": "veto",
    "limits": {"max_orders": 100, "window_s": 60.0, "scope": "bot", "max_orders_total": 1000},
}
# How its shadows lie: one kind moves with the rows and covers the other, which does not.
EDGE = "(id) => getComputedStyle(document.getElementById(id)).backgroundAttachment.split(', ')"


@pytest.mark.long
def test_nothing_moves_where_that_is_asked_for(visit: Any) -> None:
    page = visit(reduced_motion="reduce").page
    assert page.evaluate("document.getAnimations().length") == 0
    moving = "() => getComputedStyle(document.querySelector('.meter rect.good')).transitionDuration"
    assert page.evaluate(moving) == "0s"


@pytest.mark.long
def test_without_a_script_everything_is_there_and_a_halt_too(visit: Any, shown: ThreadWorld) -> None:
    page = visit(java_script_enabled=False).page
    assert "174.00 USDT" in page.text_content("#now")
    assert page.is_visible("#chart-day svg")
    page.click("label[for=span-week]")
    assert page.is_visible("#chart-week svg")
    assert "read it again" in page.text_content("main")
    page.fill("#filter", "Insufficient")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=Insufficient**")
    assert "no answer within" not in page.text_content("#errors")
    before = len(shown.world.control.events)
    page.select_option("#halt-what", "venue:kraken")
    page.fill("#halt-reason", "odd")
    page.fill("#halt-confirm", "kraken")
    page.click("#halt-form button")
    page.wait_for_selector("#halt-said:not(:empty)")
    assert "kraken is halted" in page.text_content("#halt-said")
    assert len(shown.world.control.events) == before + 1


@pytest.mark.long
def test_a_viewer_has_nothing_to_press(visit: Any, shown: ThreadWorld) -> None:
    visitor = visit(token=shown.world.viewer)
    assert visitor.page.locator("#halt-form, #ack-form, .to-halt").count() == 0
    assert "can do nothing" in visitor.reads("#halt")


@pytest.mark.long
def test_words_of_others_never_run(visit: Any, shown: ThreadWorld) -> None:
    """Bots, venues, reasons, symbols: written by the server, and put in by the script."""
    visitor = visit()
    shown.shows(hostile())
    visitor.waits_to_read("<img src=x onerror", "#now")
    shown.does(lambda: shown.world.event("manual_halt", reason=HOSTILE, operator=HOSTILE))
    assert visitor.page.title() == "TRIGGERED - risk-daemon"
    visitor.page.reload()
    visitor.waits_to_read("<img src=x onerror", "#errors")
    assert visitor.page.title() == "TRIGGERED - risk-daemon"
    assert visitor.page.locator("main img, main script").count() == 0
    visitor.page.goto(f"{visitor.address}log")
    visitor.waits_to_read("<script>", "#log")
    assert visitor.page.locator("main img, main script").count() == 0


@pytest.mark.long
def test_what_is_open_and_scrolled_stays_so_when_news_come(visit: Any, shown: ThreadWorld) -> None:
    visitor = visit(viewport=PHONE)
    page = visitor.page
    visitor.waits_to_read("live, ", "#live")
    page.click("#days-before")
    page.focus("#days-before")
    page.evaluate("document.querySelector('#positions .scroll').scrollLeft = 120")
    shown.shows(document(profit={**document()["profit"], "realized": "77.77"}, positions=POSITIONS_AFTER))
    visitor.waits_to_read("77.77", "#profit")
    assert page.get_attribute("#days", "open") is not None
    assert page.evaluate("document.activeElement.id") == "days-before"
    assert page.evaluate("document.querySelector('#positions .scroll').scrollLeft") == 120


POSITIONS_AFTER = [{**one, "quantity": "7"} for one in document()["positions"]]


@pytest.mark.long
def test_silence_is_told_and_the_page_asks_by_itself(visit: Any, shown: ThreadWorld) -> None:
    """A proxy that keeps the stream back: the page says since when, in red, and polls."""
    visitor = visit()
    page = visitor.page
    visitor.waits_to_read("live, ", "#live")
    page.route("**/page/live*", lambda route: None)  # taken, and never answered
    page.reload()
    visitor.waits_to_read("NOT LIVE since 2026-11-20 ", "#live")
    assert page.get_attribute("#live", "class") == "live lost"
    shown.shows(document(equity="9123.00"))
    visitor.waits_to_read("9,123.00", "#worth")
    page.unroute("**/page/live*")


@pytest.mark.long
def test_10_000_events_stay_fluid(visit: Any, shown: ThreadWorld) -> None:
    """Few rows are in the page at a time, though the filter finds every one."""
    visitor = visit()
    read = shown.world.board.log.last
    for _ in range(20):
        read += 500
        shown.does(lambda: [shown.world.event("venue_lost", venue="kraken", reason=f"no {n}") for n in range(500)])
        wait_for(lambda at=read: shown.world.board.log.last >= at, "the log to have read")
    page = visitor.page
    page.goto(f"{visitor.address}log")
    visitor.waits_to_read("10000 of 10000 events, the newest 300 are shown", "#filtered")
    page.fill("#filter", "no 499")
    visitor.waits_to_read("20 of 10000 events", "#filtered")
    assert page.locator("#log li").count() == 20
    page.fill("#filter", "")
    visitor.waits_to_read("10000 of 10000", "#filtered")
    page.focus("#more")
    page.keyboard.press("Enter")
    wait_for(lambda: page.locator("#log li").count() == 600, "more rows")
    shown.does(lambda: shown.world.event("venue_lost", venue="kraken", reason="the newest"))
    visitor.waits_to_read("the newest", "#log li")
    assert page.locator("#log li").count() == 600
