"""mexc's face: two houses under one key, spot (API v3) and perpetual contracts (API v1), and their sockets.

After the venue's pages of 2026-04-04, www.mexc.com/api-docs/spot-v3 and www.mexc.com/api-docs/futures, of 2025-11
where those are shorter, and replies that people recorded where both are silent. Nothing was tried on the venue itself.

What is guessed: that untriggered stop limits and OCO legs stand in `openOrders`, and that `DELETE order/all` leaves
them; that `order/cancel_all` without a `symbol` is refused; that the count of open orders answers only to GET, which
the documentation calls POST (people found it so); that the contract account has a row for each coin it settles in.

Left out: margin, the letters before spot order ids, sub-account and broker endpoints but the transfers, placing in
batches, limits by weight (of an address), compressed frames, copy trading, grids and chase orders, which no call lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from adapters.simulated.exchange import Exchange
from adapters.simulated.model import Refused
from adapters.simulated.wire.base import Key, Reply, Request, Route, Session
from adapters.simulated.wire.mexc_contract import Contract
from adapters.simulated.wire.mexc_contract_ws import ContractSession
from adapters.simulated.wire.mexc_flows import Flows
from adapters.simulated.wire.mexc_rules import (
    Limits,
    No,
    contract_refusal,
    is_contract,
    refusal_reply,
    spoken,
    spot_refusal,
)
from adapters.simulated.wire.mexc_spot import Spot
from adapters.simulated.wire.mexc_ws import SpotSession

_CONTRACT_HOST = "contract.mexc.com"
_SPOT_WORDS = {
    "read_only_key": No(700007, "No permission to access the endpoint."),
    "revoked_key": No(10072, "Api key info invalid"),
}
_SPOT_EMPTY, _CONTRACT_EMPTY = b"[]", b'{"success":true,"code":0,"data":[]}'
_CONTRACT_WORDS = {
    "read_only_key": No(704, "Please enable API Key trading information write access"),
    "revoked_key": No(401, "Not logged in or login has expired"),
}


class MexcFace:
    """Answers mexc's REST calls for an exchange."""

    kind = "mexc"
    hosts = frozenset({"api.mexc.com", "www.mexc.com", "wbs-api.mexc.com", _CONTRACT_HOST})
    key_errors: Mapping[str, str] = {name: name for name in _SPOT_WORDS}

    def __init__(self, exchange: Exchange, key: Key) -> None:
        self.exchange = exchange
        self.key = key
        self.limits = Limits(key)
        self._spot = Spot(exchange, key)
        self._contract = Contract(exchange, key)
        self._routes = self._spot.routes() | self._contract.routes() | Flows(exchange).routes()
        self.empty_envelope = _SPOT_EMPTY
        self._asked = ""

    def route(self, method: str, path: str) -> Route | None:
        """By the whole path, or by all but its last part, which then is an argument."""
        self._asked = path
        self.empty_envelope = _CONTRACT_EMPTY if is_contract(path) else _SPOT_EMPTY
        head, _, _ = path.rpartition("/")
        return self._routes.get((method, path)) or self._routes.get((method, f"{head}/*"))

    def session(self, host: str, path: str = "") -> Session:
        if host == _CONTRACT_HOST:
            return ContractSession(self.exchange, self.key, self._contract)
        _, _, listen_key = path.partition("?listenKey=")
        return SpotSession(self.exchange, listen_key, self._spot.is_alive)

    def answer(self, route: Route | None, request: Request) -> Reply:
        """The venue's answer to a request, its refusals included."""
        contract = is_contract(request.path)
        if route is None:
            return Reply({"code": 404, "msg": "Not Found"}, 404)
        if (refusal := self._refusal(route, request)) is not None:
            return refusal_reply(refusal, contract=contract)
        try:
            result = route.handler(request, _form(request))
        except Refused as refused:
            return refusal_reply(spoken(refused, contract=contract), contract=contract)
        if isinstance(result, bytes) or not contract:
            return Reply(result)
        return Reply({"success": True, "code": 0} | ({} if result is None else {"data": result}))

    def error(self, text: str, _: float) -> Reply:
        """The refusal of a key by its name, or `code sentence`; in the manner of the house that was asked last."""
        contract = is_contract(self._asked)
        named = (_CONTRACT_WORDS if contract else _SPOT_WORDS).get(text)
        code, _space, sentence = text.partition(" ")
        number = int(code) if code.lstrip("-").isdigit() else 500
        return refusal_reply(named or No(number, sentence or text), contract=contract)

    def _refusal(self, route: Route, request: Request) -> No | None:
        if route.private:
            refusal = (contract_refusal if is_contract(request.path) else spot_refusal)(request, self.key)
            if refusal is not None:
                return refusal
        return self.limits.refusal(route.call, request) if route.private else None


def _form(request: Request) -> dict[str, Any]:
    """A body that is a list stands under `rows`."""
    if request.body.startswith("["):
        return {"rows": json.loads(request.body)}
    return request.form()
