"""The daemon asked over HTTP: it knows the order's venue and bot, its limits and its rate."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

from risk_daemon.bot.answers import GateAnswer, no_answer
from risk_daemon.bot.contract import read_answer
from risk_daemon.bot.line import Deadline, Line, NoReply
from risk_daemon.bot.orders import ProposedOrder, proposed
from risk_daemon.bot.reports import Reporter
from risk_daemon.bot.threads import ForkSafeThreads

MAX_TIMEOUT_S: Final = 1.0
_CHECK: Final = "/api/v1/orders/check"
_REPORT: Final = "/api/v1/orders/report"
_WORKERS: Final = 8

T = TypeVar("T")


class DaemonGate(Reporter):
    """For bots that don't see the daemon's state directory. Thread-safe, survives a fork.

    url: loopback, or https. token: of the role `bot`. timeout_s: for one question, a name server included; at most
    1 s. ca_file: certificates to trust instead of the system's. Raises ValueError for what is unsafe.
    Silence, garbage, and every status but 200 are a no; nothing is raised for them.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = MAX_TIMEOUT_S,
        ca_file: str | os.PathLike[str] | None = None,
    ) -> None:
        if not 0 < timeout_s <= MAX_TIMEOUT_S:
            raise ValueError(f"timeout_s is {timeout_s}: at most {MAX_TIMEOUT_S:g} s, for no lease lives longer")
        self._line = Line(url, token, ca_file)
        self._timeout_s = timeout_s
        self._threads = ForkSafeThreads(_WORKERS)

    def check(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        """The answer to an order, given whole or by its fields. Raises ValueError for one that makes no sense."""
        return self._check(proposed(order, fields), self._deadline())

    async def acheck(self, order: ProposedOrder | None = None, /, **fields: Any) -> GateAnswer:
        """As `check`, without blocking the event loop."""
        ask = partial(self._check, proposed(order, fields))
        return await self._aside(ask, no_answer("the daemon did not answer in time"))

    def close(self) -> None:
        """Drop idle connections. The gate can be asked again all the same."""
        self._line.close()

    def _check(self, order: ProposedOrder, deadline: Deadline) -> GateAnswer:
        try:
            reply, asked_ns = self._line.post(_CHECK, order.document(), deadline)
        except NoReply as error:
            return no_answer(str(error))
        return read_answer(reply, asked_ns)

    def _tell(self, document: Mapping[str, Any]) -> bool:
        return self._post_report(document, self._deadline())

    async def _atell(self, document: Mapping[str, Any]) -> bool:
        return await self._aside(partial(self._post_report, document), False)

    def _post_report(self, document: Mapping[str, Any], deadline: Deadline) -> bool:
        return self._report_status(document, deadline) == HTTPStatus.ACCEPTED

    def _report_status(self, document: Mapping[str, Any], deadline: Deadline) -> int | None:
        """None: nobody answered."""
        try:
            reply, _ = self._line.post(_REPORT, document, deadline)
        except NoReply:
            return None
        return reply.status

    def _tell_refused(self, document: Mapping[str, Any]) -> int | None:
        return self._report_status(document, self._deadline())

    def _deadline(self) -> Deadline:
        return Deadline.within(self._timeout_s)

    async def _aside(self, ask: Callable[[Deadline], T], too_late: T) -> T:
        """`ask` in a thread of our own: the event loop's pool may be full of the bot's work."""
        import asyncio  # only for those who have it anyway

        future = asyncio.wrap_future(self._threads.submit(ask, self._deadline()))
        try:
            return await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError:
            return too_late
