from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from adapters.base import Market, OrderListing, OrderScope
from oms import OrderManager, SweepResult
from oms.order_manager import TELLS_S
from oms.telling import FIRST_STEADY_S
from risk_daemon.errors import MalformedReply, UsageError, VenueUnavailable
from risk_daemon.model.events import (
    Input,
    Order,
    OrderReplaced,
    Position,
    SweepFinished,
    VenueProven,
    VenueSwept,
    VenueUnproven,
)
from tests.unit.oms.fakes import (
    IGNORES_CANCELLATION_S,
    PERP,
    SPOT,
    TRIGGER,
    FakeVenue,
    LoopClock,
    Refusing,
    SelectiveVenue,
    answering,
    hang,
    hang_and_ignore_cancellation,
    raising,
)
from tests.virtual import pass_time

pytestmark = pytest.mark.looptime

LOCK_AGE_S = 6.0  # lease_s + order_flight_s


class Watch:
    """Collects what the manager emits, and looks at the truth whenever a sweep is called proven.

    It notes what it finds instead of raising, because a listener that raises does not stop a sweep.
    """

    false_proofs: ClassVar[list[Order]] = []

    def __init__(self, *venues: FakeVenue) -> None:
        self.events: list[tuple[float, Input]] = []
        self.venues = venues

    def __call__(self, event: Input) -> None:
        self.events.append((asyncio.get_running_loop().time(), event))
        if isinstance(event, SweepFinished) and event.proven:
            self.false_proofs.extend(order for venue in self.venues for order in venue.open_orders)

    def of(self, kind: type[Any], venue: str | None = None) -> list[Any]:
        seen = (event for _, event in self.events if isinstance(event, kind))
        return [event for event in seen if venue is None or event.venue == venue]


@pytest.fixture(autouse=True)
def _nothing_open_is_ever_called_gone() -> Iterator[None]:
    Watch.false_proofs.clear()
    yield
    assert Watch.false_proofs == []


def manage(*venues: FakeVenue, emit: Callable[[Input], None] | None = None, **settings: Any) -> OrderManager:
    """A manager on virtual time with each venue's spot and perp scopes registered."""
    manager = OrderManager(clock=LoopClock(), emit=emit or Watch(*venues), **settings)
    for venue in venues:
        markets = frozenset().union(*(scope.markets for scope in venue.scopes))
        if markets & SPOT.markets:
            manager.add_spot_adapter(venue)
        if markets & PERP.markets:
            manager.add_perp_adapter(venue)
    return manager


class TestHappyPath:
    async def test_cancels_proves_and_tells(self) -> None:
        kraken, futures = FakeVenue("kraken"), FakeVenue("futures", PERP, by_id=True)
        for _ in range(3):
            kraken.place()
            futures.place("perp")
        watch = Watch(kraken, futures)
        result = await manage(kraken, futures, emit=watch).cancel_all_orders(trip_id="t1")
        assert result.proven
        assert result.trip_id == "t1"
        assert result.unproven_reason is None
        assert kraken.open_orders == futures.open_orders == []
        assert result.venues["futures"].cancelled == 3
        assert result.venues["futures"].scopes == ("perp",)
        assert {event.venue for event in watch.of(VenueProven)} == {"kraken", "futures"}
        assert watch.of(VenueUnproven) == []
        assert watch.of(OrderReplaced) == []
        assert watch.of(VenueSwept) == [], "rounds are told of what is not proven"
        assert watch.of(SweepFinished) == [SweepFinished("t1", True, 3, result.elapsed_s)]

    async def test_the_joint_round_waits_for_the_lock_to_age(self) -> None:
        result = await manage(FakeVenue("a")).cancel_all_orders()
        assert result.elapsed_s == pytest.approx(LOCK_AGE_S + 0.05, abs=0.01)
        assert result.venues["a"].proven_s == pytest.approx(0.05 + 0.05 + 2.0 + 0.05, abs=0.01)

    async def test_an_old_lock_costs_no_wait(self) -> None:
        await pass_time(100)
        result = await manage(FakeVenue("a")).cancel_all_orders(locked_mono=50.0)
        assert result.elapsed_s == pytest.approx(2.2, abs=0.01)

    async def test_a_lock_from_another_boot_is_not_waited_for(self) -> None:
        result = await manage(FakeVenue("a")).cancel_all_orders(locked_mono=9e9)
        assert result.elapsed_s == pytest.approx(LOCK_AGE_S + 0.05, abs=0.01)

    async def test_the_cancel_is_the_first_call_everywhere(self) -> None:
        venues = [FakeVenue(f"v{n}", SPOT, TRIGGER) for n in range(5)]
        await manage(*venues).cancel_all_orders()
        for venue in venues:
            assert venue.calls[0] == (0.0, "cancel", "spot", 0)
            assert [verb for _, verb, _, _ in venue.calls[:3]] == ["cancel", "cancel", "list"]

    async def test_every_scope_is_swept(self) -> None:
        venue = FakeVenue("a", SPOT, TRIGGER, PERP, by_id=True)
        for scope in ("spot", "trigger", "perp"):
            venue.place(scope)
        result = await manage(venue).cancel_all_orders()
        assert result.proven
        assert result.venues["a"].cancelled == 3
        assert all("list" in venue.verbs(scope) for scope in ("spot", "trigger", "perp"))

    async def test_orders_known_beforehand_are_counted(self) -> None:
        venue = FakeVenue("a")
        placed = tuple(venue.place() for _ in range(4))
        result = await manage(venue, open_orders=lambda _: placed).cancel_all_orders()
        assert result.cancelled == 4
        assert result.venues["a"].replaced == ()

    async def test_venues_do_not_wait_for_each_other(self) -> None:
        venues = [FakeVenue(f"v{n}", by_id=True) for n in range(20)]
        for venue in venues:
            for _ in range(50):
                venue.place()
        result = await manage(*venues).cancel_all_orders()
        longest_s = max(verdict.proven_s or 1e9 for verdict in result.venues.values())
        calls_s = 4 * 0.05  # cancel (nothing known), list, cancel, list; then settle, list
        assert longest_s <= 1.5 * (calls_s + 0.05) + 2.0


class TestMarkets:
    async def test_spot_and_perp_are_swept_apart(self) -> None:
        both = FakeVenue("both", SPOT, PERP)
        both.place("spot")
        both.place("perp")
        manager = manage(both, emit=lambda _: None)
        result = await manager.cancel_all_spot_orders()
        assert result.venues["both"].scopes == ("spot",)
        assert [order.scope for order in both.open_orders] == ["perp"]
        result = await manager.cancel_all_perp_orders()
        assert result.venues["both"].scopes == ("perp",)
        assert both.open_orders == []

    async def test_an_adapter_added_for_spot_keeps_its_perp_orders(self) -> None:
        both = FakeVenue("both", SPOT, PERP)
        both.place("perp")
        manager = OrderManager(clock=LoopClock())
        manager.add_spot_adapter(both)
        assert (await manager.cancel_all_orders()).proven
        assert len(both.open_orders) == 1

    async def test_no_adapters_is_refused(self) -> None:
        with pytest.raises(UsageError, match="empty sweep proves nothing"):
            await OrderManager().cancel_all_orders()
        with pytest.raises(UsageError, match="perp"):
            await manage(FakeVenue("a")).cancel_all_perp_orders()

    async def test_a_venue_without_a_path_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no order scope for perp"):
            OrderManager().add_perp_adapter(FakeVenue("a", SPOT))

    async def test_two_venues_of_one_name_are_refused(self) -> None:
        manager = manage(FakeVenue("a"))
        with pytest.raises(UsageError, match="two adapters"):
            manager.add_spot_adapter(FakeVenue("a"))

    async def test_two_scopes_of_one_name_are_refused(self) -> None:
        with pytest.raises(UsageError, match="share a name"):
            OrderManager().add_spot_adapter(FakeVenue("a", SPOT, SPOT))

    async def test_a_venue_that_loses_its_scopes_is_unproven_and_the_others_go_on(self) -> None:
        lost, good = FakeVenue("lost"), FakeVenue("good")
        manager = manage(lost, good, cancel_deadline_s=30.0)
        lost.scopes = ()
        result = await manager.cancel_all_orders()
        assert not result.proven
        assert "no order scope" in str(result.venues["lost"].unproven_reason)
        assert result.venues["good"].proven

    @pytest.mark.parametrize(
        "settings",
        [
            {"protective_orders": "leave"},
            {"protective_orders": "keep"},
            {"settle_s": -1.0},
            {"cancel_deadline_s": float("inf")},
            {"call_timeout_s": float("nan")},
        ],
    )
    async def test_odd_settings_are_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            OrderManager(**settings)


class TestWhatNeverProves:
    async def unproven(self, venue: FakeVenue, **settings: Any) -> tuple[SweepResult, Watch]:
        watch = Watch(venue)
        manager = manage(venue, emit=watch, cancel_deadline_s=60.0, **settings)
        result = await manager.cancel_all_orders(trip_id="t")
        assert not result.proven
        assert not result.venues[venue.name].proven
        assert watch.of(SweepFinished)[-1].proven is False
        assert watch.of(VenueUnproven)[-1].reason == result.venues[venue.name].unproven_reason
        assert watch.of(VenueProven) == []
        assert result.elapsed_s == pytest.approx(60.0 - TELLS_S, abs=0.01)
        return result, watch

    async def test_an_acknowledged_cancel_that_cancels_nothing(self) -> None:
        venue = FakeVenue("a")
        venue.place()
        venue.acknowledges_only = True
        result, _ = await self.unproven(venue)
        assert "outlive the cancel" in str(result.unproven_reason)

    @pytest.mark.parametrize(
        "error",
        [
            MalformedReply("HTML"),
            VenueUnavailable("503"),
            TypeError("NoneType"),
            KeyError("open"),
            asyncio.CancelledError(),
        ],
    )
    async def test_a_look_that_raises(self, error: BaseException) -> None:
        venue = FakeVenue("a")
        venue.on_list["spot"] = raising(error)  # type: ignore[arg-type]
        result, watch = await self.unproven(venue)
        assert type(error).__name__ in str(result.unproven_reason) or "cancelled" in str(result.unproven_reason)
        assert len(watch.of(VenueUnproven)) == 2  # once when it failed, once at the end

    @pytest.mark.parametrize(
        "answer", [[], {}, "<html>", OrderListing("a", "other", 0.0, ()), OrderListing("a", "spot", 9e9, ())]
    )
    async def test_an_answer_that_is_no_listing(self, answer: object) -> None:
        venue = FakeVenue("a")
        venue.on_list["spot"] = answering(answer)
        await self.unproven(venue)

    async def test_an_old_listing_given_again_and_again(self) -> None:
        venue = FakeVenue("a")
        venue.on_list["spot"] = answering(OrderListing("a", "spot", 0.0, ()))
        await self.unproven(venue)

    async def test_a_call_that_hangs(self) -> None:
        venue = FakeVenue("a")
        venue.on_list["spot"] = hang
        result, _ = await self.unproven(venue)
        assert result.unproven_reason == "a: spot: no answer within 10 s"

    async def test_one_scope_that_fails_while_the_others_are_cancelled(self) -> None:
        venue = FakeVenue("a", SPOT, TRIGGER)
        venue.place("spot")
        venue.place("trigger")
        venue.on_list["trigger"] = venue.on_cancel["trigger"] = raising(TypeError("odd"))
        result, _ = await self.unproven(venue)
        assert [order.scope for order in venue.open_orders] == ["trigger"]
        assert str(result.unproven_reason).startswith("a: trigger:")

    async def test_one_scope_that_hangs_while_the_others_are_cancelled(self) -> None:
        venue = FakeVenue("a", TRIGGER, SPOT)
        venue.place("spot")
        venue.on_list["trigger"] = venue.on_cancel["trigger"] = hang
        await self.unproven(venue)
        assert venue.open_orders == []
        assert venue.verbs("spot").count("list") >= 2


class TestOneVenueNeverDelaysAnother:
    @pytest.mark.parametrize("fault", [hang, hang_and_ignore_cancellation, raising(RuntimeError("bug"))])
    async def test_whatever_it_does(self, fault: Callable[[], Any]) -> None:
        dead, good = FakeVenue("dead"), FakeVenue("good")
        good.place()
        dead.on_list["spot"] = dead.on_cancel["spot"] = fault
        watch = Watch(good)
        manager = manage(dead, good, emit=watch, cancel_deadline_s=30.0)
        result = await manager.cancel_all_orders()
        assert result.elapsed_s == pytest.approx(30.0 - TELLS_S, abs=0.01)
        assert not result.proven
        assert not result.venues["dead"].proven
        assert result.venues["good"].proven
        assert result.venues["good"].proven_s == pytest.approx(2.15, abs=0.01)
        assert good.open_orders == []
        await asyncio.sleep(IGNORES_CANCELLATION_S)

    async def test_a_dead_venue_that_comes_back_lets_the_joint_round_pass(self) -> None:
        dead, good = FakeVenue("dead"), FakeVenue("good")
        dead.place()
        dead.on_list["spot"] = dead.on_cancel["spot"] = raising(VenueUnavailable("refused"))

        async def revive() -> None:
            await pass_time(40)
            dead.on_list.clear()
            dead.on_cancel.clear()

        reviving = asyncio.create_task(revive())
        result = await manage(dead, good).cancel_all_orders()
        await reviving
        assert result.proven
        assert 40 < result.elapsed_s < 50

    async def test_retry_after_is_obeyed_by_all_scopes_of_the_venue(self) -> None:
        venue = FakeVenue("a", SPOT, TRIGGER)
        venue.on_list["spot"] = raising(VenueUnavailable("429", retry_after_s=20.0))
        manager = manage(venue, cancel_deadline_s=60.0)
        await manager.cancel_all_orders()
        asked = [at for at, verb, scope, _ in venue.calls if (verb, scope) == ("list", "spot")]
        assert len(asked) == 3
        for at in asked:
            assert not [call for call in venue.calls if at < call[0] < at + 20.0 - 1e-6]

    @pytest.mark.parametrize("wish", [None, -5.0, float("nan"), float("inf")])
    async def test_an_odd_retry_after_is_not_waited_for(self, wish: float | None) -> None:
        venue = FakeVenue("a")
        venue.on_list["spot"] = raising(VenueUnavailable("429", retry_after_s=wish))
        await manage(venue, cancel_deadline_s=10.0).cancel_all_orders()
        assert venue.verbs("spot").count("list") >= 5

    async def test_rounds_back_off(self) -> None:
        """In each the listing is asked for twice, and then everything is cancelled unseen."""
        venue = FakeVenue("a")
        venue.on_list["spot"] = raising(VenueUnavailable("refused"))
        await manage(venue, cancel_deadline_s=30.0).cancel_all_orders()
        asked = [at for at, verb, _, _ in venue.calls if verb == "list"]
        gaps = [round(later - at, 2) for at, later in itertools.pairwise(asked)]
        assert gaps[1:14:2] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
        assert set(gaps[::2]) == {0.0}
        assert venue.verbs("spot")[:7] == ["cancel", "list", "list", "cancel", "list", "list", "cancel"]

    @pytest.mark.parametrize("verb", ["list", "cancel"])
    async def test_a_retry_after_of_a_day_is_obeyed_for_30_s(self, verb: str) -> None:
        venue = FakeVenue("a")
        venue.place()
        faults = venue.on_list if verb == "list" else venue.on_cancel
        faults["spot"] = Refusing(lambda call: call == 1, wish_s=86_400.0)
        result = await manage(venue).cancel_all_orders()
        assert result.proven
        refused_s = next(at for at, name, _, _ in venue.calls if name == verb)
        assert not [at for at, *_ in venue.calls if refused_s < at < refused_s + 30.0 - 1e-6]
        assert result.elapsed_s < 40.0


class TestBrokenListings:
    """A cancel that needs no listing is sent in every round, whatever the listings say."""

    def broken(self, venue: FakeVenue, until_s: float) -> None:
        async def fault() -> None:
            if asyncio.get_running_loop().time() < until_s:
                raise MalformedReply("<html>")

        for scope in venue.scopes:
            venue.on_list[scope.name] = fault

    async def test_one_failed_cancel_leaves_nothing_standing(self) -> None:
        venue = FakeVenue("a")
        venue.place()
        self.broken(venue, until_s=40.0)
        venue.on_cancel["spot"] = Refusing(lambda call: call == 1)
        sweeping = asyncio.create_task(manage(venue).cancel_all_orders())
        await pass_time(1.0)
        assert venue.open_orders == []
        assert (await sweeping).proven

    @pytest.mark.parametrize("scopes", [(SPOT,), (SPOT, TRIGGER)])
    async def test_what_is_placed_meanwhile_goes_with_the_next_round(self, scopes: tuple[OrderScope, ...]) -> None:
        venue = FakeVenue("a", *scopes)
        self.broken(venue, until_s=100.0)
        sweeping = asyncio.create_task(manage(venue).cancel_all_orders())
        for _ in range(12):
            placed = [venue.place(scope.name) for scope in scopes]
            await pass_time(6.0)  # the longest pause, and the calls of a round
            assert not [order for order in placed if order in venue.open_orders]
            await pass_time(1.3)
        result = await sweeping
        assert result.proven
        assert 100.0 < result.elapsed_s < 115.0

    async def test_by_id_what_was_seen_or_believed_open_is_sent_again(self) -> None:
        venue = FakeVenue("a", by_id=True)
        believed, seen = venue.place(), venue.place()
        venue.acknowledges_only = True
        manager = manage(venue, open_orders=lambda _: (believed,))
        sweeping = asyncio.create_task(manager.cancel_all_orders())
        await pass_time(1.0)
        self.broken(venue, until_s=60.0)
        venue.acknowledges_only = False
        await pass_time(6.0)
        assert seen not in venue.open_orders
        assert believed not in venue.open_orders
        assert (await sweeping).proven

    async def test_by_id_the_first_cancel_names_what_is_believed_open(self) -> None:
        venue = FakeVenue("a", by_id=True)
        believed = venue.place()
        self.broken(venue, until_s=60.0)
        await manage(venue, open_orders=lambda _: (believed,), cancel_deadline_s=5.0).cancel_all_orders()
        assert venue.calls[0] == (0.0, "cancel", "spot", 1)
        assert venue.open_orders == []

    @pytest.mark.parametrize(("refused", "late_s"), [((2, 4), 0.0), ((2, 3, 5, 6), 0.25)])
    async def test_one_failed_look_sends_no_cancel_and_undoes_nothing(
        self, refused: tuple[int, ...], late_s: float
    ) -> None:
        """Between the two empty ones, and in the joint round; whether its second try fails, too, or not."""
        venue = FakeVenue("a")
        venue.on_list["spot"] = Refusing(lambda call: call in refused)
        watch = Watch(venue)
        result = await manage(venue, emit=watch).cancel_all_orders()
        assert result.proven
        assert venue.verbs("spot") == ["cancel", *["list"] * (3 + len(refused))]
        assert result.elapsed_s == pytest.approx(LOCK_AGE_S + 0.05 + late_s, abs=0.01)
        assert watch.of(VenueUnproven) == []
        assert len(watch.of(VenueProven)) == 1

    async def test_listings_that_work_are_followed_by_no_cancel(self) -> None:
        venue = FakeVenue("a", SPOT, TRIGGER)
        await manage(venue, order_flight_s=60.0).cancel_all_orders()
        assert venue.verbs("spot").count("cancel") == venue.verbs("trigger").count("cancel") == 1

    async def test_nothing_unseen_reaches_what_is_to_be_kept(self) -> None:
        venue = SelectiveVenue("a", PERP)
        stop = venue.place("perp", symbol="BTC/USDT:USDT", side="sell", reduce_only=True)
        self.broken(venue, until_s=60.0)
        long = Position(
            symbol="BTC/USDT:USDT", quantity=Decimal(1), entry=Decimal(100), settle="USDT", underlying="BTC"
        )
        keep = {"protective_orders": "keep", "positions": lambda _: (long,)}
        result = await manage(venue, emit=lambda _: None, **keep).cancel_all_orders()
        assert result.proven
        assert venue.open_orders == [stop]
        assert {verb for _, verb, _, _ in venue.calls} == {"list"}

    async def test_a_kept_venue_whose_looks_fail_now_and_then_is_proven(self) -> None:
        """Nothing is cancelled unseen there, so its evidence stands through any number of failed looks."""
        venue = SelectiveVenue("a", PERP)
        venue.on_list["perp"] = Refusing(lambda call: call % 3 != 0)
        result = await manage(venue, protective_orders="keep", positions=lambda _: ()).cancel_all_orders()
        assert result.proven
        assert result.elapsed_s < 15.0

    async def test_a_later_sweep_of_a_trip_looks_first_and_cancels_unseen_if_it_can_not(self) -> None:
        venue = FakeVenue("a")
        manager = manage(venue)
        await manager.cancel_all_orders(trip_id="freeze")
        calls = len(venue.calls)
        venue.place()
        self.broken(venue, until_s=asyncio.get_running_loop().time() + 20.0)
        sweeping = asyncio.create_task(manager.cancel_all_orders(trip_id="freeze"))
        await pass_time(1.0)
        assert [verb for _, verb, _, _ in venue.calls[calls : calls + 3]] == ["list", "list", "cancel"]
        assert venue.open_orders == []
        assert (await sweeping).proven


class TestFlapping:
    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("scopes", [(SPOT,), (SPOT, TRIGGER), (SPOT, TRIGGER, PERP)])
    @pytest.mark.parametrize("by_id", [False, True])
    async def test_every_second_call_refused_is_proven_all_the_same(
        self, first: int, scopes: tuple[OrderScope, ...], by_id: bool
    ) -> None:
        venue, calm = FakeVenue("a", *scopes, by_id=by_id), FakeVenue("calm")
        refusing = Refusing(lambda call: call % 2 == first)
        for scope in scopes:
            venue.place(scope.name)
            venue.on_list[scope.name] = venue.on_cancel[scope.name] = refusing
        watch = Watch(venue, calm)
        result = await manage(venue, calm, emit=watch).cancel_all_orders()
        assert result.proven
        assert result.elapsed_s < 15.0
        assert len(watch.of(VenueUnproven)) <= 1

    async def test_what_flaps_is_told_a_few_times_and_then_with_a_count(self) -> None:
        """Each look fails, for a reason of its own, or shows orders, or nothing: for five minutes."""
        venue, dead = FakeVenue("a"), FakeVenue("dead")
        dead.on_list["spot"] = raising(VenueUnavailable("refused"))
        looks = itertools.count()

        async def flap() -> None:
            number = next(looks)
            if number % 7 in (2, 3):
                raise VenueUnavailable(f"request {number}")
            venue.book["spot"].clear()
            if number % 7 == 5:
                venue.place()

        venue.on_list["spot"] = flap
        watch = Watch(venue, dead)
        manager = manage(venue, dead, emit=watch, settle_s=0.2, cancel_deadline_s=300.0)
        assert not (await manager.cancel_all_orders()).proven
        told = [*watch.of(VenueUnproven, "a"), *watch.of(VenueProven, "a")]
        assert next(looks) > 100
        assert len(told) <= 10
        assert sum(event.changes for event in told) > 20


class TestRounds:
    async def test_each_round_says_what_was_cancelled_and_what_is_left(self) -> None:
        """One order goes every ten seconds, whatever is sent; the rest outlives each cancel."""
        venue = FakeVenue("a", SPOT, TRIGGER)
        for _ in range(4):
            venue.place()

        async def deaf() -> None:
            gone = int(asyncio.get_running_loop().time() // 10)
            while len(venue.book["spot"]) > max(0, 4 - gone):
                venue.book["spot"].popitem()
            raise VenueUnavailable("busy")

        venue.on_cancel["spot"] = deaf
        watch = Watch(venue)
        result = await manage(venue, emit=watch).cancel_all_orders(trip_id="t1")
        assert result.proven
        rounds = watch.of(VenueSwept)
        assert 5 <= len(rounds) <= 10
        assert {(one.venue, one.trip_id) for one in rounds} == {("a", "t1")}
        assert all(one.cancelled + one.left == 4 for one in rounds)
        assert [one.left for one in rounds] == sorted((one.left for one in rounds), reverse=True)
        assert {one.left for one in rounds} >= {4, 3, 2, 1}
        assert [one.rounds for one in rounds] == sorted({one.rounds for one in rounds})
        assert "orders outlive the cancel" in rounds[0].reason
        assert rounds[0].elapsed_s >= FIRST_STEADY_S

    async def test_what_is_not_listed_is_not_known_to_be_left_and_is_told_ever_more_seldom(self) -> None:
        venue, good = FakeVenue("a", SPOT, TRIGGER), FakeVenue("good")
        venue.place()
        venue.on_list["spot"] = hang
        watch = Watch(venue, good)
        result = await manage(venue, good, emit=watch, cancel_deadline_s=300.0, call_timeout_s=3.0).cancel_all_orders()
        assert not result.proven
        rounds = watch.of(VenueSwept)
        assert {(one.venue, one.cancelled, one.left) for one in rounds} == {("a", 0, None)}
        assert 5 <= len(rounds) <= 9
        assert rounds[-1].elapsed_s > 180.0

    async def test_what_flaps_fills_no_log(self) -> None:
        venue, looks = FakeVenue("a"), itertools.count()

        async def flap() -> None:
            number = next(looks)
            venue.book["spot"].clear()
            if number % 2:
                venue.place()
            if number % 5 == 0:
                raise VenueUnavailable(f"request {number}")

        venue.on_list["spot"] = flap
        watch = Watch(venue)
        await manage(venue, emit=watch, settle_s=0.2, cancel_deadline_s=300.0).cancel_all_orders()
        assert next(looks) > 100
        told_at = [at for at, event in watch.events if isinstance(event, VenueSwept)]
        assert all(later - at >= FIRST_STEADY_S for at, later in itertools.pairwise(told_at))


class TestBotsThatGoOn:
    async def bot(self, venue: FakeVenue, until_s: float, every_s: float = 0.3) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            venue.place(bot="grid-bot")
            await asyncio.sleep(every_s)

    @pytest.mark.parametrize("by_id", [False, True])
    async def test_a_bot_that_keeps_placing_orders_is_named_and_outlasted(self, by_id: bool) -> None:
        venue, calm = FakeVenue("a", by_id=by_id), FakeVenue("calm")
        watch = Watch(venue, calm)
        trading = asyncio.create_task(self.bot(venue, until_s=50.0))
        result = await manage(venue, calm, emit=watch).cancel_all_orders(trip_id="t")
        await trading
        assert result.proven
        assert result.elapsed_s > 50.0
        assert venue.open_orders == []
        named = watch.of(OrderReplaced)
        assert {event.order.client_order_id for event in named} == {"grid-bot"}
        assert {event.trip_id for event in named} == {"t"}
        assert len({event.order.order_id for event in named}) == len(named)
        assert result.venues["a"].replaced == tuple(event.order for event in named)

    async def test_a_bot_that_never_stops_is_never_proven(self) -> None:
        venue = FakeVenue("a")
        watch = Watch(venue)
        trading = asyncio.create_task(self.bot(venue, until_s=200.0))
        result = await manage(venue, emit=watch, cancel_deadline_s=100.0).cancel_all_orders()
        trading.cancel()
        assert not result.proven
        assert watch.of(VenueProven) == []
        assert len(venue.open_orders) <= 20  # they are still cancelled all the time

    async def test_an_order_on_a_proven_venue_while_another_works_restarts(self) -> None:
        quick, slow = FakeVenue("quick"), FakeVenue("slow")
        slow.on_list["spot"] = raising(VenueUnavailable("refused"))
        watch = Watch(quick, slow)

        async def interfere() -> None:
            await pass_time(15)
            quick.place(bot="late-bot")
            await pass_time(10)
            assert quick.open_orders == []  # not left standing until the slow venue is done
            slow.on_list.clear()

        interfering = asyncio.create_task(interfere())
        result = await manage(quick, slow, emit=watch).cancel_all_orders()
        await interfering
        assert result.proven
        assert [event.order.client_order_id for event in watch.of(OrderReplaced)] == ["late-bot"]
        assert len(watch.of(VenueProven, "quick")) == 2
        assert [event.reason for event in watch.of(VenueUnproven, "quick")] == ["spot: orders are open"]
        assert result.venues["quick"].cancelled == 1

    async def test_an_order_sent_under_the_last_lease_is_found_by_the_joint_round(self) -> None:
        venue, other = FakeVenue("a"), FakeVenue("b")
        watch = Watch(venue, other)

        async def arrive() -> None:
            await pass_time(5.9)
            venue.place(bot="in-flight")

        arriving = asyncio.create_task(arrive())
        result = await manage(venue, other, emit=watch).cancel_all_orders()
        await arriving
        assert result.proven
        assert [event.order.client_order_id for event in watch.of(OrderReplaced)] == ["in-flight"]
        last_look = {v.name: max(at for at, verb, _, _ in v.calls if verb == "list") for v in (venue, other)}
        seen_s = next(at for at, event in watch.events if isinstance(event, OrderReplaced))
        assert min(last_look.values()) > seen_s

    async def test_a_listing_answered_late_does_not_prove(self) -> None:
        """The venue answers from a moment before the order arrived, and takes its time."""
        venue = FakeVenue("a", SPOT, TRIGGER)
        watch = Watch(venue)
        loop = asyncio.get_running_loop()

        async def slow_but_honest() -> OrderListing:
            requested_mono = loop.time()
            orders = tuple(venue.book["trigger"].values())
            await pass_time(8.0)
            return OrderListing("a", "trigger", requested_mono, orders)

        async def interfere() -> None:
            await pass_time(20.0)
            venue.place("trigger", bot="late-bot")

        venue.on_list["trigger"] = slow_but_honest
        interfering = asyncio.create_task(interfere())
        result = await manage(venue, emit=watch, order_flight_s=25.0).cancel_all_orders()
        await interfering
        assert result.proven
        assert venue.open_orders == []


class TestProtectiveOrders:
    LONG = Position(symbol="BTC/USDT:USDT", quantity=Decimal(1), entry=Decimal(100), settle="USDT", underlying="BTC")

    def book(self) -> tuple[SelectiveVenue, Order]:
        venue = SelectiveVenue("a", PERP)
        stop = venue.place("perp", symbol="BTC/USDT:USDT", side="sell", reduce_only=True)
        venue.place("perp", symbol="BTC/USDT:USDT", side="buy")
        venue.place("perp", symbol="ETH/USDT:USDT", side="sell", reduce_only=True)
        return venue, stop

    async def test_kept_where_the_position_is_known(self) -> None:
        venue, stop = self.book()
        events: list[Input] = []
        manager = manage(venue, emit=events.append, protective_orders="keep", positions=lambda _: (self.LONG,))
        result = await manager.cancel_all_orders()
        assert result.proven
        assert venue.open_orders == [stop]
        assert result.venues["a"].kept == (stop,)
        assert result.venues["a"].cancelled == 2
        assert next(event for event in events if isinstance(event, VenueProven)).kept == (stop,)
        assert "cancel" not in venue.verbs("perp")

    @pytest.mark.parametrize("positions", [None, ()])
    async def test_not_kept_where_the_position_is_unknown_or_closed(self, positions: tuple[()] | None) -> None:
        venue, _ = self.book()
        result = await manage(venue, protective_orders="keep", positions=lambda _: positions).cancel_all_orders()
        assert result.proven
        assert venue.open_orders == []

    async def test_not_kept_when_asking_for_positions_fails(self) -> None:
        venue, _ = self.book()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        def positions(_venue: str) -> tuple[Position, ...]:
            raise RuntimeError("no portfolio")

        result = await manage(venue, protective_orders="keep", positions=positions).cancel_all_orders()
        assert result.proven
        assert venue.open_orders == []

    async def test_cancelled_by_default(self) -> None:
        venue, _ = self.book()
        result = await manage(venue, positions=lambda _: (self.LONG,)).cancel_all_orders()
        assert result.proven
        assert venue.open_orders == []
        assert result.venues["a"].kept == ()

    async def test_refused_for_a_venue_that_cancels_whole_scopes_only(self) -> None:
        with pytest.raises(UsageError, match="whole scope"):
            manage(FakeVenue("a", PERP), protective_orders="keep", positions=lambda _: ())

    async def test_spot_is_cancelled_at_once_all_the_same(self) -> None:
        venue = FakeVenue("a", SPOT)
        venue.place()
        await manage(venue, protective_orders="keep", positions=lambda _: ()).cancel_all_orders()
        assert venue.verbs("spot")[0] == "cancel"

    async def test_a_shared_scope_of_a_spot_only_account_is_spot(self) -> None:
        venue = FakeVenue("a", OrderScope("account", frozenset({Market.SPOT, Market.MARGIN})))
        venue.markets = frozenset({Market.SPOT})
        manage(venue, protective_orders="keep", positions=lambda _: ())
        venue.markets = frozenset({Market.SPOT, Market.MARGIN})
        with pytest.raises(UsageError, match="whole scope"):
            manage(venue, protective_orders="keep", positions=lambda _: ())


class TestCallersAndTrips:
    async def test_a_cancelled_caller_does_not_cancel_the_sweep(self) -> None:
        venue = FakeVenue("a", by_id=True)
        venue.place()
        watch = Watch(venue)
        manager = manage(venue, emit=watch)
        caller = asyncio.create_task(manager.cancel_all_orders(trip_id="t"))
        await pass_time(0.06)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert len(venue.open_orders) == 1
        result = await manager.cancel_all_orders(trip_id="t")  # joins what goes on
        assert result.proven
        assert venue.open_orders == []
        assert len(watch.of(SweepFinished)) == 1
        assert len([call for call in venue.calls if call[1:] == ("cancel", "spot", 0)]) == 1

    async def test_an_outer_timeout_does_not_cancel_the_sweep(self) -> None:
        venue = FakeVenue("a", by_id=True)
        venue.place()
        watch = Watch(venue)
        manager = manage(venue, emit=watch)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.06):
                await manager.cancel_all_orders()
        await pass_time(20)
        assert venue.open_orders == []
        assert [event.proven for event in watch.of(SweepFinished)] == [True]

    async def test_stop_ends_it_unproven(self) -> None:
        venue = FakeVenue("a")
        watch = Watch(venue)
        manager = manage(venue, emit=watch)
        caller = asyncio.create_task(manager.cancel_all_orders())
        await pass_time(1.0)
        await manager.stop()
        result = await caller
        assert not result.proven
        assert result.elapsed_s == pytest.approx(1.0)
        assert [event.proven for event in watch.of(SweepFinished)] == [False]
        calls = len(venue.calls)
        await pass_time(60)
        assert len(venue.calls) == calls

    async def test_stop_does_not_wait_for_a_client_that_ignores_it(self) -> None:
        venue = FakeVenue("a")
        venue.on_cancel["spot"] = hang_and_ignore_cancellation
        manager = manage(venue)
        caller = asyncio.create_task(manager.cancel_all_orders())
        await pass_time(1.0)
        await manager.stop()
        assert (await caller).elapsed_s == pytest.approx(1.0)
        await asyncio.sleep(IGNORES_CANCELLATION_S)

    async def test_stop_with_nothing_running(self) -> None:
        await manage(FakeVenue("a")).stop()

    async def test_calls_for_one_trip_join_and_another_trip_does_not_wait(self) -> None:
        venue = FakeVenue("a")
        watch = Watch(venue)
        manager = manage(venue, emit=watch)
        first, joined, other = await asyncio.gather(
            manager.cancel_all_orders(trip_id="t1"),
            manager.cancel_all_orders(trip_id="t1"),
            manager.cancel_all_orders(trip_id="t2"),
        )
        assert first is joined
        assert other.trip_id == "t2"
        assert other.proven
        assert sorted(event.trip_id for event in watch.of(SweepFinished)) == ["t1", "t2"]

    async def test_holding_down_names_what_came_between_two_sweeps(self) -> None:
        venue = FakeVenue("a")
        venue.place(bot="before")
        watch = Watch(venue)
        manager = manage(venue, emit=watch)
        await manager.cancel_all_orders(trip_id="freeze", locked_mono=0.0)
        assert watch.of(OrderReplaced) == []
        calls = len(venue.calls)
        venue.place(bot="stubborn-bot")
        result = await manager.cancel_all_orders(trip_id="freeze", locked_mono=0.0)
        assert result.proven
        assert venue.calls[calls][1] == "list"  # a later sweep of the same trip looks first
        assert [event.order.client_order_id for event in watch.of(OrderReplaced)] == ["stubborn-bot"]

    async def test_a_scope_never_seen_by_the_first_sweep_is_cancelled_first_and_not_named(self) -> None:
        venue = FakeVenue("a", by_id=True)
        venue.place(bot="before")
        venue.on_list["spot"] = raising(VenueUnavailable("refused"))
        watch = Watch(venue)
        manager = manage(venue, emit=watch, cancel_deadline_s=10.0)
        assert not (await manager.cancel_all_orders(trip_id="t")).proven
        venue.on_list.clear()
        calls = len(venue.calls)
        assert (await manager.cancel_all_orders(trip_id="t")).proven
        assert venue.calls[calls][1] == "cancel"
        assert watch.of(OrderReplaced) == []

    async def test_old_trips_are_forgotten(self) -> None:
        venue = FakeVenue("a")
        manager = manage(venue)
        for number in range(6):
            await manager.cancel_all_orders(trip_id=f"t{number}")
        calls = len(venue.calls)
        await manager.cancel_all_orders(trip_id="t0")
        assert venue.calls[calls][1] == "cancel"

    async def test_snapshot_shows_the_sweep_as_it_stands(self) -> None:
        quick, dead = FakeVenue("quick"), FakeVenue("dead")
        dead.on_list["spot"] = raising(VenueUnavailable("refused"))
        manager = manage(quick, dead)
        assert manager.snapshot() == {}
        caller = asyncio.create_task(manager.cancel_all_orders())
        await pass_time(5)
        assert manager.snapshot()["quick"].proven
        assert manager.snapshot()["quick"].first_cancel_s == 0.0
        listed_mono = manager.snapshot()["quick"].listed_mono
        assert listed_mono is not None
        assert manager.snapshot()["quick"].open == 0
        assert (manager.snapshot()["dead"].listed_mono, manager.snapshot()["dead"].open) == (None, None)
        assert (manager.snapshot()["quick"].failing, manager.snapshot()["dead"].failing) == (False, True)
        assert "refused" in str(manager.snapshot()["dead"].unproven_reason)
        await manager.stop()
        await caller

    async def test_a_listener_that_raises_does_not_stop_the_sweep(self) -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

        def listener(_event: Input) -> None:
            raise RuntimeError("inbox is full")

        assert (await manage(FakeVenue("a"), emit=listener).cancel_all_orders()).proven
        assert {str(error) for error in told} == {"inbox is full"}

    async def test_unreadable_open_orders_cost_only_the_count(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        def open_orders(_venue: str) -> tuple[Order, ...]:
            raise RuntimeError("no view")

        assert (await manage(FakeVenue("a"), open_orders=open_orders).cancel_all_orders()).proven


@pytest.mark.looptime(False)
def test_importing_the_order_manager_does_not_import_ccxt() -> None:
    code = "import sys, oms; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
