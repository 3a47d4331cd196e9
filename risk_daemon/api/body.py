"""A request's body: read within bounds, strict JSON, numbers exactly as they were written.

Refused with 400 is what is not one JSON object, with 422 what is one but says something else than it should.
"""

from __future__ import annotations

import asyncio
import json
import re
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NoReturn

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_TYPE, EXPECT
from pydantic import TypeAdapter, ValidationError

from risk_daemon.api.limits import Limits
from risk_daemon.api.problems import Refused

_SPACE = " \t\r\n"
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_FLOAT_MAX = 80
_TOLD_MAX = 5
_NAME_MAX = 60


async def read(request: web.BaseRequest, limits: Limits) -> bytes:
    """All of it. Raises Refused: too large (not read to its end), too slow, or not JSON by its own account."""
    _check_type(request)
    return await _read(request, limits)


async def read_form(request: web.BaseRequest, limits: Limits) -> bytes:
    """All of what a browser's form sends. Raises Refused as `read` does."""
    if CONTENT_ENCODING in request.headers or request.content_type != "application/x-www-form-urlencoded":
        hint = "a form is needed: application/x-www-form-urlencoded, not compressed"
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, hint)
    return await _read(request, limits)


async def _read(request: web.BaseRequest, limits: Limits) -> bytes:
    length = request.content_length
    if length is not None and length > limits.body_bytes:
        raise _too_large(limits)
    content = request.content
    try:
        data = content.read_nowait() if content.is_eof() else await _read_slowly(request, limits)
    except (web.RequestPayloadError, ConnectionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body did not come whole", hangs_up=True) from None
    if len(data) > limits.body_bytes:
        raise _too_large(limits)
    return data


async def _read_slowly(request: web.BaseRequest, limits: Limits) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(limits.body_within_s):
            if request.headers.get(EXPECT, "").lower() == "100-continue" and request.version == HttpVersion11:
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # the answer itself has not begun
            while len(data) <= limits.body_bytes and (chunk := await request.content.readany()):
                data += chunk
    except TimeoutError:
        hint = f"the body did not come within {limits.body_within_s:g} s"
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, hint, hangs_up=True) from None
    return bytes(data)


def _too_large(limits: Limits) -> Refused:
    hint = f"the body is larger than {limits.body_bytes} bytes"
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, hint, hangs_up=True)


def _check_type(request: web.BaseRequest) -> None:
    headers = request.headers
    if CONTENT_ENCODING in headers:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
    if headers.get(CONTENT_TYPE) == "application/json":
        return
    if request.content_type != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the Content-Type must be application/json")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is written in UTF-8")


_EMPTY = "the body is empty: a JSON object is needed"


# --- JSON ------------------------------------------------------------------------------------------


def parse(data: bytes) -> dict[str, Any]:
    """One JSON object; numbers with a point or an exponent as Decimals. Raises Refused (400)."""
    try:
        text = data.decode("utf-8").strip(_SPACE)
        document, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise _bad("something follows the JSON object")
    except UnicodeDecodeError:
        raise _bad("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error.msg} at character {error.pos}" if text else _EMPTY) from None
    except ValueError as error:
        raise _bad(f"the body can't be read: {error}") from None
    except RecursionError:
        raise _bad("the body is nested too deeply") from None
    if not isinstance(document, dict):
        raise _bad("the body is not a JSON object")
    return document


def _bad(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, detail)


def _decimal(text: str) -> Decimal:
    if len(text) > _FLOAT_MAX or _FLOAT.fullmatch(text) is None:
        raise ValueError(f"{text[:_NAME_MAX]} is out of any range")
    return Decimal(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two values for one key: whoever reads the other one sees another order."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands there twice")
    return members


_DECODER = json.JSONDecoder(parse_float=_decimal, parse_constant=_constant, object_pairs_hook=_unique)


# --- what it says ----------------------------------------------------------------------------------


def validated(adapter: TypeAdapter[Any], document: dict[str, Any]) -> Any:
    """`document` as a model. Raises Refused (422) with a sentence."""
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, sentence(error)) from None


def sentence(error: ValidationError) -> str:
    """What is wrong, the first few things of it."""
    found = error.errors(include_url=False, include_input=False)
    told = "; ".join(_told(item["type"], item["loc"], item["msg"], item.get("ctx", {})) for item in found[:_TOLD_MAX])
    return told if len(found) <= _TOLD_MAX else f"{told}; and more"


def _told(kind: str, where: tuple[int | str, ...], message: str, context: dict[str, Any]) -> str:
    name = str(where[-1])[:_NAME_MAX] if where else "the body"
    match kind:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is not known"
        case "union_tag_not_found":
            return f"{str(context.get('discriminator')).strip(chr(39))} is missing"
        case "union_tag_invalid":
            return f"kind must be one of {context.get('expected_tags')}"
        case "value_error":
            return f"{name} {message.removeprefix('Value error, ')}"
        case _:
            return f"{name}: {message[:1].lower()}{message[1:]}"
