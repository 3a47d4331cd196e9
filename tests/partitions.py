"""Two guards, a venue, a PostgreSQL, a Redis and a bot, each on a machine of its own, and what cuts them apart.

`play` tells of one failure what opened, what was lost, and how long all of it took. `tests/e2e/test_partitions.py`
holds it against what is promised; `python -m tests.partitions_table` writes it down in docs/scale.md.
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from risk_daemon.client import TradingGate
from tests.answers import LOOK_EVERY_S, Answers
from tests.e2e.harness import ROOT, Daemon, Venue, docs_secret, wait_for
from tests.namespaces import Cut, Machine, Network
from tests.partition_cases import (
    BOT,
    HOLDER,
    NOBODY,
    ORDER_FLIGHT_S,
    OTHER,
    REDIS,
    REDIS_LEASE_S,
    STORE,
    UNPROVEN_THEN_S,
    VENUE,
    Board,
    Case,
    Fault,
    Who,
)
from tests.postgres import Database, Server
from tests.redis_server import RedisServer

LOOKED_ON_S = 5.0
"""For how long each failure lasts once everything is as it stays: longer than every lease."""

SLACK_S = 0.5
"""What the machine that runs all of this, and looks each 10 ms, may be late."""

CANCEL_DEADLINE_S = 60.0
DISK_MB = 120
GUARDS = ("a", "b")
ORDERS = [
    {"pair": "BTC/USDT", "side": "buy", "type": "limit", "volume": 0.01, "price": price} for price in (30000, 31000)
]


@dataclass(kw_only=True)
class Outcome:
    """What was measured, in seconds. None: it did not happen, and had not to.

    shut_s: from the failure until who found the gate open the last time; by who. takeover_s: from the failure until the
    other guard's gate was open. healed_s: from the end of the failure until the bot found it open. closing_s: from a
    loss at the venue, while it lasts, until anybody found it open the last time. emptied_s: from that loss until the
    venue had no order.
    proven, untold: who proved the trip meanwhile, and who said that the other one could not be told of it.
    opened: what nobody may find open and somebody did, in words. lost: what should be there at the end and is not.
    """

    opened: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    open_then: frozenset[Who] = NOBODY
    shut_s: dict[Who, float] = field(default_factory=dict)
    takeover_s: float | None = None
    healed_s: float = 0.0
    closing_s: float = 0.0
    emptied_s: float = 0.0
    proven: frozenset[Who] = NOBODY
    untold: frozenset[Who] = NOBODY


class DistantVenue(Venue):
    """One that listens on a machine that can't be reached from here. Its control face has a socket."""

    def __init__(self, machine: Machine, path: Path) -> None:
        script = ROOT / "tests" / "e2e" / "venues" / "kraken_from_docs.py"
        words = [*machine.within, sys.executable, str(script), "--host", machine.local_looking, "--socket", str(path)]
        self._path = path
        super().__init__(words, "/control", machine.local_looking)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("venue")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self._path))
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == 200, text
        return json.loads(text)


def config(endpoint: str, redis: str, store: str | None, name: str) -> str:
    """Of one of the two guards."""
    state = f'locks = ["file", "{redis}"]' + (f'\nstore = "{store}"' if store else "")
    peer = next(other for other in GUARDS if other != name)
    return f"""
[portfolio]
initial_capital = 10000
[circuit_breaker]
cancel_deadline = "{CANCEL_DEADLINE_S:.0f}s"
settle = "300ms"
order_flight = "{ORDER_FLIGHT_S * 1000:.0f}ms"
[baselines]
peak_hold = "1s"
[breakers.blind]
veto_after = "10s"
[data]
reconcile_every = "3s"
call_timeout = "3s"
price_stale = "10s"
balance_stale = "15s"
[guard]
name = "{name}"
peers = ["{peer}"]
[state]
{state}
[venues.kraken]
exchange = "kraken"
markets = ["spot"]
endpoint = "{endpoint}"
"""


class World:
    """All of it. machines, and who of them is whom, by the names of a, b, bot, store, redis and venue."""

    def __init__(self, network: Network, case: Case) -> None:
        self.board = case.board
        self._disk_mb = DISK_MB if case.how is Fault.FULL else None
        self.network = network
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="risk-net-"))
        self.folder.chmod(0o755)
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.machines = {name: network.machine() for name in (*GUARDS, "bot", "store", "redis", "venue")}
        self.answers = {name: Answers() for name in (*GUARDS, "bot")}
        self.both_open: list[float] = []
        self._is_over = threading.Event()

    def __enter__(self) -> World:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.venue = DistantVenue(self.machines["venue"], self.folder / "venue")
        self._stack.callback(self.venue.kill)
        self.redis = RedisServer(self.folder / "redis", machine=self.machines["redis"]).start()
        self._stack.callback(self.redis.kill)
        store = self._database() if self.board is Board.POSTGRESQL else None
        self.guards = {name: self._guard(name, store) for name in GUARDS}
        with ThreadPoolExecutor(2) as threads:
            for done in threads.map(lambda guard: guard.command("init", "--yes"), self.guards.values()):
                assert done.returncode == 0, done.stderr
        self._look_on()
        for guard in self.guards.values():
            guard.start()

    def _database(self) -> str:
        settings = () if self._disk_mb is None else Server.ROOM_WHEN_WRITTEN
        self.postgres = Server(self.machines["store"], disk_mb=self._disk_mb, settings=settings)
        self._stack.callback(self.postgres.close)
        self.database = Database(self.postgres.start())
        return self.postgres.address_on_the_wire(self.database.name)

    def _guard(self, name: str, store: str | None) -> Daemon:
        directory = self.folder / name
        directory.mkdir()
        keys = {"kraken": ("docs-key" if name == "a" else "docs-key-2", docs_secret())}
        text = config(self.venue.endpoint, self.redis.url, store, name)
        guard = Daemon(directory, text, keys, self.machines[name].within)
        self._stack.callback(guard.close)
        return guard

    # --- who asks ----------------------------------------------------------------------------------

    def _look_on(self) -> None:
        script = ROOT / "tests" / "e2e" / "partition_bot.py"
        words = [*self.machines["bot"].within, sys.executable, str(script), self.redis.url, *GUARDS]
        self._bot = bot = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        threads = [threading.Thread(target=self._hear, args=(bot,)), threading.Thread(target=self._look)]
        for thread in threads:
            thread.start()
            self._stack.callback(thread.join)
        self._stack.callback(bot.wait)
        self._stack.callback(bot.kill)
        self._stack.callback(self._is_over.set)

    def _hear(self, bot: subprocess.Popen[str]) -> None:
        assert bot.stdout is not None
        for line in bot.stdout:
            at, is_open = line.split()
            self.answers["bot"].add(float(at), is_open == "1")

    def _look(self) -> None:
        """As bots on the machines of the guards do, by the memory map."""
        gates = {name: TradingGate(guard.state) for name, guard in self.guards.items()}
        while not self._is_over.wait(LOOK_EVERY_S):
            found = {}
            for name, gate in gates.items():
                found[name] = gate.is_open()
                self.answers[name].add(time.monotonic(), found[name])
            if all(found.values()) and gates[GUARDS[0]].is_open():
                self.both_open.append(time.monotonic())

    # --- what is asked -----------------------------------------------------------------------------

    def told(self) -> str:
        """For whoever wonders why something did not happen."""
        told = {name: [line[:300] for line in guard.output().splitlines()[-16:]] for name, guard in self.guards.items()}
        bot = {"ended": self._bot.poll(), "told s ago": time.monotonic() - self.answers["bot"].last_at()}
        told |= {"codes": [str(guard.process and guard.process.poll()) for guard in self.guards.values()]}
        return json.dumps({"open": sorted(self.open_now()), "bot": bot, "guards": told}, indent=1)

    def open_now(self) -> set[str]:
        """Of a, b and bot."""
        return {name for name, answers in self.answers.items() if answers.now()}

    def all_tripped(self) -> bool:
        return all(guard.of("circuit_breaker_triggered") for guard in self.guards.values())

    def settled(self) -> str:
        """Wait until one guard and the bot find it open; that guard."""

        def look() -> set[str]:
            found = self.open_now()
            return found & set(GUARDS) if "bot" in found and len(found) == 2 else set()

        (holder,) = wait_for(look, self.told)
        return str(holder)

    def watched_for(self, seconds: float) -> None:
        """Time passes; everybody who should runs on."""
        until = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() > until and self.answers["bot"].last_at() > until, self.told)

    def machine_of(self, who: Who, holder: str) -> Machine:
        other = next(name for name in GUARDS if name != holder)
        named = {HOLDER: holder, OTHER: other, BOT: "bot", STORE: "store", REDIS: "redis", VENUE: "venue"}
        return self.machines[named[who]]

    def failing(self, case: Case, holder: str) -> AbstractContextManager[None]:
        """While this lasts, so does the failure."""
        if isinstance(case.how, Fault):
            return self._befallen(case.one, case.how, self.guards[holder])
        one = self.machine_of(case.one, holder)
        if case.how is Cut.UNPLUGGED:
            return self.network.unplugged(one)
        if case.other is None or case.other is Who.ALL:
            return self._cut_from_all(one, case.how)
        return self.network.cut(one, self.machine_of(case.other, holder), case.how)

    @contextmanager
    def _cut_from_all(self, one: Machine, how: Cut) -> Iterator[None]:
        with ExitStack() as stack:
            for asks in self.machines.values():
                if asks is not one:
                    stack.enter_context(self.network.cut(asks, one, how))
            yield

    @contextmanager
    def _befallen(self, who: Who, how: Fault, holder: Daemon) -> Iterator[None]:
        if how is Fault.KILLED:
            holder.signal(signal.SIGKILL)
            holder.exit_code()
            yield
            holder.start()
            return
        stop, go_on = {
            (HOLDER, Fault.STOPPED): (lambda: holder.signal(signal.SIGSTOP), lambda: holder.signal(signal.SIGCONT)),
            (STORE, Fault.STOPPED): (lambda: self.postgres.freeze(), lambda: self.postgres.thaw()),
            (STORE, Fault.FULL): (lambda: self.postgres.fill_up(), lambda: self.postgres.come_back()),
            (REDIS, Fault.STOPPED): (lambda: self.redis.pause(), lambda: self.redis.resume()),
        }[who, how]
        stop()
        try:
            yield
        finally:
            go_on()


# --- one failure --------------------------------------------------------------------------------------


def play(network: Network, case: Case) -> Outcome:
    """The failure, its end, the failure again with a loss at the venue in it, its end."""
    with World(network, case) as world:
        outcome = Outcome()
        _fail_and_heal(world, case, outcome)
        _fail_and_lose(world, case, outcome)
        _look_back(world, outcome)
        return outcome


def _by_who(holder: str) -> dict[str, Who]:
    return {name: HOLDER if name == holder else OTHER for name in GUARDS} | {"bot": BOT}


def _fail_and_heal(world: World, case: Case, outcome: Outcome) -> None:
    holder = world.settled()
    names = _by_who(holder)
    began = time.monotonic()
    with world.failing(case, holder):
        wait_for(lambda: {names[name] for name in world.open_now()} == case.open_then, world.told)
        world.watched_for(max(LOOKED_ON_S, began + case.lasts_s - time.monotonic()))
        outcome.open_then = frozenset(names[name] for name in world.open_now())
        ended = time.monotonic()  # to mend it takes a moment, in which somebody may open already
    healed = time.monotonic()
    for name, who in names.items():
        answers = world.answers[name]
        shut = answers.first_shut(began, ended)
        if answers.between(0, began)[-1][1] and shut is not None:
            until = shut if who in case.open_then else ended
            outcome.shut_s[who] = (answers.last_open(began, until) or began) - began
    opened = world.answers[next(name for name in GUARDS if name != holder)].first_open(began)
    if opened is not None and opened < ended:
        outcome.takeover_s = opened - began
    world.settled()
    bot = world.answers["bot"]
    outcome.healed_s = max(0.0, (bot.first_open(healed) or healed) - healed)


def _fail_and_lose(world: World, case: Case, outcome: Outcome) -> None:
    holder = world.settled()
    names = _by_who(holder)
    for order in ORDERS:
        world.venue.post(order=order)
    with world.failing(case, holder):
        wait_for(lambda: {names[name] for name in world.open_now()} == case.open_then, world.told)
        lost = time.monotonic()
        world.venue.post(price={"BTC": 42000})
        wait_for(lambda: world.venue.get()["open"] == {}, world.told)
        outcome.emptied_s = time.monotonic() - lost
        if not case.is_out:
            wait_for(world.all_tripped, world.told)
        tripped = time.monotonic()
        wait_for(lambda: _all_said(world, case, names), world.told)
        world.watched_for(max(UNPROVEN_THEN_S, tripped + case.looked_on_s - time.monotonic()))
        outcome.proven, outcome.untold = _proven(world, names), _untold(world, names)
    codes = {name: guard.exit_code() for name, guard in world.guards.items()}
    if codes != dict.fromkeys(GUARDS, 1):
        outcome.lost.append(f"a proof: {codes}: {world.told()}")
    opens = [found for answers in world.answers.values() if (found := answers.last_open(lost)) is not None]
    outcome.closing_s = max(0.0, max(opens, default=lost) - lost)


def _all_said(world: World, case: Case, names: Mapping[str, Who]) -> bool:
    """Whether every guard has come as far with its trip as it can meanwhile, or further than it may."""
    proven = _proven(world, names)
    return not proven <= case.proven or (proven == case.proven and case.untold <= _untold(world, names))


def _untold(world: World, names: Mapping[str, Who]) -> frozenset[Who]:
    """Who said that the other one can't be told."""
    return frozenset(names[name] for name, guard in world.guards.items() if guard.of("peers_untold"))


def _proven(world: World, names: Mapping[str, Who]) -> frozenset[Who]:
    """Who ended with a proof."""
    codes = {name: guard.process and guard.process.poll() for name, guard in world.guards.items()}
    return frozenset(names[name] for name, code in codes.items() if code == 1)


def _look_back(world: World, outcome: Outcome) -> None:
    """What nobody may have found open at any time, and what is there in the end."""
    a, b, bot = (world.answers[name] for name in (*GUARDS, "bot"))
    if world.both_open:
        outcome.opened.append(f"both guards at once, {len(world.both_open)} times")
    opens = [at for answers in (a, b) for at, is_open in answers.between(0) if is_open]
    outcome.opened += _without_a_guard(bot, sorted(opens))
    left = world.venue.get()
    if left["open"] or len(left["cancelled"]) != len(ORDERS):
        outcome.lost.append(f"a cancel: {left['open']}")
    for name, guard in world.guards.items():
        outcome.lost += _missing(world, name, guard)


def _without_a_guard(bot: Answers, opens: list[float]) -> list[str]:
    """A bot's open needs a guard whose gate was open at most a lease before."""
    late = []
    for told, is_open in bot.between(0):
        first = bisect_left(opens, told - REDIS_LEASE_S - SLACK_S)
        if is_open and not (first < len(opens) and opens[first] <= told + SLACK_S):
            late.append(told)
    return [f"the bot, {len(late)} times after every lease, first at {late[0]:.2f}"] if late else []


def _missing(world: World, name: str, guard: Daemon) -> list[str]:
    trip_id = guard.of("circuit_breaker_triggered")[-1]["trip_id"]
    with sqlite3.connect(guard.state / "state.db") as connection:
        here = {key: json.loads(body) for key, body in connection.execute("SELECT key, body FROM document")}
    found = [] if here.get("lock", {}).get("trip_id") == trip_id else [f"the latch of {name}"]
    if world.board is Board.POSTGRESQL:
        there = {key: json.loads(body) for key, body in world.database.documents(name).items()}
        found += [f"{key} of {name} in PostgreSQL" for key, body in here.items() if there.get(key) != body]
    return found
