"""A fund of several guards, on machines that crash, disks that fail and a network that loses, delays and repeats.

One seed is one schedule. The auditor reckons with numbers of its own, after every turn:

    the budgets that anything could act by sum to the limit at most;
    nobody has lost the limit together without a trip, or a guard that is down or blind where its budget is lost.

What it says of the sum beside the budgets: `fund_readings`.

Whoever is down or blind has its gate shut; it trips when it is back, and the end of every schedule looks.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from risk_daemon.errors import StateError, UsageError
from risk_daemon.fund import escrow, lending, membership
from risk_daemon.fund.escrow import Escrow
from risk_daemon.fund.ledger import Charter, LedgerRead, Row
from risk_daemon.fund.messages import (
    Actions,
    Durable,
    Event,
    Give,
    Leave,
    LossRead,
    LossUnknown,
    MakeDurable,
    Publish,
    Refuse,
    TripFund,
    WriteFailed,
)
from risk_daemon.fund.sum import Reading
from tests.simulated import fund_readings
from tests.simulated.fund_readings import Said

LIMIT = Decimal(1_000)
CURRENCY = "USDT"
FUND = "alpha"
TURNS = 90
MEMBERS = range(2, 6)


class MemoryLedger:
    """One document with a revision, and what it was before."""

    def __init__(self) -> None:
        self.document: Any = None
        self.revision: str | None = None
        self.past: list[Any] = []
        self._count = 0

    def read(self) -> LedgerRead:
        return LedgerRead(revision=self.revision, document=self.document)

    def compare_and_set(self, revision: str | None, document: Any) -> bool:
        if revision != self.revision:
            return False
        self.put(document)
        return True

    def put(self, document: Any) -> None:
        """Whatever was there: a restored backup, or nothing."""
        self.past.append(self.document)
        self._count += 1
        self.document, self.revision = document, None if document is None else str(self._count)

    def copy(self) -> MemoryLedger:
        twin = MemoryLedger()
        twin.document, twin.revision, twin.past, twin._count = self.document, self.revision, [*self.past], self._count
        return twin


@dataclass(slots=True)
class Process:
    """One life of a guard. number: of all lives. said: how many readings; heard: those of everybody; read_up_to: of
    which stream, how many words."""

    number: int
    state: Escrow
    said: int = 0
    read_up_to: tuple[list[Said] | None, int] = (None, 0)
    heard: Mapping[str, Reading] = field(default_factory=dict)


@dataclass(slots=True)
class Machine:
    """A member's state, and the guard on it while it is up. loss: what its accounts have lost, whoever looks; lately:
    what they had in the last turns.

    member: its name in the fund, where that is another one's too.
    """

    name: str
    place: str
    member: str = ""
    disk: Any = None
    process: Process | None = None
    loss: Decimal = Decimal(0)
    is_cut: bool = False
    is_blind: bool = False
    is_flat: bool = False
    is_full: bool = False
    lately: deque[Decimal] = field(default_factory=lambda: deque(maxlen=fund_readings.FRESH_TURNS + 1))

    @property
    def is_member(self) -> bool:
        return self.disk is not None and disk_is_funded(self.disk)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something under way. of: the machine, number: the life that sent it."""

    of: str
    number: int
    what: Any


@dataclass(slots=True)
class World:
    """Everything there is. trips: ids that guards tripped under, by machine.

    story: what happened, for people; seen: the sorts of it, for counting.
    """

    rng: random.Random
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    machines: dict[str, Machine] = field(default_factory=dict)
    copies: list[Escrow] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    stream: list[Said] = field(default_factory=list)
    turn: int = 0
    trips: dict[str, set[str]] = field(default_factory=dict)
    refusals: int = 0
    lives: int = 0
    was_restored: bool = False
    violation: str | None = None
    story: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def say(self, text: str) -> None:
        self.story.append(text)

    def fail(self, text: str) -> None:
        self.violation = self.violation or text

    # --- one member ------------------------------------------------------------------------------

    def start(self, machine: Machine) -> None:
        """The guard of a machine is started on what is durable there."""
        if machine.disk is None:
            return
        state, actions = membership.restore(machine.disk, machine.place)
        self.begin(machine, state, actions)

    def begin(self, machine: Machine, state: Escrow, actions: Actions) -> None:
        self.lives += 1
        machine.process = Process(self.lives, state)
        self.act(machine, actions)
        self.show(machine)

    def crash(self, machine: Machine) -> None:
        """What was asked of the disk came to it, or never will. What is on the network is on the network."""
        process, machine.process = machine.process, None
        if process is None:
            return
        for parcel in [
            one for one in self.parcels if isinstance(one.what, MakeDurable) and one.number == process.number
        ]:
            self.parcels.remove(parcel)
            if self.rng.random() < 0.5 and not machine.is_full:
                machine.disk = parcel.what.document
        self.seen.add("crashed")
        if machine.disk is None or machine.disk["row"]["trip"] is None:
            self.trips.pop(machine.name, None)  # it ended before anything knew of it: if it counts, it trips again

    def show(self, machine: Machine) -> None:
        """What it has lost is seen at once, unless it is blind: then it is unknown, or somewhere around."""
        if machine.process is None:
            return
        if not machine.is_blind:
            self.tell(machine, LossRead(least=machine.loss, most=machine.loss))
        elif self.rng.random() < 0.5:
            self.tell(machine, LossUnknown())
            if machine.process is not None and machine.process.state.may_trade:
                self.fail(f"{machine.name} does not know what it has lost, and its gate is open")
        else:
            wide = Decimal(self.rng.choice((50, 200)))
            self.tell(machine, LossRead(least=machine.loss - wide, most=machine.loss + wide))

    def tell(self, machine: Machine, event: Event) -> None:
        if machine.process is None:
            return
        machine.process.state, actions = escrow.step(machine.process.state, event)
        self.act(machine, actions)

    def act(self, machine: Machine, actions: Actions) -> None:
        if machine.process is None:
            return
        for action in actions:
            match action:
                case MakeDurable() | Publish():
                    self.parcels.append(Parcel(machine.name, machine.process.number, action))
                case TripFund(trip_id, reason):
                    self.trips.setdefault(machine.name, set()).add(trip_id)
                    self.say(f"{machine.name} trips under {trip_id}: {reason}")
                case Refuse():
                    self.refusals += 1

    def poll(self, machine: Machine) -> None:
        if machine.process is not None:
            self.parcels.append(Parcel(machine.name, machine.process.number, "read"))

    # --- what is under way -----------------------------------------------------------------------

    def deliver(self, parcel: Parcel) -> None:
        """It arrives where it goes; the answer is on its way then."""
        machine = self.machines[parcel.of]
        is_alive = machine.process is not None and machine.process.number == parcel.number
        match parcel.what:
            case MakeDurable(sequence, document):
                if machine.is_full:
                    self.parcels.append(Parcel(parcel.of, parcel.number, WriteFailed(sequence)))
                    return
                machine.disk = document
                lies = self.rng.random() < 0.05  # it is written, and the answer says that it is not
                answer = WriteFailed(sequence) if lies else Durable(sequence)
                self.parcels.append(Parcel(parcel.of, parcel.number, answer))
            case Publish(revision, document):
                if not self.ledger.compare_and_set(revision, document):
                    self.seen.add("lost a race for the ledger")
                self.parcels.append(Parcel(parcel.of, parcel.number, self.ledger.read()))
            case Said():
                self.stream.append(parcel.what)
            case "readings":
                self.parcels.append(Parcel(parcel.of, parcel.number, [*self.stream]))
            case list():
                if is_alive:
                    fund_readings.hear(self, machine, parcel.what)
            case "read":
                self.parcels.append(Parcel(parcel.of, parcel.number, self.ledger.read()))
            case LedgerRead() | Durable() | WriteFailed():
                if is_alive:
                    self.tell(machine, parcel.what)

    def can_arrive(self, parcel: Parcel) -> bool:
        """The disk is in the machine; everything else goes over the network."""
        is_local = isinstance(parcel.what, MakeDurable | Durable | WriteFailed)
        return is_local or not self.machines[parcel.of].is_cut

    def deliver_one(self) -> None:
        able = [at for at, parcel in enumerate(self.parcels) if self.can_arrive(parcel)]
        if able:
            self.deliver(self.parcels.pop(self.rng.choice(able)))

    def deliver_all(self) -> None:
        for _ in range(2_000):
            if not any(self.can_arrive(parcel) for parcel in self.parcels):
                return
            self.deliver_one()
        self.fail("they never come to an end with each other")

    # --- the auditor -----------------------------------------------------------------------------

    @property
    def limit(self) -> Decimal:
        return LIMIT

    @property
    def lost(self) -> Decimal:
        return sum((machine.loss for machine in self.machines.values()), Decimal(0))

    def in_force(self, machine: Machine) -> Decimal:
        """The most that anything could go by: the guard that is up, or one that is started on what is on disk."""
        kept = Decimal(0) if machine.disk is None else disk_budget(machine.disk)
        return kept if machine.process is None else max(kept, machine.process.state.budget)

    def next_turn(self) -> None:
        self.turn += 1
        for machine in self.machines.values():
            machine.lately.append(machine.loss)

    def audit(self) -> None:
        budgets = sum((self.in_force(machine) for machine in self.machines.values()), Decimal(0))
        budgets += sum((copy.budget for copy in self.copies), Decimal(0))
        if budgets > LIMIT:
            self.fail(f"budgets in force sum to {budgets}, above {LIMIT}")
        if self.lost >= LIMIT and not self.trips and not any(map(self.waits, self.machines.values())):
            self.fail(f"{self.lost} are lost together, and nobody has tripped")

    def waits(self, machine: Machine) -> bool:
        """Its budget is lost and its guard can't see it: down, or blind with the gate shut."""
        if machine.disk is None or machine.loss < disk_budget(machine.disk):
            return False
        return machine.process is None or (machine.is_blind and not machine.process.state.may_trade)


def disk_is_funded(disk: Mapping[str, Any]) -> bool:
    row = disk["row"]
    return bool(Decimal(row["minted"]) or row["taken"])


def disk_budget(disk: Mapping[str, Any]) -> Decimal:
    row = disk["row"]
    got = sum(map(Decimal, row["taken"].values()), Decimal(row["minted"]))
    return got - sum(map(Decimal, row["given"].values()), Decimal(0))


# --- how a fund begins -------------------------------------------------------------------------------


def seat(name: str, number: int = 0) -> str:
    return f"{name}.{number:08x}"


def new_row(name: str, place: str, wants: Decimal, number: int = 0) -> Row:
    return Row(seat=seat(name, number), place=place, accounts=(f"account of {place}",), wants=wants)


def founded(members: int) -> World:
    """A fund whose members have budgets, about four fifths of the limit in equal parts; the founder has the rest."""
    world = World(random.Random(members))
    wants = Decimal(800 // members // 40 * 40)
    names = "abcdef"[:members]
    for name in names:
        world.machines[name] = Machine(name, f"place {name}")
    charter = Charter(fund=FUND, founding="f00d", founder=seat("a"), currency=CURRENCY, limit=LIMIT)
    first = world.machines["a"]
    world.begin(first, *membership.found(charter, new_row("a", first.place, wants), world.ledger.read()))
    world.deliver_all()
    for name in names[1:]:
        join(world, world.machines[name], wants)
        world.deliver_all()
    for _ in range(4 * members):
        for name in names:
            lend(world, world.machines[name])
            world.poll(world.machines[name])
            world.deliver_all()
    return world


def join(world: World, machine: Machine, wants: Decimal, number: int = 0) -> bool:
    """Whether it was let in."""
    row = new_row(machine.member or machine.name, machine.place, wants, number)
    try:
        state, actions = membership.join(row, world.ledger.read(), fund=FUND, currency=CURRENCY, limit=LIMIT)
    except UsageError as error:
        world.say(f"{machine.name} is not let in: {error}")
        return False
    world.begin(machine, state, actions)
    return True


def lend(world: World, machine: Machine) -> None:
    if machine.process is None:
        return
    ask = lending.asked(machine.process.state)
    if ask is not None:
        world.tell(machine, ask)
    give = lending.offered(machine.process.state)
    if give is not None:
        world.say(f"{machine.name} lends {give.amount} to {give.to}")
        _note_gift(world, machine, give)


def _note_gift(world: World, machine: Machine, give: Give) -> None:
    if machine.process is None:
        return
    before = machine.process.state.wanted.given
    world.tell(machine, give)
    if machine.process.state.wanted.given != before:
        world.seen.add("gave")


_BEGUN: dict[int, World] = {}


def warm() -> None:
    """Build every fund that a schedule begins with: before a bug is planted."""
    for members in MEMBERS:
        begun(members, random.Random(0))


def begun(members: int, rng: random.Random) -> World:
    """A copy of such a fund: what it consists of never changes, but for the machines."""
    if members not in _BEGUN:
        _BEGUN[members] = founded(members)
    model = _BEGUN[members]
    machines = {
        name: replace(machine, process=machine.process and replace(machine.process), lately=machine.lately.copy())
        for name, machine in model.machines.items()
    }
    return World(rng, ledger=model.ledger.copy(), machines=machines, lives=model.lives)


# --- what may happen in one turn ---------------------------------------------------------------------

Deed = Callable[[World, Machine], None]


def _loses(world: World, machine: Machine) -> None:
    if machine.is_flat or not machine.is_member:
        return
    moves = (-200, -100, -50, -10, 10, 10, 50, 50, 100, 150, 300)
    machine.loss += Decimal(world.rng.choice(moves))
    world.say(f"{machine.name} has lost {machine.loss}")
    world.show(machine)


def _loses_its_budget(world: World, machine: Machine) -> None:
    """To the last unit, or all but ten."""
    if machine.is_flat or not machine.is_member:
        return
    machine.loss = max(machine.loss, disk_budget(machine.disk) - Decimal(world.rng.choice((0, 10, 10))))
    world.say(f"{machine.name} has lost {machine.loss}, about its budget")
    world.show(machine)


def _gives(world: World, machine: Machine) -> None:
    to, amount = world.rng.choice(sorted(world.machines)), Decimal(world.rng.choice((10, 50, 100, 200)))
    world.say(f"{machine.name} is told to give {amount} to {to}")
    _note_gift(world, machine, Give(to=to, amount=amount))


def _crashes(world: World, machine: Machine) -> None:
    world.say(f"{machine.name} crashes")
    world.crash(machine)


def _starts(world: World, machine: Machine) -> None:
    if machine.process is None:
        world.say(f"{machine.name} is started")
        world.start(machine)


def _restarts(world: World, machine: Machine) -> None:
    _crashes(world, machine)
    _starts(world, machine)


def _is_cut(world: World, machine: Machine) -> None:
    machine.is_cut = not machine.is_cut
    world.seen.add("cut off")
    world.say(f"{machine.name} is {'cut off' if machine.is_cut else 'back on the network'}")


def _is_blinded(world: World, machine: Machine) -> None:
    machine.is_blind = not machine.is_blind
    world.show(machine)


def _disk_fills(world: World, machine: Machine) -> None:
    machine.is_full = not machine.is_full
    world.say(f"{machine.name}'s disk is {'full' if machine.is_full else 'well'}")


def _parcel_is_lost(world: World, machine: Machine) -> None:
    lost = [one for one in world.parcels if one.of == machine.name and not _is_of_the_disk(one)]
    if lost:
        world.parcels.remove(world.rng.choice(lost))


def _parcel_comes_twice(world: World, machine: Machine) -> None:
    twice = [one for one in world.parcels if one.of == machine.name and not _is_of_the_disk(one)]
    if twice:
        world.parcels.append(world.rng.choice(twice))


def _says(world: World, machine: Machine) -> None:
    """How it stands, for all to hear: or, now and then, what is no reading, by whoever writes such things."""
    said = fund_readings.say(world, machine)
    if said is None or machine.process is None:
        return
    if world.rng.random() < 0.1:
        said = replace(said, reading=fund_readings.odd(world, said.reading))
    world.parcels.append(Parcel(machine.name, machine.process.number, said))


def _hears(world: World, machine: Machine) -> None:
    """It asks for the stream; and what it knows is judged by the time that has gone by, whatever comes of it."""
    if machine.process is not None:
        world.parcels.append(Parcel(machine.name, machine.process.number, "readings"))
        fund_readings.judge(world, machine)


def _all_say_and_hear(world: World, _machine: Machine) -> None:
    fund_readings.all_say_and_hear(world, [machine for machine in world.machines.values() if not machine.is_cut])


def _stream_is_emptied(world: World, _machine: Machine) -> None:
    world.stream = []


def _is_of_the_disk(parcel: Parcel) -> bool:
    return isinstance(parcel.what, MakeDurable | Durable | WriteFailed)


def _ledger_is_restored(world: World, _machine: Machine) -> None:
    if world.ledger.past:
        age = min(world.rng.choice((1, 2, 5, 1_000)), len(world.ledger.past))
        world.say(f"the ledger is restored as it was {age} writes ago")
        world.ledger.put(world.ledger.past[-age])
        world.was_restored = True
        world.seen.add("ledger restored")


def _garbage_is_read(world: World, machine: Machine) -> None:
    """No answer of these may change anything that counts."""
    if machine.process is None:
        return
    before = machine.process.state
    world.tell(machine, LedgerRead(revision="odd", document=world.rng.choice(garbage(world.ledger.document))))
    after = machine.process.state
    if (before.wanted, before.kept, before.books) != (after.wanted, after.kept, after.books):
        world.fail(f"{machine.name} took garbage for a record")


def garbage(document: Any) -> list[Any]:
    """What is no record of this fund: of nothing, another version, another fund, another founding, half a record."""
    if not isinstance(document, Mapping):
        return [[], "", 0, {}]
    charter, rows = document["charter"], document["rows"]
    first = next(iter(rows), None)
    torn = {} if first is None else {first: {**rows[first], "given": {"b.00000000": "-5"}}}
    return [
        [],
        "null",
        {},
        {**document, "format": 2},
        {**document, "format": True},
        {**document, "more": 1},
        {**document, "charter": {**charter, "fund": "beta"}},
        {**document, "charter": {**charter, "founding": "again"}},
        {**document, "charter": {**charter, "limit": "1000000"}},
        {**document, "charter": {**charter, "limit": 1000}},
        {**document, "rows": {"z.00000000": {}}},
        {**document, "rows": []},
        *([{**document, "rows": torn}] if torn else []),
    ]


def _is_copied(world: World, machine: Machine) -> None:
    """Somebody starts a copy of the state on another machine: it must not guard by a budget that is elsewhere."""
    if machine.disk is None:
        return
    try:
        state, _ = membership.restore(machine.disk, "a copy's place")
    except StateError:
        return
    world.say(f"a copy of {machine.name} is started")
    world.copies.append(state)


def _another_joins(world: World, _machine: Machine) -> None:
    """Under a new name or one that is there, for what there is or too much."""
    number = world.lives + 1
    name, wants = world.rng.choice(("x", "y", *sorted(world.machines))), Decimal(world.rng.choice((50, 100, 900)))
    place, document = f"place {name} {number}", world.ledger.document
    rows = document["rows"] if isinstance(document, Mapping) else {}
    if any(known.startswith(name + ".") for known in rows):
        _must_refuse(world, new_row(name, place, wants, number), f"a second member {name}")
    elif wants == 900:
        if any(Decimal(row["wants"]) > 100 and not row["has_left"] for row in rows.values()):
            _must_refuse(world, new_row(name, place, wants, number), f"a budget of {wants}")
    else:
        # A restored ledger may have forgotten a member: then there are two of that name, and one is a stranger.
        key = f"{name}-{number}" if name in world.machines else name
        machine = world.machines[key] = Machine(key, place, member=name)
        if not join(world, machine, wants, number):
            del world.machines[key]
            return
        world.say(f"{key} joins as {name}")
        world.seen.add("joined" if key == name else "joined under a name that was forgotten")


def _must_refuse(world: World, row: Row, what: str) -> None:
    try:
        membership.join(row, world.ledger.read(), fund=FUND, currency=CURRENCY, limit=LIMIT)
    except UsageError:
        return
    world.fail(f"{what} was let in")


def _leaves(world: World, machine: Machine) -> None:
    """Its accounts are empty and flat from here on, whether it is let go or not."""
    if machine.process is None or machine.is_blind or not machine.is_member:
        return
    machine.is_flat = True
    to = world.rng.choice(sorted(world.machines))
    world.say(f"{machine.name} leaves, with {machine.loss} lost; the rest is for {to}")
    world.tell(machine, Leave(to=to, loss=machine.loss, is_proven=True))
    if machine.process.state.wanted.has_left:
        world.seen.add("left")


def _leaves_unproven(world: World, machine: Machine) -> None:
    if machine.process is None:
        return
    before = machine.process.state.wanted
    world.tell(machine, Leave(to="a", loss=machine.loss, is_proven=False))
    if machine.process.state.wanted != before:
        world.fail(f"{machine.name} left without a proof")


def _is_adopted(world: World, machine: Machine) -> None:
    """Its machine burns, and an operator adopts the member on another one: claim, adopt, write, start. Not after a
    restored ledger: what the member gave since is known to nobody then, and the promise ends there."""
    if world.was_restored or machine.is_cut:
        return
    _crashes(world, machine)
    place = f"place {machine.name} {world.lives}"
    try:
        incarnation, publish = membership.claim(world.ledger.read(), machine.member or machine.name, place)
        if not world.ledger.compare_and_set(publish.revision, publish.document):
            return
        state, _ = membership.adopt(world.ledger.read(), machine.member or machine.name, place, incarnation)
    except UsageError as error:
        world.say(f"{machine.name} is not adopted: {error}")
        return
    world.say(f"{machine.name} is adopted at {place}")
    world.seen.add("adopted")
    machine.place, machine.disk = place, state.document(state.wanted)
    if state.wanted.trip is None:
        world.trips.pop(machine.name, None)  # what only the old machine knew has burned with it
    world.start(machine)


DEEDS: list[tuple[int, Deed]] = [
    (44, lambda world, _machine: world.deliver_one()),
    (13, _loses),
    (1, _loses_its_budget),
    (10, lambda world, machine: world.poll(machine)),
    (8, lend),
    (8, _gives),
    (4, _crashes),
    (5, _starts),
    (3, _restarts),
    (4, _is_cut),
    (1, _is_blinded),
    (1, _disk_fills),
    (2, _parcel_is_lost),
    (2, _parcel_comes_twice),
    (1, _ledger_is_restored),
    (1, _garbage_is_read),
    (1, _is_copied),
    (1, _another_joins),
    (1, _leaves),
    (1, _leaves_unproven),
    (1, _is_adopted),
    (3, _says),
    (3, _hears),
    (5, _all_say_and_hear),
    (1, _stream_is_emptied),
]
_WEIGHTS = [weight for weight, _ in DEEDS]
_WHAT = [deed for _, deed in DEEDS]


def play(number: int) -> World:
    """The schedule of a seed, to its end or the first violation."""
    rng = random.Random(number)
    world = begun(rng.choice(MEMBERS), rng)
    try:
        for deed in rng.choices(_WHAT, _WEIGHTS, k=TURNS):
            world.next_turn()
            deed(world, world.machines[rng.choice(sorted(world.machines))])
            world.audit()
            if world.violation is not None:
                return world
        _ends(world)
    except Exception as error:  # whatever it is, it is one seed's
        world.fail(f"{type(error).__name__}: {error}")
    return world


def _ends(world: World) -> None:
    """Everything is mended, and everybody sees and hears; then the worst comes that can come without a trip."""
    for machine in world.machines.values():
        machine.is_cut = machine.is_blind = machine.is_full = False
        if machine.process is None:
            world.start(machine)
        world.show(machine)
    world.audit()
    _all_hear(world)
    fund_readings.check_end(world)
    short = Decimal(world.rng.choice((0, 10, 1_000)))
    for machine in world.machines.values():
        if short < LIMIT and not world.trips and machine.is_member and not machine.is_flat:
            machine.loss = max(machine.loss, disk_budget(machine.disk) - short)
            world.say(f"{machine.name} has lost {machine.loss} in the end")
            world.show(machine)
            world.audit()
    if short < LIMIT:
        fund_readings.hear_the_worst(world)
    _all_hear(world)
    _check_end(world)


def _all_hear(world: World) -> None:
    for _ in range(4):
        for machine in world.machines.values():
            world.poll(machine)
        world.deliver_all()
        world.audit()


def _check_end(world: World) -> None:
    members = [machine for machine in world.machines.values() if machine.is_member]
    if world.lost >= LIMIT and not world.trips:
        world.fail(f"{world.lost} are lost together, and nobody trips when all is mended")
    unknowing = [
        machine.name
        for machine in members
        if world.trips and machine.name not in world.trips and not machine.disk["row"]["has_left"]
    ]
    if unknowing:
        world.fail(f"the fund has tripped, and {', '.join(unknowing)} never heard of it")
    if not world.trips and not any(machine.disk["row"]["has_left"] for machine in members):
        budgets = sum((disk_budget(machine.disk) for machine in world.machines.values() if machine.disk), Decimal(0))
        if budgets != LIMIT:
            world.fail(f"budgets sum to {budgets} when all is mended: headroom was lost")
