"""People and a Prometheus that look at a daemon: so many open pages, and a scrape every second.

`python -m benchmarks.onlookers URL TOKEN PAGES` prints a line once every page is live and the first scrape is in, and
goes on until it is killed. A page is what a browser holds open: a session of its own, and its stream, read to the end.
"""

from __future__ import annotations

import asyncio
import re
import sys

import aiohttp

SCRAPE_EVERY_S = 1.0


async def page(url: str, token: str, live: asyncio.Semaphore) -> None:
    """Log in, and read what is sent for as long as it is sent."""
    jar = aiohttp.CookieJar(unsafe=True)  # by an address, not a name
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        form = await (await session.get(f"{url}/")).text()
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
        said = await session.post(f"{url}/login", data={**hidden, "token": token}, headers={"Origin": url})
        said.raise_for_status()
        timeout = aiohttp.ClientTimeout(total=None)
        async with session.get(f"{url}/page/live", timeout=timeout) as stream:
            stream.raise_for_status()
            async for _ in stream.content.iter_any():
                live.release()


async def scrapes(url: str, token: str, done: asyncio.Semaphore) -> None:
    """Every second, as a Prometheus that is in a hurry does."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.get(f"{url}/metrics") as answer:
                answer.raise_for_status()
                await answer.read()
            done.release()
            await asyncio.sleep(SCRAPE_EVERY_S)


async def look(url: str, token: str, count: int) -> None:
    """Raises what any of them raises."""
    live = [asyncio.Semaphore(0) for _ in range(count + 1)]
    async with asyncio.TaskGroup() as tasks:
        for each in live[1:]:
            tasks.create_task(page(url, token, each))
        tasks.create_task(scrapes(url, token, live[0]))
        for each in live:
            await each.acquire()
        print("everybody looks", flush=True)


if __name__ == "__main__":
    asyncio.run(look(sys.argv[1], sys.argv[2], int(sys.argv[3])))
