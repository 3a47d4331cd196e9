"""The files of an installation as texts: the templates with the places of one guard filled in.

Each ends with a line that says what was written, so that a file that somebody has changed is told from one that
an older version wrote.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from risk_daemon.errors import UsageError

_MARK = "# install-service wrote the lines above: "
_INSTANCE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 31 - len("risk-daemon-")  # a user's name has 31 letters at most
# /var/lib/risk-daemon-watch is the watch's: an instance of that name would live in it.
_TAKEN = ("watch", "page", "bot")


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What everything of one guard is called. instance: empty for the only one."""

    instance: str = ""

    def __post_init__(self) -> None:
        if self.instance and not (_INSTANCE.fullmatch(self.instance) and len(self.instance) <= _LONGEST):
            raise UsageError(
                f"{self.instance!r} can't be an instance: small letters, digits and single hyphens, at most {_LONGEST}"
            )
        if self.instance.split("-")[0] in _TAKEN:
            raise UsageError(f"{self.instance!r} can't be an instance: names that begin with {', '.join(_TAKEN)} don't")

    @property
    def own(self) -> str:
        """Of the guard's user, group and directories."""
        return self._with("risk-daemon", "-")

    @property
    def guard(self) -> str:
        """Of the guard's unit."""
        return self._with("risk-daemon", "@")

    @property
    def watch(self) -> str:
        return self._with("risk-daemon-watch", "@")

    @property
    def watcher(self) -> str:
        return self._with("risk-watch", "-")

    @property
    def page(self) -> str:
        """Of a template of units: what comes behind the @ is how the guard ended."""
        return self._with("risk-daemon-page", "-")

    @property
    def bot(self) -> str:
        """Of a template of units: what comes behind the @ is the bot."""
        return self._with("risk-daemon-bot", "-")

    @property
    def etc(self) -> Path:
        return Path("/etc") / self.own

    @property
    def config(self) -> Path:
        return self.etc / "config.toml"

    @property
    def state(self) -> Path:
        return Path("/var/lib") / self.own

    def _with(self, name: str, sign: str) -> str:
        return f"{name}{sign}{self.instance}" if self.instance else name


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """One guard: its program, and what its configuration wants. keys: credentials of venues; secrets: of channels."""

    names: Names
    program: Path
    state: Path
    keys: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFile:
    """One file as it shall be."""

    path: Path
    text: str
    mode: int = 0o644


def files(wanted: Installation) -> tuple[WrittenFile, ...]:
    """Everything that is written, but the configuration."""
    values, names = _values(wanted), wanted.names
    systemd = Path("/etc/systemd/system")
    return tuple(
        WrittenFile(path=path, text=marked(_filled(template(kind), values)), mode=mode)
        for kind, path, mode in (
            ("guard.service", systemd / f"{names.guard}.service", 0o644),
            ("watch.service", systemd / f"{names.watch}.service", 0o644),
            ("page.service", systemd / f"{names.page}@.service", 0o644),
            ("bot.service", systemd / f"{names.bot}@.service", 0o644),
            ("page.sh", Path("/usr/local/sbin/risk-daemon-page"), 0o755),
            ("users.conf", Path("/etc/sysusers.d") / f"{names.own}.conf", 0o644),
        )
    )


def first_config(names: Names, port: int) -> str:
    """A configuration to start from: it loads as it is, on simulated venues."""
    text = re.sub(r'^dir = "var".*$', f'dir = "{names.state}"', example_config(), flags=re.MULTILINE)
    return text.replace('listen = "127.0.0.1:8787"', f'listen = "127.0.0.1:{port}"')


def example_config() -> str:
    """The project's own config.toml."""
    return template("config.toml")


def template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def marked(text: str) -> str:
    return f"{text}{_MARK}{hashlib.sha256(text.encode()).hexdigest()[:16]}\n"


def is_as_written(text: str) -> bool:
    """Whether nobody has changed a file since this command, of whatever version, wrote it."""
    body, found, _ = text.rpartition(_MARK)
    return bool(found) and marked(body) == text


def _values(wanted: Installation) -> dict[str, str]:
    names = wanted.names
    return {
        "PROGRAM": str(wanted.program),
        "OWN": names.own,
        "WATCHER": names.watcher,
        "WATCH_STATE": f"{names.own.replace('risk-daemon', 'risk-daemon-watch', 1)}",
        "GUARD": names.guard,
        "PAGE": names.page,
        "BOT": names.bot,
        "ETC": str(names.etc),
        "CONFIG": str(names.config),
        "STATE": str(wanted.state),
        "ELSEWHERE": "" if wanted.state == names.state else f"ReadWritePaths={wanted.state}",
        "KEYS": _credentials(names.etc / "credentials", wanted.keys),
        "SECRETS": _credentials(names.etc / "alerts", wanted.secrets),
    }


def _credentials(directory: Path, parts: tuple[str, ...]) -> str:
    return "\n".join(f"LoadCredential={part}:{directory}/{part}" for part in parts)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """A line that is nothing but an empty value is left out. Values are not looked into for further names."""
    nothing = "|".join(name for name, value in values.items() if not value)
    kept = re.sub(rf"^@({nothing})@\n", "", text, flags=re.MULTILINE) if nothing else text
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], kept)
