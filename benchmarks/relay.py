"""What a daemon's way is measured by: a program that does nothing on a price frame but pass it on.

`python -m benchmarks.relay map ENDPOINT PATH`: writes a byte of a mapped file. `... http ENDPOINT`: sends one request
to the address of a cancel. It reads nothing out of the frame and signs nothing. Prints a line when it listens.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import uvloop
from websockets.asyncio.client import connect

SUBSCRIBE = '{"method": "subscribe", "params": {"channel": "ticker", "symbol": ["BTC/USDT"]}}'
CANCEL = "api.kraken.com/0/private/CancelAll"

PassOn = Callable[[], Awaitable[None]]


async def listen(endpoint: str, pass_on: PassOn) -> None:
    """Call `pass_on` for every price that comes after the first."""
    url = f"{endpoint.replace('http', 'ws', 1)}/ws.kraken.com/v2"
    async with connect(url, proxy=None, compression=None) as frames:
        await frames.send(SUBSCRIBE)
        is_listening = False
        async for frame in frames:
            if '"ticker"' not in str(frame) or '"method"' in str(frame):
                continue
            if is_listening:
                await pass_on()
            else:
                is_listening = True
                print("listening", flush=True)


async def to_map(endpoint: str, path: Path) -> None:
    """Each price adds one to the first byte of the file."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as page:

        async def write() -> None:
            page[0] = (page[0] + 1) % 256

        await listen(endpoint, write)


async def to_http(endpoint: str) -> None:
    """Each price sends one request, over a connection that is open already."""
    async with aiohttp.ClientSession() as session:

        async def send() -> None:
            async with session.post(f"{endpoint}/{CANCEL}", data=b"nonce=1") as answer:
                await answer.read()

        await send()
        await listen(endpoint, send)


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    uvloop.run(to_map(words[0], Path(words[1])) if kind == "map" else to_http(words[0]))
