"""What `check` says of the broadcast: whether the broker is there now, and what would be wrong with that."""

from __future__ import annotations

from collections.abc import Iterator

from risk_daemon.app.broadcast import usable_settings
from risk_daemon.app.findings import Finding, Level
from risk_daemon.broadcast.kafka import KafkaLine, KafkaSettings
from risk_daemon.broadcast.outbox import BROADCAST, Outbox
from risk_daemon.broadcast.relay import NotDelivered
from risk_daemon.config.credentials import KAFKA
from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError, ExitCode
from risk_daemon.model.addresses import is_loopback
from risk_daemon.state.directory import Paths
from risk_daemon.state.store.sqlite import peek_documents


async def broadcast_findings(settings: Settings) -> list[Finding]:
    """Nothing where nothing is broadcast and nothing is owed. The broker is asked for the topic, and sent nothing."""
    try:
        kafka = usable_settings(settings)
    except ConfigError as error:
        return [Finding(Level.PROBLEM, KAFKA, str(error), ExitCode.REFUSED)]
    if kafka is None:
        return _unheard(settings)
    return [await _reached(kafka), *_open_to_all(kafka)]


def _unheard(settings: Settings) -> list[Finding]:
    outbox = Outbox()
    outbox.restore(peek_documents(Paths(settings.state.dir).database).get(BROADCAST, {}))
    owed = len(outbox.owed())
    sentence = f"{owed} owed to whoever listens, and there is no table [{KAFKA}] any more: put it back"
    return [Finding(Level.WARNING, KAFKA, sentence)] if owed else []


async def _reached(kafka: KafkaSettings) -> Finding:
    line = KafkaLine(kafka)
    try:
        await line.look()
    except NotDelivered as error:
        return Finding(Level.WARNING, KAFKA, f"a trip would not be broadcast now, but when the broker is back: {error}")
    finally:
        await line.close()
    return Finding(Level.OK, KAFKA, f"reached; a trip is broadcast on the topic {kafka.topic}")


def _open_to_all(kafka: KafkaSettings) -> Iterator[Finding]:
    """On this machine alone nobody stands between."""
    hosts = [server.rpartition(":")[0].strip("[]") for server in kafka.bootstrap.split(",")]
    if kafka.security_protocol.endswith("SSL") or all(map(is_loopback, hosts)):
        return
    what = "the password can be read on the way" if kafka.username else "who reaches the broker can forge a trip"
    sentence = f'{what}: write security_protocol = "SASL_SSL"'
    yield Finding(Level.WARNING, KAFKA, sentence)
