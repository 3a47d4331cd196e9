"""`risk-daemon fund`, as people run it, over a real Redis and a real PostgreSQL."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.simulated import API_KEY, API_SECRET
from risk_daemon.state.store.sqlite import peek_documents
from tests.e2e.asking import Asking
from tests.e2e.harness import Daemon, Venue, kraken_config, wait_for
from tests.e2e.wardens import Warden, page_of
from tests.ledger_servers import Place, PostgresPlace, RedisPlace
from tests.postgres import Server
from tests.redis_server import RedisServer

pytestmark = pytest.mark.long

KEYS = {"kraken": (API_KEY, API_SECRET)}
LIMIT = "1000 USDT"
AUTO = '"auto"'


@pytest.fixture(params=["redis", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "postgresql":
        yield PostgresPlace(request.getfixturevalue("postgres"))
        return
    server = RedisServer(tmp_path / "redis").start()
    yield RedisPlace(server)
    server.kill()


@pytest.fixture
def in_redis(tmp_path: Path) -> Iterator[RedisPlace]:
    server = RedisServer(tmp_path / "redis").start()
    yield RedisPlace(server)
    server.kill()


def address(place: Place) -> str:
    match place:
        case RedisPlace():
            return place.server.url
        case PostgresPlace():
            return place.database.address
    raise TypeError(place)


class Fund:
    """Guards of one fund, each with an account of its own of 9,000 USDT and some coins at 100,000."""

    def __init__(self, directory: Path, place: Place, simulate: Callable[[str], Venue]) -> None:
        self.directory, self.place, self._simulate = directory, place, simulate
        self.guards: dict[str, Daemon] = {}
        self.venues: dict[str, Venue] = {}

    def add(
        self,
        name: str,
        *,
        limit: str = LIMIT,
        budget: str = "400",
        init: bool = True,
        account: str = "",
        coins: str = "0",
    ) -> Daemon:
        """account: whose account it guards, if not its own."""
        if not account:
            venue = self.venues[name] = self._simulate("kraken")
            for quote in ("USD", "USDT"):
                venue.post("/price", symbol=f"BTC/{quote}", price="100000")
            venue.post("/balance", asset="USDT", amount="9000")
            venue.post("/balance", asset="BTC", amount=coins)
        endpoint = self.venues[account or name].endpoint
        folder = self.directory / name
        folder.mkdir()
        guard = self.guards[name] = Daemon(folder, config(endpoint, name, address(self.place), limit, budget), KEYS)
        if init:
            done = guard.command("init", "--yes")
            assert done.returncode == 0, done.stderr
        return guard

    def close(self) -> None:
        for guard in self.guards.values():
            guard.close()


def config(endpoint: str, member: str, ledger: str, limit: str, budget: str) -> str:
    fund = f'name = "alpha"\nlimit = "{limit}"\nmember = "{member}"\nbudget = {budget}\nledger = "{ledger}"'
    return f"{kraken_config(endpoint, capital=AUTO)}\n[fund]\n{fund}\n"


@pytest.fixture
def fund(tmp_path: Path, place: Place, simulate: Callable[[str], Venue]) -> Iterator[Fund]:
    made = Fund(tmp_path, place, simulate)
    yield made
    made.close()


@pytest.fixture
def redis_fund(tmp_path: Path, in_redis: RedisPlace, simulate: Callable[[str], Venue]) -> Iterator[Fund]:
    made = Fund(tmp_path, in_redis, simulate)
    yield made
    made.close()


def done(guard: Daemon, *words: str) -> str:
    """What a command of the fund says when it succeeds."""
    ran = guard.command("fund", *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def refused(guard: Daemon, *words: str) -> str:
    """The sentence that a command is refused with."""
    ran = guard.command("fund", *words)
    assert ran.returncode == 78, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stderr


def status(guard: Daemon, code: int = 0) -> dict[str, Any]:
    ran = guard.command("fund", "status", "--json")
    assert ran.returncode == code, ran.stdout + ran.stderr
    return dict(json.loads(ran.stdout))


def document(guard: Daemon) -> dict[str, Any]:
    return peek_documents(guard.state / "state.db").get("fund", {})


# --- founding and joining ----------------------------------------------------------------------------


def test_a_fund_is_founded_and_joined_and_looked_at(fund: Fund) -> None:
    a, b = fund.add("a"), fund.add("b")
    before = status(a)
    assert (before["own"]["joined"], before["ledger"]["founding"]) == (False, None)
    assert "holds no fund 'alpha': found it" in refused(b, "join")
    assert "give --yes" in refused(a, "found")
    assert document(a) == {}

    told = done(a, "found", "--yes")
    assert "Founded: a of fund alpha, with a limit of 1000 USDT." in told
    assert "It may lose 1000." in told
    told = done(b, "join")
    assert "Joined: b of fund alpha" in told
    assert "It has no budget yet" in told

    now = status(b)
    assert [(row["name"], row["budget"], row["wants"]) for row in now["ledger"]["members"]] == [
        ("a", "1000", "400"),
        ("b", "0", "400"),
    ]
    assert (now["own"]["budget"], now["own"]["is_funded"], now["guard"]) == ("0", False, None)
    assert (now["ledger"]["limit"], now["ledger"]["currency"], now["ledger"]["wrong"]) == ("1000", "USDT", [])
    shown = done(a, "status")
    assert "By this guard's own document it may lose 1,000.00 USDT." in shown
    assert "No guard answers here" in shown
    assert "no budget yet" in shown, "of b"
    for guard, deed in ((a, "founded"), (b, "joined")):
        [event] = guard.of("fund_membership")
        assert (event["deed"], event["fund"], event["operator"].partition(":")[0] != "") == (deed, "alpha", True)

    assert "a of alpha already" in refused(a, "join")
    assert "this guard is b of alpha already" in refused(b, "found", "--yes")
    assert "of alpha already" in refused(b, "join")


def test_a_ratio_needs_the_capital_and_money_takes_none(redis_fund: Fund) -> None:
    a, b, c = redis_fund.add("a", limit="5%"), redis_fund.add("b", limit="5%"), redis_fund.add("c")
    assert "give it as --capital AMOUNT" in refused(a, "found", "--yes")
    assert "--capital" in refused(a, "found", "--yes", "--capital", "much")
    assert "nothing to reckon from a capital" in refused(c, "found", "--yes", "--capital", "5")
    assert "limit of 1500 USDT" in done(a, "found", "--yes", "--capital", "30000")
    done(b, "join")
    assert "with a limit of 1500 USDT, not of 'alpha' with 1000 USDT" in refused(c, "join")


def test_who_is_not_let_in(redis_fund: Fund) -> None:
    a = redis_fund.add("a")
    done(a, "found", "--yes")
    thief = redis_fund.add("d", budget="100", account="a")
    assert "a guards the account" in refused(thief, "join")
    greedy = redis_fund.add("e", budget="601")
    assert "the budgets would sum to 1001" in refused(greedy, "join")
    namesake = redis_fund.add("f", budget="100")
    namesake.config.write_text(namesake.config.read_text().replace('member = "f"', 'member = "a"'))
    assert "has or had a member 'a'" in refused(namesake, "join")
    assert [document(guard) for guard in (thief, greedy, namesake)] == [{}, {}, {}]
    assert len(status(a)["ledger"]["members"]) == 1


def test_without_a_state_or_a_table_or_beside_a_guard_nothing_is_done(redis_fund: Fund) -> None:
    a = redis_fund.add("a", init=False)
    assert "risk-daemon init" in refused(a, "found", "--yes")
    assert a.command("init", "--yes").returncode == 0
    text = a.config.read_text()
    a.config.write_text(text.partition("[fund]")[0])
    for words in (
        ("found", "--yes"),
        ("join",),
        ("status",),
        ("leave", "--yes"),
        ("adopt", "a", "--reason", "x", "--yes"),
    ):
        assert "add the table [fund]" in refused(a, *words), words
    a.start()
    a.wait_for("api_listening")
    a.config.write_text(text)
    assert "stop the guard first" in refused(a, "found", "--yes")
    assert document(a) == {}


def test_of_two_who_found_at_once_one_is_refused_and_may_join(fund: Fund) -> None:
    guards = [fund.add("a"), fund.add("b")]
    with ThreadPoolExecutor(2) as threads:
        ran = list(threads.map(lambda guard: guard.command("fund", "found", "--yes"), guards))
    assert sorted(one.returncode for one in ran) == [0, 78], [one.stderr for one in ran]
    loser = guards[0 if ran[0].returncode else 1]
    assert "is that of" in ran[guards.index(loser)].stderr or "is not empty" in ran[guards.index(loser)].stderr
    assert document(loser) == {}
    done(loser, "join")


def test_of_two_who_join_at_once_for_what_is_there_once_one_is_refused(redis_fund: Fund) -> None:
    done(redis_fund.add("a"), "found", "--yes")
    guards = [redis_fund.add(name, budget="500") for name in "bc"]
    with ThreadPoolExecutor(2) as threads:
        ran = list(threads.map(lambda guard: guard.command("fund", "join"), guards))
    assert sorted(one.returncode for one in ran) == [0, 78], [one.stderr for one in ran]
    assert len(status(guards[0])["ledger"]["members"]) == 2


def test_a_ledger_on_a_server_of_its_own_gets_its_table_by_migrate(
    postgres: Server, tmp_path: Path, simulate: Callable[[str], Venue]
) -> None:
    fund = Fund(tmp_path, PostgresPlace(postgres, has_tables=False), simulate)
    a = fund.add("a")
    assert "run `risk-daemon migrate`" in refused(a, "found", "--yes")
    migrated = a.command("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert "migrated 0001_state" in migrated.stdout
    assert "nothing to do, the tables are this version's" in a.command("migrate").stdout
    done(a, "found", "--yes")


# --- a ledger that is away ---------------------------------------------------------------------------


def test_a_ledger_that_is_gone_is_said_and_changes_nothing(fund: Fund) -> None:
    a = fund.add("a")
    done(a, "found", "--yes")
    kept, place = document(a), fund.place
    place.pause()
    try:
        shown = status(a, code=78)
        assert shown["own"]["budget"] == "1000"
        assert "PostgreSQL at" in shown["ledger"]["error"] or "Redis at" in shown["ledger"]["error"]
        assert "nothing was changed" in refused(a, "join")
        assert a.command("fund", "status").stdout.count("THE LEDGER IS NOT KNOWN") == 1
    finally:
        place.go_on()
    assert document(a) == kept
    assert status(a)["ledger"]["founding"] == kept["charter"]["founding"]


def test_garbage_in_the_ledger_is_refused_with_a_sentence(redis_fund: Fund) -> None:
    a = redis_fund.add("a")
    redis_fund.place.put('{"format": 2}')
    assert "format" in status(a, code=78)["ledger"]["error"]
    for words in (("join",), ("found", "--yes"), ("found", "--yes", "--anew", "--reason", "x")):
        refused(a, *words)
    assert document(a) == {}


def test_a_founding_that_was_killed_is_gone_on_with(redis_fund: Fund) -> None:
    """After it was written here, and before the ledger answered."""
    a = redis_fund.add("a")
    redis_fund.place.server.ask("CLIENT", "PAUSE", 600_000, "WRITE")
    words = [sys.executable, "-m", "risk_daemon", "fund", "found", "--yes", "--config", str(a.config)]
    running = subprocess.Popen(words, env=a.environment, cwd=a.directory)
    try:
        wait_for(lambda: document(a), "a founding that is written down")
    finally:
        running.kill()
        running.wait()
    assert document(a)["row"]["minted"] == "0"
    redis_fund.place.server.ask("CLIENT", "UNPAUSE")
    assert "It may lose 1000." in done(a, "found", "--yes")
    assert [row["budget"] for row in status(a)["ledger"]["members"]] == ["1000"]


# --- wardens -----------------------------------------------------------------------------------------


def test_wardens_agree_to_a_founding_or_it_is_none(redis_fund: Fund) -> None:
    a = redis_fund.add("a")
    alice = Warden("alice").put(a)
    assert "holds no fund 'alpha'" in refused(a, "join"), "what would be refused is refused before anybody is asked"
    asking = Asking(a, "fund", "found", "--yes")
    try:
        assert page_of(asking).look()["purpose"] == "fund"
        asking.process.send_signal(signal.SIGINT)
        assert asking.ends() == 78, asking.said
        assert "nothing was changed" in asking.said
    finally:
        asking.stop()
    assert document(a) == {}
    assert status(a)["ledger"]["founding"] is None
    asking = Asking(a, "fund", "found", "--yes")
    try:
        page = page_of(asking)
        assert "may lose 1000 USDT together" in page.look()["changes"][0]
        code, view = alice.agrees(page)
        assert code == 200, view
        assert asking.ends() == 0, asking.said
    finally:
        asking.stop()
    assert status(a)["own"]["budget"] == "1000"
    [event] = a.of("fund_membership")
    assert "alice" in event["operator"]


# --- another place -----------------------------------------------------------------------------------


def test_a_member_is_adopted_where_its_state_was_moved_to(redis_fund: Fund) -> None:
    a, b = redis_fund.add("a"), redis_fund.add("b")
    done(a, "found", "--yes")
    done(b, "join")
    shutil.move(b.state, b.directory / "old")
    shutil.copytree(b.directory / "old", b.state)
    moved = status(b, code=78)
    assert "this state was moved or copied" in moved["own"]["error"]
    adopt = ("adopt", "b", "--reason", "a new disk", "--yes")
    assert "--reason" in refused(b, "adopt", "b")
    assert "calls this guard b: to adopt a here" in refused(b, "adopt", "a", "--reason", "x", "--yes")
    assert "Adopted: b of fund alpha" in done(b, *adopt)
    assert status(b)["own"]["error"] is None
    assert document(b)["row"]["incarnation"] == 2
    shutil.rmtree(b.state)
    shutil.move(b.directory / "old", b.state)
    assert "of alpha already" in refused(b, "join"), "the old one is not a new member"


def test_a_member_whose_loss_is_not_known_is_not_adopted(redis_fund: Fund) -> None:
    a = redis_fund.add("a")
    done(a, "found", "--yes")
    shutil.rmtree(a.state)
    assert a.command("init", "--yes").returncode == 0
    before = redis_fund.place.backup()
    assert "does not know what a has lost" in refused(a, "adopt", "a", "--reason", "burned", "--yes")
    assert redis_fund.place.backup() == before
    other = redis_fund.add("x", budget="10")
    other.config.write_text(other.config.read_text().replace('member = "x"', 'member = "a"'))
    assert "guards other accounts" in refused(other, "adopt", "a", "--reason", "burned", "--yes")


# --- leaving -----------------------------------------------------------------------------------------


def test_a_member_leaves_only_with_empty_and_flat_accounts(redis_fund: Fund) -> None:
    a, b = redis_fund.add("a"), redis_fund.add("b")
    assert "of no fund" in refused(b, "leave", "--yes")
    done(a, "found", "--yes")
    done(b, "join")
    venue = redis_fund.venues["b"]
    venue.post("/order", symbol="BTC/USD", side="buy", type="limit", quantity="0.001", price="50000")
    venue.post("/balance", asset="BTC", amount="0.03")
    said = refused(b, "leave", "--yes", "--to", "a")
    assert "1 open orders of account" in said
    assert "0.03 BTC, whose worth moves" in said
    assert "b is not proven empty and flat, so it keeps its budget" in said
    assert b.command("cancel-all").returncode == 0
    venue.post("/balance", asset="BTC", amount="0")
    assert "Left: b is out of fund alpha; 0 stay with it" in done(b, "leave", "--yes", "--to", "a")
    assert [row["has_left"] for row in status(a)["ledger"]["members"]] == [False, True]
    assert "has left alpha already" in refused(b, "leave", "--yes")
    assert [event["deed"] for event in b.of("fund_membership")] == ["joined", "left"]


def test_a_funded_member_whose_loss_is_not_known_does_not_leave(redis_fund: Fund) -> None:
    a = redis_fund.add("a")
    done(a, "found", "--yes")
    assert "what a has lost since it got its budget is not known" in refused(a, "leave", "--yes")
    assert document(a)["row"]["has_left"] is False


# --- with guards that run ----------------------------------------------------------------------------


def of_guard(guard: Daemon) -> dict[str, Any]:
    """What a running guard says of itself in the fund."""
    return dict(status(guard)["guard"] or {})


def test_headroom_is_given_by_running_guards_and_a_leaver_gives_the_rest_back(redis_fund: Fund) -> None:
    a, b = redis_fund.add("a"), redis_fund.add("b")
    done(a, "found", "--yes")
    assert "known to a running guard only, so start it" in refused(a, "transfer", "50", "--to", "b")
    done(b, "join")
    for guard in (a, b):
        guard.start()
    wait_for(lambda: of_guard(b).get("may_trade") and of_guard(a).get("may_trade"), lambda: b.output() + a.output())
    lent = int(of_guard(b)["budget"])
    assert 0 < lent <= 400, "lent as it asked"
    assert "Given: 50 to b" in done(a, "transfer", "50", "--to", "b")
    wait_for(lambda: of_guard(b)["budget"] == str(lent + 50), "the gift at b")
    assert "can spare less than" in refused(a, "transfer", "5000", "--to", "b")
    assert "no other member 'c'" in refused(a, "transfer", "5", "--to", "c")
    refused(a, "transfer", "0", "--to", "b")
    [gave] = [event for event in a.of("fund_membership") if event["deed"] == "gave" and event["reason"] == "given"]
    assert (gave["to"], gave["amount"]) == ("b", "50")
    assert "The running guard has lost" in done(b, "status")

    assert "stop the guard first" in refused(b, "leave", "--yes", "--to", "a")
    b.signal(signal.SIGTERM)
    assert b.exit_code() == 0
    assert "Left: b is out of fund alpha; 0 stay with it" in done(b, "leave", "--yes", "--to", "a")
    wait_for(lambda: of_guard(a)["budget"] == "1000", lambda: json.dumps(status(a)))
    assert status(a)["ledger"]["wrong"] == []


def test_a_fund_that_has_tripped_is_founded_anew_and_joined_again(redis_fund: Fund) -> None:
    a, b = redis_fund.add("a"), redis_fund.add("b", budget="100", coins="0.01")
    done(a, "found", "--yes")
    done(b, "join")
    for guard in (a, b):
        guard.start()
    wait_for(lambda: of_guard(b).get("may_trade") and of_guard(a).get("may_trade"), lambda: b.output() + a.output())
    for quote in ("USD", "USDT"):
        redis_fund.venues["b"].post("/price", symbol=f"BTC/{quote}", price="70000")
    assert [guard.exit_code() for guard in (b, a)] == [1, 1], b.output() + a.output()
    assert status(a)["ledger"]["trip_id"] == document(b)["row"]["trip"]
    assert "THE FUND HAS TRIPPED" in done(b, "status")
    assert "has tripped" in refused(b, "join")
    for guard in (a, b):
        reset = guard.command("reset", "--reason", "seen", "--rebaseline", "current", "--yes")
        assert reset.returncode == 0, reset.stderr
    assert "--anew needs --reason" in refused(a, "found", "--anew", "--yes")
    assert "Founded" in done(a, "found", "--anew", "--yes", "--reason", "all was looked at")
    done(b, "join")
    now = status(a)
    assert (now["ledger"]["trip_id"], [row["name"] for row in now["ledger"]["members"]]) == (None, ["a", "b"])
    for guard in (a, b):
        guard.start()
    wait_for(lambda: of_guard(b).get("may_trade") and of_guard(a).get("may_trade"), lambda: b.output() + a.output())
