"""TLS from the files that the configuration names: usable, or refused before anything listens."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from risk_daemon.api.tls import server_context
from risk_daemon.config.load import load as load_config
from risk_daemon.config.settings import Settings
from risk_daemon.errors import ConfigError, ExitCode

CONFIGURED = (
    '[portfolio]\ninitial_capital = 10000\n[venues.kraken]\nexchange = "kraken"\nmarkets = ["spot"]\nsimulated = true\n'
)
WITH_TLS = '[api]\nlisten = "0.0.0.0:0"\ntls_certificate = "cert.pem"\ntls_key = "key.pem"\n'
PASSPHRASE = serialization.BestAvailableEncryption(b"secret")


def write_pair(directory: Path, encryption: serialization.KeySerializationEncryption) -> None:
    """A certificate for this machine and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, encryption))


def load(directory: Path, text: str = WITH_TLS) -> Settings:
    (directory / "config.toml").write_text(text + CONFIGURED)
    return load_config(directory / "config.toml")


def test_without_files_there_is_no_tls(tmp_path: Path) -> None:
    assert server_context(load(tmp_path, "")) is None


def test_a_certificate_and_its_key_make_a_handshake(tmp_path: Path) -> None:
    write_pair(tmp_path, serialization.NoEncryption())
    server = server_context(load(tmp_path))
    assert server is not None
    client = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]

    done = [False, False]
    for _ in range(10):
        for index, end in enumerate(ends):
            try:
                end.do_handshake()
                done[index] = True
            except ssl.SSLWantReadError:
                continue
    assert done == [True, True]
    assert server.minimum_version >= ssl.TLSVersion.TLSv1_2


def broken(directory: Path) -> None:
    write_pair(directory, serialization.NoEncryption())
    (directory / "cert.pem").write_text("no certificate")


def of_another(directory: Path) -> None:
    write_pair(directory, serialization.NoEncryption())
    certificate = (directory / "cert.pem").read_bytes()
    write_pair(directory, serialization.NoEncryption())
    (directory / "cert.pem").write_bytes(certificate)


def with_a_passphrase(directory: Path) -> None:
    write_pair(directory, PASSPHRASE)


def swapped(directory: Path) -> None:
    write_pair(directory, serialization.NoEncryption())
    (directory / "key.pem").write_bytes((directory / "cert.pem").read_bytes())


@pytest.mark.parametrize("prepare", [broken, of_another, with_a_passphrase, swapped])
def test_what_can_t_be_used_is_refused_in_one_sentence(prepare: Callable[[Path], None], tmp_path: Path) -> None:
    prepare(tmp_path)

    with pytest.raises(ConfigError, match=r"api\.tls_certificate: it can't be used with tls_key") as caught:
        server_context(load(tmp_path))
    assert caught.value.exit_code == ExitCode.REFUSED
    assert "\n" not in str(caught.value)
