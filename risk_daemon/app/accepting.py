"""A looser configuration, taken because the wardens agreed to it. With no daemon running."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from risk_daemon.app.alerting_stopped import telling
from risk_daemon.app.composition import open_journal, own_state
from risk_daemon.app.in_force import in_force, looser_than_before
from risk_daemon.app.override_stopped import Told, followed, page_of, writes_to
from risk_daemon.app.overrides import rules_of
from risk_daemon.auth.override import Purpose
from risk_daemon.config.load import Settings
from risk_daemon.errors import UsageError
from risk_daemon.state.log_anchor import ANCHOR
from risk_daemon.state.store.sqlite import SqliteStore


async def accept_configuration(settings: Settings, reason: str, asked_by: str, told: Told) -> Mapping[str, Any]:
    """Ask the wardens to take `settings` as they are. How the attempt ended.

    Raises UsageError where nobody need be asked; StateError, ConfigError where the state is of another setting.
    """
    async with AsyncExitStack() as stack:
        state_dir = stack.enter_context(own_state(settings, create=False))
        store = SqliteStore.open(state_dir.paths.database)
        stack.push_async_callback(store.close)
        documents = dict(await store.load())
        journal = await open_journal(state_dir.paths, store, documents)
        stack.push_async_callback(journal.close)
        log = await stack.enter_async_context(telling(settings, journal))
        desk = await stack.enter_async_context(page_of(settings, writes_to(log)))
        looser = _looser(settings, documents)
        if not await desk.is_guarded():
            raise UsageError("no warden is enrolled: `risk-daemon run` takes the configuration as it is")

        async def carry_out(_by: str) -> tuple[bool, str]:
            await store.save(in_force(settings))
            await asyncio.to_thread(desk.store.change, lambda known: replace(known, rules=rules_of(settings)))
            return True, "the configuration is the one in force from now on"

        opened = await desk.open(
            Purpose.CONFIGURATION,
            asked_by=asked_by,
            reason=reason,
            carry_out=carry_out,
            facts=(("File", str(settings.file)),),
            changes=looser,
        )
        view = await followed(desk, opened, told)
        await store.save({ANCHOR: journal.anchor()})
        return view


def _looser(settings: Settings, documents: Mapping[str, Any]) -> tuple[str, ...]:
    """What they would agree to. Raises UsageError where that is nothing."""
    looser = looser_than_before(settings, documents)
    if looser is None:
        return ("What was in force before is not known: this may be looser in any way.",)
    if not looser:
        raise UsageError("it is not looser than what was in force before: `risk-daemon run` takes it as it is")
    return looser
