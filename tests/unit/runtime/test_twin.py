"""Two guards: what each says, what it heeds, and when it may open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from risk_daemon.engine.peers_told import PeersTold
from risk_daemon.engine.trip import Trip
from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import Restraint
from risk_daemon.model.events import BoardSeen, Input, LeaseSeen, PeerSeen, StandingTold, TrippedElsewhere
from risk_daemon.runtime.twin import (
    ClockWatch,
    Twin,
    TwinSettings,
    heeded,
    lease_of,
    seen_of,
    standing_of,
    trips_of,
    wants_to_open,
)
from risk_daemon.state.board.base import UNREADABLE, Answer, Known, Standing
from tests.unit.oms.fakes import LoopClock

KRAKEN, BYBIT = "kraken (kraken, live, spot)", "bybit (bybit, live, perp)"
SETTINGS = TwinSettings(name="a", guarded=(KRAKEN,))
CLEAR = Standing(locked=False, guarded=(KRAKEN,))
TRIPPED = replace(CLEAR, locked=True, cause="capital_loss", reason="lost 5 %", trip_id="trip-b-1")
MORE = replace(CLEAR, guarded=(BYBIT, KRAKEN))
HELD = Answer(
    epoch=4,
    words=90,
    at_s=7_000.0,
    holder="a",
    is_ours=True,
    is_taken=False,
    is_settled=True,
    before=None,
    others={"b": CLEAR},
    unnamed={},
    said_s={"b": 0.5},
)

HALT = Restraint("manual_halt", "night", trip_id="trip-1")
FREEZE = Restraint("daily_loss", "3 %", trip_id="trip-2", until_wall=99.0)
VETO = Restraint("drawdown", "too deep")
OF_ONE_BOT = Restraint("manual_halt", "a bot", bot="grid")
OWN_AFFAIRS = [Restraint(cause, "x") for cause in ("starting", "locked", "elsewhere")]


# --- what is said ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restraints", "said"),
    [
        ([HALT, VETO], ("manual_halt", "trip-1")),
        ([FREEZE], ("daily_loss", None)),
        ([OF_ONE_BOT, VETO], ("drawdown", None)),
        ([*OWN_AFFAIRS, VETO], ("drawdown", None)),
        ([replace(OWN_AFFAIRS[1], trip_id="trip-3")], ("locked", "trip-3")),
        (OWN_AFFAIRS, None),
        ([OF_ONE_BOT], None),
        ([], None),
    ],
)
def test_a_trip_a_halt_and_a_veto_hold_for_all_and_what_one_process_lacks_for_none(
    restraints: list[Restraint], said: tuple[str, str | None] | None
) -> None:
    standing = standing_of(restraints, 7.0, (KRAKEN,))
    assert ((standing.cause, standing.trip_id) if standing.locked else None) == said


BLIND = Restraint("blind", "kraken is silent")


@pytest.mark.parametrize(
    ("restraints", "said"),
    [
        ([BLIND], ("blind", True)),
        ([Restraint("unlistable:kraken", "x"), BLIND], ("unlistable:kraken", True)),
        ([BLIND, VETO], ("drawdown", False)),
        ([replace(BLIND, trip_id="trip-1")], ("blind", False)),
        ([VETO], ("drawdown", False)),
    ],
)
def test_that_a_guard_is_blind_holds_while_it_is_here_and_all_else_for_good(
    restraints: list[Restraint], said: tuple[str, bool]
) -> None:
    standing = standing_of(restraints, 7.0, (KRAKEN,))
    assert (standing.cause, standing.while_here) == said


def test_a_guard_wants_to_open_when_nothing_holds_but_the_others() -> None:
    assert wants_to_open([])
    assert wants_to_open([OWN_AFFAIRS[2], OF_ONE_BOT])
    for one in (HALT, FREEZE, VETO, *OWN_AFFAIRS[:2]):
        assert not wants_to_open([one, OWN_AFFAIRS[2]])


# --- what is heeded ----------------------------------------------------------------------------------


def test_a_lease_counts_from_before_it_was_asked_for_and_ends_before_the_board_gives_it_to_another() -> None:
    lease = lease_of(HELD, 100.0, SETTINGS)
    assert lease.until_mono is not None
    assert 102.5 < lease.until_mono < 100.0 + SETTINGS.lease_s - 0.5
    assert lease.epoch == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (replace(HELD, is_taken=True), "another process stands as guard a"),
        (replace(HELD, others={"b": None}), "guard b was not heard of"),
        (replace(HELD, others={"b": TRIPPED}), "guard b holds: capital_loss: lost 5 %"),
        (replace(HELD, others={"b": CLEAR, "c": UNREADABLE}), "guard c holds: locked"),
        (replace(HELD, others={"b": MORE}), f"guard b guards other venues, which nobody would watch here: {BYBIT}. "),
        (replace(HELD, others={"b": replace(CLEAR, guarded=(BYBIT,))}), "guard b guards other venues"),
        (replace(HELD, others={"b": CLEAR, "c": MORE}), "guard c guards other venues"),
        (replace(HELD, unnamed={"c": CLEAR}), "guard c is on the board and not in [guard] peers"),
        (
            replace(HELD, unnamed={"c": CLEAR, "d": TRIPPED}),
            "guard d is on the board and not in [guard] peers, and holds: capital_loss: lost 5 %",
        ),
        (replace(HELD, is_ours=False, holder="b"), "guard b opens"),
        (replace(HELD, is_ours=False, holder=""), "nobody holds the right to open yet"),
        (replace(HELD, is_ours=False, holder="", is_settled=False), "the board is new"),
    ],
)
def test_everything_else_gives_no_leave_and_says_why(answer: Answer, reason: str) -> None:
    lease = lease_of(answer, 100.0, SETTINGS)
    assert lease.until_mono is None
    assert reason in lease.reason


def test_a_trip_of_a_guard_that_is_no_peer_shuts_the_gate_and_is_not_joined() -> None:
    """It may be of other accounts, by a group that was not named: to sweep for it would be wrong."""
    assert trips_of(replace(HELD, unnamed={"c": TRIPPED}), "a") == []


def test_a_trip_that_another_process_told_of_under_this_name_is_joined() -> None:
    (trip,) = trips_of(replace(HELD, before=TRIPPED), "a")
    assert (trip.trip_id, trip.by) == ("trip-b-1", "guard a, another process")
    assert trips_of(replace(HELD, before=CLEAR), "a") == []


OF_SIGHT = replace(MORE, locked=True, cause="blind", reason="x", while_here=True)


@pytest.mark.parametrize(
    ("said", "ago_s", "holds"),
    [
        (OF_SIGHT, 3.9, True),
        (OF_SIGHT, 4.1, False),
        (replace(OF_SIGHT, is_here=False), 0.1, False),
        (TRIPPED, 3_600.0, True),
        (replace(TRIPPED, is_here=False), 0.1, True),
        (UNREADABLE, 3_600.0, True),
    ],
)
def test_who_is_gone_keeps_nobody_shut_by_seeing_nothing_and_by_all_else_it_does(
    said: Standing, ago_s: float, holds: bool
) -> None:
    for answer in (replace(HELD, others={"b": said}), replace(HELD, others={}, unnamed={"b": said})):
        found = heeded(replace(answer, said_s={"b": ago_s}), 4.0)
        (one,) = (one for one in (*found.others.values(), *found.unnamed.values()) if one is not None)
        assert (one.locked, one.is_here, one.guarded) == (holds, said.is_here, said.guarded)
    assert heeded(replace(HELD, others={"b": None}, said_s={}), 4.0).others == {"b": None}


def test_how_all_stand_is_told_with_who_is_there() -> None:
    answer = replace(HELD, others={"b": TRIPPED, "c": None, "d": CLEAR}, said_s={"b": 9.0, "d": 0.1}, holder="d")
    seen = seen_of(answer, TRIPPED, 100.0, SETTINGS)
    assert (seen.holder, seen.epoch, seen.words, seen.is_told_locked, seen.why_not) == ("d", 4, 90, True, None)
    assert 100.0 < seen.until_mono < 104.0
    assert [(one.name, one.is_heard, one.is_here, one.locked) for one in seen.peers] == [
        ("b", True, False, True),
        ("c", False, False, False),
        ("d", True, True, False),
    ]
    assert isinstance(seen.peers[0], PeerSeen)


@pytest.mark.parametrize(
    ("answer", "why_not"),
    [(replace(HELD, is_taken=True), "another process stands as guard a"), (replace(HELD, is_settled=False), "new")],
)
def test_an_answer_that_tells_nothing_says_so(answer: Answer, why_not: str) -> None:
    seen = seen_of(answer, TRIPPED, 100.0, SETTINGS)
    assert why_not in (seen.why_not or "")
    assert seen.is_told_locked is not answer.is_taken


# --- what each guards ----------------------------------------------------------------------------------


@pytest.mark.parametrize("said_s", [0.5, 90_000.0])
@pytest.mark.parametrize("is_here", [True, False])
def test_what_a_peer_guards_is_guarded_here_too_or_nothing_opens_also_when_it_is_gone_for_long(
    said_s: float, is_here: bool
) -> None:
    """Bots go on there, whether it was killed or stopped well: of their losses nobody would know."""
    gone = replace(HELD, others={"b": replace(MORE, is_here=is_here)}, said_s={"b": said_s})
    assert lease_of(heeded(gone, SETTINGS.lease_s), 100.0, SETTINGS).until_mono is None
    blind_before = replace(gone, others={"b": replace(OF_SIGHT, is_here=is_here)})
    assert lease_of(heeded(blind_before, SETTINGS.lease_s), 100.0, SETTINGS).until_mono is None
    more = TwinSettings(name="a", guarded=(BYBIT, "okx (okx, live, spot)", KRAKEN))
    assert lease_of(heeded(gone, SETTINGS.lease_s), 100.0, more).until_mono is not None, "who guards more may open"


def test_of_many_venues_the_first_are_named() -> None:
    many = tuple(f"v{number} (kraken, live, spot)" for number in range(9))
    lease = lease_of(replace(HELD, others={"b": replace(CLEAR, guarded=many)}), 100.0, SETTINGS)
    assert "v4 (kraken, live, spot) and 4 more. Give" in lease.reason


# --- the board's clock -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("went_s", "asked_mono", "answered_mono", "moved"),
    [
        (1.0, 101.0, 101.0, False),
        (1.4, 101.0, 101.0, False),
        (1.9, 101.0, 101.0, True),
        (0.1, 101.0, 101.0, True),
        (1.9, 101.0, 101.9, False),
        (3_601.0, 101.0, 101.1, True),
        (-3_599.0, 101.0, 101.1, True),
        (3_640.0, 3_700.0, 3_700.0, False),
    ],
)
def test_a_clock_that_went_another_way_than_ours_was_moved(
    went_s: float, asked_mono: float, answered_mono: float, moved: bool
) -> None:
    watch = ClockWatch()
    assert not watch.was_moved(7_000.0, 100.0, 100.0)
    assert watch.was_moved(7_000.0 + went_s, asked_mono, answered_mono) is moved
    went_on = answered_mono + 1.0
    assert not watch.was_moved(7_000.0 + went_s + 1.0, went_on, went_on + 0.9), "it is held against the last answer"


def test_trips_of_others_are_joined_and_vetoes_only_heeded() -> None:
    veto = replace(CLEAR, locked=True, cause="drawdown", reason="too deep")
    answer = replace(HELD, others={"b": TRIPPED, "c": veto, "d": None, "e": replace(TRIPPED, locked=False)})
    assert trips_of(answer, "a") == [
        TrippedElsewhere(trip_id="trip-b-1", by="guard b", cause="capital_loss", reason="lost 5 %")
    ]


# --- the exchange ------------------------------------------------------------------------------------


class ScriptedBoard:
    """Answers with what is in `answer`: an error is raised, None hangs."""

    place = "a board"

    def __init__(self) -> None:
        self.answer: Answer | Exception | None = HELD
        self.asked: list[tuple[Standing, bool, Known]] = []
        self.closed = False
        self.clock = LoopClock()
        self.ahead_s = 0.0
        self.fails_after: int | None = None

    async def exchange(self, mine: Standing, known: Known, *, wants: bool) -> Answer:
        self.asked.append((mine, wants, known))
        if self.fails_after is not None and len(self.asked) > self.fails_after:
            raise RecordError("gone")
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return replace(self.answer, at_s=self.clock.now().mono + self.ahead_s)

    async def close(self) -> None:
        self.closed = True


class Guard:
    def __init__(self) -> None:
        self.board = ScriptedBoard()
        self.restraints: Iterable[Restraint] = ()
        self.told: list[Input] = []
        self.twin = Twin(
            self.board,
            SETTINGS,
            LoopClock(),
            restraints=lambda: self.restraints,
            emit=self.told.append,
            known=Known(epoch=3, words=70),
        )

    def leases(self) -> list[float | None]:
        return [event.until_mono for event in self.told if isinstance(event, LeaseSeen)]

    async def lets_time_pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.mark.looptime
async def test_a_lease_is_renewed_each_second_and_the_trip_of_another_is_told_first() -> None:
    guard = Guard()
    guard.board.answer = replace(HELD, others={"b": TRIPPED})
    guard.twin.start()
    await guard.lets_time_pass(2.5)
    assert [type(event) for event in guard.told] == [StandingTold, TrippedElsewhere, BoardSeen, LeaseSeen] * 3
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_what_begins_to_hold_is_told_at_once_and_the_epoch_is_let_go() -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.restraints = [HALT]
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(0.01)
    (_, wanted, _), (said, wants, known) = guard.board.asked
    assert (wanted, wants, said.trip_id, known) == (True, False, "trip-1", Known(epoch=4, words=90))
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(0.01)
    assert len(guard.board.asked) == 2
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_what_earlier_runs_knew_of_the_board_is_said_first_and_never_less_later() -> None:
    guard = Guard()
    guard.board.answer = replace(HELD, epoch=2, words=80)
    guard.twin.start()
    await guard.lets_time_pass(1.5)
    assert [known for _, _, known in guard.board.asked] == [Known(epoch=3, words=70), Known(epoch=3, words=80)]
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_the_server_that_answered_last_is_said_to_the_next() -> None:
    guard = Guard()
    guard.board.answer = replace(HELD, server="one")
    guard.twin.start()
    await guard.lets_time_pass(0.5)
    guard.board.answer = replace(HELD, server="two")
    await guard.lets_time_pass(2.0)
    assert [known.server for _, _, known in guard.board.asked] == ["", "one", "two"]
    await guard.twin.aclose()


@pytest.mark.looptime
@pytest.mark.parametrize("step_s", [3_600.0, -3_600.0])
async def test_a_board_whose_clock_was_moved_grants_nothing_and_is_told_so_at_once(step_s: float) -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.5)
    guard.board.ahead_s = step_s
    await guard.lets_time_pass(0.6)
    assert [until is None for until in guard.leases()] == [False, True, False]
    assert [known.doubts for _, _, known in guard.board.asked] == [False, False, True]
    seen = [event.why_not for event in guard.told if isinstance(event, BoardSeen)]
    assert [why is None for why in seen] == [True, False, True]
    await guard.lets_time_pass(1.0)
    assert not guard.board.asked[-1][2].doubts
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_a_doubt_that_was_not_heard_is_said_again() -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.5)
    guard.board.ahead_s, guard.board.fails_after = 3_600.0, 2
    await guard.lets_time_pass(1.6)
    guard.board.fails_after = None
    await guard.lets_time_pass(2.0)
    assert [known.doubts for _, _, known in guard.board.asked] == [False, False, True, True, True, False]
    await guard.twin.aclose()


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [RecordError("gone"), None, RecursionError(), AttributeError("get"), OSError()])
async def test_a_board_that_does_not_answer_grants_nothing_and_is_asked_again(trouble: Exception | None) -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.board.answer = trouble
    await guard.lets_time_pass(5.0)
    assert len(guard.leases()) == 1
    guard.board.answer = HELD
    await guard.lets_time_pass(2.1)
    assert len(guard.leases()) >= 2
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_who_leaves_lets_go_of_the_right_to_open_and_says_what_holds() -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.restraints = [HALT]
    await guard.twin.aclose()
    said, wants, _ = guard.board.asked[-1]
    assert (said.locked, said.is_here, wants, guard.board.closed) == (True, False, False, True)
    assert [until is not None for until in guard.leases()] == [True, False]


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [RecordError("gone"), None])
async def test_what_was_perhaps_let_go_of_opens_nothing_any_more(trouble: Exception | None) -> None:
    """The board may have given the epoch to another before the answer was lost; the old lease would run for seconds."""
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.restraints = [HALT]
    guard.board.answer = trouble
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(0.01)
    assert guard.leases()[-1] is None, "before the answer"
    guard.restraints = []
    await guard.lets_time_pass(3.0)
    assert guard.leases()[-1] is None
    guard.board.answer = HELD
    await guard.lets_time_pass(2.0)
    assert guard.leases()[-1] is not None
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_who_guards_less_than_a_peer_lets_go_of_the_epoch_at_once_until_the_peer_guards_no_more_than_it() -> None:
    """Else nobody opened: the one may not, and the other waits for it."""
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.5)
    guard.board.answer = replace(HELD, others={"b": MORE})
    with capture_logs() as logs:
        await guard.lets_time_pass(3.0)
    assert [wants for _, wants, _ in guard.board.asked] == [True, True, False, False, False]
    assert [until is not None for until in guard.leases()] == [True, False, False, False, False]
    assert [(line["event"], line["only_there"]) for line in logs] == [("peers_guard_more", {"b": [BYBIT]})]
    guard.board.answer = HELD
    await guard.lets_time_pass(1.0)
    assert guard.board.asked[-1][1]
    assert guard.leases()[-1] is not None
    await guard.twin.aclose()
    assert {said.guarded for said, _, _ in guard.board.asked} == {(KRAKEN,)}


@pytest.mark.looptime
async def test_who_does_not_want_to_open_is_granted_nothing_whatever_the_board_answers() -> None:
    guard = Guard()
    guard.restraints = [HALT]
    guard.twin.start()
    await guard.lets_time_pass(2.5)
    assert guard.leases() == []
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_who_leaves_early_says_so_once_and_renews_nothing_afterwards() -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    await guard.twin.leave()
    assert [(said.is_here, wants) for said, wants, _ in guard.board.asked] == [(True, True), (False, False)]
    assert not guard.board.closed, "the end of the process has time"
    await guard.lets_time_pass(5.0)
    await guard.twin.aclose()
    assert (len(guard.board.asked), guard.board.closed) == (2, True)


@pytest.mark.looptime
async def test_a_leave_that_was_not_heard_is_taken_again_at_the_end() -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.board.answer = RecordError("gone")
    await guard.twin.leave()
    guard.board.answer = HELD
    await guard.twin.aclose()
    assert [said.is_here for said, _, _ in guard.board.asked] == [True, False, False]


@pytest.mark.looptime
async def test_what_was_taken_in_is_known_to_be_told_and_what_was_not_is_not() -> None:
    guard = Guard()
    guard.restraints = [HALT]
    guard.board.answer = replace(HELD, is_taken=True)
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    assert not [event for event in guard.told if isinstance(event, StandingTold)]
    guard.board.answer = HELD
    await guard.lets_time_pass(1.0)
    (told,) = [event for event in guard.told if isinstance(event, StandingTold)]
    assert (told.locked, told.trip_id) == (True, "trip-1")
    await guard.twin.aclose()


@pytest.mark.looptime
@pytest.mark.parametrize("trouble", [RecordError("gone"), None])
async def test_what_was_perhaps_unsaid_proves_no_freeze_of_later(trouble: Exception | None) -> None:
    """The board may have taken in that the veto is over: then a peer opens, and hears nothing of the freeze."""
    guard, peers, freeze = Guard(), PeersTold(), Trip("trip-2", "daily_loss", "3 %", 0.0, 0.0, is_freeze=True)

    def told_since() -> float | None:
        for event in guard.told:
            if isinstance(event, StandingTold):
                peers.take(event)
        guard.told.clear()
        return peers.since(freeze)

    guard.restraints = [VETO]
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    assert told_since() is not None, "who is told of any lock is shut"
    guard.restraints, guard.board.answer = [], trouble
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(0.01)
    assert told_since() is None, "before the answer"
    guard.restraints = [FREEZE]
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(5.0)
    assert told_since() is None
    guard.board.answer = HELD
    await guard.lets_time_pass(2.1)
    assert (told_since() or 0.0) > 5.1, "since it was taken in again"
    await guard.twin.aclose()


@pytest.mark.looptime
async def test_that_a_guard_is_blind_is_no_lock_that_peers_keep_when_it_is_cut_off() -> None:
    """A freeze that begins later would be held for told, while the peers open: they heed blindness for a lease."""
    guard = Guard()
    guard.restraints = [BLIND]
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.restraints = [FREEZE]
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(0.1)
    told = [event.locked for event in guard.told if isinstance(event, StandingTold)]
    assert told == [False, True]
    await guard.twin.aclose()


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("answer", "left_to"),
    [
        (HELD, "guard b"),
        (replace(HELD, others={"b": replace(CLEAR, is_here=False)}), None),
        (replace(HELD, said_s={"b": 4.5}), None),
        (replace(HELD, is_settled=False), "its peers, of which nothing is known now"),
    ],
)
async def test_who_is_left_behind_is_known_from_the_leave_itself(answer: Answer, left_to: str | None) -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    assert guard.twin.left_to() == "its peers, of which nothing is known now"
    guard.board.answer = answer
    await guard.twin.leave()
    await guard.lets_time_pass(9.0)
    assert guard.twin.left_to() == left_to
    await guard.twin.aclose()


@pytest.mark.looptime
@pytest.mark.parametrize(("silent_s", "left_to"), [(0.1, "guard b"), (5.0, "its peers, of which nothing is known now")])
async def test_a_leave_that_nobody_answers_goes_by_what_was_heard_within_a_lease(silent_s: float, left_to: str) -> None:
    guard = Guard()
    guard.twin.start()
    await guard.lets_time_pass(0.1)
    guard.board.answer = RecordError("gone")
    await guard.lets_time_pass(silent_s)
    await guard.twin.leave()
    assert guard.twin.left_to() == left_to
    await guard.twin.aclose()
