"""A name server that hangs costs a thread, and those who wait for it; nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

import pytest

from risk_daemon.errors import RecordError
from risk_daemon.state.board.base import Known, Standing
from risk_daemon.state.board.redis import RedisBoard
from risk_daemon.state.dial import Dialler
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.redis_client import redis_client
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_url import parse
from tests.names import NAME, name

WITHIN_S = 0.1
# More than the loop of a small machine has threads for look-ups; on any, they would not be named as ours are.
TIMES = 12


async def by_dialler() -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    async def dial() -> None:
        async with asyncio.timeout(WITHIN_S):
            await dialler.dial(NAME, 1)

    async def close() -> None:
        return

    dialler = Dialler()
    return dial, close


async def by_board() -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    client = redis_client(RedisAddress.of(f"redis://{NAME}:1/0"), None, WITHIN_S)
    board = RedisBoard(client, place="redis", group="main", name="a", run="1", others=())
    return lambda: board.exchange(Standing(locked=False, guarded=("kraken",)), Known(), wants=False), board.close


async def by_store() -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]:
    link = PostgresLink(parse(f"postgresql://guard@{NAME}:1/risk?sslmode=disable"), "", timeout_s=WITHIN_S)
    return lambda: link.run(lambda connection: connection.fetchval("SELECT 1")), link.close


@pytest.mark.parametrize("way", [by_dialler, by_board, by_store])
async def test_whoever_asks_again_and_again_takes_one_thread_that_is_none_of_the_loops(
    way: Callable[[], Awaitable[tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[None]]]]],
) -> None:
    ask, close = await way()
    with name(hangs=True) as found:
        for _ in range(TIMES):
            with pytest.raises((RecordError, TimeoutError)):
                await ask()
        assert found.threads == [f"look-up {NAME}"]
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        await close()
    assert found.threads == [f"look-up {NAME}"]


async def test_the_next_address_is_tried_and_the_thread_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with name(first="127.0.0.2"):
            made = await Dialler().dial(NAME, port)
        assert made.getpeername() == ("127.0.0.1", port)
        made.close()
    for thread in threading.enumerate():
        if thread.name == f"look-up {NAME}":
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()


async def test_those_who_wait_for_one_name_share_its_look_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, name(hangs=True) as found:
        dialler, port = Dialler(), listener.getsockname()[1]
        waiting = [asyncio.ensure_future(dialler.dial(NAME, port)) for _ in range(3)]
        while not found.threads:  # noqa: ASYNC110 - set by a thread, which sets no event of ours
            await asyncio.sleep(0)
        found.answers.set()
        for made in await asyncio.gather(*waiting):
            made.close()
        assert len(found.threads) == 1
        (await dialler.dial(NAME, port)).close()
        assert len(found.threads) == 2, "it may lead elsewhere by now"


@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
async def test_where_nobody_is_it_is_an_error(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with name(), pytest.raises(OSError, match=r"refused|failed"):
        await Dialler().dial(host, port)


async def test_a_name_that_leads_nowhere_is_an_error() -> None:
    with name(error=OSError("no such name")), pytest.raises(OSError, match="no such name"):
        await Dialler().dial(NAME, 1)
