"""Where the wardens' page is, as browsers and passkeys know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageSite:
    """Where the page is. host: the relying party of its passkeys. origin: what a browser says of pages there."""

    host: str
    origin: str

    @classmethod
    def at(cls, host: str, port: int, *, is_tls: bool) -> PageSite:
        """A browser leaves out the port that everybody knows."""
        scheme, known = ("https", 443) if is_tls else ("http", 80)
        return cls(host, f"{scheme}://{host}" + ("" if port == known else f":{port}"))
