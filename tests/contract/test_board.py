"""What every board promises: one holder of the epoch, everybody's word heard, and nothing taken for leave to open."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.board import base
from risk_daemon.state.board.base import Answer, Board, Known, Standing
from risk_daemon.state.board.redis import RedisBoard
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from tests.board_servers import Place, PostgresPlace, RedisPlace, until
from tests.postgres import Server
from tests.proxy import Proxy
from tests.redis_server import VERSIONS, RedisServer

GUARDED = ("kraken (kraken, live, spot)",)
CLEAR = Standing(locked=False, since_wall=1.0, guarded=GUARDED)
HALTED = Standing(locked=True, cause="manual_halt", reason="night", trip_id="trip-1", since_wall=5.0, guarded=GUARDED)
LEASE_S = 0.6


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("redis", "postgres"):
        monkeypatch.setattr(f"risk_daemon.state.board.{kind}.LEASE_S", LEASE_S)


@pytest.fixture(params=VERSIONS)
def redis_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisPlace]:
    made = RedisPlace(RedisServer(tmp_path / "redis", request.param).start())
    yield made
    made.server.kill()


@pytest.fixture
def other(redis_place: RedisPlace, tmp_path: Path) -> Iterator[RedisServer]:
    """A second server of the same version."""
    made = RedisServer(tmp_path / "other", redis_place.server.version).start()
    yield made
    made.kill()


@pytest.fixture
def postgresql_place(postgres: Server) -> PostgresPlace:
    return PostgresPlace(postgres)


@pytest.fixture(params=["postgresql", *VERSIONS])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with of_kind(request, request.param, "postgres", tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def of_kind(request: pytest.FixtureRequest, kind: str, postgres: str, directory: Path) -> AsyncIterator[Place]:
    """On PostgreSQL, by the fixture of that name, or on a Redis of that version."""
    if kind == "postgresql":
        on_postgres = PostgresPlace(request.getfixturevalue(postgres))
        yield on_postgres
        for link in on_postgres.links:
            await link.close()
        return
    on_redis = RedisPlace(RedisServer(directory / "redis", kind).start())
    yield on_redis
    for client in on_redis.clients:
        await client.aclose()
    on_redis.server.kill()


async def ask(
    board: Board,
    mine: Standing | None = CLEAR,
    *,
    wants: bool = True,
    known_epoch: int = 0,
    known_words: int = 0,
    known_server: str = "",
    doubts: bool = False,
) -> Answer:
    known = Known(epoch=known_epoch, words=known_words, server=known_server, doubts=doubts)
    return await board.exchange(mine, known, wants=wants)


async def held(board: Board, known_epoch: int = 0, mine: Standing | None = CLEAR) -> Answer:
    """Ask until the epoch is ours."""
    found: list[Answer] = []

    async def is_ours() -> bool:
        found.append(await ask(board, mine, known_epoch=known_epoch))
        return found[-1].is_ours

    await until(is_ours)
    return found[-1]


async def test_a_new_board_settles_before_anybody_opens(place: Place) -> None:
    board = place.board("a", ["b"])
    first = await ask(board)
    assert (first.is_ours, first.is_settled, first.epoch, first.holder) == (False, False, 0, "")
    answer = await held(board)
    assert (answer.is_settled, answer.epoch, answer.holder, answer.is_taken) == (True, 1, "a", False)


async def test_one_holds_the_epoch_and_the_other_does_not_until_the_lease_is_over(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    assert (await held(a)).epoch == 1
    for _ in range(3):
        answer = await ask(b)
        assert (answer.is_ours, answer.holder, answer.epoch) == (False, "a", 1)
        assert (await ask(a)).is_ours
    assert (await held(b)).epoch == 2  # a asks no more
    assert not (await ask(a)).is_ours


async def test_who_does_not_want_to_open_lets_go_at_once(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await held(a)
    answer = await ask(a, HALTED, wants=False)
    assert (answer.is_ours, answer.holder) == (False, "")
    assert (await ask(b)).epoch == 2


async def test_what_one_writes_the_others_see_and_it_stays(place: Place) -> None:
    a, b = place.board("a", ["b", "c"]), place.board("b", ["a", "c"])
    assert (await ask(a, HALTED)).others == {"b": None, "c": None}
    assert (await ask(b)).others == {"a": HALTED, "c": None}
    assert (await ask(a)).others == {"b": CLEAR, "c": None}


async def test_a_guard_that_is_not_named_is_seen_too(place: Place) -> None:
    a, b, c = place.board("a", ["b"]), place.board("b", ["a", "c"]), place.board("c", ["a", "b"])
    assert (await ask(a)).unnamed == {}
    await ask(b)
    await ask(c, HALTED)
    answer = await ask(a)
    assert (answer.others, answer.unnamed) == ({"b": CLEAR}, {"c": HALTED})
    answer = await ask(b)
    assert (answer.others, answer.unnamed) == ({"a": CLEAR, "c": HALTED}, {})
    place.say_of("c", "no json")
    assert (await ask(a)).unnamed == {"c": base.UNREADABLE}
    place.say_at("c", -60.0)
    assert (await ask(a)).unnamed == {}


async def test_a_guard_that_is_not_named_and_left_nothing_to_read_locks(redis_place: RedisPlace) -> None:
    a, c = redis_place.board("a", []), redis_place.board("c", ["a"])
    await ask(c)
    redis_place.delete("guard:c")
    assert (await ask(a)).unnamed == {"c": base.UNREADABLE}


async def test_a_guard_is_taken_off_the_board_as_the_page_says(place: Place) -> None:
    a, c = place.board("a", []), place.board("c", ["a"])
    await ask(c)
    assert (await ask(a)).unnamed == {"c": CLEAR}
    place.take_off("c")
    assert (await ask(a)).unnamed == {}


async def test_a_second_process_of_one_name_is_told_so_and_writes_nothing(place: Place) -> None:
    first, second, other = place.board("a", ["b"], run="1"), place.board("a", ["b"], run="2"), place.board("b", ["a"])
    await ask(first, HALTED)
    answer = await ask(second, CLEAR)
    assert answer.is_taken
    assert not answer.is_ours
    assert (await ask(other)).others == {"a": HALTED}

    async def is_free() -> bool:
        return not (await ask(second)).is_taken

    await until(is_free)  # the first is gone, or was restarted


async def test_what_locks_is_taken_in_whoever_says_it_under_a_name(place: Place) -> None:
    first, second, other = place.board("a", ["b"], run="1"), place.board("a", ["b"], run="2"), place.board("b", ["a"])
    assert (await held(first)).before is None
    answer = await ask(second, HALTED, wants=False)
    assert (answer.is_taken, answer.is_ours, answer.before) == (False, False, CLEAR)
    assert (await ask(other, wants=False)).others == {"a": HALTED}
    answer = await ask(first)
    assert (answer.is_taken, answer.is_ours, answer.before) == (True, False, HALTED), "it hears, and lifts nothing"
    assert (await ask(other, wants=False)).others == {"a": HALTED}
    assert (await ask(second, CLEAR)).before == CLEAR, "its own word is not another's"


async def test_what_was_said_before_under_a_name_is_told_until_another_process_stands_there(place: Place) -> None:
    """The answer to the first word may be lost on the way, and a trip with it."""
    await ask(place.board("a", ["b"], run="1"), HALTED, wants=False)
    second = place.board("a", ["b"], run="2")

    async def stands() -> bool:
        return not (await ask(second)).is_taken

    await until(stands)
    assert [(await ask(second)).before for _ in range(2)] == [HALTED, HALTED]
    assert (await ask(place.board("a", ["b"], run="3"), HALTED, wants=False)).before == CLEAR


async def test_who_says_nothing_may_keep_all_others_from_opening_and_changes_no_word(place: Place) -> None:
    a, b, command = place.board("a", ["b"], run="1"), place.board("b", ["a"]), place.board("a", ["b"], run="2")
    await ask(a, HALTED, wants=False)
    await ask(b, wants=False)
    answer = await held(command, mine=None)
    assert (answer.holder, answer.is_taken, answer.others) == ("a", False, {"b": CLEAR})
    for _ in range(2):
        answer = await ask(b)
        assert (answer.is_ours, answer.holder, answer.others) == (False, "a", {"a": HALTED})
        assert not (await ask(a, HALTED)).is_ours, "another process of its name has it"
        assert (await ask(command, None)).is_ours
    assert (await ask(command, None, wants=False)).holder == ""
    assert (await ask(b)).is_ours
    assert not (await ask(command, None)).is_ours


async def test_a_board_that_lost_the_record_of_who_holds_it_settles(redis_place: RedisPlace) -> None:
    """As by an eviction, or a DEL: that nobody holds it would be a guess, while a guard counts its lease."""
    a, b = redis_place.board("a", ["b"]), redis_place.board("b", ["a"])
    await held(a)
    await ask(b)
    redis_place.delete("holder")
    answer = await ask(b)
    assert (answer.is_ours, answer.is_settled) == (False, False)


async def test_no_record_of_the_board_may_be_evicted_for_the_time_it_has_left(redis_place: RedisPlace) -> None:
    await held(redis_place.board("a", []))
    assert {left_ms for left_ms, _ in redis_place.saved().values()} == {0}


async def test_a_guard_that_was_answered_by_another_server_before_has_this_one_settle(
    redis_place: RedisPlace, other: RedisServer
) -> None:
    """Two masters behind one address: what the other gave may be in force, though this one has settled long ago."""
    b = redis_place.board_at(other.port, "b", ["a"])
    known = await held(redis_place.board("a", ["b"]))
    await held(b)
    answer = await ask(redis_place.board_at(other.port, "a", ["b"]), known_server=known.server)
    assert (answer.is_ours, answer.is_settled) == (False, False)
    assert not (await ask(b)).is_ours
    assert answer.server not in ("", known.server)


async def test_a_server_that_is_known_and_goes_on_is_the_same(place: Place) -> None:
    a = place.board("a", ["b"])
    known = await held(a)
    answer = await ask(a, known_server=known.server)
    assert (answer.is_ours, answer.server) == (True, known.server)
    answer = await ask(a, known_server="another")
    assert (answer.is_ours, answer.is_settled) == (False, False)


async def test_who_took_leave_frees_its_name_at_once(place: Place) -> None:
    first, second = place.board("a", ["b"], run="1"), place.board("a", ["b"], run="2")
    await ask(first)
    assert (await ask(second)).is_taken
    await ask(first, replace(CLEAR, is_here=False), wants=False)
    answer = await ask(second)
    assert (answer.is_taken, answer.before) == (False, replace(CLEAR, is_here=False))
    assert (await ask(first)).is_taken, "it has left"


async def test_how_long_ago_each_spoke_is_told_and_how_many_words_were_said(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    first = await ask(b)
    place.say_at("b", -60.0)
    place.begin(-120.0)
    answer = await ask(a)
    assert answer.said_s == {"b": pytest.approx(60.0, abs=5.0)}
    assert answer.words == first.words + 1
    assert answer.at_s - first.at_s < 60.0
    assert (await ask(a, known_words=answer.words)).words == answer.words + 1


async def test_a_board_that_lost_a_word_settles_even_if_it_knows_of_every_epoch(place: Place) -> None:
    """Its tables were restored under a server that went on."""
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    known = await held(a)
    await ask(b)
    saved = place.saved()
    known = await ask(b, HALTED, wants=False)
    place.restore(saved)
    assert (await ask(a)).others == {"b": CLEAR}, "who knows of nothing finds nothing"
    place.restore(saved)
    answer = await ask(a, known_epoch=known.epoch, known_words=known.words)
    assert (answer.is_ours, answer.is_settled, answer.others) == (False, False, {"b": None})
    assert answer.words > known.words
    assert (await ask(a, known_words=answer.words)).others == {"b": None}


async def test_a_board_whose_clock_is_doubted_settles_and_nobody_holds_the_epoch(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await held(a)
    await ask(b)
    answer = await ask(b, doubts=True)
    assert (answer.is_ours, answer.is_settled, answer.holder, answer.others) == (False, False, "", {"a": None})
    assert not (await ask(a)).is_ours
    assert (await held(a)).epoch == 2


async def test_a_word_that_comes_after_a_later_one_changes_nothing_and_holds_no_epoch(place: Place) -> None:
    a, late, b = place.board("a", ["b"]), place.board("a", ["b"]), place.board("b", ["a"])
    await held(a)
    await ask(a, HALTED, wants=False)
    with pytest.raises(RecordError, match="a later word was here first"):
        await ask(late, CLEAR)  # its first, of the same process
    answer = await ask(b, wants=False)
    assert (answer.others, answer.holder) == ({"a": HALTED}, "")
    assert (await ask(a)).is_ours


async def test_a_word_that_was_held_up_on_the_way_does_not_land_on_a_later_one(redis_place: RedisPlace) -> None:
    proxy, b = Proxy(redis_place.server.port), redis_place.board("b", ["a"])
    async with proxy.running():
        a = redis_place.board_at(proxy.port, "a", ["b"])
        await ask(a, CLEAR)
        proxy.hold = b'"locked": false'
        with pytest.raises(RecordError):
            await ask(a, CLEAR)
        proxy.hold = None
        await ask(a, HALTED, wants=False)
        before = redis_place.exchanges()
        proxy.release.set()

        async def has_landed() -> bool:
            return redis_place.exchanges() > before

        await until(has_landed)
        assert (await ask(b, wants=False)).others == {"a": HALTED}
        await a.close()


async def test_what_can_not_be_read_locks(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await ask(b)
    for garbage in ("", "null", "[]", '{"locked": false}', "no json", '{"format": 9, "locked": false}', "\xff"):
        place.say_of("b", garbage)
        standing = (await ask(a)).others["b"]
        assert standing is not None
        assert standing.locked, garbage


async def test_a_board_that_forgot_settles_anew_and_counts_on_from_what_its_guards_know(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    known = (await held(a)).epoch
    await ask(b)
    place.forget()
    answer = await ask(b, known_epoch=known)
    assert (answer.is_ours, answer.is_settled, answer.others) == (False, False, {"a": None})
    assert (await held(b, known)).epoch == known + 1


async def test_a_board_of_yesterday_settles_anew(place: Place) -> None:
    a = place.board("a", [])
    await held(a)
    place.set_epoch(3)
    answer = await ask(a, known_epoch=9)
    assert (answer.is_settled, answer.epoch) == (False, 9)


async def test_on_a_board_of_yesterday_nobody_was_heard_of_until_they_speak_again(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await ask(b, CLEAR)
    known = (await held(a)).epoch + 1  # of today, when b had tripped
    answer = await ask(a, known_epoch=known)
    assert (answer.is_settled, answer.others) == (False, {"b": None})
    assert (await held(a, known)).others == {"b": None}
    await ask(b, HALTED, wants=False)
    assert (await ask(a, known_epoch=known)).others == {"b": HALTED}


@pytest.mark.parametrize("seconds", [-60.0, 60.0])
async def test_what_was_said_before_the_board_was_made_or_in_the_future_was_not_heard(
    place: Place, seconds: float
) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await ask(b)
    assert (await ask(a)).others == {"b": CLEAR}
    place.say_at("b", seconds)
    assert (await ask(a)).others == {"b": None}
    await ask(b)
    assert (await ask(a)).others == {"b": CLEAR}


async def test_a_clock_that_is_set_back_settles_anew(place: Place) -> None:
    a = place.board("a", [])
    await held(a)
    place.begin(86_400.0)
    assert not (await ask(a)).is_settled


@pytest.fixture(params=["postgresql", *VERSIONS])
async def own_place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """One that no other test has: it may be restarted."""
    async with of_kind(request, request.param, "own_postgres", tmp_path) as made:
        yield made


async def test_another_server_with_the_same_board_settles_even_if_it_knows_of_every_epoch(own_place: Place) -> None:
    place = own_place
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await held(a)
    await ask(b)
    place.restart()
    found: list[Answer] = []

    async def answers() -> bool:
        with contextlib.suppress(RecordError):  # of a connection that went with the server
            found.append(await ask(b, known_epoch=1))
        return bool(found)

    await until(answers)
    assert (found[0].is_settled, found[0].is_ours, found[0].others) == (False, False, {"a": None})
    assert (await held(b, 1)).is_settled, "once"


async def test_a_replica_that_is_promoted_settles_before_anybody_opens(
    redis_place: RedisPlace, other: RedisServer
) -> None:
    a = redis_place.board("a", ["b"])
    await held(a)
    other.follow(redis_place.server)
    redis_place.server.kill()
    other.ask("REPLICAOF", "NO", "ONE")
    b = redis_place.board_at(other.port, "b", ["a"])
    answer = await ask(b, known_epoch=1)
    assert (answer.is_settled, answer.is_ours, answer.others) == (False, False, {"a": None})
    assert (await held(b, 1)).epoch == 2


async def test_a_board_that_moved_while_its_old_server_stays_as_a_replica_is_found_again(
    redis_place: RedisPlace, other: RedisServer
) -> None:
    """As a planned failover leaves it: nobody's connection is closed, and the name leads to the new master."""
    proxy = Proxy(redis_place.server.port)
    async with proxy.running():
        a = redis_place.board_at(proxy.port, "a", [])
        await held(a)
        redis_place.server.follow(other)
        proxy.to = other.port
        with pytest.raises(RecordError):
            await ask(a, known_epoch=1)
        assert (await held(a, 1)).epoch == 2
        await a.close()


async def test_a_lease_that_ends_later_than_it_can_is_none_and_the_board_settles(place: Place) -> None:
    a, b = place.board("a", ["b"]), place.board("b", ["a"])
    await held(a)
    place.hold_for(3_600.0)
    answer = await ask(b)
    assert (answer.holder, answer.is_ours, answer.is_settled) == ("", False, False)
    assert not (await ask(a)).is_ours
    assert (await held(b)).epoch == 2


async def test_who_holds_the_epoch_for_too_long_settles_too(place: Place) -> None:
    a = place.board("a", [])
    await held(a)
    place.hold_for(3_600.0)
    answer = await ask(a)
    assert (answer.holder, answer.is_ours, answer.is_settled) == ("", False, False)


async def test_a_holder_without_an_end_is_none(redis_place: RedisPlace) -> None:
    a = redis_place.board("a", [])
    await held(a)
    redis_place.write("holder", "b:1")
    assert (await ask(a)).holder == ""
    assert (await held(a)).epoch == 2


async def test_a_place_that_does_not_answer_is_an_error(place: Place) -> None:
    a = place.board("a", [])
    await held(a)
    place.pause()
    with pytest.raises(RecordError):
        await ask(a)
    place.go_on()
    await held(a)


@pytest.mark.parametrize("epoch", ["many", "", "1e"])
async def test_an_epoch_that_is_no_number_gives_no_leave(redis_place: RedisPlace, epoch: str) -> None:
    a = redis_place.board("a", [])
    await held(a)
    redis_place.write("epoch", epoch)
    with pytest.raises(RecordError):
        await ask(a)


async def test_another_thing_under_the_keys_of_a_guard_and_a_dead_server_are_errors(redis_place: RedisPlace) -> None:
    a = redis_place.board("a", [])
    redis_place.write("guard:a", "a string")
    with pytest.raises(RecordError):
        await ask(a)
    redis_place.server.kill()
    with pytest.raises(RecordError):
        await ask(a)


@pytest.mark.parametrize("depth", [1, 5_000])
async def test_a_server_that_answers_with_odd_things_is_an_error(depth: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"*1\r\n" * depth + b":1\r\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = RedisAddress.of(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    board = RedisBoard(redis_client(address, None, 0.5), place="redis", group="main", name="a", run="1", others=["b"])
    with pytest.raises(RecordError):
        await ask(board)
    await board.close()
    server.close()


WHOLE = {"epoch": 1, "words": 1, "at_s": 1.5, "holder": "a:1", "is_ours": True, "is_taken": False, "is_settled": True}
WHOLE |= {"before": None, "others": {"b": ["", 0.5]}, "server": "1"}
ODD = ["", "null", "7", "[]", "{}", "[" * 5_000 + "]" * 5_000]
ODD += [
    json.dumps({**WHOLE, **odd}) for odd in ({"others": []}, {"others": {"b": None}}, {"others": {"b": ["", None]}})
]
ODD += [json.dumps({**WHOLE, name: odd}) for name in ("epoch", "words", "at_s") for odd in (None, "x")]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
async def test_a_function_that_answers_with_odd_things_is_an_error(postgresql_place: PostgresPlace, text: str) -> None:
    postgresql_place.answer_with(text)
    with pytest.raises(RecordError):
        await ask(postgresql_place.board("a", ["b"]))
    for link in postgresql_place.links:
        await link.close()


async def test_a_database_without_the_tables_is_an_error(postgres: Server) -> None:
    with pytest.raises(RecordError):
        await ask(PostgresPlace(postgres, has_tables=False).board("a", []))


async def test_groups_know_nothing_of_each_other(place: Place) -> None:
    ours, theirs = place.board("a", ["b"]), place.board("a", ["b"], group="other", run="2")
    await held(ours)
    assert not (await ask(theirs)).is_taken
    assert (await held(theirs)).epoch == 1


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {**CLEAR.document(), "locked": 1},
        {**CLEAR.document(), "since_wall": float("nan")},
        {key: value for key, value in CLEAR.document().items() if key != "guarded"},
        {**CLEAR.document(), "format": 1},
        *({**CLEAR.document(), "guarded": odd} for odd in (None, [], "kraken", [7], ["x" * 201], ["x"] * 201)),
    ],
)
def test_a_standing_is_read_whole_or_not_at_all(document: object) -> None:
    with pytest.raises(ValueError, match="it is not what a guard"):
        Standing.from_document(document)


def test_a_standing_comes_back_as_it_was() -> None:
    assert base.Standing.from_document(HALTED.document()) == HALTED


@pytest.mark.parametrize("markets", [[f"venue-{number}" for number in range(201)], ["x" * 201, "y"]])
def test_what_would_be_too_long_is_said_as_a_digest_that_only_the_same_gives(markets: list[str]) -> None:
    (digest,) = base.said_as(markets)
    assert base.said_as(reversed(markets)) == (digest,)
    assert base.said_as([*markets[:-1], "z"]) != (digest,)
    assert Standing.from_document(replace(CLEAR, guarded=(digest,)).document()).guarded == (digest,)
    assert base.said_as(["b", "a", "b"]) == ("a", "b")
