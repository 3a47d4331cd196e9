"""Servers with TLS and users: each lets in who has the password, over a connection that proves who it is.

PostgreSQL by a server of its own TLS where this machine has one that was built with it; the one that comes with the
tests was not, so a face before it says yes to the client's question. Before Redis and Kafka TLS is the same from the
first byte on. A login at Kafka is not here: no broker that has one comes with a package of the tests.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.broadcast.kafka import KafkaLine, KafkaSettings
from risk_daemon.broadcast.relay import NotDelivered
from risk_daemon.client import TradingGate
from risk_daemon.errors import RecordError
from risk_daemon.state.store.postgres_link import PostgresLink
from risk_daemon.state.store.postgres_url import parse
from tests.kafka import TOPIC, Broker
from tests.kafka import free_port as a_port
from tests.postgres import _AS, Server, over_network
from tests.proxy import Proxy
from tests.receivers.certificates import Certificates, made_in
from tests.redis_server import VERSIONS, RedisServer

WITH_TLS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # Debian's, of several versions
WAYS = ["a face before it", *(str(path) for path in WITH_TLS)]
SCRAM = "hostssl all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
RIGHT, WRONG = "right-horse", "wrong-horse"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return made_in(tmp_path, "localhost")


@pytest.fixture
def strangers(tmp_path: Path) -> Certificates:
    """Of an authority that signed nothing of ours."""
    directory = tmp_path / "strangers"
    directory.mkdir()
    return made_in(directory, "localhost")


# --- PostgreSQL ------------------------------------------------------------------------------------


class TlsServer(Server):
    """It listens on loopback and takes nobody who does not speak TLS."""

    def __init__(self, programs: Path, certificates: Certificates) -> None:
        self.programs, self.certificates, self.port = programs, certificates, a_port()
        super().__init__()

    def _configure(self) -> None:
        super()._configure()
        for name, path in {"server.pem": self.certificates.certificate, "server.key": self.certificates.key}.items():
            copy = self.data / name
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            if _AS:
                shutil.chown(copy, "nobody", "nogroup")
        (self.data / "pg_hba.conf").write_text(SCRAM)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\npassword_encryption = 'scram-sha-256'\n")
            file.write("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n")

    def address(self, database: str, user: str = "postgres") -> str:
        protected = f"sslmode=verify-full&sslrootcert={self.certificates.authority}"
        return f"postgresql://{user}@localhost:{self.port}/{database}?{protected}"


@asynccontextmanager
async def a_server(way: str, certificates: Certificates, postgres: Server) -> AsyncIterator[int]:
    """The port of one that has a user `guard`, with TLS by `certificates`."""
    create = f"CREATE ROLE guard LOGIN PASSWORD '{RIGHT}'"
    if way in map(str, WITH_TLS):
        server = TlsServer(Path(way), certificates)
        try:
            server.start()
            server.execute(create, database="postgres")
            yield server.port
        finally:
            server.close()
        return
    postgres.execute(create, database="postgres")
    (postgres.data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    postgres.execute("SELECT pg_reload_conf()", database="postgres")
    async with over_network(postgres, certificates.server()) as port:
        yield port


@pytest.mark.parametrize("way", WAYS)
async def test_postgresql_by_scram_over_tls(
    way: str, certificates: Certificates, strangers: Certificates, own_postgres: Server
) -> None:
    async def logged_in(port: int, password: str, options: str) -> Any:
        link = PostgresLink(parse(f"postgresql://guard@localhost:{port}/postgres?{options}"), password)
        try:
            return await link.run(lambda connection: connection.fetchval("SELECT current_user"))
        finally:
            await link.close()

    def believing(made: Certificates) -> str:
        return f"sslmode=verify-full&sslrootcert={made.authority}"

    async with a_server(way, certificates, own_postgres) as port:
        assert await logged_in(port, RIGHT, believing(certificates)) == "guard"
        for password in (WRONG, ""):
            with pytest.raises(RecordError, match="password") as refused:
                await logged_in(port, password, believing(certificates))
            assert WRONG not in str(refused.value)
        with pytest.raises(RecordError, match="CERTIFICATE_VERIFY_FAILED"):
            await logged_in(port, RIGHT, believing(strangers))
        with pytest.raises(RecordError):
            await logged_in(port, RIGHT, "sslmode=disable")


# --- Redis -----------------------------------------------------------------------------------------


@pytest.fixture(params=VERSIONS)
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", request.param).start()
    yield server
    server.kill()


async def test_redis_by_a_user_over_tls(
    redis: RedisServer, certificates: Certificates, strangers: Certificates
) -> None:
    """A gate without a record is shut: what tells the ways apart is why."""
    redis.ask("ACL", "SETUSER", "bot", "on", f">{RIGHT}", "+@all", "~risk-daemon:*")
    redis.ask("ACL", "SETUSER", "default", "off")
    proxy = Proxy(redis.port)
    async with proxy.running(certificates.server()):

        async def why(password: str, made: Certificates) -> str:
            url = f"rediss://bot@localhost:{proxy.port}/0"
            gate = TradingGate(redis=url, redis_password=password, redis_timeout_s=1.0, ca_file=made.authority)
            await gate.apeek()  # the first look has to shake hands
            answer = await gate.apeek()
            assert not answer.allowed
            return answer.detail

        assert "does not say open" in await why(RIGHT, certificates)
        assert "invalid username-password pair" in await why(WRONG, certificates)
        assert "CERTIFICATE_VERIFY_FAILED" in await why(RIGHT, strangers)


# --- Kafka -----------------------------------------------------------------------------------------


async def test_kafka_over_tls(certificates: Certificates, strangers: Certificates) -> None:
    broker = Broker(certificates=certificates)
    try:

        async def sent(host: str, **settings: str) -> str:
            line = KafkaLine(KafkaSettings(bootstrap=f"{host}:{broker.port}", topic=TOPIC, **settings))
            try:
                return (await line.send("trip-1", b"{}", "application/json")).topic
            except NotDelivered as error:
                return str(error)
            finally:
                await line.close()

        # It tells its clients to go on at 127.0.0.1, so it must prove that name as well.
        assert "CERTIFICATE_VERIFY_FAILED" in await sent("localhost", security_protocol="SSL")
        assert "CERTIFICATE_VERIFY_FAILED" in await sent(
            "localhost", security_protocol="SSL", ca_file=str(strangers.authority)
        )
        assert await sent("localhost", ca_file=str(certificates.authority)) != TOPIC, "it takes nobody in the clear"
    finally:
        await asyncio.to_thread(broker.kill)


async def test_kafka_over_tls_by_the_names_of_its_certificate(tmp_path: Path) -> None:
    broker = Broker(certificates=made_in(tmp_path))
    assert broker.certificates is not None
    try:
        settings = KafkaSettings(
            bootstrap=broker.address, topic=TOPIC, security_protocol="SSL", ca_file=str(broker.certificates.authority)
        )
        line = KafkaLine(settings)
        await line.look()
        await line.send("trip-1", b"{}", "application/json")
        await line.close()
        assert [record.key for record in await asyncio.to_thread(broker.records)] == ["trip-1"]
    finally:
        await asyncio.to_thread(broker.kill)
