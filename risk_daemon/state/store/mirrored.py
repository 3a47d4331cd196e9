"""The store on this machine, and everything of it on a server as well.

What is here is durable first, and nobody waits for the server: it is brought the newest state beside everything else,
again and again until it has it, each try bounded in time. While it has not, that is `trouble`, and whoever asks shuts
the gate. Every few seconds the server is asked to write something, so that one that can't is known soon.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import structlog

from risk_daemon.errors import RecordError
from risk_daemon.state.store import formats
from risk_daemon.state.store.base import JsonObject, Store
from risk_daemon.state.store.fetching import documents_of, samples_of
from risk_daemon.state.store.lineage import Head, Lineage, Relation
from risk_daemon.state.store.postgres import Overtaken, PostgresStore
from risk_daemon.state.store.postgres_link import WITHIN_S, Refused
from risk_daemon.state.store.revised import RevisedState, Revision
from risk_daemon.state.store.sqlite import time_of

_LOG = structlog.get_logger(__name__)

BEAT_EVERY_S = 2.0
RETRY_EVERY_S = 1.0
# What was answered longer ago says nothing of now.
BELIEVED_FOR_S = BEAT_EVERY_S + WITHIN_S
LAST_TRY_S = 2.0
# For so long a start waits for the server, whatever is to be brought there: it is not yet guarding. What is later there
# must be here before it does: see fetching.py.
MEET_WITHIN_S = 4.0
KEEP_ACKED_EVERY_S = 60.0
# A guard is there every few seconds: one that was there so lately still runs.
ABSENT_AFTER_S = 15.0
_SAMPLES_AT_ONCE = 5_000

Documents = Mapping[str, JsonObject]


class NewsKind(StrEnum):
    """What became of the state beside being saved."""

    BEHIND = "store_behind"
    TAKEN_OVER = "store_taken_over"


@dataclass(frozen=True, slots=True)
class News:
    """Something people must hear of, as a sentence."""

    kind: NewsKind
    message: str


class MirroredStore:
    """See `Store`: what is loaded is what is here. `begin` comes before everything else.

    merge: what a later state from the server becomes here (ours, theirs -> both), so that no lock is lost.
    """

    def __init__(
        self,
        local: Store,
        state: RevisedState,
        remote: PostgresStore,
        *,
        merge: Callable[[Documents, Documents], Documents] = lambda _ours, theirs: theirs,
    ) -> None:
        self._local = local
        self._state = state
        self._remote = remote
        self._merge = merge
        self._trouble: str | None = f"{remote.where} was not reached yet"
        self._answered_at = -math.inf  # when it last had all documents, by `_time`
        self._time: Callable[[], float] = lambda: math.inf
        self._lineage = Lineage()
        self._head: Head | None = None
        self._is_head_known = False
        self._unsent: set[float] | None = None  # samples, by their times; None: what the server lacks is not known
        self._ack_kept_at = -math.inf
        self._wanted = asyncio.Event()
        self._tried = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._tell: Callable[[News], None] | None = None
        self._news: list[News] = []

    @property
    def trouble(self) -> str | None:
        """Why the server does not have what is saved here; None: it has, or is being given it just now."""
        if self._trouble is not None:
            return self._trouble
        if self._keeping is not None and self._keeping.done():
            return f"{self._remote.where}: nothing is brought there any more: restart the guard"
        if self._time() - self._answered_at > BELIEVED_FOR_S:  # the same words each time: a change is told to people
            return f"{self._remote.where}: no answer for more than {BELIEVED_FOR_S:g} s"
        return None

    def tell_news(self, tell: Callable[[News], None]) -> None:
        """Have `tell` hear what happened so far, and what will."""
        self._tell = tell
        while self._news:
            tell(self._news.pop(0))

    # --- as a store --------------------------------------------------------------------------------

    async def load(self) -> Documents:
        return await self._local.load()

    async def save(self, documents: Documents) -> None:
        await self._local.save(documents)
        self._wanted.set()

    async def append_sample(self, document: JsonObject) -> None:
        await self._local.append_sample(document)
        if self._unsent is not None:
            self._unsent.add(time_of(document))
        self._wanted.set()

    async def load_samples(self) -> Sequence[JsonObject]:
        return await self._local.load_samples()

    async def close(self) -> None:
        """A server that took everything so far gets a moment for the rest; one in trouble gets none."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            if self._trouble is None:
                last = asyncio.ensure_future(self._try())
                await asyncio.wait({last}, timeout=LAST_TRY_S)
                last.cancel()
                await asyncio.wait({last})
            await self._keep_acked()
        await self._remote.close()
        await self._state.close()
        await self._local.close()

    # --- the server --------------------------------------------------------------------------------

    async def begin(self, *, may_take_over: bool = True) -> None:
        """Meet the server, where it answers, and go on beside everything else.

        A later state of the same accounts that the server has is taken over, if nobody else is writing it, and for that
        each step has its time. Not with may_take_over False: then nothing is waited for. Samples come later, where they
        take long, and until then that is trouble. Raises RecordError where the state here can't be read.
        """
        self._time = asyncio.get_running_loop().time
        self._lineage = await self._state.lineage()
        until = self._time() + MEET_WITHIN_S
        if may_take_over and not await self._meet(until):
            self._keeping = asyncio.create_task(self._keep(RETRY_EVERY_S), name="mirror")
            return
        self._keeping = asyncio.create_task(self._keep(), name="mirror")
        if may_take_over:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._tried.wait()

    async def _meet(self, until: float) -> bool:
        """Take over what is later there. False: that is not known, or refused; then that is trouble."""
        try:
            revision = await self._state.read()
            async with asyncio.timeout_at(until):
                head = await self._remote.head()
            if head is not None and self._is_later(revision, head):
                await self._take_over(revision, head)
        except TimeoutError:
            self._fail(RecordError(f"{self._remote.where} did not say all within {MEET_WITHIN_S:g} s"))
            return False
        except RecordError as error:
            self._fail(error)
            return False
        return True

    def _is_later(self, revision: Revision, head: Head) -> bool:
        """Raises Refused where whoever saved it is still there."""
        if self._lineage.relation(head, revision.number) is not Relation.AHEAD:
            return False
        if head.unseen_s < ABSENT_AFTER_S:
            raise Refused(_TWO_GUARDS.format(seconds=head.unseen_s))
        if not self._lineage.runs:
            raise Refused(_NEVER_THERE)
        return True

    async def _take_over(self, revision: Revision, head: Head) -> None:
        """All documents or nothing, and what can be had of the samples. Raises RecordError."""
        ours = {key: json.loads(body) for key, body in revision.rows}
        theirs = await documents_of(self._remote, head)
        _check_accounts(ours, theirs)
        where = self._remote.where
        samples, why_not = await samples_of(
            self._remote, lambda count: _LOG.info("state_being_taken_over", where=where, samples=count)
        )
        if why_not is not None:
            _LOG.warning("samples_left_out", where=where, error=why_not, read=len(samples))
        documents = self._merge(ours, theirs)
        lineage = self._lineage.taken(head.run, head.revision)
        await self._state.become(head.revision, documents, samples, lineage)
        self._lineage = lineage
        self._say(
            NewsKind.TAKEN_OVER,
            f"the state here was of save {revision.number}, the server has save {head.revision} of this guard: that one"
            " was taken over; this directory was restored from a copy, or another machine guarded meanwhile",
        )

    async def _keep(self, after_s: float = 0.0) -> None:
        """For ever: bring what is new, and now and then a sign of life."""
        await asyncio.sleep(after_s)
        while True:
            await self._try()
            self._tried.set()
            if self._trouble is not None:
                await asyncio.sleep(RETRY_EVERY_S)
            else:
                await self._until_wanted()

    async def _until_wanted(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_EVERY_S):
                await self._wanted.wait()

    async def _try(self) -> None:
        """Once. Whatever goes wrong is trouble, an error that nobody knows too."""
        self._wanted.clear()
        try:
            await self._bring()
        except Exception as error:  # the edge of a task: what is not known to be there is not there
            self._fail(error)
            return
        if self._trouble is not None:
            _LOG.info("state_mirrored", where=self._remote.where)
        self._trouble = None
        if self._time() - self._ack_kept_at >= KEEP_ACKED_EVERY_S:
            await self._keep_acked()

    def _fail(self, error: Exception) -> None:
        self._is_head_known = False
        sentence = str(error) if isinstance(error, RecordError) else repr(error)
        where = "" if sentence.startswith(self._remote.where) else f"{self._remote.where}: "
        trouble = f"{where}{sentence}"
        if trouble != self._trouble:
            _LOG.error("state_not_mirrored", error=trouble)
        self._trouble = trouble

    async def _bring(self) -> None:
        """Everything that is here is there when this returns. Raises RecordError."""
        revision = await self._state.read()
        if not self._is_head_known:
            await self._look(revision)
        if self._head is None or revision.number > self._head.revision:
            await self._send(revision)
        elif self._head is not None:
            await self._remote.beat(self._head)
        self._answered_at = self._time()
        await self._bring_samples()

    async def _look(self, revision: Revision) -> None:
        """Learn what the server has. Raises Refused where it is no past of ours."""
        head = await self._remote.head()
        relation = self._lineage.relation(head, revision.number)
        if head is not None and relation in (Relation.AHEAD, Relation.OTHER):
            raise Refused(_not_ours(relation, head, revision, self._lineage))
        if head is not None:
            _check_accounts(_identity(revision), await self._remote.identity())
        there = 0 if head is None else head.revision
        if there < self._lineage.acked:
            self._say(
                NewsKind.BEHIND,
                f"the server has save {there} of this guard and had save {self._lineage.acked} before: it was restored"
                " from a copy or lost something; the state here is written to it again",
            )
        self._head, self._is_head_known, self._unsent = head, True, None

    async def _send(self, revision: Revision) -> None:
        """Raises RecordError."""
        lineage = self._lineage.sent_by(self._remote.run, revision.number)
        await self._state.keep_lineage(
            lineage
        )  # before it is sent: whatever becomes of it, we know that it may be ours
        before, self._lineage = self._lineage, lineage
        self._is_head_known = False  # until it is answered, and however this ends
        try:
            self._head = await self._remote.put(self._head, revision.number, revision.rows)
        except Overtaken:  # it was not taken: what has its number there is somebody else's, under our name too
            self._lineage = before
            await self._keep_lineage()
            raise
        self._is_head_known = True
        self._lineage = lineage.taken(self._remote.run, revision.number)

    async def _bring_samples(self) -> None:
        """Raises RecordError."""
        if self._unsent is None:
            await self._compare_samples()
        while self._unsent:
            await self._bring_some(self._unsent)

    async def _compare_samples(self) -> None:
        """Learn what the server lacks: by each time, not by the latest, which may be of a clock that was ahead.

        Raises RecordError.
        """
        self._unsent = appended = set[float]()  # meanwhile
        lacking: set[float] | None = None
        try:
            there = await self._remote.sample_walls()
            lacking = set(await self._state.sample_walls()).difference(there)
        finally:
            self._unsent = None if lacking is None else appended | lacking

    async def _bring_some(self, unsent: set[float]) -> None:
        """Raises RecordError. What is appended meanwhile is brought next."""
        some = heapq.nsmallest(_SAMPLES_AT_ONCE, unsent)
        unsent.difference_update(some)
        is_there = False
        try:
            rows = await self._state.samples_of(some)
            if rows:
                await self._remote.put_samples(rows)
            is_there = True
        finally:
            if not is_there:
                unsent.update(some)

    async def _keep_acked(self) -> None:
        """So that a server that had this once is known to have lost it."""
        self._ack_kept_at = self._time()
        await self._keep_lineage()

    async def _keep_lineage(self) -> None:
        try:
            await self._state.keep_lineage(self._lineage)
        except RecordError as error:
            _LOG.error("lineage_not_kept", error=str(error))

    def _say(self, kind: NewsKind, message: str) -> None:
        _LOG.critical(kind.value, message=message, where=self._remote.where)
        news = News(kind, message)
        if self._tell is None:
            self._news.append(news)
        else:
            self._tell(news)


_TWO_GUARDS = (
    "another guard of this name was there {seconds:.0f} s ago: give each its own [guard] name, or stop the other one"
    " and start this one again in half a minute"
)
_NEVER_THERE = (
    "it has a later state of a guard of this name, and the one here was never there: move this state directory aside"
    " and `init --from-store`, or give this guard another [guard] name"
)


def _not_ours(relation: Relation, head: Head, revision: Revision, lineage: Lineage) -> str:
    """Which of the two is the later is said, so that nobody is led to go on with the earlier."""
    if relation is Relation.AHEAD:
        return (
            f"it has save {head.revision} of a guard of this name, and the state here is of save {revision.number}: two"
            " guards have one name, or this directory was restored from a copy: stop the other guard, then restart this"
            " one"
        )
    no_past = f"its save {head.revision} of a guard of this name is no past of the state here (save {revision.number})"
    common = lineage.last_of(head.run)
    if common:
        return (
            f"{no_past}: it went on after save {common}, from which the state here comes, so a trip or a halt there may"
            " be missing here: stop this guard, move the directory aside and run `risk-daemon init --from-store` to go"
            " on with the server's, or take another [guard] name to go on with the state here"
        )
    return (
        f"{no_past}, and by its count the older of the two: take another [guard] name to go on with the state here; if"
        " this directory was restored from a copy, look at the accounts first"
    )


def _identity(revision: Revision) -> Documents:
    return {key: json.loads(body) for key, body in revision.rows if key == formats.IDENTITY}


def _check_accounts(ours: Documents, theirs: Documents) -> None:
    """Raises Refused. What is not there, or can't be read, is overwritten by who knows that it is their own past."""
    mine, its = (documents.get(formats.IDENTITY) for documents in (ours, theirs))
    if mine is None or its is None:
        return
    if mine.get("accounts") != its.get("accounts"):
        raise Refused("the guard of this name there guards other accounts: take another [guard] name")
    if mine.get("initial_capital") != its.get("initial_capital"):
        raise Refused("the guard of this name there has another initial_capital: take another [guard] name")
