"""The address of a PostgreSQL database, as `[state] store` has it. Standard library only.

What it leaves open is closed here: no variable of the environment and no file in a home directory fills it in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from risk_daemon.model.addresses import is_loopback

SCHEMES = ("postgresql", "postgres")
EXAMPLE = '"postgresql://user@host:5432/database"'
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERIFYING = ("verify-ca", "verify-full")
_SESSIONS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_VERSIONS = ("ssl_min_protocol_version", "ssl_max_protocol_version")
_KNOWN = ("host", "sslmode", "target_session_attrs", *_FILES, *_VERSIONS)
_PORT = 5432


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresUrl:
    """Where the database is and as whom. hosts: tried in turn, each with its port; a path is a socket's directory.

    options: as asyncpg takes them in a query. Holds no secret.
    """

    user: str
    hosts: tuple[tuple[str, int], ...]
    database: str
    options: tuple[tuple[str, str], ...]

    @property
    def dsn(self) -> str:
        """The options as asyncpg reads them; hosts, user and database are handed over beside it."""
        return f"postgresql:///?{urlencode(self.options, quote_via=quote)}"

    @property
    def where(self) -> str:
        """For people: host and database."""
        return f"{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.database}"


def parse(text: str) -> PostgresUrl:
    """Read an address. Raises ValueError, a sentence that repeats nothing of it: there may be a password in it."""
    if not text.isprintable() or " " in text:
        raise ValueError(f"it has spaces in it: write one such as {EXAMPLE}")
    try:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(f"it is not a URL: write one such as {EXAMPLE}") from None
    if parts.scheme not in SCHEMES or parts.fragment:
        raise ValueError(f"it is no address of PostgreSQL: write one such as {EXAMPLE}")
    login, at, places = parts.netloc.rpartition("@")
    if ":" in login:
        raise ValueError(
            "secrets do not belong in this file: take the password out, revoke it if others could read it, and use"
            " $CREDENTIALS_DIRECTORY/state.store.password or RISK_DAEMON_STATE_STORE_PASSWORD"
        )
    database = unquote(parts.path.removeprefix("/"))
    if not at or not login or not database or "/" in database:
        raise ValueError(f"it must name a user and a database: write one such as {EXAMPLE}")
    options = _options(query)
    directory = options.pop("host", None)
    if (directory is None) is (places == ""):
        raise ValueError(f"it must name one host, or the directory of a socket by ?host=/path: such as {EXAMPLE}")
    hosts = tuple(_hosts(places)) if directory is None else ((directory, _PORT),)
    _check_protected(hosts, options)
    # Of several at most one takes writes, and a standby is believed by nobody.
    defaults = {"sslmode": "prefer", "target_session_attrs": "any" if len(hosts) == 1 else "read-write"}
    return PostgresUrl(
        user=unquote(login), hosts=hosts, database=database, options=tuple({**defaults, **options}.items())
    )


def _options(query: list[tuple[str, str]]) -> dict[str, str]:
    """Raises ValueError for what is not known, is there twice, or can't be."""
    options: dict[str, str] = {}
    for name, value in query:
        if name not in _KNOWN:
            raise ValueError(f"the option {name!r} is not known: take it out, or use one of {', '.join(_KNOWN)}")
        if name in options or not value:
            raise ValueError(f"the option {name!r} is empty or there twice")
        options[name] = value
    for name, words in (("sslmode", _MODES), ("target_session_attrs", _SESSIONS)):
        if options.get(name, words[0]) not in words:
            raise ValueError(f"{name} is not one of {', '.join(words)}")
    relative = [name for name in ("host", *_FILES) if not options.get(name, "/").startswith("/")]
    if relative:
        raise ValueError(f"{relative[0]} is not an absolute path")
    if options.get("sslmode") in _VERIFYING and "sslrootcert" not in options:
        raise ValueError(f"sslmode={options['sslmode']} needs sslrootcert=/path: whom to believe")
    return options


def _hosts(places: str) -> Iterator[tuple[str, int]]:
    """Raises ValueError."""
    for place in places.split(","):
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or port == 0:
            raise ValueError(f"its host or port is none: write one such as {EXAMPLE}")
        yield host, port or _PORT


def _check_protected(hosts: tuple[tuple[str, int], ...], options: dict[str, str]) -> None:
    """What leaves this machine leaves it as somebody said it should. Raises ValueError."""
    away = [host for host, _ in hosts if not host.startswith("/") and not is_loopback(host)]
    if away and "sslmode" not in options:
        raise ValueError(
            "the host is not this machine, so say how the way there is protected:"
            " add ?sslmode=verify-full&sslrootcert=/path, or sslmode=disable for a network of your own"
        )
