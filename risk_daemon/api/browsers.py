"""What pages have in common: headers that lock them down, and who may ask them.

What another web site makes a browser send is refused, by its Origin and by what the browser says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files

from aiohttp import web
from aiohttp.hdrs import ORIGIN
from multidict import CIMultiDict

from risk_daemon.api.problems import COMMON_HEADERS, Refused

_FETCH_SITE = "Sec-Fetch-Site"
_FOREIGN = "requests of other web sites are not answered"


def page_headers(*, form_action: str, referrer: str, permissions: str = "") -> Mapping[str, str]:
    """Of every answer of a page. Nothing from another host, no script and no style but the page's own files."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        f" base-uri 'none'; form-action {form_action}; frame-ancestors 'none'"
    )
    return {
        **COMMON_HEADERS,
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": permissions or "geolocation=(), camera=(), microphone=()",
        "Referrer-Policy": referrer,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def check_is_path(request: web.BaseRequest) -> None:
    """Raises Refused for what is asked of a proxy: its host would overrule the Host header's."""
    if request.raw_path[:1] != "/":
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no proxy: ask for a path")


def check_is_not_foreign(request: web.BaseRequest, *origins: str) -> None:
    """Raises Refused for what a page of another origin asks."""
    if any(given not in origins for given in request.headers.getall(ORIGIN, [])):
        raise Refused(HTTPStatus.FORBIDDEN, _FOREIGN)


def check_asks_itself(request: web.BaseRequest, *origins: str) -> None:
    """Raises Refused for what was not sent by a page of this very origin."""
    given = request.headers.getall(ORIGIN, [])
    if len(given) != 1 or given[0] not in origins:
        raise Refused(HTTPStatus.FORBIDDEN, "only the page itself may ask this")
    if request.headers.get(_FETCH_SITE, "same-origin") != "same-origin":
        raise Refused(HTTPStatus.FORBIDDEN, _FOREIGN)


def check_method(request: web.BaseRequest, *allowed: str) -> None:
    """Raises Refused for another one."""
    if request.method not in allowed:
        hint = f"{request.method[:20]} is not possible here"
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, hint, headers={"Allow": ", ".join(allowed)})


def file_answer(room: str, name: str, kind: str) -> web.Response:
    """A file of a page, from the folder `room` of the API."""
    return web.Response(body=_content(room, name), headers=CIMultiDict({"Content-Type": f"{kind}; charset=utf-8"}))


@cache
def _content(room: str, name: str) -> bytes:
    return (files("risk_daemon.api") / room / name).read_bytes()
