"""The venue's own count of calls, kept along: nothing is refused, and the sweep is never held back."""

import asyncio
import random

import pytest

from adapters.budget import ASKS_AGAIN_WITHIN_S, TRAVEL_S, Budget, HeldBack, Pool
from adapters.lane import PushedAside, Urgency
from adapters.registry import VENUES
from adapters.simulated.wire.base import CallCounter
from adapters.venue import Venue
from adapters.venues import kraken, krakenfutures
from risk_daemon.model.clock import Instant
from tests.virtual import pass_time

ORDINARY, URGENT, SWEEP = Urgency.ORDINARY, Urgency.URGENT, Urgency.SWEEP
KRAKEN = kraken.VENUE.pools
READ_GAP_S = 0.5


class LoopClock:
    """The running loop's time."""

    def now(self) -> Instant:
        mono = asyncio.get_running_loop().time()
        return Instant(mono, mono)


def _kraken() -> Budget:
    return Budget(KRAKEN, LoopClock())


async def _spend_all(budget: Budget, urgency: Urgency, endpoint: str = "BalanceEx") -> int:
    """How many calls leave at once."""
    for sent in range(1_000):
        began = asyncio.get_running_loop().time()
        try:
            await budget.spend(endpoint, {}, urgency)
        except HeldBack:
            return sent
        if asyncio.get_running_loop().time() > began:
            return sent
    return 1_000


@pytest.mark.looptime
async def test_ordinary_calls_leave_room_for_urgent_ones_and_both_for_the_sweep() -> None:
    budget = _kraken()
    assert await _spend_all(budget, ORDINARY) == 9
    budget = _kraken()
    assert await _spend_all(budget, URGENT) == 12
    budget.refused("BalanceEx")
    assert await _spend_all(budget, SWEEP) == 1_000


@pytest.mark.looptime
async def test_a_refresh_has_the_room_of_urgent_calls_and_an_overdue_one_all_of_it() -> None:
    budget = _kraken()
    assert await _spend_all(budget, Urgency.REFRESH, "CancelAllOrdersAfter") == 12
    budget.refused("BalanceEx")
    assert await _spend_all(budget, Urgency.REFRESH, "CancelAllOrdersAfter") == 0
    assert await _spend_all(budget, Urgency.OVERDUE, "CancelAllOrdersAfter") == 1_000


@pytest.mark.looptime
async def test_single_cancels_cost_nothing_on_kraken_and_the_ledger_costs_two() -> None:
    budget = _kraken()
    assert await _spend_all(budget, ORDINARY, "CancelOrder") == 1_000
    assert await _spend_all(budget, ORDINARY, "Ledgers") == 4


@pytest.mark.looptime
async def test_a_call_waits_for_room_but_not_beyond_its_callers_patience() -> None:
    budget = _kraken()
    for _ in range(12):
        await budget.spend("BalanceEx", {}, URGENT)
    began = asyncio.get_running_loop().time()
    await budget.spend("BalanceEx", {}, URGENT)
    assert asyncio.get_running_loop().time() - began == pytest.approx(1 / 0.33, abs=0.01)
    budget.refused("BalanceEx")
    with pytest.raises(HeldBack):
        await budget.spend("BalanceEx", {}, ORDINARY)
    assert issubclass(HeldBack, PushedAside), "who reads on a schedule just asks again"


@pytest.mark.looptime
async def test_a_costly_call_is_not_kept_from_its_turn_by_cheap_ones() -> None:
    """Each asks again half a second after it was held back, as the readings do."""
    budget, served = _kraken(), {"Ledgers": 0, "BalanceEx": 0, "OpenOrders": 0}

    async def keep_asking(endpoint: str, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            try:
                await budget.spend(endpoint, {}, ORDINARY)
                served[endpoint] += 1
            except HeldBack:
                pass
            await asyncio.sleep(READ_GAP_S)

    await asyncio.gather(*(keep_asking(endpoint, 300.0) for endpoint in served))
    assert min(served.values()) >= 20


@pytest.mark.looptime
async def test_who_gave_up_holds_nobody_back() -> None:
    budget = _kraken()
    budget.refused("BalanceEx")
    with pytest.raises(HeldBack):
        await budget.spend("Ledgers", {}, ORDINARY)
    await asyncio.sleep(ASKS_AGAIN_WITHIN_S + 17.0)
    await budget.spend("BalanceEx", {}, ORDINARY)


@pytest.mark.looptime
async def test_a_pool_of_its_own_for_the_futures_history() -> None:
    budget = Budget(krakenfutures.VENUE.pools, LoopClock())
    for _ in range(100):
        await budget.spend("accounts", {}, ORDINARY)
    began = asyncio.get_running_loop().time()
    for _ in range(70):
        await budget.spend("account-log", {"count": 25}, ORDINARY)
    assert asyncio.get_running_loop().time() == began
    with pytest.raises(HeldBack):
        await budget.spend("account-log", {"count": 1_000}, ORDINARY)
    await budget.spend("account-log", {"count": 1_000}, URGENT)


@pytest.mark.looptime
async def test_a_venue_whose_count_is_not_known_holds_nothing_back() -> None:
    budget = Budget((), LoopClock())
    assert not budget.covers("BalanceEx")
    assert await _spend_all(budget, ORDINARY) == 1_000


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(5))
async def test_a_venue_that_counts_the_same_refuses_nothing_whatever_is_asked_in_whatever_order(seed: int) -> None:
    chance, budget, clock = random.Random(seed), _kraken(), LoopClock()
    venue = CallCounter(15.0, 0.33, wall=clock.now().wall)
    for _ in range(300):
        await asyncio.sleep(chance.choice([0.0, 0.0, 0.01, 1.0, 4.0]))
        endpoint, urgency = chance.choice(["Ledgers", "BalanceEx", "OpenOrders"]), chance.choice([ORDINARY, URGENT])
        try:
            await budget.spend(endpoint, {}, urgency)
        except HeldBack:
            continue
        cost = 2.0 if endpoint == "Ledgers" else 1.0
        assert venue.admits(cost, clock.now().wall)


class Window:
    """A venue that counts what came in the last seconds; what it refuses does not count."""

    def __init__(self, pool: Pool) -> None:
        self._most, self._within_s = pool.ceiling, pool.within_s
        self._came: list[tuple[float, float]] = []

    def admits(self, cost: float, wall: float) -> bool:
        self._came = [(at, units) for at, units in self._came if at > wall - self._within_s]
        is_admitted = sum(units for _, units in self._came) + cost <= self._most
        self._came += [(wall, cost)] if is_admitted else []
        return is_admitted


WINDOWS = [(venue.exchange, pool) for venue in VENUES.values() for pool in venue.pools if pool.within_s]


def test_what_counts_by_windows_is_said_by_the_venues() -> None:
    assert sorted({str(exchange) for exchange, _ in WINDOWS}) == ["bybit", "krakenfutures", "mexc", "okx"]
    assert all(pool.within_s for pool in VENUES["okx"].pools)


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("exchange", "pool"), WINDOWS, ids=lambda one: one.name if isinstance(one, Pool) else str(one))
async def test_a_venue_that_counts_by_windows_refuses_nothing_either(exchange: str, pool: Pool, seed: int) -> None:
    """Though each call takes another time to get there."""
    chance, budget, clock, venue = random.Random(seed), Budget([pool], LoopClock()), LoopClock(), Window(pool)
    endpoint = "any" if pool.endpoints is None else min(pool.endpoints)
    arrivals, held_back = list[tuple[float, float]](), 0
    for _ in range(int(6 * pool.ceiling)):
        await asyncio.sleep(chance.choice([0.0] * 20 + [pool.within_s / 10, pool.within_s]))
        urgency = chance.choice([ORDINARY, URGENT, SWEEP] if pool.strict else [ORDINARY, URGENT])
        try:
            await budget.spend(endpoint, {}, urgency)
        except HeldBack:
            held_back += 1
            continue
        arrivals.append((clock.now().wall + chance.uniform(0, TRAVEL_S), pool.cost(endpoint, {})))
    assert all(venue.admits(cost, wall) for wall, cost in sorted(arrivals))
    assert len(arrivals) > pool.ceiling / pool.cost(endpoint, {})


@pytest.mark.looptime
async def test_a_window_that_is_full_keeps_what_it_keeps_for_the_sweep_and_empties_as_it_filled() -> None:
    pool = Pool.window(10.0, 2.0, for_urgent=2.0, for_sweep=3.0)
    budget, loop = Budget([pool], LoopClock()), asyncio.get_running_loop()
    began = loop.time()
    assert await _spend_all(budget, ORDINARY) == 5
    assert await _spend_all(budget, URGENT) == 2, "and one that waits until the first of all is over"
    assert loop.time() - began == pytest.approx(2.0 + TRAVEL_S, abs=0.01)
    assert await _spend_all(budget, SWEEP) == 1_000
    budget.refused("any")
    began = loop.time()
    with pytest.raises(HeldBack):
        await budget.spend("any", {}, ORDINARY)
    await budget.spend("any", {}, URGENT)
    assert loop.time() - began == pytest.approx(2.0 + TRAVEL_S, abs=0.01)


@pytest.mark.looptime
async def test_a_strict_window_holds_the_listings_of_a_sweep_and_no_cancel() -> None:
    pools = (Pool.window(3.0, 1.0, endpoints=frozenset({"listing"}), strict=True), Pool.window(3.0, 1.0))
    budget, loop = Budget(pools, LoopClock()), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(7):
        await budget.spend("listing", {}, SWEEP)
    assert loop.time() - began == pytest.approx(2 * (1 + TRAVEL_S), abs=0.01)
    assert await _spend_all(budget, SWEEP, "cancel") == 1_000


@pytest.mark.looptime
async def test_what_a_reply_tells_is_believed_however_its_name_is_written() -> None:
    budget = Budget((Pool(100.0, 1.0, header="X-Used"),), LoopClock())
    budget.heard({"x-used": "90", "X-Other": "5"})
    assert await _spend_all(budget, ORDINARY) == 10
    budget.heard({"X-USED": "nonsense"})
    budget.heard({"X-Used": "0"})
    assert await _spend_all(budget, ORDINARY) == 100


def test_the_cost_of_a_log_is_that_of_the_rows_it_may_give() -> None:
    history: Pool = krakenfutures.VENUE.pools[0]
    counts = {25: 1, 26: 2, 1_000: 3, 5_000: 6, 5_001: 10}
    assert {count: history.cost("account-log", {"count": count}) for count in counts} == counts


@pytest.mark.looptime
async def test_a_listing_of_a_sweep_waits_where_the_venue_would_refuse_it() -> None:
    """A cancel never does."""
    pools = (Pool(3.0, 1.0, endpoints=frozenset({"listing"}), strict=True), Pool(3.0, 1.0))
    budget = Budget(pools, LoopClock())
    assert await _spend_all(budget, SWEEP, "listing") == 3
    assert await _spend_all(budget, SWEEP, "cancel") == 1_000
    budget.refused("listing")
    began = asyncio.get_running_loop().time()
    await budget.spend("listing", {}, SWEEP)
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, abs=0.01)


def test_a_call_of_one_market_may_cost_less() -> None:
    pool = Pool(100.0, 1.0, default=40.0, narrow={"symbol": 6.0})
    assert (pool.cost("openOrders", {}), pool.cost("openOrders", {"symbol": "X"})) == (40.0, 6.0)


@pytest.mark.looptime(start=1_000_010)
async def test_what_a_venue_counts_by_the_minute_is_full_until_the_next_one_begins() -> None:
    budget = Budget([Pool(180.0, 3.0, default=18.0, header="Used", window_s=60.0)], LoopClock())
    until_next = 60 - asyncio.get_running_loop().time() % 60
    budget.heard({"Used": "180"})
    await pass_time(until_next - 8)
    with pytest.raises(HeldBack, match="no room for 8 s"):
        await budget.spend("history", {}, URGENT)
    await budget.spend("history", {}, SWEEP)
    await pass_time(8)
    assert await _spend_all(budget, ORDINARY, "history") == 10
    assert asyncio.get_running_loop().time() % 60 < 7


@pytest.mark.looptime
async def test_what_is_asked_at_leisure_leaves_half_of_it_and_never_waits() -> None:
    budget = _kraken()
    assert await _spend_all(budget, Urgency.LEISURE) == 4
    assert await _spend_all(budget, ORDINARY) == 5, "all the room that is left to ordinary calls"
    began = asyncio.get_running_loop().time()
    with pytest.raises(HeldBack):
        await budget.spend("TradesHistory", {}, Urgency.LEISURE)
    assert asyncio.get_running_loop().time() == began


@pytest.mark.looptime
async def test_what_is_asked_at_leisure_has_no_place_in_the_queue() -> None:
    budget = _kraken()
    await _spend_all(budget, ORDINARY)
    with pytest.raises(HeldBack):
        await budget.spend("TradesHistory", {}, Urgency.LEISURE)
    pass_s = 1 / KRAKEN[0].decay_per_s
    await asyncio.sleep(pass_s)
    await budget.spend("BalanceEx", {}, ORDINARY)


# --- what people are shown -----------------------------------------------------------------------------


async def test_levels_are_those_of_now() -> None:
    budget = _kraken()
    await budget.spend("BalanceEx", {}, ORDINARY)
    [level] = budget.levels()
    assert (level.name, level.ceiling) == ("others", 15.0)
    assert level.used == pytest.approx(1.0, abs=0.1)


def test_a_pool_is_called_by_its_first_endpoint() -> None:
    assert Pool(1.0, 1.0, endpoints=frozenset({"b", "a", "c"})).name == "a +2"
    assert Pool(1.0, 1.0, endpoints=frozenset({"b"})).name == "b"


@pytest.mark.parametrize("venue", VENUES.values(), ids=lambda venue: str(venue.exchange))
def test_no_two_pools_of_a_venue_have_one_name(venue: Venue) -> None:
    names = [pool.name for pool in venue.pools]
    assert len(names) == len(set(names))
