"""Wardens at their page, in a real browser and by keyboard alone, with the daemon running and stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.asking import App, Asking
from tests.e2e.browser import Person, browsing
from tests.e2e.harness import Daemon

pytestmark = pytest.mark.long

CONFIG = """
[portfolio]
initial_capital = 6000
[baselines]
peak_hold = "1s"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
simulated = true
"""


@pytest.fixture
def browser() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


class Desk:
    """A daemon, its wardens, and whoever is at the terminal."""

    def __init__(self, daemon: Daemon, browser: Any) -> None:
        self.daemon = daemon
        self._browser = browser
        self.people: dict[str, tuple[Person, App]] = {}
        self._asking: list[Asking] = []

    def ask(self, *words: str) -> Asking:
        self._asking.append(Asking(self.daemon, *words))
        return self._asking[-1]

    def enrol(self, name: str, by: str | None = None) -> None:
        """At the terminal and on the page; `by` agrees first."""
        asking = self.ask("warden", "enroll", name)
        if by is not None:
            self.agree(asking, by)
        person = Person(self._browser, name)
        person.opens(asking.address, asking.code)
        person.waits_for_focus("first")
        app = App(asking.secret)
        person.keys(app.code())
        person.waits_to_read("is a warden from now on")
        assert asking.ends() == 0, asking.said
        self.people[name] = (person, app)

    def agree(self, asking: Asking, name: str) -> Person:
        """Code, name, one-time code, passkey: with nothing but keys."""
        person, app = self.people[name]
        person.opens(asking.address, asking.code)
        if person.page.locator("#warden option").count() > 1:
            person.waits_for_focus("warden")
            person.keys(name[:3], then="Tab")
        assert person.focused() == "otp"
        person.keys(app.code())
        return person

    def close(self) -> None:
        for asking in self._asking:
            asking.stop()
        troubles = [trouble for person, _ in self.people.values() for trouble in person.troubles]
        assert troubles == []


@pytest.fixture
def desk_of(daemon_for: Callable[..., Daemon], browser: Any) -> Iterator[Callable[[str], Desk]]:
    desks: list[Desk] = []

    def make(config: str = CONFIG) -> Desk:
        desks.append(Desk(daemon_for(config, {}), browser))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def test_enrol_trip_and_reset_with_the_daemon_stopped(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of()
    daemon = desk.daemon.start()
    daemon.wait_open()
    desk.enrol("alice")
    assert daemon.command("halt", "--reason", "enough").returncode == 0
    assert daemon.exit_code() == 1

    reset = desk.ask("reset", "--reason", "looked at it", "--rebaseline", "keep", "--yes")
    person = desk.agree(reset, "alice")
    person.waits_to_read("Done: reset")
    facts = person.reads("#facts")
    assert reset.ends() == 0, reset.said
    assert "halted by" in facts
    assert "Open orders on kraken" in facts
    assert "The gate opens" in person.reads("#changes")
    assert daemon.of("override_granted")[-1]["who"] == "alice"
    [ended] = daemon.of("circuit_breaker_reset")
    assert ended["operator"].startswith("alice (asked by uid:")
    daemon.start()
    daemon.wait_open()
    assert daemon.command("verify-log").returncode == 0


def test_a_quorum_of_two_sees_how_far_it_is_and_a_device_that_knows_nobody_is_none(
    desk_of: Callable[..., Desk],
) -> None:
    """With the daemon running; two wardens, each at a browser of their own."""
    desk = desk_of(CONFIG + "[warden]\nquorum = 2\n")
    daemon = desk.daemon.start()
    daemon.wait_open()
    desk.enrol("alice")
    desk.enrol("bob", by="alice")
    assert daemon.command("token", "create", "--role", "bot", "--name", "grid").returncode == 0
    assert daemon.command("halt", "--bot", "grid", "--reason", "odd").returncode == 0
    release = desk.ask("release", "--bot", "grid", "--reason", "mended")
    assert release.address.rpartition(":")[2] == f"{port_of(daemon)}/override"

    alice, _ = desk.people["alice"]
    alice.is_verified(False)
    assert "passkey was not given" in refused(desk.agree(release, "alice"))
    alice.is_verified(True)
    alice = desk.agree(release, "alice")
    alice.waits_to_read("1 of 2 agreed: alice", at="#progress")
    assert daemon.of("breaker_reset") == []
    bob = desk.agree(release, "bob")
    bob.waits_to_read("Done: bot grid is released")
    alice.waits_to_read("Done: bot grid is released")
    assert release.ends() == 0, release.said
    assert daemon.of("override_granted")[-1]["who"] == "alice, bob"


def test_wrong_codes_lock_the_page_and_what_is_shown_is_text(desk_of: Callable[..., Desk]) -> None:
    """A reason is another person's words: it is shown, and never run."""
    desk = desk_of()
    daemon = desk.daemon.start()
    daemon.wait_open()
    desk.enrol("alice")
    reason = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"
    asking = desk.ask("disable", "--for", "10m", "--reason", reason, "--yes")
    person, app = desk.people["alice"]
    person.opens(asking.address, asking.code)
    assert reason in person.reads("#asked")
    assert person.page.title() == "risk-daemon: override"
    for number in range(1, 6):
        person.waits_for_focus("otp")
        person.page.keyboard.press("Control+A")
        person.keys(app.wrong())
        daemon.wait_for("override_refused", number)
        person.waits_until("() => !document.querySelector('#agree button').disabled")
        person.page.evaluate("document.getElementById('otp').focus()")
    person.waits_to_read("too many failures")
    assert asking.ends() == 78
    assert daemon.of("override_refused")[-1]["locked_until"]
    assert daemon.of("circuit_breaker_disabled") == []
    late = daemon.command("disable", "--for", "10m", "--reason", "x", "--yes")
    assert (late.returncode, "too many attempts failed" in late.stderr) == (78, True)


def test_another_web_site_in_the_warden_s_browser_gets_nowhere(desk_of: Callable[..., Desk]) -> None:
    """It knows the address and even the code: it can neither ask, nor frame the page, nor use the passkey."""
    desk = desk_of()
    daemon = desk.daemon.start()
    daemon.wait_open()
    desk.enrol("alice")
    asking = desk.ask("disable", "--for", "10m", "--reason", "x", "--yes")
    person, _ = desk.people["alice"]
    with other_site() as address:
        person.page.goto(address)
        tried = person.page.evaluate(ATTACK, [asking.address, asking.code])
    person.troubles.clear()  # the browser told that page what it may not do
    assert tried == {"fetch": "TypeError", "form": "TypeError", "framed": False, "passkey": "SecurityError"}
    asking.process.send_signal(signal.SIGINT)
    assert asking.ends() == 78
    [ended] = daemon.of("override_refused")
    assert ended["why"].startswith("withdrawn by ")


ATTACK = """async ([address, code]) => {
  const tried = {};
  const body = JSON.stringify({ code });
  const attempt = async (name, options) => {
    try { await fetch(address + '/look', { method: 'POST', body, ...options }); tried[name] = 'answered'; }
    catch (error) { tried[name] = error.name; }
  };
  await attempt('fetch', { headers: { 'Content-Type': 'application/json' } });
  await attempt('form', { headers: { 'Content-Type': 'text/plain' } });
  const frame = document.createElement('iframe');
  frame.src = address;
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  document.body.append(frame);
  await loaded;
  try { tried.framed = frame.contentDocument !== null && frame.contentDocument.querySelector('#code') !== null; }
  catch { tried.framed = false; }
  try {
    const challenge = new Uint8Array(32);
    await navigator.credentials.get({ publicKey: { challenge, rpId: 'localhost', userVerification: 'required' } });
    tried.passkey = 'given';
  } catch (error) { tried.passkey = error.name; }
  return tried;
}"""


@contextmanager
def other_site() -> Iterator[str]:
    """A page of somebody else's, under another name than the daemon's."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><link rel=icon href=data:,><title>other</title><body>hello</body>")

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def refused(person: Person) -> str:
    """What the page says of a try that was refused."""
    person.waits_until("() => document.querySelector('#said').textContent !== ''")
    return person.reads("#said")


def port_of(daemon: Daemon) -> str:
    addresses = [row["address"] for row in daemon.of("api_listening")]
    return next(address for address in reversed(addresses) if not address.startswith("unix:")).rpartition(":")[2]
