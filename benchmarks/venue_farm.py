"""Many simulated venues in one process: `python -m benchmarks.venue_farm KIND...`. Prints the endpoint of each."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import uvloop

from adapters.simulated.server import VenueServer


async def serve(kinds: Sequence[str]) -> None:
    """Until it is killed."""
    servers = [VenueServer(kind) for kind in kinds]
    for server in servers:
        await server.start()
    print(*(server.endpoint for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1:]))
