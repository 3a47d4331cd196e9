"""From one format of the state to the next: pure functions over all documents, one step a format.

`risk-daemon migrate` takes the steps from the format it finds to this program's, in one transaction. A latch is
never touched by a step: it is read in every format, so that a trip can be finished before anything is migrated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from risk_daemon.errors import StateError
from risk_daemon.state.store.base import JsonObject

Documents = Mapping[str, JsonObject]
Step = Callable[[Documents], Documents]

FORMAT = 3
IDENTITY = "identity"


def _flows_of_3(venues: JsonObject) -> JsonObject:
    """What nobody had explained was one sum a venue; now it is lots of assets. Of trades nothing was remembered."""
    return {
        name: {
            "seen": saved["seen"],
            "has_listing": saved["has_listing"],
            "tells_trades": False,
            "began_wall": None,
            "trades_wall": None,
            "pending": [{**row, "is_told": False} for row in saved["pending"]],
            "aside": {},
            "lots": [{"asset": "", "units": saved["unverified"], "value": saved["unverified"], "waited_s": 0.0}],
        }
        for name, saved in venues.items()
    }


# What became of single documents in format 3, by key. A document that is not named here is the same in both.
_CHANGED_IN_3: Mapping[str, Callable[[JsonObject], JsonObject]] = {"flows": _flows_of_3}


def _from_2_to_3(documents: Documents) -> Documents:
    return {key: _CHANGED_IN_3[key](body) if key in _CHANGED_IN_3 else body for key, body in documents.items()}


# By the format that a step starts from; it ends at the next.
STEPS: Mapping[int, tuple[str, Step]] = {2: ("2 -> 3", _from_2_to_3)}
OLDEST = min(STEPS)


def format_of(documents: Documents) -> object:
    """What the state says of its own format; None where it says nothing."""
    return documents.get(IDENTITY, {}).get("format")


def brought_forward(documents: Documents) -> tuple[Documents, tuple[str, ...]]:
    """The documents in this program's format, and the names of the steps taken; none if they were.

    Raises StateError for a format that no step starts from.
    """
    found, taken = format_of(documents), []
    if not isinstance(found, int) or (found not in STEPS and found != FORMAT):
        raise StateError(f"the state has format {found!r}, and there is no way from there to {FORMAT}")
    for number in range(found, FORMAT):
        name, step = STEPS[number]
        documents = step(documents)
        documents = {**documents, IDENTITY: {**documents[IDENTITY], "format": number + 1}}
        taken.append(name)
    return documents, tuple(taken)
