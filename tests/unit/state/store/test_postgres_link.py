"""One connection, whatever the server does: an answer in time, and a sentence."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.errors import ConfigError, RecordError
from risk_daemon.state.store import postgres_link
from risk_daemon.state.store.postgres_link import PostgresLink, require_client
from risk_daemon.state.store.postgres_url import parse
from tests.names import NAME, name
from tests.postgres import Database, Server, over_network
from tests.receivers.certificates import made_in

WITHIN_S = 0.5


async def ask(connection: Any) -> Any:
    return await connection.fetchval("SELECT 1")


async def test_commits_are_on_disk_and_statements_end(database: Database) -> None:
    link = PostgresLink(database.url, "")
    assert await link.run(lambda connection: connection.fetchval("SHOW synchronous_commit")) == "on"
    assert await link.run(lambda connection: connection.fetchval("SHOW statement_timeout")) == "3s"
    await link.close()
    assert await link.run(ask) == 1, "a new one is made"
    await link.close()


async def test_a_frozen_server_costs_its_time_and_no_more(own_postgres: Server) -> None:
    loop, link = asyncio.get_running_loop(), PostgresLink(own_postgres.url("postgres"), "", timeout_s=WITHIN_S)

    async def held(connection: Any) -> None:
        async with connection.transaction():
            await connection.fetchval("SELECT pg_backend_pid()")
            own_postgres.freeze()
            await connection.fetchval("SELECT 1")

    for work in (held, ask):
        began = loop.time()
        with pytest.raises(RecordError, match="does not answer within"):
            await link.run(work)
        assert loop.time() - began < 2 * WITHIN_S
    own_postgres.thaw()
    assert await PostgresLink(own_postgres.url("postgres"), "").run(ask) == 1
    own_postgres.kill()
    with pytest.raises(RecordError, match="PostgreSQL at"):
        await link.run(ask)
    own_postgres.start()
    assert await link.run(ask) == 1
    await link.close()


async def test_a_host_that_hangs_keeps_nobody_from_the_next(database: Database) -> None:
    """It accepts, and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        hosts = (mute.getsockname(), *database.url.hosts)
        link = PostgresLink(replace(database.url, hosts=hosts), "", timeout_s=WITHIN_S)
        with pytest.raises(RecordError, match="does not answer within"):
            await link.run(ask)
        assert await link.run(ask) == 1
        await link.close()
        assert await link.run(ask) == 1, "it begins with the one that answered"
        await link.close()


async def test_a_wrong_password_is_a_sentence_without_it(own_postgres: Server) -> None:
    own_postgres.execute("CREATE ROLE guard LOGIN PASSWORD 'right'", database="postgres")
    rules = own_postgres.data / "pg_hba.conf"
    rules.write_text("local all guard scram-sha-256\nlocal all all trust\n")
    own_postgres.execute("SELECT pg_reload_conf()", database="postgres")
    url = own_postgres.url("postgres", "guard")

    async def until_refused() -> None:
        async with asyncio.timeout(20):
            while True:  # the rules are read a moment later
                await PostgresLink(url, "hunter2").run(ask)

    with pytest.raises(RecordError, match="password authentication failed") as refused:
        await until_refused()
    assert "hunter2" not in str(refused.value)
    assert await PostgresLink(url, "right").run(ask) == 1


async def test_no_variable_gives_it_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    async def connected(*_: Any, **given: Any) -> Any:
        seen.update(given)
        raise OSError("enough")

    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setattr("asyncpg.connect", connected)
    with pytest.raises(OSError, match="enough"):
        await postgres_link.connect(parse("postgresql://guard@127.0.0.1/risk"), "")
    assert seen["password"] == ""


async def test_by_a_name_it_reaches_the_next_address_and_a_statement_can_be_cancelled(database: Database) -> None:
    async with over_network(database.server) as port:
        with name(first="127.0.0.2") as found:
            url = parse(f"postgresql://postgres@{NAME}:{port}/{database.name}?sslmode=disable")
            link = PostgresLink(url, "")
            assert await link.run(ask) == 1

            async def slow(connection: Any) -> str:
                with suppress(TimeoutError):
                    await connection.fetchval("SELECT pg_sleep(2)", timeout=0.1)
                return str(await connection.fetchval("SELECT 'goes on'"))

            assert await link.run(slow) == "goes on"
            await link.close()
        assert found.threads == [f"look-up {NAME}"] * 2


@pytest.mark.parametrize("host", ["localhost", NAME])
async def test_over_tls_the_server_proves_its_name_whatever_its_address_is(
    database: Database, tmp_path: Path, host: str
) -> None:
    certificates = made_in(tmp_path, "localhost")
    protected = f"sslmode=verify-full&sslrootcert={certificates.authority}"
    async with over_network(database.server, certificates.server()) as port:
        link = PostgresLink(parse(f"postgresql://postgres@{host}:{port}/{database.name}?{protected}"), "")
        with name():
            if host == NAME:
                with pytest.raises(RecordError, match="Hostname mismatch"):
                    await link.run(ask)
            else:
                assert await link.run(ask) == 1
        await link.close()


async def test_nobody_there_is_a_sentence() -> None:
    link = PostgresLink(parse("postgresql://guard@127.0.0.1:1/risk"), "")
    with pytest.raises(RecordError, match=r"PostgreSQL at 127\.0\.0\.1:1/risk: "):
        await link.run(ask)


async def test_a_bug_of_the_work_is_a_sentence_too(database: Database) -> None:
    async def broken(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(RecordError, match="ZeroDivisionError"):
        await PostgresLink(database.url, "").run(broken)


async def test_work_that_is_cancelled_is_an_error_and_ends_nobody_else(database: Database) -> None:
    async def cancelled(_: Any) -> None:
        raise asyncio.CancelledError

    link = PostgresLink(database.url, "")
    with pytest.raises(RecordError, match="was cancelled"):
        await link.run(cancelled)
    assert await link.run(ask) == 1
    await link.close()


def test_without_the_client_it_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"risk-daemon\[postgres\]"):
        require_client()
