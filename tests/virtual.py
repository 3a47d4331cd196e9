"""Moving time in tests: on a virtual loop nothing sleeps, however long it takes."""

from __future__ import annotations

import asyncio


async def pass_time(seconds: float) -> None:
    """Let `seconds` of the running loop's time pass. For loops whose time is virtual."""
    await asyncio.sleep(seconds)
