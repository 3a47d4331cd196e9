"""Which saves on the server are this state's own past. Pure.

A number alone does not tell: a disk that was restored from yesterday counts on from there, past what the server has.
So every process that sends something does so under a name of its own, its run, and the state remembers the runs that
may have reached the server, each with the last revision that is its past.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from risk_daemon.state.files import json_text

KEEP_RUNS = 50


@dataclass(frozen=True, slots=True)
class Head:
    """What the server has of a guard: a revision, the run that sent it, and for how long nobody was there (seconds)."""

    revision: int
    run: str
    unseen_s: float = 0.0

    def is_same_as(self, other: Head | None) -> bool:
        return other is not None and (self.revision, self.run) == (other.revision, other.run)


class Relation(Enum):
    """What the server's state is to ours."""

    ABSENT = "absent"
    OURS = "ours"  # our past, or the present
    AHEAD = "ahead"  # it went on without us
    OTHER = "other"  # it is not newer, and not our past either


@dataclass(frozen=True, slots=True)
class Lineage:
    """acked: the last revision that the server is known to have had. runs: each with the last one it may have sent.

    The newest run is last. Written down before each send, so that no save that others make here, and no copy of the
    directory, takes more for its past than it knew when it was made.
    """

    acked: int = 0
    runs: tuple[tuple[str, int], ...] = ()

    def sent_by(self, run: str, revision: int) -> Lineage:
        """From now on `revision` of `run` may have reached the server."""
        others = tuple(one for one in self.runs if one[0] != run)[1 - KEEP_RUNS :]
        return replace(self, runs=(*others, (run, max(revision, self.last_of(run)))))

    def taken(self, run: str, revision: int) -> Lineage:
        """The server has `revision` of `run`. Older runs are remembered: it may be restored from then."""
        return replace(self.sent_by(run, revision), acked=revision)

    def last_of(self, run: str) -> int:
        """The last revision that it may have sent; 0: it is not known."""
        return max((until for known, until in self.runs if known == run), default=0)

    def relation(self, head: Head | None, revision: int) -> Relation:
        """What `head` is to a state at `revision`."""
        if head is None:
            return Relation.ABSENT
        for run, until in self.runs:
            if run == head.run and head.revision <= until:
                return Relation.OURS
        return Relation.AHEAD if head.revision > revision else Relation.OTHER

    def text(self) -> str:
        return json_text({"acked": self.acked, "runs": [list(one) for one in self.runs]})

    @classmethod
    def of(cls, text: object) -> Lineage:
        """What was written. Damaged, it knows no run: then nothing on a server is taken for ours."""
        try:
            found: Any = json.loads(str(text))
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(found, Mapping):
            return cls()
        acked, runs = found.get("acked", 0), found.get("runs", [])
        if not isinstance(acked, int) or not isinstance(runs, list):
            return cls()
        known = [
            (one[0], one[1])
            for one in runs
            if isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], int)
        ]
        return cls(acked, tuple(known) if len(known) == len(runs) else ())
