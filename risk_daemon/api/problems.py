"""Answers that say no: `application/problem+json` (RFC 9457), always with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from risk_daemon.state.files import json_text

PROBLEM_TYPE = "application/problem+json"
SERVER = "risk-daemon"
# No answer is to be kept: it is about one moment, and about one caller.
COMMON_HEADERS = {"Server": SERVER, "Cache-Control": "no-store"}
_JSON_HEADERS = CIMultiDict({**COMMON_HEADERS, "Content-Type": "application/json"})
_PROBLEM_HEADERS = CIMultiDict({**COMMON_HEADERS, "Content-Type": PROBLEM_TYPE})


class Refused(Exception):
    """A request that is answered with a problem.

    fields: members beside the fixed ones. hangs_up: what else comes on this connection is not listened to.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        hangs_up: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields or {}
        self.headers = headers or {}
        self.hangs_up = hangs_up


def problem(refused: Refused) -> web.Response:
    """Raises InvariantError for fields that JSON can't say."""
    status = refused.status
    members = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": refused.detail}
    body = json_text({**members, **refused.fields, **members}).encode("ascii")
    answer = web.Response(status=status, body=body, headers=_PROBLEM_HEADERS)
    answer.headers.update(refused.headers)
    if refused.hangs_up:
        answer.force_close()
    return answer


def encoded(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """An answer whose JSON is ready."""
    return web.Response(status=status, body=body, headers=_JSON_HEADERS)


def answer(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """An answer in JSON. Raises InvariantError for NaN: a reader would take it for something else."""
    return encoded(json_text(document).encode("ascii"), status)
