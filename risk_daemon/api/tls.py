"""The server's side of TLS, from the files that [api] names."""

from __future__ import annotations

import ssl

from risk_daemon.config.load import Settings
from risk_daemon.errors import ConfigError


def server_context(settings: Settings) -> ssl.SSLContext | None:
    """None without TLS in the configuration. Raises ConfigError for a certificate or key that can't be used.

    A key with a passphrase can't: nobody is there to type it.
    """
    api = settings.api
    if api.tls_certificate is None or api.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(api.tls_certificate, api.tls_key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{settings.file}: api.tls_certificate: it can't be used with tls_key ({why}): both are PEM files that"
            " belong together, the key without a passphrase."
        ) from None
    return context
