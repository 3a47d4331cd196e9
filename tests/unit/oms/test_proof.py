from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.base import OrderListing
from oms.proof import AGAIN_MAX_S, JointRound, VenueProof, is_protective, listing_fault
from risk_daemon.errors import InvariantError
from risk_daemon.model.events import Order, Position

SETTLE_S = 2.0


def order(number: int = 1, scope: str = "spot", venue: str = "a", **fields: object) -> Order:
    values = {"symbol": "BTC/USDT", "side": "buy", "order_type": "limit", **fields}
    return Order(venue=venue, scope=scope, order_id=f"o{number}", **values)  # type: ignore[arg-type]


def listing(requested: float, *orders: Order, scope: str = "spot", venue: str = "a") -> OrderListing:
    return OrderListing(venue, scope, requested, orders)


def proof(*scopes: str, venue: str = "a", **settings: object) -> VenueProof:
    return VenueProof(venue, scopes or ("spot",), settle_s=SETTLE_S, started_mono=0.0, **settings)  # type: ignore[arg-type]


def prove(venue: VenueProof, at: float) -> float:
    """Two empty listings of the scope `spot`; when the second was answered."""
    venue.listed(listing(at, venue=venue.venue), at)
    venue.listed(listing(at + SETTLE_S, venue=venue.venue), at + SETTLE_S)
    return at + SETTLE_S


class TestVenueProof:
    def test_two_empty_listings_settle_apart_prove(self) -> None:
        venue = proof()
        venue.listed(listing(0.0), 0.1)
        assert not venue.proven
        venue.listed(listing(0.1 + SETTLE_S), 2.3)
        assert venue.proven
        assert venue.reason is None

    def test_what_is_told_as_listed_is_as_old_as_its_oldest_listing(self) -> None:
        venue = proof("spot", "trigger")
        assert venue.listed_mono is None
        venue.listed(listing(1.0), 1.1)
        assert venue.listed_mono is None, "a scope was never listed"
        venue.listed(listing(2.0, scope="trigger"), 2.1)
        venue.listed(listing(5.0), 5.1)
        assert venue.listed_mono == 2.0
        venue.failed("trigger", "503")
        assert (venue.listed_mono, venue.left) == (2.0, None)

    def test_settle_counts_from_the_answer_of_the_first_to_the_request_of_the_second(self) -> None:
        venue = proof()
        venue.listed(listing(0.0), 1.0)
        venue.listed(listing(2.9), 9.0)
        assert not venue.proven
        assert venue.reason == "spot: listed empty only once"

    def test_every_scope_counts(self) -> None:
        venue = proof("spot", "trigger")
        prove(venue, 0.0)
        assert not venue.proven
        assert venue.reason == "trigger: not listed empty yet"
        venue.listed(listing(0.0, scope="trigger"), 0.0)
        venue.listed(listing(2.0, scope="trigger"), 2.0)
        assert venue.proven

    def test_an_order_in_one_scope_voids_the_others(self) -> None:
        venue = proof("spot", "trigger")
        prove(venue, 0.0)
        venue.listed(listing(2.0, order(scope="trigger"), scope="trigger"), 2.5)
        venue.listed(listing(2.6, scope="trigger"), 2.6)
        venue.listed(listing(4.7, scope="trigger"), 4.7)
        assert not venue.proven
        assert venue.reason == "spot: not listed empty yet"

    def test_a_late_empty_answer_requested_before_an_order_was_seen_is_no_evidence(self) -> None:
        venue = proof("spot", "trigger")
        venue.listed(listing(1.0, order(scope="trigger"), scope="trigger"), 3.0)
        venue.listed(listing(2.9), 5.0)
        venue.listed(listing(7.0), 7.0)
        venue.listed(listing(7.0, scope="trigger"), 7.0)
        venue.listed(listing(9.0, scope="trigger"), 9.0)
        assert not venue.proven  # spot has one empty listing that counts, not two

    def test_a_listing_requested_before_the_cancel_but_answered_late_does_not_prove(self) -> None:
        venue = proof()
        venue.cancelling("spot", (), 5.0)
        venue.cancel_answered("spot", None, 5.1)
        venue.listed(listing(4.9), 6.0)
        venue.listed(listing(8.0), 8.0)
        assert not venue.proven
        venue.listed(listing(10.0), 10.0)
        assert venue.proven

    def test_a_listing_requested_between_a_cancel_and_its_answer_does_not_prove(self) -> None:
        """What the venue is busy cancelling it may hide, and show again when it could not."""
        venue = proof()
        prove(venue, 0.0)
        venue.cancelling("spot", (), 5.0)
        prove(venue, 5.1)  # the first of these is answered before the cancel is, and so is the second
        assert not venue.proven
        venue.listed(listing(7.9), 7.9)
        venue.cancel_answered("spot", None, 8.0)
        venue.listed(listing(7.95), 8.1)
        assert venue.reason == "spot: not listed empty yet"
        prove(venue, 8.2)
        assert venue.proven

    def test_a_cancel_that_was_given_up_counts_as_answered_then(self) -> None:
        venue = proof()
        venue.cancelling("spot", (), 0.0)
        venue.cancel_answered("spot", "no answer within 10 s", 10.0)
        venue.listed(listing(9.0), 10.5)
        venue.listed(listing(12.0), 12.0)
        assert not venue.proven
        venue.listed(listing(14.0), 14.0)
        assert venue.proven

    def test_nothing_requested_before_the_start_is_evidence(self) -> None:
        venue = proof()
        venue.listed(listing(-1.0), 0.5)
        venue.listed(listing(2.5), 2.5)
        assert not venue.proven

    def test_one_failed_look_undoes_no_proof(self) -> None:
        venue = proof()
        at = prove(venue, 0.0)
        venue.failed("spot", "no answer within 10 s")
        assert venue.proven
        assert venue.reason is None
        assert not venue.is_unseen("spot")
        assert venue.due_mono("spot", None) is None  # to be repeated
        venue.listed(listing(at + 1), at + 1)
        venue.failed("spot", "no answer within 10 s")
        assert venue.proven

    def test_one_failed_look_before_the_first_good_one_is_an_alarm(self) -> None:
        venue = proof()
        venue.failed("spot", "no answer within 10 s")
        assert venue.is_unseen("spot")
        assert venue.alarm
        assert venue.reason == "spot: no answer within 10 s"

    def test_a_failed_look_between_the_empty_ones_is_no_alarm(self) -> None:
        venue = proof()
        venue.listed(listing(0.0), 0.0)
        venue.failed("spot", "no answer within 10 s")
        assert not venue.alarm
        assert venue.reason == "spot: listed empty only once"
        venue.listed(listing(2.0), 2.0)
        assert venue.proven

    def test_failed_looks_in_a_row_suspend_the_proof_and_keep_the_evidence(self) -> None:
        venue = proof()
        at = prove(venue, 0.0)
        venue.failed("spot", "no answer within 10 s")
        venue.failed("spot", "no answer within 10 s")
        assert venue.is_unseen("spot")
        assert not venue.proven
        assert venue.alarm
        assert venue.reason == "spot: no answer within 10 s"
        venue.listed(listing(at + 1), at + 1)
        assert venue.proven

    def test_failures_alone_never_prove(self) -> None:
        venue = proof()
        for _ in range(10):
            venue.failed("spot", "MalformedReply: HTML")
        assert not venue.proven

    def test_no_scopes_is_never_proven(self) -> None:
        venue = VenueProof("a", (), settle_s=0.0, started_mono=0.0, without_plan="no order scope for perp")
        assert not venue.proven
        assert venue.alarm
        assert venue.reason == "no order scope for perp"

    def test_settle_of_zero_still_wants_two_listings(self) -> None:
        venue = VenueProof("a", ("spot",), settle_s=0.0, started_mono=0.0)
        venue.listed(listing(0.0), 0.0)
        assert not venue.proven
        venue.listed(listing(0.0), 0.0)
        assert venue.proven

    @pytest.mark.parametrize("bad", [listing(0.0, scope="other"), listing(0.0, venue="b"), listing(9.0)])
    def test_refuses_what_is_no_listing_of_its_scopes(self, bad: OrderListing) -> None:
        with pytest.raises(InvariantError):
            proof().listed(bad, 1.0)


class TestCountingAndNaming:
    def test_orders_of_the_first_look_are_not_replacements_later_ones_are(self) -> None:
        venue = proof()
        assert venue.listed(listing(0.0, order(1)), 0.1).replaced == ()
        found = venue.listed(listing(0.2, order(1), order(2, client_order_id="bot-7")), 0.3)
        assert [replaced.client_order_id for replaced in found.replaced] == ["bot-7"]
        assert venue.listed(listing(0.4, order(2)), 0.5).replaced == ()
        assert [replaced.order_id for replaced in venue.replaced] == ["o2"]

    def test_what_an_older_request_shows_late_is_no_replacement(self) -> None:
        venue = proof()
        venue.listed(listing(1.0), 1.1)
        assert venue.listed(listing(0.5, order(1)), 1.2).replaced == ()

    def test_the_same_id_on_another_symbol_or_in_another_scope_is_another_order(self) -> None:
        venue = proof("spot", "trigger")
        venue.listed(listing(0.0, order(1), order(1, symbol="ETH/USDT")), 0.0)
        venue.listed(listing(0.0, order(1, scope="trigger"), scope="trigger"), 0.0)
        venue.listed(listing(1.0), 1.0)
        assert venue.cancelled == 2
        venue.listed(listing(1.0, scope="trigger"), 1.0)
        assert venue.cancelled == 3

    def test_only_orders_seen_and_gone_count_as_cancelled(self) -> None:
        venue = proof()
        venue.listed(listing(0.0, order(1), order(2)), 0.1)
        assert venue.cancelled == 0
        venue.listed(listing(0.2, order(2)), 0.3)
        assert venue.cancelled == 1

    def test_orders_believed_open_are_counted_and_not_taken_for_new(self) -> None:
        venue = proof(open_before=(order(1), order(2), order(9, scope="elsewhere")))
        venue.listed(listing(0.0), 0.1)
        assert venue.cancelled == 2
        assert venue.listed(listing(0.2, order(1)), 0.3).replaced == ()

    def test_belief_is_no_evidence(self) -> None:
        venue = proof(open_before=())
        assert not venue.proven
        assert venue.reason == "spot: not listed empty yet"

    def test_a_later_sweep_of_the_trip_names_what_the_first_did_not_see(self) -> None:
        first = proof("spot", "trigger")
        first.listed(listing(0.0, order(1)), 0.0)
        assert set(first.known) == {"spot"}
        second = proof("spot", "trigger", known=first.known)
        assert second.swept_before("spot")
        assert not second.swept_before("trigger")
        found = second.listed(listing(9.0, order(1), order(2)), 9.0)
        assert [replaced.order_id for replaced in found.replaced] == ["o2"]
        never_seen = listing(9.0, order(3, scope="trigger"), scope="trigger")
        assert second.listed(never_seen, 9.0).replaced == ()

    def test_a_cancel_without_a_listing_names_what_was_seen_or_believed_open(self) -> None:
        venue = proof(open_before=(order(1), order(2, symbol="ETH/USDT")))
        assert [named.order_id for named in venue.may_be_open("spot")] == ["o1", "o2"]
        venue.listed(listing(1.0, order(3), order(4)), 1.0)
        assert [named.order_id for named in venue.may_be_open("spot")] == ["o3", "o4", "o2"]
        venue.listed(listing(2.0), 2.0)
        assert {named.symbol for named in venue.may_be_open("spot")} == {"BTC/USDT", "ETH/USDT"}
        assert len(venue.may_be_open("spot")) == 2

    def test_a_later_sweep_of_the_trip_names_in_it_what_the_first_saw(self) -> None:
        first = proof()
        first.listed(listing(0.0, order(1)), 0.0)
        second = proof(known=first.known, open_before=(order(2, symbol="ETH/USDT"),))
        assert {named.order_id for named in second.may_be_open("spot")} == {"o1", "o2"}
        assert second.cancelled == 0
        found = second.listed(listing(1.0, order(2, symbol="ETH/USDT")), 1.0)
        assert [replaced.order_id for replaced in found.replaced] == ["o2"]

    def test_an_order_that_outlives_its_cancel_is_an_alarm(self) -> None:
        venue = proof()
        assert not venue.listed(listing(0.0, order(1)), 0.1).stubborn
        assert not venue.alarm
        venue.cancelling("spot", (order(1),), 0.1)
        venue.cancel_answered("spot", "VenueRejected: no permission", 0.2)
        assert venue.listed(listing(0.2, order(1)), 0.3).stubborn
        assert venue.alarm
        assert venue.reason == "spot: orders outlive the cancel (cancel: VenueRejected: no permission)"


class TestProtectiveOrders:
    LONG = Position(symbol="BTC/USDT", quantity=Decimal(2), entry=Decimal(100), settle="USDT", underlying="BTC")
    SHORT = Position(symbol="BTC/USDT", quantity=Decimal(-2), entry=Decimal(100), settle="USDT", underlying="BTC")
    FLAT = Position(symbol="BTC/USDT", quantity=Decimal(0), entry=Decimal(100), settle="USDT", underlying="BTC")

    @pytest.mark.parametrize(
        ("side", "reduce_only", "positions", "protects"),
        [
            ("sell", True, (LONG,), True),
            ("buy", True, (SHORT,), True),
            ("buy", True, (LONG,), False),
            ("sell", False, (LONG,), False),
            ("sell", True, (FLAT,), False),
            ("sell", True, (), False),
            ("sell", True, None, False),
            ("sell", True, (SHORT, LONG), True),
            ("", True, (LONG,), False),
        ],
    )
    def test_only_marked_orders_against_a_known_open_position(
        self, side: str, reduce_only: bool, positions: tuple[Position, ...] | None, protects: bool
    ) -> None:
        assert is_protective(order(side=side, reduce_only=reduce_only), positions) is protects

    def test_another_symbols_position_protects_nothing(self) -> None:
        assert not is_protective(order(symbol="ETH/USDT", side="sell", reduce_only=True), (self.LONG,))

    def test_kept_orders_are_named_and_do_not_block(self) -> None:
        venue, stop = proof(), order(1, side="sell", reduce_only=True)
        venue.listed(listing(0.0, stop), 0.0, lambda o: o.reduce_only)
        venue.listed(listing(2.0, stop), 2.0, lambda o: o.reduce_only)
        assert venue.proven
        assert venue.kept == (stop,)
        assert venue.cancelled == 0

    def test_a_kept_order_whose_position_closed_blocks_again(self) -> None:
        venue, stop = proof(), order(1, side="sell", reduce_only=True)
        venue.listed(listing(0.0, stop), 0.0, lambda _: True)
        venue.listed(listing(2.0, stop), 2.0, lambda _: True)
        venue.listed(listing(3.0, stop), 3.0, lambda _: False)
        assert not venue.proven
        assert venue.kept == ()


class TestJointRound:
    def two(self, not_before: float = 6.0) -> tuple[VenueProof, VenueProof, JointRound]:
        a, b = proof(venue="a"), proof(venue="b")
        return a, b, JointRound({"a": a, "b": b}, not_before_mono=not_before)

    def test_an_empty_round_is_refused(self) -> None:
        with pytest.raises(InvariantError):
            JointRound({}, not_before_mono=0.0)

    def test_waits_for_every_venue_and_for_the_lock_to_age(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        joint.step(7.0)
        assert joint.began_mono is None
        prove(b, 0.0)
        joint.step(5.9)
        assert joint.began_mono is None
        joint.step(6.0)
        assert joint.began_mono == 6.0
        assert not joint.passed

    def test_passes_when_every_scope_was_listed_since_it_began(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        a.listed(listing(6.0), 6.1)
        b.listed(listing(5.9, venue="b"), 6.2)  # requested too early
        joint.step(6.2)
        assert not joint.passed
        b.listed(listing(6.2, venue="b"), 6.3)
        joint.step(6.3)
        assert joint.passed

    def test_any_order_restarts_it(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        a.listed(listing(6.0), 6.1)
        b.listed(listing(6.0, order(venue="b"), venue="b"), 6.1)
        joint.step(6.1)
        assert joint.began_mono is None
        prove(b, 6.2)
        joint.step(11.2)
        assert joint.began_mono == 11.2
        b.listed(listing(11.2, venue="b"), 11.3)
        joint.step(11.3)
        assert not joint.passed  # a was listed empty, but before the order on b was seen
        a.listed(listing(11.4), 11.4)
        joint.step(11.4)
        assert joint.passed

    def test_an_order_between_two_steps_is_not_overlooked(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        b.listed(listing(6.0, venue="b"), 6.0)
        a.listed(listing(6.0, order(1)), 6.1)
        prove(a, 6.2)
        joint.step(11.2)
        assert joint.began_mono == 11.2
        assert not joint.passed

    def test_waits_for_longer_than_an_order_took_to_come(self) -> None:
        """Each may have another behind it, on whichever venue; nobody is waited for without end."""
        a, b, joint = self.two(not_before=0.0)
        opens = []
        for seen, number in ((1.0, 1), (2.0, 2), (60.0, 3)):
            a.listed(listing(seen - 0.2), seen - 0.1)
            a.listed(listing(seen, order(number)), seen)
            prove(a, seen)
            prove(b, seen)
            opens.append(a.arrived_mono)
            joint.step(opens[-1] - 0.01)
            assert joint.began_mono is None
        assert opens == [1.0 + 1.5, 2.0 + 1.5, 60.0 + AGAIN_MAX_S]
        joint.step(opens[-1])
        assert joint.began_mono == opens[-1]

    def test_what_was_open_at_the_first_look_is_not_awaited_again(self) -> None:
        venue = proof()
        venue.listed(listing(1.0, order(1)), 1.0)
        venue.listed(listing(2.0, order(1)), 2.0)
        assert venue.arrived_mono < 0

    def test_a_failed_look_makes_it_wait_and_undoes_nothing(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        a.listed(listing(6.0), 6.0)
        for _ in range(3):
            b.failed("spot", "VenueUnavailable: 503")
            joint.step(6.1)
            assert joint.began_mono == 6.0
            assert not joint.passed
        b.listed(listing(6.2, venue="b"), 6.2)
        joint.step(6.3)
        assert joint.passed

    def test_a_venue_whose_newest_looks_failed_does_not_let_it_pass(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        a.listed(listing(6.0), 6.0)
        a.failed("spot", "VenueUnavailable: 503")
        a.failed("spot", "VenueUnavailable: 503")
        b.listed(listing(6.0, venue="b"), 6.2)
        joint.step(6.2)
        assert not joint.passed

    def test_a_good_listing_from_before_it_began_does_not_count_after_a_failed_look(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        b.failed("spot", "no answer")
        a.listed(listing(6.0), 6.1)
        b.listed(listing(5.9, venue="b"), 6.2)
        joint.step(6.2)
        assert b.proven
        assert not joint.passed

    def test_a_cancel_ends_it(self) -> None:
        a, b, joint = self.two()
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(6.0)
        a.listed(listing(6.0), 6.0)
        a.cancelling("spot", (), 6.1)
        a.cancel_answered("spot", None, 6.2)
        b.listed(listing(6.2, venue="b"), 6.2)
        joint.step(6.3)
        assert joint.began_mono is None

    @pytest.mark.parametrize(("failure", "begins"), [(None, 14.0), ("no answer within 10 s", 15.0)])
    def test_it_waits_for_a_cancel_that_may_still_be_on_its_way(self, failure: str | None, begins: float) -> None:
        venue = proof(flight_s=5.0)
        joint = JointRound({"a": venue}, not_before_mono=6.0)
        venue.cancelling("spot", (), 0.0)
        venue.cancel_answered("spot", failure, 10.0)
        prove(venue, 10.0)
        joint.step(14.0)
        assert joint.began_mono == (14.0 if failure is None else None)
        assert joint.due_mono("a", "spot", 14.0) == begins
        joint.step(15.0)
        assert joint.began_mono == begins

    def test_an_order_seen_after_it_passed_takes_it_back(self) -> None:
        a, b, joint = self.two(not_before=0.0)
        prove(a, 0.0)
        prove(b, 0.0)
        joint.step(2.0)
        a.listed(listing(2.0), 2.0)
        b.listed(listing(2.0, venue="b"), 2.0)
        joint.step(2.0)
        assert joint.passed
        a.listed(listing(2.0, order(1)), 2.1)
        joint.step(2.1)
        assert not joint.passed

    def test_says_when_to_look_next(self) -> None:
        a, b, joint = self.two()
        assert joint.due_mono("a", "spot", 0.0) == 0.0
        a.listed(listing(0.0), 0.5)
        assert joint.due_mono("a", "spot", 0.6) == 0.5 + SETTLE_S
        a.listed(listing(2.5), 2.6)
        joint.step(2.6)
        assert joint.due_mono("a", "spot", 2.6) == 2.6 + 5.0  # b is still at work: watch
        prove(b, 1.0)
        joint.step(3.0)
        assert joint.due_mono("a", "spot", 3.0) == 6.0  # the lock is too young
        joint.step(6.0)
        assert joint.due_mono("a", "spot", 6.0) == 6.0
        a.failed("spot", "no answer")
        joint.step(6.1)
        assert joint.due_mono("a", "spot", 6.1) == 6.1


class TestListingFault:
    def test_a_listing_of_the_scope_has_none(self) -> None:
        assert listing_fault(listing(1.0), "a", "spot", asked_mono=1.0, received_mono=1.0) is None

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [],
            {},
            "<html>",
            listing(1.0, scope="trigger"),
            listing(1.0, venue="b"),
            listing(2.1),
            listing(0.9),
            listing(float("nan")),
        ],
    )
    def test_anything_else_is_told(self, answer: object) -> None:
        assert listing_fault(answer, "a", "spot", asked_mono=1.0, received_mono=2.0)


class TestRanks:
    """A strategy places orders, a trigger becomes a plain order: who lists in the other order can miss both."""

    def joint(self) -> tuple[VenueProof, JointRound]:
        venue = proof("twap", "trigger", "spot", ranks={"twap": 0, "trigger": 1, "spot": 2})
        joint = JointRound({"a": venue}, not_before_mono=0.0)
        for at in (0.0, SETTLE_S + 0.2):
            for scope in ("spot", "trigger", "twap"):
                venue.listed(listing(at, scope=scope), at + 0.1)
        joint.step(3.0)
        assert joint.began_mono == 3.0
        return venue, joint

    def test_what_can_become_another_is_listed_first(self) -> None:
        venue, joint = self.joint()
        assert joint.due_mono("a", "twap", 3.0) <= 3.0
        assert joint.due_mono("a", "trigger", 3.0) > 3.0
        assert joint.due_mono("a", "spot", 3.0) > 3.0
        stage = joint.stage
        venue.listed(listing(3.0, scope="twap"), 3.4)
        assert joint.stage != stage, "whoever waits for it is woken"
        assert joint.due_mono("a", "trigger", 3.4) <= 3.4
        assert joint.due_mono("a", "spot", 3.4) > 3.4

    def test_a_listing_from_before_the_answer_of_the_rank_below_does_not_count(self) -> None:
        venue, joint = self.joint()
        venue.listed(listing(3.0, scope="twap"), 3.4)
        venue.listed(listing(3.3, scope="trigger"), 3.5)  # a child of twap may have come between the two
        venue.listed(listing(3.6, scope="spot"), 3.7)
        joint.step(3.7)
        assert not joint.passed
        venue.listed(listing(3.8, scope="trigger"), 3.9)
        venue.listed(listing(3.85, scope="spot"), 4.0)
        joint.step(4.0)
        assert not joint.passed
        venue.listed(listing(3.9, scope="spot"), 4.1)
        joint.step(4.1)
        assert joint.passed

    def test_a_second_look_at_a_lower_rank_takes_nothing_back(self) -> None:
        venue, joint = self.joint()
        for at, scope in ((3.0, "twap"), (3.2, "trigger"), (3.3, "twap"), (3.4, "spot")):
            venue.listed(listing(at, scope=scope), at + 0.1)
        joint.step(3.5)
        assert joint.passed


class TestCancelsUnderWay:
    def test_a_look_that_would_be_no_evidence_waits_for_the_answer_but_not_for_ever(self) -> None:
        venue = proof("spot", "trigger")
        venue.listed(listing(0.0, scope="trigger"), 0.1)
        venue.cancelling("spot", [order()], 0.2)
        assert venue.due_mono("trigger", None) == 0.1 + 2.0
        assert venue.due_mono("spot", None) is None, "what was never looked at is looked at"
        venue.cancel_answered("spot", None, 0.3)
        assert venue.due_mono("trigger", None) is None


def test_a_venue_of_which_nothing_can_be_proven_is_never_proven() -> None:
    venue = proof(never="it is not known what its listing leaves out")
    prove(venue, 0.0)
    assert not venue.proven
    assert venue.reason == "it is not known what its listing leaves out"
    joint = JointRound({"a": venue}, not_before_mono=0.0)
    joint.step(9.0)
    assert joint.began_mono is None
    assert not joint.passed
