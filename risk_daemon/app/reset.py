"""End a proven trip while no daemon runs. Nothing is cancelled: what is open now was placed since."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from risk_daemon.app.cancel import count_orders
from risk_daemon.app.composition import Site, flows_since, is_simulated, open_journal, own_state, restored_engine
from risk_daemon.app.in_force import CONFIGURATION, in_force
from risk_daemon.app.init import feeds_now, read_everything
from risk_daemon.config.load import Settings
from risk_daemon.engine.requests import CURRENT
from risk_daemon.gate.restraints import Cause, GateState
from risk_daemon.model.events import ResetRequested
from risk_daemon.runtime.status import status_of
from risk_daemon.state.directory import LOST
from risk_daemon.state.latch import LATCH, latch_document, latch_of, trip_left
from risk_daemon.state.lock.base import LockRecord
from risk_daemon.state.lock.file import FileLock
from risk_daemon.state.lock.memory_map import shut as shut_gate
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.risk_file import RiskFile
from risk_daemon.state.store.sqlite import SqliteStore


async def reset_stopped(settings: Settings, *, reason: str, rebaseline: str, operator: str) -> Mapping[str, Any]:
    """End a proven trip. Lists what is open on the venues, cancels nothing, records the reset."""
    async with AsyncExitStack() as stack:
        state_dir = stack.enter_context(own_state(settings, create=is_simulated(settings)))
        store = SqliteStore.open(state_dir.paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        site = await stack.enter_async_context(Site(settings))
        latch = latch_of(documents, site.clock.now(), trip_left(state_dir.paths))
        if latch is None or not latch["proven"]:
            why = "nothing to reset: trading is not locked" if latch is None else _unproven(latch)
            return {"accepted": False, "reason": why, "open_orders": {}}
        if rebaseline != CURRENT and documents.get(LOST):
            return {
                "accepted": False,
                "reason": f"{documents[LOST]['reason']}: only `current` is left",
                "open_orders": {},
            }
        engine = restored_engine(settings, site.adapters, documents, latch)
        await read_everything(settings, site, engine, flows_since(documents))
        open_orders = {name: await count_orders(settings, adapter) for name, adapter in site.adapters.items()}
        decision = engine.process(ResetRequested(reason, operator, rebaseline), site.clock.now())
        answer = decision.answer
        if answer is None or not answer.accepted:
            return {
                "accepted": False,
                "reason": "refused" if answer is None else answer.reason,
                "open_orders": open_orders,
            }
        now = site.clock.now()
        journal = await open_journal(state_dir.paths, store, documents)
        stack.push_async_callback(journal.close)
        # The store speaks last: until it says so, the trip is not over.
        shut_until_started = LockRecord(locked=True, cause=Cause.STARTING, since_wall=now.wall)
        shut_gate(state_dir.paths.gate, shut_until_started)
        await FileLock(state_dir.paths.lock).write(shut_until_started, now)
        ended = {LATCH: latch_document(None, now), LOST: {}}
        known = {} if CONFIGURATION in documents else in_force(settings)  # it was lost with the state
        await store.save({**ended, **known, **engine.snapshot(), "feeds": feeds_now(site, now)})
        await journal.append(decision.records, now.wall, durable=True)
        await store.save({ANCHOR: journal.anchor()})
        starting = GateState(locked=True, cause=Cause.STARTING, since_wall=now.wall)
        RiskFile(state_dir.paths.risk).write(status_of(engine, now, {}, starting).document(), now, force=True)
        return {"accepted": True, "reason": answer.reason, "open_orders": open_orders}


def _unproven(latch: Mapping[str, Any]) -> str:
    return f"trip {latch['trip_id']} is not proven yet: start the daemon (risk-daemon run) so that it finishes first"
