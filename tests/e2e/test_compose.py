"""What deploy/compose.yaml puts together, put together: its two configurations, its Redis and its passwords.

No container runs here. The commands, files, users and rights are those of the file; the addresses are of this machine,
and the server of exchange, PostgreSQL and Kafka those of the other tests.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from risk_daemon.client import TradingGate
from tests.e2e.harness import DOCS_KEY, ROOT, Daemon, Venue, docs_secret, documented_kraken, wait_for
from tests.kafka import Broker
from tests.postgres import Server
from tests.redis_server import BINARIES, RedisServer

pytestmark = pytest.mark.long

DEPLOY = ROOT / "deploy"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


class Redis(RedisServer):
    """Started by the command of the file, with its port and its places here."""

    def __init__(self, directory: Path, secrets: Path) -> None:
        super().__init__(directory)
        places = {"/run/secrets/redis.acl": str(secrets / "redis.acl"), "/data": str(directory)}
        self.options = [places.get(word, word) for word in SERVICES["redis"]["command"][1:]]

    def is_healthy(self) -> bool:
        """As the file looks at it."""
        client = Path(BINARIES[self.version]).with_name("redis-cli")
        _, command = SERVICES["redis"]["healthcheck"]["test"]
        here = command.replace("redis-cli", f"{shlex.quote(str(client))} -p {self.port}")
        return subprocess.run(["/bin/sh", "-c", here], capture_output=True, timeout=30).returncode == 0


class Together:
    """Guards a and b as the file has them, and what they share."""

    def __init__(self, directory: Path, postgres: Server, broker: Broker) -> None:
        self.secrets = directory / "secrets"
        made = ["/bin/sh", str(DEPLOY / "make-secrets"), str(self.secrets)]
        subprocess.run(made, check=True, capture_output=True, timeout=30)
        self.venue: Venue = documented_kraken()
        self.redis = Redis(directory / "redis", self.secrets).start()
        self.postgres, self.broker = postgres, broker
        login = SERVICES["timescaledb"]["environment"]
        password = (self.secrets / "server.store.password").read_text().strip()
        self._sql(f"CREATE ROLE {login['POSTGRES_USER']} LOGIN PASSWORD '{password}'")
        self._sql(f"CREATE DATABASE {login['POSTGRES_DB']} OWNER {login['POSTGRES_USER']}")
        (postgres.data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self._sql("SELECT pg_reload_conf()")
        self.guards = {name: self._guard(directory, name) for name in "ab"}

    def _sql(self, statement: str) -> None:
        self.postgres.execute(statement, database="postgres")

    def _guard(self, directory: Path, name: str) -> Daemon:
        home = directory / name
        home.mkdir()
        credentials = directory / f"credentials-{name}"
        credentials.mkdir()
        for secret in SERVICES[f"guard-{name}"]["secrets"]:
            target = secret if isinstance(secret, str) else secret["target"]
            yours = {
                "kraken.api_key": DOCS_KEY,
                "kraken.secret": docs_secret(),
                "alerts.oncall.secret": "whsec_" + "A" * 32,
            }
            text = yours[target] if target in yours else (self.secrets / target).read_text()
            (credentials / target).write_text(text)
        guard = Daemon(home, self._config(name, home), {})
        guard.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
        return guard

    def _config(self, name: str, home: Path) -> str:
        """The file that is shipped, with the addresses of this machine in their places."""
        text = (DEPLOY / f"{name}.toml").read_text()
        for there, here in {
            '"/var/lib/risk-daemon"': f'"{home}/var"',
            "postgresql://guard@timescaledb:5432/risk?sslmode=disable": self.postgres.address("risk", "guard"),
            "redis://guard@redis:6379/0": f"redis://guard@127.0.0.1:{self.redis.port}/0",
            "kafka:9092": self.broker.address,
            '"https://hooks.example.org/risk"': '"https://127.0.0.1:1/risk"\nallow = ["127.0.0.1"]',
            'exchange = "kraken"': f'exchange = "kraken"\nendpoint = "{self.venue.endpoint}"',
        }.items():
            assert there in text, there
            text = text.replace(there, here)
        return text

    def gate(self) -> TradingGate:
        """A bot's, as the file gives it its address and its password."""
        url = SERVICES["bot"]["environment"]["GATE_REDIS"].replace("redis:6379", f"127.0.0.1:{self.redis.port}")
        password = (self.secrets / "bot.locks.password").read_text().strip()
        return TradingGate(redis=url, redis_password=password, redis_timeout_s=1.0, group="main", guards=("a", "b"))

    def holder(self) -> str:
        """Who opens; waits for one."""
        opens = wait_for(
            lambda: [name for name in self.guards if TradingGate(self.guards[name].state).is_open()], self.told
        )
        (holder,) = opens
        return str(holder)

    def told(self) -> str:
        return json.dumps({name: guard.events()[-6:] for name, guard in self.guards.items()}, indent=1)

    def close(self) -> None:
        for guard in self.guards.values():
            guard.close()
        self.redis.kill()
        self.venue.kill()


@pytest.fixture
def together(tmp_path: Path, own_postgres: Server, broker: Broker) -> Iterator[Together]:
    made = Together(tmp_path, own_postgres, broker)
    yield made
    made.close()


def problems(guard: Daemon) -> tuple[int, list[str]]:
    checked = guard.command("check", "--json")
    findings = json.loads(checked.stdout)["findings"]
    return checked.returncode, [finding["sentence"] for finding in findings if finding["exit_code"] != 0]


def test_it_is_healthy_and_lets_nobody_in_without_a_password(together: Together) -> None:
    assert together.redis.is_healthy()
    for user, password in ((None, None), ("guard", "guess"), ("default", "x")):
        nobody = TradingGate(
            redis=f"redis://{user + '@' if user else ''}127.0.0.1:{together.redis.port}/0", redis_password=password
        )
        assert not nobody.is_open()
    together.redis.kill()
    assert not together.redis.is_healthy()


def test_the_two_work_together_as_the_file_has_them(together: Together) -> None:
    a, b = together.guards.values()
    migrated = a.command("migrate")
    assert migrated.returncode == 0, migrated.stderr
    for guard in (a, b):
        assert problems(guard) == (0, [])
        init = guard.command("init", "--yes")
        assert init.returncode == 0, init.stderr
    for guard in (a, b):
        guard.start()
    gate = together.gate()
    wait_for(gate.is_open, lambda: f"{gate.reason()}: {together.told()}")
    holder = together.holder()
    other = "b" if holder == "a" else "a"
    together.guards[holder].signal(signal.SIGKILL)
    wait_for(lambda: together.holder() == other and gate.is_open(), together.told)
    halted = together.guards[other].command("halt", "--reason", "a look at the whole")
    assert halted.returncode == 0, halted.stderr
    assert together.guards[other].exit_code() == 1, together.guards[other].output()
    assert not gate.is_open()
    together.guards[holder].start()
    assert together.guards[holder].exit_code() == 1, "the one that comes back hears of it"
    trips = {guard.of("circuit_breaker_triggered")[0]["trip_id"] for guard in (a, b)}
    assert len(trips) == 1
    assert {record.key for record in together.broker.wait_for(1)} == trips
    assert not gate.is_open()
