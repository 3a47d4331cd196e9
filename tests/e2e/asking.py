"""A command that asks wardens, in the background: what it says is read as somebody at the terminal would."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from risk_daemon.auth.wardens import STEP_S
from tests.authenticator import code_at
from tests.e2e.harness import WAIT_S, Daemon, wait_for


class Asking:
    """One command, and what it has said so far."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self._said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "risk_daemon", *words, "--config", str(daemon.config)],
            env=daemon.environment,
            cwd=daemon.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As at a terminal, wherever the tests run.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.append(line)

    @property
    def said(self) -> str:
        return "".join(self._said)

    def _find(self, pattern: str) -> str:
        def look() -> str | None:
            found = re.search(pattern, self.said, re.MULTILINE)
            if found is None and self.process.poll() is not None:
                self._reader.join(5)
                assert re.search(pattern, self.said, re.MULTILINE), f"ended without {pattern}: {self.said}"
            return found.group(1) if found else None

        return str(wait_for(look, pattern))

    @property
    def address(self) -> str:
        return self._find(r"^ +(http\S+/override)$")

    @property
    def code(self) -> str:
        return self._find(r"^ +code (\S+)$")

    @property
    def secret(self) -> str:
        """Of a new warden's one-time codes."""
        return self._find(r"^or type its secret: (\S+)$")

    def ends(self, within_s: float = WAIT_S) -> int:
        code = self.process.wait(within_s)
        self._reader.join(5)
        return code

    def waits_for(self, words: str) -> None:
        wait_for(lambda: words in self.said, f"{words!r} in {self.said!r}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


class App:
    """An app for one-time codes. Each is given once, those that may still count and those that may already, too.

    Each goes on counting for half a step at least: between here and whoever judges it are keys, a browser and a
    passkey, which take seconds on a busy machine.
    """

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now
        self._last = ""

    def code(self) -> str:
        """The first of half a minute ago, now and in half a minute that is later than the last one given."""

        def fresh() -> str | None:
            wall = self._now()
            is_young = wall % STEP_S < STEP_S / 2  # else the one of half a minute ago has too little left
            codes = [code_at(self._secret, wall, steps=steps) for steps in ((-1, 0, 1) if is_young else (0, 1))]
            later = codes[codes.index(self._last) + 1 :] if self._last in codes else codes
            return later[0] if later else None

        self._last = str(wait_for(fresh, "a one-time code that was not used"))
        return self._last

    def wrong(self) -> str:
        """A code that is none of these minutes."""
        near = {code_at(self._secret, time.time(), steps=steps) for steps in range(-5, 6)}
        return next(code for code in (f"{number:06}" for number in range(20)) if code not in near)
