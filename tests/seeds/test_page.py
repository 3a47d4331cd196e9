"""What the documents ask of a dashboard, asked of the operator's page as a browser does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from risk_daemon.model.events import HaltRequested
from tests.page_world import PageWorld, document, page_world, tripped, vetoed

HINT = "New orders are vetoed until NAV recovers or config changes."


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PageWorld]:
    async with page_world(tmp_path) as world:
        yield world


async def shown(world: PageWorld, path: str = "/") -> str:
    """The page as it is read, without its elements."""
    return " ".join(re.sub(r"<[^>]*>", " ", await written(world, path)).split())


async def written(world: PageWorld, path: str = "/") -> str:
    return (await (await world.logged_in(world.viewer)).ask("GET", path)).text


async def test_001_33_drawdown_limit_and_a_badge_that_is_red_when_it_is_reached(world: PageWorld) -> None:
    assert "DD: 3.2% (limit 10%) - circuit OK" in await shown(world)


async def test_001_33_the_badge(tmp_path: Path) -> None:
    async with page_world(tmp_path) as world:
        world.control.document = tripped()
        badge = "CIRCUIT TRIPPED \N{EM DASH} DD 11.4% (limit 10%)"
        assert f'<strong class="badge bad">{badge}</strong>' in await written(world)


async def test_001_34_the_hint_is_there_for_a_veto_and_only_when_it_holds(tmp_path: Path) -> None:
    for state, is_hinted in ((vetoed(), True), (document(), False)):
        directory = tmp_path / str(is_hinted)
        directory.mkdir()
        async with page_world(directory) as world:
            world.control.document = state
            assert (HINT in await shown(world)) is is_hinted


async def test_001_43_the_panel_shows_what_risk_json_says(world: PageWorld) -> None:
    circuit = {"state": "ACTIVE", "locked": False, "active": False, "max_portfolio_dd_nav_pct": 0.125}
    world.control.document = document(portfolio_dd_pct=0.047, circuit_breaker=circuit)
    assert "DD: 4.7% (limit 12.5%) - circuit OK" in await shown(world)


async def test_001_43_what_is_not_known_is_not_well(world: PageWorld) -> None:
    circuit = {"state": "ACTIVE", "locked": False, "active": None, "max_portfolio_dd_nav_pct": 0.1}
    world.control.document = document(portfolio_dd_pct=None, circuit_breaker=circuit)
    assert "DD: not known (limit 10%) - circuit not known" in await shown(world)


async def test_002_51_a_dashboard_for_monitoring(world: PageWorld) -> None:
    page = await shown(world)
    for words in ("new orders are allowed", "9,680.00 USDT", "174.00 USDT may still be lost before daily_loss"):
        assert words in page


async def test_003_06_a_button_for_it(world: PageWorld) -> None:
    browser = await world.logged_in()
    assert '<button class="danger">Halt</button>' in (await browser.ask("GET", "/")).text
    assert (await browser.halts("all", "everything", "enough")).status == 200
    assert world.control.events == [HaltRequested("enough", "token:alice", None, None)]


async def test_003_09_positions_profit_and_status(world: PageWorld) -> None:
    page = await shown(world)
    assert "BTC/USD:BTC krakenfutures" in page
    assert "Profit of the day \N{MINUS SIGN}120.40 USDT" in page
    assert "daily_loss NORMAL freeze" in page


async def test_003_47_worth_profit_positions_with_their_values_and_states(world: PageWorld) -> None:
    page = await shown(world)
    assert "Equity 9,680.00 USDT between 9,672.10 and 9,688.40 USDT" in page
    assert "Realized +35.10 USDT" in page
    assert "Unrealized \N{MINUS SIGN}155.50 USDT" in page
    assert "61,890.0 \N{MINUS SIGN}1,499.12 USDT \N{MINUS SIGN}15.66 USDT" in page
    assert "USDT kraken 4,100.5 1 4,100.50 USDT" in page


async def test_003_48_recent_orders_fills_and_errors(world: PageWorld) -> None:
    page = await shown(world)
    assert "BTC/USDT kraken grid-1 buy limit 0.05 61,000.5 open O0-QWERT" in page
    assert "BTC/USDT kraken grid-1 sell 0.01 61,800 0.55 USDT" in page
    assert "order_rejected kraken grid-1 EOrder:Insufficient funds" in page


async def test_003_49_it_is_refreshed_more_often_than_every_5_s(world: PageWorld) -> None:
    """By the stream; where that is held back the page's script asks, where there is no script the browser may."""
    limits = world.server.limits
    assert limits.page_every_s < 5
    assert limits.page_beat_s < 5
    script = (await world.browser().ask("GET", "/page/page.js")).text
    [again] = re.findall(r"AGAIN_MS = (\d+);", script)
    assert int(again) < 5_000


async def test_003_69_the_worth_over_time(world: PageWorld) -> None:
    page = await written(world)
    assert page.count('<svg role="img" class="chart"') == 3
    assert "Equity over the day" in page
    assert "capital_loss 9,500.00" in page


async def test_003_70_a_halt_that_asks_back_errors_to_filter_and_colours(world: PageWorld) -> None:
    browser = await world.logged_in()
    said = await browser.halts("all", "yes")
    assert "&#x27;everything&#x27; is needed to confirm" in said.text
    assert world.control.events == []
    assert "no answer within 5 s" in await shown(world, "/?q=no+answer")
    assert "Insufficient" not in await shown(world, "/?q=no+answer")
    assert '<strong class="badge good">NORMAL</strong>' in (await browser.ask("GET", "/")).text


async def test_003_70_red_where_it_is_tripped(world: PageWorld) -> None:
    world.control.document = tripped()
    assert '<strong class="badge bad">TRIPPED, trip</strong>' in await written(world)


async def test_004_26_a_halt_is_within_reach_from_the_page(world: PageWorld) -> None:
    browser = await world.logged_in()
    assert (await browser.halts("bot:grid-1", "grid-1", "odd orders")).status == 200
    assert world.control.events == [HaltRequested("odd orders", "token:alice", None, "grid-1")]
