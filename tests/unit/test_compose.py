"""The compose files: what they refer to is there, the walls stand, and nothing waits for what a guard can do without.

That the parts work together as they are put together there: tests/e2e/test_compose.py.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from risk_daemon.config.load import load as load_config
from risk_daemon.state.lock.redis_address import RedisAddress
from risk_daemon.state.store.postgres_url import parse

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
FILES = {name: yaml.safe_load((DEPLOY / name).read_text()) for name in ("compose.single.yaml", "compose.yaml")}
SINGLE, TWINS = FILES["compose.single.yaml"]["services"], FILES["compose.yaml"]["services"]
OWN_IMAGES = {"risk-daemon", "a-bot-of-yours"}
YOURS = {"./config.toml"}  # beside the file, and not shipped
# What of the compose specification is used here; a key with a typo would be ignored or refused on the day of the start.
TOP = {"services", "networks", "volumes", "secrets"}
KEYS = {
    *("image", "build", "command", "user", "environment", "secrets", "volumes", "networks", "network_mode", "profiles"),
    *("read_only", "cap_drop", "security_opt", "ulimits", "tmpfs", "restart", "stop_grace_period", "healthcheck"),
    "depends_on",
}
OF_HEALTH = {"test", "interval", "timeout", "start_period", "retries"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}

of_each_file = pytest.mark.parametrize("compose", FILES.values(), ids=FILES)


def secrets_of(service: Mapping[str, Any]) -> dict[str, str]:
    """The name in the container, and which secret it is."""
    named = [one if isinstance(one, dict) else {"source": one, "target": one} for one in service.get("secrets", [])]
    return {one["target"]: one["source"] for one in named}


def mounts(service: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """What, where, and whether it can be written there."""
    parts = [volume.split(":") for volume in service.get("volumes", [])]
    return [(part[0], part[1], part[2:] != ["ro"]) for part in parts]


def wrong_with(compose: Mapping[str, Any]) -> Iterator[str]:
    """What of a compose file leads nowhere, is unknown, or is there for nothing."""
    services = compose["services"]
    yield from (f"unknown: {key}" for key in compose if key not in TOP and not key.startswith("x-"))
    for name, service in services.items():
        yield from (f"{name}: unknown: {key}" for key in service.keys() - KEYS)
        yield from (f"{name}: unknown: healthcheck.{key}" for key in service.get("healthcheck", {}).keys() - OF_HEALTH)
        yield from (f"{name}: {problem}" for problem in _waits(service, services))
        yield from (f"{name}: no file {what}" for what, _, _ in mounts(service) if _is_missing(what))
        if len(secrets_of(service)) != len(service.get("secrets", [])):
            yield f"{name}: two secrets have one name"
    used = {
        "secrets": {source for service in services.values() for source in secrets_of(service).values()},
        "volumes": {what for service in services.values() for what, _, _ in mounts(service) if what[0] != "."},
        "networks": {network for service in services.values() for network in service.get("networks", [])},
    }
    for kind, names in used.items():
        yield from (f"{kind}: {name} is not there, or for nothing" for name in names ^ set(compose.get(kind) or {}))


def _waits(service: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        if other not in services:
            yield f"depends on {other}, which is not there"
        elif how["condition"] not in CONDITIONS:
            yield f"waits for {other} to be {how['condition']}"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"waits for the health of {other}, which nobody looks at"
        elif not set(services[other].get("profiles", [])) <= set(service.get("profiles", [])):
            yield f"depends on {other}, which is not started with it"
    mode = str(service.get("network_mode", ""))
    if mode.startswith("service:") and mode.removeprefix("service:") not in services:
        yield f"shares the network of {mode}"


def _is_missing(what: str) -> bool:
    return what.startswith(".") and what not in YOURS and not (DEPLOY / what).is_file()


@of_each_file
def test_all_that_is_referred_to_is_there(compose: Mapping[str, Any]) -> None:
    assert list(wrong_with(compose)) == []


BREAKS = {
    "a key with a typo": {"restrat": "no"},
    "a service that is not there": {"depends_on": {"nobody": {"condition": "service_started"}}},
    "a condition that is none": {"depends_on": {"kafka": {"condition": "service_fine"}}},
    "the health of who has none": {"depends_on": {"kafka-topic": {"condition": "service_healthy"}}},
    "who is not started with it": {"depends_on": {"bot": {"condition": "service_started"}}},
    "a secret that is not there": {"secrets": ["of.nobody"]},
    "two secrets of one name": {"secrets": ["redis.acl", {"source": "bot.locks.password", "target": "redis.acl"}]},
    "a volume that is not there": {"volumes": ["nowhere:/data"]},
    "a file that is not there": {"volumes": ["./c.toml:/c.toml:ro"]},
    "a network that is not there": {"networks": ["nowhere"]},
    "the network of nobody": {"network_mode": "service:nobody"},
}


@pytest.mark.parametrize("more", BREAKS.values(), ids=BREAKS)
def test_what_leads_nowhere_is_found(more: Mapping[str, Any]) -> None:
    compose = FILES["compose.yaml"]
    broken = {**compose, "services": {**TWINS, "one-more": {"image": "risk-daemon", **more}}}
    assert len(list(wrong_with(broken))) == 1


@of_each_file
def test_images_are_pinned_and_no_port_is_published_beyond_this_machine(compose: Mapping[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["image"] in OWN_IMAGES or re.fullmatch(r"[\w/-]+:\d+\.\d+\.\d+[\w.-]*", service["image"]), name
        assert "ports" not in service, "who is on another machine needs TLS first"


@of_each_file
def test_no_restart_policy_decides_what_the_first_process_decides(compose: Mapping[str, Any]) -> None:
    """`on-failure` alone would start a guard again that has tripped; `no` would leave orders open after 4."""
    for name, service in compose["services"].items():
        if name.startswith(("guard", "watch")):
            assert service["restart"] == "unless-stopped", name
            assert "entrypoint" not in service
            assert service["command"][0] == name.partition("-")[0].replace("guard", "run")
        if name.startswith("guard"):
            assert service["stop_grace_period"] == "45s", "as TimeoutStopSec="
            assert "depends_on" not in service, "it guards without any server, and keeps the gate shut"


@of_each_file
def test_the_walls_are_up_and_only_a_guard_writes_its_state_or_has_keys(compose: Mapping[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        if service["image"] in OWN_IMAGES - {"a-bot-of-yours"}:
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
            assert service["ulimits"]["core"] == 0
        if service["image"] != "a-bot-of-yours":
            assert service["security_opt"] == ["no-new-privileges:true"], name
        if name.startswith("watch"):
            assert service["user"] == "64322:64321"
            assert all(secret.startswith("alerts.") for secret in secrets_of(service))
        if not name.startswith("guard"):
            assert not [secret for secret in secrets_of(service) if secret.startswith("kraken.")], name
            assert not [at for what, at, writes in mounts(service) if what.startswith("state") and writes], name
    writers = [what for service in services.values() for what, _, writes in mounts(service) if writes]
    assert len(writers) == len(set(writers)), "each volume has one who writes it"


def test_a_bot_reaches_the_loopback_of_its_guard() -> None:
    assert SINGLE["bot"]["network_mode"] == "service:guard"
    assert "secrets" not in SINGLE["bot"]
    listen = load_config(ROOT / "config.toml").api.listen
    assert SINGLE["bot"]["environment"]["GATE_URL"] == f"http://{listen}"


# --- what two guards share -------------------------------------------------------------------------


def test_servers_have_no_way_out_and_whoever_needs_one_reaches_it() -> None:
    networks = FILES["compose.yaml"]["networks"]
    assert {name for name, network in networks.items() if (network or {}).get("internal")} == {"state", "events"}
    of = {name: set(service["networks"]) for name, service in TWINS.items()}
    assert of["guard-a"] == of["guard-b"] == {"venues", "state", "events"}
    assert of["watch-a"] == of["watch-b"] == {"venues", "events"}, "it tells Kafka what its guard could not"
    assert of["timescaledb"] == of["redis"] == {"state"}
    assert of["kafka"] == of["kafka-topic"] == {"events"}


def test_the_files_of_the_two_differ_in_their_names_alone() -> None:
    a, b = (load_config(DEPLOY / f"{name}.toml") for name in "ab")
    assert (a.guard.name, a.guard.peers, b.guard.name, b.guard.peers) == ("a", ("b",), "b", ("a",))
    assert a.model_dump(exclude={"guard"}) == b.model_dump(exclude={"guard"})
    for name in "ab":
        assert (f"./{name}.toml", "/etc/risk-daemon/config.toml", False) in mounts(TWINS[f"guard-{name}"])
        assert (f"./{name}.toml", "/etc/risk-daemon/config.toml", False) in mounts(TWINS[f"watch-{name}"])
        assert (f"state-{name}", "/var/lib/risk-daemon", True) in mounts(TWINS[f"guard-{name}"])
        assert secrets_of(TWINS[f"guard-{name}"])["kraken.secret"] == f"{name}.kraken.secret", "keys of its own"


def test_the_addresses_that_stand_there_are_those_of_the_servers() -> None:
    settings = load_config(DEPLOY / "a.toml")
    url, database = settings.state.server, TWINS["timescaledb"]["environment"]
    assert url == parse(settings.state.store)
    assert url is not None
    assert (url.hosts, url.user, url.database) == (
        (("timescaledb", 5432),), database["POSTGRES_USER"], database["POSTGRES_DB"],
    )  # fmt: skip
    assert settings.state.redis_locks == (RedisAddress.of("redis://guard@redis:6379/0"),)
    kafka, broker = settings.broadcast.kafka, TWINS["kafka"]["environment"]
    assert kafka is not None
    assert f"PLAINTEXT://{kafka.bootstrap}" == broker["KAFKA_ADVERTISED_LISTENERS"]
    topic = TWINS["kafka-topic"]["command"]
    assert topic[topic.index("--topic") + 1] == kafka.topic
    assert topic[topic.index("--bootstrap-server") + 1] == kafka.bootstrap
    assert topic[0].startswith("/"), "a path: the image runs what it is given"


def test_servers_keep_their_data_and_get_their_passwords_from_files() -> None:
    database, redis, kafka = TWINS["timescaledb"], TWINS["redis"], TWINS["kafka"]
    assert ("store", "/var/lib/postgresql/data", True) in mounts(database)
    path = database["environment"]["POSTGRES_PASSWORD_FILE"].removeprefix("/run/secrets/")
    assert secrets_of(database)[path] == "server.store.password"
    assert "POSTGRES_PASSWORD" not in database["environment"]
    words = dict(zip(redis["command"][1::2], redis["command"][2::2], strict=True))
    assert (words["--appendonly"], words["--maxmemory-policy"]) == ("yes", "noeviction")
    assert (words["--aclfile"], mounts(redis)) == ("/run/secrets/redis.acl", [("locks", words["--dir"], True)])
    assert mounts(kafka) == [("topics", kafka["environment"]["KAFKA_LOG_DIRS"], True)]
    assert len(base64.urlsafe_b64decode(kafka["environment"]["CLUSTER_ID"] + "==")) == 16
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert TWINS["kafka-topic"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


# --- what make-secrets makes -----------------------------------------------------------------------


def made(directory: Path) -> dict[str, str]:
    command = ["/bin/sh", str(DEPLOY / "make-secrets"), str(directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_passwords_are_made_once_and_are_files_that_compose_asks_for(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    first = made(directory)
    asked = FILES["compose.yaml"]["secrets"]
    assert all(one["file"] == f"./secrets/{name}" for name, one in asked.items())
    assert set(first) == {name for name in asked if not re.search(r"kraken|alerts", name)}
    assert made(directory) == first, "never anew"
    assert all(path.stat().st_mode & 0o777 == 0o400 for path in directory.iterdir())
    passwords = {first[name].strip() for name in first if name.endswith("password")}
    assert len(passwords) == 3, "the server's is the one that guards have"
    assert all(len(base64.b64decode(password)) == 24 for password in passwords)
    assert first["server.store.password"] == first["state.store.password"]


def test_redis_knows_who_may_what_by_the_rules_of_the_page_and_no_password(tmp_path: Path) -> None:
    first = made(tmp_path / "secrets")
    users = {line.split()[1]: line.split()[2:] for line in first["redis.acl"].splitlines()}
    assert users["default"] == ["off"]
    assert users["health"] == ["on", "nopass", "+ping"]
    for name, of in (("guard", "state.locks.password"), ("bot", "bot.locks.password")):
        assert users[name][1] == f"#{hashlib.sha256(first[of].strip().encode()).hexdigest()}"
    page = "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))
    rules = dict(re.findall(r"^user (guard|bot) +on >\.\.\. (.*)$", page, re.MULTILINE))
    assert " ".join(users["guard"][2:]) == rules["guard"]
    assert " ".join(users["bot"][2:-1]) + " ~risk-daemon:*" == rules["bot"]
    assert users["bot"][-1] == "~risk-daemon:main:*", "the group of these guards, and no other"
