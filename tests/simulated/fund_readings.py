"""The sum beside the budgets, in the simulated fund: what members say of themselves, on a stream that all hear.

A turn is a second of the stream's clock. The auditor's numbers are the machines' own losses, not what anybody said:

    a sum that is known is one that the members' losses really had while its readings were fresh;
    who surely sees the limit lost trips; who sees it may be, and heard everybody, has its gate shut;
    when all is mended everybody is heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from risk_daemon.fund import sum as fund_sum
from risk_daemon.fund.messages import LossRead, SumRead
from risk_daemon.fund.sum import Reading, Terms, Verdict

if TYPE_CHECKING:
    from tests.simulated.fund_world import Machine, World

CAPITAL = Decimal(10_000)
FRESH_TURNS = 12
BAND = Decimal("0.2")


@dataclass(frozen=True, slots=True)
class Said:
    """A reading on its way to the stream, or on it. at: the turn in which it was said."""

    reading: Reading
    at: int


def sequence_of(life: int, count: int) -> int:
    """A guard that is started anew counts on from a number that is durable."""
    return (life << 32) + count


def say(world: World, machine: Machine) -> Said | None:
    """What a guard says of itself now: what it sees. Nothing where it sees nothing."""
    process = machine.process
    loss = None if process is None else process.state.loss
    if process is None or loss is None:
        return None
    process.said += 1
    return Said(
        Reading(
            member=process.state.seat,
            sequence=sequence_of(process.number, process.said),
            capital=CAPITAL,
            low=CAPITAL - loss.most,
            high=CAPITAL - loss.least,
            gross=Decimal(0),
            age_s=0.0,
            heard_mono=0.0,
        ),
        world.turn,
    )


def odd(world: World, reading: Reading) -> Reading:
    """What is no reading, or not of a member."""
    lost = world.rng.choice((Decimal("NaN"), Decimal("-Infinity")))
    return world.rng.choice(
        (
            replace(reading, low=reading.high + 1),
            replace(reading, high=lost),
            replace(reading, age_s=float("nan")),
            replace(reading, member="nobody.00000000", low=Decimal(0), high=Decimal(0)),
        )
    )


def all_say_and_hear(world: World, who: Iterable[Machine]) -> None:
    """A second in which the network does what it should. Each reads on where it stopped, and an emptied stream anew."""
    there = [machine for machine in who if machine.process is not None]
    world.stream.extend(said for machine in there if (said := say(world, machine)) is not None)
    for machine in there:
        if machine.process is not None:
            stream, first = machine.process.read_up_to
            machine.process.read_up_to = world.stream, len(world.stream)
            hear(world, machine, world.stream[first if stream is world.stream else 0 :])


def hear(world: World, machine: Machine, words: Iterable[Said]) -> None:
    """With the ages that they have by now; then judge."""
    process = machine.process
    if process is None:
        return
    for said in words:
        age_s = float(world.turn - said.at) + said.reading.age_s
        heard = replace(said.reading, age_s=age_s, heard_mono=float(world.turn))
        process.heard = fund_sum.heard(process.heard, heard)
    judge(world, machine)


def judge(world: World, machine: Machine) -> Verdict | None:
    """What a guard makes of what it has heard, and what the auditor makes of that."""
    process = machine.process
    books = None if process is None else process.state.books
    if process is None or books is None:
        return None
    limit = process.state.charter.limit
    terms = Terms(limit=limit, fresh_s=float(FRESH_TURNS), band=BAND)
    verdict = fund_sum.judge_fund(books, process.heard, terms, float(world.turn))
    was_guarding = process.state.is_guarding
    world.tell(machine, SumRead(verdict))
    state = process.state
    if verdict.is_breached and was_guarding and state.wanted.trip is None:
        world.fail(f"{machine.name} knows that the limit is lost, and goes on")
    if verdict.is_undecided and not verdict.silent and state.may_trade:
        world.fail(f"{machine.name} heard everybody, the limit may be lost, and its gate is open")
    if not verdict.silent:
        world.seen.add("sum known")
        _check(world, machine, verdict, books.document()["rows"])
    if verdict.is_breached:
        world.seen.add("sum breached")
    return verdict


def _check(world: World, machine: Machine, verdict: Verdict, rows: Any) -> None:
    """By the least and the most that each member had lost while a reading of it was fresh."""
    by_seat = {one.disk["row"]["seat"]: one for one in world.machines.values() if one.disk is not None}
    least = most = Decimal(0)
    for seat, row in rows.items():
        if row["has_left"]:
            budget = _budget(row)
            least, most = least + budget, most + budget
        elif (Decimal(row["minted"]) or row["taken"]) and seat in by_seat:
            lately = [*by_seat[seat].lately, by_seat[seat].loss]
            least, most = least + min(lately), most + max(lately)
    if verdict.least is None or verdict.most is None or verdict.least > most or verdict.most < least:
        told = f"from {verdict.least} to {verdict.most}"
        world.fail(f"{machine.name} says that {told} are lost together, and it was from {least} to {most}")


def _budget(row: Any) -> Decimal:
    got = sum(map(Decimal, row["taken"].values()), Decimal(row["minted"]))
    return got - sum(map(Decimal, row["given"].values()), Decimal(0))


def check_end(world: World) -> None:
    """All is mended: everybody says what it sees, and everybody hears it."""
    guards = [(machine, machine.process) for machine in world.machines.values() if machine.process is not None]
    alive, seen = {process.state.seat for _, process in guards}, {*world.seen}
    all_say_and_hear(world, world.machines.values())
    for machine, process in guards:
        unheard = alive & set(process.state.sum.silent if process.state.sum else ())
        if unheard:
            world.fail(f"all is mended, and {machine.name} does not hear {', '.join(sorted(unheard))}")
    world.seen = seen  # what is known in the end is in every schedule


def hear_the_worst(world: World) -> None:
    """Before anybody asks the ledger: one of them loses what is left of the limit, or may have."""
    one = world.machines[world.rng.choice(sorted(world.machines))]
    left = max(world.limit - world.lost, Decimal(0))
    if world.rng.random() < 0.5 or one.is_flat or not one.is_member:
        world.tell(one, LossRead(least=one.loss - left, most=one.loss + left))
    else:
        one.loss += left
        world.show(one)
    all_say_and_hear(world, world.machines.values())
    world.show(one)
