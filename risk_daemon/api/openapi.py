"""`/openapi.json`: OpenAPI 3.1, made of the table of routes and the models. Nothing in it is written by hand twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from risk_daemon.api.models import Problem
from risk_daemon.api.problems import PROBLEM_TYPE
from risk_daemon.api.routes import JSON, Route

_REF = "#/components/schemas/{model}"
_BEARER = "token"
_SINGLE_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate", {"type": "string"}),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", {"type": "string", "pattern": "^[0-9]+$"}),
}
_ALWAYS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_BODY = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole document, JSON-able."""
    listed = list(routes)
    schemas = _Schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "risk-daemon", "version": version, "description": "May this order be sent? And how is it?"},
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {_BEARER: {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The schemas of all models, each once."""

    def __init__(self, routes: list[Route]) -> None:
        wanted: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [(Problem, "serialization", TypeAdapter(Problem))]
        for route in routes:
            if route.body is not None:
                wanted.append((route.body, "validation", TypeAdapter(route.body)))
            wanted += [(model, "serialization", TypeAdapter(model)) for model in route.answers.values()]
        found, rest = TypeAdapter.json_schemas(wanted, ref_template=_REF)
        self._found: Mapping[tuple[Any, JsonSchemaMode], Any] = found
        self.definitions: dict[str, Any] = rest.get("$defs", {})

    def sent(self, model: Any) -> Any:
        return self._found[model, "validation"]

    def answered(self, model: Any) -> Any:
        return self._found[model, "serialization"]


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_').replace('.', '_').replace('-', '_')}",
        "summary": route.summary,
        "description": _who(route),
        "security": [{_BEARER: []}] if route.roles else [],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        content = {JSON: {"schema": schemas.sent(route.body)}}
        operation["requestBody"] = {"required": not route.may_be_empty, "content": content}
    return operation


def _who(route: Route) -> str:
    if not route.roles:
        return "For anybody."
    if route.is_local:
        return "Only over the daemon's Unix socket."
    return f"For tokens of the role {' or '.join(sorted(route.roles))}."


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    models = dict.fromkeys(_problems(route), Problem) | dict(route.answers)
    return {str(int(status)): _response(status, models[status], route, schemas) for status in sorted(models)}


def _problems(route: Route) -> list[HTTPStatus]:
    found = list(_ALWAYS)
    if route.roles:
        found.append(HTTPStatus.UNAUTHORIZED)
    if route.body is not None:
        found += _WITH_BODY
    return found


def _response(status: HTTPStatus, model: Any, route: Route, schemas: _Schemas) -> dict[str, Any]:
    is_problem = status >= HTTPStatus.BAD_REQUEST
    content_types = (PROBLEM_TYPE,) if is_problem else (route.content_type, *route.other_types)
    response: dict[str, Any] = {
        "description": status.phrase,
        "content": {one: {"schema": schemas.answered(model)} for one in content_types},
    }
    if status in _SINGLE_HEADERS:
        name, schema = _SINGLE_HEADERS[status]
        response["headers"] = {name: {"required": True, "schema": schema}}
    return response
