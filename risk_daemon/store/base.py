"""Where the daemon's memory is kept: small JSON documents by key, each save one durable transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

JsonObject = Mapping[str, Any]


class Store(Protocol):
    """Documents by key. What comes back is what JSON makes of what went in."""

    async def load(self) -> Mapping[str, JsonObject]:
        """All documents. Raises StateError when they can't be read whole."""
        ...

    async def save(self, documents: Mapping[str, JsonObject]) -> None:
        """Write these, all or none, and leave the others as they are; on disk when this returns.

        Raises RecordError; then nothing is known to be written, and the next save may succeed.
        """
        ...

    async def close(self) -> None:
        """Let go of it. Saves already asked for are done first."""
        ...
