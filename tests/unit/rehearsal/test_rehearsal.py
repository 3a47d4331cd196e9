"""The rehearsal without a daemon: what it refuses, what it waits for, what it computes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.errors import UsageError, VenueUnavailable
from risk_daemon.rehearsal import demo
from risk_daemon.rehearsal.rehearsal import PARTS, START_PRICE, Desk, Ended, Rehearsal, Times


def settings_of(tmp_path: Path, *changes: tuple[str, str]) -> Settings:
    text = demo.config_of()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load_config(file)


def test_a_live_venue_is_refused(tmp_path: Path) -> None:
    live = settings_of(tmp_path, ('markets = ["spot"]\nsimulated = true', 'markets = ["spot"]'))
    with pytest.raises(UsageError, match="kraken is live"):
        Rehearsal(live)


def test_an_exchange_that_it_can_not_set_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't set up kraken"):
        Rehearsal(settings_of(tmp_path, ('exchange = "kraken"', 'exchange = "bitvavo"')))


def test_the_price_for_a_loss(tmp_path: Path) -> None:
    rehearsal = Rehearsal(settings_of(tmp_path))
    assert rehearsal.price_for(Decimal("0.055")) == demo.steps_of(demo.DEFAULT_VENUES)[-1].price
    assert rehearsal.price_for(Decimal(0)) == START_PRICE


def test_more_than_what_is_at_risk_can_not_be_lost(tmp_path: Path) -> None:
    rehearsal = Rehearsal(settings_of(tmp_path))
    at_risk = sum(part.quantity for part in PARTS.values()) * START_PRICE / sum(part.money for part in PARTS.values())
    with pytest.raises(UsageError, match="too little of them moves"):
        rehearsal.price_for(Decimal(at_risk))


def test_every_account_has_plain_and_trigger_orders() -> None:
    for part in PARTS.values():
        kinds = {order["type"] for order in part.orders}
        assert kinds == {"limit", "stop_loss"}


async def test_waiting_for_a_daemon_that_has_ended(tmp_path: Path) -> None:
    """A story may ask once more after the end: it must be told, not left waiting."""
    file = tmp_path / "config.toml"
    file.write_text(demo.config_of().replace('dir = "var"', 'dir = "/proc/none"'))
    rehearsal = Rehearsal(load_config(file))
    heard = []

    async def story() -> None:
        for _ in range(2):
            try:
                await rehearsal.expect(lambda _decision: True)
            except Ended:
                heard.append("ended")

    with pytest.raises(Exception, match="/proc/none"):
        await rehearsal.play(story)
    assert heard == ["ended", "ended"]


async def test_a_story_that_fails_ends_the_daemon(tmp_path: Path) -> None:
    rehearsal = Rehearsal(settings_of(tmp_path))

    async def story() -> None:
        raise UsageError("the story went wrong")

    with pytest.raises(UsageError, match="the story went wrong"):
        await rehearsal.play(story)


def test_phases_that_were_not_reached_are_none_not_zero() -> None:
    times = Times(fatal_wall=100.0, shut_wall=100.5)
    assert times.phases_s() == {
        "gate_shut_s": 0.5,
        "triggered_s": None,
        "first_cancel_s": None,
        "last_venue_proven_s": None,
        "joint_proof_s": None,
    }
    assert Times(shut_wall=1.0).phases_s()["gate_shut_s"] is None


# --- the admin face ----------------------------------------------------------------------------------

STATE = {
    "open_orders": {"spot_plain": [{"order_id": "1"}], "spot_trigger": []},
    "cancelled_orders": [{"order_id": "2", "cancelled_wall": 12.5}, {"order_id": "3", "cancelled_wall": 12.75}],
    "fills": [],
}


class _Admin(BaseHTTPRequestHandler):
    reply = (200, json.dumps(STATE))

    def do_GET(self) -> None:
        status, text = self.reply
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def desk() -> Iterator[Desk]:
    server = HTTPServer(("127.0.0.1", 0), _Admin)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Desk("kraken", "kraken", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_book(desk: Desk) -> None:
    book = desk.book()
    assert (book.open_orders, book.is_empty) == ({"spot_plain": 1, "spot_trigger": 0}, False)
    assert ([row["order_id"] for row in book.cancelled], book.first_cancel_wall) == (["2", "3"], 12.5)


@pytest.mark.parametrize("reply", [(400, '{"error": "no"}'), (200, "<html>"), (200, "[]"), (500, "{}")])
def test_an_odd_answer_is_not_an_empty_book(
    desk: Desk, reply: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Admin, "reply", reply)
    with pytest.raises(VenueUnavailable, match="kraken: its admin face"):
        desk.book()


def test_a_venue_that_is_gone(desk: Desk) -> None:
    gone = Desk("kraken", "kraken", "http://127.0.0.1:1")
    with pytest.raises(VenueUnavailable, match="gave no answer"):
        gone.book()
