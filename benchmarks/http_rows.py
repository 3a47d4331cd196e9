"""The gate over HTTP, beside an aiohttp handler that does nothing, asked by the same client."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.rows import Row

ROUNDS = 5
REQUESTS = 3_000
CONNECTIONS = 8
BODY = json.dumps({"venue": "venue", "symbol": "A1/USDT", "side": "buy", "quantity": "1", "price": "2"}).encode()


@contextmanager
def server(kind: str, directory: str) -> Iterator[tuple[int, str]]:
    """Its port and a token."""
    words = [sys.executable, "-m", "benchmarks.http_server", kind, directory]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, token = process.stdout.readline().split()
            yield int(port), token
        finally:
            process.kill()


async def _ask(port: int, token: str, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /api/v1/orders/check HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    for _ in range(count):
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not allowed: {answer!r}")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()
    await writer.wait_closed()


def a_second(port: int, token: str) -> float:
    """Answers a second."""

    async def all_at_once() -> None:
        await asyncio.gather(*(_ask(port, token, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))

    start = time.perf_counter()
    asyncio.run(all_at_once())
    return REQUESTS / (time.perf_counter() - start)


def rows() -> list[Row]:
    """What is measured, what should hold, what was measured."""
    with tempfile.TemporaryDirectory() as name, server("empty", name) as empty, server("gate", name) as gate:
        pairs = []
        for _ in range(ROUNDS):
            pairs.append((a_second(*gate), a_second(*empty)))
            time.sleep(1.0)  # so that the token's own rate limit is not what is measured
    share = statistics.median(one / two for one, two in pairs)
    gates, empties = (statistics.median(column) for column in zip(*pairs, strict=True))
    return [
        Row(name="gate check over HTTP / empty aiohttp handler", measured=share, at_least=0.6),
        Row(name="gate checks over HTTP", measured=gates, unit="a second"),
        Row(name="answers of an empty aiohttp handler", measured=empties, unit="a second"),
    ]
