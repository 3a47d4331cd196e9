"""The page while no daemon runs: where it is, and that there is nothing else."""

from __future__ import annotations

import socket
from pathlib import Path

import aiohttp
import pytest

from risk_daemon.api.override_page import OverridePage
from risk_daemon.api.page_server import PageServer
from risk_daemon.errors import StateError
from tests.override_world import OverrideWorld


@pytest.fixture
def world(tmp_path: Path) -> OverrideWorld:
    return OverrideWorld(tmp_path, "alice")


def serving(world: OverrideWorld, listen: str) -> PageServer:
    return PageServer(OverridePage(world.desk, "localhost", world.clock), listen, None)


def port_of(world: OverrideWorld) -> int:
    assert world.desk.site is not None
    return int(world.desk.site.origin.rpartition(":")[2])


async def status(host: str, port: int, path: str, method: str = "GET") -> int:
    headers = {"Host": f"localhost:{port}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{host}:{port}{path}", headers=headers) as reply,
    ):
        return reply.status


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_both_loopback_addresses_are_the_page(world: OverrideWorld) -> None:
    """A browser takes either for `localhost`: somebody else on the other one could be the page."""
    server = serving(world, "127.0.0.1:0")
    await server.start()
    hosts = ["127.0.0.1", *(["[::1]"] if has_ipv6() else [])]
    assert [await status(host, port_of(world), "/override") for host in hosts] == [200] * len(hosts)
    await server.stop()
    with pytest.raises(aiohttp.ClientError):
        await status("127.0.0.1", port_of(world), "/override")


async def test_there_is_nothing_else(world: OverrideWorld) -> None:
    server = serving(world, "127.0.0.1:0")
    await server.start()
    for path in ("/", "/api/v1/state", "/livez"):
        assert await status("127.0.0.1", port_of(world), path) == 503
    assert await status("127.0.0.1", port_of(world), "/api/v1/reset", "POST") == 503
    await server.stop()


async def test_the_daemon_s_own_port_is_taken_where_it_is_free(world: OverrideWorld) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = serving(world, f"127.0.0.1:{port}")
    await server.start()
    assert port_of(world) == port
    await server.stop()


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
async def test_a_port_that_somebody_else_has_is_left_alone_on_both(world: OverrideWorld, taken: str) -> None:
    if taken == "::1" and not has_ipv6():
        pytest.skip("there is no IPv6 here")
    with socket.socket(socket.AF_INET6 if ":" in taken else socket.AF_INET) as squatter:
        squatter.bind((taken, 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        server = serving(world, f"127.0.0.1:{port}")
        await server.start()
        assert port_of(world) != port
        await server.stop()


async def test_an_address_that_can_t_be_had_is_a_sentence(world: OverrideWorld) -> None:
    world.desk.site = None
    with pytest.raises(StateError, match=r"api\.listen"):
        await serving(world, "192.0.2.1:0").start()
    assert world.desk.site is None
