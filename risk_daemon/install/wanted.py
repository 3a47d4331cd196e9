"""What a guard needs of the machine, by its configuration and by where the program is. Unsafe places are refused."""

from __future__ import annotations

import stat
import sys
import tomllib
from itertools import count
from pathlib import Path
from typing import Any

from risk_daemon.config.api import Api
from risk_daemon.config.load import Settings
from risk_daemon.config.load import load as load_config
from risk_daemon.config.regular_file import read_regular
from risk_daemon.errors import UsageError
from risk_daemon.install.units import Installation, Names

_HIDDEN = ("/home", "/root", "/run/user")  # ProtectHome=
_LOST = ("/run", "/dev/shm", "/tmp", "/var/tmp", "/var/run")  # at the next boot, and PrivateTmp=
_PARTS = ("api_key", "secret")


def wanted(names: Names, program: Path, config: Path, root: Path) -> Installation:
    """The installation for a configuration that is there. Raises ConfigError, UsageError."""
    settings = load_config(config)
    _check_state(settings.state.dir, config)
    _check_port(settings, names, root)
    return Installation(
        names=names,
        program=program,
        state=settings.state.dir,
        keys=_keys(settings, root / names.etc.relative_to("/") / "credentials"),
        secrets=_secrets(settings),
    )


def simulated(settings: Settings) -> tuple[str, ...]:
    """Venues on which nothing of anybody's is guarded."""
    return tuple(name for name, venue in settings.venues.items() if venue.simulated)


def this_program() -> Path:
    """The command of the environment that runs now, wherever it was called from."""
    return Path(sys.prefix) / "bin" / "risk-daemon"


def check_program(program: Path) -> None:
    """The units' users can run it, and nobody but root can change it. Raises UsageError.

    Who can write to the program can read the keys. A home directory is hidden from the units.
    """
    if not program.is_absolute() or any(sign in str(program) for sign in " %$\\\"'@"):
        raise UsageError(f"{program}: the program's path must be absolute, without spaces and signs of systemd's")
    if not program.exists():
        raise UsageError(f"{program}: there is no such program: install it there, or name it by --program")
    python = program.parent / "python"  # of a virtual environment: a link to the one it was made with
    for place in (program, program.resolve(), *([python.resolve()] if python.exists() else [])):
        hidden = next((other for other in (*_HIDDEN, *_LOST) if place.is_relative_to(other)), None)
        if hidden is not None:
            raise UsageError(
                f"{place}: {hidden} is hidden from a service: install the program elsewhere, such as by `make install`,"
                " or by pipx with PIPX_HOME=/opt/pipx"
            )
        check_safe(place)


def check_safe(path: Path) -> None:
    """Raises UsageError where somebody else than root may change what is there, or where a link on the way leads."""
    for part in {path, *path.parents, path.resolve(), *path.resolve().parents}:
        found = part.lstat()
        is_link = stat.S_ISLNK(found.st_mode)
        loose = not is_link and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or loose:
            raise UsageError(
                f"{part}: somebody else than root may change it (owner {found.st_uid}, mode"
                f" {stat.S_IMODE(found.st_mode):o}), and could stop the guard and read its keys: `chown root {part}`,"
                f" `chmod go-w {part}`"
            )


def _check_state(state: Path, config: Path) -> None:
    if any(state.is_relative_to(place) for place in _HIDDEN):
        raise UsageError(f"{config}: state.dir: {state} is hidden from a service: a place in /var/lib or /srv is not")
    if any(state.is_relative_to(place) for place in _LOST):
        raise UsageError(f"{config}: state.dir: {state} is empty after a boot, and a trip would be forgotten with it")
    if state.is_relative_to("/etc"):
        raise UsageError(
            f"{config}: state.dir: {state} is below /etc, where nothing is written: a relative one is beside the file."
            ' Write dir = "/var/lib/..."'
        )
    if any(sign in str(state) for sign in " %$\\\"'"):
        raise UsageError(f"{config}: state.dir: {state!s} has spaces or signs of systemd's in it")


def _check_port(settings: Settings, names: Names, root: Path) -> None:
    """Two guards on one port: the second would never start."""
    mine = str(settings.api.listen)
    if mine.endswith(":0"):
        return
    for config in _of_others(names, root):
        if _listen(config) == mine:
            raise UsageError(f"{settings.file}: api.listen: {mine} is taken by {config}: give each guard its own port")


def free_port(names: Names, root: Path) -> int:
    """The first one, from the usual one on, that no other guard's configuration has."""
    taken = {_listen(config) for config in _of_others(names, root)}
    host, _, first = Api().listen.rpartition(":")
    return next(port for port in count(int(first)) if f"{host}:{port}" not in taken)


def _of_others(names: Names, root: Path) -> list[Path]:
    return [path for path in sorted((root / "etc").glob("risk-daemon*/config.toml")) if path.parent.name != names.own]


def _listen(config: Path) -> str | None:
    try:
        table: Any = tomllib.loads(read_regular(config).decode())
        return str(table.get("api", {}).get("listen", Api().listen))
    except (OSError, ValueError, AttributeError):
        return None  # another guard's, and its trouble


def _keys(settings: Settings, credentials: Path) -> tuple[str, ...]:
    live = [(name, venue) for name, venue in settings.venues.items() if not venue.simulated]
    return tuple(
        f"{name}.{part}"
        for name, venue in live
        for part in (*_PARTS, "password")
        if part in _PARTS or (credentials / f"{name}.password").exists() or _has_passphrase(venue.exchange)
    )


def _has_passphrase(exchange: str) -> bool:
    import ccxt

    return bool(getattr(ccxt, exchange)().requiredCredentials.get("password"))


def _secrets(settings: Settings) -> tuple[str, ...]:
    channels = settings.alerts.channels.items()
    return tuple(f"alerts.{name}.{part}" for name, channel in channels for part in channel.secrets)
