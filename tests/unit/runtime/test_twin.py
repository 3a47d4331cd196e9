"""Two guards: what each says, what it heeds, and when it may open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.gate.restraints import Restraint
from risk_daemon.model.events import Input, LeaseSeen, StandingTold, TrippedElsewhere
from risk_daemon.runtime.twin import Twin, TwinSettings, lease_of, standing_of, trips_of, wants_to_open
from risk_daemon.state.board.base import UNREADABLE, Answer, Standing
from tests.unit.oms.fakes import LoopClock

SETTINGS = TwinSettings(name="a")
CLEAR = Standing(locked=False)
TRIPPED = Standing(locked=True, cause="capital_loss", reason="lost 5 %", trip_id="trip-b-1")
HELD = Answer(epoch=4, holder="a", is_ours=True, is_taken=False, is_settled=True, others={"b": CLEAR}, unnamed={})

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
    standing = standing_of(restraints, 7.0)
    assert ((standing.cause, standing.trip_id) if standing.locked else None) == said


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
    assert trips_of(replace(HELD, unnamed={"c": TRIPPED})) == []


def test_trips_of_others_are_joined_and_vetoes_only_heeded() -> None:
    veto = Standing(locked=True, cause="drawdown", reason="too deep")
    answer = replace(HELD, others={"b": TRIPPED, "c": veto, "d": None, "e": replace(TRIPPED, locked=False)})
    assert trips_of(answer) == [
        TrippedElsewhere(trip_id="trip-b-1", by="guard b", cause="capital_loss", reason="lost 5 %")
    ]


# --- the exchange ------------------------------------------------------------------------------------


class ScriptedBoard:
    """Answers with what is in `answer`: an error is raised, None hangs."""

    place = "a board"

    def __init__(self) -> None:
        self.answer: Answer | Exception | None = HELD
        self.asked: list[tuple[Standing, bool, int]] = []
        self.closed = False

    async def exchange(self, mine: Standing, *, wants: bool, known_epoch: int) -> Answer:
        self.asked.append((mine, wants, known_epoch))
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def close(self) -> None:
        self.closed = True


class Guard:
    def __init__(self) -> None:
        self.board = ScriptedBoard()
        self.restraints: Iterable[Restraint] = ()
        self.told: list[Input] = []
        self.twin = Twin(self.board, SETTINGS, LoopClock(), restraints=lambda: self.restraints, emit=self.told.append)

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
    assert [type(event) for event in guard.told] == [StandingTold, TrippedElsewhere, LeaseSeen] * 3
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
    assert (wanted, wants, said.trip_id, known) == (True, False, "trip-1", 4)
    guard.twin.heard(None)  # type: ignore[arg-type]
    await guard.lets_time_pass(0.01)
    assert len(guard.board.asked) == 2
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
    assert (said.locked, wants, guard.board.closed) == (True, False, True)
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
async def test_who_does_not_want_to_open_is_granted_nothing_whatever_the_board_answers() -> None:
    guard = Guard()
    guard.restraints = [HALT]
    guard.twin.start()
    await guard.lets_time_pass(2.5)
    assert guard.leases() == []
    await guard.twin.aclose()


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
