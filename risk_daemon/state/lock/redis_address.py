"""Where a Redis is: `redis://host:6379/0`, `rediss://` with TLS. Standard library only: bots read it too."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from risk_daemon.model.addresses import is_loopback

_PORT = 6379
_REMEDY = 'write an address such as "redis://127.0.0.1:6379/0", or "rediss://..." for TLS'


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """One database of one server. user None: Redis's own default user. The password is never part of it."""

    host: str
    port: int = _PORT
    database: int = 0
    user: str | None = None
    is_secure: bool = False

    @classmethod
    def of(cls, text: str) -> RedisAddress:
        """Raises ValueError, with a sentence that repeats no password."""
        try:
            parts = urlsplit(text)
            host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
        except ValueError:
            raise ValueError(f"it is not a URL: {_REMEDY}") from None
        if password is not None:
            raise ValueError(f"it holds a password, which does not belong into an address: take it out; {_REMEDY}")
        if parts.scheme not in ("redis", "rediss"):
            raise ValueError(f"{text!r} is not the address of a Redis: {_REMEDY}")
        if not host or port == 0:
            raise ValueError(f"{text!r} names no host, or no usable port: {_REMEDY}")
        if parts.query or parts.fragment:
            raise ValueError(f"{text!r} has a query or a fragment: {_REMEDY}")
        return cls(
            host=host,
            port=_PORT if port is None else port,
            database=_database(text, parts.path),
            user=unquote(user) if user else None,
            is_secure=parts.scheme == "rediss",
        )

    @property
    def place(self) -> tuple[str, int, int]:
        """The same for two addresses of one database."""
        return self.host, self.port, self.database

    @property
    def is_in_the_clear(self) -> bool:
        """Whether others on the way can read it, and answer in its stead."""
        return not self.is_secure and not is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.is_secure else ''}://{host}:{self.port}/{self.database}"


def _database(text: str, path: str) -> int:
    number = path.removeprefix("/") or "0"
    if not (number.isascii() and number.isdecimal() and len(number) <= 5):
        raise ValueError(f"{text!r} does not end with the number of a database: {_REMEDY}")
    return int(number)
