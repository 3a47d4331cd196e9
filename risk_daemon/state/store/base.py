"""Where the daemon's memory is kept: small JSON documents by key, each save one durable transaction.

Beside them a history of samples, a minute apart: nice to have, and never a reason to refuse anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

JsonObject = Mapping[str, Any]

# So many samples are kept: thirty days of one a minute. A number and no age, so that no clock makes history old.
KEEP_SAMPLES = 30 * 24 * 60


class Store(Protocol):
    """Documents by key. What comes back is what JSON makes of what went in."""

    @property
    def trouble(self) -> str | None:
        """What keeps it from being safe wherever it should be, beside what `save` raises; None: nothing does."""
        ...

    async def load(self) -> Mapping[str, JsonObject]:
        """All documents. Raises StateError when they can't be read whole."""
        ...

    async def save(self, documents: Mapping[str, JsonObject]) -> None:
        """Write these, all or none, and leave the others as they are; on disk when this returns.

        Raises RecordError; then nothing is known to be written, and the next save may succeed.
        """
        ...

    async def append_sample(self, document: JsonObject) -> None:
        """Keep a sample; its `time` (Unix seconds) names it, another of the same time takes its place.

        Where there are more than `KEEP_SAMPLES`, those whose times are farthest from this one's are forgotten: a
        clock that jumps ahead costs one for each that it made, and what it made goes first when it is right again.
        Raises RecordError as `save` does, and InvariantError for one without a finite time.
        """
        ...

    async def load_samples(self) -> Sequence[JsonObject]:
        """The samples, oldest first. What is damaged is left out and said; never raises for it."""
        ...

    async def close(self) -> None:
        """Let go of it. Saves already asked for are done first."""
        ...
