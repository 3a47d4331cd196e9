"""Who is answered by a running guard, and with what: bots, people, wardens and pages on its socket and its port."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from risk_daemon.api.app import ControlServer
from risk_daemon.api.limits import Limits
from risk_daemon.api.override_page import OverridePage
from risk_daemon.api.tally import Tally
from risk_daemon.api.tls import server_context
from risk_daemon.app.composition import Opened
from risk_daemon.app.control import DaemonControl
from risk_daemon.app.hearers import Hearers
from risk_daemon.app.noting import Noter
from risk_daemon.app.overrides import WardenAffairs, rules_of
from risk_daemon.app.reload import Reloader
from risk_daemon.app.token_telling import TokenTeller, told_before
from risk_daemon.auth.desk import Desk
from risk_daemon.auth.tokens import FILE_NAME, TokenStore
from risk_daemon.auth.wardens import WardenStore
from risk_daemon.config.load import Settings
from risk_daemon.errors import StateError
from risk_daemon.runtime.daemon import Daemon
from risk_daemon.runtime.token_watch import TokenWatch
from risk_daemon.state.veto_log import VetoLog

_LOG = structlog.get_logger(__name__)


async def serve(
    settings: Settings,
    daemon: Daemon,
    opened: Opened,
    hearers: Hearers,
    reloader: Reloader,
    stack: AsyncExitStack,
) -> Sequence[str]:
    """Bots and people are answered from now on. Returns where. Raises ConfigError for an unusable certificate."""
    vetoes = VetoLog.open(opened.paths.vetoes)
    stack.push_async_callback(vetoes.close)
    desk = _desk(settings, daemon)
    await _keep_rules(desk)
    noter = Noter(daemon.write_down)
    control = DaemonControl(daemon, settings, opened.site, vetoes, desk, hearers, reloader, noter.note)
    tokens = TokenStore.open(settings.state.dir / FILE_NAME)
    daemon.subscribe(control.heard)
    daemon.subscribe(TokenWatch(tokens, daemon.parts.inbox.put).heard)
    told = told_before(opened.paths.events, opened.documents)
    daemon.subscribe(TokenTeller(tokens, told, opened.store, daemon.parts.journal, daemon.write_down).heard)
    tls = server_context(settings)
    clock = daemon.parts.clock
    tally = Tally(Limits().tell_every_s, noter.note)
    daemon.before_last_words(lambda: noter.flushed(tally))
    server = ControlServer(
        control,
        settings.socket_path,
        listen=settings.api.listen,
        tokens=tokens,
        tls=tls,
        page=OverridePage(desk, settings.warden.host, clock, tally=tally),
        wardens=WardenAffairs(desk, clock),
        page_host=settings.warden.host,
        tally=tally,
    )
    await server.start()
    stack.push_async_callback(server.stop)
    stack.push_async_callback(desk.close)
    return server.addresses


async def _keep_rules(desk: Desk) -> None:
    """A register that can't be read or written keeps nobody from guarding; it keeps everybody from resuming."""
    try:
        await desk.keep_rules()
    except StateError as error:
        _LOG.error("wardens_unreadable", error=str(error), effect="nothing can be resumed")


def _desk(settings: Settings, daemon: Daemon) -> Desk:
    """Where wardens are asked. What is told there is in the log before it counts."""
    store, clock = WardenStore.beside(settings.state.dir), daemon.parts.clock
    desk = Desk(store, rules_of(settings), clock, daemon.write_down)
    daemon.before_last_words(desk.close)
    return desk
