"""The switches of an account as calls of a client: which are sent, and what is made of the answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.base import PERP_MARKETS, SPOT_MARKETS, Market
from adapters.dead_man import DeadMan, switches_of
from adapters.registry import VENUES
from adapters.switches import Switches
from risk_daemon.errors import ConfigError, VenueRejected, VenueUnavailable

ACCOUNT = DeadMan(
    call="cancel_after",
    params=lambda timeout_s, _: {"timeout": int(timeout_s)},
    markets=SPOT_MARKETS,
    least_s=10,
    most_s=120,
    covers="all orders",
    leaves="nothing",
    says=lambda reply: reply,
)
BY_MARKET = DeadMan(
    call="countdown",
    params=lambda timeout_s, market: {"symbol": market, "ms": int(timeout_s * 1000)},
    markets=PERP_MARKETS,
    least_s=5,
    most_s=600,
    covers="plain orders",
    leaves="triggers",
    by_market=True,
    query="asked",
    armed=lambda reply: reply == "yes",
)


class FakeClient:
    """answers: what a call says; an exception is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def market(self, symbol: str) -> dict[str, Any]:
        return {"id": symbol.partition(":")[0].replace("/", "")}

    async def cancel_after(self, params: dict[str, Any]) -> Any:
        self.calls.append(("cancel_after", params))
        return self._answer("cancel_after", params["timeout"] > 0)

    async def countdown(self, params: dict[str, Any]) -> Any:
        self.calls.append(("countdown", params))
        return self._answer(params["symbol"], None)

    async def asked(self) -> Any:
        return self._answer("asked", "yes")

    def _answer(self, name: str, usual: Any) -> Any:
        answer = self.answers.get(name, usual)
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(work: Any) -> Any:
    return asyncio.run(work)


def test_the_whole_account_by_one_call() -> None:
    client = FakeClient()
    switches = Switches([ACCOUNT], client)
    assert run(switches.arm(60.0, {"BTC/USD", "ETH/USD"})) == ("",)
    run(switches.disarm())
    run(switches.disarm())
    assert client.calls == [("cancel_after", {"timeout": 60}), ("cancel_after", {"timeout": 0})]


def test_each_market_that_has_something_and_one_that_has_nothing_any_more_is_disarmed() -> None:
    client = FakeClient()
    switches = Switches([BY_MARKET], client)
    assert run(switches.arm(60.0, ())) == ()
    assert run(switches.arm(60.0, {"BTC/USDT:USDT", "ETH/USDT:USDT"})) == ("BTC/USDT:USDT", "ETH/USDT:USDT")
    client.calls.clear()
    assert run(switches.arm(60.0, {"ETH/USDT:USDT"})) == ("ETH/USDT:USDT",)
    assert client.calls == [
        ("countdown", {"symbol": "ETHUSDT", "ms": 60_000}),
        ("countdown", {"symbol": "BTCUSDT", "ms": 0}),
    ]
    client.calls.clear()
    run(switches.disarm())
    assert client.calls == [("countdown", {"symbol": "ETHUSDT", "ms": 0})]


def test_one_market_that_is_refused_keeps_no_other_from_being_armed_and_is_disarmed_too() -> None:
    client = FakeClient(BTCUSDT=VenueUnavailable("503"))
    switches = Switches([BY_MARKET], client)
    with pytest.raises(VenueUnavailable):
        run(switches.arm(60.0, {"BTC/USDT:USDT", "ETH/USDT:USDT"}))
    assert {params["symbol"] for _, params in client.calls} == {"BTCUSDT", "ETHUSDT"}
    client.answers.clear()
    client.calls.clear()
    run(switches.disarm())
    assert {params["symbol"] for _, params in client.calls} == {"BTCUSDT", "ETHUSDT"}


def test_a_disarm_that_is_refused_is_tried_again_the_next_time() -> None:
    client = FakeClient()
    switches = Switches([ACCOUNT], client)
    run(switches.arm(60.0, ()))
    client.answers["cancel_after"] = VenueUnavailable("503")
    with pytest.raises(VenueUnavailable):
        run(switches.disarm())
    del client.answers["cancel_after"]
    run(switches.disarm())
    assert client.calls[-1] == ("cancel_after", {"timeout": 0})


@pytest.mark.parametrize(("timeout_s", "said", "told"), [(60.0, False, "not armed"), (0.0, True, "is armed")])
def test_an_answer_that_says_something_else_is_none(timeout_s: float, said: bool, told: str) -> None:
    switches = Switches([ACCOUNT], FakeClient(cancel_after=said))
    with pytest.raises(VenueRejected, match=told):
        run(switches.arm(timeout_s, ()))


@pytest.mark.parametrize(
    ("switches", "answer", "armed"),
    [([ACCOUNT], "yes", None), ([ACCOUNT, BY_MARKET], "yes", True), ([BY_MARKET], "no", False), ([], "yes", None)],
)
def test_whether_it_is_armed_is_the_venues_own_word(switches: list[DeadMan], answer: str, armed: bool | None) -> None:
    assert run(Switches(switches, FakeClient(asked=answer)).are_armed()) is armed


# --- the data of venues ------------------------------------------------------------------------------


@pytest.mark.parametrize(("timeout_s", "fits"), [(9, False), (10, True), (120, True), (121, False)])
def test_a_timeout_that_the_venue_does_not_take_is_refused_with_its_range(timeout_s: float, fits: bool) -> None:
    if fits:
        ACCOUNT.check(timeout_s)
        return
    with pytest.raises(ConfigError, match="10 to 120 s"):
        ACCOUNT.check(timeout_s)


def test_the_switches_of_the_configured_markets() -> None:
    both = (ACCOUNT, BY_MARKET)
    assert switches_of(both, {Market.SPOT}) == (ACCOUNT,)
    assert switches_of(both, {Market.MARGIN, Market.PERP}) == both
    assert switches_of(both, ()) == ()


@pytest.mark.parametrize(
    ("exchange", "armed", "disarmed"),
    [
        ("kraken", {"result": {"triggerTime": "2026-11-20T10:00:00Z"}}, {"result": {"triggerTime": "0"}}),
        ("krakenfutures", {"status": {"triggerTime": "2026-11-20T10:00:00Z"}}, {"status": {"triggerTime": "0"}}),
    ],
)
def test_krakens_answers_tell_whether_it_is_armed(exchange: str, armed: Any, disarmed: Any) -> None:
    (switch,) = VENUES[exchange].dead_men
    assert (switch.says(armed), switch.says(disarmed)) == (True, False)
    assert switch.params(60.0, "") == {"timeout": 60}


@pytest.mark.parametrize("venue", [venue for venue in VENUES.values() if venue.dead_men], ids=lambda v: v.exchange)
def test_every_switch_says_what_it_covers_and_leaves(venue: Any) -> None:
    for switch in venue.dead_men:
        assert 0 < switch.least_s < switch.most_s
        assert switch.covers
        assert switch.leaves
