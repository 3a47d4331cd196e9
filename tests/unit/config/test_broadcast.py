"""The table [broadcast.kafka]: what would not do what its owner believes is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.config.load import Settings, kafka_password, unknown_environment
from risk_daemon.config.load import load as load_config
from risk_daemon.errors import ConfigError

BASE = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
)
PASSWORD = "RISK_DAEMON_BROADCAST_KAFKA_PASSWORD"
LOGIN = 'security_protocol = "SASL_SSL"\nsasl_mechanism = "SCRAM-SHA-512"\nusername = "guard"'


def load(tmp_path: Path, *rows: str, bootstrap: str = "kafka-1:9093") -> Settings:
    path = tmp_path / "config.toml"
    head = f'[broadcast.kafka]\nbootstrap = "{bootstrap}"\n' if bootstrap else "[broadcast.kafka]\n"
    path.write_text(BASE + head + "".join(f"{row}\n" for row in rows))
    return load_config(path)


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv(PASSWORD, raising=False)


def test_only_brokers_must_be_named(tmp_path: Path) -> None:
    table = load(tmp_path).broadcast.kafka
    assert table is not None
    assert (table.topic, table.event_type, table.security_protocol) == (
        "system-events", "The3PercentFreeze", "PLAINTEXT",
    )  # fmt: skip
    assert not table.logs_in
    assert not table.is_encrypted


def test_without_the_table_nothing_is_broadcast(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(BASE)
    assert load_config(tmp_path / "config.toml").broadcast.kafka is None


@pytest.mark.parametrize("bootstrap", ["kafka:9092", "kafka-1.example.org:9093, 10.0.0.2:1", "[::1]:9092"])
def test_brokers_are_hosts_with_ports(bootstrap: str, tmp_path: Path) -> None:
    table = load(tmp_path, bootstrap=bootstrap).broadcast.kafka
    assert table is not None
    assert table.bootstrap == bootstrap.replace(" ", "")


BAD_SERVERS = (
    "kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "kafka:9092,", "kafka://a:1", "a b:1", "kafka:٣", ",",
)  # fmt: skip


@pytest.mark.parametrize("bootstrap", BAD_SERVERS)
def test_what_names_no_broker_is_refused(bootstrap: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"broadcast\.kafka\.bootstrap: .* is no broker: write \"host:port\""):
        load(tmp_path, bootstrap=bootstrap)


BAD = {
    "no brokers": ("", ("",), "broadcast.kafka.bootstrap: it is missing"),
    "a key that is mistyped": (
        "k:1",
        ('topics = "a"',),
        'broadcast.kafka.topics: this key is not known: perhaps write "topic"',
    ),
    "a topic that is none": ("k:1", ('topic = "a b"',), "broadcast.kafka.topic: 'a b' is no topic"),
    "the topic of two dots": ("k:1", ('topic = ".."',), "broadcast.kafka.topic: '..' is no topic"),
    "no event type": ("k:1", ('event_type = ""',), "broadcast.kafka.event_type: '' is no event type"),
    "another protocol": ("k:1", ('security_protocol = "TLS"',), "security_protocol: 'TLS' is not accepted"),
    "a username that logs in nowhere": ("k:1", ('username = "guard"',), "kafka.username: nobody logs in with"),
    "a login without a user": (
        "k:1",
        ('security_protocol = "SASL_SSL"', 'sasl_mechanism = "PLAIN"'),
        "broadcast.kafka.username: it is missing, and SASL_SSL logs in",
    ),
    "a login without a way": (
        "k:1",
        ('security_protocol = "SASL_PLAINTEXT"', 'username = "guard"'),
        "broadcast.kafka.sasl_mechanism: it is missing",
    ),
    "a way that is not known": ("k:1", (LOGIN.replace("SCRAM-SHA-512", "GSSAPI"),), "sasl_mechanism: 'GSSAPI'"),
    "certificates for nothing": ("k:1", (f'ca_file = "{__file__}"',), "broadcast.kafka.ca_file: nothing is encrypted"),
    "certificates that are gone": (
        "k:1",
        ('security_protocol = "SSL"', 'ca_file = "/nowhere/ca.pem"'),
        "broadcast.kafka.ca_file",
    ),
    "a password": ("k:1", ('password = "hunter2"',), "use $CREDENTIALS_DIRECTORY/broadcast.kafka.password"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_is_refused(case: str, tmp_path: Path) -> None:
    bootstrap, rows, expected = BAD[case]
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *rows, bootstrap=bootstrap)
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_another_broker_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(BASE + '[broadcast.kafca]\nbootstrap = "k:1"\n')
    with pytest.raises(ConfigError, match=r'broadcast\.kafca: this key is not known: perhaps write "kafka"'):
        load_config(tmp_path / "config.toml")


def test_the_password_is_in_a_credential_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(tmp_path, LOGIN)
    with pytest.raises(ConfigError, match=r"broadcast\.kafka: its password is missing: put it into .*" + PASSWORD):
        kafka_password(settings)
    monkeypatch.setenv(PASSWORD, "from a variable")
    found = kafka_password(settings)
    assert found is not None
    assert found.get_secret_value() == "from a variable"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "broadcast.kafka.password").write_text("from a file\n")
    found = kafka_password(settings)
    assert found is not None
    assert found.get_secret_value() == "from a file"
    assert kafka_password(load(tmp_path)) is None


def test_the_variable_is_known_where_something_is_broadcast(tmp_path: Path) -> None:
    assert unknown_environment(load(tmp_path, LOGIN), {PASSWORD: "x"}) == ()
    (tmp_path / "config.toml").write_text(BASE)
    assert unknown_environment(load_config(tmp_path / "config.toml"), {PASSWORD: "x"}) == (PASSWORD,)
