"""`risk-daemon top`: how things stand, live, in a terminal. The drawing is screen.py's, which needs Textual."""

from __future__ import annotations

import sys

from risk_daemon.cli.common import CONFIG, ConfigFile, app
from risk_daemon.config.place import locate
from risk_daemon.errors import ExitCode, UsageError


@app.command()
def top(config: ConfigFile = CONFIG) -> ExitCode:
    """How things stand, live, with a key to halt. Needs the extra `top`.

    It only looks: the guard goes on whether this runs or not. Press q to leave, h to halt, 1 to 9 for tables.
    """
    place = locate(config)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top draws on a terminal, and this is none: use `risk-daemon status --json`")
    try:
        from risk_daemon.cli.screen import Screen
    except ImportError as error:
        raise UsageError(f"top needs Textual ({error}): pip install 'risk-daemon[top]'") from None
    Screen(place).run()
    return ExitCode.STOPPED
