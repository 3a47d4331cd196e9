"""What every place for readings promises: all members hear each other, ages are honest, garbage is nobody's word."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.fund.sum import Reading
from risk_daemon.state.fund.postgres_readings import PostgresReadings
from risk_daemon.state.fund.readings import LARGEST, Readings
from risk_daemon.state.fund.redis_readings import RedisReadings
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from risk_daemon.state.store.postgres_link import PostgresLink
from tests import board_servers
from tests.postgres import Database, Server, until
from tests.proxy import Proxy
from tests.redis_server import VERSIONS, RedisServer

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
FOUNDING = "f00d"
WITHIN_S = 0.9
KEY = "risk-daemon:fund:alpha:readings"


def reading(member: str = "a.00000001", sequence: int = 1, **changes: Any) -> Reading:
    given: dict[str, Any] = {
        "capital": Decimal("10000.5"),
        "low": Decimal("-12.000000000001"),
        "high": Decimal(9_000),
        "gross": Decimal(20_000),
        "age_s": 0.0,
        "heard_mono": 0.0,
    }
    return Reading(member=member, sequence=sequence, **{**given, **changes})


class Place(Protocol):
    """A server where members are heard. What is told of one is of the fund `alpha`."""

    def readings(self, founding: str = FOUNDING, fund: str = "alpha") -> Readings: ...

    def put(self, text: str | None) -> None:
        """Have `text` there as somebody's word, or something that is none at all."""
        ...

    def forget(self) -> None: ...

    def pause(self) -> None: ...

    def go_on(self) -> None: ...

    async def aclose(self) -> None: ...


class RedisPlace:
    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.made: list[Readings] = []

    def readings(self, founding: str = FOUNDING, fund: str = "alpha", port: int | None = None) -> Readings:
        address = RedisAddress.of(f"redis://127.0.0.1:{port or self.server.port}/0")
        made = RedisReadings(redis_client(address, None, WITHIN_S), fund, founding, where=f"Redis at {address}")
        self.made.append(made)
        return made

    def put(self, text: str | None) -> None:
        self.server.ask("XADD", KEY, "*", *(("odd", "1") if text is None else ("reading", text)))

    def forget(self) -> None:
        self.server.ask("FLUSHALL")

    def pause(self) -> None:
        self.server.pause()

    def go_on(self) -> None:
        self.server.resume()

    async def aclose(self) -> None:
        for one in self.made:
            await one.aclose()


class PostgresPlace:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.database = Database(server)
        self.made: list[Readings] = []
        self._count = 0

    def readings(self, founding: str = FOUNDING, fund: str = "alpha") -> Readings:
        made = PostgresReadings(PostgresLink(self.database.url, "", timeout_s=WITHIN_S), fund, founding)
        self.made.append(made)
        return made

    def put(self, text: str | None) -> None:
        self._count += 1
        added = "INSERT INTO fund_readings VALUES ('alpha', $1, $2, clock_timestamp())"
        self.database.execute(added, f"row {self._count}", "odd" if text is None else text)

    def forget(self) -> None:
        self.database.execute("DELETE FROM fund_readings")

    def pause(self) -> None:
        self.server.freeze()

    def go_on(self) -> None:
        self.server.thaw()

    async def aclose(self) -> None:
        for one in self.made:
            await one.aclose()


@pytest.fixture(params=["postgresql", *VERSIONS])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made: Place
    if request.param == "postgresql":
        made = PostgresPlace(request.getfixturevalue("postgres"))
    else:
        made = RedisPlace(RedisServer(tmp_path / "redis", request.param).start())
    yield made
    made.go_on()
    await made.aclose()
    if isinstance(made, RedisPlace):
        made.server.kill()


@pytest.fixture(params=VERSIONS)
def redis_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisPlace]:
    made = RedisPlace(RedisServer(tmp_path / "redis", request.param).start())
    yield made
    made.server.kill()


async def heard(readings: Readings, now_mono: float = 100.0) -> dict[str, Reading]:
    """The latest of each member, and nothing refused."""
    found = await readings.hear(now_mono)
    assert found.refused == ()
    return {one.member: one for one in sorted(found.readings, key=lambda one: one.sequence)}


async def test_what_one_says_all_hear_and_itself_too(place: Place) -> None:
    a, b = place.readings(), place.readings()
    assert (await a.hear(1.0)).readings == ()
    await a.say(reading(), 50.0)
    for listener in (a, b, place.readings()):
        told = (await heard(listener))["a.00000001"]
        assert replace(told, age_s=0.0, heard_mono=0.0) == reading()
        assert 0 <= told.age_s < 5.0
        assert told.heard_mono == 100.0


async def test_words_come_in_any_number_and_the_newest_is_there(place: Place) -> None:
    a, b, listener = place.readings(), place.readings(), place.readings()
    for sequence in range(1, 6):
        await a.say(reading(sequence=sequence), 1.0)
        await b.say(reading("b.00000001", 2**70 + sequence), 1.0)
    told = await heard(listener)
    assert {seat: one.sequence for seat, one in told.items()} == {"a.00000001": 5, "b.00000001": 2**70 + 5}
    await a.say(reading(sequence=6), 1.0)
    assert (await heard(listener))["a.00000001"].sequence == 6


async def test_a_word_is_as_old_as_its_speaker_says_and_grows_older_on_the_server(place: Place) -> None:
    a, listener = place.readings(), place.readings()
    await a.say(reading(age_s=30.0), 1.0)
    first = (await heard(listener))["a.00000001"].age_s
    assert 30.0 <= first < 35.0
    began, later = time.monotonic(), 0.0
    while time.monotonic() - began < 0.3:
        later = (await heard(place.readings()))["a.00000001"].age_s
    assert later >= first + 0.25


async def test_a_word_that_was_held_up_is_as_old_as_it_is(place: Place) -> None:
    """What a speaker said at its 50, it said then, though the server takes it half a minute later."""
    a, listener = place.readings(), place.readings()
    await a.hear(80.0)  # the server's clock belongs to its 80
    await a.say(reading(), 50.0)
    assert 29.9 <= (await heard(listener))["a.00000001"].age_s < 35.0


async def test_a_word_from_the_future_is_as_old_as_the_server_says(place: Place) -> None:
    a, listener = place.readings(), place.readings()
    await a.hear(1.0)
    await a.say(reading(), 3_600.0)
    assert 0 <= (await heard(listener))["a.00000001"].age_s < 5.0


async def test_another_founding_and_another_fund_are_not_heard(place: Place) -> None:
    await place.readings("beef").say(reading(), 1.0)
    await place.readings(fund="beta").say(reading(), 1.0)
    assert await heard(place.readings()) == {}
    assert await heard(place.readings("beef")) != {}


def sound_word(**changes: Any) -> str:
    amounts = {"capital": "10000", "low": "1", "high": "2", "gross": "3"}
    meta = {"format": 1, "founding": FOUNDING, "seat": "b.00000001", "sequence": 1, "age_s": 0.0, "said_ms": 1e15}
    return json.dumps({**meta, **amounts, **changes})


GARBAGE = {
    "nothing that members say": None,
    "no json": "{",
    "no table": "[]",
    "null": "null",
    "deep": "[" * 1_000,
    "another version": sound_word(format=2),
    "a key too many": sound_word(more=1),
    "a key too few": json.dumps({"format": 1, "founding": FOUNDING}),
    "no member": sound_word(seat=5),
    "no count": sound_word(sequence="1"),
    "a count that is a flag": sound_word(sequence=True),
    "a count below zero": sound_word(sequence=-1),
    "an amount that is no text": sound_word(low=1.5),
    "no amount": sound_word(low="NaN"),
    "an amount out of any range": sound_word(low="-" + "9" * 99),
    "upside down": sound_word(low="3"),
    "no age": sound_word(age_s=None),
    "an age that is no number": sound_word(age_s=float("nan")),
    "an age below zero": sound_word(age_s=-5.0),
    "an age beyond any number": sound_word(age_s=10**400),
    "older than anything": sound_word(age_s=1e12),
    "said when nobody knows": sound_word(said_ms="now"),
    "too long": sound_word(seat="b" * LARGEST),
}


def test_a_sound_word_differs_from_garbage_by_what_is_named() -> None:
    assert len(GARBAGE) == 23
    assert json.loads(sound_word())["format"] == 1


@pytest.mark.parametrize("text", [pytest.param(text, id=what) for what, text in GARBAGE.items()])
async def test_garbage_is_refused_with_a_sentence_and_the_others_are_heard(place: Place, text: str | None) -> None:
    a, listener = place.readings(), place.readings()
    place.put(text)
    await a.say(reading(), 1.0)
    found = await listener.hear(100.0)
    assert [one.member for one in found.readings] == ["a.00000001"]
    assert len(found.refused) == 1
    assert "no reading of a member" in found.refused[0]


async def test_what_is_no_garbage_is_heard(place: Place) -> None:
    place.put(sound_word())
    assert set(await heard(place.readings())) == {"b.00000001"}


async def test_a_flood_of_garbage_is_told_in_a_few_words(place: Place) -> None:
    for _ in range(50):
        place.put("x" * 1_000)
    await place.readings().say(reading(), 1.0)
    found = await place.readings().hear(1.0)
    assert len(found.readings) == 1
    assert 0 < len(found.refused) <= 3
    assert all(len(sentence) < 300 for sentence in found.refused)


async def test_what_a_server_forgot_is_said_again(place: Place) -> None:
    a, listener = place.readings(), place.readings()
    await a.say(reading(), 1.0)
    await heard(listener)
    place.forget()
    assert await heard(listener) == {}
    await a.say(reading(sequence=2), 2.0)
    assert (await heard(listener))["a.00000001"].sequence == 2


async def test_a_server_that_does_not_answer_is_an_error_in_time(place: Place) -> None:
    a = place.readings()
    await a.say(reading(), 1.0)
    await a.hear(1.0)
    place.pause()
    for call in (a.say(reading(sequence=2), 2.0), a.hear(2.0)):
        began = time.monotonic()
        with pytest.raises(RecordError):
            await call
        assert time.monotonic() - began < WITHIN_S + 1.0
    place.go_on()

    async def is_taken() -> bool:
        try:
            await a.say(reading(sequence=3), 3.0)
        except RecordError:
            return False
        return True

    await board_servers.until(is_taken)
    assert (await heard(place.readings()))["a.00000001"].sequence == 3


# --- the stream --------------------------------------------------------------------------------------


async def test_a_word_from_the_future_does_not_silence_the_stream(redis_place: RedisPlace) -> None:
    """With such an id on it every later word would be of the future too."""
    a, listener = redis_place.readings(), redis_place.readings()
    await a.say(reading(), 1.0)
    await listener.hear(1.0)
    redis_place.server.ask("XADD", KEY, "18446744073709551615-18446744073709551615", "reading", sound_word())
    assert len((await listener.hear(2.0)).refused) == 1
    await a.say(reading(sequence=2), 2.0)
    told = await heard(listener, 3.0)
    assert (told["a.00000001"].sequence, set(told)) == (2, {"a.00000001"})
    assert 0 <= told["a.00000001"].age_s < 5.0
    await redis_place.aclose()


async def test_the_stream_stays_short(redis_place: RedisPlace) -> None:
    with redis_place.server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for _ in range(10_000):
            pipeline.xadd(KEY, {"reading": "x"})
        pipeline.execute()
    a = redis_place.readings()
    await a.say(reading(), 1.0)
    assert redis_place.server.ask("XLEN", KEY) < 2_500
    await redis_place.aclose()


async def test_a_key_that_is_no_stream_is_an_error(redis_place: RedisPlace) -> None:
    redis_place.server.ask("SET", KEY, "x")
    a = redis_place.readings()
    with pytest.raises(RecordError, match="can't be heard"):
        await a.hear(1.0)
    with pytest.raises(RecordError, match="can't be told"):
        await a.say(reading(), 1.0)
    await redis_place.aclose()


async def test_a_replica_is_no_place(redis_place: RedisPlace, tmp_path: Path) -> None:
    """It may be told of everything some time later."""
    replica = RedisServer(tmp_path / "replica", redis_place.server.version).start()
    try:
        replica.follow(redis_place.server)
        there = redis_place.readings(port=replica.port)
        with pytest.raises(RecordError, match="replica"):
            await there.hear(1.0)
        with pytest.raises(RecordError):
            await there.say(reading(), 1.0)
        await redis_place.aclose()
    finally:
        replica.kill()


async def test_a_user_with_the_rules_of_the_page_is_enough(redis_place: RedisPlace) -> None:
    [rules] = re.findall(r"^user member on >\.\.\. (.*)$", PAGE, re.MULTILINE)
    redis_place.server.ask("ACL", "SETUSER", "member", "on", ">members", *rules.split())
    address = RedisAddress.of(redis_place.server.url.replace("redis://", "redis://member@"))
    redis_place.server.ask("XADD", KEY, "99999999999999-1", "odd", "1")
    own = RedisReadings(redis_client(address, "members", WITHIN_S), "alpha", FOUNDING)
    await own.say(reading(), 1.0)
    assert set(await heard(own)) == {"a.00000001"}
    other = RedisReadings(redis_client(address, "members", WITHIN_S), "beta", FOUNDING)
    with pytest.raises(RecordError):
        await other.say(reading(), 1.0)
    for one in (own, other):
        await one.aclose()


async def test_a_word_that_the_network_held_back_is_old_when_it_comes(redis_place: RedisPlace) -> None:
    """Its speaker is long gone, and the server takes it as if it were just said."""
    proxy, listener = Proxy(redis_place.server.port), redis_place.readings()
    async with proxy.running():
        a = redis_place.readings(port=proxy.port)
        await a.say(reading(), 1.0)
        proxy.hold = b"founding"
        with pytest.raises(RecordError):
            await a.say(reading(sequence=2), 1.0)
        await a.aclose()
        proxy.release.set()
        await until(lambda: redis_place.server.ask("XLEN", KEY) == 2)
    told = (await heard(listener))["a.00000001"]
    assert told.sequence == 2
    assert told.age_s >= WITHIN_S - 0.1
    await redis_place.aclose()
