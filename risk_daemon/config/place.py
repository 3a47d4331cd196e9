"""Where a daemon keeps its things, read from a file of which all else may be broken. Standard library only."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from risk_daemon.config.regular_file import read_regular
from risk_daemon.errors import ConfigError

DEFAULT_STATE = "var"
DEFAULT_SOCKET = "risk-daemon.sock"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon keeps its things."""

    state: Path
    socket: Path


def is_socket_name(name: object) -> bool:
    """Whether it can be in the state directory only: who may write elsewhere must not answer for the daemon."""
    return isinstance(name, str) and name == os.path.basename(name) and name.strip(" .") != "" and "\0" not in name


def locate(config: Path) -> Place:
    """Read only the places from a configuration file. Raises ConfigError."""
    try:
        table = tomllib.loads(read_regular(config).decode())
        directory = table.get("state", {}).get("dir", DEFAULT_STATE)
        name = table.get("api", {}).get("socket", DEFAULT_SOCKET)
        state = Path(os.path.abspath(Path(os.path.abspath(config)).parent / directory))
        if not is_socket_name(name):
            raise ConfigError(f"{config}: api.socket is no name of a file in the state directory: {name!r}")
        return Place(state, state / name)
    except FileNotFoundError:
        raise ConfigError(f"{config}: there is no such file: give one with --config FILE.") from None
    except OSError as error:
        raise ConfigError(f"{config}: it can't be read ({error.strerror}): check its path and mode.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config}: this is not TOML, mend it: {error}.") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{config}: it does not say where the state is, mend it: {error}.") from None
