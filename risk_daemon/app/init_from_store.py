"""A state directory on a new machine, out of what the server has of this guard. It starts halted.

Nobody has looked at the accounts while no guard ran, so a person says when bots may send orders again. A lock comes
along, and the next `run` finishes a trip that is not proven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from risk_daemon.app.composition import accounts, capital_text
from risk_daemon.app.store import Documents, halts_of, on_server
from risk_daemon.config.settings import Settings
from risk_daemon.errors import RecordError, StateError, UsageError
from risk_daemon.gate.halts import Halt
from risk_daemon.model.clock import Instant, SystemClock
from risk_daemon.runtime.persistence import HALTS
from risk_daemon.state.directory import LATCH, Paths, StateDir, differences, identity
from risk_daemon.state.directory import latch as lock_of
from risk_daemon.state.lock.memory_map import shut as shut_gate
from risk_daemon.state.log_anchor import LOG_DOCUMENTS
from risk_daemon.state.store.fetching import documents_of, samples_of
from risk_daemon.state.store.formats import IDENTITY
from risk_daemon.state.store.lineage import Head, Lineage
from risk_daemon.state.store.mirrored import ABSENT_AFTER_S
from risk_daemon.state.store.revised import RevisedState, SampleRow


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server has. samples_left_out: why older ones are missing, if they are.

    unproven: of a trip that the next run finishes first.
    """

    head: Head
    documents: Documents = field(repr=False)
    samples: Sequence[SampleRow] = field(repr=False)
    samples_left_out: str | None
    is_locked: bool
    unproven: str | None


async def fetch(settings: Settings, say: Callable[[str], None] = lambda _sentence: None) -> Fetched:
    """Look at what there is, and change nothing. say: is told how far it is.

    Raises UsageError, StateError, ConfigError with what to do.
    """
    paths, url = Paths(settings.state.dir), settings.state.server
    if url is None:
        raise UsageError('there is no server: [state] store is "sqlite"')
    if paths.database.exists():
        raise StateError(f"{paths.root}: there is a state here already, nothing was changed: go on with `run`")
    wanted = identity(accounts(settings), capital_text(settings))
    remote = on_server(settings, url)
    try:
        head = await remote.head()
        if head is None:
            raise UsageError(f"{remote.where}: there is no guard {settings.guard.name!r}: mend [guard] name, or `init`")
        if head.unseen_s < ABSENT_AFTER_S:
            raise UsageError(
                f"{remote.where}: guard {settings.guard.name!r} was there {head.unseen_s:.0f} s ago: stop it there, and"
                " do this again in half a minute"
            )
        documents = await documents_of(remote, head)
        samples, left_out = await samples_of(remote, lambda count: say(f"{count} samples of the equity are read"))
    except RecordError as error:
        raise StateError(str(error)) from error
    finally:
        await remote.close()
    different = differences(dict(documents[IDENTITY]), wanted)
    if different:
        raise StateError(
            f"{remote.where}: guard {settings.guard.name!r} guards other accounts ({'; '.join(different)})"
        )
    lock, latch = lock_of(documents), documents.get(LATCH, {})
    is_unproven = lock.locked and latch.get("proven") is not True
    unproven = (lock.trip_id or "unknown") if is_unproven else None
    return Fetched(head, documents, samples, left_out, lock.locked, unproven)


async def set_up(settings: Settings, found: Fetched, operator: str) -> None:
    """Make the directory, halted. Raises StateError; then there is no state in it, or all of it."""
    paths = Paths(settings.state.dir)
    with StateDir.open(
        paths.root,
        accounts=accounts(settings),
        initial_capital=capital_text(settings),
        create=True,
        first=_first(settings, found, operator, SystemClock().now()),
    ):
        shut_gate(paths.gate)
        state = RevisedState.open(paths.database)
        try:
            lineage = Lineage().taken(found.head.run, found.head.revision)
            await state.adopt(found.head.revision + 1, found.samples, lineage)
        except RecordError as error:
            raise StateError(str(error)) from error
        finally:
            await state.close()


def _first(settings: Settings, found: Fetched, operator: str, now: Instant) -> dict[str, Any]:
    """The log of this machine begins anew: what is known of the other one's end says nothing of it."""
    reason = f"set up from the server's save {found.head.revision}: look for open orders on the venues first"
    halt = Halt(None, None, reason, operator, now.wall)
    kept = {key: body for key, body in found.documents.items() if key not in (IDENTITY, *LOG_DOCUMENTS)}
    scoped = [one for one in halts_of(found.documents.get(HALTS)) if one.get("venue") or one.get("bot")]
    return {LATCH: {}, **kept, HALTS: {"halts": [*scoped, asdict(halt)]}}
