"""`/openapi.json` against the server it describes: the document is whole, and no generated request surprises it.

tests/api_world.py compares every answer of every other test with the document, too.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from risk_daemon.api import models
from risk_daemon.api.limits import Limits, Rate
from risk_daemon.api.routes import ROUTES, Route
from tests.api_world import DOCUMENT, ApiWorld, serving

OPEN = {route.path for route in ROUTES if not route.roles}
FREELY = Rate(1e6, 10**6)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT).exclude(path="/api/v1/events")  # it never ends
# What a schema can't say (the names of venues, symbols and bots) is refused with 422, and the gate may say 423.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
]
SCHEMA.config.checks.update(included_check_names=CHECKS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiWorld]:
    """A server in a thread of its own."""
    ready, done = threading.Event(), asyncio.Event()
    found: list[ApiWorld] = []
    directory = tmp_path_factory.mktemp("api")
    limits = Limits(**dict.fromkeys(Limits().rate_limits(), FREELY))
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(directory, limits) as world:
            found.append(world)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_surprises_the_document(case: schemathesis.Case, world: ApiWorld) -> None:
    token = world.bot if case.path.endswith("/report") else world.operator
    case.call_and_validate(base_url=f"http://127.0.0.1:{world.port}", headers={"Authorization": f"Bearer {token}"})


@SCHEMA.parametrize()
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_unauthorised_has_an_effect(case: schemathesis.Case, world: ApiWorld) -> None:
    before = copy.deepcopy(world.control.effects())
    reply = case.call(base_url=f"http://127.0.0.1:{world.port}", headers={"Authorization": f"Bearer {world.bot}x"})

    assert world.control.effects() == before
    expected = {"OPTIONS": 204}.get(case.method, 401)
    assert reply.status_code in (expected, 405) or case.path in OPEN


# --- the document ----------------------------------------------------------------------------------


async def test_it_is_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        served = (await world.tcp("GET", "/openapi.json")).body

    assert served["paths"] == DOCUMENT["paths"]
    assert served["info"]["version"] != "test"


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_route_tells_of_every_answer(route: Route) -> None:
    told = set(operation(route)["responses"])

    assert {"400", "403", "429", "500", "503"} <= told
    assert ("401" in told) is bool(route.roles)
    assert ({"408", "413", "415", "422"} <= told) is (route.body is not None)
    assert {str(int(status)) for status in route.answers} <= told
    assert operation(route)["security"] == ([{"token": []}] if route.roles else [])


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from (value for key, value in part.items() if key == "$ref")
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                yield from references(each)

    found = set(references(DOCUMENT))
    assert found
    assert {each.removeprefix("#/components/schemas/") for each in found} <= set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_every_schema_is_one(name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(schema)
    jsonschema_rs.meta.validate(DOCUMENT["components"]["schemas"][name])


def test_every_body_is_strict() -> None:
    bodies = [model for model in vars(models).values() if isinstance(model, type) and issubclass(model, models.Body)]
    schemas = DOCUMENT["components"]["schemas"]

    assert len(bodies) > 8
    for body in bodies:
        if body is not models.Body:
            assert schemas[body.__name__]["additionalProperties"] is False
