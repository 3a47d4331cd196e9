"""One table a card and venue."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cards.card import CardVenue, Table, all_kinds, dealt

KINDS = all_kinds()


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> CardVenue:
    """Every venue that has a file."""
    return KINDS[request.param]


@pytest_asyncio.fixture
async def table(kind: CardVenue) -> AsyncIterator[Table]:
    async with dealt(kind) as table:
        yield table
