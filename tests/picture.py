"""The picture of the operator's page: a daemon on two simulated venues, seen by a browser.

    python -m tests.picture [docs/page.png]      or `make picture`

Venues, orders, position and daemon are real processes. The hours before, which nobody wants to wait for, are made up
and put into the daemon's store before it starts.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.state.store.sqlite import SqliteStore
from tests.e2e.browser import browsing
from tests.e2e.harness import ROOT, Daemon, Venue, http, simulated, wait_for

MOST_BYTES = 200_000
_SIZE = {"width": 1180, "height": 1000}
_HOURS = 14
_CONFIG = """
[portfolio]
initial_capital = 10000
[breakers.daily_loss]
limit = "3%"
action = "freeze"
[breakers.drawdown]
limit = "10%"
action = "veto"
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "{spot}"
[venues.krakenfutures]
exchange = "krakenfutures"
markets = ["perp"]
endpoint = "{perp}"
"""


def venues(stack: ExitStack) -> tuple[Venue, Venue]:
    """With something in them."""
    spot, perp = simulated("kraken"), simulated("krakenfutures")
    stack.callback(spot.kill)
    stack.callback(perp.kill)
    for quote in ("USD", "USDT"):
        spot.post("/price", symbol=f"BTC/{quote}", price="100000")
    perp.post("/price", asset="BTC", price="100000")
    spot.post("/balance", asset="BTC", amount="0.02")
    spot.post("/balance", asset="USDT", amount="4000")
    perp.post("/position", symbol="PF_XBTUSD", quantity="0.02", entry="101000")
    spot.post("/order", symbol="BTC/USD", side="buy", type="limit", quantity="0.001", price="96000")
    perp.post("/order", symbol="PF_XBTUSD", side="sell", type="limit", quantity="0.01", price="104000")
    return spot, perp


def hours_before(equity: float, now: float) -> Iterator[dict[str, Any]]:
    """A point a minute, that ends at `equity`."""
    for minute in range(_HOURS * 60, 0, -1):
        swing = 90 * math.sin(minute / 110) + 35 * math.sin(minute / 23) + 12 * math.sin(minute / 5)
        worth = equity + swing + minute * 0.12
        written = {"equity": f"{worth:.2f}", "low": f"{worth - 14:.2f}", "high": f"{worth + 14:.2f}"}
        yield {"time": now - 60 * minute, **written, "flow_factor": "1"}


def lived(baselines: dict[str, Any], samples: list[dict[str, Any]], now: float) -> dict[str, Any]:
    """The baselines of who has lived through these hours: the peak is their highest, and the day began among them.

    Without it the curve has a peak that the drawdown beside it knows nothing of.
    """
    highest = max((one["equity"] for one in samples), key=float)
    began = {name: first_since(samples, now, start) for name, start in _STARTS.items()}
    periods = {name: {**baselines[name], "value": worth, "money": worth} for name, worth in began.items()}
    return {**baselines, **periods, "peaks": [[baselines["peaks"][0][0], highest]]}


def first_since(samples: list[dict[str, Any]], now: float, start: Callable[[datetime], datetime]) -> str:
    """What everything was worth at the start of a period, or as long ago as is known."""
    began = start(datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)).timestamp()
    return str(next((one["equity"] for one in samples if one["time"] >= began), samples[-1]["equity"]))


_STARTS: dict[str, Callable[[datetime], datetime]] = {
    "day": lambda midnight: midnight,
    "week": lambda midnight: midnight - timedelta(days=midnight.weekday()),
}


async def remember(store: Path, equity: float) -> None:
    now = time.time()
    samples = list(hours_before(equity, now))
    opened = SqliteStore.open(store)
    try:
        for sample in samples:
            await opened.append_sample(sample)
        documents = dict(await opened.load())
        await opened.save({"baselines": lived(documents["baselines"], samples, now)})
    finally:
        await opened.close()


def prepared(stack: ExitStack) -> tuple[Daemon, str]:
    """A daemon that guards, and the token of an operator."""
    spot, perp = venues(stack)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    keys = dict.fromkeys(("kraken", "krakenfutures"), (API_KEY, API_SECRET))
    daemon = Daemon(directory, _CONFIG.format(spot=spot.endpoint, perp=perp.endpoint), keys)
    stack.callback(daemon.close)
    done = daemon.command("init", "--yes")
    if done.returncode != 0:
        raise SystemExit(f"init: {done.stderr}")
    token = daemon.command("token", "create", "--role", "operator", "--name", "alice").stdout.split()[-1]
    [store] = daemon.state.glob("*.db")
    asyncio.run(remember(store, float(http_equity(daemon, token))))
    daemon.start().wait_open()
    perp.post("/price", asset="BTC", price="99200")
    return daemon, token


def http_equity(daemon: Daemon, token: str) -> str:
    """What everything is worth at the start, by a first short run."""
    daemon.start().wait_open()
    equity = str(http("GET", f"{address_of(daemon)}api/v1/state", token=token)["equity"])
    daemon.signal(2)
    daemon.exit_code()
    return equity


def address_of(daemon: Daemon) -> str:
    found = [row["address"] for row in daemon.of("api_listening") if not row["address"].startswith("unix:")]
    return f"http://localhost:{found[-1].rpartition(':')[2]}/"


def refuse_contradiction(daemon: Daemon, token: str) -> None:
    """Nobody believes a page whose drawdown is not that of the curve below it."""
    state, past = (http("GET", f"{address_of(daemon)}api/v1/{what}", token=token) for what in ("state", "history"))
    highest = max(float(one["equity"]) for one in past["points"])
    seen, told = 1 - float(state["equity"]) / highest, float(state["drawdown_ratio"])
    if abs(seen - told) > 0.001:
        raise SystemExit(f"the curve says {seen:.2%} below its peak, and the page {told:.2%}")


def picture(path: Path) -> int:
    """Take it. Returns how many bytes it has."""
    with ExitStack() as stack:
        daemon, token = prepared(stack)
        browser = stack.enter_context(browsing())
        with closing(browser.new_context(viewport=_SIZE)) as context:
            page = context.new_page()
            page.goto(address_of(daemon))
            page.fill("#token", token)
            page.keyboard.press("Enter")
            page.wait_for_selector("#chart-day svg")
            wait_for(lambda: "live, " in str(page.text_content("#live")), "a live page")
            refuse_contradiction(daemon, token)
            page.screenshot(path=str(path))
    return path.stat().st_size


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "page.png"
    size = picture(target)
    sys.stdout.write(f"{target}: {size} bytes\n")
    if size > MOST_BYTES:
        raise SystemExit(f"more than {MOST_BYTES} bytes")
