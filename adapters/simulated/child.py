"""A simulated venue as a child process, which ends with its parent, however the parent ends."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Self

from risk_daemon.errors import VenueUnavailable

_START_WITHIN_S = 20.0
_STOP_WITHIN_S = 3.0


class SimulatedVenueProcess:
    """A running `risk-daemon simulate-venue`; `endpoint` is where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, endpoint: str) -> None:
        self._process = process
        self.endpoint = endpoint

    @classmethod
    async def start(cls, kind: str) -> Self:
        """Start one on a free loopback port. Raises VenueUnavailable if it does not come up."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "adapters.simulated",
            kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            return cls(process, await cls._endpoint(process))
        except (TimeoutError, ValueError, KeyError) as error:
            process.kill()
            await process.wait()
            raise VenueUnavailable(f"the simulated {kind} did not start: {error!r}") from error

    @staticmethod
    async def _endpoint(process: asyncio.subprocess.Process) -> str:
        if process.stdout is None:
            raise ValueError("it has no output")
        async with asyncio.timeout(_START_WITHIN_S):
            line = await process.stdout.readline()
        return str(json.loads(line)["endpoint"])

    async def stop(self) -> None:
        """End it. A second call does nothing."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
