"""Bodies: strict JSON within bounds, or a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from risk_daemon.api.body import parse
from risk_daemon.api.problems import Refused
from tests.api_world import ApiWorld, serving


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ApiWorld]:
    async with serving(tmp_path) as world:
        yield world


def test_numbers_keep_every_digit() -> None:
    document = parse(b' {"a": 0.1, "b": 10, "c": 1.50, "d": 1E-7, "e": -0.0} \r\n')

    assert document == {"a": Decimal("0.1"), "b": 10, "c": Decimal("1.50"), "d": Decimal("1E-7"), "e": Decimal(0)}
    assert str(document["c"]) == "1.50"


NOT_JSON = [
    (b"", "the body is empty"),
    (b"  \n", "the body is empty"),
    (b"{", "not JSON"),
    (b"{'a': 1}", "not JSON"),
    (b'{"a": 1,}', "not JSON"),
    (b'{"a": 01}', "not JSON"),
    (b'{"a": .5}', "not JSON"),
    (b'{"a": "\n"}', "not JSON"),
    (b'{} {"a": 1}', "something follows"),
    (b"{}x", "something follows"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'"text"', "not a JSON object"),
    (b"1.5", "not a JSON object"),
    (b'{"a": NaN}', "NaN is not a number in JSON"),
    (b'{"a": Infinity}', "Infinity is not a number in JSON"),
    (b'{"a": -Infinity}', "-Infinity is not a number in JSON"),
    (b'{"a": 1e1000}', "out of any range"),
    (b'{"a": 1e99999999999999999999}', "out of any range"),
    (b'{"a": 0.' + b"1" * 100 + b"}", "out of any range"),
    (b'{"a": ' + b"1" * 5_000 + b"}", "can't be read"),
    (b'{"a": 1, "a": 2}', "a key stands there twice"),
    (b'{"a": {"b": 1, "\\u0062": 2}}', "a key stands there twice"),
    (b"\xff\xfe{\x00}\x00", "not UTF-8"),
    (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
    (b"[" * 60_000, "nested too deeply"),
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested too deeply"),
]


@pytest.mark.parametrize(("data", "sentence"), NOT_JSON)
def test_what_is_not_one_json_object_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(data)

    assert caught.value.status == 400
    assert sentence in caught.value.detail


@pytest.mark.parametrize("data", [data for data, _ in NOT_JSON])
async def test_over_http_it_has_no_effect(world: ApiWorld, data: bytes) -> None:
    reply = await world.check(data=data)

    assert (reply.status, reply.type) == (400, "application/problem+json")
    assert world.control.nothing_happened()


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
    ],
)
async def test_other_types_are_refused(world: ApiWorld, kind: str) -> None:
    reply = await world.check(data=b"{}", headers={"Content-Type": kind})

    assert (reply.status, reply.type) == (415, "application/problem+json")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=UTF-8", "Application/JSON"])
async def test_json_may_be_named_in_several_ways(world: ApiWorld, kind: str) -> None:
    reply = await world.check(data=b"{}", headers={"Content-Type": kind})

    assert reply.status == 422  # it was read


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity"])
async def test_a_compressed_body_is_refused(world: ApiWorld, coding: str) -> None:
    reply = await world.check(data=b"{}", headers={"Content-Encoding": coding})

    assert reply.status == 415
