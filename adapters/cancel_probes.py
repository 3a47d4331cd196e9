"""Whether a key may cancel, asked without harm: the cancel of an order that can't exist.

A venue looks at the key's permissions before it looks for the order. "There is no such order" is the answer of
one that would have cancelled it. The probe is data of the venue; a venue without one can't be asked, which is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.base import CancelPermission
from adapters.failures import is_gone
from risk_daemon.errors import VenueRejected


@dataclass(frozen=True, slots=True)
class Probe:
    """One call of the client, by its name, and its parameters."""

    call: str
    params: Mapping[str, str]


_DENIED = re.compile(
    r"permission|may not (?:place|cancel)|disabled on this account|write access|authentication"
    r"|key.{0,10}(?:invalid|expired)|invalid.{0,3}key|invalid.{0,3}signature|unauthori[sz]ed|answered 401",
    re.IGNORECASE,
)


async def ask(probe: Probe | None, client: Any) -> CancelPermission:
    """The venue's answer. Raises a VenueError where it gave none, which says nothing about the key."""
    if probe is None:
        return CancelPermission(None, "there is no way known to ask this venue")
    try:
        await getattr(client, probe.call)(dict(probe.params))
    except VenueRejected as error:
        if is_gone(error):
            return CancelPermission(True)
        if _DENIED.search(str(error)):
            return CancelPermission(False, str(error))
        raise
    return CancelPermission(True)
